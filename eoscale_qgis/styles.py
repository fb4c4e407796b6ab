"""The engine's styles as QGIS renderers, put on a result when its layer is loaded."""

from __future__ import annotations

import math
from contextlib import suppress
from typing import Optional, Union

from qgis.core import (
    Qgis,
    QgsColorRampShader,
    QgsContrastEnhancement,
    QgsFeatureRenderer,
    QgsMapLayer,
    QgsMultiBandColorRenderer,
    QgsPalettedRasterRenderer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingLayerPostProcessorInterface,
    QgsRaster,
    QgsRasterDataProvider,
    QgsRasterLayer,
    QgsRasterRenderer,
    QgsRasterShader,
    QgsRectangle,
    QgsSingleBandGrayRenderer,
    QgsSingleBandPseudoColorRenderer,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.PyQt.QtGui import QColor

from eoscale_engine.raster_files.gdal_calls import call_gdal, opened
from eoscale_engine.styles import GREY, Classes, Composite, Ramp, Style, hue
from eoscale_qgis.vector_styles import ByColumn

SAMPLE = 250_000
"""Pixels that are looked at to find bounds, as QGIS itself does."""

CUT = 0.02
"""Share of the pixels below and above the bounds."""

MOST_CLASSES = 256
"""More values than these share colours with their neighbours."""


class Styling(QgsProcessingLayerPostProcessorInterface):
    """Puts a style on one layer. Processing does not own it: its ``keeper`` does, until then."""

    def __init__(
        self, style: Union[Style, ByColumn], algorithm: str, output: str, keeper: set[Styling]
    ) -> None:
        super().__init__()
        self._style = style
        self._names = (algorithm, output)
        self._keeper = keeper
        keeper.add(self)

    def postProcessLayer(
        self, layer: QgsMapLayer, context: QgsProcessingContext, feedback: QgsProcessingFeedback
    ) -> None:
        self._keeper.discard(self)
        if not _has_own_style(*self._names, layer):
            renderer = renderer_of(self._style, layer)
            if renderer is not None:
                layer.setRenderer(renderer)
                layer.triggerRepaint()


def _has_own_style(algorithm: str, output: str, layer: QgsMapLayer) -> bool:
    """Whether the user set a style for this result in Processing, which has been loaded then."""
    with suppress(ImportError):
        from processing.core.ProcessingConfig import ProcessingConfig
        from processing.gui.RenderingStyles import RenderingStyles

        own = RenderingStyles.getStyle(algorithm, output)
        kind = "RASTER_STYLE"
        if isinstance(layer, QgsVectorLayer):
            points = layer.geometryType() == QgsWkbTypes.GeometryType.PointGeometry
            kind = "VECTOR_POINT_STYLE" if points else "VECTOR_POLYGON_STYLE"
        return bool(own or ProcessingConfig.getSetting(getattr(ProcessingConfig, kind)))
    return False


def renderer_of(
    style: Union[Style, ByColumn], layer: QgsMapLayer
) -> Union[QgsRasterRenderer, QgsFeatureRenderer, None]:
    """The renderer for a layer; None where the layer has not what the style needs."""
    if isinstance(style, ByColumn):
        return style.renderer(layer) if isinstance(layer, QgsVectorLayer) else None
    provider = layer.dataProvider() if isinstance(layer, QgsRasterLayer) else None
    if provider is None:
        return None
    if isinstance(style, Composite):
        renderer = _composite(style, provider)
    elif isinstance(style, Classes):
        renderer = _classes(style, provider)
    else:
        renderer = _ramp(style, provider)
    last = provider.bandCount()
    alpha = QgsRaster.ColorInterpretation.AlphaBand
    if renderer is not None and provider.colorInterpretation(last) == alpha:
        renderer.setAlphaBand(last)  # which QGIS adds for an image's mask
    return renderer


def _ramp(style: Ramp, provider: QgsRasterDataProvider) -> Optional[QgsRasterRenderer]:
    bounds = _bounds(provider, 1, style.minimum, style.maximum, symmetric=style.symmetric)
    if bounds is None:
        return None
    low, high = bounds
    if tuple(style.colors) == GREY:
        grey = QgsSingleBandGrayRenderer(provider, 1)
        grey.setContrastEnhancement(_stretch(provider, 1, low, high))
        return grey
    steps = max(1, len(style.colors) - 1)
    items = [
        (low + (high - low) * place / steps, color, "") for place, color in enumerate(style.colors)
    ]
    return _pseudo_color(provider, items, QgsColorRampShader.Type.Interpolated)


def _classes(style: Classes, provider: QgsRasterDataProvider) -> Optional[QgsRasterRenderer]:
    entries = list(style.entries)
    if not entries and provider.colorTable(1):  # the file's own colours stay
        return None
    # a palette has whole numbers alone; QGIS gives integers with a scale as floats
    if not entries and provider.dataType(1) in (Qgis.DataType.Float32, Qgis.DataType.Float64):
        return None
    if not entries:
        lowest, highest = _extremes(provider, 1)
        if not (math.isfinite(lowest) and math.isfinite(highest)):
            return None
        first, last = math.floor(lowest), math.ceil(highest)
        if last - first >= MOST_CLASSES:
            steps = 8 * MOST_CLASSES
            places = (first + (last - first) * step / steps for step in range(1, steps + 1))
            items = [(place, hue(step), "") for step, place in enumerate(places)]
            return _pseudo_color(provider, items, QgsColorRampShader.Type.Discrete)
        entries = [(value, hue(value), str(value)) for value in range(first, last + 1)]
    classes = [
        QgsPalettedRasterRenderer.Class(value, QColor(color), label)
        for value, color, label in entries
    ]
    return QgsPalettedRasterRenderer(provider, 1, classes)


def _composite(style: Composite, provider: QgsRasterDataProvider) -> Optional[QgsRasterRenderer]:
    bands = (style.red, style.green, style.blue)
    if max(bands) > provider.bandCount():
        return _ramp(Ramp(GREY, style.minimum, style.maximum), provider)
    renderer = QgsMultiBandColorRenderer(provider, *bands)
    setters = (
        renderer.setRedContrastEnhancement,
        renderer.setGreenContrastEnhancement,
        renderer.setBlueContrastEnhancement,
    )
    for band, put in zip(bands, setters):
        bounds = _bounds(provider, band, style.minimum, style.maximum)
        if bounds is not None:
            put(_stretch(provider, band, *bounds))
    return renderer


def _pseudo_color(
    provider: QgsRasterDataProvider,
    items: list[tuple[float, str, str]],
    kind: QgsColorRampShader.Type,
) -> QgsRasterRenderer:
    function = QgsColorRampShader(items[0][0], items[-1][0])
    function.setColorRampType(kind)
    function.setColorRampItemList(
        [
            QgsColorRampShader.ColorRampItem(value, QColor(color), label or f"{value:g}")
            for value, color, label in items
        ]
    )
    shader = QgsRasterShader()
    shader.setRasterShaderFunction(function)
    renderer = QgsSingleBandPseudoColorRenderer(provider, 1, shader)
    renderer.setClassificationMin(items[0][0])
    renderer.setClassificationMax(items[-1][0])
    return renderer


def _stretch(
    provider: QgsRasterDataProvider, band: int, low: float, high: float
) -> QgsContrastEnhancement:
    enhancement = QgsContrastEnhancement(provider.dataType(band))
    enhancement.setContrastEnhancementAlgorithm(
        QgsContrastEnhancement.ContrastEnhancementAlgorithm.StretchToMinimumMaximum
    )
    enhancement.setMinimumValue(low)
    enhancement.setMaximumValue(high)
    return enhancement


def _bounds(
    provider: QgsRasterDataProvider,
    band: int,
    low: Optional[float],
    high: Optional[float],
    *,
    symmetric: bool = False,
) -> Optional[tuple[float, float]]:
    """The bounds as given, else where the sampled values' percentiles lie; None without values."""
    if low is None or high is None:
        lowest, highest = provider.cumulativeCut(band, CUT, 1 - CUT, QgsRectangle(), SAMPLE)
        if not (math.isfinite(lowest) and math.isfinite(highest)):  # an image of one value
            lowest, highest = _extremes(provider, band)
        if symmetric:
            highest = max(abs(lowest), abs(highest))
            lowest = -highest
        low = lowest if low is None else low
        high = highest if high is None else high
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    return (low, high) if low < high else (low - 0.5, low + 0.5)


def _extremes(provider: QgsRasterDataProvider, band: int) -> tuple[float, float]:
    """Smallest and largest value as stored in the file, else of a sample; NaN where there is none.

    Through GDAL: QGIS would look at every pixel, in its main thread.
    """
    found, _ = call_gdal(_stored_extremes, provider.dataSourceUri(), band)
    return found or (math.nan, math.nan)


def _stored_extremes(path: str, band: int) -> Optional[tuple[float, float]]:
    image = opened(path)  # which its band does not keep open
    found = image.GetRasterBand(band).ComputeRasterMinMax(True)
    # (None, None), or None, where no pixel is valid: versions of GDAL differ
    return None if found is None or None in found else found
