"""The plugin in QGIS: loading, the options page, settings, and a dialog as a user runs it."""

from __future__ import annotations

import gc
import importlib
import os
import subprocess
import sys
import time
import types
from functools import partial
from pathlib import Path

import numpy as np
import processing
import pytest
from qgis.core import (
    QgsApplication,
    QgsLayerTreeModel,
    QgsProcessingContext,
    QgsProject,
    QgsRasterLayer,
    QgsSettings,
)
from qgis.gui import QgsGui, QgsOptionsWidgetFactory, QgsProcessingGui
from qgis.PyQt import sip
from qgis.PyQt.QtCore import QCoreApplication, QTimer

import eoscale_qgis
from eoscale_qgis import kept
from eoscale_qgis.about import metadata
from eoscale_qgis.settings import Settings
from tests.qgis.helpers import Iface, read_pixels, settle, wait_for


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


@pytest.fixture
def fresh_modules():
    """Forget the plugin's modules, as QGIS does; the test's own come back at the end."""

    def ours():
        names = ("eoscale_qgis", "eoscale_engine")
        return {name: sys.modules[name] for name in sys.modules if name.split(".")[0] in names}

    before = ours()

    def forget():
        for name in ours():
            del sys.modules[name]
        return importlib.import_module("eoscale_qgis")

    yield forget
    for name in ours():
        del sys.modules[name]
    sys.modules.update(before)


def result_of(image):
    path = processing.run(
        "eoscale:focalstatistics", {"INPUT": image, "OUTPUT": "TEMPORARY_OUTPUT"}
    )["OUTPUT"]
    layer = QgsRasterLayer(path, "result")
    QgsProject.instance().addMapLayer(layer)
    return path, layer


def test_results_outlive_a_plugin_of_which_all_modules_are_forgotten(
    qgis_app, qgis_processing, image, fresh_modules
):
    plugin = eoscale_qgis.classFactory(None)
    plugin.initProcessing()
    (first, first_layer), (second, second_layer) = (result_of(image) for _ in range(2))
    expected, folder = read_pixels(first), os.path.dirname(os.path.realpath(first))
    session = plugin.provider.session
    engine = session.acquire()
    session.give_back(engine)
    assert engine.pid
    plugin.unload()
    assert engine.pid == 0  # it ended; its images are there
    np.testing.assert_array_equal(read_pixels(first), expected)
    # nobody but the application holds them now, and they go with their layers
    del session, engine, plugin
    forgotten = fresh_modules()
    assert forgotten is not eoscale_qgis
    gc.collect()
    QgsProject.instance().removeMapLayer(first_layer.id())
    settle()
    assert not os.path.lexists(first)
    plugin = forgotten.classFactory(None)
    plugin.initProcessing()
    assert second in plugin.provider.results
    np.testing.assert_array_equal(read_pixels(second), expected)
    third, third_layer = result_of(second)
    assert os.path.dirname(os.path.realpath(third)) != folder
    for layer in (second_layer, third_layer):
        QgsProject.instance().removeMapLayer(layer.id())
    settle()
    assert not os.path.lexists(second)
    assert not os.path.exists(folder)
    plugin.unload()


def answer(label, seen):
    """Click a button of the question that the plugin asks when it is unloaded."""
    box = QgsApplication.activeModalWidget()
    seen.append(f"{box.text()} {box.informativeText()}")
    next(button for button in box.buttons() if button.text() == label).click()


def test_unloading_asks_where_results_are_in_memory(qgis_app, qgis_processing, image):
    plugin, seen = eoscale_qgis.classFactory(Iface()), []
    plugin.initGui()
    path, layer = result_of(image)
    QTimer.singleShot(0, partial(answer, "Keep results", seen))
    plugin.unload()
    assert seen[0].startswith("1 temporary result, 0 MB in memory; ")
    assert read_pixels(path) is not None and QgsProject.instance().mapLayer(layer.id())
    plugin = eoscale_qgis.classFactory(Iface())
    plugin.initGui()
    assert path in plugin.provider.results
    QTimer.singleShot(0, partial(answer, "Remove layers", seen))
    plugin.unload()
    assert len(seen) == 2
    assert not QgsProject.instance().mapLayers()
    assert not os.path.lexists(path)


def test_no_question_where_no_layer_shows_a_result(qgis_app, qgis_processing, image, tmp_path):
    """As when QGIS ends: it closes the project before it unloads plugins."""
    plugin = eoscale_qgis.classFactory(Iface())
    plugin.initGui()
    path, layer = result_of(image)
    assert QgsProject.instance().write(str(tmp_path / "project.qgs"))
    QgsProject.instance().removeMapLayer(layer.id())
    settle()
    plugin._asks = lambda *_: pytest.fail("asked")
    plugin.unload()
    assert read_pixels(path) is not None
    QCoreApplication.instance().property(kept.PLACE).close()


def test_what_was_left_goes_when_qgis_ends(qgis_app, qgis_processing, image):
    plugin = eoscale_qgis.classFactory(None)
    plugin.initProcessing()
    path, _ = result_of(image)
    folder = os.path.dirname(os.path.realpath(path))
    plugin.unload()
    assert os.path.exists(path)
    QCoreApplication.instance().property(kept.PLACE).close()
    assert not os.path.lexists(path) and not os.path.exists(folder)
    plugin.initProcessing()  # finds that nothing is left
    assert len(plugin.provider.results) == 0
    plugin.unload()


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


def test_options_page(provider):
    from eoscale_qgis.gui.options import OptionsFactory

    page = OptionsFactory(provider.results).createWidget()
    assert page.workers.text() == "One for each core"
    page.workers.setValue(2)
    page.keep.setChecked(False)
    page.interpreter.setFilePath(" /usr/bin/python3 ")
    page.apply()
    assert Settings.read() == Settings(
        workers=2, interpreter="/usr/bin/python3", keep_in_memory=False
    )
    assert OptionsFactory(provider.results).createWidget().workers.value() == 2


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


def test_optional_images_of_a_dialog_start_empty(provider, image, qgis_iface):
    """QGIS fills a mandatory layer with the active one, an optional one with none."""
    QgsProject.instance().addMapLayer(QgsRasterLayer(image, "image"))
    context = QgsProcessingContext()
    context.setProject(QgsProject.instance())
    kinds = QgsGui.processingGuiRegistry()
    for algorithm in provider.algorithms():
        for item in algorithm.parameterDefinitions():
            if item.type() == "raster" and item.flags() & item.Flag.FlagOptional:
                wrapper = kinds.createParameterWidgetWrapper(
                    item, QgsProcessingGui.WidgetType.Standard
                )
                widget = wrapper.createWrappedWidget(context)
                assert wrapper.parameterValue() is None, (algorithm.name(), item.name())
                widget.deleteLater()
