"""Counting pixels by the digits of their keys, which sort as the pixels do."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from eoscale_engine.declaration import Block, Blocks, Reduction, parameter
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.keys import bits_of_key, ordered_keys
from eoscale_engine.reductions.statistics import valid_chunks

DIGIT = 16
"""Bits of a key that one pass counts."""

BINS = 1 << DIGIT

FEW = 8
"""Up to so many comparisons of all pixels are faster than a look into a table for each."""


class Counts(NamedTuple):
    """Pixels of one band by digit.

    Attributes
    ----------
    valid, invalid : int
        All pixels, whatever their digits.
    digits : integer array of (n,)
        ``65536 i + digit`` of the pixels whose key begins with prefix ``i``, ascending.
    pixels : int64 array of (n,)
        How many there are of each.
    """

    valid: int
    invalid: int
    digits: np.ndarray
    pixels: np.ndarray


class Filled(NamedTuple):
    """Pixels of one band by the highest bits as they are stored, in a table without empty ends."""

    valid: int
    invalid: int
    start: int
    pixels: np.ndarray

    @property
    def end(self) -> int:
        """One more than the last filled place."""
        return self.start + len(self.pixels)


@dataclass(frozen=True)
class KeyCounts(Reduction[list[Filled], list[Counts]]):
    """Count the pixels of each band by the first 16 bits of their keys: of 8 and 16 bits, by value.

    A key is an unsigned integer of the pixel's size that sorts as the pixel's values do (see
    :mod:`eoscale_engine.reductions.keys`). Gives :class:`Counts` of each band.
    """

    stage = "Counting pixels by value"

    def map(self, blocks: Blocks) -> list[Filled]:
        """The counts of one cell."""
        return [_filled(blocks, band) for band in range(blocks[0].pixels.shape[0])]

    def merge(self, first: list[Filled], second: list[Filled]) -> list[Filled]:
        """Both cells together, band by band."""
        return list(map(_added, first, second))

    def finish(self, merged: list[Filled], inputs: Sequence[Profile]) -> list[Counts]:
        """The counts of each band, in the order of keys."""
        dtype = np.dtype(inputs[0].dtype)
        return [_sorted(band, f"{dtype.kind}{min(dtype.itemsize, 2)}") for band in merged]


def _filled(blocks: Blocks, band: int) -> Filled:
    """A table of the highest bits: no keys are made of pixels, only of the table's places."""
    block: Block = blocks[0]
    pixels = block.pixels[band]
    if block.valid is not None:
        pixels = pixels[block.valid[band]]
    invalid = blocks.size - pixels.size
    if not pixels.size:
        return Filled(0, invalid, 0, np.empty(0, np.uint32))
    digits = _highest(pixels)
    start = int(digits.min())
    counts = np.bincount(digits.ravel().astype(np.intp))
    return Filled(pixels.size, invalid, start, counts[start:].astype(np.uint32))


def _highest(pixels: np.ndarray) -> np.ndarray:
    """The first 16 bits of pixels as they are stored, all of 8: a view, far faster than a shift."""
    if pixels.dtype.itemsize == 1:
        return pixels.view(np.uint8)
    step = pixels.dtype.itemsize // 2
    return pixels.view(np.uint16)[..., step - 1 if sys.byteorder == "little" else 0 :: step]


def _added(one: Filled, two: Filled) -> Filled:
    valid, invalid = one.valid + two.valid, one.invalid + two.invalid
    if not (one.valid and two.valid):
        return (one if one.valid else two)._replace(invalid=invalid)
    start, end = min(one.start, two.start), max(one.end, two.end)
    # narrow as long as that is enough: tables of all cells travel
    kind: Any = np.uint32 if valid < 2**32 else np.int64
    total = np.zeros(end - start, kind)
    for part in (one, two):
        total[part.start - start : part.end - start] += part.pixels
    return Filled(valid, invalid, start, total)


def _sorted(band: Filled, kind: str) -> Counts:
    places = np.flatnonzero(band.pixels)
    bits = (places + band.start).astype(f"u{kind[1]}")
    keys = ordered_keys(bits.view(kind))
    order = np.argsort(keys)
    return Counts(
        band.valid, band.invalid, keys[order], band.pixels[places[order]].astype(np.int64)
    )


@dataclass(frozen=True)
class DigitCounts(Reduction[list[Counts], list[Counts]]):
    """Count the pixels of each band by 16 bits of their keys, among those of known higher bits.

    What :class:`KeyCounts` finds, one to three digits further. Gives :class:`Counts` of each band.
    """

    stage = "Counting pixels by value"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"level": 1, "prefixes": ((0x8000, 0xC1A0, 0xC210), (0xC248,))},
    )

    level: int = parameter(minimum=1, maximum=3, help="Which digit, from the highest, which is 0")
    prefixes: Any = parameter(
        kind="data", help="For each band the higher bits of the keys that count, ascending"
    )

    def map(self, blocks: Blocks) -> list[Counts]:
        """The counts of one cell."""
        return [self._counts(blocks, band) for band in range(blocks[0].pixels.shape[0])]

    def _counts(self, blocks: Blocks, band: int) -> Counts:
        block: Block = blocks[0]
        shift = 8 * block.pixels.dtype.itemsize - DIGIT * (self.level + 1)
        prefixes = np.asarray(self.prefixes[band], np.uint64)
        parts, valid = [np.empty(0, np.uint32)], 0
        for chunk in valid_chunks(block, band):
            valid += chunk.size
            if shift >= 0 and prefixes.size:
                parts.append(self._digits(chunk, prefixes, shift))
        digits, pixels = _counted(np.concatenate(parts), prefixes.size * BINS)
        return Counts(valid, blocks.size - valid, digits, pixels)

    def _digits(self, pixels: np.ndarray, prefixes: np.ndarray, shift: int) -> np.ndarray:
        """``65536 i + digit`` of the pixels whose keys begin with prefix ``i``."""
        # almost all pixels are dropped by their highest bits, before keys are made of the others
        first = {int(prefix) >> (DIGIT * (self.level - 1)) for prefix in prefixes}
        wanted = [bits_of_key(digit, pixels.dtype.kind, DIGIT) for digit in sorted(first)]
        keys = ordered_keys(pixels[_any_of(_highest(pixels), wanted)])
        kind = keys.dtype.type
        known = prefixes.astype(keys.dtype)
        begins = keys >> kind(shift + DIGIT)
        places = np.searchsorted(known, begins)
        if self.level > 1:
            np.minimum(places, known.size - 1, out=places)
            hits = known[places] == begins
            keys, places = keys[hits], places[hits]
        digits = ((keys >> kind(shift)) & kind(BINS - 1)).astype(np.uint32)
        digits += places.astype(np.uint32) << np.uint32(DIGIT)
        return digits

    def merge(self, first: list[Counts], second: list[Counts]) -> list[Counts]:
        """Both cells together, band by band."""
        return list(map(_merged, first, second))


def _any_of(digits: np.ndarray, wanted: Sequence[int]) -> np.ndarray:
    """Where digits are one of those wanted; a few comparisons are faster than a table."""
    if len(wanted) > FEW:
        table = np.zeros(BINS, bool)
        table[list(wanted)] = True
        return table[digits]
    found: np.ndarray = digits == wanted[0]
    for digit in wanted[1:]:
        found |= digits == digit
    return found


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
    return Counts(one.valid + two.valid, one.invalid + two.invalid, digits[starts], sums)
