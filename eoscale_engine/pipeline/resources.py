"""What an engine is made of, put together in one place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from eoscale_engine.memory.allocation import Memory
from eoscale_engine.memory.folder import ImageFolder
from eoscale_engine.memory.store import ImageStore
from eoscale_engine.workers import Executor


@dataclass(frozen=True)
class Resources:
    """What the pipelines of one engine share: the store of images, and who does the work."""

    store: ImageStore
    executor: Executor


def put_together(folders: Sequence[ImageFolder], executor: Executor, limit: int = 0) -> Resources:
    """An engine whose images lie in two folders: in memory, and on disk what is too large for it.

    ``limit`` is the most bytes that images may take in memory; 0 for what the machine has.
    """
    in_memory, on_disk = folders
    return Resources(ImageStore(Memory(in_memory, on_disk, limit), executor.forget), executor)
