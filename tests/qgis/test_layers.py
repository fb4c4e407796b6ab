"""QGIS layers as sources: GDAL's own, others that are rendered, and what a user changed on them."""

from __future__ import annotations

import pytest
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsRasterLayer,
    QgsRasterRange,
)

from eoscale_engine.errors import InputError
from eoscale_qgis.grids import grids_of, own_grid
from eoscale_qgis.layers import gdal_path, source_of
from tests.qgis.helpers import read_pixels, write_image


def source(layer, **options):
    grid = own_grid(layer)
    return source_of(layer, grid, grid, **options)


def test_a_plain_file(qgis_app, image):
    found = source(QgsRasterLayer(image, "plain"))
    assert found.as_job() == {"path": image, "bands": None, "label": "plain", "crs": None}


def test_a_crs_that_the_user_set(qgis_app, image):
    layer = QgsRasterLayer(image, "moved")
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32633"))
    assert "33N" in source(layer).crs
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32631"))
    assert source(layer).crs is None


def test_additional_nodata_is_for_display(qgis_app, image, feedback):
    layer = QgsRasterLayer(image, "shown")
    layer.dataProvider().setUserNoDataValue(1, [QgsRasterRange(0, 0)])
    source(layer, feedback=feedback)
    assert "'shown' has additional nodata" in feedback.warnings[0]


def test_a_subdataset(qgis_app, tmp_path):
    image = write_image(tmp_path / "sub.tif")
    uri = f"GTIFF_DIR:1:{image}"
    assert source(QgsRasterLayer(uri, "sub")).path == uri


def test_a_file_in_a_zip(qgis_app, tmp_path, image):
    import zipfile

    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(image, "image.tif")
    path = f"/vsizip/{tmp_path}/a.zip/image.tif"
    layer = QgsRasterLayer(path, "zipped")
    assert layer.isValid()
    assert source(layer).path == path


def test_options_for_opening_are_kept(qgis_app, tmp_path):
    image = write_image(tmp_path / "options.tif")
    gdal.Open(image, gdal.GA_Update).BuildOverviews("NEAREST", [2])
    layer = QgsRasterLayer(image + "|option:OVERVIEW_LEVEL=0", "overview")
    assert layer.isValid()
    assert layer.width() == 6
    path = gdal_path(layer.source())
    assert path.endswith(".vrt")
    assert read_pixels(path).shape == (5, 6)


def test_a_broken_layer(qgis_app):
    with pytest.raises(InputError, match="'broken' is not valid"):
        grids_of([QgsRasterLayer("/nowhere.tif", "broken")], None, None)
