"""Kernels: rows of weights, and the weighted sums of the pixels that lie under them.

A kernel is laid on the image as it is written, its middle on the pixel (a *correlation*). Sums run
over flat lines (see :mod:`eoscale_engine.filters.neighbourhood.windows`), weight by weight in an
order that the kernel alone decides, so that a result has the same bits whatever the block.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from math import fsum, gcd
from typing import Any, NamedTuple, Optional

import numpy as np

from eoscale_engine.filters.neighbourhood.windows import flat_lines, unflattened

BORDER: dict[str, Any] = {
    "default": "reflect",
    "choices": ("reflect", "nearest", "invalid"),
    "label": "Beyond the image",
    "help": "The image mirrored at its edge, its nearest pixel, or nothing: real pixels only.",
    "advanced": True,
}
"""The parameter ``border`` of the filters whose weights leave the choice to the user."""

Rows = tuple[tuple[float, ...], ...]

PIECE = 1 << 16
"""Elements of a sum at a time: with its scratch they stay in a core's own cache (measured)."""

MOST_SINGLE = 100
"""Most pixels that are added up one by one in float32: more would cost digits."""


class Group(NamedTuple):
    """Weights of one size: ``weight * (sum of pixels added - sum of pixels subtracted)``.

    Pixels by their ``(row, col)`` in the window.
    """

    weight: float
    added: tuple[tuple[int, int], ...]
    subtracted: tuple[tuple[int, int], ...]


class Sums(NamedTuple):
    """One pass over the image: the groups, and the last row and column that they reach."""

    groups: tuple[Group, ...]
    last_row: int
    last_col: int


@dataclass(frozen=True)
class Kernel:
    """Weights in rows from the top of the image on, an odd number of rows and columns."""

    weights: Rows

    @cached_property
    def margin(self) -> int:
        """How far from the middle the farthest weight stands that is not zero."""
        rows, cols = np.nonzero(self.weights)
        middle = len(self.weights) // 2, len(self.weights[0]) // 2
        return int(max(abs(rows - middle[0]).max(), abs(cols - middle[1]).max()))

    @cached_property
    def middle(self) -> float:
        """The weight of the pixel itself."""
        return self.weights[len(self.weights) // 2][len(self.weights[0]) // 2]

    @cached_property
    def has_negative(self) -> bool:
        """Whether a weight is below zero."""
        return min(map(min, self.weights)) < 0

    @cached_property
    def total(self) -> float:
        """The sum of the weights; 0 where but a millionth of their sizes is left of it."""
        total, size = (fsum(map(each, sum(self.weights, ()))) for each in (float, abs))
        return total if abs(total) > 1e-6 * size else 0.0

    @cached_property
    def magnitudes(self) -> Kernel:
        """The kernel of the weights' sizes."""
        return Kernel(tuple(tuple(map(abs, row)) for row in self.weights))

    @cached_property
    def factors(self) -> Optional[tuple[np.ndarray, np.ndarray]]:
        """A column and a row whose products are the weights, if that takes no more sums.

        Whole numbers are factored into whole numbers, others to 1e-12 of the largest weight.
        """
        weights = np.array(self.weights, float)
        size = np.abs(weights)
        top, left = np.unravel_index(int(size.argmax()), weights.shape)
        whole = bool((weights == np.rint(weights)).all())
        across = weights[top] / (gcd(*map(int, weights[top])) if whole else weights[top, left])
        down = weights[:, left] / across[left]
        lengths = np.count_nonzero(down), np.count_nonzero(across)
        if min(lengths) == 1 or sum(lengths) > np.count_nonzero(weights):
            return None
        equal = np.abs(np.outer(down, across) - weights) <= 1e-12 * size.max()
        return (down, across) if equal.all() else None

    @cached_property
    def passes(self) -> tuple[Sums, ...]:
        """What is summed, one pass after the other; differences first, which cost no digits."""
        rows, cols, last = len(self.weights), len(self.weights[0]), 2 * self.margin
        top, left = self.margin - rows // 2, self.margin - cols // 2
        if self.factors is None:
            everywhere = ((row + top, col + left) for row in range(rows) for col in range(cols))
            return (Sums(_groups(everywhere, sum(self.weights, ())), last, last),)
        down, across = self.factors
        passes = (
            Sums(_groups(((0, col + left) for col in range(cols)), across.tolist()), 0, last),
            Sums(_groups(((row + top, 0) for row in range(rows)), down.tolist()), last, 0),
        )
        return passes[::-1] if abs(fsum(down)) < abs(fsum(across)) else passes

    @property
    def operations(self) -> int:
        """How many pixels are added up for each one of the result."""
        groups = [group for sums in self.passes for group in sums.groups]
        return sum(len(group.added) + len(group.subtracted) for group in groups)

    def dtype(self, pixels: np.dtype) -> np.dtype:
        """In which type pixels are weighted and added up."""
        taken = sum(map(np.count_nonzero, self.weights))
        long = self.factors is None and taken > MOST_SINGLE
        return np.result_type(pixels, np.float64 if long else np.float32)

    def sums(self, lines: np.ndarray, pitch: int) -> np.ndarray:
        """Weighted sums of flat lines, ``pitch`` elements to a row, margins included.

        Returns flat lines of the core, of the same pitch and type; never a view.
        """
        for groups, last_row, last_col in self.passes:
            lines = _summed(lines, pitch, groups, lines.size - last_row * pitch - last_col)
        return lines


def _groups(places: Iterable[tuple[int, int]], weights: Iterable[float]) -> tuple[Group, ...]:
    """The groups of weights that are not zero, in the order in which they come first."""
    found: dict[float, tuple[list[tuple[int, int]], list[tuple[int, int]]]] = {}
    for place, weight in zip(places, weights):
        if weight:
            found.setdefault(abs(weight), ([], []))[weight < 0].append(place)
    return tuple(
        Group(weight, tuple(added), tuple(subtracted))
        if added
        else Group(-weight, tuple(subtracted), ())
        for weight, (added, subtracted) in found.items()
    )


def _summed(lines: np.ndarray, pitch: int, groups: tuple[Group, ...], length: int) -> np.ndarray:
    total = np.empty(length, lines.dtype)
    scratch = np.empty(min(length, PIECE), lines.dtype)
    for start in range(0, length, PIECE):
        out = total[start : start + PIECE]
        part = scratch[: out.size]
        for number, group in enumerate(groups):
            found = _group_sum(lines[start:], pitch, group, part if number else out)
            if number:
                np.add(out, found, out=out)
            elif found is not out:
                out[...] = found
    return total


def _group_sum(lines: np.ndarray, pitch: int, group: Group, scratch: np.ndarray) -> np.ndarray:
    """The sum of one group, in ``scratch`` or as a view of the lines."""

    def at(place: tuple[int, int]) -> np.ndarray:
        first = place[0] * pitch + place[1]
        return lines[first : first + scratch.size]

    found = at(group.added[0])
    for place in group.added[1:]:
        found = np.add(found, at(place), out=scratch)
    for place in group.subtracted:
        found = np.subtract(found, at(place), out=scratch)
    if group.weight != 1:
        found = np.multiply(found, lines.dtype.type(group.weight), out=scratch)
    return found


@lru_cache(maxsize=32)
def kernel_of(weights: Rows) -> Kernel:
    """The kernel of these weights: what is worked out once serves every block."""
    return Kernel(weights)


@lru_cache(maxsize=32)
def _full(kernel: Kernel, dtype: np.dtype) -> np.ndarray:
    """The sum of all weights, rounded as :meth:`Kernel.sums` does."""
    side = 2 * kernel.margin + 1
    full: np.ndarray = kernel.sums(np.ones(side * side, dtype), side)[0]
    return full


def correlate(
    kernel: Kernel,
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    *,
    propagate: bool = False,
) -> tuple[np.ndarray, Optional[np.ndarray]]:
    """Weighted sums of a band ``(rows, cols)`` with its margin: the core, and where it is known.

    Parameters
    ----------
    valid : boolean array of the same shape, or None where every pixel is valid
        Under a kernel without negative weights the valid pixels alone count: their weighted mean
        times the sum of all weights. Else an invalid pixel counts as one that equals the pixel in
        the middle, if that is valid.
    propagate : bool
        Without a value instead, where a pixel is invalid whose weight is not zero.
    """
    dtype, margin, (rows, pitch) = kernel.dtype(pixels.dtype), kernel.margin, pixels.shape
    core = slice(margin, rows - margin), slice(margin, pitch - margin)

    def sums(kernel: Kernel, lines: np.ndarray) -> np.ndarray:
        shape = rows - 2 * margin, pitch - 2 * margin
        return unflattened(kernel.sums(lines, pitch), pitch, shape)

    total = sums(kernel, flat_lines(pixels, valid, dtype, 0))
    if valid is None:
        return total, None
    if propagate:
        return total, sums(kernel.magnitudes, flat_lines(~valid, None, dtype, 0)) == 0
    weight, full = sums(kernel, flat_lines(valid, None, dtype, 0)), _full(kernel, dtype)
    if not kernel.has_negative:
        np.multiply(total, full / weight, out=total)
        return total, weight > 0
    # exactly 0 where all are valid, so that a mask far away changes no bit
    lacking = np.subtract(full, weight, out=weight)
    middle = pixels[core].astype(dtype)
    np.add(total, lacking * middle, out=total, where=lacking != 0)
    return total, valid[core]
