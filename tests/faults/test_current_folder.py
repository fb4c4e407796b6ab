"""Nothing that lies in the current folder is ever executed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eoscale_engine.service import interpreter
from eoscale_engine.workers import safe_path

ROOT = Path(__file__).parents[2]
NAMES = (
    "numpy", "osgeo", "random", "numbers", "inspect", "multiprocessing", "pickle", "socket",
    "signal", "tempfile", "threading", "json", "sitecustomize",
)  # fmt: skip

BOTH = """
import sys
from eoscale_engine.context import EOContextManager
from eoscale_engine.filters.neighbourhood.gaussian import Gaussian
from eoscale_engine.profile import Profile
from eoscale_engine.service.client import EngineClient, EngineOptions
from tests.faults.jobs import job

{old}
client = EngineClient(EngineOptions(workers=2))
print(client.run(job("rasterstatistics", sys.argv[1]))["summary"]["title"], client.inline)
client.close()
with EOContextManager(2) as context:
    image = context.create_image(Profile(30, 30, "float32"))
    context.filter(Gaussian(sigma=1.0), image)
print("done")
"""

OLD = """
from eoscale_engine import workers
from eoscale_engine.workers import forkserver
forkserver.HAS_SAFE_PATH = False
forkserver.safe_path = lambda *path: {"PYTHONPATH": workers.safe_path(*path)["PYTHONPATH"]}
"""
"""As Python 3.10 is, which knows nothing of PYTHONSAFEPATH."""


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder of modules that leave a mark and fail."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in NAMES:
        text = f"open({str(tmp_path / 'executed')!r}, 'a').write('{name} ')\nraise ImportError\n"
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.mark.parametrize(
    ("old", "accident"), [("", ""), ("", f"{os.pathsep}.{os.pathsep}"), (OLD, os.pathsep)]
)
def test_probe_engine_forkserver_and_workers(
    hostile: Path, image: str, old: str, accident: str
) -> None:
    script = hostile.parent / "script.py"
    # the script's own Python looks where it is told to; what it starts must not
    script.write_text(
        f"import sys; sys.path[:] = {[str(ROOT), *filter(None, sys.path)]!r}\n"
        f"import os; os.environ['PYTHONPATH'] = {accident!r}\n" + BOTH.format(old=old)
    )
    run = subprocess.run(
        [sys.executable, str(script), image], cwd=hostile, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip
    assert run.stdout.splitlines()[1:] == ["done"], run.stdout + run.stderr
    assert run.stdout.splitlines()[0].strip() == "Raster statistics"
    assert not (hostile.parent / "executed").exists()


def test_a_current_folder_that_was_removed(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    script = (
        f"import os, sys; os.chdir({str(gone)!r}); os.rmdir({str(gone)!r})\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from eoscale_engine.workers import forkserver\n"
        "from eoscale_engine.workers.processes import ProcessWorkers\n"
        "forkserver.HAS_SAFE_PATH = False\n"
        "workers = ProcessWorkers(1)\n"
        "print(workers._start() is not None)\n"
        "workers.close()\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert run.stdout == "True\n", run.stderr


def test_a_probe_of_an_older_python(hostile: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(hostile)
    monkeypatch.setattr(interpreter, "safe_path", lambda *path: {"PYTHONPATH": ""})
    assert isinstance(interpreter.find_interpreter(), interpreter.Interpreter)
    assert not (hostile.parent / "executed").exists()


def test_a_safe_path_has_no_empty_and_no_relative_entry() -> None:
    made = safe_path("/engine", os.pathsep.join(["", "here", "/own", ".", "/engine", ""]))
    assert made == {
        "PYTHONPATH": os.pathsep.join(["/engine", "/own"]), "PYTHONSAFEPATH": "1",
    }  # fmt: skip
