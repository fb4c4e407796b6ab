"""From what a function returns to the output image: cast, mark invalid, gather statistics."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from eoscale_engine.raster_files.gdal_profile import BandStatistics
from eoscale_engine.tile_work.block_reading import nodata_in


@dataclass
class Moments:
    """Count, extremes and the first two moments of one band's valid pixels.

    ``mean`` and ``squares`` (the sum of squared deviations from it), ``minimum`` and ``maximum``
    are of the finite pixels; ``infinite`` ones are counted apart. ``collisions`` counts valid
    pixels that equal the nodata value.
    """

    finite: int = 0
    infinite: int = 0
    invalid: int = 0
    collisions: int = 0
    minimum: float = math.inf
    maximum: float = -math.inf
    mean: float = 0.0
    squares: float = 0.0

    def merge(self, other: Moments) -> None:
        """Add another part of the same band (Chan, Golub and LeVeque 1979)."""
        self.invalid += other.invalid
        self.infinite += other.infinite
        self.collisions += other.collisions
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
        flat = deviations.ravel()
        squares = float(np.dot(flat, flat)) - count * mean * mean
    moments.minimum, moments.maximum = float(minimum), float(maximum)
    moments.mean, moments.squares = float(middle) + mean, max(0.0, squares)
    return moments


def _sum(values: np.ndarray) -> float:
    """Row by row as a product, several times as fast as ``sum()``, then in float64."""
    return float((values @ np.ones(values.shape[-1], values.dtype)).sum(dtype=np.float64))


def cast(pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Pixels in another type: integers rounded half to even and clipped to the type's range.

    Floats that a smaller float type cannot hold become infinite. Floats beyond a 64-bit integer's
    range become the largest integer that a float64 holds in it.
    """
    if pixels.dtype == dtype:
        return pixels
    if dtype.kind in "iu" and pixels.dtype.kind in "iuf":
        info = np.iinfo(dtype)
        low, high = info.min, info.max
        if pixels.dtype.kind == "f":
            # float32 holds every 16-bit integer, float64 every 32-bit one
            pixels = np.rint(pixels if dtype.itemsize <= 2 else pixels.astype(np.float64))
            highest = float(high)
            pixels = np.clip(
                pixels, float(low), highest if int(highest) == high else np.nextafter(highest, 0)
            )
        else:
            source = np.iinfo(pixels.dtype)
            pixels = np.clip(pixels, max(low, source.min), min(high, source.max))
    with np.errstate(over="ignore", invalid="ignore"):
        return pixels.astype(dtype)


def store(
    pixels: np.ndarray, valid: Optional[np.ndarray], out: np.ndarray, nodata: Any, *, nudge: bool
) -> Moments:
    """Write one band of one block into the output image; returns its moments.

    Parameters
    ----------
    pixels : array of (rows, cols)
        The function's result, in any type. NaN is an invalid result.
    valid : boolean array of (rows, cols), or None where all are valid
    out : array of (rows, cols)
        The place in the output image.
    nodata : number
        Written where the result is invalid.
    nudge : bool
        Whether a valid pixel that equals the nodata value gets the nearest other value.
    """
    if pixels.dtype.kind in "fc":
        # whatever the output's type; min() finds NaN without a mask, and mostly there is none
        lowest = pixels.min()
        if lowest != lowest:
            number = pixels == pixels
            valid = number if valid is None else valid & number
    stored = cast(pixels, out.dtype)
    moments = moments_of(stored, valid)
    value = nodata_in(out.dtype, nodata)
    if value is not None and _may_hold(moments, value):
        same = stored == value
        if valid is not None:
            same &= valid
        moments.collisions = int(np.count_nonzero(same))
        if moments.collisions and nudge:
            stored = np.where(same, neighbour(value), stored)
    np.copyto(out, stored)
    if valid is not None and moments.invalid:
        np.copyto(out, out.dtype.type(nodata), where=np.logical_not(valid))
    return moments


def _may_hold(moments: Moments, value: Any) -> bool:
    if moments.infinite or value.dtype.kind == "c":
        return True
    return bool(moments.minimum <= value <= moments.maximum)


def neighbour(value: Any) -> Any:
    """The nearest other value of the same type: what a valid pixel gets in place of nodata."""
    kind = value.dtype.type
    if value.dtype.kind in "iu":
        return kind(int(value) + 1) if value < np.iinfo(kind).max else kind(int(value) - 1)
    if value.dtype.kind == "c":
        return kind(complex(neighbour(value.real), value.imag))
    return np.nextafter(value, kind(np.inf if value < 0 else -np.inf))
