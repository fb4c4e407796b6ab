"""Every algorithm that makes an image runs from Processing, and its result can be drawn."""

from __future__ import annotations

import numpy as np
import processing
import pytest
from osgeo import gdal, ogr, osr
from qgis.core import QgsRasterLayer

from eoscale_engine.catalogue import declarations
from eoscale_engine.context import EOContextManager
from eoscale_engine.filters.sample.sample_scene import SampleScene
from eoscale_qgis.algorithms.recipe import recipe_of, styles_of
from eoscale_qgis.styles import renderer_of
from scripts.samples import BY_ROLE, roles_of
from tests.qgis.conftest import real_provider

USER_CODE = ("pythonfilter", "pythonreduction")


def cases():
    """Each algorithm with all inputs; where some exclude each other, with each of them alone."""
    for name, kind in declarations().items():
        if name in ("copy", "samplescene", *USER_CODE):
            continue
        for chosen in kind.one_of or ("",):
            without = [role for role in kind.one_of if role != chosen]
            yield pytest.param(kind, without, id=f"{name}-{chosen}".rstrip("-"))


CASES = list(cases())


@pytest.fixture(scope="module")
def real_for_all(qgis_app, qgis_processing):
    with real_provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def samples(tmp_path_factory):
    folder = tmp_path_factory.mktemp("samples")
    paths = {name: str(folder / f"{name}.tif") for name in ("elevation", "optical", "sar")}
    with EOContextManager(inline=True) as context:
        keys = context.run(SampleScene(width=90, height=70, seed=15))
        for key, path in zip(keys, paths.values()):
            context.write(key, path)
    driver = gdal.GetDriverByName("GTiff")
    paths["after"], paths["classes"] = str(folder / "after.tif"), str(folder / "classes.tif")
    after = driver.CreateCopy(paths["after"], gdal.Open(paths["optical"]))
    pixels = after.ReadAsArray()
    pixels[:, 20:50, 30:60] = pixels[:, 20:50, 30:60] // 2 + 40
    after.WriteArray(pixels)
    codes = np.digitize(gdal.Open(paths["optical"]).ReadAsArray()[3], (500, 1500, 2500, 3500)) + 1
    classes = driver.Create(paths["classes"], 90, 70, 1, gdal.GDT_Byte)
    classes.SetGeoTransform(after.GetGeoTransform())
    classes.SetProjection(after.GetProjection())
    classes.WriteArray(codes.astype("uint8"))
    classes = after = None  # closes the files
    paths["smooth classes"] = paths["classes"]
    transform = gdal.Open(paths["optical"]).GetGeoTransform()
    paths["polygons"] = str(folder / "polygons.gpkg")
    source = ogr.GetDriverByName("GPKG").CreateDataSource(paths["polygons"])
    reference = osr.SpatialReference(gdal.Open(paths["optical"]).GetProjection())
    layer = source.CreateLayer("polygons", reference, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("class", ogr.OFTInteger))
    for number, (col, row) in enumerate([(5, 5), (30, 20), (60, 40)], 1):
        corners = [(col, row), (col + 25, row), (col + 25, row + 25), (col, row)]
        points = [gdal.ApplyGeoTransform(transform, x, y) for x, y in corners]
        feature = ogr.Feature(layer.GetLayerDefn())
        text = ",".join(f"{x} {y}" for x, y in points)
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON(({text}))"))
        feature["class"] = number
        layer.CreateFeature(feature)
    feature = layer = source = None
    return paths


def inputs_of(kind, samples, without):
    """Values for all inputs, save for these, and for the fields of polygons."""
    values = {}
    roles = roles_of(kind)
    for item in kind.inputs:
        if item.role in without:
            continue
        # what its picture does without is given too
        names = roles.get(item.role) or [BY_ROLE.get(item.role, "after")]
        files = [samples[name] for name in names]
        values[item.role] = files if item.many else files[0]
    for item in kind.parameters():
        if item.kind == "field" and item.role in values:
            values[item.name.upper()] = "class"
    return values


@pytest.mark.parametrize(("kind", "without"), CASES)
def test_it_runs_and_is_drawn(real_for_all, samples, tmp_path, kind, without):
    recipe = recipe_of(kind)
    algorithm = next(a for a in real_for_all.algorithms() if a.name() == kind.name)
    parameters = {name.upper(): value for name, value in kind.picture.items()}
    parameters |= inputs_of(kind, samples, without)
    for output in recipe.outputs:
        parameters[output.name] = str(tmp_path / f"{output.name}.tif")
    made = processing.run(algorithm.id(), parameters)
    styles = styles_of(recipe, dict(kind.picture))
    for output in recipe.outputs:
        layer = QgsRasterLayer(made[output.name], output.name)
        assert layer.isValid()
        assert (layer.width(), layer.height()) == (90, 70)
        image = gdal.Open(made[output.name])
        for number in range(1, image.RasterCount + 1):
            band = image.GetRasterBand(number)
            seen = band.GetMaskBand().ReadAsArray() != 0
            assert np.isfinite(band.ReadAsArray()[seen]).any()
        if output.name in styles:
            assert renderer_of(styles[output.name], layer) is not None
    for name, _ in recipe.numbers:
        assert name.upper() in made
        assert made[name.upper()] is None or isinstance(made[name.upper()], (int, float))
