"""Exact percentiles: order statistics by counting the digits of keys that sort as pixels do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Optional

import numpy as np

from eoscale_engine.declaration import Block, Blocks, Engine, Reduction, parameter
from eoscale_engine.profile import Band, Profile
from eoscale_engine.reductions.statistics import physical, valid_chunks

DIGIT = 16
"""Bits of a key that one pass counts."""

_BINS = 1 << DIGIT


class Counts(NamedTuple):
    """Pixels of one band by digit.

    Attributes
    ----------
    valid : int
        All valid pixels.
    digits : uint32 array of (n,)
        ``65536 i + digit`` of the pixels whose key begins with prefix ``i``, ascending.
    pixels : int64 array of (n,)
        How many there are of each.
    """

    valid: int
    digits: np.ndarray
    pixels: np.ndarray


@dataclass(frozen=True)
class KeyCounts(Reduction):
    """Count the pixels of each band by 16 bits of their keys, among those of known higher bits.

    A key is an unsigned integer of the pixel's size that sorts as the pixel's values do (see
    :func:`ordered_keys`); a key of 8 bits is one digit too. Gives :class:`Counts` of each band.
    """

    label: ClassVar[str] = "Counting pixels by value"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"level": 1, "prefixes": ((0x8000, 0xC1A0, 0xC210), (0xC248,))},
    )

    level: int = parameter(0, minimum=0, maximum=3, help="Which digit, from the highest")
    prefixes: Any = parameter(
        (), kind="data", help="For each band the higher bits of the keys that count, ascending"
    )

    def map(self, blocks: Blocks) -> list[Counts]:
        """The counts of one cell."""
        return [self._counts(blocks[0], band) for band in range(blocks[0].pixels.shape[0])]

    def _counts(self, block: Block, band: int) -> Counts:
        bits = 8 * block.pixels.dtype.itemsize
        shift = max(0, bits - DIGIT * (self.level + 1))
        prefixes = np.asarray(self.prefixes[band] if self.level else (0,), np.uint64)
        if bits <= DIGIT * self.level:
            prefixes = prefixes[:0]
        digits, found, valid = np.empty(block.pixels[band].size, np.uint32), 0, 0
        for chunk in valid_chunks(block, band):
            keys = ordered_keys(chunk).ravel()
            valid += keys.size
            part = _digits(keys, prefixes, shift, self.level)
            digits[found : found + part.size] = part
            found += part.size
        return Counts(valid, *_counted(digits[:found], prefixes.size * _BINS))

    def merge(self, first: list[Counts], second: list[Counts]) -> list[Counts]:
        """Both cells together, band by band."""
        return [_merged(one, two) for one, two in zip(first, second)]

    def finish(self, merged: list[Counts], inputs: Sequence[Profile]) -> list[Counts]:
        """The counts of each band."""
        return merged


def ordered_keys(values: np.ndarray) -> np.ndarray:
    """Unsigned integers of the same size that sort as the values do, -0.0 just below 0.0.

    Of floats all bits are turned over where the sign is set, and the sign bit alone elsewhere: the
    bits of positive floats sort as integers already, those of negative ones the other way round.
    """
    kind = np.dtype(f"u{values.dtype.itemsize}")
    if values.dtype.kind == "u":
        return values
    sign = kind.type(1 << (8 * kind.itemsize - 1))
    keys = values.view(kind)
    if values.dtype.kind == "i":
        return keys ^ sign
    signed = values.view(np.dtype(f"i{kind.itemsize}"))
    turned = (signed >> signed.dtype.type(8 * kind.itemsize - 1)).view(kind)
    turned |= sign
    turned ^= keys
    return turned


def value_of_key(key: int, dtype: np.dtype) -> Any:
    """The pixel whose key this is, as a Python number; -0.0 as 0.0."""
    kind = np.dtype(f"u{dtype.itemsize}")
    sign = 1 << (8 * kind.itemsize - 1)
    if dtype.kind == "i":
        key ^= sign
    elif dtype.kind == "f":
        key ^= sign if key & sign else 2 * sign - 1
    return np.array([key], kind).view(dtype)[0].item() + 0


def _digits(keys: np.ndarray, prefixes: np.ndarray, shift: int, level: int) -> np.ndarray:
    """``65536 i + digit`` of the keys that begin with prefix ``i``."""
    kind = keys.dtype.type
    if not level:
        return keys >> kind(shift) if shift else keys
    if not prefixes.size:
        return np.empty(0, np.uint32)
    bits = 8 * keys.dtype.itemsize
    # A table of the highest digits drops almost all pixels, far faster than a search among prefixes
    wanted = np.zeros(_BINS, bool)
    wanted[(prefixes >> np.uint64(DIGIT * (level - 1))).astype(np.intp)] = True
    keys = keys[wanted[keys >> kind(bits - DIGIT)]]
    begins = keys >> kind(shift + DIGIT)
    places = np.searchsorted(prefixes.astype(keys.dtype), begins)
    if level > 1:
        np.minimum(places, prefixes.size - 1, out=places)
        hits = prefixes.astype(keys.dtype)[places] == begins
        keys, places = keys[hits], places[hits]
    digits = ((keys >> kind(shift)) & kind(_BINS - 1)).astype(np.uint32)
    digits += places.astype(np.uint32) << np.uint32(DIGIT)
    return digits


def _counted(digits: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Which digits there are, and how often; a table of all bins only where it is well filled."""
    if bins > 8 * digits.size:
        found, pixels = np.unique(digits, return_counts=True)
        return found, pixels.astype(np.int64)
    table = np.bincount(digits, minlength=bins)
    found = np.flatnonzero(table)
    return found.astype(np.uint32), table[found].astype(np.int64)


def _merged(one: Counts, two: Counts) -> Counts:
    digits = np.concatenate((one.digits, two.digits))
    # both are sorted runs, which a stable sort merges in linear time
    order = np.argsort(digits, kind="stable")
    digits = digits[order]
    starts = np.flatnonzero(np.diff(digits, prepend=np.int64(-1)))
    pixels = np.concatenate((one.pixels, two.pixels))[order]
    sums = np.add.reduceat(pixels, starts) if starts.size else pixels
    return Counts(one.valid + two.valid, digits[starts], sums)


# ---------------------------------------------------------------- the passes


@dataclass
class _Rank:
    """The pixel of a rank: its key's bits as far as they are known, its rank among those alike."""

    rank: int
    prefix: int = 0


def exact_percentiles(
    engine: Engine,
    images: Mapping[str, Sequence[Any]],
    percentiles: Sequence[float],
    *,
    raw: bool = False,
) -> np.ndarray:
    """Percentiles of the valid pixels of each band, as exact as those of all pixels sorted.

    8 and 16-bit pixels take one pass over the image, 32-bit ones two, 64-bit ones four.

    Parameters
    ----------
    engine, images
        What a procedure gets; the one image of the role INPUT counts.
    percentiles : sequence of float
        0 to 100, in any order. Between two pixels' values it is linear, as ``numpy.percentile``.
    raw : bool
        Of the stored pixels, without scale and offset.

    Returns
    -------
    float64 array of (bands, percentiles)
        NaN for a band without a valid pixel.
    """
    profile = engine.profile(images["INPUT"][0])
    dtype = np.dtype(profile.dtype)
    counts = engine.reduce(KeyCounts(), images)
    turned = [band.scale < 0 and not raw for band in profile.bands]
    places = [
        [_place(100 - p if turn else p, band.valid) for p in percentiles] if band.valid else []
        for band, turn in zip(counts, turned)
    ]
    ranks = [
        {rank: _Rank(rank) for low, _ in listed for rank in (low, min(low + 1, band.valid - 1))}
        for listed, band in zip(places, counts)
    ]
    for level in range(max(1, dtype.itemsize * 8 // DIGIT)):
        prefixes = tuple(tuple(sorted({r.prefix for r in band.values()})) for band in ranks)
        if level:
            counts = engine.reduce(KeyCounts(level, prefixes), images)
        for begins, band, found in zip(prefixes, ranks, counts):
            _refine(band.values(), begins, found)
    result = np.full((profile.count, len(percentiles)), np.nan)
    for row, listed, band, about in zip(result, places, ranks, profile.bands):
        values = {rank: value_of_key(r.prefix, dtype) for rank, r in band.items()}
        for place, (low, share) in enumerate(listed):
            row[place] = _between(values[low], values.get(low + 1), share, about, raw)
    return result


def _place(percentile: float, pixels: int) -> tuple[int, float]:
    """Rank of the pixel below, from 0, and how far it is from there to the next one."""
    place = (pixels - 1) * percentile / 100
    return math.floor(place), place - math.floor(place)


def _refine(ranks: Any, prefixes: Sequence[int], counts: Counts) -> None:
    """The next digit of each pixel that is looked for."""
    totals = np.cumsum(counts.pixels)
    before = np.concatenate((np.zeros(1, np.int64), totals))
    for rank in ranks:
        first = np.searchsorted(counts.digits, prefixes.index(rank.prefix) * _BINS)
        found = int(np.searchsorted(totals, rank.rank + before[first], side="right"))
        rank.rank -= int(before[found] - before[first])
        rank.prefix = (rank.prefix << DIGIT) + int(counts.digits[found]) % _BINS


def _between(low: Any, high: Optional[Any], share: float, band: Band, raw: bool) -> float:
    if not share or high is None or low == high:  # infinity minus infinity would be NaN
        return float(physical(low, band, raw))
    one, two = float(physical(low, band, raw)), float(physical(high, band, raw))
    if math.isinf(one) or math.isinf(two):
        return one + two
    return one + (two - one) * share
