"""Which pixels lie in polygons, and which share of each: many polygons at once, in NumPy.

Polygons are edges in pixel coordinates: x in columns and y in rows of an image. What is found for a
pixel does not depend on the window that is asked for.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eoscale_engine.tiling import Window

NOISE = 1e-9
"""Shares of a pixel that rounding alone may leave, or take."""


class Edges(NamedTuple):
    """Straight edges from (x1, y1) to (x2, y2), and the number of the polygon of each."""

    x1: np.ndarray
    y1: np.ndarray
    x2: np.ndarray
    y2: np.ndarray
    owners: np.ndarray


def ranges(starts: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """``start, start + 1, ...`` of each start, so many as its count, one after the other."""
    before = np.cumsum(counts) - counts
    return np.repeat(starts - before, counts) + np.arange(int(counts.sum()))


def centres_inside(edges: Edges, window: Window) -> tuple[np.ndarray, np.ndarray]:
    """The pixels of a window whose centres lie in polygons, by the even-odd rule.

    The rule for centres on an edge is that of GDAL's rasterizer: the left and the upper edge belong
    to a polygon, the others do not, but for a horizontal edge that goes to the left.

    Returns
    -------
    owners, places : int64 arrays
        A polygon's number, ascending, and an index into the window's pixels in row order, ascending
        in each polygon.
    """
    rows, x, owners = _crossings(edges, window)
    order = np.lexsort((x, rows, owners))
    cols = _cols(x[order], window)
    # crossings of a line come in pairs: in and out
    rows, owners, begins, ends = rows[order][::2], owners[order][::2], cols[::2], cols[1::2]
    flat = (edges.y1 == edges.y2) & (edges.x1 > edges.x2) & (edges.y1 % 1 == 0.5)
    flat &= (edges.y1 > window.row) & (edges.y1 < window.end_row)
    if flat.any():
        rows = np.concatenate((rows, np.floor(edges.y1[flat]).astype(np.int64)))
        owners = np.concatenate((owners, edges.owners[flat]))
        begins = np.concatenate((begins, _cols(edges.x2[flat], window)))
        ends = np.concatenate((ends, _cols(edges.x1[flat], window)))
    lengths = np.maximum(ends - begins, 0)
    places = ranges((rows - window.row) * window.cols + begins - window.col, lengths)
    owners = np.repeat(owners, lengths)
    if flat.any():  # what lies on such an edge may also lie inside
        size = window.rows * window.cols
        owners, places = np.divmod(np.unique(owners * size + places), size)
    return owners, places


def _crossings(edges: Edges, window: Window) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where edges cross the middle lines of a window's rows: row, x and the polygon's number."""
    down = edges.y1 < edges.y2
    xa, xb = np.where(down, edges.x1, edges.x2), np.where(down, edges.x2, edges.x1)
    ya, yb = np.where(down, edges.y1, edges.y2), np.where(down, edges.y2, edges.y1)
    first, last = (
        np.clip(np.ceil(y - 0.5), window.row, window.end_row).astype(np.int64) for y in (ya, yb)
    )
    edge = np.repeat(np.arange(first.size), last - first)
    rows = ranges(first, last - first)
    xa, ya = xa[edge], ya[edge]
    x = (rows + 0.5 - ya) * (xb[edge] - xa) / (yb[edge] - ya) + xa
    return rows, x, edges.owners[edge]


def _cols(x: np.ndarray, window: Window) -> np.ndarray:
    """The first column whose centre is not left of each x, within the window."""
    found: np.ndarray = np.clip(np.floor(x + 0.5), window.col, window.end_col).astype(np.int64)
    return found


def covered(edges: Edges, signs: np.ndarray, window: Window) -> np.ndarray:
    """The share of each pixel of a window that one polygon covers: float64 ``(rows, cols)``.

    Every edge is cut at the borders of pixels. A piece covers what lies right of it in its row: of
    its own pixel a trapezium, of the others its height; pieces that go up add, those that go down
    take away.

    Parameters
    ----------
    edges : Edges
        Of a valid polygon: rings that do not cross.
    signs : array
        For each edge 1 or -1: the direction of its ring, turned for holes, which take away.
    """
    steps, edge = [np.zeros(signs.size), np.ones(signs.size)], [np.arange(signs.size)] * 2
    limits = ((window.row, window.end_row), (window.col, window.end_col))
    for (begin, end), limit in zip(((edges.y1, edges.y2), (edges.x1, edges.x2)), limits):
        low, high = np.minimum(begin, end), np.maximum(begin, end)
        first = np.ceil(np.clip(low, *limit)).astype(np.int64)
        counts = np.maximum(np.floor(np.clip(high, *limit)).astype(np.int64) - first + 1, 0)
        counts[low == high] = 0
        which = np.repeat(np.arange(counts.size), counts)
        steps.append((ranges(first, counts) - begin[which]) / (end - begin)[which])
        edge.append(which)
    step, which = np.clip(np.concatenate(steps), 0, 1), np.concatenate(edge)
    order = np.lexsort((step, which))
    step, which = step[order], which[order]
    inner = which[1:] == which[:-1]
    which, start, end = which[:-1][inner], step[:-1][inner], step[1:][inner]
    middle = (start + end) / 2
    rise, run = (edges.y2 - edges.y1)[which], (edges.x2 - edges.x1)[which]
    row = np.floor(edges.y1[which] + middle * rise).astype(np.int64) - window.row
    x = np.clip(edges.x1[which] + middle * run, window.col, window.end_col) - window.col
    height = -signs[which] * (end - start) * rise
    here = (row >= 0) & (row < window.rows)
    row, x, height = row[here], x[here], height[here]
    col = np.minimum(np.floor(x).astype(np.int64), window.cols)
    wide = window.cols + 2
    sums = np.bincount(row * wide + col, height * (1 - (x - col)), window.rows * wide)
    sums += np.bincount(row * wide + col + 1, height * (x - col), window.rows * wide)
    shares = np.cumsum(sums.reshape(window.rows, wide), axis=1)[:, : window.cols]
    shares[shares < NOISE] = 0
    shares[shares > 1 - NOISE] = 1
    return shares
