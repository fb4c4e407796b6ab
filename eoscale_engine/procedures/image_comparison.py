"""How far an image is from a reference: errors, correlation, similarity and where they differ."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import (
    Chart,
    Engine,
    Output,
    Procedure,
    Result,
    Roles,
    Summary,
    Table,
    image,
    parameter,
)
from eoscale_engine.errors import InputError
from eoscale_engine.filters.pixel.difference import Difference
from eoscale_engine.parameters import RAW
from eoscale_engine.procedures.chart_labels import band_titles
from eoscale_engine.profile import Affine, Profile
from eoscale_engine.reductions.band_counts import DifferenceCounts, edges_of
from eoscale_engine.reductions.differences import Compared, Differences
from eoscale_engine.reductions.similarity import (
    GAUSSIAN,
    WINDOWS,
    Similarity,
    StructuralSimilarity,
)
from eoscale_engine.reductions.statistics import scale_notes
from eoscale_engine.styles import DIVERGING, Ramp, Style
from eoscale_engine.words import counted

BINS = 101
"""Of the histogram of differences: odd, so that the middle one holds no difference."""

COLUMNS = (
    "band", "name", "unit", "valid", "invalid", "infinite", "equal", "equal_share", "bias", "mae",
    "rmse", "psnr", "r_squared", "correlation", "ssim", "ssim_windows", "peak",
    "maximum_difference", "row", "column", "x", "y",
)  # fmt: skip


@dataclass(frozen=True)
class ImageComparison(Procedure):
    """Measure how far the bands of an image are from those of a reference: errors and similarity.

    The first band of the image is compared with the first one of the reference, and so on. With the
    n pixels x and r that are valid and finite in both, d = x - r, and the peak L:

    - bias = sum(d) / n
    - mae = sum(|d|) / n, the mean absolute error
    - rmse = sqrt(sum(d^2) / n), the root mean square error
    - psnr = 20 log10(L / rmse), the peak signal-to-noise ratio in dB; infinite where rmse is 0
    - r_squared = 1 - sum(d^2) / sum((r - mean(r))^2), below 0 where the mean of the reference is
      nearer to it than the image; correlation is Pearson's
    - ssim, the mean of the structural similarity of all windows, with the weighted means m,
      variances v and the covariance c of each: (2 m1 m2 + C1) (2 c + C2) /
      ((m1^2 + m2^2 + C1) (v1 + v2 + C2)), C1 = (0.01 L)^2, C2 = (0.03 L)^2; 1 for equal images
    - maximum_difference, the largest |d|; row and column, counted from 0 in what is compared, and
      map coordinates x and y of the first pixel, row by row, that has it
    - equal, the number of pixels with x = r, and their share of the valid ones

    The peak is by default the range of each band's reference, largest less smallest value. Give it
    to compare several runs: 255 for images of 8 bits, 1 for reflectances.

    Windows are gaussian (11 x 11 pixels, sigma 1.5, as in the paper) or uniform (7 x 7). One counts
    where all its pixels are valid and finite in both images; those that reach beyond the image or
    the extent do not. Variances are of the window's weights, which sum to 1: there is no factor
    n / (n - 1).

    Values are physical, ``pixel * scale + offset``, unless ``raw``. A pixel that is nodata, NaN or
    masked in either image is invalid. Infinite pixels are valid, counted apart, and equal where
    both are the same infinity; they are left out of all else. What has no value is no data: all but
    the counts where no pixel is left; r_squared, correlation, psnr and ssim where the reference has
    one single value (psnr and ssim not if a peak is given); correlation also where the image has.

    The optional image holds d: float32 where both images have at most 16 bits or are float32, else
    float64. Takes integers and floats ``(bands, rows, cols)``, also different types; all is
    computed in float64, of integers the sums behind bias and mae and the largest difference
    exactly, 64-bit ones too (not of a signed with an unsigned 64-bit image).

    Source: Z. Wang, A. C. Bovik, H. R. Sheikh and E. P. Simoncelli, "Image quality assessment: from
    error visibility to structural similarity", IEEE Trans. Image Processing 13(4), 2004.
    """

    name: ClassVar[str] = "imagecomparison"
    label: ClassVar[str] = "Image comparison"
    group: ClassVar[str] = "Statistics"
    tags: ClassVar[tuple[str, ...]] = (
        "compare", "difference", "bias", "error", "mae", "rmse", "psnr", "ssim", "similarity",
        "correlation", "r squared", "comparison", "quality", "CompareImages", "validation",
        "accuracy", "nash-sutcliffe",
    )  # fmt: skip
    inputs: ClassVar[Any] = (
        image(help="The image that is judged"),
        image("REFERENCE", help="What it should be; as many bands on the same grid"),
    )
    outputs: ClassVar[tuple[Output, ...]] = (Output("OUTPUT", "Difference", optional=True),)
    reports: ClassVar[bool] = True
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("BIAS", "Bias of the first band"),
        ("MAE", "Mean absolute error of the first band"),
        ("RMSE", "Root mean square error of the first band"),
        ("PSNR", "Peak signal-to-noise ratio of the first band (dB)"),
        ("R_SQUARED", "R squared of the first band"),
        ("SSIM", "Structural similarity of the first band"),
        ("MAXIMUM_DIFFERENCE", "Largest absolute difference of the first band"),
    )
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"output": True, "peak": 255, "ssim_window": "uniform", "raw": True},
        {"output": True, "ssim": False},
    )
    picture: ClassVar[Mapping[str, Any]] = {"output": True}

    peak: Optional[float] = parameter(
        None,
        minimum=0,
        maximum=1e30,
        help="Range of the values, for PSNR and SSIM; the reference's own if not set",
    )
    ssim: bool = parameter(
        True, label="Structural similarity", help="Also compute it, which takes most of the time"
    )
    ssim_window: str = parameter(
        GAUSSIAN,
        choices=WINDOWS,
        label="Window of the structural similarity",
        help="Gaussian: 11 x 11 pixels, sigma 1.5. Uniform: 7 x 7 pixels, faster",
        counts_when={"ssim": (True,)},
        advanced=True,
    )
    raw: bool = parameter(**RAW)
    output: bool = parameter(False, help="Also make the image of the differences")

    @property
    def differing(self) -> tuple[str, ...]:
        """An image equals itself."""
        return ("INPUT", "REFERENCE")

    def validate(self) -> None:
        """Refuse a peak that is no range."""
        if self.peak is not None and not (0 < self.peak < math.inf):
            raise InputError(
                f"{self.label}: 'Peak' is {self.peak:.12g}; it must be greater than 0 and finite."
            )

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse images of different numbers of bands."""
        super().check(inputs)
        one, two = inputs["INPUT"][0].count, inputs["REFERENCE"][0].count
        if one != two:
            raise InputError(
                f"{self.label}: 'Input image' has {counted(one, 'band')} and 'Reference image' "
                f"{two}. Choose as many bands of each."
            )

    def styles(self) -> Sequence[Optional[Style]]:
        """Colours that diverge from no difference."""
        return (Ramp(DIVERGING, symmetric=True),)

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """The difference, if it is asked for."""
        return Difference(raw=self.raw).output_profiles(inputs) if self.output else []

    def run(self, images: Roles, engine: Engine) -> Result:
        """Differences first; their range and the peak are what the other passes need."""
        profile = engine.profile(images["INPUT"][0])
        bands = engine.reduce(Differences(raw=self.raw), images)
        peaks = [self._peak(band) for band in bands]
        similar = [Similarity(0, 0.0)] * len(bands)
        if self.ssim and any(peaks):
            origins = tuple(_middle(band) for band in bands)
            similar = engine.reduce(
                StructuralSimilarity(tuple(peaks), origins, self.ssim_window, self.raw), images
            )
        layouts = tuple(map(_layout, bands))
        counts = engine.reduce(DifferenceCounts(layouts, self.raw), images)
        made: Sequence[Optional[str]] = [None]
        if self.output:
            made = engine.filter(Difference(raw=self.raw), images)
        rows = tuple(
            (number, about.name, "" if self.raw else about.unit,
             *_values(band, peak, windows, profile))
            for number, about, band, peak, windows in zip(
                profile.band_numbers, profile.bands, bands, peaks, similar
            )
        )  # fmt: skip
        first: dict[str, Any] = dict(zip(COLUMNS, rows[0]))
        summary = Summary(
            self.label,
            (Table("Comparison", COLUMNS, rows),),
            {name: first[name.lower()] for name, _ in self.numbers},
            (_chart(profile, layouts, counts),),
            tuple(self._notes(bands, peaks, [engine.profile(keys[0]) for keys in images.values()])),
        )
        return Result(tuple(made), summary)

    def _peak(self, band: Compared) -> Optional[float]:
        """The range of a band; None where it has none."""
        if self.peak is not None or not band.finite:
            return self.peak if band.finite else None
        lowest, highest = band.ranges[1]
        peak = float(highest - lowest)
        return peak if 0 < peak < math.inf else None

    def _notes(
        self,
        bands: Sequence[Compared],
        peaks: Sequence[Optional[float]],
        profiles: Sequence[Profile],
    ) -> list[str]:
        notes = [
            "Differences are image minus reference, of the pixels that are valid in both.",
            "The peak is the range of the reference's values." if self.peak is None
            else f"The peak is {self.peak:.12g}, as given.",
        ]  # fmt: skip
        if self.ssim:
            sides = "11 x 11 pixels, sigma 1.5" if self.ssim_window == GAUSSIAN else "7 x 7 pixels"
            notes.append(f"Windows of the structural similarity: {self.ssim_window}, {sides}.")
        if any(band.infinite for band in bands):
            notes.append(
                "Infinite pixels count as valid, and as equal to the same infinity, but are left "
                "out of all other columns."
            )
        if any(peak is None and band.finite for peak, band in zip(peaks, bands)):
            notes.append(
                "A reference with one single value, or one too wide, has no range: give a peak for "
                "PSNR and SSIM."
            )
        if not all(band.finite for band in bands):
            notes.append("A band without a pixel that is valid and finite in both has counts only.")
        for what, profile in zip(("Image", "Reference"), profiles):
            notes += [f"{what}: {note}" for note in scale_notes(profile, self.raw)]
        return notes


def _values(
    band: Compared, peak: Optional[float], similar: Similarity, profile: Profile
) -> tuple[Any, ...]:
    """A row of the table, from the column ``valid`` on."""
    pixels = band.finite
    share = band.equal / band.valid if band.valid else None
    counts = (band.valid, band.invalid, band.infinite, band.equal, share)
    if not pixels:
        return (*counts, *[None] * (len(COLUMNS) - 3 - len(counts)))
    rmse = math.sqrt(band.squares / pixels)
    row, col = band.place
    # without a geotransform QGIS draws an image below the origin
    x, y = (profile.transform or Affine(e=-1.0)) * (col + 0.5, row + 0.5)
    found = (
        band.total / pixels, band.absolute / pixels, rmse, _psnr(peak, rmse),
        *_agreement(band), similar.mean, similar.windows, peak,
    )  # fmt: skip
    known = (None if value is None or math.isnan(value) else value for value in found)
    return (*counts, *known, band.largest, row, col, x, y)


def _psnr(peak: Optional[float], rmse: float) -> Optional[float]:
    if peak is None or not math.isfinite(rmse):
        return None
    # the logarithms apart: a quotient may overflow
    return 20 * (math.log10(peak) - math.log10(rmse)) if rmse else math.inf


def _agreement(band: Compared) -> tuple[Optional[float], Optional[float]]:
    """R squared and Pearson's correlation; None of a constant."""
    constant = [lowest == highest for lowest, highest in band.ranges]
    image_spread, reference_spread = band.spreads
    r_squared = correlation = None
    if not constant[1] and reference_spread:
        r_squared = 1 - band.squares / reference_spread
        both = math.sqrt(image_spread) * math.sqrt(reference_spread)
        if not constant[0] and both:
            correlation = band.common / both
            # rounding must not carry it beyond; NaN, of values whose squares overflow, stays
            correlation = min(max(correlation, -1.0), 1.0) if correlation == correlation else None
    return r_squared, correlation


def _middle(band: Compared) -> float:
    lowest, highest = band.ranges[1]
    return (lowest + highest) / 2 if band.finite else 0.0


def _layout(band: Compared) -> Optional[tuple[float, float, int]]:
    """Bins of the differences about 0, four root mean squares wide at most; None: no bins."""
    if not band.finite:
        return None
    reach = min(float(band.largest), 4 * math.sqrt(band.squares / band.finite))
    if not reach:
        return (-0.5, 0.5, 1)
    return (-reach, reach, BINS) if 0 < reach < 1e300 else None


def _chart(profile: Profile, layouts: Sequence[Any], counts: Sequence[np.ndarray]) -> Chart:
    series = []
    for name, layout, found in zip(band_titles(profile), layouts, counts):
        if layout is not None:
            edges = edges_of(layout)
            middles = (edges[:-1] + edges[1:]) / 2
            series.append((name, tuple(middles.tolist()), tuple(map(float, found.tolist()))))
    return Chart(
        "Differences, up to 4 RMSE", "Image - reference", "Pixels", tuple(series),
        "bars" if profile.count == 1 else "lines",
    )  # fmt: skip
