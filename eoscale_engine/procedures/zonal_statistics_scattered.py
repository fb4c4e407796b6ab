"""Statistics of zones too large or too scattered to be taken at once: several passes by cells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from eoscale_engine.declaration import Engine, Roles
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.keys import ordered_keys, value_of_key
from eoscale_engine.reductions.zones import Zones, starts_of
from eoscale_engine.reductions.zones_columns import Value, Zone, ZoneBand
from eoscale_engine.reductions.zones_counts import Intervals, ZoneBins, ZoneValues
from eoscale_engine.reductions.zones_moments import BandMoments, ZoneMoments
from eoscale_engine.reductions.zones_windows import Asked
from eoscale_engine.tiling import CELL

BINS = 1 << 17
"""Counters of one pass: a megabyte for each task, all of which are merged at the end."""

_FEWEST = 8
"""Bins of an interval, at least: a smaller batch of zones is faster than more passes."""


MOST_ROWS = 1 << 23
"""Values that all tasks of a pass may find together: some 100 megabytes."""


def scattered_zones(
    engine: Engine,
    images: Roles,
    zones: Zones,
    numbers: Sequence[int],
    asked: Asked,
) -> dict[int, Zone]:
    """The statistics of the zones with these numbers, ascending: a :class:`Zone` by number.

    One pass finds the moments. Percentiles take as many more as it needs to narrow the range of a
    zone's keys down to one: with up to 16 zones one for 12-bit pixels, two or three for others.
    """
    profile = engine.profile(images["INPUT"][0])
    each = profile.count * max(1, 2 * len(asked.percentiles))
    most = max(1, BINS // _FEWEST // each)
    found: dict[int, Zone] = {}
    for start in range(0, len(numbers), most):
        batch = _Batch(engine, images, zones, np.array(numbers[start : start + most]), asked)
        found.update(batch.run(profile))
    return found


@dataclass
class _Search:
    """A pixel that is looked for: the interval of its key, and its rank among those in there."""

    rank: int
    low: int
    span: int


@dataclass(frozen=True)
class _Batch:
    """So many zones as one pass can take; ``place`` is a zone's index in ``numbers``."""

    engine: Engine
    images: Roles
    zones: Zones
    numbers: np.ndarray
    asked: Asked

    def run(self, profile: Profile) -> Iterator[tuple[int, Zone]]:
        """Each zone that has pixels, with its number."""
        work = ZoneMoments(zones=self.zones, chosen=self.numbers)
        sizes, bands = self.engine.reduce(work, self.images)
        percentiles = self._percentiles(profile, bands)
        records = []
        for band, moments in enumerate(bands):
            modes = self._modes(profile, band, moments) if self.asked.values else {}
            records.append(
                {
                    zone: ZoneBand(one, percentiles[band].get(zone, ()), modes.get(zone, ()))
                    for zone, one in zip(moments.zones.tolist(), moments.each())
                }
            )
        for zone, pixels, area in zip(*(column.tolist() for column in sizes)):
            listed = [record.get(zone, ZoneBand()) for record in records]
            invalid = [pixels - one.moments.valid for one in listed]
            complete = tuple(
                one._replace(moments=one.moments._replace(invalid=rest))
                for one, rest in zip(listed, invalid)
            )
            yield int(self.numbers[zone]), Zone(pixels, area, complete)

    # ---- percentiles

    def _percentiles(
        self, profile: Profile, bands: Sequence[BandMoments]
    ) -> list[dict[int, tuple[float, ...]]]:
        """The percentiles of each zone, by band and place."""
        searches = [self._searches(moments, band) for moments, band in zip(bands, profile.bands)]
        while any(one.span for band in searches for zone in band.values() for one in zone.values()):
            self._narrow(searches)
        dtype = np.dtype(profile.dtype)
        found: list[dict[int, tuple[float, ...]]] = []
        for band, moments, zones in zip(profile.bands, bands, searches):
            listed = {}
            for zone, valid in zip(moments.zones.tolist(), moments.valid.tolist()):
                values = {rank: value_of_key(one.low, dtype) for rank, one in zones[zone].items()}
                places = [self.asked.place(p, valid, band) for p in self.asked.percentiles]
                listed[zone] = tuple(
                    self.asked.percentile(
                        values[low], values[low + 1] if share else None, share, band
                    )
                    for low, share in places
                )
            found.append(listed)
        return found

    def _searches(self, moments: BandMoments, band: Any) -> dict[int, dict[int, _Search]]:
        """For each zone the ranks that are looked for, first between its smallest and largest."""
        lows, highs = _key_ranges(moments)
        found: dict[int, dict[int, _Search]] = {}
        for row, (zone, valid) in enumerate(zip(moments.zones.tolist(), moments.valid.tolist())):
            places = [self.asked.place(p, valid, band) for p in self.asked.percentiles]
            ranks = {
                rank for low, share in places for rank in ((low, low + 1) if share else (low,))
            }
            found[zone] = {rank: _Search(rank, lows[row], highs[row] - lows[row]) for rank in ranks}
        return found

    def _narrow(self, searches: Sequence[Mapping[int, Mapping[int, _Search]]]) -> None:
        """One pass: which of the bins of its interval each pixel is in."""
        # by band and zone the intervals that are not single keys yet: some are of several pixels
        wanted = [
            {
                zone: sorted({(one.low, one.span) for one in ranks.values() if one.span})
                for zone, ranks in band.items()
            }
            for band in searches
        ]
        depths = [max(map(len, band.values()), default=0) for band in wanted]
        places = max(1, sum(depths) * len(self.numbers))
        digit = max(_FEWEST, BINS // places).bit_length() - 1
        bands = {
            band: self._intervals(zones, depths[band], digit)
            for band, zones in enumerate(wanted)
            if depths[band]
        }
        work = ZoneBins(zones=self.zones, chosen=self.numbers, bands=bands, bins=1 << digit)
        for band, counts in zip(bands, self.engine.reduce(work, self.images)):
            totals = counts.cumsum(axis=2)
            for zone, ranks in searches[band].items():
                for one in ranks.values():
                    if one.span:
                        place = wanted[band][zone].index((one.low, one.span))
                        _refine(one, totals[place, zone], digit)

    def _intervals(
        self, wanted: Mapping[int, Sequence[tuple[int, int]]], depth: int, digit: int
    ) -> Intervals:
        found = Intervals(*(np.zeros((depth, len(self.numbers)), np.uint64) for _ in range(3)))
        for zone, several in wanted.items():
            for place, (low, span) in enumerate(several):
                found.low[place, zone], found.span[place, zone] = low, span
                found.shift[place, zone] = _shift(span, digit)
        return found

    # ---- majority, minority, variety

    def _modes(
        self, profile: Profile, band: int, moments: BandMoments
    ) -> dict[int, tuple[Value, ...]]:
        """Of each zone by its place; so many zones at a time as have not too many values."""
        lows, highs = _key_ranges(moments)
        tasks = -(-profile.height // CELL) * -(-profile.width // CELL)
        amounts = [
            min(valid, tasks * (high - low + 1))
            for valid, low, high in zip(moments.valid.tolist(), lows, highs)
        ]
        found: dict[int, tuple[Value, ...]] = {}
        for rows in _shares(amounts, MOST_ROWS):
            places = moments.zones[rows]
            work = ZoneValues(zones=self.zones, chosen=self.numbers[places], band=band)
            counts = self.engine.reduce(work, self.images)
            starts = starts_of(counts.zones)
            ends = [*starts[1:].tolist(), counts.zones.size]
            for start, end in zip(starts.tolist(), ends):
                zone = int(places[counts.zones[start]])
                found[zone] = self.asked.modes(
                    counts.values[start:end], counts.pixels[start:end], profile.bands[band]
                )
        return found


def _key_ranges(moments: BandMoments) -> tuple[list[int], list[int]]:
    """The smallest and largest key that each zone may have; zeros are of either sign."""
    low, high = moments.minimum, moments.maximum
    if low.dtype.kind == "f":
        low = np.where(low == 0, low.dtype.type(-0.0), low)
        high = np.where(high == 0, high.dtype.type(0.0), high)
    return ordered_keys(low).tolist(), ordered_keys(high).tolist()


def _shift(span: int, digit: int) -> int:
    """How many lower bits the keys of one bin differ in."""
    return max(0, span.bit_length() - digit)


def _refine(one: _Search, totals: np.ndarray, digit: int) -> None:
    """Go on in the bin that holds the rank."""
    shift = _shift(one.span, digit)
    place = int(np.searchsorted(totals, one.rank, side="right"))
    one.rank -= int(totals[place - 1]) if place else 0
    above = place << shift
    one.low, one.span = one.low + above, min((1 << shift) - 1, one.span - above)


def _shares(amounts: Sequence[int], most: int) -> Iterator[slice]:
    """Consecutive rows that have together no more than so many; at least one."""
    start = total = 0
    for row, amount in enumerate(amounts):
        if total and total + amount > most:
            yield slice(start, row)
            start, total = row, 0
        total += amount
    if amounts:
        yield slice(start, len(amounts))
