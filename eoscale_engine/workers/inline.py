"""Tiles one after the other in the calling thread: the same results without any other process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Callable

from eoscale_engine.errors import Cancelled
from eoscale_engine.images.source import WorkerState
from eoscale_engine.memory.free_memory import reserve_blas_memory
from eoscale_engine.memory.images import Mappings
from eoscale_engine.raster_files.datasets import Datasets
from eoscale_engine.tile_work.jobs import Job, failure
from eoscale_engine.tile_work.tasks import run_task
from eoscale_engine.tiling import Window
from eoscale_engine.workers import Done


class InlineWorkers:
    """The executor for functions that cannot travel and for places where no process can start."""

    workers = 1
    apart = False

    def __init__(self) -> None:
        self._state = WorkerState()

    def run(
        self, job: Job, tasks: Sequence[Window], done: Done, cancelled: Callable[[], bool]
    ) -> None:
        """Run all tasks of a job, in order."""
        reserve_blas_memory()
        try:
            for number, window in enumerate(tasks):
                if cancelled():
                    raise Cancelled("Cancelled.")
                try:
                    result = run_task(job, window, self._state)
                except (Exception, SystemExit) as error:  # a function's sys.exit() ends no script
                    raise failure(job, window, error) from error
                done(number, result)
        finally:
            # QGIS ends GDAL before Python: a file that is still open then takes it down
            self._state.of(Datasets).clear()

    def forget(self, raw_files: Sequence[str]) -> None:
        """Drop the mappings of released images."""
        for raw in raw_files:
            self._state.of(Mappings).forget(raw)

    def close(self) -> None:
        """Nothing runs between jobs."""
        self._state = WorkerState()
