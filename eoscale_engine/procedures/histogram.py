"""The histogram of an image: bounds found where none are given, then one counting pass."""

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
from eoscale_engine.errors import InputError
from eoscale_engine.filters.physical_values import is_scaled
from eoscale_engine.parameters import RAW
from eoscale_engine.procedures.chart_labels import band_titles, value_label
from eoscale_engine.procedures.histogram_bins import (
    LARGEST_INTEGER,
    affordable,
    integer_layout,
    width_layout,
)
from eoscale_engine.procedures.selection import (
    ALL_TOUCHED,
    MASK,
    POLYGONS,
    selection,
    selection_notes,
)
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.histogram import (
    MAXIMUM_BINS,
    Counted,
    HistogramCounts,
    ValueRange,
)
from eoscale_engine.reductions.statistics import scale_notes

Bounds = tuple[float, float]


@dataclass(frozen=True)
class Histogram(Procedure):
    """Count the valid pixels of each band in bins, of equal width or between given edges.

    A bin holds ``start <= x < end``, and the last one its end too, as in ``numpy.histogram``. All
    bands share the bins. Bounds that are not given are the smallest and largest finite valid value
    of all bands. Bins are made

    by ``number``: that many between the bounds; an image of one single value ``v`` gets the bounds
    ``v - 0.5`` and ``v + 0.5``;

    by ``width``: a lower bound that is not given is a multiple of the width, and the last bin may
    end beyond the upper bound;

    by ``edges``: between each edge and the next one, of any widths;

    for ``integers``: one for each integer ``v``, from ``v - 0.5`` to ``v + 0.5``;

    ``automatic``: by number, save for integers without given bounds: there each bin holds the same
    number of integers, the fewest that need no more bins than asked for, since bins that hold now
    one integer and now two would show gaps that are not in the image.

    The table has one row for each band and bin: ``count``, ``share = count / valid`` and
    ``cumulative``, the share of valid pixels that lie below the bin's end. Shares are fractions of
    all valid pixels, of those outside the bounds too, which a second table counts apart.

    With a mask or polygons, all other pixels are left out, of the invalid ones too.

    Values are physical, ``pixel * scale + offset``, unless ``raw`` asks for the pixels as stored.
    Nodata, NaN and masked pixels are invalid: counted, in no bin. Infinite pixels lie outside all
    bounds. Takes images ``(bands, rows, cols)`` of any integer or float dtype; complex ones are
    refused, as are bounds that enclose nothing and more than 65536 bins.
    Values are compared with the edges in float64. Edges, and the physical values of integers, are
    the numbers nearest the decimals that are meant: with bins of 0.1 the pixel 3000 at scale 0.0001
    begins the bin from 0.3 on.
    """

    name: ClassVar[str] = "histogram"
    label: ClassVar[str] = "Histogram"
    group: ClassVar[str] = "Statistics"
    tags: ClassVar[tuple[str, ...]] = (
        "histogram", "distribution", "frequency", "bins", "count", "cumulative", "statistics",
        "edges", "breaks", "classes", "r.stats", "raster layer histogram", "mask", "polygons",
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = (image(), MASK, POLYGONS)
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"binning": "edges", "edges": (-5, 0, 1, 8.5, 90)},
    )
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("LOWER", "Start of the first bin"),
        ("UPPER", "End of the last bin"),
        ("BINS", "Number of bins"),
        ("VALID", "Valid pixels of the first band"),
        ("INVALID", "Invalid pixels of the first band"),
        ("BELOW", "Valid pixels of the first band below the first bin"),
        ("ABOVE", "Valid pixels of the first band above the last bin"),
    )

    binning: str = parameter(
        "automatic",
        choices=("automatic", "number", "width", "edges", "integers"),
        label="Bins by",
        help="Automatic is by number, with as many integers in each bin where pixels are integers",
    )
    bins: int = parameter(
        256,
        minimum=1,
        maximum=MAXIMUM_BINS,
        label="Number of bins",
        help="The most, where they are automatic",
        counts_when={"binning": ("automatic", "number")},
    )
    width: Optional[float] = parameter(
        None,
        minimum=0,
        label="Width of a bin",
        help="In the image's own unit",
        counts_when={"binning": ("width",)},
    )
    edges: tuple[float, ...] = parameter(
        (),
        kind="numbers",
        label="Edges of the bins",
        help="Two or more, ascending, separated by commas",
        counts_when={"binning": ("edges",)},
    )
    lower: Optional[float] = parameter(
        None,
        label="Lower bound",
        help="Start of the first bin; the smallest value if not set",
        counts_when={"binning": ("automatic", "number", "width", "integers")},
    )
    upper: Optional[float] = parameter(
        None,
        label="Upper bound",
        help="End of the last bin; the largest value if not set",
        counts_when={"binning": ("automatic", "number", "width", "integers")},
    )
    cumulative: bool = parameter(
        False, label="Cumulative plot", help="Plot the cumulative share in place of the counts"
    )
    all_touched: bool = parameter(**ALL_TOUCHED)
    raw: bool = parameter(**RAW)

    def validate(self) -> None:
        """Refuse a missing width, edges out of order and bounds that enclose nothing."""
        if self.binning == "edges":
            self._check_edges()
            return
        if self.binning == "width" and not (self.width and math.isfinite(self.width)):
            raise InputError("Histogram: bins by width need a 'Width of a bin' greater than 0.")
        for bound in (self.lower, self.upper):
            if bound is not None and not math.isfinite(bound):
                raise InputError(
                    f"Histogram: a bound cannot be {bound}. Give a finite number, or leave it "
                    "empty."
                )
        if self.lower is not None and self.upper is not None and self.lower >= self.upper:
            raise InputError(
                f"Histogram: the lower bound {self.lower:.12g} must be less than the upper bound "
                f"{self.upper:.12g}. Change one, or leave it empty."
            )

    def _check_edges(self) -> None:
        steps = np.diff(self.edges)
        if not (steps.size and (steps > 0).all() and np.isfinite(steps).all()):
            raise InputError(
                "Histogram: bins by edges need two or more finite edges, each greater than the "
                "one before, such as 0, 1, 2.5, 10."
            )
        affordable(steps.size)

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse complex images, and bins for each integer where values are not integers."""
        super().check(inputs)
        profile = inputs["INPUT"][0]
        if self.binning == "integers" and not self._in_integers(profile):
            raise InputError(
                "Histogram: one bin for each integer needs integers, but the image has "
                + (
                    "a scale. Choose bins by width, or the pixels as stored."
                    if np.dtype(profile.dtype).kind in "iu"
                    else f"{profile.dtype} pixels. Choose bins by width or number."
                )
            )

    def _in_integers(self, profile: Profile) -> bool:
        scaled = any(map(is_scaled, profile.bands))
        return np.dtype(profile.dtype).kind in "iu" and (self.raw or not scaled)

    def reads_once(self, inputs: Sequence[Profile]) -> bool:
        """Bounds that are given need not be looked for."""
        return self.binning == "edges" or None not in (self.lower, self.upper)

    def run(self, images: Roles, engine: Engine) -> Result:
        """Find the bounds that are not given, then count."""
        profile = engine.profile(images["INPUT"][0])
        within = selection(images, engine, self.all_touched)
        images = {"INPUT": images["INPUT"]}
        if self.binning == "edges":
            edges = self.edges
            layout = edges[0], edges[-1], len(edges) - 1
        else:
            edges, limits = (), self._limits(images, engine, within)
            layout = self._layout(limits, self._in_integers(profile))
        counting = HistogramCounts(*layout, self.raw, edges)
        counted = engine.reduce(counting, images, within=within)
        return Result(summary=self._summary(counted, profile, selection_notes(within)))

    def _limits(self, images: Roles, engine: Engine, within: Optional[Within]) -> Optional[Bounds]:
        """The range of the values, if a bound is not given and there are any."""
        if self.lower is not None and self.upper is not None:
            return None
        found = engine.reduce(ValueRange(raw=self.raw), images, within=within)
        ranges = [pair for pair in found if pair]
        if not ranges:
            return None
        return float(min(low for low, _ in ranges)), float(max(high for _, high in ranges))

    def _layout(self, limits: Optional[Bounds], in_integers: bool) -> tuple[float, float, int]:
        """First edge, last edge and number of bins, for the values' range (None: no value)."""
        step = self.width if self.binning == "width" and self.width else 1.0
        smallest, largest = limits or (0.0, step)
        if limits is None:
            # Whichever bound is given, the other one only has to make sense with it.
            smallest = smallest if self.upper is None else self.upper - step
            largest = largest if self.lower is None else self.lower + step
        lower = smallest if self.lower is None else self.lower
        upper = largest if self.upper is None else self.upper
        if lower > upper:
            raise InputError(
                f"Histogram: no value lies within the bounds; the image has values from "
                f"{smallest:.7g} to {largest:.7g}. Change the bounds, or leave them empty."
            )
        if self.binning == "integers":
            return integer_layout(lower, upper, 1)
        if self.binning == "width" and self.width:
            return width_layout(lower, upper, self.width, aligned=self.lower is None)
        whole = in_integers and max(-lower, upper) <= LARGEST_INTEGER
        if self.binning == "automatic" and whole and self.lower is self.upper is None:
            each = math.ceil((upper - lower + 1) / self.bins)
            return integer_layout(lower, upper, each)
        if lower == upper:
            half = max(0.5, abs(lower) * 1e-12)
            lower, upper = lower - half, upper + half
        return lower, upper, self.bins

    def _summary(self, counted: Counted, profile: Profile, where: Sequence[str]) -> Summary:
        edges = counted.edges.tolist()
        rows: list[tuple[Any, ...]] = []
        asides: list[tuple[Any, ...]] = []
        for index, (number, band) in enumerate(zip(profile.band_numbers, profile.bands)):
            valid, invalid, below, above = counted.asides[index].tolist()
            total = below
            for place, count in enumerate(counted.counts[index].tolist()):
                total += count
                shares = (count / valid, total / valid) if valid else (None, None)
                rows.append(
                    (number, band.name, place + 1, edges[place], edges[place + 1], count, *shares)
                )
            asides.append((number, band.name, valid, invalid, below, above))
        notes = [
            "A bin holds start <= x < end; the last one holds its end too.",
            "share = count / valid; cumulative = share of the valid pixels below the bin's end.",
        ]
        if not counted.asides[:, 0].any():
            notes.append("The image has no valid pixel: bounds that were not given are arbitrary.")
        columns = ("band", "name", "bin", "start", "end", "count", "share", "cumulative")
        numbers = {"LOWER": edges[0], "UPPER": edges[-1], "BINS": len(edges) - 1}
        numbers.update(zip(("VALID", "INVALID", "BELOW", "ABOVE"), asides[0][2:]))
        return Summary(
            self.label,
            (
                Table("Histogram", columns, tuple(rows)),
                Table(
                    "Pixels", ("band", "name", "valid", "invalid", "below", "above"), tuple(asides)
                ),
            ),
            numbers,
            (self._chart(counted, profile),),
            (*notes, *scale_notes(profile, self.raw), *where),
        )

    def _chart(self, counted: Counted, profile: Profile) -> Chart:
        edges, heights = counted.edges, counted.counts.astype(np.float64)
        places = (edges[:-1] + edges[1:]) / 2
        if self.cumulative:
            places = edges[1:]
            valid, below = counted.asides[:, :1], counted.asides[:, 2:3]
            heights = 100 * (below + np.cumsum(heights, axis=1)) / np.maximum(valid, 1)
        series = tuple(
            (title, tuple(places.tolist()), tuple(counts.tolist()))
            for title, counts in zip(band_titles(profile), heights)
        )
        return Chart(
            "Cumulative histogram" if self.cumulative else "Histogram",
            value_label(profile, raw=self.raw),
            "Share of valid pixels (%)" if self.cumulative else "Pixels",
            series,
            "bars" if profile.count == 1 and not self.cumulative else "lines",
        )
