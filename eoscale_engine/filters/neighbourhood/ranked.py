"""The pixels at some ranks of the window around every pixel: the median, percentiles.

Found by sorting, as minima and maxima of whole arrays, or by counting, once for each different
value. Both find the same; which takes less time depends on the window and on how many values a
block holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Optional

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


def window_median(
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    window: Neighbourhood,
    number: Optional[np.ndarray],
    out: np.ndarray,
    *,
    falling: bool = False,
) -> None:
    """The middle pixel of each window, of an even number the lower one, into ``out``.

    ``falling`` takes the upper one: the lower where values fall as pixels rise. The other
    parameters are those of :func:`order_statistics`.
    """
    numbers = np.arange(window.size + 1)
    places = numbers // 2 if falling else np.maximum(numbers - 1, 0) // 2
    (found,) = order_statistics(pixels, valid, window, number, [places])
    # adding 0 makes both 0.0 and -0.0, which are taken by chance, 0.0
    np.add(found, 0, out=out)


def window_percentile(
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    window: Neighbourhood,
    number: Optional[np.ndarray],
    out: np.ndarray,
    share: float,
) -> None:
    """Between the two pixels around ``share`` percent of the way through each sorted window.

    See :func:`window_median`; computed in floats that hold the pixels exactly, up to float64.
    """
    places = np.maximum(np.arange(window.size + 1) - 1, 0) * share / 100
    lower = np.floor(places)
    between = (places - lower).astype(np.result_type(pixels.dtype, np.float32))
    ranks = [lower.astype(np.intp), np.ceil(places).astype(np.intp)]
    low, high = (
        found.astype(between.dtype)
        for found in order_statistics(pixels, valid, window, number, ranks)
    )
    step = np.subtract(high, low, out=high)
    step *= between[window.size if number is None else number]
    np.copyto(step, 0, where=~np.isfinite(low))  # infinite pixels, not the NaN between them
    np.add(low, step, out=out, casting="same_kind")


def order_statistics(
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    window: Neighbourhood,
    number: Optional[np.ndarray],
    places: Sequence[np.ndarray],
) -> list[np.ndarray]:
    """The pixels at some ranks of each sorted window.

    Parameters
    ----------
    pixels : array of (rows, cols) with the window's radius around the core
    valid : boolean array of the same shape, or None
    number : array of (rows, cols) of the core, or None where ``valid`` is
        How many pixels of each window are valid.
    places : sequence of integer arrays of (window.size + 1,)
        Which rank is wanted among so many valid pixels; one array for each result.

    Returns
    -------
    list of arrays (rows, cols) of the core
        One for each of ``places``; anything where a window has no valid pixel.
    """
    size = window.size
    full = [int(ranks[size]) for ranks in places]
    steps = steps_for(window, range(min(full), max(full) + 1)) * pixels.dtype.itemsize
    if steps > LEAST_STEPS:
        values = few_values(pixels, valid, steps // passes(window))
        if values is not None:
            wanted = [ranks[size if number is None else number] for ranks in places]
            return _by_counting(values, pixels, valid, window, wanted)
    shape = tuple(side - 2 * window.radius for side in pixels.shape)
    results = [np.empty(shape, pixels.dtype) for _ in places]
    for piece, part in filled_pieces(pixels, valid, window):
        if number is None:
            arrays = sorted_windows(part, window, range(min(full), max(full) + 1))
            for result, rank in zip(results, full):
                result[piece.slices] = arrays[rank - min(full)]
            continue
        counts = number[piece.slices]
        # an empty window is given the place in a full one, which asks for no further ranks
        wanted = [ranks[np.where(counts == 0, size, counts)] for ranks in places]
        ranks = _covering(wanted, size)
        arrays = sorted_windows(part, window, ranks)
        for result, rank in zip(results, wanted):
            result[piece.slices] = chosen(arrays, rank - ranks[0])
    return results


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


def _covering(wanted: Sequence[np.ndarray], size: int) -> range:
    """A range of ranks that holds all wanted ones.

    Where the steps of sorting take time to prepare, it is one of a few such ranges.
    """
    lowest = min(int(ranks.min()) for ranks in wanted)
    highest = max(int(ranks.max()) for ranks in wanted)
    step = size // 8 if 121 < size <= LARGEST else 1
    return range(lowest - lowest % step, min(size, highest - highest % step + step))


def _by_counting(
    values: np.ndarray,
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    window: Neighbourhood,
    wanted: Sequence[np.ndarray],
) -> list[np.ndarray]:
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
    return [values[np.minimum(place, last)] for place in numbers]
