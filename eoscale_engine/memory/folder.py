"""The private folders that images lie in: where they are made, and who holds them.

The *client* (plugin or script) makes a folder and holds its lock; the engine adopts it with a
second one. A folder is stale, and removed at a next start, when nobody holds either (see
:mod:`eoscale_engine.own_folders`).
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import IO, Optional

from eoscale_engine.errors import MemoryBudgetError
from eoscale_engine.own_folders import (
    CLIENT,
    ENGINE,
    MARK,
    lock,
    make_folder,
    remove_stale_folders,
)

PREFIX = "eoscale-"
NAMES = ("pixels-*.raw", "image-*.vrt*", "aligned-*.vrt*")
"""What lies in a folder: pixels, their GDAL faces and what GDAL puts beside those."""

LEAST_ROOM = 256 * 1024 * 1024
"""A shared memory file system smaller than this (a container's 64 MB) is passed over."""


def shared_memory_root() -> str:
    """Where images in memory lie: ``EOSCALE_MEMORY``, else shared memory, else a disk."""
    chosen = os.environ.get("EOSCALE_MEMORY")
    if chosen:
        return chosen
    shared = "/dev/shm"  # nosec B108 - a 0700 folder with a random name is made in it
    if sys.platform.startswith("linux") and os.access(shared, os.W_OK | os.X_OK):
        state = os.statvfs(shared)
        if state.f_frsize * state.f_blocks >= LEAST_ROOM:
            return shared
    return disk_root()


def disk_root() -> str:
    """Where images lie that do not fit into memory: the temporary folder, if that is on a disk.

    Many Linux systems have ``/tmp`` in memory: what went there would not spare any.
    """
    persistent = "/var/tmp"  # nosec B108 - a 0700 folder with a random name is made in it
    chosen = any(os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP"))
    if sys.platform.startswith("linux") and not chosen and os.access(persistent, os.W_OK | os.X_OK):
        return persistent
    return tempfile.gettempdir()


class ImageFolder:
    """A private folder of images, held by its client or by the engine that serves it."""

    def __init__(self, path: Path, held: IO[bytes], owner: bool) -> None:
        self.path = path
        self._lock: Optional[IO[bytes]] = held
        self._owner = owner
        self._process = os.getpid()

    @classmethod
    def create(cls, root: str) -> ImageFolder:
        """Make a folder after removing stale ones beside it, and hold the client's lock."""
        remove_stale_folders(root, PREFIX)
        try:
            path, held = make_folder(root, PREFIX, NAMES)
        except OSError as error:
            raise MemoryBudgetError(
                f"No folder for images can be made in '{root}': {error.strerror}. Set "
                "EOSCALE_MEMORY, or TMPDIR, to a folder that you can write to."
            ) from None
        if held is None:
            shutil.rmtree(path, ignore_errors=True)
            raise MemoryBudgetError(
                f"The new folder '{path}' cannot be locked. Set EOSCALE_MEMORY, or TMPDIR, to a "
                "folder on a local disk."
            )
        return cls(path, held, owner=True)

    @classmethod
    def adopt(cls, path: str, patience: float = 5.0) -> ImageFolder:
        """Hold a folder that a client made; waits for a dying engine to let go of it."""
        deadline = time.monotonic() + patience
        while True:
            held = lock(Path(path) / ENGINE)
            if held is not None:
                return cls(Path(path), held, owner=False)
            if time.monotonic() > deadline:
                raise MemoryBudgetError(
                    f"Another engine still holds the folder '{path}'. Run again in a moment."
                )
            time.sleep(0.02)

    def sweep(self, kept: Iterable[str]) -> None:
        """Remove the images that an engine left when it was killed, but for those that live on.

        ``kept`` are paths of raw pixels and of GDAL faces; what GDAL put beside a face stays too.
        """
        names = {Path(path).name for path in kept}
        for path in self.path.iterdir():
            known = any(path.name == name or path.name.startswith(name + ".") for name in names)
            if not known and path.name not in (MARK, CLIENT, ENGINE) and path.is_file():
                path.unlink(missing_ok=True)

    def client_is_gone(self) -> bool:
        """Whether the client that made the folder does not hold it any more."""
        if not (self.path / CLIENT).exists():
            return not self.path.exists()
        held = lock(self.path / CLIENT)
        if held is not None:
            held.close()
        return held is not None

    def forked(self) -> bool:
        """Whether this is a forked child of the process that holds it: its images are not ours."""
        return self._process != os.getpid()

    def close(self, *, remove: Optional[bool] = None) -> None:
        """Let go; the owner removes the folder with all that is in it."""
        if self._lock is None or self.forked():
            return
        removed = self._owner if remove is None else remove
        if removed:
            shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()
        self._lock = None
        if removed:  # where the system does not remove a file that is open
            shutil.rmtree(self.path, ignore_errors=True)


def make_folders() -> tuple[ImageFolder, ImageFolder]:
    """A client's folders: in shared memory, and on disk for what does not fit there."""
    memory = ImageFolder.create(shared_memory_root())
    try:
        return memory, ImageFolder.create(disk_root())
    except MemoryBudgetError:
        memory.close()
        raise
