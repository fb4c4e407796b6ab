"""Unsharp mask and difference of Gaussians against SciPy, direct loops, and both in blocks."""

from __future__ import annotations

from math import exp
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError
from eoscale_engine.filters.neighbourhood.difference_of_gaussians import DifferenceOfGaussians
from eoscale_engine.filters.neighbourhood.unsharp import UnsharpMask
from eoscale_engine.profile import Band
from tests.engine.neighbourhoods import (
    REAL_DTYPES,
    images,
    profile_of,
    random_image,
    run,
    same_bits,
)


def blurred(
    pixels: np.ndarray, valid: np.ndarray, sigma: float, truncate: float = 4.0
) -> np.ndarray:  # fmt: skip
    """Gaussian means of the real, valid pixels, by a direct loop."""
    rows, cols = pixels.shape
    reach = int(truncate * sigma + 0.5)
    found = np.full(pixels.shape, np.nan)
    for row, col in zip(*np.nonzero(valid)):
        total = weights = 0.0
        for y in range(max(0, row - reach), min(rows, row + reach + 1)):
            for x in range(max(0, col - reach), min(cols, col + reach + 1)):
                if valid[y, x]:
                    weight = exp(-((y - row) ** 2 + (x - col) ** 2) / (2 * sigma**2))
                    total += weight * float(pixels[y, x])
                    weights += weight
        found[row, col] = total / weights
    return found


def precision(result: np.ndarray, pixels: np.ndarray, factor: float = 1) -> float:
    largest = float(np.abs(pixels.astype(float)).max())
    return factor * largest * (6e-7 if result.dtype == np.float32 else 2e-15)


# ---------------------------------------------------------------- unsharp mask


@pytest.mark.parametrize("border", ["reflect", "nearest"])
@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_scipy_agrees_on_the_unsharp_mask(dtype: str, border: str) -> None:
    pixels, _ = random_image(dtype, (2, 21, 17), seed=1)
    result, where = run(UnsharpMask(2.0, 1.5, border=border), pixels)
    assert where.all()
    assert result.dtype == ("float64" if np.dtype(dtype).itemsize == 8 else "float32")
    for band in range(2):
        wide = pixels[band].astype(float)
        wanted = wide + 1.5 * (wide - ndimage.gaussian_filter(wide, 2.0, mode=border))
        atol = precision(result, pixels[band], 2.5)
        np.testing.assert_allclose(result[band], wanted, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "float64"])
@pytest.mark.parametrize("threshold", [0.0, 30.0])
def test_the_unsharp_mask_with_holes(dtype: str, threshold: float) -> None:
    random = np.random.default_rng(2)
    pixels = random.integers(0, 255, (1, 12, 15)).astype(dtype)
    valid = random.random(pixels.shape) > 0.3
    pixels[~valid] = np.nan if np.dtype(dtype).kind == "f" else 255
    declaration = UnsharpMask(1.2, 0.7, threshold, truncate=3.0, border="invalid")
    result, where = run(declaration, pixels, valid)
    assert (where == valid).all()
    detail = pixels[0].astype(float) - blurred(pixels[0], valid[0], 1.2, 3.0)
    wanted = pixels[0] + np.where(np.abs(detail) > threshold, 0.7 * detail, 0)
    kept = valid[0] & (np.abs(detail) <= threshold)
    assert kept.any() == (threshold > 0)
    assert (result[0][kept] == pixels[0][kept]).all()
    inside, atol = valid[0], precision(result, np.array([255.0]))
    np.testing.assert_allclose(result[0][inside], wanted[inside], rtol=0, atol=atol)


@pytest.mark.parametrize("scale", [0.1, -0.1])
def test_the_threshold_is_of_physical_values(scale: float) -> None:
    pixels = np.random.default_rng(3).integers(0, 1000, (1, 14, 15)).astype("int16")
    bands = (Band(nodata=7, scale=scale, offset=5.0, unit="m", name="height"),)
    declaration = UnsharpMask(1.0, 1.0, 20.0)
    result, _ = run(declaration, pixels, bands=bands)
    (output,) = declaration.output_profiles([profile_of(pixels, bands)])
    assert output.bands == (Band(scale=scale, offset=5.0, unit="m", name="height"),)
    physical = pixels[0] * scale + 5
    detail = physical - ndimage.gaussian_filter(physical, 1.0)
    assert 0.2 < (np.abs(detail) > 20).mean() < 0.8
    wanted = physical + np.where(np.abs(detail) > 20, detail, 0)
    np.testing.assert_allclose(result[0] * scale + 5, wanted, rtol=0, atol=1e-3)


def test_a_difference_at_the_threshold_stays() -> None:
    pixels = np.full((1, 3, 3), 8.0)
    pixels[0, 1, 1] = 0
    sharp = run(UnsharpMask(0.5, truncate=2.0), pixels)[0][0, 1, 1]
    assert sharp < 0  # all of it is the detail
    for threshold, wanted in ((-sharp, 0), (np.nextafter(-sharp, 0), sharp)):
        declaration = UnsharpMask(0.5, threshold=threshold, truncate=2.0)
        assert run(declaration, pixels)[0][0, 1, 1] == wanted


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32", "float64"])
def test_the_data_type_is_kept(dtype: str) -> None:
    random = np.random.default_rng(4)
    pixels = random.integers(1, 255, (1, 16, 17)).astype(dtype)
    nodata = Band(nodata=0)
    declaration = UnsharpMask(1.0, 3.0, keep_type=True)
    with EOContextManager(inline=True) as context:
        key = context.create_image(profile_of(pixels, (nodata,)))
        context.get_array(key)[:] = pixels
        [made] = context.filter(declaration, [key])
        result, profile = context.get_array(made).copy(), context.profile(made)
    assert profile.dtype == dtype
    # 0 may be a result too
    assert profile.nodata is None or np.isnan(profile.nodata)
    wide = pixels[0].astype(float)
    wanted = wide + 3 * (wide - ndimage.gaussian_filter(wide, 1.0))
    if np.dtype(dtype).kind == "f":
        np.testing.assert_allclose(result[0], wanted, rtol=0, atol=precision(result, pixels, 4))
        return
    limits = np.iinfo(dtype)
    wanted = np.clip(np.rint(wanted), limits.min, limits.max)
    clear = np.abs(wanted) > 0.5  # no valid pixel gets the nodata value
    assert (wanted < limits.max).all() or (wanted == limits.max).sum() > 5
    np.testing.assert_array_equal(result[0][clear], wanted[clear])
    assert (result[0][~clear] == 0).all()


def test_an_amount_of_nothing_changes_nothing() -> None:
    pixels, valid = random_image("float32", (1, 8, 9), seed=5, holes=0.2)
    for declaration in (UnsharpMask(amount=0), UnsharpMask(0.1, 5.0)):
        result, where = run(declaration, pixels, valid)
        assert (where == valid).all()
        assert (result[valid] == pixels[valid]).all()
    assert UnsharpMask(0.1).margin == 0


def test_profiles_of_the_unsharp_mask() -> None:
    for dtype, plain, kept in (
        ("uint8", "float32", "uint8"),
        ("int32", "float32", "int32"),
        ("uint64", "float64", "float64"),
        ("float32", "float32", "float32"),
    ):
        profile = profile_of(np.zeros((1, 2, 2), dtype), (Band(nodata=3),))
        (one,) = UnsharpMask().output_profiles([profile])
        (two,) = UnsharpMask(keep_type=True).output_profiles([profile])
        assert (one.dtype, one.nodata) == (plain, None)
        assert (two.dtype, two.nodata) == (kept, None if dtype == "uint64" else 3)


# ---------------------------------------------------------------- difference of Gaussians


@pytest.mark.parametrize("border", ["reflect", "nearest"])
@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_scipy_agrees_on_the_difference(dtype: str, border: str) -> None:
    pixels, _ = random_image(dtype, (2, 23, 18), seed=6)
    for fine, coarse, truncate in ((0.8, 2.0, 4.0), (1.0, 1.1, 2.0), (0.1, 3.0, 3.0)):
        declaration = DifferenceOfGaussians(fine, coarse, truncate, border)
        result, where = run(declaration, pixels)
        assert where.all()
        for band in range(2):
            one, two = (
                ndimage.gaussian_filter(
                    pixels[band].astype(float), sigma, mode=border, truncate=truncate
                )
                for sigma in (fine, coarse)
            )
            atol = precision(result, pixels[band])
            np.testing.assert_allclose(result[band], one - two, rtol=0, atol=atol)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "float64"])
def test_the_difference_with_holes(dtype: str) -> None:
    random = np.random.default_rng(7)
    pixels = random.integers(0, 255, (2, 12, 15)).astype(dtype)
    valid = random.random(pixels.shape) > 0.3
    valid[1, 3:, 4:] = False
    pixels[~valid] = np.nan if np.dtype(dtype).kind == "f" else 255
    declaration = DifferenceOfGaussians(0.7, 1.3, 3.0, "invalid")
    result, where = run(declaration, pixels, valid)
    assert (where == valid).all()
    for band in range(2):
        one, two = (blurred(pixels[band], valid[band], sigma, 3.0) for sigma in (0.7, 1.3))
        inside, atol = valid[band], precision(result, np.array([255.0]))
        np.testing.assert_allclose(
            result[band][inside], (one - two)[inside], rtol=0, atol=atol
        )  # fmt: skip


def test_bright_spots_are_positive() -> None:
    pixels = np.zeros((1, 15, 15))
    pixels[0, 7, 7] = 1
    assert run(DifferenceOfGaussians(), pixels)[0][0, 7, 7] > 0.05
    even = run(DifferenceOfGaussians(2.0, 5.0), np.full((1, 9, 9), 1234.5, "float32"))[0]
    assert np.abs(even).max() <= 6e-7 * 1234.5


def test_the_profile_of_the_difference() -> None:
    bands = (Band(nodata=0, scale=0.1, offset=5.0, unit="m", name="height"),)
    for dtype, wanted in (("uint8", "float32"), ("int32", "float32"), ("int64", "float64")):
        profile = profile_of(np.zeros((1, 2, 2), dtype), bands)
        (output,) = DifferenceOfGaussians().output_profiles([profile])
        assert output.dtype == wanted
        assert output.bands == (Band(scale=0.1, unit="m", name="height"),)


# ---------------------------------------------------------------- both


BOTH = [
    UnsharpMask(0.8, 2.0, 0.1, truncate=3.0),
    UnsharpMask(1.3, 0.5, truncate=2.0, border="invalid"),
    DifferenceOfGaussians(0.6, 1.5, 3.0),
    DifferenceOfGaussians(1.0, 1.4, 2.0, "invalid"),
]


@pytest.mark.parametrize("declaration", BOTH)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 3)])
def test_margin_larger_than_the_image(declaration: Any, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(8).random((1, *size))
    valid = np.ones(pixels.shape, bool)
    result, where = run(declaration, pixels)
    assert where.all()
    mode = "symmetric" if declaration.border == "reflect" else "constant"
    wide, held = (np.pad(array[0], 9, mode=mode) for array in (pixels, valid))

    def blur(sigma: float) -> np.ndarray:
        return blurred(wide, held, sigma, declaration.truncate)[9:-9, 9:-9]

    if isinstance(declaration, UnsharpMask):
        detail = pixels[0] - blur(declaration.sigma)
        wanted = np.where(np.abs(detail) > declaration.threshold, detail, 0) * declaration.amount
        wanted += pixels[0]
    else:
        wanted = blur(declaration.sigma_1) - blur(declaration.sigma_2)
    np.testing.assert_allclose(result[0], wanted, rtol=0, atol=1e-14)


@pytest.mark.parametrize("declaration", BOTH)
def test_no_valid_pixel(declaration: Any) -> None:
    pixels, valid = random_image("float32", (1, 5, 6), seed=1, holes=1)
    assert not run(declaration, pixels, valid)[1].any()


@settings(max_examples=60, deadline=None)
@given(image=images(), declaration=st.sampled_from(BOTH))
def test_same_bits_for_any_blocks(image: Any, declaration: Any) -> None:
    pixels, valid, block = image
    whole = run(declaration, pixels, valid)
    assert same_bits(whole, run(declaration, pixels, valid, block=block))


@pytest.mark.parametrize("declaration", BOTH)
def test_one_pixel_of_margin_less_differs(declaration: Any) -> None:
    pixels = np.random.default_rng(9).random((1, 30, 30))
    assert not same_bits(run(declaration, pixels), run(declaration, pixels, block=(9, 9), blind=1))


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (UnsharpMask, {"sigma": 0}),
        (UnsharpMask, {"amount": -1}),
        (UnsharpMask, {"threshold": -1}),
        (UnsharpMask, {"truncate": 0.5}),
        (UnsharpMask, {"border": "wrap"}),
        (DifferenceOfGaussians, {"sigma_1": 0}),
        (DifferenceOfGaussians, {"sigma_1": 2.0, "sigma_2": 2.0}),
        (DifferenceOfGaussians, {"sigma_1": 3.0}),
        (DifferenceOfGaussians, {"border": "wrap"}),
    ],
)
def test_wrong_parameters(kind: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        kind(**wrong)
