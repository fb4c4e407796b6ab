"""The border lines of a reduction's fixed cells, and the seams that they make: pure functions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from eoscale_engine.tiling import Window


class Edges(NamedTuple):
    """The first and last row and column of a cell."""

    cell: Window
    top: np.ndarray
    bottom: np.ndarray
    left: np.ndarray
    right: np.ndarray


def edges_of(cell: Window, pixels: np.ndarray) -> Edges:
    """The border lines of an array of ``(rows, cols)``; copies, since it may be shared memory."""
    lines = pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]
    return Edges(cell, *(line.copy() for line in lines))


def _area(cells: Sequence[Edges]) -> Window:
    first, last = cells[0].cell, cells[-1].cell
    return Window(first.row, first.col, last.end_row - first.row, last.end_col - first.col)


def seams(cells: Sequence[Edges]) -> Iterator[np.ndarray]:
    """The lines on both sides of each border between cells, from end to end of the image.

    Arrays of ``(2, pixels)``, of rows and of columns: two pixels of different cells that touch, by
    an edge or a corner, do so in one of them. ``cells`` are in the order of the merge.
    """
    area, dtype = _area(cells), cells[0].top.dtype
    rows = {cell.row: np.zeros((2, area.cols), dtype) for cell, *_ in cells}
    cols = {cell.col: np.zeros((2, area.rows), dtype) for cell, *_ in cells}
    for cell, top, bottom, left, right in cells:
        down, along = cell.relative_to(area).slices
        for lines, side, place, span, line in (
            (rows, 1, cell.row, along, top),
            (rows, 0, cell.end_row, along, bottom),
            (cols, 1, cell.col, down, left),
            (cols, 0, cell.end_col, down, right),
        ):
            if place in lines:
                lines[place][side, span] = line
    # what begins at the image's own border has nothing on its other side
    del rows[area.row], cols[area.col]
    yield from rows.values()
    yield from cols.values()


def outline(cells: Sequence[Edges]) -> np.ndarray:
    """The pixels along the image's border, in any order."""
    area = _area(cells)
    lines = []
    for cell, top, bottom, left, right in cells:
        lines += [top] if cell.row == area.row else []
        lines += [bottom] if cell.end_row == area.end_row else []
        lines += [left] if cell.col == area.col else []
        lines += [right] if cell.end_col == area.end_col else []
    return np.concatenate(lines)
