"""Raster attribute tables from GDAL and to it."""

from __future__ import annotations

from typing import Any, Optional

# Only written with here, never parsed.
from xml.etree import ElementTree  # nosec B405

from osgeo import gdal

from eoscale_engine.attribute_tables import INTEGER, REAL, TEXT, AttributeColumn, AttributeTable

_TYPES = (INTEGER, REAL, TEXT)
"""In the order of GDAL's numbers."""


def table_of(band: gdal.Band) -> Optional[AttributeTable]:
    """A band's attribute table; types that are newer than texts are read as texts."""
    table = band.GetDefaultRAT()
    if table is None or not table.GetColumnCount():
        return None
    is_binned, first, size = table.GetLinearBinning()
    return AttributeTable(
        tuple(_column(table, number) for number in range(table.GetColumnCount())),
        table.GetTableType() == gdal.GRTT_THEMATIC,
        (first, size) if is_binned else None,
    )


def _column(table: gdal.RasterAttributeTable, number: int) -> AttributeColumn:
    type_number, rows = table.GetTypeOfCol(number), table.GetRowCount()
    type_ = _TYPES[type_number] if type_number < len(_TYPES) else TEXT
    values: Any
    if type_ != TEXT:
        values = table.ReadAsArray(number).tolist() if rows else ()
    else:
        # one by one: GDAL's array of texts cuts them where they are not UTF-8
        values = (_text(table.GetValueAsString(row, number)) for row in range(rows))
    usage = int(table.GetUsageOfCol(number))
    return AttributeColumn(_text(table.GetNameOfCol(number)), type_, usage, tuple(values))


def _text(value: Any) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value or ""


def gdal_table(table: AttributeTable) -> gdal.RasterAttributeTable:
    """The table as GDAL takes it."""
    made = gdal.RasterAttributeTable()
    made.SetTableType(gdal.GRTT_THEMATIC if table.thematic else gdal.GRTT_ATHEMATIC)
    if table.bins:
        made.SetLinearBinning(*table.bins)
    made.SetRowCount(len(table.columns[0].values))
    for number, column in enumerate(table.columns):
        made.CreateColumn(column.name, _TYPES.index(column.type), column.usage)
        put = {INTEGER: made.SetValueAsInt, REAL: made.SetValueAsDouble}.get(
            column.type, made.SetValueAsString
        )
        for row, value in enumerate(column.values):
            put(row, number, value)
    return made


def add_table(parent: ElementTree.Element, table: AttributeTable) -> None:
    """The table as a part of a VRT's band."""
    kind = "thematic" if table.thematic else "athematic"
    root = ElementTree.SubElement(parent, "GDALRasterAttributeTable", tableType=kind)
    if table.bins:
        root.set("Row0Min", repr(table.bins[0]))
        root.set("BinSize", repr(table.bins[1]))
    for number, column in enumerate(table.columns):
        field = ElementTree.SubElement(root, "FieldDefn", index=str(number))
        ElementTree.SubElement(field, "Name").text = column.name
        ElementTree.SubElement(field, "Type").text = str(_TYPES.index(column.type))
        ElementTree.SubElement(field, "Usage").text = str(column.usage)
    for number, row in enumerate(zip(*(column.values for column in table.columns))):
        line = ElementTree.SubElement(root, "Row", index=str(number))
        for value in row:
            ElementTree.SubElement(line, "F").text = str(value)
