"""How much memory a job will take, and so what of it lies in memory: reckoned before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from eoscale_engine.declaration import Declaration, ImageFilter
from eoscale_engine.profile import Profile
from eoscale_engine.tiling import TILE_PIXELS

WORKER_BYTES = 60 * 1024 * 1024
"""A worker's own memory: libraries, GDAL's cache of blocks."""

TEMPORARIES = 4
"""How many times the bytes of its tile a function may hold at a time; most work in small blocks."""


@dataclass(frozen=True)
class Estimate:
    """Bytes that a job takes: inputs, results, and the working set of each worker."""

    inputs: int
    results: int
    workers: int
    working_set: int

    @property
    def beside_inputs(self) -> int:
        """What must stay free when the inputs are loaded."""
        return self.results + self.workers * self.working_set

    def text(self, room: int) -> str:
        """The estimate and what follows from it, for the log."""
        if self.inputs + self.beside_inputs <= room:
            choice = "all of it in memory"
        elif self.beside_inputs <= room:
            choice = "what does not fit of the inputs is read piece by piece"
        else:
            choice = "inputs are read piece by piece, results go to files on disk"
        return (
            f"Estimate: inputs {self.inputs / 1e6:.1f} MB, results {self.results / 1e6:.1f} MB, "
            f"{self.workers} worker(s) x {self.working_set / 1e6:.0f} MB; "
            f"{room / 1e6:.0f} MB of memory are free: {choice}."
        )


def estimated(
    declaration: Declaration,
    inputs: Sequence[Profile],
    *,
    part: float = 1.0,
    workers: int = 1,
    tile_pixels: int = 0,
) -> Estimate:
    """The estimate of a run over ``part`` (0 to 1) of the inputs' pixels."""
    outputs: Sequence[Profile] = ()
    if isinstance(declaration, ImageFilter):
        outputs = declaration.output_profiles(inputs)
    elif inputs:
        outputs = [inputs[0]] * len(getattr(declaration, "outputs", ()))
    pixel = sum(item.count * np.dtype(item.dtype).itemsize for item in (*inputs, *outputs))
    return Estimate(
        sum(profile.nbytes for profile in inputs),
        int(part * sum(profile.nbytes for profile in outputs)),
        workers,
        WORKER_BYTES + TEMPORARIES * pixel * (tile_pixels or TILE_PIXELS),
    )
