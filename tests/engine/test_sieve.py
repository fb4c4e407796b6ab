"""The sieve of bounded size against a plain loop over SciPy's labels, and GDAL's sieve."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from osgeo import gdal

from eoscale_engine.errors import InputError
from eoscale_engine.filters.labels.sieve import Sieve
from tests.engine.neighbourhoods import REAL_DTYPES, run, same_bits
from tests.engine.scipy_labels import labelled


def reference(sieve: Sieve, pixels: np.ndarray, valid: np.ndarray) -> np.ndarray:
    """Every small object's edges, one by one."""
    labels = labelled(pixels, valid, sieve.connectivity)
    sizes = np.bincount(labels.ravel())
    borders: dict[int, dict[Any, int]] = {}
    rows, cols = pixels.shape
    for row, col in zip(*np.nonzero(valid)):
        label = int(labels[row, col])
        for y, x in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            if 0 <= y < rows and 0 <= x < cols and valid[y, x] and labels[y, x] != label:
                border = borders.setdefault(label, {})
                value = pixels[y, x].item()
                border[value] = border.get(value, 0) + 1
    result = pixels.copy()
    for label, border in borders.items():
        if sizes[label] < sieve.minimum:
            result[labels == label] = min(border, key=lambda value: (-border[value], value))
    return np.where(valid, result, 0)


def classes(seed: int, dtype: str, shape: tuple[int, ...] = (2, 26, 34), kinds: int = 3) -> Any:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, kinds, (shape[0], shape[1] // 3 + 1, shape[2] // 3 + 1))
    pixels = np.kron(coarse, np.ones((1, 3, 3), int))[:, : shape[1], : shape[2]]
    noise = random.integers(0, kinds, shape)
    pixels = np.where(random.random(shape) < 0.35, noise, pixels)
    valid = random.random(shape) > 0.06
    pixels = (pixels * (100 if np.dtype(dtype).itemsize > 1 else 40)).astype(dtype)
    return pixels, valid


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("connectivity", ["4", "8"])
def test_values_are_those_of_a_loop(dtype: str, connectivity: str) -> None:
    for size in (2, 3, 7, 20):
        sieve = Sieve(size, connectivity)
        pixels, valid = classes(size, dtype)
        if np.dtype(dtype).kind == "f":
            pixels[~valid] = np.nan
        got, where = run(sieve, pixels, valid)
        np.testing.assert_array_equal(where, valid)
        for band in range(2):
            wanted = reference(sieve, pixels[band], valid[band])
            assert (wanted != np.where(valid[band], pixels[band], 0)).sum() > 5
            np.testing.assert_array_equal(got[band], wanted)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    st.integers(1, 30), st.integers(1, 40), st.integers(2, 30), st.sampled_from(("4", "8")),
    st.integers(0, 10**6), st.integers(1, 12), st.integers(1, 12),
)  # fmt: skip
def test_any_blocks_give_what_the_whole_image_gives(
    rows: int, cols: int, size: int, connectivity: str, seed: int, high: int, wide: int
) -> None:
    pixels, valid = classes(seed, "float32", (1, rows, cols), 2 + seed % 3)
    pixels[(pixels == 0) & (np.random.default_rng(seed).random(pixels.shape) < 0.5)] = -0.0
    sieve = Sieve(size, connectivity)
    whole = run(sieve, pixels, valid)
    np.testing.assert_array_equal(whole[0][0], reference(sieve, pixels[0], valid[0]))
    assert same_bits(run(sieve, pixels, valid, block=(high, wide)), whole)


@pytest.mark.parametrize("size", [2, 5, 64])
def test_the_margin_is_needed_and_enough(size: int) -> None:
    """A snake of just as many pixels as stay, of which a block sees the last in the margin."""
    sieve = Sieve(size)
    pixels = np.zeros((1, 3, size + 4), np.uint8)
    pixels[0, 1, 2 : 2 + size] = 1
    got, _ = run(sieve, pixels, block=(1, 3))
    np.testing.assert_array_equal(got, pixels)
    assert not run(Sieve(size), pixels, block=(1, 3), blind=1)[0].all()
    assert (run(Sieve(size), pixels, block=(1, 3), blind=1)[0] != pixels).any()
    pixels[0, 1, 2] = 0  # one less
    assert not run(sieve, pixels, block=(1, 3))[0].any()


def test_single_pixels_far_apart_get_gdals_value() -> None:
    random = np.random.default_rng(8)
    pixels = np.kron(random.integers(0, 3, (4, 5)), np.ones((12, 12), int)).astype(np.uint8)
    pixels[3::4, 2::4] = 9
    memory = gdal.GetDriverByName("MEM").Create("", 60, 48, 1, gdal.GDT_Byte)
    memory.WriteArray(pixels)
    gdal.SieveFilter(memory.GetRasterBand(1), None, memory.GetRasterBand(1), 2, 4)
    inside = pixels == 9
    for row, col in zip(*np.nonzero(inside)):  # where one value is all around
        around = pixels[row - 1 : row + 2, col - 1 : col + 2]
        inside[row, col] = len(np.unique(around)) == 2
    assert inside.sum() > 40
    got, _ = run(Sieve(2), pixels[None])
    np.testing.assert_array_equal(got[0][inside], memory.ReadAsArray()[inside])


def test_of_equal_shares_the_smallest_value_is_taken() -> None:
    pixels = np.array([[[5, 5, 3, 3], [5, 8, 3, 3], [5, 5, 3, 3]]], np.int16)
    pixels[0, 0, 1], pixels[0, 1, 0] = 3, 5  # two edges of 3, two of 5
    assert run(Sieve(2), pixels)[0][0, 1, 1] == 3
    pixels[0, 0, 1] = 5
    assert run(Sieve(2), pixels)[0][0, 1, 1] == 5


def test_objects_that_touch_nothing_stay() -> None:
    pixels = np.array([[[1, 0, 2, 0, 0]]], np.uint8)
    valid = pixels != 0
    got, where = run(Sieve(8), pixels, valid)
    np.testing.assert_array_equal(got, pixels)
    np.testing.assert_array_equal(where, valid)
    np.testing.assert_array_equal(run(Sieve(8), pixels[:, :, :1])[0], [[[1]]])


def test_refused_sizes() -> None:
    for size in (1, 65):
        with pytest.raises(InputError, match="must be at least 2 and at most 64"):
            Sieve(size)
