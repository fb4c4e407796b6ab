"""The number of looks of a radar image: how strong speckle is where nothing else varies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log, log1p
from typing import Any, ClassVar, NamedTuple, Optional

import numpy as np

from eoscale_engine.declaration import Block, Blocks, Reduction, parameter
from eoscale_engine.filters.physical_values import physical_values
from eoscale_engine.filters.radar.speckle import AMPLITUDE, DECIBEL, INTENSITY, PIXELS
from eoscale_engine.filters.radar.speckle_windows import from_decibels

LEAST_LOOKS = 0.1

_FIRST, _LAST = -20, 12
"""Between which powers of two squared coefficients of variation are counted; no window of values
that are not negative has a larger one."""
_BINS = 16
"""In a factor of two."""
_REACH = 8
"""Bins to either side of the most frequent one: a factor of the square root of two."""


class LocalVariation(NamedTuple):
    """Windows of one band by the logarithm (base 2) of their squared coefficient of variation.

    ``windows`` is how many there are in each bin, ``logarithms`` the sum of theirs.
    """

    windows: np.ndarray
    logarithms: np.ndarray


class Estimate(NamedTuple):
    """The number of looks (None where no window counts), of how many windows, and of which."""

    looks: Optional[float]
    windows: int
    homogeneous: int


@dataclass(frozen=True)
class LocalLooks(Reduction[list[LocalVariation], list[LocalVariation]]):
    """Counts square windows of each band by how much they vary; see :func:`looks_of`.

    Windows lie side by side from the corner of each cell; one counts where at least half of its
    pixels are valid, and where mean and variance are greater than 0. Amplitudes are squared, and
    decibels turned into intensities.
    """

    stage = "Counting windows by variation"
    # where the windows lie depends on the cells, which an extent cuts
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    data: str = parameter(INTENSITY, choices=PIXELS, help="What pixels are")
    side: int = parameter(5, minimum=3, maximum=63, unit="pixels", help="Of a window")

    def map(self, blocks: Blocks) -> list[LocalVariation]:
        """The windows of one cell."""
        block = blocks[0]
        with np.errstate(all="ignore"):
            return [self._counted(block, band) for band in range(block.pixels.shape[0])]

    def _counted(self, block: Block, band: int) -> LocalVariation:
        values = physical_values(
            block.pixels[band], block.profile.bands[band], np.dtype(np.float64)
        )
        if self.data == AMPLITUDE:
            values = np.copysign(values * values, values)
        elif self.data == DECIBEL:
            values = from_decibels(values)
        pixels = self._windows(values)
        number: Any = float(self.side**2)
        if block.valid is not None:
            valid = self._windows(block.valid[band])
            pixels[~valid] = 0
            number = valid.sum(axis=0).astype(np.float64)
        mean = pixels.sum(axis=0) / number
        pixels -= mean
        if block.valid is not None:
            pixels[~valid] = 0
        pixels *= pixels
        variation = pixels.sum(axis=0) / ((number - 1) * mean * mean)
        counts = (number >= self.side**2 / 2) & (mean > 0) & (variation > 0)
        logarithms = np.log2(variation[counts])
        bins = np.floor((logarithms - _FIRST) * _BINS)
        most = (_LAST - _FIRST) * _BINS
        inside = (bins >= 0) & (bins < most)
        places = bins[inside].astype(np.intp)
        return LocalVariation(
            np.bincount(places, minlength=most),
            np.bincount(places, weights=logarithms[inside], minlength=most),
        )

    def _windows(self, cell: np.ndarray) -> np.ndarray:
        """The pixels of each window of a cell, as a copy of ``(pixels, windows)``."""
        side = self.side
        rows, cols = (size // side for size in cell.shape)
        parts = cell[: rows * side, : cols * side].reshape(rows, side, cols, side)
        return parts.transpose(1, 3, 0, 2).reshape(side * side, rows * cols).copy()

    def merge(
        self, first: list[LocalVariation], second: list[LocalVariation]
    ) -> list[LocalVariation]:
        """Both cells together, band by band."""
        return [
            LocalVariation(one.windows + two.windows, one.logarithms + two.logarithms)
            for one, two in zip(first, second)
        ]


def looks_of(found: LocalVariation, pixels: int) -> Estimate:
    """The number of looks from windows of so many pixels.

    Windows on edges and texture vary more than speckle alone; homogeneous ones gather around the
    mode of the logarithm. Those a factor of sqrt(2) to either side of it give its mean m there.
    Over gamma distributed speckle of L looks, the squared coefficient of variation of n pixels has
    the mean 1 / (L + 1 / n), and is about lognormal with a variance of 2 (1 + 1 / L) / n times its
    squared mean, so that its mean is exp(m) times the square root of one plus that.
    """
    windows = found.windows
    total = int(windows.sum())
    if not total:
        return Estimate(None, 0, 0)
    mode = int(np.argmax(_smoothed(windows)))
    near = slice(max(0, mode - _REACH), mode + _REACH + 1)
    homogeneous = int(windows[near].sum())
    middle = exp(log(2) * float(found.logarithms[near].sum()) / homogeneous)
    looks = max(LEAST_LOOKS, 1 / middle)
    for _ in range(50):
        mean = middle * exp(log1p(2 * (1 + 1 / looks) / pixels) / 2)
        looks = max(LEAST_LOOKS, 1 / mean - 1 / pixels)
    return Estimate(looks, total, homogeneous)


def _smoothed(windows: np.ndarray) -> np.ndarray:
    """Sums weighted by a triangle, in integers."""
    wide = np.pad(windows, _REACH)
    total = np.zeros_like(windows)
    for step in range(-_REACH, _REACH + 1):
        total += (_REACH + 1 - abs(step)) * wide[_REACH + step :][: windows.size]
    return total


def local_looks(found: LocalVariation) -> tuple[np.ndarray, np.ndarray]:
    """What single windows take for the number of looks, ascending, and how many windows do."""
    bins = np.arange(found.windows.size)
    looks = 2.0 ** -((bins + 0.5) / _BINS + _FIRST)
    return looks[::-1], found.windows[::-1]
