"""Image comparison against NumPy, SciPy and a direct loop over windows."""

from __future__ import annotations

import math
from typing import Any, Optional

import numpy as np
import pytest
from scipy import ndimage, stats

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError
from eoscale_engine.procedures.image_comparison import ImageComparison
from eoscale_engine.profile import Affine, Band
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import REAL_DTYPES, random_image
from tests.engine.procedure_runs import Made, image, run


def compare(
    one: np.ndarray,
    two: np.ndarray,
    valid: Optional[np.ndarray] = None,
    extent: Any = None,
    **options: Any,
) -> Made:
    made: Made = run(
        ImageComparison(**options), image(one, valid), image(two, valid), extent=extent
    )
    return made


def noisy(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A smooth picture with some noise, and the same with more."""
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(0, 300, shape), (0, 4, 4)) + 100
    return smooth + random.normal(0, 4, shape), smooth + random.normal(0, 2, shape)


# ---------------------------------------------------------------- errors


def wanted(one: np.ndarray, two: np.ndarray) -> dict[str, float]:
    """By the formulas, in extended precision, of pixels that count."""
    x, r = one.astype(np.longdouble), two.astype(np.longdouble)
    d = x - r
    return {
        "bias": float(d.mean()),
        "mae": float(np.abs(d).mean()),
        "rmse": float(np.sqrt((d * d).mean())),
        "r_squared": float(1 - (d * d).sum() / ((r - r.mean()) ** 2).sum()),
        "correlation": float(((x - x.mean()) * (r - r.mean())).mean() / np.sqrt(x.var() * r.var())),
        "psnr": float(20 * np.log10((r.max() - r.min()) / np.sqrt((d * d).mean()))),
        "maximum_difference": float(np.abs(d).max()),
        "equal": float((d == 0).sum()),
    }


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_errors_of_every_dtype_over_its_whole_range(dtype: str, holes: float) -> None:
    one, valid = random_image(dtype, (2, 70, 90), seed=3, holes=holes)
    two, _ = random_image(dtype, (2, 70, 90), seed=4, holes=0)
    two[:, :20] = one[:, :20]
    if np.dtype(dtype).kind in "iu":
        nodata = 0 if dtype.startswith("u") else -99
        valid = valid & (one != nodata) & (two != nodata)
    made = compare(one, two, valid, ssim=False)
    for band, row in enumerate(made.rows()):
        where = valid[band]
        assert (row["valid"], row["invalid"]) == (where.sum(), (~where).sum())
        for name, value in wanted(one[band][where], two[band][where]).items():
            assert row[name] == pytest.approx(value, rel=1e-9, abs=1e-12), name


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_64_bit_integers_that_floats_cannot_tell_apart(dtype: str) -> None:
    random = np.random.default_rng(0)
    two = (2**62 + random.integers(0, 40, (1, 80, 600))).astype(dtype)
    one = two + random.integers(0, 5, two.shape).astype(dtype)
    [row] = compare(one, two, ssim=False).rows()
    small = {name: values - 2**62 for name, values in (("x", one), ("r", two))}
    x, r = (values.astype("int64").astype(float) for values in small.values())
    for name, value in wanted(x, r).items():
        assert row[name] == pytest.approx(value, rel=1e-12), name
    assert row["bias"] == int((x - r).sum()) / x.size


def test_the_farthest_64_bit_integers() -> None:
    limits = np.iinfo(np.int64)
    one = np.full((1, 3, 4), limits.max)
    two = np.full((1, 3, 4), limits.min)
    [row] = compare(one, two, ssim=False).rows()
    assert row["maximum_difference"] == 2**64 - 1
    assert row["bias"] == row["mae"] == float(2**64 - 1)
    [row] = compare(two, one, ssim=False).rows()
    assert row["bias"] == -float(2**64 - 1)


def test_images_of_different_types_and_scales() -> None:
    random = np.random.default_rng(1)
    stored = random.integers(1, 10000, (1, 30, 40)).astype("uint16")
    values = stored * 0.0001 - 0.1
    two = (values + random.normal(0, 0.01, values.shape)).astype("float32")
    scaled = image(stored, bands=[Band(scale=0.0001, offset=-0.1, unit="1", name="red")])
    made = run(ImageComparison(output=True), scaled, image(two))
    [row] = made.rows()
    for name, value in wanted(values[0], two[0].astype(float)).items():
        assert row[name] == pytest.approx(value, rel=1e-9), name
    assert row["unit"] == "1"
    assert made.image().pixels.dtype == np.float32
    np.testing.assert_allclose(made.image().pixels, values - two, atol=1e-7)
    assert made.image().profile.bands[0].scale == 1
    assert any("Image: Band 1: value = pixel * 0.0001" in note for note in made.summary.notes)
    [row] = run(ImageComparison(raw=True, ssim=False), scaled, image(two)).rows()
    assert row["bias"] == pytest.approx(stored.mean() - two.astype(float).mean())


def test_where_the_largest_difference_is() -> None:
    """The first in row order, which is not the first in the order of cells."""
    one, two = np.zeros((2, 1, 700, 1100), "int16")
    one[0, 3, 900] = 7  # second cell, earlier row
    one[0, 100, 20] = -7
    one[0, 650, 3] = 7
    profile = image(one).profile
    with EOContextManager(inline=True) as context:
        keys = [context.create_image(profile.updated({"transform": Affine(10, 0, 500, 0, -10, 90)}))
                for _ in range(2)]  # fmt: skip
        context.get_array(keys[0])[:] = one
        summary = context.run(ImageComparison(), keys).summary
        part = context.run(ImageComparison(), keys, extent=Window(90, 10, 560, 60)).summary
    assert summary and part
    row = dict(zip(summary.tables[0].columns, summary.tables[0].rows[0]))
    places = [row[name] for name in ("maximum_difference", "row", "column", "x", "y")]
    assert places == [7, 3, 900, 500 + 9005, 90 - 35]
    row = dict(zip(part.tables[0].columns, part.tables[0].rows[0]))
    assert [row[name] for name in ("row", "column", "x", "y")] == [10, 10, 500 + 205, 90 - 1005]


def test_several_cells_and_two_workers() -> None:
    one, two = (values.astype("float32") for values in noisy((2, 600, 1100)))
    with EOContextManager(nb_workers=2) as context:
        keys = [context.create_image(image(values).profile) for values in (one, two)]
        for key, values in zip(keys, (one, two)):
            context.get_array(key)[:] = values
        made = context.run(ImageComparison(), keys)
    summary = made.summary
    assert made.images == (None,)
    assert summary
    for band, found in enumerate(summary.tables[0].rows):
        row = dict(zip(summary.tables[0].columns, found))
        for name, value in wanted(one[band], two[band]).items():
            assert row[name] == pytest.approx(value, rel=1e-10), name
        pearson = stats.pearsonr(one[band].ravel().astype(float), two[band].ravel().astype(float))
        assert row["correlation"] == pytest.approx(pearson[0], rel=1e-10)
        assert row["ssim"] == pytest.approx(filtered(one[band], two[band]), rel=1e-10)
        assert row["ssim_windows"] == 590 * 1090


# ---------------------------------------------------------------- structural similarity


def kernel(window: str) -> np.ndarray:
    if window == "uniform":
        return np.full((7, 7), 1 / 49)
    line = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    return np.outer(line, line) / line.sum() ** 2


def one_window(x: np.ndarray, r: np.ndarray, weights: np.ndarray, peak: float) -> float:
    mx, mr = (weights * x).sum(), (weights * r).sum()
    vx, vr = (weights * (x - mx) ** 2).sum(), (weights * (r - mr) ** 2).sum()
    c = (weights * (x - mx) * (r - mr)).sum()
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    value = (2 * mx * mr + c1) * (2 * c + c2) / ((mx**2 + mr**2 + c1) * (vx + vr + c2))
    return float(value)


def by_loop(
    x: np.ndarray, r: np.ndarray, counts: np.ndarray, window: str, peak: float
) -> tuple[int, float]:
    weights = kernel(window)
    side = len(weights)
    found = []
    for row in range(x.shape[0] - side + 1):
        for col in range(x.shape[1] - side + 1):
            place = slice(row, row + side), slice(col, col + side)
            if counts[place].all():
                found.append(one_window(x[place], r[place], weights, peak))
    return len(found), float(np.mean(found))


def filtered(x: np.ndarray, r: np.ndarray) -> float:
    """As scikit-image's structural_similarity with gaussian weights, sigma 1.5, population."""
    x, r = x.astype(float), r.astype(float)

    def mean(values: np.ndarray) -> np.ndarray:
        smooth: np.ndarray = ndimage.gaussian_filter(values, 1.5, truncate=3.5)
        return smooth

    ux, uy = mean(x), mean(r)
    vx, vy, vxy = mean(x * x) - ux * ux, mean(r * r) - uy * uy, mean(x * r) - ux * uy
    peak = r.max() - r.min()
    c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
    found = (2 * ux * uy + c1) * (2 * vxy + c2) / ((ux**2 + uy**2 + c1) * (vx + vy + c2))
    return float(found[5:-5, 5:-5].mean())


@pytest.mark.parametrize("window", ["gaussian", "uniform"])
@pytest.mark.parametrize("peak", [None, 255.0])
def test_similarity_against_a_loop_over_windows(window: str, peak: Optional[float]) -> None:
    """With holes, of which every window that touches one is left out."""
    one, two = noisy((2, 45, 50), seed=2)
    two[1] += 3000  # far from 0, with the same variances
    one[1] += 3000
    valid = np.ones(one.shape, bool)
    valid[0, 10, 11] = valid[1, 30:, :8] = False
    made = compare(one, two, valid, ssim_window=window, peak=peak)
    for band, row in enumerate(made.rows()):
        where = valid[band]
        scale = peak or np.ptp(two[band][where])
        windows, mean = by_loop(one[band], two[band], where, window, scale)
        assert row["ssim_windows"] == windows
        assert row["ssim"] == pytest.approx(mean, rel=1e-10)
        assert row["peak"] == pytest.approx(scale)


def test_similarity_far_from_zero_keeps_its_digits() -> None:
    one, two = noisy((1, 30, 30), seed=5)
    one, two = np.round(one), np.round(two)  # so that adding a large number changes no difference
    near = by_loop(one[0], two[0], np.ones(one.shape[1:], bool), "gaussian", 50.0)
    [row] = compare(one + 2.0**33, two + 2.0**33, peak=50).rows()
    # the luminance term is 1 there
    weights, found = kernel("gaussian"), []
    for r in range(20):
        for c in range(20):
            x, y = one[0, r : r + 11, c : c + 11], two[0, r : r + 11, c : c + 11]
            mx, my = (weights * x).sum(), (weights * y).sum()
            top = 2 * (weights * (x - mx) * (y - my)).sum() + 1.5**2
            below = (weights * (x - mx) ** 2).sum() + (weights * (y - my) ** 2).sum() + 1.5**2
            found.append(top / below)
    assert near[0] == row["ssim_windows"] == 400
    assert row["ssim"] == pytest.approx(np.mean(found), rel=1e-9)


def test_similarity_sees_no_pixel_beyond_the_extent() -> None:
    one, two = noisy((1, 40, 60), seed=7)
    extent = Window(5, 9, 21, 30)
    [part] = compare(one, two, extent=extent).rows()
    place = (slice(None), *extent.slices)
    [crop] = compare(one[place].copy(), two[place].copy()).rows()
    assert part["ssim"] == crop["ssim"]
    assert part["ssim_windows"] == 11 * 20
    assert part["rmse"] == crop["rmse"]


# ---------------------------------------------------------------- special values


def test_equal_images() -> None:
    one, _ = noisy((1, 30, 30))
    [row] = compare(one, one).rows()
    assert row["psnr"] == math.inf
    assert (row["bias"], row["mae"], row["rmse"], row["maximum_difference"]) == (0, 0, 0, 0)
    assert (row["r_squared"], row["equal"], row["equal_share"]) == (1, 900, 1)
    assert row["correlation"] == pytest.approx(1, rel=1e-14)
    assert row["ssim"] == pytest.approx(1, rel=1e-14)
    assert (row["row"], row["column"]) == (0, 0)


def test_a_constant_reference_has_no_range() -> None:
    one, two = noisy((1, 30, 30))[0], np.full((1, 30, 30), 0.3)
    made = compare(one, two)
    [row] = made.rows()
    for name in ("psnr", "r_squared", "correlation", "ssim", "peak"):
        assert row[name] is None, name
    assert row["rmse"] == pytest.approx(np.sqrt(((one - two) ** 2).mean()))
    assert any("give a peak" in note for note in made.summary.notes)
    [row] = compare(one, two, peak=10).rows()
    assert row["psnr"] == pytest.approx(20 * math.log10(10 / row["rmse"]))
    assert 0 < row["ssim"] < 0.1
    [row] = compare(two, one, peak=10).rows()
    assert row["correlation"] is None
    assert row["r_squared"] < 0


@pytest.mark.filterwarnings("error")
def test_infinite_pixels_count_but_are_left_out() -> None:
    one, two = noisy((1, 40, 40))
    one[0, 3, 3], two[0, 20, 20] = np.inf, -np.inf
    one[0, 5, 5] = two[0, 5, 5] = np.inf
    one[0, 7, 7] = np.nan
    made = compare(one, two, output=True)
    [row] = made.rows()
    where = np.isfinite(one[0]) & np.isfinite(two[0])
    assert (row["valid"], row["invalid"], row["infinite"]) == (1599, 1, 3)
    found = wanted(one[0][where], two[0][where])
    assert row["equal"] == found.pop("equal") + 1
    for name, value in found.items():
        assert row[name] == pytest.approx(value, rel=1e-10), name
    scale = np.ptp(two[0][where])
    windows, mean = by_loop(np.where(where, one[0], 0), np.where(where, two[0], 0), where,
                            "gaussian", scale)  # fmt: skip
    assert (row["ssim_windows"], row["ssim"]) == (windows, pytest.approx(mean, rel=1e-10))
    difference = made.image()
    known = ~np.isnan(one) & ~np.isnan(two) & (one != two)
    np.testing.assert_array_equal(difference.valid, known | where)
    assert sum(made.summary.charts[0].series[0][2]) <= where.sum()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_no_valid_pixel(dtype: str) -> None:
    pixels = np.ones((2, 20, 30), dtype)
    valid = np.zeros(pixels.shape, bool)
    valid[1, 4, 5] = True
    made = compare(pixels, pixels, valid, output=True)
    none, one = made.rows()
    assert (none["valid"], none["invalid"], none["equal"]) == (0, 600, 0)
    rest = set(none) - {"band", "name", "unit", "valid", "invalid", "infinite", "equal"}
    assert all(none[name] is None for name in rest)
    assert (one["valid"], one["equal"], one["bias"], one["psnr"]) == (1, 1, 0, None)
    assert (one["row"], one["column"], one["ssim"]) == (4, 5, None)
    assert set(made.summary.numbers.values()) == {None}


@pytest.mark.filterwarnings("error")
def test_values_whose_squares_overflow() -> None:
    one, two = np.zeros((2, 1, 20, 20))
    one[0, 2, 3], two[0, 2, 3] = 1.5e308, -1.5e308
    two[0, 0, 0] = 1.5e308
    [row] = compare(one, two, output=True).rows()
    assert row["rmse"] == row["maximum_difference"] == math.inf
    assert row["psnr"] is None
    assert row["ssim"] is None


def test_an_image_smaller_than_a_window() -> None:
    one, two = noisy((1, 8, 30))
    [row] = compare(one, two).rows()
    assert (row["ssim"], row["ssim_windows"]) == (None, 0)
    assert row["rmse"] > 0


# ---------------------------------------------------------------- the image and the chart


def test_the_image_of_differences() -> None:
    one = np.array([[[2**63 - 1, 5, -7, 0]]], "int64")
    two = np.array([[[2**63 - 3, 9, -2, 0]]], "int64")
    made = compare(one, two, output=True)
    assert made.image().pixels.tolist() == [[[2, -4, -5, 0]]]
    assert made.image().pixels.dtype == np.float64
    one8, two8 = (np.array([[[3, 250]]], "uint8"), np.array([[[9, 1]]], "uint8"))
    valid = np.array([[[True, False]]])
    difference = compare(one8, two8, valid, output=True).image()
    assert difference.pixels.dtype == np.float32
    assert difference.pixels[0, 0, 0] == -6
    assert difference.valid.tolist() == [[[True, False]]]


def test_the_histogram_of_differences() -> None:
    one, two = noisy((1, 50, 60))
    two[0, 0, 0] += 1e6
    made = compare(one, two)
    [(_, places, counts)] = made.summary.charts[0].series
    reach = 4 * made.rows()[0]["rmse"]
    expected, edges = np.histogram(one - two, 101, (-reach, reach))
    assert list(counts) == expected.tolist()
    np.testing.assert_allclose(places, (edges[1:] + edges[:-1]) / 2, atol=1e-9 * reach)


def test_bad_parameters() -> None:
    for peak in (0, math.inf):
        with pytest.raises(InputError, match="(?i)peak"):
            ImageComparison(peak=peak)
    with pytest.raises(InputError, match="must be at least 0"):
        ImageComparison(peak=-1)
    with pytest.raises(InputError, match=r"1 band.*Reference image. 2"):
        compare(np.zeros((1, 3, 3)), np.zeros((2, 3, 3)))
