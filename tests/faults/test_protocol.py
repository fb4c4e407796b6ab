"""What an engine does not understand it says so, and goes on."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eoscale_engine.memory.folder import ImageFolder
from tests.faults.jobs import job

JUNK = (
    b"", b"{", b"nonsense", b"\xff\xfe\x00", b"null", b"[]", b"1e999", b'"run"', b"{}", b"[" * 5000,
    b'{"run": null}', b'{"run": "x", "job": {}}', b'{"run": 1e999, "job": {}}', b'{"run": 7}',
    b'{"cancel": []}', b'{"cancel": 99}', b'{"release": null}', b'{"release": [null]}',
    b'{"release": [["x"]]}', b'{"start": {}}', b'{"unreadable": 1}',
)  # fmt: skip

JOBS: tuple[Any, ...] = (
    None, [], "text", {}, {"declaration": None}, {"declaration": ["gaussian"]},
    {"declaration": "gaussian", "inputs": 3}, {"declaration": "gaussian", "parameters": []},
    {"declaration": "gaussian", "inputs": {"INPUT": [{}]}}, {"declaration": "no\0thing"},
)  # fmt: skip


class Engine:
    """An engine process, talked to line by line."""

    def __init__(self, folder: Path) -> None:
        self.folders = [ImageFolder.create(str(folder)) for _ in range(2)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "eoscale_engine"], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        paths = [str(item.path) for item in self.folders]
        self.say(json.dumps({"start": {"folders": paths, "workers": 1}}).encode())
        assert "ready" in self.hear()

    def say(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        found: dict[str, Any] = json.loads(self.process.stdout.readline())
        return found

    def answer(self, number: int) -> dict[str, Any]:
        """The answer to a run; what comes before it is passed over."""
        while True:
            message = self.hear()
            if message.get("id") == number and {"result", "error"} & message.keys():
                return message


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    made = Engine(tmp_path_factory.mktemp("engine"))
    yield made
    made.process.communicate(timeout=20)
    assert made.process.returncode == 0
    for folder in made.folders:
        folder.close()


def still_works(engine: Engine, image: str) -> None:
    engine.say(json.dumps({"run": 1000, "job": job("rasterstatistics", image)}).encode())
    assert engine.answer(1000)["result"]["summary"]


@pytest.mark.parametrize("line", JUNK, ids=lambda line: repr(line[:30]))
def test_a_line_that_is_no_message_is_refused(engine: Engine, image: str, line: bytes) -> None:
    engine.say(line)
    if line not in (b'{"cancel": 99}', b'{"release": [null]}'):  # nothing to do, so nothing to say
        message = engine.hear()
        assert message["refused"] and len(message["refused"]) <= 200
    still_works(engine, image)


@pytest.mark.parametrize("asked", JOBS, ids=repr)
def test_a_job_that_is_none_is_an_error(engine: Engine, image: str, asked: Any) -> None:
    engine.say(json.dumps({"run": 5, "job": asked}).encode())
    assert engine.answer(5)["error"][1]
    still_works(engine, image)


def test_random_bytes(engine: Engine, image: str) -> None:
    source = random.Random(5)
    for _ in range(200):
        engine.say(source.randbytes(source.randrange(60)).replace(b"\n", b""))
        assert "refused" in engine.hear()
    still_works(engine, image)
