"""A reduction's summary as a table layer, and as the numbers of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Optional

from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureSink,
    QgsField,
    QgsFields,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsWkbTypes,
)
from qgis.PyQt.QtCore import QMetaType, QVariant

INFINITIES: dict[Any, Any] = {"Infinity": math.inf, "-Infinity": -math.inf}
"""How the engine writes infinite numbers, which JSON does not have."""

# QGIS 3.38 changed what the types of fields are, in Qt 5 too.
if Qgis.QGIS_VERSION_INT >= 33800:
    INTEGER, NUMBER, TEXT = QMetaType.Type.LongLong, QMetaType.Type.Double, QMetaType.Type.QString
else:
    INTEGER, NUMBER, TEXT = QVariant.LongLong, QVariant.Double, QVariant.String


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and -(2**63) <= value < 2**63


def number(value: Any) -> Any:
    """A number of a summary as Python's, with the infinities that travel as texts."""
    return INFINITIES.get(value, value) if isinstance(value, str) else value


def kinds_of(table: Mapping[str, Any]) -> list[Any]:
    """The type of each column (integers, numbers or text), by the values that it holds."""
    kinds = []
    for place in range(len(table["columns"])):
        values = [row[place] for row in table["rows"] if row[place] is not None]
        if values and all(map(_is_integer, values)):
            kinds.append(INTEGER)
        elif values and all(isinstance(number(value), (int, float)) for value in values):
            kinds.append(NUMBER)
        else:
            kinds.append(TEXT)
    return kinds


def _cell(value: Any, kind: Any) -> Any:
    if value is None or kind == INTEGER:
        return value
    return float(number(value)) if kind == NUMBER else str(value)


def write_table(
    algorithm: QgsProcessingAlgorithm,
    name: str,
    table: Mapping[str, Any],
    parameters: Mapping[str, Any],
    context: QgsProcessingContext,
) -> Optional[str]:
    """Write the rows to the sink that was asked for; its layer's identifier, None without one."""
    kinds, fields = kinds_of(table), QgsFields()
    for column, kind in zip(table["columns"], kinds):
        fields.append(QgsField(column, kind))
    sink, identifier = algorithm.parameterAsSink(
        dict(parameters),
        name,
        context,
        fields,
        QgsWkbTypes.Type.NoGeometry,
        QgsCoordinateReferenceSystem(),
    )
    if sink is None:
        if parameters.get(name):
            raise QgsProcessingException(algorithm.invalidSinkError(dict(parameters), name))
        return None
    for row in table["rows"]:
        feature = QgsFeature(fields)
        feature.setAttributes([_cell(value, kind) for value, kind in zip(row, kinds)])
        if not sink.addFeature(feature, QgsFeatureSink.Flag.FastInsert):
            raise QgsProcessingException(f"The table could not be written: {sink.lastError()}")
    del sink
    return str(identifier)


def numbers_of(
    summary: Mapping[str, Any], declared: Sequence[tuple[str, str]]
) -> dict[str, Optional[float]]:
    """The output numbers that the declaration promised, by the names of the outputs."""
    values = {key.upper(): number(value) for key, value in summary.get("numbers", {}).items()}
    return {name.upper(): values.get(name.upper()) for name, _ in declared}
