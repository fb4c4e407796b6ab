"""The blocks of all inputs, by role."""

from __future__ import annotations

from collections.abc import Sequence

from eoscale_engine.declaration import Blocks
from eoscale_engine.images.area import Area
from eoscale_engine.images.source import Inputs, Source, WorkerState, sources_of
from eoscale_engine.profile import Profile
from eoscale_engine.tiling import Window

TEMPORARIES = 6
"""How many arrays of 64-bit numbers a function may hold at a time for each band of its block."""


def open_areas(inputs: Inputs, tile: Window, margin: int, state: WorkerState) -> list[Area]:
    """What blocks of a tile need of all inputs, in order, with the margin."""
    return [open_area(source, tile, margin, state) for source in sources_of(inputs)]


def open_area(source: Source, tile: Window, margin: int, state: WorkerState) -> Area:
    """What blocks of a tile need of one input, with the margin."""
    profile = source.profile
    whole = Window(0, 0, profile.height, profile.width)
    return source.area(tile.expanded(margin).intersection(whole), state)


def read_blocks(
    inputs: Inputs, areas: Sequence[Area], core: Window, margin: int = 0, border: str = "cut"
) -> Blocks:
    """The blocks of all inputs, by role."""
    remaining = iter(areas)
    roles = {
        role: [next(remaining).block(core, margin, border) for _ in sources]
        for role, sources in inputs
    }
    return Blocks(core, roles)


def read_bytes(inputs: Inputs, tile: Window, margin: int) -> int:
    """Bytes that the areas of a tile take with the margin, at most."""
    around = [(min(tile.rows + 2 * margin, source.profile.height),
               min(tile.cols + 2 * margin, source.profile.width), source)
              for source in sources_of(inputs)]  # fmt: skip
    return sum(source.working_bytes(rows, cols) for rows, cols, source in around)


def held_bytes(rows: int, cols: int, margin: int, images: Sequence[Profile]) -> int:
    """Bytes that a function may hold for a block of these images, inputs and outputs."""
    bands = sum(image.count for image in images)
    return (rows + 2 * margin) * (cols + 2 * margin) * bands * 8 * TEMPORARIES
