"""Room for images: reserved before it is used, given back, and kept for the next of its size."""

from __future__ import annotations

import errno
import math
import os
import secrets
import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Optional

from eoscale_engine.errors import MemoryBudgetError
from eoscale_engine.memory.folder import ImageFolder
from eoscale_engine.memory.free_memory import free_bytes, machine_bytes
from eoscale_engine.memory.images import Image
from eoscale_engine.profile import Profile
from eoscale_engine.raster_files.gdal_profile import BandStatistics
from eoscale_engine.raster_files.vrt import vrt_face

ASKED_SECONDS = 0.005
"""How old what the machine says of its memory may be: less than the time a large image takes."""


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
        self._machine, self._asked = 0, -math.inf
        self._recycled: dict[int, list[str]] = {}
        self._held: list[str] = []

    def used(self) -> int:
        """Bytes of images in memory, with those of an earlier engine and those kept for later."""
        return sum(map(_size, self.folder.path.glob("*.raw")))

    def available(self) -> int:
        """Bytes that new images may take: free memory, cgroup, folder and the user's limit."""
        room = free_bytes(self.folder.path, machine=self.machine())
        if self.limit:
            room = min(room, max(0, self.limit - self.used()))
        return room + self.idle()

    def machine(self) -> int:
        """Bytes that the machine can give, as it said some milliseconds ago at most.

        A run asks several times, and each answer takes a third of a millisecond.
        """
        now = time.monotonic()
        if now - self._asked > ASKED_SECONDS:
            self._machine, self._asked = machine_bytes(), now
        return self._machine

    def idle(self) -> int:
        """Bytes of files that are kept for the next image of their size."""
        with self.lock:
            return sum(size * len(files) for size, files in self._recycled.items())

    def allocate(
        self, profile: Profile, *, planes: int = 0, on_disk: bool = False, path: str = ""
    ) -> Image:
        """Reserve an image; its pixels are undefined until written.

        Raises :class:`MemoryBudgetError` where there is no room. ``path`` puts the pixels there, on
        a disk (for results that must lie in a given folder).
        """
        self._number += 1
        token = f"{self._run}-{self._number:06d}"
        on_disk = on_disk or bool(path)
        image = Image(f"image-{token}", path, profile, stored_planes=planes, on_disk=on_disk)
        size = image.file_bytes
        if not on_disk and self._recycled.get(size):
            return replace(image, raw=self._recycled[size].pop())
        if not on_disk and size > self.available():
            raise MemoryBudgetError(
                f"An image of {size / 1e6:.0f} MB does not fit: {self.available() / 1e6:.0f} MB of "
                "memory are free for images. Free some (in QGIS by 'Free memory'), choose an "
                "extent, or allow images more memory."
            )
        folder = self.disk_folder if on_disk else self.folder
        image = replace(image, raw=path or str(folder.path / f"pixels-{token}.raw"))
        try:
            _reserve(image.raw, size)
        except OSError as error:
            if error.errno != errno.EEXIST:
                Path(image.raw).unlink(missing_ok=True)
            raise MemoryBudgetError(
                f"An image of {size / 1e6:.0f} MB cannot be made in '{Path(image.raw).parent}': "
                f"{error.strerror}. Free some space there, or choose another folder."
            ) from None
        return image

    def face(
        self, image: Image, statistics: Optional[Sequence[BandStatistics]] = None, path: str = ""
    ) -> str:
        """Write the image's GDAL face beside its pixels; returns the path of the VRT."""
        vrt = Path(path) if path else Path(image.raw).with_name(image.name + ".vrt")
        text = vrt_face(image.stored, Path(image.raw).name, statistics, planes=image.stored_planes)
        new = vrt.with_name(vrt.name + ".new")
        try:
            new.write_text(text, encoding="utf-8")
            new.replace(vrt)
        except OSError as error:
            new.unlink(missing_ok=True)
            raise MemoryBudgetError(
                f"'{vrt}' cannot be written: {error.strerror}. Free some space there."
            ) from None
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
