"""Statistics of the pixels around each pixel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.filters.windows import (
    SHAPES,
    Merge,
    by_validity,
    flat_lines,
    gather,
    merging,
    unflattened,
    window_size,
)
from eoscale_engine.profile import Band, Profile

STATISTICS = (
    "mean", "sum", "count", "minimum", "maximum", "range", "variance", "standard deviation"
)  # fmt: skip

_SUM, _MINIMUM, _MAXIMUM = merging(np.add), merging(np.minimum), merging(np.maximum)


@dataclass(frozen=True)
class FocalStatistics(ImageFilter):
    """Mean, sum, count, minimum, maximum, range, variance or standard deviation around each pixel.

    With the n valid pixels x of the window around a pixel:

    - mean: sum(x) / n
    - sum: sum(x)
    - count: n
    - minimum, maximum, range: min(x), max(x), max(x) - min(x)
    - variance: sum((x - mean)^2) / n, of the population; standard deviation: its square root

    The window is a square of 2 radius + 1 pixels, or a disk: the pixels with
    row^2 + col^2 <= radius^2, counted from the centre. Each band is handled by itself.

    Nodata: "ignore" takes the valid pixels of the window; "propagate" gives no value where the
    window holds an invalid pixel. What lies beyond the image is invalid: "ignore" takes the real
    pixels alone, "propagate" leaves a frame of the radius without a value. An invalid pixel stays
    so unless holes are filled. A count may be 0; all else needs a valid pixel.

    Pixels: mean, variance and standard deviation are float32, float64 for 64-bit images. Minimum
    and maximum keep the type. A count is uint16, or uint32 for windows of 65535 pixels and more.
    The sum and range of integers are exact: the sum is uint32 or int32 where the largest possible
    one fits, the range uint16 of 8-bit and uint32 of 16-bit images, and else both are float64
    (exact to 2^53). Those of floats are floats.

    Scale and offset: mean, minimum and maximum carry them on (a band of negative scale has its
    minimum where its pixels are largest). All else is of physical values, as floats where there is
    a scale: sum scale + n offset, range and standard deviation times abs(scale), variance times
    scale^2.

    Sums of float32 images are float32, pairwise within squares: to 2e-7 of the largest sum of
    magnitudes, 6e-7 for a disk of radius 40. Variances are float64, merged from (n, mean, sum of
    squares) of the window's parts, so that a large offset costs no digits: T. F. Chan, G. H. Golub
    and R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for Computing Sample Variances",
    Stanford STAN-CS-79-773, 1979.
    """

    name = "focalstatistics"
    label = "Focal statistics"
    group = "Neighbourhood"
    tags = (
        "focal", "neighbourhood", "neighborhood", "moving window", "kernel", "smooth", "box",
        *STATISTICS, "std", "texture", "boxcar",
    )  # fmt: skip
    border = "invalid"
    examples = (
        {},
        {"statistic": "standard deviation", "shape": "disk", "radius": 3},
        {"statistic": "minimum", "nodata": "propagate", "radius": 2},
        {"statistic": "sum", "radius": 5, "minimum_share": 20, "fill": True},
        {"statistic": "count"},
        {"statistic": "range", "shape": "disk"},
    )

    statistic: str = parameter(
        "mean", choices=STATISTICS, help="What is computed from the valid pixels of the window."
    )
    shape: str = parameter(
        "square",
        choices=SHAPES,
        help="Square of 2 radius + 1 pixels, or disk: the pixels at most the radius away.",
    )
    radius: int = parameter(
        1, minimum=1, maximum=512, unit="pixels", help="Half-width of the window; 1 is 3 x 3."
    )
    nodata: str = parameter(
        "ignore",
        choices=("ignore", "propagate"),
        label="Invalid pixels in the window",
        help="Ignore them, or give no value where there is one. Beyond the image all are invalid.",
    )
    minimum_share: float = parameter(
        0.0,
        minimum=0,
        maximum=100,
        unit="%",
        label="Least share of valid pixels",
        help="No value where fewer of the window's pixels are valid. 0: one valid pixel is enough.",
        advanced=True,
    )
    fill: bool = parameter(
        False,
        label="Fill holes",
        help="Give invalid pixels a value too, from the valid pixels around them.",
    )

    @property
    def margin(self) -> int:
        """The radius."""
        return self.radius

    @property
    def makes_invalid(self) -> bool:
        """Near the border, beyond which all is invalid."""
        return self.nodata == "propagate" or self.minimum_share > 0

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Minimum and maximum keep the nodata value; it could be a result of all others."""
        profile = inputs[0]
        if self.statistic in ("minimum", "maximum"):
            return [profile]
        result = profile.with_dtype(self._result_dtype(profile).name).with_nodata(None)
        if self.statistic == "mean":
            return [result]
        if self.statistic == "variance":
            bands = tuple(
                replace(band, unit=f"({band.unit})^2" if band.unit else "") for band in result.bands
            )
            result = replace(result, bands=bands)
        return [result.physical(unit="" if self.statistic == "count" else None)]

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block = blocks[0]
        dtype = self._result_dtype(block.profile)
        size = window_size(self.shape, self.radius)
        needed = ceil(size * self.minimum_share / 100)
        if self.nodata == "propagate":
            needed = size
        elif self.statistic != "count":
            needed = max(1, needed)
        inner = slice(self.radius, -self.radius)

        def compute(
            band: int, pixels: np.ndarray, valid: Optional[np.ndarray], out: np.ndarray
        ) -> Optional[np.ndarray]:
            found, number = None, np.asarray(size)
            if valid is not None:
                ones = flat_lines(valid, None, np.min_scalar_type(size), 0)
                number = self._around(_SUM, ones, pixels.shape)
                found = number >= needed
                if not self.fill:
                    found &= valid[inner, inner]
            self._compute(pixels, valid, number, block.profile.bands[band], out)
            return found

        return by_validity(block, self.radius, dtype, compute)

    # ---- one band; ``number`` is how many pixels each window holds, one number where all do

    def _compute(
        self,
        pixels: np.ndarray,
        valid: Optional[np.ndarray],
        number: np.ndarray,
        band: Band,
        out: np.ndarray,
    ) -> None:
        """The statistic, in the types and units of the output profile."""
        if self.statistic == "count":
            out[...] = number
        elif self.statistic in ("minimum", "maximum"):
            self._extreme(pixels, valid, (self.statistic == "maximum") == (band.scale > 0), out)
        elif self.statistic == "range":
            low, high = np.empty((2, *out.shape), pixels.dtype)
            self._extreme(pixels, valid, False, low)
            self._extreme(pixels, valid, True, high)
            common = np.result_type(pixels, out)
            np.subtract(high, low, out=out, dtype=common, casting="unsafe")
            if band.scale != 1:
                np.multiply(out, abs(band.scale), out=out)
        elif self.statistic in ("mean", "sum"):
            self._mean_or_sum(pixels, valid, number, band, out)
        else:
            variance = self._variance(pixels, valid, number)
            if self.statistic == "variance":
                np.multiply(variance, band.scale**2, out=out, casting="same_kind")
            else:
                np.sqrt(variance, out=variance)
                np.multiply(variance, abs(band.scale), out=out, casting="same_kind")

    def _mean_or_sum(
        self,
        pixels: np.ndarray,
        valid: Optional[np.ndarray],
        number: np.ndarray,
        band: Band,
        out: np.ndarray,
    ) -> None:
        dtype = _sum_dtype(pixels.dtype, window_size(self.shape, self.radius))
        total = self._around(_SUM, flat_lines(pixels, valid, dtype, 0), pixels.shape)
        if self.statistic == "mean":
            np.divide(total, number.astype(dtype), out=out, casting="same_kind")
        elif (band.scale, band.offset) == (1, 0):
            np.copyto(out, total, casting="same_kind")
        else:
            physical = np.multiply(total, band.scale, dtype=np.float64)
            physical += np.multiply(number, band.offset, dtype=np.float64)
            np.copyto(out, physical, casting="same_kind")

    def _extreme(
        self, pixels: np.ndarray, valid: Optional[np.ndarray], largest: bool, out: np.ndarray
    ) -> None:
        """The largest or smallest pixels; invalid ones are made the opposite extreme."""
        if pixels.dtype.kind == "f":
            fill = -np.inf if largest else np.inf
        else:
            limits = np.iinfo(pixels.dtype)
            fill = limits.min if largest else limits.max
        lines = flat_lines(pixels, valid, pixels.dtype, fill)
        found = self._around(_MAXIMUM if largest else _MINIMUM, lines, pixels.shape)
        # Which of 0.0 and -0.0 is taken depends on the place in the line; adding 0 makes both 0.0.
        np.add(found, 0, out=out)

    def _variance(
        self, pixels: np.ndarray, valid: Optional[np.ndarray], number: np.ndarray
    ) -> np.ndarray:
        lines = flat_lines(pixels, valid, np.dtype(np.float64), 0)
        moments = np.zeros((2 if valid is None else 3, lines.size))
        moments[0] = lines
        if valid is not None:
            moments[2] = valid.ravel()
        squares: np.ndarray = self._around(_merge_moments, moments, pixels.shape)[1]
        squares /= number
        return squares

    def _around(self, merge: Merge, lines: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """What is gathered around every pixel of the core; ``shape`` is that of band and margin."""
        rows, pitch = shape
        found = gather(merge, lines, pitch, self.shape, self.radius)
        return unflattened(found, pitch, (rows - 2 * self.radius, pitch - 2 * self.radius))

    def _result_dtype(self, profile: Profile) -> np.dtype:
        dtype = np.dtype(profile.dtype)
        size = window_size(self.shape, self.radius)
        if self.statistic in ("minimum", "maximum"):
            return dtype
        if self.statistic == "count":
            return np.dtype(np.uint16 if size < 65535 else np.uint32)
        scaled = any((band.scale, band.offset) != (1, 0) for band in profile.bands)
        if dtype.kind != "f":
            if self.statistic == "sum" and not scaled:
                return _sum_dtype(dtype, size)
            if self.statistic == "range" and not scaled:
                return np.dtype({1: np.uint16, 2: np.uint32}.get(dtype.itemsize, np.float64))
        return np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)


def _sum_dtype(dtype: np.dtype, size: int) -> np.dtype:
    """In which type ``size`` pixels are added up: exact for integers of up to 32 bits."""
    if dtype.kind == "f":
        return dtype
    limits = np.iinfo(dtype)
    total = np.dtype(np.int32 if dtype.kind == "i" else np.uint32)
    fits = size * max(limits.max, -limits.min) < np.iinfo(total).max
    return total if fits else np.dtype(np.float64)


def _merge_moments(
    first: np.ndarray, second: np.ndarray, out: np.ndarray, sizes: tuple[int, int]
) -> None:
    """Merge mean, sum of squares about it, and number where some pixels are invalid.

    An empty part has the mean 0 and takes no share.
    """
    one, two = (first[2], second[2]) if len(first) == 3 else sizes
    share = two / np.maximum(one + two, 1)
    difference = second[0] - first[0]
    square = difference * difference
    square *= one * share
    np.add(first[1], second[1], out=out[1])
    out[1] += square
    difference *= share
    np.add(first[0], difference, out=out[0])
    if len(first) == 3:
        np.add(one, two, out=out[2])
