"""What a run gives back to Processing: layers in memory, files, tables, reports and numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeedback,
)

from eoscale_engine.errors import OutputError
from eoscale_engine.service.client import EngineClient
from eoscale_engine.styles import Style
from eoscale_qgis.about import in_terminal, metadata
from eoscale_qgis.algorithms.definition import FORMATS, table_label
from eoscale_qgis.algorithms.destinations import asked_path
from eoscale_qgis.algorithms.names import LayerNames
from eoscale_qgis.algorithms.recipe import Recipe
from eoscale_qgis.algorithms.summaries import Rows, numbers_of
from eoscale_qgis.algorithms.tables import write_rows
from eoscale_qgis.layers import Source
from eoscale_qgis.places import is_temporary, keep_of, temporary_root
from eoscale_qgis.report import JINJA2_MISSING, html_available, write_json, write_report
from eoscale_qgis.results import ContextImages, Results
from eoscale_qgis.settings import Settings
from eoscale_qgis.styles import Styling
from eoscale_qgis.vectors import PolygonSource


@dataclass
class Destinations:
    """Where each output image goes, and how it is kept there (see :func:`keep_of`)."""

    paths: dict[str, str]
    keeps: dict[str, str]
    labels: dict[str, str]
    formats: dict[str, str] = field(default_factory=dict)
    compress: str = ""

    @classmethod
    def of(
        cls,
        algorithm: QgsProcessingAlgorithm,
        recipe: Recipe,
        values: dict[str, Any],
        context: QgsProcessingContext,
    ) -> Destinations:
        """The destinations of a run. Call it once in it: QGIS notes each time a layer to load."""
        in_memory = recipe.target == "memory"
        in_memory |= recipe.target == "any" and Settings.read().keep_in_memory
        paths, keeps = {}, {}
        for output in recipe.outputs:
            # QGIS would make up a place for an optional result that nobody asked for.
            if not asked_path(values.get(output.name)):
                continue
            path = algorithm.parameterAsOutputLayer(values, output.name, context)
            if recipe.target == "memory" and not is_temporary(path, context):
                raise OutputError(
                    f"'{recipe.label}' makes a temporary layer in memory and writes no '{path}'. "
                    "Choose a temporary output, or use 'Save image'."
                )
            paths[output.name], keeps[output.name] = path, keep_of(path, context, in_memory)
        formats, compress = {}, ""
        if recipe.outputs and recipe.target != "memory":
            formats = {name: _format_of(algorithm, name, values, context) for name in paths}
            compress = algorithm.parameterAsEnumString(values, "COMPRESS", context)
        labels = {output.name: output.label for output in recipe.outputs}
        return cls(paths, keeps, labels, formats, compress)

    def as_job(self) -> dict[str, dict[str, str]]:
        """The outputs as the engine's job names them."""
        return {
            name: {
                "path": path,
                "keep": self.keeps[name],
                "format": self.formats.get(name, ""),
                "compress": self.compress,
            }
            for name, path in self.paths.items()
        }

    def announce(self, feedback: QgsProcessingFeedback) -> None:
        """Tell users of ``qgis_process`` that what stays in memory ends with it."""
        if in_terminal() and "file" not in self.keeps.values():
            for path in self.paths.values():
                feedback.pushInfo(
                    f"'{os.path.basename(path)}' is temporary and goes when qgis_process ends. "
                    "To keep it, give the path of a .tif file."
                )

    def publish(
        self,
        images: Mapping[str, Any],
        client: EngineClient,
        results: Results,
        holder: Optional[ContextImages],
    ) -> None:
        """Enter the images that stay in memory."""
        for name, path in self.paths.items():
            if self.keeps[name] != "file":
                image = images[name]
                results.publish(client, image["name"], image["vrt"] or path, path, holder)

    def name_layers(
        self, context: QgsProcessingContext, title: str, sources: Sequence[str], names: LayerNames
    ) -> None:
        """Call the layers after what was done to which image, where nobody chose a name."""
        for name, path in self.paths.items():
            if context.willLoadLayerOnCompletion(path):
                what = title if name == "OUTPUT" else f"{title} {self.labels[name]}"
                details = context.layerToLoadOnCompletionDetails(path)
                _name_layer(details, self.labels[name], names.name(what, sources))

    def style_layers(
        self,
        context: QgsProcessingContext,
        algorithm: str,
        styles: Mapping[str, Style],
        keeper: set[Styling],
    ) -> None:
        """Have the layers drawn as the declaration says, when they are loaded."""
        for name, path in self.paths.items():
            if name in styles and context.willLoadLayerOnCompletion(path):
                details = context.layerToLoadOnCompletionDetails(path)
                details.setPostProcessor(Styling(styles[name], algorithm, name, keeper))


def _format_of(
    algorithm: QgsProcessingAlgorithm,
    name: str,
    values: dict[str, Any],
    context: QgsProcessingContext,
) -> str:
    """GDAL's driver for a file: QGIS 4 lets users choose COG with the file's name, too."""
    ask = getattr(algorithm, "parameterAsOutputRasterFormat", None)
    if ask is not None and ask(values, name, context) == FORMATS["COG"]:
        return FORMATS["COG"]
    return FORMATS[algorithm.parameterAsEnumString(values, "FORMAT", context)]


def _name_layer(details: QgsProcessingContext.LayerDetails, label: str, name: str) -> None:
    if details.name in ("", label):
        details.name = name


def present_table(
    context: QgsProcessingContext,
    identifier: str,
    recipe: Recipe,
    algorithm: str,
    rows: Rows,
    name: str,
    keeper: set[Styling],
) -> None:
    """Name the table's layer, and have its features drawn in colours."""
    if not context.willLoadLayerOnCompletion(identifier):
        return
    details = context.layerToLoadOnCompletionDetails(identifier)
    _name_layer(details, table_label(recipe), name)
    if rows.style is not None:
        details.setPostProcessor(Styling(rows.style, algorithm, recipe.table, keeper))


def facts_of(
    recipe: Recipe,
    sources: Mapping[str, Sequence[Source]],
    polygons: Sequence[PolygonSource],
    parameters: Mapping[str, Any],
    extent: Optional[Sequence[float]],
    seconds: float,
) -> dict[str, Any]:
    """What a report says of where its values come from."""
    labels = {item.role: item.label for item in recipe.inputs}
    unchosen = {item.role: "all" if item.band_choice else "" for item in recipe.inputs}
    images = [
        {
            "role": labels[role],
            "name": source.label,
            "bands": ", ".join(map(str, source.bands or ())) or unchosen[role],
            "details": source.details,
        }
        for role, group in sources.items()
        for source in group
    ]
    layers = [
        {"role": labels[item.role], "name": item.label, "bands": "", "details": item.details}
        for item in polygons
    ]
    return {
        "images": images + layers,
        "parameters": {item.label: parameters[item.name] for item in recipe.parameters},
        "extent": ", ".join(f"{value:.10g}" for value in extent or ()),
        "help": recipe.help,
        "version": metadata("version"),
        "seconds": seconds,
    }


def deliver_summary(
    algorithm: QgsProcessingAlgorithm,
    recipe: Recipe,
    summary: Mapping[str, Any],
    rows: Optional[Rows],
    facts: Mapping[str, Any],
    values: dict[str, Any],
    context: QgsProcessingContext,
    feedback: QgsProcessingFeedback,
) -> dict[str, Any]:
    """Write the table, the JSON file and the report that were asked for; those and the numbers.

    ``rows`` are the first table's, where it was asked for.
    """
    made: dict[str, Any] = dict(numbers_of(summary, recipe.numbers))
    if rows is not None:
        table = write_rows(algorithm, recipe.table, rows, values, context)
        if table is not None:
            made[recipe.table] = table
    json_path = algorithm.parameterAsFileOutput(values, "OUTPUT_JSON", context)
    if json_path:
        write_json(summary, json_path)
        made["OUTPUT_JSON"] = json_path
    report_path = algorithm.parameterAsFileOutput(values, "OUTPUT_HTML", context)
    if report_path and not html_available():
        feedback.pushWarning(JINJA2_MISSING)
    elif report_path:
        # each temporary report has a folder of its own: their script goes above those
        scripts = temporary_root(report_path, context) or None
        write_report(summary, report_path, facts, scripts)
        made["OUTPUT_HTML"] = report_path
    for note in summary.get("notes", ()):
        feedback.pushInfo(note)
    return made
