"""The scatter plot of two bands: bounds found where none are given, then one counting pass."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import (
    Engine,
    HeatMap,
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
from eoscale_engine.errors import InputError
from eoscale_engine.filters.physical_values import is_scaled
from eoscale_engine.parameters import RAW
from eoscale_engine.procedures.chart_labels import band_titles
from eoscale_engine.procedures.histogram_bins import LARGEST_INTEGER, integer_layout
from eoscale_engine.procedures.selection import (
    ALL_TOUCHED,
    MASK,
    POLYGONS,
    selection,
    selection_notes,
)
from eoscale_engine.profile import Band, Profile
from eoscale_engine.reductions.joint_histogram import (
    Axis,
    JointCounts,
    JointHistogram,
    JointRange,
    bands_of,
    line_of,
)
from eoscale_engine.reductions.statistics import scale_notes

Bounds = tuple[Optional[float], Optional[float]]


@dataclass(frozen=True)
class ScatterPlot(Procedure):
    """Count the pixels by the values of two bands at once, and fit a straight line to them.

    The plot is a histogram in two dimensions: x are the values of a band of the input image, y
    those of the second band, which is another one of the same image or one of a second image on the
    same grid. A bin holds its start and not its end, save for the last one, as in
    ``numpy.histogram2d``. Colours go by the logarithm of the number of pixels. The table has one
    row for each bin that holds pixels, with the middles of its sides.

    Bounds that are not given are the smallest and largest value of the pixels that are valid and
    finite in both bands. Between these, integers (without a scale) have bins that hold the same
    number of integers each, the fewest that need no more bins than asked for; a band of one single
    value v has bins from v - 0.5 to v + 0.5.

    The line y = slope x + intercept is that of least squares in y: ``slope = covariance(x, y) /
    variance(x)``, ``intercept = mean(y) - slope mean(x)``; ``correlation`` is Pearson's and
    ``r_squared`` its square, the share of the variance of y that the line explains. All of these
    are of the pixels that are valid and finite in both bands, within the bounds or not, and of the
    population. A band of one single value has no line and no correlation.

    Values are physical, ``pixel * scale + offset``, unless ``raw`` asks for the pixels as stored,
    in float64. A pixel that is invalid in one band is invalid. Infinite pixels are valid and lie
    outside all bounds. Takes integers and floats ``(bands, rows, cols)``. With an extent, a mask or
    polygons, the pixels of all of these alone count.
    """

    name: ClassVar[str] = "scatterplot"
    label: ClassVar[str] = "Scatter plot"
    group: ClassVar[str] = "Statistics"
    tags: ClassVar[tuple[str, ...]] = (
        "scatter plot", "scatterplot", "scattergram", "2d histogram", "joint histogram",
        "regression", "r.regression.line", "least squares", "correlation", "feature space",
        "density", "statistics",
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = (
        image("INPUT", band_choice=False),
        image(
            "SECOND",
            label="Second image",
            help="The image of the second band; the input image if not set.",
            optional=True,
            band_choice=False,
        ),
        MASK,
        POLYGONS,
    )
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("VALID", "Pixels that are valid in both bands"),
        ("INVALID", "All other pixels"),
        ("OUTSIDE", "Valid pixels outside the bounds"),
        ("CORRELATION", "Correlation of both bands"),
        ("SLOPE", "Slope of the line"),
        ("INTERCEPT", "Intercept of the line"),
        ("R_SQUARED", "Share of the variance that the line explains"),
    )
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"bins": 9},
        {"bins": 4, "second_band": 2, "lower": -5, "upper": 60, "second_lower": 1, "raw": True},
    )

    band: int = parameter(1, kind="band", label="Band", help="The band of the input image, on x.")
    second_band: Optional[int] = parameter(
        None,
        minimum=1,
        label="Second band",
        help="The number of the band on y. If not set: the same number of the second image, or "
        "without one the next band of the input image.",
    )
    bins: int = parameter(
        256, minimum=1, maximum=512, label="Number of bins", help="The most, on each axis."
    )
    lower: Optional[float] = parameter(
        None, label="Lower bound", help="Start of the first bin on x; the smallest value if not set"
    )
    upper: Optional[float] = parameter(
        None, label="Upper bound", help="End of the last bin on x; the largest value if not set"
    )
    second_lower: Optional[float] = parameter(
        None,
        label="Lower bound of the second band",
        help="Start of the first bin on y; the smallest value if not set",
    )
    second_upper: Optional[float] = parameter(
        None,
        label="Upper bound of the second band",
        help="End of the last bin on y; the largest value if not set",
    )
    all_touched: bool = parameter(**ALL_TOUCHED)
    raw: bool = parameter(**RAW)

    @property
    def _bounds(self) -> tuple[Bounds, Bounds]:
        return (self.lower, self.upper), (self.second_lower, self.second_upper)

    def validate(self) -> None:
        """Refuse bounds that enclose nothing."""
        for which, (lower, upper) in zip(("", " of the second band"), self._bounds):
            for bound in (lower, upper):
                if bound is not None and not math.isfinite(bound):
                    raise InputError(
                        f"{self.label}: a bound{which} cannot be {bound}. Give a finite number, or "
                        "leave it empty."
                    )
            if lower is None or upper is None:
                continue
            if not (lower < upper and math.isfinite(upper - lower)):
                raise InputError(
                    f"{self.label}: the lower bound{which}, {lower:.12g}, must be less than the "
                    f"upper bound, {upper:.12g}, by a finite number. Change one, or leave it empty."
                )

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse a second band that is not there."""
        super().check(inputs)
        profile = (inputs.get("SECOND") or inputs["INPUT"])[0]
        which = self.label_of("SECOND" if inputs.get("SECOND") else "INPUT")
        if self.second_band is None and not inputs.get("SECOND") and profile.count == 1:
            raise InputError(
                f"{self.label}: '{which}' has one band only. Give a second image, or an image of "
                "more bands."
            )
        number = self._second_band(profile, alone=not inputs.get("SECOND"))
        if number > profile.count:
            raise InputError(
                f"{self.label}: the second band is band {number}, but '{which}' has {profile.count}"
                ". Choose another 'Second band'."
            )

    def _second_band(self, profile: Profile, *, alone: bool) -> int:
        """The number of the band on y, of the only image or of the second one."""
        if self.second_band is not None:
            return self.second_band
        return self.band % profile.count + 1 if alone else self.band

    def reads_once(self, inputs: Sequence[Profile]) -> bool:
        """Bounds that are given need not be looked for."""
        return None not in (*self._bounds[0], *self._bounds[1])

    def run(self, images: Roles, engine: Engine) -> Result:
        """Find the bounds that are not given, then count."""
        pair = {role: images[role] for role in ("INPUT", "SECOND") if images.get(role)}
        profiles = [engine.profile(keys[0]) for keys in pair.values()]
        second = self._second_band(profiles[-1], alone=len(profiles) == 1)
        within = selection(images, engine, self.all_touched)
        x, y = axes = self._axes(pair, engine, profiles, second, within)
        counted = engine.reduce(
            JointHistogram(x, y, self.band, second, self.raw), pair, within=within
        )
        notes = ["Line and correlation are of all pixels that are valid and finite in both bands."]
        notes += selection_notes(within)
        for profile, number in ((profiles[0], self.band), (profiles[-1], second)):
            notes += scale_notes(profile.selected((number,)), self.raw)
        return Result(summary=self._summary(counted, axes, self._names(profiles, second), notes))

    def _axes(
        self,
        pair: Roles,
        engine: Engine,
        profiles: Sequence[Profile],
        second: int,
        within: Optional[Within],
    ) -> list[Axis]:
        ranges: Any = None
        if None in (*self._bounds[0], *self._bounds[1]):
            ranges = engine.reduce(JointRange(self.band, second, self.raw), pair, within=within)
        bands = bands_of(profiles, self.band, second)
        return [
            self._axis(given, found, self._in_integers(profile, band))
            for given, found, profile, band in zip(
                self._bounds, ranges or (None, None), (profiles[0], profiles[-1]), bands
            )
        ]

    def _in_integers(self, profile: Profile, band: Band) -> bool:
        scaled = not self.raw and is_scaled(band)
        return np.dtype(profile.dtype).kind in "iu" and not scaled

    def _axis(self, given: Bounds, found: Optional[tuple[float, float]], integers: bool) -> Axis:
        """The bins of one band, for its values' range (None: no value, or both bounds given)."""
        if found is None:
            # whichever bound is given, the other one only has to make sense with it
            bound = next((bound for bound in given if bound is not None), 0.0)
            far = max(1.0, abs(bound) * 1e-3)
            lower, upper = given
            lower = bound if lower is not None or upper is None else bound - far
            return Axis(lower, lower + far if upper is None else upper, self.bins)
        lower = found[0] if given[0] is None else given[0]
        upper = found[1] if given[1] is None else given[1]
        if lower > upper or not math.isfinite(upper - lower):
            raise InputError(
                f"{self.label}: no bins can be made from {lower:.12g} to {upper:.12g}; the values "
                f"go from {found[0]:.7g} to {found[1]:.7g}. Change the bounds."
            )
        if integers and given == (None, None) and max(-lower, upper) <= LARGEST_INTEGER:
            each = math.ceil((upper - lower + 1) / self.bins)
            return Axis(*integer_layout(lower, upper, each))
        if lower == upper:
            half = max(0.5, abs(lower) * 1e-12)
            lower, upper = lower - half, upper + half
        return Axis(lower, upper, self.bins)

    def _names(self, profiles: Sequence[Profile], second: int) -> tuple[str, str]:
        """What stands at the axes."""
        titles = []
        for profile, number in ((profiles[0], self.band), (profiles[-1], second)):
            band = profile.bands[number - 1]
            title = band_titles(profile)[number - 1]
            titles.append(f"{title} ({band.unit})" if band.unit and not self.raw else title)
        if len(profiles) > 1:
            titles[1] += ", second image"
        return titles[0], titles[1]

    def _summary(
        self,
        counted: JointCounts,
        axes: Sequence[Axis],
        names: tuple[str, str],
        notes: list[str],
    ) -> Summary:
        x, y = (axis.middles for axis in axes)
        cells = tuple(
            (x[column], y[row], int(counted.counts[column, row]))
            for column, row in np.argwhere(counted.counts).tolist()
        )
        pixels = (counted.valid, counted.invalid, counted.valid - int(counted.counts.sum()))
        line = line_of(counted)
        if counted.valid and line.slope is None:
            notes.append("There is no line: too few pixels, or a band of one single value.")
        if not counted.valid:
            notes.append("No pixel is valid: bounds that were not given are arbitrary.")
        heights = tuple(tuple(count or None for count in row) for row in counted.counts.T.tolist())
        return Summary(
            self.label,
            (
                Table("Bins", ("x", "y", "count"), cells),
                Table("Pixels", ("valid", "invalid", "outside"), (pixels,)),
                Table("Line", line._fields, (tuple(line),)),
                _axes_table(counted, axes, names),
            ),
            {
                **dict(zip(("VALID", "INVALID", "OUTSIDE"), pixels)),
                **{name.upper(): value for name, value in line._asdict().items()},
            },
            (HeatMap(self.label, *names, x, y, heights, logarithmic=True),),
            tuple(notes),
        )


def _axes_table(counted: JointCounts, axes: Sequence[Axis], names: Sequence[str]) -> Table:
    """The bands' moments and bins."""
    with np.errstate(invalid="ignore"):
        deviations = np.sqrt(np.diag(counted.found.matrix))
    moments = [
        [value if math.isfinite(value) else None for value in pair]
        for pair in zip(counted.found.means.tolist(), deviations.tolist())
    ]
    return Table(
        "Axes",
        ("axis", "band", "mean", "std_dev", "start", "end", "bins"),
        tuple(
            (letter, name, *pair, *axis)
            for letter, name, pair, axis in zip("xy", names, moments, axes)
        ),
    )
