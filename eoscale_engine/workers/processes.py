"""Tiles in warm local processes, one pipe each, shared fairly by the jobs that run together.

Neither ``multiprocessing.Pool`` (hangs when a worker dies) nor ``ProcessPoolExecutor`` (cannot
cancel one job alone, does not tell which task killed a worker): with a pipe for each worker the
task is known, a cancel ends only its own workers, and a dead one is replaced and its task run
again, once, alone.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.connection import wait
from typing import Any, Callable, Optional

from eoscale_engine.errors import EngineError, InputError, TileError, described
from eoscale_engine.tile_work.jobs import Job
from eoscale_engine.tiling import Window
from eoscale_engine.workers import Done
from eoscale_engine.workers.forkserver import context, current_folder, packed, start_process
from eoscale_engine.workers.running import NEVER, RunningJob, Worker, death
from eoscale_engine.workers.worker import serve, understood

PATIENCE = 0.4
"""Seconds that a running task of a cancelled job gets to come back before its worker is ended, and
that a job waits for a worker before one more is started for it."""

IDLE_SECONDS = 120.0
"""Workers go away after this long without a job."""

MOST_WORKERS = 30 if sys.platform == "win32" else sys.maxsize
"""Windows waits for at most 63 things at a time: two for each worker, the pipe that wakes, and the
one more worker that a waiting job gets."""


class ProcessWorkers:
    """The executor on this machine's cores. Several threads may run jobs at the same time."""

    apart = True

    def __init__(self, workers: int = 0, idle_seconds: float = IDLE_SECONDS) -> None:
        if workers < 0:
            raise InputError(f"There cannot be {workers} workers. Give 0 for one a processor.")
        self.workers = min(workers or default_workers(), MOST_WORKERS)
        self._process = os.getpid()
        self._idle_seconds = idle_seconds
        self._context = context()
        self._lock = threading.Lock()  # of what several threads touch: jobs and forgotten
        self._jobs: deque[RunningJob] = deque()
        self._forgotten: list[str] = []
        self._pool: list[Worker] = []
        self._numbers = itertools.count()
        self._last_used = time.monotonic()
        self._wake_read, self._wake_write = multiprocessing.Pipe(duplex=False)
        self._closing = False
        self._thread = threading.Thread(target=self._dispatch, name="eoscale-workers", daemon=True)
        self._thread.start()

    # ---- called from any thread

    def run(
        self, job: Job, tasks: Sequence[Window], done: Done, cancelled: Callable[[], bool]
    ) -> None:
        """Run all tasks of a job side by side."""
        if self._process != os.getpid():
            raise EngineError(
                "The workers are those of the process that this one was forked from. Make a "
                "context in this process."
            )
        entry = RunningJob(job, packed(job), deque(enumerate(tasks)), next(self._numbers))
        with self._lock:
            if self._closing:
                raise EngineError("The workers were closed. Make a new context.")
            self._jobs.append(entry)
        self._wake()
        try:
            for _ in tasks:
                number, answer = entry.next_event(cancelled)
                if isinstance(answer, EngineError):
                    raise answer
                done(number, understood(answer, job, tasks[number]))
        finally:
            with self._lock:
                entry.stopped, entry.deadline = True, time.monotonic() + PATIENCE
            self._wake()
            # set as soon as no worker has a task of it, which takes PATIENCE at most; a dispatcher
            # that is gone sets nothing any more
            while not entry.ended.wait(1.0) and self._thread.is_alive():
                continue

    def forget(self, raw_files: Sequence[str]) -> None:
        """Tell the workers that images were released."""
        with self._lock:
            self._forgotten += raw_files
        self._wake()

    def close(self) -> None:
        """End all workers; a forked child leaves them to its parent."""
        if self._process != os.getpid():
            return
        with self._lock:
            self._closing = True
        self._wake()
        self._thread.join()

    def _wake(self) -> None:
        with suppress(OSError):  # closed
            self._wake_write.send_bytes(b"w")

    # ---- the dispatcher's own thread, which alone touches the workers

    def _dispatch(self) -> None:
        while not self._closing:
            try:
                self._hand_out()
                self._wait()
            except Exception as error:  # noqa: BLE001 - whatever it is, no job may wait for ever
                self._stop(f"The workers failed: {described(error).rstrip('.')}. Run again.")
        self._stop("The workers were closed.")
        self._wake_read.close()
        self._wake_write.close()

    def _stop(self, reason: str) -> None:
        """End all workers, then fail all jobs: nothing may write any more when a job has ended."""
        self._end(list(self._pool))
        with self._lock:
            for job in self._jobs:
                job.events.put((0, EngineError(reason)))
                job.ended.set()
            self._jobs.clear()

    def _hand_out(self) -> None:
        """Give every idle worker a task, from each job in turn."""
        with self._lock:
            for job in [job for job in self._jobs if job.finished()]:
                self._jobs.remove(job)
                job.ended.set()
            busy = bool(self._jobs)
            forgotten, self._forgotten = self._forgotten, []
        now = time.monotonic()
        for worker in list(self._pool):
            worker.forgotten += forgotten
            if worker.job is None and worker.forgotten:  # a busy one might not read for long
                self._send(worker, ("forget", worker.forgotten))
                worker.forgotten = []
        while self._hand_out_one(now):
            self._last_used = now
        self._hand_out_ahead()
        idle = [worker for worker in self._pool if worker.job is None]
        if busy:
            self._last_used = now
            self._end(idle[: max(0, len(self._pool) - self.workers)])
        elif now - self._last_used > self._idle_seconds:
            self._end(idle)

    def _hand_out_one(self, now: float) -> bool:
        with self._lock:
            for _ in range(len(self._jobs)):
                job = self._jobs[0]
                self._jobs.rotate(-1)
                worker = self._worker_for(job, now) if job.ready() else None
                if worker is not None:
                    worker.job, worker.task = job, job.take()
                    break
            else:
                return False
        if worker.known != job.identity:
            self._send(worker, ("job", job.payload))
            worker.known = job.identity
        self._send(worker, ("task", worker.task[1]))
        return True

    def _hand_out_ahead(self) -> None:
        """Give busy workers their next task too, where no other job waits for its turn."""
        chosen = []
        with self._lock:
            job = self._jobs[0] if len(self._jobs) == 1 else None
            for worker in self._pool:
                mine = worker.job is job and worker.ahead is None and not worker.forgotten
                if job is not None and mine and job.may_go_ahead(self.workers):
                    worker.ahead = job.take()
                    chosen.append((worker, worker.ahead[1]))
        for worker, window in chosen:
            self._send(worker, ("task", window))

    def _worker_for(self, job: RunningJob, now: float) -> Optional[Worker]:
        """A worker; where all are busy for long, one more for a job that has none at all."""
        idle = [worker for worker in self._pool if worker.job is None]
        full = len(self._pool) - len(idle) >= self.workers
        if full and job.running:
            return None
        if idle:
            return next((worker for worker in idle if worker.known == job.identity), idle[0])
        if full:
            if now - job.waiting_since < PATIENCE:
                return None
            job.waiting_since = now
        return self._start()

    def _start(self) -> Optional[Worker]:
        if len(self._pool) > MOST_WORKERS:
            return None
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=serve, args=(theirs, current_folder()), daemon=True)
        try:
            start_process(process)
        except (OSError, EOFError) as error:
            ours.close()
            if not self._pool:
                raise EngineError(f"no process can be started ({error})") from error
            return None
        finally:
            theirs.close()
        self._pool.append(Worker(process, ours))
        return self._pool[-1]

    def _send(self, worker: Worker, message: tuple[Any, ...]) -> None:
        with suppress(OSError):  # it died while idle: heard of in _wait
            worker.connection.send(message)

    def _wait(self) -> None:
        """Handle what happens next: a result, a death, a deadline, a call from another thread."""
        with self._lock:
            times = [worker.job.deadline for worker in self._pool if worker.job is not None]
            times += [
                job.waiting_since + PATIENCE
                for job in self._jobs
                if job.ready() and not job.running and self._pool
            ]
        if self._pool:
            times.append(self._last_used + self._idle_seconds)
        watched: dict[Any, Optional[Worker]] = {self._wake_read: None}
        for worker in self._pool:
            watched[worker.connection] = watched[worker.process.sentinel] = worker
        limit = min(times, default=NEVER)
        timeout = None if limit == NEVER else max(0.0, limit - time.monotonic()) + 0.001
        ready = wait(list(watched), timeout)
        while self._wake_read.poll():
            self._wake_read.recv_bytes()
        for heard in {id(watched[thing]): watched[thing] for thing in ready}.values():
            if heard is not None:
                self._hear(heard)
        now = time.monotonic()
        for worker in list(self._pool):
            if worker.job is not None and worker.job.deadline < now:
                worker.process.kill()
                self._remove(worker)

    def _hear(self, worker: Worker) -> None:
        try:
            if not worker.connection.poll():
                self._remove(worker)
                return
            answer = worker.connection.recv_bytes()
        except (EOFError, OSError):
            self._remove(worker)
            return
        job, number = worker.job, worker.task[0]
        if worker.ahead is None:
            worker.job = None
        else:
            worker.task, worker.ahead = worker.ahead, None
        if job is not None:
            with self._lock:
                job.give_back()
            job.events.put((number, answer))

    def _remove(self, worker: Worker) -> None:
        """A worker that died or was ended: join it; its task runs again, once, alone."""
        code = self._join(worker, PATIENCE)
        job, number = worker.job, worker.task[0]
        if job is None:
            return
        with self._lock:
            job.give_back()
            if worker.ahead is not None:
                job.give_back()
                job.pending.appendleft(worker.ahead)
            if job.stopped:
                return
            if number not in job.retried:
                job.retried.add(number)
                job.again.append(worker.task)
                return
        job.events.put((number, TileError(death(job.work, worker.task[1], code))))

    def _join(self, worker: Worker, patience: float) -> Optional[int]:
        process = worker.process
        process.join(patience)
        process.kill()
        process.join()
        self._pool.remove(worker)
        worker.connection.close()
        code: Optional[int] = process.exitcode
        process.close()  # ends it even where its forkserver was killed: its parent is then gone
        return code

    def _end(self, workers: Sequence[Worker]) -> None:
        for worker in workers:
            self._send(worker, ("end",))
        limit = time.monotonic() + PATIENCE
        for worker in workers:
            self._join(worker, max(0.0, limit - time.monotonic()) if worker.job is None else 0)


def default_workers() -> int:
    """The processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
