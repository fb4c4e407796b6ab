"""Counts of the values of large and scattered zones, cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, NamedTuple

import numpy as np

from eoscale_engine.declaration import Blocks, Input, Reduction, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.reductions.keys import ordered_keys
from eoscale_engine.reductions.zones import INPUTS, Members, starts_of
from eoscale_engine.reductions.zones_moments import valid_values

MOST_VALUES = 250_000
"""Different values of one zone and band, of which majority, minority and variety are found."""


class Intervals(NamedTuple):
    """Intervals of keys of one band, several for each zone: arrays of (intervals, zones).

    Each has as many equal bins as ``bins`` says, of ``2**shift`` keys, from ``low`` on; its last
    key lies ``span`` above. Where a zone has less intervals, the bins of the others are not read.
    """

    low: np.ndarray
    span: np.ndarray
    shift: np.ndarray


@dataclass(frozen=True)
class ZoneBins(Reduction[list[np.ndarray], list[np.ndarray]]):
    """Count the keys of zones in intervals (see ``ordered_keys``), of the bands that have some.

    Gives an int64 array ``(intervals, zones, bins)`` for each.
    """

    stage = "Counting pixels of large zones"
    inputs: ClassVar[tuple[Input, ...]] = INPUTS
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    zones: Any = parameter(kind="data", help="Zones")
    chosen: Any = parameter(kind="data", help="Numbers of the zones asked for, ascending")
    bands: Any = parameter(kind="data", help="Intervals of each band, by its place")
    bins: int = parameter(minimum=1, help="Bins of each interval")

    def map(self, blocks: Blocks) -> list[np.ndarray]:
        """The counts of one cell."""
        parts = self.zones.members(blocks, self.chosen)
        return reduce(self.merge, (self._of(blocks, members) for members in parts))

    def _of(self, blocks: Blocks, members: Members) -> list[np.ndarray]:
        return [
            self._counted(intervals, *valid_values(blocks[0], band, members))
            for band, intervals in self.bands.items()
        ]

    def _counted(self, intervals: Intervals, zones: np.ndarray, values: np.ndarray) -> np.ndarray:
        keys = ordered_keys(values)
        kind = keys.dtype.type
        counts = np.zeros((*intervals.low.shape, self.bins), np.int64)
        for number, (low, span, shift) in enumerate(zip(*intervals)):
            # below the interval this wraps around to beyond its span
            above = keys - low.astype(kind)[zones]
            inside = above <= span.astype(kind)[zones]
            here = zones[inside].astype(np.int64)
            digits = above[inside] >> shift.astype(kind)[here]
            places = here * self.bins + digits.astype(np.int64)
            counts[number].ravel()[:] = np.bincount(places, minlength=counts[number].size)
        return counts

    def merge(self, first: list[np.ndarray], second: list[np.ndarray]) -> list[np.ndarray]:
        """Both cells together."""
        return [one + two for one, two in zip(first, second)]


class ValueCounts(NamedTuple):
    """How many pixels of which zone have which value, ascending by zone and value."""

    zones: np.ndarray
    values: np.ndarray
    pixels: np.ndarray


@dataclass(frozen=True)
class ZoneValues(Reduction[ValueCounts, ValueCounts]):
    """Count the different values of zones in one band. Gives :class:`ValueCounts`."""

    stage = "Counting values of large zones"
    inputs: ClassVar[tuple[Input, ...]] = INPUTS
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    zones: Any = parameter(kind="data", help="Zones")
    chosen: Any = parameter(kind="data", help="Numbers of the zones asked for, ascending")
    band: int = parameter(minimum=0, help="From 0")

    def map(self, blocks: Blocks) -> ValueCounts:
        """The counts of one cell."""
        parts = self.zones.members(blocks, self.chosen)
        return reduce(self.merge, (self._of(blocks, members) for members in parts))

    def _of(self, blocks: Blocks, members: Members) -> ValueCounts:
        zones, values = valid_values(blocks[0], self.band, members)
        if values.dtype.kind == "f":
            values = values + values.dtype.type(0)  # -0.0 is 0.0
        if values.dtype.itemsize > 2 or not zones.size:
            return _summed(zones, values, np.ones(zones.size, np.int64))
        # a table of all values that there may be, where that is faster than a sort
        keys = ordered_keys(values)
        low, kinds = keys.min(), int(keys.max()) - int(keys.min()) + 1
        if kinds * (int(zones.max()) + 1) > 8 * zones.size:
            return _summed(zones, values, np.ones(zones.size, np.int64))
        table = np.bincount(zones * np.int64(kinds) + (keys - low))
        places = np.flatnonzero(table)
        found = (places % kinds).astype(values.dtype) + values.min()
        return _checked(ValueCounts((places // kinds).astype(zones.dtype), found, table[places]))

    def merge(self, first: ValueCounts, second: ValueCounts) -> ValueCounts:
        """Both cells together."""
        return _summed(*(np.concatenate(pair) for pair in zip(first, second)))


def _summed(zones: np.ndarray, values: np.ndarray, pixels: np.ndarray) -> ValueCounts:
    """Each value of a zone once."""
    order = np.lexsort((values, zones))
    zones, values = zones[order], values[order]
    changes = np.ones(zones.size, bool)
    changes[1:] = (zones[1:] != zones[:-1]) | (values[1:] != values[:-1])
    starts = np.flatnonzero(changes)
    sums = np.add.reduceat(pixels[order], starts) if starts.size else pixels
    return _checked(ValueCounts(zones[starts], values[starts], sums))


def _checked(found: ValueCounts) -> ValueCounts:
    if found.zones.size > MOST_VALUES:
        starts = starts_of(found.zones)
        if np.diff(starts, append=found.zones.size).max() > MOST_VALUES:
            raise InputError(
                f"A large or scattered zone has more than {MOST_VALUES} different values, too many "
                "to find majority, minority and variety. Leave these out, or round the image first."
            )
    return found
