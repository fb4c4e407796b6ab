"""The exact number of distinct values of large pixels, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Block, Blocks, Engine, Reduction, Roles, Within, parameter
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.statistics import valid_chunks
from eoscale_engine.tiling import CELL

PASS_BYTES = 2**24
"""Of pixels that one pass looks for, about; those that are equal in a cell take one place."""

PARTS = 65536
"""Of all values, among which a hash spreads them evenly."""

_SPREAD = 0x9E37_79B9_7F4A_7C15
"""An odd number, the golden ratio's bits: its multiples fill the highest bits evenly."""


Runs = list[np.ndarray]
"""Bits of pixels: ascending arrays, none twice in one."""


@dataclass(frozen=True)
class DistinctPixels(Reduction[list[Runs], list[int]]):
    """Count the distinct pixels of each band in some of 65536 parts, by a hash of their values.

    A list of integers. All parts together hold each value once; 0.0 and -0.0 are the same one.
    """

    stage = "Counting distinct values"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({}, {"start": 3000, "end": 30000})

    start: int = parameter(0, minimum=0, maximum=PARTS - 1, help="First part")
    end: int = parameter(PARTS, minimum=1, maximum=PARTS, help="One more than the last part")

    def map(self, blocks: Blocks) -> list[Runs]:
        """The distinct pixels of each band in one cell."""
        return [self._distinct(blocks[0], band) for band in range(blocks[0].pixels.shape[0])]

    def _distinct(self, block: Block, band: int) -> Runs:
        found = [self._chosen(chunk.ravel()) for chunk in valid_chunks(block, band)]
        return [_once(np.sort(np.concatenate(found)))] if found else []

    def _chosen(self, pixels: np.ndarray) -> np.ndarray:
        if pixels.dtype.kind == "f":
            pixels = pixels + pixels.dtype.type(0)  # -0.0 becomes 0.0
        bits = pixels.view(f"u{pixels.dtype.itemsize}")
        parts = self.end - self.start
        if parts == PARTS:
            return bits
        wide = bits if bits.dtype.itemsize > 2 else bits.astype(np.uint32)
        size, kind = 8 * wide.dtype.itemsize, wide.dtype.type
        each = 2**size // PARTS
        hashes = wide * kind(_SPREAD >> (64 - size) | 1)
        # those below the start wrap around to above the end: faster than a shift
        hashes -= kind(self.start * each)
        return bits[hashes < kind(parts * each)]

    def merge(self, first: list[Runs], second: list[Runs]) -> list[Runs]:
        """Both cells together, band by band."""
        return [_merged(one + two) for one, two in zip(first, second)]

    def finish(self, merged: list[Runs], inputs: Sequence[Profile]) -> list[int]:
        """How many there are in each band."""
        return [_union(runs).size if runs else 0 for runs in merged]


def _merged(runs: Runs) -> Runs:
    """One array where the later ones have outgrown the first: a pixel is merged about twice."""
    later = sum(run.size for run in runs[1:])
    return [_union(runs)] if len(runs) > 1 and later > runs[0].size else runs


def _union(runs: Runs) -> np.ndarray:
    # ascending runs, which a stable sort merges in linear time
    return _once(np.sort(np.concatenate(runs), kind="stable"))


def _once(ascending: np.ndarray) -> np.ndarray:
    new = np.ones(ascending.size, bool)
    np.not_equal(ascending[1:], ascending[:-1], out=new[1:])
    return ascending[new]


def distinct_pixels(
    engine: Engine,
    images: Roles,
    valid: int,
    *,
    within: Optional[Within] = None,
) -> list[int]:
    """How many distinct values the valid pixels of each band have, in passes that fit in memory.

    Parameters
    ----------
    engine, images
        What a procedure gets; the one image of the role INPUT is looked at.
    valid : int
        Number of valid pixels of all bands.
    within : Within, optional
        Which pixels count: all by default.
    """
    profile = engine.profile(images["INPUT"][0])
    images = {"INPUT": images["INPUT"]}
    itemsize = np.dtype(profile.dtype).itemsize
    cells = math.ceil(profile.height / CELL) * math.ceil(profile.width / CELL)
    total, start = [0] * profile.count, 0
    parts = least = max(1, PARTS * PASS_BYTES // max(valid * itemsize, 1))
    while start < PARTS:
        end = min(start + parts, PARTS)
        found = engine.reduce(DistinctPixels(start, end), images, within=within)
        total = [before + more for before, more in zip(total, found)]
        # of few values, even if each were in every cell, more parts fit at a time
        most = max(sum(found) * cells * itemsize, PASS_BYTES // 8)
        parts = max(least, (end - start) * PASS_BYTES // most)
        start = end
    return total
