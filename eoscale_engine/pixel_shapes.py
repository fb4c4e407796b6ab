"""The shapes of features in the pixels of an image, collected one by one and converted together."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Optional

import numpy as np
from osgeo import ogr

from eoscale_engine.polygon_pixels import ranges
from eoscale_engine.profile import Affine
from eoscale_engine.tiling import Window
from eoscale_engine.vector_features import Rings

CORNERS = np.array([(0, 0), (1, 0), (1, 1), (0, 1), (0, 0)], np.float64)

INSET = np.array([(0.25, 0.25), (-0.25, 0.25), (-0.25, -0.25), (0.25, -0.25), (0.25, 0.25)])
"""Keeps a point's pixel clear of its neighbours, where those that are touched count too."""


class PixelShapes:
    """Geometries as well-known binary, little-endian: points, polygons, or several of them."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._sizes: list[int] = []
        self._outer: list[bool] = []
        self._firsts: list[int] = [0]

    def add(self, shape: Optional[bytes]) -> None:
        """The next feature; None for one without a place."""
        for start, count, outer in _rings(shape or b""):
            self._parts.append(shape[start : start + 16 * count])  # type: ignore[index]
            self._sizes.append(count)
            self._outer.append(outer)
        self._firsts.append(len(self._sizes))

    def add_rings(self, rings: Rings) -> None:
        """The next features, each of one ring."""
        first, count = len(self._sizes), len(rings.sizes)
        self._parts += rings.points
        self._sizes += rings.sizes
        self._outer += [True] * count
        self._firsts += range(first + 1, first + count + 1)

    def on_grid(
        self, grid: Affine, area: Window, *, touched: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Points, rings, outer, firsts and bounds of :class:`~eoscale_engine.polygons.Polygons`.

        In pixels from the upper left corner of an area, by the image's geotransform.
        """
        points = np.frombuffer(b"".join(self._parts), "<f8").reshape(-1, 2).astype(np.float64)
        # from the corner on, so that an edge through the centres of pixels stays on them
        x, y = points[:, 0] - grid.c, points[:, 1] - grid.f
        determinant = grid.a * grid.e - grid.b * grid.d
        points[:, 0] = (x * grid.e - y * grid.b) / determinant
        points[:, 1] = (y * grid.a - x * grid.d) / determinant
        # whole numbers, so that an extent's pixels are those of the whole image
        points -= (area.col, area.row)
        sizes, firsts = np.array(self._sizes, np.int64), np.array(self._firsts, np.int64)
        outer = np.array(self._outer, bool)
        if (sizes == 1).any():
            points, sizes, outer, firsts = _as_squares(points, sizes, outer, firsts, inset=touched)
        rings = np.concatenate((np.zeros(1, np.int64), np.cumsum(sizes)))
        return points, rings, outer, firsts, _bounds(points, rings[firsts], area, int(touched))


def _rings(shape: bytes) -> Iterator[tuple[int, int, bool]]:
    """Where the points of each ring lie, how many they are, and whether it is no hole."""
    if not shape:
        return
    (kind,) = struct.unpack_from("<I", shape, 1)
    if kind == ogr.wkbPoint:
        yield 5, 1, True
        return
    several, place = 1, 0
    if kind in (ogr.wkbMultiPoint, ogr.wkbMultiPolygon):
        (several,) = struct.unpack_from("<I", shape, 5)
        place = 9
    if kind == ogr.wkbMultiPoint:
        for number in range(several):
            yield place + 21 * number + 5, 1, True
        return
    for _ in range(several):
        (rings,) = struct.unpack_from("<I", shape, place + 5)
        place += 9
        for number in range(rings):
            (count,) = struct.unpack_from("<I", shape, place)
            yield place + 4, count, number == 0
            place += 4 + 16 * count


def _as_squares(
    points: np.ndarray, sizes: np.ndarray, outer: np.ndarray, firsts: np.ndarray, *, inset: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Single points as the pixels that hold them, each pixel once for each feature."""
    single = sizes == 1
    begins = np.cumsum(sizes) - sizes
    owners = np.repeat(np.arange(firsts.size - 1), np.diff(firsts))
    corners = np.floor(points[begins[single]])
    _, first = np.unique(
        np.column_stack((owners[single], corners)), axis=0, return_index=True
    )  # fmt: skip
    kept = ~single
    kept[np.flatnonzero(single)[first]] = True
    new_sizes = np.where(single, 5, sizes)[kept]
    source = ranges(begins[kept], np.where(single[kept], 1, sizes[kept]))
    repeats = np.ones(source.size, np.int64)
    ends = np.cumsum(np.where(single[kept], 1, sizes[kept]))
    squares = single[kept]
    repeats[ends[squares] - 1] = 5
    found = points[np.repeat(source, repeats)]
    places = ranges((np.cumsum(new_sizes) - new_sizes)[squares], new_sizes[squares])
    offsets = CORNERS + INSET if inset else CORNERS
    found[places] = np.floor(found[places]) + np.tile(offsets, (int(squares.sum()), 1))
    counts = np.bincount(owners[kept], minlength=firsts.size - 1)
    return found, new_sizes, outer[kept], np.concatenate((np.zeros(1, np.int64), np.cumsum(counts)))


def _bounds(points: np.ndarray, starts: np.ndarray, area: Window, beyond: int) -> np.ndarray:
    """The pixels of the area that each feature can touch: row, column, rows, columns.

    ``starts`` is where the points of each begin, and the end.
    """
    bounds = np.zeros((starts.size - 1, 4), np.int64)
    shaped = np.diff(starts) > 0
    if not shaped.any():
        return bounds
    lows = np.minimum.reduceat(points, starts[:-1][shaped]) - beyond
    highs = np.maximum.reduceat(points, starts[:-1][shaped]) + beyond
    size = (area.cols, area.rows)
    lows = np.clip(np.floor(lows), 0, size).astype(np.int64)
    highs = np.clip(np.ceil(highs), 0, size).astype(np.int64)
    found = np.concatenate((lows[:, ::-1], (highs - lows)[:, ::-1]), axis=1)
    found[(found[:, 2:] <= 0).any(axis=1)] = 0
    bounds[shaped] = found
    return bounds
