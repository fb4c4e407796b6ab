"""Every algorithm that makes an image runs from Processing, and its result can be drawn."""

from __future__ import annotations

import numpy as np
import processing
import pytest
from osgeo import gdal
from qgis.core import QgsRasterLayer

from eoscale_engine.catalogue import declarations
from eoscale_engine.context import EOContextManager
from eoscale_engine.filters.sample.sample_scene import SampleScene
from eoscale_qgis.algorithms.recipe import recipe_of, styles_of
from eoscale_qgis.styles import renderer_of
from scripts.samples import roles_of
from tests.qgis.conftest import real_provider

USER_CODE = ("pythonfilter", "pythonreduction")
KINDS = [
    pytest.param(kind, id=name)
    for name, kind in declarations().items()
    if name not in ("copy", "samplescene", *USER_CODE)
]


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
    return paths


@pytest.mark.parametrize("kind", KINDS)
def test_it_runs_and_is_drawn(real_for_all, samples, tmp_path, kind):
    recipe = recipe_of(kind)
    algorithm = next(a for a in real_for_all.algorithms() if a.name() == kind.name)
    parameters = {name.upper(): value for name, value in kind.picture.items()}
    for role, names in roles_of(kind).items():
        files = [samples[name] for name in names]
        many = next(item.many for item in kind.inputs if item.role == role)
        parameters[role] = files if many else files[0]
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
