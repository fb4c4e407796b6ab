"""Zones of an image: which there are, where they lie, and which pixels belong to each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, Input, Reduction, image, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.polygons import Groups, Polygons
from eoscale_engine.tiling import Window

INPUTS = (image("INPUT"), image("ZONES", optional=True, band_choice=False))
"""What reductions over zones take: an image, and the image of zones where there is one."""

MOST_ZONES = 1_000_000
"""More different values than this are no zones: an image of measurements given by mistake."""

MOST_PIXELS = 1 << 21
"""Of a window, in all of its zones, that are gathered at a time."""

_TABLE = 1 << 18
"""Zone values so far apart are looked up in a table, faster than by a search."""

_NONE = (1 << 16) - 1
"""In that table, what is no zone."""


NOTHING = Groups(*(np.empty(0, np.int64) for _ in range(3)))


class Members(NamedTuple):
    """Which pixels of a window belong to which zone; a pixel may belong to several.

    Attributes
    ----------
    zones : uint16 array of (n,)
        The zone's place among those asked for, which are fewer than 65535.
    places : int64 array of (n,)
        Index into the window's pixels in row order.
    """

    zones: np.ndarray
    places: np.ndarray


@dataclass(frozen=True)
class Zones:
    """Polygons, or else the values of one band of the image in the role ZONES.

    Attributes
    ----------
    polygons : Polygons or None
    values : integer array
        The zones' values, ascending; of polygons empty.
    band : int
        Of the zone image, from 0.
    row_areas : float64 array of (rows,) or None
        Square metres of a pixel of each row; None where unknown.
    """

    polygons: Optional[Polygons] = None
    values: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    band: int = 0
    row_areas: Optional[np.ndarray] = None

    def __len__(self) -> int:
        return len(self.values) if self.polygons is None else len(self.polygons)

    def members(self, blocks: Blocks, numbers: np.ndarray) -> Iterator[Members]:
        """The pixels of the zones with these numbers, ascending, in one window.

        So many zones at a time as fit in memory: polygons may lie on top of each other.
        """
        if self.polygons is None:
            yield self._of_values(blocks, numbers)
            return
        core, bounds = blocks.core, self.polygons.bounds[numbers]
        begins = np.maximum(bounds[:, :2], (core.row, core.col))
        ends = np.minimum(bounds[:, :2] + bounds[:, 2:], (core.end_row, core.end_col))
        sides = np.maximum(ends - begins, 0)
        near = np.flatnonzero(sides.all(axis=1))
        amounts = sides[near].prod(axis=1).cumsum() // MOST_PIXELS
        for chosen in np.split(near, starts_of(amounts)[1:]):
            groups = self.polygons.groups(core, numbers[chosen]) if chosen.size else NOTHING
            zones = np.searchsorted(numbers, groups.numbers).astype(np.uint16)
            sizes = np.diff(groups.starts, append=groups.places.size)
            yield Members(np.repeat(zones, sizes), groups.places)

    def _of_values(self, blocks: Blocks, numbers: np.ndarray) -> Members:
        pixels, valid = zone_pixels(blocks, self.band)
        wanted = _above(self.values[numbers], self.values[numbers[0]])
        span = wanted[-1]
        # what is lower wraps around to beyond the highest
        above = _above(pixels, self.values[numbers[0]])
        inside = above <= span
        if valid is not None:
            inside &= valid
        places = np.flatnonzero(inside)
        found = above.ravel()[places]
        if span < _TABLE:
            table = np.full(int(span) + 1, _NONE, np.uint16)
            table[wanted] = np.arange(wanted.size, dtype=np.uint16)
            zones: np.ndarray = table[found]
            known = zones != _NONE
        else:
            zones = np.searchsorted(wanted, found).astype(np.uint16)
            known = wanted[zones] == found
        return Members(zones, places) if known.all() else Members(zones[known], places[known])


def _above(values: np.ndarray, low: Any) -> np.ndarray:
    """How far values are above another: unsigned, as int8 cannot hold 127 - -128."""
    apart: np.ndarray = (values - low).view(f"u{values.dtype.itemsize}")
    return apart


def zone_pixels(blocks: Blocks, band: int) -> tuple[np.ndarray, Optional[np.ndarray]]:
    """The values of the zone image in a window, and where they are zones."""
    block: Any = blocks.role("ZONES")
    return block.pixels[band], None if block.valid is None else block.valid[band]


# ---------------------------------------------------------------- the first pass


class FoundZones(NamedTuple):
    """Values of a zone image, ascending, with their pixels and bounding boxes.

    ``ends`` are the row and column after the last one: int64 arrays of (zones, 2), as ``begins``.
    """

    values: np.ndarray
    pixels: np.ndarray
    begins: np.ndarray
    ends: np.ndarray

    def window(self, number: int) -> Window:
        """A zone's bounding box."""
        (row, col), (end_row, end_col) = self.begins[number].tolist(), self.ends[number].tolist()
        return Window(row, col, end_row - row, end_col - col)


@dataclass(frozen=True)
class ZonesFound(Reduction[FoundZones, FoundZones]):
    """Which values the zone image has, in how many pixels, and where. Gives :class:`FoundZones`."""

    stage = "Finding zones"
    inputs: ClassVar[tuple[Input, ...]] = (image("ZONES", band_choice=False),)
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    band: int = parameter(0, minimum=0, help="Band of the zone image, from 0")

    def map(self, blocks: Blocks) -> FoundZones:
        """The zones of one cell."""
        pixels, valid = zone_pixels(blocks, self.band)
        runs = np.ones(pixels.shape, bool)
        np.not_equal(pixels[:, 1:], pixels[:, :-1], out=runs[:, 1:])
        if valid is not None:
            runs[:, 1:] |= valid[:, 1:] != valid[:, :-1]
        rows, cols = np.nonzero(runs)
        lengths = np.diff(np.flatnonzero(runs), append=pixels.size)
        if valid is not None:
            known = valid[rows, cols]
            rows, cols, lengths = rows[known], cols[known], lengths[known]
        values = pixels[rows, cols]
        begins = np.stack((rows, cols), axis=1) + blocks.core[:2]
        ends = begins + 1
        ends[:, 1] += lengths - 1
        return _joined(FoundZones(values, lengths, begins, ends))

    def merge(self, first: FoundZones, second: FoundZones) -> FoundZones:
        """Both cells together."""
        return _joined(FoundZones(*(np.concatenate(pair) for pair in zip(first, second))))


def starts_of(ordered: np.ndarray) -> np.ndarray:
    """Where each value of a sorted array begins."""
    changes = np.ones(ordered.size, bool)
    np.not_equal(ordered[1:], ordered[:-1], out=changes[1:])
    return np.flatnonzero(changes)


def _joined(parts: FoundZones) -> FoundZones:
    """Each value once."""
    order = np.argsort(parts.values, kind="stable")
    values, pixels, begins, ends = (column[order] for column in parts)
    starts = starts_of(values)
    if starts.size > MOST_ZONES:
        raise InputError(
            f"The zone image has more than {MOST_ZONES} different values. Choose an image of "
            "classes or numbered objects."
        )
    if not starts.size:
        return parts
    return FoundZones(
        values[starts],
        np.add.reduceat(pixels, starts),
        np.minimum.reduceat(begins, starts, axis=0),
        np.maximum.reduceat(ends, starts, axis=0),
    )
