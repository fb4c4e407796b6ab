"""Sums, extremes and variances of the pixels of the window around every pixel."""

from __future__ import annotations

from typing import Optional

import numpy as np

from eoscale_engine.filters.neighbourhood.windows import (
    Merge,
    Neighbourhood,
    flat_lines,
    gather_window,
    merging,
    unflattened,
)

_SUM, _MINIMUM, _MAXIMUM = merging(np.add), merging(np.minimum), merging(np.maximum)


def window_count(valid: np.ndarray, window: Neighbourhood) -> np.ndarray:
    """How many pixels of each window are valid."""
    ones = flat_lines(valid, None, np.min_scalar_type(window.size), 0)
    return _around(_SUM, ones, valid.shape, window)


def window_sum(
    pixels: np.ndarray, valid: Optional[np.ndarray], window: Neighbourhood
) -> np.ndarray:
    """The sum of the valid pixels, in :func:`sum_dtype`."""
    dtype = sum_dtype(pixels.dtype, window.size)
    return _around(_SUM, flat_lines(pixels, valid, dtype, 0), pixels.shape, window)


def sum_dtype(dtype: np.dtype, size: int) -> np.dtype:
    """In which type ``size`` pixels are added up: exact for integers of up to 32 bits."""
    if dtype.kind == "f":
        return dtype
    limits = np.iinfo(dtype)
    total = np.dtype(np.int32 if dtype.kind == "i" else np.uint32)
    fits = size * max(limits.max, -limits.min) < np.iinfo(total).max
    return total if fits else np.dtype(np.float64)


def window_extreme(
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    window: Neighbourhood,
    out: np.ndarray,
    *,
    largest: bool,
) -> None:
    """The largest or smallest valid pixel; invalid ones are made the opposite extreme."""
    if pixels.dtype.kind == "f":
        fill = -np.inf if largest else np.inf
    else:
        limits = np.iinfo(pixels.dtype)
        fill = limits.min if largest else limits.max
    lines = flat_lines(pixels, valid, pixels.dtype, fill)
    found = _around(_MAXIMUM if largest else _MINIMUM, lines, pixels.shape, window)
    # Which of 0.0 and -0.0 is taken depends on the place in the line; adding 0 makes both 0.0.
    np.add(found, 0, out=out)


def window_variance(
    pixels: np.ndarray, valid: Optional[np.ndarray], window: Neighbourhood, number: np.ndarray
) -> np.ndarray:
    """The variance of the ``number`` valid pixels, in float64."""
    lines = flat_lines(pixels, valid, np.dtype(np.float64), 0)
    moments = np.zeros((2 if valid is None else 3, lines.size))
    moments[0] = lines
    if valid is not None:
        moments[2] = valid.ravel()
    squares: np.ndarray = _around(_merge_moments, moments, pixels.shape, window)[1]
    squares /= number
    return squares


def _around(
    merge: Merge, lines: np.ndarray, shape: tuple[int, ...], window: Neighbourhood
) -> np.ndarray:
    """What is gathered around every pixel of the core; ``shape`` is that of band and margin."""
    rows, cols = (side - 2 * window.radius for side in shape)
    return unflattened(gather_window(merge, lines, shape[1], window), shape[1], (rows, cols))


def _merge_moments(
    first: np.ndarray, second: np.ndarray, out: np.ndarray, sizes: tuple[int, int]
) -> None:
    """Merge mean, sum of squares about it, and number where some pixels are invalid.

    An empty part has the mean 0 and takes no share.
    """
    one, two = (first[2], second[2]) if len(first) == 3 else sizes
    share = two / np.maximum(one + two, 1)
    difference = second[0] - first[0]
    square = difference * difference
    square *= one * share
    np.add(first[1], second[1], out=out[1])
    out[1] += square
    difference *= share
    np.add(first[0], difference, out=out[0])
    if len(first) == 3:
        np.add(one, two, out=out[2])
