"""A damaged file is refused as often as it is tried: nothing of a failed read is used again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

from eoscale_engine.errors import EngineError
from eoscale_engine.service.client import EngineClient
from tests.faults.jobs import job

SIDE, TILE = 512, 128


def picture(path: Path, driver: str, *options: str) -> Path:
    """Bytes with some noise, so that every tile takes room."""
    random = np.random.default_rng(3)
    slopes = np.add.outer(np.arange(SIDE), np.arange(SIDE)) / 5
    pixels = (slopes + random.integers(0, 40, (SIDE, SIDE))).clip(1, 255).astype("uint8")
    image = gdal.GetDriverByName("MEM").Create("", SIDE, SIDE, 1)
    image.SetGeoTransform((500000, 10, 0, 4600000, 0, -10))
    image.GetRasterBand(1).WriteArray(pixels)
    gdal.GetDriverByName(driver).CreateCopy(str(path), image, options=list(options))
    return path


def spoil_last_tile(path: Path) -> None:
    """Overwrite the second half of the last tile's bytes."""
    image = gdal.Open(str(path))
    band = image.GetRasterBand(1)
    last = SIDE // TILE - 1
    place = int(band.GetMetadataItem(f"BLOCK_OFFSET_{last}_{last}", "TIFF"))
    size = int(band.GetMetadataItem(f"BLOCK_SIZE_{last}_{last}", "TIFF"))
    del band, image
    content = bytearray(path.read_bytes())
    content[place + size // 2 : place + size] = b"\xff" * (size - size // 2)
    path.write_bytes(content)


def shorten(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4])


def refused_every_time(client: EngineClient, path: Path) -> None:
    for _ in range(2):
        for name in ("rasterstatistics", "focalstatistics"):
            with pytest.raises(EngineError) as caught:
                client.run(job(name, str(path), str(path) + ".out.tif"))
            assert path.name in str(caught.value)


@pytest.mark.parametrize("compress", ["JPEG", "LZW", "DEFLATE", "ZSTD", "LERC"])
def test_a_damaged_last_tile(client: EngineClient, tmp_path: Path, compress: str) -> None:
    tiles = ("TILED=YES", f"BLOCKXSIZE={TILE}", f"BLOCKYSIZE={TILE}", f"COMPRESS={compress}")
    path = picture(tmp_path / "a.tif", "GTiff", *tiles)
    assert client.run(job("rasterstatistics", str(path)))["summary"]
    spoil_last_tile(path)
    refused_every_time(client, path)


@pytest.mark.parametrize(
    ("driver", "name"), [("JPEG", "a.jpg"), ("PNG", "a.png"), ("XYZ", "a.xyz"), ("ENVI", "a.img")]
)
def test_a_file_that_ends_early(
    client: EngineClient, tmp_path: Path, driver: str, name: str
) -> None:
    path = picture(tmp_path / name, driver)
    assert client.run(job("rasterstatistics", str(path)))["summary"]
    shorten(path)
    refused_every_time(client, path)
