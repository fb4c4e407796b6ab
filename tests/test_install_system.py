"""The script that installs what is missing, with an apt of the tests that another keeps busy."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / "scripts" / "install_system.sh"
LOCKED = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 12 (apt-get)"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder for programs that stand in for the system's."""
    folder = tmp_path / "bin"
    folder.mkdir()
    put(folder, "dpkg-query", "exit 1")
    put(folder, "sudo", 'exec "$@"')
    put(folder, "sleep", "exit 0")
    return folder


def put(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(stat.S_IRWXU)


def install(programs: Path) -> subprocess.CompletedProcess[str]:
    path = f"{programs}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", str(SCRIPT), "demo"], env={**os.environ, "PATH": path},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip


def test_it_waits_for_another_apt_get(programs: Path) -> None:
    calls = programs / "calls"
    put(
        programs, "apt-get",
        f'echo "$*" >> "{calls}"; [ "$(wc -l < "{calls}")" -gt 2 ] || '
        f'{{ echo "{LOCKED}" >&2; exit 100; }}',
    )  # fmt: skip
    done = install(programs)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("Another apt-get holds the lists of packages: waiting for it.") == 1
    *updates, last = calls.read_text().splitlines()
    assert len(updates) == 3
    assert all(line.endswith(" update") for line in updates)
    assert "-o DPkg::Lock::Timeout=600" in last
    assert " install " in last


@pytest.mark.parametrize("reason", ["E: No space left on device", LOCKED])
def test_it_says_why_it_gives_up(programs: Path, reason: str) -> None:
    put(programs, "apt-get", f'echo "{reason}" >&2; exit 100')
    done = install(programs)
    assert done.returncode == 100
    assert reason in done.stderr
