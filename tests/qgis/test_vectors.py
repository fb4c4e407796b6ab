"""Polygons on their way to the engine, and tables on their way back to the map."""

from __future__ import annotations

import os
from dataclasses import dataclass

import processing
import pytest
from osgeo import ogr
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsFeature,
    QgsFeatureRequest,
    QgsGeometry,
    QgsProcessing,
    QgsProcessingException,
    QgsProcessingFeatureSourceDefinition,
    QgsProject,
    QgsVectorFileWriter,
    QgsVectorLayer,
    QgsWkbTypes,
)

from eoscale_engine.declaration import Output, Procedure, image, parameter, polygons
from eoscale_engine.errors import OutputError
from eoscale_qgis.algorithms.definition import definitions
from eoscale_qgis.algorithms.destinations import check_destinations
from eoscale_qgis.algorithms.engine_algorithm import EngineAlgorithm
from eoscale_qgis.algorithms.recipe import recipe_of
from eoscale_qgis.fields import free_name
from tests.qgis.fake_engine import FakeClient
from tests.qgis.helpers import Feedback, write_image

TEMPORARY = QgsProcessing.TEMPORARY_OUTPUT
SQUARE = "POLYGON((0 0,10 0,10 10,0 10,0 0))"
BOW_TIE = "POLYGON((0 0,10 10,10 0,0 10,0 0))"
CURVED = "CURVEPOLYGON(CIRCULARSTRING(0 0,1 1,2 0,1 -1,0 0))"
POINTS = "GEOMETRYCOLLECTION(POINT(1 1))"
MIXED = "GEOMETRYCOLLECTION(POINT(1 1),POLYGON((0 0,1 0,1 1,0 0)))"


@dataclass(frozen=True)
class Zones(Procedure):
    """Values of zones."""

    name = "testzones"
    label = "Test zones"
    group = "Statistics"
    tags = ("zones",)
    inputs = (polygons(optional=True), image(), image("MASK", optional=True, band_choice=False))
    numbers = (("ZONES", "Zones"),)
    table_geometry = "polygons"

    field: str = parameter("", kind="field", role="POLYGONS", help="A field")

    def run(self, images, engine):
        raise NotImplementedError


class OneField(Zones):
    """One image, polygons, and a field that must be given."""

    name = "testfield"
    inputs = (image(), polygons())
    table_geometry = "points"


@dataclass(frozen=True)
class Difference(Procedure):
    """Numbers, and an image if asked for."""

    name = "testdifference"
    label = "Test difference"
    group = "Statistics"
    outputs = (Output("OUTPUT", "Difference", optional=True),)
    reports = True

    def run(self, images, engine):
        raise NotImplementedError


def summary(columns, *rows):
    table = {"name": "Zones", "columns": columns, "rows": [list(row) for row in rows]}
    table["shown"] = ""
    return {"title": "Zones", "tables": [table], "numbers": {"ZONES": 2}, "charts": [], "notes": []}


@pytest.fixture
def own(provider):
    """The provider, with the algorithms of this module."""
    for kind in (Zones, OneField, Difference):
        provider.addAlgorithm(EngineAlgorithm(recipe_of(kind)))
    return provider


@pytest.fixture
def written(own, monkeypatch):
    """What the engine finds in the files of polygons; it answers with the zones' areas."""
    found = []

    def answer(_, job):
        rows = []
        for source in job["inputs"].get("POLYGONS", ()):
            file = ogr.Open(source["path"])
            layer = file.GetLayer(0)
            for feature in layer:
                geometry = feature.GetGeometryRef()
                key = feature.GetField(source["id_field"])
                rows.append((key, None if geometry is None else geometry.GetArea(), 1.5))
                found.append({"id": key, "wkt": geometry and geometry.ExportToIsoWkt()})
                found[-1].update({item.name: feature.GetField(item.name) for item in layer.schema})
            reference = layer.GetSpatialRef()
            found[-1]["crs"] = reference and reference.GetAuthorityCode(None)
        # not in the order of the features, and one zone is missing
        return summary(["zone", "AREA", "Mean"], *sorted(rows[1:], reverse=True))

    monkeypatch.setattr(FakeClient, "answer", answer)
    return found


FIELDS = "field=name:string(20)&field=area:double"


def layer_of(*shapes, fields=FIELDS, kind="Polygon", crs=32631):
    layer = QgsVectorLayer(f"{kind}?crs=EPSG:{crs}&{fields}", "my zones", "memory")
    for number, wkt in enumerate(shapes):
        feature = QgsFeature(layer.fields())
        feature.setGeometry(QgsGeometry.fromWkt(wkt))
        feature.setAttribute(0, f"zone {number}")
        assert layer.dataProvider().addFeature(feature)
    layer.updateExtents()
    QgsProject.instance().addMapLayer(layer)
    return layer


def run(image, polygons, output=TEMPORARY, **parameters):
    values = {"INPUT": image, "POLYGONS": polygons, "OUTPUT": output, **parameters}
    return processing.run("eoscale:testzones", values)


def refusal(image, polygons, **parameters):
    with pytest.raises(QgsProcessingException) as caught:
        run(image, polygons, **parameters)
    return str(caught.value)


def features_of(path):
    layer = path if isinstance(path, QgsVectorLayer) else QgsVectorLayer(path, "made", "ogr")
    assert layer.isValid(), path
    return layer, list(layer.getFeatures())


# ---- what is offered


def test_polygons_are_no_image():
    names = [item.name() for item in definitions(recipe_of(Zones))]
    assert names[:4] == ["POLYGONS", "INPUT", "BANDS", "MASK"]
    assert "ALIGN" in names
    alone = {item.name(): item for item in definitions(recipe_of(OneField))}
    assert "ALIGN" not in alone
    assert "POLYGONS_BANDS" not in alone
    source, field = alone["POLYGONS"], alone["FIELD"]
    kinds = QgsProcessing.SourceType
    assert source.dataTypes() == [kinds.TypeVectorPolygon, kinds.TypeVectorPoint]
    assert field.parentLayerParameterName() == "POLYGONS"
    assert alone["OUTPUT"].dataType() == QgsProcessing.SourceType.TypeVectorPoint


# ---- to the engine


def test_features_are_written_as_the_layer_has_them(own, written, engines, image):
    layer = layer_of(SQUARE, BOW_TIE, kind="MultiPolygon")
    layer.startEditing()
    added = QgsFeature(layer.fields())
    added.setGeometry(QgsGeometry.fromWkt("MultiPolygon(((0 0,5 0,5 5,0 0)))"))
    assert layer.addFeature(added)
    layer.addFeature(QgsFeature(layer.fields()))
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    run(image, layer, FIELD="name")
    ids = [feature.id() for feature in layer.getFeatures()]
    assert [row["id"] for row in written] == ids
    assert min(ids) < 0
    assert [row["wkt"] is None for row in written] == [
        False,
        True,
        False,
        False,
    ]  # added ones first
    assert [row["name"] for row in written] == [None, None, "zone 0", "zone 1"]
    assert written[-1]["crs"] == "3857"
    (source,) = engines[0].jobs[0]["inputs"]["POLYGONS"]
    assert (source["label"], source["id_field"]) == ("my zones", "zone")
    assert not os.path.exists(os.path.dirname(source["path"]))
    assert list(engines[0].jobs[0]["inputs"]) == ["INPUT", "POLYGONS"]
    layer.rollBack()


@pytest.mark.parametrize("ending", ["gpkg", "shp", "fgb", "geojson"])
def test_a_layer_s_own_file_is_read(own, engines, image, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(FakeClient, "answer", lambda *_: summary(["zone", "mean"], (1, 0.5)))
    path = str(tmp_path / f"zones.{ending}")
    options = QgsVectorFileWriter.SaveVectorOptions()
    options.driverName = QgsVectorFileWriter.driverForExtension(ending)
    transforms = QgsProject.instance().transformContext()
    QgsVectorFileWriter.writeAsVectorFormatV3(layer_of(*[SQUARE] * 3), path, transforms, options)

    def source(polygons, **parameters):
        run(image, polygons, **parameters)
        return engines[0].jobs[-1]["inputs"]["POLYGONS"][0]

    layer = QgsVectorLayer(path, "my zones", "ogr")
    assert layer.isValid()
    QgsProject.instance().addMapLayer(layer)
    read = {"path": path, "layer": "", "label": "my zones", "id_field": ""}
    assert source(layer) == read
    assert source(QgsProcessingFeatureSourceDefinition(layer.id(), False)) == read
    named = QgsVectorLayer(f"{path}|layername=zones", "my zones", "ogr")
    assert source(named) == {**read, "layer": "zones"}

    # whatever shows other features, or elsewhere, is not the file
    layer.selectByIds([2])
    assert source(QgsProcessingFeatureSourceDefinition(layer.id(), True))["id_field"] == "zone"
    assert source(QgsProcessingFeatureSourceDefinition(layer.id(), False, 2))["id_field"] == "zone"
    assert source(layer, FIELD="name")["id_field"] == "zone"
    if layer.startEditing():
        assert source(layer)["id_field"] == "zone"
        layer.rollBack()
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:3857"))
    assert source(layer)["id_field"] == "zone"
    assert named.setSubsetString("name <> 'zone 1'")
    assert source(named)["id_field"] == "zone"


def test_selected_features_alone(own, written, image):
    layer = layer_of(SQUARE, SQUARE, SQUARE)
    layer.selectByIds([3, 2])
    run(image, QgsProcessingFeatureSourceDefinition(layer.id(), True))
    assert sorted(row["id"] for row in written) == [2, 3]
    layer.removeSelection()
    chosen = QgsProcessingFeatureSourceDefinition(layer.id(), True)
    assert "my zones" in refusal(image, chosen)


@pytest.mark.parametrize("name", ["zone", "ZONE", "fid", "geom", "FID"])
def test_a_field_may_be_called_as_the_file_s_own(own, written, engines, image, name):
    layer = layer_of(SQUARE, SQUARE, fields=f"field={name}:string")
    run(image, layer, FIELD=name)
    assert [row[name] for row in written] == ["zone 0", "zone 1"]
    assert [row["id"] for row in written] == [1, 2]


@pytest.mark.parametrize(
    ("kind", "shapes"), [("CurvePolygon", [CURVED]), ("GeometryCollection", [POINTS, MIXED])]
)
def test_every_geometry_with_an_area_is_taken(own, written, image, kind, shapes):
    run(image, layer_of(*shapes, kind=kind))
    assert [row["wkt"].split()[0].upper() for row in written] == [kind.upper()] * len(shapes)


def test_layers_without_polygons_are_refused_by_name(own, image, tmp_path):
    assert "'my zones' has no polygons or points (POLYGONS)" in refusal(image, layer_of())
    lines = layer_of("LINESTRING(1 1,2 2)", kind="LineString")
    assert "'my zones' has no polygons or points (POLYGONS)" in refusal(image, lines)
    assert "Buffer" in refusal(image, lines)
    table = QgsVectorLayer("NoGeometry?field=a:integer", "a table", "memory")
    assert "a table" in refusal(image, table)
    assert "has no field 'no'. It has: name, area." in refusal(image, layer_of(SQUARE), FIELD="no")
    assert "POLYGONS" in refusal(image, str(tmp_path / "nowhere.gpkg"))


def test_polygons_that_nobody_gave(own, written, engines, image):
    run(image, None)
    assert list(engines[0].jobs[0]["inputs"]) == ["INPUT"]


def test_writing_can_be_cancelled(own, written, engines, image):
    class Impatient(Feedback):
        def setProgress(self, value):
            self.cancel()

    layer = layer_of(SQUARE, SQUARE)
    algorithm = own.algorithm("testzones").create()
    with pytest.raises(QgsProcessingException, match="Cancelled"):
        processing.run(algorithm, {"INPUT": image, "POLYGONS": layer}, feedback=Impatient())
    assert engines == []


def test_a_report_names_the_layer(own, written, image, tmp_path):
    page = tmp_path / "report.html"
    run(image, layer_of(SQUARE, SQUARE), OUTPUT_HTML=str(page))
    text = page.read_text(encoding="utf-8")
    assert "my zones" in text
    assert "2 features, EPSG:32631" in text


def test_a_table_may_not_take_the_place_of_its_polygons(own, image, tmp_path):
    path = str(tmp_path / "zones.gpkg")
    options = QgsVectorFileWriter.SaveVectorOptions()
    transforms = QgsProject.instance().transformContext()
    QgsVectorFileWriter.writeAsVectorFormatV3(layer_of(SQUARE), path, transforms, options)
    assert "one of the inputs" in refusal(image, path, output=path)
    assert "one of the inputs" in refusal(image, f"{path}|layername=zones", output=path)
    layer = QgsProcessingFeatureSourceDefinition(path, False)
    assert "one of the inputs" in refusal(image, layer, output=path)


# ---- back on the map


@pytest.mark.parametrize("ending", ["memory", "gpkg", "shp", "csv", "geojson"])
def test_values_come_to_the_polygons(own, written, image, tmp_path, ending):
    layer = layer_of(SQUARE, BOW_TIE, SQUARE, crs=3857)
    output = TEMPORARY if ending == "memory" else str(tmp_path / f"made.{ending}")
    made, features = features_of(run(image, layer, output)["OUTPUT"])
    names = [name for name in made.fields().names() if name != "fid"]
    assert names == ["name", "area", "AREA_2", "Mean"]
    assert [feature["name"] for feature in features] == ["zone 0", "zone 1", "zone 2"]
    values = [feature["Mean"] for feature in features]
    assert [str(value) for value in values[1:]] == ["1.5", "1.5"]
    assert not values[0]  # the engine gave no row for it
    assert float(features[2]["AREA_2"]) == 100
    if ending == "csv":
        return
    assert features[1].geometry().constGet().nCoordinates() == 5  # as it is, not repaired
    assert made.crs().authid() == "EPSG:3857"


def test_long_names_stay_apart_in_a_shapefile(own, image, tmp_path, monkeypatch):
    columns = ["zone", "mean_of_the_first", "mean_of_the_second", "mean_of_t"]
    rows = [(1, 1.0, 2.0, 3.0)]
    monkeypatch.setattr(FakeClient, "answer", lambda _, job: summary(columns, *rows))
    layer = layer_of(SQUARE, fields="field=mean_of_the_layer:string")
    made, (feature,) = features_of(run(image, layer, str(tmp_path / "made.shp"))["OUTPUT"])
    names = made.fields().names()
    assert len(set(names)) == 4
    assert max(map(len, names)) <= 10
    assert feature.attributes()[1:] == [1.0, 2.0, 3.0]


def test_without_polygons_it_is_a_table(own, image, monkeypatch):
    answer = summary(["zone", "mean"], (5, 0.5), (7, None))
    monkeypatch.setattr(FakeClient, "answer", lambda _, job: answer)
    made, features = features_of(run(image, None)["OUTPUT"])
    assert made.fields().names() == ["zone", "mean"]
    assert made.wkbType() == QgsWkbTypes.Type.NoGeometry
    assert [feature["zone"] for feature in features] == [5, 7]


def test_points_lie_in_the_first_image_s_crs(own, tmp_path, monkeypatch):
    image = write_image(tmp_path / "image.tif", epsg=3035)
    answer = summary(["x", "y", "value"], (10.0, 20, 1), (None, None, 2))
    monkeypatch.setattr(FakeClient, "answer", lambda _, job: answer)
    values = {"INPUT": image, "POLYGONS": layer_of(SQUARE), "OUTPUT": TEMPORARY}
    made, features = features_of(processing.run("eoscale:testfield", values)["OUTPUT"])
    assert made.fields().names() == ["x", "y", "value"]
    assert made.crs().authid() == "EPSG:3035"
    assert features[0].geometry().asWkt() == "Point (10 20)"
    assert not features[1].hasGeometry()


def test_values_alone_may_be_asked_for():
    recipe = recipe_of(Difference)
    check_destinations(recipe, {}, [])
    created = {item.name(): item for item in definitions(recipe)}
    assert not created["OUTPUT"].createByDefault()
    assert created["OUTPUT_TABLE"].createByDefault()
    with pytest.raises(OutputError, match="is not there"):
        check_destinations(recipe, {"OUTPUT": "/no/such/folder/a.tif"}, [])


def test_names_that_are_free():
    assert free_name("mean", ["a"]) == "mean"
    assert free_name("mean", ["MEAN", "mean_2"]) == "mean_3"


def test_many_polygons_in_little_time(own, written, image):
    layer = layer_of()
    shapes = [QgsGeometry.fromWkt(SQUARE)] * 10_000
    features = []
    for shape in shapes:
        feature = QgsFeature(layer.fields())
        feature.setGeometry(shape)
        features.append(feature)
    layer.dataProvider().addFeatures(features)
    _, made = features_of(run(image, layer)["OUTPUT"])
    assert len(made) == 10_000
    first = next(layer.getFeatures(QgsFeatureRequest().setLimit(1)))
    assert made[0].geometry().equals(first.geometry())
