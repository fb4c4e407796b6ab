"""Counting pixels by the values of two bands at once, their range, and the line through them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple, Optional

import numpy as np

from eoscale_engine.declaration import Block, Blocks, Input, Reduction, image, parameter
from eoscale_engine.profile import Band, Profile
from eoscale_engine.reductions.covariance import (
    Covariances,
    Moments,
    common_chunks,
    correlations,
    covariances,
    merge_moments,
    moments,
    no_moments,
    physical_covariances,
)
from eoscale_engine.reductions.histogram import bin_numbers, even_edges
from eoscale_engine.reductions.statistics import physical

PAIR: tuple[Input, ...] = (image(), image("SECOND", optional=True))
"""The image of the first band, and that of the second one; without it the first image again."""

Range = tuple[float, float]


class Axis(NamedTuple):
    """Bins of equal width; each holds its left edge, the last one its right edge too."""

    lower: float
    upper: float
    bins: int

    @property
    def edges(self) -> np.ndarray:
        """Edges of the bins, float64 ``(bins + 1,)``."""
        return even_edges(self.lower, self.upper, self.bins)

    @property
    def middles(self) -> tuple[float, ...]:
        """Middles of the bins."""
        edges = self.edges
        return tuple((edges[:-1] + (edges[1:] - edges[:-1]) / 2).tolist())


@dataclass(frozen=True)
class JointRange(Reduction[Optional[np.ndarray], Optional[tuple[Range, Range]]]):
    """Smallest and largest value of two bands, of the pixels that are valid and finite in both.

    A pair of ranges, or None where there is no such pixel. Values are physical unless ``raw``, in
    float64.
    """

    stage = "Finding the ranges of two bands"
    inputs: ClassVar[tuple[Input, ...]] = PAIR

    band: int = parameter(1, help="Band of the first image, from 1")
    second_band: int = parameter(2, help="Band of the second image, from 1")
    raw: bool = parameter(False, help="Use the stored pixels, without scale and offset")

    def map(self, blocks: Blocks) -> Optional[np.ndarray]:
        """Both ranges in one cell, float64 ``(2, 2)``."""
        found = None
        for chunk in common_chunks(_pair(blocks, self.band, self.second_band)):
            if chunk.pixels:
                values = _counted(chunk.values, chunk.weights)
                found = self.merge(found, np.stack((values.min(axis=1), values.max(axis=1)), 1))
        return found

    def merge(
        self, first: Optional[np.ndarray], second: Optional[np.ndarray]
    ) -> Optional[np.ndarray]:
        """Both cells together."""
        if first is None or second is None:
            return second if first is None else first
        lower = np.minimum(first[:, 0], second[:, 0])
        return np.stack((lower, np.maximum(first[:, 1], second[:, 1])), 1)

    def finish(
        self, merged: Optional[np.ndarray], inputs: Sequence[Profile]
    ) -> Optional[tuple[Range, Range]]:
        """Both ranges."""
        if merged is None:
            return None
        bands = bands_of(inputs, self.band, self.second_band)
        with np.errstate(over="ignore"):
            one, two = (
                sorted(physical(ends.copy(), band, self.raw).tolist())
                for ends, band in zip(merged, bands)
            )
        return (one[0], one[1]), (two[0], two[1])


class JointCounts(NamedTuple):
    """Pixels by the values of two bands.

    Attributes
    ----------
    counts : int64 array of (bins of the first band, bins of the second)
    valid, invalid : int
        Pixels that are valid in both bands, and all others.
    found : Covariances
        Of the pixels that are finite too, within the bins or not.
    constant : boolean array of (2,)
        Whether a band has one value only.
    """

    counts: np.ndarray
    valid: int
    invalid: int
    found: Covariances
    constant: np.ndarray


class Line(NamedTuple):
    """The straight line through the pixels, and how well it fits; None where there is none."""

    slope: Optional[float] = None
    intercept: Optional[float] = None
    r_squared: Optional[float] = None
    correlation: Optional[float] = None


def line_of(counted: JointCounts) -> Line:
    """The line of least squares in y."""
    (correlation,) = correlations(counted.found, counted.constant)[0, 1:].tolist()
    if not math.isfinite(correlation):
        return Line()
    (variance, covariance), (x, y) = counted.found.matrix[0].tolist(), counted.found.means.tolist()
    slope = covariance / variance
    return Line(slope, y - slope * x, correlation**2, correlation)


class Part(NamedTuple):
    """What a cell contributes: the cells of the plot that hold pixels, and how many.

    ``cells`` is None once several cells are added up, in the counts of all.
    """

    cells: Optional[np.ndarray]
    counts: np.ndarray
    valid: int
    size: int
    moments: Moments


@dataclass(frozen=True)
class JointHistogram(Reduction[Part, JointCounts]):
    """Count the pixels that are valid in two bands by the values of both.

    Counts are those of ``numpy.histogram2d`` with the edges of both axes. Infinite pixels lie
    outside. Values are physical unless ``raw``, in float64; gives :class:`JointCounts`.
    """

    stage = "Counting pairs of values"
    inputs: ClassVar[tuple[Input, ...]] = PAIR
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"x": Axis(-9.5, 90, 7), "y": Axis(0, 50, 5)},
    )

    x: Any = parameter(kind="data", help="The Axis of the first band")
    y: Any = parameter(kind="data", help="The Axis of the second band")
    band: int = parameter(1, help="Band of the first image, from 1")
    second_band: int = parameter(2, help="Band of the second image, from 1")
    raw: bool = parameter(False, help="Use the stored pixels, without scale and offset")

    def map(self, blocks: Blocks) -> Part:
        """The counts of one cell of the image."""
        pair = _pair(blocks, self.band, self.second_band)
        bands = [block.profile.bands[0] for block in pair]
        edges = [axis.edges for axis in (self.x, self.y)]
        found, numbers = no_moments(2), [np.empty(0, np.intp)]
        # Scaling may overflow to infinity, which lies outside.
        with np.errstate(over="ignore", invalid="ignore"):
            for chunk in common_chunks(pair):
                values = _counted(chunk.values, chunk.weights)
                values = np.stack([physical(v.copy(), b, self.raw) for v, b in zip(values, bands)])
                numbers.append(_numbers(values, edges))
                found = merge_moments(found, moments(chunk.values, chunk.weights, chunk.pixels))
        counts = np.bincount(np.concatenate(numbers), minlength=self.x.bins * self.y.bins)
        cells = np.flatnonzero(counts)
        return Part(cells, counts[cells], _valid(pair), blocks.size, found)

    def merge(self, first: Part, second: Part) -> Part:
        """Both cells of the image together."""
        counts = first.counts
        if first.cells is not None:
            counts = np.zeros(self.x.bins * self.y.bins, np.int64)
            counts[first.cells] = first.counts
        # numbers of cells come once each, so that none is lost
        counts[slice(None) if second.cells is None else second.cells] += second.counts
        with np.errstate(over="ignore", invalid="ignore"):
            together = merge_moments(first.moments, second.moments)
        return Part(None, counts, first.valid + second.valid, first.size + second.size, together)

    def finish(self, merged: Part, inputs: Sequence[Profile]) -> JointCounts:
        """The counts of the whole image."""
        empty = Part(None, np.zeros(self.x.bins * self.y.bins, np.int64), 0, 0, no_moments(2))
        merged = self.merge(empty, merged)
        found = covariances(merged.moments)
        constant = found.constant()
        if not self.raw:
            bands = bands_of(inputs, self.band, self.second_band)
            found = physical_covariances(found, bands)
        return JointCounts(
            merged.counts.reshape(self.x.bins, self.y.bins),
            merged.valid, merged.size - merged.valid, found, constant,
        )  # fmt: skip


def bands_of(profiles: Sequence[Profile], band: int, second_band: int) -> tuple[Band, Band]:
    """The two bands, of one or two images."""
    return profiles[0].bands[band - 1], profiles[-1].bands[second_band - 1]


def _pair(blocks: Blocks, band: int, second_band: int) -> list[Block]:
    """One block of one band for each of both."""
    places = ((blocks[0], band - 1), (blocks[len(blocks) - 1], second_band - 1))
    return [
        replace(
            block,
            pixels=block.pixels[place : place + 1],
            valid=None if block.valid is None else block.valid[place : place + 1],
            profile=block.profile.selected((place + 1,)),
        )
        for block, place in places
    ]


def _counted(values: np.ndarray, weights: Optional[np.ndarray]) -> np.ndarray:
    """The values ``(2, n)`` of the pixels that are valid and finite in both bands."""
    return values if weights is None else values[:, weights > 0]


def _valid(pair: Sequence[Block]) -> int:
    """How many pixels are valid in both bands, infinite ones too."""
    masks = [block.valid for block in pair if block.valid is not None]
    if not masks:
        return int(pair[0].pixels.size)
    return int(np.count_nonzero(np.logical_and.reduce(masks)))


def _numbers(values: np.ndarray, edges: Sequence[np.ndarray]) -> np.ndarray:
    """The number of the cell of the plot that each pixel ``(2, n)`` lies in, but of those outside.

    Cells are counted along the second axis first.
    """
    lower = np.array([[each[0]] for each in edges])
    upper = np.array([[each[-1]] for each in edges])
    inside = ((values >= lower) & (values <= upper)).all(axis=0)
    if not inside.all():
        values = values[:, inside]
    first, second = map(bin_numbers, values, edges)
    return first * (len(edges[1]) - 1) + second
