"""What runs in a worker process: receive a task, do it, say so; end with the pipe or the engine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

from eoscale_engine import errors
from eoscale_engine.errors import EngineError, TileError
from eoscale_engine.images.source import WorkerState
from eoscale_engine.memory.free_memory import reserve_blas_memory
from eoscale_engine.memory.images import Mappings
from eoscale_engine.tile_work.jobs import failure, tile_text
from eoscale_engine.tile_work.tasks import run_task
from eoscale_engine.tiling import Window

DONE, FAILED = b"+", b"!"
"""First byte of an answer: a pickled result, or an error's kind and text, one line each."""


def serve(connection: Connection, directory: str = "") -> None:
    """A worker's life, in a current folder."""
    with suppress(OSError):
        os.chdir(directory)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _end_with_parent()
    _go_first()
    state = WorkerState()
    payload, job = b"", None
    while True:
        try:
            kind, *rest = connection.recv()
            if kind == "end":
                return
            if kind == "forget":
                for raw in rest[0]:
                    state.of(Mappings).forget(raw)
            elif kind == "job":
                payload, job = rest[0], None
            else:
                try:
                    # pickle runs what it is sent: this pipe is the engine's own, inherited by this
                    # process alone, with no name by which another program could reach it
                    job = ForkingPickler.loads(payload) if job is None else job
                    reserve_blas_memory()
                    answer = DONE + bytes(ForkingPickler.dumps(run_task(job, rest[0], state)))
                except BaseException as error:  # noqa: BLE001 - sys.exit() is an error too
                    answer = FAILED + _told(job, rest[0], error)
                connection.send_bytes(answer)
        except (EOFError, OSError):  # the engine is gone
            return


def _told(job: Any, window: Window, error: BaseException) -> bytes:
    if job is None:
        found: EngineError = EngineError(
            f"A worker process cannot take up the work: {type(error).__name__}: {error}"
        )
    else:
        found = failure(job, window, error)
    # a user's own kind of error is not known in the engine
    kind = next(base for base in type(found).__mro__ if base.__module__ == errors.__name__)
    return f"{kind.__name__}\n{found}".encode(errors="backslashreplace")


def understood(answer: bytes, work: Any, window: Window) -> Any:
    """What a worker answered: a task's result, or its error, which is raised."""
    if answer[:1] == FAILED:
        kind, _, text = answer[1:].decode().partition("\n")
        raise getattr(errors, kind)(text)
    try:
        # from this process's own worker, over a pipe that nobody else can write to
        return ForkingPickler.loads(answer[1:])
    except Exception as error:  # noqa: BLE001 - unpickling can raise anything
        raise TileError(
            f"{work.label} returned, on {tile_text(window)}, something that only its own "
            f"process knows ({type(error).__name__}: {error}). Return numbers, text or arrays."
        ) from None


def _end_with_parent() -> None:
    """Workers do not notice by themselves that the engine was killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return
    if sys.platform != "win32":
        import fcntl

        # a function that never lets another thread run is ended by the system's own signal
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        fcntl.fcntl(parent.sentinel, fcntl.F_SETOWN, os.getpid())
        flags = fcntl.fcntl(parent.sentinel, fcntl.F_GETFL)
        fcntl.fcntl(parent.sentinel, fcntl.F_SETFL, flags | os.O_ASYNC)
    threading.Thread(target=_wait_for, args=(parent.sentinel,), daemon=True).start()


def _wait_for(sentinel: int) -> None:
    wait([sentinel])
    os._exit(1)


def _go_first() -> None:
    """When memory runs out, Linux ends a worker, which is replaced, and not the engine or QGIS."""
    score = Path("/proc/self/oom_score_adj")
    if score.exists():
        score.write_text("500", encoding="ascii")
