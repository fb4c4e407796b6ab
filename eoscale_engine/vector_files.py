"""Polygons and points in vector files, through OGR: brought to the CRS and grid of an image."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Callable, Optional

from osgeo import gdal, ogr, osr

from eoscale_engine.errors import Cancelled, InputError
from eoscale_engine.pixel_shapes import PixelShapes
from eoscale_engine.polygons import Polygons
from eoscale_engine.profile import Affine, Profile
from eoscale_engine.raster_files.completeness import check_kind
from eoscale_engine.raster_files.gdal_calls import call_gdal, opened, reason
from eoscale_engine.raster_files.own_memory import in_own_memory, unseen
from eoscale_engine.tiling import Window
from eoscale_engine.vector_features import batches, features, valid_rings

Say = Callable[[str], None]


def _silent(_text: str) -> None:
    """Nobody listens."""


@dataclass(frozen=True)
class PolygonLayer:
    """A layer of a vector file, known to have polygons or points.

    Attributes
    ----------
    label : str
        What messages call it.
    name : str
        Its name in the file; empty for the first one.
    id_field : str
        The integer field that identifies its features; empty for OGR's own identifiers.
    """

    path: str
    label: str
    id_field: str = ""
    name: str = ""

    def on_grid(
        self,
        profile: Profile,
        *,
        field: str = "",
        all_touched: bool = False,
        area: Optional[Window] = None,
        cancelled: Callable[[], bool] = lambda: False,
        warn: Say = _silent,
    ) -> Polygons:
        """The polygons in pixel coordinates of an image, or of its part in a window.

        Those in another CRS are reprojected, point by point; invalid ones are made valid. A point
        is the pixel that holds it. ``warn`` is told of what makes the result doubtful.

        Raises
        ------
        InputError
            Where there is no such field, where features cannot be read or reprojected, or where a
            layer without CRS lies elsewhere.
        """
        area = area or Window(0, 0, profile.height, profile.width)
        read, errors = call_gdal(self._read, profile, field, area, all_touched, cancelled)
        if read is None:
            raise _unreadable(self.label, errors)
        found, placed = read
        if not placed:
            said = f"The layer '{self.label}' has no CRS"
            if len(found) and found.outside == len(found):
                raise InputError(
                    f"{said}, and with the image's none of its features ({len(found)}) lies on the "
                    "image. Set the layer's CRS."
                )
            warn(f"{said}: it is taken to have the image's. Set it, if that is wrong.")
        elif len(found) and found.outside == len(found):
            warn(
                f"None of the features ({len(found)}) of '{self.label}' lies on the image. Check "
                "that both have the right CRS."
            )
        return found

    def _read(
        self,
        profile: Profile,
        field: str,
        area: Window,
        all_touched: bool,
        cancelled: Callable[[], bool],
    ) -> tuple[Polygons, bool]:
        """The polygons, and whether the layer has a CRS where the image has one."""
        source = opened(self.path, flags=gdal.OF_VECTOR)
        layer = _layer(source, self.name)
        names = [item.name for item in layer.schema]
        for name in (field, self.id_field):
            if name and name not in names:
                raise InputError(
                    f"The layer '{self.label}' has no field '{name}'. It has: "
                    + (", ".join(names) or "none") + "."
                )  # fmt: skip
        own = _crs_of(layer)
        transformation = self._transformation(own, profile)
        # without a geotransform an image lies below the origin, as QGIS draws it
        grid = profile.transform or Affine(e=-1.0)
        world = _World.of(profile, grid, transformation)
        ids: list[int] = []
        values: list[Any] = []
        shapes, repaired = PixelShapes(), 0
        for some in batches(layer, self.id_field, field):
            if cancelled():
                raise Cancelled("Cancelled.")
            ids += some.ids
            values += some.values
            rings = valid_rings(some.shapes) if transformation is None else None
            if rings is not None and not (world is not None and world.exceeded_by(rings.bounds())):
                shapes.add_rings(rings)
                continue
            for shape in some.shapes:
                geometry, mended = _valid(shape and ogr.CreateGeometryFromWkb(shape))
                if geometry is not None and world and world.exceeded_by(geometry.GetEnvelope()):
                    geometry, _ = _valid(geometry.Intersection(world.box))
                if geometry is not None and transformation is not None:
                    geometry = self._reprojected(geometry, transformation, world)
                shapes.add(None if geometry is None else geometry.ExportToWkb(ogr.wkbNDR))
                repaired += mended
        points, starts, outer, firsts, bounds = shapes.on_grid(grid, area, touched=all_touched)
        found = Polygons(
            tuple(ids), tuple(values) if field else (), points, starts, outer, firsts, bounds,
            all_touched, repaired,
        )  # fmt: skip
        return found, own is not None or profile.crs is None

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

    def _reprojected(self, geometry: Any, transformation: Any, world: Optional[_World]) -> Any:
        """In the image's CRS; None where nothing of it lies near the image.

        A projection may be undefined far from its place: what fails as a whole is cut first.
        """
        whole = geometry.Clone()
        if _transformed(whole, transformation):
            return whole
        if world is not None:
            part, _ = _valid(geometry.Intersection(world.box))
            if part is None or _transformed(part, transformation):
                return part
        raise InputError(
            f"The features of '{self.label}' cannot be reprojected to the image's CRS. Reproject "
            "the layer beforehand, and look at those that lie far from the image."
        )


def _crs_of(layer: Any) -> Any:
    """A layer's CRS; None where it has none, which GeoPackages write as an undefined one."""
    own = layer.GetSpatialRef()
    return None if own is None or str(own.GetName()).startswith("Undefined") else own


def _transformed(geometry: Any, transformation: Any) -> bool:
    # what fails here is tried in another way, and is no error yet
    done, _ = call_gdal(geometry.Transform, transformation)
    return done == ogr.OGRERR_NONE and all(map(math.isfinite, geometry.GetEnvelope()))


@dataclass(frozen=True)
class _World:
    """What lies near an image, in the CRS of a layer.

    Attributes
    ----------
    box : geometry
        The image's bounds and a tenth more: what of a large polygon is looked at.
    limits : (left, right, bottom, top)
        What goes beyond is cut to the box: a projection turns it to anything.
    """

    box: Any
    limits: tuple[float, float, float, float]

    @classmethod
    def of(cls, profile: Profile, grid: Affine, transformation: Any) -> Optional[_World]:
        """None where the bounds are unknown."""
        corners = [grid * (col, row) for col in (0, profile.width) for row in (0, profile.height)]
        x, y = zip(*corners)
        bounds: Any = min(x), min(y), max(x), max(y)
        if transformation is not None:
            if not hasattr(transformation, "TransformBounds"):  # not before GDAL 3.4
                return None
            bounds, _ = call_gdal(transformation.GetInverse().TransformBounds, *bounds, 21)
        if bounds is None:
            return None
        left, bottom, right, top = bounds
        if not all(map(math.isfinite, bounds)) or left >= right:  # across the antimeridian
            return None
        wide, high = right - left, top - bottom
        ring = ogr.Geometry(ogr.wkbLinearRing)
        for at_right, at_top in ((0, 0), (1, 0), (1, 1), (0, 1), (0, 0)):
            ring.AddPoint_2D(
                right + wide / 10 if at_right else left - wide / 10,
                top + high / 10 if at_top else bottom - high / 10,
            )
        box = ogr.Geometry(ogr.wkbPolygon)
        box.AddGeometry(ring)
        # straight lines stay what they are: then only what exceeds numbers is cut
        times = 1000 if transformation is None else 1
        return cls(
            box, (left - times * wide, right + times * wide, bottom - times * high,
                  top + times * high),
        )  # fmt: skip

    def exceeded_by(self, bounds: tuple[float, float, float, float]) -> bool:
        """Whether geometries from left to right and bottom to top go far beyond the image."""
        left, right, bottom, top = bounds
        low_x, high_x, low_y, high_y = self.limits
        return bool(left < low_x or right > high_x or bottom < low_y or top > high_y)


def _layer(source: Any, name: str) -> Any:
    return source.GetLayerByName(name) if name else source.GetLayer(0)


def open_polygon_layer(path: str, label: str, id_field: str = "", name: str = "") -> PolygonLayer:
    """A vector file's layer; an InputError where it has neither polygons nor points."""
    check_kind(f"'{label}'", path)
    source, errors = call_gdal(gdal.OpenEx, path, gdal.OF_VECTOR)
    layer = None if source is None else _layer(source, name)
    if layer is None:
        if in_own_memory(path):
            raise unseen(f"'{label}'")
        why = reason(errors)
        raise InputError(
            f"'{label}' cannot be opened as a layer of polygons: {why}. Choose another file, or "
            "copy or download it again."
        )
    found, errors = call_gdal(_has_zones, layer)
    if found is None:
        raise _unreadable(label, errors)
    if not found:
        raise InputError(
            f"The layer '{label}' has no polygons or points. Choose one that has; of lines, make "
            "polygons with Buffer first."
        )
    return PolygonLayer(path, label, id_field, name)


def _has_zones(layer: Any) -> bool:
    geometries = (feature.GetGeometryRef() for feature in features(layer))
    return any(
        shape is not None and not shape.IsEmpty() and shape.GetDimension() != 1
        for shape in geometries
    )


def _unreadable(label: str, errors: list[str]) -> InputError:
    return InputError(
        f"The layer '{label}' cannot be read: {reason(errors)}. The file may be damaged or "
        "incomplete: copy or download it again."
    )


_READY = (ogr.wkbPolygon, ogr.wkbMultiPolygon, ogr.wkbPoint, ogr.wkbMultiPoint)
"""Flat geometries that are taken as they are, where they are valid."""


def _valid(geometry: Any) -> tuple[Any, bool]:
    """A flat, valid geometry of polygons, or of points, or None; and whether it was mended."""
    if geometry is None or geometry.IsEmpty():
        return None, False
    dimension = geometry.GetDimension()
    if dimension == 1:
        return None, False
    ready = geometry.GetGeometryType() in _READY
    if ready and (dimension == 0 or geometry.IsValid()):
        return geometry, False
    geometry = geometry.GetLinearGeometry()
    geometry.FlattenTo2D()
    mended = dimension == 2 and not geometry.IsValid()
    if mended:
        geometry = geometry.MakeValid() or geometry
    wanted, whole = (
        (ogr.wkbPolygon, ogr.wkbMultiPolygon) if dimension else (ogr.wkbPoint, ogr.wkbMultiPoint)
    )
    several = ogr.Geometry(whole)
    for part in _parts(geometry, wanted):
        several.AddGeometry(part)
    return (None if several.IsEmpty() else several), mended


def _parts(geometry: Any, wanted: int) -> Iterator[Any]:
    """A repaired geometry may be a collection with lines, which have no area."""
    if ogr.GT_Flatten(geometry.GetGeometryType()) == wanted:
        yield geometry
    else:
        for number in range(geometry.GetGeometryCount()):
            yield from _parts(geometry.GetGeometryRef(number), wanted)
