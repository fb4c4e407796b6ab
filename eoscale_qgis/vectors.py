"""Vector layers of polygons or points as the engine's sources.

The engine reads a layer's own file where the layer shows all of it as it is. Whatever else a layer
is (edited, in memory, in a database, a selection of its features), its polygons are written to a
GeoPackage that lives as long as the run, with the features' identifiers.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from qgis.core import (
    QgsCoordinateTransformContext,
    QgsFeature,
    QgsFeatureRequest,
    QgsFeatureSink,
    QgsField,
    QgsFields,
    QgsProcessingFeatureSource,
    QgsProcessingFeedback,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsWkbTypes,
)

from eoscale_engine.errors import Cancelled, InputError, OutputError
from eoscale_qgis.fields import INTEGER, free_name

# Invalid polygons are repaired by the engine, and not by whom the user's settings would have.
UNCHECKED = QgsProcessingFeatureSource.Flag.FlagSkipGeometryValidityChecks

SHAPES = (
    QgsWkbTypes.GeometryType.PolygonGeometry,
    QgsWkbTypes.GeometryType.PointGeometry,
    QgsWkbTypes.GeometryType.UnknownGeometry,
)


OWN_FILES = ("GPKG", "ESRI Shapefile", "FlatGeobuf", "GeoJSON")
"""Formats whose features have the same identifiers whoever reads them."""


def own_file(layer: QgsVectorLayer) -> tuple[str, str]:
    """The file that holds a layer as it is, and its name there; empty where none does."""
    path, _, rest = layer.source().partition("|")
    key, _, name = rest.partition("=")
    provider = layer.dataProvider()
    if (
        layer.providerType() != "ogr"
        or (rest and key != "layername")
        or "|" in name  # a filter, for example
        or provider.storageType() not in OWN_FILES
        or layer.isEditable()
        or layer.crs() != provider.crs()
        or not os.path.isfile(path)
    ):
        return "", ""
    return path, name


@dataclass
class PolygonSource:
    """The polygons of a layer, and the fields of it that a run looks at.

    ``origin`` is the layer's own data source; ``file`` the one that holds all of it as it is, and
    the layer's name there (see :func:`own_file`); ``path`` and ``layer`` what the engine reads.
    """

    role: str
    features: QgsProcessingFeatureSource
    wanted: Sequence[str] = ()
    origin: str = ""
    file: tuple[str, str] = ("", "")
    path: str = ""
    layer: str = ""
    id_field: str = ""
    count: int = 0

    @property
    def label(self) -> str:
        """What the layer is called in messages."""
        return str(self.features.sourceName())

    @property
    def details(self) -> str:
        """What a report says of it."""
        crs = self.features.sourceCrs().authid() or "no CRS"
        return f"{self.count} feature{'' if self.count == 1 else 's'}, {crs}"

    def require_polygons(self) -> None:
        """Refuse a layer, with an :class:`InputError`, that has not what a run needs of it."""
        names = self.features.fields().names()
        for name in self.wanted:
            if name not in names:
                raise InputError(
                    f"The layer '{self.label}' has no field '{name}'. It has: "
                    + (", ".join(names) or "none") + "."
                )  # fmt: skip
        # what is no layer of polygons or points is not searched for some
        may_have = QgsWkbTypes.geometryType(self.features.wkbType()) in SHAPES
        if not may_have or not any(map(_has_place, self._read([]))):
            lines = "" if may_have else "; of lines, make polygons with Buffer first"
            raise InputError(
                f"The layer '{self.label}' has no polygons or points ({self.role}). Choose one "
                f"that has{lines}; with 'Selected features only', select some."
            )

    def _read(self, names: Sequence[str]) -> Iterable[QgsFeature]:
        request = QgsFeatureRequest().setSubsetOfAttributes(list(names), self.features.fields())
        return iter(self.features.getFeatures(request, UNCHECKED))

    def whole(self, feedback: QgsProcessingFeedback) -> Iterator[QgsFeature]:
        """The features as they are, with all attributes."""
        yield from _watched(self.features.getFeatures(QgsFeatureRequest(), UNCHECKED), feedback)

    def to_file(
        self,
        folder: str,
        transforms: QgsCoordinateTransformContext,
        feedback: QgsProcessingFeedback,
    ) -> None:
        """Have a file for the engine: the layer's own, or one in a folder, with identifiers."""
        # what a field holds depends on how QGIS reads it: encoding, joins, virtual fields
        if self.file[0] and not self.wanted:
            (self.path, self.layer), self.count = self.file, self.features.featureCount()
            return
        self._write(folder, transforms, feedback)

    def _write(
        self,
        folder: str,
        transforms: QgsCoordinateTransformContext,
        feedback: QgsProcessingFeedback,
    ) -> None:
        own = self.features.fields()
        wanted = list(dict.fromkeys(self.wanted))
        self.id_field = free_name("zone", wanted)
        fields = QgsFields()
        for name in wanted:
            fields.append(own.field(name))
        fields.append(QgsField(self.id_field, INTEGER))
        self.path = os.path.join(folder, f"{len(os.listdir(folder))}.gpkg")
        taken = [*wanted, self.id_field]
        options = QgsVectorFileWriter.SaveVectorOptions()
        options.driverName = "GPKG"
        # nothing looks for features by place, and no field may take the file's own columns
        options.layerOptions = [
            "SPATIAL_INDEX=NO",
            f"FID={free_name('fid', taken)}",
            f"GEOMETRY_NAME={free_name('geom', taken)}",
        ]
        writer = QgsVectorFileWriter.create(
            self.path, fields, QgsWkbTypes.Type.Unknown, self.features.sourceCrs(), transforms,
            options,
        )  # fmt: skip
        places, total = [own.lookupField(name) for name in wanted], self.features.featureCount()
        for feature in _watched(self._read(wanted), feedback, total):
            copy = QgsFeature(fields)
            copy.setGeometry(feature.geometry())
            copy.setAttributes([*(feature.attribute(place) for place in places), feature.id()])
            if not writer.addFeature(copy, QgsFeatureSink.Flag.FastInsert):
                break
            self.count += 1
        if not writer.flushBuffer() or writer.hasError():
            raise OutputError(
                f"The features of '{self.label}' cannot be written to '{folder}': "
                f"{writer.errorMessage() or 'no reason given'}. Make room there."
            )

    def as_job(self) -> dict[str, Any]:
        """The source as the engine's job names it."""
        return {
            "path": self.path, "layer": self.layer, "label": self.label, "id_field": self.id_field,
        }  # fmt: skip


def _has_place(feature: QgsFeature) -> bool:
    geometry = feature.geometry()
    return not geometry.isEmpty() and geometry.constGet().dimension() != 1


def _watched(
    features: Iterable[QgsFeature], feedback: QgsProcessingFeedback, total: int = 0
) -> Iterator[QgsFeature]:
    """The features, until the user cancels; with the progress where their number is known."""
    for number, feature in enumerate(features):
        if feedback.isCanceled():
            raise Cancelled("Cancelled.")
        if total > 0:
            feedback.setProgress(100 * number / total)
        yield feature
