"""What the plan of a run says is what happens, and its memory at least what the run takes."""

from __future__ import annotations

import sys
import threading
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from osgeo import gdal, gdal_array

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Blocks, Declaration, ImageFilter, Output, Pixels
from eoscale_engine.errors import MemoryBudgetError
from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
from eoscale_engine.images.source import IN_MEMORY, ON_DISK, READ
from eoscale_engine.memory.store import Budget, Hold, ImageStore
from eoscale_engine.pipeline.plan import (
    COPIED,
    IN_FOLDER,
    LOADED,
    WORKER_BYTES,
    plan_of,
)
from eoscale_engine.procedures.copy import Copy
from eoscale_engine.procedures.kmeans import KMeans
from eoscale_engine.procedures.percentiles import Percentiles
from eoscale_engine.procedures.statistics import RasterStatistics
from eoscale_engine.profile import Profile
from eoscale_engine.raster_files.reading import RasterFile
from eoscale_engine.tiling import Window
from tests.engine.test_exactness import FILTERS, PROCEDURES, alternatives, keys_by_role, pictures


def written(path: Path, pixels: np.ndarray, *, tiled: bool = False) -> str:
    kind = gdal_array.NumericTypeCodeToGDALTypeCode(pixels.dtype)
    driver, (bands, rows, cols) = gdal.GetDriverByName("GTiff"), pixels.shape
    options = ["TILED=YES"] if tiled else []
    file = driver.Create(str(path), cols, rows, bands, kind, options=options)
    file.WriteArray(pixels)
    return str(path)


NAMED = [case for case in [*FILTERS, *PROCEDURES] if case.values[0].name]


class Watch:
    """The most bytes that images of a store take at a time."""

    def __init__(self, store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most = 0
        self._bytes: dict[str, int] = {}
        allocate = store.allocate

        def allocated(*arguments: Any, **options: Any) -> Hold:
            hold = allocate(*arguments, **options)
            self._bytes[hold.image.raw] = hold.image.file_bytes
            live = (size for raw, size in self._bytes.items() if raw in store._holds)
            self.most = max(self.most, sum(live))
            return hold

        monkeypatch.setattr(store, "allocate", allocated)


@pytest.mark.filterwarnings("ignore::eoscale_engine.errors.InputWarning")
@pytest.mark.parametrize("declaration", NAMED)
def test_images_take_no_more_than_was_planned(
    declaration: Declaration, monkeypatch: pytest.MonkeyPatch
) -> None:
    dtypes = [t for t in ("uint8", "uint32", "float32", "float64", "complex64")
              if np.dtype(t).kind in declaration.dtype_kinds]  # fmt: skip
    for dtype in dtypes:
        for roles in alternatives(declaration):
            images = pictures(declaration, dtype, 60, 75, holes=0.05, roles=roles)
            with EOContextManager(inline=True) as context:
                keys = keys_by_role(context, declaration, images, roles)
                plan = context.plan(declaration, keys)
                watch = Watch(context._runs.store, monkeypatch)
                context.run(declaration, keys)
                found = sum(output.nbytes for output in plan.outputs)
            # and about that: what is thought too large goes to disk
            assert watch.most <= found <= 2 * watch.most, (dtype, roles)


@pytest.mark.parametrize("mask", ["none", "alpha"])
def test_a_loaded_file_takes_what_was_planned(
    mask: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "a.tif")
    options = ["ALPHA=YES"] if mask == "alpha" else ["PHOTOMETRIC=MINISBLACK", "ALPHA=NO"]
    file = gdal.GetDriverByName("GTiff").Create(path, 50, 40, 4, options=options)
    file.GetRasterBand(4).Fill(255)
    del file
    with EOContextManager(inline=True) as context:
        key = context.describe(path)
        [planned] = context.plan(FocalStatistics(), key, load=True).inputs
        watch = Watch(context._runs.store, monkeypatch)
        context.load(key)
        assert planned.comes == LOADED
        assert watch.most == planned.nbytes == 4 * 50 * 40


@dataclass(frozen=True)
class Twice(ImageFilter):
    """Two outputs, the second of one band."""

    outputs = (Output(), Output("SECOND"))

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        return [inputs[0], inputs[0].with_bands(("",))]

    def apply(self, blocks: Blocks) -> list[Pixels]:
        block = blocks[0]
        return [(block.pixels, block.valid), (block.pixels[:1], None)]


@pytest.mark.parametrize("limit", [700_000, 500_000, 300_000, 150_000, 50_000])
@pytest.mark.parametrize("extent", [None, Window(10, 20, 90, 80), Window(10, 20, 30, 30)])
@pytest.mark.parametrize(
    "declaration",
    [Twice(), FocalStatistics(radius=3), Copy(), Percentiles(), RasterStatistics(percentiles=())],
)
def test_pixels_go_where_the_plan_says(
    declaration: Declaration, limit: int, extent: Optional[Window], tmp_path: Path
) -> None:
    path = written(tmp_path / "a.tif", np.zeros((2, 100, 200), "float32"))
    with EOContextManager(inline=True, memory_limit=limit) as context:
        key = context.describe(path)
        plan = context.plan(declaration, key, extent=extent, load=True)
        made = context.run(declaration, key, extent=extent, load=True)
        store = context._runs.store
        assert (plan.inputs[0].comes == LOADED) == context.images.entries[key].source.in_memory
        if isinstance(declaration, ImageFilter):
            images = [context.images.entries[one].source.images[0] for one in made.images]
            places = [output.goes for output in plan.outputs]
            assert places == [image.comes for image in images]
            assert [place == IN_MEMORY for place in places] == [
                store.memory.in_memory(image) for image in images
            ]
        assert store.memory.used() <= limit


def test_what_is_planned_by_the_limit(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", np.zeros((2, 100, 200), "float32"))

    def ways(declaration: Declaration, limit: int, **options: Any) -> list[str]:
        with EOContextManager(inline=True, memory_limit=limit) as context:
            plan = context.plan(declaration, context.describe(path), **options)
            return [*(one.comes for one in plan.inputs), *(one.goes for one in plan.outputs)]

    small, part = Window(0, 0, 20, 20), Window(0, 0, 90, 180)
    assert ways(Twice(), 400_000, load=True) == [LOADED, IN_MEMORY, IN_MEMORY]
    assert ways(Twice(), 399_999, load=True) == [READ, IN_MEMORY, IN_MEMORY]
    assert ways(Twice(), 200_000, load=True) == [READ, IN_MEMORY, ON_DISK]
    assert ways(Twice(), 100_000, load=True) == [READ, ON_DISK, IN_MEMORY]
    assert ways(Twice(), 0) == [READ, IN_MEMORY, IN_MEMORY]
    assert ways(Twice(), 0, extent=small, load=True) == [READ, IN_MEMORY, IN_MEMORY]
    assert ways(Twice(), 0, extent=part, load=True) == [LOADED, IN_MEMORY, IN_MEMORY]
    assert ways(Twice(), 0, paths=["", "/there.raw"]) == [READ, IN_MEMORY, IN_FOLDER]
    assert ways(Percentiles(), 0, load=True) == [LOADED]
    assert ways(Percentiles(), 0, extent=small, load=True) == [COPIED]
    # one pass over a file does, but not over a part of it, which is brought into memory first
    assert ways(RasterStatistics(percentiles=()), 0, load=True) == [READ]
    assert ways(RasterStatistics(percentiles=()), 0, extent=part, load=True) == [LOADED]


def test_the_plan_in_words() -> None:
    source = RasterFile("dsm.tif", (1,), Profile(2000, 1500, "float32"), (256, 256))
    plan = plan_of(
        FocalStatistics(radius=2), (("INPUT", (source,)),), ["dsm.tif"],
        Budget(10**9, 2 * 10**9, 10**12), workers=4,
    )  # fmt: skip
    assert str(plan).splitlines() == [
        "Focal statistics: 2000 x 1500 pixels in 4 tiles of up to 1024 x 1024, margin 2",
        "  input read in place: 'dsm.tif' 12.0 MB",
        "  results in memory: 12.0 MB",
        "  memory: 12.0 MB, and 4 workers x 80.2 MB; 1000 MB are free",
    ]
    assert plan.run_bytes == 12_000_000 + 4 * (WORKER_BYTES + plan.task_bytes)


def test_what_cannot_be_is_refused_before_it_starts() -> None:
    source = RasterFile("dsm.tif", (1,), Profile(9000, 9000, "float32"), (256, 256))
    inputs, focal = (("INPUT", (source,)),), FocalStatistics(radius=400)
    plan = plan_of(focal, inputs, ["a"], Budget(10**7, 10**7, 10**12))
    assert "a tile takes" in plan.refusal and "10.0 MB would fit" in plan.refusal
    assert "not possible: " in str(plan)
    plan = plan_of(FocalStatistics(), inputs, ["a"], Budget(10**8, 10**9, 81 * 10**6))
    assert "at most 25 % of this one" in plan.refusal
    plan = plan_of(FocalStatistics(), inputs, ["a"], Budget(10**8, 10**9, 10**10), workers=4)
    assert not plan.refusal and "would fit" not in str(plan)
    plan = plan_of(FocalStatistics(), inputs, ["a"], Budget(10**8, 10**9, 10**10), workers=40)
    assert not plan.refusal and "memory may run out: 12 workers would fit" in str(plan)
    # what is at work comes first, then the results
    ways = [
        plan_of(
            FocalStatistics(), inputs, ["a"], Budget(10**9, 10**9, 10**10), workers=workers
        ).outputs[0].goes
        for workers in (4, 10)
    ]  # fmt: skip
    assert ways == [IN_MEMORY, ON_DISK]


def test_a_refused_run_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageStore, "budget", lambda self: Budget(0, 10**9, 0))
    with EOContextManager(inline=True) as context:
        key = context.create_image(Profile(20, 20, "uint8"))
        assert context.plan(FocalStatistics(), key).refusal
        with pytest.raises(MemoryBudgetError, match="0 MB would fit on disk"):
            context.filter(FocalStatistics(), key)
        assert list(context.images) == [key]


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
@pytest.mark.parametrize("chain", [1, 2, 3])
def test_a_task_takes_no_more_than_was_planned(chain: int, dtype: str, tmp_path: Path) -> None:
    path = written(tmp_path / "a.tif", np.ones((2, 700, 700), dtype), tiled=True)
    with EOContextManager(inline=True, tile_pixels=400**2) as context:
        key = context.describe(path)
        for _ in range(chain - 1):
            [key] = context.filtered(FocalStatistics(radius=9, statistic="maximum"), key)
        focal = FocalStatistics(radius=5, statistic="variance")
        plan = context.plan(focal, key)
        context.filter(focal, key, extent=Window(0, 0, 1, 1))  # what is kept from then on
        tracemalloc.start()
        context.filter(focal, key)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most <= plan.task_bytes
    # a filter that is computed as it is read takes a tile of its output with its planes, at least
    assert plan.task_bytes > chain * 400**2 * 2


def test_a_large_margin_is_counted() -> None:
    # measured: 155 MB for one such block
    focal = FocalStatistics(statistic="variance", radius=256)
    source = RasterFile("a.tif", (1,), Profile(1100, 1100, "float32"), (1100, 1100))
    plan = plan_of(focal, (("INPUT", (source,)),), ["a"], Budget(10**10, 10**10, 10**10))
    assert 155e6 < plan.task_bytes < 310e6


def own_bytes(pid: int) -> int:
    """Bytes of a process that it shares with no other: without images."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:  # it ended
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon:"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
@pytest.mark.parametrize(
    "declaration", [FocalStatistics(radius=20, statistic="variance"), KMeans(classes=3)]
)
def test_workers_take_no_more_than_was_planned(declaration: Declaration, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).random((2, 1100, 1100))
    with EOContextManager(nb_workers=2) as context:
        key = context.describe(written(tmp_path / "a.tif", pixels, tiled=True))
        plan = context.plan(declaration, key)
        most, ended = [0], threading.Event()

        def watch() -> None:
            while not ended.wait(0.01):
                for worker in list(context._runs.executor._pool):
                    most[0] = max(most[0], own_bytes(worker.process.pid))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            context.run(declaration, key)
        finally:
            ended.set()
            watcher.join()
    assert 30e6 < most[0] <= WORKER_BYTES + plan.task_bytes
