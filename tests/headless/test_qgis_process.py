"""The algorithms as commands: lists, help, runs, errors, and nothing left behind."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

from eoscale_engine.context import EOContextManager
from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
from eoscale_engine.filters.pixel.stack import Stack

EXPECTED = (
    "bandmath", "focalstatistics", "gaussian", "rasterstatistics", "histogram", "pythonfilter",
    "pythonreduction", "loadintomemory", "saveimage", "freememory", "samplescene",
)  # fmt: skip


SQUARE = ((200, 0), (300, 0), (300, 100), (200, 100), (200, 0))
"""Offsets in metres: 10 x 10 pixels of the image."""


def pixels_of(path):
    return gdal.Open(str(path)).ReadAsArray()


def test_the_list_has_all(qgis_process):
    listed = qgis_process("list").stdout
    for name in EXPECTED:
        assert f"eoscale:{name}\t" in listed


@pytest.mark.parametrize("name", ["bandmath", "histogram"])
def test_help_is_plain_text(qgis_process, name):
    shown = qgis_process("help", f"eoscale:{name}").stdout
    assert "Description" in shown
    assert "EXTENT" in shown
    assert "<p>" not in shown


@pytest.mark.parametrize(
    ("name", "default"),
    [
        ("gaussian", "the larger, the smoother.\n\tDefault value:\t1.0\n"),
        ("freememory", "for the next run.\n\tDefault value:\ttrue\n"),
    ],
)
def test_help_says_everything_once_with_defaults(qgis_process, name, default):
    shown = qgis_process("help", f"eoscale:{name}").stdout
    lines = [line.strip() for line in shown.splitlines() if len(line.strip()) > 30]
    prose = [line for line in lines if not line.startswith(("- ", "Acceptable", "Argument"))]
    assert len(prose) > 3
    assert len(prose) == len(set(prose))
    assert default in shown


def test_an_unknown_name_is_told(qgis_process, image):
    done = qgis_process.run("histogram", INPUT=image, BIN=3)
    assert "BIN is no parameter of 'Histogram' and has no effect. Did you mean BINS?" in done.stdout


def test_band_math_to_a_file(qgis_process, image, tmp_path):
    target = tmp_path / "index.tif"
    qgis_process.run(
        "bandmath", INPUTS=[image], EXPRESSIONS="im1b1 + 2 * im1b2", OUTPUT=target, COMPRESS="LZW"
    )
    made = gdal.Open(str(target))
    valid = pixels_of(image)[0] != -9999
    np.testing.assert_array_equal(made.ReadAsArray()[valid], 3 * pixels_of(image)[0][valid])
    band = made.GetRasterBand(1)
    assert band.GetMaskBand().ReadAsArray()[~valid].max() == 0
    assert made.GetMetadataItem("COMPRESSION", "IMAGE_STRUCTURE") == "LZW"


def test_a_choice_by_its_number(qgis_process, image, tmp_path):
    targets = [tmp_path / "text.tif", tmp_path / "number.tif"]
    for target, value in zip(targets, ("sum", 1)):
        qgis_process.run("focalstatistics", INPUT=image, BANDS=1, STATISTIC=value, OUTPUT=target)
    np.testing.assert_array_equal(*map(pixels_of, targets))


@pytest.mark.parametrize("table", ["-inf,100,1,100,inf,2", "-inf, 100, 1; 100, inf, 2"])
def test_infinite_ends_in_a_table(qgis_process, image, tmp_path, table):
    target = tmp_path / "classes.tif"
    qgis_process.run("reclassify", INPUT=image, BANDS=1, TABLE=table, OUTPUT=target)
    pixels = pixels_of(image)[0]
    expected = np.where(pixels < 100, 1, 2)
    valid = pixels != -9999
    np.testing.assert_array_equal(pixels_of(target)[valid], expected[valid])


def test_infinite_numbers(qgis_process, image, tmp_path):
    target = tmp_path / "masked.tif"
    asked = {"RULE": "range", "MINIMUM": "-inf", "MAXIMUM": 99, "OUTPUT": target}
    qgis_process.run("maskimage", INPUT=image, MASK=image, BANDS=1, **asked)
    kept = pixels_of(target)[pixels_of(image)[0] >= 99.5]
    assert (kept >= 99.5).all()
    assert (pixels_of(target)[pixels_of(image)[0] <= 99] == -9999).all()


def test_a_number_that_is_none(qgis_process, image, tmp_path):
    done = qgis_process.run("gaussian", INPUT=image, SIGMA="2,5", OUTPUT="a.tif", check=False)
    assert done.returncode != 0
    assert "'Sigma' cannot be '2,5'. Write a number with a decimal point" in done.stderr


PROJECT = """
import sys
from qgis.core import QgsApplication, QgsProject, QgsRasterLayer
app = QgsApplication([], False)
app.initQgis()
layer = QgsRasterLayer(sys.argv[1], "scene")
for band in (1, 2):
    layer.dataProvider().setUseSourceNoDataValue(band, False)
QgsProject.instance().addMapLayer(layer)
assert QgsProject.instance().write(sys.argv[2])
"""


def test_a_project_s_layer_without_its_nodata(qgis_process, image, tmp_path):
    project = str(tmp_path / "project.qgs")
    subprocess.run(
        [sys.executable, "-c", PROJECT, image, project],
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen"}, check=True, timeout=60,
    )  # fmt: skip
    found = qgis_process.results("rasterstatistics", INPUT="scene", PROJECT_PATH=project)
    assert found["MINIMUM"] == -9999
    assert found["VALID"] == 2400


def test_statistics_as_numbers_and_files(qgis_process, image, tmp_path):
    found = qgis_process.results(
        "rasterstatistics",
        INPUT=image,
        OUTPUT=tmp_path / "table.csv",
        OUTPUT_JSON=tmp_path / "values.json",
        OUTPUT_HTML=tmp_path / "report.html",
    )
    pixels = pixels_of(image)[0]
    valid = pixels[pixels != -9999].astype(float)
    assert found["VALID"] == valid.size
    assert found["SUM"] == valid.sum()
    values = json.loads(Path(tmp_path / "values.json").read_text())
    assert values["numbers"]["MAXIMUM"] == 2399
    assert len(Path(tmp_path / "table.csv").read_text().splitlines()) == 3
    assert (tmp_path / "report.html").stat().st_size > 1000


@pytest.mark.parametrize("ending", ["csv", "gpkg"])
def test_zones_of_a_vector_file(qgis_process, image, tmp_path, ending):
    zones, target = tmp_path / "zones.geojson", tmp_path / f"table.{ending}"
    rings = [[(500000 + x, 4599900 - y) for x, y in SQUARE] for _ in range(2)]
    features = [
        {
            "type": "Feature",
            "properties": {"name": f"zone {number}"},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        for number, ring in enumerate(rings)
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32631"}}
    collection = {"type": "FeatureCollection", "crs": crs, "features": features}
    zones.write_text(json.dumps(collection), encoding="utf-8")
    found = qgis_process.results(
        "zonalstatistics", INPUT=image, BANDS=1, POLYGONS=zones, OUTPUT=target
    )
    assert found["ZONE_COUNT"] == 2
    file = gdal.OpenEx(str(target))
    table = file.GetLayer(0)
    rows = [(row["name"], int(row["count"]), float(row["mean"])) for row in table]
    pixels = pixels_of(image)[0][10:20, 20:30]
    assert rows == [(f"zone {number}", 100, pixels.mean()) for number in (0, 1)]


def test_points_of_sampled_pixels_as_zones_and_reference(qgis_process, image, tmp_path):
    points, table = tmp_path / "points.gpkg", tmp_path / "table.csv"
    qgis_process.results("samplepixels", INPUTS=image, COUNT=20, SEED=-5, OUTPUT=points)
    found = qgis_process.results(
        "zonalstatistics", INPUT=image, BANDS=1, POLYGONS=points, WEIGHTED="true", OUTPUT=table
    )
    assert (found["ZONE_COUNT"], found["EMPTY"]) == (20, 0)
    pixels = pixels_of(image)[0]
    for row in csv.DictReader(table.read_text().splitlines()):
        assert float(row["count"]) == 1
        assert float(row["mean"]) == pixels[int(row["row"]), int(row["column"])]
    numbers = qgis_process.results("confusionmatrix", INPUT=image, POLYGONS=points, FIELD="row")
    assert numbers["COMPARED"] == 20


def test_a_scene_and_a_filter_on_it(qgis_process, tmp_path):
    scene, target = tmp_path / "elevation.tif", tmp_path / "blurred.tif"
    qgis_process.run("samplescene", ELEVATION=scene, WIDTH=200, HEIGHT=150)
    qgis_process.run("gaussian", INPUT=scene, SIGMA=2, OUTPUT=target, FORMAT="COG")
    assert pixels_of(target).shape == (150, 200)


def test_the_function_of_the_guide(qgis_process, image, tmp_path):
    guide = (Path(__file__).parents[2] / "docs" / "user-guide.md").read_text(encoding="utf-8")
    code, target = tmp_path / "local_relief.py", tmp_path / "relief.tif"
    code.write_text(guide.split("```python\n")[1].split("```")[0], encoding="utf-8")
    qgis_process.run(
        "pythonfilter", INPUTS=[image], FILE=code, FUNCTION="local_relief", OUTPUT_BANDS=1,
        PARAMS='{"radius": 5}', STABLE_MARGIN=5, OUTPUT_DTYPE="float32", OUTPUT=target,
    )  # fmt: skip
    heights = pixels_of(image)[0].astype(float)
    around = heights[10:21, 20:31]
    assert pixels_of(target)[15, 25] == pytest.approx(heights[15, 25] - around.mean())
    corner = heights[:9, :9]
    mean = corner[corner != -9999].mean()
    assert pixels_of(target)[3, 3] == pytest.approx(heights[3, 3] - mean, rel=1e-5)
    assert (pixels_of(target)[:3, :3] == -9999).all()


def test_a_temporary_result_says_that_it_goes(qgis_process, image):
    done = qgis_process.run("gaussian", INPUT=image, OUTPUT="TEMPORARY_OUTPUT")
    assert "is temporary and goes when qgis_process ends" in done.stdout
    found = qgis_process.results("gaussian", INPUT=image, OUTPUT="TEMPORARY_OUTPUT")
    assert found["OUTPUT"].endswith(".tif")
    assert not os.path.lexists(found["OUTPUT"])


@pytest.mark.parametrize(
    ("name", "parameters", "words"),
    [
        ("gaussian", {"INPUT": "nowhere.tif", "OUTPUT": "out.tif"}, "nowhere.tif"),
        ("gaussian", {"INPUT": "IMAGE", "OUTPUT": "IMAGE"}, "one of the inputs"),
        ("gaussian", {"INPUT": "IMAGE", "OUTPUT": "/no/such/folder/out.tif"}, "is not there"),
        ("gaussian", {"INPUT": "IMAGE", "BANDS": 7, "OUTPUT": "out.tif"}, "2 bands"),
        ("bandmath", {"INPUTS": "IMAGE", "EXPRESSIONS": "im1b1 + no", "OUTPUT": "out.tif"}, "no"),
        ("bandmath", {"INPUTS": "IMAGE", "EXPRESSIONS": "open(1)", "OUTPUT": "out.tif"}, "open"),
    ],
)
def test_what_cannot_be_done_fails_with_the_reason(
    qgis_process, image, tmp_path, monkeypatch, name, parameters, words
):
    monkeypatch.chdir(tmp_path)
    values = {key: image if value == "IMAGE" else value for key, value in parameters.items()}
    done = qgis_process.run(name, check=False, **values)
    assert done.returncode != 0
    assert words in done.stdout + done.stderr
    # QGIS itself leaves statistics beside an image that it opens.
    assert set(os.listdir(tmp_path)) <= {"image.tif", "image.tif.aux.xml"}
    assert "Traceback" not in done.stdout + done.stderr


HOSTILE = ("numpy", "random", "numbers", "inspect", "osgeo", "multiprocessing", "socket")


def test_nothing_in_the_current_folder_is_executed(qgis_process, image, tmp_path, monkeypatch):
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name in HOSTILE:
        (folder / f"{name}.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\n")
    monkeypatch.chdir(folder)
    said = qgis_process.run("gaussian", INPUT=image, SIGMA=1, OUTPUT=tmp_path / "o.tif").stdout
    assert "work runs inside this process" not in said
    assert not (tmp_path / "executed").exists()


def test_without_an_engine_qgis_process_ends_well(qgis_process, image, tmp_path):
    [settings] = Path(qgis_process.environment["QGIS_CUSTOM_CONFIG_PATH"]).rglob("QGIS3.ini")
    before = settings.read_text()
    settings.write_text(before + f"\n[eoscale]\ninterpreter={tmp_path / 'none'}\n")
    try:
        done = qgis_process.run("gaussian", INPUT=image, SIGMA=1, OUTPUT=tmp_path / "o.tif")
    finally:
        settings.write_text(before)
    assert "work runs inside this process" in done.stdout + done.stderr
    assert (tmp_path / "o.tif").exists()


def test_a_pipeline_of_several_images_and_results(qgis_process, image, tmp_path):
    """As JSON in a file: the bits of the algorithms one by one, and the values of its steps."""
    steps = tmp_path / "steps.json"
    steps.write_text(json.dumps({
        "version": 1,
        "inputs": ["one", "two"],
        "steps": [
            {"name": "both", "algorithm": "stack", "inputs": ["one", "two"]},
            {"name": "mean", "algorithm": "focalstatistics", "parameters": {"RADIUS": 2}},
            {"name": "bytes", "algorithm": "stretch"},
        ],
        "outputs": ["bytes", "mean"],
    }))  # fmt: skip
    targets = {name: tmp_path / f"{name}.tif" for name in ("OUTPUT", "OUTPUT_2")}
    done = qgis_process.run(
        "pipeline", INPUTS=[image, image], FILE=steps, OUTPUT_JSON=tmp_path / "values.json",
        **targets,
    )  # fmt: skip
    assert "pass 1: 'both', 'mean'" in done.stdout
    assert "pass 2: 'bytes', which looks at the whole image" in done.stdout
    with EOContextManager(inline=True) as context:
        [both] = context.filter(Stack(), [context.open_raster(image)] * 2)
        [mean] = context.filter(FocalStatistics(radius=2), both)
        wanted = context.get_array(mean)
        np.testing.assert_array_equal(pixels_of(targets["OUTPUT_2"]), wanted)
    assert pixels_of(targets["OUTPUT"]).dtype == np.uint8
    tables = json.loads((tmp_path / "values.json").read_text())["tables"]
    assert [table["name"] for table in tables] == ["Bounds", "Steps"]
