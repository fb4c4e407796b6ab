"""The layers of a run as sources for the engine, on grids that fit together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingFeedback,
    QgsRasterLayer,
    QgsRectangle,
)

from eoscale_engine.declaration import Input
from eoscale_engine.errors import InputError
from eoscale_engine.parameter_kinds import Field
from eoscale_qgis.algorithms.recipe import Recipe
from eoscale_qgis.grids import grids_of, name_of, own_grid, require_drawable, require_same_grid
from eoscale_qgis.layers import Source, source_of
from eoscale_qgis.vectors import PolygonSource, own_file

Layers = dict[str, list[QgsRasterLayer]]
"""The layers of each role, in the order of the recipe's inputs."""


def layers_of(
    algorithm: QgsProcessingAlgorithm,
    recipe: Recipe,
    values: dict[str, Any],
    context: QgsProcessingContext,
) -> Layers:
    """The image layers that were given."""
    layers: Layers = {}
    for item in recipe.images:
        if item.many:
            found = algorithm.parameterAsLayerList(values, item.role, context)
        else:
            found = [algorithm.parameterAsRasterLayer(values, item.role, context)]
        if None in found or not all(isinstance(layer, QgsRasterLayer) for layer in found):
            if values.get(item.role) or not item.optional:
                raise QgsProcessingException(algorithm.invalidRasterError(values, item.role))
            found = []
        layers[item.role] = found
    return layers


def polygons_of(
    algorithm: QgsProcessingAlgorithm,
    recipe: Recipe,
    values: dict[str, Any],
    fields: Mapping[str, Any],
    context: QgsProcessingContext,
) -> list[PolygonSource]:
    """The layers of polygons that were given; ``fields`` are the declaration's values."""
    found = []
    for item in recipe.vectors:
        if not values.get(item.role):
            continue
        features = algorithm.parameterAsSource(values, item.role, context)
        if features is None:
            raise QgsProcessingException(algorithm.invalidSourceError(values, item.role))
        named = (
            fields[parameter.name]
            for parameter in recipe.parameters
            if parameter.kind == Field(item.role)
        )
        wanted = [name for name in named if name]
        origin, file = _origin(algorithm, values, item, context)
        source = PolygonSource(item.role, features, wanted, origin, file)
        source.require_polygons()
        found.append(source)
    return found


def _origin(
    algorithm: QgsProcessingAlgorithm,
    values: dict[str, Any],
    item: Input,
    context: QgsProcessingContext,
) -> tuple[str, tuple[str, str]]:
    """A layer's data source, and the file that holds all that is asked for of it."""
    value, whole = values[item.role], True
    if isinstance(value, QgsProcessingFeatureSourceDefinition):
        whole = not value.selectedFeaturesOnly and value.featureLimit < 0
        whole &= not getattr(value, "filterExpression", "")  # not before QGIS 3.32
        value = value.source.staticValue()
    layer = algorithm.parameterAsVectorLayer({**values, item.role: value}, item.role, context)
    if layer is None:
        return "", ("", "")
    return str(layer.source()), own_file(layer) if whole else ("", "")


def check_roles(recipe: Recipe, layers: Layers, polygons: Sequence[PolygonSource]) -> None:
    """Refuse none or several of the roles that exclude each other."""
    if recipe.declaration is not None:
        images = [role for role, group in layers.items() if group]
        recipe.declaration.check_roles([*images, *(source.role for source in polygons)])


def check_extent(extent: QgsRectangle, first: QgsRasterLayer) -> None:
    """Refuse an extent, in the CRS of the first layer, without a pixel of that layer."""
    whole = first.extent()
    if extent.isEmpty():
        raise InputError(f"The extent {extent.toString(3)} is empty. Choose one with an area.")
    if not (whole.isEmpty() or extent.intersects(whole)):
        raise InputError(
            f"The extent {extent.toString(3)} and the layer '{name_of(first)}' "
            f"({whole.toString(3)}) do not meet. Choose an extent on the layer."
        )


def sources_of(
    layers: Layers,
    bands: Mapping[str, Sequence[int]],
    extent: Optional[QgsRectangle],
    *,
    cell_size: float,
    aligned: bool,
    reach: Optional[int],
    feedback: Optional[QgsProcessingFeedback] = None,
) -> tuple[dict[str, list[Source]], Optional[list[float]]]:
    """The sources by role, and the extent for the engine.

    ``reach`` is how many pixels beyond the extent a run looks at, None where that cannot be told.
    No more than that is rendered.
    """
    everything = [layer for group in layers.values() for layer in group]
    if extent is not None and everything:
        check_extent(extent, everything[0])
    grids = grids_of(everything, extent, cell_size)
    if not aligned:
        require_same_grid(everything, grids)
    if not everything or own_grid(everything[0]) is None:
        extent = None  # the first image is drawn over the extent, and is all there is
    remaining = iter(grids)
    sources: dict[str, list[Source]] = {role: [] for role in layers}
    for role, group in layers.items():
        for layer, grid in zip(group, remaining):
            part = grid
            if extent is not None and reach is not None and grid == grids[0]:
                part = grid.part(extent, reach)
            if own_grid(layer) is None:
                require_drawable(layer, part.cols, part.rows)
            sources[role].append(source_of(layer, grid, part, bands.get(role, ()), feedback))
    if extent is None:
        return sources, None
    return sources, [extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()]
