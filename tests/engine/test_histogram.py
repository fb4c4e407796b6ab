"""Histograms against numpy.histogram, in any split of the image into cells."""

from __future__ import annotations

import math
from typing import Any, Optional

import numpy as np
import pytest

from eoscale_engine.declaration import Summary
from eoscale_engine.errors import InputError
from eoscale_engine.procedures.histogram import Histogram
from eoscale_engine.profile import DTYPES, Band, Profile
from eoscale_engine.reductions.histogram import HistogramCounts, bin_numbers
from eoscale_engine.tiling import CELL
from tests.engine.array_engine import ArrayEngine

REAL_DTYPES = [name for name in DTYPES if not name.startswith("complex")]


def histogram(
    pixels: np.ndarray,
    valid: Optional[np.ndarray] = None,
    bands: Optional[tuple[Band, ...]] = None,
    cell: tuple[int, int] = (CELL, CELL),
    **parameters: Any,
) -> Summary:
    """The histogram of an array, over cells of any size."""
    return ArrayEngine(pixels, valid, bands, cell).run(Histogram(**parameters))


def columns_of(summary: Summary, band: int = 1) -> dict[str, list[Any]]:
    """The table's columns, of one band."""
    table = summary.tables[0]
    rows = [row for row in table.rows if row[0] == band]
    return {name: [row[place] for row in rows] for place, name in enumerate(table.columns)}


def edges_of(summary: Summary) -> list[float]:
    """The bins' edges; each bin ends where the next one starts."""
    columns = columns_of(summary)
    assert columns["start"][1:] == columns["end"][:-1]
    return [*columns["start"], columns["end"][-1]]


def random_pixels(rng: np.random.Generator, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    """Random pixels; floats that often lie exactly on an edge."""
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return (rng.integers(-40, 40, shape) / 8).astype(kind)
    limits = np.iinfo(kind)
    return rng.integers(max(-500, limits.min), min(500, limits.max), shape).astype(kind)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("masked", [False, True])
def test_counts_equal_numpy_for_any_split(dtype: str, masked: bool) -> None:
    rng = np.random.default_rng(len(dtype) + masked)
    for bins in (1, 2, 7, 64, 300):
        shape = (2, *rng.integers(1, 150, 2))
        pixels = random_pixels(rng, dtype, shape)
        valid = rng.random(shape) > 0.3 if masked else None
        if valid is not None:
            valid[0, 0, 0] = True
        chosen = pixels.ravel() if valid is None else pixels[valid]
        cell = (int(rng.integers(1, 200)), int(rng.integers(1, 200)))
        summary = histogram(pixels, valid, cell=cell, binning="number", bins=bins)
        reference = np.array(edges_of(summary))
        whole = np.histogram(chosen.astype(np.float64), bins)[1]
        np.testing.assert_allclose(reference, whole, rtol=0, atol=4e-16 * np.abs(whole).max())
        for band in (1, 2):
            values = pixels[band - 1]
            values = values if valid is None else values[valid[band - 1]]
            counts, _ = np.histogram(values.astype(np.float64), reference)
            columns = columns_of(summary, band)
            assert columns["count"] == counts.tolist()
            assert columns["share"] == [n / values.size if values.size else None for n in counts]
            if values.size:
                assert columns["cumulative"] == (np.cumsum(counts) / values.size).tolist()
            assert summary.tables[1].rows[band - 1][2:] == (
                values.size, pixels[0].size - values.size, 0, 0,
            )  # fmt: skip


def test_bin_numbers_are_those_of_a_search() -> None:
    rng = np.random.default_rng(3)
    for _ in range(300):
        lower = float(rng.normal()) * 10.0 ** rng.integers(-300, 300)
        upper = lower + abs(lower) * 10.0 ** rng.uniform(-17, 3)
        if not lower < upper:
            continue
        bins = int(rng.integers(1, 400))
        edges = np.linspace(lower, upper, bins + 1)
        near = [edges, np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf)]
        values = np.concatenate([*near, rng.uniform(lower, upper, 500)])
        values = values[(values >= lower) & (values <= upper)]
        wanted = np.minimum(np.searchsorted(edges, values, side="right") - 1, bins - 1)
        assert np.array_equal(bin_numbers(values, edges), wanted)
        counts = np.bincount(wanted, minlength=bins)
        assert np.array_equal(np.histogram(values, edges)[0], counts)


@pytest.mark.parametrize("cols", [2, 9])
def test_values_outside_the_bounds_are_counted_apart(cols: int) -> None:
    pixels = np.array([[[-np.inf, -1, 0, 1, 2.5, 4, 4.001, np.inf, np.nan]]])
    engine = ArrayEngine(pixels, ~np.isnan(pixels), cell=(1, cols))
    summary = engine.run(Histogram(lower=0, upper=4, bins=4))
    assert engine.passes == ["HistogramCounts"]
    columns = columns_of(summary)
    assert columns["count"] == [1, 1, 1, 1]
    assert columns["cumulative"] == [3 / 8, 4 / 8, 5 / 8, 6 / 8]
    assert summary.tables[1].rows == ((1, "", 8, 1, 2, 2),)
    assert summary.numbers["BELOW"] == summary.numbers["ABOVE"] == 2


def test_automatic_bounds_leave_infinities_out() -> None:
    pixels = np.array([[[-np.inf, 2, 4]], [[3, 8, np.inf]]], np.float32)
    summary = histogram(pixels, cell=(1, 1), bins=3)
    assert edges_of(summary) == [2, 4, 6, 8]
    assert [row[2:] for row in summary.tables[1].rows] == [(3, 0, 1, 0), (3, 0, 0, 1)]


def test_one_given_bound_leaves_the_other_to_the_image() -> None:
    pixels = np.arange(11, dtype=np.uint8).reshape(1, 1, 11)
    assert edges_of(histogram(pixels, lower=5, bins=5)) == [5, 6, 7, 8, 9, 10]
    assert edges_of(histogram(pixels, upper=2, bins=2)) == [0, 1, 2]
    with pytest.raises(InputError, match="values from 0 to 10"):
        histogram(pixels, lower=20)


@pytest.mark.parametrize(
    ("values", "options", "edges"),
    [
        ([3.0, 17.0], {"width": 5}, [0, 5, 10, 15, 20]),
        ([-3.0, 4.0], {"width": 5}, [-5, 0, 5]),
        ([0.0, 10.0], {"width": 5}, [0, 5, 10]),
        ([1.0, 9.0], {"width": 3, "lower": 1}, [1, 4, 7, 10]),
        ([0.0, 2.1], {"width": 0.7}, [0, 0.7, 1.4, 2.1]),
        ([0.1, 0.8], {"width": 0.7, "lower": 0.1}, [0.1, 0.8]),
        ([7.0, 7.0], {"width": 2}, [6, 8]),
    ],
)
def test_bins_by_width(values: list[float], options: dict[str, float], edges: list[float]) -> None:
    summary = histogram(np.array([[values]]), binning="width", **options)
    assert edges_of(summary) == pytest.approx(edges)
    assert sum(columns_of(summary)["count"]) == len(values)


@pytest.mark.parametrize("dtype", [name for name in REAL_DTYPES if "int" in name])
def test_one_bin_for_each_integer(dtype: str) -> None:
    low = 0 if dtype.startswith("u") else -3
    pixels = np.array([[[low, low, 2, 5]]], dtype)
    for options in ({"binning": "integers"}, {}):
        summary = histogram(pixels, cell=(1, 1), **options)
        assert edges_of(summary) == [low - 0.5 + step for step in range(7 - low)]
        wanted = [int(np.count_nonzero(pixels == value)) for value in range(low, 6)]
        assert columns_of(summary)["count"] == wanted


def test_automatic_bins_hold_as_many_integers_each() -> None:
    pixels = np.arange(1000, dtype=np.uint16).reshape(1, 20, 50)
    summary = histogram(pixels, bins=256)
    assert summary.numbers["BINS"] == 250
    assert set(columns_of(summary)["count"]) == {4}


def test_integers_too_large_for_bins_of_their_own() -> None:
    pixels = np.array([[[2**60, 2**60 + 5000]]], np.int64)
    with pytest.raises(InputError, match="no integer that can have a bin"):
        histogram(pixels, binning="integers")
    assert sum(columns_of(histogram(pixels, bins=4))["count"]) == 2


@pytest.mark.parametrize("value", [0.0, -2.5, 1e-300, 3e14, -1e17, 1e300])
def test_constant_images(value: float) -> None:
    summary = histogram(np.full((1, 3, 4), value), cell=(2, 3), bins=10)
    assert sum(columns_of(summary)["count"]) == 12
    if abs(value) < 1e10:
        assert edges_of(summary) == pytest.approx(np.histogram([value], 10)[1], abs=1e-15)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize(
    "options",
    [
        {}, {"binning": "number"}, {"binning": "width", "width": 2}, {"lower": 7}, {"upper": -7},
        {"lower": 1, "upper": 2},
    ],
)  # fmt: skip
def test_no_valid_pixel(dtype: str, options: dict[str, Any]) -> None:
    pixels = np.ones((2, 2, 2), dtype)
    summary = histogram(pixels, np.zeros(pixels.shape, bool), **options)
    columns = columns_of(summary, 2)
    assert set(columns["count"]) == {0}
    assert set(columns["share"]) == {None}
    assert summary.tables[1].rows[0][2:] == (0, 4, 0, 0)
    assert any("no valid pixel" in note for note in summary.notes)


def test_physical_values_fall_into_the_automatic_bounds() -> None:
    rng = np.random.default_rng(8)
    pixels = rng.integers(-3000, 12000, (1, 60, 70)).astype(np.int16)
    band = Band(scale=-0.0001, offset=0.1, unit="1")
    summary = histogram(pixels, bands=(band,), cell=(13, 17), bins=50)
    values = (1000 - pixels.astype(np.float64)) / 10000
    assert edges_of(summary) == pytest.approx(np.histogram(values, 50)[1], abs=1e-15)
    counts, _ = np.histogram(values, edges_of(summary))
    assert columns_of(summary)["count"] == counts.tolist()
    assert summary.charts[0].x_label == "Value (1)"
    raw = histogram(pixels, bands=(band,), bins=50, raw=True, binning="number")
    assert edges_of(raw) == pytest.approx(np.histogram(pixels, 50)[1], rel=1e-15)
    with pytest.raises(InputError, match="a scale"):
        histogram(pixels, bands=(band,), binning="integers")


def test_charts() -> None:
    pixels = np.array([[[1, 2, 2, 3]]], np.uint8)
    chart = histogram(pixels).charts[0]
    assert (chart.kind, chart.series) == ("bars", (("Band 1", (1, 2, 3), (1, 2, 1)),))
    chart = histogram(pixels, cumulative=True).charts[0]
    assert (chart.kind, chart.series) == ("lines", (("Band 1", (1.5, 2.5, 3.5), (25, 75, 100)),))
    chart = histogram(pixels, cumulative=True, lower=1.5, upper=3.5, bins=2).charts[0]
    assert chart.series == (("Band 1", (2.5, 3.5), (75, 100)),)
    both = np.concatenate([pixels, pixels])
    chart = histogram(both, bands=(Band(name="red"), Band())).charts[0]
    assert (chart.kind, [name for name, _, _ in chart.series]) == (
        "lines", ["Band 1: red", "Band 2"],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"binning": "width"}, "greater than 0"),
        ({"binning": "width", "width": 0}, "greater than 0"),
        ({"binning": "width", "width": math.nan}, "Width"),
        ({"binning": "width", "width": 1e-9}, "the most is 65536"),
        ({"binning": "width", "width": 5e-324}, "the most is 65536"),
        ({"binning": "integers"}, "float64 pixels"),
        ({"lower": 3, "upper": 3}, "must be less"),
        ({"lower": math.inf}, "cannot be inf"),
        ({"lower": -1.7e308, "upper": 1.7e308}, "no finite range"),
        ({"bins": 0}, "at least 1"),
        ({"bins": 70000}, "at most 65536"),
    ],
)
def test_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        histogram(np.array([[[0.0, 1.0]]]), **options)


def test_complex_images_are_refused() -> None:
    with pytest.raises(InputError, match="complex64"):
        Histogram().check({"INPUT": [Profile(1, 1, "complex64")]})


def test_counts_need_bounds_in_order() -> None:
    with pytest.raises(InputError, match="no finite range"):
        HistogramCounts(1.0, 1.0)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize(
    "edges", [(0, 1, 5, 40), (-3.5, -3.25, 0.0, 1e-9, 2.0), (-1e9, 1e9), (7.0, 7.5)]
)
def test_counts_between_any_edges_equal_numpy(dtype: str, edges: tuple[float, ...]) -> None:
    rng = np.random.default_rng(2)
    pixels = random_pixels(rng, dtype, (2, 60, 70))
    valid = rng.random(pixels.shape) > 0.3
    summary = histogram(pixels, valid, cell=(13, 64), binning="edges", edges=edges)
    assert edges_of(summary) == list(edges)
    for band in (1, 2):
        values = pixels[band - 1][valid[band - 1]].astype(np.float64)
        columns, (_, _, *asides) = columns_of(summary, band), summary.tables[1].rows[band - 1]
        assert columns["count"] == np.histogram(values, np.array(edges))[0].tolist()
        below, above = int((values < edges[0]).sum()), int((values > edges[-1]).sum())
        assert asides == [values.size, 4200 - values.size, below, above]


def test_edges_are_physical_and_bounds_are_not_looked_for() -> None:
    engine = ArrayEngine(np.array([[[1, 2, 3, 4]]], "uint8"), bands=(Band(scale=0.5),))
    summary = engine.run(Histogram(binning="edges", edges="0.5, 1.0; 2"))
    assert engine.passes == ["HistogramCounts"]
    assert columns_of(summary)["count"] == [1, 3]
    assert summary.charts[0].series[0][1:] == ((0.75, 1.5), (1, 3))


@pytest.mark.parametrize("edges", ["", "1", "1, 1", "2, 1", "0, inf", "0, 1, 0.5", range(65538)])
def test_wrong_edges(edges: Any) -> None:
    with pytest.raises(InputError, match="edges|65536"):
        Histogram(binning="edges", edges=edges)


@pytest.mark.parametrize(
    ("options", "in_vain"),
    [({"binning": "edges", "edges": (1, 2)}, {"lower": 3, "upper": 0}),
     ({}, {"edges": (2, 1), "width": 2}), ({"binning": "integers"}, {"bins": 1, "width": -2})],
)  # fmt: skip
def test_what_bins_are_not_made_by_has_no_part(
    options: dict[str, Any], in_vain: dict[str, Any]
) -> None:
    pixels = np.arange(12, dtype="int16").reshape(1, 3, 4)
    assert histogram(pixels, **options, **in_vain) == histogram(pixels, **options)
