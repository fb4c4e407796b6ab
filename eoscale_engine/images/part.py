"""A window of a source as a source of its own."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from eoscale_engine.images.area import Area
from eoscale_engine.images.source import Place, Seen, Source, WorkerState
from eoscale_engine.profile import Profile
from eoscale_engine.tiling import Window

if TYPE_CHECKING:
    from eoscale_engine.memory.images import Image
    from eoscale_engine.raster_files.signature import FileState


@dataclass(frozen=True)
class Part:
    """A window of a source, which ends at the window's edge."""

    source: Source
    window: Window
    profile: Profile

    in_memory = False

    @property
    def label(self) -> str:
        """What reading it does."""
        return self.source.label

    @property
    def comes(self) -> str:
        """As of the whole."""
        return self.source.comes

    @property
    def planes(self) -> int:
        """As of the whole."""
        return self.source.planes

    @property
    def block_shape(self) -> tuple[int, int]:
        """As of the whole."""
        return self.source.block_shape

    @property
    def by_block(self) -> bool:
        """Only where the window begins with a block."""
        rows, cols = self.block_shape
        return self.source.by_block and not (self.window.row % rows or self.window.col % cols)

    @property
    def nbytes(self) -> int:
        """Bytes of the window in memory."""
        return self.profile.nbytes + self.planes * self.window.rows * self.window.cols

    @property
    def files(self) -> tuple[str, ...]:
        """As of the whole."""
        return self.source.files

    @property
    def states(self) -> tuple[FileState, ...]:
        """As of the whole."""
        return self.source.states

    @property
    def images(self) -> tuple[Image, ...]:
        """As of the whole."""
        return self.source.images

    def tile_side(self, margin: int) -> int:
        """As of the whole."""
        return self.source.tile_side(margin)

    def working_bytes(self, rows: int, cols: int) -> int:
        """As of the whole."""
        return self.source.working_bytes(rows, cols)

    def identity(self, bands: Sequence[int]) -> Hashable:
        """The whole's, and the window."""
        return self.source.identity(bands), self.window

    def cropped(self, window: Window) -> Part:
        """A window of the window."""
        return Part(self.source, self._whole(window), self.profile.cropped(*window))

    def described(self, profile: Profile) -> Part:
        """With other words."""
        return replace(self, profile=profile)

    def area(self, window: Window, state: WorkerState) -> Area:
        """The whole's, counted from the window's corner."""
        found = self.source.area(self._whole(window), state)
        return replace(found, window=found.window.relative_to(self.window), profile=self.profile)

    def fill(self, window: Window, places: list[Place], state: WorkerState) -> list[Seen]:
        """As the whole does."""
        return self.source.fill(self._whole(window), places, state)

    def _whole(self, window: Window) -> Window:
        row, col = window.row + self.window.row, window.col + self.window.col
        return window._replace(row=row, col=col)
