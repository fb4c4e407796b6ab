"""Images in shared memory: allocate, attach, publish, release.

An image is a file of raw band-sequential pixels that every process maps, in a private folder in the
operating system's shared memory (or on disk where there is none or too little). Beside it lies its
GDAL face, a VRT, so that the same bytes are a NumPy array and a raster for every other program.
"""

from __future__ import annotations

import errno
import mmap
import os
import secrets
import shutil
import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Optional

import numpy as np

from eoscale_engine.errors import MemoryBudgetError
from eoscale_engine.memory.folder import ImageFolder
from eoscale_engine.memory.free_memory import free_bytes
from eoscale_engine.profile import Profile
from eoscale_engine.raster_files.reading import BandStatistics, vrt_face
from eoscale_engine.tiling import Window

POPULATE_WRITE = 23
"""``MADV_POPULATE_WRITE`` (Linux 5.14 and newer): maps pages at once, not one fault at a time."""


MOST_MAPPED = 256
"""Images that a process keeps mapped: each takes a file descriptor, of which systems give 1024."""

# ---------------------------------------------------------------- an image and its mapping


@dataclass(frozen=True)
class Image:
    """A handle on an image in memory, cheap to send to a worker.

    ``raw`` is the file of pixels, ``stored`` the profile of all that is in it; ``bands`` (numbers
    from 1) and ``window`` choose a part, without a copy. ``masked`` images have a plane of bytes
    behind the pixels: 1 where valid. ``all_valid`` says that every pixel is known to be valid.
    """

    name: str
    raw: str
    stored: Profile
    bands: Optional[tuple[int, ...]] = None
    window: Optional[Window] = None
    masked: bool = False
    all_valid: bool = False

    @property
    def profile(self) -> Profile:
        """The profile of the chosen part."""
        profile = self.stored if self.bands is None else self.stored.selected(self.bands)
        return profile if self.window is None else profile.cropped(*self.window)

    @property
    def file_bytes(self) -> int:
        """Size of the file of pixels, with its mask."""
        return self.stored.nbytes + self.masked * self.stored.height * self.stored.width


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
            pixels = pixels[_band_index(image.bands)]
        if image.window is not None:
            pixels = pixels[(slice(None), *image.window.slices)]
        pixels.flags.writeable = writable
        return pixels

    def mask(self, image: Image, *, writable: bool = False) -> Optional[np.ndarray]:
        """Where a masked image is valid, ``(rows, cols)`` of bytes; None for other images."""
        if not image.masked:
            return None
        stored = image.stored
        mask = np.frombuffer(
            self._map(image), np.uint8, stored.height * stored.width, stored.nbytes
        ).reshape(stored.height, stored.width)
        if image.window is not None:
            mask = mask[image.window.slices]
        mask.flags.writeable = writable
        return mask

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


def _band_index(bands: Sequence[int]) -> Any:
    """A slice where the bands follow each other (a view), else a list (a copy)."""
    first, count = bands[0] - 1, len(bands)
    if list(bands) == list(range(bands[0], bands[0] + count)):
        return slice(first, first + count)
    return [band - 1 for band in bands]


# ---------------------------------------------------------------- allocation and release


class Memory:
    """Allocates and releases the images of one engine.

    Only what is free may be asked from any thread; all else while ``lock`` is held.

    Parameters
    ----------
    folder, disk_folder : ImageFolder
        Where images lie in memory, and on disk when they are too large for it.
    limit : int
        Most bytes that images may take in memory; 0 for what the machine has.
    """

    def __init__(self, folder: ImageFolder, disk_folder: ImageFolder, limit: int = 0) -> None:
        self.folder = folder
        self.disk_folder = disk_folder
        self.limit = limit
        self.lock = threading.RLock()
        # names in a folder are never used again, by an engine that adopts it neither
        self._run = secrets.token_hex(4)
        self._number = 0
        self._recycled: dict[int, list[str]] = {}
        self._held: list[str] = []

    def used(self) -> int:
        """Bytes of images in memory, with those of an earlier engine and those kept for later."""
        return sum(map(_size, self.folder.path.glob("*.raw")))

    def available(self) -> int:
        """Bytes that new images may take: free memory, cgroup, folder and the user's limit."""
        with self.lock:
            idle = sum(size * len(files) for size, files in self._recycled.items())
        room = free_bytes(self.folder.path)
        if self.limit:
            room = min(room, max(0, self.limit - self.used()))
        return room + idle

    def allocate(
        self, profile: Profile, *, masked: bool = False, on_disk: bool = False, path: str = ""
    ) -> Image:
        """Reserve an image; its pixels are undefined until written.

        Raises :class:`MemoryBudgetError` where there is no room. ``path`` puts the pixels there, on
        a disk (for results that must lie in a given folder).
        """
        self._number += 1
        token = f"{self._run}-{self._number:06d}"
        image = Image(f"image-{token}", path, profile, masked=masked)
        size = image.file_bytes
        if not path and not on_disk and self._recycled.get(size):
            return replace(image, raw=self._recycled[size].pop())
        if not path and not on_disk and size > self.available():
            raise MemoryBudgetError(
                f"An image of {size / 1e6:.0f} MB does not fit: {self.available() / 1e6:.0f} MB "
                "are free in memory. Release images, raise the memory budget, or work on disk."
            )
        folder = self.disk_folder if on_disk else self.folder
        image = replace(image, raw=path or str(folder.path / f"pixels-{token}.raw"))
        try:
            _reserve(image.raw, size)
        except OSError as error:
            if error.errno != errno.EEXIST:
                Path(image.raw).unlink(missing_ok=True)
            raise MemoryBudgetError(
                f"An image of {size / 1e6:.0f} MB cannot be made in {Path(image.raw).parent}: "
                f"{error.strerror}. Free some space there, or choose another folder."
            ) from None
        return image

    def face(
        self, image: Image, statistics: Optional[Sequence[BandStatistics]] = None, path: str = ""
    ) -> str:
        """Write the image's GDAL face beside its pixels; returns the path of the VRT."""
        vrt = Path(path) if path else Path(image.raw).with_name(image.name + ".vrt")
        text = vrt_face(image.stored, Path(image.raw).name, statistics, masked=image.masked)
        new = vrt.with_name(vrt.name + ".new")
        try:
            new.write_text(text, encoding="utf-8")
            new.replace(vrt)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise MemoryBudgetError(f"{vrt} cannot be written: {error.strerror}.") from None
        return str(vrt)

    def in_memory(self, image: Image) -> bool:
        """Whether an image lies in memory, not on a disk."""
        return Path(image.raw).parent == self.folder.path

    def release(self, image: Image, *, recycle: bool = False) -> bool:
        """Give an image back; returns whether its file is gone.

        ``recycle`` keeps the file for the next image of its size: only for images that no other
        program has seen.
        """
        for leftover in Path(image.raw).parent.glob(image.name + ".vrt*"):
            self._remove(str(leftover))
        size = image.file_bytes
        if recycle and self.in_memory(image) and not self._recycled.get(size):
            self._recycled[size] = [image.raw]
            return False
        self._remove(image.raw)
        return True

    def has_recycled(self, size: int) -> bool:
        """Whether a file of this size is kept for the next image."""
        return bool(self._recycled.get(size))

    def drop_recycled(self) -> list[str]:
        """Remove the files that were kept for later; returns their paths."""
        files = [raw for files in self._recycled.values() for raw in files]
        self._recycled.clear()
        for raw in files:
            self._remove(raw)
        return files

    def _remove(self, path: str) -> None:
        """Remove a file, or try again later where the system keeps what a process has mapped."""
        if self.folder.forked():
            return
        waiting, self._held = [*self._held, path], []
        for file in waiting:
            try:
                Path(file).unlink(missing_ok=True)
            except PermissionError:
                self._held.append(file)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # a client removes the images of an engine that was killed
        return 0


def _reserve(path: str, size: int) -> None:
    """Make a private file of this size whose pages are there: no SIGBUS at the first write."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, size)
        else:
            if shutil.disk_usage(Path(path).parent).free < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.ftruncate(file, size)
    finally:
        os.close(file)
