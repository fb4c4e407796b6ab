"""Masks against direct loops and the published values of quality bands; validity masks."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Optional

import numpy as np
import pytest

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Block, Blocks
from eoscale_engine.errors import InputError
from eoscale_engine.filters.pixel.mask import Mask, ValidityMask
from eoscale_engine.filters.pixel.mask_presets import PRESETS
from eoscale_engine.profile import Band, Profile
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import REAL_DTYPES, profile_of, random_image


def removed(
    declaration: Mask,
    mask: Any,
    dtype: str = "uint16",
    known: Any = None,
    bands: tuple[Band, ...] = (),
) -> list[bool]:
    """Which pixels of a wholly valid image of two bands are removed, in the order of the mask."""
    pixels = np.asarray(mask, dtype)
    pixels = pixels.reshape((1,) * (3 - pixels.ndim) + pixels.shape)
    valid = None if known is None else np.asarray(known, bool).reshape(pixels.shape)
    core = Window(0, 0, *pixels.shape[1:])
    source = np.arange(2 * core.rows * core.cols, dtype=np.int16).reshape(2, core.rows, core.cols)
    pixels.flags.writeable = source.flags.writeable = False
    image = Block(source, None, profile_of(source), core)
    other = Block(pixels, valid, profile_of(pixels, bands), core)
    declaration.check({"INPUT": [image.profile], "MASK": [other.profile]})
    (profile,) = declaration.output_profiles([image.profile, other.profile])
    assert profile == image.profile
    found, where = declaration.apply(Blocks(core, {"INPUT": [image], "MASK": [other]}))
    assert found.tobytes() == source.tobytes()
    where = np.broadcast_to(True if where is None else where, source.shape)
    assert (where[0] == where[1]).all()
    return (~where[0]).ravel().tolist()


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_rules_of_every_dtype(dtype: str) -> None:
    pixels = random_image(dtype, (1, 6, 11), seed=3)[0]
    pixels[0, 0] = [0, 1, 2, 3, 4, 5, 7, 20, 100, 100, 0]
    if np.dtype(dtype).kind == "f":
        pixels[0, 1, :4] = [2.5, 0.1, math.inf, -math.inf]
    values = [value.item() for value in pixels.ravel()]

    def check(wanted: Any, **parameters: Any) -> None:
        want = [wanted(value) for value in values]
        assert removed(Mask(**parameters), pixels, dtype) == want
        kept = Mask(selected="keep", **parameters)
        assert removed(kept, pixels, dtype) == [not item for item in want]

    check(lambda value: value != 0)
    check(lambda v: v in (2.5, 3, 100, 2.0**40), rule="values", values=(2.5, 3, 100, 2.0**40))
    check(lambda v: 2.5 <= v <= 4.5, rule="range", minimum=2.5, maximum=4.5)
    check(lambda v: v >= 3, rule="range", minimum=3)
    check(lambda v: v <= -0.5, rule="range", maximum=-0.5)
    check(lambda v: v >= 1e30, rule="range", minimum=1e30)
    check(lambda v: v <= 1e30, rule="range", maximum=1e30)
    check(lambda v: v >= -1e30, rule="range", minimum=-1e30)
    check(lambda v: v <= -1e30, rule="range", maximum=-1e30)
    whole = [math.isfinite(v) and v == int(v) and 0 <= v < 2**53 for v in values]
    if np.dtype(dtype).kind != "f":
        whole = [True] * len(values)
    for selected in ("remove", "keep"):
        for where_invalid in ("remove", "keep"):
            bits = Mask(rule="bits", bits=(0, 5), selected=selected, where_invalid=where_invalid)
            want = [
                (bool(int(v) & 33) == (selected == "remove")) if good else where_invalid == "remove"
                for v, good in zip(values, whole)
            ]
            assert removed(bits, pixels, dtype) == want


def test_numbers_are_compared_in_the_type_of_the_mask() -> None:
    tenths = np.array([0.1, 0.2, 0.3], "float32")
    single = Mask(rule="values", values=(0.1, 0.3))
    assert removed(single, tenths, "float32") == [True, False, True]
    between = Mask(rule="range", minimum=0.1, maximum=0.2)
    assert removed(between, tenths, "float32") == [True, True, False]


def test_values_and_bounds_are_physical_and_bits_are_not() -> None:
    scaled = (Band(scale=0.0001, offset=0.0),)
    raw = [1000, 3000, 5000]
    assert removed(Mask(rule="values", values=(0.3,)), raw, bands=scaled) == [False, True, False]
    assert removed(Mask(rule="range", maximum=0.3), raw, bands=scaled) == [True, True, False]
    moved = (Band(scale=1.0, offset=-1000.0),)
    assert removed(Mask(), raw, bands=moved) == [True] * 3
    assert removed(Mask(rule="bits", bits=(3,)), raw, bands=moved) == [True, True, True]
    assert removed(Mask(rule="range", maximum=0), raw, bands=moved) == [True, False, False]


@pytest.mark.parametrize("nodata", [0, -9999, math.nan])
def test_the_nodata_value_of_the_mask_is_a_value(nodata: float) -> None:
    pixels, known = [1, nodata, 7, 8], [True, False, True, False]

    def gone(*values: float, **options: Any) -> list[bool]:
        rule = Mask(rule="values", values=values, **options)
        return removed(rule, pixels, "float32", known, bands=(Band(nodata=nodata),))

    assert gone(nodata, 7) == [False, True, True, True]
    assert gone(nodata, 7, selected="keep") == [True, False, False, True]
    assert gone(7, selected="keep", where_invalid="keep") == [True, False, False, False]
    assert gone(nodata, where_invalid="keep") == [False, True, False, False]


LANDSAT = {
    1: "fill", 21824: "", 21826: "dilated cloud", 21888: "water", 21890: "water, dilated cloud",
    22080: "possible cloud", 22144: "possible cloud, water", 22280: "possible cloud, cloud",
    23888: "cloud shadow", 23952: "cloud shadow, water",
    24344: "possible cloud, cloud, cloud shadow", 30048: "snow", 54596: "cirrus, possible cirrus",
    54852: "cirrus, possible cirrus, possible cloud",
    55052: "cirrus, possible cirrus, possible cloud, cloud",
}  # fmt: skip
"""Values of QA_PIXEL with what the Landsat 8-9 Collection 2 guide says that they mean."""


@pytest.mark.parametrize("condition", list(PRESETS["Landsat QA_PIXEL"].conditions))
def test_landsat_values_as_published(condition: str) -> None:
    mask = Mask(rule="Landsat QA_PIXEL", conditions=condition)
    found = removed(mask, list(LANDSAT))
    for value, got in zip(LANDSAT, found):
        assert got == (condition in LANDSAT[value].split(", ")), value


def test_landsat_by_default() -> None:
    clear = [21824, 21888, 22080, 22144, 30048]
    found = removed(Mask(rule="Landsat QA_PIXEL"), list(LANDSAT))
    assert [value for value, got in zip(LANDSAT, found) if not got] == clear


def test_sentinel_2_classes() -> None:
    classes = list(range(12))
    default = removed(Mask(rule="Sentinel-2 SCL"), classes, "uint8")
    assert [value for value in classes if default[value]] == [0, 1, 3, 8, 9, 10]
    for value, condition in enumerate(PRESETS["Sentinel-2 SCL"].conditions):
        found = removed(Mask(rule="Sentinel-2 SCL", conditions=condition), classes, "uint8")
        assert [number for number in classes if found[number]] == [value]


def test_modis_state() -> None:
    """Bits as the user's guide has them, read from right to left."""
    states = {
        "0000000000001000": "",
        "0000000000001001": "cloud",
        "0000000000001010": "mixed cloud",
        "0000000000001011": "",
        "0000000000001100": "cloud shadow",
        "0000000011001000": "high aerosol",
        "0000000010001000": "",
        "0000000100001000": "small cirrus",
        "0000001000001000": "cirrus",
        "0000001100001000": "cirrus",
        "0000010000001000": "internal cloud",
        "0000100000001000": "internal fire",
        "0001000000001000": "snow",
        "0010000000001000": "adjacent to cloud",
        "1000000000001000": "internal snow",
    }
    pixels = [int(text, 2) for text in states]
    default = ("cloud", "mixed cloud", "cloud shadow", "cirrus", "internal cloud")
    found = removed(Mask(rule="MODIS state QA"), pixels)
    assert found == [meaning in default for meaning in states.values()]
    for condition in PRESETS["MODIS state QA"].conditions:
        found = removed(Mask(rule="MODIS state QA", conditions=condition), pixels)
        assert found == [meaning == condition for meaning in states.values()]
    signed = np.array(pixels, "uint16").view("int16")
    assert removed(Mask(rule="MODIS state QA", conditions="internal snow"), signed, "int16")[-1]


def test_conditions_as_they_are_typed() -> None:
    mask = Mask(rule="Landsat QA_PIXEL", conditions=" Snow ,cloud   SHADOW, ")
    assert removed(mask, [30048, 23888, 22280]) == [True, True, False]


@pytest.mark.parametrize("where_invalid", ["remove", "keep"])
@pytest.mark.parametrize("selected", ["remove", "keep"])
def test_where_the_mask_is_invalid(where_invalid: str, selected: str) -> None:
    mask = Mask(selected=selected, where_invalid=where_invalid)
    found = removed(mask, [0, 1, 0, 1], known=[True, True, False, False])
    unknown = where_invalid == "remove"
    assert found == [selected == "keep", selected == "remove", unknown, unknown]


def test_the_band_of_the_mask() -> None:
    pixels = np.array([[[0, 1, 0]], [[1, 0, 0]]])
    known = np.array([[[True, True, True]], [[True, True, False]]])
    assert removed(Mask(), pixels, known=known) == [False, True, False]
    assert removed(Mask(band=2), pixels, known=known) == [True, False, True]


def test_pixels_that_were_invalid_stay_so_in_their_band() -> None:
    core = Window(0, 0, 1, 3)
    source = np.zeros((2, 1, 3), np.uint8)
    valid = np.array([[[True, False, True]], [[True, True, True]]])
    image = Block(source, valid, profile_of(source), core)
    mask = Block(np.array([[[0, 0, 1]]]), None, Profile(3, 1, "int64"), core)
    _, where = Mask().apply(Blocks(core, {"INPUT": [image], "MASK": [mask]}))
    assert where.tolist() == [[[True, False, False]], [[True, True, False]]]
    assert valid.all(axis=(1, 2)).tolist() == [False, True]
    nothing = replace(mask, pixels=np.zeros((1, 1, 3)))
    assert Mask().apply(Blocks(core, {"INPUT": [mask], "MASK": [nothing]}))[1] is None


def in_engine(declaration: Any, *images: tuple[np.ndarray, Optional[float]]) -> Any:
    with EOContextManager(inline=True) as context:
        keys = []
        for pixels, nodata in images:
            bands = (Band(nodata=nodata),) * len(pixels)
            keys.append(context.create_image(profile_of(pixels, bands)))
            context.get_array(keys[-1])[:] = pixels
        (made,) = context.filter(declaration, keys)
        return context.get_array(made).copy(), context.profile(made)


def test_masked_pixels_become_nodata() -> None:
    image = np.array([[[5, 6, 7, 65535]]], np.uint16)
    mask = np.array([[[0, 1, 9, 0]]], np.uint8)
    pixels, profile = in_engine(Mask(), (image, None), (mask, 9))
    # any value may be a valid one: a mask says which are
    assert (pixels.tolist(), profile.nodata) == ([[[5, 0, 0, 65535]]], None)
    pixels, profile = in_engine(Mask(), (image, None), (mask * 0, None))
    assert (pixels.tolist(), profile.nodata) == (image.tolist(), None)
    pixels, profile = in_engine(Mask(where_invalid="keep"), (image, 0), (mask, 9))
    assert (pixels.tolist(), profile.nodata) == ([[[5, 0, 7, 65535]]], 0)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"rule": "values"}, "at least one value"),
        ({"rule": "range"}, "minimum or a maximum"),
        ({"rule": "range", "minimum": 2, "maximum": 1}, "Swap"),
        ({"rule": "bits"}, "at least one bit"),
        ({"rule": "bits", "bits": (1.5,)}, "whole numbers"),
        ({"rule": "bits", "bits": (-1,)}, "whole numbers"),
        ({"rule": "bits", "bits": (64,)}, "whole numbers"),
        ({"rule": "Landsat QA_PIXEL", "conditions": "clouds"}, "no condition 'clouds'. Use .*snow"),
        ({"rule": "MODIS state QA", "conditions": "fill"}, "no condition 'fill'"),
    ],
)
def test_wrong_parameters(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Mask(**wrong)


def test_a_mask_without_the_bits_is_refused() -> None:
    with pytest.raises(InputError, match="uint8 pixels have bits 0 to 7, .* reads bit 8"):
        removed(Mask(rule="bits", bits=(8,)), [0], "uint8")
    with pytest.raises(InputError, match="reads bit 15"):
        removed(Mask(rule="MODIS state QA", conditions="internal snow"), [0], "uint8")
    with pytest.raises(InputError, match="bits 0 to 52"):
        removed(Mask(rule="bits", bits=(53,)), [0], "float64")
    with pytest.raises(InputError, match="band 2"):
        removed(Mask(band=2), [0])
    assert removed(Mask(rule="bits", bits=(63,)), [2**63, 1], "uint64") == [True, False]
    assert removed(Mask(rule="bits", bits=(52,)), [2**52, 1], "float64") == [True, False]


# ---------------------------------------------------------------- validity masks


def test_validity_of_bands() -> None:
    pixels = np.array([[[1.0, np.nan, -9, 4]], [[1.0, 2, np.nan, -9]]], np.float32)
    pixels = np.concatenate([pixels, np.full((1, 1, 4), 8, np.float32)])
    pixels[2, 0, 1] = -9
    made, profile = in_engine(ValidityMask(), (pixels, -9))
    assert made.tolist() == [[[1, 0, 0, 1]], [[1, 1, 0, 0]], [[1, 0, 1, 1]]]
    assert profile.dtype == "uint8"
    assert [band.name for band in profile.bands] == [f"band {n} valid" for n in (1, 2, 3)]
    made, _ = in_engine(ValidityMask("all"), (pixels, -9))
    assert made.tolist() == [[[1, 0, 0, 0]]]
    made, _ = in_engine(ValidityMask("any"), (pixels, -9))
    assert made.tolist() == [[[1, 1, 1, 1]]]
    made, _ = in_engine(ValidityMask("any"), (pixels[:2], -9))
    assert made.tolist() == [[[1, 1, 0, 1]]]


@pytest.mark.parametrize("nodata", [0, 1, 255])
def test_ones_and_zeros_are_never_moved_aside(nodata: int) -> None:
    pixels = np.array([[[0, 1, 255, 7]]], np.uint8)
    made, profile = in_engine(ValidityMask(), (pixels, nodata))
    assert made.tolist() == [[[int(value != nodata) for value in (0, 1, 255, 7)]]]
    assert profile.nodata not in (0, 1)
    made, profile = in_engine(ValidityMask(), (pixels, None))
    assert made.tolist() == [[[1, 1, 1, 1]]]
    assert profile.nodata is None


def test_wrong_bands() -> None:
    with pytest.raises(InputError, match="each, all, any"):
        ValidityMask("some")
