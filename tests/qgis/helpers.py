"""Small images, and what tests need of Qt and Processing."""

from __future__ import annotations

import time

import numpy as np
from osgeo import gdal, osr
from qgis.core import QgsLayerTreeModel, QgsProcessingFeedback, QgsProject
from qgis.gui import QgsLayerTreeView, QgsMessageBar
from qgis.PyQt.QtCore import QCoreApplication, QEvent


def write_image(path, bands=1, size=(12, 10), origin=(500000, 4600000), cell=10.0, epsg=32631):
    """A GeoTIFF whose pixels count up from 0 in each band, plus 100 for each band before."""
    cols, rows = size
    image = gdal.GetDriverByName("GTiff").Create(str(path), cols, rows, bands, gdal.GDT_Float32)
    image.SetGeoTransform((origin[0], cell, 0, origin[1], 0, -cell))
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(epsg)
    image.SetProjection(reference.ExportToWkt())
    for band in range(bands):
        pixels = np.arange(rows * cols, dtype="float32").reshape(rows, cols) + 100 * band
        image.GetRasterBand(band + 1).WriteArray(pixels)
    image = None
    return str(path)


def read_pixels(path):
    """The pixels of a file, as an array."""
    return gdal.Open(str(path)).ReadAsArray()


def settle():
    """Let Qt run what waits: timers of no delay, and objects that are to be deleted."""
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    QCoreApplication.processEvents()
    QCoreApplication.processEvents()


class Feedback(QgsProcessingFeedback):
    """Keeps what an algorithm says."""

    def __init__(self):
        super().__init__()
        self.infos, self.warnings = [], []

    def pushInfo(self, text):
        self.infos.append(text)

    def pushWarning(self, text):
        self.warnings.append(text)


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        QCoreApplication.processEvents()
        time.sleep(0.01)
    assert condition()


class Iface:
    """What the plugin asks of QGIS's window."""

    def __init__(self):
        self.factories, self.actions = [], []
        self._tree, self._bar = QgsLayerTreeView(), QgsMessageBar()
        model = QgsLayerTreeModel(QgsProject.instance().layerTreeRoot(), self._tree)
        self._tree.setModel(model)

    def layerTreeView(self):
        return self._tree

    def addCustomActionForLayerType(self, action, menu, kind, all_layers):
        self.actions.append(action)

    def removeCustomActionForLayerType(self, action):
        self.actions.remove(action)

    def messageBar(self):
        return self._bar

    def mainWindow(self):
        return None

    def registerOptionsWidgetFactory(self, factory):
        self.factories.append(factory)

    def unregisterOptionsWidgetFactory(self, factory):
        self.factories.remove(factory)
