"""Where the results of a run go: what was asked for, checked before anything starts."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any

from qgis.core import (
    QgsProcessing,
    QgsProcessingContext,
    QgsProcessingOutputLayerDefinition,
)

from eoscale_engine.errors import OutputError
from eoscale_qgis.algorithms.recipe import Recipe

TEMPORARY = QgsProcessing.TEMPORARY_OUTPUT


def asked_path(value: Any) -> str:
    """The path in a destination's value; empty for none, and ``TEMPORARY_OUTPUT`` as it is.

    QGIS's own ways to read it also enter a layer to be loaded, and so must run only once.
    """
    if isinstance(value, QgsProcessingOutputLayerDefinition):
        value = value.sink.staticValue()
    return str(value or "")


def goes_with_context(value: Any, context: QgsProcessingContext) -> bool:
    """Whether nobody can come back to a temporary result once its Processing context is gone.

    A model names its intermediate results by path, and its final ones as temporary. A dialog whose
    "open" box is not ticked gives a definition without a project. A script gets a path back, after
    its context is gone, and may go on with it.
    """
    temporary = asked_path(value) == TEMPORARY
    if context.expressionContext().hasVariable("model_name"):
        return not temporary
    of_dialog = isinstance(value, QgsProcessingOutputLayerDefinition)
    return temporary and of_dialog and value.destinationProject is None


def _check_folder(path: str) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise OutputError(f"The folder '{folder}' is not there. Make it, or choose another one.")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"The folder '{folder}' is not writable. Choose another one.")
    if os.path.isdir(path):
        raise OutputError(f"'{path}' is a folder. Name a file in it.")


def check_destinations(
    recipe: Recipe, parameters: Mapping[str, Any], input_paths: Iterable[str]
) -> None:
    """Refuse, with an :class:`OutputError`, destinations that cannot be written or are in use."""
    inputs = {os.path.realpath(path): path for path in input_paths}
    wanted = any(asked_path(parameters.get(output.name)) for output in recipe.outputs)
    if recipe.outputs and not recipe.values_first and not wanted:
        names = " or ".join(f"'{output.label}' ({output.name})" for output in recipe.outputs)
        raise OutputError(f"'{recipe.label}' would make nothing: choose an output for {names}.")
    seen: set[str] = set()
    for output in recipe.outputs:
        path = asked_path(parameters.get(output.name))
        if not path or path == TEMPORARY:
            continue
        _check_folder(path)
        if not path.lower().endswith((".tif", ".tiff")):
            raise OutputError(f"'{path}': images are written as GeoTIFF. End the name in .tif.")
        real = os.path.realpath(path)
        if real in inputs:
            raise OutputError(
                f"'{path}' is one of the inputs, which would be lost. Choose another name."
            )
        if real in seen:
            raise OutputError(f"'{path}' is named for two results. Choose another name for one.")
        seen.add(real)
    for name in (recipe.table, "OUTPUT_JSON", "OUTPUT_HTML") if recipe.summary else ():
        path = asked_path(parameters.get(name))
        if path and os.path.realpath(path) in inputs:
            raise OutputError(
                f"'{path}' is one of the inputs, which would be lost. Choose another name."
            )
        if path and path != TEMPORARY and name != recipe.table:
            _check_folder(path)
