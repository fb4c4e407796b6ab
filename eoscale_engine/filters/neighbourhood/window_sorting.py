"""The pixels of the window around every pixel, sorted as far as the wanted ranks need it.

Sorted runs of pixels are merged into longer ones, rows first. What two windows share is sorted
once: a part of the window that is another part moved is the same arrays, read from another place.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import isqrt

import numpy as np

from eoscale_engine.filters.neighbourhood.windows import Neighbourhood, unflattened
from eoscale_engine.filters.sorting import Program, execute, merging_program
from eoscale_engine.tiling import Window, blocks_of

Part = tuple[tuple[int, int, int], ...]
"""Runs of a window (row, column, width), counted from the place of the first one."""

LARGEST = 2700
"""Most pixels of a window that is sorted by merging: scratch grows with them (150 MB here)."""

PIECE_BYTES = 6 * 1024 * 1024
"""About what the sorted pixels of one piece of a block take (measured)."""


@dataclass(frozen=True)
class Step:
    """Sorts one part of the window, from its two halves.

    ``first`` and ``second`` are the halves as parts, ``shift`` the rows and columns from one to the
    other, ``ones`` and ``others`` the ranks of them that the program takes, and ``ranks`` those
    that it gives.
    """

    part: Part
    first: Part
    second: Part
    shift: tuple[int, int]
    ones: range
    others: range
    ranks: range
    program: Program


def pieces(rows: int, cols: int, size: int, itemsize: int) -> list[Window]:
    """A block cut into the pieces that suit :func:`sorted_windows`, for windows of ``size``."""
    pixels = PIECE_BYTES // (size * itemsize)
    shape = (max(96, isqrt(pixels)),) * 2 if size <= LARGEST else (1, max(16, pixels))
    return blocks_of(Window(0, 0, rows, cols), shape)


@lru_cache(maxsize=64)
def steps_for(window: Neighbourhood, ranks: range) -> int:
    """How many minima and maxima one pixel's ranks take, or as much time as so many."""
    if window.size > LARGEST:
        return 100 * window.size
    return sum(len(step.program.steps) for step in plan(_from_origin(window.runs), ranks))


def sorted_windows(pixels: np.ndarray, window: Neighbourhood, ranks: range) -> list[np.ndarray]:
    """What stands at each of the ranks in the sorted window around every pixel of the core.

    Parameters
    ----------
    pixels : array of (rows, cols) with the window's radius around the core
        Without NaN.
    window : Neighbourhood
    ranks : range
        Unbroken, from 0, the smallest.

    Returns
    -------
    list of arrays (rows, cols) of the core
        One for each rank; views of scratch.
    """
    if window.size > LARGEST:
        return _partitioned(pixels, window, ranks)
    rows, cols = (side - 2 * window.radius for side in pixels.shape)
    pitch = pixels.shape[1]
    lines = np.ascontiguousarray(pixels).ravel()
    return [
        unflattened(found, pitch, (rows, cols)) for found in _merged(lines, pitch, window, ranks)
    ]


def _merged(lines: np.ndarray, pitch: int, window: Neighbourhood, ranks: range) -> list[np.ndarray]:
    whole = _from_origin(window.runs)
    steps = plan(whole, ranks)
    lengths = {whole: lines.size - 2 * window.radius * (pitch + 1)}
    uses: dict[Part, int] = {}
    for step in steps:
        for half, (row, col) in ((step.first, (0, 0)), (step.second, step.shift)):
            length = lengths[step.part] + row * pitch + col
            lengths[half] = max(lengths.get(half, 0), length)
            uses[half] = uses.get(half, 0) + 1
    row, col, _ = window.runs[0]
    start = row * pitch + col
    found = {SINGLE: (0, [lines[start : start + lengths[SINGLE]]])}
    for step in reversed(steps):
        length, shift = lengths[step.part], step.shift[0] * pitch + step.shift[1]
        inputs = []
        for half, places, begin in ((step.first, step.ones, 0), (step.second, step.others, shift)):
            lowest, arrays = found[half]
            inputs += [arrays[rank - lowest][begin : begin + length] for rank in places]
        found[step.part] = step.ranks[0], execute(step.program, inputs)
        for half in (step.first, step.second):
            uses[half] -= 1
            if not uses[half]:
                del found[half]
    return found[whole][1]


SINGLE: Part = ((0, 0, 1),)


@lru_cache(maxsize=64)
def plan(whole: Part, ranks: range) -> tuple[Step, ...]:
    """The steps that sort a window's pixels as far as the ranks need it, the last one first."""
    needed = {whole: ranks}
    steps = []
    waiting = {whole}
    while waiting:
        part = max(waiting, key=_size)  # its halves are smaller: all that need it are done
        waiting.remove(part)
        if part == SINGLE:
            continue
        one, other, shift = _halves(part)
        first, second = _size(one), _size(other)
        wanted = needed[part]
        # members of one half that are out of reach whatever stands in the other are left out
        ones = range(max(0, wanted[0] - second), min(first, wanted[-1] + 1))
        others = range(max(0, wanted[0] - first), min(second, wanted[-1] + 1))
        below = ones[0] + others[0]
        program = merging_program(len(ones), len(others), tuple(rank - below for rank in wanted))
        steps.append(Step(part, one, other, shift, ones, others, wanted, program))
        for half, places in ((one, ones), (other, others)):
            before = needed.get(half, places)
            needed[half] = range(min(before[0], places[0]), max(before[-1], places[-1]) + 1)
            waiting.add(half)
    return tuple(steps)


def _halves(part: Part) -> tuple[Part, Part, tuple[int, int]]:
    """A part cut after a power of two of its runs, or of its pixels where it is one run."""
    if len(part) > 1:
        half = 1 << (len(part) - 1).bit_length() - 1
        row, col, _ = part[half]
        return part[:half], _from_origin(part[half:]), (row, col)
    width = part[0][2]
    half = 1 << (width - 1).bit_length() - 1
    return ((0, 0, half),), ((0, 0, width - half),), (0, half)


def _from_origin(part: Part) -> Part:
    top, left, _ = part[0]
    return tuple((row - top, col - left, width) for row, col, width in part)


def _size(part: Part) -> int:
    return sum(width for _, _, width in part)


def _partitioned(pixels: np.ndarray, window: Neighbourhood, ranks: range) -> list[np.ndarray]:
    """By sorting a copy of each window: slower, but nothing grows with the size but the time."""
    side = 2 * window.radius + 1
    cells = np.zeros((side, side), bool)
    for row, col, width in window.runs:
        cells[row, col : col + width] = True
    views = np.lib.stride_tricks.sliding_window_view(pixels, (side, side))
    ordered = views[..., cells]
    if len(ranks) > 8:
        ordered.sort(axis=-1)
    else:
        ordered.partition(list(ranks), axis=-1)
    return [ordered[..., rank] for rank in ranks]
