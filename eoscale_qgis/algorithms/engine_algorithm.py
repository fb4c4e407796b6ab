"""A recipe as a Processing algorithm: its dialog, its checks, and its run by the engine."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from time import perf_counter
from typing import Any, Optional, cast

from qgis.core import (
    QgsApplication,
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingFeedback,
    QgsRasterLayer,
)
from qgis.PyQt.QtGui import QIcon

from eoscale_engine.errors import EngineError
from eoscale_qgis.about import HELP, icon_path, metadata
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
from eoscale_qgis.algorithms.inputs import Layers, sources_of
from eoscale_qgis.algorithms.outcome import Destinations, deliver_summary
from eoscale_qgis.algorithms.parameters import values_of, with_chosen_texts
from eoscale_qgis.algorithms.recipe import (
    Recipe,
    check_parameters,
    plain_text,
    reach_of,
    styles_of,
)
from eoscale_qgis.layers import Source
from eoscale_qgis.rendering import rendering_folder
from eoscale_qgis.results import ContextImages


class EngineAlgorithm(QgsProcessingAlgorithm):
    """One recipe, run by the engine of the provider's session."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self._recipe = recipe
        self._sources: dict[str, list[Source]] = {}
        self._extent: Optional[list[float]] = None
        self._holder: Optional[ContextImages] = None

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
        lines = plain_text(self._recipe.help)
        for item in self.parameterDefinitions():
            lines.append(f"{item.description()}: {item.help()}")
        text = "\n\n".join(lines)
        # The dialog reads it as HTML and drops what follows a "<"; qgis_process prints it as it is.
        return text if QgsApplication.platform() == "qgis_process" else escape(text, quote=False)

    def initAlgorithm(self, configuration: Optional[Mapping[str, Any]] = None) -> None:
        for definition in definitions(self._recipe):
            self.addParameter(definition)
        for output in number_outputs(self._recipe):
            self.addOutput(output)

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
        ok, message = super().checkParameterValues(values, context)
        if not ok:
            return ok, message
        try:
            check_parameters(self._recipe, self._field_values(values, context))
            layers = self._layers(values, context)
            self._inputs_of(values, context, layers)
            paths = [layer.source().split("|")[0] for group in layers.values() for layer in group]
            check_destinations(self._recipe, values, paths)
        except (EngineError, QgsProcessingException) as error:
            return False, str(error)
        return True, ""

    def _field_values(
        self, values: Mapping[str, Any], context: QgsProcessingContext
    ) -> dict[str, Any]:
        fields = values_of(self, self._recipe.parameters, values, context)
        for name in self._recipe.switches:
            fields[name] = bool(asked_path(values.get(name.upper())))
        return fields

    def _layers(self, values: dict[str, Any], context: QgsProcessingContext) -> Layers:
        layers: Layers = {}
        for item in self._recipe.inputs:
            if item.many:
                found = self.parameterAsLayerList(values, item.role, context)
            else:
                found = [self.parameterAsRasterLayer(values, item.role, context)]
            if None in found or not all(isinstance(layer, QgsRasterLayer) for layer in found):
                if values.get(item.role) or not item.optional:
                    raise QgsProcessingException(self.invalidRasterError(values, item.role))
                found = []
            layers[item.role] = found
        return layers

    def prepareAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> bool:
        values = with_chosen_texts(self, parameters)
        layers = self._layers(values, context)
        try:
            self._sources, self._extent = self._inputs_of(values, context, layers, feedback)
        except EngineError as error:
            raise QgsProcessingException(str(error)) from error
        if any(
            values.get(output.name) and goes_with_context(values[output.name], context)
            for output in self._recipe.outputs
        ):
            self._holder = ContextImages(self.provider().results, context)
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
        for item in self._recipe.inputs:
            name = bands_name(self._recipe, item)
            if item.many and name:
                label = self.parameterDefinition(name).description()
                text = self.parameterAsString(values, name, context)
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
        began = perf_counter()
        sources = [source for group in self._sources.values() for source in group]
        for source in sources:
            if source.rendering is not None:
                transforms = context.transformContext()
                source.path = source.rendering.write(folder, transforms, feedback)
        destinations = Destinations.of(self, self._recipe, values, context)
        destinations.announce(feedback)
        job = self._job(values, context, destinations)
        with self.provider().results.in_use(source.path for source in sources):
            result = self._run(job, destinations, feedback)
        destinations.name_layers(context, self._recipe, [source.label for source in sources])
        styles = styles_of(self._recipe, job["parameters"])
        destinations.style_layers(context, self.id(), styles, self.provider().stylings)
        made: dict[str, Any] = dict(destinations.paths)
        if result["summary"] is not None:
            facts = {**self._facts(job), "seconds": perf_counter() - began}
            made |= deliver_summary(
                self, self._recipe, result["summary"], facts, values, context, feedback
            )
        return made

    def _run(
        self, job: dict[str, Any], destinations: Destinations, feedback: QgsProcessingFeedback
    ) -> dict[str, Any]:
        """Run the job, and enter the images that stay in memory while the engine is held."""

        def log(level: str, text: str) -> None:
            (feedback.pushWarning if level == "warning" else feedback.pushInfo)(text)

        provider = self.provider()
        client = provider.session.acquire()
        try:
            result: dict[str, Any] = client.run(
                job, progress=feedback.setProgress, log=log, cancelled=feedback.isCanceled
            )
            destinations.publish(result["images"], client, provider.results, self._holder)
        finally:
            provider.session.give_back(client)
        return result

    def _facts(self, job: dict[str, Any]) -> dict[str, Any]:
        """What a report says of where its values come from."""
        labels = {item.role: item.label for item in self._recipe.inputs}
        return {
            "images": [
                {
                    "role": labels[role],
                    "name": source.label,
                    "bands": ", ".join(map(str, source.bands or ())),
                    "details": source.details,
                }
                for role, group in self._sources.items()
                for source in group
            ],
            "parameters": {
                item.label: job["parameters"][item.name] for item in self._recipe.parameters
            },
            "help": self._recipe.help,
            "version": metadata("version"),
        }

    def _job(
        self,
        values: dict[str, Any],
        context: QgsProcessingContext,
        destinations: Destinations,
    ) -> dict[str, Any]:
        align = values.get("ALIGN") or NO_ALIGNMENT
        return {
            "declaration": self._recipe.job,
            "parameters": self._field_values(values, context),
            "inputs": {
                role: [source.as_job() for source in group]
                for role, group in self._sources.items()
                if group
            },
            "extent": self._extent,
            "align": "" if align == NO_ALIGNMENT else cast(str, align),
            "outputs": destinations.as_job(),
        }
