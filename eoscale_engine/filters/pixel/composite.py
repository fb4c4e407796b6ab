"""One image from many dates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Optional

import numpy as np

from eoscale_engine.declaration import Block, Blocks, ImageFilter, Pixels, images, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.origins import Origins, no_band, same_bands
from eoscale_engine.filters.physical_values import physical_dtype, physical_values
from eoscale_engine.filters.pixel import composite_statistics as over
from eoscale_engine.profile import Band, Profile, common_profile
from eoscale_engine.styles import HEAT, Classes, Ramp, Style
from eoscale_engine.words import counted

CHOOSING = ("minimum", "maximum", "first valid", "last valid", "best pixel")
"""The statistics that take a pixel as it is from one of the dates."""
STATISTICS = (
    "median", "mean", "minimum", "maximum", "range", "sum", "standard deviation", "percentile",
    "valid count", "first valid", "last valid", "majority", "best pixel",
)  # fmt: skip


@dataclass(frozen=True)
class TemporalComposite(ImageFilter):
    """One image from several dates: median, mean, best pixel and other statistics of each pixel.

    With the n valid dates x of a pixel, each band by itself:

    - median: the middle one of the sorted x; of an even n the mean of the middle two
    - mean: sum(x) / n; sum: sum(x)
    - minimum, maximum, range: min(x), max(x), max(x) - min(x)
    - standard deviation: the square root of sum((x - mean)^2) / n, of the population
    - percentile p: the sorted x at the place p / 100 * (n - 1), counted from 0, linear between two
    - valid count: n
    - first valid, last valid: the x of the first or last valid date, in the order of the images
    - majority: the most frequent x, the smallest of equally frequent ones

    Best pixel takes all bands from one date, the one with the largest quality: a band, such as a
    score, or the normalised difference (a - b) / (a + b) of two, such as NDVI for a maximum-value
    composite. A date counts where all its bands are valid and its quality is finite.

    In place of the values, "image number" gives the number from 1 of the image that minimum,
    maximum, first valid, last valid or best pixel take; of equal ones the first.

    Nodata: invalid pixels of a date are left out; a pixel with fewer valid dates than the least
    number is invalid. A valid count is valid everywhere; an image number has nodata 0.

    Pixels: minimum, maximum, first, last, majority and best pixel have the images' common type.
    Median, mean, percentile and standard deviation are float32, and float64 where an image has
    32-bit integers or 64-bit pixels. The sum and range of integers are exact: uint32 or int32 for
    sums that fit, a range uint16 of 8-bit and uint32 of 16-bit images, and else both are float64
    (exact to 2^53). Numbers and counts are uint8, from 255 images on uint16. Sums and means of
    float32 dates are added up in float32, deviations in float64, in the order of the images;
    percentiles lie within 2e-7 of the larger of the two values.

    Scale and offset: carried on where all dates have the same positive scale. Where dates differ
    (Sentinel-2 before and after 2022), and for sum, range and standard deviation of scaled pixels,
    the values are physical, pixel * scale + offset: float32 for images of up to 16 bits and
    float32, else float64. The quality is always of physical values. Metadata stays where all dates
    share it; colour tables, class names and attribute tables where the values are of the dates.

    B. N. Holben, "Characteristics of maximum-value composite images from temporal AVHRR data",
    International Journal of Remote Sensing 7, 1986. R. J. Hyndman and Y. Fan, "Sample Quantiles in
    Statistical Packages", The American Statistician 50, 1996 (percentiles: definition 7).
    """

    name = "temporalcomposite"
    label = "Temporal composite"
    spares_nodata = True
    group = "Pixel"
    tags = (
        "r.series", "cell statistics", "mosaic", "time series", "stack statistics", "median",
        "maximum value composite", "mvc", "ndvi", "best available pixel", "cloud free", "quantile",
        "percentile", "mode", "majority", "reducer", "pixel statistics", "local", "average",
    )  # fmt: skip
    inputs = (images(help="The dates, in order: images of the same size, grid and bands"),)
    examples = (
        *({"statistic": name} for name in STATISTICS),
        {"statistic": "percentile", "percentile": 30, "minimum_count": 2},
        {"statistic": "maximum", "result": "image number"},
        {"statistic": "last valid", "result": "image number"},
        {"statistic": "best pixel", "quality_band": 2, "second_quality_band": 1},
        {"statistic": "best pixel", "result": "image number", "minimum_count": 2},
    )

    statistic: str = parameter(
        "median", choices=STATISTICS, help="What is computed from the valid dates of each pixel."
    )
    percentile: float = parameter(
        50.0,
        minimum=0,
        maximum=100,
        unit="%",
        label="Percentile",
        help="0 is the minimum, 50 the median, 100 the maximum.",
        counts_when={"statistic": ("percentile",)},
    )
    quality_band: int = parameter(
        1,
        minimum=1,
        label="Quality band",
        help="The band whose largest value is the best, or band a of (a - b) / (a + b); counted "
        "among the chosen bands.",
        counts_when={"statistic": ("best pixel",)},
    )
    second_quality_band: Optional[int] = parameter(
        None,
        minimum=1,
        label="Second quality band",
        help="Band b of the quality (a - b) / (a + b), counted among the chosen bands. Empty: band "
        "a itself.",
        counts_when={"statistic": ("best pixel",)},
    )
    minimum_count: int = parameter(
        1,
        minimum=1,
        label="Least number of valid dates",
        help="No value where fewer dates are valid.",
    )
    result: str = parameter(
        "values",
        choices=("values", "image number"),
        help="The values, or the number of the image that minimum, maximum, first valid, last "
        "valid or best pixel take.",
    )

    @property
    def differing(self) -> tuple[str, ...]:
        """A date that is there twice weighs twice."""
        return ("INPUTS",)

    def validate(self) -> None:
        """Refuse the image number of a statistic that takes no single image's pixel."""
        if self.result == "image number" and self.statistic not in CHOOSING:
            raise InputError(
                f"{self.label}: '{self.statistic}' comes from no single image. Ask for values, or "
                f"choose one of: {', '.join(CHOOSING)}."
            )

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse dates of different bands, and more dates or bands than there are."""
        super().check(inputs)
        profiles = inputs.get("INPUTS", ())
        for number, profile in enumerate(profiles, 1):
            if profile.count != profiles[0].count:
                raise InputError(
                    f"{self.label}: image {number} has {counted(profile.count, 'band')}, image 1 "
                    f"has {profiles[0].count}. Choose the same bands of every image."
                )
        if self.minimum_count > len(profiles):
            raise InputError(
                f"{self.label}: 'Least number of valid dates' is {self.minimum_count}, of "
                f"{counted(len(profiles), 'image')}. Add images, or ask for fewer."
            )
        if self.statistic == "best pixel":
            for number in (self.quality_band, self.second_quality_band or 1):
                if number > profiles[0].count:
                    raise InputError(
                        f"{self.label}: there is no quality band {number}: of each image it gets "
                        f"{counted(profiles[0].count, 'band')}. Choose one of them."
                    )

    @property
    def makes_invalid(self) -> bool:
        """Where a normalised difference is not defined on any date."""
        return self.statistic == "best pixel" and self.second_quality_band is not None

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """What describes the pixels stays where they keep their meaning."""
        profile = common_profile(inputs).widened(self._result_dtype(inputs).name)
        names = tuple(band.name for band in profile.bands)
        if self.result == "image number":
            names = ("image number",) if self.statistic == "best pixel" else names
            return [profile.with_bands(names, nodata=0)]
        if self.statistic == "valid count":
            return [profile.with_bands(names)]
        as_stored, profile = self._as_stored(inputs), profile.with_nodata(None)
        if not as_stored:
            profile = profile.physical()
        if not as_stored or self.statistic not in (*CHOOSING, "majority"):
            profile = profile.without_classes()
        return [profile]

    def taken_from(self, inputs: Sequence[Profile]) -> Optional[Origins]:
        """A pixel of one of the dates, or a new value; a count is valid everywhere."""
        if self.statistic == "valid count":
            return no_band(inputs[0].count)
        chosen = self.result != "image number" and self.statistic in (*CHOOSING, "majority")
        return same_bands(inputs) if chosen and self._as_stored(inputs) else None

    def styles(self) -> Sequence[Optional[Style]]:
        """Colours for numbers of images and counts; QGIS's own default for values."""
        if self.result == "image number":
            return [Classes()]
        return [Ramp(HEAT)] if self.statistic == "valid count" else ()

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        dates = blocks.all("INPUTS")
        with np.errstate(all="ignore"):
            if self.statistic == "valid count":
                dtype = self._result_dtype([block.profile for block in dates])
                total = np.zeros(dates[0].pixels.shape, dtype)
                for block in dates:
                    total += np.True_ if block.valid is None else block.valid
                return total, None
            return self._best(dates) if self.statistic == "best pixel" else self._by_band(dates)

    # ---- each band by itself

    def _by_band(self, dates: Sequence[Block]) -> Pixels:
        """All pixels as if every date were valid, then those again where one is not."""
        profiles = [block.profile for block in dates]
        result = np.empty(dates[0].pixels.shape, self._result_dtype(profiles))
        valid = None
        for band, out in enumerate(result):
            values = self._values(dates, band)
            out[...] = self._computed(values, None, result.dtype)
            masks = [None if block.valid is None else block.valid[band] for block in dates]
            places = _incomplete(masks)
            if not places.size:
                continue
            some = [np.ravel(date).take(places) for date in values]
            known = [
                np.ones(places.shape, bool) if mask is None else np.ravel(mask).take(places)
                for mask in masks
            ]
            out.reshape(-1)[places] = self._computed(some, known, result.dtype)
            enough = over.number_of(some, known) >= self.minimum_count
            if not enough.all():
                valid = np.ones(result.shape, bool) if valid is None else valid
                valid[band].reshape(-1)[places] = enough
        return result, valid

    def _computed(self, dates: over.Arrays, known: over.Known, dtype: np.dtype) -> np.ndarray:
        """The statistic, or the image number, in any type that ``dtype`` can take."""
        statistic = self.statistic
        if self.result == "image number" and statistic in ("first valid", "last valid"):
            shape = dates[0].shape
            dates = [np.broadcast_to(dtype.type(n), shape) for n in range(1, len(dates) + 1)]
        elif self.result == "image number":
            return over.extreme_date(dates, known, largest=statistic == "maximum")
        percent = self.percentile if statistic == "percentile" else 50.0
        return over.statistic_of(statistic, dates, known, percent, dtype)

    # ---- all bands from one date

    def _best(self, dates: Sequence[Block]) -> Pixels:
        quality = [self._quality(block) for block in dates]
        masks = [
            np.isfinite(found) & (True if block.valid is None else block.valid.all(axis=0))
            for found, block in zip(quality, dates)
        ]
        known = None if all(mask.all() for mask in masks) else masks
        chosen = over.extreme_date(quality, known, largest=True)
        enough = over.number_of(quality, known) >= self.minimum_count
        valid = None if known is None else enough[np.newaxis]
        if self.result == "image number":
            return chosen[np.newaxis], valid
        size = chosen.size
        place = np.maximum(chosen.ravel(), 1).astype(np.intp) - 1
        place *= size
        place += np.arange(size)
        dtype = self._result_dtype([block.profile for block in dates])
        result = np.empty(dates[0].pixels.shape, dtype)
        for band, out in enumerate(result):
            out[...] = np.stack(self._values(dates, band)).ravel().take(place).reshape(out.shape)
        return result, valid

    def _quality(self, block: Block) -> np.ndarray:
        """Of one date, physical."""
        bands = [self.quality_band - 1]
        bands += [] if self.second_quality_band is None else [self.second_quality_band - 1]
        found = []
        for number in bands:
            band, pixels = block.profile.bands[number], block.pixels[number]
            dtype = physical_dtype(pixels.dtype, (band,))
            if len(bands) == 2:
                dtype = _float(dtype)
            found.append(physical_values(pixels, band, dtype))
        if len(found) == 1:
            return found[0]
        one, two = found
        return (one - two) / (one + two)

    # ---- types and scales

    def _values(self, dates: Sequence[Block], band: int) -> list[np.ndarray]:
        """A band of all dates in one type: as stored where that means the same on all of them."""
        profiles = [block.profile for block in dates]
        dtype, as_stored = self._common_dtype(profiles), self._as_stored(profiles)
        return [
            physical_values(
                block.pixels[band], Band() if as_stored else block.profile.bands[band], dtype
            )
            for block in dates
        ]

    def _as_stored(self, profiles: Sequence[Profile]) -> bool:
        """Whether the statistic of stored pixels has their scale and offset."""
        scales = [[(band.scale, band.offset) for band in profile.bands] for profile in profiles]
        if self.statistic in ("range", "sum", "standard deviation"):
            return all(pair == (1, 0) for bands in scales for pair in bands)
        return all(bands == scales[0] for bands in scales) and all(s > 0 for s, _ in scales[0])

    def _common_dtype(self, profiles: Sequence[Profile]) -> np.dtype:
        dtypes = [np.dtype(profile.dtype) for profile in profiles]
        if not self._as_stored(profiles):
            dtypes = [physical_dtype(d, p.bands) for d, p in zip(dtypes, profiles)]
        return np.result_type(*dtypes)

    def _result_dtype(self, profiles: Sequence[Profile]) -> np.dtype:
        dtype = self._common_dtype(profiles)
        if self.result == "image number" or self.statistic == "valid count":
            return np.dtype(np.uint8 if len(profiles) < 255 else np.uint16)
        if self.statistic in (*CHOOSING, "majority"):
            return dtype
        if self.statistic not in ("sum", "range"):
            return _float(dtype)
        if dtype.kind == "f":
            return dtype
        if self.statistic == "range":
            return np.dtype({1: np.uint16, 2: np.uint32}.get(dtype.itemsize, np.float64))
        limits = np.iinfo(dtype)
        exact = np.dtype(np.int32 if dtype.kind == "i" else np.uint32)
        fits = len(profiles) * max(limits.max, -limits.min) < np.iinfo(exact).max
        return exact if fits else np.dtype(np.float64)


def _float(dtype: np.dtype) -> np.dtype:
    """The float type for values between those of a type."""
    single = dtype == np.float32 or dtype.itemsize <= 2
    return np.dtype(np.float32 if single else np.float64)


def _incomplete(masks: Sequence[Optional[np.ndarray]]) -> np.ndarray:
    """The places, in the flat array, of pixels that are invalid on some date."""
    some = [mask for mask in masks if mask is not None]
    if not some:
        return np.empty(0, np.intp)
    return np.flatnonzero(~reduce(np.logical_and, some))
