"""The blocks of all inputs, by role."""

from __future__ import annotations

from collections.abc import Sequence

from eoscale_engine.declaration import Blocks
from eoscale_engine.images.area import Area
from eoscale_engine.images.source import Inputs, Source, WorkerState, sources_of
from eoscale_engine.tiling import Window


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
