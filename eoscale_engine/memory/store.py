"""The images of one engine: who still needs which, and which loaded files can be used again."""

from __future__ import annotations

import os
import shutil
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Callable, NamedTuple, Optional

from eoscale_engine.errors import EngineError, MemoryBudgetError
from eoscale_engine.memory.allocation import Memory
from eoscale_engine.memory.images import Image
from eoscale_engine.profile import Profile

MOST_KEPT = 64
"""Loaded files kept for reuse: each takes a mapping, and a file descriptor, of each worker."""


@dataclass(eq=False)
class Hold:
    """One user of an image: its memory goes when the last of its holds is released.

    Attributes
    ----------
    image : Image
        What this user has of it: all of it or a part.
    """

    image: Image
    _let_go: Callable[[Hold], None] = field(repr=False)

    def release(self) -> None:
        """Need the image no more. Twice does no harm, whoever else holds it."""
        self._let_go(self)


@dataclass
class _Loaded:
    """A file in memory; ``bands`` are the file's, in the order of the image's."""

    signature: Any
    bands: tuple[int, ...]
    hold: Hold


class Budget(NamedTuple):
    """What a run may take, in bytes.

    Attributes
    ----------
    images : int
        Of memory, for images.
    machine : int
        Of memory, for images and workers together.
    disk : int
        For images where they do not fit into memory.
    """

    images: int
    machine: int
    disk: int


class ImageStore:
    """Knows who holds which image, removes those that nobody does, keeps loaded files for reuse.

    All methods may be called from any thread. ``forget`` is told the raw files that went, so that
    workers drop their mappings.
    """

    def __init__(self, memory: Memory, forget: Callable[[Sequence[str]], None]) -> None:
        self.memory = memory
        self._forget = forget
        self._lock = memory.lock
        self._holds: dict[str, set[Hold]] = {}
        self._published: set[str] = set()
        self._loaded: OrderedDict[tuple[str, tuple[int, ...]], _Loaded] = OrderedDict()

    def allocate(
        self, profile: Profile, *, planes: int = 0, disk: Optional[bool] = None, path: str = ""
    ) -> Hold:
        """Reserve an image, held by the caller.

        ``disk`` None: in memory where it fits, else on disk; True or False: there or an error.
        """
        with self._lock:
            size = Image("", "", profile, stored_planes=planes).file_bytes
            on_disk = bool(disk)
            if not on_disk and not path:
                if not self.memory.has_recycled(size):
                    self._forget(self.memory.drop_recycled())
                self.make_room(size)
                on_disk = disk is None and size > self.memory.available()
            try:
                image = self.memory.allocate(profile, planes=planes, on_disk=on_disk, path=path)
            except MemoryBudgetError:
                # what is free was read a moment ago: others take memory too
                if disk is not None or on_disk or path:
                    raise
                image = self.memory.allocate(profile, planes=planes, on_disk=True)
            self._holds[image.raw] = set()
            return self.hold(image)

    def hold(self, image: Image) -> Hold:
        """Hold an image, or a part of it, that someone holds already."""
        with self._lock:
            if image.raw not in self._holds:
                raise EngineError("An image that was released cannot be used any more.")
            hold = Hold(image, self._release)
            self._holds[image.raw].add(hold)
            return hold

    def trim(self, hold: Hold, planes: int) -> None:
        """Keep the first planes of an image alone; the room of the others is given back."""
        trimmed = replace(hold.image, stored_planes=planes)
        if trimmed.file_bytes < hold.image.file_bytes:
            with suppress(OSError):  # some systems cut no file that is mapped
                os.truncate(trimmed.raw, trimmed.file_bytes)
        hold.image = trimmed

    def publish(self, image: Image) -> None:
        """Other programs see the image from now on: its file is never used again."""
        with self._lock:
            self._published.add(image.raw)

    def _release(self, hold: Hold) -> None:
        image = hold.image
        with self._lock:
            holds = self._holds.get(image.raw, set())
            if hold not in holds:
                return
            holds.remove(hold)
            if holds:
                return
            del self._holds[image.raw]
            recycle = image.raw not in self._published
            self._published.discard(image.raw)
            if self.memory.release(image, recycle=recycle):
                self._forget([image.raw])

    def disown(self, image: Image) -> None:
        """Leave an image's files to whoever asked for them in a folder of their own."""
        with self._lock:
            self._holds.pop(image.raw, None)
            self._published.discard(image.raw)
            self._forget([image.raw])

    # ---- loaded files

    def loaded(self, path: str, signature: Any, bands: tuple[int, ...]) -> Optional[Hold]:
        """A file's bands where they are in memory already, held by the caller."""
        with self._lock:
            for key, entry in list(self._loaded.items()):
                if key[0] != path:
                    continue
                if entry.signature != signature:  # the file changed
                    self._drop(key)
                elif set(bands) <= set(entry.bands):
                    self._loaded.move_to_end(key)
                    image = entry.hold.image
                    if bands != entry.bands:
                        places = tuple(entry.bands.index(band) + 1 for band in bands)
                        image = replace(image, bands=places)
                    return self.hold(image)
        return None

    def keep_loaded(self, path: str, signature: Any, bands: tuple[int, ...], image: Image) -> None:
        """Keep a loaded image for reuse, as long as there is room."""
        with self._lock:
            key = (path, bands)
            if key in self._loaded:
                self._drop(key)
            self._loaded[key] = _Loaded(signature, bands, self.hold(image))
            for oldest in self._idle()[: max(0, len(self._loaded) - MOST_KEPT)]:
                self._drop(oldest)

    def room(self) -> int:
        """Bytes that new images may take once all that is only kept for reuse was dropped."""
        with self._lock:
            return self.memory.available() + self._idle_bytes()

    def budget(self) -> Budget:
        """What a run may take now."""
        with self._lock:
            idle = self._idle_bytes()
            return Budget(
                self.memory.available() + idle, self.memory.machine() + self.memory.idle() + idle,
                shutil.disk_usage(self.memory.disk_folder.path).free,
            )  # fmt: skip

    def make_room(self, size: int) -> None:
        """Drop what is only kept for reuse, oldest first, until an image of this size fits.

        Where it would not fit even then, all is kept.
        """
        with self._lock:
            if self.room() < size:
                return
            for key in self._idle():
                if self.memory.available() >= size:
                    return
                self._drop(key)
                self._forget(self.memory.drop_recycled())

    def drop_idle(self) -> None:
        """Give back all that is only kept for reuse."""
        with self._lock:
            for key in list(self._loaded):
                self._drop(key)
            self._forget(self.memory.drop_recycled())

    def _idle_bytes(self) -> int:
        return sum(self._loaded[key].hold.image.file_bytes for key in self._idle())

    def _idle(self) -> list[tuple[str, tuple[int, ...]]]:
        """The loaded files that no one uses, oldest first."""
        return [
            key
            for key, entry in self._loaded.items()
            if self._holds[entry.hold.image.raw] == {entry.hold}
            and self.memory.in_memory(entry.hold.image)
        ]

    def _drop(self, key: tuple[str, tuple[int, ...]]) -> None:
        self._loaded.pop(key).hold.release()
