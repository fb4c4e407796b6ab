"""The features of a layer, many at a time: a call for each takes longer than to read it."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
from osgeo import gdal, ogr

BATCH = 1000
"""Features that are read between two looks whether the user cancels."""

ONE_RING = struct.pack("<BII", 1, ogr.wkbPolygon, 1)
"""How a polygon without holes begins as well-known binary."""

FEWEST = 4
"""Points of a ring."""


class Features(NamedTuple):
    """Some features, one after the other; shapes as well-known binary, None without one."""

    ids: list[int]
    values: list[Any]
    shapes: list[Optional[bytes]]


class Rings(NamedTuple):
    """Polygons of one ring each: float64 (x, y) of all as bytes, and how many points each has."""

    points: list[bytes]
    sizes: list[int]

    def bounds(self) -> tuple[float, float, float, float]:
        """Left, right, bottom, top of all together."""
        points = np.frombuffer(b"".join(self.points), "<f8").reshape(-1, 2)
        (left, bottom), (right, top) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
        return left, right, bottom, top


def features(layer: Any) -> Iterator[Any]:
    """All features; a RuntimeError at the first that cannot be read, which OGR leaves out."""
    while True:
        gdal.ErrorReset()
        feature = layer.GetNextFeature()
        _raise_error()
        if feature is None:
            return
        yield feature


def batches(layer: Any, id_field: str = "", field: str = "") -> Iterator[Features]:
    """All features with their identifiers, OGR's own or those of an integer field.

    Raises a RuntimeError as :func:`features` does.
    """
    if field or not hasattr(layer, "GetArrowStreamAsNumPy"):  # not before GDAL 3.6
        yield from _one_by_one(layer, id_field, field)
        return
    layer.SetIgnoredFields([item.name for item in layer.schema if item.name != id_field])
    options = [f"MAX_FEATURES_IN_BATCH={BATCH}", "USE_MASKED_ARRAYS=NO"]
    identifiers = id_field or layer.GetFIDColumn() or "OGC_FID"
    geometries = layer.GetGeometryColumn() or "wkb_geometry"
    stream = layer.GetArrowStreamAsNumPy(options)
    while True:
        gdal.ErrorReset()
        batch = stream.GetNextRecordBatch()
        _raise_error()
        if not batch:
            return
        ids = batch[identifiers].tolist()
        yield Features(ids, [None] * len(ids), list(map(_shape, batch[geometries].tolist())))


def _shape(found: Any) -> Optional[bytes]:
    """What NumPy has for a geometry; where all have one length, zeros stand for none."""
    return found if isinstance(found, bytes) and found[:5] != bytes(5) else None


def _one_by_one(layer: Any, id_field: str, field: str) -> Iterator[Features]:
    found = Features([], [], [])
    for feature in features(layer):
        geometry = feature.GetGeometryRef()
        shape = None if geometry is None else bytes(geometry.ExportToIsoWkb(ogr.wkbNDR))
        found.ids.append(int(feature.GetField(id_field) if id_field else feature.GetFID()))
        found.values.append(feature.GetField(field) if field else None)
        found.shapes.append(shape)
        if len(found.ids) == BATCH:
            yield found
            found = Features([], [], [])
    yield found


def _raise_error() -> None:
    if gdal.GetLastErrorType() >= gdal.CE_Failure:
        raise RuntimeError(gdal.GetLastErrorMsg())


def valid_rings(shapes: Sequence[Optional[bytes]]) -> Optional[Rings]:
    """Valid polygons without holes; None where any is something else."""
    if not shapes or any(shape is None or shape[:9] != ONE_RING for shape in shapes):
        return None
    known = [shape for shape in shapes if shape is not None]
    sizes = [int.from_bytes(shape[9:13], "little") for shape in known]
    if min(sizes) < FEWEST:
        return None
    for shape in known:
        geometry = ogr.CreateGeometryFromWkb(shape)
        if geometry is None or not geometry.IsValid():
            return None
    points = [shape[13 : 13 + 16 * size] for shape, size in zip(known, sizes)]
    return Rings(points, sizes)
