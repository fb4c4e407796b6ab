"""The jobs of one pipeline: on which workers they run, who watches, how long they take."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable, Optional

from eoscale_engine.errors import InputError, InputWarning
from eoscale_engine.memory.store import Hold, ImageStore
from eoscale_engine.pipeline.resources import Resources
from eoscale_engine.raster_files.remarks import Remarks
from eoscale_engine.tile_work.jobs import Job
from eoscale_engine.tile_work.tasks import Remarked
from eoscale_engine.tiling import BLOCK_BYTES, TILE_PIXELS, Window
from eoscale_engine.workers import Executor
from eoscale_engine.workers.inline import InlineWorkers


def _ignore(*_: object) -> None:
    """Nobody watches."""


def _never() -> bool:
    return False


@dataclass
class Observer:
    """Who watches a pipeline.

    Attributes
    ----------
    progress : callable
        Told how much is done, in percent.
    log : callable
        Told messages: their level (``info`` or ``warning``) and text.
    cancelled : callable
        Asked, many times a second, whether to stop.
    """

    progress: Callable[[float], None] = _ignore
    log: Callable[[str, str], None] = _ignore
    cancelled: Callable[[], bool] = _never


@dataclass(frozen=True)
class Cuts:
    """How images are cut for workers; no choice changes a result (see ``planning.tiles_of``).

    Attributes
    ----------
    squares : bool or None
        Square tiles, or strips as wide as the image; None for what is fastest.
    tile_pixels : int
        Of one tile, about.
    block_bytes : int
        Of the blocks that a function sees.
    """

    squares: Optional[bool] = None
    tile_pixels: int = TILE_PIXELS
    block_bytes: int = BLOCK_BYTES


class Runs:
    """Runs jobs and keeps account of progress and time.

    Attributes
    ----------
    resources : Resources or None
        None until the pipeline is started.
    timings : dict
        Seconds that each stage took so far.
    names : dict
        What the user calls the image that is read from a path.
    """

    def __init__(self, resources: Optional[Resources], cuts: Cuts, observer: Observer) -> None:
        self.resources = resources
        self.cuts = cuts
        self.observer = observer
        self.timings: dict[str, float] = {}
        self.names: dict[str, str] = {}
        self._told: set[str] = set()
        self._remarks = Remarks()
        self._percent = 0.0
        self._report: Callable[[float], None] = _ignore

    @property
    def store(self) -> ImageStore:
        """The store of images."""
        return self._started().store

    @property
    def executor(self) -> Executor:
        """The workers."""
        return self._started().executor

    def _started(self) -> Resources:
        if self.resources is None:
            raise InputError("The context is not started: use it in a `with` statement.")
        return self.resources

    def warn(self, text: str) -> None:
        """Tell of a doubt once: to who watches, or as Python's own warning where nobody does."""
        if not self._is_new(text):
            return
        if self.observer.log is _ignore:
            warnings.warn(text, InputWarning, stacklevel=2)
        else:
            self.observer.log("warning", text)

    def remark(self, text: str) -> None:
        """Tell once how something is understood."""
        if self._is_new(text):
            self.observer.log("info", text)

    def _remarked(self, made: Remarked) -> Any:
        """Tell what GDAL said of images as a task read them, and return the task's result."""
        for path, text in made.remarks:
            for _, said in self._remarks.add(path, [text]):
                self.warn(f"GDAL says of '{self.names.get(path, path)}': {said}")
        return made.result

    def _is_new(self, text: str) -> bool:
        new = text not in self._told
        self._told.add(text)
        return new

    def run(self, job: Job, tasks: Sequence[Window], *, inline: bool = False) -> list[Any]:
        """Run tasks; what they return, in their order."""
        results: list[Any] = []
        self.run_in_order(job, tasks, results.append, inline=inline)
        return results

    def run_in_order(
        self,
        job: Job,
        tasks: Sequence[Window],
        take: Callable[[Any], None],
        *,
        inline: bool = False,
    ) -> None:
        """Run tasks, and pass on what they return in their order as soon as it is there."""
        early: dict[int, Any] = {}
        taken = finished = 0

        def done(number: int, result: Any) -> None:
            nonlocal taken, finished
            finished += 1
            early[number] = self._remarked(result) if isinstance(result, Remarked) else result
            while taken in early:
                take(early.pop(taken))
                taken += 1
            self._report(finished / len(tasks))

        executor = InlineWorkers() if inline else self.executor
        executor.run(job, tasks, done, self.observer.cancelled)

    @contextmanager
    def stage(self, name: str, share: float) -> Iterator[Callable[[float], None]]:
        """A stage takes this share of what is left of the progress; its time is noted.

        Gives the function that takes the stage's own progress, 0 to 1.
        """
        began, start, outer = time.perf_counter(), self._percent, self._report
        span = (100.0 - start) * share

        def report(fraction: float) -> None:
            # a second pass over the tiles does not turn it back
            self._percent = max(self._percent, start + span * fraction)
            self.observer.progress(self._percent)

        self._report = report
        try:
            yield report
        finally:
            self._report = outer
        seconds = time.perf_counter() - began
        self.timings[name] = self.timings.get(name, 0.0) + seconds
        self.observer.log("info", f"{name}: {seconds:.2f} s")

    @contextmanager
    def released_if_failed(self, holds: Sequence[Hold]) -> Iterator[None]:
        """Give images back where what is done with them fails."""
        try:
            yield
        except BaseException:
            for hold in holds:
                hold.release()
            raise
