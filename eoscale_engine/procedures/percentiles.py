"""Percentiles of each band, exact for every data type."""

from __future__ import annotations

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
    image,
    parameter,
)
from eoscale_engine.errors import InputError
from eoscale_engine.parameters import RAW
from eoscale_engine.procedures.chart_labels import band_titles, value_label
from eoscale_engine.procedures.selection import (
    ALL_TOUCHED,
    MASK,
    POLYGONS,
    selection,
    selection_notes,
)
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.key_counts import KeyCounts
from eoscale_engine.reductions.percentiles import exact_percentiles
from eoscale_engine.reductions.statistics import scale_notes

MOST = 1001
"""Percentiles of one run: steps of a tenth of a percent."""


def check_percentiles(owner: str, percentiles: Sequence[float]) -> None:
    """Refuse, with an :class:`InputError`, what is no percentage, and too many."""
    if len(percentiles) > MOST:
        raise InputError(
            f"{owner}: {len(percentiles)} percentiles are too many; give at most {MOST}."
        )
    for share in percentiles:
        if not 0 <= share <= 100:
            raise InputError(f"{owner}: {share:.12g} is not between 0 and 100 percent.")


def column_of(percentile: float) -> str:
    """The name of a percentile's column."""
    return "median" if percentile == 50 else f"p{percentile:.12g}"


@dataclass(frozen=True)
class Percentiles(Procedure):
    """Find the values below which given shares of the valid pixels of each band lie.

    With the n valid pixels sorted, x(0) <= ... <= x(n - 1), the percentile p is x at the place
    h = (n - 1) p / 100, and between two pixels linear: x(i) + (h - i) (x(i + 1) - x(i)) with
    i = floor(h), as ``numpy.percentile``. 0 is the minimum, 50 the median, 100 the maximum. The
    result is exact, from all pixels: no sample and no bins.

    Pixels are counted by the digits of a key that sorts as they do: 8 and 16-bit pixels take one
    pass over the image, 32-bit ones two, 64-bit ones four.

    Values are physical, ``pixel * scale + offset``, unless ``raw`` asks for the pixels as stored.
    Nodata, NaN and masked pixels do not count; infinite ones do. Takes integers and floats
    ``(bands, rows, cols)``. A band without a valid pixel has no values. With an extent, its pixels
    alone count; with a mask or polygons, the pixels in them.
    """

    name: ClassVar[str] = "percentiles"
    label: ClassVar[str] = "Percentiles"
    group: ClassVar[str] = "Statistics"
    tags: ClassVar[tuple[str, ...]] = (
        "percentile", "quantile", "quartile", "median", "r.quantile", "rank", "distribution",
        "statistics", "cumulative",
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = (image(), MASK, POLYGONS)
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"percentiles": (0, 12.5, 99.9, 100), "raw": True},
    )
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("LOWEST", "Lowest percentile of the first band"),
        ("MEDIAN", "Median of the first band"),
        ("HIGHEST", "Highest percentile of the first band"),
    )

    percentiles: tuple[float, ...] = parameter(
        (2.0, 50.0, 98.0),
        kind="numbers",
        help="Shares of the valid pixels in percent, 0 to 100, separated by commas.",
    )
    all_touched: bool = parameter(**ALL_TOUCHED)
    raw: bool = parameter(**RAW)

    def validate(self) -> None:
        """Refuse what is no percentage."""
        if not self.percentiles:
            raise InputError("Percentiles: give percentages, such as 2, 50, 98.")
        check_percentiles(self.label, self.percentiles)

    def reads_once(self, inputs: Sequence[Profile]) -> bool:
        """Counts of small integers hold all."""
        return np.dtype(inputs[0].dtype).itemsize <= 2

    def run(self, images: Roles, engine: Engine) -> Result:
        """Count, and list by band."""
        profile = engine.profile(images["INPUT"][0])
        asked = sorted(set(self.percentiles))
        within = selection(images, engine, self.all_touched)
        counts = engine.reduce(KeyCounts(), {"INPUT": images["INPUT"]}, within=within)
        found = exact_percentiles(
            engine, images, [*asked, 50.0], raw=self.raw, within=within, counts=counts
        )
        values: list[list[Optional[float]]] = [
            [None if value != value else value for value in row] for row in found.tolist()
        ]
        rows = tuple(
            (number, band.name, "" if self.raw else band.unit, *row[:-1])
            for number, band, row in zip(profile.band_numbers, profile.bands, values)
        )
        pixels = Table(
            "Pixels",
            ("band", "name", "valid", "invalid"),
            tuple(
                (number, band.name, one.valid, one.invalid)
                for number, band, one in zip(profile.band_numbers, profile.bands, counts)
            ),
        )
        columns = ("band", "name", "unit", *map(column_of, asked))
        notes = [*scale_notes(profile, self.raw), *selection_notes(within)]
        if any(row[-1] is None for row in values):
            notes.append("A band without a valid pixel has no values.")
        summary = Summary(
            self.label,
            (Table("Percentiles", columns, rows), pixels),
            {"LOWEST": values[0][0], "MEDIAN": values[0][-1], "HIGHEST": values[0][-2]},
            (self._chart(profile, asked, found[:, :-1]),),
            tuple(notes),
        )
        return Result(summary=summary)

    def _chart(self, profile: Profile, asked: Sequence[float], found: np.ndarray) -> Chart:
        heights = np.where(np.isfinite(found), found, np.nan)
        series = tuple(
            (title, tuple(asked), tuple(row))
            for title, row in zip(band_titles(profile), heights.tolist())
        )
        label = value_label(profile, raw=self.raw)
        return Chart("Percentiles", "Share of valid pixels (%)", label, series, "lines")
