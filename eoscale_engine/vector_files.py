"""Polygons in vector files, through OGR: brought to the CRS and the grid of an image."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable, Optional

import numpy as np
from osgeo import gdal, ogr, osr

from eoscale_engine.errors import Cancelled, InputError
from eoscale_engine.polygons import Polygons
from eoscale_engine.profile import Affine, Profile
from eoscale_engine.raster_files.completeness import check_kind
from eoscale_engine.raster_files.gdal_calls import call_gdal, reason
from eoscale_engine.tiling import Window

NOWHERE = Window(0, 0, 0, 0)


@dataclass(frozen=True)
class PolygonLayer:
    """The first layer of a vector file, known to have polygons.

    Attributes
    ----------
    label : str
        What messages call it.
    id_field : str
        The integer field that identifies its features; empty for OGR's own identifiers.
    """

    path: str
    label: str
    id_field: str = ""

    def on_grid(
        self,
        profile: Profile,
        *,
        field: str = "",
        all_touched: bool = False,
        area: Optional[Window] = None,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> Polygons:
        """The polygons in pixel coordinates of an image, or of its part in a window.

        Those in another CRS are reprojected, point by point; invalid ones are made valid.

        Raises
        ------
        InputError
            Where there is no such field, or where polygons cannot be reprojected.
        """
        area = area or Window(0, 0, profile.height, profile.width)
        found, errors = call_gdal(self._read, profile, field, area, all_touched, cancelled)
        if found is None or errors:
            raise _unreadable(self.label, errors)
        return found

    def _read(
        self,
        profile: Profile,
        field: str,
        area: Window,
        all_touched: bool,
        cancelled: Callable[[], bool],
    ) -> Polygons:
        source = gdal.OpenEx(self.path, gdal.OF_VECTOR)
        layer = source.GetLayer(0)
        names = [item.name for item in layer.schema]
        for name in (field, self.id_field):
            if name and name not in names:
                raise InputError(
                    f"The layer '{self.label}' has no field '{name}'. It has: "
                    + (", ".join(names) or "none") + "."
                )  # fmt: skip
        transformation = self._transformation(layer.GetSpatialRef(), profile)
        # without a geotransform an image lies below the origin, as QGIS draws it
        grid = profile.transform or Affine(e=-1.0)
        near = None if transformation is None else _bounds_of(profile, grid, transformation)
        ids: list[int] = []
        values, shapes, windows, repaired = [], [], [], 0
        for feature in layer:
            if len(ids) % 1000 == 0 and cancelled():
                raise Cancelled("Cancelled.")
            geometry, mended = _valid(feature.GetGeometryRef())
            if geometry is not None and transformation is not None:
                geometry = self._reprojected(geometry, transformation, near)
            shape, window = _on_pixels(geometry, grid, area, int(all_touched))
            ids.append(int(feature.GetField(self.id_field) if self.id_field else feature.GetFID()))
            values.append(feature.GetField(field) if field else None)
            shapes.append(shape)
            windows.append(window)
            repaired += mended
        return Polygons(
            tuple(ids), tuple(values) if field else (), tuple(shapes), tuple(windows),
            all_touched, repaired,
        )  # fmt: skip

    def _transformation(self, own: Any, profile: Profile) -> Any:
        if own is None or profile.crs is None:
            return None
        wanted = osr.SpatialReference()
        wanted.ImportFromWkt(profile.crs.to_wkt())
        if own.IsSame(wanted):
            return None
        for reference in (own, wanted):
            reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
        return osr.CoordinateTransformation(own, wanted)

    def _reprojected(self, geometry: Any, transformation: Any, near: Any) -> Any:
        """In the image's CRS; None where nothing of it lies near the image.

        A projection may be undefined far from its place: what fails as a whole is cut first.
        """
        whole = geometry.Clone()
        if _transformed(geometry, transformation):
            return geometry
        if near is not None:
            part, _ = _valid(whole.Intersection(near))
            if part is None or _transformed(part, transformation):
                return part
        raise InputError(
            f"The polygons '{self.label}' cannot be reprojected to the image's CRS. Reproject "
            "the layer beforehand, and look at those that lie far from the image."
        )


def _transformed(geometry: Any, transformation: Any) -> bool:
    # what fails here is tried in another way, and is no error yet
    done, _ = call_gdal(geometry.Transform, transformation)
    return done == ogr.OGRERR_NONE and all(map(math.isfinite, geometry.GetEnvelope()))


def _bounds_of(profile: Profile, grid: Affine, transformation: Any) -> Any:
    """The image's bounds and a tenth more in the polygons' CRS; None where they are unknown."""
    corners = [grid * (col, row) for col in (0, profile.width) for row in (0, profile.height)]
    x, y = zip(*corners)
    try:
        back = transformation.GetInverse().TransformBounds
    except AttributeError:  # not before GDAL 3.4
        return None
    bounds, _ = call_gdal(back, min(x), min(y), max(x), max(y), 21)
    if bounds is None:
        return None
    left, bottom, right, top = bounds
    if not all(map(math.isfinite, bounds)) or left >= right:  # across the antimeridian
        return None
    wide, high = (right - left) / 10, (top - bottom) / 10
    ring = ogr.Geometry(ogr.wkbLinearRing)
    for at_right, at_top in ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0)):
        ring.AddPoint_2D(
            right + wide if at_right else left - wide, top + high if at_top else bottom - high
        )
    box = ogr.Geometry(ogr.wkbPolygon)
    box.AddGeometry(ring)
    return box


def open_polygon_layer(path: str, label: str, id_field: str = "") -> PolygonLayer:
    """A vector file's first layer; an InputError where it has no polygons."""
    check_kind(label, path)
    source, errors = call_gdal(gdal.OpenEx, path, gdal.OF_VECTOR)
    layer = None if source is None else source.GetLayer(0)
    if layer is None:
        why = reason(errors)
        raise InputError(f"'{label}' cannot be opened as a layer of polygons: {why}.")
    found, errors = call_gdal(_has_polygons, layer)
    if found is None or errors:
        raise _unreadable(label, errors)
    if not found:
        raise InputError(f"The layer '{label}' has no polygons. Choose one that has.")
    return PolygonLayer(path, label, id_field)


def _has_polygons(layer: Any) -> bool:
    geometries = (feature.GetGeometryRef() for feature in layer)
    return any(
        shape is not None and shape.GetDimension() == 2 and not shape.IsEmpty()
        for shape in geometries
    )


def _unreadable(label: str, errors: list[str]) -> InputError:
    return InputError(
        f"The polygons '{label}' cannot be read: {reason(errors)}. The file may be damaged or "
        "incomplete: copy or download it again."
    )


def _valid(geometry: Any) -> tuple[Any, bool]:
    """A geometry's polygons as a flat, valid multipolygon, or None; and whether it was mended."""
    if geometry is None or geometry.IsEmpty() or geometry.GetDimension() != 2:
        return None, False
    geometry = geometry.GetLinearGeometry()
    geometry.FlattenTo2D()
    mended = not geometry.IsValid()
    if mended:
        geometry = geometry.MakeValid() or geometry
    whole = ogr.Geometry(ogr.wkbMultiPolygon)
    for polygon in _polygons_of(geometry):
        whole.AddGeometry(polygon)
    return (None if whole.IsEmpty() else whole), mended


def _polygons_of(geometry: Any) -> Iterator[Any]:
    """A repaired geometry may be a collection with lines, which have no area."""
    if ogr.GT_Flatten(geometry.GetGeometryType()) == ogr.wkbPolygon:
        yield geometry
    else:
        for number in range(geometry.GetGeometryCount()):
            yield from _polygons_of(geometry.GetGeometryRef(number))


def _on_pixels(geometry: Any, grid: Affine, area: Window, beyond: int) -> tuple[bytes, Window]:
    """A multipolygon in pixels of an area, and the pixels of the area that it can touch."""
    if geometry is None:
        return b"", NOWHERE
    shape = bytearray(geometry.ExportToWkb(ogr.wkbNDR))
    # from the corner on, so that an edge through the centres of pixels stays on them
    corner = np.array((grid.c, grid.f))
    adjugate = np.array(((grid.e, -grid.d), (-grid.b, grid.a)))
    determinant = grid.a * grid.e - grid.b * grid.d
    lows, highs = [], []
    for offset, count in _rings(shape):
        points = np.frombuffer(shape, "<f8", 2 * count, offset).reshape(-1, 2)
        points[:] = (points - corner) @ adjugate / determinant
        # whole numbers, so that an extent's pixels are those of the whole image
        points -= (area.col, area.row)
        lows.append(points.min(axis=0).tolist())
        highs.append(points.max(axis=0).tolist())
    (left, top), (right, bottom) = map(min, zip(*lows)), map(max, zip(*highs))
    row, end_row = _between(top - beyond, bottom + beyond, area.rows)
    col, end_col = _between(left - beyond, right + beyond, area.cols)
    if end_col <= col or end_row <= row:
        return b"", NOWHERE
    return bytes(shape), Window(row, col, end_row - row, end_col - col)


def _between(low: float, high: float, size: int) -> tuple[int, int]:
    """The lines, of so many, from one place to another: the first, and the one after the last."""
    return min(max(math.floor(low), 0), size), min(max(math.ceil(high), 0), size)


def _rings(shape: bytearray) -> Iterator[tuple[int, int]]:
    """Where the points of each ring lie in a little-endian multipolygon, and how many they are."""
    (polygons,) = struct.unpack_from("<I", shape, 5)
    place = 9
    for _ in range(polygons):
        (rings,) = struct.unpack_from("<I", shape, place + 5)
        place += 9
        for _ in range(rings):
            (count,) = struct.unpack_from("<I", shape, place)
            yield place + 4, count
            place += 4 + 16 * count
