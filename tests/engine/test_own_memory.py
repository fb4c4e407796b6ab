"""Images in the memory of one program: the engine is another, and so are its workers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError, OutputError
from eoscale_engine.raster_files.own_memory import in_own_memory
from eoscale_engine.reductions.statistics import BandMoments
from eoscale_engine.service.client import EngineClient, EngineOptions

NAME = "/vsimem/in-memory.tif"
ELSEWHERE = "in the memory of the program that made it"


@pytest.fixture
def pixels() -> Iterator[np.ndarray]:
    random = np.random.default_rng(3).integers(0, 1000, (2, 70, 90)).astype("float32")
    image = gdal.GetDriverByName("GTiff").Create(NAME, 90, 70, 2, gdal.GDT_Float32)
    image.SetGeoTransform((500000, 10, 0, 4600000, 0, -10))
    image.WriteArray(random)
    image = None
    yield random
    gdal.Unlink(NAME)


@pytest.mark.parametrize(
    "name", [NAME, f"/vsizip/{NAME}.zip/a.tif", f"NETCDF:{NAME}:b", f"<S>{NAME}</S>", "MEM:::A=1"]
)
def test_names_in_memory(name: str) -> None:
    assert in_own_memory(name)
    assert not in_own_memory("/data/vsimem/a.tif")  # a folder on a disk


@pytest.mark.parametrize("inline", [True, False])
def test_python_opens_an_image_in_its_own_memory(pixels: np.ndarray, inline: bool) -> None:
    with EOContextManager(1, inline=inline) as context:
        for opened in (context.describe, context.open_raster):
            key = opened(NAME)
            assert [band.total for band in context.reduce(BandMoments(), key)] == pytest.approx(
                pixels.sum((1, 2), dtype="float64")
            )
            assert np.array_equal(context.get_array(key), pixels)


def test_the_engine_says_that_it_is_another_program(pixels: np.ndarray, tmp_path: Path) -> None:
    client = EngineClient(EngineOptions(workers=1))
    mosaic = str(tmp_path / "mosaic.vrt")
    gdal.BuildVRT(mosaic, [NAME]).FlushCache()
    try:
        for name in (NAME, mosaic, "MEM:::DATAPOINTER=1,PIXELS=1,LINES=1"):
            job = {
                "declaration": "rasterstatistics",
                "inputs": {"INPUT": [{"path": name, "label": "the scene"}]},
            }
            with pytest.raises(InputError, match=f"{ELSEWHERE}.*save it as a file"):
                client.run(job)
    finally:
        client.close()


def test_a_result_is_written_to_a_disk(pixels: np.ndarray) -> None:
    with EOContextManager(inline=True) as context:
        key = context.open_raster(NAME)
        with pytest.raises(OutputError, match="Give the path of a file"):
            context.write(key, "/vsimem/result.tif")


def test_what_is_no_path_is_refused(pixels: np.ndarray) -> None:
    with EOContextManager(inline=True) as context:
        for thing in (gdal.Open(NAME), pixels):
            with pytest.raises(InputError, match="opened by its path, not by an object"):
                context.open_raster(thing)
        with pytest.raises(InputError, match=ELSEWHERE):
            context.open_raster("MEM:::DATAPOINTER=1,PIXELS=1,LINES=1")
