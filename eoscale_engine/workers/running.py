"""What the dispatcher knows: jobs with their tasks, and worker processes."""

from __future__ import annotations

import queue
import signal
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any, Callable, Optional, Union

from eoscale_engine.errors import Cancelled, EngineError
from eoscale_engine.tile_work.jobs import Job, tile_text
from eoscale_engine.tiling import Window

NEVER = float("inf")


@dataclass
class RunningJob:
    """A job and its tasks: those that wait, and those whose worker died."""

    work: Job
    payload: bytes
    pending: deque[tuple[int, Window]]
    identity: int
    again: deque[tuple[int, Window]] = field(default_factory=deque)
    retried: set[int] = field(default_factory=set)
    running: int = 0
    alone: bool = False
    waiting_since: float = field(default_factory=time.monotonic)
    stopped: bool = False
    deadline: float = NEVER
    events: queue.Queue[tuple[int, Union[bytes, EngineError]]] = field(default_factory=queue.Queue)
    ended: threading.Event = field(default_factory=threading.Event)

    def ready(self) -> bool:
        """Whether it has a task for a worker.

        One that killed its worker runs alone, before others: a function that always crashes fails
        its job soon.
        """
        if self.stopped or self.alone:
            return False
        return not self.running if self.again else bool(self.pending)

    def take(self) -> tuple[int, Window]:
        """The next task, which a worker now runs."""
        self.running += 1
        self.alone = bool(self.again)
        return (self.again or self.pending).popleft()

    def may_go_ahead(self, workers: int) -> bool:
        """Whether a worker may get a task while it still runs another.

        Not among the last ones, which go to whoever is free first, nor after a worker died.
        """
        return not (self.stopped or self.again or self.alone) and len(self.pending) > 2 * workers

    def give_back(self) -> None:
        """A task does not run any more."""
        self.running -= 1
        self.alone = False
        self.waiting_since = time.monotonic()

    def finished(self) -> bool:
        """Whether nothing runs, and nothing will."""
        return not self.running and (self.stopped or not (self.pending or self.again))

    def next_event(self, cancelled: Callable[[], bool]) -> tuple[int, Union[bytes, EngineError]]:
        """A task's number and answer, or the error that ends the job."""
        while True:
            if cancelled():
                raise Cancelled("Cancelled.")
            with suppress(queue.Empty):
                return self.events.get(timeout=0.05)


@dataclass
class Worker:
    """A process and its pipe; the job whose task it runs, and the one that it knows.

    ``ahead`` is the task of the same job that it begins as soon as it has done ``task``: it need
    not wait for the dispatcher, which gets no processor while the workers use them all.
    """

    process: Any
    connection: Connection
    job: Optional[RunningJob] = None
    task: tuple[int, Window] = (0, Window(0, 0, 0, 0))
    ahead: Optional[tuple[int, Window]] = None
    known: int = -1
    forgotten: list[str] = field(default_factory=list)


_LIKELY = {
    "SIGKILL": ", perhaps because memory ran out",
    "SIGBUS": ", perhaps because a disk or the shared memory is full",
}


def death(work: Job, window: Window, code: Optional[int]) -> str:
    """Why a job failed whose task ended its process twice."""
    cause = f"exit code {code}"
    if code is not None and code < 0:
        known = {item.value: item.name for item in signal.Signals}
        name = known.get(-code, f"signal {-code}")
        cause = f"killed by {name}" + _LIKELY.get(name, "")
    return (
        f"{work.label} ended its process on {tile_text(window)}, twice ({cause}). The function, or "
        "a library that it calls, crashed there: choose an extent without that place, or other "
        "parameters."
    )
