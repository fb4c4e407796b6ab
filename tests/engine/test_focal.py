"""Focal statistics against direct loops in exact arithmetic, SciPy, and themselves in blocks."""

from __future__ import annotations

import statistics
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from eoscale_engine.errors import InputError
from eoscale_engine.filters.neighbourhood.focal import STATISTICS, FocalStatistics
from eoscale_engine.filters.neighbourhood.windows import windows_near_invalid
from eoscale_engine.profile import Band
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import (
    REAL_DTYPES,
    images,
    profile_of,
    random_image,
    run,
    same_bits,
)

EXACT = ("count", "minimum", "maximum", "lower median", "majority", "minority", "variety")
SHAPES = ("square", "disk", "ring", "given")
CELLS = ((0, 1, 1, 0, 0), (1, 0, 0, 1, 1), (0, 0, 1, 0, 0))


def interpolated(values: list[Fraction], share: float) -> Fraction:
    """The percentile between the sorted values around a place."""
    place = Fraction(share) * (len(values) - 1) / 100
    low, high = sorted(values)[int(place)], sorted(values)[-int(-place // 1)]
    return low + (high - low) * (place - int(place))


def most_common(values: list[Fraction], sign: int) -> Fraction:
    """Majority (sign -1) or minority (1): the smallest of equally frequent ones."""
    return min(set(values), key=lambda value: (sign * values.count(value), value))


def in_window(focal: FocalStatistics, row: int, col: int) -> bool:
    """Whether the pixel so far from the centre belongs to the window."""
    if focal.shape == "given":
        cells = focal.window or ()
        row, col = row + len(cells) // 2, col + len(cells[0]) // 2
        return 0 <= row < len(cells) and 0 <= col < len(cells[0]) and cells[row][col] == 1
    if focal.shape == "square":
        return max(abs(row), abs(col)) <= focal.radius
    inner = focal.inner_radius if focal.shape == "ring" else 0
    return inner <= (row**2 + col**2) ** 0.5 <= focal.radius


def focal_of(statistic: str, shape: str, radius: int, **options: Any) -> FocalStatistics:
    """With an inner radius and a window, for the shapes that need them."""
    given_window = {"inner_radius": radius - 0.5, "window": CELLS, "percentile": 30.0}
    return FocalStatistics(statistic, shape, radius, **{**given_window, **options})


def expected(name: str, values: list[Fraction], share: float) -> Any:
    """The statistic of a window's valid pixels, in exact arithmetic up to the square root."""
    return {
        "mean": lambda: statistics.mean(values),
        "sum": lambda: sum(values),
        "count": lambda: len(values),
        "minimum": lambda: min(values),
        "maximum": lambda: max(values),
        "range": lambda: max(values) - min(values),
        "variance": lambda: statistics.pvariance(values),
        "standard deviation": lambda: float(statistics.pvariance(values)) ** 0.5,
        "median": lambda: statistics.median(values),
        "lower median": lambda: statistics.median_low(values),
        "percentile": lambda: interpolated(values, share),
        "majority": lambda: most_common(values, -1),
        "minority": lambda: most_common(values, 1),
        "variety": lambda: len(set(values)),
    }[name]()


def reference(focal: FocalStatistics, pixels: np.ndarray, valid: np.ndarray) -> list[Any]:
    """One value or None for each pixel of a band, by a direct loop over its window."""
    rows, cols = pixels.shape
    radius = focal.margin
    found: list[Any] = []
    for row, col in np.ndindex(rows, cols):
        window, size = [], 0
        for y in range(row - radius, row + radius + 1):
            for x in range(col - radius, col + radius + 1):
                if not in_window(focal, y - row, x - col):
                    continue
                size += 1
                if 0 <= y < rows and 0 <= x < cols and valid[y, x]:
                    window.append(Fraction(pixels[y, x].item()))
        enough = len(window) * 100 >= focal.minimum_share * size
        if focal.nodata == "propagate":
            enough = len(window) == size
        if not window and focal.statistic != "count":
            enough = False
        enough = enough and (focal.fill or bool(valid[row, col]))
        found.append(expected(focal.statistic, window, focal.percentile) if enough else None)
    return found


def check_against_loop(focal: FocalStatistics, pixels: np.ndarray, valid: np.ndarray) -> None:
    """Values and validity of every band, to the tolerance that the declaration states."""
    result, where = run(focal, pixels, valid)
    for band in range(len(pixels)):
        wanted = reference(focal, pixels[band], valid[band])
        assert where[band].ravel().tolist() == [value is not None for value in wanted]
        magnitude = float(np.abs(pixels[band][valid[band]].astype(float)).max(initial=0))
        tolerance = 0.0
        if result.dtype.kind == "f" and focal.statistic not in EXACT:
            tolerance = np.finfo(result.dtype).eps * 4
            tolerance *= magnitude**2 if focal.statistic == "variance" else magnitude
            tolerance *= (2 * focal.margin + 1) ** 2 if focal.statistic == "sum" else 1
        for value, want in zip(result[band].ravel().tolist(), wanted):
            if want is not None:
                assert abs(Fraction(value) - Fraction(want)) <= tolerance


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_values_of_every_dtype(statistic: str, dtype: str) -> None:
    pixels, valid = random_image(dtype, (2, 6, 9), seed=7, holes=0.2)
    valid[1] = True
    pixels[np.isnan(pixels)] = 1.5 if np.dtype(dtype).kind == "f" else 1
    pixels[:, ::2] = pixels[:, :1]  # some that occur more than once
    for shape in ("square", "given"):
        check_against_loop(focal_of(statistic, shape, 2), pixels, valid)


@pytest.mark.parametrize("radius", [1, 2, 3, 4, 5, 7, 8])
@pytest.mark.parametrize("shape", ["square", "disk", "ring"])
@pytest.mark.parametrize("statistic", ["sum", "maximum", "variance", "median", "minority"])
def test_values_of_every_radius(statistic: str, shape: str, radius: int) -> None:
    pixels, valid = random_image("int16", (1, 11, 12), seed=radius, holes=0.1)
    check_against_loop(focal_of(statistic, shape, radius), pixels, valid)


@pytest.mark.parametrize("statistic", ["mean", "count", "minimum", "median", "majority"])
@pytest.mark.parametrize("nodata", ["ignore", "propagate"])
@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize("share", [0.0, 40.0, 100.0])
def test_nodata_policies(statistic: str, nodata: str, fill: bool, share: float) -> None:
    pixels, valid = random_image("float32", (1, 13, 14), seed=3, holes=0.15)
    valid[0, 2:10, 3:10] = False
    focal = FocalStatistics(statistic, "square", 2, nodata, share, fill)
    check_against_loop(focal, pixels, valid)


@pytest.mark.parametrize("shape", ["square", "disk", "ring"])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_margin_larger_than_the_image(statistic: str, shape: str) -> None:
    for size in ((1, 1), (1, 9), (9, 1), (3, 4)):
        pixels, valid = random_image("float64", (1, *size), seed=5)
        check_against_loop(focal_of(statistic, shape, 6, inner_radius=1.5), pixels, valid)


@pytest.mark.parametrize("statistic", STATISTICS)
def test_no_valid_pixel(statistic: str) -> None:
    pixels, valid = random_image("float32", (1, 5, 6), seed=1, holes=1)
    assert not run(FocalStatistics(statistic), pixels, valid)[1].any()
    result, where = run(FocalStatistics(statistic, fill=True), pixels, valid)
    assert where.all() == where.any() == (statistic == "count")
    assert not result.any()
    assert not FocalStatistics(statistic).makes_invalid
    # a window without its centre may hold no pixel of an image of one pixel
    ring = FocalStatistics(statistic, "ring")
    assert run(ring, pixels[:, :1, :1])[1].all() == (statistic == "count")
    assert ring.makes_invalid == (statistic != "count")


def test_scipy_agrees_inside_the_image() -> None:
    pixels = np.random.default_rng(0).normal(100, 20, (1, 40, 50)).astype("float32")
    inside = (slice(3, -3), slice(3, -3))
    disk = np.add.outer(np.arange(-3, 4) ** 2, np.arange(-3, 4) ** 2) <= 9
    wide = pixels[0].astype(float)
    for statistic, shape, wanted in (
        ("mean", "square", ndimage.uniform_filter(wide, 7)),
        ("minimum", "square", ndimage.minimum_filter(wide, 7)),
        ("maximum", "disk", ndimage.maximum_filter(wide, footprint=disk)),
        ("sum", "disk", ndimage.convolve(wide, disk.astype(float))),
        ("standard deviation", "disk", ndimage.generic_filter(wide, np.std, footprint=disk)),
        ("variance", "square", ndimage.generic_filter(wide, np.var, 7)),
        ("median", "square", ndimage.median_filter(wide, 7)),
        ("percentile", "disk", ndimage.generic_filter(wide, np.percentile, footprint=disk,
                                                      extra_arguments=(35,))),
    ):  # fmt: skip
        result, where = run(FocalStatistics(statistic, shape, 3, percentile=35), pixels)
        assert where.all()
        np.testing.assert_allclose(result[0][inside], wanted[inside], rtol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    image=images(),
    statistic=st.sampled_from(STATISTICS),
    shape=st.sampled_from(SHAPES),
    radius=st.integers(1, 4),
    nodata=st.sampled_from(["ignore", "propagate"]),
    fill=st.booleans(),
)
def test_same_bits_for_any_blocks(
    image: Any, statistic: str, shape: str, radius: int, nodata: str, fill: bool
) -> None:
    pixels, valid, block = image
    focal = focal_of(statistic, shape, radius, nodata=nodata, fill=fill)
    whole = run(focal, pixels, valid)
    assert same_bits(whole, run(focal, pixels, valid, block=block))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_same_bits_with_masks_and_without(statistic: str, shape: str) -> None:
    """One block sees the border, and has a mask; most of several small ones do not."""
    pixels, _ = random_image("float32", (1, 30, 34), seed=2)
    focal = focal_of(statistic, shape, 2)
    assert same_bits(run(focal, pixels), run(focal, pixels, block=(7, 8)))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_same_bits_with_an_invalid_pixel_far_away(statistic: str, shape: str) -> None:
    pixels, valid = random_image("float32", (1, 30, 200), seed=2)
    valid[0, 15, 100] = False
    focal = focal_of(statistic, shape, 3)
    masked, clean = run(focal, pixels, valid), run(focal, pixels)
    far = np.ones(valid.shape, bool)
    far[0, 12:19, 97:104] = False
    assert masked[0][far].tobytes() == clean[0][far].tobytes()
    assert (masked[1] == valid)[clean[1]].all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("statistic", STATISTICS)
def test_one_pixel_of_margin_less_differs(statistic: str, shape: str) -> None:
    pixels = np.random.default_rng(4).normal(size=(1, 20, 20))
    focal = focal_of(statistic, shape, 3)
    assert not same_bits(run(focal, pixels), run(focal, pixels, block=(7, 7), blind=1))


@pytest.mark.parametrize("statistic", ["variance", "standard deviation"])
@pytest.mark.parametrize("shape", ["square", "disk"])
@pytest.mark.parametrize(("level", "step"), [(4000.0, 2.0**-11), (1e6, 0.0625)])
def test_variance_keeps_its_digits_on_a_large_offset(
    statistic: str, shape: str, level: float, step: float
) -> None:
    random = np.random.default_rng(6)
    pixels = (level + step * random.integers(0, 3, (1, 12, 12))).astype("float32")
    valid = random.random(pixels.shape) > 0.1
    focal = FocalStatistics(statistic, shape, 3)
    result, where = run(focal, pixels, valid)
    wanted = reference(focal, pixels[0], valid[0])
    want = np.array([np.nan if value is None else float(value) for value in wanted])
    np.testing.assert_allclose(result[0][where[0]], want[where[0].ravel()], rtol=3e-7)


def test_sums_and_ranges_of_extreme_integers_are_exact() -> None:
    for dtype in REAL_DTYPES[:8]:
        info = np.iinfo(dtype)
        pixels = np.full((1, 9, 9), info.max, dtype)
        pixels[0, 4, 4] = info.min
        total, _ = run(FocalStatistics("sum", radius=2), pixels)
        spread, _ = run(FocalStatistics("range", radius=1), pixels)
        digits = 0 if np.dtype(dtype).itemsize < 8 else 2**13
        assert abs(int(total[0, 4, 4]) - (24 * info.max + info.min)) <= digits
        assert abs(int(spread[0, 4, 4]) - (info.max - info.min)) <= digits
        assert spread[0, 0, 0] == 0


def check_against_loop_in_floats(focal: FocalStatistics, pixels: np.ndarray) -> None:
    """With infinite pixels, of which there are no fractions."""
    result, where = run(focal, pixels)
    assert where.all()
    for row, col in np.ndindex(pixels.shape[1:]):
        around = pixels[0, max(0, row - 1) : row + 2, max(0, col - 1) : col + 2].ravel()
        wanted = {
            "median": lambda values=around: statistics.median(np.clip(values, -1e30, 1e30)),
            "lower median": lambda values=around: statistics.median_low(values),
            "majority": lambda values=around: statistics.mode(sorted(values)),
            "percentile": lambda values=around: np.percentile(
                np.clip(values, -1e30, 1e30), focal.percentile
            ),
        }[focal.statistic]()
        value = result[0, row, col]
        assert value == wanted or (abs(wanted) > 1e28 and value == np.copysign(np.inf, wanted))


def test_infinite_pixels_are_values() -> None:
    pixels = np.zeros((1, 5, 9), "float32")
    pixels[0, 2, 2] = np.inf
    mean, where = run(FocalStatistics("mean"), pixels)
    assert np.isinf(mean[0, 1:4, 1:4]).all()
    assert np.isfinite(mean).sum() == 45 - 9
    assert where.all()
    pixels[0, 0, :4] = -np.inf
    for statistic in ("median", "lower median", "percentile", "majority"):
        check_against_loop_in_floats(FocalStatistics(statistic, percentile=30), pixels)


def test_zeros_have_one_sign() -> None:
    random = np.random.default_rng(0)
    pixels = np.where(random.random((1, 20, 300)) < 0.5, -0.0, 0.0).astype("float32")
    for statistic in ("minimum", "maximum", "range", "median", "lower median", "percentile"):
        assert not np.signbit(run(FocalStatistics(statistic), pixels)[0]).any()


@pytest.mark.parametrize(("scale", "offset"), [(0.5, 10.0), (-2.0, 0.0)])
@pytest.mark.parametrize("dtype", ["int16", "float32", "int64"])
@pytest.mark.parametrize("statistic", STATISTICS)
def test_physical_values(statistic: str, dtype: str, scale: float, offset: float) -> None:
    pixels = np.random.default_rng(1).integers(-100, 100, (1, 8, 9)).astype(dtype)
    valid = np.random.default_rng(2).random(pixels.shape) > 0.2
    focal = FocalStatistics(statistic, "disk", 2, percentile=30)
    bands = (Band(scale=scale, offset=offset),)
    result, where = run(focal, pixels, valid, bands=bands)
    (output,) = focal.output_profiles([profile_of(pixels, bands)])
    values = result[0] * output.bands[0].scale + output.bands[0].offset
    if statistic in ("majority", "minority"):  # of equally frequent ones the smallest pixel
        wanted = reference(focal, pixels[0], valid[0])
        wanted = [None if value is None else value * scale + offset for value in wanted]
    else:
        wanted = reference(focal, pixels[0] * scale + offset, valid[0])
    want = np.array([np.nan if value is None else float(value) for value in wanted])
    np.testing.assert_allclose(values[where[0]], want[where[0].ravel()], rtol=1e-6, atol=1e-5)


def output_of(statistic: str, dtype: str, radius: int = 1, **band: Any) -> Any:
    bands = (Band(nodata=0, unit="m", **band),)
    pixels = np.zeros((1, 2, 2), dtype)
    return FocalStatistics(statistic, radius=radius).output_profiles([profile_of(pixels, bands)])[0]


@pytest.mark.parametrize(
    ("statistic", "dtype", "radius", "result"),
    [
        ("mean", "uint8", 1, "float32"),
        ("mean", "uint32", 1, "float32"),
        ("variance", "int64", 1, "float64"),
        ("standard deviation", "float64", 1, "float64"),
        ("count", "float64", 127, "uint16"),
        ("count", "uint8", 128, "uint32"),
        ("minimum", "int8", 1, "int8"),
        ("lower median", "uint16", 2, "uint16"),
        ("median", "uint16", 2, "float32"),
        ("median", "int32", 2, "float64"),
        ("median", "float32", 2, "float32"),
        ("majority", "float64", 2, "float64"),
        ("minority", "int64", 2, "int64"),
        ("percentile", "uint16", 2, "float32"),
        ("percentile", "int64", 2, "float64"),
        ("variety", "float32", 127, "uint16"),
        ("variety", "uint8", 128, "uint32"),
        ("maximum", "float64", 1, "float64"),
        ("range", "int8", 1, "uint16"),
        ("range", "uint16", 1, "uint32"),
        ("range", "int32", 1, "float64"),
        ("sum", "uint8", 200, "uint32"),
        ("sum", "uint16", 127, "uint32"),
        ("sum", "uint16", 128, "float64"),
        ("sum", "int16", 127, "int32"),
        ("sum", "int32", 1, "float64"),
        ("sum", "float32", 1, "float32"),
    ],
)
def test_output_dtypes(statistic: str, dtype: str, radius: int, result: str) -> None:
    assert output_of(statistic, dtype, radius).dtype == result


def test_a_median_of_whole_odd_windows_keeps_the_type() -> None:
    pixels, valid = random_image("uint8", (1, 12, 13), seed=2, holes=0.05)
    for options in ({"nodata": "propagate"}, {"minimum_share": 100.0}):
        focal = FocalStatistics("median", "square", 1, **options)  # type: ignore[arg-type]
        assert focal.output_profiles([profile_of(pixels)])[0].dtype == "uint8"
        check_against_loop(focal, pixels, valid)
        even = FocalStatistics("median", "given", window=((1, 0, 1),), **options)  # type: ignore[arg-type]
        assert even.output_profiles([profile_of(pixels)])[0].dtype == "float32"
        check_against_loop(even, pixels, valid)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_the_median_is_numpys_near_borders_and_holes(dtype: str) -> None:
    """Of an even number of pixels too: the lower one is too small on average."""
    small = np.array([[[0, 10], [20, 100]]], dtype)
    assert (run(FocalStatistics("median"), small)[0] == 15).all()
    assert (run(FocalStatistics("lower median"), small)[0] == 10).all()
    pixels = np.random.default_rng(4).integers(0, 120, (1, 40, 50)).astype(dtype)
    valid = np.random.default_rng(5).random(pixels.shape) > 0.1
    result, where = run(FocalStatistics("median", radius=2, fill=True), pixels, valid)
    assert where.all()
    for row, col in np.ndindex(pixels.shape[1:]):
        place = (0, slice(max(0, row - 2), row + 3), slice(max(0, col - 2), col + 3))
        assert result[0, row, col] == np.median(pixels[place][valid[place]])
    half = FocalStatistics("percentile", radius=2, fill=True, percentile=50)
    np.testing.assert_array_equal(run(half, pixels, valid)[0], result)


def test_output_bands() -> None:
    scaled = {"scale": 0.1, "offset": 5.0}
    mean, least = output_of("mean", "int16", **scaled), output_of("minimum", "int16", **scaled)
    total, variance = output_of("sum", "int16", **scaled), output_of("variance", "int16", **scaled)
    assert (mean.bands[0].scale, mean.bands[0].offset, mean.nodata) == (0.1, 5.0, None)
    assert (least.bands[0].scale, least.nodata, least.dtype) == (0.1, 0, "int16")
    assert (total.bands[0].scale, total.bands[0].offset, total.dtype) == (1.0, 0.0, "float32")
    assert total.bands[0].unit == "m"
    assert (variance.bands[0].unit, variance.nodata) == ("(m)^2", None)
    assert output_of("count", "int16", **scaled).bands[0].unit == ""


@pytest.mark.parametrize(
    "wrong",
    [{"radius": 0}, {"radius": 1.5}, {"statistic": "mode"}, {"shape": "hexagon"},
     {"nodata": "drop"}, {"minimum_share": 101},
     {"statistic": "percentile", "percentile": 101}, {"shape": "given"},
     {"shape": "given", "window": ((1, 1), (1, 1), (1, 1))}, {"shape": "given", "window": ()},
     {"shape": "given", "window": ((0, 0, 0),)}, {"shape": "given", "window": ((1, 2, 1),)},
     {"shape": "given", "window": ((1,),) * 1027}, {"shape": "ring", "inner_radius": 1.5}],
)  # fmt: skip
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        FocalStatistics(**wrong)


def test_holes_far_apart_are_computed_apart() -> None:
    pixels, valid = random_image("int16", (1, 12, 4000), seed=9)
    valid[0, 5, [0, 1200, 1201, 2600, 3999]] = False
    valid[0, 0, 2600] = False
    check_against_loop(FocalStatistics("mean", radius=1), pixels, valid)
    assert windows_near_invalid(valid[0], 1) == [
        Window(3, 0, 3, 1),
        Window(3, 1198, 3, 4),
        Window(0, 2598, 6, 3),
        Window(3, 3997, 3, 1),
    ]
    mostly_near = np.ones((125, 500), bool)
    mostly_near[:, [185, 370]] = False
    assert windows_near_invalid(mostly_near, 60) == [Window(0, 0, 5, 380)]


@pytest.mark.parametrize("shape", ["square", "disk"])
def test_windows_of_more_pixels_than_small_integers_hold(shape: str) -> None:
    radius = 130
    pixels, valid = random_image("float32", (1, 275, 275), seed=9)
    rows, cols = np.indices(pixels.shape[1:]) - 137
    size = np.count_nonzero(rows**2 + cols**2 <= radius**2) if shape == "disk" else 261**2
    assert run(FocalStatistics("count", shape, radius), pixels)[0][0, 137, 137] == size
    valid[0, 137, 138] = False
    count, _ = run(FocalStatistics("count", shape, radius), pixels, valid)
    assert count[0, 137, 137] == size - 1
    mean = FocalStatistics("mean", shape, radius)
    assert same_bits(run(mean, pixels), run(mean, pixels, block=(60, 70)))
