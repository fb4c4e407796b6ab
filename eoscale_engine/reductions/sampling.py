"""Random pixels, the same whatever the tiling: each pixel's place and a seed give it a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Optional, Union

import numpy as np

from eoscale_engine.declaration import Blocks, Input, Reduction, image, images, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.profile import Profile
from eoscale_engine.tiling import Window

Stratum = Union[int, float, None]
"""The value of a class; None where there are no classes."""

LARGEST = 2**64 - 1
"""The largest number that a pixel can have."""

MOST_STRATA = 65536
"""Classes of one image: all that 16 bits can hold."""

CHUNK_ROWS = 64
"""Rows numbered at a time: with 512 columns, 256 kB, which stays in the cache."""

STEP = np.uint64(0x9E3779B97F4A7C15)


def pixel_numbers(window: Window, seed: int) -> np.ndarray:
    """Independent uniform 64-bit numbers, one for each place and seed.

    SplitMix64: a state that goes on by a fixed step, and a finaliser that scatters it. The seed's
    stream gives each row its own start, and from there each column takes one step, so that any
    pixel's number is found without those before it.

    Parameters
    ----------
    window : Window
        Rows and columns that are at least 0.
    seed : int
        Any; those that differ by a multiple of 2^64 are the same.

    Returns
    -------
    uint64 array of (rows, cols)
    """
    first = _scattered(np.array([(seed + 1) % 2**64], np.uint64) * STEP)
    rows = _scattered(np.arange(window.row + 1, window.end_row + 1, dtype=np.uint64) * STEP + first)
    cols = np.arange(window.col + 1, window.end_col + 1, dtype=np.uint64) * STEP
    return _scattered(rows[:, None] + cols)


def _scattered(state: np.ndarray) -> np.ndarray:
    """SplitMix64's finaliser, in place: one to one, every bit depends on all bits."""
    rest = np.empty_like(state)
    for shift, multiplier in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        np.right_shift(state, np.uint64(shift), out=rest)
        state ^= rest
        state *= np.uint64(multiplier)
    np.right_shift(state, np.uint64(31), out=rest)
    state ^= rest
    return state


def low_numbers(window: Window, seed: int, limit: np.uint64) -> tuple[np.ndarray, np.ndarray]:
    """Where a window's pixels have numbers up to a limit, in row order, and these numbers."""
    places, found = [], []
    for row in range(window.row, window.end_row, CHUNK_ROWS):
        rows = min(CHUNK_ROWS, window.end_row - row)
        numbers = pixel_numbers(Window(row, window.col, rows, window.cols), seed).ravel()
        low = np.flatnonzero(numbers <= limit)
        places.append(low + (row - window.row) * window.cols)
        found.append(numbers[low])
    return np.concatenate(places), np.concatenate(found)


class Limits(NamedTuple):
    """Up to which number pixels are kept, for each class.

    Attributes
    ----------
    strata : array of (classes,), or None
        Their values, ascending; None where there are no classes, but all pixels.
    limits : uint64 array of (classes,) or (1,)
    """

    strata: Optional[np.ndarray]
    limits: np.ndarray


class Drawn(NamedTuple):
    """Pixels and how many there were to draw from.

    Attributes
    ----------
    counts : dict
        Pixels that count, by class; empty where they were not counted.
    numbers : uint64 array of (n,)
    rows, cols : int64 arrays of (n,)
    strata : array of (n,), or None without classes
    values : tuple of arrays of (bands, n)
        The pixels as stored, of each image.
    """

    counts: dict[Stratum, int]
    numbers: np.ndarray
    rows: np.ndarray
    cols: np.ndarray
    strata: Optional[np.ndarray]
    values: tuple[np.ndarray, ...]


@dataclass(frozen=True)
class PixelDraw(Reduction[list[Drawn], Drawn]):
    """Count the pixels that are valid in all images by class, and keep those with low numbers.

    The pixels with the n lowest numbers are a sample of n without replacement in which each pixel
    is as likely as any other. Gives :class:`Drawn`, in the order of the cells.
    """

    stage = "Drawing pixels"
    inputs: ClassVar[tuple[Input, ...]] = (images(), image("STRATA", optional=True))
    examples: ClassVar[tuple[Any, ...]] = ()

    seed: int = parameter(0, help="Another one gives other pixels")
    band: int = parameter(1, kind="band", role="STRATA", help="Band of the classes")
    kept: Any = parameter(None, kind="data", help="Limits, or None to keep none")
    counting: bool = parameter(True, help="Whether pixels are counted")

    def map(self, blocks: Blocks) -> list[Drawn]:
        """Look through one cell."""
        sampled, classes = blocks.all("INPUTS"), blocks.role("STRATA")
        eligible: Optional[np.ndarray] = None
        masks = [block.valid.all(axis=0) for block in sampled if block.valid is not None]
        if classes is not None and classes.valid is not None:
            masks.append(classes.valid[self.band - 1])
        if masks:
            eligible = np.logical_and.reduce(masks).ravel()
        strata = None if classes is None else classes.pixels[self.band - 1].ravel()
        counts = _counted(strata, eligible, blocks.size) if self.counting else {}
        places, numbers = self._kept(blocks.core, strata, eligible)
        rows, cols = np.divmod(places, blocks.core.cols)
        return [
            Drawn(
                counts, numbers, rows + blocks.core.row, cols + blocks.core.col,
                None if strata is None else strata[places],
                tuple(block.pixels[:, rows, cols] for block in sampled),
            )
        ]  # fmt: skip

    def _kept(
        self, core: Window, strata: Optional[np.ndarray], eligible: Optional[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Places and numbers of the pixels that stay in the draw."""
        if self.kept is None:
            return np.empty(0, np.int64), np.empty(0, np.uint64)
        places, numbers = low_numbers(core, self.seed, self.kept.limits.max())
        if eligible is not None:
            stays = eligible[places]
            places, numbers = places[stays], numbers[stays]
        if strata is not None:
            which = np.searchsorted(self.kept.strata, strata[places])
            stays = numbers <= self.kept.limits[which]
            places, numbers = places[stays], numbers[stays]
        return places, numbers

    def merge(self, first: list[Drawn], second: list[Drawn]) -> list[Drawn]:
        """Line up the pixels, and add the counts to the first cell's."""
        counts = first[0].counts
        for stratum, count in second[0].counts.items():
            counts[stratum] = counts.get(stratum, 0) + count
        _check_strata(len(counts))
        # counted in the first one: the counts of all cells would fill the memory
        first.extend(drawn._replace(counts={}) for drawn in second)
        return first

    def finish(self, merged: list[Drawn], inputs: Sequence[Profile]) -> Drawn:
        """All in one; classes in ascending order."""
        counts, *parts = zip(*merged)
        numbers, rows, cols, strata, values = parts
        total = counts[0]
        return Drawn(
            total if None in total else dict(sorted(total.items())),
            np.concatenate(numbers),
            np.concatenate(rows),
            np.concatenate(cols),
            None if strata[0] is None else np.concatenate(strata),
            tuple(np.concatenate(several, axis=1) for several in zip(*values)),
        )


def _counted(
    strata: Optional[np.ndarray], eligible: Optional[np.ndarray], size: int
) -> dict[Stratum, int]:
    if strata is None:
        return {None: size if eligible is None else int(np.count_nonzero(eligible))}
    counts = class_counts(strata if eligible is None else strata[eligible])
    _check_strata(len(counts))
    return counts


def class_counts(values: np.ndarray) -> dict[Stratum, int]:
    """How many of some values there are of each, exactly, of any integer or float dtype."""
    if values.size and values.dtype.kind in "iu":
        lowest, highest = int(values.min()), int(values.max())
        if highest - lowest < MOST_STRATA:
            # differences modulo 2^bits are right where signed ones would overflow
            bare = np.dtype(f"u{values.itemsize}")
            base = np.array(lowest, values.dtype).view(bare)
            counts = np.bincount((values.view(bare) - base).astype(np.intp))
            found = np.flatnonzero(counts)
            return {lowest + place: int(counts[place]) for place in found.tolist()}
    found, counts = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), counts.tolist()))


def _check_strata(count: int) -> None:
    if count > MOST_STRATA:
        raise InputError(
            f"The strata have more than {MOST_STRATA} different values. Use an image of classes."
        )
