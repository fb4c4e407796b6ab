"""A filter on sources, which is itself a source: its pixels are computed as they are read."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Optional

import numpy as np

from eoscale_engine.declaration import Declaration, ImageFilter
from eoscale_engine.errors import EngineError
from eoscale_engine.images.area import Area, valid_pixels
from eoscale_engine.images.moments import Moments
from eoscale_engine.images.part import Part
from eoscale_engine.images.source import (
    COMPUTED,
    Inputs,
    Place,
    Seen,
    WorkerState,
    sources_of,
)
from eoscale_engine.profile import Profile
from eoscale_engine.tile_work.block_writing import store
from eoscale_engine.tile_work.blocks import held_bytes, open_areas, read_blocks, read_bytes
from eoscale_engine.tiling import BLOCK_BYTES, Window, block_shape, blocks_of
from eoscale_engine.words import counted

if TYPE_CHECKING:
    from eoscale_engine.memory.images import Image
    from eoscale_engine.raster_files.signature import FileState

MARGINS_A_SIDE = 42
"""Of a tile of which less than a tenth of the pixels are computed twice: (1 + 2 / 42)^2 < 1.1."""


@dataclass(frozen=True)
class Filtering:
    """A filter at work on sources: what computes all of its outputs, block by block.

    ``block_bytes`` is the size of the blocks that it sees
    (see :func:`eoscale_engine.tiling.block_shape`).
    """

    declaration: ImageFilter
    inputs: Inputs
    block_bytes: int = BLOCK_BYTES

    @property
    def label(self) -> str:
        """The filter's name."""
        return self.declaration.called

    @property
    def states(self) -> tuple[FileState, ...]:
        """Those of its inputs."""
        return tuple(state for source in sources_of(self.inputs) for state in source.states)

    def fill(
        self, window: Window, places: list[Place], state: WorkerState, *, statistics: bool = True
    ) -> list[Seen]:
        """Compute a window of each output and, with ``statistics``, the moments of each band."""
        declaration, margin = self.declaration, self.declaration.margin
        areas = open_areas(self.inputs, window, margin, state)
        if declaration.marks_nodata:  # the function asks for no validity: do not look for it
            areas = [replace(area, all_valid=True) for area in areas]
        moments = [[Moments() for _ in place.profile.bands] for place in places]
        alike = [True] * len(places)
        for core in self._cores(window, places):
            blocks = read_blocks(self.inputs, areas, core, margin, declaration.border)
            made = declaration.apply(blocks)
            parts = made if isinstance(made, list) else [made]
            if len(parts) != len(places):
                raise EngineError(
                    f"{self.label} returned {counted(len(parts), 'image')}; it declares "
                    f"{len(places)}."
                )
            for number, (pixels, valid) in enumerate(parts):
                part = places[number].part(core.relative_to(window))
                self._store(pixels, valid, part, moments[number], statistics=statistics)
                alike[number] = alike[number] and _alike(part.planes)
        return [
            Seen(not any(band.invalid for band in bands), tuple(bands), same)
            for bands, same in zip(moments, alike)
        ]

    def working_bytes(self, window: Window, outputs: Sequence[Profile]) -> int:
        """Bytes that a window of the outputs takes while it is computed, beside themselves."""
        block = self._block_shape(window, outputs)
        images = [source.profile for source in sources_of(self.inputs)]
        held = held_bytes(*block, self.declaration.margin, (*images, *outputs))
        return held + read_bytes(self.inputs, window, self.declaration.margin)

    def _cores(self, window: Window, places: Sequence[Place]) -> list[Window]:
        return blocks_of(window, self._block_shape(window, [place.profile for place in places]))

    def _block_shape(self, window: Window, outputs: Sequence[Profile]) -> tuple[int, int]:
        if self.declaration.whole_tiles:
            return window.rows, window.cols
        images = [source.profile for source in sources_of(self.inputs)]
        widest = max((image.pixel_bytes for image in images), default=0)
        each = widest + sum(profile.pixel_bytes for profile in outputs)
        return block_shape(window, self.declaration.margin, each, self.block_bytes)

    def _store(
        self, pixels: Any, valid: Any, place: Place, moments: list[Moments], *, statistics: bool
    ) -> None:
        """Check one output's block and write it, band by band."""
        _check_pixels(self.declaration, pixels, place.pixels)
        pixels = pixels.view(np.uint8) if pixels.dtype == bool else pixels
        if valid is not None:
            valid = _checked_valid(self.declaration, valid, place.pixels.shape)
        for band, properties in enumerate(place.profile.bands):
            where = None if valid is None else valid[band]
            if self.declaration.marks_nodata and properties.nodata is not None:
                found = valid_pixels(
                    pixels[band : band + 1], None if where is None else where[None], (properties,)
                )
                where = None if found is None else found[0]
            moments[band].merge(store(pixels[band], where, place, band, statistics=statistics))


@dataclass(frozen=True)
class Filtered:
    """One output of a filter on sources.

    Attributes
    ----------
    filtering : Filtering
    number : int
        Of the output, from 0.
    outputs : tuple of (Profile, int)
        Profile and number of planes of each output.
    """

    filtering: Filtering
    number: int
    outputs: tuple[tuple[Profile, int], ...]

    comes = COMPUTED
    in_memory = False
    by_block = False

    @property
    def label(self) -> str:
        """The filter's name."""
        return self.filtering.label

    @property
    def profile(self) -> Profile:
        """Of this output."""
        return self.outputs[self.number][0]

    @property
    def planes(self) -> int:
        """Of this output."""
        return self.outputs[self.number][1]

    @property
    def block_shape(self) -> tuple[int, int]:
        """That of the first input that is decoded."""
        sources = sources_of(self.filtering.inputs)
        return next((s.block_shape for s in sources if not s.in_memory), (1, 1))

    @property
    def nbytes(self) -> int:
        """Bytes that it would take in memory."""
        profile = self.profile
        return profile.nbytes + self.planes * profile.height * profile.width

    @property
    def files(self) -> tuple[str, ...]:
        """Those of its inputs."""
        return tuple(file for source in sources_of(self.filtering.inputs) for file in source.files)

    @property
    def images(self) -> tuple[Image, ...]:
        """Those of its inputs."""
        return tuple(
            image for source in sources_of(self.filtering.inputs) for image in source.images
        )

    @property
    def states(self) -> tuple[FileState, ...]:
        """Those of its inputs."""
        return self.filtering.states

    def tile_side(self, margin: int) -> int:
        """Hardly a pixel is computed twice, nor of the filters that it stands on."""
        wider = margin + self.filtering.declaration.margin
        below = [source.tile_side(wider) for source in sources_of(self.filtering.inputs)]
        return max([MARGINS_A_SIDE * margin, *below])

    def working_bytes(self, rows: int, cols: int) -> int:
        """A window of each output with its planes, and what it is computed from."""
        profiles = [profile for profile, _ in self.outputs]
        pixel = sum(profile.pixel_bytes + planes for profile, planes in self.outputs)
        window = Window(0, 0, rows, cols)
        return rows * cols * pixel + self.filtering.working_bytes(window, profiles)

    def identity(self, bands: Sequence[int]) -> Hashable:
        """The filter and what it stands on."""
        inputs = tuple(source.identity(()) for source in sources_of(self.filtering.inputs))
        return repr(self.filtering.declaration), inputs, self.number, tuple(bands)

    def cropped(self, window: Window) -> Part:
        """A window of it."""
        return Part(self, window, self.profile.cropped(*window))

    def described(self, profile: Profile) -> Filtered:
        """With other words."""
        outputs = list(self.outputs)
        outputs[self.number] = (profile, self.planes)
        return replace(self, outputs=tuple(outputs))

    def area(self, window: Window, state: WorkerState) -> Area:
        """A window, computed."""
        place = _new_place(window, *self.outputs[self.number])
        every = self._places(window, place)
        seen = self.filtering.fill(window, every, state, statistics=False)[self.number]
        return Area(
            place.pixels, place.planes, slice(None), window, self.profile, seen.all_valid
        )  # fmt: skip

    def fill(self, window: Window, places: list[Place], state: WorkerState) -> list[Seen]:
        """Compute into a place; what the filter's other outputs are is lost."""
        every = self._places(window, places[0])
        return [self.filtering.fill(window, every, state)[self.number]]

    def _places(self, window: Window, own: Place) -> list[Place]:
        """One for each output of the filter."""
        return [
            own if number == self.number else _new_place(window, *output)
            for number, output in enumerate(self.outputs)
        ]


def _new_place(window: Window, profile: Profile, planes: int) -> Place:
    size = window.rows, window.cols
    pixels = np.empty((profile.count, *size), profile.dtype)
    return Place(pixels, np.empty((planes, *size), np.uint8) if planes else None, profile)


def _alike(planes: Optional[np.ndarray]) -> bool:
    return planes is None or all(np.array_equal(planes[0], plane) for plane in planes[1:])


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
