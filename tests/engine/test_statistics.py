"""Raster statistics against NumPy, SciPy and exact arithmetic in Python's fractions."""

from __future__ import annotations

import json
import math
import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from osgeo import gdal
from scipy import stats

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Summary
from eoscale_engine.errors import GridError, InputError, InputWarning
from eoscale_engine.procedures.histogram import Histogram
from eoscale_engine.procedures.percentiles import Percentiles
from eoscale_engine.procedures.statistics import RasterStatistics
from eoscale_engine.profile import DTYPES, Affine, Band, Profile
from eoscale_engine.raster_files.reading import RasterFile
from eoscale_engine.reductions import distinct
from eoscale_engine.reductions.statistics import BandMoments
from eoscale_engine.reductions.summary import jsonable
from eoscale_engine.tiling import CELL, Window
from tests.engine.array_engine import ArrayEngine

REAL_DTYPES = [name for name in DTYPES if not name.startswith("complex")]


def summary_of(
    pixels: np.ndarray,
    valid: Optional[np.ndarray] = None,
    *,
    bands: Optional[tuple[Band, ...]] = None,
    cell: tuple[int, int] = (CELL, CELL),
    raw: bool = False,
    **parameters: Any,
) -> Summary:
    """The statistics of an array, over cells of any size."""
    return ArrayEngine(pixels, valid, bands, cell).run(RasterStatistics(raw=raw, **parameters))


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
    for _ in range(3):
        shape = (2, *rng.integers(1, 110, 2))
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
            if variance:
                third, fourth = (
                    sum((value - mean) ** power for value in exact) / len(exact) for power in (3, 4)
                )
                skewness = float(third) / float(variance) ** 1.5
                kurtosis = float(fourth / variance**2) - 3
                assert row["skewness"] == pytest.approx(skewness, rel=1e-9, abs=1e-9)
                assert row["kurtosis"] == pytest.approx(kurtosis, rel=1e-9, abs=1e-9)
            ordered = np.sort(values).astype(np.longdouble)
            assert row["median"] == pytest.approx(float(np.median(ordered)), rel=1e-12)


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64"])
@pytest.mark.parametrize("size", [2**22, CELL * CELL, CELL * CELL - 1, 33_000, 4_097, 4_096, 7])
def test_a_misleading_sample_costs_few_digits(dtype: str, size: int) -> None:
    # the sums start from the mean of evenly chosen pixels: here those alone are far from all others
    pixels = np.random.default_rng(size).integers(0, 5, (1, 1, size)).astype(dtype)
    pixels[0, 0, :: max(1, size // 1024)] += np.dtype(dtype).type(60_000)
    row = rows_of(summary_of(pixels, cell=(1, size), percentiles=()))[0]
    values, counts = np.unique(pixels.astype(int), return_counts=True)
    pairs = list(zip(values.tolist(), counts.tolist()))
    mean = Fraction(sum(value * count for value, count in pairs), size)
    powers = [sum(count * (value - mean) ** n for value, count in pairs) / size for n in (2, 3, 4)]
    variance = float(powers[0])
    assert row["sum"] == mean * size
    assert row["std_dev"] == pytest.approx(math.sqrt(variance), rel=1e-13)
    assert row["skewness"] == pytest.approx(float(powers[1]) / variance**1.5, rel=1e-11, abs=1e-11)
    # of the fourth power 16^4 times the rounding of float64 may be lost
    assert row["kurtosis"] == pytest.approx(float(powers[2]) / variance**2 - 3, rel=1e-10)


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


@pytest.mark.parametrize("pixels", [[1e308, 1.7e308, 1.7e308], [5e-324, 0, 0], [3e38, 1e-38, 0]])
def test_the_ends_of_the_range_of_floats(pixels: list[float]) -> None:
    row = rows_of(summary_of(np.array([[pixels]])))[0]
    assert (row["minimum"], row["maximum"]) == (min(pixels), max(pixels))
    assert row["sum"] == sum(pixels)
    assert math.isinf(row["sum"]) or min(pixels) <= row["mean"] <= max(pixels)


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
        "STD_DEV": pytest.approx(math.sqrt(14 / 3)), "MEDIAN": 2, "DISTINCT": None,
        "SKEWNESS": pytest.approx(stats.skew([1, 2, 6])),
        "KURTOSIS": pytest.approx(stats.kurtosis([1, 2, 6])),
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


# ---------------------------------------------------------------- shape, percentiles, distinct


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_skewness_and_kurtosis_are_those_of_scipy(dtype: str) -> None:
    random = np.random.default_rng(8)
    values = np.clip(random.gamma(2, 9, (2, 700, 600)), 0, 120)
    bands = (Band(scale=-0.1, offset=3), Band())
    for row, band, about in zip(
        rows_of(summary_of(values.astype(dtype), bands=bands)), values.astype(dtype), bands
    ):
        physical = band.astype(float).ravel() * about.scale + about.offset
        assert row["skewness"] == pytest.approx(stats.skew(physical), rel=1e-10)
        assert row["kurtosis"] == pytest.approx(stats.kurtosis(physical), rel=1e-10)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_one_value_has_no_shape(dtype: str) -> None:
    pixels = np.full((1, 40, 50), 0.1 if dtype.startswith("f") else 11).astype(dtype)
    (row,) = rows_of(summary_of(pixels, cell=(7, 11), distinct=True))
    assert (row["std_dev"], row["skewness"], row["kurtosis"]) == (0, None, None)
    assert (row["median"], row["distinct"]) == (pixels[0, 0, 0], 1)
    (row,) = rows_of(
        summary_of(np.arange(4, dtype="uint8").reshape(1, 2, 2), bands=(Band(scale=0),))
    )
    assert (row["std_dev"], row["skewness"], row["kurtosis"]) == (0, None, None)


def test_shape_that_overflows_or_vanishes_is_no_value() -> None:
    for size in (1e200, 1e-200):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            (row,) = rows_of(summary_of(np.array([[[size, 2 * size, 5 * size, 3]]]), cell=(1, 2)))
        assert row["minimum"] == min(3, size)
        assert row["skewness"] is None or math.isfinite(row["skewness"])
    (row,) = rows_of(summary_of(np.array([[[1e-200, 3e-200, 9e-200]]])))
    assert (row["skewness"], row["kurtosis"]) == (None, None)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("asked", [(50.0,), (98, 2, 50, 2), (25.5,), ()])
def test_percentiles_are_columns(dtype: str, asked: tuple[float, ...]) -> None:
    pixels = random_pixels(np.random.default_rng(3), dtype, (2, 50, 60))
    valid = np.random.default_rng(4).random(pixels.shape) > 0.2
    engine = ArrayEngine(pixels, valid, cell=(20, 25))
    summary = engine.run(RasterStatistics(percentiles=asked))
    names = ["median" if share == 50 else f"p{share:g}" for share in sorted(set(asked))]
    assert list(summary.tables[0].columns[13:]) == names
    size = np.dtype(dtype).itemsize
    assert len(engine.passes) == (1 if size < 4 or not asked else size // 2)
    for row, band, where in zip(rows_of(summary), pixels, valid):
        ordered = np.sort(band[where]).astype(np.longdouble)
        for share, name in zip(sorted(set(asked)), names):
            assert row[name] == pytest.approx(float(np.percentile(ordered, share)), rel=1e-12)
    assert (summary.numbers["MEDIAN"] is None) == (50 not in asked)


@pytest.mark.parametrize("none", [None, "", ()])
def test_no_percentiles_at_all(none: Any) -> None:
    summary = summary_of(np.ones((1, 2, 2), "float32"), percentiles=none)
    assert summary.tables[0].columns[-1] == "kurtosis"


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("pass_bytes", [2**26, 2**12])
def test_distinct_values_are_counted_exactly(
    dtype: str, pass_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(distinct, "PASS_BYTES", pass_bytes)
    random = np.random.default_rng(5)
    pixels = random_pixels(random, dtype, (2, 60, 70))
    pixels[1] = random.integers(0, 50, (60, 70))
    pixels[1, :9, :9] = 0
    if dtype.startswith("f"):
        pixels[1, :5] *= -1  # -0.0 is 0.0
        pixels[0, 0, :3] = np.inf, -np.inf, np.inf
    valid = random.random(pixels.shape) > 0.2
    engine = ArrayEngine(pixels, valid, cell=(9, 31))
    rows = rows_of(engine.run(RasterStatistics(distinct=True)))
    wanted = [np.unique(band[where]).size for band, where in zip(pixels, valid)]
    assert [row["distinct"] for row in rows] == wanted
    parts = engine.passes.count("DistinctPixels")
    if np.dtype(dtype).itemsize > 2:
        assert (parts > 1) == (pass_bytes < 2**20)


def test_distinct_of_nothing() -> None:
    pixels = np.zeros((1, 3, 3), "float32")
    summary = summary_of(pixels, np.zeros(pixels.shape, bool), distinct=True)
    assert (summary.numbers["DISTINCT"], summary.numbers["MEDIAN"]) == (0, None)


def test_infinities_show_in_percentiles_only() -> None:
    pixels = np.array([[[1, 2, 4, np.inf, np.inf]]], "float32")
    (row,) = rows_of(summary_of(pixels, percentiles=(0, 50, 75, 100)))
    assert (row["p0"], row["median"], row["p75"], row["p100"]) == (1, 4, math.inf, math.inf)
    assert row["skewness"] == pytest.approx(stats.skew([1, 2, 4]))


@pytest.mark.parametrize("wrong", ["101", "-1", (50.0,) * 1002, "two"])
def test_wrong_percentiles(wrong: Any) -> None:
    with pytest.raises(InputError):
        RasterStatistics(percentiles=wrong)


# ---------------------------------------------------------------- mask and polygons

ROWS, COLS = 600, 700


def in_context(
    procedure: Any, tmp_path: Path, *, polygons: str = "", mask: Any = None, extent: Any = None
) -> tuple[np.ndarray, Summary]:
    """The pixels, of which a tenth is 0 and invalid, and what a procedure finds."""
    random = np.random.default_rng(1)
    pixels = random.integers(1, 3000, (1, ROWS, COLS)).astype("uint16")
    pixels[random.random(pixels.shape) < 0.1] = 0
    grid = Affine(1, 0, 0, 0, -1, 0)
    with EOContextManager(inline=True) as context:
        keys = {
            "INPUT": context.create_image(Profile(COLS, ROWS, "uint16", (Band(0),), None, grid))
        }
        context.get_array(keys["INPUT"])[:] = pixels
        if mask is not None:
            rows, cols = mask.shape
            about = Profile(cols, rows, mask.dtype.name, (Band(255),), None, grid)
            keys["MASK"] = context.create_image(about)
            context.get_array(keys["MASK"])[0] = mask
        if polygons:
            path = tmp_path / "polygons.geojson"
            path.write_text(polygons)
            keys["POLYGONS"] = context.open_polygons(str(path))
        summary = context.run(procedure, keys, extent=extent).summary
        assert summary is not None
        return pixels[0], summary


def test_long_tasks_change_no_bit() -> None:
    pixels = np.random.default_rng(5).gamma(2, 100, (1, 7 * CELL - 3, 5 * CELL + 9))
    found = set()
    # rows of cells but for the last two, four, and none at all
    for workers in (0, 2, 5):
        with EOContextManager(workers, inline=not workers) as context:
            key = context.create_image(Profile(*pixels.shape[:0:-1], "float32"))
            context.get_array(key)[:] = pixels
            found.add(repr(context.reduce(BandMoments(), [key])))
    assert len(found) == 1


@pytest.mark.parametrize(
    ("options", "vrt", "cols"),
    [
        (["TILED=YES", "BLOCKXSIZE=256", "BLOCKYSIZE=256"], False, {CELL, 88}),
        ([], False, {4 * CELL + 600}),
        ([], True, {4 * CELL + 600}),
    ],
)
def test_no_block_is_decoded_for_several_reads(
    options: list[str], vrt: bool, cols: set[int], tmp_path: Path, monkeypatch
) -> None:
    path, read, seen = str(tmp_path / "a.tif"), RasterFile.read, set()
    pixels = np.random.default_rng(5).gamma(2, 100, (CELL + 40, 4 * CELL + 600)).astype("float32")
    file = gdal.GetDriverByName("GTiff").Create(path, *pixels.shape[::-1], 1, 6, options)
    file.WriteArray(pixels)
    file = None
    if vrt:
        path = str(tmp_path / "a.vrt")
        gdal.Translate(path, str(tmp_path / "a.tif"), format="VRT").FlushCache()

    def noted(self: RasterFile, window: Window, *rest: Any, **named: Any) -> np.ndarray:
        seen.add(window.cols)
        return read(self, window, *rest, **named)

    monkeypatch.setattr(RasterFile, "read", noted)
    with EOContextManager(inline=True) as context:
        found = context.run(RasterStatistics(percentiles=()), context.describe(path)).summary
    assert found is not None
    assert found.numbers["MEAN"] == pytest.approx(pixels.mean(dtype=float), rel=1e-12)
    assert seen == cols


def boxes(*corners: tuple[float, float, float, float]) -> str:
    """Rectangles from the first to the last row and column, both without."""
    features = [
        {
            "type": "Feature",
            "properties": {},
            "geometry": {
                "type": "Polygon",
                "coordinates": [
                    [[left, -top], [right, -top], [right, -bottom], [left, -bottom], [left, -top]]
                ],
            },
        }
        for top, left, bottom, right in corners
    ]
    return json.dumps({"type": "FeatureCollection", "features": features})


def agrees(summary: Summary, pixels: np.ndarray, inside: np.ndarray) -> None:
    (row,) = rows_of(summary)
    values = pixels[inside & (pixels != 0)]
    assert (row["valid"], row["invalid"]) == (values.size, int(inside.sum()) - values.size)
    assert row["sum"] == values.sum()
    assert row["median"] == np.median(values)
    assert row["distinct"] == np.unique(values).size


def test_a_mask_counts_where_it_is_valid_and_not_0(tmp_path: Path) -> None:
    mask = np.random.default_rng(2).choice(np.array([0, 1, 7, 255], "uint8"), (ROWS, COLS))
    asked = RasterStatistics(distinct=True)
    pixels, summary = in_context(asked, tmp_path, mask=mask)
    agrees(summary, pixels, (mask != 0) & (mask != 255))
    assert any("mask" in note for note in summary.notes)
    extent = Window(500, 30, 90, 600)
    pixels, summary = in_context(asked, tmp_path, mask=mask, extent=extent)
    agrees(summary, pixels[extent.slices], ((mask != 0) & (mask != 255))[extent.slices])


def test_a_mask_needs_the_images_grid(tmp_path: Path) -> None:
    with pytest.raises(GridError):
        in_context(RasterStatistics(), tmp_path, mask=np.ones((3, 4), "uint8"))


def test_polygons_count_inside_once_and_with_a_mask(tmp_path: Path) -> None:
    inside = np.zeros((ROWS, COLS), bool)
    inside[10:540, 20:130] = inside[500:560, 100:650] = True
    layer = boxes((10, 20, 540, 130), (500, 100, 560, 650), (900, 900, 950, 950))
    asked = RasterStatistics(distinct=True)
    pixels, summary = in_context(asked, tmp_path, polygons=layer)
    agrees(summary, pixels, inside)
    assert any("or empty: 1 of 3." in note for note in summary.notes)
    mask = np.zeros((ROWS, COLS), "uint8")
    mask[:, ::2] = 1
    pixels, summary = in_context(asked, tmp_path, polygons=layer, mask=mask)
    agrees(summary, pixels, inside & (mask == 1))


def test_all_touched_pixels(tmp_path: Path) -> None:
    layer = boxes((10.7, 20.7, 30.2, 40.2))
    inside, touched = np.zeros((ROWS, COLS), bool), np.zeros((ROWS, COLS), bool)
    inside[11:30, 21:40] = touched[10:31, 20:41] = True
    for all_touched, wanted in ((False, inside), (True, touched)):
        asked = RasterStatistics(distinct=True, all_touched=all_touched)
        pixels, summary = in_context(asked, tmp_path, polygons=layer)
        agrees(summary, pixels, wanted)


def test_polygons_that_cross_themselves_are_repaired_and_said(tmp_path: Path) -> None:
    bow = json.loads(boxes((0, 0, 40, 40)))
    ring = [[10, -10], [50, -50], [50, -10], [10, -50], [10, -10]]
    bow["features"][0]["geometry"]["coordinates"] = [ring]
    _, summary = in_context(RasterStatistics(), tmp_path, polygons=json.dumps(bow))
    assert 700 < summary.numbers["VALID"] + summary.numbers["INVALID"] < 900
    assert any("were repaired: 1 of 1." in note for note in summary.notes)


def test_nothing_inside(tmp_path: Path) -> None:
    with pytest.warns(InputWarning, match="lies on the image"):
        _, summary = in_context(RasterStatistics(), tmp_path, polygons=boxes((900, 900, 950, 950)))
    assert (summary.numbers["VALID"], summary.numbers["INVALID"]) == (0, 0)
    assert summary.numbers["MEAN"] is summary.numbers["MEDIAN"] is None


def test_histogram_and_percentiles_look_there_too(tmp_path: Path) -> None:
    layer = boxes((10, 20, 540, 130))
    pixels, summary = in_context(Percentiles(), tmp_path, polygons=layer)
    values = pixels[10:540, 20:130]
    values = values[values != 0]
    assert list(summary.tables[0].rows[0][3:]) == np.percentile(values, (2, 50, 98)).tolist()
    assert any("polygons" in note for note in summary.notes)
    mask = np.zeros((ROWS, COLS), "uint8")
    mask[10:540, 20:130] = 3
    _, summary = in_context(Histogram(binning="integers"), tmp_path, mask=mask)
    counts = [row[5] for row in summary.tables[0].rows]
    assert counts == np.bincount(values)[values.min() :].tolist()
    assert summary.tables[1].rows[0][2:4] == (values.size, 530 * 110 - values.size)
    edges = Histogram(binning="edges", edges=(0, 10, 3000))
    _, summary = in_context(edges, tmp_path, polygons=layer)
    wanted = np.histogram(values, (0, 10, 3000))[0].tolist()
    assert [row[5] for row in summary.tables[0].rows] == wanted
