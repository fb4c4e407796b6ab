"""EOScale's manager: images in and out, views, and that everything is released at the end."""

from __future__ import annotations

import gc
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal, osr

from eoscale_engine.callable_work import Tile
from eoscale_engine.context import EOContextManager, Observer
from eoscale_engine.declaration import (
    Blocks,
    ImageFilter,
    Output,
    Pixels,
    Procedure,
    Result,
    Summary,
    image,
)
from eoscale_engine.errors import (
    Cancelled,
    EngineError,
    GridError,
    InputError,
    OutputError,
    TileError,
)
from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
from eoscale_engine.filters.neighbourhood.gaussian import Gaussian
from eoscale_engine.filters.pixel.mask import ValidityMask
from eoscale_engine.filters.pixel.stack import Stack
from eoscale_engine.images.source import WorkerState
from eoscale_engine.memory.folder import shared_memory_root
from eoscale_engine.procedures.copy import Copy
from eoscale_engine.procedures.statistics import RasterStatistics
from eoscale_engine.profile import CRS, Affine, Band, Profile
from eoscale_engine.reductions.python_reduction import PythonReduction
from eoscale_engine.reductions.statistics import BandMoments
from eoscale_engine.tiling import Window

ROOT = Path(__file__).parents[2]
USER = str(ROOT / "tests" / "data" / "user_functions.py")


@pytest.fixture
def context() -> Iterator[EOContextManager]:
    with EOContextManager(inline=True) as made:
        yield made


@pytest.fixture(autouse=True)
def own_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Other tests and programs make and remove image folders at the same time."""
    for variable, name in (("EOSCALE_MEMORY", "memory"), ("TMPDIR", "disk")):
        (tmp_path / "images" / name).mkdir(parents=True)
        monkeypatch.setenv(variable, str(tmp_path / "images" / name))
    monkeypatch.setattr(tempfile, "tempdir", None)


def folders() -> set[Path]:
    roots = {Path(shared_memory_root()), Path(tempfile.gettempdir())}
    assert len(roots) == 2
    return {path for root in roots for path in root.glob("eoscale-*")}


def cube(bands: int = 2, rows: int = 6, cols: int = 7) -> np.ndarray:
    return np.arange(bands * rows * cols, dtype=np.float32).reshape(bands, rows, cols)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A file of two bands on a grid, nodata 5."""
    with EOContextManager(inline=True) as context:
        context.write(filled(context), str(tmp_path / "image.tif"))
    return str(tmp_path / "image.tif")


def filled(context: EOContextManager, pixels: Any = None, **changes: Any) -> str:
    pixels = cube() if pixels is None else pixels
    values = {
        "count": pixels.shape[0], "height": pixels.shape[1], "width": pixels.shape[2],
        "dtype": pixels.dtype, "nodata": 5, "crs": "EPSG:32631",
        "transform": (10, 0, 500, 0, -10, 900), **changes,
    }  # fmt: skip
    key = context.create_image(values)
    assert not context.get_array(key).any()
    context.get_array(key)[:] = pixels
    return key


def numbers_of(context: EOContextManager, key: str, **parameters: Any) -> Any:
    summary = context.run(RasterStatistics(**parameters), key).summary
    assert summary
    return summary.numbers


# ---------------------------------------------------------------- files


def test_a_file_comes_into_memory_and_is_used_again(context: EOContextManager, path: str) -> None:
    key = context.open_raster(raster_path=path)
    np.testing.assert_array_equal(context.get_array(key), cube())
    assert context.get_array(key).flags["OWNDATA"] is False
    again = context.open_raster(path)
    assert again != key
    assert np.shares_memory(context.get_array(again), context.get_array(key))
    with pytest.raises(ValueError, match="read-only"):
        context.get_array(key)[:] = 0


def test_a_file_that_changed_is_read_again(context: EOContextManager, path: str) -> None:
    context.open_raster(path)
    dataset = gdal.Open(path, gdal.GA_Update)
    dataset.GetRasterBand(1).WriteArray(np.full((6, 7), 99, np.float32))
    dataset = None
    assert (context.get_array(context.open_raster(path))[0] == 99).all()


def test_chosen_bands(context: EOContextManager, path: str) -> None:
    context.open_raster(path)
    key = context.open_raster(path, bands=[2])
    np.testing.assert_array_equal(context.get_array(key), cube()[1:])
    assert context.get_profile(key)["count"] == 1
    # what other programs see is the chosen bands, too
    assert gdal.Open(context.publish(key)).RasterCount == 1


def test_what_does_not_fit_into_memory_is_streamed(path: str) -> None:
    with EOContextManager(inline=True, memory_limit=100) as small:
        key = small.open_raster(path)
        [made] = small.filter(FocalStatistics(), key)
        with EOContextManager(inline=True) as large:
            [wanted] = large.filter(FocalStatistics(), large.open_raster(path))
            np.testing.assert_array_equal(small.get_array(made), large.get_array(wanted))
        np.testing.assert_array_equal(small.get_array(key), cube())


# ---------------------------------------------------------------- arrays, profiles, views


def test_parts_by_tile(context: EOContextManager) -> None:
    key = filled(context)
    tile = Tile(2, 1, 4, 3, top_margin=1, right_margin=2, left_margin=1, bottom_margin=0)
    np.testing.assert_array_equal(context.get_array(key, tile=tile), cube()[:, 0:4, 1:7])


def test_a_profile_is_the_callers_own(context: EOContextManager) -> None:
    key = filled(context)
    context.get_profile(key)["nodata"] = 77
    assert context.get_profile(key)["nodata"] == 5
    assert context.get_profile(key)["crs"].to_epsg() == 32631


def test_an_image_from_a_profile(context: EOContextManager) -> None:
    key = context.create_image(Profile(3, 2, "uint8", (Band(9),)))
    assert context.get_array(key).shape == (1, 2, 3)
    with pytest.raises(InputError, match="width, dtype"):
        context.create_image({"height": 2})


def test_profiles_change(context: EOContextManager, path: str) -> None:
    for key in (filled(context), context.open_raster(path)):
        context.publish(key)
        values = {**context.get_profile(key), "nodata": 8, "transform": Affine(1, 0, 2, 0, -1, 3)}
        assert context.update_profile(key, values) == key
        assert context.profile(key).nodata == 8
        assert context.profile(key).transform.to_gdal() == (2, 1, 0, 3, 0, -1)
        count = numbers_of(context, key, raw=True)
        assert (count["VALID"], count["INVALID"]) == (41, 1)
        dataset = gdal.Open(context.publish(key))
        assert dataset.GetRasterBand(1).GetNoDataValue() == 8
        for change in ({"dtype": "uint8"}, {"count": 1}, {"width": 3}):
            with pytest.raises(InputError, match="make a new image"):
                context.update_profile(key, {**values, **change})
    assert context.profile(context.open_raster(path)).nodata == 5


@pytest.mark.parametrize(
    "index",
    [
        np.s_[:, 1:4, 2:5], np.s_[1:, :, :], np.s_[::2, 1:2, 3:4], np.s_[0, 2:, :3], np.s_[1:2],
        np.s_[:, :1, :1],
    ],
)  # fmt: skip
def test_views_share_memory(context: EOContextManager, index: Any) -> None:
    pixels = cube(3)
    key = filled(context, pixels)
    subset = context.get_array(key)[index]
    view = context.create_memview(key, subset, {"transform": Affine(2, 0, 7, 0, -2, 9)})
    shown = context.get_array(view)
    np.testing.assert_array_equal(shown, subset if subset.ndim == 3 else subset[np.newaxis])
    assert context.profile(view).transform.to_gdal() == (7, 2, 0, 9, 0, -2)
    made = context.crop(view, Window(0, 0, 2**20, 2**20))
    np.testing.assert_array_equal(context.get_array(made), shown)
    if (len(shown), index) != (2, np.s_[::2, 1:2, 3:4]):
        assert np.shares_memory(shown, context.get_array(key))
    context.release(key)
    np.testing.assert_array_equal(context.get_array(view), shown)


def test_views_of_views(context: EOContextManager) -> None:
    key = filled(context)
    outer = context.create_memview(key, context.get_array(key)[1:, 1:5, 2:], {})
    inner = context.create_memview(outer, context.get_array(outer)[:, 1:3, 1:3], {})
    np.testing.assert_array_equal(context.get_array(inner), cube()[1:, 2:4, 3:5])


@pytest.mark.parametrize("index", [np.s_[:, ::2, :], np.s_[::-1], np.s_[:, :, ::-1]])
def test_other_arrays_are_copied(context: EOContextManager, index: Any) -> None:
    key = filled(context)
    part = context.get_array(key)[index]
    view = context.create_memview(key, part, context.get_profile(key))
    np.testing.assert_array_equal(context.get_array(view), part)
    foreign = context.create_memview("no such key", cube() * 2, {"nodata": 8})
    np.testing.assert_array_equal(context.get_array(foreign), cube() * 2)
    assert context.profile(foreign).nodata == 8


def test_what_is_written_into_an_array_counts(context: EOContextManager) -> None:
    [made] = context.filter(Stack(), filled(context, nodata=-1))
    context.publish(made)
    context.get_array(made)[:, :3] = -1
    assert numbers_of(context, made)["INVALID"] == 21
    band = gdal.Open(context.publish(made))
    assert float(band.GetRasterBand(1).GetMetadataItem("STATISTICS_MINIMUM")) == 21


def test_an_array_outlives_its_image(context: EOContextManager) -> None:
    key = filled(context)
    array = context.get_array(key)
    context.release(key)
    other = filled(context, cube() * 0 + 3)
    np.testing.assert_array_equal(array, cube())
    context.release(other)


def test_keys(context: EOContextManager) -> None:
    with pytest.raises(TypeError, match="text"):
        context.get_array(3)  # type: ignore[arg-type]
    key = filled(context)
    context.release(key)
    context.release(key)
    for use in (context.get_array, context.get_profile, context.publish):
        with pytest.raises(InputError, match="no image"):
            use(key)


# ---------------------------------------------------------------- work


def test_images_by_role(context: EOContextManager) -> None:
    key = filled(context)
    for images in (key, [key], {"INPUT": key}, {"INPUT": [key]}):
        context.check(ValidityMask(), images)
    for images, message in (
        ((), "needs 'Input image'"), ([key, key], "takes no image"),
        ({"MASK": key}, "takes no image"), ({"INPUT": [key, key]}, "takes one 'Input image'"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=message):
            context.check(ValidityMask(), images)


def test_grids_must_agree(context: EOContextManager) -> None:
    from eoscale_engine.filters.pixel.band_math import BandMath

    one, two = filled(context), filled(context, crs="EPSG:32632")
    with pytest.raises(GridError, match=r"'created image'.*EPSG:32631.*EPSG:32632.*ALIGN"):
        context.check(BandMath(expressions="im1b1 + im2b1"), [one, two])


@pytest.mark.parametrize("format", ["GTiff", "COG"])
def test_writing(context: EOContextManager, tmp_path: Path, format: str) -> None:  # noqa: A002
    key, target = filled(context), tmp_path / "out.tif"
    context.write(key=key, img_path=str(target), format=format)
    dataset = gdal.Open(str(target))
    np.testing.assert_array_equal(dataset.ReadAsArray(), cube())
    assert dataset.GetRasterBand(1).GetNoDataValue() == 5
    assert dataset.GetGeoTransform() == (500, 10, 0, 900, 0, -10)
    assert float(dataset.GetRasterBand(2).GetMetadataItem("STATISTICS_MAXIMUM")) == 83
    assert sorted(item.name for item in tmp_path.iterdir()) == ["images", "out.tif"]


def test_views_and_streamed_files_are_written_as_they_are_seen(
    context: EOContextManager, tmp_path: Path, path: str
) -> None:
    target = str(tmp_path / "part.tif")
    key = filled(context)
    view = context.create_memview(key, context.get_array(key)[1:, 1:3, 2:4], {})
    context.write(view, target)
    assert gdal.Open(target).ReadAsArray().tolist() == cube()[1, 1:3, 2:4].tolist()
    described = context.describe(path, [2])
    with pytest.raises(OutputError, match="input"):
        context.write(described, path)
    context.write(described, target)
    np.testing.assert_array_equal(gdal.Open(target).ReadAsArray(), cube()[1])


class Two(Procedure):
    """Filters twice and keeps one."""

    inputs = (image(),)
    outputs = (Output("OUTPUT"), Output("OTHER", optional=True))

    def __init__(self, fail: bool = False) -> None:
        self.fail = fail

    def run(self, images: Any, engine: Any) -> Any:
        [one] = engine.filter(Stack(), images["INPUT"])
        [two] = engine.filter(Stack(), one)
        if self.fail:
            raise InputError("no")
        return Result((two, None))


def test_a_procedure_leaves_its_results_only(context: EOContextManager, path: str) -> None:
    for key in (filled(context), context.describe(path)):
        before = set(context.images)
        made, nothing = context.run(Two(), key, extent=Window(1, 2, 3, 9)).images
        assert made
        assert nothing is None
        np.testing.assert_array_equal(context.get_array(made), cube()[:, 1:4, 2:])
        assert context.profile(made).transform * (0, 0) == (520, 890)
        assert set(context.images) - before == {made}
        context.release(made)
        with pytest.raises(InputError, match="^no"):
            context.run(Two(fail=True), key, extent=Window(1, 2, 3, 9))
        assert set(context.images) == before


def test_every_kind_gives_one_result(context: EOContextManager, path: str) -> None:
    key, extent = context.describe(path), Window(1, 2, 3, 4)
    made = context.run(Copy(), key, extent=extent)
    assert made.summary is None
    np.testing.assert_array_equal(context.get_array(str(made.images[0])), cube()[:, 1:4, 2:6])
    counting = PythonReduction(USER, function="extremes", merge_function="merge_extremes")
    found = context.run(counting, key, extent=extent)
    assert found == Result(summary=context.reduce(counting, key, extent=extent))
    assert isinstance(found.summary, Summary)
    with pytest.raises(InputError, match="call reduce"):
        context.run(BandMoments(), key)


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (Result(("a",)), "returned 1 image; it declares 2"),
        ([None, None], "returned list; run must return Result"),
    ],
)
def test_a_procedure_returns_a_result(
    given: Any, text: str, context: EOContextManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Two, "run", lambda *_: given)
    with pytest.raises(EngineError, match=f"^Two {text}"):
        context.run(Two(), filled(context))


def test_an_extent_must_meet_the_image(context: EOContextManager) -> None:
    with pytest.raises(InputError, match="does not meet"):
        context.filter(Stack(), filled(context), extent=Window(50, 0, 3, 3))


# ---------------------------------------------------------------- the end


class Fails(ImageFilter):
    """Fails on its second call."""

    label = "Fails"
    inputs = (image(),)

    def apply(self, blocks: Blocks) -> Pixels:
        if blocks.core.row:
            raise RuntimeError("on purpose")
        return blocks[0].pixels, None


def test_an_error_leaves_nothing_behind() -> None:
    before = folders()

    def leaves_by_an_error() -> None:
        with EOContextManager(2) as context:
            filled(context)
            assert folders() - before
            raise RuntimeError("out of the block")

    with pytest.raises(RuntimeError, match="out of the block"):
        leaves_by_an_error()
    assert folders() == before
    with EOContextManager(nb_workers=2, tile_pixels=7) as context:
        key = filled(context)
        with pytest.raises(TileError, match=r"Fails failed on .*on purpose"):
            context.filter(Fails(), key)
        assert list(context.images) == [key]
    assert folders() == before
    with EOContextManager(inline=True, tile_pixels=7) as context:
        key = filled(context)
        with pytest.raises(TileError):
            context.filter(Fails(), key)
        assert list(context.images) == [key]


def test_cancelling_leaves_nothing_behind() -> None:
    said: list[Any] = []
    with EOContextManager(inline=True, observer=Observer(cancelled=lambda: bool(said))) as context:
        key = filled(context)
        said.append(1)
        with pytest.raises(Cancelled):
            context.filter(Stack(), key)
        assert list(context.images) == [key]


def test_progress_grows_and_messages_tell_the_plan() -> None:
    percents: list[float] = []
    texts: list[str] = []
    observer = Observer(percents.append, lambda level, text: texts.append(text))
    with EOContextManager(inline=True, tile_pixels=7, observer=observer) as context:
        key = filled(context)
        for _ in range(3):
            [key] = context.filter(Gaussian(sigma=0.2), key)
        assert set(context.timings) == {"Gaussian blur"}
    assert percents == sorted(percents)
    assert 50 < percents[-1] <= 100
    assert "7 x 6 pixels in 12 tiles of up to 2 x 2, margin 1" in texts[0]
    assert "Gaussian blur: 0.0" in texts[1]


def test_without_the_with_statement() -> None:
    before = folders()
    context = EOContextManager(2, True)
    with pytest.raises(InputError, match="not started"):
        context.create_image(Profile(1, 1, "uint8"))
    context.start()
    assert context.nb_workers == 2
    assert context.tile_mode
    key = filled(context)
    context.start()
    with pytest.raises(InputError, match="no image"):
        context.get_array(key)
    context.end()
    context.end()
    assert folders() == before


def test_a_context_that_is_forgotten_leaves_nothing_behind() -> None:
    before = folders()
    context = EOContextManager(inline=True)
    context.start()
    filled(context)
    del context
    gc.collect()
    assert folders() == before


def test_a_script_that_never_ends_its_context_leaves_nothing_behind() -> None:
    before = folders()
    script = (
        "from eoscale_engine.context import EOContextManager\n"
        "context = EOContextManager(1)\n"
        "context.start()\n"
        "context.create_image({'width': 3, 'height': 2, 'count': 1, 'dtype': 'uint8'})\n"
        "raise SystemExit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False, timeout=60)
    assert done.returncode == 7
    assert folders() == before


def test_a_copy_of_a_masked_image_keeps_pixels_and_mask(tmp_path: Path) -> None:
    path = str(tmp_path / "masked.tif")
    made = gdal.GetDriverByName("GTiff").Create(path, 40, 30, 3, gdal.GDT_Byte)
    pixels = np.full((3, 30, 40), 255, np.uint8)
    made.WriteArray(pixels)
    made.CreateMaskBand(gdal.GMF_PER_DATASET)
    mask = np.full((30, 40), 255, np.uint8)
    mask[5:8, 7:9] = 0
    band = made.GetRasterBand(1)
    band.GetMaskBand().WriteArray(mask)
    del band, made
    with EOContextManager(inline=True) as context:
        key = context.open_raster(path)
        part = context.crop(key, Window(2, 3, 20, 30))
        assert (context.get_array(part) == 255).all()
        assert context.profile(part).nodata is None
        face = gdal.Open(context.publish(part))
        band = face.GetRasterBand(1)
        assert (band.GetMaskBand().ReadAsArray() == mask[2:22, 3:33]).all()


def test_statistics_stand_an_outlier() -> None:
    pixels = np.random.default_rng(1).random((600, 600), np.float32)
    pixels[0, 0] = -32768
    with EOContextManager(inline=True) as context:
        key = context.create_image(Profile(600, 600, "float32"))
        context.get_array(key)[:] = pixels
        face = gdal.Open(context.publish(key))
        band = face.GetRasterBand(1)
        deviation = float(band.GetMetadataItem("STATISTICS_STDDEV"))
        mean = float(band.GetMetadataItem("STATISTICS_MEAN"))
    assert deviation == pytest.approx(pixels.std(dtype=np.float64), rel=1e-5)
    assert mean == pytest.approx(pixels.mean(dtype=np.float64), rel=1e-5)


def test_an_assigned_crs_holds_for_alignment(tmp_path: Path) -> None:
    def written(name: str, size: int, cell: float, epsg: int) -> str:
        path = str(tmp_path / name)
        made = gdal.GetDriverByName("GTiff").Create(path, size, size, 1, gdal.GDT_Float32)
        made.SetGeoTransform((500000, cell, 0, 4600000, 0, -cell))
        if epsg:
            made.SetProjection(crs_of(epsg).wkt)
        made.WriteArray(np.arange(size * size, dtype=np.float32).reshape(size, size))
        return path

    fine, coarse = written("fine.tif", 8, 10, 32631), written("coarse.tif", 4, 20, 0)
    with EOContextManager(inline=True) as context:
        first, other = context.describe(fine), context.describe(coarse)
        with pytest.raises(InputError, match="no CRS"):
            context.align(other, first, "nearest")
        context.assign_crs(other, crs_of(32631))
        other = context.align(other, first, "nearest")
        context.load(other)
        wanted = np.arange(16).reshape(4, 4).repeat(2, axis=0).repeat(2, axis=1)
        assert (context.get_array(other)[0] == wanted).all()


def crs_of(epsg: int) -> CRS:
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(epsg)
    return CRS(reference.ExportToWkt())


class Threads:
    """An executor of one's own: each task in a thread, the last one first."""

    workers = 3
    apart = False

    def __init__(self) -> None:
        self.forgotten: list[str] = []
        self.closed = False

    def run(self, job: Any, tasks: Any, done: Any, cancelled: Any) -> None:
        def work(number: int) -> tuple[int, Any]:
            return number, job.run(tasks[number], WorkerState())

        with ThreadPoolExecutor(self.workers) as pool:
            for number, result in pool.map(work, reversed(range(len(tasks)))):
                done(number, result)

    def forget(self, raw_files: Any) -> None:
        self.forgotten += raw_files

    def close(self) -> None:
        self.closed = True


def test_an_executor_of_ones_own_forgets_what_went(path: str) -> None:
    threads = Threads()
    with EOContextManager(executor=threads) as context:
        loaded = context.images.entries[context.open_raster(path)].source.images[0]
        context.release(context.filter(ValidityMask(), context.open_raster(path))[0])
        assert not threads.forgotten
    assert loaded.raw in threads.forgotten
    assert len(threads.forgotten) == 2


def test_an_executor_of_ones_own_gives_the_same_result() -> None:
    threads = Threads()
    results = []
    for options in ({"inline": True}, {"executor": threads, "tile_pixels": 50}):
        with EOContextManager(**options) as context:
            key = filled(context, cube(2, 30, 40))
            [made] = context.filter(FocalStatistics("standard deviation", radius=2), key)
            numbers = context.run(RasterStatistics(), made).summary.numbers
            results.append((context.get_array(made).tobytes(), numbers))
    assert results[0] == results[1]
    assert not threads.closed
    assert threads.forgotten
    with pytest.raises(InputError, match="give it alone"):
        EOContextManager(2, executor=threads)
