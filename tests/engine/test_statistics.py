"""Raster statistics against NumPy and against exact arithmetic in Python's fractions."""

from __future__ import annotations

import json
import math
import warnings
from fractions import Fraction
from functools import reduce
from typing import Any, Optional

import numpy as np
import pytest

from eoscale_engine.declaration import Block, Blocks, Summary
from eoscale_engine.errors import InputError
from eoscale_engine.profile import DTYPES, Band, Profile
from eoscale_engine.reductions.statistics import RasterStatistics
from eoscale_engine.reductions.summary import jsonable
from eoscale_engine.tiling import CELL, Window, split

REAL_DTYPES = [name for name in DTYPES if not name.startswith("complex")]


def summary_of(
    pixels: np.ndarray,
    valid: Optional[np.ndarray] = None,
    *,
    bands: Optional[tuple[Band, ...]] = None,
    cell: tuple[int, int] = (CELL, CELL),
    raw: bool = False,
) -> Summary:
    """The statistics of an array, over cells of any size."""
    count, rows, cols = pixels.shape
    profile = Profile(cols, rows, pixels.dtype.name, bands or (Band(),) * count)
    declaration = RasterStatistics(raw=raw)
    partials = []
    for core in split(Window(0, 0, rows, cols), *cell):
        place = (slice(None), *core.slices)
        block = Block(pixels[place], None if valid is None else valid[place], profile, core)
        partials.append(declaration.map(Blocks(core, {"INPUT": [block]})))
    return declaration.finish(reduce(declaration.merge, partials), [profile])


def rows_of(summary: Summary) -> list[dict[str, Any]]:
    """The table's rows by column name."""
    table = summary.tables[0]
    return [dict(zip(table.columns, row)) for row in table.rows]


def random_pixels(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Random pixels: the whole range of integers, normally distributed floats far from zero."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(1e4, 3, shape).astype(kind)
    limits = np.iinfo(kind)
    return rng.integers(limits.min, limits.max, shape, kind, endpoint=True)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("masked", [False, True])
def test_equals_numpy_and_exact_sums_for_any_split(dtype: str, masked: bool) -> None:
    rng = np.random.default_rng(len(dtype) + masked)
    for _ in range(4):
        shape = (2, *rng.integers(1, 150, 2))
        pixels = random_pixels(rng, dtype, shape)
        valid = rng.random(shape) > 0.3 if masked else None
        if valid is not None:
            valid[:, 0, 0] = True
            if pixels.dtype.kind == "f":
                pixels[~valid] = np.nan
        cell = (int(rng.integers(1, 220)), int(rng.integers(1, 220)))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            rows = rows_of(summary_of(pixels, valid, cell=cell))
        for band, row in enumerate(rows):
            values = pixels[band].ravel() if valid is None else pixels[band][valid[band]]
            assert row["band"] == band + 1
            assert (row["valid"], row["invalid"]) == (values.size, pixels[band].size - values.size)
            assert (row["minimum"], row["maximum"]) == (values.min().item(), values.max().item())
            exact = [Fraction(value) for value in values.tolist()]
            total = sum(exact)
            mean = total / len(exact)
            variance = sum((value - mean) ** 2 for value in exact) / len(exact)
            if pixels.dtype.kind == "f":
                assert row["sum"] == pytest.approx(float(total), rel=1e-14)
            else:
                assert type(row["sum"]) is int
                assert row["sum"] == total
                assert row["mean"] == float(mean)
            assert row["mean"] == pytest.approx(values.mean(dtype=np.float64), rel=1e-12, abs=1e-9)
            assert row["std_dev"] == pytest.approx(math.sqrt(variance), rel=1e-12)


def test_64_bit_integers_are_not_rounded() -> None:
    large = 2**62
    pixels = np.array([[[large + 1, large + 3, large + 5, -large]]], np.int64)
    for cell in ((1, 4), (1, 1)):
        (row,) = rows_of(summary_of(pixels, pixels > 0, cell=cell))
        assert (row["minimum"], row["maximum"]) == (large + 1, large + 5)
        assert row["sum"] == 3 * large + 9
        assert row["std_dev"] == pytest.approx(math.sqrt(8 / 3), rel=1e-15)
    (row,) = rows_of(summary_of(np.full((1, 3, 3), 2**64 - 1, np.uint64), cell=(1, 2)))
    assert (row["minimum"], row["sum"], row["std_dev"]) == (2**64 - 1, 9 * (2**64 - 1), 0)


def test_small_spread_far_from_zero_is_kept() -> None:
    pixels = 1e9 + np.tile([-1.0, 1.0], 50_000).reshape(1, 100, 1000)
    (row,) = rows_of(summary_of(pixels, cell=(7, 300)))
    assert row["std_dev"] == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_the_mask_that_is_true_everywhere_changes_no_bit(dtype: str) -> None:
    pixels = random_pixels(np.random.default_rng(5), dtype, (1, 150, 130))
    assert summary_of(pixels) == summary_of(pixels, np.ones(pixels.shape, bool))


def test_layout_in_memory_changes_no_bit() -> None:
    pixels = random_pixels(np.random.default_rng(6), "float32", (1, 150, 130))
    wider = np.zeros((1, 150, 400), np.float32)
    wider[:, :, 131:261] = pixels
    assert summary_of(pixels) == summary_of(wider[:, :, 131:261])


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_no_valid_pixel_leaves_counts_only(dtype: str) -> None:
    pixels = np.ones((2, 3, 4), dtype)
    valid = np.zeros(pixels.shape, bool)
    valid[1, 2, 3] = True
    summary = summary_of(pixels, valid, cell=(2, 2))
    none, one = rows_of(summary)
    assert (none["valid"], none["invalid"]) == (0, 12)
    assert [none[key] for key in ("minimum", "maximum", "mean", "std_dev", "sum")] == [None] * 5
    assert (one["valid"], one["mean"], one["std_dev"], one["sum"]) == (1, 1, 0, 1)
    assert (summary.numbers["VALID"], summary.numbers["MEAN"]) == (0, None)
    assert any("without a valid pixel" in note for note in summary.notes)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinities_are_counted_and_left_out_of_the_mean(dtype: str) -> None:
    pixels = np.array([[[1, np.inf, 3, np.inf, np.nan, 5]], [[-np.inf] * 6]], dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        summary = summary_of(pixels, ~np.isnan(pixels), cell=(1, 2))
    first, second = rows_of(summary)
    assert (first["valid"], first["infinite"], first["invalid"]) == (5, 2, 1)
    assert (first["minimum"], first["maximum"]) == (1, math.inf)
    assert (first["mean"], first["sum"]) == (3, 9)
    assert first["std_dev"] == pytest.approx(np.std([1, 3, 5]))
    assert (second["infinite"], second["maximum"], second["mean"]) == (6, -math.inf, None)
    assert any("Infinite" in note for note in summary.notes)


def test_overflow_of_the_sum_raises_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (row,) = rows_of(summary_of(np.full((1, 2, 100), 1.7e308), cell=(1, 50)))
    assert (row["minimum"], row["sum"]) == (1.7e308, math.inf)


def test_values_are_physical_unless_raw() -> None:
    pixels = np.array([[[10, 20, 30, 0]]], np.int16)
    band = Band(scale=-0.5, offset=100, name="t", unit="K")
    (row,) = rows_of(summary_of(pixels, pixels > 0, bands=(band,)))
    values = pixels[pixels > 0] * -0.5 + 100
    assert (row["name"], row["unit"]) == ("t", "K")
    assert (row["minimum"], row["maximum"]) == (85, 95)
    assert (row["mean"], row["sum"]) == (values.mean(), values.sum())
    assert row["std_dev"] == pytest.approx(values.std())
    summary = summary_of(pixels, pixels > 0, bands=(band,), raw=True)
    (row,) = rows_of(summary)
    assert (row["unit"], row["minimum"], row["maximum"], row["sum"]) == ("", 10, 30, 60)
    assert any("not applied" in note for note in summary.notes)


def test_numbers_are_those_of_the_first_band() -> None:
    pixels = np.array([[[1, 2, 6]], [[7, 7, 7]]], np.uint8)
    summary = summary_of(pixels)
    assert summary.numbers == {
        "VALID": 3, "INVALID": 0, "MINIMUM": 1, "MAXIMUM": 6, "MEAN": 3, "SUM": 9,
        "STD_DEV": pytest.approx(math.sqrt(14 / 3)),
    }  # fmt: skip
    assert tuple(summary.numbers) == tuple(name for name, _ in RasterStatistics.numbers)


def test_complex_images_are_refused() -> None:
    with pytest.raises(InputError, match="complex64"):
        RasterStatistics().check({"INPUT": [Profile(1, 1, "complex64")]})


def test_jsonable_is_strict_and_exact() -> None:
    summary = summary_of(np.array([[[1, np.inf]], [[-np.inf, 2]]]))
    text = json.dumps(jsonable(summary), allow_nan=False)
    assert json.loads(text) == jsonable(jsonable(summary))
    assert jsonable(summary)["tables"][0]["rows"][0][7] == "Infinity"
    assert jsonable(np.array([math.nan, 1.5])) == [None, 1.5]
    assert jsonable({"n": np.int64(3), "large": 2**70}) == {"n": 3, "large": 2**70}
    with pytest.raises(TypeError, match="complex"):
        jsonable(1j)


def series_of(summary: Summary) -> dict[str, tuple[float, ...]]:
    (chart,) = summary.charts
    return {name: values for name, _, values in chart.series}


def test_the_plot_shows_range_and_spread_of_each_band() -> None:
    pixels = np.array([[[0, 0, 4, 4]], [[5, 5, 5, 5]]], "int16")
    found = summary_of(pixels, bands=(Band(unit="m"), Band(unit="m")))
    assert series_of(found) == {
        "Maximum": (4, 5), "Mean + std. deviation": (4, 5), "Mean": (2, 5),
        "Mean - std. deviation": (0, 5), "Minimum": (0, 5),
    }  # fmt: skip
    (chart,) = found.charts
    assert (chart.kind, chart.y_label, chart.series[0][1]) == ("lines", "Value (m)", (1, 2))
    assert summary_of(pixels[:1]).charts[0].kind == "bars"


def test_the_plot_has_gaps_where_there_is_no_finite_number() -> None:
    pixels = np.array([[[1, np.inf]], [[1, 1]]], "float32")
    valid = np.array([[[True, True]], [[False, False]]])
    series = series_of(summary_of(pixels, valid))
    assert series["Minimum"][0] == series["Mean"][0] == 1
    assert math.isnan(series["Maximum"][0])
    assert all(math.isnan(values[1]) for values in series.values())
