"""What layers with results are called, and which parameter a wrong name meant."""

from __future__ import annotations

import processing
import pytest
from qgis.core import QgsProcessing, QgsProcessingOutputLayerDefinition, QgsProject, QgsRasterLayer

from eoscale_qgis.algorithms.names import LayerNames
from eoscale_qgis.algorithms.parameters import unknown_names
from tests.qgis.helpers import write_image

TEMPORARY = QgsProcessing.TEMPORARY_OUTPUT


@pytest.fixture
def scene(tmp_path):
    """A layer of the project."""
    layer = QgsRasterLayer(write_image(tmp_path / "a.tif", bands=4), "Kreis: Nord")
    QgsProject.instance().addMapLayer(layer)
    return layer


BANDS = {"SENSOR": "none", "RED": 1, "NIR": 2, "GREEN": 3}


def named(context, name, image, **parameters):
    """What a result is called when QGIS opens it."""
    destination = QgsProcessingOutputLayerDefinition(TEMPORARY, QgsProject.instance())
    asked = {"INPUT": image, "OUTPUT": destination, **parameters}
    found = processing.run(f"eoscale:{name}", asked, context=context)
    return context.layerToLoadOnCompletionDetails(found["OUTPUT"]).name


@pytest.mark.parametrize(("index", "title"), [("ndvi", "NDVI"), ("ndwi", "NDWI")])
def test_an_index_is_called_by_its_own_name(provider, context, scene, index, title):
    assert named(context, "spectralindex", scene, INDEX=index, **BANDS) == f"{title}: Kreis: Nord"


def test_a_chain_is_called_by_its_last_step_and_its_first_image(provider, context, scene):
    scene.setName(named(context, "spectralindex", scene, **BANDS))
    scene.setName(named(context, "gaussian", scene))
    assert named(context, "slope", scene) == "Slope: Kreis: Nord"


def test_titles_that_were_given_are_left_out():
    names = LayerNames(["Slope", "Gaussian blur"])
    assert names.name("NDVI", ["Kreis: Nord"]) == "NDVI: Kreis: Nord"
    assert names.name("Slope", ["Gaussian blur: NDVI: Kreis: Nord", "b"]) == "Slope: Kreis: Nord"
    assert names.name("Slope", ["Slope"]) == "Slope: Slope"
    assert names.name("Scene", []) == "Scene"


@pytest.mark.parametrize(
    ("algorithm", "wrong", "meant"),
    [
        ("rasterstatistics", "OUTPUT_TABLE", "OUTPUT"),
        ("rasterstatistics", "OUTPUT_JSN", "OUTPUT_JSON"),
        ("kmeans", "OUTPUT_TABEL", "OUTPUT_TABLE"),
        ("slope", "PIXEL_SPACNG", "PIXEL_SPACING"),
        ("histogram", "BIN", "BINS"),
        ("bilateral", "SIGMA", "SIGMA_RANGE"),
    ],
)
def test_a_wrong_name_is_compared_word_by_word(provider, algorithm, wrong, meant):
    (warning,) = unknown_names(provider.algorithm(algorithm), {wrong: 1})
    assert warning.endswith(f"has no effect. Did you mean {meant}?")
