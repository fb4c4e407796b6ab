"""Statistics of zones each of which lies in a window: from all of its pixels at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from eoscale_engine.declaration import Blocks, Input, Reduction, parameter
from eoscale_engine.profile import Band
from eoscale_engine.reductions.percentiles import between, place_of
from eoscale_engine.reductions.statistics import physical
from eoscale_engine.reductions.zones import INPUTS, Members, starts_of
from eoscale_engine.reductions.zones_columns import Value, ZoneColumns
from eoscale_engine.reductions.zones_moments import BandMoments, band_moments, by_zone, valid_values

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


class _BandPart(NamedTuple):
    """Statistics of one band, of the zones whose numbers its moments have; see ``BandColumns``."""

    moments: BandMoments
    percentiles: np.ndarray
    modes: Sequence[tuple[Value, ...]]


class WindowPart(NamedTuple):
    """Zones of a window, by number."""

    numbers: np.ndarray
    pixels: np.ndarray
    areas: np.ndarray
    bands: Sequence[_BandPart]

    def enter(self, columns: ZoneColumns) -> None:
        """Put the zones among all others."""
        columns.pixels[self.numbers], columns.areas[self.numbers] = self.pixels, self.areas
        for whole, found in zip(columns.bands, self.bands):
            numbers, *moments = found.moments
            for column, values in zip(whole.moments[1:], moments):
                column[numbers] = values
            whole.invalid[self.numbers] = self.pixels - whole.moments.valid[self.numbers]
            whole.percentiles[numbers] = found.percentiles
            whole.modes.update(zip(numbers.tolist(), found.modes))


@dataclass(frozen=True)
class WindowZones(Reduction[list[WindowPart], list[WindowPart]]):
    """Statistics of zones, each from a window that holds it. Gives a :class:`WindowPart` for each.

    ``reduce`` gets the windows. Integers are summed exactly, floats in one fixed order; nothing is
    merged, so that a zone's values depend on its own pixels only.
    """

    stage = "Finding statistics of zones"
    inputs: ClassVar[tuple[Input, ...]] = INPUTS
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    zones: Any = parameter(kind="data", help="Zones")
    asked: Any = parameter(kind="data", help="Asked")
    windows: Any = parameter(kind="data", help="Numbers of the zones of each window, ascending")

    def map(self, blocks: Blocks) -> list[WindowPart]:
        """The zones of one window."""
        every = np.array(self.windows[blocks.core], np.int64)
        found: list[WindowPart] = []
        for start in range(0, every.size, MOST_AT_ONCE):
            numbers = every[start : start + MOST_AT_ONCE]
            parts = self.zones.members(blocks, numbers)
            found.extend(self._zones(blocks, numbers, by_zone(one)) for one in parts)
        return found

    def _zones(self, blocks: Blocks, numbers: np.ndarray, members: Members) -> WindowPart:
        """All of these pixels, sorted by zone, together: calls for each zone would take longer."""
        starts = starts_of(members.zones)
        pixels = np.diff(starts, append=members.zones.size)
        areas = np.zeros(starts.size)
        if self.zones.row_areas is not None and starts.size:
            rows = members.places // blocks.core.cols + blocks.core.row
            areas = np.add.reduceat(self.zones.row_areas[rows], starts)
        bands = []
        for band, properties in enumerate(blocks[0].profile.bands):
            part = _band_part(*valid_values(blocks[0], band, members), self.asked, properties)
            named = part.moments._replace(zones=numbers[part.moments.zones])
            bands.append(part._replace(moments=named))
        return WindowPart(numbers[members.zones[starts]], pixels, areas, bands)

    def merge(self, first: list[WindowPart], second: list[WindowPart]) -> list[WindowPart]:
        """The zones of both windows."""
        first.extend(second)
        return first


def _band_part(zones: np.ndarray, values: np.ndarray, asked: Asked, band: Band) -> _BandPart:
    """The statistics of one band, of valid pixels that are sorted by zone."""
    # the sum of very large floats may overflow to infinity, as it says
    with np.errstate(over="ignore", invalid="ignore"):
        found = band_moments(zones, values)
    if not (asked.percentiles or asked.values):
        return _BandPart(found, np.empty((found.zones.size, 0)), ())
    # each by itself: far faster than one order of all
    ends = np.cumsum(found.valid).tolist()
    each = [values[start:end] for start, end in zip([0, *ends], ends)]
    for one in each:
        one.sort()
    modes = [_modes(one, asked, band) for one in each] if asked.values else ()
    return _BandPart(found, _percentiles(values, found.valid, asked, band), modes)


def _percentiles(values: np.ndarray, pixels: np.ndarray, asked: Asked, band: Band) -> np.ndarray:
    """Of zones with so many pixels, from the values of one after the other, each ascending.

    As :meth:`Asked.percentile` has them of one zone, to the last bit.
    """
    found = np.empty((pixels.size, len(asked.percentiles)))
    starts = np.cumsum(pixels) - pixels
    for column, percentile in enumerate(asked.percentiles):
        place = (pixels - 1) * (100 - percentile if asked.turns(band) else percentile) / 100
        below = np.floor(place).astype(np.int64)
        share, low = place - below, starts + below
        one, two = values[low].astype(np.float64), values[low + (share > 0)].astype(np.float64)
        # as Python's floats do, without a word; infinity minus infinity would be NaN
        with np.errstate(over="ignore", invalid="ignore"):
            infinite = np.isinf(one) | np.isinf(two)
            stored = np.where(infinite, one + two, one + (two - one) * share)
            found[:, column] = physical(stored, band, asked.raw) + 0.0
    return found


def _modes(values: np.ndarray, asked: Asked, band: Band) -> tuple[Value, ...]:
    """One zone's most and least frequent value, from its values in ascending order."""
    starts = starts_of(values)
    return asked.modes(values[starts], np.diff(starts, append=values.size), band)
