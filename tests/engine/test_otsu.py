"""Otsu's thresholds against every possible cut of the histogram."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any, Optional

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError
from eoscale_engine.procedures.otsu import OtsuThreshold
from eoscale_engine.procedures.otsu_classes import best_parts
from eoscale_engine.profile import Band
from eoscale_engine.tiling import Window
from tests.engine.procedure_runs import Made, image, run


def otsu(
    pixels: np.ndarray, valid: Optional[np.ndarray] = None, bands: Any = (), **options: Any
) -> Made:
    extent = options.pop("extent", None)
    made: Made = run(OtsuThreshold(**options), image(pixels, valid, bands), extent=extent)
    return made


def between(values: np.ndarray, counts: np.ndarray, cut: tuple[int, ...]) -> float:
    """The variance between classes that end with the values of these numbers, by definition."""
    mean = np.average(values, weights=counts)
    ends = [0, *(place + 1 for place in cut), len(values)]
    total = 0.0
    for start, stop in zip(ends, ends[1:]):
        pixels = counts[start:stop].sum()
        centre = np.average(values[start:stop], weights=counts[start:stop])
        total += pixels / counts.sum() * (centre - mean) ** 2
    return float(total)


def best_cut(values: np.ndarray, counts: np.ndarray, classes: int) -> tuple[tuple[int, ...], float]:
    """The best of all cuts, and its share of the variance."""
    cuts = list(combinations(range(len(values) - 1), classes - 1))
    found = [between(values, counts, cut) for cut in cuts]
    variance = np.average((values - np.average(values, weights=counts)) ** 2, weights=counts)
    place = int(np.argmax(found))
    return cuts[place], found[place] / float(variance)


def three_hills(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = random.choice([30.0, 90.0, 160.0], shape, p=[0.5, 0.2, 0.3])
    return np.asarray(random.normal(centres, 12))


# ---------------------------------------------------------------- the search


@settings(max_examples=150, deadline=None)
@given(
    values=st.lists(st.integers(-50, 50), min_size=2, max_size=16, unique=True),
    classes=st.integers(2, 5),
    seed=st.integers(0, 1000),
)
def test_the_search_finds_the_best_of_all_cuts(values: list[int], classes: int, seed: int) -> None:
    ordered = np.array(sorted(values), float)
    counts = np.random.default_rng(seed).integers(1, 40, len(values))
    found = best_parts(ordered, counts, classes)
    if len(values) < classes:
        assert found is None
        return
    assert found is not None
    _, eta = best_cut(ordered, counts, classes)
    variance = np.average((ordered - np.average(ordered, weights=counts)) ** 2, weights=counts)
    assert found.eta == pytest.approx(eta, rel=1e-10)
    assert between(ordered, counts, found.lasts) / variance == pytest.approx(eta, rel=1e-10)


def test_the_search_among_many_values() -> None:
    """Against the plain dynamic programme, for five classes of two thousand values."""
    random = np.random.default_rng(2)
    values = np.sort(random.normal(0, 1, 2000)) ** 3
    counts = random.integers(1, 1000, 2000)
    found = best_parts(values, counts, 5)
    assert found is not None
    weights, sums = (np.concatenate(([0], np.cumsum(v))) for v in (counts, counts * values))
    with np.errstate(all="ignore"):
        gains = (sums[None] - sums[:, None]) ** 2 / (weights[None] - weights[:, None])
    gains = np.where(np.arange(2001)[:, None] < np.arange(2001), gains, -np.inf)
    best = gains[0]
    for _ in range(4):
        best = (best[:, None] + gains).max(axis=0)
    mean, total = sums[-1] / weights[-1], weights[-1]
    variance = (counts * (values - mean) ** 2).sum() / total
    assert found.eta == pytest.approx((best[-1] / total - mean**2) / variance, rel=1e-10)
    cut = between(values, counts, found.lasts)
    assert cut / variance == pytest.approx(found.eta, rel=1e-10)


def test_the_lowest_of_equally_good_thresholds() -> None:
    """Two pixels of three values, evenly apart: both cuts are as good."""
    found = best_parts(np.array([0.0, 1.0, 2.0]), np.array([2, 2, 2]), 2)
    assert found is not None
    assert found.lasts == (0,)


# ---------------------------------------------------------------- exact counts


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16"])
@pytest.mark.parametrize("classes", [2, 3])
def test_integers_of_up_to_16_bits_are_exact(dtype: str, classes: int) -> None:
    pixels = np.clip(np.round(three_hills((1, 40, 50)) / 4), 1, None).astype(dtype)
    made = otsu(pixels, classes=classes, output=True)
    values, counts = np.unique(pixels, return_counts=True)
    cut, eta = best_cut(values.astype(float), counts, classes)
    [row] = made.rows()
    names = ["threshold", "threshold_2"][: classes - 1]
    assert [row[name] for name in names] == values[list(cut)].tolist()
    assert row["eta"] == pytest.approx(eta, rel=1e-12)
    wanted = 1 + np.digitize(pixels, values[list(cut)], right=True)
    np.testing.assert_array_equal(made.image().pixels, wanted)
    assert made.image().pixels.dtype == np.uint8
    for place, parts in enumerate(made.rows(1), 1):
        inside = pixels[wanted == place].astype(float)
        assert parts["class"] == place
        assert parts["pixels"] == inside.size
        assert parts["share"] == inside.size / pixels.size
        assert parts["mean"] == pytest.approx(inside.mean(), rel=1e-12)
    numbers = made.summary.numbers
    assert numbers["THRESHOLD"] == row["threshold"]
    assert numbers["THRESHOLD_2"] == row.get("threshold_2")
    assert numbers["THRESHOLD_4"] is None
    assert numbers["ETA"] == row["eta"]


def test_all_values_of_16_bits_in_five_classes() -> None:
    pixels = np.arange(65536, dtype="uint16").reshape(1, 256, 256)
    [row] = otsu(pixels, classes=5).rows()
    found = [row["threshold"], *(row[f"threshold_{place}"] for place in (2, 3, 4))]
    np.testing.assert_allclose(found, np.arange(1, 5) * 65536 / 5 - 1, atol=0.9)
    assert row["eta"] == pytest.approx(1 - 1 / 25, rel=1e-6)


def test_each_band_has_its_own_or_all_have_the_same() -> None:
    pixels = np.concatenate([three_hills((1, 30, 600)), three_hills((1, 30, 600), 1) * 2])
    pixels = np.round(np.clip(pixels, 0, None)).astype("uint16")
    made = otsu(pixels, output=True)
    assert len(made.rows()) == 2
    for band, row in enumerate(made.rows()):
        values, counts = np.unique(pixels[band], return_counts=True)
        assert row["threshold"] == values[best_cut(values.astype(float), counts, 2)[0][0]]
        np.testing.assert_array_equal(
            made.image().pixels[band], 1 + (pixels[band] > row["threshold"])
        )
    made = otsu(pixels, per_band=False, output=True)
    [row] = made.rows()
    values, counts = np.unique(pixels, return_counts=True)
    assert row["threshold"] == values[best_cut(values.astype(float), counts, 2)[0][0]]
    assert (row["band"], row["name"], row["pixels"]) == (None, "all bands", pixels.size)
    np.testing.assert_array_equal(made.image().pixels, 1 + (pixels > row["threshold"]))


def test_physical_values_of_a_falling_scale() -> None:
    stored = np.clip(np.round(three_hills((1, 40, 50)) / 4), 1, None).astype("uint8")
    band = Band(scale=-0.1, offset=5)
    made = otsu(stored, bands=[band], output=True)
    values, counts = np.unique((50.0 - stored) / 10, return_counts=True)
    wanted = values[best_cut(values, counts, 2)[0][0]]
    [row] = made.rows()
    assert row["threshold"] == wanted
    np.testing.assert_array_equal(made.image().pixels, 1 + ((50.0 - stored) / 10 > wanted))
    [row] = otsu(stored, bands=[band], raw=True).rows()
    values, counts = np.unique(stored, return_counts=True)
    assert row["threshold"] == values[best_cut(values.astype(float), counts, 2)[0][0]]


# ---------------------------------------------------------------- bins


def by_bins(values: np.ndarray, bins: int, limits: tuple[float, float], classes: int) -> Any:
    """Edges at the thresholds and eta, from NumPy's own histogram."""
    counts, edges = np.histogram(values.astype(float), bins, limits)
    filled = np.flatnonzero(counts)
    middles = ((edges[:-1] + edges[1:]) / 2)[filled]
    cut, eta = best_cut(middles, counts[filled], classes)
    return [edges[filled[place] + 1] for place in cut], eta


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floats_in_bins(dtype: str) -> None:
    pixels = three_hills((1, 70, 600)).astype(dtype)
    made = otsu(pixels, bins=40, classes=3, output=True)
    [row] = made.rows()
    limits = float(pixels.min()), float(pixels.max())
    edges, eta = by_bins(pixels, 40, limits, 3)
    np.testing.assert_allclose([row["threshold"], row["threshold_2"]], edges, rtol=1e-12)
    assert row["eta"] == pytest.approx(eta, rel=1e-10)
    sizes = np.unique(made.image().pixels, return_counts=True)[1].tolist()
    assert [parts["pixels"] for parts in made.rows(1)] == sizes


def test_values_on_the_edges_of_bins_are_classed_as_they_were_counted() -> None:
    """Eighths between 0 and 1 in eight bins: each lies on an edge."""
    pixels = (np.random.default_rng(0).integers(0, 9, (1, 40, 50)) / 8).astype("float32")
    made = otsu(pixels, bins=8, classes=4, output=True)
    sizes = np.unique(made.image().pixels, return_counts=True)[1].tolist()
    assert [parts["pixels"] for parts in made.rows(1)] == sizes


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
def test_long_integers_in_bins_of_whole_integers(dtype: str) -> None:
    pixels = np.round(np.clip(three_hills((1, 50, 60)), 3, None) * 7).astype(dtype)
    pixels[0, 0, 0] = 1
    made = otsu(pixels, bins=30, output=True)
    [row] = made.rows()
    each = math.ceil((int(pixels.max())) / 30)
    bins = math.ceil(int(pixels.max()) / each)
    [edge], eta = by_bins(pixels, bins, (0.5, 0.5 + bins * each), 2)
    assert row["threshold"] == edge - 0.5
    assert row["eta"] == pytest.approx(eta, rel=1e-10)
    np.testing.assert_array_equal(made.image().pixels, 1 + (pixels > row["threshold"]))
    assert row["pixels"] == pixels.size


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_integers_beyond_what_floats_hold(dtype: str) -> None:
    pixels = (2**62 + np.round(three_hills((1, 30, 40)) * 2.0**40)).astype(dtype)
    made = otsu(pixels, bins=16, output=True)
    [row] = made.rows()
    np.testing.assert_array_equal(
        made.image().pixels, 1 + (pixels.astype(float) > row["threshold"])
    )
    sizes = np.unique(made.image().pixels, return_counts=True)[1].tolist()
    assert [parts["pixels"] for parts in made.rows(1)] == sizes


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
def test_bounds_leave_values_out_of_the_search_alone(dtype: str) -> None:
    pixels = np.clip(np.round(three_hills((1, 40, 50))), 1, 250).astype(dtype)
    made = otsu(pixels, lower=60, upper=161, output=True, bins=1000)
    [row] = made.rows()
    inside = pixels[(pixels >= 60) & (pixels <= 161)]
    values, counts = np.unique(inside, return_counts=True)
    cut, _ = best_cut(values.astype(float), counts, 2)
    assert row["pixels"] == inside.size
    assert values[cut[0]] <= row["threshold"] < values[cut[0] + 1]
    np.testing.assert_array_equal(made.image().pixels, 1 + (pixels > row["threshold"]))


def test_no_bin_reaches_beyond_the_upper_bound() -> None:
    """102 integers in 10 bins, none of which may hold the 162."""
    pixels = np.clip(np.round(three_hills((1, 40, 50))), 1, 250).astype("int32")
    [row] = otsu(pixels, lower=60, upper=161, bins=10).rows()
    assert row["pixels"] == np.count_nonzero((pixels >= 60) & (pixels <= 161))


# ---------------------------------------------------------------- special values


@pytest.mark.filterwarnings("ignore:.*no pixel of .* is valid")
@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", ["uint8", "float32", "int64"])
@pytest.mark.parametrize("per_band", [True, False])
def test_bands_without_thresholds(dtype: str, per_band: bool) -> None:
    pixels = np.full((2, 8, 9), 7, dtype)
    valid = np.ones(pixels.shape, bool)
    valid[0] = False
    made = otsu(pixels, valid, output=True, per_band=per_band)
    for row in made.rows():
        assert row["threshold"] is None
        assert row["eta"] is None
    assert [row["pixels"] for row in made.rows()] == ([0, 72] if per_band else [72])
    assert not made.image().valid.any()
    assert set(made.summary.numbers.values()) == {None}
    assert any("no thresholds" in note for note in made.summary.notes)
    assert {row["mean"] for row in made.rows(1)} == {None}


@pytest.mark.filterwarnings("error")
def test_invalid_and_infinite_pixels_take_no_part() -> None:
    pixels = three_hills((1, 40, 50)).astype("float32")
    [whole] = otsu(pixels[:, 1:].copy()).rows()
    pixels[0, 0] = np.nan
    pixels[0, 0, :2] = np.inf, -np.inf
    made = otsu(pixels, output=True)
    [row] = made.rows()
    assert (row["threshold"], row["pixels"]) == (whole["threshold"], 39 * 50)
    assert made.image().pixels[0, 0, :2].tolist() == [2, 1]
    assert not made.image().valid[0, 0, 2:].any()
    assert made.image().valid[0, 1:].all()


def test_nodata_and_an_extent() -> None:
    pixels = np.clip(np.round(three_hills((1, 60, 70))), 1, 250).astype("uint8")
    valid = np.random.default_rng(0).random(pixels.shape) < 0.7
    extent = Window(7, 11, 40, 50)
    made = otsu(pixels, valid, extent=extent, output=True)
    place = (slice(None), *extent.slices)
    values, counts = np.unique(pixels[place][valid[place]], return_counts=True)
    [row] = made.rows()
    assert row["threshold"] == values[best_cut(values.astype(float), counts, 2)[0][0]]
    assert row["pixels"] == valid[place].sum()
    wanted = np.where(valid[place], 1 + (pixels[place] > row["threshold"]), 0)
    np.testing.assert_array_equal(made.image().pixels, wanted)


def test_two_workers_and_several_cells() -> None:
    pixels = three_hills((2, 600, 700)).astype("float32")
    with EOContextManager(nb_workers=2) as context:
        key = context.create_image(image(pixels).profile)
        context.get_array(key)[:] = pixels
        found = context.run(OtsuThreshold(bins=64, output=True), [key])
        assert found.summary
        classes = context.get_array(str(found.images[0]))
        for band, row in enumerate(found.summary.tables[0].rows):
            limits = float(pixels[band].min()), float(pixels[band].max())
            [edge], eta = by_bins(pixels[band], 64, limits, 2)
            assert row[3] == pytest.approx(edge, rel=1e-12)
            assert row[4] == pytest.approx(eta, rel=1e-10)
            np.testing.assert_array_equal(classes[band], 1 + (pixels[band] > row[3]))


def test_the_chart_holds_all_pixels() -> None:
    pixels = np.random.default_rng(0).integers(0, 65536, (1, 60, 70)).astype("uint16")
    chart = otsu(pixels).summary.charts[0]
    [(_, places, heights)] = chart.series
    assert len(places) == 256
    assert sum(heights) == pixels.size
    assert "threshold" in chart.title


def test_bad_parameters() -> None:
    for options, message in (
        ({"classes": 1}, "at least 2"),
        ({"classes": 6}, "at most 5"),
        ({"bins": 1}, "at least 2"),
        ({"lower": 5, "upper": 5}, "less than the upper bound"),
        ({"lower": math.inf}, "cannot be inf"),
    ):
        with pytest.raises(InputError, match=message):
            OtsuThreshold(**options)  # type: ignore[arg-type]
    far = np.array([[[-1.7e308, 0.0, 1.7e308]]])
    with pytest.raises(InputError, match="too far apart"):
        otsu(far)
    assert otsu(far, lower=-1, upper=1e300).rows()[0]["pixels"] == 1
