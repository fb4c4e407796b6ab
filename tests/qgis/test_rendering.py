"""Layers that GDAL cannot read: drawn by a server at any scale, or computed by QGIS."""

from __future__ import annotations

import os
import threading
import time

import numpy as np
import processing
import pytest
from osgeo import gdal
from qgis.core import (
    QgsCoordinateReferenceSystem,
    QgsProcessing,
    QgsProcessingAlgRunnerTask,
    QgsProcessingException,
    QgsProcessingUtils,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
)
from qgis.PyQt.QtCore import QCoreApplication

from eoscale_engine.errors import InputError
from eoscale_engine.raster_files.gdal_calls import call_gdal
from eoscale_qgis import rendering
from eoscale_qgis.grids import Grid, grids_of
from tests.qgis.helpers import read_pixels, write_image
from tests.qgis.tile_server import CELL, WORLD, TileServer, tile

TEMPORARY = QgsProcessing.TEMPORARY_OUTPUT
FIRST = (256 * 4 + 100, 256 * 4 + 50)
"""Column and row on the map of the upper left pixel of the extent that the tests draw."""


@pytest.fixture
def server(monkeypatch):
    """A tile server on this machine."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = TileServer()
    yield server
    server.close()


@pytest.fixture
def tiles(qgis_app, server):
    """A layer of the server's tiles, in the project."""
    layer = QgsRasterLayer(server.uri, "tiles", "wms")
    assert layer.isValid()
    QgsProject.instance().addMapLayer(layer)
    return layer


def place(cols, rows, first=FIRST):
    """The extent of so many pixels of the map."""
    left, top = first[0] * CELL - WORLD / 2, WORLD / 2 - first[1] * CELL
    return QgsRectangle(left, top - rows * CELL, left + cols * CELL, top)


def extent(cols, rows, first=FIRST):
    """The same as a parameter's text."""
    box = place(cols, rows, first)
    sides = box.xMinimum(), box.xMaximum(), box.yMinimum(), box.yMaximum()
    return ",".join(f"{side:.9f}" for side in sides) + " [EPSG:3857]"


def colours(cols, rows, first=FIRST):
    """The tiles' pixels there."""
    wide = np.concatenate([tile(column, 4) for column in range(4, 8)], axis=2)
    whole = np.concatenate(
        [wide] + [np.concatenate([tile(c, r) for c in range(4, 8)], axis=2) for r in (5, 6, 7)],
        axis=1,
    )
    col, row = first[0] - 1024, first[1] - 1024
    return whole[:, row : row + rows, col : col + cols]


def assert_same_to_a_pixel(found, expected):
    """Neighbours differ by 1, modulo 251: QGIS 3.44 stretches tiles a little, to leave no gaps."""
    apart = np.abs(found.astype(int) - expected)
    assert np.isin(apart, (0, 1, 250)).all()
    assert found.shape == expected.shape


def run(name, feedback=None, **parameters):
    return processing.run(f"eoscale:{name}", parameters, feedback=feedback)


def left_behind():
    return [name for name in os.listdir(QgsProcessingUtils.tempFolder()) if "rendered" in name]


# ---- as the first image


def test_tiles_over_an_extent(real, tiles, feedback, tmp_path):
    path = str(tmp_path / "out.tif")
    run(
        "saveimage", feedback,
        INPUT=tiles, EXTENT=extent(300, 250), CELL_SIZE=CELL, OUTPUT=path,
    )  # fmt: skip
    made = gdal.Open(path)
    assert_same_to_a_pixel(made.ReadAsArray(), colours(300, 250))
    corner = place(300, 250)
    expected = (corner.xMinimum(), CELL, 0, corner.yMaximum(), 0, -CELL)
    np.testing.assert_allclose(made.GetGeoTransform(), expected)
    assert made.GetSpatialRef().GetAuthorityCode(None) == "3857"
    assert any("rendering 300 x 250 pixels" in text for text in feedback.infos)
    assert not feedback.warnings
    assert not left_behind()


def test_one_colour_of_tiles(real, tiles):
    found = run(
        "rasterstatistics", INPUT=tiles, BANDS=[2], EXTENT=extent(30, 20), CELL_SIZE=CELL
    )  # fmt: skip
    assert found["SUM"] == pytest.approx(int(colours(30, 20)[1].sum()), abs=600)


def test_the_whole_of_a_layer_with_an_extent(provider, engines, tiles):
    with pytest.raises(QgsProcessingException, match="tiles.*drawn.*400 million"):
        run("gaussian", INPUT=tiles, CELL_SIZE=100, OUTPUT=TEMPORARY)
    run("gaussian", INPUT=tiles, CELL_SIZE=WORLD / 64, OUTPUT=TEMPORARY)
    assert engines[0].jobs[0]["extent"] is None


def test_no_cell_size(provider, tiles):
    with pytest.raises(QgsProcessingException) as caught:
        run("gaussian", INPUT=tiles, EXTENT=extent(100, 100), OUTPUT=TEMPORARY)
    assert "'tiles' (wms) has no pixels of its own" in str(caught.value)
    assert "CELL_SIZE), in meters: 1.96e+03 makes" in str(caught.value)


def test_a_layer_by_its_source_alone(provider, server):
    with pytest.raises(QgsProcessingException, match=r"Layer '.+' \(wms\) has no pixels"):
        run("gaussian", INPUT="wms://" + server.uri, OUTPUT=TEMPORARY)


def test_no_extent(tiles, monkeypatch):
    monkeypatch.setattr(QgsRasterLayer, "extent", lambda self: QgsRectangle())
    with pytest.raises(InputError, match="has no extent and no pixels.*EXTENT.*CELL_SIZE"):
        grids_of([tiles], None, 10)
    assert grids_of([tiles], QgsRectangle(0, 0, 95, 40), 10)[0].cols == 10


def test_a_slip_in_the_cell_size(provider, tiles):
    for cell_size in (1e-3, 1e-300):
        with pytest.raises(QgsProcessingException, match="400 million are the most.*CELL_SIZE"):
            run(
                "gaussian", INPUT=tiles, EXTENT=extent(100, 100), CELL_SIZE=cell_size,
                OUTPUT=TEMPORARY,
            )  # fmt: skip


def test_a_band_that_a_picture_does_not_have(provider, tiles):
    with pytest.raises(QgsProcessingException, match=r"Band 5.*4 bands"):
        run(
            "gaussian", INPUT=tiles, BANDS=[5], EXTENT=extent(9, 9), CELL_SIZE=CELL,
            OUTPUT=TEMPORARY,
        )  # fmt: skip


# ---- after another image


@pytest.fixture
def below(tmp_path):
    """An image whose pixels lie on the tiles' pixels: 300 x 250 of them."""
    corner = place(300, 250)
    return write_image(
        tmp_path / "below.tif", size=(300, 250), cell=CELL, epsg=3857,
        origin=(corner.xMinimum(), corner.yMaximum()),
    )  # fmt: skip


def test_tiles_on_the_grid_of_the_first_image(real, tiles, below, tmp_path):
    path = str(tmp_path / "out.tif")
    run("bandmath", INPUTS=[below, tiles], EXPRESSIONS="im1 * 0 + im2b1", OUTPUT=path)
    assert_same_to_a_pixel(read_pixels(path), colours(300, 250)[0])


def test_only_what_an_extent_needs_is_asked_for(real, server, tiles, below, tmp_path):
    code = tmp_path / "shift.py"
    code.write_text(
        "import numpy as np\n"
        "def left(buffers, profiles, parameters):\n"
        "    return np.roll(buffers[1][:1], 2, axis=2)\n"
    )
    path = str(tmp_path / "out.tif")
    inside = (FIRST[0] + 20, FIRST[1] + 30)
    run(
        "pythonfilter", INPUTS=[below, tiles], FILE=str(code), FUNCTION="left",
        STABLE_MARGIN=2, EXTENT=extent(40, 10, inside), OUTPUT=path,
    )  # fmt: skip
    before = colours(40, 10, (inside[0] - 2, inside[1]))
    assert_same_to_a_pixel(read_pixels(path), before[0])
    assert set(server.asked) == {(4, 4)}


def test_tiles_in_another_crs(real, tiles, image, tmp_path):
    path = str(tmp_path / "out.tif")
    run("bandmath", INPUTS=[image, tiles], EXPRESSIONS="im2b1\nim2b2", OUTPUT=path)
    # The image is smaller than a pixel of the tiles, and lies at 3 degrees east, 41.55 north.
    x, y = 3 / 360 * WORLD, np.log(np.tan(np.radians(45 + 41.55 / 2))) / np.radians(360) * WORLD
    column, row = int((WORLD / 2 + x) / CELL), int((WORLD / 2 - y) / CELL)
    red, green = read_pixels(path)
    assert (red == column % 251).all()
    assert (green == row % 251).all()
    assert gdal.Open(path).GetGeoTransform() == gdal.Open(image).GetGeoTransform()


def test_an_image_that_cannot_be_placed_on_its_grid(tmp_path, exceptions, capfd):
    grid = Grid(QgsCoordinateReferenceSystem("EPSG:32631"), QgsRectangle(0, 0, 90, 90), 9, 9)
    image = write_image(tmp_path / "part.tif")
    made, errors = call_gdal(rendering._placed, image, grid)
    assert made and not errors
    assert read_pixels(image + ".vrt").shape == (9, 9)
    os.unlink(image)
    said = []
    made, errors = call_gdal(rendering._placed, image, grid, warned=said)
    assert not made
    assert "part.tif" in (errors + said)[0]
    assert not capfd.readouterr().err


def test_a_picture_that_cannot_be_read(tmp_path, exceptions):
    found, errors = call_gdal(rendering._highest_alpha, str(tmp_path / "none.tif"))
    assert found is None
    assert "none.tif" in errors[0]


def test_a_part_of_a_grid():
    grid = Grid(QgsCoordinateReferenceSystem(), QgsRectangle(0, 0, 100, 50), 10, 5)
    part = grid.part(QgsRectangle(21, 11, 29, 19), 1)
    assert (part.cols, part.rows) == (3, 3)
    assert part.extent == QgsRectangle(10, 0, 40, 30)
    assert grid.part(QgsRectangle(-99, -99, 999, 999), 3) == grid


# ---- what goes wrong


def test_a_server_that_does_not_answer(provider, engines, qgis_app, server):
    layer = QgsProject.instance().addMapLayer(QgsRasterLayer(server.uri, "gone", "wms"))
    server.broken = {(column, row) for column in range(8) for row in range(8)}
    with pytest.raises(QgsProcessingException, match="'gone' is empty here: its server"):
        run(
            "gaussian", INPUT=layer, EXTENT=extent(100, 100), CELL_SIZE=CELL, OUTPUT=TEMPORARY
        )  # fmt: skip
    assert not engines
    assert not left_behind()


def test_a_tile_that_fails(real, server, tiles, feedback):
    server.broken = {(5, 4)}
    found = run(
        "rasterstatistics", feedback, INPUT=tiles, EXTENT=extent(300, 100), CELL_SIZE=CELL
    )  # fmt: skip
    assert found["VALID"] in (156 * 100, 157 * 100)
    assert "1 request of layer 'tiles' failed" in feedback.warnings[0]


def test_a_first_image_without_a_crs(provider, tiles, image):
    layer = QgsProject.instance().addMapLayer(QgsRasterLayer(image, "nowhere"))
    layer.setCrs(QgsCoordinateReferenceSystem())
    with pytest.raises(
        QgsProcessingException, match="'tiles' could not be rendered: it or.*no CRS"
    ):
        run("bandmath", INPUTS=[layer, tiles], EXPRESSIONS="im2b1", OUTPUT=TEMPORARY)


def test_no_room_for_the_file(provider, tiles, monkeypatch):
    free = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(rendering.shutil, "disk_usage", lambda folder: free)
    with pytest.raises(QgsProcessingException, match="'tiles' needs 0 MB as an image"):
        run(
            "gaussian", INPUT=tiles, EXTENT=extent(100, 100), CELL_SIZE=CELL, OUTPUT=TEMPORARY
        )  # fmt: skip


def seconds_to_cancel(provider, parameters, context, feedback, begun):
    """Run in a thread, as the dialog does; how long it takes to end after it was cancelled."""
    algorithm = provider.algorithm("gaussian").create()
    parameters = {**parameters, "OUTPUT": TEMPORARY}
    task = QgsProcessingAlgRunnerTask(algorithm, parameters, context, feedback)
    thread = threading.Thread(target=task.run, daemon=True)
    thread.start()
    while not begun():
        QCoreApplication.processEvents()
    cancelled = time.monotonic()
    feedback.cancel()
    thread.join(5)
    assert not left_behind()
    return time.monotonic() - cancelled


def test_cancel_while_a_server_takes_its_time(provider, engines, server, tiles, context, feedback):
    server.seconds = 5
    parameters = {"INPUT": tiles, "EXTENT": extent(300, 300), "CELL_SIZE": CELL}
    begun = lambda: server.asked  # noqa: E731
    assert seconds_to_cancel(provider, parameters, context, feedback, begun) < 1
    assert not engines


def test_cancel_while_qgis_computes(provider, engines, image, context, feedback):
    layer = virtual(image, cols=12000, rows=10000)
    begun = lambda: feedback.progress() > 0  # noqa: E731
    assert seconds_to_cancel(provider, {"INPUT": layer}, context, feedback, begun) < 1
    assert not engines


# ---- other providers


def virtual(image, cols=12, rows=10):
    """A layer of the project that doubles the image."""
    uri = (
        f"?crs=EPSG:32631&extent=500000,4599900,500120,4600000&width={cols}&height={rows}"
        '&formula="real@1" * 2&real:provider=gdal&real:uri=' + image
    )
    layer = QgsRasterLayer(uri, "virtual", "virtualraster")
    assert layer.isValid()
    # Python's own layer would live in an error's traceback, and QGIS 3.44 crashes at exit then.
    QgsProject.instance().addMapLayer(layer)
    return layer


def test_a_virtual_raster(real, image, feedback, tmp_path):
    path = str(tmp_path / "out.tif")
    run("saveimage", feedback, INPUT=virtual(image), OUTPUT=path)
    np.testing.assert_array_equal(read_pixels(path), read_pixels(image) * 2)
    assert gdal.Open(path).GetGeoTransform() == (500000, 10, 0, 4600000, 0, -10)
    assert any("rendering 12 x 10 pixels" in text for text in feedback.infos)


def test_a_crs_that_the_user_set_on_a_virtual_raster(real, image, tmp_path):
    layer = virtual(image)
    layer.setCrs(QgsCoordinateReferenceSystem("EPSG:32633"))
    path = str(tmp_path / "out.tif")
    run("saveimage", INPUT=layer, OUTPUT=path)
    assert gdal.Open(path).GetSpatialRef().GetAuthorityCode(None) == "32633"
    np.testing.assert_array_equal(read_pixels(path), read_pixels(image) * 2)
