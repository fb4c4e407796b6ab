"""The private folders that images lie in: where they are made, who holds them, which are stale.

The *client* (plugin or script) makes a folder and holds its lock; the engine adopts it with a
second one. A folder is stale, and removed at a next start, when nobody holds either.
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

PREFIX = "eoscale-"
NEW = "new-"
NEW_SECONDS = 60.0
"""A folder without a lock is left alone this long: its client may just be making it."""

LEAST_ROOM = 256 * 1024 * 1024
"""A shared memory file system smaller than this (a container's 64 MB) is passed over."""

CLIENT, ENGINE = "client.lock", "engine.lock"


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


def _lock(path: Path) -> Optional[IO[bytes]]:
    """Lock a file for as long as the returned file is open; None where another process holds it."""
    file = path.open("ab")
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


class ImageFolder:
    """A private folder of images, held by its client or by the engine that serves it."""

    def __init__(self, path: Path, lock: IO[bytes], owner: bool) -> None:
        self.path = path
        self._lock: Optional[IO[bytes]] = lock
        self._owner = owner
        self._process = os.getpid()

    @classmethod
    def create(cls, root: str) -> ImageFolder:
        """Make a folder after removing stale ones beside it, and hold the client's lock."""
        remove_stale_folders(root)
        try:
            # locked before it gets its final name, so that nobody sweeps it away in between
            path = Path(tempfile.mkdtemp(prefix=PREFIX + NEW, dir=root))
            lock = _lock(path / CLIENT)
            if lock is None:
                raise MemoryBudgetError(f"The new folder {path} cannot be locked.")
            if sys.platform == "win32":  # a folder with an open file in it cannot be renamed
                return cls(path, lock, owner=True)
            final = path.with_name(PREFIX + path.name[len(PREFIX + NEW) :])
            path.rename(final)
        except OSError as error:
            raise MemoryBudgetError(
                f"No folder for images can be made in {root}: {error.strerror}. "
                "Set EOSCALE_MEMORY, or TMPDIR, to a folder that you can write to."
            ) from None
        return cls(final, lock, owner=True)

    @classmethod
    def adopt(cls, path: str, patience: float = 5.0) -> ImageFolder:
        """Hold a folder that a client made; waits for a dying engine to let go of it."""
        deadline = time.monotonic() + patience
        while True:
            lock = _lock(Path(path) / ENGINE)
            if lock is not None:
                return cls(Path(path), lock, owner=False)
            if time.monotonic() > deadline:
                raise MemoryBudgetError(f"Another engine still holds the folder {path}.")
            time.sleep(0.02)

    def sweep(self, kept: Iterable[str]) -> None:
        """Remove the images that an engine left when it was killed, but for those that live on.

        ``kept`` are paths of raw pixels and of GDAL faces; what GDAL put beside a face stays too.
        """
        names = {Path(path).name for path in kept}
        for path in self.path.iterdir():
            known = any(path.name == name or path.name.startswith(name + ".") for name in names)
            if not known and path.name not in (CLIENT, ENGINE) and path.is_file():
                path.unlink(missing_ok=True)

    def client_is_gone(self) -> bool:
        """Whether the client that made the folder does not hold it any more."""
        if not (self.path / CLIENT).exists():
            return not self.path.exists()
        lock = _lock(self.path / CLIENT)
        if lock is not None:
            lock.close()
        return lock is not None

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


def remove_stale_folders(root: str) -> list[str]:
    """Remove this user's image folders in ``root`` that no process holds; returns their names."""
    removed = []
    for path in Path(root).glob(PREFIX + "*"):
        held = []
        try:
            state = path.lstat()
            age = time.time() - state.st_mtime
            young = path.name.startswith(PREFIX + NEW) and age < NEW_SECONDS
            foreign = hasattr(os, "getuid") and state.st_uid != os.getuid()
            if young or foreign or path.is_symlink() or not path.is_dir():
                continue
            for name in (CLIENT, ENGINE):
                lock = _lock(path / name)
                if lock is None:
                    break
                held.append(lock)
            else:
                shutil.rmtree(path, ignore_errors=True)
                removed.append(path.name)
        except OSError:  # swept by another process meanwhile
            continue
        finally:
            for lock in held:
                lock.close()
        if path.name in removed:
            shutil.rmtree(path, ignore_errors=True)
    return removed
