"""What a worker does with one task: read blocks, call the declaration's function, write in place.

A *job* holds what all its tasks share and is sent to a worker once; a *task* is a window. Whatever
the executor, a task is ``job.run(window, state)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Optional, Protocol

import numpy as np

from eoscale_engine.declaration import Reduction
from eoscale_engine.errors import EngineError, TileError, described
from eoscale_engine.images.area import Area
from eoscale_engine.images.moments import Moments, moments_of
from eoscale_engine.images.source import (
    Filling,
    Inputs,
    Seen,
    Source,
    Target,
    WorkerState,
    sources_of,
)
from eoscale_engine.polygons import Polygons
from eoscale_engine.profile import Profile
from eoscale_engine.tile_work.blocks import (
    held_bytes,
    open_area,
    open_areas,
    read_blocks,
    read_bytes,
)
from eoscale_engine.tiling import CELL, Window, split

__all__ = [
    "FinishJob", "Job", "MomentsJob", "ReduceJob", "TransferJob", "failure", "tile_text",
]  # fmt: skip


PIECE_COLS = 4 * CELL
"""Columns of a piece, a row of cells that a reduction merges in the worker."""


class Job(Protocol):
    """One kind of work over many windows."""

    @property
    def label(self) -> str:
        """What it does, for messages."""

    def run(self, window: Window, state: WorkerState) -> Any:
        """Do one task; what it returns travels back to the engine, so it is small."""


@dataclass(frozen=True)
class TransferJob:
    """Bring pixels from where they come from to targets: decode, copy, filter.

    ``extent`` is the targets' place in the source. Returns what was seen of each.
    """

    source: Filling
    targets: tuple[Target, ...]
    extent: Window

    @property
    def label(self) -> str:
        """As the source says."""
        return self.source.label

    def run(self, window: Window, state: WorkerState) -> list[Seen]:
        """Bring one window."""
        place = window.relative_to(self.extent)
        return self.source.fill(window, [t.place(place, state) for t in self.targets], state)


@dataclass(frozen=True)
class MomentsJob:
    """Look through an image; returns the moments of each band."""

    image: Source
    label = "Reading"

    def run(self, window: Window, state: WorkerState) -> list[Moments]:
        """Look through one window, in pieces that fit the cache."""
        area = open_area(self.image, window, 0, state)
        total = [Moments() for _ in self.image.profile.bands]
        for piece in split(window, CELL, CELL):
            block = area.block(piece, 0, "cut")
            for band, moments in enumerate(total):
                valid = None if block.valid is None else block.valid[band]
                moments.merge(moments_of(block.pixels[band], valid))
        return total


@dataclass(frozen=True)
class ReduceJob:
    """Map a reduction over the fixed cells of a window and merge those of each piece in order.

    A piece is a row of at most four cells. Which cells are merged together is fixed, and so are the
    bits of what comes out, whatever the windows that workers get.

    Attributes
    ----------
    mask, polygons
        Where it looks; see :class:`~eoscale_engine.declaration.Within`.
    windows : mapping, optional
        What is mapped in place of the cells, by the window that holds all of them.
    """

    declaration: Reduction
    inputs: Inputs
    mask: Optional[Source] = None
    polygons: Optional[Polygons] = None
    windows: Optional[Mapping[Window, Sequence[Window]]] = None

    @property
    def label(self) -> str:
        """The reduction's name."""
        return self.declaration.called

    def run(self, window: Window, state: WorkerState) -> list[Any]:
        """What the cells of each piece in a window contribute together, piece by piece."""
        declaration, margin = self.declaration, self.declaration.margin
        pieces = [split(piece, CELL, CELL) for piece in split(window, CELL, PIECE_COLS)]
        if self.windows is not None:
            pieces = [list(self.windows[window])]
        by_cell = self._by_cell()
        areas = [] if by_cell else open_areas(self.inputs, window, margin, state)
        mask = None if self.mask is None else open_area(self.mask, window, 0, state)

        def mapped(core: Window) -> Any:
            # what was just decoded is still in the processor's cache
            here = open_areas(self.inputs, core, 0, state) if by_cell else areas
            blocks = read_blocks(self.inputs, here, core, margin, declaration.border)
            inside = self._inside(core, mask)
            return declaration.map(blocks if inside is None else blocks.restricted(inside))

        return [reduce(declaration.merge, map(mapped, cells)) for cells in pieces]

    def working_bytes(self, window: Window) -> int:
        """Bytes that a task takes while it looks at its window."""
        margin, images = self.declaration.margin, [s.profile for s in sources_of(self.inputs)]
        rows, cols = min(window.rows, CELL), min(window.cols, CELL)
        read = Window(0, 0, rows, cols) if self._by_cell() else window
        return read_bytes(self.inputs, read, margin) + held_bytes(rows, cols, margin, images)

    def _by_cell(self) -> bool:
        """Whether cells can be read one by one, no block of a file being decoded for several."""
        return (
            self.windows is None
            and self.declaration.margin == 0
            and all(
                source.by_block and all(CELL % size == 0 for size in source.block_shape)
                for source in sources_of(self.inputs)
            )
        )

    def _inside(self, core: Window, mask: Optional[Area]) -> Optional[np.ndarray]:
        inside = None if self.polygons is None else self.polygons.inside(core)
        if mask is not None:
            block = mask.block(core, 0, "cut")
            shown = block.pixels[0] != 0
            if block.valid is not None:
                shown &= block.valid[0]
            inside = shown if inside is None else inside & shown
        return inside


@dataclass(frozen=True)
class FinishJob:
    """Merge and finish a reduction whose own code may harm its process: one task in a worker."""

    declaration: Reduction
    partials: tuple[Any, ...]
    profiles: tuple[Profile, ...]

    @property
    def label(self) -> str:
        """The reduction's name."""
        return self.declaration.called

    def run(self, window: Window, state: WorkerState) -> Any:
        """All partials, in order; the window has no part in it."""
        merged = reduce(self.declaration.merge, self.partials)
        return self.declaration.finish(merged, self.profiles)


def failure(job: Job, window: Window, error: BaseException) -> EngineError:
    """The error that a user sees where a task failed: an own one as it is, others with the tile."""
    if isinstance(error, EngineError):
        return error
    return TileError(f"{job.label} failed on {tile_text(window)}: {described(error)}{_line(error)}")


def _line(error: BaseException) -> str:
    """Where it happened: the last line before the error went into an installed library."""
    lines: list[tuple[str, int]] = []
    trace = error.__traceback__
    while trace is not None:
        lines.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    own = [place for place in lines if "-packages" not in place[0] and "<" not in place[0]]
    place: Optional[tuple[str, int]] = next(reversed(own or lines), None)
    return f" ({place[0]}, line {place[1]})" if place else ""


def tile_text(window: Window) -> str:
    """A tile's place, in words."""
    return (
        f"the tile of rows {window.row} to {window.end_row - 1}, "
        f"columns {window.col} to {window.end_col - 1}"
    )
