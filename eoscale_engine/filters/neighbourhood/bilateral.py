"""Smoothing that keeps edges: the bilateral filter, where the range sigma of each band is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.filters.neighbourhood.kernels import BORDER, PIECE
from eoscale_engine.filters.neighbourhood.windows import by_validity, flat_lines, unflattened
from eoscale_engine.profile import Profile


@dataclass(frozen=True)
class BilateralWithin(ImageFilter):
    """Mean of the pixels of a disk, weighted by place and by likeness to the one in the middle."""

    stage = "Bilateral filter"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"sigma_range": (30.0, 60.0)},
        {"sigma_range": (200.0, 200.0), "sigma_spatial": 0.8, "border": "invalid"},
        {"sigma_range": (5.0, 2.0), "sigma_spatial": 3.0, "radius": 2, "border": "nearest"},
    )

    sigma_range: Any = parameter(kind="data", help="Range sigma of each band, of physical values")
    sigma_spatial: float = parameter(1.5, minimum=0.1, maximum=50, help="Of the distance")
    radius: Optional[int] = parameter(None, minimum=1, maximum=100, help="Of the disk")
    border: str = parameter(**BORDER)  # type: ignore[misc]

    @property
    def margin(self) -> int:
        """The radius."""
        return self.radius or max(1, int(2 * self.sigma_spatial + 0.5))

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats; without the nodata value, which could be a result."""
        dtype = "float32" if np.dtype(inputs[0].dtype).itemsize <= 4 else "float64"
        return [inputs[0].with_dtype(dtype).without_classes().with_nodata(None)]

    def apply(self, blocks: Blocks) -> Pixels:
        """See the procedure."""
        block, margin = blocks[0], self.margin
        dtype = np.result_type(block.pixels.dtype, np.float32)
        far = float(np.finfo(dtype).max) / 4

        def compute(
            band: int, pixels: np.ndarray, valid: Optional[np.ndarray], out: np.ndarray
        ) -> Optional[np.ndarray]:
            # so far from all others that it weighs nothing, without a mask
            lines = flat_lines(pixels, valid, dtype, far)
            infinite = np.isinf(lines)
            if infinite.any():
                lines = np.where(infinite, dtype.type(far), lines)
            likeness = abs(block.profile.bands[band].scale) / (2**0.5 * self.sigma_range[band])
            shift = self._shifts(lines, pixels.shape[1], likeness)
            core = tuple(slice(margin, margin + size) for size in out.shape)
            near = unflattened(shift, pixels.shape[1], out.shape)
            np.add(pixels[core], near, out=out, casting="same_kind")
            return None if valid is None else valid[core]

        (result,) = self.output_profiles([block.profile])
        return by_validity(block, margin, np.dtype(result.dtype), compute)

    def _shifts(self, lines: np.ndarray, pitch: int, likeness: float) -> np.ndarray:
        """Flat lines of the core: the mean less the pixel itself, sum(w (y - x)) / sum(w)."""
        margin = self.margin
        first = margin * pitch + margin
        total = np.zeros(lines.size - 2 * first, lines.dtype)
        pairs = [
            (row * pitch + col, -(row * row + col * col) / (2 * self.sigma_spatial**2))
            for row in range(margin + 1)
            for col in _columns(row, margin)
        ]
        for start in range(0, total.size, PIECE):
            part = total[start : start + PIECE]
            _weigh_pairs(lines[start:], first, pairs, likeness, part)
        return total


def _columns(row: int, radius: int) -> range:
    """Columns of the disk's half that follows the middle."""
    width = isqrt(radius * radius - row * row)
    return range(-width if row else 1, width + 1)


def _weigh_pairs(
    lines: np.ndarray,
    first: int,
    pairs: Sequence[tuple[int, float]],
    likeness: float,
    total: np.ndarray,
) -> None:
    """Into ``total``, of zeros, the shifts of the pixels from the place ``first`` on.

    The two pixels of a pair weigh the same for each other, so each weight is computed once:
    ``pairs`` has how far apart they stand, and the logarithm of their weight by distance.
    """
    number, dtype = total.size, lines.dtype.type
    weights = np.ones_like(total)
    most = number + pairs[-1][0]
    differences, scratch = np.empty((2, most), lines.dtype)
    for step, nearness in pairs:
        apart, weight = differences[: number + step], scratch[: number + step]
        pixels = lines[first - step : first + number + step]
        np.subtract(pixels[step:], pixels[:-step], out=apart)
        np.multiply(apart, dtype(likeness), out=weight)
        np.multiply(weight, weight, out=weight)
        np.subtract(dtype(nearness), weight, out=weight)
        np.exp(weight, out=weight)
        np.add(weights, weight[step:], out=weights)
        np.add(weights, weight[:number], out=weights)
        np.multiply(apart, weight, out=weight)
        np.add(total, weight[step:], out=total)
        np.subtract(total, weight[:number], out=total)
    np.divide(total, weights, out=total)
