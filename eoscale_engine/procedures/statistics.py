"""Statistics of each band: one pass over small integers, two or more over other pixels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import (
    Chart,
    Engine,
    Input,
    Procedure,
    Result,
    Roles,
    Summary,
    Table,
    Within,
    image,
    parameter,
)
from eoscale_engine.parameters import RAW
from eoscale_engine.procedures.chart_labels import value_label
from eoscale_engine.procedures.percentiles import check_percentiles, column_of
from eoscale_engine.procedures.selection import (
    ALL_TOUCHED,
    MASK,
    POLYGONS,
    selection,
    selection_notes,
)
from eoscale_engine.profile import Band, Profile
from eoscale_engine.reductions.distinct import distinct_pixels
from eoscale_engine.reductions.key_counts import Counts, KeyCounts
from eoscale_engine.reductions.percentiles import exact_percentiles
from eoscale_engine.reductions.statistics import (
    BandMoments,
    Moments,
    Together,
    moments_of_counts,
    physical,
    scale_notes,
)

COLUMNS: tuple[str, ...] = (
    "band", "name", "unit", "valid", "invalid", "infinite",
    "minimum", "maximum", "mean", "std_dev", "sum", "skewness", "kurtosis",
)  # fmt: skip


@dataclass(frozen=True)
class RasterStatistics(Procedure):
    """Statistics of the valid pixels of each band: mean, deviation, median, percentiles and more.

    With ``n`` valid pixels ``x`` and ``m_k = sum((x - mean)^k) / n``, the moments of the population
    (not of a sample, which would divide by ``n - 1``):

    - ``mean = sum(x) / n`` and ``std_dev = sqrt(m_2)``;
    - ``skewness = m_3 / m_2^1.5``, 0 where values lie alike on either side of the mean;
    - ``kurtosis = m_4 / m_2^2 - 3``, the excess over that of the normal distribution.

    The percentile ``p`` lies at the place ``(n - 1) p / 100`` of the sorted pixels, linear between
    two of them, as in ``numpy.percentile``; the median is that of 50. They are exact: no sample, no
    bins. ``distinct`` counts the different values, exactly too.

    Values are physical, ``pixel * scale + offset`` with the scale and offset of each band, unless
    ``raw`` asks for the pixels as stored; distinct are stored pixels always. Nodata, NaN and masked
    pixels are invalid: counted, and left out of all else. Infinite pixels are valid: counted apart,
    shown by minimum, maximum, percentiles and distinct, left out of all else. A band without valid
    pixels has counts only; one with a single value has neither skewness nor kurtosis.

    With a mask or polygons, all other pixels are left out, of the invalid ones too. A pixel in
    several polygons counts once.

    Takes images ``(bands, rows, cols)`` of any integer or float dtype; complex ones are
    refused. Minimum, maximum and sum of integers are exact, 64-bit ones too; all
    else is computed in float64. 8 and 16-bit pixels take one pass over the image. Others take one
    more for percentiles of 32 bits and three more of 64 bits, and for distinct values one for each
    16 MB of pixels, or fewer where many are equal.

    Source: T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for
    Computing Sample Variances", Stanford University, STAN-CS-79-773, 1979. P. Pebay, "Formulas for
    Robust, One-Pass Parallel Computation of Covariances and Arbitrary-Order Statistical Moments",
    Sandia National Laboratories, SAND2008-6212, 2008.
    """

    name: ClassVar[str] = "rasterstatistics"
    label: ClassVar[str] = "Raster statistics"
    group: ClassVar[str] = "Statistics"
    tags: ClassVar[tuple[str, ...]] = (
        "statistics", "minimum", "maximum", "mean", "average", "standard deviation", "sum", "count",
        "valid", "nodata", "median", "percentile", "quantile", "skewness", "kurtosis", "distinct",
        "variety", "r.univar", "r.stats", "gdalinfo", "compute statistics",
        "raster layer statistics", "mask", "polygons",
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = (image(), MASK, POLYGONS)
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"percentiles": (2, 98), "distinct": True, "raw": True},
    )
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("VALID", "Valid pixels of the first band"),
        ("INVALID", "Invalid pixels of the first band"),
        ("MINIMUM", "Minimum of the first band"),
        ("MAXIMUM", "Maximum of the first band"),
        ("MEAN", "Mean of the first band"),
        ("STD_DEV", "Standard deviation of the first band"),
        ("SUM", "Sum of the first band"),
        ("MEDIAN", "Median of the first band, if asked for"),
        ("SKEWNESS", "Skewness of the first band"),
        ("KURTOSIS", "Excess kurtosis of the first band"),
        ("DISTINCT", "Distinct values of the first band, if asked for"),
    )

    percentiles: Optional[tuple[float, ...]] = parameter(
        (50.0,),
        kind="numbers",
        help="Shares of the valid pixels in percent, 0 to 100, separated by commas; 50 is the "
        "median. Leave empty for none.",
    )
    distinct: bool = parameter(
        False, label="Distinct values", help="Count the different values; takes longer of large "
        "images of 32 and 64 bits",
    )  # fmt: skip
    all_touched: bool = parameter(**ALL_TOUCHED)
    raw: bool = parameter(**RAW)

    def validate(self) -> None:
        """Refuse what is no percentage."""
        check_percentiles(self.label, self.percentiles or ())

    @property
    def _asked(self) -> list[float]:
        return sorted(set(self.percentiles or ()))

    def reads_once(self, inputs: Sequence[Profile]) -> bool:
        """Counts of small integers hold all; of other pixels one pass finds the moments."""
        small = np.dtype(inputs[0].dtype).itemsize <= 2
        return small or not (self.percentiles or self.distinct)

    def run(self, images: Roles, engine: Engine) -> Result:
        """What is found, alone."""
        return Result(summary=self.found_in(images, engine))

    def found_in(self, images: Roles, engine: Engine) -> Summary:
        """Count or add up, refine the percentiles, and list by band."""
        profile = engine.profile(images["INPUT"][0])
        within = selection(images, engine, self.all_touched)
        images = {"INPUT": images["INPUT"]}
        moments, counts = self._first_pass(images, engine, profile, within)
        asked = self._asked
        columns = COLUMNS
        rows = [self._row(*one) for one in zip(profile.bands, moments)]
        if asked:
            found = exact_percentiles(
                engine, images, asked, raw=self.raw, within=within, counts=counts
            )
            columns += tuple(map(column_of, asked))
            rows = [(*row, *map(_number, more)) for row, more in zip(rows, found.tolist())]
        if self.distinct:
            several = [band.digits.size for band in counts]
            if np.dtype(profile.dtype).itemsize > 2:
                valid = sum(int(band.valid) for band in moments)
                several = distinct_pixels(engine, images, valid, within=within)
            columns, rows = (*columns, "distinct"), [(*r, n) for r, n in zip(rows, several)]
        table = tuple(
            (number, band.name, "" if self.raw else band.unit, *row)
            for number, band, row in zip(profile.band_numbers, profile.bands, rows)
        )
        named = [dict(zip(columns, row)) for row in table]
        return Summary(
            self.label,
            (Table("Statistics", columns, table),),
            {name: named[0].get(name.lower()) for name, _ in self.numbers},
            (_chart(profile, named, raw=self.raw),),
            (*self._notes(moments), *scale_notes(profile, self.raw), *selection_notes(within)),
        )

    def _first_pass(
        self,
        images: Roles,
        engine: Engine,
        profile: Profile,
        within: Optional[Within],
    ) -> tuple[list[Moments], list[Counts]]:
        """Moments of each band, and counts where they are needed."""
        dtype = np.dtype(profile.dtype)
        if dtype.itemsize <= 2 and (self.percentiles or self.distinct):
            # all is in the counts
            counts = engine.reduce(KeyCounts(), images, within=within)
            lowest = np.iinfo(dtype).min
            return [
                moments_of_counts(band.digits.astype(np.int64) + lowest, band.pixels, band.invalid)
                for band in counts
            ], counts
        if not self._asked:
            return engine.reduce(BandMoments(), images, within=within), []
        return engine.reduce(Together(BandMoments(), KeyCounts()), images, within=within)

    def _row(self, band: Band, found: Moments) -> tuple[Any, ...]:
        """From ``valid`` to ``kurtosis``."""
        counts = (found.valid, found.invalid, found.infinite)
        if not found.valid:
            return (*counts, *[None] * 7)
        limits = [physical(limit, band, self.raw) for limit in (found.minimum, found.maximum)]
        if not found.finite:
            return (*counts, min(limits), max(limits), *[None] * 5)
        mean = physical(found.total / found.finite, band, self.raw)
        total = physical(found.total, band, self.raw, found.finite)
        deviation, skewness, kurtosis = _shape(found, 1.0 if self.raw else band.scale)
        return (
            *counts, min(limits), max(limits), _number(mean), deviation, _number(total),
            skewness, kurtosis,
        )  # fmt: skip

    def _notes(self, moments: Sequence[Moments]) -> list[str]:
        notes = ["std_dev, skewness and kurtosis are of the population, not of a sample."]
        if any(found.infinite for found in moments):
            notes.append(
                "Infinite pixels count as valid and show in minimum, maximum and percentiles, but "
                "are left out of mean, std_dev, sum, skewness and kurtosis."
            )
        if any(not found.valid for found in moments):
            notes.append("A band without a valid pixel has counts only.")
        return notes


def _shape(found: Moments, scale: float) -> tuple[Optional[float], ...]:
    """Standard deviation, skewness and excess kurtosis; without the latter where there is none."""
    if found.minimum == found.maximum:
        return 0.0, None, None
    variance = found.squares / found.finite
    deviation = math.sqrt(variance)
    # one finite value beside infinite ones: what is left is the rounding of its mean
    if found.infinite and deviation <= 1e-14 * abs(found.total / found.finite):
        return 0.0, None, None
    spread = _number(deviation * abs(scale))
    if not (variance * variance and math.isfinite(variance) and scale):
        return spread, None, None
    skewness = found.cubes / found.finite / variance / deviation
    kurtosis = found.fourths / found.finite / variance / variance - 3
    return spread, _number(math.copysign(1, scale) * skewness), _number(kurtosis)


def _number(value: float) -> Optional[float]:
    """NaN as no value."""
    return None if value != value else value


def _chart(profile: Profile, rows: Sequence[Mapping[str, Any]], *, raw: bool) -> Chart:
    """Range, mean and spread over the bands; what is not finite leaves a gap."""
    bands = tuple(map(float, profile.band_numbers))
    series = tuple(
        (name, bands, tuple(_finite(row, column, deviations) for row in rows))
        for name, column, deviations in (
            ("Maximum", "maximum", 0),
            ("Mean + std. deviation", "mean", 1),
            ("Mean", "mean", 0),
            ("Mean - std. deviation", "mean", -1),
            ("Minimum", "minimum", 0),
        )
    )
    kind = "bars" if profile.count == 1 else "lines"
    return Chart("Range and spread", "Band", value_label(profile, raw=raw), series, kind)


def _finite(row: Mapping[str, Any], column: str, deviations: int) -> float:
    """A column, so many standard deviations away; NaN where that is no finite number."""
    value = math.nan if row[column] is None else float(row[column])
    if deviations:
        value += deviations * (math.nan if row["std_dev"] is None else row["std_dev"])
    return value if math.isfinite(value) else math.nan
