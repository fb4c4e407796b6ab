"""The images that are measured on: the sample scene's, DEFLATE-compressed, made once."""

from __future__ import annotations

from pathlib import Path

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import ImageFilter
from eoscale_engine.filters.sample.sample_scene import SampleElevation, SampleOptical


def elevation(size: int, folder: Path) -> str:
    """Path of the elevation of ``size`` x ``size`` pixels, float32, with holes."""
    return _made(SampleElevation(width=size, height=size), folder / f"elevation-{size}.tif")


def optical(size: int, folder: Path) -> str:
    """Path of the optical image of ``size`` x ``size`` pixels, 4 bands of uint16, with nodata."""
    return _made(SampleOptical(width=size, height=size), folder / f"optical-{size}.tif")


def _made(scene: ImageFilter, path: Path) -> str:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with EOContextManager() as context:
            [key] = context.filter(scene)
            context.write(key, str(path))
    return str(path)
