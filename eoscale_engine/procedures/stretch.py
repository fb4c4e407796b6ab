"""Stretch the values of an image to 8 bits."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

from eoscale_engine.declaration import (
    Engine,
    Output,
    Procedure,
    Result,
    Roles,
    Summary,
    Table,
    parameter,
)
from eoscale_engine.errors import InputError
from eoscale_engine.filters.pixel.stretch import LinearStretch
from eoscale_engine.procedures.statistics import RasterStatistics
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.histogram import ValueRange
from eoscale_engine.reductions.percentiles import exact_percentiles
from eoscale_engine.styles import Composite, Style

Bounds = tuple[float, float]

_NOTHING = (math.inf, -math.inf)
"""The bounds of a band without a usable pixel."""


@dataclass(frozen=True)
class Stretch(Procedure):
    """Stretch the values of each band between two bounds to bytes, for pictures and printing.

    With the bounds a and b, and the lowest and highest result l and h:

    out = l + t^(1 / gamma) (h - l), t = (x - a) / (b - a) cut to 0..1

    rounded to the nearest integer, halves to the even one. Bounds are found by

    - percentiles: exact ones of all valid pixels, 2 and 98 if not set otherwise, which leaves out
      a few outliers on either side
    - standard deviations: mean - k s and mean + k s, s being of the population
    - minimum and maximum: of the finite valid pixels
    - values: as given

    of each band, or for all bands alike the lowest low and the highest high bound, which keeps
    colours as they are. Where both bounds are equal, pixels above them get the highest result and
    all others the lowest.

    The result is always uint8 with nodata 0, for invalid pixels alone: valid ones become 1 to 255.
    The summary lists the bounds, to be given as values for other images.

    Values and bounds are physical, ``pixel * scale + offset``, in float64. Infinite pixels are
    valid and become the lowest or highest result. With an extent, the bounds are of its pixels.
    Takes integers and floats ``(bands, rows, cols)``.
    """

    name: ClassVar[str] = "stretch"
    label: ClassVar[str] = "Stretch to 8 bits"
    group: ClassVar[str] = "Pixel"
    tags: ClassVar[tuple[str, ...]] = (
        "stretch", "contrast", "rescale", "8 bit", "byte", "convert", "dynamic", "enhancement",
        "percentile", "standard deviation", "minimum maximum", "gamma", "dynamicconvert",
        "r.rescale", "linear", "normalize", "quicklook",
    )  # fmt: skip
    outputs: ClassVar[tuple[Output, ...]] = (Output("OUTPUT", "Stretched image"),)
    reports: ClassVar[bool] = True
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("LOWER", "Lower bound of the first band"),
        ("UPPER", "Upper bound of the first band"),
    )
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"method": "standard deviations", "deviations": 1.5, "common": True},
        {"method": "minimum and maximum", "gamma": 1.8, "lowest": 10, "highest": 245},
        {"method": "values", "lower": -10.0, "upper": 80.0},
    )

    method: str = parameter(
        "percentiles",
        choices=("percentiles", "standard deviations", "minimum and maximum", "values"),
        label="Bounds by",
        help="How the values that become the lowest and the highest byte are found.",
    )
    lower_percentile: float = parameter(
        2.0,
        minimum=0,
        maximum=100,
        unit="%",
        help="Share of pixels below the lower bound.",
        counts_when={"method": ("percentiles",)},
    )
    upper_percentile: float = parameter(
        98.0,
        minimum=0,
        maximum=100,
        unit="%",
        help="Share of pixels below the upper bound.",
        counts_when={"method": ("percentiles",)},
    )
    deviations: float = parameter(
        2.0,
        minimum=0.01,
        maximum=100,
        help="How many, on either side of the mean.",
        counts_when={"method": ("standard deviations",)},
    )
    lower: Optional[float] = parameter(
        None,
        label="Lower bound",
        help="The value that becomes the lowest byte.",
        counts_when={"method": ("values",)},
    )
    upper: Optional[float] = parameter(
        None,
        label="Upper bound",
        help="The value that becomes the highest byte.",
        counts_when={"method": ("values",)},
    )
    common: bool = parameter(
        False, label="Same bounds for all bands", help="Keeps the proportions of the bands."
    )
    gamma: float = parameter(
        1.0, minimum=0.01, maximum=100, help="Above 1 it brightens the middle, below it darkens."
    )
    lowest: int = parameter(
        1, minimum=1, maximum=254, label="Lowest result", advanced=True,
        help="At the low bound and below. 0 is kept for nodata.",
    )  # fmt: skip
    highest: int = parameter(
        255, minimum=2, maximum=255, label="Highest result", advanced=True,
        help="From the high bound on.",
    )  # fmt: skip

    def validate(self) -> None:
        """Refuse bounds in the wrong order."""
        pairs: list[tuple[str, str, Any, Any]] = [
            ("Lowest result", "Highest result", self.lowest, self.highest)
        ]
        if self.method == "percentiles":
            percentiles = self.lower_percentile, self.upper_percentile
            pairs.append(("Lower percentile", "Upper percentile", *percentiles))
        if self.method == "values":
            if self.lower is None or self.upper is None:
                raise InputError(
                    f"{self.label}: bounds by values need both 'Lower bound' and 'Upper bound'."
                )
            if not math.isfinite(self.lower) or not math.isfinite(self.upper):
                raise InputError(f"{self.label}: both bounds must be finite numbers.")
            pairs.append(("Lower bound", "Upper bound", self.lower, self.upper))
        for one, two, low, high in pairs:
            if low >= high:
                raise InputError(
                    f"{self.label}: '{one}' is {low:.12g} and '{two}' {high:.12g}. Make the first "
                    "less than the second."
                )

    def styles(self) -> Sequence[Optional[Style]]:
        """The bytes as they are."""
        return (Composite(minimum=0, maximum=255),)

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Bytes."""
        return [inputs[0].with_dtype("uint8")]

    def run(self, images: Roles, engine: Engine) -> Result:
        """Find the bounds, then stretch."""
        profile = engine.profile(images["INPUT"][0])
        bounds = self._bounds(images, engine)
        if self.common:
            lows, highs = zip(*bounds)
            bounds = [(min(lows), max(highs))] * len(bounds)
        # a band without a usable pixel has nothing to stretch
        bounds = [pair if pair[0] <= pair[1] else (0.0, 1.0) for pair in bounds]
        made = engine.filter(
            LinearStretch(tuple(bounds), self.lowest, self.highest, self.gamma), images
        )
        rows = tuple(
            (number, band.name, band.unit, *pair)
            for number, band, pair in zip(profile.band_numbers, profile.bands, bounds)
        )
        summary = Summary(
            self.label,
            (Table("Bounds", ("band", "name", "unit", "lower", "upper"), rows),),
            {"LOWER": bounds[0][0], "UPPER": bounds[0][1]},
            notes=(f"low becomes {self.lowest}, high {self.highest}; nodata is 0.",),
        )
        return Result(tuple(made), summary)

    def _bounds(self, images: Roles, engine: Engine) -> list[Bounds]:
        """Of each band."""
        if self.method == "percentiles":
            asked = (self.lower_percentile, self.upper_percentile)
            found = exact_percentiles(engine, images, asked).tolist()
            return [self._usable(low, high) for low, high in found]
        if self.method == "minimum and maximum":
            ranges = engine.reduce(ValueRange(), images)
            return [_NOTHING if pair is None else self._usable(*pair) for pair in ranges]
        if self.method == "standard deviations":
            table = RasterStatistics(percentiles=()).found_in(images, engine).tables[0]
            places = [table.columns.index(name) for name in ("mean", "std_dev")]
            moments = [[row[place] for place in places] for row in table.rows]
            return [
                _NOTHING if mean is None else self._usable(mean - self.deviations * spread,
                                                           mean + self.deviations * spread)
                for mean, spread in moments
            ]  # fmt: skip
        count = engine.profile(images["INPUT"][0]).count
        return [self._usable(self.lower, self.upper)] * count

    def _usable(self, low: Any, high: Any) -> Bounds:
        """As floats, if there are any: NaN is of a band without a valid pixel."""
        if math.isinf(low) or math.isinf(high):
            raise InputError(
                f"{self.label}: the bounds would be {low:g} and {high:g}: too many pixels are "
                "infinite. Find them by minimum and maximum, or give values."
            )
        return _NOTHING if math.isnan(low) else (float(low), float(high))
