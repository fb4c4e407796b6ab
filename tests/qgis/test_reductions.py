"""Reductions from end to end: polygons in, layers and files out, numbers through models."""

from __future__ import annotations

import math

import numpy as np
import processing
import pytest
from osgeo import gdal
from qgis.core import (
    QgsClassificationQuantile,
    QgsFeature,
    QgsField,
    QgsGeometry,
    QgsGraduatedSymbolRenderer,
    QgsProcessing,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildDependency,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelOutput,
    QgsProcessingModelParameter,
    QgsProcessingOutputLayerDefinition,
    QgsProcessingOutputNumber,
    QgsProcessingParameterRasterLayer,
    QgsProcessingParameterVectorLayer,
    QgsProject,
    QgsVectorLayer,
    QgsWkbTypes,
)
from qgis.PyQt.QtGui import QTransform

from eoscale_engine.catalogue import declarations
from eoscale_qgis.fields import NUMBER
from eoscale_qgis.vector_styles import ByColumn
from tests.qgis.conftest import real_provider
from tests.qgis.helpers import read_pixels, write_image

TEMPORARY = QgsProcessing.TEMPORARY_OUTPUT
BOXES = ((2, 1, 5, 4), (4, 3, 9, 9), (50, 50, 60, 60))
"""Columns and rows of the corners of three zones: two overlap, one lies outside the image."""


@pytest.fixture(scope="module")
def real(qgis_app, qgis_processing):
    """The provider with its own engine, for the whole module."""
    with real_provider() as provider:
        yield provider


@pytest.fixture
def zones(qgis_app):
    """Boxes over the image, in a layer with a class each."""
    layer = QgsVectorLayer("Polygon?crs=EPSG:32631&field=class:integer", "boxes", "memory")
    for number, (left, top, right, bottom) in enumerate(BOXES):
        feature = QgsFeature(layer.fields())
        x, y = (
            (500000 + 10 * left, 500000 + 10 * right),
            (4600000 - 10 * top, 4600000 - 10 * bottom),
        )
        corners = ((x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1]), (x[0], y[0]))
        feature.setGeometry(
            QgsGeometry.fromWkt(f"POLYGON(({','.join(f'{a} {b}' for a, b in corners)}))")
        )
        feature.setAttributes([number % 2])
        layer.dataProvider().addFeature(feature)
    layer.updateExtents()
    QgsProject.instance().addMapLayer(layer)
    return layer


def run(name, **parameters):
    return processing.run(f"eoscale:{name}", parameters)


def in_box(pixels, number):
    left, top, right, bottom = BOXES[number]
    return pixels[..., top:bottom, left:right]


def features_of(made):
    layer = made if isinstance(made, QgsVectorLayer) else QgsVectorLayer(made, "made", "ogr")
    assert layer.isValid(), made
    return list(layer.getFeatures())


# ---- polygons


@pytest.mark.parametrize("ending", ["", "gpkg", "csv", "shp"])
def test_zonal_statistics_come_with_the_polygons(real, image, zones, tmp_path, ending):
    output = str(tmp_path / f"made.{ending}") if ending else TEMPORARY
    made = run("zonalstatistics", INPUT=image, POLYGONS=zones, OUTPUT=output)["OUTPUT"]
    features, pixels = features_of(made), read_pixels(image).astype(float)
    assert [int(feature["class"]) for feature in features] == [0, 1, 0]
    for number in (0, 1):
        found = in_box(pixels, number)
        assert float(features[number]["mean"]) == pytest.approx(found.mean())
        assert int(features[number]["count"]) == found.size
    assert int(features[2]["count"]) == 0
    assert not features[2]["mean"]
    if ending != "csv":
        for feature, zone in zip(features, zones.getFeatures()):
            assert feature.geometry().isGeosEqual(zone.geometry())  # a Shapefile turns the rings


def shapes_of(kind, *shapes, field="class"):
    """A layer of shapes in columns and rows of the image, numbered in a field from 0."""
    layer = QgsVectorLayer(f"{kind}?crs=EPSG:32631&field={field}:integer", "shapes", "memory")
    for number, text in enumerate(shapes):
        feature = QgsFeature(layer.fields())
        geometry = QgsGeometry.fromWkt(text)
        geometry.transform(QTransform(10, 0, 0, -10, 500000, 4600000))
        feature.setGeometry(geometry)
        feature.setAttributes([number])
        layer.dataProvider().addFeature(feature)
    layer.updateExtents()
    QgsProject.instance().addMapLayer(layer)
    return layer


def test_small_polygons_weigh_as_in_qgis_s_own(real, image):
    layer = shapes_of(
        "Polygon",
        "POLYGON((2.1 3.1,2.4 3.2,2.3 3.9,2.1 3.1))",
        "POLYGON((5.6 4.6,6.4 4.7,6.3 5.4,5.7 5.3,5.6 4.6))",
        "POLYGON((0.9 7.1,9.2 7.2,9.2 7.3,0.9 7.2,0.9 7.1))",
        "POLYGON((3 3,4 3,4 4,3 4,3 3))",
        "POLYGON((10.6 8.7,14 8.7,14 9.4,10.6 9.4,10.6 8.7))",  # beyond the image
    )
    made = run("zonalstatistics", INPUT=image, POLYGONS=layer, WEIGHTED=True, OUTPUT=TEMPORARY)
    theirs = processing.run(
        "native:zonalstatisticsfb",
        {
            "INPUT": layer, "INPUT_RASTER": image, "RASTER_BAND": 1, "COLUMN_PREFIX": "_",
            "STATISTICS": [0, 1, 2, 5, 6], "OUTPUT": TEMPORARY,
        },
    )  # fmt: skip
    for ours, other in zip(features_of(made["OUTPUT"]), features_of(theirs["OUTPUT"])):
        for name, its in (("count", "count"), ("sum", "sum"), ("mean", "mean"),
                          ("minimum", "min"), ("maximum", "max")):  # fmt: skip
            assert ours[name] == pytest.approx(other[f"_{its}"], rel=1e-9), (ours["class"], name)


def test_points_are_zones(real, image):
    points = shapes_of("MultiPoint", "MULTIPOINT(2.5 3.5)", "MULTIPOINT(0.1 0.9,11.9 9.1,0.2 0.8)")
    made = run("zonalstatistics", INPUT=image, POLYGONS=points, OUTPUT=TEMPORARY)["OUTPUT"]
    pixels = read_pixels(image)
    assert made.wkbType() == QgsWkbTypes.Type.MultiPoint
    found = [(feature["count"], feature["sum"]) for feature in features_of(made)]
    assert found == [(1, pixels[3, 2]), (2, pixels[0, 0] + pixels[9, 11])]


def test_points_of_sample_pixels_are_a_reference(real, image, tmp_path):
    classes = integers(image)
    points = run("samplepixels", INPUTS=[classes], STRATA=classes, COUNT=1, OUTPUT=TEMPORARY)
    found = run(
        "confusionmatrix", INPUT=classes, POLYGONS=points["OUTPUT"], FIELD="stratum",
        OUTPUT=TEMPORARY,
    )  # fmt: skip
    assert found["COMPARED"] == points["POINTS"] > 5
    assert found["OVERALL_ACCURACY"] == 1


def test_the_selected_zones_alone(real, image, zones):
    zones.selectByIds([2])
    chosen = QgsProcessingFeatureSourceDefinition(zones.id(), True)
    (feature,) = features_of(
        run("zonalstatistics", INPUT=image, POLYGONS=chosen, OUTPUT=TEMPORARY)["OUTPUT"]
    )
    assert feature["mean"] == pytest.approx(in_box(read_pixels(image), 1).mean())


def test_zones_of_an_image_are_a_table(real, image):
    made = run("zonalstatistics", INPUT=image, ZONES=integers(image), OUTPUT=TEMPORARY)["OUTPUT"]
    assert made.wkbType() == QgsWkbTypes.Type.NoGeometry
    assert len(features_of(made)) == 120
    assert made.fields().names()[0] == "zone"


def integers(image):
    """The image's pixels as integers, beside it."""
    path = image.replace(".tif", "-integers.tif")
    gdal.Translate(path, image, outputType=gdal.GDT_Int32)
    return path


def test_statistics_inside_polygons(real, image, zones, tmp_path):
    found = run("rasterstatistics", INPUT=image, POLYGONS=zones, EXTENT=None)
    pixels = read_pixels(image)
    inside = np.zeros(pixels.shape, bool)
    for number in (0, 1):
        in_box(inside, number)[...] = True
    assert found["VALID"] == inside.sum()
    assert found["MEAN"] == pytest.approx(pixels[inside].mean(dtype=float))
    assert found["MEDIAN"] == np.median(pixels[inside])


def test_classes_of_labelled_polygons(real, image, zones, tmp_path):
    path = str(tmp_path / "classes.tif")
    gdal.Translate(path, write_image(tmp_path / "other.tif"), outputType=gdal.GDT_Byte)
    file = gdal.Open(path, gdal.GA_Update)
    file.WriteArray(np.ones((10, 12), "uint8"))
    file = None
    zones.selectByIds([2])
    chosen = QgsProcessingFeatureSourceDefinition(zones.id(), True)
    page = tmp_path / "report.html"
    values = {"INPUT": path, "POLYGONS": chosen, "FIELD": "class", "OUTPUT_HTML": str(page)}
    found = run("confusionmatrix", **values, OUTPUT=str(tmp_path / "matrix.csv"))
    assert 1.0 in found.values()  # every pixel is right
    assert "boxes" in page.read_text(encoding="utf-8")
    with pytest.raises(QgsProcessingException, match="but not both"):
        run("confusionmatrix", **values, REFERENCE=path)
    with pytest.raises(QgsProcessingException, match="give one of them"):
        run("confusionmatrix", INPUT=path)


def test_samples_are_points_on_their_pixels(real, image):
    made = run("samplepixels", INPUTS=[image], COUNT=30, OUTPUT=TEMPORARY)["OUTPUT"]
    assert made.crs().authid() == "EPSG:32631"
    features = features_of(made)
    assert len(features) == 30
    pixels, names = read_pixels(image), made.fields().names()
    values = [name for name in names if name.lower().startswith(("b", "i"))][-1]
    for feature in features:
        point = feature.geometry().asPoint()
        assert (point.x(), point.y()) == (feature["x"], feature["y"])
        place = int((4600000 - point.y()) / 10), int((point.x() - 500000) / 10)
        assert feature[values] == pixels[place]


@pytest.mark.parametrize(
    ("name", "label", "column", "values"),
    [
        ("zonalstatistics", "Zonal statistics", "mean_2", 2),
        ("samplepixels", "Sample pixels", "stratum", 120),
    ],
)
def test_a_layer_to_open_is_named_and_coloured(
    real, image, zones, context, feedback, name, label, column, values
):
    zones.dataProvider().addAttributes([QgsField("mean", NUMBER)])
    zones.updateFields()
    given = {"INPUT": image, "POLYGONS": zones}
    if name == "samplepixels":
        given = {"INPUTS": [image], "STRATA": integers(image), "COUNT": 1}
    opened = QgsProcessingOutputLayerDefinition(TEMPORARY, QgsProject.instance())
    made = processing.run(f"eoscale:{name}", {**given, "OUTPUT": opened}, context=context)
    ((identifier, details),) = context.layersToLoadOnCompletion().items()
    layer = made["OUTPUT"]
    assert (identifier, details.name) == (layer.id(), f"{label}: image")
    details.postProcessor().postProcessLayer(layer, context, feedback)
    renderer = layer.renderer()
    assert renderer.classAttribute() == column
    drawn = renderer.ranges() if column == "mean_2" else renderer.categories()
    assert len({item.symbol().color().name() for item in drawn}) >= min(values, 100)
    assert not real.stylings


def test_columns_that_show_nothing(zones):
    assert ByColumn.of("elsewhere", [1], numbers=False).renderer(zones) is None
    for values in ([], [math.inf]):
        assert ByColumn.of("class", values, numbers=True).renderer(zones) is None
    assert ByColumn.of("class", range(1000), numbers=False).renderer(zones) is None
    style = ByColumn.of("class", [1, 1], numbers=False)
    assert [item.value() for item in style.renderer(zones).categories()] == [1]
    table = QgsVectorLayer("None?field=class:integer", "table", "memory")
    assert style.renderer(table) is None


def test_classes_are_those_that_qgis_finds(zones):
    zones.dataProvider().addAttributes([QgsField("mean", NUMBER)])
    zones.updateFields()
    values = [0.5, 7.25, 1e6]
    place = zones.fields().lookupField("mean")
    for feature, value in zip(zones.getFeatures(), values):
        zones.dataProvider().changeAttributeValues({feature.id(): {place: value}})
    renderer = ByColumn.of("mean", [*values, math.inf], numbers=True).renderer(zones)
    theirs = QgsGraduatedSymbolRenderer("mean")
    theirs.setClassificationMethod(QgsClassificationQuantile())
    theirs.updateClasses(zones, 7)
    found, expected = (
        [(item.lowerValue(), item.upperValue(), item.label()) for item in made.ranges()]
        for made in (renderer, theirs)
    )
    assert found == expected
    assert len({item.symbol().color().name() for item in renderer.ranges()}) == len(found)


# ---- numbers in models


SOURCE = QgsProcessingModelChildParameterSource


def child(name, algorithm, **sources):
    made = QgsProcessingModelChildAlgorithm(f"eoscale:{algorithm}")
    made.setChildId(name)
    for parameter, source in sources.items():
        made.addParameterSources(parameter, [source])
    if any(item.expression() for item in sources.values()):
        # QGIS does not see in an expression which step comes first
        made.setDependencies([QgsProcessingModelChildDependency("stats")])
    return made


def run_model(image, *children, zones=None):
    """The path of the image that the last child makes."""
    model = QgsProcessingModelAlgorithm("numbers", "tests")
    inputs = {"INPUT": QgsProcessingParameterRasterLayer("INPUT")}
    if zones is not None:
        inputs["ZONES"] = QgsProcessingParameterVectorLayer("ZONES")
    for name, definition in inputs.items():
        model.addModelParameter(definition, QgsProcessingModelParameter(name))
    output = QgsProcessingModelOutput("final", "final")
    output.setChildId(children[-1].childId())
    output.setChildOutputName("OUTPUT")
    children[-1].setModelOutputs({"final": output})
    for item in children:
        model.addChildAlgorithm(item)
    model.updateDestinationParameters()
    model.initAlgorithm()
    (name,) = (definition.name() for definition in model.destinationParameterDefinitions())
    values = {"INPUT": image, name: TEMPORARY}
    if zones is not None:
        values["ZONES"] = zones
    return processing.run(model, values)[name]


INPUT = SOURCE.fromModelParameter("INPUT")


def test_a_number_is_part_of_the_next_expression(real, image):
    made = run_model(
        image,
        child("stats", "rasterstatistics", INPUT=INPUT),
        child(
            "above", "bandmath", INPUTS=INPUT,
            EXPRESSIONS=SOURCE.fromExpression("'im1b1 - ' || @stats_MEAN"),
        ),
    )  # fmt: skip
    pixels = read_pixels(image)
    np.testing.assert_array_equal(read_pixels(made), pixels - pixels.mean(dtype=float))


@pytest.mark.parametrize("name", ["OUTPUT", "OUTPUT_TABLE", "OUTPUT_JSON"])
def test_a_model_makes_what_it_declares(real, name):
    """Even where the algorithm by itself skips it unless asked."""
    model = QgsProcessingModelAlgorithm("otsu", "tests")
    model.addModelParameter(
        QgsProcessingParameterRasterLayer("INPUT"), QgsProcessingModelParameter("INPUT")
    )
    output = QgsProcessingModelOutput("final", "final")
    output.setChildId("otsu")
    output.setChildOutputName(name)
    step = child("otsu", "otsu", INPUT=INPUT)
    step.setModelOutputs({"final": output})
    model.addChildAlgorithm(step)
    model.updateDestinationParameters()
    model.initAlgorithm()
    for made in (model, model.create()):
        (definition,) = made.destinationParameterDefinitions()
        assert definition.createByDefault()
    alone = real.algorithm("otsu").parameterDefinition(name)
    assert alone.createByDefault() == (name == "OUTPUT_TABLE")


def test_a_number_is_the_next_parameter(real, image):
    made = run_model(
        image,
        child("stats", "percentiles", INPUT=INPUT, PERCENTILES=SOURCE.fromStaticValue("10, 90")),
        child(
            "stretch", "stretch", INPUT=INPUT, METHOD=SOURCE.fromStaticValue("values"),
            LOWER=SOURCE.fromChildOutput("stats", "LOWEST"),
            UPPER=SOURCE.fromChildOutput("stats", "HIGHEST"),
        ),
    )  # fmt: skip
    low, high = np.percentile(read_pixels(image).astype(float), (10, 90)).tolist()
    expected = run(
        "stretch", INPUT=image, METHOD="values", LOWER=low, UPPER=high, OUTPUT=TEMPORARY
    )["OUTPUT"]
    np.testing.assert_array_equal(read_pixels(made), read_pixels(expected))
    default = run("stretch", INPUT=image, OUTPUT=TEMPORARY)["OUTPUT"]
    assert (read_pixels(made) != read_pixels(default)).any()


def test_polygons_and_their_numbers_in_a_model(real, image, zones):
    made = run_model(
        image,
        child(
            "stats", "rasterstatistics", INPUT=INPUT,
            POLYGONS=SOURCE.fromModelParameter("ZONES"),
        ),
        child(
            "above", "bandmath", INPUTS=INPUT,
            EXPRESSIONS=SOURCE.fromExpression("'im1b1 * 0 + ' || @stats_VALID"),
        ),
        zones=zones,
    )  # fmt: skip
    assert (read_pixels(made) == 9 + 30 - 1).all()


def test_every_number_can_be_used(real, image):
    """Each is declared as a number output, and what a run gives is one that QGIS can hold."""
    for name, kind in declarations().items():
        for number, label in kind.numbers:
            output = real.algorithm(name).outputDefinition(number.upper())
            assert isinstance(output, QgsProcessingOutputNumber), (name, number)
            assert output.description() == label


def test_a_sum_beyond_integers_is_a_float(real, tmp_path):
    path = str(tmp_path / "large.tif")
    file = gdal.GetDriverByName("GTiff").Create(path, 4, 4, 1, gdal.GDT_Float64)
    file.WriteArray(np.full((4, 4), 1e30))
    file = None
    found = run("rasterstatistics", INPUT=path)
    assert found["SUM"] == pytest.approx(1.6e31)
    assert math.isfinite(found["MEAN"])
