"""The plugin in QGIS: loading, the options page, settings, and a dialog as a user runs it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import types
from pathlib import Path

import pytest
from qgis.core import QgsApplication, QgsLayerTreeModel, QgsProject, QgsSettings
from qgis.gui import QgsOptionsWidgetFactory
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QCoreApplication

import eoscale_qgis
from eoscale_qgis.about import metadata
from eoscale_qgis.settings import Settings
from tests.qgis.helpers import settle


def test_settings_come_back(qgis_app):
    assert Settings.read() == Settings()
    changed = Settings(3, 2048, 512, "/usr/bin/python3", keep_in_memory=False)
    changed.write()
    assert Settings.read() == changed
    options = changed.engine_options()
    assert (options.workers, options.memory_mb, options.tile_size) == (3, 2048, 512)


def test_a_setting_that_cannot_be_read(qgis_app):
    QgsSettings().setValue("eoscale/workers", "many")
    assert Settings.read().workers == 0


def test_metadata_is_found():
    assert metadata("hasProcessingProvider") == "yes"
    assert metadata("qgisMinimumVersion") == "3.22"
    assert metadata("no such key") == ""


class Iface:
    """What the plugin asks of QGIS's window."""

    def __init__(self):
        self.factories = []

    def registerOptionsWidgetFactory(self, factory):
        self.factories.append(factory)

    def unregisterOptionsWidgetFactory(self, factory):
        self.factories.remove(factory)


def test_loading_and_unloading(qgis_app, qgis_processing):
    iface, registry = Iface(), QgsApplication.processingRegistry()
    for _ in range(2):
        plugin = eoscale_qgis.classFactory(iface)
        plugin.initGui()
        assert registry.algorithmById("eoscale:focalstatistics") is not None
        assert isinstance(iface.factories[0], QgsOptionsWidgetFactory)
        plugin.unload()
        assert registry.providerById("eoscale") is None
        assert not iface.factories


def test_headless_never_touches_the_window(qgis_app, qgis_processing):
    plugin = eoscale_qgis.classFactory(None)
    plugin.initProcessing()
    assert QgsApplication.processingRegistry().providerById("eoscale") is not None
    plugin.unload()


def test_unloading_leaves_nothing_in_memory(qgis_app, qgis_processing):
    plugin = eoscale_qgis.classFactory(None)
    plugin.initProcessing()
    folder = plugin.provider.session.acquire().folder
    assert os.path.isdir(folder)
    plugin.unload()
    assert not os.path.exists(folder)


def test_an_upgraded_plugin_imports_its_own_engine(qgis_app, qgis_processing, monkeypatch):
    inside = types.ModuleType("eoscale_engine.inside")
    inside.__file__ = str(Path(eoscale_qgis.__file__).parent / "eoscale_engine" / "inside.py")
    monkeypatch.setitem(sys.modules, "eoscale_engine.inside", inside)
    plugin = eoscale_qgis.classFactory(None)
    plugin.initProcessing()
    plugin.unload()
    assert "eoscale_engine.inside" not in sys.modules
    assert "eoscale_engine.errors" in sys.modules


def test_the_package_itself_imports_next_to_nothing():
    code = "import sys, eoscale_qgis; print(*[n for n in sys.modules if n[:7] == 'eoscale'])"
    root = Path(eoscale_qgis.__file__).resolve().parents[1]
    found = subprocess.run(
        [sys.executable, "-c", code],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert set(found.stdout.split()) == {"eoscale_qgis", "eoscale_engine"}


def test_options_page(qgis_app):
    from eoscale_qgis.gui.options import OptionsFactory

    page = OptionsFactory().createWidget()
    assert page.workers.text() == "One for each core"
    page.workers.setValue(2)
    page.keep.setChecked(False)
    page.interpreter.setFilePath(" /usr/bin/python3 ")
    page.apply()
    assert Settings.read() == Settings(
        workers=2, interpreter="/usr/bin/python3", keep_in_memory=False
    )
    assert OptionsFactory().createWidget().workers.value() == 2


@pytest.fixture
def dialog(provider, image, qgis_iface):
    """The dialog of the focal statistics."""
    from processing.gui.AlgorithmDialog import AlgorithmDialog
    from qgis.gui import QgsBrowserGuiModel, QgsLayerTreeView

    model = QgsBrowserGuiModel()
    qgis_iface.browserModel = lambda: model
    # QGIS 3.44 hands it to C++, which takes no mock.
    tree, view = QgsLayerTreeModel(QgsProject.instance().layerTreeRoot()), QgsLayerTreeView()
    view.setModel(tree)
    qgis_iface.layerTreeView = lambda: view
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("eoscale:focalstatistics")
    dialog = AlgorithmDialog(algorithm)
    yield dialog
    if not sip.isdeleted(dialog):
        dialog.close()
    settle()


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        QCoreApplication.processEvents()
        time.sleep(0.01)
    assert condition()


def test_a_dialog_from_its_form_to_the_layer_in_memory(dialog, provider, engines, image):
    dialog.setParameters({"INPUT": image, "RADIUS": 2})
    dialog.runAlgorithm()
    wait_for(lambda: QgsProject.instance().mapLayers())
    (layer,) = QgsProject.instance().mapLayers().values()
    assert layer.name() == "Focal statistics: image"
    assert layer.isTemporary()
    assert engines[0].jobs[0]["parameters"]["radius"] == 2
    path = layer.source()
    assert os.path.islink(path)
    dialog.close()
    settle()
    assert os.path.exists(path)
    QgsProject.instance().removeMapLayer(layer.id())
    settle()
    assert not os.path.lexists(path)


def test_a_dialog_that_is_cancelled(dialog, provider, engines, image):
    client = provider.session.acquire()
    provider.session.give_back(client)
    client.seconds = 30
    dialog.setParameters({"INPUT": image})
    began = time.monotonic()
    dialog.runAlgorithm()
    wait_for(lambda: client.jobs)
    dialog.feedback.cancel()
    wait_for(lambda: dialog.cancelButton().isHidden() or not dialog.cancelButton().isEnabled())
    assert time.monotonic() - began < 5
    assert not QgsProject.instance().mapLayers()
    assert len(provider.results) == 0
