"""The parameters and outputs of an algorithm, in the order in which the dialog shows them."""

from __future__ import annotations

from collections.abc import Iterator

from qgis.core import (
    QgsProcessing,
    QgsProcessingOutputNumber,
    QgsProcessingParameterBand,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterExtent,
    QgsProcessingParameterFeatureSink,
    QgsProcessingParameterFeatureSource,
    QgsProcessingParameterFileDestination,
    QgsProcessingParameterMultipleLayers,
    QgsProcessingParameterNumber,
    QgsProcessingParameterRasterDestination,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterString,
)

from eoscale_engine.declaration import Input
from eoscale_engine.errors import InputError
from eoscale_qgis.algorithms.parameters import choice, definition_of, described
from eoscale_qgis.algorithms.recipe import Recipe

NO_ALIGNMENT = "No: refuse"
ALIGNMENTS = (NO_ALIGNMENT, "nearest", "bilinear", "cubic", "average")
FORMATS = {"GeoTIFF": "GTiff", "COG": "COG"}
COMPRESSIONS = ("DEFLATE", "ZSTD", "LZW", "NONE")
TARGETS = {
    "any": "A temporary layer in memory, or a .tif file.",
    "memory": "A temporary layer in memory.",
    "file": "A .tif file.",
}
TABLES = {
    "": ("Table", QgsProcessing.SourceType.TypeVector, "A table layer with the values."),
    "points": (
        "Points",
        QgsProcessing.SourceType.TypeVectorPoint,
        "A point layer with the values, in the CRS of the first image.",
    ),
    "polygons": (
        "Table",
        QgsProcessing.SourceType.TypeVector,
        "A table layer with the values. Polygons that are given get them as attributes.",
    ),
}
"""Label, type and help of the first table, by what its rows are on a map."""


class _MadeInModels:
    """A destination that its algorithm may skip by default; a model that declares it does not.

    QGIS takes a copy of the algorithm's parameter as the model's.
    """

    def clone(self) -> QgsProcessingParameterDefinition:
        copy = super().clone()  # type: ignore[misc]
        copy.setCreateByDefault(True)
        return copy


class RasterDestination(_MadeInModels, QgsProcessingParameterRasterDestination):
    """An image."""


class TableDestination(_MadeInModels, QgsProcessingParameterFeatureSink):
    """A table."""


class FileDestination(_MadeInModels, QgsProcessingParameterFileDestination):
    """A report, or another file."""


def table_label(recipe: Recipe) -> str:
    """What the parameter of the first table is called, and its layer where nobody names it."""
    return TABLES[recipe.table_geometry][0]


def bands_name(recipe: Recipe, item: Input) -> str:
    """The parameter that chooses an input's bands; empty where there is none."""
    if not item.band_choice:
        return ""
    return "BANDS" if item is recipe.images[0] else f"{item.role}_BANDS"


def _inputs(recipe: Recipe) -> Iterator[QgsProcessingParameterDefinition]:
    for item in recipe.inputs:
        if item.polygons:
            kinds = QgsProcessing.SourceType
            shapes = [kinds.TypeVectorPolygon, kinds.TypeVectorPoint]
            source = QgsProcessingParameterFeatureSource(
                item.role, item.label, shapes, None, item.optional
            )
            yield described(source, item.help or "A layer of polygons or points, in any CRS.")
        elif item.many:
            kind = QgsProcessing.SourceType.TypeRaster
            layers = QgsProcessingParameterMultipleLayers(
                item.role, item.label, kind, None, item.optional
            )
            yield described(layers, item.help or "Images that share size, geotransform and CRS.")
        else:
            layer = QgsProcessingParameterRasterLayer(item.role, item.label, None, item.optional)
            yield described(layer, item.help or "Any raster layer.")
        if item.band_choice:
            yield _bands(recipe, item)


def _bands(recipe: Recipe, item: Input) -> QgsProcessingParameterDefinition:
    name = bands_name(recipe, item)
    label = "Bands" if item is recipe.images[0] else f"{item.label}: bands"
    if item.many:
        label += ", from every image"
        numbers = QgsProcessingParameterString(name, label, None, False, True)
        return described(numbers, "Numbers separated by commas, in this order; empty for all.")
    bands = QgsProcessingParameterBand(name, label, None, item.role, True, True)
    return described(bands, "The bands to use, in this order. All bands if none is chosen.")


def listed_bands(label: str, text: str) -> list[int]:
    """Band numbers as typed, separated by commas or semicolons."""
    try:
        return [int(number) for number in text.replace(";", ",").split(",") if text.strip()]
    except ValueError:
        raise InputError(
            f"'{label}' cannot be '{text}'. Write band numbers separated by commas, such as 3,2,1; "
            "nothing for all bands."
        ) from None


def _grid(recipe: Recipe) -> Iterator[QgsProcessingParameterDefinition]:
    if not recipe.images:
        return
    yield described(
        QgsProcessingParameterExtent("EXTENT", "Extent", None, True),
        "Only this part is computed, with the same pixels as the crop of the whole result. The "
        "whole image if not set. It ends where the (first) image ends.",
    )
    cell_size = QgsProcessingParameterNumber(
        "CELL_SIZE",
        "Cell size for layers without pixels of their own",
        QgsProcessingParameterNumber.Type.Double,
        None,
        True,
    )
    cell_size.setMinimum(0)
    yield described(
        cell_size,
        "In units of the layer's CRS. A WMS, WMTS or XYZ layer is drawn with it over the extent, "
        "and ends there. One that comes after another image gets its grid and needs no size.",
        advanced=True,
    )
    if recipe.takes_several:
        yield described(
            choice("ALIGN", "Align to the first image", ALIGNMENTS, NO_ALIGNMENT),
            "Bring the other images to the grid of the first one on the fly, by this resampling. "
            "Images with different grids are refused otherwise. An extent that reaches beyond the "
            "first image is used as a whole then: pixels are invalid where an image has none.",
            advanced=True,
        )


def _images_out(recipe: Recipe) -> Iterator[QgsProcessingParameterDefinition]:
    for output in recipe.outputs:
        made = output.at_first and not recipe.values_first
        yield described(
            RasterDestination(output.name, output.label, None, output.optional, made),
            TARGETS[recipe.target],
        )
    if recipe.outputs and recipe.target != "memory":
        advanced = recipe.target != "file"
        yield described(
            choice("FORMAT", "File format", list(FORMATS), "GeoTIFF"),
            "Of a result that is written to a file: a tiled GeoTIFF, or a Cloud Optimized GeoTIFF "
            "with overviews.",
            advanced=advanced,
        )
        yield described(
            choice("COMPRESS", "File compression", COMPRESSIONS, "DEFLATE"),
            "Of a result that is written to a file. All lose nothing.",
            advanced=advanced,
        )


def _values_out(recipe: Recipe) -> Iterator[QgsProcessingParameterDefinition]:
    if not recipe.summary:
        return
    label, kind, text = TABLES[recipe.table_geometry]
    yield described(
        TableDestination(recipe.table, label, kind, None, True, recipe.values_first),
        text,
    )
    yield described(
        FileDestination("OUTPUT_JSON", "JSON file", "JSON files (*.json)", None, True, False),
        "All values as JSON, for other programs.",
    )
    yield described(
        FileDestination("OUTPUT_HTML", f"{recipe.label} report", "HTML files (*.html)", None, True),
        "A page with tables and plots for the web browser. The results viewer lists it.",
    )


def definitions(recipe: Recipe) -> Iterator[QgsProcessingParameterDefinition]:
    """All parameters of an algorithm."""
    yield from _inputs(recipe)
    for item in recipe.parameters:
        yield definition_of(item)
    yield from _grid(recipe)
    yield from _images_out(recipe)
    yield from _values_out(recipe)


def number_outputs(recipe: Recipe) -> Iterator[QgsProcessingOutputNumber]:
    """The numbers that a model's next steps can use."""
    for name, label in recipe.numbers:
        yield QgsProcessingOutputNumber(name.upper(), label)
