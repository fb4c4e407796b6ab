"""Polygons on an image's grid: which pixels lie in each, found window by window."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Union

import numpy as np
from osgeo import gdal, ogr

from eoscale_engine.errors import InputError
from eoscale_engine.polygon_pixels import Edges, centres_inside, covered, ranges
from eoscale_engine.raster_files.gdal_calls import call_gdal, reason
from eoscale_engine.tiling import Window

Numbers = Union[Sequence[int], np.ndarray]


class Groups(NamedTuple):
    """Pixels of a window by what they belong to; a pixel may belong to several.

    Attributes
    ----------
    numbers : int64 array of (n,)
        What has pixels here: of polygons their places in the set, ascending.
    starts : int64 array of (n,)
        Where the pixels of each begin in ``places``.
    places : int64 array
        Indices into the window's pixels in row order (``array.ravel()``), one group after the
        other, ascending in each.
    """

    numbers: np.ndarray
    starts: np.ndarray
    places: np.ndarray


@dataclass(frozen=True)
class Polygons:
    """Polygons in pixel coordinates of one image. A point is the pixel that holds it.

    A pixel lies in a polygon if its centre does, or, with ``all_touched``, if the polygon touches
    it at all. The same pixels lie in it whatever the window that is asked for.

    Attributes
    ----------
    ids : tuple of int
        The features' own identifiers.
    values : tuple
        What the field that was asked for holds: numbers, text or None; empty without a field.
    points : float64 array of (points, 2)
        x in columns and y in rows from the image's upper left corner; ring after ring, the first
        point of each again at its end.
    rings : int64 array of (rings + 1,)
        Where the points of each ring begin, and the end.
    outer : boolean array of (rings,)
        Which rings are no holes.
    firsts : int64 array of (polygons + 1,)
        The first ring of each polygon, and the end; a feature without an area has none.
    bounds : int64 array of (polygons, 4)
        The pixels of the image that each can touch: row, column, rows, columns; no rows where there
        are none.
    repaired : int
        How many had an invalid geometry, such as a ring that crosses itself.
    """

    ids: tuple[int, ...]
    values: tuple[Any, ...]
    points: np.ndarray
    rings: np.ndarray
    outer: np.ndarray
    firsts: np.ndarray
    bounds: np.ndarray
    all_touched: bool = False
    repaired: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def windows(self) -> list[Window]:
        """The pixels of the image that each can touch; without rows where there are none."""
        return [Window(*bounds) for bounds in self.bounds.tolist()]

    @property
    def outside(self) -> int:
        """How many lie outside of the image, or have no area."""
        return int(np.count_nonzero(self.bounds[:, 2] == 0))

    def near(self, window: Window) -> np.ndarray:
        """The numbers of the polygons that may have pixels in a window, ascending."""
        rows, cols = self.bounds[:, 0], self.bounds[:, 1]
        meets = (rows < window.end_row) & (rows + self.bounds[:, 2] > window.row)
        meets &= (cols < window.end_col) & (cols + self.bounds[:, 3] > window.col)
        return np.flatnonzero(meets)

    def groups(self, window: Window, numbers: Numbers = ()) -> Groups:
        """The pixels of a window by polygon, of all or of those with these numbers, ascending."""
        owners, places = self._members(window, numbers if len(numbers) else self.near(window))
        starts = np.flatnonzero(np.diff(owners, prepend=-1))
        return Groups(owners[starts], starts, places)

    def inside(self, window: Window) -> np.ndarray:
        """Where the pixels of a window lie in any polygon: boolean ``(rows, cols)``."""
        found = np.zeros(window.rows * window.cols, bool)
        found[self._members(window, self.near(window))[1]] = True
        return found.reshape(window.rows, window.cols)

    def shares(self, number: int, window: Window) -> np.ndarray:
        """Which share of each pixel of a window one polygon covers: float64 ``(rows, cols)``."""
        edges, rings = self._edges([number])
        # twice the area of each ring: positive where x turns to y
        products = edges.x1 * edges.y2 - edges.x2 * edges.y1
        areas = np.bincount(rings, products, self.outer.size)
        signs = np.sign(areas) * np.where(self.outer, 1, -1)
        return covered(edges, signs[rings], window)

    def _members(self, window: Window, numbers: Numbers) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of polygons, and for each of their pixels its place in the window."""
        if not self.all_touched:
            return centres_inside(self._edges(numbers)[0], window)
        owners, places = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        for number in numbers:
            part = Window(*self.bounds[number].tolist()).intersection(window)
            if part.rows and part.cols:
                rows, cols = np.nonzero(self._touched(int(number), part))
                rows, cols = rows + (part.row - window.row), cols + (part.col - window.col)
                places.append(rows * window.cols + cols)
                owners.append(np.full(rows.size, number))
        return np.concatenate(owners), np.concatenate(places)

    @cached_property
    def _ends(self) -> np.ndarray:
        """Which points end a ring: no edge begins there."""
        ends = np.zeros(len(self.points), bool)
        ends[self.rings[1:] - 1] = True
        return ends

    def _edges(self, numbers: Numbers) -> tuple[Edges, np.ndarray]:
        """The edges of polygons, and the ring of each."""
        chosen = np.asarray(numbers, np.int64)
        begins, ends = self.rings[self.firsts[chosen]], self.rings[self.firsts[chosen + 1]]
        places, owners = ranges(begins, ends - begins), np.repeat(chosen, ends - begins)
        inner = ~self._ends[places]
        places = places[inner]
        (x1, y1), (x2, y2) = self.points[places].T, self.points[places + 1].T
        rings = np.searchsorted(self.rings, places, side="right") - 1
        return Edges(x1, y1, x2, y2, owners[inner]), rings

    def _touched(self, number: int, window: Window) -> np.ndarray:
        """The window's pixels that one polygon touches, by GDAL."""
        burnt, errors = call_gdal(_burnt, self._shape(number), window)
        if burnt is None or errors:
            raise InputError(
                f"The polygon {self.ids[number]} cannot be drawn: {reason(errors)}. Repair it (Fix "
                "geometries), or leave it out."
            )
        return np.asarray(burnt).view(bool)

    def _shape(self, number: int) -> bytes:
        """All rings of a polygon as well-known binary, which the even-odd rule does not tell."""
        first, end = self.firsts[number : number + 2].tolist()
        parts = [struct.pack("<BII", 1, ogr.wkbPolygon, end - first)]
        for start, stop in zip(self.rings[first:end], self.rings[first + 1 : end + 1]):
            parts += [struct.pack("<I", stop - start), self.points[start:stop].tobytes()]
        return b"".join(parts)


def _burnt(shape: bytes, window: Window) -> np.ndarray:
    """A polygon's pixels in a window, drawn by GDAL."""
    image = gdal.GetDriverByName("MEM").Create("", window.cols, window.rows, 1, gdal.GDT_Byte)
    image.SetGeoTransform((window.col, 1, 0, window.row, 0, 1))
    source = ogr.GetDriverByName("Memory").CreateDataSource("")
    layer = source.CreateLayer("", None, ogr.wkbUnknown)
    feature = ogr.Feature(layer.GetLayerDefn())
    feature.SetGeometryDirectly(ogr.CreateGeometryFromWkb(shape))
    layer.CreateFeature(feature)
    # no CRS on either side, of which GDAL warns: these are pixels
    options = ["ALL_TOUCHED=TRUE"]
    if gdal.RasterizeLayer(image, [1], layer, burn_values=[1], options=options) != 0:
        raise RuntimeError(gdal.GetLastErrorMsg())
    burnt: np.ndarray = image.ReadAsArray()
    return burnt
