"""*Make permanent* for layers in memory: in their menu and on QGIS's sign for temporary layers.

QGIS offers it for vector layers alone: its sign does nothing for a raster.
"""

from __future__ import annotations

import os
import re
from functools import partial
from typing import Any, Optional

from qgis.core import (
    QgsApplication,
    QgsLayerTree,
    QgsMapLayer,
    QgsMapLayerType,
    QgsProcessingAlgRunnerTask,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsProject,
    QgsSettings,
)
from qgis.gui import QgsLayerTreeViewIndicator
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QCoreApplication, QEventLoop, QModelIndex, QTimer
from qgis.PyQt.QtWidgets import QAction, QFileDialog

from eoscale_qgis.results import Results

FOLDER = "eoscale/last_folder"


class _Feedback(QgsProcessingFeedback):
    """Keeps the error of a run for the message bar."""

    def __init__(self) -> None:
        super().__init__()
        self.error = ""

    def reportError(self, error: str, fatalError: bool = False) -> None:  # noqa: N803
        self.error = error
        super().reportError(error, fatalError)


class MakePermanent:
    """Writes a layer's image to a file on every core, and has the same layer show that."""

    def __init__(self, iface: Any, results: Results) -> None:
        self._iface = iface
        self._results = results
        self._view = iface.layerTreeView()
        self._signs: list[QgsLayerTreeViewIndicator] = []
        self._running: list[tuple[Any, ...]] = []
        # QGIS puts its signs on when all who heard of a change of the tree are done
        self._later = QTimer()
        self._later.setSingleShot(True)
        self._later.timeout.connect(self._find_signs)
        self._later.timeout.connect(self._show_action)
        self._tree = QgsProject.instance().layerTreeRoot()
        icon = QgsApplication.getThemeIcon("/mActionFileSave.svg")
        self._action = QAction(icon, "Make Permanent (EOScale)…", iface.mainWindow())
        self._action.triggered.connect(self._action_chosen)
        iface.addCustomActionForLayerType(self._action, "", QgsMapLayerType.RasterLayer, True)
        self._view.currentLayerChanged.connect(self._show_action)
        self._tree.addedChildren.connect(self._tree_changed)
        # a project's layers are there only later than their places in the tree
        QgsProject.instance().readProject.connect(self._tree_changed)
        self._tree_changed()

    def unload(self) -> None:
        """Take the menu's entry and the signs' meaning back, when all that was begun is written."""
        if self._running:
            self._iface.messageBar().pushInfo("EOScale", "Unloaded as soon as the file is written.")
        wait = QEventLoop.ProcessEventsFlag.WaitForMoreEvents
        while self._running:
            QCoreApplication.processEvents(
                wait | QEventLoop.ProcessEventsFlag.ExcludeUserInputEvents
            )
        self._later.stop()
        self._iface.removeCustomActionForLayerType(self._action)
        self._action.deleteLater()
        self._view.currentLayerChanged.disconnect(self._show_action)
        self._tree.addedChildren.disconnect(self._tree_changed)
        QgsProject.instance().readProject.disconnect(self._tree_changed)
        for sign in self._signs:
            if not sip.isdeleted(sign):
                sign.clicked.disconnect(self._sign_clicked)
        self._signs.clear()

    # ---- where it is offered

    def _show_action(self, *_: Any) -> None:
        self._action.setVisible(self._offers(self._view.currentLayer()))

    def _action_chosen(self, *_: Any) -> None:
        if self._offers(self._view.currentLayer()):
            self.ask(self._view.currentLayer().id())

    def _offers(self, layer: Optional[QgsMapLayer]) -> bool:
        return layer is not None and layer.source() in self._results

    def _tree_changed(self, *_: Any) -> None:
        self._later.start(0)

    def _find_signs(self) -> None:
        icon = QgsApplication.getThemeIcon("/mIndicatorMemory.svg")
        temporary = icon.pixmap(16, 16).toImage()
        self._signs = [sign for sign in self._signs if not sip.isdeleted(sign)]
        for node in self._tree.findLayers():
            for sign in self._view.indicators(node) if self._offers(node.layer()) else ():
                same = sign.icon().pixmap(16, 16).toImage() == temporary
                if same and sign not in self._signs:
                    sign.clicked.connect(self._sign_clicked)
                    self._signs.append(sign)

    def _sign_clicked(self, index: QModelIndex) -> None:
        node = self._view.index2node(index)
        if QgsLayerTree.isLayer(node) and self._offers(node.layer()):
            self.ask(node.layerId())

    # ---- what it does

    def ask(self, layer_id: str) -> None:
        """Ask for the file, and write it."""
        layer = QgsProject.instance().mapLayer(layer_id)
        if layer is None:
            return
        folder = QgsProject.instance().homePath() or os.path.expanduser("~")
        folder = QgsSettings().value(FOLDER, folder)
        name = re.sub(r'[\\/:*?"<>|\s]+', "_", layer.name()).strip("_.") or "image"
        path, _ = QFileDialog.getSaveFileName(
            self._iface.mainWindow(),
            f"Make '{layer.name()}' permanent",
            os.path.join(folder, f"{name}.tif"),
            "GeoTIFF (*.tif *.tiff)",
        )
        if path:
            QgsSettings().setValue(FOLDER, os.path.dirname(path))
            self.start(layer, path if path.lower().endswith((".tif", ".tiff")) else f"{path}.tif")

    def start(self, layer: QgsMapLayer, path: str) -> None:
        """Write a layer's image in the background with *Save image*."""
        algorithm = QgsApplication.processingRegistry().createAlgorithmById("eoscale:saveimage")
        context, feedback = QgsProcessingContext(), _Feedback()
        context.setProject(QgsProject.instance())
        parameters = {"INPUT": layer.id(), "OUTPUT": path}
        ok, message = algorithm.checkParameterValues(parameters, context)
        if not ok:
            self._iface.messageBar().pushCritical("EOScale", message)
            return
        task = QgsProcessingAlgRunnerTask(algorithm, parameters, context, feedback)
        # the task keeps no reference to what it works with
        work = (algorithm, context, feedback)
        self._running.append(work)
        task.executed.connect(partial(self._written, layer.id(), path, work))
        QgsApplication.taskManager().addTask(task)

    def _written(
        self, layer_id: str, path: str, work: tuple[Any, ...], successful: bool, _: Any
    ) -> None:
        self._running.remove(work)
        *_, feedback = work
        bar, layer = self._iface.messageBar(), QgsProject.instance().mapLayer(layer_id)
        if not successful:
            if not feedback.isCanceled():
                unknown = f"'{path}' was not written. Look at QGIS's log messages."
                bar.pushCritical("EOScale", feedback.error or unknown)
            return
        if layer is not None:
            layer.setDataSource(path, layer.name(), "gdal")
            self._show_action()
        bar.pushSuccess("EOScale", f"Saved as '{path}'.")
