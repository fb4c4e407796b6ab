"""A filter on sources as a source: chains without the image in between, bit for bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from osgeo import gdal

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Blocks, ImageFilter, Output
from eoscale_engine.errors import EngineError
from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
from eoscale_engine.profile import DTYPES, Profile
from tests.engine.test_exactness import (
    FILTERS,
    REDUCTIONS,
    Picture,
    counts,
    keys_of,
    picture,
    picture_of,
    supported,
    values_in,
)

pytestmark = pytest.mark.filterwarnings("ignore::eoscale_engine.errors.InputWarning")

OF_ONE_IMAGE = [
    case.values[0]
    for case in FILTERS
    if list(counts(case.values[0]).values()) in ([1], [2]) and case.values[0].name
]
FOLDED = [case.values[0] for case in REDUCTIONS if len(counts(case.values[0])) == 1]


@pytest.fixture(scope="module")
def context() -> Iterator[EOContextManager]:
    with EOContextManager(inline=True, tile_pixels=300, block_bytes=4000) as made:
        yield made


def inputs_of(declaration: Any, key: str) -> list[str]:
    return [key] * sum(counts(declaration).values())


def with_mask(path: Path, image: Picture, kind: str) -> str:
    """A file whose mask, or alpha band, hides some pixels beside those of nodata."""
    count, rows, cols = image.pixels.shape
    dtype = gdal.GDT_Byte if image.profile.dtype == "uint8" else gdal.GDT_Float32
    options = ["TILED=YES", "BLOCKXSIZE=16", "BLOCKYSIZE=16"]
    bands = count + (kind == "alpha")
    file = gdal.GetDriverByName("GTiff").Create(str(path), cols, rows, bands, dtype, options)
    file.SetGeoTransform(image.profile.transform.to_gdal())
    for number, pixels in enumerate(image.pixels, 1):
        file.GetRasterBand(number).WriteArray(pixels)
    shown = np.random.default_rng(5).choice(np.uint8([0, 255]), (rows, cols), p=(0.1, 0.9))
    if kind == "alpha":
        file.GetRasterBand(bands).SetColorInterpretation(gdal.GCI_AlphaBand)
        file.GetRasterBand(bands).WriteArray(shown)
    elif kind == "mask":
        file.CreateMaskBand(gdal.GMF_PER_DATASET)
        band = file.GetRasterBand(1)
        band.GetMaskBand().WriteArray(shown)
    return str(path)


def drawn_image(context: EOContextManager, data: Any, folder: Path) -> str:
    """In memory with nodata by band, or a file with a mask, alpha or neither."""
    kind = data.draw(st.sampled_from(("memory", "mask", "alpha", "plain")))
    dtype = data.draw(st.sampled_from(DTYPES if kind == "memory" else ("uint8", "float32")))
    size = data.draw(st.integers(1, 45)), data.draw(st.integers(1, 60))
    seed, holes = data.draw(st.integers(0, 10**6)), data.draw(st.sampled_from((0.0, 0.02, 0.3)))
    image = picture(dtype, *size, seed=seed, holes=holes)
    if kind == "memory":
        return keys_of(context, [image])[0]
    return context.describe(with_mask(folder / f"{seed}.tif", image, kind))


by_chance = settings(
    max_examples=150, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow,
                           HealthCheck.filter_too_much],
)  # fmt: skip


@by_chance
@given(data=st.data())
def test_two_filters_give_what_they_give_one_after_the_other(
    context: EOContextManager, data: Any, tmp_path: Path
) -> None:
    first, second = (data.draw(st.sampled_from(OF_ONE_IMAGE)) for _ in range(2))
    key = drawn_image(context, data, tmp_path)
    assume(context.profile(key).dtype in supported(first))
    try:
        step = context.filter(first, inputs_of(first, key))[0]
        wanted = [picture_of(context, k) for k in context.filter(second, inputs_of(second, step))]
    except EngineError:  # the second does not take what the first makes
        assume(False)
    lazy = context.filtered(first, inputs_of(first, key))[0]
    got = [picture_of(context, k) for k in context.filter(second, inputs_of(second, lazy))]
    both = context.filtered(second, inputs_of(second, lazy))
    context.release(lazy)
    for one, found, computed in zip(wanted, got, (picture_of(context, k) for k in both)):
        for other in (found, computed):
            assert other.pixels.tobytes() == one.pixels.tobytes()
            np.testing.assert_array_equal(other.valid, one.valid)
    context.end()
    context.start()


@by_chance
@given(data=st.data())
def test_a_reduction_of_a_filter_needs_no_image(
    context: EOContextManager, data: Any, tmp_path: Path
) -> None:
    first, second = data.draw(st.sampled_from(OF_ONE_IMAGE)), data.draw(st.sampled_from(FOLDED))
    key = drawn_image(context, data, tmp_path)
    assume(context.profile(key).dtype in supported(first))
    try:
        step = context.filter(first, inputs_of(first, key))[0]
        wanted = context.reduce(second, inputs_of(second, step))
    except EngineError:
        assume(False)
    lazy = context.filtered(first, inputs_of(first, key))[0]
    got = context.reduce(second, inputs_of(second, lazy))
    assert list(map(repr, values_in(got))) == list(map(repr, values_in(wanted)))
    context.end()
    context.start()


class Counting(ImageFilter):
    """As it is; counts how often each pixel is computed."""

    label = "Counting"
    outputs = (Output(),)

    def __init__(self, margin: int = 0) -> None:
        self._margin, self.times = margin, Counter[Any]()

    @property
    def margin(self) -> int:
        return self._margin

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        return [inputs[0].with_dtype("float32")]

    def apply(self, blocks: Blocks) -> Any:
        self.times["pixels"] += blocks.core.rows * blocks.core.cols
        margin = self._margin
        inner = slice(margin, -margin or None)
        return blocks[0].pixels[:, inner, inner], None


@pytest.mark.parametrize("tile_mode", [True, False, None])
@pytest.mark.parametrize(("margin", "second"), [(0, 1), (3, 2), (9, 5), (2, 12)])
def test_hardly_a_pixel_is_computed_twice(
    margin: int, second: int, tile_mode: Any, tmp_path: Path
) -> None:
    image = picture("float32", 700, 900)
    path = with_mask(tmp_path / "a.tif", image, "plain")
    with EOContextManager(inline=True, tile_pixels=1000, tile_mode=tile_mode) as context:
        for key in (keys_of(context, [image])[0], context.describe(path)):
            one, two = Counting(margin), Counting(second)
            below = context.filtered(one, key)[0]
            middle = context.filtered(two, below)[0]
            context.filter(FocalStatistics(radius=2), middle)
            context.reduce(FOLDED[0], [middle])
            for counted in (one, two):
                assert 2 * 700 * 900 <= counted.times["pixels"] <= 2 * 1.1 * 700 * 900


def test_what_is_computed_as_it_is_read_keeps_its_inputs(tmp_path: Path) -> None:
    image = picture("uint8", 40, 50)
    path = with_mask(tmp_path / "a.tif", image, "mask")
    with EOContextManager(nb_workers=2) as context:
        [memory] = keys_of(context, [image])
        lazy = context.filtered(FocalStatistics(), memory)[0]
        context.release(memory)
        wanted = context.filter(FocalStatistics(), keys_of(context, [image])[0])[0]
        assert context.publish(lazy).endswith(".vrt")
        np.testing.assert_array_equal(context.get_array(lazy), context.get_array(wanted))
        for key in list(context.images):
            context.release(key)
        file = context.filtered(FocalStatistics(), context.describe(path))[0]
        with pytest.raises(EngineError, match="is one of the inputs"):
            context.write(file, path)
        context.write(file, str(tmp_path / "b.tif"))
        context.release(file)
        assert not context._runs.store._holds


def test_a_filter_that_cannot_travel_is_not_computed_while_reading() -> None:
    class Here(Counting):
        pass

    with EOContextManager(nb_workers=1) as context:
        [key] = keys_of(context, [picture("uint8", 5, 6)])
        with pytest.raises(EngineError, match="cannot be sent to workers"):
            context.filtered(Here(), key)
