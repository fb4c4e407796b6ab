"""Features in the colours of one column: classes of equal size, or a colour for each value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

from qgis.core import (
    NULL,
    QgsCategorizedSymbolRenderer,
    QgsClassificationQuantile,
    QgsFeatureRenderer,
    QgsGradientColorRamp,
    QgsGradientStop,
    QgsGraduatedSymbolRenderer,
    QgsRendererCategory,
    QgsSymbol,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor

from eoscale_engine.styles import HEAT, hue
from eoscale_qgis.fields import NUMBER

CLASSES = 7
"""Of numbers that are no integers."""

MOST_VALUES = 256
"""With more different values, features keep QGIS's own style."""


@dataclass(frozen=True)
class ByColumn:
    """A style for the rows of a table on a map."""

    column: str

    def renderer(self, layer: QgsVectorLayer) -> Optional[QgsFeatureRenderer]:
        """The renderer for a layer; None without places, or values, to colour."""
        place = layer.fields().lookupField(self.column)
        # a CSV file keeps no geometry
        if place < 0 or not layer.isSpatial():
            return None
        if layer.fields().at(place).type() == NUMBER:
            return self._graduated(layer)
        return self._categorized(layer, place)

    def _graduated(self, layer: QgsVectorLayer) -> Optional[QgsFeatureRenderer]:
        first, *middle, last = map(QColor, HEAT)
        step = 1 / (len(HEAT) - 1)
        stops = [QgsGradientStop(step * place, color) for place, color in enumerate(middle, 1)]
        renderer = QgsGraduatedSymbolRenderer(self.column)
        renderer.setSourceSymbol(QgsSymbol.defaultSymbol(layer.geometryType()))
        renderer.setSourceColorRamp(QgsGradientColorRamp(first, last, False, stops))
        renderer.setClassificationMethod(QgsClassificationQuantile())
        renderer.updateClasses(layer, CLASSES)
        return renderer if renderer.ranges() else None

    def _categorized(self, layer: QgsVectorLayer, place: int) -> Optional[QgsFeatureRenderer]:
        found = layer.uniqueValues(place, MOST_VALUES + 1)
        values = sorted(value for value in found if value != NULL)
        if not 0 < len(values) <= MOST_VALUES:
            return None
        categories = []
        for number, value in enumerate(values):
            symbol = QgsSymbol.defaultSymbol(layer.geometryType())
            # as an image of classes is drawn
            symbol.setColor(QColor(hue(value if isinstance(value, int) else number)))
            categories.append(QgsRendererCategory(value, symbol, str(value)))
        return QgsCategorizedSymbolRenderer(self.column, categories)
