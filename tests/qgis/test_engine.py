"""The plugin with the real engine: values, memory, faults, headless commands' ground."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import processing
import pytest
from osgeo import gdal
from qgis.core import (
    QgsApplication,
    QgsCoordinateReferenceSystem,
    QgsProcessing,
    QgsProcessingAlgRunnerTask,
    QgsProcessingException,
    QgsProject,
    QgsRasterLayer,
)
from qgis.PyQt.QtCore import QCoreApplication

from eoscale_qgis.settings import Settings
from tests.engine.test_carried import ITEMS, laden
from tests.qgis.helpers import read_pixels, settle, write_image
from tests.qgis.test_lifetimes import run_model

TEMPORARY = QgsProcessing.TEMPORARY_OUTPUT


def run(name, feedback=None, **parameters):
    return processing.run(f"eoscale:{name}", parameters, feedback=feedback)


def folder_of(provider):
    client = provider.session.acquire()
    provider.session.give_back(client)
    return client.folder


def images_in(provider):
    return sorted(Path(folder_of(provider)).glob("*.vrt"))


def engine_of(provider):
    """The number of the engine process, which works in the folder of its images."""
    folder = folder_of(provider)
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
            if b"eoscale_engine" in command and os.readlink(entry / "cwd") == folder:
                return int(entry.name)
        except OSError:
            continue
    raise AssertionError("no engine runs")


def test_band_math_in_memory(real, image, tmp_path, feedback):
    other = write_image(tmp_path / "other.tif", bands=2)
    path = run(
        "bandmath", feedback, INPUTS=[image, other],
        EXPRESSIONS="total = im1 + im2b2\nim1 * 2", OUTPUT=TEMPORARY,
    )["OUTPUT"]  # fmt: skip
    pixels, others = read_pixels(image), read_pixels(other)
    np.testing.assert_array_equal(read_pixels(path), [pixels + others[1], pixels * 2])
    layer = QgsRasterLayer(path, "result")
    assert os.path.islink(path)
    assert layer.isTemporary()
    assert layer.bandCount() == 2
    assert layer.crs().authid() == "EPSG:32631"
    assert any("tile" in text for text in feedback.infos), feedback.infos


def test_an_extent_is_the_crop_of_the_whole(real, image):
    whole = read_pixels(run("focalstatistics", INPUT=image, RADIUS=2, OUTPUT=TEMPORARY)["OUTPUT"])
    part = run(
        "focalstatistics", INPUT=image, RADIUS=2, OUTPUT=TEMPORARY,
        EXTENT="500020,500060,4599940,4599980 [EPSG:32631]",
    )["OUTPUT"]  # fmt: skip
    np.testing.assert_array_equal(read_pixels(part), whole[2:6, 2:6])


def test_bands_and_a_file(real, tmp_path):
    image, target = write_image(tmp_path / "three.tif", bands=3), str(tmp_path / "out.tif")
    run("saveimage", INPUT=image, BANDS=[3, 1], OUTPUT=target, COMPRESS="ZSTD")
    np.testing.assert_array_equal(read_pixels(target), read_pixels(image)[[2, 0]])
    assert gdal.Info(target, format="json")["metadata"]["IMAGE_STRUCTURE"]["COMPRESSION"] == "ZSTD"
    run("saveimage", INPUT=image, OUTPUT=target, FORMAT="COG")
    assert gdal.Info(target, format="json")["metadata"]["IMAGE_STRUCTURE"]["LAYOUT"] == "COG"


def test_classes_go_through_toolbox_and_files(real, tmp_path, feedback):
    path, target = laden(tmp_path / "classes.tif", gdal.GDT_Int16), str(tmp_path / "saved.tif")
    loaded = run("loadintomemory", INPUT=path, OUTPUT=TEMPORARY)["OUTPUT"]
    sieved = run("sieve", INPUT=loaded, MINIMUM=2, OUTPUT=TEMPORARY)["OUTPUT"]
    run("saveimage", feedback, INPUT=sieved, OUTPUT=target)
    assert not feedback.warnings
    source = gdal.Open(path)
    for made in map(gdal.Open, (loaded, sieved, target)):
        for name in ("colour table", "class names", "attribute table", "FORCE", "epoch", "RPC"):
            assert ITEMS[name](made, 1) == ITEMS[name](source, 1), name
    assert QgsRasterLayer(target).renderer().type() == "paletted"
    run("gaussian", feedback, INPUT=sieved, OUTPUT=TEMPORARY)
    assert "no colour table, class names or attribute table, as the input has" in " ".join(
        feedback.warnings
    )


def test_a_crs_that_the_user_set_goes_along(real, image):
    layer = QgsRasterLayer(image, "moved")
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32633"))
    path = run("loadintomemory", INPUT=layer, OUTPUT=TEMPORARY)["OUTPUT"]
    assert QgsRasterLayer(path).crs().authid() == "EPSG:32633"


def test_align_to_the_first(real, image, tmp_path):
    coarse = write_image(tmp_path / "coarse.tif", size=(6, 5), cell=20.0)
    path = run(
        "bandmath", INPUTS=[image, coarse], EXPRESSIONS="im2", ALIGN="nearest", OUTPUT=TEMPORARY
    )["OUTPUT"]
    np.testing.assert_array_equal(
        read_pixels(path), read_pixels(coarse).repeat(2, axis=0).repeat(2, axis=1)
    )


def test_an_extent_beyond_the_first_image_counts_with_alignment(real, image, tmp_path):
    whole = QgsRasterLayer(image).extent()
    x, width = whole.xMinimum(), whole.width()
    extent = f"{x},{x + 2 * width},{whole.yMinimum()},{whole.yMaximum()} [EPSG:32631]"
    wanted = {"INPUTS": [image, image], "STATISTIC": "mean", "EXTENT": extent, "OUTPUT": TEMPORARY}
    assert read_pixels(run("temporalcomposite", **wanted)["OUTPUT"]).shape == (10, 12)
    made = run("temporalcomposite", **wanted, ALIGN="nearest")["OUTPUT"]
    np.testing.assert_array_equal(read_pixels(made)[:, :12], read_pixels(image))
    dataset = gdal.Open(made)
    assert dataset.GetRasterBand(1).GetMaskBand().ReadAsArray()[:, 12:].max() == 0


def test_statistics(real, image, tmp_path):
    html = str(tmp_path / "report.html")
    found = run("rasterstatistics", INPUT=image, OUTPUT="memory:", OUTPUT_HTML=html)
    pixels = read_pixels(image).astype(float)
    assert found["VALID"] == 120
    assert found["SUM"] == pixels.sum()
    assert found["MEAN"] == pytest.approx(pixels.mean(), rel=1e-12)
    assert found["OUTPUT"].featureCount() == 1
    assert "image" in Path(html).read_text()
    found = run("histogram", INPUT=image, BINS=10, OUTPUT="memory:")
    assert found["OUTPUT"].featureCount() == 10


def test_memory_is_given_back(real, image):
    path = run("gaussian", INPUT=image, OUTPUT=TEMPORARY)["OUTPUT"]
    layer = QgsRasterLayer(path, "result")
    QgsProject.instance().addMapLayer(layer)
    assert len(images_in(real)) == 1
    QgsProject.instance().removeMapLayer(layer.id())
    settle()
    deadline = time.monotonic() + 5
    while images_in(real) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not images_in(real)
    assert not os.path.lexists(path)


def test_an_image_loaded_twice_lives_as_long_as_both(real, image):
    layers = []
    for name in ("one", "two"):
        path = run("loadintomemory", INPUT=image, OUTPUT=TEMPORARY)["OUTPUT"]
        layers.append(QgsRasterLayer(path, name))
        QgsProject.instance().addMapLayer(layers[-1])
    second = layers[1].source()
    QgsProject.instance().removeMapLayer(layers[0].id())
    settle()
    time.sleep(0.5)
    np.testing.assert_array_equal(read_pixels(second), read_pixels(image))


def test_a_model_with_gdal_between(real, image):
    found, path = run_model(image)
    once = read_pixels(run("focalstatistics", INPUT=image, OUTPUT=TEMPORARY)["OUTPUT"])
    twice = run("focalstatistics", INPUT=image, OUTPUT=TEMPORARY)["OUTPUT"]
    twice = read_pixels(run("focalstatistics", INPUT=twice, OUTPUT=TEMPORARY)["OUTPUT"])
    np.testing.assert_array_equal(read_pixels(path), twice)
    assert not np.array_equal(once, twice)
    assert not os.path.lexists(found["CHILD_RESULTS"]["one"]["OUTPUT"])


def test_a_model_of_a_filter_and_procedures(real, image):
    steps = ("eoscale:morphology", "eoscale:stretch", "eoscale:connectedcomponents")
    found, path = run_model(image, steps)
    opened = run("morphology", INPUT=image, OUTPUT=TEMPORARY)["OUTPUT"]
    stretched = run("stretch", INPUT=opened, OUTPUT=TEMPORARY)["OUTPUT"]
    labels = run("connectedcomponents", INPUT=stretched, OUTPUT=TEMPORARY)
    np.testing.assert_array_equal(read_pixels(path), read_pixels(labels["OUTPUT"]))
    assert found["CHILD_RESULTS"]["three"]["COUNT"] == labels["COUNT"] > 1
    assert not os.path.lexists(found["CHILD_RESULTS"]["two"]["OUTPUT"])


def test_a_killed_engine_loses_no_layer(real, image):
    path = run("gaussian", INPUT=image, OUTPUT=TEMPORARY)["OUTPUT"]
    before = read_pixels(path)
    os.kill(engine_of(real), signal.SIGKILL)
    time.sleep(0.2)
    again = run("gaussian", INPUT=image, OUTPUT=TEMPORARY)["OUTPUT"]
    np.testing.assert_array_equal(read_pixels(path), before)
    np.testing.assert_array_equal(read_pixels(again), before)


def test_without_an_interpreter_work_runs_inside_qgis(real, image, feedback, tmp_path):
    Settings(interpreter=str(tmp_path / "python")).write()
    path = run("gaussian", feedback, INPUT=image, OUTPUT=TEMPORARY)["OUTPUT"]
    assert read_pixels(path).shape == (10, 12)
    assert "nterpreter" in feedback.warnings[0]
    assert not real.algorithm("pythonfilter").canExecute()[0]
    assert "interpreter" in real.algorithm("pythonfilter").canExecute()[1].lower()


FUNCTIONS = """
import os, time

def double(buffers, profiles, params):
    print("a filter that prints")
    return buffers[0] * params.get("by", 2)

def sleeps(buffers, profiles, params):
    time.sleep(600)

def ends(buffers, profiles, params):
    os._exit(3)

def wrong(buffers, profiles, params):
    raise ValueError("what I say")
"""


@pytest.fixture
def functions(tmp_path):
    """A user's own file."""
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    return str(tmp_path / "functions.py")


def python_filter(functions, name, image, **more):
    parameters = {"INPUTS": [image], "FILE": functions, "FUNCTION": name, "OUTPUT": TEMPORARY}
    return run("pythonfilter", **{**parameters, **more})["OUTPUT"]


def test_a_users_function(real, image, functions):
    path = python_filter(functions, "double", image, PARAMS='{"by": 3}')
    np.testing.assert_array_equal(read_pixels(path), read_pixels(image) * 3)


@pytest.mark.parametrize(("name", "words"), [("wrong", "what I say"), ("ends", "tile")])
def test_a_users_function_that_fails(real, image, functions, name, words):
    with pytest.raises(QgsProcessingException, match=words):
        python_filter(functions, name, image)
    np.testing.assert_array_equal(
        read_pixels(python_filter(functions, "double", image)), read_pixels(image) * 2
    )
    assert len(images_in(real)) == 1


def test_cancelling_a_function_that_never_returns(real, image, functions, context, feedback):
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("eoscale:pythonfilter")
    parameters = {"INPUTS": [image], "FILE": functions, "FUNCTION": "sleeps", "OUTPUT": TEMPORARY}
    task = QgsProcessingAlgRunnerTask(algorithm, parameters, context, feedback)
    ended = []
    task.executed.connect(lambda ok, results: ended.append(ok))
    QgsApplication.taskManager().addTask(task)
    began = time.monotonic()
    while time.monotonic() - began < 2:
        QCoreApplication.processEvents()
        time.sleep(0.01)
    assert not ended
    feedback.cancel()
    began = time.monotonic()
    while not ended and time.monotonic() - began < 10:
        QCoreApplication.processEvents()
        time.sleep(0.01)
    assert ended == [False]
    assert time.monotonic() - began < 3
    path = python_filter(functions, "double", image)
    assert read_pixels(path).shape == (10, 12)


def test_other_programs_read_a_result(real, image):
    path = run("gaussian", INPUT=image, OUTPUT=TEMPORARY)["OUTPUT"]
    done = subprocess.run(
        ["gdalinfo", "-checksum", path], capture_output=True, text=True, check=True, timeout=60
    )
    assert "Size is 12, 10" in done.stdout
