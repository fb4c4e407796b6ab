"""No space in memory, on disk, or in the budget: another place or a clear error, no crash."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from eoscale_engine.errors import MemoryBudgetError, OutputError
from eoscale_engine.service.client import EngineClient, EngineOptions
from tests.faults.jobs import job, pixels, same, write_image

LARGE = 1500
"""Side of an image of 9 MB."""


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_image(tmp_path_factory.mktemp("images") / "big.tif", LARGE)


def run(options: EngineOptions, described: dict) -> tuple[dict, list[str], np.ndarray]:
    """Run a job in an engine of its own: the result, the log, and the result's pixels."""
    client, log = EngineClient(options), []
    try:
        made = client.run(described, log=lambda level, text: log.append(text))["images"]["OUTPUT"]
        return made, log, pixels(made["vrt"] or made["path"])
    finally:
        client.close()


@pytest.fixture(scope="module")
def expected(big: str, tmp_path_factory: pytest.TempPathFactory) -> np.ndarray:
    output = str(tmp_path_factory.mktemp("results") / "OUTPUT.tif")
    made, log, found = run(EngineOptions(), job("focalstatistics", big, output, radius=2))
    assert any("results in memory: 9.0 MB" in line for line in log)
    assert any("2 workers x" in line for line in log)
    return found


def test_full_shared_memory_sends_images_to_disk(
    tiny: Path, big: str, expected: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EOSCALE_MEMORY", str(tiny))
    made, log, found = run(
        EngineOptions(), job("focalstatistics", big, str(tmp_path / "OUTPUT.tif"), radius=2)
    )
    assert same(found, expected)
    assert not made["vrt"].startswith(str(tiny))
    assert any("results in files on disk: 9.0 MB" in line for line in log)
    assert any("input read in place" in line for line in log)


def test_no_space_anywhere_is_an_error(
    tiny: Path, big: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EOSCALE_MEMORY", str(tiny))
    monkeypatch.setenv("TMPDIR", str(tiny))
    monkeypatch.setattr(tempfile, "tempdir", None)
    client = EngineClient()
    try:
        with pytest.raises(MemoryBudgetError, match="would fit on disk"):
            client.run(job("focalstatistics", big, str(tmp_path / "OUTPUT.tif"), radius=2))
        small = write_image(tmp_path / "small.tif", 100)
        assert client.run(job("focalstatistics", small, str(tmp_path / "OUTPUT.tif")))
    finally:
        client.close()
    assert not list(tiny.iterdir())


@pytest.mark.parametrize("form", ["GTiff", "COG"])
def test_a_disk_that_is_full_is_an_error(
    client: EngineClient, tiny: Path, big: str, form: str
) -> None:
    described = job("focalstatistics", big, str(tiny / "OUTPUT.tif"), keep="file")
    described["outputs"]["OUTPUT"].update(format=form, compress="NONE")
    with pytest.raises(OutputError, match="OUTPUT.tif. could not be written"):
        client.run(described)
    assert not list(tiny.iterdir())


def test_the_users_budget_is_heeded(big: str, expected: np.ndarray, tmp_path: Path) -> None:
    described = job("focalstatistics", big, str(tmp_path / "OUTPUT.tif"), radius=2)
    made, log, found = run(EngineOptions(memory_mb=10, tile_size=256), described)
    assert same(found, expected)
    assert any("10.0 MB are free" in line for line in log)
    assert any("input read in place" in line for line in log)


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("memory_mb", [0, 1])
def test_an_extent_is_the_crop_of_the_whole(
    big: str, expected: np.ndarray, tmp_path: Path, workers: int, memory_mb: int
) -> None:
    described = job("focalstatistics", big, str(tmp_path / "OUTPUT.tif"), radius=2)
    top, left, rows, cols = 411, 97, 800, 901
    described["extent"] = [
        500000 + left * 10, 4600000 - (top + rows) * 10, 500000 + (left + cols) * 10,
        4600000 - top * 10,
    ]  # fmt: skip
    options = EngineOptions(workers=workers, memory_mb=memory_mb, tile_size=333)
    made, log, found = run(options, described)
    assert same(found, expected[:, top : top + rows, left : left + cols])
    assert any("read in place" in line for line in log) == bool(memory_mb)


def test_the_whole_is_the_same_for_any_number_of_workers(
    big: str, expected: np.ndarray, tmp_path: Path
) -> None:
    for workers, side in ((1, 100), (5, 401)):
        described = job("focalstatistics", big, str(tmp_path / "OUTPUT.tif"), radius=2)
        found = run(EngineOptions(workers=workers, tile_size=side), described)[2]
        assert same(found, expected)


def test_a_small_extent_reads_only_what_it_needs(
    big: str, expected: np.ndarray, tmp_path: Path
) -> None:
    described = job("focalstatistics", big, str(tmp_path / "OUTPUT.tif"), radius=2)
    described["extent"] = [500000, 4600000 - 1000, 501000, 4600000]
    made, log, found = run(EngineOptions(workers=2), described)
    assert same(found, expected[:, :100, :100])
    assert any("input read in place" in line for line in log)
    assert not any(line.startswith("Loading") for line in log)


def test_an_engine_without_a_place_for_images_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EOSCALE_MEMORY", str(tmp_path / "missing"))
    with pytest.raises(MemoryBudgetError, match="EOSCALE_MEMORY"):
        EngineClient()


LIMITED = """
import resource, sys
from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import EngineError
from eoscale_engine.filters.neighbourhood.gaussian import Gaussian
from eoscale_engine.profile import Profile

room = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
most = room + int(sys.argv[1]) * 1_000_000
resource.setrlimit(resource.RLIMIT_AS, (most, most))
try:
    with EOContextManager(1, inline=sys.argv[2] == "inline") as context:
        context.filter(Gaussian(sigma=1.0), context.create_image(Profile(300, 300, "float32")))
        print("done")
except (EngineError, RuntimeError, MemoryError) as error:
    print(error or "no memory")
"""


@pytest.mark.timeout(60)  # OpenBLAS asked for ever for memory that it could not have
@pytest.mark.parametrize("megabytes", [40, 100, 130, 160, 1000])
@pytest.mark.parametrize("where", ["inline", "workers"])
def test_a_process_whose_memory_is_limited(megabytes: int, where: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(megabytes), where], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, check=False,
    )  # fmt: skip
    said = run.stdout.strip()
    assert said, run.stderr
    if megabytes in (40, 1000):  # between them it is the machine's libraries that decide
        assert (said == "done") == (megabytes == 1000)
