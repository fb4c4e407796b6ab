"""The client of the engine process: what QGIS and scripts talk to. Imports no multiprocessing."""

from __future__ import annotations

import atexit
import errno
import glob
import os
import shutil
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional

from eoscale_engine.errors import Cancelled, MemoryBudgetError, ServiceError
from eoscale_engine.memory.folder import ImageFolder, make_folders
from eoscale_engine.service.engine import EngineProcess, Log
from eoscale_engine.service.interpreter import Interpreter, find_interpreter

ON_DISK = "-on-disk"
"""What the name of an image's copy on disk ends in."""


def _ignore(*_: object) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class EngineOptions:
    """How the engine runs. Zero and empty: found or chosen by itself."""

    interpreter: str = ""
    workers: int = 0
    memory_mb: int = 0
    tile_size: int = 0


@dataclass
class _Published:
    """An image in memory that the client was given; ``owner`` is the engine that counts it."""

    owner: Any
    raw: str
    vrt: str
    references: int = 0


class EngineClient:
    """Starts an engine process when it is needed, again when it died, and runs jobs in it.

    Where no Python for it is found, jobs run in the calling thread, slower; ``inline`` says why.
    """

    def __init__(self, options: Optional[EngineOptions] = None, log: Log = _ignore) -> None:
        self._options = options or EngineOptions()
        self._log = log
        self._lock = threading.RLock()
        self._one_inline = threading.Lock()
        self._folders: tuple[ImageFolder, ...] = make_folders()
        self._engine: Optional[EngineProcess] = None
        self._interpreter: Optional[Interpreter] = None
        self._inline: Any = None
        self._published: dict[str, _Published] = {}
        self._closed = False
        self._process = os.getpid()
        self.inline = ""
        atexit.register(self.close)

    @property
    def folder(self) -> str:
        """The private folder of images in memory."""
        return str(self._folders[0].path)

    @property
    def pid(self) -> int:
        """The engine process's number; 0 where none was started."""
        return 0 if self._engine is None else self._engine.pid

    def run(
        self,
        job: Mapping[str, Any],
        progress: Callable[[float], None] = _ignore,
        log: Callable[[str, str], None] = _ignore,
        cancelled: Callable[[], bool] = lambda: False,
    ) -> dict[str, Any]:
        """Run a job and wait for it; the callbacks are called in this thread.

        Raises an :class:`~eoscale_engine.errors.EngineError` of the engine's kind:
        ``Cancelled`` within a second or so, ``ServiceError`` where the engine ended unexpectedly.
        """
        engine = self._ready()
        if engine is None:
            log("warning", self.inline)
            return self._run_inline(job, progress, log, cancelled)
        result = engine.run(job, progress, log, cancelled)
        for image in result["images"].values():
            if image["name"]:
                self._count(image["name"], engine, image["raw"], image["vrt"])
        return result

    def release(self, names: Iterable[str]) -> None:
        """Give back images in memory. Those of an engine that died are removed here."""
        if self._process != os.getpid():
            return
        with self._lock:
            for name in names:
                image = self._published.get(name)
                if image is None:
                    continue
                image.references -= 1
                told = image.owner.release(name)
                if image.references > 0:
                    continue
                del self._published[name]
                if not told:
                    for path in (image.raw, *glob.glob(glob.escape(image.vrt) + "*")):
                        with suppress(OSError):  # in use: it goes with the folder
                            Path(path).unlink()

    def copy_to_disk(self, name: str) -> tuple[str, str]:
        """Copy an image to the folder on disk; the name and the VRT of the copy.

        Both are released as any other; the copy needs no engine. Raises
        :class:`~eoscale_engine.errors.MemoryBudgetError` where the disk has no room.
        """
        with self._lock:
            image, folder = self._published[name], self._folders[1].path
        copy = f"{name}{ON_DISK}"
        raw, vrt = folder / Path(image.raw).name, folder / Path(image.vrt).name
        try:
            if copy not in self._published:
                if os.path.getsize(image.raw) > shutil.disk_usage(folder).free:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                shutil.copyfile(image.raw, raw)
                shutil.copyfile(image.vrt, vrt)
        except OSError as error:
            for path in (raw, vrt):
                path.unlink(missing_ok=True)
            raise MemoryBudgetError(
                f"An image cannot be copied to '{folder}': {error.strerror}. Free some space there."
            ) from None
        self._count(copy, _NoOwner(), str(raw), str(vrt))
        return copy, str(vrt)

    def memory(self, names: Optional[Iterable[str]] = None) -> int:
        """Bytes that images take in memory; all of them, with what is kept for reuse, by default.

        Where a system has no shared memory they lie on its disk, and take none.
        """
        # without the lock, which is held while an engine starts: a window may ask
        memory, disk = (folder.path for folder in self._folders)
        published = {name: Path(image.raw) for name, image in dict(self._published).items()}
        try:
            raws = set(memory.glob("*.raw"))
            apart = memory.stat().st_dev != disk.stat().st_dev
        except OSError:  # closed meanwhile, or the system's own clean-up took them
            return 0
        if names is not None:
            raws &= {published[name] for name in names if name in published}
        return sum(map(_size, raws)) if apart else 0

    def drop_idle(self) -> None:
        """Have the engine give back what it only keeps for reuse."""
        engine, inline = self._engine, self._inline
        if engine is not None:
            engine.drop_idle()
        if inline is not None:
            inline.store.drop_idle()

    def rest(self) -> None:
        """End the engine; images in memory stay. The next run starts a new one."""
        with self._lock:
            engine, self._engine = self._engine, None
            if engine is not None:
                engine.close()
            if self._inline is not None:
                self._inline.store.drop_idle()

    def close(self) -> None:
        """End the engine and remove all images in memory. At exit it is called anyway.

        A forked child leaves both to its parent.
        """
        if self._process != os.getpid():
            return
        atexit.unregister(self.close)
        with self._lock:
            self._closed = True
            if self._engine is not None:
                self._engine.close()
            if self._inline is not None:
                self._inline.executor.close()
            self._engine = self._inline = None
            for folder in self._folders:
                folder.close()

    def _count(self, name: str, owner: Any, raw: str, vrt: str) -> None:
        with self._lock:
            self._published.setdefault(name, _Published(owner, raw, vrt)).references += 1

    # ---- the engine process

    def _ready(self) -> Optional[EngineProcess]:
        """The running engine, started if need be; None where work runs inline."""
        with self._lock:
            if self._closed:
                raise ServiceError("The engine was closed. Run again with a new one.")
            if self._engine is not None and self._engine.alive():
                return self._engine
            if self.inline:
                return None
            if self._engine is not None:
                self._engine.close()
                self._engine = None
            if self._interpreter is None:
                found = find_interpreter(self._options.interpreter)
                if not isinstance(found, Interpreter):
                    self.inline = f"{found.reason} Until then work runs inside this process."
                    return None
                self._interpreter = found
            self._engine = EngineProcess(self._interpreter, self._start(), self._log)
            return self._engine

    def _start(self) -> dict[str, Any]:
        if not all(folder.path.is_dir() for folder in self._folders):
            # the system's own clean-up of temporary files took one, with the images in it
            for folder in self._folders:
                folder.close()
            self._folders = make_folders()
        directory = ""
        with suppress(OSError):  # it was removed
            directory = os.getcwd()
        return {
            "directory": directory,
            "folders": [str(folder.path) for folder in self._folders],
            "kept": [path for image in self._published.values() for path in (image.raw, image.vrt)],
            "workers": self._options.workers,
            "memory_mb": self._options.memory_mb,
            "tile_size": self._options.tile_size,
        }

    # ---- without one

    def _run_inline(
        self, job: Mapping[str, Any], progress: Any, log: Any, cancelled: Any
    ) -> dict[str, Any]:
        # imported only here: with an engine process, its modules are not needed in this one
        from eoscale_engine.context import Observer
        from eoscale_engine.pipeline.resources import put_together
        from eoscale_engine.service.jobs import run_job
        from eoscale_engine.workers.inline import InlineWorkers

        with self._lock:
            if self._inline is None:
                limit = self._options.memory_mb * 1_000_000
                self._inline = put_together(self._folders, InlineWorkers(), limit)
        while not self._one_inline.acquire(timeout=0.05):
            if cancelled():
                raise Cancelled("Cancelled.")
        try:
            outcome = run_job(
                self._inline, job, Observer(progress, log, cancelled),
                tile_pixels=self._options.tile_size**2, user_code=False,
            )  # fmt: skip
        finally:
            self._one_inline.release()
        for hold in outcome.published:
            image = hold.image
            vrt = Path(image.raw).with_name(image.name + ".vrt")
            self._count(image.name, _InlineOwner(hold), image.raw, str(vrt))
        return outcome.message


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:  # released meanwhile
        return 0


@dataclass(frozen=True)
class _NoOwner:
    """Of what no engine counts: its files are removed by the client."""

    def release(self, name: str) -> bool:
        return False


@dataclass(frozen=True)
class _InlineOwner:
    hold: Any

    def release(self, name: str) -> bool:
        self.hold.release()
        return True
