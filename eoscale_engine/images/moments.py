"""Count, extremes, mean and deviation of each band, gathered while pixels are written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from eoscale_engine.raster_files.gdal_profile import BandStatistics


@dataclass
class Moments:
    """Count, extremes and the first two moments of one band's valid pixels.

    ``mean`` and ``squares`` (the sum of squared deviations from it), ``minimum`` and ``maximum``
    are of the finite pixels; ``infinite`` ones are counted apart.
    """

    finite: int = 0
    infinite: int = 0
    invalid: int = 0
    minimum: float = math.inf
    maximum: float = -math.inf
    mean: float = 0.0
    squares: float = 0.0

    def merge(self, other: Moments) -> None:
        """Add another part of the same band (Chan, Golub and LeVeque 1979)."""
        self.invalid += other.invalid
        self.infinite += other.infinite
        if not other.finite:
            return
        total = self.finite + other.finite
        step = other.mean - self.mean
        self.mean += step * other.finite / total
        self.squares += other.squares + step * step * self.finite * other.finite / total
        self.finite = total
        self.minimum = min(self.minimum, other.minimum)
        self.maximum = max(self.maximum, other.maximum)

    def statistics(self) -> BandStatistics:
        """As GDAL keeps them; without values where there are none."""
        valid = self.finite + self.infinite
        if not self.finite or self.minimum > self.maximum:
            return BandStatistics(valid, self.invalid)
        deviation = math.sqrt(self.squares / self.finite)
        return BandStatistics(
            valid, self.invalid, self.minimum, self.maximum, self.mean, deviation
        )  # fmt: skip


def invalid_of(valid: Optional[np.ndarray]) -> Moments:
    """Only how many pixels are invalid."""
    return Moments(invalid=0 if valid is None else valid.size - int(np.count_nonzero(valid)))


def moments_of(pixels: np.ndarray, valid: Optional[np.ndarray] = None) -> Moments:
    """Moments of a band's valid pixels, in an array of at least one dimension.

    float32 pixels and integers of up to 16 bits are summed in float32, as deviations from their
    mean: enough for what GDAL and QGIS do with statistics (the reduction ``rasterstatistics`` is
    exact). Complex pixels are counted only.
    """
    count = pixels.size if valid is None else int(np.count_nonzero(valid))
    moments = Moments(finite=count, invalid=pixels.size - count)
    if not count or pixels.dtype.kind == "c":
        return moments
    invalid = None if valid is None else ~valid
    if valid is not None and invalid is not None:
        # any valid pixel in the place of invalid ones changes no extreme
        pixels = pixels.copy()
        np.copyto(pixels, pixels.flat[int(np.argmax(valid))], where=invalid)
    minimum, maximum = pixels.min(), pixels.max()
    if not (np.isfinite(minimum) and np.isfinite(maximum)):
        finite = np.isfinite(pixels) if valid is None else np.isfinite(pixels) & valid
        moments = moments_of(pixels, finite)
        moments.infinite = count - moments.finite
        moments.invalid = pixels.size - count
        return moments
    small = pixels.dtype.kind in "iu" and pixels.dtype.itemsize <= 2
    kind = np.float32 if small or pixels.dtype == np.float32 else np.float64
    with np.errstate(over="ignore", invalid="ignore"):
        # about the mean, so that one outlier costs no digits of the others' deviations
        middle = kind(_sum(pixels.astype(kind, copy=False)) / pixels.size)
        deviations = np.subtract(pixels, middle, dtype=kind, casting="unsafe")
        if invalid is not None:
            np.copyto(deviations, 0, where=invalid)
        mean = _sum(deviations) / count
        rows = deviations.reshape(-1, 1, deviations.shape[-1])
        # row by row: one product of all loses an outlier's digits with some builds of BLAS
        squares = float((rows @ rows.swapaxes(1, 2)).sum(dtype=np.float64)) - count * mean * mean
    moments.minimum, moments.maximum = float(minimum), float(maximum)
    moments.mean, moments.squares = float(middle) + mean, max(0.0, squares)
    return moments


def _sum(values: np.ndarray) -> float:
    """Row by row as a product, several times as fast as ``sum()``, then in float64."""
    return float((values @ np.ones(values.shape[-1], values.dtype)).sum(dtype=np.float64))


def merge_bands(bands: Sequence[Moments], others: Sequence[Moments]) -> None:
    """Add another part of the same image, band by band."""
    for band, other in zip(bands, others):
        band.merge(other)
