"""Features in the colours of one column: classes of equal size, or a colour for each value."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
from qgis.core import (
    QgsCategorizedSymbolRenderer,
    QgsClassificationQuantile,
    QgsFeatureRenderer,
    QgsGradientColorRamp,
    QgsGradientStop,
    QgsGraduatedSymbolRenderer,
    QgsRendererCategory,
    QgsRendererRange,
    QgsSymbol,
    QgsVectorLayer,
)
from qgis.PyQt.QtGui import QColor

from eoscale_engine.styles import HEAT, hue

CLASSES = 7
"""Of numbers that are no integers."""

MOST_VALUES = 256
"""With more different values, features keep QGIS's own style."""


@dataclass(frozen=True)
class ByColumn:
    """A style for the rows of a table on a map.

    What it needs of the values is found from the table, by the thread that made it: to look through
    a large layer would halt QGIS's window.

    Attributes
    ----------
    classes : tuple of (lower, upper)
        Of numbers, with as many rows in each.
    values : tuple
        Of integers and texts, each with a colour of its own.
    """

    column: str
    classes: tuple[tuple[float, float], ...] = ()
    values: tuple[Any, ...] = ()

    @classmethod
    def of(cls, column: str, values: Iterable[Any], *, numbers: bool) -> ByColumn:
        """The style for a column of these values; ``numbers`` are cut into classes."""
        if not numbers:
            found = sorted(set(values))
            return cls(column, values=tuple(found) if len(found) <= MOST_VALUES else ())
        finite = np.array([value for value in values if math.isfinite(value)], np.float64)
        finite.sort()  # in which NumPy lets QGIS's window go on
        ranges = (
            QgsClassificationQuantile().classes(finite.tolist(), CLASSES) if finite.size else []
        )
        return cls(column, tuple((one.lowerBound(), one.upperBound()) for one in ranges))

    def renderer(self, layer: QgsVectorLayer) -> Optional[QgsFeatureRenderer]:
        """The renderer for a layer; None without places, or values, to colour."""
        # a CSV file keeps no geometry
        if layer.fields().lookupField(self.column) < 0 or not layer.isSpatial():
            return None
        if self.classes:
            return self._graduated(layer)
        return self._categorized(layer) if self.values else None

    def _graduated(self, layer: QgsVectorLayer) -> QgsFeatureRenderer:
        first, *middle, last = map(QColor, HEAT)
        step = 1 / (len(HEAT) - 1)
        stops = [QgsGradientStop(step * place, color) for place, color in enumerate(middle, 1)]
        renderer = QgsGraduatedSymbolRenderer(self.column)
        renderer.setSourceSymbol(QgsSymbol.defaultSymbol(layer.geometryType()))
        method = QgsClassificationQuantile()
        renderer.setClassificationMethod(method)
        for lower, upper in self.classes:
            symbol, label = renderer.sourceSymbol().clone(), method.labelForRange(lower, upper)
            renderer.addClassRange(QgsRendererRange(lower, upper, symbol, label))
        renderer.updateColorRamp(QgsGradientColorRamp(first, last, False, stops))
        return renderer

    def _categorized(self, layer: QgsVectorLayer) -> QgsFeatureRenderer:
        categories = []
        for number, value in enumerate(self.values):
            symbol = QgsSymbol.defaultSymbol(layer.geometryType())
            # as an image of classes is drawn
            symbol.setColor(QColor(hue(value if isinstance(value, int) else number)))
            categories.append(QgsRendererCategory(value, symbol, str(value)))
        return QgsCategorizedSymbolRenderer(self.column, categories)
