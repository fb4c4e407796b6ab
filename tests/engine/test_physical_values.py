"""The physical value of an integer is the double nearest the decimal pixel * scale + offset."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from eoscale_engine.declaration import Block, Blocks, ImageFilter
from eoscale_engine.filters.physical_values import decimal, physical_values, scaled, terms
from eoscale_engine.filters.pixel.band_math import BandMath
from eoscale_engine.filters.pixel.difference import Difference
from eoscale_engine.filters.pixel.mask import Mask
from eoscale_engine.filters.pixel.reclassify import Reclassify
from eoscale_engine.filters.pixel.thresholds import ThresholdClasses
from eoscale_engine.procedures.histogram import Histogram
from eoscale_engine.procedures.otsu import OtsuThreshold
from eoscale_engine.procedures.percentiles import Percentiles
from eoscale_engine.procedures.statistics import RasterStatistics
from eoscale_engine.procedures.unique_values import UniqueValues
from eoscale_engine.profile import Band
from eoscale_engine.reductions.histogram import even_edges
from eoscale_engine.tiling import Window
from tests.engine.array_engine import ArrayEngine
from tests.engine.neighbourhoods import profile_of
from tests.engine.procedure_runs import image, run

SCALES = [
    (1e-4, 0.0),  # Sentinel-2 until 2021, MODIS
    (1e-4, -0.1),  # Sentinel-2 since 2022
    (0.0000275, -0.2),  # Landsat Collection 2, reflectance
    (0.00341802, 149.0),  # Landsat Collection 2, temperature
    (0.02, -273.15),  # MODIS temperature in degrees Celsius
    (0.1, 0.0),
    (-0.01, 20.5),
    (0.5, 0.25),
    (3.0, -7.0),
]
"""Decimals that products have."""

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


def decimals(pixels: np.ndarray, scale: float, offset: float) -> list[float]:
    """By Python's own decimals, rounded once to a double."""
    factor, addend = Decimal(repr(scale)), Decimal(repr(offset))
    return [float(pixel * factor + addend) for pixel in pixels.tolist()]


@pytest.mark.parametrize(("scale", "offset"), SCALES)
@pytest.mark.parametrize("dtype", ["uint16", "int16"])
def test_every_integer_of_16_bits_gets_the_nearest_double(
    dtype: str, scale: float, offset: float
) -> None:
    pixels = np.arange(65536).astype(dtype)
    wanted = np.array(decimals(pixels, scale, offset))
    band = Band(scale=scale, offset=offset)
    assert np.array_equal(physical_values(pixels, band, DOUBLE), wanted)
    assert np.array_equal(physical_values(pixels, band, SINGLE), wanted.astype(np.float32))
    # the same of a number, of integers of other types, and of floats that hold integers
    assert [scaled(pixel, band) for pixel in pixels[::97].tolist()] == wanted[::97].tolist()
    for other in ("int32", "int64", "float32", "float64"):
        values = physical_values(pixels.astype(other), band, DOUBLE)
        assert np.array_equal(values, wanted)


@pytest.mark.parametrize("seed", range(20))
def test_random_decimals(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scale = float(f"{rng.integers(1, 10**6)}e-{rng.integers(0, 9)}")
    offset = float(f"{rng.integers(-(10**6), 10**6)}e-{rng.integers(0, 7)}")
    for dtype in ("uint8", "int16", "uint32", "int32"):
        limits = np.iinfo(dtype)
        pixels = rng.integers(limits.min, limits.max, 2000, dtype, endpoint=True)
        got = physical_values(pixels, Band(scale=scale, offset=offset), DOUBLE)
        wanted = np.array(decimals(pixels, scale, offset))
        if dtype in ("uint8", "int16"):
            assert np.array_equal(got, wanted)
        np.testing.assert_allclose(got, wanted, rtol=4e-16, atol=4e-16 * abs(offset))


@pytest.mark.parametrize("scale", [1 / 3, 0.1 + 2**-54, 1e-30, 7e40, float(np.float32(1e-4))])
def test_scales_of_many_digits_multiply(scale: float) -> None:
    pixels = np.arange(65536, dtype="uint16")
    got = physical_values(pixels, Band(scale=scale, offset=0.5), DOUBLE)
    assert np.array_equal(got, pixels * scale + 0.5)
    assert terms(scale, 0.5).divisor == 1


def test_what_is_no_number_stays_so() -> None:
    pixels = np.array([np.nan, np.inf, -np.inf, -0.0], np.float32)
    got = physical_values(pixels, Band(scale=1e-4, offset=-0.1), SINGLE)
    np.testing.assert_array_equal(got, np.float32([np.nan, np.inf, -np.inf, -0.1]))
    zero = scaled(np.zeros(1), Band(scale=-0.5))
    assert not np.signbit(zero).any()
    assert np.isnan(physical_values(pixels, Band(scale=np.nan), DOUBLE)).all()


# ---------------------------------------------------------------- as people write them


REFLECTANCE = Band(scale=1e-4)


def filtered(operation: ImageFilter, *rows: Any, dtype: str) -> tuple[np.ndarray, Any]:
    """What a filter makes of reflectances of one row each, and where it is valid."""
    core, roles = Window(0, 0, 1, len(rows[0])), [item.role for item in operation.inputs]
    images = [np.array([[pixels]], dtype) for pixels in rows]
    blocks = [Block(p, None, profile_of(p, (REFLECTANCE,)), core) for p in images]
    return operation.apply(Blocks(core, dict(zip(roles, ([block] for block in blocks)))))


def row(operation: ImageFilter, *rows: Any, dtype: str = "int16") -> list[Any]:
    """The pixels of the one row that a filter makes."""
    made, valid = filtered(operation, *rows, dtype=dtype)
    assert valid is None or valid.all()
    return made.ravel().tolist()


@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("result", ["float32", "float64"])
def test_band_math_compares(dtype: str, result: str) -> None:
    def math(expression: str) -> list[float]:
        operation = BandMath(expressions=expression, dtype=result)
        return row(operation, [1999, 2000, 2001], dtype=dtype)

    assert math("im1b1 >= 0.2") == [0, 1, 1]
    assert math("im1b1 == 0.2") == [0, 1, 0]
    assert math("im1b1 <= 0.2") == [1, 1, 0]


def test_every_number_equals_its_own_text() -> None:
    pixels = np.arange(0, 65536, 257, dtype="uint16")
    for number, pixel in enumerate(pixels.tolist()):
        text = str(Decimal(pixel) / 10000)
        equal = row(BandMath(expressions=f"im1b1 == {text}"), pixels, dtype="uint16")
        assert np.flatnonzero(equal).tolist() == [number]


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
def test_reclassify_mask_and_thresholds_compare(dtype: str) -> None:
    pixels = [2999, 3000, 3001]
    table = Reclassify(table=((0.3, 0.3001, 1),), unmatched="value")
    assert row(table, pixels, dtype=dtype) == [0, 1, 0]
    single = Reclassify(table=((0.3, None, 1),), unmatched="value")
    assert row(single, pixels, dtype=dtype) == [0, 1, 0]
    assert row(ThresholdClasses(((0.3,),)), pixels, dtype=dtype) == [1, 1, 2]
    _, valid = filtered(Mask(rule="values", values=(0.3,)), pixels, pixels, dtype=dtype)
    assert valid.ravel().tolist() == [True, False, True]


def test_differences_are_of_the_nearest_doubles() -> None:
    assert row(Difference(), [3000, 20000], [0, 0], dtype="int32") == [0.3, 2.0]


# ---------------------------------------------------------------- tables


def test_bins_of_a_width_hold_as_many_numbers() -> None:
    pixels = np.arange(1, 5001, dtype="int16").reshape(1, 50, 100)
    summary = ArrayEngine(pixels, bands=(REFLECTANCE,)).run(
        Histogram(binning="width", width=0.1, lower=0, upper=0.6)
    )
    table = summary.tables[0]
    assert [line[5] for line in table.rows] == [999, 1000, 1000, 1000, 1000, 1]
    assert [line[3] for line in table.rows] == [0, 0.1, 0.2, 0.3, 0.4, 0.5]


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32"])
def test_automatic_bounds_of_bins_of_a_width(dtype: str) -> None:
    pixels = np.arange(1000, 3000, dtype=dtype).reshape(1, 40, 50)
    engine = ArrayEngine(pixels, bands=(REFLECTANCE,))
    rows = engine.run(Histogram(binning="width", width=0.1)).tables[0].rows
    assert [line[3:6] for line in rows] == [(0.1, 0.2, 1000), (0.2, 0.3, 1000)]


def test_even_edges_are_the_decimals_between_two_bounds() -> None:
    assert even_edges(0, 1, 10).tolist() == [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1]
    assert even_edges(-0.2, 0.4, 6).tolist() == [-0.2, -0.1, 0, 0.1, 0.2, 0.3, 0.4]
    rng = np.random.default_rng(0)
    for _ in range(300):
        lower, upper = sorted(np.round(rng.uniform(-1, 1, 2) * 10.0 ** rng.integers(-3, 6), 3))
        bins = int(rng.integers(1, 500))
        if lower < upper:
            step = (decimal(upper) - decimal(lower)) / bins
            wanted = [float(decimal(lower) + place * step) for place in range(bins + 1)]
            assert even_edges(lower, upper, bins).tolist() == wanted
    # numbers of too many digits
    lower, upper = 1 / 3, np.pi
    assert np.array_equal(even_edges(lower, upper, 7), np.linspace(lower, upper, 8))


def test_tables_have_the_shortest_text() -> None:
    pixels = np.array([[[3, 3, 6, 7]]], "uint8")
    engine = ArrayEngine(pixels, bands=(Band(scale=0.1),))
    unique = engine.run(UniqueValues())
    assert [line[1] for line in unique.tables[0].rows] == [0.3, 0.6, 0.7]
    statistics = engine.run(RasterStatistics())
    assert {
        "MINIMUM": 0.3,
        "MAXIMUM": 0.7,
        "SUM": 1.9,
        "MEDIAN": 0.45,
    }.items() <= statistics.numbers.items()
    percentiles = engine.run(Percentiles(percentiles=(0, 50, 100)))
    assert [value for value in percentiles.tables[0].rows[0] if isinstance(value, float)][-3:] == [
        0.3,
        0.45,
        0.7,
    ]


def test_otsu_thresholds_are_decimals() -> None:
    pixels = np.array([[[2, 3, 3, 2, 9, 8, 9]]], "uint8")
    made = run(OtsuThreshold(), image(pixels, bands=(Band(scale=0.1),)))
    assert made.summary.numbers["THRESHOLD"] == 0.3


def test_sums_are_exact() -> None:
    rng = np.random.default_rng(1)
    pixels = rng.integers(0, 10000, (1, 30, 40)).astype("uint16")
    engine = ArrayEngine(pixels, bands=(Band(scale=1e-4, offset=-0.1),))
    total = sum(Fraction(int(pixel), 10000) - Fraction(1, 10) for pixel in pixels.ravel())
    assert engine.run(RasterStatistics()).numbers["SUM"] == float(total)
