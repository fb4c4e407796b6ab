"""One task in whatever process: its result, and what GDAL had to say meanwhile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from eoscale_engine.raster_files.datasets import Datasets
from eoscale_engine.raster_files.remarks import Remark

if TYPE_CHECKING:
    from eoscale_engine.images.source import WorkerState
    from eoscale_engine.tile_work.jobs import Job
    from eoscale_engine.tiling import Window


@dataclass(frozen=True)
class Remarked:
    """What a task returned, where GDAL warned of an image that it read."""

    result: Any
    remarks: tuple[Remark, ...]


def run_task(job: Job, window: Window, state: WorkerState) -> Any:
    """Do one task; what it returns, as :class:`Remarked` only where there is something to say."""
    remarks: tuple[Remark, ...] = ()
    try:
        result = job.run(window, state)
    finally:  # those of a task that failed are not the next one's
        remarks = state.of(Datasets).remarks.take()
    return Remarked(result, remarks) if remarks else result
