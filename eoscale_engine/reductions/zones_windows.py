"""Statistics of zones each of which lies in a window: from all of its pixels at once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat, starmap
from typing import Any, ClassVar, NamedTuple, Optional, Union

import numpy as np

from eoscale_engine.declaration import Blocks, Input, Reduction, parameter
from eoscale_engine.profile import Band, Profile
from eoscale_engine.reductions.percentiles import between, place_of
from eoscale_engine.reductions.statistics import Moments, physical
from eoscale_engine.reductions.zones import INPUTS, Members, starts_of
from eoscale_engine.reductions.zones_moments import BandMoments, band_moments, by_zone, valid_values

Value = Optional[Union[int, float]]

MOST_AT_ONCE = 60_000
"""Zones of a window that are looked at together: their places are kept in 16 bits."""


class Asked(NamedTuple):
    """What is asked of the values of each zone, beside their moments.

    Attributes
    ----------
    percentiles : tuple of float
        0 to 100.
    values : bool
        Majority, minority and variety.
    raw : bool
        Of the stored pixels, without scale and offset.
    """

    percentiles: tuple[float, ...] = ()
    values: bool = False
    raw: bool = False

    def place(self, percentile: float, pixels: int, band: Band) -> tuple[int, float]:
        """Rank of the stored value below a percentile, and how far it is to the next one."""
        turned = self.turns(band)
        return place_of(100 - percentile if turned else percentile, pixels)

    def turns(self, band: Band) -> bool:
        """Whether the largest stored value is the smallest physical one."""
        return band.scale < 0 and not self.raw

    def percentile(self, low: Any, high: Any, share: float, band: Band) -> float:
        """The physical value between two neighbours; 0.0 for -0.0."""
        return between(low, high, share, band, self.raw) + 0.0

    def modes(self, values: np.ndarray, counts: np.ndarray, band: Band) -> tuple[Value, ...]:
        """Majority, minority and variety of ascending values; of equals the smallest value."""
        if self.turns(band):
            values, counts = values[::-1], counts[::-1]
        most, least = values[counts.argmax()].item() + 0, values[counts.argmin()].item() + 0
        return physical(most, band, self.raw), physical(least, band, self.raw), values.size


class ZoneBand(NamedTuple):
    """What is known of a zone in one band.

    ``percentiles`` and ``modes`` (majority, minority, variety) are physical values, empty where
    they were not asked for or where there is no valid pixel.
    """

    moments: Moments = Moments()
    percentiles: tuple[float, ...] = ()
    modes: tuple[Value, ...] = ()


class Zone(NamedTuple):
    """A zone's pixels (or the sum of their shares), and its bands.

    ``area`` is in square metres, where rows differ in it.
    """

    pixels: float
    area: float
    bands: tuple[ZoneBand, ...]


@dataclass(frozen=True)
class WindowZones(Reduction):
    """Statistics of zones, each from a window that holds it. Gives a :class:`Zone` by number.

    ``reduce`` gets the windows. Integers are summed exactly, floats in one fixed order; nothing is
    merged, so that a zone's values depend on its own pixels only.
    """

    label: ClassVar[str] = "Statistics of zones"
    inputs: ClassVar[tuple[Input, ...]] = INPUTS
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    zones: Any = parameter(kind="data", help="Zones")
    asked: Any = parameter(kind="data", help="Asked")
    windows: Any = parameter(kind="data", help="Numbers of the zones of each window, ascending")

    def map(self, blocks: Blocks) -> list[_Part]:
        """The zones of one window."""
        every = np.array(self.windows[blocks.core], np.int64)
        found: list[_Part] = []
        for start in range(0, every.size, MOST_AT_ONCE):
            numbers = every[start : start + MOST_AT_ONCE]
            parts = self.zones.members(blocks, numbers)
            found.extend(self._zones(blocks, numbers, by_zone(one)) for one in parts)
        return found

    def _zones(self, blocks: Blocks, numbers: np.ndarray, members: Members) -> _Part:
        """All of these pixels, sorted by zone, together: calls for each zone would take longer."""
        starts = starts_of(members.zones)
        zones = members.zones[starts]
        pixels = np.diff(starts, append=members.zones.size)
        areas = np.zeros(zones.size)
        if self.zones.row_areas is not None and zones.size:
            rows = members.places // blocks.core.cols + blocks.core.row
            areas = np.add.reduceat(self.zones.row_areas[rows], starts)
        bands = [
            _band_part(*valid_values(blocks[0], band, members), self.asked, properties)
            for band, properties in enumerate(blocks[0].profile.bands)
        ]
        return _Part(zones, numbers[zones], pixels, areas, bands)

    def merge(self, first: list[_Part], second: list[_Part]) -> list[_Part]:
        """The zones of both windows."""
        first.extend(second)
        return first

    def finish(self, merged: list[_Part], inputs: Sequence[Profile]) -> dict[int, Zone]:
        """A record for each zone."""
        return {number: zone for part in merged for number, zone in part.each()}


class _BandPart(NamedTuple):
    """Statistics of one band; percentiles and modes by row of the moments, or empty."""

    moments: BandMoments
    percentiles: Sequence[tuple[float, ...]]
    modes: Sequence[tuple[Value, ...]]

    def by_zone(self) -> dict[int, ZoneBand]:
        """By the zone's place among those asked for."""
        zones, nothing = self.moments.zones.tolist(), repeat(())
        rows = zip(self.moments.each(), self.percentiles or nothing, self.modes or nothing)
        return dict(zip(zones, starmap(ZoneBand, rows)))


class _Part(NamedTuple):
    """Zones of a window, as columns: between processes, records take longer than their values."""

    zones: np.ndarray
    numbers: np.ndarray
    pixels: np.ndarray
    areas: np.ndarray
    bands: Sequence[_BandPart]

    def each(self) -> Iterator[tuple[int, Zone]]:
        """Each zone, by its number."""
        bands = [band.by_zone() for band in self.bands]
        for zone, number, count, area in zip(*(column.tolist() for column in self[:4])):
            listed = [found.get(zone, ZoneBand()) for found in bands]
            invalid = [count - one.moments.valid for one in listed]
            complete = tuple(
                one._replace(moments=one.moments._replace(invalid=rest)) if rest else one
                for one, rest in zip(listed, invalid)
            )
            yield number, Zone(count, area, complete)


def _band_part(zones: np.ndarray, values: np.ndarray, asked: Asked, band: Band) -> _BandPart:
    """The statistics of one band, of valid pixels that are sorted by zone."""
    # the sum of very large floats may overflow to infinity, as it says
    with np.errstate(over="ignore", invalid="ignore"):
        found = band_moments(zones, values)
    if not (asked.percentiles or asked.values):
        return _BandPart(found, (), ())
    # faster than a lexsort: of 16 bits a stable sort is a radix sort
    order = np.argsort(values)
    values = values[order[np.argsort(zones[order], kind="stable")]]
    each = np.split(values, np.cumsum(found.valid)[:-1]) if values.size else []
    return _BandPart(
        found,
        [_percentiles(one, asked, band) for one in each],
        [_modes(one, asked, band) for one in each] if asked.values else (),
    )


def _percentiles(values: np.ndarray, asked: Asked, band: Band) -> tuple[float, ...]:
    """One zone's percentiles, from its values in ascending order."""
    percentiles = []
    for share in asked.percentiles:
        low, part = asked.place(share, values.size, band)
        above = values[low + 1].item() if part else None
        percentiles.append(asked.percentile(values[low].item(), above, part, band))
    return tuple(percentiles)


def _modes(values: np.ndarray, asked: Asked, band: Band) -> tuple[Value, ...]:
    """One zone's most and least frequent value, from its values in ascending order."""
    starts = starts_of(values)
    return asked.modes(values[starts], np.diff(starts, append=values.size), band)


def moment_values(found: Moments, band: Band, raw: bool) -> tuple[Value, ...]:
    """Sum, mean, minimum, maximum, range, standard deviation and variance, physical; or None."""
    if not found.valid:
        return (None,) * 7
    scale = 1.0 if raw else band.scale
    one, two = (physical(limit, band, raw) + 0 for limit in (found.minimum, found.maximum))
    low, high = min(one, two), max(one, two)
    spread = high - low if math.isfinite(high) and math.isfinite(low) else math.inf
    if not found.finite:
        return None, None, low, high, None, None, None
    mean = physical(found.total / found.finite, band, raw)
    total = physical(found.total, band, raw, found.finite)
    variance = found.squares / found.finite * scale * scale
    deviation = math.sqrt(found.squares / found.finite) * abs(scale)
    values = (total, mean, low, high, spread, deviation, variance)
    return tuple(None if value != value else value for value in values)
