"""An engine and an image for the tests of faults."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from eoscale_engine.service.client import EngineClient, EngineOptions
from tests.faults.jobs import write_image


@pytest.fixture(scope="module")
def client() -> Iterator[EngineClient]:
    """An engine whose tiles are small, so that images have several."""
    made = EngineClient(EngineOptions(workers=2, tile_size=100))
    yield made
    made.close()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image of nine tiles."""
    return write_image(Path(tmp_path_factory.mktemp("images"), "image.tif"))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image of four cells of a reduction."""
    return write_image(Path(tmp_path_factory.mktemp("images"), "large.tif"), 600)
