"""The sieve against plain loops over SciPy's labels, and GDAL's sieve."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from osgeo import gdal

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError
from eoscale_engine.procedures.sieve import Sieve
from tests.engine import procedure_runs as procedures
from tests.engine.neighbourhoods import REAL_DTYPES
from tests.engine.scipy_labels import labelled

STEPS = ((-1, 0), (1, 0), (0, -1), (0, 1))


def edges_of(shape: tuple[int, int]) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Pixels, and those with which they share an edge."""
    rows, cols = shape
    for row, col in np.ndindex(rows, cols):
        for down, along in STEPS:
            if 0 <= row + down < rows and 0 <= col + along < cols:
                yield (row, col), (row + down, col + along)


class Reference:
    """One band, with every step as the help has it, pixel by pixel."""

    def __init__(self, sieve: Sieve, pixels: np.ndarray, valid: np.ndarray) -> None:
        self.minimum, self.pixels, self.valid = sieve.minimum, pixels, valid
        self.values = pixels.copy()
        self.groups = labelled(pixels, valid, sieve.connectivity)
        self.settled = np.zeros(pixels.shape, bool)
        self._settle_large()

    def _settle_large(self) -> None:
        sizes = np.bincount(self.groups.ravel())
        self.settled |= (sizes[self.groups] >= self.minimum) & (self.groups > 0)

    def result(self) -> np.ndarray:
        while True:
            while self._ring():
                pass
            if not self._join():
                return np.where(self.settled, self.values, np.where(self.valid, self.pixels, 0))

    def _ring(self) -> bool:
        borders: dict[int, Counter[Any]] = {}
        for here, there in edges_of(self.pixels.shape):
            if self.groups[here] and not self.settled[here] and self.settled[there]:
                border = borders.setdefault(int(self.groups[here]), Counter())
                border[self.values[there].item()] += 1
        for group, border in borders.items():
            pixels = self.groups == group
            self.values[pixels] = min(border, key=lambda value: (-border[value], value))
            self.settled |= pixels
        return bool(borders)

    def _join(self) -> bool:
        """Groups among small ones alone go to their largest neighbours."""
        sizes = np.bincount(self.groups.ravel())
        nearest: dict[int, int] = {}
        pairs = set()
        for here, there in edges_of(self.pixels.shape):
            one, other = int(self.groups[here]), int(self.groups[there])
            if one and other and one != other and not (self.settled[here] or self.settled[there]):
                pairs.add((one, other))
                nearest[one] = max(
                    (one, other, nearest.get(one, one)), key=lambda it: (sizes[it], -it)
                )
        values = {one: self.values[self.groups == one][0] for one in nearest}
        root = {}
        for one in nearest:
            at = one
            while nearest[at] != at:
                at = nearest[at]
            root[one] = at
        changed = True
        while changed:  # groups of one value that touch are one
            changed = False
            for one, other in pairs:
                ends = sorted((root[one], root[other]))
                if ends[0] != ends[1] and values[ends[0]] == values[ends[1]]:
                    root = {key: ends[0] if at == ends[1] else at for key, at in root.items()}
                    changed = True
        before = self.groups.copy()
        for one, at in root.items():
            self.groups[before == one] = at
            self.values[before == one] = values[at]
        self._settle_large()
        return bool(pairs)


def classes(seed: int, dtype: str, shape: tuple[int, ...] = (2, 26, 34), kinds: int = 3) -> Any:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, kinds, (shape[0], shape[1] // 3 + 1, shape[2] // 3 + 1))
    pixels = np.kron(coarse, np.ones((1, 3, 3), int))[:, : shape[1], : shape[2]]
    noise = random.integers(0, kinds, shape)
    pixels = np.where(random.random(shape) < 0.35, noise, pixels)
    valid = random.random(shape) > 0.06
    pixels = (pixels * (100 if np.dtype(dtype).itemsize > 1 else 40)).astype(dtype)
    return pixels, valid


def sieved(sieve: Sieve, pixels: np.ndarray, valid: Optional[np.ndarray] = None) -> np.ndarray:
    """The result, with 0 where it is invalid."""
    if valid is None:
        return procedures.run(sieve, procedures.image(pixels)).image().pixels
    kept = pixels + pixels.dtype.type(1) if pixels.dtype.kind != "f" else pixels  # 0 is nodata
    made = procedures.run(sieve, procedures.image(kept, valid)).image()
    np.testing.assert_array_equal(made.valid, valid)
    back = made.pixels - made.pixels.dtype.type(pixels.dtype.kind != "f")
    return np.where(valid, back, 0)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("connectivity", ["4", "8"])
def test_values_are_those_of_a_loop(dtype: str, connectivity: str) -> None:
    for size in (2, 7, 20, 300):
        sieve = Sieve(size, connectivity)
        pixels, valid = classes(size, dtype)
        got = sieved(sieve, pixels, valid)
        for band in range(2):
            wanted = Reference(sieve, pixels[band], valid[band]).result()
            assert (wanted != np.where(valid[band], pixels[band], 0)).sum() > 5
            np.testing.assert_array_equal(got[band], wanted)


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(
    st.integers(1, 16), st.integers(1, 20), st.integers(2, 200), st.sampled_from(("4", "8")),
    st.integers(0, 10**6), st.integers(2, 9),
)  # fmt: skip
def test_noise_of_any_size_is_that_of_a_loop(
    rows: int, cols: int, size: int, connectivity: str, seed: int, kinds: int
) -> None:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, kinds, (1, rows, cols)).astype("float32")
    pixels[(pixels == 0) & (random.random(pixels.shape) < 0.5)] = -0.0
    valid = random.random(pixels.shape) > 0.1
    sieve = Sieve(size, connectivity)
    wanted = Reference(sieve, pixels[0], valid[0]).result()
    np.testing.assert_array_equal(sieved(sieve, pixels, valid)[0], wanted)


@pytest.mark.parametrize("size", [2, 6, 8, 65, 3000])
@pytest.mark.parametrize("connectivity", ["4", "8"])
def test_no_smaller_object_is_left(size: int, connectivity: str) -> None:
    """Of a mask, of noisy fields, and of noise: GDAL leaves some of the last."""
    random = np.random.default_rng(size)
    fields = np.kron(random.integers(0, 4, (8, 9)), np.ones((20, 20), int))
    noisy = np.where(random.random(fields.shape) < 0.3, random.integers(0, 4, fields.shape), fields)
    for pixels in (
        random.integers(0, 2, (10, 10)), noisy, random.integers(0, 9, (90, 100)),
    ):  # fmt: skip
        got = sieved(Sieve(size, connectivity), pixels[None].astype("uint8"))[0]
        sizes = np.bincount(labelled(got, got >= 0, connectivity).ravel())[1:]
        if size <= pixels.size:
            assert sizes.min() >= size
        else:
            np.testing.assert_array_equal(got, pixels)  # an island that is smaller as a whole


@pytest.mark.parametrize("tile_pixels", [300, 2000, 10**6])
def test_any_tiles_give_the_same(tile_pixels: int) -> None:
    """An object of many tiles, and a small one across a corner of four."""
    pixels = classes(3, "uint8", (1, 120, 130), 4)[0]
    pixels[0, 60, 5:125] = 7
    with EOContextManager(inline=True, tile_pixels=tile_pixels) as context:
        key = context.create_image({"count": 1, "height": 120, "width": 130, "dtype": "uint8"})
        context.get_array(key)[:] = pixels
        (made,) = context.run(Sieve(100), [key]).images
        got = context.get_array(str(made))[0].copy()
    valid = np.ones(pixels.shape[1:], bool)
    np.testing.assert_array_equal(got, Reference(Sieve(100), pixels[0], valid).result())
    assert (got[60, 5:125] == 7).all()


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
    got = sieved(Sieve(2), pixels[None])
    np.testing.assert_array_equal(got[0][inside], memory.ReadAsArray()[inside])


def test_of_equal_shares_the_smallest_value_is_taken() -> None:
    pixels = np.array([[[5, 5, 3, 3], [5, 8, 3, 3], [5, 5, 3, 3]]], np.int16)
    pixels[0, 0, 1], pixels[0, 1, 0] = 3, 5  # two edges of 3, two of 5
    assert sieved(Sieve(2), pixels)[0, 1, 1] == 3
    pixels[0, 0, 1] = 5
    assert sieved(Sieve(2), pixels)[0, 1, 1] == 5


def test_objects_that_touch_nothing_stay() -> None:
    pixels = np.array([[[1, 0, 2, 0, 0]]], np.uint8)
    got = procedures.run(Sieve(8), procedures.image(pixels, pixels != 0)).image()
    np.testing.assert_array_equal(got.pixels, pixels)
    np.testing.assert_array_equal(sieved(Sieve(8), pixels[:, :, :1]), [[[1]]])


def test_refused_sizes() -> None:
    with pytest.raises(InputError, match="must be at least 2"):
        Sieve(1)
