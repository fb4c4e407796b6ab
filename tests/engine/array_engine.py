"""An engine on one array, for tests of procedures over cells of any size."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from functools import reduce
from typing import Any, Optional

import numpy as np

from eoscale_engine.declaration import (
    Block,
    Blocks,
    Engine,
    Found,
    ImageFilter,
    Procedure,
    Reduction,
    Roles,
    Summary,
    Within,
)
from eoscale_engine.polygons import Polygons
from eoscale_engine.profile import Band, Profile
from eoscale_engine.tiling import CELL, Window, split


class ArrayEngine(Engine):
    """Runs reductions on one array, over cells of any size."""

    def __init__(
        self,
        pixels: np.ndarray,
        valid: Optional[np.ndarray] = None,
        bands: Optional[tuple[Band, ...]] = None,
        cell: tuple[int, int] = (CELL, CELL),
    ) -> None:
        count, rows, cols = pixels.shape
        self._profile = Profile(cols, rows, pixels.dtype.name, bands or (Band(),) * count)
        self._pixels, self._valid, self._cell = pixels, valid, cell
        self.passes: list[str] = []

    def profile(self, key: str) -> Profile:
        return self._profile

    def reduce(
        self,
        declaration: Reduction[Any, Found],
        images: Roles,
        *,
        within: Optional[Within] = None,
        windows: Optional[Sequence[Window]] = None,
    ) -> Found:
        self.passes.append(type(declaration).__name__)
        partials = []
        for core in split(Window(0, 0, *self._pixels.shape[1:]), *self._cell):
            place = (slice(None), *core.slices)
            valid = None if self._valid is None else self._valid[place]
            block = Block(self._pixels[place], valid, self._profile, core)
            partials.append(declaration.map(Blocks(core, {"INPUT": [block]})))
        return declaration.finish(reduce(declaration.merge, partials), [self._profile])

    def filter(self, declaration: ImageFilter, images: Roles) -> list[str]:
        raise NotImplementedError

    def polygons(
        self, key: str, like: str, *, field: str = "", all_touched: bool = False
    ) -> Polygons:
        raise NotImplementedError

    def release(self, key: str) -> None:
        raise NotImplementedError

    def run(self, procedure: Procedure) -> Summary:
        """Run a procedure as the engine does: checked first, warnings being errors."""
        procedure.check({"INPUT": [self._profile]})
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            summary = procedure.run({"INPUT": ["image"]}, self).summary
        assert summary is not None
        assert tuple(summary.numbers) == tuple(name for name, _ in procedure.numbers)
        return summary
