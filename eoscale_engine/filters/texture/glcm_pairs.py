"""Pairs of pixels in the windows of a block, and the texture features that are sums over them.

A pair counts in a window where both its pixels lie inside, so its places form a box that is smaller
than the window by the step from one pixel to the other. A feature such as the contrast is the sum
over such a box of one number for each pair: no matrix is needed. All sums but that of the
homogeneity are of integers, exact in any order; that one adds in the same order for any block.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Optional

import numpy as np

STEPS = {"0": (0, 1), "45": (-1, 1), "90": (-1, 0), "135": (-1, -1)}
"""Rows and columns from the first pixel of a pair to the second, by the direction in degrees."""


@dataclass(frozen=True)
class Pairs:
    """The pairs of one direction in a block of ``rows x cols`` windows.

    Attributes
    ----------
    first, second : uint8 array of (rows + height - 1, cols + width - 1)
        Grey levels of each pair, both 0 where it does not count.
    counted : boolean array of the same shape, or None where all pairs count
    height, width : int
        The box of a pair's places in a window; the first box lies at the first row and column.
    levels : int
        Number of grey levels.
    symmetric : bool
        Whether each pair counts in both orders.
    """

    first: np.ndarray
    second: np.ndarray
    counted: Optional[np.ndarray]
    height: int
    width: int
    levels: int
    symmetric: bool

    @property
    def size(self) -> int:
        """Most pairs in a window."""
        return self.height * self.width

    @cached_property
    def number(self) -> np.ndarray:
        """Pairs that count in each window: integers, one alone where all count."""
        if self.counted is None:
            return np.asarray(self.size, self._exact)
        return self._sum(self.counted, 1).astype(self._exact)

    @cached_property
    def entries(self) -> np.ndarray:
        """Entries of each window's matrix, as :attr:`number`; 1 where there is none, to divide."""
        return np.maximum(2 * self.number if self.symmetric else self.number, 1)

    # ---- features, float32 (rows, cols); arbitrary where no pair counts

    def contrast(self) -> np.ndarray:
        """Mean of (i - j)^2."""
        return _ratio(self._contrast, np.maximum(self.number, 1))

    def dissimilarity(self) -> np.ndarray:
        """Mean of abs(i - j)."""
        return _ratio(self._sum(self._difference, self.levels - 1), np.maximum(self.number, 1))

    def homogeneity(self) -> np.ndarray:
        """Mean of 1 / (1 + (i - j)^2)."""
        closeness = self._squares.astype(np.float32)
        closeness += 1
        np.reciprocal(closeness, out=closeness)
        if self.counted is not None:
            closeness *= self.counted
        return _ratio(box_sums(closeness, self.height, self.width), np.maximum(self.number, 1))

    def mean(self) -> np.ndarray:
        """Mean of i."""
        return _ratio(self._moments[0], self.entries)

    def variance(self) -> np.ndarray:
        """Mean of (i - mean)^2."""
        return _ratio(self._spreads[0], self.entries * self.entries)

    def correlation(self) -> np.ndarray:
        """Covariance of i and j by the product of their deviations; 1 where one of these is 0."""
        if self.symmetric:
            spread = self._spreads[0]
            shared, scale = spread - self.entries * self._contrast, spread
        else:
            (one, two), (total, other) = self._spreads, self._moments
            # 2 i j = i^2 + j^2 - (i - j)^2
            products = (self._square_sums[0] + self._square_sums[1] - self._contrast) // 2
            shared = self.entries * products - total * other
            scale = np.sqrt(one.astype(np.float64) * two)
        flat = scale == 0
        result = _ratio(shared, scale + flat)
        np.copyto(result, 1, where=flat)
        return result

    # ---- sums over the windows

    @cached_property
    def _exact(self) -> np.dtype:
        """Signed integers for products of sums: the square of the entries times a level squared."""
        largest = 4 * self.size**2 * (self.levels - 1) ** 2
        return np.dtype(np.int32 if largest < 2**31 else np.int64)

    def _sum(self, values: np.ndarray, largest: int) -> np.ndarray:
        """Sums over every window of values of at most ``largest``, in the smallest type."""
        kind = np.min_scalar_type(self.size * largest)
        return box_sums(values.astype(kind), self.height, self.width)

    @cached_property
    def _difference(self) -> np.ndarray:
        difference = np.maximum(self.first, self.second)
        difference -= np.minimum(self.first, self.second)
        return difference

    @cached_property
    def _squares(self) -> np.ndarray:
        return _squared(self._difference)

    @cached_property
    def _contrast(self) -> np.ndarray:
        return self._sum(self._squares, (self.levels - 1) ** 2).astype(self._exact)

    @cached_property
    def _moments(self) -> tuple[np.ndarray, ...]:
        """Sums of i, and of j unless it is the same."""
        return self._both(self.first.astype(np.uint16), self.second, self.levels - 1)

    @cached_property
    def _square_sums(self) -> tuple[np.ndarray, ...]:
        one, two = _squared(self.first).astype(np.uint32), _squared(self.second)
        return self._both(one, two, (self.levels - 1) ** 2)

    @cached_property
    def _spreads(self) -> tuple[np.ndarray, ...]:
        """The variances of i and j, times the square of the entries."""
        return tuple(
            self.entries * squares - total * total
            for total, squares in zip(self._moments, self._square_sums)
        )

    def _both(self, one: np.ndarray, two: np.ndarray, largest: int) -> tuple[np.ndarray, ...]:
        if self.symmetric:
            return (self._sum(one + two, 2 * largest).astype(self._exact),)
        return tuple(self._sum(part, largest).astype(self._exact) for part in (one, two))


def pairs_of(
    grey: np.ndarray,
    valid: Optional[np.ndarray],
    direction: str,
    *,
    distance: int,
    radius: int,
    levels: int,
    symmetric: bool,
) -> Pairs:
    """The pairs of a band's grey levels, uint8 ``(rows, cols)`` with a margin of the radius."""
    down, right = (step * distance for step in STEPS[direction])
    first, second = _shifted(grey, down, right)
    counted = None
    if valid is not None:
        one, two = _shifted(valid, down, right)
        counted = one & two
        first, second = first * counted, second * counted
    height, width = (2 * radius + 1 - abs(step) for step in (down, right))
    return Pairs(first, second, counted, height, width, levels, symmetric)


def box_sums(values: np.ndarray, height: int, width: int) -> np.ndarray:
    """Sum over the box that begins at every pixel, where it lies inside, in the values' type."""
    return _run_sums(_run_sums(values, height).T, width).T


def _run_sums(lines: np.ndarray, number: int) -> np.ndarray:
    """Sum of each line and those after it, ``number`` together, along the first axis.

    Runs are made of two of half the length: some ``2 log2(number)`` passes, always alike.
    """
    if number == 1:
        return lines
    length = len(lines) - number + 1
    if number % 2:
        return _run_sums(lines, number - 1)[:length] + lines[number - 1 :]
    half = _run_sums(lines, number // 2)
    return half[:length] + half[number // 2 :]


def _shifted(values: np.ndarray, down: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """Views of each pair's first and second pixel."""
    rows, cols = values.shape
    top, left = max(0, -down), max(0, -right)
    height, width = rows - abs(down), cols - abs(right)
    first = values[top : top + height, left : left + width]
    top, left = top + down, left + right
    return first, values[top : top + height, left : left + width]


def _squared(levels: np.ndarray) -> np.ndarray:
    squares = levels.astype(np.uint16)
    squares *= squares
    return squares


def _ratio(total: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Quotients in float32, the same whether all windows have one number or each its own."""
    result = total.astype(np.float32)
    result /= number.astype(np.float32)
    return result
