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

from math import isqrt
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


def window_size(shape: str, radius: int) -> int:
    """How many pixels a window has."""
    if shape == "square":
        return (2 * radius + 1) ** 2
    return sum(2 * width + 1 for width in _half_widths(radius))


def gather(merge: Merge, lines: np.ndarray, pitch: int, shape: str, radius: int) -> np.ndarray:
    """Merge the pixels of the window around every pixel.

    Parameters
    ----------
    merge : Merge
        Associative apart from rounding.
    lines : array of (..., elements)
        Flat lines, whose margin is the radius. Leading axes hold what the merge needs together.
    pitch : int
        Elements of a row, margins included.
    shape : "square" or "disk"
        A square of ``2 radius + 1`` pixels, or the pixels with ``row^2 + col^2 <= radius^2``.
    radius : int
        At least 1.

    Returns
    -------
    array of (..., elements)
        Flat lines of the core, of the same pitch.
    """
    if shape == "disk":
        return _disk(merge, lines, pitch, radius)
    side = 2 * radius + 1
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


def _disk(merge: Merge, lines: np.ndarray, pitch: int, radius: int) -> np.ndarray:
    """Merge the rows of a disk, from the outermost inwards.

    Rows become wider towards the centre, so that each width is made from the one before.
    """
    across = lines.shape[-1] - 2 * radius
    length = across - 2 * radius * pitch
    row = lines[..., radius : radius + across].copy()
    total = np.empty_like(lines[..., :length])
    done = width = 0
    widths = _half_widths(radius)
    for line in sorted(range(2 * radius + 1), key=lambda line: widths[line]):
        while width < widths[line]:
            width += 1
            left, right = radius - width, radius + width
            merge(row, lines[..., left : left + across], row, (2 * width - 1, 1))
            merge(row, lines[..., right : right + across], row, (2 * width, 1))
        part = row[..., line * pitch : line * pitch + length]
        if done:
            merge(total, part, total, (done, 2 * width + 1))
        else:
            total[...] = part
        done += 2 * width + 1
    return total


def _half_widths(radius: int) -> list[int]:
    """Half the width of each of a disk's rows: the most columns with row^2 + col^2 <= radius^2."""
    return [isqrt(radius * radius - row * row) for row in range(-radius, radius + 1)]
