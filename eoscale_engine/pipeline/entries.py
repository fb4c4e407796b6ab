"""The entries of a pipeline: what is known of each of its images, by keys."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Optional

from eoscale_engine.errors import InputError
from eoscale_engine.images.source import Source
from eoscale_engine.memory.images import Mappings
from eoscale_engine.memory.store import Hold
from eoscale_engine.pipeline.transfer import Made
from eoscale_engine.profile import Number
from eoscale_engine.raster_files.gdal_profile import BandStatistics
from eoscale_engine.raster_files.reading import RasterFile

RESULT, CREATED = "result", "created image"
"""What images are called that nobody has a name for."""


@dataclass
class Entry:
    """One image: where it is, what the user calls it, and what is known of it.

    ``holds`` are on the images in memory that the source needs.
    ``file`` is what it was described from, as long as it is not in memory. ``writable`` images
    belong to the pipeline alone. A ``shared`` one was handed out as a writable array: its pixels
    may change at any time. ``nodata`` was assigned to bands by their numbers.
    """

    source: Source
    label: str
    holds: tuple[Hold, ...] = ()
    writable: bool = False
    shared: bool = False
    statistics: Optional[list[BandStatistics]] = None
    vrt: str = ""
    file: Optional[RasterFile] = None
    nodata: tuple[tuple[int, Optional[Number]], ...] = ()


class Entries:
    """Images by their keys, in the order in which they came; iterating gives the keys.

    ``mappings`` are those of this process, kept as long as an entry needs them.
    """

    def __init__(self) -> None:
        self.mappings = Mappings()
        self._entries: dict[str, Entry] = {}
        self._numbers = itertools.count(1)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._entries))

    def __getitem__(self, key: Any) -> Entry:
        if not isinstance(key, str):
            raise TypeError(f"An image's key is a text, not {type(key).__name__}.")
        try:
            return self._entries[key]
        except KeyError:
            raise InputError(f"There is no image '{key}': released, or never made.") from None

    def add(self, entry: Entry) -> str:
        """Returns the new entry's key."""
        key = f"image {next(self._numbers)}"
        self._entries[key] = entry
        return key

    def pop(self, key: Any) -> Optional[Entry]:
        """Take an entry out, if there is one; its holds are the caller's."""
        return self._entries.pop(key, None)

    def replace(self, key: str, made: Made) -> None:
        """From now on a key's image is one that was made of it."""
        old = self[key]
        self.let_go(old)
        self._entries[key] = made_entry(made, old.label)

    def settle(self, key: str, hold: Hold) -> None:
        """From now on a described image is one in memory."""
        entry = self[key]
        self.let_go(entry)
        entry.source, entry.holds, entry.file = hold.image, (hold,), None

    def let_go(self, entry: Entry) -> None:
        """Release what an entry holds."""
        for hold in entry.holds:
            self.mappings.forget(hold.image.raw)
            hold.release()


def made_entry(made: Made, label: str) -> Entry:
    """Of an image that the pipeline made."""
    return Entry(made.hold.image, label, (made.hold,), writable=True, statistics=made.statistics)
