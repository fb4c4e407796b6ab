"""Every algorithm that makes an image runs from Processing, and its result can be drawn."""

from __future__ import annotations

import numpy as np
import processing
import pytest
from osgeo import gdal
from qgis.core import QgsRasterLayer

from eoscale_engine.catalogue import declarations
from eoscale_qgis.algorithms.recipe import recipe_of, styles_of
from eoscale_qgis.styles import renderer_of
from tests.qgis.conftest import real_provider
from tests.qgis.scenes import inputs_of, sample_scene

ASKING = ("pythonfilter", "pythonreduction", "pipeline")
"""What needs code or steps of the user's own."""


def cases():
    """Each algorithm with all inputs; where some exclude each other, with each of them alone."""
    for name, kind in declarations().items():
        if name in ("copy", "samplescene", *ASKING):
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
    return sample_scene(tmp_path_factory.mktemp("samples"))


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
