"""Polygons on an image's grid: which pixels lie in each, found window by window with GDAL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from osgeo import gdal, ogr

from eoscale_engine.tiling import Window


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
    """Polygons in pixel coordinates of one image.

    A pixel lies in a polygon if its centre does, or, with ``all_touched``, if the polygon touches
    it at all. The same pixels lie in it whatever the window that is asked for.

    Attributes
    ----------
    ids : tuple of int
        The features' own identifiers.
    values : tuple
        What the field that was asked for holds: numbers, text or None; empty without a field.
    shapes : tuple of bytes
        Well-known binary, x in columns and y in rows from the image's upper left corner; empty
        where a feature has no area on the image.
    windows : tuple of Window
        The pixels of the image that a polygon can touch; without rows where there are none.
    repaired : int
        How many had an invalid geometry, such as a ring that crosses itself.
    """

    ids: tuple[int, ...]
    values: tuple[Any, ...]
    shapes: tuple[bytes, ...]
    windows: tuple[Window, ...]
    all_touched: bool = False
    repaired: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    def groups(self, window: Window, numbers: Sequence[int] = ()) -> Groups:
        """The pixels of a window by polygon, of all polygons or of those with these numbers."""
        found, parts = [], []
        for number in numbers or self._near(window):
            part = self.windows[number].intersection(window)
            if not part.rows or not part.cols:
                continue
            rows, cols = np.nonzero(self._burnt(self.shapes[number], part))
            if rows.size:
                found.append(number)
                places = (rows + (part.row - window.row)) * window.cols
                parts.append(places + (cols + (part.col - window.col)))
        sizes = [part.size for part in parts]
        places = np.concatenate(parts) if parts else np.empty(0, np.int64)
        starts = np.cumsum([0, *sizes[:-1]]) if parts else np.empty(0, np.int64)
        return Groups(np.array(found, np.int64), starts, places)

    def inside(self, window: Window) -> np.ndarray:
        """Where the pixels of a window lie in any polygon: boolean ``(rows, cols)``."""
        found = np.zeros((window.rows, window.cols), bool)
        for number in self._near(window):
            part = self.windows[number].intersection(window)
            found[part.relative_to(window).slices] |= self._burnt(self.shapes[number], part)
        return found

    @cached_property
    def bounds(self) -> np.ndarray:
        """The windows as an array: row, column, rows, columns of each."""
        return np.array(self.windows, np.int64).reshape(-1, 4)

    def _near(self, window: Window) -> list[int]:
        bounds = self.bounds
        rows, cols = bounds[:, 0], bounds[:, 1]
        meets = (rows < window.end_row) & (rows + bounds[:, 2] > window.row)
        meets &= (cols < window.end_col) & (cols + bounds[:, 3] > window.col)
        return [int(number) for number in np.flatnonzero(meets)]

    def _burnt(self, shape: bytes, window: Window) -> np.ndarray:
        """The window's pixels in one polygon."""
        image = gdal.GetDriverByName("MEM").Create("", window.cols, window.rows, 1, gdal.GDT_Byte)
        image.SetGeoTransform((window.col, 1, 0, window.row, 0, 1))
        source = ogr.GetDriverByName("Memory").CreateDataSource("")
        layer = source.CreateLayer("", None, ogr.wkbUnknown)
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometryDirectly(ogr.CreateGeometryFromWkb(shape))
        layer.CreateFeature(feature)
        options = ["ALL_TOUCHED=TRUE"] if self.all_touched else []
        # no CRS on either side: these are pixels
        gdal.PushErrorHandler("CPLQuietErrorHandler")
        try:
            gdal.RasterizeLayer(image, [1], layer, burn_values=[1], options=options)
        finally:
            gdal.PopErrorHandler()
        burnt: np.ndarray = image.ReadAsArray()
        return burnt.view(bool)
