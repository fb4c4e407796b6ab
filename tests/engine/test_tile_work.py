"""What the engine does around a declaration: validity, casting, nodata, statistics."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from osgeo import gdal

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Blocks, ImageFilter, image
from eoscale_engine.errors import EngineError, InputError, TileError
from eoscale_engine.images.moments import Moments, moments_of
from eoscale_engine.memory.images import Mappings
from eoscale_engine.profile import Band, Profile
from eoscale_engine.tile_work.block_writing import cast
from eoscale_engine.tiling import Window


@pytest.fixture
def context() -> Iterator[EOContextManager]:
    with EOContextManager(inline=True, tile_pixels=60, block_bytes=200) as made:
        yield made


class Calls(ImageFilter):
    """A filter made of a function of the first block."""

    label = "Test filter"
    dtype_kinds = "iufc"
    inputs = (image(),)

    def __init__(self, function: Callable[..., Any], **profile: Any) -> None:
        self.function, self.changes = function, profile

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        made = inputs[0]
        if "dtype" in self.changes:
            made = made.with_dtype(self.changes["dtype"])
        return [made.with_nodata(self.changes["nodata"])] if "nodata" in self.changes else [made]

    def apply(self, blocks: Blocks) -> Any:
        return self.function(blocks[0])


def made_from(
    context: EOContextManager, pixels: Any, nodata: Any = None, dtype: str = "float32"
) -> str:
    cube = np.asarray(pixels, dtype)
    cube = cube.reshape((1,) * (3 - cube.ndim) + cube.shape)
    values = nodata if isinstance(nodata, tuple) else (nodata,) * len(cube)
    bands = tuple(Band(nodata=value) for value in values)
    key = context.create_image(Profile(cube.shape[2], cube.shape[1], dtype, bands))
    context.get_array(key)[:] = cube
    return key


def result(context: EOContextManager, key: str, declaration: ImageFilter) -> tuple[Any, Any]:
    [made] = context.filter(declaration, key)
    return context.get_array(made)[:].copy(), context.profile(made)


# ---------------------------------------------------------------- casting


@pytest.mark.parametrize(
    ("values", "dtype", "expected"),
    [
        ([0.5, 1.5, 2.5, -0.5, 254.5, 255.5, -3, 1e9], "uint8", [0, 2, 2, 0, 254, 255, 0, 255]),
        ([-1e9, 1e9, -32768.4], "int16", [-32768, 32767, -32768]),
        ([2147483646.6, 5e9, -5e9], "int32", [2147483647, 2147483647, -2147483648]),
        ([1e30, -1e30, 3.0], "int64", [2**63 - 1024, -(2**63), 3]),
        ([1e30, -1e30, 3.0], "uint64", [2**64 - 2048, 0, 3]),
        ([np.inf, -np.inf], "uint8", [255, 0]),
    ],
)
def test_floats_become_integers(values: Any, dtype: str, expected: Any) -> None:
    got = cast(np.array(values, "float64"), np.dtype(dtype))
    assert got.dtype == dtype
    assert got.tolist() == expected


@pytest.mark.parametrize("source", ["int64", "uint64", "int32", "uint8", "int8"])
@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int64", "uint64"])
def test_integers_are_clipped(source: str, dtype: str) -> None:
    low, high = np.iinfo(source).min, np.iinfo(source).max
    values = [low, low + 1, 0, 1, 100, high - 1, high]
    wanted = [min(max(v, np.iinfo(dtype).min), np.iinfo(dtype).max) for v in values]
    assert cast(np.array(values, source), np.dtype(dtype)).tolist() == wanted


def test_float32_keeps_its_digits_in_32_bit_integers() -> None:
    assert cast(np.float32([16777216, 3e9]), np.dtype("int32")).tolist() == [16777216, 2147483647]


# ---------------------------------------------------------------- which pixels are valid


def seen(context: EOContextManager, key: str) -> Optional[np.ndarray]:
    """What a filter is told of validity."""
    found: list[Any] = []

    def look(block: Any) -> Any:
        found.append(block.valid)
        return block.pixels, block.valid

    context.filter(Calls(look), key)
    return found[0] if len(found) == 1 else found


def test_several_nodata_values_and_nan(context: EOContextManager) -> None:
    key = made_from(context, [[[1, 2, np.nan]], [[1, 2, 3]], [[1, 2, 3]]], (1, 2, None))
    assert seen(context, key).tolist() == [
        [[False, True, False]], [[True, False, True]], [[True, True, True]]
    ]  # fmt: skip


@pytest.mark.parametrize("nodata", [np.inf, np.nan, 300, -1, 1.5])
def test_nodata_that_no_pixel_can_equal(context: EOContextManager, nodata: float) -> None:
    assert seen(context, made_from(context, [[0, 1, 255]], nodata, "uint8")) is None


def test_all_valid_is_told_as_none(context: EOContextManager) -> None:
    assert seen(context, made_from(context, [[0, 1, 2]], -1)) is None


def test_complex_pixels(context: EOContextManager) -> None:
    pixels = [[1 + 1j, complex(np.nan, 1), -9, 3]]
    key = made_from(context, pixels, -9, "complex64")
    assert seen(context, key).tolist() == [[[True, False, False, True]]]

    def conjugate(block: Any) -> Any:
        return np.where(block.valid, block.pixels.conj(), -9), np.array(
            [[[True, True, True, True]]]
        )

    out, profile = result(context, key, Calls(conjugate))
    assert np.isnan(profile.nodata)
    assert out[0, 0].tolist() == [1 - 1j, -9, -9, 3]
    key = made_from(context, [[1 + 1j]], None, "complex64")
    with pytest.raises(EngineError, match="complex64 where float32"):
        context.filter(Calls(lambda block: (block.pixels, None), dtype="float32"), key)


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("kind", ["alpha", "mask"])
def test_alpha_and_mask_bands(
    context: EOContextManager, tmp_path: Path, kind: str, in_memory: bool
) -> None:
    path = str(tmp_path / "image.tif")
    count = 3 if kind == "alpha" else 2
    dataset = gdal.GetDriverByName("GTiff").Create(path, 3, 2, count, gdal.GDT_Byte)
    for band in range(1, 3):
        dataset.GetRasterBand(band).WriteArray(np.full((2, 3), 7 * band, np.uint8))
    opaque = np.array([[255, 0, 1], [0, 255, 255]], np.uint8)
    if kind == "alpha":
        dataset.GetRasterBand(3).SetColorInterpretation(gdal.GCI_AlphaBand)
        dataset.GetRasterBand(3).WriteArray(opaque)
    else:
        dataset.CreateMaskBand(gdal.GMF_PER_DATASET)
        dataset.GetRasterBand(1).GetMaskBand().WriteArray(opaque)
    dataset = None
    key = context.open_raster(path) if in_memory else context.describe(path)
    [made] = context.filter(Calls(lambda block: (block.pixels, block.valid)), key)
    assert context.profile(made).count == 2
    assert context.profile(made).nodata is None
    assert (context.get_array(made)[1] == np.where(opaque, 14, 0)).all()
    assert (planes(context, made) == np.where(opaque, 255, 0)).all()


# ---------------------------------------------------------------- nodata in results


class Spares(Calls):
    """Whose results never equal the nodata value."""

    spares_nodata = True


def planes(context: EOContextManager, key: str) -> Any:
    """Where masks say that an image is valid, by band or for all; None without masks."""
    return Mappings().planes(context.images.entries[key].source.images[0])


def test_invalid_results_become_the_nodata_value_that_is_spared(context: EOContextManager) -> None:
    key = made_from(context, [[1, 2, 3, np.nan]], -9)
    spares = Spares(lambda block: (block.pixels * 2, block.pixels != 2))
    assert result(context, key, spares)[0].tolist() == [[[2, -9, 6, -9]]]
    whole = Spares(lambda block: (block.pixels * 2, None), dtype="uint8", nodata=99)
    assert result(context, key, whole)[0].tolist() == [[[2, 4, 6, 99]]]


def test_floats_have_nan_where_another_nodata_value_could_be_a_result(
    context: EOContextManager,
) -> None:
    key = made_from(context, [[1, -9, 3]], None)
    named = Calls(lambda block: (block.pixels, block.pixels != 3), nodata=-9)
    out, profile = result(context, key, named)
    assert out[0, 0, :2].tolist() == [1, -9]
    assert np.isnan(out[0, 0, 2])
    assert np.isnan(profile.nodata)


@pytest.mark.parametrize("foreseen", [True, False])
def test_bytes_of_all_values_get_a_mask(context: EOContextManager, foreseen: bool) -> None:
    class Foreseen(Calls):
        makes_invalid = foreseen

    pixels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    key = made_from(context, pixels, None, "uint8")
    [made] = context.filter(Foreseen(lambda block: (block.pixels, None)), key)
    assert (context.get_array(made) == pixels).all()
    assert (context.profile(made).nodata, planes(context, made)) == (None, None)
    holes = Foreseen(lambda block: (block.pixels, block.pixels != 3), nodata=255)
    [made] = context.filter(holes, key)
    assert (context.get_array(made) == np.where(pixels == 3, 0, pixels)).all()
    assert context.profile(made).nodata is None
    assert (planes(context, made) == np.where(pixels == 3, 0, 255)).all()
    assert not seen(context, made)[0][0, 0, 3]


def test_bands_that_are_valid_elsewhere_have_masks_of_their_own(context: EOContextManager) -> None:
    key = made_from(context, np.arange(6).reshape(2, 1, 3), None, "uint8")
    for keeps, expected in (
        ([[[1, 0, 1]]], [[[255, 0, 255]]]),
        ([[[1, 0, 1]], [[0, 1, 1]]], [[[255, 0, 255]], [[0, 255, 255]]]),
    ):
        valid = np.array(keeps, bool)
        filtering = Calls(lambda block, valid=valid: (block.pixels, valid))
        [made] = context.filter(filtering, key)
        assert planes(context, made).tolist() == expected
        image = context.images.entries[made].source.images[0]
        assert os.stat(image.raw).st_size == image.file_bytes
        face = gdal.Open(context.publish(made))
        for band in range(2):
            mask = face.GetRasterBand(band + 1).GetMaskBand().ReadAsArray()
            assert mask.tolist() == expected[band if len(expected) > 1 else 0]


def test_values_of_the_inputs_keep_the_nodata_value_of_their_bands(
    context: EOContextManager,
) -> None:
    class Takes(Calls):
        def taken_from(self, inputs: Sequence[Profile]) -> Any:
            return [[(0, band)] for band in range(inputs[0].count)]

    as_it_is = Takes(lambda block: (block.pixels, block.valid))
    key = made_from(context, [[[1, 2, 0]], [[0, 1, 2]]], (0, None), "uint8")
    out, profile = result(context, key, as_it_is)
    assert [band.nodata for band in profile.bands] == [0, None]
    assert out.tolist() == [[[1, 2, 0]], [[0, 1, 2]]]
    [made] = context.filter(as_it_is, key)
    assert planes(context, made) is None


def test_a_function_that_marks_nodata_itself_is_left_alone(context: EOContextManager) -> None:
    class Marks(Calls):
        marks_nodata = True

    key = made_from(context, [[1, -9, np.nan]], -9)
    [made] = context.filter(Marks(lambda block: (block.pixels, None)), key)
    assert context.get_array(made).tolist() == [[[1, -9, -9]]]
    assert context.images.entries[made].statistics[0].valid == 1
    bools = Marks(lambda block: (block.pixels == 1, None), dtype="uint8", nodata=1)
    assert result(context, key, bools)[0].tolist() == [[[1, 0, 0]]]


@pytest.mark.parametrize("nodata", [-9999, np.nan, np.inf, 300.5])
def test_nodata_that_does_not_fit_is_none(context: EOContextManager, nodata: float) -> None:
    key = made_from(context, [[1, 2]])
    holes = Spares(lambda block: (block.pixels, block.pixels != 2), dtype="uint8", nodata=nodata)
    out, profile = result(context, key, holes)
    assert profile.nodata is None
    assert out.tolist() == [[[1, 0]]]


@pytest.mark.parametrize(
    "profile",
    [Profile(3, 2, "uint8"), Profile(2, 3, "uint8", (Band(), Band()))],
)
def test_outputs_have_the_size_of_their_inputs(context: EOContextManager, profile: Any) -> None:
    class Other(Calls):
        def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
            return [profile]

    with pytest.raises(InputError, match="of its input"):
        context.filter(Other(None), made_from(context, [[1, 2]]))


# ---------------------------------------------------------------- wrong returns


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda b: (b.pixels[:, :1], None), "returned shape"),
        (lambda b: (b.pixels.tolist(), None), "returned list"),
        (lambda b: (b.pixels.astype("U4"), None), "pixels of type <U4"),
        (lambda b: [(b.pixels, None)] * 2, "returned 2 image"),
        (lambda b: (b.pixels, b.pixels), "validity of type float32"),
        (lambda b: (b.pixels, np.ones((7, 7, 7), bool)), r"shape \(7, 7, 7\)"),
    ],
)
def test_wrong_returns(context: EOContextManager, returned: Any, message: str) -> None:
    key = made_from(context, [[1, 2], [3, 4]])
    with pytest.raises(EngineError, match=message):
        context.filter(Calls(returned), key)
    assert list(context.images) == [key]


def test_an_error_names_tile_and_line(context: EOContextManager) -> None:
    def fails(block: Any) -> Any:
        return np.zeros(3) + np.zeros(block.core.row + 4)

    line = fails.__code__.co_firstlineno + 1
    key = made_from(context, [[1, 2], [3, 4]])
    where = "rows 0 to 1, columns 0 to 1"
    with pytest.raises(
        TileError, match=rf"Test filter failed on .*{where}.*test_tile_work.py, line {line}"
    ):
        context.filter(Calls(fails), key)


def test_what_a_filter_gets_is_read_only(context: EOContextManager, tmp_path: Path) -> None:
    def writes(block: Any) -> Any:
        assert not block.pixels.flags.writeable
        return block.pixels, None

    writing = Calls(writes)
    writing.border = "nearest"  # type: ignore[misc]
    key = made_from(context, [[1, 2], [3, 4]])
    context.filter(writing, key)
    context.write(key, str(tmp_path / "a.tif"))
    context.filter(writing, context.describe(str(tmp_path / "a.tif")))


# ---------------------------------------------------------------- statistics and bands


def test_statistics_leave_infinite_pixels_out() -> None:
    values = np.array([1, 2, 6, np.inf, -np.inf], "float32")
    values = np.append(values, np.float32([77, -5]))
    found = moments_of(values, np.arange(7) < 5).statistics()
    assert (found.valid, found.invalid, found.minimum, found.maximum) == (5, 2, 1, 6)
    assert found.mean == pytest.approx(3)
    assert found.deviation == pytest.approx(np.std([1, 2, 6]))
    assert moments_of(values, np.zeros(7, bool)).statistics().mean is None
    assert moments_of(np.array([np.inf])).statistics().mean is None


def test_statistics_of_parts_are_those_of_the_whole() -> None:
    random = np.random.default_rng(1)
    for dtype in ("float32", "float64", "uint16", "int64"):
        values = (random.normal(size=5000) * 10 + 2000).astype(dtype)
        total = Moments()
        for part in np.split(values, [1, 1, 700, 4000]):
            total.merge(moments_of(part))
        found = total.statistics()
        assert found.mean == pytest.approx(values.astype(float).mean(), rel=1e-7)
        assert found.deviation == pytest.approx(values.astype(float).std(), rel=1e-5)


def test_bands_in_any_order_and_windows_of_them(context: EOContextManager, tmp_path: Path) -> None:
    cube = np.arange(4 * 6 * 7, dtype=np.float32).reshape(4, 6, 7)
    context.write(made_from(context, cube), str(tmp_path / "bands.tif"))
    for bands in ((1, 3), (4, 2, 1), (2, 3), (3,)):
        for open_it in (context.open_raster, context.describe):
            key = open_it(str(tmp_path / "bands.tif"), bands)
            chosen = cube[[band - 1 for band in bands]]
            [made] = context.filter(
                Calls(lambda block: (block.pixels, block.valid)), key, extent=Window(1, 2, 4, 3)
            )
            np.testing.assert_array_equal(context.get_array(made), chosen[:, 1:5, 2:5])
