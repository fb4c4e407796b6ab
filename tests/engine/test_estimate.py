"""The estimate of memory that a run is planned by is at least what the run takes for images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Declaration
from eoscale_engine.memory.images import Image
from eoscale_engine.memory.store import ImageStore
from eoscale_engine.service.estimate import estimated
from tests.engine.test_exactness import FILTERS, PROCEDURES, alternatives, keys_by_role, pictures

NAMED = [case for case in [*FILTERS, *PROCEDURES] if case.values[0].name]


class Watch:
    """The most bytes that images of a store take at a time."""

    def __init__(self, store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
        self.most = 0
        self._live: dict[str, int] = {}
        allocate, release = store.allocate, store.release

        def allocated(*arguments: Any, **options: Any) -> Image:
            image = allocate(*arguments, **options)
            self._live[image.raw] = image.file_bytes
            self.most = max(self.most, sum(self._live.values()))
            return image

        def released(image: Image) -> None:
            release(image)
            if image.raw not in store._references:
                self._live.pop(image.raw, None)

        monkeypatch.setattr(store, "allocate", allocated)
        monkeypatch.setattr(store, "release", released)


@pytest.mark.filterwarnings("ignore::eoscale_engine.errors.InputWarning")
@pytest.mark.parametrize("declaration", NAMED)
def test_images_take_no_more_than_was_estimated(
    declaration: Declaration, monkeypatch: pytest.MonkeyPatch
) -> None:
    dtypes = [t for t in ("uint8", "uint32", "float32", "float64", "complex64")
              if np.dtype(t).kind in declaration.dtype_kinds]  # fmt: skip
    for dtype in dtypes:
        for roles in alternatives(declaration):
            images = pictures(declaration, dtype, 60, 75, holes=0.05, roles=roles)
            with EOContextManager(inline=True) as context:
                keys = keys_by_role(context, declaration, images, roles)
                sources = [context._entries[key].source for key in context._entries]
                watch = Watch(context._runs.store, monkeypatch)
                context.run(declaration, keys)
                found = estimated(declaration, sources).results
            # and about that: what is thought too large goes to disk
            assert watch.most <= found <= 2 * watch.most, (dtype, roles)


@pytest.mark.parametrize("mask", ["none", "alpha"])
def test_a_loaded_file_takes_what_was_estimated(
    mask: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "a.tif")
    options = ["ALPHA=YES"] if mask == "alpha" else ["PHOTOMETRIC=MINISBLACK", "ALPHA=NO"]
    file = gdal.GetDriverByName("GTiff").Create(path, 50, 40, 4, options=options)
    file.GetRasterBand(4).Fill(255)
    del file
    with EOContextManager(inline=True) as context:
        key = context.describe(path)
        expected = context.memory_bytes(key)
        watch = Watch(context._runs.store, monkeypatch)
        context.load(key)
        assert watch.most == expected == context.memory_bytes(key) == 4 * 50 * 40
