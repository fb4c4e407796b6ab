"""Statistics of each band in one pass, exact for integers and the same for every tiling."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, NamedTuple, Optional, Union

import numpy as np

from eoscale_engine.declaration import Block, Blocks, Chart, Reduction, Summary, Table, parameter
from eoscale_engine.profile import Band, Profile

CHUNK_ROWS = 64
"""Rows of a cell taken at a time: with 512 columns, 256 kB in float64, which stays in the cache."""


class Moments(NamedTuple):
    """What a set of pixels contributes to the statistics of its band.

    ``minimum`` and ``maximum`` are of all valid pixels; ``total`` is the sum and ``squares`` the
    sum of squared deviations from the mean of the finite ones. Integers keep exact Python ints.
    """

    valid: int = 0
    invalid: int = 0
    infinite: int = 0
    minimum: Union[int, float] = math.inf
    maximum: Union[int, float] = -math.inf
    total: Union[int, float] = 0
    squares: float = 0.0

    @property
    def finite(self) -> int:
        """Number of valid pixels that are not infinite."""
        return self.valid - self.infinite


def merge_moments(first: Moments, second: Moments) -> Moments:
    """Moments of two sets of pixels together, by the update of Chan, Golub and LeVeque (1979).

    ``squares = squares1 + squares2 + (total1 n2 - total2 n1)^2 / (n1 n2 (n1 + n2))``, which loses
    nothing to cancellation; in integers the last term is exact before its one division.
    """
    squares = first.squares + second.squares
    one, two = first.finite, second.finite
    if one and two:
        gap = first.total * two - second.total * one
        squares += gap * gap / (one * two * (one + two))
    return Moments(
        first.valid + second.valid,
        first.invalid + second.invalid,
        first.infinite + second.infinite,
        min(first.minimum, second.minimum),
        max(first.maximum, second.maximum),
        first.total + second.total,
        squares,
    )


def valid_chunks(block: Block, band: int) -> Iterator[np.ndarray]:
    """The valid pixels of one band, a few rows at a time, in the image's dtype.

    Parameters
    ----------
    block : Block
        A cell, without margins.
    band : int
        Counted from 0.

    Yields
    ------
    array
        Two-dimensional where every pixel is valid, else one-dimensional; never empty.
    """
    pixels = block.pixels[band]
    valid = None if block.valid is None else block.valid[band]
    for row in range(0, pixels.shape[0], CHUNK_ROWS):
        values = pixels[row : row + CHUNK_ROWS]
        if valid is not None:
            values = values[valid[row : row + CHUNK_ROWS]]
        if values.size:
            yield values


def moments(values: np.ndarray) -> Moments:
    """Moments of at least one valid pixel, of any integer or float dtype, in two passes."""
    size = values.size
    if values.dtype.kind == "f":
        minimum, maximum = float(values.min()), float(values.max())
        if not (math.isfinite(minimum) and math.isfinite(maximum)):
            values = values[np.isfinite(values)]
        infinite = size - values.size
        if not values.size:
            return Moments(size, 0, infinite, minimum, maximum)
        wide = values.astype(np.float64, order="C").ravel()
        total: Union[int, float] = float(wide.sum())
        mean = total / values.size
    else:
        minimum, maximum, infinite = int(values.min()), int(values.max()), 0
        base = minimum if values.dtype.itemsize == 8 else 0
        if base:
            # float64 would round 64-bit integers; their distances from the smallest it holds far
            # better, and unsigned subtraction is exact even across the whole range.
            values = values.astype(np.uint64) - np.uint64(base % 2**64)
        wide = values.astype(np.float64, order="C").ravel()
        above = _exact_sum(values) if values.dtype.itemsize == 8 else int(wide.sum())
        total, mean = base * size + above, above / size
    wide -= mean
    np.multiply(wide, wide, out=wide)
    return Moments(size, 0, infinite, minimum, maximum, total, float(wide.sum()))


def _exact_sum(values: np.ndarray) -> int:
    """Sum of 64-bit integers in two halves, neither of which can overflow."""
    half = values.dtype.type(32)
    high = int((values >> half).sum())
    return (high << 32) + int((values & values.dtype.type(0xFFFF_FFFF)).sum())


def physical(value: Any, band: Band, raw: bool) -> Any:
    """``pixel * scale + offset``, for a number or a float64 array; unchanged where ``raw``."""
    if raw or (band.scale == 1 and band.offset == 0):
        return value
    return value * band.scale + band.offset


@dataclass(frozen=True)
class RasterStatistics(Reduction):
    """Count, minimum, maximum, mean, standard deviation and sum of the valid pixels of each band.

    With ``n`` valid pixels ``x``: ``mean = sum(x) / n`` and, of the population (not of a sample,
    which would divide by ``n - 1``), ``std_dev = sqrt(sum((x - mean)^2) / n)``.

    Values are physical, ``pixel * scale + offset`` with the scale and offset of each band, unless
    ``raw`` asks for the pixels as stored. Nodata, NaN and masked pixels are invalid: counted, and
    left out of all else. Infinite pixels are valid: counted apart, shown by minimum and maximum,
    left out of mean, standard deviation and sum. A band without valid pixels has counts only.

    Takes images ``(bands, rows, cols)`` of any integer or float dtype; complex ones are refused
    with an ``InputError``. Minimum, maximum and sum of integers are exact, 64-bit ones too; all
    else is computed in float64.

    Source: T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for
    Computing Sample Variances", Stanford University, STAN-CS-79-773, 1979.
    """

    name: ClassVar[str] = "rasterstatistics"
    label: ClassVar[str] = "Raster statistics"
    group: ClassVar[str] = "Statistics"
    tags: ClassVar[tuple[str, ...]] = (
        "statistics", "minimum", "maximum", "mean", "average", "standard deviation", "sum", "count",
        "valid", "nodata",
    )  # fmt: skip
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("VALID", "Valid pixels of the first band"),
        ("INVALID", "Invalid pixels of the first band"),
        ("MINIMUM", "Minimum of the first band"),
        ("MAXIMUM", "Maximum of the first band"),
        ("MEAN", "Mean of the first band"),
        ("STD_DEV", "Standard deviation of the first band"),
        ("SUM", "Sum of the first band"),
    )

    raw: bool = parameter(
        False,
        label="Pixels as stored",
        help="Use the stored pixels, without the scale and offset of their bands",
        advanced=True,
    )

    def map(self, blocks: Blocks) -> tuple[Moments, ...]:
        """The moments of each band in one cell."""
        block = blocks[0]
        size = blocks.core.rows * blocks.core.cols
        found = []
        # The sum of very large floats may overflow to infinity; the result then says so.
        with np.errstate(over="ignore", invalid="ignore"):
            for band in range(block.pixels.shape[0]):
                cell = reduce(merge_moments, map(moments, valid_chunks(block, band)), Moments())
                found.append(cell._replace(invalid=size - cell.valid))
        return tuple(found)

    def merge(self, first: tuple[Moments, ...], second: tuple[Moments, ...]) -> tuple[Moments, ...]:
        """Both cells together, band by band."""
        return tuple(map(merge_moments, first, second))

    def finish(self, merged: tuple[Moments, ...], inputs: Sequence[Profile]) -> Summary:
        """One row for each band."""
        bands = inputs[0].bands
        rows = tuple(
            (number, band.name, "" if self.raw else band.unit, *self._values(found, band))
            for number, found, band in zip(inputs[0].band_numbers, merged, bands)
        )
        columns = (
            "band", "name", "unit", "valid", "invalid", "infinite",
            "minimum", "maximum", "mean", "std_dev", "sum",
        )  # fmt: skip
        notes = ["std_dev is of the population: sqrt(sum((x - mean)^2) / valid)."]
        if any(found.infinite for found in merged):
            notes.append(
                "Infinite pixels count as valid and show in minimum and maximum, but are left out "
                "of mean, std_dev and sum."
            )
        if any(not found.valid for found in merged):
            notes.append("A band without a valid pixel has counts only.")
        notes += scale_notes(inputs[0], self.raw)
        first: dict[str, Any] = dict(zip(columns, rows[0]))
        return Summary(
            self.label,
            (Table("Statistics", columns, rows),),
            {name: first[name.lower()] for name, _ in self.numbers},
            (self._chart(inputs[0], [dict(zip(columns, row)) for row in rows]),),
            tuple(notes),
        )

    def _chart(self, profile: Profile, rows: Sequence[Mapping[str, Any]]) -> Chart:
        """Range, mean and spread over the bands; what is not finite leaves a gap."""
        bands = tuple(map(float, profile.band_numbers))
        series = tuple(
            (name, bands, tuple(_finite(row, column, deviations) for row in rows))
            for name, column, deviations in (
                ("Maximum", "maximum", 0),
                ("Mean + std. deviation", "mean", 1),
                ("Mean", "mean", 0),
                ("Mean - std. deviation", "mean", -1),
                ("Minimum", "minimum", 0),
            )
        )
        units = {row["unit"] for row in rows}
        unit = units.pop() if len(units) == 1 else ""
        kind = "bars" if profile.count == 1 else "lines"
        label = f"Value ({unit})" if unit else "Value"
        return Chart("Range and spread", "Band", label, series, kind)

    def _values(self, found: Moments, band: Band) -> tuple[Optional[Union[int, float]], ...]:
        counts = (found.valid, found.invalid, found.infinite)
        if not found.valid:
            return (*counts, None, None, None, None, None)
        limits = [physical(limit, band, self.raw) for limit in (found.minimum, found.maximum)]
        if not found.finite:
            return (*counts, min(limits), max(limits), None, None, None)
        mean = physical(found.total / found.finite, band, self.raw)
        deviation, total = math.sqrt(found.squares / found.finite), found.total
        if not self.raw and (band.scale, band.offset) != (1, 0):
            deviation *= abs(band.scale)
            total = total * band.scale + band.offset * found.finite
        return (*counts, min(limits), max(limits), mean, deviation, total)


def _finite(row: Mapping[str, Any], column: str, deviations: int) -> float:
    """A column, so many standard deviations away; NaN where that is no finite number."""
    value = math.nan if row[column] is None else float(row[column])
    if deviations:
        value += deviations * (math.nan if row["std_dev"] is None else row["std_dev"])
    return value if math.isfinite(value) else math.nan


def scale_notes(profile: Profile, raw: bool) -> list[str]:
    """A sentence for each band whose values are not its stored pixels."""
    return [
        f"Band {number}: value = pixel * {band.scale:.12g} + {band.offset:.12g}"
        + (", not applied: these are the stored pixels." if raw else ".")
        for number, band in zip(profile.band_numbers, profile.bands)
        if (band.scale, band.offset) != (1, 0)
    ]
