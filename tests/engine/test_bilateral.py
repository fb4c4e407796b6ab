"""The bilateral filter against a direct loop, its limits, and itself in blocks."""

from __future__ import annotations

from math import exp
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from eoscale_engine.errors import InputError
from eoscale_engine.filters.neighbourhood.bilateral import BilateralWithin
from eoscale_engine.procedures.bilateral import Bilateral
from eoscale_engine.profile import Band
from tests.engine import procedure_runs as procedures
from tests.engine.neighbourhoods import (
    REAL_DTYPES,
    images,
    profile_of,
    random_image,
    run,
    same_bits,
)


def within(sigma_range: float, *arguments: Any, **options: Any) -> BilateralWithin:
    """The filter with the same range sigma for two bands."""
    return BilateralWithin((sigma_range,) * 2, *arguments, **options)


def reference(
    pixels: np.ndarray, valid: np.ndarray, sigma_range: float, sigma_spatial: float, radius: int
) -> np.ndarray:
    """The filtered band, NaN where it is invalid; only real pixels, by a direct loop."""
    rows, cols = pixels.shape
    found = np.full(pixels.shape, np.nan)
    for row, col in zip(*np.nonzero(valid)):
        total = weights = 0.0
        for y in range(max(0, row - radius), min(rows, row + radius + 1)):
            for x in range(max(0, col - radius), min(cols, col + radius + 1)):
                away = (y - row) ** 2 + (x - col) ** 2
                if away <= radius**2 and valid[y, x]:
                    unlike = (float(pixels[y, x]) - float(pixels[row, col])) / sigma_range
                    weight = exp(-away / (2 * sigma_spatial**2) - min(unlike**2, 1e4) / 2)
                    total += weight * float(pixels[y, x])
                    weights += weight
        found[row, col] = total / weights
    return found


def noisy(dtype: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    steps = np.where(np.arange(shape[-1]) < shape[-1] // 2, 30, 90)
    pixels = steps + random.normal(0, 8, shape)
    return (pixels if np.dtype(dtype).kind == "f" else np.rint(pixels)).astype(dtype)


@pytest.mark.parametrize("holes", [0.0, 0.2])
@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_values_of_every_dtype(dtype: str, holes: float) -> None:
    pixels = noisy(dtype, (2, 11, 14))
    valid = np.random.default_rng(1).random(pixels.shape) >= holes
    pixels[~valid] = np.nan if np.dtype(dtype).kind == "f" else 60
    for sigma_range, sigma_spatial, radius in ((12.0, 1.5, None), (40.0, 1.0, 1), (5.0, 4.0, 3)):
        bilateral = within(sigma_range, sigma_spatial, radius, "invalid")
        result, where = run(bilateral, pixels, valid)
        assert (where == valid).all()
        assert result.dtype == ("float64" if np.dtype(dtype).itemsize == 8 else "float32")
        for band in range(2):
            wanted = reference(
                pixels[band], valid[band], sigma_range, sigma_spatial, radius or 3
            )  # fmt: skip
            inside = valid[band]
            rtol = 3e-7 if result.dtype == np.float32 else 1e-14
            np.testing.assert_allclose(result[band][inside], wanted[inside], rtol=rtol)


@pytest.mark.parametrize("dtype", ["uint16", "int64", "float32", "float64"])
def test_values_of_many_magnitudes(dtype: str) -> None:
    pixels, valid = random_image(dtype, (1, 12, 13), seed=2, holes=0.1)
    bilateral = within(50.0, 1.0, border="invalid")
    result, where = run(bilateral, pixels, valid)
    assert (where == valid).all()
    wanted = reference(pixels[0], valid[0], 50.0, 1.0, 2)
    largest = float(np.abs(wanted[valid[0]]).max())
    precision = (2e-7 if dtype in ("uint16", "float32") else 1e-15) * largest
    np.testing.assert_allclose(result[where], wanted[valid[0]], rtol=0, atol=precision)


@pytest.mark.parametrize(("border", "mode"), [("reflect", "symmetric"), ("nearest", "edge")])
def test_beyond_the_image(border: str, mode: Any) -> None:
    pixels = noisy("float32", (1, 9, 12))
    result, where = run(within(20.0, 2.0, border=border), pixels)
    wide = np.pad(pixels[0], 4, mode=mode)
    wanted = reference(wide, np.ones(wide.shape, bool), 20.0, 2.0, 4)[4:-4, 4:-4]
    assert where.all()
    np.testing.assert_allclose(result[0], wanted, rtol=3e-7)


def test_a_wide_range_is_the_gaussian_of_the_disk() -> None:
    pixels = noisy("float64", (1, 30, 40))
    result, _ = run(within(1e9, 2.0, 5), pixels)
    away = np.add.outer(np.arange(-5, 6) ** 2, np.arange(-5, 6) ** 2)
    kernel = np.where(away <= 25, np.exp(-away / 8), 0)
    np.testing.assert_allclose(result[0], ndimage.correlate(pixels[0], kernel / kernel.sum()))


def test_noise_goes_and_edges_stay() -> None:
    pixels = noisy("float32", (1, 60, 80))
    result, _ = run(within(20.0, 2.0), pixels)
    left, right = result[0, :, :40], result[0, :, 40:]
    assert left.std() < 3.5 > right.std()
    assert abs((right[:, 0] - left[:, -1]).mean() - 60) < 2
    tight, _ = run(within(1e-6), pixels)
    np.testing.assert_array_equal(tight, pixels)


def test_a_large_offset_costs_no_digits() -> None:
    steps = np.random.default_rng(3).integers(0, 3, (1, 12, 12)) * 2.0**-11
    result, _ = run(within(2.0**-10, border="invalid"), (4000 + steps).astype("float32"))
    wanted = reference(steps[0], np.ones((12, 12), bool), 2.0**-10, 1.5, 3)
    np.testing.assert_allclose(result[0] - 4000.0, wanted, rtol=0, atol=2.0**-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinite_pixels_stay_and_have_no_weight(dtype: str) -> None:
    pixels = noisy(dtype, (1, 10, 12))
    pixels[0, 4, 5], pixels[0, 4, 6], pixels[0, 7, 1] = np.inf, np.inf, -np.inf
    infinite = np.isinf(pixels)
    result, where = run(within(25.0, border="invalid"), pixels)
    assert where.all()
    assert (result[infinite] == pixels[infinite]).all()
    wanted = reference(pixels[0], ~infinite[0], 25.0, 1.5, 3)
    known = ~infinite[0]
    np.testing.assert_allclose(result[0][known], wanted[known], rtol=3e-7)


def test_no_valid_pixel() -> None:
    pixels, valid = random_image("float32", (1, 5, 6), seed=1, holes=1)
    assert not run(within(30.0), pixels, valid)[1].any()


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (3, 4)])
def test_margin_larger_than_the_image(size: tuple[int, int]) -> None:
    pixels = noisy("float64", (1, *size))
    result, where = run(within(20.0, 3.0, border="invalid"), pixels)
    assert where.all()
    wanted = reference(pixels[0], np.ones(size, bool), 20.0, 3.0, 6)
    np.testing.assert_allclose(result[0], wanted, rtol=1e-13)


@settings(max_examples=60, deadline=None)
@given(
    image=images(),
    sigma_range=st.sampled_from([0.5, 30.0, 1e4]),
    radius=st.integers(1, 4),
    border=st.sampled_from(["reflect", "nearest", "invalid"]),
)
def test_same_bits_for_any_blocks(
    image: Any, sigma_range: float, radius: int, border: str
) -> None:  # fmt: skip
    pixels, valid, block = image
    bilateral = within(sigma_range, 1.5, radius, border)
    whole = run(bilateral, pixels, valid)
    assert same_bits(whole, run(bilateral, pixels, valid, block=block))


def test_pieces_of_a_long_sum_change_no_bit() -> None:
    pixels = noisy("float32", (1, 200, 500))
    bilateral = within(20.0, 1.0)
    whole = run(bilateral, pixels)
    assert same_bits(whole, run(bilateral, pixels, block=(43, 71)))
    part = pixels[0, 120:150, 200:230]
    wanted = reference(part, np.ones(part.shape, bool), 20.0, 1.0, 2)
    inner = slice(2, -2)
    np.testing.assert_allclose(
        whole[0][0, 120:150, 200:230][inner, inner], wanted[inner, inner], rtol=3e-7
    )


def test_the_mask_alone_changes_no_bit() -> None:
    pixels = noisy("float32", (1, 60, 90))
    valid = np.ones(pixels.shape, bool)
    clean = run(within(20.0), pixels)[0]
    valid[0, [0, 0, -1, -1], [0, -1, 0, -1]] = False  # so that all of it is computed with a mask
    masked = run(within(20.0), pixels, valid)[0]
    assert masked[0, 4:-4].tobytes() == clean[0, 4:-4].tobytes()
    assert (masked[0, 1, 1] != clean[0, 1, 1]).all()


@pytest.mark.parametrize("scale", [0.1, -0.1])
def test_the_range_is_of_physical_values(scale: float) -> None:
    pixels = noisy("int16", (1, 9, 9)) * 10
    bands = (Band(nodata=0, scale=scale, offset=5.0, unit="m", name="height"),)
    bilateral = within(12.0, 1.5, border="invalid")
    result, _ = run(bilateral, pixels, bands=bands)
    (output,) = bilateral.output_profiles([profile_of(pixels, bands)])
    assert output.bands == (Band(scale=scale, offset=5.0, unit="m", name="height"),)
    wanted = reference(pixels[0] * scale + 5, np.ones((9, 9), bool), 12.0, 1.5, 3)
    np.testing.assert_allclose(result[0] * scale + 5, wanted, rtol=1e-5)


def test_the_radius() -> None:
    radii = [within(30.0, sigma_spatial=sigma).margin for sigma in (0.1, 1.0, 1.25, 3.0)]
    assert radii == [1, 2, 3, 6]
    assert within(30.0, radius=9).margin == 9


@pytest.mark.parametrize(
    "wrong", [{"sigma_range": 0}, {"sigma_spatial": 0}, {"radius": 0}, {"border": "wrap"}]
)
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Bilateral(**{"sigma_range": 30.0, **wrong})


@pytest.mark.parametrize("border", ["reflect", "nearest", "invalid"])
def test_one_pixel_of_margin_less_differs(border: str) -> None:
    pixels = noisy("float32", (1, 20, 20))
    bilateral = within(30.0, border=border)
    assert not same_bits(run(bilateral, pixels), run(bilateral, pixels, block=(7, 7), blind=1))


@pytest.mark.parametrize("noise", [2.0, 30.0])
def test_the_range_sigma_is_three_times_the_noise(noise: float) -> None:
    """Whatever the ground: fields, a slope, and few strong edges."""
    random = np.random.default_rng(11)
    ground = np.kron(random.integers(0, 5, (10, 12)) * 400.0, np.ones((20, 20)))
    ground += np.linspace(0, 900, 240)
    pixels = np.stack(
        [ground + random.normal(0, noise * factor, ground.shape) for factor in (1, 4)]
    )
    made = procedures.run(Bilateral(), procedures.image(pixels.astype("float32")))
    assert [row["sigma"] / noise for row in made.rows()] == pytest.approx([3, 12], rel=0.15)
    sigmas = tuple(row["sigma"] for row in made.rows())
    assert made.summary.numbers == {"SIGMA_RANGE": sigmas[0]}
    wanted, _ = run(BilateralWithin(sigmas), pixels.astype("float32"))
    np.testing.assert_array_equal(made.image().pixels, wanted)
    given = procedures.run(Bilateral(noise), procedures.image(pixels.astype("float32")))
    wanted, _ = run(within(noise), pixels.astype("float32"))
    np.testing.assert_array_equal(given.image().pixels, wanted)


def test_the_range_sigma_of_what_shows_no_noise() -> None:
    pixels = np.zeros((3, 20, 30), "float64")
    pixels[0, :, 15:] = 200  # most pixels lie on planes
    pixels[1] = np.inf
    made = procedures.run(Bilateral(), procedures.image(pixels))
    assert [row["sigma"] for row in made.rows()] == [10, 1, 1]
    scaled = [Band(scale=0.01, nodata=-1)]
    image = procedures.image(pixels[:1].astype("int16"), None, scaled)
    assert procedures.run(Bilateral(), image).rows()[0]["sigma"] == pytest.approx(0.1)
