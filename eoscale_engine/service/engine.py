"""One engine process as its client sees it: its pipes, the threads that read them, its end."""

from __future__ import annotations

import itertools
import os
import queue
import signal
import subprocess  # nosec B404 - the one process that is started is the engine
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO, Any, Callable, Optional

from eoscale_engine import errors
from eoscale_engine.errors import Cancelled, EngineError, InputError, ServiceError
from eoscale_engine.own_folders import GDAL_FOLDER
from eoscale_engine.service.interpreter import Interpreter
from eoscale_engine.service.protocol import Sender, messages, rows_of
from eoscale_engine.workers import ENVIRONMENT, safe_path

START_SECONDS = 30.0
CANCEL_SECONDS = 5.0
"""After this long without an answer to a cancel, the run is given up; the engine goes on alone."""

END_SECONDS = 8.0
"""The engine gets this long to stop its jobs and workers."""

LINE_BYTES = 8192
"""Longer lines of the log are cut, whatever a user's function prints."""

_REMEDY = "If it happens again, set the Python interpreter in the EOScale options."

Log = Callable[[str], None]


class EngineProcess:
    """Starts an engine and runs jobs in it, from any thread."""

    def __init__(self, interpreter: Interpreter, start: Mapping[str, Any], log: Log) -> None:
        self._log = log
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._inboxes: dict[int, queue.Queue[Mapping[str, Any]]] = {}
        self._hello: queue.Queue[Mapping[str, Any]] = queue.Queue()
        self._last_words: list[str] = []
        try:
            # a fixed command, no shell; the interpreter was probed
            self._process = subprocess.Popen(  # nosec B603
                [interpreter.path, "-m", "eoscale_engine"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=_environment(interpreter, start["folders"][-1]),
                cwd=start["folders"][0],
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
                start_new_session=sys.platform != "win32",
            )
        except OSError as error:
            raise ServiceError(
                f"The engine does not start: {error.strerror or error} "
                f"('{error.filename or interpreter.path}'). {_REMEDY}"
            ) from None
        self._sender = Sender(_pipe(self._process.stdin))
        self._readers = [
            (threading.Thread(target=target, args=(pipe,), daemon=True), pipe)
            for target, pipe in (
                (self._listen, _pipe(self._process.stdout)),
                (self._overhear, _pipe(self._process.stderr)),
            )
        ]
        for thread, _ in self._readers:
            thread.start()
        self._sender.send({"start": dict(start)})
        self._await_ready()

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                message = self._hello.get(timeout=0.05)
            except queue.Empty:
                if self.alive():
                    continue
                message = {}
            if "ready" in message:
                return
            reason = message.get("failed") or f"{self._why()} {_REMEDY}"
            self.close()
            raise ServiceError(f"The engine does not start: {reason}")
        self.close()
        raise ServiceError(
            f"The engine did not answer within {START_SECONDS:g} seconds. Run again when the "
            f"machine is less busy. {_REMEDY}"
        )

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process.poll() is None

    def run(
        self,
        job: Mapping[str, Any],
        progress: Callable[[float], None],
        log: Callable[[str, str], None],
        cancelled: Callable[[], bool],
    ) -> dict[str, Any]:
        """Run one job."""
        inbox: queue.Queue[Mapping[str, Any]] = queue.Queue()
        with self._lock:
            identity = next(self._numbers)
            self._inboxes[identity] = inbox
        answered = False
        rows: dict[int, list[Any]] = defaultdict(list)
        try:
            self._send_job(identity, job)
            for message in self._answers(inbox, partial(self._cancel, identity), cancelled):
                answered = "error" in message or "result" in message
                if "progress" in message:
                    progress(message["progress"])
                elif "log" in message:
                    log(*message["log"])
                elif "rows" in message:
                    number, columns = message["rows"]
                    rows[number] += rows_of(columns)
                elif "error" in message:
                    kind, text = message["error"]
                    raise getattr(errors, kind, EngineError)(text)
                elif "result" in message:
                    result: dict[str, Any] = message["result"]
                    for number, several in rows.items():
                        result["summary"]["tables"][number]["rows"] = several
                    return result
            raise Cancelled("Cancelled.")
        finally:
            with self._lock:
                del self._inboxes[identity]
            if not answered:  # given up, or a callback failed: nobody else tells the engine
                self._cancel(identity)
                while not inbox.empty():
                    self._refuse(inbox.get())

    def _send_job(self, identity: int, job: Mapping[str, Any]) -> None:
        try:
            self._sender.send({"run": identity, "job": job})
        except (TypeError, ValueError, RecursionError) as error:
            raise InputError(f"The job cannot be sent to the engine: {error}.") from None

    def _answers(
        self,
        inbox: queue.Queue[Mapping[str, Any]],
        cancel: Callable[[], None],
        cancelled: Callable[[], bool],
    ) -> Any:
        """The messages of one run; they end when a cancel was not answered."""
        give_up = float("inf")
        while time.monotonic() < give_up:
            if give_up == float("inf") and cancelled():
                cancel()
                give_up = time.monotonic() + CANCEL_SECONDS
            try:
                yield inbox.get(timeout=0.05)
                continue
            except queue.Empty:
                if self.alive():
                    continue
            self._readers[0][0].join(1)
            if inbox.empty():
                raise ServiceError(
                    f"The engine ended unexpectedly: {self._why()} Images in memory are kept, and "
                    "a new engine starts with the next run."
                )

    def _cancel(self, identity: int) -> None:
        self._sender.send({"cancel": identity})

    def release(self, name: str) -> bool:
        """Give back an image; False where the process is gone."""
        return self.alive() and self._sender.send({"release": [name]})

    def drop_idle(self) -> None:
        """Give back what is only kept for reuse."""
        self._sender.send({"drop": True})

    def close(self) -> None:
        """Close the pipe, which ends the engine; end it by force where it does not go."""
        self._sender.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread, pipe in self._readers:
            thread.join(1)
            if not thread.is_alive():  # else a program that a function started holds the pipe
                pipe.close()

    def _listen(self, pipe: IO[bytes]) -> None:
        for message in messages(pipe):
            if "id" not in message:
                self._hello.put(message)
                continue
            with self._lock:
                inbox = self._inboxes.get(message["id"])
                if inbox is not None:
                    inbox.put(message)
            if inbox is None:
                self._refuse(message)

    def _refuse(self, message: Mapping[str, Any]) -> None:
        """Release what a run made that was given up: nobody else will."""
        for image in (message.get("result") or {}).get("images", {}).values():
            self._sender.send({"release": [image["name"]]})

    def _overhear(self, pipe: IO[bytes]) -> None:
        for line in iter(partial(pipe.readline, LINE_BYTES), b""):
            text = line.decode(errors="replace").rstrip()
            self._last_words = [*self._last_words[-4:], text]
            with suppress(Exception):  # a log that is gone must not block the engine's own
                self._log(text)

    def _why(self) -> str:
        code = self._process.poll()
        self._readers[1][0].join(0.5)
        names = {-item.value: f"killed by {item.name}" for item in signal.Signals}
        how = names.get(code or 0, f"exit status {code}")
        said = "; ".join(self._last_words).rstrip(".")
        return f"{how}. {said}." if said else f"{how}."


def _environment(interpreter: Interpreter, temporary: str) -> dict[str, str]:
    root = str(Path(errors.__file__).parents[1])
    environment = {**ENVIRONMENT, **interpreter.environment, "PYTHONUNBUFFERED": "1"}
    # GDAL's own files, which a killed worker leaves behind
    environment["CPL_TMPDIR"] = os.path.join(temporary, GDAL_FOLDER)
    with suppress(OSError):  # it is there, or its folder is not, which the engine tells
        os.mkdir(environment["CPL_TMPDIR"], 0o700)
    environment |= safe_path(root, environment.get("PYTHONPATH", ""))
    return environment


def _pipe(pipe: Optional[IO[bytes]]) -> IO[bytes]:
    if pipe is None:
        raise ServiceError("The engine has no pipe.")
    return pipe
