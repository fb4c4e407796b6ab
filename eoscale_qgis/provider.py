"""The Processing provider: every declaration of the engine's catalogue, and the plain copies."""

from __future__ import annotations

from typing import Optional

from qgis.core import QgsProcessingProvider
from qgis.PyQt.QtGui import QIcon

from eoscale_engine.catalogue import declarations
from eoscale_qgis.about import icon_path, metadata
from eoscale_qgis.algorithms.definition import FORMATS
from eoscale_qgis.algorithms.engine_algorithm import EngineAlgorithm
from eoscale_qgis.algorithms.free_memory import FreeMemory
from eoscale_qgis.algorithms.names import LayerNames
from eoscale_qgis.algorithms.recipe import LOAD_INTO_MEMORY, SAVE_IMAGE, recipe_of
from eoscale_qgis.results import Results
from eoscale_qgis.session import Session
from eoscale_qgis.styles import Styling
from eoscale_qgis.trust import Trust


class EoscaleProvider(QgsProcessingProvider):
    """Offers the engine's algorithms, and owns the session's engine and its images."""

    def __init__(self, session: Optional[Session] = None) -> None:
        super().__init__()
        self.session = session or Session()
        self.results = Results(self.session)
        self.stylings: set[Styling] = set()
        self.trust = Trust()
        self.names = LayerNames(kind.label for kind in declarations().values())

    def id(self) -> str:
        return "eoscale"

    def name(self) -> str:
        return "EOScale"

    def longName(self) -> str:
        return f"EOScale ({metadata('version')})"

    def versionInfo(self) -> str:
        return metadata("version")

    def icon(self) -> QIcon:
        return QIcon(self.svgIconPath())

    def svgIconPath(self) -> str:
        return icon_path("provider")

    def supportedOutputRasterLayerExtensions(self) -> list[str]:
        return ["tif"]

    def supportedOutputRasterLayerFormatAndExtensions(self) -> list[tuple[str, str]]:
        # what QGIS 4 asks in its place
        return [(driver, "tif") for driver in FORMATS.values()]

    def loadAlgorithms(self) -> None:
        copies = (LOAD_INTO_MEMORY, SAVE_IMAGE)
        declared = [recipe_of(declaration) for declaration in declarations().values()]
        # The declaration that the copies run is offered as those alone.
        hidden = {recipe.job for recipe in copies}
        for recipe in (*declared, *copies):
            if recipe.name not in hidden:
                self.addAlgorithm(EngineAlgorithm(recipe))
        self.addAlgorithm(FreeMemory())

    def close(self) -> None:
        """End the engine and remove what it holds in memory."""
        self.results.close()
