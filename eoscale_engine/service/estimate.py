"""How much memory a job will take, and so what of it lies in memory: reckoned before it starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eoscale_engine.declaration import Declaration, ImageFilter, Procedure
from eoscale_engine.images.source import Source
from eoscale_engine.pipeline.planning import Stored, stored_bytes, to_be_stored
from eoscale_engine.profile import Profile
from eoscale_engine.tiling import TILE_PIXELS, Window, block_shape

WORKER_BYTES = 60 * 1024 * 1024
"""A worker's own memory: libraries, GDAL's cache of blocks."""

TEMPORARIES = 5
"""How many arrays of 64-bit numbers a function may hold at a time for each band of its block."""


@dataclass(frozen=True)
class Estimate:
    """Bytes that a job takes: inputs, what is made of them, and the working set of each worker."""

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
    sources: Sequence[Source],
    *,
    part: float = 1.0,
    workers: int = 1,
    tile_pixels: int = 0,
) -> Estimate:
    """The estimate of a run over ``part`` (0 to 1) of the inputs' pixels."""
    inputs = [source.profile for source in sources]
    outputs: Sequence[Stored] = ()
    if isinstance(declaration, ImageFilter):
        outputs = to_be_stored(declaration, sources)
    elif isinstance(declaration, Procedure):
        masked = any(source.planes for source in sources)
        outputs = [(p, p.count if masked else 0) for p in declaration.images_made(inputs)]
    return Estimate(
        sum(source.nbytes for source in sources),
        int(part * sum(map(stored_bytes, outputs))),
        workers,
        WORKER_BYTES
        + _task_bytes(declaration, inputs, [p for p, _ in outputs], tile_pixels or TILE_PIXELS),
    )


def _task_bytes(
    declaration: Declaration, inputs: Sequence[Profile], outputs: Sequence[Profile], pixels: int
) -> int:
    """Bytes of one task: a tile that is read from files, and a block's temporaries, with margins.

    Files are read in squares of at least four margins a side
    (:func:`eoscale_engine.pipeline.planning.tiles_of`).
    """
    images = (*inputs, *outputs)
    if not images:
        return 0
    margin = declaration.margin
    side = max(int(pixels**0.5), 4 * margin)
    tile = Window(0, 0, min(side, images[0].height), min(side, images[0].width))
    block = (tile.rows, tile.cols)
    if isinstance(declaration, ImageFilter) and not declaration.whole_tiles:
        block = block_shape(tile, margin, sum(image.pixel_bytes for image in images))
    pixel = sum(image.pixel_bytes for image in inputs)
    read = (tile.rows + 2 * margin) * (tile.cols + 2 * margin) * pixel
    bands = sum(image.count for image in images)
    held = (block[0] + 2 * margin) * (block[1] + 2 * margin) * bands * 8 * TEMPORARIES
    return read + held
