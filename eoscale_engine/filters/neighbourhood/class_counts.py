"""How often each value occurs around every pixel: for images of few different values."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Optional

import numpy as np

from eoscale_engine.filters.neighbourhood.windows import (
    Neighbourhood,
    gather_window,
    merging,
    unflattened,
)

MOST_VALUES = 1024
"""Beyond so many values counting each is never worth it."""

_SUM = merging(np.add)


def distinct_values(pixels: np.ndarray, valid: Optional[np.ndarray]) -> np.ndarray:
    """The different values of the valid pixels, ascending; 0 where no pixel is valid.

    ``pixels`` and ``valid`` are ``(rows, cols)``.
    """
    some = pixels.ravel() if valid is None else pixels[valid]
    if not some.size:
        return np.zeros(1, pixels.dtype)
    if pixels.dtype.kind in "iu":
        lowest, highest = some.min(), some.max()
        if int(highest) - int(lowest) < 4096:  # counting is several times faster than sorting
            # what overflows in a signed type is right again in the unsigned one
            steps = (some - lowest).astype(f"u{pixels.dtype.itemsize}").astype(np.intp)
            values: np.ndarray = np.flatnonzero(np.bincount(steps)).astype(pixels.dtype) + lowest
            return values
    return np.unique(some)


def few_values(pixels: np.ndarray, valid: Optional[np.ndarray], most: int) -> Optional[np.ndarray]:
    """The same; None where there are more than so many values."""
    most = min(most, MOST_VALUES)
    # a few of the pixels mostly tell that there are too many values
    few = pixels[::8, ::8], None if valid is None else valid[::8, ::8]
    if len(distinct_values(*few)) > most:
        return None
    values = distinct_values(pixels, valid)
    return values if len(values) <= most else None


def count_dtype(size: int) -> np.dtype:
    """In which type pixels of a window of ``size`` are counted."""
    return np.dtype(np.min_scalar_type(size))


def passes(window: Neighbourhood) -> int:
    """About how many passes over a block the count of one value takes, in bytes for each pixel."""
    side = 2 * window.radius + 1
    gathering = 3 * side.bit_length() if window.is_square else side + len(window.runs)
    return (gathering + 5) * count_dtype(window.size).itemsize


def counts_of(
    values: np.ndarray, pixels: np.ndarray, valid: Optional[np.ndarray], window: Neighbourhood
) -> Iterator[np.ndarray]:
    """For each value, how many valid pixels of the window around every pixel have it.

    ``pixels`` and ``valid`` are ``(rows, cols)`` with the window's radius around the core, the
    counts those of the core, in :func:`count_dtype`.
    """
    rows, cols = (side - 2 * window.radius for side in pixels.shape)
    found = np.empty(pixels.shape, bool)
    for value in values:
        np.equal(pixels, value, out=found)
        if valid is not None:
            np.logical_and(found, valid, out=found)
        ones = found.view(np.uint8).ravel().astype(count_dtype(window.size), copy=False)
        counts = gather_window(_SUM, ones, pixels.shape[1], window)
        yield unflattened(counts, pixels.shape[1], (rows, cols))
