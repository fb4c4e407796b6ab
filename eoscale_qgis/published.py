"""An image in memory as QGIS knows it: who uses it, and what may come back to it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath

from eoscale_engine.service.client import EngineClient


@dataclass
class Published:
    """An image in memory that QGIS knows of.

    ``waiting`` says that something may still come to use it: a script or dialog that has its path
    and loaded no layer yet, or the Processing context of the model that goes on with it.
    ``projects`` are the project files that show it.
    """

    client: EngineClient
    name: str
    path: str
    waiting: bool = True
    of_context: bool = False
    projects: set[str] = field(default_factory=set)
    layers: set[str] = field(default_factory=set)
    runs: int = 0
    unused_looks: int = 0

    @property
    def used(self) -> bool:
        """Whether anything uses it now."""
        return bool(self.layers) or self.runs > 0 or (self.waiting and self.of_context)

    def named_in(self, text: str) -> bool:
        """Whether a text has its path, be it absolute or relative."""
        return "/".join(PurePath(self.path).parts[-2:]) in text


@dataclass(frozen=True)
class Usage:
    """Temporary results, those that nothing uses, and bytes in memory: theirs and the engines'."""

    results: int
    unseen: int
    result_bytes: int
    kept_bytes: int

    def __str__(self) -> str:
        text = f"{self.results} temporary result{'' if self.results == 1 else 's'}"
        if self.unseen:
            text += f" ({self.unseen} in no layer of this project)"
        return f"{text}, {_mb(self.result_bytes)} in memory; {_mb(self.kept_bytes)} kept for reuse"


def _mb(size: int) -> str:
    return f"{size / 1e6:.0f} MB"
