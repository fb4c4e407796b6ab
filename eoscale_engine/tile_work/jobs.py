"""What a worker does with one task: read blocks, call the declaration's function, write in place.

A *job* holds what all its tasks share and is sent to a worker once; a *task* is a window. Whatever
the executor, a task is ``job.run(window, state)``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Optional, Protocol

import numpy as np

from eoscale_engine.declaration import Declaration, ImageFilter, Reduction
from eoscale_engine.errors import EngineError, TileError, described
from eoscale_engine.memory.images import Image
from eoscale_engine.polygons import Polygons
from eoscale_engine.profile import Profile
from eoscale_engine.raster_files.reading import RasterFile
from eoscale_engine.tile_work.block_reading import (
    Area,
    Inputs,
    Source,
    WorkerState,
    open_area,
    open_areas,
    read_blocks,
    valid_pixels,
)
from eoscale_engine.tile_work.block_writing import Moments, moments_of, store
from eoscale_engine.tiling import CELL, Window, block_shape, blocks_of, split

__all__ = [
    "CopyJob", "FilterJob", "FinishJob", "Job", "MomentsJob", "ReduceJob", "WorkerState",
    "failure", "tile_text", "work_name",
]  # fmt: skip


PIECE_COLS = 4 * CELL
"""Columns of a piece, a row of cells that a reduction merges in the worker."""


class Job(Protocol):
    """One kind of work over many windows."""

    def run(self, window: Window, state: WorkerState) -> Any:
        """Do one task; what it returns travels back to the engine, so it is small."""


@dataclass(frozen=True)
class CopyJob:
    """Bring pixels into an image as they are, with where they are masked: decode a file, or copy.

    ``extent`` is the image's place in the source. Returns whether all pixels are valid.
    """

    source: Source
    image: Image
    extent: Window

    def run(self, window: Window, state: WorkerState) -> bool:
        """Bring one window; a file is decoded straight into the image."""
        place = window.relative_to(self.extent)
        state.mappings.populate(self.image, place)
        out = state.mappings.array(self.image, writable=True)[(slice(None), *place.slices)]
        if isinstance(self.source, RasterFile):
            self.source.read(window, out, datasets=state.datasets)
            mask = self.source.read_mask(window, datasets=state.datasets)
        else:
            area = open_area(self.source, window, 0, state)
            np.copyto(out, area.pixels[(area.bands, *window.slices)])
            mask = None if area.mask is None else area.mask[window.slices]
        plane = state.mappings.mask(self.image, writable=True)
        if mask is not None and plane is not None:
            # GDAL's own value of a valid pixel
            plane[place.slices] = np.where(mask, 255, 0)
        for piece in split(place, CELL, CELL):
            inside = piece.relative_to(place).slices
            part = None if mask is None else mask[inside]
            pixels = out[(slice(None), *inside)]
            if valid_pixels(pixels, part, self.image.stored.bands) is not None:
                return False
        return True


@dataclass(frozen=True)
class MomentsJob:
    """Look through an image in memory; returns the moments of each band."""

    image: Image

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
class FilterJob:
    """Run an image filter; returns the moments of each band of each output.

    Attributes
    ----------
    outputs : tuple of Image
        Of the size of ``extent``, which is a window of the inputs.
    block_bytes : int
        Size of the blocks that the filter sees (see :func:`eoscale_engine.tiling.block_shape`).
    nudge : tuple of bool
        For each output, whether valid pixels that equal its nodata value are moved aside.
    """

    declaration: ImageFilter
    inputs: Inputs
    outputs: tuple[Image, ...]
    extent: Window
    block_bytes: int
    nudge: tuple[bool, ...]

    def run(self, window: Window, state: WorkerState) -> list[list[Moments]]:
        """Filter one tile, block by block."""
        declaration, margin = self.declaration, self.declaration.margin
        areas = open_areas(self.inputs, window, margin, state)
        if declaration.marks_nodata:  # the function asks for no validity: do not look for it
            areas = [replace(area, all_valid=True) for area in areas]
        results = [state.mappings.array(image, writable=True) for image in self.outputs]
        for image in self.outputs:
            state.mappings.populate(image, window.relative_to(self.extent))
        moments = [[Moments() for _ in image.stored.bands] for image in self.outputs]
        for core in self._cores(window, margin):
            made = declaration.apply(
                read_blocks(self.inputs, areas, core, margin, declaration.border)
            )
            parts = made if isinstance(made, list) else [made]
            if len(parts) != len(self.outputs):
                raise EngineError(
                    f"{declaration.called} returned {len(parts)} image(s) where "
                    f"{len(self.outputs)} were declared."
                )
            place = (slice(None), *core.relative_to(self.extent).slices)
            for number, (pixels, valid) in enumerate(parts):
                self._store(number, pixels, valid, results[number][place], moments[number])
        return moments

    def _cores(self, window: Window, margin: int) -> list[Window]:
        if self.declaration.whole_tiles:
            return [window]
        images = [source.profile for _, sources in self.inputs for source in sources]
        widest = max((image.pixel_bytes for image in images), default=0)
        each = widest + sum(image.stored.pixel_bytes for image in self.outputs)
        return blocks_of(window, block_shape(window, margin, each, self.block_bytes))

    def _store(
        self, number: int, pixels: Any, valid: Any, out: np.ndarray, moments: list[Moments]
    ) -> None:
        """Check one output's block and write it, band by band."""
        _check_pixels(self.declaration, pixels, out)
        pixels = pixels.view(np.uint8) if pixels.dtype == bool else pixels
        if valid is not None:
            valid = _checked_valid(self.declaration, valid, out.shape)
        for band, properties in enumerate(self.outputs[number].stored.bands):
            where = None if valid is None else valid[band]
            if self.declaration.marks_nodata and self.nudge[number]:
                where = valid_pixels(pixels[band : band + 1], where, (properties,))
                where = None if where is None else where[0]
            moments[band].merge(
                store(pixels[band], where, out[band], properties.nodata, nudge=self.nudge[number])
            )


def _check_pixels(declaration: Declaration, pixels: Any, out: np.ndarray) -> None:
    if not isinstance(pixels, np.ndarray) or pixels.shape != out.shape:
        what = f"shape {pixels.shape}" if isinstance(pixels, np.ndarray) else type(pixels).__name__
        raise EngineError(
            f"{declaration.called} returned {what} where an array of shape {out.shape} "
            "(bands, rows, columns) was declared."
        )
    real = out.dtype.kind != "c"
    if pixels.dtype.kind not in "biufc" or (real and pixels.dtype.kind == "c"):
        raise EngineError(
            f"{declaration.called} returned pixels of type {pixels.dtype} where {out.dtype} "
            "was declared."
        )


def _checked_valid(declaration: Declaration, valid: Any, shape: tuple[int, ...]) -> np.ndarray:
    valid = np.asarray(valid)
    try:
        if valid.dtype != bool:
            raise ValueError
        return np.broadcast_to(valid, shape)
    except ValueError:
        raise EngineError(
            f"{declaration.called} returned validity of type {valid.dtype} and shape "
            f"{valid.shape}; it must be boolean and fit {shape}."
        ) from None


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

    def run(self, window: Window, state: WorkerState) -> list[Any]:
        """What the cells of each piece in a window contribute together, piece by piece."""
        declaration, margin = self.declaration, self.declaration.margin
        pieces = [split(piece, CELL, CELL) for piece in split(window, CELL, PIECE_COLS)]
        if self.windows is not None:
            pieces = [list(self.windows[window])]
        by_cell = self.windows is None and margin == 0 and self._in_small_blocks()
        areas = [] if by_cell else open_areas(self.inputs, window, margin, state)
        mask = None if self.mask is None else open_area(self.mask, window, 0, state)

        def mapped(core: Window) -> Any:
            # what was just decoded is still in the processor's cache
            here = open_areas(self.inputs, core, 0, state) if by_cell else areas
            blocks = read_blocks(self.inputs, here, core, margin, declaration.border)
            inside = self._inside(core, mask)
            return declaration.map(blocks if inside is None else blocks.restricted(inside))

        return [reduce(declaration.merge, map(mapped, cells)) for cells in pieces]

    def _in_small_blocks(self) -> bool:
        """Whether cells can be read one by one, no block of a file being decoded for several."""
        files = [s for _, sources in self.inputs for s in sources if not isinstance(s, Image)]
        return all(
            not file.derived and all(CELL % size == 0 for size in file.block_shape)
            for file in files
        )  # fmt: skip

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

    def run(self, window: Window, state: WorkerState) -> Any:
        """All partials, in order; the window has no part in it."""
        merged = reduce(self.declaration.merge, self.partials)
        return self.declaration.finish(merged, self.profiles)


def work_name(job: Any) -> str:
    """What a job does, for messages."""
    return job.declaration.called if hasattr(job, "declaration") else "Reading"


def failure(job: Any, window: Window, error: BaseException) -> EngineError:
    """The error that a user sees where a task failed: an own one as it is, others with the tile."""
    if isinstance(error, EngineError):
        return error
    where = tile_text(window)
    return TileError(f"{work_name(job)} failed on {where}: {described(error)}{_line(error)}")


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
