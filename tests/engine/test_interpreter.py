"""The interpreter is found in every layout, from fakes that answer a probe as a Python would."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eoscale_engine.service import interpreter
from eoscale_engine.service.interpreter import (
    Host,
    Interpreter,
    NoInterpreter,
    candidates,
    find_interpreter,
    probe,
)

GOOD = "echo eoscale-probe 3.99"


def fake(path: Path, script: str = GOOD) -> str:
    """A shell script in the place of a Python."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A Linux Python 3.99 (which no machine has) below a folder of the test's own."""
    return Host(
        platform="linux",
        version="3.99",
        exec_prefix=str(tmp_path / "usr"),
        base_prefix=str(tmp_path / "usr"),
        executable=str(tmp_path / "foreign" / "python3"),
        libraries=(str(tmp_path / "libraries"),),
        environ={"PATH": str(tmp_path / "foreign"), "PYTHONHOME": "/nowhere", "HOME": "/home/me"},
    )


def found(result: Any) -> str:
    assert isinstance(result, Interpreter), result
    return result.path


def test_the_running_python_is_found_and_runs_with_the_environment_of_its_probe() -> None:
    result = find_interpreter()
    path = found(result)
    code = "import sys, numpy, osgeo.gdal; print(*sys.version_info[:2])"
    run = subprocess.run(
        [path, "-c", code], env=dict(result.environment), capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == [str(part) for part in sys.version_info[:2]]


def test_a_foreign_python_first_on_path_is_not_taken(host: Host, tmp_path: Path) -> None:
    fake(tmp_path / "foreign" / "python3", "echo eoscale-probe 3.11")
    fake(tmp_path / "foreign" / "python3.99", "echo no numpy >&2; exit 1")
    good = fake(tmp_path / "usr" / "bin" / "python3.99")
    assert found(find_interpreter(host=host)) == good


def test_a_python_on_path_is_taken_when_nothing_nearer_works(host: Host, tmp_path: Path) -> None:
    fake(tmp_path / "usr" / "bin" / "python3", "echo eoscale-probe 3.11")
    good = fake(tmp_path / "foreign" / "python3.99")
    assert found(find_interpreter(host=host)) == good


def test_the_setting_is_used(host: Host, tmp_path: Path) -> None:
    fake(tmp_path / "usr" / "bin" / "python3.99")
    good = fake(tmp_path / "mine" / "python")
    assert found(find_interpreter(f" {good} ", host=host)) == good


def test_a_setting_that_does_not_work_is_told_and_nothing_else_tried(
    host: Host, tmp_path: Path
) -> None:
    fake(tmp_path / "usr" / "bin" / "python3.99")
    result = find_interpreter(str(tmp_path / "gone"), host=host)
    assert isinstance(result, NoInterpreter)
    assert f"{tmp_path}/gone: there is no such file" in result.reason
    assert "leave it empty" in result.reason


def test_the_last_one_is_tried_first_and_may_be_gone(host: Host, tmp_path: Path) -> None:
    usual = fake(tmp_path / "usr" / "bin" / "python3.99")
    last = fake(tmp_path / "last" / "python3")
    assert found(find_interpreter(last=last, host=host)) == last
    assert found(find_interpreter(last=str(tmp_path / "gone"), host=host)) == usual


def test_no_interpreter_says_what_was_tried_and_what_to_do(host: Host, tmp_path: Path) -> None:
    old = fake(tmp_path / "usr" / "bin" / "python3.99", "echo eoscale-probe 3.9")
    poor = fake(tmp_path / "usr" / "bin" / "python3", "echo 'No module named numpy' >&2; exit 1")
    dead = fake(tmp_path / "foreign" / "python3", "exit 7")
    result = find_interpreter(host=host)
    assert isinstance(result, NoInterpreter)
    assert f"{old}: it is Python 3.9" in result.reason
    assert f"{poor}: No module named numpy" in result.reason
    assert f"{dead}: it ended with status 7" in result.reason
    assert "Set the Python interpreter in the EOScale options" in result.reason


def test_a_misleading_home_is_not_passed_on(host: Host, tmp_path: Path) -> None:
    fake(tmp_path / "usr" / "bin" / "python3.99", f'test -z "$PYTHONHOME" && {GOOD}')
    result = find_interpreter(host=host)
    assert isinstance(result, Interpreter)
    assert "PYTHONHOME" not in result.environment
    assert result.environment["HOME"] == "/home/me"


def test_the_running_pythons_libraries_are_tried_next(host: Host, tmp_path: Path) -> None:
    fake(tmp_path / "usr" / "bin" / "python3.99", f'test "$PYTHONPATH" && {GOOD}')
    result = find_interpreter(host=host)
    assert isinstance(result, Interpreter)
    assert result.environment["PYTHONPATH"] == str(tmp_path / "libraries")


def test_another_version_is_probed_only_once(host: Host, tmp_path: Path) -> None:
    log = tmp_path / "log"
    fake(tmp_path / "usr" / "bin" / "python3.99", f"echo run >> {log}; echo eoscale-probe 3.9")
    find_interpreter(host=host)
    assert log.read_text() == "run\n"


def test_a_link_to_the_same_file_is_probed_only_once(host: Host, tmp_path: Path) -> None:
    log = tmp_path / "log"
    path = fake(tmp_path / "usr" / "bin" / "python3.99", f"echo run >> {log}; exit 1")
    os.symlink(path, tmp_path / "usr" / "bin" / "python3")
    find_interpreter(host=host)
    assert log.read_text() == "run\nrun\n", "once in each of the two environments"


@pytest.mark.parametrize(
    ("place", "executable"),
    [
        ("apps/Python399/python.exe", "bin/qgis-bin.exe"),
        ("bin/python3.exe", "bin/qgis-bin.exe"),
        ("bin/python.exe", "bin/qgis-bin.exe"),
        ("apps/Python399/python3.exe", "apps/qgis/bin/qgis-bin.exe"),
    ],
)
def test_osgeo4w(host: Host, tmp_path: Path, place: str, executable: str) -> None:
    root = tmp_path / "Program Files" / "QGIS 4.0.3"
    good = fake(root / place, f'test "$USE_PATH_FOR_GDAL_PYTHON" = YES && {GOOD}')
    windows = replace(
        host,
        platform="win32",
        exec_prefix=str(root / "apps" / "Python399"),
        base_prefix=str(root / "apps" / "Python399"),
        executable=str(root / executable),
    )
    result = find_interpreter(host=windows)
    assert found(result) == good
    assert result.environment["PATH"].startswith(str((root / executable).parent))


def test_osgeo4w_by_its_root_when_the_prefix_says_nothing(host: Host, tmp_path: Path) -> None:
    root = tmp_path / "OSGeo4W"
    good = fake(root / "apps" / "Python399" / "python.exe")
    environ = {**host.environ, "OSGEO4W_ROOT": str(root)}
    windows = replace(host, platform="win32", executable="", environ=environ)
    assert found(find_interpreter(host=windows)) == good


@pytest.mark.parametrize(
    ("place", "prefix"),
    [
        ("MacOS/bin/python3.99", "MacOS"),
        ("MacOS/bin/python3", "MacOS"),
        ("MacOS/python3.99", "Frameworks"),
        ("MacOS/python", "Frameworks"),
        ("Frameworks/bin/python3.99", "Frameworks"),
        (
            "Frameworks/Python.framework/Versions/3.99/bin/python3",
            "Frameworks/Python.framework/Versions/3.99",
        ),
    ],
)
def test_macos_bundles(host: Host, tmp_path: Path, place: str, prefix: str) -> None:
    contents = tmp_path / "QGIS-final-4_0_3.app" / "Contents"
    home = str(contents / prefix)
    needs_home = f'test "$PYTHONHOME" = "{home}" && {GOOD}'
    good = fake(contents / place, needs_home)
    fake(contents / "MacOS" / "QGIS", "echo opened another QGIS; exit 1")
    mac = replace(
        host,
        platform="darwin",
        exec_prefix=home,
        base_prefix=home,
        executable=str(contents / "MacOS" / "QGIS"),
    )
    assert found(find_interpreter(host=mac)) == good
    assert str(contents / "MacOS" / "QGIS") not in list(candidates(mac))


def test_nothing_of_the_current_folder_is_run(host: Host) -> None:
    environ = {"PATH": f".{os.pathsep}bin{os.pathsep}"}
    for platform in ("linux", "darwin", "win32"):
        bare = replace(host, platform=platform, executable="", environ=environ)
        assert all(os.path.isabs(path) for path in candidates(bare))


def test_a_probe_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreter, "PROBE_SECONDS", 0.2)
    path = fake(tmp_path / "slow", "exec sleep 60")
    start = time.monotonic()
    assert probe(path, os.environ, "3.99") == "it did not answer within 0.2 seconds"
    assert time.monotonic() - start < 10


def test_a_probe_reads_past_what_a_sitecustomize_prints(host: Host, tmp_path: Path) -> None:
    path = fake(tmp_path / "chatty", f"echo hello; {GOOD}; echo bye")
    assert probe(path, host.environ, "3.99") == ""


def test_a_file_that_cannot_start_is_no_interpreter(host: Host, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a program")
    assert probe(str(tmp_path / "text"), host.environ, "3.99").startswith("it does not start")


def test_no_console_window_opens_on_windows(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def run(*args: Any, **options: Any) -> Any:
        asked.update(options)
        return subprocess.CompletedProcess(args, 0, "eoscale-probe 3.99", "")

    monkeypatch.setattr(interpreter, "NO_WINDOW", 0x08000000)
    monkeypatch.setattr(subprocess, "run", run)
    assert probe(fake(tmp_path / "python.exe"), host.environ, "3.99") == ""
    assert asked["creationflags"] == 0x08000000
    assert not asked.get("shell", False)
