"""Images in shared memory: sources and targets that every process maps.

An image is a file of raw band-sequential pixels that every process maps, in a private folder in the
operating system's shared memory (or on disk where there is none or too little). Beside it lies its
GDAL face, a VRT, so that the same bytes are a NumPy array and a raster for every other program.
"""

from __future__ import annotations

import errno
import mmap
import sys
from collections import OrderedDict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from typing import Optional

import numpy as np

from eoscale_engine.errors import MemoryBudgetError
from eoscale_engine.images.area import Area, all_valid_in, band_index
from eoscale_engine.images.source import IN_MEMORY, ON_DISK, Place, Seen, WorkerState
from eoscale_engine.profile import Profile
from eoscale_engine.tiling import Window

POPULATE_WRITE = 23
"""``MADV_POPULATE_WRITE`` (Linux 5.14 and newer): maps pages at once, not one fault at a time."""


MOST_MAPPED = 256
"""Images that a process keeps mapped: each takes a file descriptor, of which systems give 1024."""


@dataclass(frozen=True)
class Image:
    """A handle on an image in memory, cheap to send to a worker: a source and a target.

    ``raw`` is the file of pixels, ``stored`` the profile of all that is in it; ``bands`` (numbers
    from 1) and ``window`` choose a part, without a copy. Behind the pixels lie ``stored_planes``:
    none, one for all bands, or one for each, of bytes: 0 where pixels are invalid. ``all_valid``
    says that every pixel is known to be valid, ``on_disk`` that it did not fit into memory, or had
    to lie elsewhere.
    """

    name: str
    raw: str
    stored: Profile
    bands: Optional[tuple[int, ...]] = None
    window: Optional[Window] = None
    stored_planes: int = 0
    all_valid: bool = False
    on_disk: bool = False

    label = "Copying"
    in_memory = True
    block_shape = (1, 1)
    by_block = True
    files = ()
    states = ()

    @property
    def comes(self) -> str:
        """By where it lies."""
        return ON_DISK if self.on_disk else IN_MEMORY

    @property
    def images(self) -> tuple[Image, ...]:
        """Itself."""
        return (self,)

    @property
    def profile(self) -> Profile:
        """The profile of the chosen part."""
        profile = self.stored if self.bands is None else self.stored.selected(self.bands)
        return profile if self.window is None else profile.cropped(*self.window)

    @property
    def planes(self) -> int:
        """Of the chosen bands."""
        if self.stored_planes <= 1 or self.bands is None:
            return self.stored_planes
        return len(self.bands)

    @property
    def file_bytes(self) -> int:
        """Size of the file of pixels, with its planes."""
        return self.stored.nbytes + self.stored_planes * self.stored.height * self.stored.width

    nbytes = file_bytes

    def tile_side(self, margin: int) -> int:
        """Any: what lies in memory is read where it is."""
        return 1

    def working_bytes(self, rows: int, cols: int) -> int:
        """None: it is mapped."""
        return 0

    def identity(self, bands: Sequence[int]) -> Hashable:
        """The file of pixels, the window, and the bands in that file."""
        every = self.bands or tuple(range(1, self.stored.count + 1))
        return self.raw, tuple(every[number - 1] for number in bands) or every, self.window

    def cropped(self, window: Window) -> Image:
        """A window of it, without a copy."""
        outer = self.window or Window(0, 0, 0, 0)
        moved = window._replace(row=window.row + outer.row, col=window.col + outer.col)
        return replace(self, window=moved)

    def described(self, profile: Profile) -> Image:
        """With the CRS, geotransform and nodata values of a profile."""
        stored, own = replace(self.stored, crs=profile.crs), self.profile
        if profile.bands != own.bands:
            bands = dict(enumerate(stored.bands, 1))
            bands.update(zip(self.bands or bands, profile.bands))
            stored = replace(stored, bands=tuple(bands.values()))
        if profile.transform is not None and profile.transform != own.transform:
            window = self.window or Window(0, 0, 0, 0)
            stored = replace(stored, transform=profile.transform.shifted(-window.row, -window.col))
        return replace(
            self, stored=stored, all_valid=self.all_valid and stored.bands == self.stored.bands
        )

    def area(self, window: Window, state: WorkerState) -> Area:
        """All of it, mapped."""
        every_band, mappings = replace(self, bands=None), state.of(Mappings)
        profile = self.profile
        whole = Window(0, 0, profile.height, profile.width)
        pixels, planes = mappings.array(every_band), mappings.planes(every_band)
        return Area(pixels, planes, band_index(self.bands), whole, profile, self.all_valid)

    def fill(self, window: Window, places: list[Place], state: WorkerState) -> list[Seen]:
        """Copy pixels and planes."""
        area, place = self.area(window, state), places[0]
        np.copyto(place.pixels, area.pixels[(area.bands, *window.slices)])
        if place.planes is not None and area.planes is not None:
            chosen = area.bands if len(area.planes) > 1 else slice(None)
            np.copyto(place.planes, area.planes[(chosen, *window.slices)])
        return [Seen(self.all_valid or all_valid_in(*place[:2], place.profile.bands))]

    def place(self, window: Window, state: WorkerState) -> Place:
        """Where the pixels of a window go, mapped for writing."""
        mappings = state.of(Mappings)
        mappings.populate(self, window)
        pixels, planes = mappings.array(self, writable=True), mappings.planes(self, writable=True)
        return Place(pixels, planes, self.profile).part(window)


@dataclass
class Mappings:
    """The images that this process has mapped; kept from job to job until told to forget.

    Of more than :data:`MOST_MAPPED` those that were not used for longest are dropped.
    """

    _maps: OrderedDict[str, mmap.mmap] = field(default_factory=OrderedDict)

    def _map(self, image: Image) -> mmap.mmap:
        mapped = self._maps.get(image.raw)
        if mapped is None:
            mapped = self._mapped_anew(image)
            self._maps[image.raw] = mapped
            if len(self._maps) > MOST_MAPPED:
                self._maps.popitem(last=False)
        else:
            self._maps.move_to_end(image.raw)
        return mapped

    def _mapped_anew(self, image: Image) -> mmap.mmap:
        try:
            return _mapped(image)
        except OSError as error:
            if error.errno != errno.EMFILE:
                raise
        self._maps.clear()  # those that an array needs stay
        try:
            return _mapped(image)
        except OSError as error:
            raise MemoryBudgetError(
                "There are more images than files that a process may have open here "
                f"({error.strerror}). Raise that limit (ulimit -n), or use fewer images at once."
            ) from None

    def array(self, image: Image, *, writable: bool = False) -> np.ndarray:
        """The image's pixels ``(bands, rows, cols)``; a view, no copy for a run of bands."""
        stored = image.stored
        mapped = self._map(image)
        count = stored.count * stored.height * stored.width
        pixels = np.frombuffer(mapped, stored.dtype, count).reshape(stored.shape)
        if image.bands is not None:
            pixels = pixels[band_index(image.bands)]
        if image.window is not None:
            pixels = pixels[(slice(None), *image.window.slices)]
        pixels.flags.writeable = writable
        return pixels

    def planes(self, image: Image, *, writable: bool = False) -> Optional[np.ndarray]:
        """Where an image is valid, bytes of ``(1 or bands, rows, cols)``; None if without."""
        stored, count = image.stored, image.stored_planes
        if not count:
            return None
        shape = (count, stored.height, stored.width)
        planes = np.frombuffer(self._map(image), np.uint8, int(np.prod(shape)), stored.nbytes)
        planes = planes.reshape(shape)
        if image.bands is not None and count > 1:
            planes = planes[band_index(image.bands)]
        if image.window is not None:
            planes = planes[(slice(None), *image.window.slices)]
        planes.flags.writeable = writable
        return planes

    def populate(self, image: Image, window: Window) -> None:
        """Map the pages of a window's rows at once, where the system can."""
        if not hasattr(mmap.mmap, "madvise") or not sys.platform.startswith("linux"):
            return
        mapped = self._map(image)
        stored = image.stored
        row_bytes = stored.width * np.dtype(stored.dtype).itemsize
        for band in range(stored.count):
            start = (band * stored.height + window.row) * row_bytes
            aligned = start // mmap.PAGESIZE * mmap.PAGESIZE
            try:
                mapped.madvise(POPULATE_WRITE, aligned, start + window.rows * row_bytes - aligned)
            except (OSError, ValueError):  # an older kernel: pages come one by one
                return

    def forget(self, raw: str) -> None:
        """Drop a mapping; the memory goes when the last array on it goes."""
        self._maps.pop(raw, None)


def _mapped(image: Image) -> mmap.mmap:
    with open(image.raw, "r+b") as file:
        return mmap.mmap(file.fileno(), image.file_bytes)
