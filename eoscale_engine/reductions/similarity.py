"""Structural similarity of two images: windows filtered and averaged in one pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, Reduction, image, parameter
from eoscale_engine.filters.neighbourhood.windows import gather, merging, unflattened
from eoscale_engine.reductions.differences import both_valid
from eoscale_engine.reductions.statistics import physical

GAUSSIAN, UNIFORM = WINDOWS = ("gaussian", "uniform")

SIGMA = 1.5
_RADII = {GAUSSIAN: 5, UNIFORM: 3}

LUMINANCE, CONTRAST = 0.01, 0.03
"""K1 and K2 of the paper."""

PART_ROWS = 64
"""Rows of a cell taken at a time: what is filtered together stays in the cache (measured)."""

_AND = merging(np.logical_and)


class Similarity(NamedTuple):
    """Number of windows that count, and the sum of their similarities."""

    windows: int
    total: float

    @property
    def mean(self) -> Optional[float]:
        """None where no window counts."""
        mean = self.total / self.windows if self.windows else math.nan
        return None if math.isnan(mean) else mean


@dataclass(frozen=True)
class StructuralSimilarity(Reduction[list[Similarity], list[Similarity]]):
    """The structural similarity of each band of two images, as :class:`Similarity`.

    Of the windows whose pixels are all valid and finite in both images, in float64. Variances do
    not change when a constant is taken off all values: ``origins`` near the middle of the values
    keep the digits that squares of large values would cost.
    """

    stage = "Finding structural similarity"
    inputs: ClassVar[Any] = (image(), image("REFERENCE"))
    # with an extent the windows at its edge see real pixels, which those of a crop do not
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    peaks: Any = parameter(
        kind="data", help="For each band the range of its values; None: it is left out"
    )
    origins: Any = parameter(kind="data", help="For each band what is taken off its values")
    window: str = parameter(GAUSSIAN, choices=WINDOWS, help="How a window weights its pixels")
    raw: bool = parameter(False, help="Use the stored pixels, without scale and offset")

    @property
    def margin(self) -> int:
        """The radius of a window."""
        return _RADII[self.window]

    def map(self, blocks: Blocks) -> list[Similarity]:
        """The bands of one cell."""
        found = []
        with np.errstate(all="ignore"):
            for band, peak in enumerate(self.peaks):
                total = Similarity(0, 0.0)
                for row in range(0, blocks.core.rows if peak else 0, PART_ROWS):
                    rows = min(PART_ROWS, blocks.core.rows - row)
                    total = _added(total, self._of_rows(blocks, band, row, rows))
                found.append(total)
        return found

    def merge(self, first: list[Similarity], second: list[Similarity]) -> list[Similarity]:
        """Both cells together, band by band."""
        return list(map(_added, first, second))

    def _of_rows(self, blocks: Blocks, band: int, row: int, rows: int) -> Similarity:
        """The windows around the pixels of some rows."""
        radius, origin, peak = self.margin, self.origins[band], self.peaks[band]
        lines = slice(row, row + rows + 2 * radius)
        pitch, shape = blocks.core.cols + 2 * radius, (rows, blocks.core.cols)
        one, two = (
            physical(block.pixels[band, lines].astype(np.float64, order="C").ravel(),
                     block.profile.bands[band], self.raw)
            for block in blocks
        )  # fmt: skip
        counts = both_valid(blocks, band, lines)
        if not math.isfinite(one.sum() + two.sum()):
            finite = np.isfinite(one) & np.isfinite(two)
            counts = finite if counts is None else counts & finite
        if counts is not None and not counts.any():
            return Similarity(0, 0.0)
        one -= origin
        two -= origin
        if counts is not None:
            one[~counts] = two[~counts] = 0
        found = unflattened(self._similarities(one, two, pitch, origin, peak), pitch, shape)
        if counts is None:
            return Similarity(found.size, float(found.copy().sum()))
        whole = unflattened(gather(_AND, counts, pitch, "square", radius), pitch, shape)
        kept = found[whole]
        return Similarity(kept.size, float(kept.sum()))

    def _similarities(
        self, one: np.ndarray, two: np.ndarray, pitch: int, origin: float, peak: float
    ) -> np.ndarray:
        """Of the window around each pixel, in flat lines; ``origin`` was taken off all values.

        With the weighted means m, variances v and the covariance c:
        (2 m1 m2 + C1) (2 c + C2) / ((m1^2 + m2^2 + C1) (v1 + v2 + C2)).
        """
        weights = weights_of(self.window)
        mean, other = _weighted(one, pitch, weights), _weighted(two, pitch, weights)
        variances = _weighted(one * one + two * two, pitch, weights)
        variances -= mean * mean + other * other
        covariance = _weighted(one * two, pitch, weights)
        covariance -= mean * other
        mean += origin
        other += origin
        luminance, contrast = (LUMINANCE * peak) ** 2, (CONTRAST * peak) ** 2
        similar = (2 * mean * other + luminance) * (2 * covariance + contrast)
        similar /= (mean * mean + other * other + luminance) * (variances + contrast)
        return similar


def _added(one: Similarity, two: Similarity) -> Similarity:
    return Similarity(one.windows + two.windows, one.total + two.total)


@lru_cache(maxsize=2)
def weights_of(window: str) -> tuple[float, ...]:
    """The weights of a line through a window, from its middle on; of the whole line they sum to 1.

    The weight of a pixel is the product of those of its row and column.
    """
    radius = _RADII[window]
    if window == UNIFORM:
        return (1 / (2 * radius + 1),) * (radius + 1)
    weights = [math.exp(-0.5 * (step / SIGMA) ** 2) for step in range(radius + 1)]
    total = weights[0] + 2 * math.fsum(weights[1:])
    return tuple(weight / total for weight in weights)


def _weighted(lines: np.ndarray, pitch: int, weights: Sequence[float]) -> np.ndarray:
    """The weighted mean of the window around each pixel: along the columns, then along the rows."""
    for step in (pitch, 1):
        radius = len(weights) - 1
        length = lines.size - 2 * radius * step
        total = lines[radius * step :][:length] * weights[0]
        pair = np.empty_like(total)
        for place, weight in enumerate(weights[1:], 1):
            before, after = ((radius + side * place) * step for side in (-1, 1))
            np.add(lines[before:][:length], lines[after:][:length], out=pair)
            pair *= weight
            total += pair
        lines = total
    return lines
