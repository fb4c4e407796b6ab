"""The most and the least frequent value of the window around every pixel, and how many there are.

Found by counting each value that a block holds, or as runs of equal pixels in the sorted windows;
both find the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Optional

import numpy as np

from eoscale_engine.filters.neighbourhood.class_counts import counts_of, few_values, passes
from eoscale_engine.filters.neighbourhood.ranked import chosen, filled_pieces
from eoscale_engine.filters.neighbourhood.window_sorting import sorted_windows, steps_for
from eoscale_engine.filters.neighbourhood.windows import Neighbourhood
from eoscale_engine.tiling import Window


class Frequent(NamedTuple):
    """Arrays of (rows, cols): a value of each window, and how many of its pixels have it."""

    values: np.ndarray
    counts: np.ndarray


def window_variety(
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    window: Neighbourhood,
    number: Optional[np.ndarray],
    out: np.ndarray,
) -> None:
    """How many different values the valid pixels of each window have, into ``out``.

    The parameters are those of :func:`~.ranked.order_statistics`.
    """
    values = _worth_counting(pixels, valid, window)
    out[...] = 0
    if values is not None:
        for counts in counts_of(values, pixels, valid, window):
            out += counts > 0
        return
    for piece, arrays, inside in _sorted_pieces(pixels, valid, window, number):
        total = out[piece.slices]
        for place, array in enumerate(arrays):
            if place:
                first = array != arrays[place - 1]
                total += first if inside is None else first & (inside > place)
            else:
                total += True if inside is None else inside > 0


def frequent(
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    window: Neighbourhood,
    number: Optional[np.ndarray],
    *,
    least: bool = False,
    centre: Optional[np.ndarray] = None,
) -> Frequent:
    """The most, or the least, frequent value of each window.

    Among equally frequent ones it is the smallest; the pixel's own, if it is one of the most
    frequent and ``centre`` holds the pixels of the core. The other parameters are those of
    :func:`eoscale_engine.filters.neighbourhood.ranked.order_statistics`.
    """
    values = _worth_counting(pixels, valid, window)
    shape = tuple(side - 2 * window.radius for side in pixels.shape)
    if values is not None:
        best = _Best(shape, window.size, len(values), least)
        for place, counts in enumerate(counts_of(values, pixels, valid, window)):
            own = None if centre is None else centre == values[place]
            best.offer(place, counts, counts > 0 if least else None, own)
        places, found = best.places_and_counts()
        return Frequent(values[places], found)
    result = Frequent(np.empty(shape, pixels.dtype), np.empty(shape, np.uint32))
    for piece, arrays, inside in _sorted_pieces(pixels, valid, window, number):
        best = _Best((piece.rows, piece.cols), window.size, window.size, least)
        counts = np.zeros((piece.rows, piece.cols), best.keys.dtype)
        for place, array in enumerate(arrays):
            if place:
                counts *= array == arrays[place - 1]
            counts += 1
            own = None if centre is None else array == centre[piece.slices]
            best.offer(place, counts, _whole_run(place, arrays, inside, least), own)
        places, found = best.places_and_counts()
        result.values[piece.slices] = chosen(arrays, places)
        result.counts[piece.slices] = found
    return result


class _Best:
    """The best offer so far: the number of pixels, then an own value, then the first place.

    All of it in one integer, so that the better of two is their maximum or minimum.
    """

    def __init__(self, shape: tuple[int, ...], size: int, places: int, least: bool) -> None:
        self.places, self.least = places, least
        self.worst = (2 * size + 2) * self.places
        dtype = np.promote_types(np.min_scalar_type(self.worst), np.uint16)
        self.keys = np.full(shape, self.worst if least else 0, dtype)
        self.key = np.empty_like(self.keys)

    def offer(
        self,
        place: int,
        counts: np.ndarray,
        accepted: Optional[np.ndarray],
        own: Optional[np.ndarray],
    ) -> None:
        """The number of pixels at a place; only where it is ``accepted``, if this is given."""
        key, kind = self.key, self.keys.dtype.type
        np.multiply(counts, kind(2 * self.places), out=key, dtype=key.dtype)
        if own is not None:
            key += np.multiply(own, kind(self.places), dtype=key.dtype)
        if self.least:
            key += kind(place)
            if accepted is not None:
                np.maximum(key, np.multiply(~accepted, kind(self.worst), dtype=key.dtype), out=key)
            np.minimum(self.keys, key, out=self.keys)
        else:
            key += kind(self.places - 1 - place)
            if accepted is not None:
                key *= accepted
            np.maximum(self.keys, key, out=self.keys)

    def places_and_counts(self) -> tuple[np.ndarray, np.ndarray]:
        """Where the best offers were made, and their numbers of pixels."""
        kind = self.keys.dtype.type
        scores = self.keys // kind(self.places)
        places = self.keys - scores * kind(self.places)
        if not self.least:
            places = kind(self.places - 1) - places
        return places, scores // kind(2)


def _worth_counting(
    pixels: np.ndarray, valid: Optional[np.ndarray], window: Neighbourhood
) -> Optional[np.ndarray]:
    """The values, if there are so few that counting them takes less time than sorting."""
    size = window.size
    steps = steps_for(window, range(size)) * pixels.dtype.itemsize + 16 * size
    return few_values(pixels, valid, max(8, steps // passes(window)))


def _sorted_pieces(
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    window: Neighbourhood,
    number: Optional[np.ndarray],
) -> Iterator[tuple[Window, list[np.ndarray], Optional[np.ndarray]]]:
    """Pieces of the core, their sorted windows, and how many pixels of each are valid."""
    for piece, part in filled_pieces(pixels, valid, window):
        arrays = sorted_windows(part, window, range(window.size))
        yield piece, arrays, None if number is None else number[piece.slices]


def _whole_run(
    place: int, arrays: list[np.ndarray], inside: Optional[np.ndarray], least: bool
) -> Optional[np.ndarray]:
    """Where the sorted pixel at a place is a valid one, and for the least its value's last."""
    accepted = None if inside is None else inside > place
    if least and place + 1 < len(arrays):
        last = arrays[place + 1] != arrays[place]
        if inside is not None:
            last |= inside == place + 1
        accepted = last if accepted is None else accepted & last
    return accepted
