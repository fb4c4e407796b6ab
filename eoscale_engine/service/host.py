"""The engine process: runs the client's jobs, owns the workers, and ends with its client.

A crash here (a fault in a user's function, memory that ran out) is an error message for the client,
never more. Images that were published survive it: the next engine adopts the folder.
"""

from __future__ import annotations

import os
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from typing import IO, Any

from eoscale_engine.context import Observer
from eoscale_engine.errors import EngineError, described
from eoscale_engine.memory.folder import ImageFolder
from eoscale_engine.memory.store import Hold
from eoscale_engine.pipeline.resources import put_together
from eoscale_engine.service.jobs import run_job
from eoscale_engine.service.protocol import Sender, columns_taken_out, messages
from eoscale_engine.workers.processes import ProcessWorkers

IDLE_SECONDS = 40.0
"""Loaded files are kept for reuse this long after the last job; looked at every sixth of it."""

END_SECONDS = 5.0
"""Jobs that run when the client goes get this long to stop."""


class Host:
    """Runs jobs in threads, all on the same workers and the same store of images."""

    def __init__(self, start: Mapping[str, Any], sender: Sender) -> None:
        # only now, when all is imported, so that no module is taken from there
        with suppress(OSError):
            os.chdir(start.get("directory") or ".")
        self._folders = [ImageFolder.adopt(path) for path in start["folders"]]
        for folder in self._folders:
            folder.sweep(start.get("kept", ()))
        workers = ProcessWorkers(int(start.get("workers", 0)))
        limit = int(start.get("memory_mb", 0)) * 1_000_000
        self.resources = put_together(self._folders, workers, limit)
        self._tile_pixels = int(start.get("tile_size", 0)) ** 2
        self._sender = sender
        self._lock = threading.Lock()
        self._cancelled: set[int] = set()
        self._running: dict[int, threading.Thread] = {}
        self._published: dict[str, list[Hold]] = {}
        self._last_job = time.monotonic()
        self._closing = threading.Event()
        threading.Thread(target=self._drop_when_idle, daemon=True).start()

    def handle(self, message: Mapping[str, Any]) -> None:
        """Do what the client asks; what it is not understood in is refused."""
        try:
            self._handle(message)
        except (ValueError, TypeError, KeyError, OverflowError) as error:
            reason = message.get("unreadable") or f"{type(error).__name__}: {error}"
            self._sender.send({"refused": str(reason)[:200]})

    def _handle(self, message: Mapping[str, Any]) -> None:
        if "run" in message:
            identity = int(message["run"])
            # a daemon: what hangs in a library must not keep the engine alive without a client
            thread = threading.Thread(
                target=self._run, args=(identity, message["job"]), daemon=True
            )
            with self._lock:
                self._running[identity] = thread
                try:
                    thread.start()
                except RuntimeError as error:  # the system gives no more threads
                    del self._running[identity]
                    said = ["EngineError", f"No work can begin: {error}."]
                    self._sender.send({"id": identity, "error": said})
        elif "cancel" in message:
            with self._lock:
                self._cancelled.update({int(message["cancel"])} & self._running.keys())
        elif "release" in message:
            for name in message["release"]:
                self._release(name)
        elif "drop" in message:
            self.resources.store.drop_idle()
        else:
            raise ValueError("the message asks for nothing that is known")

    def _release(self, name: str) -> None:
        with self._lock:
            holds = self._published.get(name, [])
            hold = holds.pop() if holds else None
            if not holds:
                self._published.pop(name, None)
        if hold is not None:
            hold.release()

    def _run(self, identity: int, job: Mapping[str, Any]) -> None:
        last = -1.0

        def progress(percent: float) -> None:
            nonlocal last
            if percent - last >= 0.5:
                last = percent
                self._sender.send({"id": identity, "progress": round(percent, 2)})

        def log(level: str, text: str) -> None:
            self._sender.send({"id": identity, "log": [level, text]})

        observer = Observer(progress, log, lambda: identity in self._cancelled)
        answer: dict[str, Any]
        try:
            outcome = run_job(self.resources, job, observer, tile_pixels=self._tile_pixels)
            with self._lock:
                for hold in outcome.published:
                    self._published.setdefault(hold.image.name, []).append(hold)
            for part in columns_taken_out(outcome.message["summary"]):
                self._sender.send({"id": identity, "rows": part})
            answer = {"id": identity, "result": outcome.message}
        except EngineError as error:
            answer = {"id": identity, "error": [type(error).__name__, str(error)]}
        except Exception as error:  # noqa: BLE001
            # a fault of the engine itself: the log has where, the user gets what
            traceback.print_exc()
            said = f"A fault of EOScale itself ({described(error)}). Its log says where."
            answer = {"id": identity, "error": ["EngineError", said]}
        with self._lock:
            self._running.pop(identity, None)
            self._cancelled.discard(identity)
            self._last_job = time.monotonic()
        self._sender.send(answer)

    def _drop_when_idle(self) -> None:
        while not self._closing.wait(IDLE_SECONDS / 6):
            with self._lock:
                idle = not self._running and time.monotonic() - self._last_job > IDLE_SECONDS
            if idle:
                self.resources.store.drop_idle()

    def close(self) -> None:
        """Cancel what runs and end the workers; remove the images where the client is gone."""
        self._closing.set()
        with self._lock:
            threads = list(self._running.values())
            self._cancelled.update(self._running)
        deadline = time.monotonic() + END_SECONDS
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self.resources.executor.close()
        self.resources.store.drop_idle()
        for folder in self._folders:
            folder.close(remove=folder.client_is_gone())


def serve(incoming: IO[bytes], outgoing: IO[bytes]) -> None:
    """Serve one client until it closes the pipe or is gone."""
    sender = Sender(outgoing)
    lines = messages(incoming)
    host = None
    try:
        host = Host(next(lines)["start"], sender)
        sender.send({"ready": os.getpid(), "python": list(sys.version_info[:2])})
        for message in lines:
            host.handle(message)
    except (StopIteration, EngineError, ValueError, KeyError, OSError) as error:
        sender.send({"failed": described(error)})
    finally:
        if host is not None:
            host.close()
