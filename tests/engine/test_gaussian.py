"""Gaussian blur against direct loops, SciPy, and itself in blocks."""

from __future__ import annotations

from math import exp
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from eoscale_engine.errors import InputError
from eoscale_engine.filters.neighbourhood.gaussian import Gaussian
from eoscale_engine.parameter_kinds import Choice
from eoscale_engine.profile import Band
from tests.engine.neighbourhoods import (
    REAL_DTYPES,
    images,
    profile_of,
    random_image,
    run,
    same_bits,
)


def reference(gaussian: Gaussian, pixels: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Weighted means of a band, NaN without a valid pixel; only real pixels, by a direct loop."""
    rows, cols = pixels.shape
    reach = int(gaussian.truncate * gaussian.sigma + 0.5)
    found = np.full(pixels.shape, np.nan)
    for row, col in np.ndindex(rows, cols):
        total = weights = 0.0
        for y in range(max(0, row - reach), min(rows, row + reach + 1)):
            for x in range(max(0, col - reach), min(cols, col + reach + 1)):
                if valid[y, x]:
                    weight = exp(-((y - row) ** 2 + (x - col) ** 2) / (2 * gaussian.sigma**2))
                    total += weight * float(pixels[y, x])
                    weights += weight
        if weights:
            found[row, col] = total / weights
    return found


def magnitude(pixels: np.ndarray) -> float:
    return float(np.abs(pixels.astype(float)).max())


@pytest.mark.parametrize(("border", "mode"), [("reflect", "reflect"), ("nearest", "nearest")])
@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_scipy_agrees_where_all_is_valid(dtype: str, border: str, mode: str) -> None:
    pixels, _ = random_image(dtype, (2, 23, 31), seed=1)
    for sigma, truncate in ((0.7, 4.0), (2.0, 4.0), (3.3, 2.5), (9.0, 4.0)):
        result, where = run(Gaussian(sigma, truncate, border=border), pixels)
        assert where.all()
        assert result.dtype == ("float64" if np.dtype(dtype).itemsize == 8 else "float32")
        for band in range(2):
            wanted = ndimage.gaussian_filter(
                pixels[band].astype(float), sigma, mode=mode, truncate=truncate
            )
            precision = np.finfo(result.dtype).eps * 8 * magnitude(pixels[band])
            np.testing.assert_allclose(result[band], wanted, rtol=0, atol=precision)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("fill", [False, True])
def test_holes_against_a_direct_loop(dtype: str, fill: bool) -> None:
    pixels, valid = random_image(dtype, (2, 12, 15), seed=2, holes=0.3)
    valid[1, 3:, 2:] = False
    gaussian = Gaussian(1.2, 3.0, fill, border="invalid")
    result, where = run(gaussian, pixels, valid)
    for band in range(2):
        wanted = reference(gaussian, pixels[band], valid[band])
        known = np.isfinite(wanted) if fill else valid[band]
        assert (where[band] == known).all()
        precision = np.finfo(result.dtype).eps * 4 * magnitude(pixels[band][valid[band]])
        np.testing.assert_allclose(result[band][known], wanted[known], rtol=0, atol=precision)
    assert not np.isfinite(reference(gaussian, pixels[1], valid[1])).all()


@pytest.mark.parametrize("border", ["reflect", "nearest", "invalid"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 3)])
def test_margin_larger_than_the_image(size: tuple[int, int], border: str) -> None:
    pixels, valid = random_image("float64", (1, *size), seed=3)
    gaussian = Gaussian(4.0, border=border)
    result, where = run(gaussian, pixels)
    assert where.all()
    if border == "invalid":
        wanted = reference(gaussian, pixels[0], valid[0])
    else:
        wanted = ndimage.gaussian_filter(pixels[0], 4.0, mode=border)
    np.testing.assert_allclose(result[0], wanted, rtol=0, atol=1e-14 * magnitude(pixels))


@pytest.mark.parametrize("fill", [False, True])
def test_no_valid_pixel(fill: bool) -> None:
    pixels, valid = random_image("float32", (1, 5, 6), seed=1, holes=1)
    assert not run(Gaussian(fill=fill), pixels, valid)[1].any()


def test_without_a_margin_nothing_changes() -> None:
    pixels, valid = random_image("float32", (1, 6, 7), seed=4, holes=0.2)
    gaussian = Gaussian(0.1)
    assert gaussian.margin == 0
    result, where = run(gaussian, pixels, valid)
    assert (where == valid).all()
    assert (result[valid] == pixels[valid]).all()


def test_infinite_pixels_are_values() -> None:
    pixels = np.zeros((1, 9, 9), "float32")
    pixels[0, 4, 4] = np.inf
    result, where = run(Gaussian(0.5), pixels)
    assert where.all()
    assert np.isfinite(result).sum() == 81 - 25


@settings(max_examples=250, deadline=None)
@given(
    image=images(),
    sigma=st.floats(0.1, 3.0),
    truncate=st.floats(1.0, 4.0),
    fill=st.booleans(),
    border=st.sampled_from(["reflect", "nearest", "invalid"]),
)
def test_same_bits_for_any_blocks(
    image: Any, sigma: float, truncate: float, fill: bool, border: str
) -> None:
    pixels, valid, block = image
    gaussian = Gaussian(sigma, truncate, fill, border)
    whole = run(gaussian, pixels, valid)
    assert same_bits(whole, run(gaussian, pixels, valid, block=block))


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
def test_same_bits_with_an_invalid_pixel_far_away(dtype: str) -> None:
    pixels, valid = random_image(dtype, (1, 40, 300), seed=2)
    valid[0, 20, 150] = False
    gaussian = Gaussian(2.0)
    masked, clean = run(gaussian, pixels, valid), run(gaussian, pixels)
    far = np.ones(valid.shape, bool)
    far[0, 12:29, 142:159] = False
    assert masked[0][far].tobytes() == clean[0][far].tobytes()
    assert (masked[0][0, 15:26, 145:156] != clean[0][0, 15:26, 145:156]).all()


def test_the_mask_alone_changes_no_bit() -> None:
    """Windows near invalid pixels are computed with weights; whole ones must not tell."""
    pixels, valid = random_image("float32", (1, 60, 90), seed=5)
    for sigma in (0.4, 1.0, 2.0, 3.7, 5.0):
        gaussian = Gaussian(sigma)
        clean = run(gaussian, pixels)[0]
        holes = valid.copy()
        holes[0, [0, 0, -1, -1], [0, -1, 0, -1]] = False  # so that all of it is computed so
        masked = run(gaussian, pixels, holes)[0]
        far = slice(gaussian.margin + 1, -gaussian.margin - 1)
        assert masked[0, far].tobytes() == clean[0, far].tobytes()


@pytest.mark.parametrize("border", ["reflect", "nearest", "invalid"])
def test_one_pixel_of_margin_less_differs(border: str) -> None:
    pixels, _ = random_image("float32", (1, 40, 40), seed=4)
    gaussian = Gaussian(1.5, border=border)
    assert not same_bits(run(gaussian, pixels), run(gaussian, pixels, block=(9, 9), blind=1))


def test_output_profile() -> None:
    bands = (Band(nodata=0, scale=0.1, offset=5.0, unit="m"),)
    for dtype, wanted in (("uint8", "float32"), ("int32", "float32"), ("int64", "float64")):
        profile = profile_of(np.zeros((1, 2, 2), dtype), bands)
        (output,) = Gaussian().output_profiles([profile])
        assert output.dtype == wanted
        assert output.bands == (Band(scale=0.1, offset=5.0, unit="m"),)


@pytest.mark.parametrize(
    "wrong", [{"sigma": 0}, {"sigma": float("nan")}, {"truncate": 0.5}, {"border": "wrap"}]
)
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Gaussian(**wrong)


def test_parameters_of_the_dialog() -> None:
    found = {item.name: item for item in Gaussian.parameters()}
    assert list(found) == ["sigma", "truncate", "fill", "border"]
    assert found["border"].kind == Choice(("reflect", "nearest", "invalid"))
    assert Gaussian(2).margin == 8
