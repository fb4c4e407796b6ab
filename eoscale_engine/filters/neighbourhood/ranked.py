"""The pixels at some ranks of the window around every pixel: the median, percentiles.

Found by sorting, as minima and maxima of whole arrays, or by counting, once for each different
value. Both find the same; which takes less time depends on the window and on how many values a
block holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Optional

import numpy as np

from eoscale_engine.filters.neighbourhood.class_counts import (
    count_dtype,
    counts_of,
    few_values,
    passes,
)
from eoscale_engine.filters.neighbourhood.window_sorting import (
    LARGEST,
    pieces,
    sorted_windows,
    steps_for,
)
from eoscale_engine.filters.neighbourhood.windows import Neighbourhood
from eoscale_engine.tiling import Window

LEAST_STEPS = 400
"""So many steps of one byte take less time than to look whether there are few values (measured)."""


MOST_HALVED = 121
"""Largest window of which the means of all middle pixels are made, in place of those asked for."""


def window_median(
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    window: Neighbourhood,
    number: Optional[np.ndarray],
    out: np.ndarray,
) -> None:
    """The middle pixel of each window, of an even number the mean of the two, into ``out``.

    The parameters are those of :func:`order_statistics`; ``out`` holds floats, or pixels where all
    windows are whole and odd. The same as the percentile 50, in less time.
    """
    size = window.size
    if number is None and size % 2:
        window_lower_median(pixels, valid, window, number, out)
        return
    numbers = np.arange(size + 1)
    places = [np.maximum(numbers - 1, 0) // 2, numbers // 2]
    values = _values_to_count(pixels, valid, window, places)
    if number is None or size > MOST_HALVED or values is not None:
        low, high = np.empty((2, *out.shape), pixels.dtype)
        _order_statistics(values, pixels, valid, window, number, places, [low, high])
        _interpolate(low, high, 0.5, out)
        return
    for piece, part in filled_pieces(pixels, valid, window):
        counts = number[piece.slices]
        ranks = _covering(places, counts, size)
        middles = _with_means(sorted_windows(part, window, ranks), out.dtype)
        # rank (n - 1) / 2, of which each half has a place
        found = np.multiply(counts, counts.size, dtype=np.intp)
        found += np.arange(counts.size).reshape(counts.shape)
        found -= (2 * ranks[0] + 1) * counts.size
        out[piece.slices] = middles.reshape(-1).take(found, mode="clip")


def _with_means(arrays: Sequence[np.ndarray], dtype: np.dtype) -> np.ndarray:
    """The arrays, and between each two that follow each other what lies halfway."""
    result = np.empty((2 * len(arrays) - 1, *arrays[0].shape), dtype)
    for place, array in enumerate(arrays):
        result[2 * place] = array
    if arrays[0].dtype.kind != "f" and arrays[0].dtype.itemsize < dtype.itemsize:  # exact sums
        np.add(result[:-2:2], result[2::2], out=result[1::2])
        result[1::2] *= 0.5
    else:
        result[::2] += 0  # no -0.0, which is taken by chance
        _interpolate(result[:-2:2], result[2::2], 0.5, result[1::2])
    return result


def _interpolate(low: np.ndarray, high: np.ndarray, share: Any, out: np.ndarray) -> None:
    """Between two pixels, in floats that hold them exactly, up to float64."""
    # cast first: NumPy takes twice the time to add arrays of different types
    kind = np.result_type(low.dtype, np.float32)
    first, step = low.astype(kind, copy=False), high.astype(kind)
    step -= first
    step *= share
    if low.dtype.kind == "f":
        np.copyto(step, 0, where=~np.isfinite(low))  # infinite pixels, not the NaN between them
    np.add(first, step, out=out, casting="same_kind")


def window_lower_median(
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    window: Neighbourhood,
    number: Optional[np.ndarray],
    out: np.ndarray,
    *,
    falling: bool = False,
) -> None:
    """The middle pixel of each window, of an even number the lower one.

    ``falling`` takes the upper one: the lower where values fall as pixels rise.
    """
    numbers = np.arange(window.size + 1)
    places = numbers // 2 if falling else np.maximum(numbers - 1, 0) // 2
    order_statistics(pixels, valid, window, number, [places], [out])
    if pixels.dtype.kind == "f":  # adding 0 makes both 0.0 and -0.0, which are taken by chance, 0.0
        out += 0


def window_percentile(
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    window: Neighbourhood,
    number: Optional[np.ndarray],
    out: np.ndarray,
    share: float,
) -> None:
    """Between the two pixels around ``share`` percent of the way through each sorted window."""
    places = np.maximum(np.arange(window.size + 1) - 1, 0) * share / 100
    lower = np.floor(places)
    between = (places - lower).astype(np.result_type(pixels.dtype, np.float32))
    ranks = [lower.astype(np.intp), np.ceil(places).astype(np.intp)]
    low, high = np.empty((2, *out.shape), pixels.dtype)
    order_statistics(pixels, valid, window, number, ranks, [low, high])
    # "clip" spares a check of every pixel
    way = between[window.size] if number is None else np.take(between, number, mode="clip")
    _interpolate(low, high, way, out)


def order_statistics(
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    window: Neighbourhood,
    number: Optional[np.ndarray],
    places: Sequence[np.ndarray],
    results: Sequence[np.ndarray],
) -> None:
    """The pixels at some ranks of each sorted window.

    Parameters
    ----------
    pixels : array of (rows, cols) with the window's radius around the core
    valid : boolean array of the same shape, or None
    number : array of (rows, cols) of the core, or None where ``valid`` is
        How many pixels of each window are valid.
    places : sequence of integer arrays of (window.size + 1,)
        Which rank is wanted among so many valid pixels; one array for each result.
    results : sequence of arrays (rows, cols) of the core
        Where they are written to: anything where a window has no valid pixel.
    """
    values = _values_to_count(pixels, valid, window, places)
    _order_statistics(values, pixels, valid, window, number, places, results)


def _order_statistics(
    values: Optional[np.ndarray],
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    window: Neighbourhood,
    number: Optional[np.ndarray],
    places: Sequence[np.ndarray],
    results: Sequence[np.ndarray],
) -> None:
    """The same where it is known whether there are few values."""
    size = window.size
    if values is not None:
        wanted = [ranks[size if number is None else number] for ranks in places]
        _by_counting(values, pixels, valid, window, wanted, results)
        return
    for piece, part in filled_pieces(pixels, valid, window):
        counts = None if number is None else number[piece.slices]
        ranks = _covering(places, counts, size)
        arrays = sorted_windows(part, window, ranks)
        if counts is None:
            for result, table in zip(results, places):
                result[piece.slices] = arrays[table[size] - ranks[0]]
            continue
        lines, elements = np.stack(arrays).reshape(-1), np.arange(counts.size).reshape(counts.shape)
        for result, table in zip(results, places):
            found = np.take((table - ranks[0]) * counts.size, counts, mode="clip")
            found += elements
            result[piece.slices] = lines.take(found, mode="clip")


def _values_to_count(
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    window: Neighbourhood,
    places: Sequence[np.ndarray],
) -> Optional[np.ndarray]:
    """The values, if there are so few that counting them takes less time than sorting."""
    full = [int(ranks[window.size]) for ranks in places]
    steps = steps_for(window, range(min(full), max(full) + 1)) * pixels.dtype.itemsize
    if steps <= LEAST_STEPS:
        return None
    return few_values(pixels, valid, steps // passes(window))


def chosen(arrays: Sequence[np.ndarray], places: np.ndarray) -> np.ndarray:
    """The element of that one of the arrays, of one shape, whose number stands in ``places``."""
    elements = np.arange(places.size).reshape(places.shape)
    elements += places.astype(np.intp) * places.size
    return np.stack(arrays).reshape(-1)[elements]


def filled_pieces(
    pixels: np.ndarray, valid: Optional[np.ndarray], window: Neighbourhood
) -> Iterator[tuple[Window, np.ndarray]]:
    """Pieces of the core, and their pixels with the margin: the largest value for invalid ones.

    So the valid pixels of a sorted window come first, or what equals them.
    """
    rows, cols = (side - 2 * window.radius for side in pixels.shape)
    largest = np.inf if pixels.dtype.kind == "f" else np.iinfo(pixels.dtype).max
    for piece in pieces(rows, cols, window.size, pixels.dtype.itemsize):
        around = piece._replace(
            rows=piece.rows + 2 * window.radius, cols=piece.cols + 2 * window.radius
        ).slices
        part = pixels[around]
        if valid is not None:
            part = np.where(valid[around], part, part.dtype.type(largest))
        yield piece, part


def _covering(tables: Sequence[np.ndarray], counts: Optional[np.ndarray], size: int) -> range:
    """A range of ranks that holds those of so many pixels, but 0; of whole windows without counts.

    Where the steps of sorting take time to prepare, it is one of a few such ranges.
    """
    least = size if counts is None else max(1, int(counts.min()))
    most = size if counts is None else max(1, int(counts.max()))
    wanted = [table[least : most + 1] for table in tables]
    lowest = min(int(ranks.min()) for ranks in wanted)
    highest = max(int(ranks.max()) for ranks in wanted)
    step = size // 8 if 121 < size <= LARGEST and counts is not None else 1
    return range(lowest - lowest % step, min(size, highest - highest % step + step))


def _by_counting(
    values: np.ndarray,
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    window: Neighbourhood,
    wanted: Sequence[np.ndarray],
    results: Sequence[np.ndarray],
) -> None:
    """The value at a rank is the first one up to which there are more pixels than the rank."""
    shape = tuple(side - 2 * window.radius for side in pixels.shape)
    before = np.zeros(shape, count_dtype(window.size))
    numbers = [np.zeros(shape, np.uint16) for _ in wanted]
    ranks = [rank.astype(before.dtype) for rank in wanted]
    for counts in counts_of(values, pixels, valid, window):
        before += counts
        for place, rank in zip(numbers, ranks):
            np.add(place, before <= rank, out=place)
    last = np.uint16(len(values) - 1)
    for result, place in zip(results, numbers):
        result[...] = values[np.minimum(place, last)]
