"""Stacks: pixels and what describes the bands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eoscale_engine.context import EOContextManager
from eoscale_engine.filters.pixel.stack import Stack
from eoscale_engine.profile import Band, Profile
from tests.engine.neighbourhoods import profile_of


def stacked(*images: tuple[np.ndarray, tuple[Band, ...]]) -> tuple[np.ndarray, Profile]:
    with EOContextManager(inline=True) as context:
        keys = []
        for pixels, bands in images:
            keys.append(context.create_image(profile_of(pixels, bands)))
            context.get_array(keys[-1])[:] = pixels
        (made,) = context.filter(Stack(), keys)
        return context.get_array(made).copy(), context.profile(made)


def test_pixels_and_validity_of_each_band() -> None:
    one = np.array([[[1, 2, 255]], [[0, 255, 4]]], np.uint8)
    two = np.array([[[-1.5, np.nan, 3]]], np.float32)
    three = np.array([[[1000, -1000, 7]]], np.int16)
    pixels, profile = stacked(
        (one, (Band(nodata=255), Band(nodata=0))), (two, (Band(),)), (three, (Band(nodata=7),))
    )
    assert profile.dtype == "float32"
    assert [band.nodata for band in profile.bands][:2] == [255, 0]
    assert np.isnan(profile.bands[2].nodata)
    assert profile.bands[3].nodata == 7
    expected = np.concatenate([one, two, three]).astype(np.float32)
    np.testing.assert_array_equal(pixels, expected)


def test_a_valid_pixel_keeps_its_value_beside_other_nodata() -> None:
    one, two = np.array([[[0, 255]]], np.uint8), np.array([[[0, 255]]], np.uint8)
    pixels, profile = stacked((one, (Band(nodata=0),)), (two, (Band(nodata=255),)))
    assert pixels.tolist() == [[[0, 255]], [[0, 255]]]
    assert [band.nodata for band in profile.bands] == [0, 255]
    # one without any nodata beside one with some
    pixels, profile = stacked((one + 7, (Band(),)), (two, (Band(nodata=0),)))
    assert pixels.tolist() == [[[7, 6]], [[0, 255]]]
    assert [band.nodata for band in profile.bands] == [None, 0]


@pytest.mark.parametrize(
    ("dtypes", "common"),
    [
        (("uint8", "uint8"), "uint8"), (("uint8", "int16"), "int16"), (("uint8", "int8"), "int16"),
        (("uint16", "int16"), "int32"), (("uint16", "float32"), "float32"),
        (("uint32", "float32"), "float64"), (("int64", "uint64"), "float64"),
        (("float32", "complex64"), "complex64"), (("uint8",), "uint8"),
        (("uint8", "int16", "float64"), "float64"),
    ],
)  # fmt: skip
def test_common_type_holds_the_values_of_all(dtypes: tuple[str, ...], common: str) -> None:
    images: list[Any] = []
    for dtype in dtypes:
        kind = np.dtype(dtype)
        limits = [0, 1] if kind.kind in "fc" else [np.iinfo(kind).min, np.iinfo(kind).max]
        images.append((np.array(limits, kind).reshape(1, 1, 2), (Band(),)))
    pixels, profile = stacked(*images)
    assert profile.dtype == pixels.dtype.name == common
    for band, (source, _) in zip(pixels, images):
        assert band.astype(complex).tolist() == source[0].astype(complex).tolist()


def names(*images: tuple[str, ...]) -> list[str]:
    profiles = [Profile(2, 2, "uint8", tuple(Band(name=name) for name in each)) for each in images]
    return [band.name for band in Stack().output_profiles(profiles)[0].bands]


def test_names_stay_and_are_told_apart() -> None:
    assert names(("red", "nir"), ("ndvi",)) == ["red", "nir", "ndvi"]
    assert names(("red", "nir"), ("red",)) == ["im1 red", "nir", "im2 red"]
    assert names(("", "a"), ("", "")) == ["im1b1", "a", "im2b1", "im2b2"]


def test_bands_keep_scale_unit_and_colours() -> None:
    palette = Band(color="Palette", color_table=((1, 2, 3, 255),), name="classes")
    scaled = Band(scale=0.1, offset=-5, unit="K", name="t", nodata=3)
    one, two = Profile(2, 2, "uint8", (palette,)), Profile(2, 2, "uint8", (scaled,))
    (output,) = Stack().output_profiles([one, two])
    assert output.bands == (palette, scaled)
    (output,) = Stack().output_profiles([one, two.with_dtype("int16")])
    assert output.bands == (palette, scaled)
