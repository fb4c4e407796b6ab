"""Every algorithm with what its dialog holds at first: the result is not the input again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import processing
import pytest
from osgeo import gdal
from qgis.core import (
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterNumber,
)
from qgis.gui import QgsGui, QgsProcessingGui, QgsProcessingParameterWidgetContext

from eoscale_engine.catalogue import declarations
from eoscale_qgis.algorithms.recipe import recipe_of
from tests.qgis.conftest import real_provider
from tests.qgis.scenes import inputs_of, sample_scene, with_companions

DATA = Path(__file__).parents[3] / "shared" / "data"
SIZE = (90, 70)
CROPS = {
    "landsat8": {
        "optical": ("landsat8_greenland.tif", (500, 500)),
        "elevation": ("aster_dem_patagonia.tif", (300, 300)),
    },
    "landsat7": {
        "optical": ("landsat7_everest_rgb.tif", (400, 300)),
        "elevation": ("urban_dsm.tif", (200, 200)),
    },
}
"""Where the crops of the real images begin."""

ASKING = (
    "bandmath", "inverseprincipalcomponents", "pipeline", "pythonfilter", "pythonreduction",
    "reclassify",
)  # fmt: skip
"""What needs something that only the user knows, and says so."""

WITHOUT_BANDS = {("landsat7", "spectralindex"): "Near infrared band"}
"""What an image lacks for the default, and the error says."""

NOTHING_TO_DO = {("landsat7", "fillnodata"), ("landsat7", "validitymask")}
"""An image without an invalid pixel."""


def dialog_value(definition):
    """What a parameter's widget holds when the dialog opens."""
    registry = QgsGui.processingGuiRegistry()
    wrapper = registry.createParameterWidgetWrapper(
        definition, QgsProcessingGui.WidgetType.Standard
    )
    wrapper.setWidgetContext(QgsProcessingParameterWidgetContext())
    widget = wrapper.createWrappedWidget(QgsProcessingContext())
    value = wrapper.parameterValue()
    widget.deleteLater()
    return value


@pytest.fixture(scope="module")
def algorithms(qgis_app, qgis_processing):
    with real_provider() as provider:
        yield {algorithm.name(): algorithm for algorithm in provider.algorithms()}


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    found = {"sample": sample_scene(tmp_path_factory.mktemp("sample"))}
    for name, crops in CROPS.items():
        if not DATA.is_dir():
            continue
        folder = tmp_path_factory.mktemp(name)
        paths = {"sar": found["sample"]["sar"]}
        for kind, (file, place) in crops.items():
            paths[kind] = str(folder / f"{kind}.tif")
            gdal.Translate(paths[kind], str(DATA / file), srcWin=[*place, *SIZE])
        found[name] = with_companions(paths, folder)
    return found


def test_a_mandatory_number_begins_with_a_default(algorithms):
    """Without one the dialog begins with the smallest number that is allowed."""
    optional = QgsProcessingParameterDefinition.Flag.FlagOptional
    for algorithm in algorithms.values():
        for definition in algorithm.parameterDefinitions():
            number = isinstance(definition, QgsProcessingParameterNumber)
            if number and not definition.flags() & optional:
                name = f"{algorithm.name()} {definition.name()}"
                assert dialog_value(definition) == definition.defaultValue(), name


@pytest.mark.parametrize(
    "name", [name for name in declarations() if name not in ("copy", "samplescene")]
)
@pytest.mark.parametrize("scene", ["sample", *CROPS])
def test_the_defaults_of_the_dialog_do_something(algorithms, scenes, tmp_path, scene, name):
    if scene not in scenes:
        pytest.skip("../shared/data is not there")
    kind, algorithm = declarations()[name], algorithms[name]
    recipe = recipe_of(kind)
    fields = {item.name.upper() for item in recipe.parameters}
    definitions = [d for d in algorithm.parameterDefinitions() if d.name() in fields]
    parameters = {definition.name(): dialog_value(definition) for definition in definitions}
    parameters |= inputs_of(kind, scenes[scene], kind.one_of[1:])
    for output in recipe.outputs:
        parameters[output.name] = str(tmp_path / f"{output.name}.tif")
    lacking = WITHOUT_BANDS.get((scene, name))
    if lacking or name in ASKING:
        with pytest.raises(QgsProcessingException, match=lacking):
            processing.run(algorithm.id(), parameters)
        return
    made = processing.run(algorithm.id(), parameters)
    given = parameters[kind.inputs[0].role]
    before = gdal.Open(given[0] if isinstance(given, list) else given)
    for output in recipe.outputs:
        image = gdal.Open(made[output.name])
        pixels = image.ReadAsArray()
        seen = [
            image.GetRasterBand(number).GetMaskBand().ReadAsArray() != 0
            for number in range(1, image.RasterCount + 1)
        ]
        valid = pixels.reshape(len(seen), *pixels.shape[-2:])[np.array(seen)]
        assert valid.size, output.name
        if (scene, name) not in NOTHING_TO_DO:
            assert np.ptp(valid) > 0, output.name
            assert not np.array_equal(pixels, before.ReadAsArray()), output.name
