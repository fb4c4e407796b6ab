"""What the speckle filters share: mean and variance around every pixel, and the least error."""

from __future__ import annotations

from dataclasses import dataclass
from math import log
from typing import Any, NamedTuple, Optional

import numpy as np

from eoscale_engine.filters.neighbourhood.windows import (
    Neighbourhood,
    flat_lines,
    gather_window,
    merging,
    unflattened,
)
from eoscale_engine.filters.physical_values import physical_values
from eoscale_engine.profile import Band

_SUM = merging(np.add)


class Sums(NamedTuple):
    """Over each window: how many pixels are valid, their sum, and that of their squares."""

    number: np.ndarray
    total: np.ndarray
    squares: np.ndarray


@dataclass(frozen=True)
class Plane:
    """Physical values of one band with its margin, as flat lines in float64.

    Attributes
    ----------
    values, squares : arrays of (elements,)
        Values and their squares, 0 where they are invalid.
    ones : array of (elements,), or None where all pixels are valid
        1 where they are valid, else 0.
    pitch, margin : int
        Elements of a row, and how many of them lie on each side of the core.
    shape : (rows, cols)
        Of the core.
    """

    values: np.ndarray
    squares: np.ndarray
    ones: Optional[np.ndarray]
    pitch: int
    margin: int
    shape: tuple[int, int]

    def at(self, lines: np.ndarray, row: int = 0, col: int = 0) -> np.ndarray:
        """The pixels so far from those of the core, as a view of ``(rows, cols)``."""
        first = (self.margin + row) * self.pitch + self.margin + col
        return unflattened(lines[first:], self.pitch, self.shape)

    def gathered(self, lines: np.ndarray, window: Neighbourhood) -> np.ndarray:
        """The sums over the window around every pixel that has all of it, as flat lines."""
        return gather_window(_SUM, lines, self.pitch, window)

    def placed(
        self, found: np.ndarray, window: Neighbourhood, row: int = 0, col: int = 0
    ) -> np.ndarray:
        """What was gathered, of the windows around the pixels so far from those of the core."""
        first = (self.margin - window.radius + row) * self.pitch + self.margin - window.radius + col
        return unflattened(found[first:], self.pitch, self.shape)

    def sums(self, window: Neighbourhood) -> Sums:
        """Number, sum and sum of squares of the window's valid pixels."""
        number = np.asarray(float(window.size))
        if self.ones is not None:
            number = self.placed(self.gathered(self.ones, window), window)
        total, squares = (
            self.placed(self.gathered(lines, window), window)
            for lines in (self.values, self.squares)
        )
        return Sums(number, total, squares)


def from_decibels(values: Any) -> Any:
    """Intensities: ``10^(x / 10)``."""
    return np.exp(values * (log(10) / 10))


def to_decibels(values: np.ndarray) -> np.ndarray:
    """``10 log10(x)`` of intensities."""
    return np.log(values) * (10 / log(10))


def plane_of(
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    band: Band,
    margin: int,
    *,
    squared: bool,
    decibels: bool,
) -> Plane:
    """A band ``(rows, cols)`` with its margin, of intensities if it is in decibels.

    ``squared``: x abs(x) in place of each value.
    """
    rows, pitch = pixels.shape
    kind = np.dtype(np.float64)
    physical = physical_values(pixels, band, kind)
    values = flat_lines(from_decibels(physical) if decibels else physical, valid, kind, 0)
    squares = values * values
    if squared:
        values = np.copysign(squares, values)
        squares = values * values
    ones = None if valid is None else flat_lines(valid, None, kind, 0)
    shape = (rows - 2 * margin, pitch - 2 * margin)
    return Plane(values, squares, ones, pitch, margin, shape)


def mean_and_variance(sums: Sums) -> tuple[np.ndarray, np.ndarray]:
    """Of each window; NaN for a mean that is not greater than 0, where speckle has no meaning.

    The variance is that of a sample, over n - 1 pixels, and 0 of a single one. Rounding leaves some
    -1e-16 of the squared mean for the variance of equal pixels.
    """
    mean = sums.total * (1 / sums.number)
    variance = sums.total * mean
    np.subtract(sums.squares, variance, out=variance)
    variance *= 1 / np.maximum(sums.number - 1, 1)
    if not mean.min() > 0:
        np.copyto(mean, np.nan, where=mean <= 0)
    return mean, variance


def least_error(
    pixels: np.ndarray, mean: np.ndarray, variance: np.ndarray, noise: float, *, exact: bool
) -> np.ndarray:
    """``mean + W (x - mean)``, W being ``1 - Cu^2 / Ci^2`` cut at 0; ``exact``: W / (1 + Cu^2).

    Parameters
    ----------
    pixels, mean, variance : arrays of (rows, cols)
    noise : float
        Cu^2, the squared coefficient of variation of the speckle; Ci^2 is variance / mean^2.
    """
    speckle = mean * mean
    speckle *= noise
    weight = np.maximum(variance, speckle)
    np.divide(speckle, weight, out=weight)
    np.subtract(1, weight, out=weight)
    if exact:
        weight *= 1 / (1 + noise)
    result = np.subtract(pixels, mean, out=speckle)
    result *= weight
    result += mean
    return result
