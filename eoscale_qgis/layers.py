"""QGIS layers as the engine's sources.

A layer that GDAL reads becomes a path. Any other (a WMS, a raster in PostGIS, a virtual raster) is
first rendered to a GeoTIFF: on the grid of its own pixels, or on the one that is chosen for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessingFeedback,
    QgsProcessingUtils,
    QgsProviderRegistry,
    QgsRasterLayer,
)

from eoscale_engine.errors import InputError
from eoscale_engine.raster_files.gdal_calls import call_gdal, opened, reason
from eoscale_engine.words import counted
from eoscale_qgis.grids import Grid, name_of
from eoscale_qgis.rendering import Rendering, band_count


@dataclass
class Source:
    """One input image: the engine's path and bands; ``rendering`` says how to make it first."""

    label: str
    path: str
    bands: Optional[list[int]]
    crs: Optional[str]
    rendering: Optional[Rendering] = None
    nodata: Sequence[tuple[int, Optional[float]]] = ()

    @property
    def details(self) -> str:
        """Where the pixels come from, for a report."""
        return self.path if self.rendering is None else self.rendering.details

    def as_job(self) -> dict[str, Any]:
        """The source as the engine's job names it."""
        job: dict[str, Any] = {
            "path": self.path, "bands": self.bands, "label": self.label, "crs": self.crs,
        }  # fmt: skip
        if self.nodata:
            job["nodata"] = list(self.nodata)
        return job if self.rendering is None else {**job, "rendered": True}


def wkt_of(crs: QgsCoordinateReferenceSystem) -> str:
    """A CRS as WKT 2 text."""
    return str(crs.toWkt(QgsCoordinateReferenceSystem.WktVariant.WKT2_2019))


def gdal_path(source: str) -> str:
    """The path by which GDAL opens a layer of QGIS's GDAL provider.

    Options for opening it (``|option:KEY=VALUE``) are kept in a VRT around it, since a path alone
    cannot say them.
    """
    path, *_ = source.split("|option:")
    parts = QgsProviderRegistry.instance().decodeUri("gdal", source)
    options = list(parts.get("openOptions") or [])
    if not options:
        return path
    wrapper = QgsProcessingUtils.generateTempFilename("source.vrt")
    made, errors = call_gdal(_wrap, path, options, wrapper)
    if not made:
        raise InputError(
            f"'{path}' cannot be opened with the options {', '.join(options)}: {reason(errors)}. "
            "Look at the layer's data source."
        )
    return str(wrapper)


def _wrap(path: str, options: Sequence[str], wrapper: str) -> bool:
    """Write a VRT around an image that is opened with options."""
    dataset = opened(path, options)
    return gdal.GetDriverByName("VRT").CreateCopy(wrapper, dataset) is not None


def source_of(
    layer: QgsRasterLayer,
    grid: Grid,
    part: Grid,
    bands: Sequence[int] = (),
    feedback: Optional[QgsProcessingFeedback] = None,
) -> Source:
    """The source for a layer; a CRS that the user set in place of the file's goes with it.

    A layer that GDAL cannot read is rendered on the ``grid``, of which a run looks at ``part``.
    """
    name, provider = name_of(layer), layer.dataProvider()
    count = band_count(provider)
    for band in bands:
        if not 1 <= band <= count:
            raise InputError(
                f"Band {band} is not there: layer '{name}' has {counted(count, 'band')}. Choose "
                "one of them."
            )
    chosen = list(bands) or None
    if layer.providerType() != "gdal":
        rendering = Rendering(name, provider.clone(), layer.crs(), grid, part)
        return Source(name, "", chosen, None, rendering)
    override = layer.crs().isValid() and layer.crs() != provider.crs()
    crs = wkt_of(layer.crs()) if override else None
    nodata = nodata_of(layer, feedback)
    return Source(name, gdal_path(layer.source()), chosen, crs, nodata=nodata)


def nodata_of(
    layer: QgsRasterLayer, feedback: Optional[QgsProcessingFeedback] = None
) -> list[tuple[int, Optional[float]]]:
    """The nodata values of bands that a layer's properties set in place of the file's.

    The box "No data value" may be unticked, and an additional value may be given. The engine knows
    one value a band: of several, and of ranges, a warning tells.
    """
    found: list[tuple[int, Optional[float]]] = []
    provider, left_aside = layer.dataProvider(), False
    for band in range(1, layer.bandCount() + 1):
        has = provider.sourceHasNoDataValue(band)
        used = has and provider.useSourceNoDataValue(band)
        added = provider.userNoDataValues(band)
        if not used and len(added) == 1 and added[0].min() == added[0].max():
            # QGIS compares values after scale and offset, the engine pixels as they are stored
            value = (added[0].min() - provider.bandOffset(band)) / provider.bandScale(band)
            whole = round(value)
            found.append((band, whole if math.isclose(value, whole, abs_tol=1e-9) else value))
            continue
        if has and not used:
            found.append((band, None))
        left_aside |= bool(added)
    if left_aside and feedback is not None:
        feedback.pushWarning(
            f"Layer '{name_of(layer)}' has additional nodata values in its properties that are not "
            "used: only a single value can be, in place of the file's own, whose box is unticked. "
            "Reclassify the image first, with the additional values as nodata."
        )
    return found
