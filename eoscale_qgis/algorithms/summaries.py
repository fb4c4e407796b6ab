"""A reduction's summary as a table layer, and as the numbers of a run."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Optional

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsField,
    QgsFields,
    QgsGeometry,
    QgsPointXY,
    QgsProcessingFeedback,
    QgsWkbTypes,
)

from eoscale_qgis.algorithms.recipe import Recipe
from eoscale_qgis.fields import INTEGER, NUMBER, TEXT, free_name
from eoscale_qgis.vector_styles import ByColumn
from eoscale_qgis.vectors import PolygonSource

INFINITIES: dict[Any, Any] = {"Infinity": math.inf, "-Infinity": -math.inf}
"""How the engine writes infinite numbers, which JSON does not have."""

ENDS = {math.inf, -math.inf}

ZONE = "zone"
"""The column that says which feature a row belongs to."""


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and -(2**63) <= value < 2**63


def number(value: Any) -> Any:
    """A number of a summary as Python's, with the infinities that travel as texts."""
    return INFINITIES.get(value, value) if isinstance(value, str) else value


def _kind(name: str, column: Sequence[Any]) -> Any:
    """The type of a column (integers, numbers or text), by the values that it holds.

    Whole numbers that no integer of QGIS holds are text: a number would round them.
    """
    types = set(map(type, column)) - {type(None)}
    if types and types <= {int, bool}:
        values = [value for value in column if value is not None]
        return INTEGER if all(map(_is_integer, (min(values), max(values)))) else TEXT
    if types <= {int, bool, float} or {number(v) for v in column if type(v) is str} <= ENDS:
        # without any value it is a number: text is "" where there is none
        return NUMBER if types or name not in ("name", "unit") else TEXT
    return TEXT


def _cell(value: Any, kind: Any) -> Any:
    if value is None:
        return value
    return float(number(value)) if kind == NUMBER else str(value)


@dataclass
class Rows:
    """The rows of a table as features to be written, and the style that shows one column."""

    fields: QgsFields
    features: Iterable[QgsFeature]
    geometry: QgsWkbTypes.Type = QgsWkbTypes.Type.NoGeometry
    crs: QgsCoordinateReferenceSystem = field(default_factory=QgsCoordinateReferenceSystem)
    style: Optional[ByColumn] = None


def rows_of(
    recipe: Recipe,
    table: Mapping[str, Any],
    crs: QgsCoordinateReferenceSystem,
    polygons: Sequence[PolygonSource],
    feedback: QgsProcessingFeedback,
) -> Rows:
    """A table's rows on the map, as the declaration says: points, polygons, or nowhere.

    ``crs`` is the first image's; ``polygons`` are the layers that were given.
    """
    columns = table["columns"]
    if recipe.table_geometry == "points" and {"x", "y"} <= set(columns):
        return _points(table, crs)
    if recipe.table_geometry == "polygons" and polygons and ZONE in columns:
        return _joined(table, polygons[0], feedback)
    columns = _typed(table)
    fields, rows = _fields(columns), zip(*(column.values for column in columns))
    return Rows(fields, (_feature(fields, cells) for cells in rows))


class _Column(NamedTuple):
    """A column in the type of its field."""

    field: QgsField
    kind: Any
    values: Sequence[Any]


def _typed(table: Mapping[str, Any]) -> list[_Column]:
    """A table's columns; in steps between which Python lets QGIS's window go on."""
    found = []
    for place, name in enumerate(table["columns"]):
        column = [row[place] for row in table["rows"]]
        kind = _kind(name, column)
        # most are what they should be: a call for each would take longer than all else
        values = column
        if kind != INTEGER:
            values = [value if type(value) is float else _cell(value, kind) for value in column]
        found.append(_Column(QgsField(name, kind), kind, values))
    return found


def _fields(columns: Iterable[_Column]) -> QgsFields:
    fields = QgsFields()
    for column in columns:
        fields.append(column.field)
    return fields


def _feature(
    fields: QgsFields, attributes: Sequence[Any], geometry: Optional[QgsGeometry] = None
) -> QgsFeature:
    feature = QgsFeature(fields)
    feature.setAttributes(list(attributes))
    if geometry is not None:
        feature.setGeometry(geometry)
    return feature


def _style(table: Mapping[str, Any], columns: Sequence[_Column]) -> Optional[ByColumn]:
    """How the table's shown column is shown, under the name that its field has by now."""
    if not table["shown"]:
        return None
    shown = columns[table["columns"].index(table["shown"])]
    values = (value for value in shown.values if value is not None)
    return ByColumn.of(shown.field.name(), values, numbers=shown.kind == NUMBER)


def _points(table: Mapping[str, Any], crs: QgsCoordinateReferenceSystem) -> Rows:
    columns = _typed(table)
    fields = _fields(columns)
    x, y = (table["columns"].index(name) for name in ("x", "y"))

    def features() -> Iterator[QgsFeature]:
        for cells in zip(*(column.values for column in columns)):
            here = cells[x] is not None and cells[y] is not None
            point = QgsGeometry.fromPointXY(QgsPointXY(cells[x], cells[y])) if here else None
            yield _feature(fields, cells, point)

    style = _style(table, columns)
    return Rows(fields, features(), QgsWkbTypes.Type.Point, crs, style)


def _joined(
    table: Mapping[str, Any], polygons: PolygonSource, feedback: QgsProcessingFeedback
) -> Rows:
    """The features of a layer, each as it is, with the values of its row."""
    columns, fields = _typed(table), QgsFields(polygons.features.fields())
    own, place = fields.count(), table["columns"].index(ZONE)
    added = columns[:place] + columns[place + 1 :]
    for column in added:
        column.field.setName(free_name(column.field.name(), fields.names()))
        fields.append(column.field)
    rows = zip(*(column.values for column in added))
    values = {zone: cells for zone, cells in zip(columns[place].values, rows)}  # noqa: C416

    def features() -> Iterator[QgsFeature]:
        nothing = (None,) * len(added)
        for feature in polygons.whole(feedback):
            # a layer that is edited meanwhile may have more features than were looked at
            cells = values.get(feature.id(), nothing)
            attributes = feature.attributes()[:own]
            yield _feature(fields, [*attributes, *cells], feature.geometry())

    crs = polygons.features.sourceCrs()
    style = _style(table, columns)
    return Rows(fields, features(), polygons.features.wkbType(), crs, style)


def numbers_of(
    summary: Mapping[str, Any], declared: Sequence[tuple[str, str]]
) -> dict[str, Optional[float]]:
    """The output numbers that the declaration promised, by the names of the outputs.

    Sums that no integer of QGIS holds are floats, as its expressions would have them.
    """
    values = {key.upper(): number(value) for key, value in summary.get("numbers", {}).items()}
    for name, value in values.items():
        if isinstance(value, int) and not _is_integer(value):
            values[name] = float(value)
    return {name.upper(): values.get(name.upper()) for name, _ in declared}
