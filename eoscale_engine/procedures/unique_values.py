"""Each value of an image, with how many pixels have it and which area they cover."""

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
from eoscale_engine.parameters import RAW
from eoscale_engine.procedures.chart_labels import band_titles
from eoscale_engine.procedures.selection import (
    ALL_TOUCHED,
    MASK,
    POLYGONS,
    selection,
    selection_notes,
)
from eoscale_engine.profile import Band, Profile
from eoscale_engine.reductions.areas import AREA_UNIT, area_note, differing, row_areas
from eoscale_engine.reductions.histogram import MAXIMUM_BINS
from eoscale_engine.reductions.statistics import physical, scale_notes
from eoscale_engine.reductions.value_counts import Counted, ValueCounts, areas_of


@dataclass(frozen=True)
class UniqueValues(Procedure):
    """List each distinct value of each band, with its number of pixels, share and area.

    ``share = count / valid``, as a fraction of the valid pixels of the band that are looked at.

    ``area`` is the sum of the pixels' areas. In a projected CRS a pixel's area is that in the plane
    of the map, |determinant of the geotransform| times the square of the CRS's unit; it is the area
    on the ground only where the projection keeps areas. In a geographic CRS it is the true area of
    the pixel on the ellipsoid, row by row. There is none without a CRS or geotransform, nor for a
    rotated geographic grid.

    Values are physical, ``pixel * scale + offset``, unless ``raw`` asks for the pixels as stored.
    Floats are told apart exactly; -0.0 is 0.0, and infinite values are values too. Names are the
    category names of the band. Nodata, NaN and masked pixels are invalid: counted, in no row. With
    a mask or polygons, only pixels that both allow count. The majority is the most and the minority
    the least frequent value; of several as frequent the smallest.

    Takes images ``(bands, rows, cols)`` of any integer or float dtype. An image with more than
    250 000 distinct values, of all bands together, is refused as soon as that is known: reclassify
    it first, or use the histogram.

    Source of the area on the ellipsoid: J. P. Snyder, "Map Projections - A Working Manual", U.S.
    Geological Survey Professional Paper 1395, 1987.
    """

    name: ClassVar[str] = "uniquevalues"
    label: ClassVar[str] = "Unique values"
    group: ClassVar[str] = "Statistics"
    one_pass: ClassVar[bool] = True
    sample: ClassVar[str] = "classes"
    tags: ClassVar[tuple[str, ...]] = (
        "unique values", "rasterlayeruniquevaluesreport", "r.stats", "r.report", "class area",
        "classification report", "land cover", "count", "frequency", "area", "hectares", "majority",
        "distinct", "categories",
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = (image(), MASK, POLYGONS)
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("DISTINCT", "Distinct values of the first band"),
        ("VALID", "Valid pixels of the first band"),
        ("INVALID", "Invalid pixels of the first band"),
        ("MAJORITY", "Most frequent value of the first band"),
        ("MINORITY", "Least frequent value of the first band"),
    )
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"area_unit": "hectares", "all_touched": True},
    )

    area_unit: str = parameter(**AREA_UNIT)
    all_touched: bool = parameter(**ALL_TOUCHED)
    raw: bool = parameter(**RAW)

    @property
    def places(self) -> str:
        """Values have areas."""
        return "areas"

    def run(self, images: Roles, engine: Engine) -> Result:
        """Count, and list by band."""
        key = images["INPUT"][0]
        profile, within = engine.profile(key), selection(images, engine, self.all_touched)
        areas = row_areas(profile)
        found = engine.reduce(ValueCounts(differing(areas)), {"INPUT": [key]}, within=within)
        notes = ["share = count / valid pixels of the band.", area_note(profile, self.area_unit)]
        if not all(band.tally.pixels.size for band in found):
            notes.append("A band without a valid pixel has no values.")
        notes += [*scale_notes(profile, self.raw), *selection_notes(within)]
        return Result(summary=self._summary(found, profile, areas, notes))

    def _summary(
        self,
        found: Sequence[Counted],
        profile: Profile,
        areas: Optional[np.ndarray],
        notes: Sequence[str],
    ) -> Summary:
        rows: list[tuple[Any, ...]] = []
        bands: list[tuple[Any, ...]] = []
        series = []
        titles = band_titles(profile)
        of_bands = zip(profile.band_numbers, titles, profile.bands, found)
        for number, title, band, (tally, invalid) in of_bands:
            values = [physical(value, band, self.raw) for value in tally.values[0].tolist()]
            pixels, valid = tally.pixels.tolist(), int(tally.pixels.sum())
            covered = areas_of(tally, areas, self.area_unit)
            names = [category(band, value) for value in tally.values[0].tolist()]
            listed = sorted(zip(values, names, pixels, covered), key=lambda row: row[0])
            rows += [(number, *row[:3], row[2] / valid, row[3]) for row in listed]
            most = max(listed, key=lambda row: row[2], default=(None,))[0]
            least = min(listed, key=lambda row: row[2], default=(None,))[0]
            bands.append((number, band.name, len(listed), valid, invalid, most, least))
            shown = [(float(row[0]), float(row[2])) for row in listed if np.isfinite(row[0])]
            if 0 < len(shown) <= MAXIMUM_BINS:
                places, heights = zip(*shown)
                series.append((title, places, heights))
        columns = ("band", "name", "distinct", "valid", "invalid", "majority", "minority")
        kind = "bars" if profile.count == 1 else "lines"
        chart = Chart("Pixels by value", "Value", "Pixels", tuple(series), kind)
        numbers = {name: bands[0][columns.index(name.lower())] for name, _ in self.numbers}
        return Summary(
            self.label,
            (
                Table("Values", ("band", "value", "name", "count", "share", "area"), tuple(rows)),
                Table("Bands", columns, tuple(bands)),
            ),
            numbers,
            (chart,) if series else (),
            tuple(notes),
        )


def category(band: Band, value: Any) -> str:
    """A stored value's name, empty where it has none."""
    named = 0 <= value < len(band.categories) and value == int(value)
    return band.categories[int(value)] if named else ""
