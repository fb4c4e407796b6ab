"""Which values of one image meet which values of another, and how often."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Optional

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
    image,
    parameter,
)
from eoscale_engine.procedures.unique_values import category
from eoscale_engine.reductions.areas import AREA_UNIT, area_note, differing, row_areas
from eoscale_engine.reductions.value_counts import Tally, areas_of
from eoscale_engine.reductions.value_pairs import ValuePairs

WIDEST = 256
"""Values of each image that a matrix has room for: as many as an 8-bit image has."""


@dataclass(frozen=True)
class CrossTabulation(Procedure):
    """List each pair of values that two images have in the same pixels, with count, share and area.

    ``share = count / valid``, as a fraction of the pixels that are valid in both bands; all others
    are left out, and counted as invalid. With the counts n(i, j) of the pairs, their sums n(i.) and
    n(.j) by value, the number N of valid pixels, and r and c values of either image:

    ``chi-squared = N (sum n(i, j)^2 / (n(i.) n(.j)) - 1)``, of (r - 1) (c - 1) degrees of freedom;

    ``Cramer's V = sqrt(chi-squared / (N (min(r, c) - 1)))``: 0 where the images have nothing to do
    with each other, 1 where the value in one tells that in the other; none where an image has one
    value only.

    Pixels near each other are alike, so that chi-squared does not have the distribution that it has
    of independent samples.

    The table has a row for each pair that occurs; where the images have at most 256 values each, a
    second one is the matrix of counts, with the first image's values in rows and the second's in
    columns. Values are those stored, without scale and offset; floats are told apart exactly, -0.0
    is 0.0, and infinite values are values too. Names are the category names of the bands. Areas are
    those of the first image's grid, in the plane of the map in a projected CRS and true ones on the
    ellipsoid in a geographic one; there are none without a CRS or geotransform.

    Takes integers and floats. More than 250 000 pairs are refused as soon as they are found:
    reclassify the images first.

    Source: H. Cramer, "Mathematical Methods of Statistics", Princeton University Press, 1946.
    """

    name: ClassVar[str] = "crosstabulation"
    label: ClassVar[str] = "Cross-tabulation"
    group: ClassVar[str] = "Statistics"
    one_pass: ClassVar[bool] = True
    sample: ClassVar[str] = "classes"
    tags: ClassVar[tuple[str, ...]] = (
        "cross tabulation", "crosstab", "contingency table", "r.cross", "r.coin", "r.stats",
        "coincidence", "land cover change", "transition matrix", "change detection", "tabulate",
        "chi-squared", "cramer's v", "association", "combine",
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = (
        image(label="First image", band_choice=False),
        image("SECOND", label="Second image", help="On the same grid", band_choice=False),
    )
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("VALID", "Pixels that are valid in both bands"),
        ("INVALID", "All other pixels"),
        ("PAIRS", "Pairs of values that occur"),
        ("CHI_SQUARED", "Chi-squared"),
        ("DEGREES_OF_FREEDOM", "Degrees of freedom"),
        ("CRAMERS_V", "Cramer's V"),
    )
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"band": 2, "area_unit": "square kilometres"},
    )

    band: int = parameter(
        1, kind="band", label="Band of the first image", help="Its values are in the matrix's rows"
    )
    second_band: int = parameter(
        1,
        kind="band",
        role="SECOND",
        label="Band of the second image",
        help="Its values are in the matrix's columns",
    )
    area_unit: str = parameter(**AREA_UNIT)

    @property
    def places(self) -> str:
        """Pairs have areas."""
        return "areas"

    @property
    def differing(self) -> tuple[str, ...]:
        """A class goes with itself alone."""
        return ("INPUT", "SECOND")

    def run(self, images: Roles, engine: Engine) -> Result:
        """Count, and list the pairs."""
        first, second = images["INPUT"][0], images["SECOND"][0]
        profile = engine.profile(first)
        bands = (
            profile.bands[self.band - 1],
            engine.profile(second).bands[self.second_band - 1],
        )
        areas = row_areas(profile)
        found = engine.reduce(
            ValuePairs(self.band, self.second_band, differing(areas)),
            {"FIRST": [first], "SECOND": [second]},
        )
        tally, valid = found.tally, int(found.tally.pixels.sum())
        columns = [column.tolist() for column in tally.values]
        names = [[category(b, value) for value in column] for b, column in zip(bands, columns)]
        pixels = tally.pixels.tolist()
        rows = tuple(
            (*row, row[4] / valid, area)
            for *row, area in zip(*columns, *names, pixels, areas_of(tally, areas, self.area_unit))
        )
        listed = Table(
            "Pairs",
            ("first", "second", "first_name", "second_name", "count", "share", "area"),
            rows,
        )
        notes = [
            "share = count / pixels that are valid in both bands.",
            area_note(profile, self.area_unit),
        ]
        matrix = _matrix(tally)
        if matrix is None:
            notes.append(f"There is no matrix: an image has more than {WIDEST} values.")
        elif not valid:
            notes.append("No pixel is valid in both bands.")
        numbers = dict(zip(("CHI_SQUARED", "DEGREES_OF_FREEDOM", "CRAMERS_V"), association(tally)))
        summary = Summary(
            self.label,
            (listed,) if matrix is None else (listed, matrix.table()),
            {"VALID": valid, "INVALID": found.invalid, "PAIRS": len(rows), **numbers},
            (matrix.heat_map(),) if matrix is not None and valid else (),
            tuple(notes),
        )
        return Result(summary=summary)


class Matrix(NamedTuple):
    """Pixels by the values of the first image, in rows, and those of the second, in columns."""

    first: list[Any]
    second: list[Any]
    pixels: np.ndarray

    def table(self) -> Table:
        """A row for each value of the first image."""
        rows = tuple((value, *row) for value, row in zip(self.first, self.pixels.tolist()))
        return Table("Matrix", ("first", *map(str, self.second)), rows)

    def heat_map(self) -> HeatMap:
        """Logarithmic colours; pairs that do not occur have none."""
        values = tuple(
            tuple(float(count) if count else None for count in row) for row in self.pixels.tolist()
        )
        return HeatMap(
            "Pixels by pair of values", "Value of the second image", "Value of the first image",
            tuple(map(str, self.second)), tuple(map(str, self.first)), values,
            logarithmic=True, shows_values=True,
        )  # fmt: skip


def _matrix(tally: Tally) -> Optional[Matrix]:
    """The counts of all pairs; None where there are too many."""
    (first, row), (second, col) = (np.unique(v, return_inverse=True) for v in tally.values)
    if max(first.size, second.size) > WIDEST:
        return None
    pixels = np.zeros((first.size, second.size), np.int64)
    pixels[row, col] = tally.pixels
    return Matrix(first.tolist(), second.tolist(), pixels)


def association(tally: Tally) -> tuple[Optional[float], Optional[int], Optional[float]]:
    """Chi-squared, its degrees of freedom and Cramer's V of pairs; None without pixels."""
    total = int(tally.pixels.sum())
    if not total:
        return None, None, None
    (first, row), (second, col) = (np.unique(v, return_inverse=True) for v in tally.values)
    # float64 holds these sums exactly: they are below 2^53
    rows = np.bincount(row, tally.pixels)[row]
    cols = np.bincount(col, tally.pixels)[col]
    shares = (tally.pixels / rows) * (tally.pixels / cols)
    squared = max(0.0, total * (math.fsum(shares.tolist()) - 1))
    least = min(first.size, second.size) - 1
    strength = math.sqrt(squared / (total * least)) if least else None
    return squared, (first.size - 1) * (second.size - 1), strength
