"""How often the values of an image occur: each of its own, or in bins where there are many."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Optional

import numpy as np

from eoscale_engine.declaration import Engine, Roles
from eoscale_engine.errors import InputError
from eoscale_engine.filters.physical_values import is_scaled
from eoscale_engine.profile import Band, Profile
from eoscale_engine.reductions.band_counts import BandCounts, edges_of
from eoscale_engine.reductions.histogram import Limits, ValueRange
from eoscale_engine.reductions.key_counts import Counts, KeyCounts
from eoscale_engine.reductions.keys import value_of_key
from eoscale_engine.reductions.statistics import Together, physical

LARGEST_INTEGER = 2**51
"""Up to here float64 holds the half-integers between which integers have their bins."""

Layout = Optional[tuple[float, float, int]]


class ValueCounts(NamedTuple):
    """How often values occur, or bins of them.

    Attributes
    ----------
    values : float64 array of (n,)
        Ascending; the middles of bins.
    ends : float64 array of (n,)
        The largest value that each bin can hold; ``values`` itself where there are no bins.
    counts : int64 array of (n,)
        Greater than 0.
    """

    values: np.ndarray
    ends: np.ndarray
    counts: np.ndarray


@dataclass(frozen=True)
class Counting:
    """What is counted: finite values within bounds, of each band or of all of them together.

    Integers of up to 16 bits have each value counted, all others are in so many bins.
    """

    lower: Optional[float]
    upper: Optional[float]
    bins: int
    raw: bool
    per_band: bool

    def counts(
        self, label: str, images: Roles, engine: Engine
    ) -> tuple[list[ValueCounts], list[Counts]]:
        """Of each band, or a single one; and of each band how many pixels are valid.

        An InputError, with a label, of bins without a width.
        """
        profile = engine.profile(images["INPUT"][0])
        dtype = np.dtype(profile.dtype)
        if dtype.kind in "iu" and dtype.itemsize <= 2:
            pixels = engine.reduce(KeyCounts(), images)
            counted = [
                self._exact(band.digits, band.pixels, dtype, about)
                for band, about in zip(pixels, profile.bands)
            ]
            return counted if self.per_band else [_together(counted)], pixels
        whole = self._in_integers(profile)
        ranges, pixels = engine.reduce(Together(ValueRange(raw=self.raw), KeyCounts()), images)
        if not self.per_band:
            ranges = [_widest(ranges)] * len(ranges)
        layouts = [
            None if limits is None else self._layout(label, limits, number, whole)
            for number, limits in zip(profile.band_numbers, ranges)
        ]
        found = engine.reduce(BandCounts(tuple(layouts), self.raw), images)
        if not self.per_band:
            found = [np.sum(found, axis=0)]
        return [_of_bins(counts, layout, whole) for counts, layout in zip(found, layouts)], pixels

    def _exact(
        self, keys: np.ndarray, pixels: np.ndarray, dtype: np.dtype, band: Band
    ) -> ValueCounts:
        """The values within the bounds, from counts of stored ones."""
        values = np.array([value_of_key(key, dtype) for key in keys.tolist()], np.float64)
        with np.errstate(over="ignore"):
            values = physical(values, band, self.raw)
        inside = np.isfinite(values)
        inside &= values >= (-math.inf if self.lower is None else self.lower)
        inside &= values <= (math.inf if self.upper is None else self.upper)
        return _together([ValueCounts(values[inside], values[inside], pixels[inside])])

    def _layout(self, label: str, limits: tuple[Any, Any], number: int, whole: bool) -> Layout:
        """Bounds of the bins of a band and their number; None where there are no values."""
        low, high = (float(limit) for limit in limits)
        low = low if self.lower is None else max(low, self.lower)
        high = high if self.upper is None else min(high, self.upper)
        if not math.isfinite(high - low):
            raise InputError(
                f"{label}: {low:.7g} and {high:.7g} are too far apart to be cut into bins (band "
                f"{number}). Give a lower and an upper bound that are closer."
            )
        if whole and max(-low, high) <= LARGEST_INTEGER:
            low, high = math.ceil(low) - 0.5, math.floor(high) + 0.5
            integers = int(high - low)
            if integers < 1:
                return None
            if self.upper is not None:
                # the last bin must not hold integers beyond the bound
                return low, high, min(self.bins, integers)
            each = -(-integers // self.bins)
            bins = -(-integers // each)
            return low, low + bins * each, bins
        if low == high:  # one bin, with room for one value alone
            return low, float(np.nextafter(low, np.inf)), 1
        return (low, high, self.bins) if low < high else None

    def _in_integers(self, profile: Profile) -> bool:
        scaled = any(map(is_scaled, profile.bands))
        return np.dtype(profile.dtype).kind in "iu" and (self.raw or not scaled)


def _widest(ranges: Sequence[Optional[Limits]]) -> Optional[Limits]:
    known = [limits for limits in ranges if limits]
    return (min(low for low, _ in known), max(high for _, high in known)) if known else None


def _together(several: Sequence[ValueCounts]) -> ValueCounts:
    """The values of all, sorted, each once."""
    values, places = np.unique(
        np.concatenate([found.values for found in several]), return_inverse=True
    )
    counts = np.zeros(len(values), np.int64)
    np.add.at(counts, places.ravel(), np.concatenate([found.counts for found in several]))
    return ValueCounts(values, values, counts)


def _of_bins(counts: np.ndarray, layout: Layout, whole: bool) -> ValueCounts:
    """The bins that are not empty; each ends just before the next one starts."""
    if layout is None:
        return ValueCounts(np.empty(0), np.empty(0), np.empty(0, np.int64))
    edges = edges_of(layout)
    ends = np.nextafter(edges[1:], -np.inf)
    if whole:
        ends = np.minimum(ends, np.ceil(edges[1:]) - 1)
    middles = (edges[:-1] + edges[1:]) / 2
    filled = counts > 0
    return ValueCounts(middles[filled], ends[filled], counts[filled])
