"""Reclassify against a direct loop over pixels and rows, and its types and nodata values."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any, Optional

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError
from eoscale_engine.filters.pixel.reclassify import Reclassify
from eoscale_engine.filters.pixel.value_classes import ENDS
from eoscale_engine.profile import Band, Profile
from eoscale_engine.styles import Classes
from tests.engine.neighbourhoods import REAL_DTYPES, profile_of, random_image, run

INF = math.inf


def exact(value: Any) -> Any:
    """A number that Python compares exactly, and infinity."""
    value = value.item() if isinstance(value, np.generic) else value
    return value if math.isinf(value) else Fraction(value)


def matches(x: Any, start: Any, end: Any, ends: str) -> bool:
    if end is None or start == end:
        return x == start
    from_start = x >= start if "from <=" in ends or start == -INF else x > start
    to_end = x <= end if "<= to" in ends or end == INF else x < end
    return from_start and to_end


def reference(
    declaration: Reclassify, pixels: np.ndarray, band: Optional[Band] = None
) -> list[Any]:
    """The new value of each pixel, None for nodata: as the docstring has it."""
    band = band or Band()
    scaled = not declaration.raw and (band.scale, band.offset) != (1, 0)
    found = []
    for pixel in pixels.ravel():
        kind: Any = type(pixel) if pixels.dtype.kind == "f" else exact
        value = pixel
        if scaled:
            kind = np.float32 if pixels.dtype.itemsize <= 2 or kind is np.float32 else np.float64
            value = kind(pixel)
            if math.isfinite(pixel):
                factor, addend = Fraction(repr(band.scale)), Fraction(repr(band.offset))
                value = kind(float(exact(pixel) * factor + addend))
        x = exact(value)
        for start, end, new in declaration.table:
            low = exact(kind(start))
            if matches(x, low, None if end is None else exact(kind(end)), declaration.ends):
                found.append(new)
                break
        else:
            other = {"nodata": None, "keep": value, "value": declaration.unmatched_value}
            found.append(other[declaration.unmatched])
    return found


def check(
    declaration: Reclassify,
    pixels: np.ndarray,
    valid: np.ndarray,
    band: Optional[Band] = None,
) -> None:
    result, where = run(declaration, pixels, valid, bands=() if band is None else (band,))
    wanted = reference(declaration, pixels, band)
    good = [value is not None and ok for value, ok in zip(wanted, valid.ravel().tolist())]
    assert where.ravel().tolist() == good
    for value, want, ok in zip(result.ravel(), wanted, good):
        if ok:
            assert value == result.dtype.type(want)


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("unmatched", ["nodata", "keep", "value"])
def test_values_of_every_dtype(dtype: str, ends: str, unmatched: str) -> None:
    pixels, valid = random_image(dtype, (1, 9, 20), seed=4, holes=0.1)
    pixels[~valid] = 0
    pixels[0, 0, :8] = [0, 1, 2, 3, 4, 5, 90, 100]
    table = ((2, 4, 7), (3, 100, 8), (-INF, 0, None), (100, 1e4, -3), (5.5, None, 1), (1, None, 9))
    check(Reclassify(table, ends, unmatched, 2.5), pixels, valid)


NUMBERS = st.sampled_from((-INF, -3, -0.5, 0, 0.1, 0.5, 1, 2, 2.5, 7, 127, 255, 256, 3e9, INF))
ROWS = st.tuples(NUMBERS, st.none() | NUMBERS, st.none() | st.sampled_from((0, 1, 2, 250)))


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    rows=st.lists(ROWS, min_size=1, max_size=6),
    ends=st.sampled_from(ENDS),
    dtype=st.sampled_from(REAL_DTYPES),
    band=st.sampled_from((None, Band(scale=0.1), Band(scale=-0.5, offset=2))),
    unmatched=st.sampled_from(("nodata", "value", "keep")),
    physical=st.booleans(),
)
def test_any_table(
    rows: Any, ends: str, dtype: str, band: Any, unmatched: str, physical: bool
) -> None:
    table = [(a, b, v) if b is None or a <= b else (b, a, v) for a, b, v in rows]
    values = np.array([-5, -0.5, 0, 0.1, 0.5, 1, 2, 2.5, 3, 7, 20, 127, 254, 255, 256, 3e9])
    if np.dtype(dtype).kind == "f":
        pixels = np.append(values, [-INF, INF]).astype(dtype)
    else:
        limits = np.iinfo(dtype)
        pixels = np.array([int(v) for v in values if limits.min <= v <= limits.max], dtype)
    pixels = pixels.reshape(1, 1, -1)
    declaration = Reclassify(tuple(table), ends, unmatched, 3, raw=not physical)
    check(declaration, pixels, np.ones(pixels.shape, bool), band)


def row(declaration: Reclassify, pixels: Any, dtype: str, **band: Any) -> list[Any]:
    array = np.asarray(pixels, dtype).reshape(1, 1, -1)
    result, where = run(declaration, array, bands=(Band(**band),))
    pairs = zip(result.ravel().tolist(), where.ravel().tolist())
    return [value if good else None for value, good in pairs]


def test_the_first_row_that_matches_counts() -> None:
    table = ((0, 10, 1), (5, 20, 2), (7, None, 3))
    assert row(Reclassify(table), [4, 7, 10, 20], "uint8") == [1, 1, 2, None]
    assert row(Reclassify(table[::-1]), [4, 7, 10, 20], "uint8") == [1, 3, 2, None]


def test_rounded_numbers_are_what_they_look_like() -> None:
    single = Reclassify(((0.1, None, 1), (0.3, 0.5, 2)))
    assert row(single, [0.1, 0.3, 0.5], "float32") == [1, 2, None]
    # 3000 * 0.0001 is 0.30000000000000004 in float64
    assert row(single, [1000, 3000, 5000], "uint16", scale=0.0001) == [1, 2, None]


def test_infinite_pixels_match_ends_without_a_limit_only() -> None:
    open_ends = Reclassify(((-INF, 0, 1), (0, 5, 2), (5, INF, 3)), "from < x < to")
    assert row(open_ends, [-INF, -1, 1, 6, INF], "float32") == [1, 1, 2, 3, 3]
    assert row(Reclassify(((0, 1e30, 1),)), [INF], "float64") == [None]


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32"])
@pytest.mark.parametrize("count", [254, 255, 256, 257, 600])
def test_many_classes(dtype: str, count: int) -> None:
    # the last class has no end: what lies beyond all edges is told from what lies below them
    edges = np.append(np.arange(count) * 3.0 - 700, INF)
    table = tuple((a, b, number) for number, (a, b) in enumerate(zip(edges, edges[1:]), 1))
    pixels = np.random.default_rng(1).integers(-900, 1200, (1, 40, 50)).astype(dtype)
    result, where = run(Reclassify(table), pixels)
    inside = pixels >= edges[0]
    np.testing.assert_array_equal(where, inside)
    np.testing.assert_array_equal(result[inside], np.digitize(pixels[inside], edges))


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        ((0, 255), "uint8"), ((-1, 255), "int16"), ((256,), "int16"), ((40000,), "uint16"),
        ((-1, 40000), "int32"), ((2**31,), "uint32"), ((0.5, 7), "float32"), ((2**40,), "float32"),
        ((2**40 + 1,), "float64"), ((0.5, 2**24 + 1), "float64"), ((0.1, 1e300), "float64"),
        ((INF, 1), "float32"),
    ],
)  # fmt: skip
def test_automatic_data_type(values: tuple[float, ...], dtype: str) -> None:
    table = tuple((number, None, value) for number, value in enumerate(values))
    (output,) = Reclassify(table).output_profiles([Profile(3, 2, "uint8")])
    assert output.dtype == dtype


@pytest.mark.parametrize(
    ("values", "dtype", "kept"),
    [((1,), "uint8", "uint8"), ((-1,), "uint8", "int16"), ((0.5,), "int32", "float64"),
     ((300,), "float32", "float32")],
)  # fmt: skip
def test_automatic_data_type_holds_kept_pixels(values: Any, dtype: str, kept: str) -> None:
    declaration = Reclassify(tuple((0, None, value) for value in values), unmatched="keep")
    (output,) = declaration.output_profiles([Profile(3, 2, dtype)])
    assert output.dtype == kept


@pytest.mark.parametrize(
    ("values", "own", "dtype", "chosen"),
    [
        ((1, 2), 0, "uint8", 0),  # the image's own is free
        ((0, 1), 0, "uint8", 255),
        ((0, 255), 0, "uint8", 254),
        ((0, 255, 254), None, "uint8", 253),
        ((-(2**15), 0), None, "uint8", 2**15 - 1),
        ((1, 2), -9999, "float32", 255),  # uint8 cannot hold its own
        ((0.5, -9999), -9999, "float32", None),
        ((0.5,), -9999, "float32", -9999),
        ((0.5,), 2**63 - 1, "int64", None),
    ],
)
def test_nodata_is_no_result(values: Any, own: Any, dtype: str, chosen: Any) -> None:
    table = tuple((number, None, value) for number, value in enumerate(values, 5))
    (output,) = Reclassify(table).output_profiles([Profile(3, 2, dtype, (Band(nodata=own),))])
    assert output.nodata == chosen


def in_engine(declaration: Reclassify, pixels: Any, dtype: str, **band: Any) -> tuple[Any, Profile]:
    array = np.asarray(pixels, dtype).reshape(1, 1, -1)
    with EOContextManager(inline=True) as context:
        key = context.create_image(profile_of(array, (Band(**band),)))
        context.get_array(key)[:] = array
        (made,) = context.filter(declaration, key)
        return context.get_array(made).ravel().tolist(), context.profile(made)


def test_a_class_is_never_moved_aside_for_nodata() -> None:
    found, profile = in_engine(
        Reclassify(((1, None, 255), (2, None, 0))), [0, 1, 2, 3], "uint8", nodata=0
    )
    assert found == [254, 255, 0, 254]
    assert profile.nodata == 254


def test_kept_pixels_are_rounded_to_the_chosen_type() -> None:
    keep = Reclassify(((0, 1, 7),), unmatched="keep", dtype="int16")
    found, profile = in_engine(keep, [0.5, 1.5, 2.5, -3.2, 1e9], "float32")
    assert found == [7, 2, 2, -3, 32767]
    assert profile.dtype == "int16"


def test_scale_and_offset() -> None:
    band = Band(scale=0.5, offset=-10, unit="K", name="t")
    pixels = np.array([[[10, 20, 30]]], "int16")
    physical = Reclassify(((0, 5, 100),), unmatched="keep")
    assert row(physical, pixels, "int16", scale=0.5, offset=-10) == [-5, 100, 5]
    (output,) = physical.output_profiles([profile_of(pixels, (band,))])
    assert (output.dtype, output.bands[0]) == ("float32", Band(unit="K", name="t"))
    raw = Reclassify(((0, 25, 100),), unmatched="keep", raw=True)
    assert row(raw, pixels, "int16", scale=0.5, offset=-10) == [100, 100, 30]
    (output,) = raw.output_profiles([profile_of(pixels, (band,))])
    assert (output.dtype, output.bands[0]) == ("int16", band)
    classes = Reclassify(((0, 25, 100),), raw=True)
    (output,) = classes.output_profiles([profile_of(pixels, (band,))])
    assert output.bands[0] == Band(name="t", nodata=255)
    # a float32 image is scaled too
    assert row(physical, pixels, "float32", scale=0.5, offset=-10) == [-5, 100, 5]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32"])
def test_each_band_has_its_own_scale(dtype: str) -> None:
    pixels = np.full((3, 1, 1), 10, dtype)
    bands = (Band(), Band(scale=0.1), Band(scale=0.1, offset=20))
    result, where = run(
        Reclassify(((10, None, 7), (1, None, 8), (21, None, 9))), pixels, bands=bands
    )
    assert where.all()
    assert result.ravel().tolist() == [7, 8, 9]


def test_old_colours_go_and_classes_are_drawn() -> None:
    table = tuple((index, 0, 0, 255) for index in range(256))
    band = Band(color="Palette", color_table=table, categories=("a", "b"))
    declaration = Reclassify(((0, None, 1),))
    (output,) = declaration.output_profiles([Profile(3, 2, "uint8", (band,))])
    assert output.bands == (Band(nodata=255),)
    assert declaration.styles() == [Classes()]
    assert not Reclassify(((0, None, 1),), unmatched="keep").styles()


@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("uint8", 0), ("int16", -9999), ("int32", -9999), ("float32", -9999.0),
     ("float32", float(np.finfo("f4").min)), ("float64", math.nan)],
)  # fmt: skip
@pytest.mark.parametrize("unmatched", ["nodata", "keep", "value"])
def test_a_row_for_the_nodata_value_gives_it_a_class(
    dtype: str, nodata: float, unmatched: str
) -> None:
    pixels = np.array([[5, nodata, 7, 9]], dtype)
    # as people write it: of float32's least value some digits
    row = float(f"{nodata:.9g}"), None, 3
    table = (row, (7, 8, 1), (-INF, INF, 2))

    def made(*rows: Any, band: Band) -> list[Any]:
        with EOContextManager(inline=True) as context:
            key = context.create_image(Profile(4, 1, dtype, (band,)))
            context.get_array(key)[:] = pixels
            declared = Reclassify(rows, ends="from <= x <= to", unmatched=unmatched)
            (result,) = context.filter(declared, [key])
            nothing = context.profile(result).nodata
            return [
                None if v == nothing or v != v else v
                for v in context.get_array(result).ravel().tolist()
            ]

    assert made(*table, band=Band(nodata=nodata)) == [2, 3, 1, 2]
    # a row without a value comes first, and ranges take no nodata
    assert made((row[0], None, None), *table, band=Band(nodata=nodata)) == [2, None, 1, 2]
    assert made(*table[1:], band=Band(nodata=nodata)) == [2, None, 1, 2]
    assert made((row[0], row[0], 3), *table[1:], band=Band(nodata=nodata)) == [2, 3, 1, 2]


def test_a_row_for_nodata_is_of_stored_pixels_and_leaves_masked_ones() -> None:
    pixels = np.array([[[0, 5, 0, 5]]], "uint8")
    valid = np.array([[[False, True, True, False]]])
    declared = Reclassify(((0, None, 4), (0.5, None, 1)))
    found, where = run(declared, pixels, valid, bands=(Band(nodata=0, scale=0.1),))
    assert (found * where).ravel().tolist() == [4, 1, 4, 0]
    # a value that is no nodata value of the image
    found, where = run(declared, pixels, valid, bands=(Band(nodata=9, scale=0.1),))
    assert where.ravel().tolist() == [False, True, True, False]


def test_nan_in_a_table() -> None:
    table = ((math.nan, None, 1), (math.nan, math.nan, 2), (3, None, 5))
    whole = np.array([[[3, 4]]], "int32")
    found, where = run(Reclassify(table), whole)
    assert (found * where).ravel().tolist() == [5, 0]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"table": ()}, "empty"),
        ({"table": ((None, 3, 1),)}, "no 'from'"),
        ({"table": ((4, 3, 1),)}, "Swap"),
        ({"table": ((1, 2, 300),), "dtype": "uint8"}, "cannot hold 300"),
        ({"table": ((1, 2, 3),), "dtype": "int16", "unmatched": "value", "unmatched_value": 0.5},
         "cannot hold 0.5"),
        ({"table": ((1, 2),)}, "Classes"),
        ({"table": ((1, math.nan, 1),)}, "holds nothing"),
        ({"table": ((1, 2, math.nan),)}, "row 1 has the value nan"),
        ({"table": ((1, 2, 3),), "ends": "both"}, "Ends"),
    ],
)  # fmt: skip
def test_wrong_parameters(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Reclassify(**wrong)


def test_a_table_as_processing_and_commands_give_it() -> None:
    flat: Any = ["-inf", "5", "1", 5, "", "", "6", "inf", "2"]
    assert Reclassify(flat).table == ((-INF, 5, 1), (5, None, None), (6, INF, 2))
    typed: Any = "0 10 1; 10 inf 2"
    assert Reclassify(typed).table == ((0, 10, 1), (10, INF, 2))
