"""How many pixels there are of each value, or of each pair of values, and of which area."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Optional

import numpy as np

from eoscale_engine.declaration import Block, Blocks, Reduction, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.areas import UNITS

MOST = 250_000
"""Values or pairs of values that are listed: counting and listing them takes some 100 MB. Classes
are fewer by far; measurements in floats are more, and would fill the memory."""

_NARROW = 1 << 18
"""Span of integers up to which a table of all of them is faster than sorting a cell's pixels."""


class Tally(NamedTuple):
    """Pixels by value, or by pair of the values of two images, in ascending order.

    Attributes
    ----------
    values : tuple of arrays of (n,)
        One for each image, in its dtype, the first one sorted first. 0.0 stands for -0.0 too.
    pixels : int64 array of (n,)
        How many there are of each.
    areas : float64 array of (n,), or None
        The sum of their areas.
    """

    values: tuple[np.ndarray, ...]
    pixels: np.ndarray
    areas: Optional[np.ndarray] = None


def tally(columns: Sequence[np.ndarray], areas: Optional[np.ndarray] = None) -> Tally:
    """Count the pixels of one cell by their values in one or two images.

    Parameters
    ----------
    columns : sequence of arrays of (pixels,)
        The values in each image, without NaN.
    areas : float64 array of (pixels,), optional
        The area of each pixel.
    """
    codes, keys = _coded(columns[0])
    tables = [keys]
    if len(columns) == 2:
        more, table = _coded(columns[1])
        tables.append(table)
        codes, keys = _coded(codes * table.size + more)
    pixels = np.bincount(codes, minlength=keys.size)
    found = np.flatnonzero(pixels)
    keys, values = keys[found], [keys[found]]
    if len(columns) == 2:
        values = [table[at] for table, at in zip(tables, np.divmod(keys, tables[1].size))]
    sums = None if areas is None else np.bincount(codes, areas, pixels.size)[found]
    return Tally(tuple(values), pixels[found].astype(np.int64), sums)


def _coded(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The place of each value in an ascending table, and the table; some may stand for no pixel."""
    kind = values.dtype.type
    low, high = (values.min().item(), values.max().item()) if values.size else (0, _NARROW)
    whole = _integers(values) if high - low < _NARROW else None
    if whole is None:
        # -0.0 + 0 is 0.0
        table, codes = np.unique(values + kind(0), return_inverse=True)
        return codes, table
    span = np.arange(int(high) - int(low) + 1)
    if whole.dtype.itemsize == 8:  # where the difference alone is sure to fit
        first = whole.dtype.type(int(low))
        return (whole - first).astype(np.intp), (span.astype(whole.dtype) + first).astype(kind)
    return whole.astype(np.intp) - int(low), (span + int(low)).astype(kind)


def _integers(values: np.ndarray) -> Optional[np.ndarray]:
    """Finite values as integers; None where one of them is none, or too large to tell."""
    if values.dtype.kind != "f":
        return values
    if not -(2.0**52) < values[0] < 2.0**52 or values[0] % 1:  # most often the first one tells
        return None
    whole: np.ndarray = values.astype(np.int64)
    return whole if np.array_equal(whole, values) else None


def merged(first: Tally, second: Tally, most: int = MOST) -> Tally:
    """Both together; an :class:`InputError` where there are more than ``most`` values."""
    values = [np.concatenate(pair) for pair in zip(first.values, second.values)]
    order = np.lexsort(values[::-1])
    values = [column[order] for column in values]
    differs = np.zeros(order.size, bool)
    differs[:1] = True
    for column in values:
        differs[1:] |= column[1:] != column[:-1]
    starts = np.flatnonzero(differs)
    few_enough(starts.size, most)
    pixels = np.concatenate((first.pixels, second.pixels))[order]
    areas = None
    if first.areas is not None and second.areas is not None:
        areas = _sums(np.concatenate((first.areas, second.areas))[order], starts)
    return Tally(tuple(column[starts] for column in values), _sums(pixels, starts), areas)


def _sums(numbers: np.ndarray, starts: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.add.reduceat(numbers, starts) if starts.size else numbers
    return found


def few_enough(number: int, most: int = MOST) -> None:
    """Refuse more values, or pairs of values, than can be listed."""
    if number > most:
        raise InputError(
            f"There are more than {most} distinct values, or pairs of them: these are measurements "
            "rather than classes. Reclassify the image first, or use the histogram."
        )


def pixel_areas(areas: Optional[np.ndarray], blocks: Blocks) -> Optional[np.ndarray]:
    """The area of each pixel of a cell, ``(rows, cols)``, from that of each row of the image."""
    if areas is None:
        return None
    rows = areas[blocks.core.row : blocks.core.end_row]
    return np.broadcast_to(rows[:, None], (blocks.core.rows, blocks.core.cols))


def areas_of(tally: Tally, areas: Optional[np.ndarray], unit: str) -> list[Optional[float]]:
    """The area of each value in a unit; None where it is not known.

    ``areas`` are those of the rows, and the tally has its own where they differ.
    """
    size = UNITS[unit]
    if tally.areas is not None:
        return [area / size for area in tally.areas.tolist()]
    if areas is None:
        return [None] * tally.pixels.size
    each = float(areas[0])
    return [pixels * each / size for pixels in tally.pixels.tolist()]


def chosen(block: Block, band: int) -> Any:
    """Where the pixels of a band, counted from 0, are valid: an index of its pixels."""
    return ... if block.valid is None else block.valid[band]


# ---------------------------------------------------------------- one image


class Counted(NamedTuple):
    """Pixels of one band by value, and how many are invalid."""

    tally: Tally
    invalid: int


@dataclass(frozen=True)
class ValueCounts(Reduction[list[Counted], list[Counted]]):
    """Count the pixels of each band by value; a :class:`Counted` for each.

    Values are those stored, in the image's dtype. Raises an ``InputError`` as soon as the bands
    have more than ``most`` of them together.
    """

    stage = "Counting pixels by value"
    # tested in its procedure: a million values of an image of noise would take minutes
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    areas: Any = parameter(
        None, kind="data", help="The area of a pixel of each row, if they differ"
    )
    most: int = parameter(MOST, minimum=1, help="Most values")

    def map(self, blocks: Blocks) -> list[Counted]:
        """The counts of one cell."""
        block, found = blocks[0], []
        weights = pixel_areas(self.areas, blocks)
        for band, pixels in enumerate(block.pixels):
            where = chosen(block, band)
            values = pixels[where].ravel()
            areas = None if weights is None else weights[where].ravel()
            found.append(Counted(tally([values], areas), blocks.size - values.size))
        return found

    def merge(self, first: list[Counted], second: list[Counted]) -> list[Counted]:
        """Both cells together, band by band."""
        together = [
            Counted(merged(one.tally, two.tally, self.most), one.invalid + two.invalid)
            for one, two in zip(first, second)
        ]
        return self._few_enough(together)

    def finish(self, merged: list[Counted], inputs: Sequence[Profile]) -> list[Counted]:
        """The counts of each band."""
        return self._few_enough(merged)

    def _few_enough(self, bands: list[Counted]) -> list[Counted]:
        few_enough(sum(band.tally.pixels.size for band in bands), self.most)
        return bands
