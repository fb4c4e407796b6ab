"""What neighbourhood filters share: gathering the pixels of a window around every pixel, exactly.

A block's band is handled as *flat lines*: one row after the other in one dimension, ``pitch``
elements each. The pixel ``(row, col)`` of the core stands at ``row * pitch + col``, where its
window begins, and every other pixel of the window at a fixed distance from there. So each step of
a gathering is one pass over contiguous memory. What is found at the ends of the lines mixes two
rows; it lies outside the core and is never read.

Each result depends on the pixels of its own window only, always combined in the same order, so it
has the same bits whatever the block.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Callable, Optional

import numpy as np

from eoscale_engine.declaration import Block, Pixels
from eoscale_engine.tiling import Window

SHAPES = ("square", "disk")

Merge = Callable[[np.ndarray, np.ndarray, np.ndarray, tuple[int, int]], None]
"""``merge(first, second, out, sizes)``: into ``out`` (which may be ``first``) what was gathered
over ``first`` and ``second`` together; they stand for as many pixels as ``sizes`` says."""

Compute = Callable[[int, np.ndarray, Optional[np.ndarray], np.ndarray], Optional[np.ndarray]]
"""``compute(band, pixels, valid, out)``: the result on the core of one band, into ``out``.
Returns where it is valid; not asked where ``valid`` is None."""

GAP = 512
"""Columns without invalid pixels that are worth two windows in place of one (measured)."""


def by_validity(block: Block, margin: int, dtype: np.dtype, compute: Compute) -> Pixels:
    """Compute a block's result without masks, then again with them near invalid pixels only.

    ``compute`` must give the same bits with and without a mask where a window is wholly valid. It
    meets any value in invalid pixels when it is called without a mask; what it then finds near
    them is replaced.
    """
    bands, rows, cols = block.pixels.shape
    core = Window(0, 0, rows - 2 * margin, cols - 2 * margin)
    result = np.empty((bands, core.rows, core.cols), dtype)
    with np.errstate(all="ignore"):
        if block.valid is None:
            for band, pixels in enumerate(block.pixels):
                compute(band, pixels, None, result[band])
            return result, None
        valid = np.ones(result.shape, bool)
        for band, (pixels, mask) in enumerate(zip(block.pixels, block.valid)):
            near = windows_near_invalid(mask, margin)
            if near != [core]:
                compute(band, pixels, None, result[band])
            for window in near:
                around = window._replace(
                    rows=window.rows + 2 * margin, cols=window.cols + 2 * margin
                ).slices
                found = compute(band, pixels[around], mask[around], result[band][window.slices])
                valid[band][window.slices] = found
    return result, valid


def windows_near_invalid(valid: np.ndarray, margin: int) -> list[Window]:
    """Windows of the core that hold every pixel within ``margin`` of an invalid one.

    ``valid`` is ``(rows, cols)`` with the margin; the windows count from the core's corner. One
    window for each group of columns; the whole core where they would cover most of it.
    """
    rows, cols = (size - 2 * margin for size in valid.shape)
    columns = np.flatnonzero(~valid.all(axis=0))
    if not columns.size:
        return []
    cuts = np.flatnonzero(np.diff(columns) > 2 * margin + GAP) + 1
    windows = []
    for group in np.split(columns, cuts):
        first, last = int(group[0]), int(group[-1])
        lines = np.flatnonzero(~valid[:, first : last + 1].all(axis=1))
        top, left = int(lines[0]) - 2 * margin, first - 2 * margin
        windows.append(
            Window(top, left, int(lines[-1]) + 1 - top, last + 1 - left).intersection(
                Window(0, 0, rows, cols)
            )
        )
    if 2 * sum(window.rows * window.cols for window in windows) > rows * cols:
        return [Window(0, 0, rows, cols)]
    return windows


def flat_lines(
    pixels: np.ndarray, valid: Optional[np.ndarray], dtype: np.dtype, fill: float
) -> np.ndarray:
    """A band ``(rows, cols)`` as flat lines of another type, with ``fill`` where it is invalid."""
    if valid is None:
        return np.ascontiguousarray(pixels, dtype).ravel()
    lines = pixels.astype(dtype, order="C")
    np.copyto(lines, fill, where=~valid)
    return lines.ravel()


def unflattened(lines: np.ndarray, pitch: int, shape: tuple[int, ...]) -> np.ndarray:
    """The core ``(..., rows, cols)`` of flat lines, as a view."""
    step = lines.strides[-1]
    return np.lib.stride_tricks.as_strided(
        lines, lines.shape[:-1] + shape, (*lines.strides[:-1], pitch * step, step)
    )


def merging(ufunc: np.ufunc) -> Merge:
    """The merge of a ufunc of two operands: ``np.add``, ``np.minimum``, ``np.maximum``."""

    def merge(
        first: np.ndarray, second: np.ndarray, out: np.ndarray, _sizes: tuple[int, int]
    ) -> None:
        ufunc(first, second, out=out)

    return merge


@dataclass(frozen=True)
class Neighbourhood:
    """Which pixels of the square of ``2 radius + 1`` pixels belong to a window.

    ``runs`` are its rows' unbroken runs of pixels, from the top down and from left to right: row
    and column of the first pixel, counted from the square's corner, and the number of pixels.
    """

    radius: int
    runs: tuple[tuple[int, int, int], ...]

    @property
    def size(self) -> int:
        """How many pixels the window has."""
        return sum(width for _, _, width in self.runs)

    @property
    def is_square(self) -> bool:
        """Whether all pixels of the square belong to it."""
        return self.size == (2 * self.radius + 1) ** 2

    @property
    def has_centre(self) -> bool:
        """Whether the pixel in the middle belongs to it."""
        middle = self.radius
        return any(row == middle and col <= middle < col + width for row, col, width in self.runs)


@lru_cache(maxsize=64)
def neighbourhood(shape: str, radius: int, inner: float = 0) -> Neighbourhood:
    """The window of a shape: a square, a disk, or the ring from a distance ``inner`` on."""
    steps = np.arange(-radius, radius + 1)
    distances = steps[:, None] ** 2 + steps**2
    inside = (distances >= inner**2) & (distances <= radius**2)
    return _neighbourhood(np.ones(inside.shape, bool) if shape == "square" else inside)


@lru_cache(maxsize=64)
def neighbourhood_of(cells: tuple[tuple[float, ...], ...]) -> Neighbourhood:
    """The window of the cells that are not 0, in an array of odd sides, without empty margins."""
    return _neighbourhood(np.array(cells) != 0)


def _neighbourhood(chosen: np.ndarray) -> Neighbourhood:
    rows, cols = (side // 2 for side in chosen.shape)
    places = np.argwhere(chosen) - [rows, cols]
    radius = int(np.abs(places).max())
    edges = np.diff(np.pad(chosen, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    starts, ends = np.argwhere(edges == 1), np.argwhere(edges == -1)
    runs = [
        (row - rows + radius, col - cols + radius, end - col)
        for (row, col), (_, end) in zip(starts.tolist(), ends.tolist())
    ]
    return Neighbourhood(radius, tuple(runs))


def window_size(shape: str, radius: int) -> int:
    """How many pixels a window has."""
    return neighbourhood(shape, radius).size


def gather(merge: Merge, lines: np.ndarray, pitch: int, shape: str, radius: int) -> np.ndarray:
    """Merge the pixels of the square or disk around every pixel; see :func:`gather_window`."""
    return gather_window(merge, lines, pitch, neighbourhood(shape, radius))


def gather_window(merge: Merge, lines: np.ndarray, pitch: int, window: Neighbourhood) -> np.ndarray:
    """Merge the pixels of the window around every pixel.

    Parameters
    ----------
    merge : Merge
        Associative apart from rounding.
    lines : array of (..., elements)
        Flat lines, whose margin is the window's radius. Leading axes hold what the merge needs
        together.
    pitch : int
        Elements of a row, margins included.
    window : Neighbourhood
        Which pixels.

    Returns
    -------
    array of (..., elements)
        Flat lines of the core, of the same pitch.
    """
    if not window.is_square:
        return _by_runs(merge, lines, pitch, window)
    side = 2 * window.radius + 1
    spare = [np.empty_like(lines) for _ in range(3)]
    columns = _successive(merge, lines, side, pitch, 1, spare)
    return _successive(merge, columns, side, 1, side, spare)


def _successive(
    merge: Merge,
    lines: np.ndarray,
    number: int,
    step: int,
    size: int,
    spare: list[np.ndarray],
) -> np.ndarray:
    """Merge an odd ``number`` of elements, ``step`` apart, each standing for ``size`` pixels.

    Runs of 2, 4, 8... elements, each made of two of half the length, are put together as the
    binary digits of ``number`` say: some ``2 log2(number)`` passes. ``spare`` holds two arrays for
    the runs and one for the result, which may be that of ``lines``: by the time that it is written,
    runs of 2 have taken their place.
    """
    length = lines.shape[-1] - (number - 1) * step
    total, done = lines[..., :length], 1
    run, width = lines, 1
    *halves, result = spare
    result = result[..., :length]
    while 2 * width <= number:
        end = run.shape[-1] - width * step
        double = halves[0][..., :end]
        merge(run[..., :end], run[..., width * step :], double, (width * size, width * size))
        run, width = double, 2 * width
        halves.reverse()
        if number & width:
            part = run[..., done * step : done * step + length]
            merge(total, part, result, (done * size, width * size))
            total, done = result, done + width
    return total


def _by_runs(merge: Merge, lines: np.ndarray, pitch: int, window: Neighbourhood) -> np.ndarray:
    """Merge the runs of a window, from the shortest to the longest.

    Each length is made from the one before, once for all runs.
    """
    length = lines.shape[-1] - 2 * window.radius * (pitch + 1)
    total = np.empty_like(lines[..., :length])
    run, reach, done = lines.copy(), 1, 0
    for row, col, width in sorted(window.runs, key=lambda run: run[2]):
        while reach < width:
            longer = run[..., : lines.shape[-1] - reach]
            merge(longer, lines[..., reach:], longer, (reach, 1))
            reach += 1
        part = run[..., row * pitch + col :][..., :length]
        if done:
            merge(total, part, total, (done, width))
        else:
            total[...] = part
        done += width
    return total
