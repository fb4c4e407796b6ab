"""Exact percentiles: order statistics by counting the digits of keys that sort as pixels do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from eoscale_engine.declaration import Engine, Roles, Within
from eoscale_engine.profile import Band
from eoscale_engine.reductions.key_counts import BINS, DIGIT, Counts, DigitCounts, KeyCounts
from eoscale_engine.reductions.keys import value_of_key
from eoscale_engine.reductions.statistics import physical

__all__ = ["Counts", "KeyCounts", "exact_percentiles", "value_of_key"]


@dataclass
class _Rank:
    """The pixel of a rank: its key's bits as far as they are known, its rank among those alike."""

    rank: int
    prefix: int = 0


def exact_percentiles(
    engine: Engine,
    images: Roles,
    percentiles: Sequence[float],
    *,
    raw: bool = False,
    within: Optional[Within] = None,
    counts: Sequence[Counts] = (),
) -> np.ndarray:
    """Percentiles of the valid pixels of each band, as exact as those of all pixels sorted.

    8 and 16-bit pixels take one pass over the image, 32-bit ones two, 64-bit ones four.

    Parameters
    ----------
    engine, images
        What a procedure gets; the one image of the role INPUT is looked at.
    percentiles : sequence of float
        0 to 100, in any order. Between two pixels' values it is linear, as ``numpy.percentile``.
    raw : bool
        Of the stored pixels, without scale and offset.
    within : Within, optional
        Which pixels count: all by default.
    counts : sequence of Counts, optional
        What :class:`KeyCounts` gave of them, where the first pass was made already.

    Returns
    -------
    float64 array of (bands, percentiles)
        NaN for a band without a valid pixel.
    """
    profile = engine.profile(images["INPUT"][0])
    dtype = np.dtype(profile.dtype)
    images = {"INPUT": images["INPUT"]}
    counts = counts or engine.reduce(KeyCounts(), images, within=within)
    turned = [band.scale < 0 and not raw for band in profile.bands]
    places = [
        [place_of(100 - p if turn else p, band.valid) for p in percentiles] if band.valid else []
        for band, turn in zip(counts, turned)
    ]
    ranks = [
        {rank: _Rank(rank) for low, _ in listed for rank in (low, min(low + 1, band.valid - 1))}
        for listed, band in zip(places, counts)
    ]
    for level in range(max(1, dtype.itemsize * 8 // DIGIT)):
        prefixes = tuple(tuple(sorted({r.prefix for r in band.values()})) for band in ranks)
        if level:
            counts = engine.reduce(DigitCounts(level, prefixes), images, within=within)
        for begins, band, found in zip(prefixes, ranks, counts):
            _refine(band.values(), begins, found)
    result = np.full((profile.count, len(percentiles)), np.nan)
    for row, listed, band, about in zip(result, places, ranks, profile.bands):
        values = {rank: value_of_key(r.prefix, dtype) for rank, r in band.items()}
        for place, (low, share) in enumerate(listed):
            row[place] = between(values[low], values.get(low + 1), share, about, raw)
    return result


def place_of(percentile: float, pixels: int) -> tuple[int, float]:
    """Rank of the pixel below, from 0, and how far it is from there to the next one."""
    place = (pixels - 1) * percentile / 100
    return math.floor(place), place - math.floor(place)


def _refine(ranks: Any, prefixes: Sequence[int], counts: Counts) -> None:
    """The next digit of each pixel that is looked for."""
    totals = np.cumsum(counts.pixels)
    before = np.concatenate((np.zeros(1, np.int64), totals))
    for rank in ranks:
        first = np.searchsorted(counts.digits, prefixes.index(rank.prefix) * BINS)
        found = int(np.searchsorted(totals, rank.rank + before[first], side="right"))
        rank.rank -= int(before[found] - before[first])
        rank.prefix = (rank.prefix << DIGIT) + int(counts.digits[found]) % BINS


def between(low: Any, high: Optional[Any], share: float, band: Band, raw: bool) -> float:
    if not share or high is None or low == high:  # infinity minus infinity would be NaN
        return float(physical(low, band, raw))
    one, two = float(low), float(high)
    stored = one + two if math.isinf(one) or math.isinf(two) else one + (two - one) * share
    return float(physical(stored, band, raw))
