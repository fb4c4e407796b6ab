"""*Make permanent*: the same layer, style and name on a file, from the menu and from the sign."""

from __future__ import annotations

import os

import numpy as np
import processing
import pytest
from qgis.core import (
    QgsApplication,
    QgsProject,
    QgsRasterLayer,
    QgsSingleBandPseudoColorRenderer,
)
from qgis.gui import QgsLayerTreeViewIndicator
from qgis.PyQt.QtWidgets import QFileDialog

from eoscale_qgis.gui.permanent import MakePermanent
from tests.qgis.helpers import Iface, read_pixels, settle, wait_for, write_image


@pytest.fixture
def window(real):
    iface = Iface()
    permanent = MakePermanent(iface, real.results)
    yield permanent, iface
    permanent.unload()


@pytest.fixture
def layer(real, image):
    path = processing.run("eoscale:slope", {"INPUT": image, "OUTPUT": "TEMPORARY_OUTPUT"})["OUTPUT"]
    layer = QgsRasterLayer(path, "Slope: 30 m / north")
    QgsProject.instance().addMapLayer(layer)
    layer.setRenderer(QgsSingleBandPseudoColorRenderer(layer.dataProvider(), 1))
    layer.renderer().setClassificationMax(77)
    layer.setOpacity(0.5)
    settle()
    return layer


def test_the_same_layer_on_a_file(window, layer, real, tmp_path):
    (permanent, iface), temporary = window, layer.source()
    expected, target = read_pixels(temporary), str(tmp_path / "slope.tif")
    permanent.start(layer, target)
    wait_for(lambda: layer.source() == target)
    settle()
    assert layer.isValid()
    assert layer.name() == "Slope: 30 m / north"
    assert layer.renderer().classificationMax() == 77 and layer.opacity() == 0.5
    np.testing.assert_array_equal(read_pixels(target), expected)
    assert "Saved as" in iface.messageBar().currentItem().text()
    assert not os.path.lexists(temporary) and len(real.results) == 0


def test_twice_to_the_same_file(window, layer, tmp_path):
    permanent, iface = window
    expected, target = read_pixels(layer.source()), str(tmp_path / "slope.tif")
    for _ in range(2):
        permanent.start(layer, target)
    manager = QgsApplication.taskManager()
    wait_for(lambda: manager.countActiveTasks() == 0)
    settle()
    assert layer.source() == target and permanent._running == []
    np.testing.assert_array_equal(read_pixels(target), expected)


def test_unloading_waits_for_what_is_being_written(real, layer, tmp_path):
    iface, target, expected = Iface(), str(tmp_path / "slope.tif"), read_pixels(layer.source())
    permanent = MakePermanent(iface, real.results)
    permanent.start(layer, target)
    permanent.unload()
    assert layer.source() == target and layer.isValid()
    np.testing.assert_array_equal(read_pixels(target), expected)
    assert "Saved as" in iface.messageBar().currentItem().text()


def test_nothing_is_left_of_an_unloaded_window(real, layer):
    iface = Iface()
    permanent = MakePermanent(iface, real.results)
    view = iface.layerTreeView()
    sign = QgsLayerTreeViewIndicator(view)
    sign.setIcon(QgsApplication.getThemeIcon("/mIndicatorMemory.svg"))
    view.addIndicator(QgsProject.instance().layerTreeRoot().findLayer(layer), sign)
    permanent.unload()
    settle()  # what was to be done a moment later
    assert sign.receivers(sign.clicked) == 0


def test_what_cannot_be_written_is_said(window, layer, tmp_path):
    (permanent, iface), temporary = window, layer.source()
    permanent.start(layer, str(tmp_path / "none" / "slope.tif"))
    assert "is not there" in iface.messageBar().currentItem().text()
    assert layer.source() == temporary and read_pixels(temporary) is not None


def test_the_menu_and_the_sign(window, layer, image, tmp_path, monkeypatch):
    permanent, iface = window
    view, target = iface.layerTreeView(), str(tmp_path / "chosen")
    asked = []
    monkeypatch.setattr(
        QFileDialog, "getSaveFileName", lambda *given: asked.append(given[2]) or (target, "")
    )
    monkeypatch.setattr(permanent, "start", lambda layer, path: asked.append(path))
    node = QgsProject.instance().layerTreeRoot().findLayer(layer)
    other, sign = QgsLayerTreeViewIndicator(view), QgsLayerTreeViewIndicator(view)
    sign.setIcon(QgsApplication.getThemeIcon("/mIndicatorMemory.svg"))
    for indicator in (other, sign):
        view.addIndicator(node, indicator)
    file = QgsRasterLayer(write_image(tmp_path / "file.tif"), "file")
    QgsProject.instance().addMapLayer(file)
    settle()
    index = view.node2index(node)
    other.clicked.emit(index)
    assert asked == []
    sign.clicked.emit(index)
    assert os.path.basename(asked[0]) == "Slope_30_m_north.tif"
    assert asked[1] == f"{target}.tif"
    (action,) = iface.actions
    for current in (layer, file):
        view.setCurrentLayer(current)
        assert action.isVisible() is (current is layer)
        action.trigger()
    # where the last one went
    assert asked[2:] == [str(tmp_path / "Slope_30_m_north.tif"), f"{target}.tif"]
