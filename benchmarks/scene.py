"""The image that is measured on: the sample scene's elevation, DEFLATE-compressed, made once."""

from __future__ import annotations

from pathlib import Path

from eoscale_engine.context import EOContextManager
from eoscale_engine.filters.sample.sample_scene import SampleElevation


def elevation(size: int, folder: Path) -> str:
    """Path of the elevation of ``size`` x ``size`` pixels, float32, with holes."""
    path = folder / f"elevation-{size}.tif"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with EOContextManager() as context:
            [key] = context.filter(SampleElevation(width=size, height=size))
            context.write(key, str(path))
    return str(path)
