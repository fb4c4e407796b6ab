"""Where tiles run: inline, in local processes. An executor runs a job's tasks, nothing more."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Callable, Protocol

if TYPE_CHECKING:  # the forkserver's module is imported from here, before NumPy is
    from eoscale_engine.tile_work.jobs import Job
    from eoscale_engine.tiling import Window

ENVIRONMENT = {
    # glibc would give block temporaries back to the system at every operation
    "MALLOC_MMAP_THRESHOLD_": str(64 * 1024 * 1024),
    "MALLOC_TRIM_THRESHOLD_": str(256 * 1024 * 1024),
    # larger ones kept blocks that nobody reads again, and decoded no faster
    "GDAL_CACHEMAX": "8",
    # the tiles are the parallelism
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    # a crash leaves its place in the log
    "PYTHONFAULTHANDLER": "1",
}
"""What worker processes, and the engine process, are started with."""

LISTENERS = "EOSCALE_LISTENERS"
"""The variable that tells the forkserver of multiprocessing's folder, where its socket lies."""


def safe_path(*folders: str) -> dict[str, str]:
    """Settings of a Python that imports from these folders (or paths of several) and its own.

    Never from the current folder: anyone's ``numpy.py`` may lie there. An empty or a relative entry
    of a path means it too.
    """
    listed = os.pathsep.join(folders).split(os.pathsep)
    path = os.pathsep.join(dict.fromkeys(filter(os.path.isabs, listed)))
    return {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}


Done = Callable[[int, Any], None]
"""Told a finished task's number and what it returned, in the thread that runs the job."""


class Executor(Protocol):
    """Runs tasks side by side."""

    workers: int
    apart: bool
    """Whether they are other processes, to which a job must travel."""

    def run(
        self, job: Job, tasks: Sequence[Window], done: Done, cancelled: Callable[[], bool]
    ) -> None:
        """Run all tasks of a job.

        Returns when all are done; when it raises, none is running any more.

        Raises :class:`~eoscale_engine.errors.Cancelled` soon after ``cancelled`` says so, and a
        task's error (:func:`eoscale_engine.tile_work.jobs.failure`) as soon as no other task runs.
        """

    def forget(self, raw_files: Sequence[str]) -> None:
        """Tell the workers that images were released."""

    def close(self) -> None:
        """End all workers."""
