"""Memory of all our processes together: proportional set sizes, shared pages counted once."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path


def descendants(root: int) -> list[int]:
    """The process ``root`` and all that it started, directly or not."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
        except OSError:  # gone meanwhile
            continue
        parents[int(status.parent.name)] = int(fields[1])
    found = {root}
    while True:
        more = {child for child, parent in parents.items() if parent in found} - found
        if not more:
            return sorted(found)
        found |= more


def proportional_set_size(processes: list[int]) -> int:
    """Bytes of memory that these processes use together."""
    total = 0
    for process in processes:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:  # gone meanwhile
            continue
        total += sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
    return total


class Peak:
    """Watches the memory of this process's descendants while its block runs."""

    def __init__(self, root: int = 0, pause: float = 0.02) -> None:
        self._root, self._pause = root or os.getpid(), pause
        self.bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.is_set():
            self.bytes = max(self.bytes, proportional_set_size(descendants(self._root)))
            time.sleep(self._pause)
