"""How much memory is free: in the machine, and in the cgroups that limit this process."""

from __future__ import annotations

import mmap
import shutil
import sys
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Optional

import numpy as np

from eoscale_engine.errors import MemoryBudgetError

BLAS_BYTES = 192 * 1024 * 1024
"""OpenBLAS takes 128 MB at its first product of matrices; something is left for the work."""

UNLIMITED = 1 << 60
"""cgroup v1 writes "no limit" as a number of about 2^63."""


def free_bytes(folder: Path, system: Path = Path("/"), *, machine: Optional[int] = None) -> int:
    """Bytes that images in ``folder`` may take; a tenth stays free for the programs themselves.

    The least of what is free in the folder's file system, in the machine's memory, and below the
    limit of each cgroup (v1 and v2) around this process. ``system`` holds ``proc`` and ``sys``;
    ``machine`` is what :func:`machine_bytes` just said, where it was asked.
    """
    free = shutil.disk_usage(folder).free * 9 // 10
    return min(free, machine_bytes(system) if machine is None else machine)


def machine_bytes(system: Path = Path("/")) -> int:
    """Bytes that images and workers may take together, as far as the system says."""
    room = [UNLIMITED]
    if sys.platform.startswith("linux"):
        room += _machine(system / "proc/meminfo")
        for cgroup in _cgroups(system):
            room += _cgroup(cgroup)
    return max(0, min(room)) * 9 // 10


def _machine(meminfo: Path) -> Iterator[int]:
    for line in _text(meminfo).splitlines():
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) * 1024


def _cgroups(system: Path) -> Iterator[Path]:
    """The folders of this process's memory cgroup and of all around it: each may have a limit."""
    mounts = system / "sys/fs/cgroup"
    for line in _text(system / "proc/self/cgroup").splitlines():
        hierarchy, controllers, place = line.split(":", 2)
        if hierarchy == "0":
            mount = mounts if (mounts / "cgroup.controllers").exists() else mounts / "unified"
        elif "memory" in controllers.split(","):
            mount = mounts / "memory"
        else:
            continue
        # inside a container, the path may be the host's: what is not there says nothing
        path = Path(place.lstrip("/"))
        yield from (mount / part for part in (path, *path.parents))


def _cgroup(folder: Path) -> Iterator[int]:
    limit = _number(folder / "memory.max", folder / "memory.limit_in_bytes")
    used = _number(folder / "memory.current", folder / "memory.usage_in_bytes")
    if limit is None or used is None or limit >= UNLIMITED:
        return
    # files that were read count as used, but the kernel drops them when memory is needed
    statistics = dict(line.split() for line in _text(folder / "memory.stat").splitlines())
    cached = statistics.get("total_inactive_file", statistics.get("inactive_file", "0"))
    yield limit - used + int(cached)


def _number(*files: Path) -> Optional[int]:
    for file in files:
        text = _text(file).strip()
        if text.isdigit():
            return int(text)
    return None


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


@lru_cache(maxsize=1)
def reserve_blas_memory() -> None:
    """Have OpenBLAS take its buffer now: it would ask for one for ever where none is to be had.

    Only where a process may use a limited part of its addresses (``ulimit -v``). Raises
    :class:`MemoryBudgetError` where too little is left.
    """
    if sys.platform == "win32":
        return
    import resource

    if resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY:
        return
    try:
        mmap.mmap(-1, BLAS_BYTES).close()
    except OSError:
        raise MemoryBudgetError(
            f"Less than {BLAS_BYTES // 1_000_000} MB of memory are left to a process, whose memory "
            "is limited (ulimit -v). Raise that limit."
        ) from None
    matrix = np.ones((32, 32), "float32")
    matrix @ matrix[0]
