"""Images and jobs for tests, and what they ask of processes and folders."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Optional

import numpy as np
from osgeo import gdal

FUNCTIONS = str(Path(__file__).with_name("functions.py"))


def write_image(
    path: Path, side: int = 300, seed: int = 0, bands: int = 1, step: float = 10
) -> str:
    """A tiled float32 GeoTIFF of random pixels, some of them nodata."""
    image = gdal.GetDriverByName("GTiff").Create(
        str(path), side, side, bands, gdal.GDT_Float32, ["TILED=YES", "COMPRESS=DEFLATE"]
    )
    image.SetGeoTransform((500000, step, 0, 4600000, 0, -step))
    pixels = np.random.default_rng(seed).normal(size=(bands, side, side)).astype("float32")
    pixels[:, : side // 20, : side // 20] = -9999
    for number in range(bands):
        band = image.GetRasterBand(number + 1)
        band.SetNoDataValue(-9999)
        band.WriteArray(pixels[number])
    del image, band
    return str(path)


def job(
    name: str,
    image: str,
    output: str = "",
    keep: str = "memory",
    bands: Optional[list[int]] = None,
    **parameters: Any,
) -> dict[str, Any]:
    """A job on one image."""
    role = "INPUTS" if name.startswith("python") else "INPUT"
    return {
        "declaration": name,
        "parameters": parameters,
        "inputs": {role: [{"path": image, "label": "image", "bands": bands}]},
        "outputs": {"OUTPUT": {"path": output, "keep": keep}} if output else {},
    }


def python_job(function: str, image: str, output: str, **parameters: Any) -> dict[str, Any]:
    """A job with one of the harmful functions."""
    return job("pythonfilter", image, output, file=FUNCTIONS, function=function, **parameters)


def pixels(path: str) -> np.ndarray:
    """All pixels of an image, as ``(bands, rows, cols)``."""
    found = gdal.Open(path).ReadAsArray()
    return found if found.ndim == 3 else found[np.newaxis]


def same(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether two arrays are the same, bit for bit."""
    return first.shape == second.shape and first.tobytes() == second.tobytes()


def alive(pid: int) -> bool:
    """Whether a process runs; one that nobody waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def descendants(pid: int) -> set[int]:
    """All processes that a process started, and those that they started."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in found} - found
        if not more:
            return found - {pid}
        found |= more


def wait_until(condition: Callable[[], Any], seconds: float = 10.0) -> bool:
    """Whether a condition comes true in time."""
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())
