"""Thresholds that part the values of an image into classes, by Otsu's criterion."""

from __future__ import annotations

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
    parameter,
)
from eoscale_engine.filters.pixel.thresholds import ThresholdClasses
from eoscale_engine.parameters import RAW
from eoscale_engine.procedures.chart_labels import value_label
from eoscale_engine.procedures.otsu_classes import Parted, best_parts
from eoscale_engine.procedures.otsu_counts import Counting, ValueCounts
from eoscale_engine.procedures.value_bounds import check_bounds
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.histogram import MAXIMUM_BINS
from eoscale_engine.reductions.key_counts import Counts
from eoscale_engine.reductions.statistics import scale_notes
from eoscale_engine.styles import Classes, Style

MOST_CLASSES = 5

CHART_BINS = 256


@dataclass(frozen=True)
class OtsuThreshold(Procedure):
    """Find the thresholds that part the values of each band into classes, by Otsu's criterion.

    Among all ways to cut the histogram into that many classes it takes the one with the largest
    variance between the classes, sum_k w_k (m_k - m)^2, w_k being the share of class k, m_k its
    mean and m that of all; of equally good ones that with the lowest thresholds. For two classes
    this is Otsu's threshold, for more multi-Otsu. The search is exact, by dynamic programming.
    eta, the variance between the classes as a share of the whole variance, says how well they are
    separated: 0 not at all, 1 where each class is one value.

    A threshold is the largest value of the class below it: x <= threshold is in the lower class.
    The optional image has classes from 1, the lowest, on, band by band, as uint8 with nodata 0.

    Integers of up to 16 bits have a bin for each value: thresholds, counts, means and eta are those
    of all pixels. The values of other types are counted in bins of equal width between the smallest
    and the largest one (integers: bins of equally many integers, at most as many bins as asked
    for), and means and eta take each pixel for the middle of its bin. Give bounds where few far
    values would make the bins wide.

    With bounds, values below the lower or above the upper one take no part in the search; in the
    image they are in the lowest and the highest class. So are infinite pixels, which take no part
    either. Nodata, NaN and masked pixels are invalid. A band with fewer different values (or bins)
    than classes has no thresholds, and nodata alone in the image.

    Values are physical, ``pixel * scale + offset``, unless ``raw``; in float64. Takes integers and
    floats ``(bands, rows, cols)``. With an extent, its pixels alone count.

    Sources: N. Otsu, "A threshold selection method from gray-level histograms", IEEE Trans.
    Systems, Man, and Cybernetics 9(1), 1979. P.-S. Liao, T.-S. Chen and P.-C. Chung, "A fast
    algorithm for multilevel thresholding", J. Information Science and Engineering 17(5), 2001.
    """

    name: ClassVar[str] = "otsu"
    label: ClassVar[str] = "Otsu threshold"
    group: ClassVar[str] = "Statistics"
    tags: ClassVar[tuple[str, ...]] = (
        "otsu", "multi-otsu", "threshold", "thresholding", "binarize", "segmentation", "histogram",
        "automatic threshold", "multilevel", "water mask", "classes", "i.segment", "bimodal",
    )  # fmt: skip
    outputs: ClassVar[tuple[Output, ...]] = (Output("OUTPUT", "Classes", optional=True),)
    reports: ClassVar[bool] = True
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("THRESHOLD", "First threshold of the first band"),
        *((f"THRESHOLD_{place}", f"Threshold {place} of the first band")
          for place in range(2, MOST_CLASSES)),
        ("ETA", "Separability of the first band's classes, 0 to 1"),
    )  # fmt: skip
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"classes": 3, "output": True, "lower": -20, "upper": 90},
        {"classes": 4, "output": True, "per_band": False, "bins": 20, "raw": True},
    )
    picture: ClassVar[Mapping[str, Any]] = {"classes": 3, "output": True}

    classes: int = parameter(
        2, minimum=2, maximum=MOST_CLASSES, label="Number of classes", help="One threshold less"
    )
    bins: int = parameter(
        256,
        minimum=2,
        maximum=MAXIMUM_BINS,
        label="Number of bins",
        help="Of values that are no integers of up to 16 bits, which need none",
    )
    lower: Optional[float] = parameter(
        None, label="Lower bound", help="Values below it take no part; no bound if not set"
    )
    upper: Optional[float] = parameter(
        None, label="Upper bound", help="Values above it take no part; no bound if not set"
    )
    per_band: bool = parameter(
        True,
        label="Thresholds for each band",
        help="Otherwise all bands have the same, from all their pixels together",
    )
    raw: bool = parameter(**RAW)
    output: bool = parameter(False, help="Also make the image of the classes")

    def validate(self) -> None:
        """Refuse bounds that enclose nothing."""
        check_bounds(self.label, self.lower, self.upper)

    def styles(self) -> Sequence[Optional[Style]]:
        """A colour for each class."""
        return (Classes(),)

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """The classes, if they are asked for."""
        return [inputs[0].with_dtype("uint8")] if self.output else []

    def run(self, images: Roles, engine: Engine) -> Result:
        """Count, search, then classify."""
        profile = engine.profile(images["INPUT"][0])
        counted, pixels = Counting(
            self.lower, self.upper, self.bins, raw=self.raw, per_band=self.per_band
        ).counts(self.label, images, engine)
        parts = [best_parts(found.values, found.counts, self.classes) for found in counted]
        limits = [_thresholds(found, part) for found, part in zip(counted, parts)]
        made: Sequence[Optional[str]] = [None]
        if self.output:
            every = limits if self.per_band else limits * profile.count
            made = engine.filter(ThresholdClasses(tuple(every), self.raw), images)
        return Result(tuple(made), self._summary(profile, counted, parts, limits, pixels))

    def _summary(
        self,
        profile: Profile,
        counted: Sequence[ValueCounts],
        parts: Sequence[Optional[Parted]],
        limits: Sequence[Sequence[float]],
        pixels: Sequence[Counts],
    ) -> Summary:
        names: list[tuple[Any, str]] = [(None, "all bands")]
        if self.per_band:
            names = [(n, band.name) for n, band in zip(profile.band_numbers, profile.bands)]
        rows, classes = [], []
        for name, found, part, ends in zip(names, counted, parts, limits):
            total = int(found.counts.sum())
            padded = (*ends, *[None] * (self.classes - 1 - len(ends)))
            rows.append((*name, total, *padded, None if part is None else part.eta))
            for place in range(self.classes):
                values: tuple[Any, ...] = (0 if not total else None, None, None)
                if part is not None:
                    count = part.pixels[place]
                    values = (count, count / total, part.means[place])
                end = ends[place] if place < len(ends) else None
                classes.append((*name, place + 1, end, *values))
        columns = ("band", "name", "pixels", *map(_name, range(1, self.classes)), "eta")
        first = dict(zip(columns, rows[0]))
        return Summary(
            self.label,
            (
                Table("Thresholds", columns, tuple(rows)),
                Table(
                    "Classes",
                    ("band", "name", "class", "threshold", "pixels", "share", "mean"),
                    tuple(classes),
                ),
                Table(
                    "Pixels",
                    ("band", "name", "valid", "invalid"),
                    tuple(
                        (number, band.name, one.valid, one.invalid)
                        for number, band, one in zip(profile.band_numbers, profile.bands, pixels)
                    ),
                ),
            ),
            {name: first.get(name.lower()) for name, _ in self.numbers},
            (self._chart(profile, names, counted, limits),),
            tuple(self._notes(profile, parts)),
        )

    def _notes(self, profile: Profile, parts: Sequence[Optional[Parted]]) -> list[str]:
        dtype = np.dtype(profile.dtype)
        notes = ["x <= threshold is in the lower class; eta = variance between classes / variance."]
        if dtype.kind not in "iu" or dtype.itemsize > 2:
            notes.append(
                "Values were counted in bins: means and eta take each pixel for its bin's middle."
            )
        if any(part is None for part in parts):
            notes.append(
                "Where there are fewer different values than classes, there are no thresholds."
            )
        return notes + scale_notes(profile, self.raw)

    def _chart(
        self,
        profile: Profile,
        names: Sequence[tuple[Any, str]],
        counted: Sequence[ValueCounts],
        limits: Sequence[Sequence[float]],
    ) -> Chart:
        series = []
        for (number, name), found, ends in zip(names, counted, limits):
            label = name if number is None else f"Band {number}" + (f": {name}" if name else "")
            if ends:
                label += ", threshold " + ", ".join(f"{end:.6g}" for end in ends)
            series.append((label, *_bars(found)))
        kind = "bars" if len(series) == 1 else "lines"
        label = value_label(profile, raw=self.raw)
        title = f"Histogram: {series[0][0]}" if len(series) == 1 else "Histogram"
        return Chart(title, label, "Pixels", tuple(series), kind)


def _name(place: int) -> str:
    return "threshold" if place == 1 else f"threshold_{place}"


def _thresholds(found: ValueCounts, part: Optional[Parted]) -> tuple[float, ...]:
    if part is None:
        return ()
    return tuple(float(found.ends[place]) for place in part.lasts)


def _bars(found: ValueCounts) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Places and heights of at most some hundred bars."""
    places, heights = found.values, found.counts
    if len(places) > CHART_BINS:
        heights, edges = np.histogram(places, CHART_BINS, weights=heights)
        places = (edges[:-1] + edges[1:]) / 2
    return tuple(map(float, places.tolist())), tuple(map(float, heights.tolist()))
