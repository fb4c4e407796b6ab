"""How two images differ: moments of their values and differences, band by band, in one pass."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, NamedTuple, Optional, Union

import numpy as np

from eoscale_engine.declaration import Block, Blocks, Reduction, image, parameter
from eoscale_engine.filters.physical_values import is_scaled
from eoscale_engine.filters.pixel.difference import are_long_integers, integer_difference
from eoscale_engine.reductions.statistics import CHUNK_ROWS, physical

Number = Union[int, float]


class Compared(NamedTuple):
    """What a set of pixels, valid in both images, contributes; integers keep exact Python ints.

    ``valid``, ``invalid``, ``infinite`` and ``equal`` are numbers of pixels; all else is of those
    that are finite in both. ``total`` sums the differences image minus reference, ``absolute``
    their magnitudes, ``squares`` their squares. ``totals``, ``spreads`` and ``ranges`` are sums,
    sums of squared deviations from the mean, and extremes of image and reference; ``common`` sums
    the products of both deviations. ``largest`` is the largest magnitude of a difference, ``place``
    the row and column of the first pixel that has it.
    """

    valid: int = 0
    invalid: int = 0
    infinite: int = 0
    equal: int = 0
    total: Number = 0
    absolute: Number = 0
    squares: float = 0.0
    totals: tuple[Number, Number] = (0, 0)
    spreads: tuple[float, float] = (0.0, 0.0)
    common: float = 0.0
    ranges: tuple[tuple[Number, Number], ...] = ((math.inf, -math.inf),) * 2
    largest: Number = -1
    place: tuple[int, int] = (0, 0)

    @property
    def finite(self) -> int:
        """Number of pixels that are finite in both."""
        return self.valid - self.infinite


def merge_compared(first: Compared, second: Compared) -> Compared:
    """Two sets of pixels together; spreads by the update of Chan, Golub and LeVeque (1979)."""
    one, two = first.finite, second.finite
    if not one or not two:
        more = first if one else second
        return more._replace(**dict(_counts(first, second)))
    gaps = [a * two - b * one for a, b in zip(first.totals, second.totals)]
    weight = one * two * (one + two)
    farther = (second.largest, first.place) > (first.largest, second.place)
    return Compared(
        **dict(_counts(first, second)),
        total=first.total + second.total,
        absolute=first.absolute + second.absolute,
        squares=first.squares + second.squares,
        totals=(first.totals[0] + second.totals[0], first.totals[1] + second.totals[1]),
        spreads=(
            first.spreads[0] + second.spreads[0] + gaps[0] * gaps[0] / weight,
            first.spreads[1] + second.spreads[1] + gaps[1] * gaps[1] / weight,
        ),
        common=first.common + second.common + gaps[0] * gaps[1] / weight,
        ranges=tuple(
            (min(a[0], b[0]), max(a[1], b[1])) for a, b in zip(first.ranges, second.ranges)
        ),
        largest=max(first.largest, second.largest),
        place=second.place if farther else first.place,
    )


def _counts(first: Compared, second: Compared) -> Iterator[tuple[str, Any]]:
    for name in ("valid", "invalid", "infinite", "equal"):
        yield name, getattr(first, name) + getattr(second, name)


class Pair(NamedTuple):
    """Some rows of one band of both images.

    Attributes
    ----------
    image, reference : float64 arrays of (n,)
        Physical values, finite in both.
    places : integer array of (n,), or None where all pixels count
        Their numbers in the rows, counted row by row.
    infinite, equal : int
        Number of valid pixels that are infinite in either, and of those that are equal.
    """

    image: np.ndarray
    reference: np.ndarray
    places: Optional[np.ndarray]
    infinite: int
    equal: int


def pair_of(blocks: Sequence[Block], band: int, lines: slice, raw: bool) -> Pair:
    """Some rows of one band; see :class:`Pair`. Invalid pixels may hold anything: no warnings."""
    one, two = (
        physical(block.pixels[band, lines].astype(np.float64, order="C").ravel(),
                 block.profile.bands[band], raw)
        for block in blocks
    )  # fmt: skip
    counts = both_valid(blocks, band, lines)
    infinite = equal = 0
    # one look at the sums tells that all is finite, as it mostly is
    if not math.isfinite(one.sum() + two.sum()):
        finite = np.isfinite(one) & np.isfinite(two)
        beyond = ~finite if counts is None else counts & ~finite
        infinite = int(np.count_nonzero(beyond))
        equal = int(np.count_nonzero(beyond & (one == two)))
        counts = finite if counts is None else counts & finite
    if counts is None:
        return Pair(one, two, None, infinite, equal)
    places = np.flatnonzero(counts)
    return Pair(one[places], two[places], places, infinite, equal)


def both_valid(blocks: Sequence[Block], band: int, lines: slice) -> Optional[np.ndarray]:
    """Where both are valid, one-dimensional; None for everywhere."""
    valid = [block.valid[band, lines].ravel() for block in blocks if block.valid is not None]
    return reduce(np.logical_and, valid) if valid else None


@dataclass(frozen=True)
class Differences(Reduction[list[Compared], list[Compared]]):
    """How the bands of two images differ, from the pixels that are valid in both.

    Gives :class:`Compared` of each band. Values are physical unless ``raw``, in float64; 64-bit
    integers are subtracted before they are rounded to it. Infinite pixels are counted apart.
    """

    stage = "Comparing"
    inputs: ClassVar[Any] = (image(), image("REFERENCE"))
    # the place of the largest difference counts from the image's corner, not from an extent's
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    raw: bool = parameter(False, help="Use the stored pixels, without scale and offset")

    def map(self, blocks: Blocks) -> list[Compared]:
        """The bands of one cell."""
        with np.errstate(all="ignore"):
            return [self._of_band(blocks, band) for band in range(len(blocks[0].pixels))]

    def _of_band(self, blocks: Blocks, band: int) -> Compared:
        found, integers = Compared(), self._integers(blocks, band)
        for row in range(0, blocks.core.rows, CHUNK_ROWS):
            lines = slice(row, row + CHUNK_ROWS)
            pair = pair_of(blocks, band, lines, self.raw)
            size = len(pair.image)
            chunk = Compared(valid=pair.infinite, infinite=pair.infinite, equal=pair.equal)
            if size:
                stored = [block.pixels[band, lines] for block in blocks]
                if integers and are_long_integers(*stored):
                    if pair.places is not None:
                        stored = [pixels.ravel()[pair.places] for pixels in stored]
                    chunk = compared_integers(*stored)
                else:
                    chunk = compared(pair.image, pair.reference, whole=integers)
                number = chunk.place[1] if pair.places is None else int(pair.places[chunk.place[1]])
                place = divmod(number, blocks.core.cols)
                chunk = chunk._replace(
                    valid=size + pair.infinite,
                    infinite=pair.infinite,
                    equal=chunk.equal + pair.equal,
                    place=(blocks.core.row + row + place[0], blocks.core.col + place[1]),
                )
            found = merge_compared(found, chunk)
        return found._replace(invalid=blocks.size - found.valid)

    def _integers(self, blocks: Blocks, band: int) -> bool:
        """Whether values are integers that have a common integer type."""
        common = np.result_type(*(block.pixels.dtype for block in blocks))
        bands = [block.profile.bands[band] for block in blocks]
        unscaled = self.raw or not any(map(is_scaled, bands))
        return common.kind in "iu" and unscaled

    def merge(self, first: list[Compared], second: list[Compared]) -> list[Compared]:
        """Both cells together, band by band."""
        return list(map(merge_compared, first, second))


def compared(one: np.ndarray, two: np.ndarray, *, whole: bool) -> Compared:
    """At least one pair of finite values; ``place`` is its number. ``whole``: integers."""
    difference = one - two
    exact: Any = int if whole else float
    total = exact(difference.sum())
    squares = float((difference * difference).sum())
    np.abs(difference, out=difference)
    place = int(difference.argmax())
    return Compared(
        valid=one.size,
        equal=one.size - int(np.count_nonzero(difference)),
        total=total,
        absolute=exact(difference.sum()),
        squares=squares,
        totals=(exact(one.sum()), exact(two.sum())),
        ranges=tuple((exact(v.min()), exact(v.max())) for v in (one, two)),
        largest=exact(difference[place]),
        place=(0, place),
    )._replace(**_spreads(one, two))


def compared_integers(one: np.ndarray, two: np.ndarray) -> Compared:
    """The same of 64-bit integers, which float64 would round before they are subtracted."""
    ranges = tuple((int(values.min()), int(values.max())) for values in (one, two))
    magnitude, above = integer_difference(one.ravel(), two.ravel())
    # distances from the smallest, which float64 holds far better than the integers themselves
    base = ranges[1][0]
    two = two.ravel().astype(np.uint64) - np.uint64(base % 2**64)
    difference = magnitude.astype(np.float64)
    squares = float((difference * difference).sum())
    np.negative(difference, where=~above, out=difference)
    absolute, reference = _exact_sum(magnitude), base * two.size + _exact_sum(two)
    total = 2 * _exact_sum(magnitude[above]) - absolute
    place = int(magnitude.argmax())
    near = two.astype(np.float64)
    return Compared(
        valid=one.size,
        equal=one.size - int(np.count_nonzero(magnitude)),
        total=total,
        absolute=absolute,
        squares=squares,
        totals=(reference + total, reference),
        ranges=ranges,
        largest=int(magnitude[place]),
        place=(0, place),
    )._replace(**_spreads(near + difference, near))


def _spreads(one: np.ndarray, two: np.ndarray) -> dict[str, Any]:
    """Spreads and their product, about the means; the arrays are used up."""
    one -= one.sum() / one.size
    two -= two.sum() / two.size
    common = float((one * two).sum())
    np.multiply(one, one, out=one)
    np.multiply(two, two, out=two)
    return {"spreads": (float(one.sum()), float(two.sum())), "common": common}


def _exact_sum(values: np.ndarray) -> int:
    """Sum of uint64 in two halves, neither of which can overflow."""
    high = int((values >> np.uint64(32)).sum())
    return (high << 32) + int((values & np.uint64(0xFFFF_FFFF)).sum())
