"""Counting pixels in bins, with exactly the bins' edges."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Optional, Union

import numpy as np

from eoscale_engine.declaration import Blocks, Reduction, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.physical_values import LARGEST_WHOLE, common_fractions
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.statistics import physical, valid_chunks

MAXIMUM_BINS = 65536
"""One bin for each value of a 16-bit image."""

Limits = tuple[Union[int, float], Union[int, float]]


@dataclass(frozen=True)
class ValueRange(Reduction[list[Optional[Limits]], list[Optional[Limits]]]):
    """Smallest and largest finite value of the valid pixels of each band, exact for every dtype.

    A list with a pair for each band, or None for a band without valid finite pixels. Values are
    physical (``pixel * scale + offset``) unless ``raw``.
    """

    stage = "Finding the range of values"

    raw: bool = parameter(False, help="Use the stored pixels, without scale and offset")

    def map(self, blocks: Blocks) -> list[Optional[Limits]]:
        """The range of each band in one cell."""
        block = blocks[0]
        found: list[Optional[Limits]] = []
        for band in range(block.pixels.shape[0]):
            limits: Optional[Limits] = None
            for values in valid_chunks(block, band):
                limits = _wider(limits, _finite_limits(values))
            found.append(limits)
        return found

    def merge(
        self, first: list[Optional[Limits]], second: list[Optional[Limits]]
    ) -> list[Optional[Limits]]:
        """Both cells together, band by band."""
        return [_wider(one, two) for one, two in zip(first, second)]

    def finish(
        self, merged: list[Optional[Limits]], inputs: Sequence[Profile]
    ) -> list[Optional[Limits]]:
        """The range of each band."""
        ranges: list[Optional[Limits]] = []
        for limits, band in zip(merged, inputs[0].bands):
            ends = [physical(limit, band, self.raw) for limit in limits or ()]
            ranges.append((min(ends), max(ends)) if ends else None)
        return ranges


def _finite_limits(values: np.ndarray) -> Optional[Limits]:
    minimum, maximum = values.min().item(), values.max().item()
    if math.isfinite(minimum) and math.isfinite(maximum):
        return minimum, maximum
    values = values[np.isfinite(values)]
    return (values.min().item(), values.max().item()) if values.size else None


def _wider(one: Optional[Limits], two: Optional[Limits]) -> Optional[Limits]:
    if one is None or two is None:
        return one or two
    return min(one[0], two[0]), max(one[1], two[1])


class Counted(NamedTuple):
    """Pixels in bins.

    Attributes
    ----------
    edges : float64 array of (bins + 1,)
        Bin ``i`` holds ``edges[i] <= x < edges[i + 1]``; the last bin holds its right edge too.
    counts : int64 array of (bands, bins)
    asides : int64 array of (bands, 4)
        Valid pixels, invalid ones, and valid ones below the first and above the last edge.
    """

    edges: np.ndarray
    counts: np.ndarray
    asides: np.ndarray


@dataclass(frozen=True)
class HistogramCounts(Reduction[Counted, Counted]):
    """Count the valid pixels of each band in bins between two bounds.

    The edges are :func:`even_edges`, or those of ``uneven`` bins from ``lower`` to ``upper``. Each
    bin holds its left edge and the last one its right edge too. Counts are those of
    ``numpy.histogram(values, edges)`` with the valid pixels in float64. Pixels outside the bounds,
    infinite ones too, are counted apart. Values are physical (``pixel * scale + offset``) unless
    ``raw``. Takes integers and floats ``(bands, rows, cols)``; gives a :class:`Counted`.
    """

    stage = "Counting pixels in bins"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"lower": -9.5, "upper": 90, "bins": 7},
        {"lower": -9.5, "upper": 90, "bins": 3, "uneven": (-9.5, 0.0, 1.0, 90.0)},
    )

    lower: float = parameter(help="Left edge of the first bin")
    upper: float = parameter(help="Right edge of the last bin")
    bins: int = parameter(256, minimum=1, maximum=MAXIMUM_BINS, help="Number of bins")
    raw: bool = parameter(False, help="Use the stored pixels, without scale and offset")
    uneven: Any = parameter((), kind="data", help="All edges, ascending, of bins of unequal width")

    def validate(self) -> None:
        """Refuse bounds that enclose no finite range."""
        if not (self.lower < self.upper and math.isfinite(self.upper - self.lower)):
            raise InputError(
                f"Histogram: the bounds {self.lower:.12g} and {self.upper:.12g} enclose no finite "
                "range."
            )

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bins, float64 ``(bins + 1,)``."""
        if self.uneven:
            return np.array(self.uneven, np.float64)
        return even_edges(self.lower, self.upper, self.bins)

    def map(self, blocks: Blocks) -> Counted:
        """The counts of one cell."""
        block, edges = blocks[0], self.edges
        bands = block.pixels.shape[0]
        counts = np.zeros((bands, self.bins), np.int64)
        asides = np.zeros((bands, 4), np.int64)
        # Scaling may overflow to infinity, which lies outside all bounds.
        with np.errstate(over="ignore"):
            for band, about in enumerate(block.profile.bands):
                for chunk in valid_chunks(block, band):
                    values = chunk.astype(np.float64, order="C").ravel()
                    values = physical(values, about, self.raw)
                    below = above = 0
                    asides[band, 0] += values.size
                    if values.min() < self.lower or values.max() > self.upper:
                        below = np.count_nonzero(values < self.lower)
                        above = np.count_nonzero(values > self.upper)
                        values = values[(values >= self.lower) & (values <= self.upper)]
                    asides[band, 2:] += below, above
                    numbers = (_searched if self.uneven else bin_numbers)(values, edges)
                    counts[band] += np.bincount(numbers, minlength=self.bins)
        asides[:, 1] = blocks.size - asides[:, 0]
        return Counted(edges, counts, asides)

    def merge(self, first: Counted, second: Counted) -> Counted:
        """Both cells together."""
        return first._replace(
            counts=first.counts + second.counts, asides=first.asides + second.asides
        )


def even_edges(lower: float, upper: float, bins: int) -> np.ndarray:
    """Edges of bins of equal width, float64 ``(bins + 1,)``.

    Each is the double nearest the decimal that is meant: of ten bins from 0 to 1 the third ends at
    0.3, not at ``3 * 0.1``, which is more.
    """
    first, last, divisor = common_fractions(lower, upper)
    if max(abs(first), abs(last), divisor) * bins <= LARGEST_WHOLE:
        steps = np.arange(bins + 1.0)
        edges: np.ndarray = (first * (bins - steps) + last * steps) / (divisor * bins)
        return edges
    return np.linspace(lower, upper, bins + 1)


def bin_numbers(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """Number of the bin that holds each value.

    Parameters
    ----------
    values : float64 array of (n,)
        Each between the first and the last edge.
    edges : float64 array of (bins + 1,)
        Equally spaced.

    Returns
    -------
    integer array of (n,)
        The same as a search among the edges.
    """
    last, lower = len(edges) - 2, edges[0]
    if last == 0:
        return np.zeros(values.shape, np.intp)
    if np.diff(edges).min() < 8 * np.spacing(np.abs(edges).max()):
        # The spacing of the edges is lost in rounding: only a search is right.
        return _searched(values, edges)
    # Several times faster than a search. Rounding can miss by one, which the edges themselves tell.
    places = values - lower
    places /= edges[-1] - lower
    places *= last + 1
    numbers = places.astype(np.intp)
    np.minimum(numbers, last, out=numbers)
    numbers -= values < edges[numbers]
    ends = edges[1:].copy()
    ends[-1] = np.inf
    numbers += values >= ends[numbers]
    return numbers


def _searched(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    """What :func:`bin_numbers` gives, for edges of any spacing."""
    return np.minimum(np.searchsorted(edges, values, side="right") - 1, len(edges) - 2)
