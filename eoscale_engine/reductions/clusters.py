"""What k-means gathers of an image: pixels on a regular grid, and sums over classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, ClassVar, NamedTuple, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, Reduction, parameter
from eoscale_engine.filters.multivariate.nearest_class import nearest
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.covariance import common_chunks

Places = tuple[np.ndarray, np.ndarray]
"""Pixels ``(bands, n)``, and their places counted row by row ``(n,)``, which come first."""


class Sample(NamedTuple):
    """Pixels ``(bands, n)`` in float64, and how many."""

    number: int
    pixels: np.ndarray


@dataclass(frozen=True)
class GridSample(Reduction[list[Places], Sample]):
    """The pixels of every so manieth row and column that are valid and finite in all bands.

    Gives a :class:`Sample` of stored pixels, row by row.
    """

    stage = "Sampling"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({}, {"step": 4})

    step: int = parameter(1, minimum=1, help="Rows and columns from one pixel to the next")

    def map(self, blocks: Blocks) -> list[Places]:
        """The pixels of one cell."""
        block, step, (row, col, *_) = blocks[0], self.step, blocks.core
        lines, columns = slice(-row % step, None, step), slice(-col % step, None, step)
        pixels = block.pixels[:, lines, columns].astype(np.float64)
        counts = np.isfinite(pixels).all(axis=0)
        if block.valid is not None:
            counts &= block.valid[:, lines, columns].all(axis=0)
        rows, cols = (found * step for found in np.nonzero(counts))
        places = (rows + row + lines.start) * block.profile.width + cols + col + columns.start
        return [(places, pixels[:, counts])]

    def merge(self, first: list[Places], second: list[Places]) -> list[Places]:
        """One after the other."""
        return first + second

    def finish(self, merged: list[Places], inputs: Sequence[Profile]) -> Sample:
        """All in one array."""
        order = np.argsort(np.concatenate([places for places, _ in merged]))
        pixels = np.concatenate([pixels for _, pixels in merged], axis=1)[:, order]
        return Sample(len(order), pixels)


class ClassSums(NamedTuple):
    """Pixels by their nearest centre, in the values that distances are of.

    Attributes
    ----------
    pixels : int64 array of (classes,)
    sums : float64 array of (classes, bands)
    inertia : float64 array of (classes,)
        Sums of squared distances from the centres.
    distance : float
        The largest squared distance.
    farthest : float64 array of (bands,)
        The first pixel that is that far away.
    """

    pixels: np.ndarray
    sums: np.ndarray
    inertia: np.ndarray
    distance: float
    farthest: np.ndarray


@dataclass(frozen=True)
class ClusterSums(Reduction[ClassSums, ClassSums]):
    """Number, sums and squared distances of the pixels nearest to each centre.

    Pixels and classes are those of
    :class:`~eoscale_engine.filters.multivariate.nearest_class.NearestClass`; infinite pixels do not
    count. Gives :class:`ClassSums`.
    """

    stage = "Summing classes"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"centres": ((0.0, 0.0), (20.0, 20.0), (90.0, 10.0)), "gains": (1.0, 1.0)},
    )

    centres: Any = parameter(kind="data", help="One row for each class, one number for each band")
    gains: Any = parameter(
        kind="data", help="By what the stored pixels of each band are multiplied"
    )

    def map(self, blocks: Blocks) -> ClassSums:
        """The sums of one cell."""
        centres, gains = np.array(self.centres), np.array(self.gains)[:, None]
        parts = (
            sums_of(np.multiply(chunk.values, gains, out=chunk.values), centres, chunk.weights)
            for chunk in common_chunks(blocks)
        )
        return reduce(self.merge, parts)

    def merge(self, first: ClassSums, second: ClassSums) -> ClassSums:
        """Both cells together."""
        far = second if second.distance > first.distance else first
        return ClassSums(
            first.pixels + second.pixels, first.sums + second.sums,
            first.inertia + second.inertia, far.distance, far.farthest,
        )  # fmt: skip


def sums_of(
    values: np.ndarray, centres: np.ndarray, weights: Optional[np.ndarray] = None
) -> ClassSums:
    """The sums of some pixels ``(bands, n)``, those of weight 0 left out."""
    count = len(centres)
    classes, distances = nearest(values, centres)
    if weights is not None:
        left_out = weights == 0
        classes[left_out] = count  # a class of their own, which is dropped
        distances[left_out] = -1
    place = int(np.argmax(distances))
    numbers = classes.astype(np.intp)
    pixels = np.bincount(numbers, minlength=count + 1)[:count]
    sums = [np.bincount(numbers, band, count + 1)[:count] for band in (*values, distances)]
    return ClassSums(
        pixels, np.array(sums[:-1]).T, sums[-1], float(distances[place]), values[:, place].copy()
    )
