"""What is known of zones, as columns: a call for each zone would take longer than its pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Optional, Union

import numpy as np

from eoscale_engine.profile import Band, Profile
from eoscale_engine.reductions.statistics import Moments, physical
from eoscale_engine.reductions.zones_moments import BandMoments, totals_dtype

Value = Optional[Union[int, float]]

MOST_EXACT = 2**53
"""Below it float64 holds every whole number."""


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
class BandColumns:
    """All zones in one band, in the order of their numbers; see :class:`ZoneBand`.

    ``percentiles`` is a float64 array of (zones, percentiles), ``modes`` holds the zones that have
    some, by number.
    """

    moments: BandMoments
    invalid: np.ndarray
    percentiles: np.ndarray
    modes: dict[int, tuple[Value, ...]]

    @property
    def finite(self) -> np.ndarray:
        """How many valid pixels are not infinite."""
        return self.moments.valid - self.moments.infinite

    def values(self, band: Band, raw: bool) -> list[list[Value]]:
        """Sum, mean, minimum, maximum, range, standard deviation and variance, physical; or None.

        As Python's numbers: sums of integers are exact, and so are 64-bit pixels.
        """
        found, finite = self.moments, self.finite
        pixels = np.where(finite > 0, finite, 1)
        whole = found.totals
        if whole.dtype.kind in "iu" and np.abs(whole).max(initial=0) >= MOST_EXACT:
            whole = whole.astype(object)  # Python rounds the quotient of integers once
        scale = 1.0 if raw else band.scale
        # as Python's floats do, without a word
        with np.errstate(all="ignore"):
            limits = [_physical(limit, band, raw) + 0 for limit in (found.minimum, found.maximum)]
            low, high = np.minimum(*limits), np.maximum(*limits)
            mean = _physical((whole / pixels).astype(np.float64), band, raw)
            total = _physical(found.totals, band, raw, finite)
            variance = found.squares / pixels * scale * scale
            deviation = np.sqrt(found.squares / pixels) * abs(scale)
            spread = _range(low, high)
        some, sums = found.valid > 0, finite > 0
        return [
            listed(total, sums), listed(mean, sums), listed(low, some), listed(high, some),
            listed(spread, sums), listed(deviation, sums), listed(variance, sums),
        ]  # fmt: skip


@dataclass(frozen=True)
class ZoneColumns:
    """All zones in the order of their numbers; see :class:`Zone`."""

    pixels: np.ndarray
    areas: np.ndarray
    bands: tuple[BandColumns, ...]

    @classmethod
    def empty(
        cls, zones: int, profile: Profile, percentiles: int, *, weighted: bool
    ) -> ZoneColumns:
        """Zones without a pixel; those that are ``weighted`` count pixels by shares."""
        count, dtype = np.dtype(np.float64 if weighted else np.int64), np.dtype(profile.dtype)
        totals = count if weighted else totals_dtype(dtype)

        def band() -> BandColumns:
            kinds = (count, count, dtype, dtype, totals, np.dtype(np.float64))
            columns = (np.zeros(zones, kind) for kind in kinds)
            return BandColumns(
                BandMoments(np.arange(zones), *columns),
                np.zeros(zones, count), np.full((zones, percentiles), np.nan), {},
            )  # fmt: skip

        bands = tuple(band() for _ in range(profile.count))
        return cls(np.zeros(zones, count), np.zeros(zones), bands)

    def put(self, number: int, zone: Zone) -> None:
        """Enter one zone."""
        self.pixels[number], self.areas[number] = zone.pixels, zone.area
        for columns, found in zip(self.bands, zone.bands):
            moments = found.moments
            columns.invalid[number] = moments.invalid
            if not moments.valid:
                continue
            named = columns.moments._asdict()
            del named["zones"]
            for name, column in named.items():
                column[number] = getattr(moments, name if name != "totals" else "total")
            if found.percentiles:
                columns.percentiles[number] = found.percentiles
            if found.modes:
                columns.modes[number] = found.modes


def listed(column: np.ndarray, known: np.ndarray) -> list[Any]:
    """A column as Python's numbers, None where nothing is known or where it is NaN."""
    values: list[Any] = column.tolist()
    if column.dtype.kind == "f":
        known = known & ~np.isnan(column)
    for place in np.flatnonzero(~known).tolist():
        values[place] = None
    return values


def _physical(values: np.ndarray, band: Band, raw: bool, pixels: Any = 1) -> np.ndarray:
    """The physical values: of integers in float64, unless they stay as they are."""
    if values.dtype.kind == "f" or (not raw and (band.scale, band.offset) != (1, 0)):
        values = values.astype(np.float64)
    found: np.ndarray = physical(values, band, raw, pixels)
    return found


def _range(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Of integers exactly; infinite where a limit is."""
    if low.dtype.kind == "f":
        return np.where(np.isfinite(low) & np.isfinite(high), high - low, np.inf)
    kind = f"u{low.dtype.itemsize}"
    # modulo 2^n, which no difference reaches
    return high.view(kind) - low.view(kind)
