"""Results are drawn as their declaration says, unless the user said otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from osgeo import gdal
from qgis.core import (
    QgsMultiBandColorRenderer,
    QgsPalettedRasterRenderer,
    QgsProcessingContext,
    QgsProcessingFeedback,
    QgsRasterLayer,
    QgsSingleBandGrayRenderer,
    QgsSingleBandPseudoColorRenderer,
)

from eoscale_engine.styles import GREY, HEAT, Classes, Composite, Ramp
from eoscale_qgis import styles
from eoscale_qgis.styles import Styling, renderer_of
from tests.qgis.helpers import write_image


@pytest.fixture
def layer(tmp_path):
    return QgsRasterLayer(write_image(tmp_path / "image.tif", bands=3, size=(40, 50)), "image")


def classified(path, pixels):
    rows, cols = pixels.shape
    file = gdal.GetDriverByName("GTiff").Create(str(path), cols, rows, 1, gdal.GDT_UInt32)
    file.SetGeoTransform((0, 1, 0, 0, 0, -1))
    file.GetRasterBand(1).WriteArray(pixels)
    file = None
    return QgsRasterLayer(str(path), "classes")


def items_of(renderer):
    return renderer.shader().rasterShaderFunction().colorRampItemList()


def test_a_ramp_between_given_bounds(layer):
    renderer = renderer_of(Ramp(("#000000", "#ff0000", "#ffffff"), -1, 1), layer)
    assert isinstance(renderer, QgsSingleBandPseudoColorRenderer)
    assert [item.value for item in items_of(renderer)] == [-1, 0, 1]
    assert [item.color.name() for item in items_of(renderer)] == ["#000000", "#ff0000", "#ffffff"]
    assert (renderer.classificationMin(), renderer.classificationMax()) == (-1, 1)


def test_a_ramp_finds_its_bounds(layer):
    items = items_of(renderer_of(Ramp(("#000000", "#ffffff", "#ff0000")), layer))
    assert items[0].value == pytest.approx(0.02 * 2000, abs=10)
    assert items[-1].value == pytest.approx(0.98 * 2000, abs=10)
    items = items_of(renderer_of(Ramp(("#000000", "#ffffff", "#ff0000"), symmetric=True), layer))
    assert items[1].value == 0
    assert items[0].value == -items[-1].value


def test_a_ramp_of_one_value(tmp_path):
    flat = classified(tmp_path / "flat.tif", np.full((5, 6), 7))
    items = items_of(renderer_of(Ramp(("#000000", "#ff0000")), flat))
    assert [item.value for item in items] == [6.5, 7.5]


def test_grey_is_a_stretch(layer):
    renderer = renderer_of(Ramp(minimum=0, maximum=255), layer)
    assert isinstance(renderer, QgsSingleBandGrayRenderer)
    enhancement = renderer.contrastEnhancement()
    assert (enhancement.minimumValue(), enhancement.maximumValue()) == (0, 255)


def test_classes_with_names(layer):
    renderer = renderer_of(Classes(((1, "#ff0000", "forest"), (2, "#00ff00", "water"))), layer)
    assert isinstance(renderer, QgsPalettedRasterRenderer)
    assert [(c.value, c.color.name(), c.label) for c in renderer.classes()] == [
        (1, "#ff0000", "forest"), (2, "#00ff00", "water"),
    ]  # fmt: skip


def test_each_value_has_a_color_of_its_own(tmp_path):
    few = classified(tmp_path / "few.tif", np.arange(30).reshape(5, 6) % 7)
    classes = renderer_of(Classes(), few).classes()
    assert [c.value for c in classes] == list(range(7))
    assert len({c.color.name() for c in classes}) == 7
    many = classified(tmp_path / "many.tif", np.arange(3000).reshape(50, 60))
    renderer = renderer_of(Classes(), many)
    assert isinstance(renderer, QgsSingleBandPseudoColorRenderer)
    assert items_of(renderer)[-1].value == 2999


def test_a_composite(layer, tmp_path):
    renderer = renderer_of(Composite(3, 2, 1), layer)
    assert isinstance(renderer, QgsMultiBandColorRenderer)
    assert renderer.usesBands() == [3, 2, 1]
    assert renderer.redContrastEnhancement().minimumValue() > 200
    one = QgsRasterLayer(write_image(tmp_path / "one.tif"), "one")
    assert isinstance(renderer_of(Composite(), one), QgsSingleBandGrayRenderer)


def test_a_style_is_put_on_its_layer_once(layer):
    keeper = set()
    styling = Styling(Ramp(("#000000", "#ff0000"), 0, 1), "eoscale:slope", "OUTPUT", keeper)
    assert keeper == {styling}
    styling.postProcessLayer(layer, QgsProcessingContext(), QgsProcessingFeedback())
    assert isinstance(layer.renderer(), QgsSingleBandPseudoColorRenderer)
    assert not keeper


def test_the_users_own_style_stays(layer, monkeypatch):
    monkeypatch.setattr(styles, "_has_own_style", lambda *_: True)
    before = type(layer.renderer())
    styling = Styling(Ramp(("#000000", "#ff0000"), 0, 1), "eoscale:slope", "OUTPUT", set())
    styling.postProcessLayer(layer, QgsProcessingContext(), QgsProcessingFeedback())
    assert type(layer.renderer()) is before


@pytest.mark.parametrize(
    "style", [Ramp(HEAT, 0, 9), Ramp(GREY, 0, 9), Classes(((5, "#ff0000", "five"),))]
)
def test_what_a_mask_hides_is_transparent(tmp_path, style):
    path = str(tmp_path / "masked.tif")
    file = gdal.GetDriverByName("GTiff").Create(path, 6, 4, 1)
    file.SetGeoTransform((0, 1, 0, 4, 0, -1))
    file.GetRasterBand(1).Fill(5)
    file.CreateMaskBand(gdal.GMF_PER_DATASET)
    shown = np.full((4, 6), 255, np.uint8)
    shown[:, :3] = 0
    file.GetRasterBand(1).GetMaskBand().WriteArray(shown)
    file = None
    layer = QgsRasterLayer(path, "masked")
    layer.setRenderer(renderer_of(style, layer))
    block = layer.renderer().block(1, layer.extent(), 6, 4)
    opaque = [[block.color(row, col) >> 24 == 255 for col in range(6)] for row in range(4)]
    assert opaque == (shown != 0).tolist()
