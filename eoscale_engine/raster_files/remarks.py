"""What GDAL warns of while it reads pixels: once for each kind, bounded in number and length."""

from __future__ import annotations

import re
from collections.abc import Iterable

Remark = tuple[str, str]
"""The path of an image, and what GDAL says of it."""

MOST, LONGEST = 10, 300
"""Remarks that are kept, and characters of one."""

_OF_TAGS = re.compile("TIFFReadDirectory|TIFFFetchNormalTag|GeoKey")
"""Says nothing of pixels. Where the image itself has such tags, it was told when it was opened."""


class Remarks:
    """Remarks that differ in more than numbers, such as those of blocks and bytes."""

    def __init__(self) -> None:
        self._found: dict[Remark, Remark] = {}

    def add(self, path: str, texts: Iterable[str]) -> list[Remark]:
        """Keep what is said of an image; what of it is new."""
        new = []
        for text in texts:
            kind = path, re.sub(r"\d+", "0", text)
            full = len(self._found) == MOST
            if not (full or kind in self._found or _OF_TAGS.search(text)):
                self._found[kind] = path, " ".join(text.split())[:LONGEST]
                new.append(self._found[kind])
        return new

    def take(self) -> tuple[Remark, ...]:
        """All that was kept, which is then forgotten."""
        found = tuple(self._found.values())
        self._found.clear()
        return found
