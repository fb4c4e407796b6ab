"""The algorithm that gives memory back: from the toolbox, models, scripts and the console."""

from __future__ import annotations

from typing import Any, Optional

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProcessingOutputNumber,
    QgsProcessingParameterBoolean,
)
from qgis.PyQt.QtGui import QIcon

from eoscale_qgis.about import HELP, icon_path
from eoscale_qgis.algorithms.helps import short_help, with_default
from eoscale_qgis.algorithms.recipe import plain_text


class FreeMemory(QgsProcessingAlgorithm):
    """Give back memory that nothing uses now, and tell what is in memory.

    Images that were read are kept for the next run, and go within a minute after the last one.
    Results in memory go with their last layer. Those that no layer shows, but that something may
    come back to, move to the temporary folder on disk within a minute: results that a script has
    the path of, that a project file saved in this session shows, or that a copied layer is on.

    This gives all of that back at once, on disk too: such paths and project files find nothing
    then. Results that a layer of the project shows, or that a run reads, stay.

    In Python: processing.run("eoscale:freememory", {}).
    """

    def createInstance(self) -> FreeMemory:
        return FreeMemory()

    def name(self) -> str:
        return "freememory"

    def displayName(self) -> str:
        return "Free memory"

    def group(self) -> str:
        return "Images"

    def groupId(self) -> str:
        return "images"

    def tags(self) -> list[str]:
        return ["memory", "release", "clear", "cache", "temporary", "shared", "eoscale"]

    def icon(self) -> QIcon:
        return QIcon(self.svgIconPath())

    def svgIconPath(self) -> str:
        return icon_path(self.name(), self.groupId())

    def helpUrl(self) -> str:
        return f"{HELP.as_uri()}#{self.name()}"

    def shortDescription(self) -> str:
        return plain_text(type(self).__doc__ or "")[0]

    def shortHelpString(self) -> str:
        return short_help(self, type(self).__doc__ or "")

    def initAlgorithm(self, configuration: Optional[dict[str, Any]] = None) -> None:
        results = QgsProcessingParameterBoolean("RESULTS", "Results that no layer shows", True)
        results.setHelp("Give these back too; otherwise only what is kept for the next run.")
        self.addParameter(with_default(results))
        self.addOutput(QgsProcessingOutputNumber("FREED", "Megabytes given back"))
        self.addOutput(QgsProcessingOutputNumber("LEFT", "Megabytes that stay"))

    def processAlgorithm(
        self,
        parameters: dict[str, Any],
        context: QgsProcessingContext,
        feedback: QgsProcessingFeedback,
    ) -> dict[str, Any]:
        results = self.provider().results
        before = results.usage()
        feedback.pushInfo(f"Before: {before}.")
        results.free(self.parameterAsBoolean(parameters, "RESULTS", context))
        left = results.usage().result_bytes
        freed = before.result_bytes + before.kept_bytes - left
        feedback.pushInfo(f"{freed / 1e6:.0f} MB given back; {left / 1e6:.0f} MB stay.")
        return {"FREED": freed / 1e6, "LEFT": left / 1e6}
