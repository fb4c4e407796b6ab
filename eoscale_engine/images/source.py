"""Where pixels come from and where they go: the two protocols that hold the engine together.

A *source* is an image that is read by windows: one in memory, a raster file, a filter on sources.
A *target* takes tiles, in any order, from any worker. Both are values that travel to workers. A
kind lives in a module of its own, and no other module asks which kind it has.

Validity is one thing, nodata another. A source says where its pixels are invalid in any of three
ways: NaN, a band's nodata value, and *planes*, which are masks of bytes: none, one for all bands,
or one for each band.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, NamedTuple, Optional, Protocol, TypeVar

import numpy as np

from eoscale_engine.images.area import Area
from eoscale_engine.images.moments import Moments
from eoscale_engine.profile import Profile, can_hold
from eoscale_engine.tiling import Window

if TYPE_CHECKING:
    from eoscale_engine.memory.images import Image
    from eoscale_engine.raster_files.signature import FileState

Kept = TypeVar("Kept")

IN_MEMORY, ON_DISK = "in memory", "in files on disk"
"""Where images lie; what lies on disk is mapped like memory."""

READ, COMPUTED = "read in place", "computed as it is read"
"""How pixels of other sources come."""


@dataclass
class WorkerState:
    """What a worker keeps between tasks, by its kind: mapped images, open files."""

    _kept: dict[Any, Any] = field(default_factory=dict)

    def of(self, kind: Callable[[], Kept]) -> Kept:
        """What is kept of a kind, made when it is asked for first."""
        if kind not in self._kept:
            self._kept[kind] = kind()
        found: Kept = self._kept[kind]
        return found


class Place(NamedTuple):
    """Where the pixels of a window are written.

    Attributes
    ----------
    pixels : array of (bands, rows, cols)
    planes : bytes of (1 or bands, rows, cols), or None
        Where pixels are valid, beside nodata.
    profile : Profile
        Of the target, whose nodata values invalid pixels get.
    """

    pixels: np.ndarray
    planes: Optional[np.ndarray]
    profile: Profile

    def part(self, window: Window) -> Place:
        """The place of a window of this one."""
        inside = (slice(None), *window.slices)
        planes = None if self.planes is None else self.planes[inside]
        return Place(self.pixels[inside], planes, self.profile)


class Seen(NamedTuple):
    """What was noticed of pixels on their way to a target.

    Attributes
    ----------
    all_valid : bool
    moments : tuple of Moments
        Of each band; none where nobody looked at the values.
    alike : bool
        Whether all bands are valid in the same places.
    """

    all_valid: bool
    moments: tuple[Moments, ...] = ()
    alike: bool = True


class Filling(Protocol):
    """What can fill places of one or more targets with the pixels of a window."""

    @property
    def label(self) -> str:
        """What it does, in words."""

    @property
    def states(self) -> tuple[FileState, ...]:
        """Files behind its pixels, as they were when it was described."""

    def fill(self, window: Window, places: list[Place], state: WorkerState) -> list[Seen]:
        """Fill the place of a window in each target."""


class Source(Filling, Protocol):
    """An image that is read by windows."""

    @property
    def profile(self) -> Profile:
        """Of the chosen part."""

    @property
    def planes(self) -> int:
        """How many planes say where pixels are valid: 0, 1 for all bands, or one a band."""

    @property
    def comes(self) -> str:
        """How its pixels come, in words."""

    @property
    def in_memory(self) -> bool:
        """Whether reading costs nothing: what is read is a view."""

    @property
    def block_shape(self) -> tuple[int, int]:
        """Rows and columns of its own blocks: windows that keep to them are read fastest."""

    @property
    def by_block(self) -> bool:
        """Whether windows of whole blocks have nothing in common that would be done twice."""

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in memory, with its planes."""

    @property
    def files(self) -> tuple[str, ...]:
        """Files that are still to be read."""

    @property
    def images(self) -> tuple[Image, ...]:
        """Images in memory that it needs, for as long as it is used."""

    def tile_side(self, margin: int) -> int:
        """Least side of a tile for whose margins little is done twice."""

    def working_bytes(self, rows: int, cols: int) -> int:
        """Bytes that a window of this size takes of a worker's memory, at most."""

    def identity(self, bands: Sequence[int]) -> Hashable:
        """The same for the same pixels of some of its bands (numbers from 1; none: all)."""

    def cropped(self, window: Window) -> Source:
        """A window of it."""

    def described(self, profile: Profile) -> Source:
        """The same pixels with other words: nodata values, CRS, geotransform."""

    def area(self, window: Window, state: WorkerState) -> Area:
        """The pixels of at least a window, and where they are valid."""


class Target(Protocol):
    """What takes tiles, in any order, from any worker."""

    @property
    def profile(self) -> Profile:
        """Of what is written."""

    def place(self, window: Window, state: WorkerState) -> Place:
        """Where the pixels of a window go."""


Inputs = tuple[tuple[str, tuple[Source, ...]], ...]
"""The sources of each role, in the order of the declaration's inputs."""


def sources_of(inputs: Inputs) -> list[Source]:
    """All sources, in order."""
    return [source for _, several in inputs for source in several]


def may_be_invalid(source: Source) -> list[bool]:
    """For each band, whether it may hold invalid pixels: by what it says, not by its pixels."""
    profile = source.profile
    always = source.planes > 0 or not profile.dtype.startswith(("int", "uint"))
    return [
        always or (band.nodata is not None and can_hold(profile.dtype, band.nodata))
        for band in profile.bands
    ]
