"""Rows written to where they were asked for: a layer in memory or a database, or a file."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from osgeo import gdal, ogr
from qgis.core import (
    NULL,
    QgsFeatureSink,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingOutputLayerDefinition,
)
from qgis.PyQt.QtCore import Qt

from eoscale_engine.errors import OutputError
from eoscale_engine.raster_files.gdal_calls import call_gdal, opened, reason
from eoscale_qgis.algorithms.destinations import TEMPORARY, asked_path
from eoscale_qgis.algorithms.summaries import Rows
from eoscale_qgis.files import written_beside


def write_rows(
    algorithm: QgsProcessingAlgorithm,
    name: str,
    rows: Rows,
    parameters: Mapping[str, Any],
    context: QgsProcessingContext,
) -> Optional[str]:
    """Write rows to the destination that was asked for; its layer's identifier, None without one.

    A file appears under its name only when it is whole. A CSV file has all numbers as they are:
    QGIS's own puts integers in quotes.
    """
    values = dict(parameters)
    path = asked_path(values.get(name))
    if not _is_file(path):
        return _write_sink(algorithm, name, rows, values, context)[0]
    with written_beside(path) as made:
        if made.suffix.lower() == ".csv":
            _write_csv(rows, made)
        else:
            beside = QgsProcessingOutputLayerDefinition(str(made))
            if isinstance(values[name], QgsProcessingOutputLayerDefinition):
                beside.createOptions = values[name].createOptions
            _, count = _write_sink(algorithm, name, rows, {**values, name: beside}, context)
            _require_all(made, count, path)
    # QGIS notes only now a layer to be loaded, under the name that it has
    return str(algorithm.parameterAsOutputLayer(values, name, context))


def _is_file(path: str) -> bool:
    """Whether a destination is a file, and no layer in memory or table of a database."""
    place = Path(path)
    return path != TEMPORARY and bool(place.suffix) and place.absolute().parent.is_dir()


def _write_sink(
    algorithm: QgsProcessingAlgorithm,
    name: str,
    rows: Rows,
    values: dict[str, Any],
    context: QgsProcessingContext,
) -> tuple[Optional[str], int]:
    """The layer's identifier, and how many rows were written."""
    sink, identifier = algorithm.parameterAsSink(
        values, name, context, rows.fields, rows.geometry, rows.crs
    )
    if sink is None:
        if values.get(name):
            raise QgsProcessingException(algorithm.invalidSinkError(values, name))
        return None, 0
    count = 0
    for feature in rows.features:
        if not sink.addFeature(feature, QgsFeatureSink.Flag.FastInsert):
            why = sink.lastError().rstrip(".") or "no reason given"
            raise OutputError(
                f"The table ({name}) could not be written: {why}. Make room on the disk, or choose "
                "another format, such as .gpkg."
            )
        count += 1
    sink.flushBuffer()
    del sink  # which closes the file
    return str(identifier), count


def _require_all(made: Path, count: int, path: str) -> None:
    """Refuse a file that has not all rows: formats say nothing of a disk that fills at the end."""
    # a shapefile without places is its table alone
    found, errors = call_gdal(_readable, str(made if made.exists() else made.with_suffix(".dbf")))
    if found != count:
        why = reason(errors) if errors else f"{found or 0} of {count} rows are there"
        raise OutputError(
            f"'{path}' cannot be written ({why}). Make room on the disk, or choose another format, "
            "such as .gpkg."
        )


def _readable(path: str) -> int:
    """How many rows of a file can be read; what was cut off may count more than it holds."""
    file = opened(path, flags=gdal.OF_VECTOR)
    layer = file.GetLayer(0)
    if layer is None:
        return 0
    count = int(layer.GetFeatureCount())
    if not count or not layer.TestCapability(ogr.OLCFastSetNextByIndex):
        return sum(1 for _ in layer)
    layer.SetNextByIndex(count - 1)
    return count if layer.GetNextFeature() is not None else count - 1


def _write_csv(rows: Rows, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(rows.fields.names())
        writer.writerows(map(_plain, feature.attributes()) for feature in rows.features)


def _plain(value: Any) -> Any:
    """A value as CSV has it: dates as ISO 8601, nothing for no value."""
    if value is None or value == NULL:
        return ""
    return value.toString(Qt.DateFormat.ISODate) if hasattr(value, "toString") else value
