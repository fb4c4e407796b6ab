"""For every test: where QGIS keeps Processing, and that nothing is left behind.

Nothing means no image in shared memory, and no process.
"""

from __future__ import annotations

import contextlib
import gc
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

# before pytest-qgis starts a QGIS, on machines without a screen too
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

# every block of every file that is written, here and in engine processes, is compared
os.environ["EOSCALE_READ_BACK"] = "all"

PROCESSES = Path("/proc")
MARK = f"EOSCALE_TEST_RUN={os.getpid()}"
PATIENCE = 10.0
"""Seconds that processes get to see that their client is gone."""


def pytest_configure() -> None:
    """Make ``processing`` importable, as inside QGIS, where pytest-qgis has started one."""
    if "qgis.core" in sys.modules:
        from qgis.core import QgsApplication

        sys.path.append(os.path.join(QgsApplication.pkgDataPath(), "python", "plugins"))


def shared_folders() -> set[Path]:
    """Every engine's folder in shared memory and in the temporary folder."""
    roots = {Path("/dev/shm"), Path("/var/tmp"), Path(tempfile.gettempdir())}
    return {folder for root in roots if root.is_dir() for folder in root.glob("*eoscale-*")}


def run_processes() -> dict[int, str]:
    """Processes that this run started, orphans too: they all inherit its mark."""
    found = {}
    for folder in PROCESSES.glob("[0-9]*"):
        # Processes come and go while one looks, and others' may not be read.
        with contextlib.suppress(OSError):
            marked = MARK.encode() in (folder / "environ").read_bytes().split(b"\0")
            if marked and int(folder.name) != os.getpid():
                found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
    return found


def stop_servers() -> None:
    """End what multiprocessing keeps for as long as this process lives."""
    for module, name in (("forkserver", "_forkserver"), ("resource_tracker", "_resource_tracker")):
        loaded = sys.modules.get(f"multiprocessing.{module}")
        if loaded is not None:
            getattr(loaded, name)._stop()


def used_elsewhere(folder: Path, ours: set[int]) -> bool:
    """Whether a process of another run holds a file of the folder open."""
    for link in PROCESSES.glob("[0-9]*/fd/*"):
        with contextlib.suppress(OSError):
            if int(link.parts[2]) not in ours and os.readlink(link).startswith(f"{folder}{os.sep}"):
                return True
    return False


@pytest.fixture(scope="session", autouse=True)
def _nothing_is_left() -> Iterator[None]:
    name, value = MARK.split("=")
    os.environ[name] = value
    before = shared_folders()
    yield
    gc.collect()
    stop_servers()
    deadline = time.monotonic() + PATIENCE
    while run_processes() and time.monotonic() < deadline:
        time.sleep(0.05)
    processes = run_processes()
    ours = {os.getpid(), *processes}
    folders = [at for at in shared_folders() - before if not used_elsewhere(at, ours)]
    left = [f"process {number}: {command}" for number, command in processes.items()]
    left += [f"in shared memory: {folder}" for folder in folders]
    assert not left, "left behind: " + "; ".join(left)


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory of 6 MB."""
    folder = tmp_path / "tiny"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(folder)]
    if os.name == "nt" or os.geteuid() or subprocess.run(command, check=False).returncode:
        pytest.skip("only root can make a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(params=[False, True], ids=["without", "with exceptions"])
def exceptions(request: pytest.FixtureRequest) -> Iterator[None]:
    """GDAL's exceptions, as a user's script or another plugin may have switched them."""
    from osgeo import gdal

    before = gdal.GetUseExceptions()
    (gdal.UseExceptions if request.param else gdal.DontUseExceptions)()
    yield
    (gdal.UseExceptions if before else gdal.DontUseExceptions)()
