"""Statistics of the pixels around each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import ceil
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.neighbourhood.frequencies import frequent, window_variety
from eoscale_engine.filters.neighbourhood.ranked import (
    window_lower_median,
    window_median,
    window_percentile,
)
from eoscale_engine.filters.neighbourhood.window_moments import (
    sum_dtype,
    window_count,
    window_extreme,
    window_sum,
    window_variance,
)
from eoscale_engine.filters.neighbourhood.windows import (
    SHAPES,
    Neighbourhood,
    by_validity,
    neighbourhood,
    neighbourhood_of,
)
from eoscale_engine.filters.origins import Origins, own_band
from eoscale_engine.filters.physical_values import is_scaled, scaled
from eoscale_engine.profile import Band, Profile
from eoscale_engine.styles import HEAT, Ramp, Style

STATISTICS = (
    "mean", "sum", "count", "minimum", "maximum", "range", "variance", "standard deviation",
    "median", "percentile", "majority", "minority", "variety", "lower median",
)  # fmt: skip

OF_THE_PIXELS = ("minimum", "maximum", "lower median", "majority", "minority")
"""What is one of the window's pixels, whatever they measure."""

NUMBERS = ("count", "variety")


@dataclass(frozen=True)
class FocalStatistics(ImageFilter):
    """Mean, median, extremes, deviation, majority and other statistics around each pixel.

    With the n valid pixels x of the window around a pixel:

    - mean: sum(x) / n
    - sum: sum(x)
    - count: n
    - minimum, maximum, range: min(x), max(x), max(x) - min(x)
    - variance: sum((x - mean)^2) / n, of the population; standard deviation: its square root
    - median: the pixel in the middle of the sorted ones; of an even number, as where holes or the
      image's border cut the window, the mean of the two (as numpy.median)
    - lower median: of an even number the lower of the two, so that it is one of the pixels
    - percentile P: between the sorted pixels around place P / 100 (n - 1), counted from 0, by
      linear interpolation (as numpy.percentile)
    - majority, minority: the most and the least frequent of the values that occur; of equally
      frequent ones the smallest pixel as stored
    - variety: the number of different values

    The window is a square of 2 radius + 1 pixels; a disk: the pixels whose distance
    sqrt(row^2 + col^2) from the centre is at most the radius; a ring: those of a disk from the
    inner radius on; or given cell by cell. Each band is handled by itself.

    Nodata: "ignore" takes the valid pixels of the window; "propagate" gives no value where the
    window holds an invalid pixel. What lies beyond the image is invalid: "ignore" takes the real
    pixels alone, "propagate" leaves a frame of the radius without a value. An invalid pixel stays
    so unless holes are filled. A count may be 0; all else needs a valid pixel.

    Pixels: mean, percentile, variance and standard deviation are float32, float64 for 64-bit
    images. Minimum, maximum, lower median, majority and minority keep the type. So does the median
    of floats, and of integers where its windows are all whole and odd: "propagate", or a least
    share of 100 %. Else it is float32, float64 for 32-bit and 64-bit integers. Count and variety
    are uint16, or uint32 for windows of 65535 pixels and more.
    The sum and range of integers are exact: the sum is uint32 or int32 where the largest possible
    one fits, the range uint16 of 8-bit and uint32 of 16-bit images, and else both are float64
    (exact to 2^53). Those of floats are floats.

    Scale and offset: what is a mean, a median, a percentile or one of the pixels carries them on (a
    band of negative scale has its minimum where its pixels are largest). All else is of physical
    values, as floats where there is a scale: sum scale + n offset, range and standard deviation
    times abs(scale), variance times scale^2.

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
        *STATISTICS, "std", "texture", "boxcar", "median filter", "mean filter", "rank filter",
    )  # fmt: skip
    border = "invalid"
    picture: ClassVar[Mapping[str, Any]] = {"statistic": "median", "radius": 3}
    examples = (
        {},
        {"statistic": "standard deviation", "shape": "disk", "radius": 3},
        {"statistic": "minimum", "nodata": "propagate", "radius": 2},
        {"statistic": "sum", "radius": 5, "minimum_share": 20, "fill": True},
        {"statistic": "count"},
        {"statistic": "range", "shape": "disk"},
        {"statistic": "mean", "shape": "ring", "radius": 3, "inner_radius": 1.5},
        {"statistic": "median", "radius": 2},
        {"statistic": "percentile", "percentile": 90, "shape": "ring", "radius": 2, "fill": True},
        {"statistic": "majority", "minimum_share": 60},
        {"statistic": "minority", "shape": "given", "window": ((0, 1, 1), (1, 0, 0), (0, 1, 0))},
        {"statistic": "variety", "shape": "disk", "radius": 4},
    )

    statistic: str = parameter(
        "mean", choices=STATISTICS, help="What is computed from the valid pixels of the window."
    )
    shape: str = parameter(
        "square",
        choices=(*SHAPES, "ring", "given"),
        help="Square of 2 radius + 1 pixels; disk: the pixels at most the radius away; ring: not "
        "those within the inner radius; given: as the window's cells say.",
    )
    radius: int = parameter(
        1,
        minimum=1,
        maximum=512,
        unit="pixels",
        help="Half-width of the window; 1 is 3 x 3.",
        counts_when={"shape": (*SHAPES, "ring")},
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
    percentile: float = parameter(
        50.0,
        minimum=0,
        maximum=100,
        unit="%",
        help="0 is the minimum, 50 the median, 100 the maximum.",
        counts_when={"statistic": ("percentile",)},
    )
    inner_radius: float = parameter(
        1.0,
        minimum=0,
        maximum=512,
        unit="pixels",
        help="Where a ring begins: its pixels are at least so far from the centre.",
        counts_when={"shape": ("ring",)},
        advanced=True,
    )
    window: Optional[tuple[tuple[float, ...], ...]] = parameter(
        None,
        kind="matrix",
        label="Given window",
        help="In place of a radius: rows of 1 (in the window) and 0, separated by semicolons, such "
        "as 0 1 0; 1 1 1; 0 1 0. An odd number of rows and of columns, which may differ.",
        counts_when={"shape": ("given",)},
        advanced=True,
    )

    def validate(self) -> None:
        """Refuse a ring without pixels, and a window that has no centre or no pixels."""
        if self.shape == "ring" and self.inner_radius > self.radius:
            raise InputError(
                f"{self.label}: 'Inner radius' is {self.inner_radius:.12g}, greater than 'Radius', "
                f"{self.radius}: no pixel is in the ring. Make it smaller."
            )
        if self.shape != "given":
            return
        rows = self.window
        if not rows:
            raise InputError(
                f"{self.label}: the shape 'given' needs a value of 'Given window', such as "
                "0 1 0; 1 1 1; 0 1 0."
            )
        if len(rows) % 2 == 0 or len(rows[0]) % 2 == 0:
            raise InputError(
                f"{self.label}: 'Given window' has {len(rows)} rows and {len(rows[0])} columns; "
                "both must be odd numbers. Add rows or columns of zeros."
            )
        if len(rows) > 1025 or len(rows[0]) > 1025:
            raise InputError(
                f"{self.label}: 'Given window' has {len(rows)} rows and {len(rows[0])} columns; "
                "1025 are the most of both. Give a smaller one."
            )
        cells = {cell for row in rows for cell in row}
        if not cells <= {0, 1} or 1 not in cells:
            raise InputError(
                f"{self.label}: 'Given window' must have no cells but 0 and 1, and at least one 1."
            )

    @property
    def neighbourhood(self) -> Neighbourhood:
        """The pixels of the window."""
        if self.shape == "given" and self.window:
            return neighbourhood_of(self.window)
        inner = self.inner_radius if self.shape == "ring" else 0
        return neighbourhood(self.shape, self.radius, inner)

    @property
    def margin(self) -> int:
        """The radius; of a given window the distance to its farthest row or column of ones."""
        return self.neighbourhood.radius if self.shape == "given" else self.radius

    @property
    def makes_invalid(self) -> bool:
        """Near the border, beyond which all is invalid."""
        alone = self.statistic != "count" and not self.neighbourhood.has_centre
        return self.nodata == "propagate" or self.minimum_share > 0 or alone

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """What is one of the pixels keeps the nodata value; all else could be equal to it."""
        profile = inputs[0]
        if self._keeps_pixels:
            return [profile]
        result = profile.with_dtype(self._result_dtype(profile).name).with_nodata(None)
        result = result.without_classes()
        if self.statistic in ("mean", "median", "percentile"):
            return [result]
        if self.statistic == "variance":
            bands = tuple(
                replace(band, unit=f"({band.unit})^2" if band.unit else "") for band in result.bands
            )
            result = replace(result, bands=bands)
        return [result.physical(unit="" if self.statistic in NUMBERS else None)]

    def taken_from(self, inputs: Sequence[Profile]) -> Optional[Origins]:
        """One of the pixels around, or a new value."""
        return own_band(inputs) if self._keeps_pixels else None

    def styles(self) -> Sequence[Optional[Style]]:
        """A mean is drawn as an image is; a spread or a number as an amount."""
        amounts = ("range", "variance", "standard deviation", *NUMBERS)
        return [Ramp(HEAT) if self.statistic in amounts else None]

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block = blocks[0]
        dtype = self._result_dtype(block.profile)
        window = self.neighbourhood
        needed = self._needed

        def compute(
            band: int, pixels: np.ndarray, valid: Optional[np.ndarray], out: np.ndarray
        ) -> Optional[np.ndarray]:
            found = number = None
            if valid is not None:
                number = window_count(valid, window)
                found = number >= needed
                if not self.fill:
                    rows, cols = out.shape
                    top = window.radius
                    found &= valid[top : top + rows, top : top + cols]
            self._compute(pixels, valid, number, block.profile.bands[band], out)
            return found

        return by_validity(block, window.radius, dtype, compute)

    # ---- one band; ``number`` is how many pixels of each window are valid, None where all are

    def _compute(
        self,
        pixels: np.ndarray,
        valid: Optional[np.ndarray],
        number: Optional[np.ndarray],
        band: Band,
        out: np.ndarray,
    ) -> None:
        """The statistic, in the types and units of the output profile."""
        window, name = self.neighbourhood, self.statistic
        total = np.asarray(window.size) if number is None else number
        if name == "count":
            out[...] = total
        elif name in ("minimum", "maximum"):
            largest = (name == "maximum") == (band.scale > 0)
            window_extreme(pixels, valid, window, out, largest=largest)
        elif name == "range":
            low, high = np.empty((2, *out.shape), pixels.dtype)
            window_extreme(pixels, valid, window, low, largest=False)
            window_extreme(pixels, valid, window, high, largest=True)
            common = np.result_type(pixels, out)
            np.subtract(high, low, out=out, dtype=common, casting="unsafe")
            if band.scale != 1:
                np.multiply(out, abs(band.scale), out=out)
        elif name == "mean":
            sums = window_sum(pixels, valid, window)
            np.divide(sums, total.astype(sums.dtype), out=out, casting="same_kind")
        elif name == "sum":
            _physical_sum(window_sum(pixels, valid, window), total, band, out)
        elif name in ("variance", "standard deviation"):
            variance = window_variance(pixels, valid, window, total)
            if name == "standard deviation":
                np.sqrt(variance, out=variance)
            factor = band.scale**2 if name == "variance" else abs(band.scale)
            np.multiply(variance, factor, out=out, casting="same_kind")
        elif name in ("median", "lower median", "percentile"):
            self._rank(pixels, valid, number, band, out)
        elif name == "variety":
            window_variety(pixels, valid, window, number, out)
        else:
            least = name == "minority"
            np.add(frequent(pixels, valid, window, number, least=least).values, 0, out=out)

    def _rank(
        self,
        pixels: np.ndarray,
        valid: Optional[np.ndarray],
        number: Optional[np.ndarray],
        band: Band,
        out: np.ndarray,
    ) -> None:
        window, falling = self.neighbourhood, band.scale < 0
        if self.statistic == "percentile":
            share = 100 - self.percentile if falling else self.percentile
            window_percentile(pixels, valid, window, number, out, share)
        elif self._keeps_pixels:
            window_lower_median(pixels, valid, window, number, out, falling=falling)
        else:
            window_median(pixels, valid, window, number, out)

    @property
    def _needed(self) -> int:
        """How many pixels of a window must be valid for a value."""
        if self.nodata == "propagate":
            return self.neighbourhood.size
        needed = ceil(self.neighbourhood.size * self.minimum_share / 100)
        return needed if self.statistic == "count" else max(1, needed)

    @property
    def _keeps_pixels(self) -> bool:
        """Whether each value is one of the window's pixels: a median's, where it has a middle."""
        size = self.neighbourhood.size
        whole = size % 2 == 1 and self._needed == size
        return self.statistic in OF_THE_PIXELS or (self.statistic == "median" and whole)

    def _result_dtype(self, profile: Profile) -> np.dtype:
        dtype = np.dtype(profile.dtype)
        size = self.neighbourhood.size
        if self._keeps_pixels:
            return dtype
        if self.statistic == "median":
            return np.result_type(dtype, np.float32)
        if self.statistic in NUMBERS:
            return np.dtype(np.uint16 if size < 65535 else np.uint32)
        scaled = any((band.scale, band.offset) != (1, 0) for band in profile.bands)
        if dtype.kind != "f":
            if self.statistic == "sum" and not scaled:
                return sum_dtype(dtype, size)
            if self.statistic == "range" and not scaled:
                return np.dtype({1: np.uint16, 2: np.uint32}.get(dtype.itemsize, np.float64))
        return np.dtype(np.float32 if dtype.itemsize <= 4 else np.float64)


def _physical_sum(sums: np.ndarray, number: np.ndarray, band: Band, out: np.ndarray) -> None:
    if is_scaled(band):
        sums = scaled(sums.astype(np.float64), band, number)
    np.copyto(out, sums, casting="same_kind")
