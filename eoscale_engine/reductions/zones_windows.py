"""Statistics of zones each of which lies in a window: all from its pixels at once."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Optional, Union

import numpy as np

from eoscale_engine.declaration import Block, Blocks, Input, Reduction, parameter
from eoscale_engine.profile import Band, Profile
from eoscale_engine.reductions.percentiles import between, place_of
from eoscale_engine.reductions.statistics import Moments, moments, physical
from eoscale_engine.reductions.zones import INPUTS, starts_of

Value = Optional[Union[int, float]]


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
    """A zone's pixels, their area in square metres where rows differ in it, and its bands."""

    pixels: int
    area: float
    bands: tuple[ZoneBand, ...]


@dataclass(frozen=True)
class WindowZones(Reduction):
    """Statistics of zones, each from one window that holds it. Gives a :class:`Zone` by number.

    ``reduce`` gets the windows. Integers are summed exactly, floats in one fixed order; nothing is
    merged, so that a zone's values depend on its own pixels only.
    """

    label: ClassVar[str] = "Statistics of zones"
    inputs: ClassVar[tuple[Input, ...]] = INPUTS
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    zones: Any = parameter(kind="data", help="Zones")
    asked: Any = parameter(kind="data", help="Asked")
    windows: Any = parameter(kind="data", help="Numbers of the zones of each window")

    def map(self, blocks: Blocks) -> dict[int, Zone]:
        """The zones of one window."""
        return {number: self._zone(blocks, number) for number in self.windows[blocks.core]}

    def _zone(self, blocks: Blocks, number: int) -> Zone:
        places = self.zones.places(blocks, number)
        block, area = blocks[0], 0.0
        if self.zones.row_areas is not None:
            rows = places // blocks.core.cols
            area = float(self.zones.row_areas[rows + blocks.core.row].sum())
        bands = tuple(
            zone_band(_values(block, band, places), places.size, self.asked, properties)
            for band, properties in enumerate(block.profile.bands)
        )
        return Zone(places.size, area, bands)

    def merge(self, first: dict[int, Zone], second: dict[int, Zone]) -> dict[int, Zone]:
        """The zones of both windows."""
        first.update(second)
        return first

    def finish(self, merged: dict[int, Zone], inputs: Sequence[Profile]) -> dict[int, Zone]:
        """As they are."""
        return merged


def _values(block: Block, band: int, places: np.ndarray) -> np.ndarray:
    """The valid pixels of a zone."""
    values: np.ndarray = block.pixels[band].ravel()[places]
    return values if block.valid is None else values[block.valid[band].ravel()[places]]


def zone_band(values: np.ndarray, pixels: int, asked: Asked, band: Band) -> ZoneBand:
    """All statistics of one zone from its valid pixels."""
    size = values.size
    if not size:
        return ZoneBand(Moments(invalid=pixels))
    # the sum of very large floats may overflow to infinity, as it says
    with np.errstate(over="ignore", invalid="ignore"):
        found = moments(values)._replace(invalid=pixels - size)
    places = [asked.place(percentile, size, band) for percentile in asked.percentiles]
    modes: tuple[Value, ...] = ()
    if asked.values or (places and values.dtype.itemsize <= 2):
        # of up to 16 bits a radix sort, as fast as a partition
        values = np.sort(values, kind="stable")
    elif places:
        ranks = {rank for low, share in places for rank in ((low, low + 1) if share else (low,))}
        values = np.partition(values, sorted(ranks))
    if asked.values:
        starts = starts_of(values)
        modes = asked.modes(values[starts], np.diff(starts, append=size), band)
    percentiles = tuple(
        asked.percentile(values[low].item(), values[low + 1].item() if share else None, share, band)
        for low, share in places
    )
    return ZoneBand(found, percentiles, modes)


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
