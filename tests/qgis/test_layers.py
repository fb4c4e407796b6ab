"""QGIS layers as sources: GDAL's own, others that are rendered, and what a user changed on them."""

from __future__ import annotations

import os

import numpy as np
import processing
import pytest
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelParameter,
    QgsProcessingParameterRasterLayer,
    QgsProject,
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


def test_nodata_that_is_unticked_or_added(qgis_app, image, feedback):
    layer = QgsRasterLayer(image, "shown")
    provider = layer.dataProvider()
    assert "nodata" not in source(layer).as_job()
    provider.setUserNoDataValue(1, [QgsRasterRange(7, 7)])
    assert source(layer, feedback=feedback).as_job()["nodata"] == [(1, 7)]
    assert not feedback.warnings
    provider.setUserNoDataValue(1, [QgsRasterRange(0, 3)])
    assert "nodata" not in source(layer, feedback=feedback).as_job()
    assert "'shown' has additional nodata values" in feedback.warnings[0]


def with_nodata(path, cols=8):
    """A column of -9999 and one of 5, the rest 10, of an image whose values are scaled by 2."""
    made = gdal.GetDriverByName("GTiff").Create(str(path), cols, 4, 1, gdal.GDT_Int16)
    made.SetGeoTransform((500000, 10, 0, 4600000, 0, -10))
    made.SetProjection(QgsCoordinateReferenceSystem("EPSG:32631").toWkt())
    pixels = np.full((4, cols), 10)
    pixels[:, 0], pixels[:, 1] = -9999, 5
    made.GetRasterBand(1).WriteArray(pixels)
    made.GetRasterBand(1).SetNoDataValue(-9999)
    made.GetRasterBand(1).SetScale(2)
    made = None
    return str(path)


def statistics(layer, **parameters):
    """Minimum and count of the valid pixels, of ours and of QGIS's own tool."""
    ours = processing.run("eoscale:rasterstatistics", {"INPUT": layer, **parameters})
    native = processing.run("native:rasterlayerstatistics", {"INPUT": layer, "BAND": 1})
    return ours["MINIMUM"], native["MIN"], ours["VALID"]


@pytest.mark.parametrize(
    ("used", "added", "minimum", "valid"),
    [(True, (), 10, 28), (False, (), -19998, 32), (False, (10,), -19998, 28)],
)
def test_nodata_of_the_properties_counts_as_in_qgis(real, tmp_path, used, added, minimum, valid):
    layer = QgsRasterLayer(with_nodata(tmp_path / "n.tif"), "n")
    layer.dataProvider().setUseSourceNoDataValue(1, used)
    layer.dataProvider().setUserNoDataValue(1, [QgsRasterRange(v, v) for v in added])
    assert statistics(layer) == (minimum, minimum, valid)


def test_nodata_of_the_properties_in_a_model(real, tmp_path):
    layer = QgsRasterLayer(with_nodata(tmp_path / "n.tif"), "n")
    layer.dataProvider().setUseSourceNoDataValue(1, False)
    QgsProject.instance().addMapLayer(layer)
    model = QgsProcessingModelAlgorithm("model")
    model.addModelParameter(
        QgsProcessingParameterRasterLayer("IMAGE"), QgsProcessingModelParameter("IMAGE")
    )
    child = QgsProcessingModelChildAlgorithm("eoscale:rasterstatistics")
    child.setChildId("step")
    given = QgsProcessingModelChildParameterSource.fromModelParameter("IMAGE")
    child.addParameterSources("INPUT", [given])
    model.addChildAlgorithm(child)
    found = processing.run(model, {"IMAGE": layer.id()})
    assert found["CHILD_RESULTS"]["step"]["VALID"] == 32


def test_nodata_is_not_kept_for_the_next_run(real, tmp_path):
    layer = QgsRasterLayer(with_nodata(tmp_path / "n.tif"), "n")
    asked = {"INPUTS": [layer], "EXPRESSIONS": "im1b1 * 0 + 1", "OUTPUT": "TEMPORARY_OUTPUT"}
    for used, valid in ((True, 28), (False, 32), (True, 28)):
        layer.dataProvider().setUseSourceNoDataValue(1, used)
        ones = processing.run("eoscale:bandmath", asked)["OUTPUT"]
        assert (read_pixels(ones) == 1).sum() == valid


def test_nodata_of_the_properties_goes_through_alignment(real, tmp_path):
    first = QgsRasterLayer(with_nodata(tmp_path / "first.tif", cols=12), "first")
    layer = QgsRasterLayer(with_nodata(tmp_path / "n.tif"), "n")
    layer.dataProvider().setUseSourceNoDataValue(1, False)
    asked = {"INPUTS": [first, layer], "ALIGN": "nearest", "OUTPUT": "TEMPORARY_OUTPUT"}
    ones = processing.run("eoscale:bandmath", {**asked, "EXPRESSIONS": "im2b1 * 0 + 1"})["OUTPUT"]
    assert (read_pixels(ones) == 1).sum() == 32


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


def test_options_that_cannot_be_used(qgis_app, tmp_path, exceptions, capfd):
    image = write_image(tmp_path / "options.tif")
    said = r"cannot be opened with the options OVERVIEW_LEVEL=0: .*options.tif.*\."
    os.unlink(image)
    with pytest.raises(InputError, match=said):
        gdal_path(image + "|option:OVERVIEW_LEVEL=0")
    assert not capfd.readouterr().err


def test_options_are_kept_with_exceptions(qgis_app, tmp_path, exceptions):
    image = write_image(tmp_path / "options.tif")
    assert gdal_path(image + "|option:NUM_THREADS=1").endswith(".vrt")


def test_a_broken_layer(qgis_app):
    with pytest.raises(InputError, match="'broken' is not valid"):
        grids_of([QgsRasterLayer("/nowhere.tif", "broken")], None, None)
