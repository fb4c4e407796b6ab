"""A recipe as a Processing algorithm: its dialog, its checks, and its run by the engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import perf_counter
from typing import Any, Optional, cast

from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
)
from qgis.PyQt.QtGui import QIcon

from eoscale_engine.errors import EngineError
from eoscale_qgis.about import HELP, icon_path
from eoscale_qgis.algorithms.definition import (
    NO_ALIGNMENT,
    bands_name,
    definitions,
    listed_bands,
    number_outputs,
)
from eoscale_qgis.algorithms.destinations import (
    asked_path,
    check_destinations,
    goes_with_context,
)
from eoscale_qgis.algorithms.helps import short_help, with_default
from eoscale_qgis.algorithms.inputs import (
    Layers,
    check_roles,
    layers_of,
    polygons_of,
    sources_of,
)
from eoscale_qgis.algorithms.outcome import Destinations, deliver_summary, facts_of, present_table
from eoscale_qgis.algorithms.parameters import (
    as_json,
    for_qgis,
    unknown_names,
    values_of,
    with_chosen_texts,
)
from eoscale_qgis.algorithms.recipe import (
    Recipe,
    check_parameters,
    plain_text,
    reach_of,
    styles_of,
    title_of,
)
from eoscale_qgis.algorithms.summaries import rows_of
from eoscale_qgis.layers import Source
from eoscale_qgis.rendering import rendering_folder
from eoscale_qgis.results import ContextImages
from eoscale_qgis.trust import RISK
from eoscale_qgis.vectors import PolygonSource


class EngineAlgorithm(QgsProcessingAlgorithm):
    """One recipe, run by the engine of the provider's session."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self._recipe = recipe
        self._sources: dict[str, list[Source]] = {}
        self._extent: Optional[list[float]] = None
        self._crs = QgsCoordinateReferenceSystem()
        self._holder: Optional[ContextImages] = None
        self._provider: Any = None

    # ---- what it is

    def createInstance(self) -> EngineAlgorithm:
        return EngineAlgorithm(self._recipe)

    def name(self) -> str:
        return self._recipe.name

    def displayName(self) -> str:
        return self._recipe.label

    def group(self) -> str:
        return self._recipe.group

    def groupId(self) -> str:
        return self._recipe.group_id

    def tags(self) -> list[str]:
        return [*self._recipe.tags, "eoscale"]

    def icon(self) -> QIcon:
        return QIcon(self.svgIconPath())

    def svgIconPath(self) -> str:
        return icon_path(self._recipe.icon, self._recipe.group_id)

    def helpUrl(self) -> str:
        return f"{HELP.as_uri()}#{self._recipe.name}"

    def shortDescription(self) -> str:
        return next(iter(plain_text(self._recipe.help)), "")

    def shortHelpString(self) -> str:
        return short_help(self, self._recipe.help)

    def initAlgorithm(self, configuration: Optional[Mapping[str, Any]] = None) -> None:
        for definition in definitions(self._recipe):
            self.addParameter(with_default(definition))
        for output in number_outputs(self._recipe):
            self.addOutput(output)

    def flags(self) -> Any:
        flags = super().flags()
        return flags | RISK if self._recipe.runs_user_code and RISK is not None else flags

    # ---- before the run

    def canExecute(self) -> tuple[bool, str]:
        reason = ""
        if self._recipe.runs_user_code and self.provider() is not None:
            reason = self.provider().session.inline_reason()
        return not reason, reason

    def checkParameterValues(
        self, parameters: dict[str, Any], context: QgsProcessingContext
    ) -> tuple[bool, str]:
        values = with_chosen_texts(self, parameters)
        try:
            # first: it says what is wrong, where QGIS says "Incorrect parameter value" alone
            recipe, fields = self._recipe, self._field_values(values, context)
            check_parameters(recipe, fields)
            checked = for_qgis(recipe, values, fields)
            ok, message = super().checkParameterValues(checked, context)
            if not ok:
                return ok, message
            layers = layers_of(self, recipe, values, context)
            polygons = polygons_of(self, recipe, values, fields, context)
            check_roles(recipe, layers, polygons)
            self._inputs_of(values, context, layers)
            paths = [layer.source() for group in layers.values() for layer in group]
            paths += [layer.origin for layer in polygons]
            check_destinations(recipe, values, [path.split("|")[0] for path in paths])
        except (EngineError, QgsProcessingException) as error:
            return False, str(error)
        return True, ""

    def _field_values(
        self, values: Mapping[str, Any], context: QgsProcessingContext
    ) -> dict[str, Any]:
        fields = values_of(self, self._recipe, values, context)
        for name in self._recipe.switches:
            fields[name] = bool(asked_path(values.get(name.upper())))
        return fields

    def prepareAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> bool:
        # QGIS may remove the provider while the run goes on
        self._provider = self.provider()
        for warning in unknown_names(self, parameters):
            feedback.pushWarning(warning)
        values = with_chosen_texts(self, parameters)
        layers = layers_of(self, self._recipe, values, context)
        self._crs = next((layer.crs() for group in layers.values() for layer in group), self._crs)
        try:
            if self._recipe.runs_user_code:
                fields = self._field_values(values, context)
                self._provider.trust.require(fields["file"], context)
            self._sources, self._extent = self._inputs_of(values, context, layers, feedback)
        except EngineError as error:
            raise QgsProcessingException(str(error)) from error
        if any(
            values.get(output.name) and goes_with_context(values[output.name], context)
            for output in self._recipe.outputs
        ):
            self._holder = ContextImages(self._provider.results, context)
        return True

    def _inputs_of(
        self,
        values: dict[str, Any],
        context: QgsProcessingContext,
        layers: Layers,
        feedback: Optional[QgsProcessingFeedback] = None,
    ) -> tuple[dict[str, list[Source]], Optional[list[float]]]:
        """The sources by role, and the extent for the engine, in the first image's CRS."""
        first = next((layer for group in layers.values() for layer in group), None)
        extent, bands = None, {}
        if values.get("EXTENT") and first is not None:
            extent = self.parameterAsExtent(values, "EXTENT", context, first.crs())
        for item in self._recipe.images:
            name = bands_name(self._recipe, item)
            if item.many and name:
                label, given = self.parameterDefinition(name).description(), values.get(name)
                text = self.parameterAsString(values, name, context)
                if isinstance(given, (list, tuple)):  # QGIS takes it for the text ""
                    text = ",".join(map(str, given))
                bands[item.role] = listed_bands(label, text)
            else:
                bands[item.role] = self.parameterAsInts(values, name, context) if name else []
        return sources_of(
            layers,
            bands,
            extent,
            cell_size=self.parameterAsDouble(values, "CELL_SIZE", context),
            aligned=values.get("ALIGN") not in (None, "", NO_ALIGNMENT),
            reach=reach_of(self._recipe, self._field_values(values, context)),
            feedback=feedback,
        )

    # ---- the run

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        try:
            with rendering_folder() as folder:
                return self._processed(
                    with_chosen_texts(self, parameters), context, feedback, folder
                )
        except EngineError as error:
            raise QgsProcessingException(str(error)) from error

    def _processed(
        self,
        values: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
        folder: str,
    ) -> dict[str, Any]:
        began, recipe, transforms = perf_counter(), self._recipe, context.transformContext()
        fields = self._field_values(values, context)
        sources = [source for group in self._sources.values() for source in group]
        for source in sources:
            if source.rendering is not None:
                source.path = source.rendering.write(folder, transforms, feedback)
        polygons = polygons_of(self, recipe, values, fields, context)
        for layer in polygons:
            layer.to_file(folder, transforms, feedback)
        destinations = Destinations.of(self, recipe, values, context)
        destinations.announce(feedback)
        job = self._job(values, fields, polygons, destinations)
        with self._provider.results.in_use(source.path for source in sources):
            result = self._run(job, destinations, feedback)
        images, keeper = [source.label for source in sources], self._provider.stylings
        title, names = title_of(recipe, fields), self._provider.names
        destinations.name_layers(context, title, images, names)
        styles = styles_of(recipe, fields)
        destinations.style_layers(context, self.id(), styles, keeper)
        made: dict[str, Any] = dict(destinations.paths)
        summary = result["summary"]
        if summary is not None:
            table = next(iter(summary["tables"]), None)
            rows = None
            if table is not None and values.get(recipe.table):
                rows = rows_of(recipe, table, self._crs, polygons, feedback)
            seconds = perf_counter() - began
            facts = facts_of(recipe, self._sources, polygons, fields, self._extent, seconds)
            made |= deliver_summary(self, recipe, summary, rows, facts, values, context, feedback)
            if rows is not None and recipe.table in made:
                table_layer = made[recipe.table]
                name = names.name(title, images)
                present_table(context, table_layer, recipe, self.id(), rows, name, keeper)
        return made

    def _run(
        self, job: dict[str, Any], destinations: Destinations, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Run the job, and enter the images that stay in memory while the engine is held."""

        def log(level: str, text: str) -> None:
            (feedback.pushWarning if level == "warning" else feedback.pushInfo)(text)

        provider = self._provider
        client = provider.session.acquire()
        try:
            result: dict[str, Any] = client.run(
                job, progress=feedback.setProgress, log=log, cancelled=feedback.isCanceled
            )
            destinations.publish(result["images"], client, provider.results, self._holder)
        finally:
            provider.session.give_back(client)
        return result

    def _job(
        self,
        values: dict[str, Any],
        fields: dict[str, Any],
        polygons: Sequence[PolygonSource],
        destinations: Destinations,
    ) -> dict[str, Any]:
        align = values.get("ALIGN") or NO_ALIGNMENT
        images = {
            role: [source.as_job() for source in group]
            for role, group in self._sources.items()
            if group
        }
        return {
            "declaration": self._recipe.job,
            "parameters": as_json(self._recipe, fields),
            "inputs": {**images, **{layer.role: [layer.as_job()] for layer in polygons}},
            "extent": self._extent,
            "align": "" if align == NO_ALIGNMENT else cast(str, align),
            "outputs": destinations.as_job(),
        }
