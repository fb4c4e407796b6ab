"""Jobs for tests of the workers: what happens is said by the job, where by the window."""

from __future__ import annotations

import ctypes
import os
import re
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eoscale_engine.errors import InputError
from eoscale_engine.memory.images import Image, Mappings
from eoscale_engine.tiling import Window


class OwnError(InputError):
    """An error that only the worker knows."""


class OnlyHere:
    """A result that cannot be read elsewhere."""

    label = "Work"

    def __reduce__(self) -> Any:
        return (_never, ())


def _never() -> None:
    raise RuntimeError("not in this process")


@dataclass(frozen=True)
class Doing:
    """Does one thing on the window whose row is ``row``, and returns the row on all others."""

    label = "Work"

    what: str
    row: int = -1
    folder: str = ""
    seconds: float = 0.0

    def run(self, window: Window, state: Any) -> Any:
        if self.folder:
            Path(self.folder, f"{self.what}-{window.row}-{time.monotonic_ns()}").write_text(
                str(os.getpid())
            )
        if self.row in (-1, window.row):
            return getattr(self, self.what)(window)
        time.sleep(self.seconds)
        return window.row

    def plain(self, window: Window) -> int:
        time.sleep(self.seconds)
        return window.row

    def environment(self, window: Window) -> dict[str, str]:
        return dict(os.environ)

    def main(self, window: Window) -> list[str]:
        names = ("__main__", "__mp_main__")
        return [str(getattr(sys.modules.get(name), "__file__", "")) for name in names]

    def raises(self, window: Window) -> None:
        raise ValueError("as asked")

    def raises_own(self, window: Window) -> None:
        raise OwnError("of a kind \udcff")

    def leaves(self, window: Window) -> None:
        sys.exit("enough")

    def dies(self, window: Window) -> None:
        os._exit(7)

    def dies_as_its_server(self, window: Window) -> None:
        os._exit(255)

    def faults(self, window: Window) -> None:
        ctypes.string_at(0)

    def killed(self, window: Window) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def killed_once(self, window: Window) -> int:
        marker = Path(self.folder, "once")
        if not marker.exists():
            marker.touch()
            self.killed(window)
        return window.row

    def spins(self, window: Window) -> None:
        while True:
            pass

    def holds(self, window: Window) -> None:
        """Never lets another thread of its process run."""
        re.match(r"(a+)+$", "a" * 64 + "b")

    def only_here(self, window: Window) -> OnlyHere:
        return OnlyHere()

    def unsendable(self, window: Window) -> Any:
        return lambda: None

    def closes(self, window: Window) -> None:
        os.closerange(3, 100)
        time.sleep(60)

    def large(self, window: Window) -> bytes:
        return bytes([window.row]) * 5_000_000


@dataclass(frozen=True)
class Look:
    """Maps an image and returns its first pixel."""

    label = "Work"

    image: Image

    def run(self, window: Window, state: Any) -> float:
        return float(state.of(Mappings).array(self.image)[0, 0, 0])


@dataclass(frozen=True)
class MappedFiles:
    """The image files that the worker has mapped."""

    label = "Work"

    def run(self, window: Window, state: Any) -> list[str]:
        maps = Path("/proc/self/maps").read_text().splitlines()
        time.sleep(0.05)
        return sorted({line.split(None, 5)[-1] for line in maps if ".raw" in line})
