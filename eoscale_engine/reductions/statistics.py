"""Moments of each band in one pass, of integers exactly, the same for every tiling."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, TypeVar, Union

import numpy as np

from eoscale_engine.declaration import Block, Blocks, Reduction, parameter
from eoscale_engine.filters.physical_values import is_scaled, scaled
from eoscale_engine.profile import Band, Profile

CHUNK_ROWS = 64
"""Rows of a cell taken at a time: with 512 columns, 256 kB in float64, which stays in the cache."""

LINES, LINE_PIXELS = 8, 4096
"""Pixels whose powers are summed at a time."""


class Moments(NamedTuple):
    """What a set of pixels contributes to the statistics of its band.

    ``minimum`` and ``maximum`` are of all valid pixels; ``total`` is the sum of the finite ones,
    and ``squares``, ``cubes`` and ``fourths`` are the sums of these powers of their deviations from
    the mean. Integers keep exact Python ints. Pixels are counted by whole numbers, or by shares.
    """

    valid: float = 0
    invalid: float = 0
    infinite: float = 0
    minimum: Union[int, float] = math.inf
    maximum: Union[int, float] = -math.inf
    total: Union[int, float] = 0
    squares: float = 0.0
    cubes: float = 0.0
    fourths: float = 0.0

    @property
    def finite(self) -> float:
        """Number of valid pixels that are not infinite."""
        return self.valid - self.infinite


def merge_moments(first: Moments, second: Moments) -> Moments:
    """Moments of two sets of pixels together, which loses nothing to cancellation.

    The update of Chan, Golub and LeVeque (1979) for squares, and of Pebay (2008) for third and
    fourth powers. With the means' difference ``d``, in integers exact before its one division:

    - ``squares = s1 + s2 + d^2 n1 n2 / n``
    - ``cubes = c1 + c2 + d^3 n1 n2 (n1 - n2) / n^2 + 3 d (n1 s2 - n2 s1) / n``
    - ``fourths = f1 + f2 + d^4 n1 n2 (n1^2 - n1 n2 + n2^2) / n^3
      + 6 d^2 (n1^2 s2 + n2^2 s1) / n^2 + 4 d (n1 c2 - n2 c1) / n``
    """
    squares = first.squares + second.squares
    cubes = first.cubes + second.cubes
    fourths = first.fourths + second.fourths
    one, two = first.finite, second.finite
    if one and two:
        both, product = one + two, one * two
        gap = (second.total * one - first.total * two) / product
        share, other = one / both, two / both
        # products of floats overflow to infinity, where ** would raise an error
        spread = gap * gap
        weight = product / both
        squares += spread * weight
        cubes += spread * gap * weight * (share - other)
        cubes += 3 * gap * (share * second.squares - other * first.squares)
        fourths += spread * spread * weight * (share * share - share * other + other * other)
        fourths += 6 * spread * (share * share * second.squares + other * other * first.squares)
        fourths += 4 * gap * (share * second.cubes - other * first.cubes)
    return Moments(
        first.valid + second.valid,
        first.invalid + second.invalid,
        first.infinite + second.infinite,
        min(first.minimum, second.minimum),
        max(first.maximum, second.maximum),
        first.total + second.total,
        squares,
        cubes,
        fourths,
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
        where = None if valid is None else valid[row : row + CHUNK_ROWS]
        if where is not None and not where.all():
            values = values[where]
        if values.size:
            yield values


def moments(values: np.ndarray) -> Moments:
    """Moments of at least one valid pixel, of any integer or float dtype, in one pass.

    Powers are summed of the distances from a value near the mean, then moved to the mean itself.
    That value is the mean of at least every 256th pixel: whatever the pixels, it lies within 16
    standard deviations of their own, so that only few digits can cancel.
    """
    size, infinite, base = values.size, 0, 0
    values = values.ravel()
    minimum, maximum = values.min().item(), values.max().item()
    if values.dtype.kind == "f":
        low, high = minimum, maximum
        if not (math.isfinite(minimum) and math.isfinite(maximum)):
            values = values[np.isfinite(values)]
            if not values.size:
                return Moments(size, 0, size, minimum, maximum)
            low, high = values.min().item(), values.max().item()
        infinite = size - values.size
        # neither rounding nor overflow must give pixels a mean that lies beside them
        near = min(max(_mean_of_some(values), low), high)
        if 0 < high - low < math.inf:
            # of few digits, so that sums of whole numbers are exact in floats too
            step = math.ldexp(1.0, max(math.frexp(high - low)[1] - 9, -1074))
            near = min(max(round(near / step) * step, low), high)
    else:
        if values.dtype.itemsize == 8:
            # float64 would round 64-bit integers; their distances from the smallest it holds far
            # better, and unsigned subtraction is exact even across the whole range.
            base = minimum
            values = values.astype(np.uint64) - np.uint64(base % 2**64)
        near = float(round(_mean_of_some(values)))
    first, second, third, fourth = _power_sums(values, near)
    total: Union[int, float] = first + near * values.size
    if values.dtype.itemsize == 8 and values.dtype.kind != "f":
        total = base * size + _exact_sum(values)
    elif values.dtype.kind != "f":
        total = int(first) + int(near) * size
    mean = first / values.size
    squares = max(second - mean * first, 0.0)
    cubes = third - mean * (3 * second - 2 * mean * first)
    fourths = max(fourth - mean * (4 * third - mean * (6 * second - 3 * mean * first)), 0.0)
    return Moments(size, 0, infinite, minimum, maximum, total, squares, cubes, fourths)


def _mean_of_some(values: np.ndarray) -> float:
    """The mean of at least 1024 pixels, where there are so many, that lie evenly among all."""
    some = values[:: min(max(values.size // 1024, 1), 256)]
    return float(np.add.reduce(some, dtype=np.float64)) / some.size


class _Room(threading.local):
    """Where a thread keeps distances of pixels and their squares, 256 kB each: in the cache.

    They lie in lines so short that no BLAS shares out their dot products among threads, which would
    change the bits.
    """

    def __init__(self) -> None:
        room = np.empty((2, LINES, LINE_PIXELS))
        self.first = [_Lines(room[:, :count]) for count in range(LINES + 1)]


class _Lines:
    """The first lines of a room, as they are filled and as they are multiplied."""

    def __init__(self, room: np.ndarray) -> None:
        self.distances, self.squares = room.reshape(2, -1)
        self.rows, self.columns = room[:, :, np.newaxis], room[..., np.newaxis]


_room = _Room()
_ones = np.ones((LINE_PIXELS, 1))


def _power_sums(values: np.ndarray, near: float) -> tuple[float, float, float, float]:
    """Sums of the first to fourth powers of the pixels' distances from a value."""
    if values.size <= LINE_PIXELS:
        one = values.astype(np.float64)
        one -= near
        two = one * one
        return _sum(one), float(one.dot(one)), float(one.dot(two)), float(two.dot(two))
    chunk = LINES * LINE_PIXELS
    # few calls, for they take as long as the arithmetic: each makes one sum of each line
    found = np.zeros((-(-values.size // chunk), 4, LINES, 1, 1))
    for number, sums in enumerate(found):
        part = values[number * chunk : (number + 1) * chunk]
        count = -(-part.size // LINE_PIXELS)
        lines = _room.first[count]
        lines.distances[part.size :] = 0
        distances = lines.distances[: part.size]
        distances[...] = part
        distances -= near
        np.multiply(lines.distances, lines.distances, out=lines.squares)
        np.matmul(lines.rows[0], _ones, out=sums[0, :count])
        np.matmul(lines.rows[0], lines.columns[0], out=sums[1, :count])
        np.matmul(lines.rows, lines.columns[1], out=sums[2:, :count])
    first, second, third, fourth = found.sum(axis=(0, 2, 3, 4)).tolist()
    return first, second, third, fourth


def _sum(values: np.ndarray) -> float:
    """Twice as fast as ``sum()``, and of a few thousand values as good."""
    return float(np.einsum("i->", values))


def _exact_sum(values: np.ndarray) -> int:
    """Sum of 64-bit integers in two halves, neither of which can overflow."""
    half = values.dtype.type(32)
    high = int((values >> half).sum())
    return (high << 32) + int((values & values.dtype.type(0xFFFF_FFFF)).sum())


def moments_of_counts(values: np.ndarray, pixels: np.ndarray, invalid: int) -> Moments:
    """Moments from a table of integers of at most 16 bits, ascending, and how often each occurs."""
    valid = int(pixels.sum())
    if not valid:
        return Moments(invalid=invalid)
    total = int((values * pixels).sum())
    deviations = values - total / valid
    powers = pixels * deviations * deviations
    sums = (powers, powers * deviations, powers * deviations * deviations)
    minimum, maximum = int(values[0]), int(values[-1])
    return Moments(valid, invalid, 0, minimum, maximum, total, *(float(p.sum()) for p in sums))


def physical(value: Any, band: Band, raw: bool, pixels: float = 1) -> Any:
    """``pixel * scale + offset``, for a number or a new float64 array; unchanged where ``raw``.

    Of more ``pixels`` than one, their sum from the sum of the stored ones.
    """
    return value if raw or not is_scaled(band) else scaled(value, band, pixels)


def scale_notes(profile: Profile, raw: bool) -> list[str]:
    """A sentence for each band whose values are not its stored pixels."""
    return [
        f"Band {number}: value = pixel * {band.scale:.12g} + {band.offset:.12g}"
        + (", not applied: these are the stored pixels." if raw else ".")
        for number, band in zip(profile.band_numbers, profile.bands)
        if is_scaled(band)
    ]


@dataclass(frozen=True)
class BandMoments(Reduction[list[Moments], list[Moments]]):
    """Moments of the stored pixels of each band: a list of :class:`Moments`."""

    stage = "Finding statistics"

    def map(self, blocks: Blocks) -> list[Moments]:
        """The moments of each band in one cell."""
        found, valid = [], blocks[0].valid
        # Powers of very large floats may overflow to infinity; the result then says so.
        with np.errstate(over="ignore", invalid="ignore"):
            for band in range(blocks[0].pixels.shape[0]):
                values = blocks[0].pixels[band]
                if valid is not None and not valid[band].all():
                    values = values[valid[band]]
                cell = moments(values) if values.size else Moments()
                found.append(cell._replace(invalid=blocks.size - cell.valid))
        return found

    def merge(self, first: list[Moments], second: list[Moments]) -> list[Moments]:
        """Both cells together, band by band."""
        return list(map(merge_moments, first, second))


One = TypeVar("One")
Two = TypeVar("Two")
OneFound = TypeVar("OneFound")
TwoFound = TypeVar("TwoFound")


@dataclass(frozen=True)
class Together(Reduction[tuple[One, Two], tuple[OneFound, TwoFound]]):
    """Two reductions of the same image in one pass: what each of them finds."""

    stage = "Finding statistics"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"one": BandMoments(), "two": BandMoments()},
    )

    one: Reduction[One, OneFound] = parameter(kind="data", help="A reduction without a margin")
    two: Reduction[Two, TwoFound] = parameter(kind="data", help="A reduction without a margin")

    def map(self, blocks: Blocks) -> tuple[One, Two]:
        """What each finds in one cell."""
        return self.one.map(blocks), self.two.map(blocks)

    def merge(self, first: tuple[One, Two], second: tuple[One, Two]) -> tuple[One, Two]:
        """Both cells together, each by its own rule."""
        return self.one.merge(first[0], second[0]), self.two.merge(first[1], second[1])

    def finish(
        self, merged: tuple[One, Two], inputs: Sequence[Profile]
    ) -> tuple[OneFound, TwoFound]:
        """What each gives."""
        return self.one.finish(merged[0], inputs), self.two.finish(merged[1], inputs)
