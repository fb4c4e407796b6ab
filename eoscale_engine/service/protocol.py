"""JSON lines over pipes: one message a line, in UTF-8.

Parameters may be infinite or NaN, for which JSON has no words: texts stand for them (see
:meth:`eoscale_engine.parameter_kinds.Kind.as_json`), or Python's own ``Infinity``, ``-Infinity``
and ``NaN``. Results are strict JSON.

The client sends ``{"start": ...}`` first, then ``{"run": id, "job": ...}``, ``{"cancel": id}`` and
``{"release": [names]}``; it ends the engine by closing the pipe. The engine answers
``{"ready": ...}`` and, for a job, ``{"id": id, ...}`` with ``progress``, ``log``, ``rows``,
``result`` or ``error``. What it does not understand it answers with ``{"refused": reason}``, and
goes on. The rows of a summary's tables come before it, a thousand at a time: to read one long line
would halt a client's other threads, and so its window. Of these each column is a list, or, where it
holds floats alone, the text of their bytes in base 64: to write and read digits takes far longer.
"""

from __future__ import annotations

import base64
import json
import os
import threading
from array import array
from collections.abc import Iterator, Sequence
from typing import IO, Any, Optional, Union

MOST_ROWS = 1000
"""Rows of one message: some milliseconds to read."""


def private_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Move the protocol off file descriptors 0 and 1, so that no ``print`` ever reaches it.

    0 then reads the null device and 1 goes where 2 goes: to the log.
    """
    incoming, outgoing = os.dup(0), os.dup(1)  # not inheritable
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return os.fdopen(incoming, "rb"), os.fdopen(outgoing, "wb", buffering=0)


Column = Union[Sequence[Any], str]


def columns_taken_out(summary: Optional[dict[str, Any]]) -> Iterator[tuple[int, list[Column]]]:
    """A summary's rows as columns, each part with its table's number; it is left without."""
    for number, table in enumerate((summary or {}).get("tables", ())):
        rows, table["rows"] = table["rows"], []
        for start in range(0, len(rows), MOST_ROWS):
            yield number, [_packed(column) for column in zip(*rows[start : start + MOST_ROWS])]


def rows_of(columns: Sequence[Column]) -> Iterator[tuple[Any, ...]]:
    """The rows of one part."""
    return zip(*map(_unpacked, columns))


def _packed(column: Sequence[Any]) -> Column:
    if set(map(type, column)) != {float}:
        return column
    return base64.b64encode(array("d", column).tobytes()).decode()


def _unpacked(column: Column) -> Sequence[Any]:
    return array("d", base64.b64decode(column)).tolist() if isinstance(column, str) else column


class Sender:
    """Writes messages to a pipe, from any thread."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def send(self, message: dict[str, Any]) -> bool:
        """Send one message; False where the other side is gone."""
        line = json.dumps(message).encode() + b"\n"
        with self._lock:
            try:
                self._pipe.write(line)
                self._pipe.flush()
            except (OSError, ValueError):  # broken, or closed meanwhile
                return False
        return True

    def close(self) -> None:
        """Close the pipe."""
        with self._lock:
            try:
                self._pipe.close()
            except OSError:  # the other side is gone: nothing is left to flush to
                return


def messages(pipe: IO[bytes]) -> Iterator[dict[str, Any]]:
    """The messages that arrive, until the other side is gone; ``unreadable`` says what is none."""
    for line in pipe:
        if line.endswith(b"\n"):  # else it was killed as it wrote
            yield _message(line)


def _message(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        return {"unreadable": f"A line is no JSON ({error})."}
    return found if isinstance(found, dict) else {"unreadable": "A line is no JSON object."}
