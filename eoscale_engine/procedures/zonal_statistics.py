"""Statistics of an image in zones: polygons, or the classes of another image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import (
    Engine,
    Input,
    Procedure,
    Result,
    Roles,
    Summary,
    image,
    parameter,
    polygons,
)
from eoscale_engine.errors import InputError
from eoscale_engine.parameters import RAW
from eoscale_engine.procedures.percentiles import check_percentiles
from eoscale_engine.procedures.selection import ALL_TOUCHED
from eoscale_engine.procedures.zonal_statistics_scattered import scattered_zones
from eoscale_engine.procedures.zonal_statistics_tables import zones_summary
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.areas import AREA_UNIT, differing, row_areas
from eoscale_engine.reductions.zones import Zones, ZonesFound
from eoscale_engine.reductions.zones_columns import ZoneColumns
from eoscale_engine.reductions.zones_shares import ShareMoments
from eoscale_engine.reductions.zones_windows import Asked, WindowZones
from eoscale_engine.tiling import Window, window_around

COMPACT_SIDE = 1024
"""Longest side of a window that is taken at once: a few megabytes, whatever the zones."""

SMALL_SIDE, SMALL_CELL = 128, 256
"""Zones up to this side, that begin in one cell of this size, are taken together."""

FILLED = 1 / 8
"""Least share of its bounding box that a zone of an image has to fill to be compact."""

MOST_PERCENTILES = 101


@dataclass(frozen=True)
class ZonalStatistics(Procedure):
    """Find the statistics of an image's pixels in each polygon or point, or class of a zone image.

    Zones are the polygons or points of a layer, each by itself, also where they overlap; or the
    values of one band of a zone image of whole numbers, as stored, of which nodata is no zone. A
    pixel lies in a polygon if its centre does, or, if touched pixels are asked for (ALL_TOUCHED),
    if the polygon touches it at all.
    A point is the pixel that holds it, whose values it gets as minimum, mean and maximum; several
    points of one feature are its pixels, each once.
    Lines have no area and are no zones: make polygons of them with Buffer.

    A polygon without the centre of a pixel has no values; a note tells how many there are.
    Weighted by covered area (WEIGHTED), each pixel that a polygon touches counts by the share w of
    it that the polygon covers, of all polygons: ``count = sum(w)``, ``sum = sum(w x)``,
    ``mean = sum / count``, ``variance = sum(w (x - mean)^2) / count``; minimum and maximum are of
    all touched pixels, and there are no percentiles, majority, minority and variety. QGIS's own
    zonal statistics do so for polygons with at most one centre, and find the same count, sum, mean,
    minimum and maximum of them.

    With the n valid pixels x of a band in a zone: ``mean = sum(x) / n``, ``variance = sum((x -
    mean)^2) / n`` of the population, ``std_dev = sqrt(variance)``, ``range = maximum - minimum``.
    The percentile p is the value at the place (n - 1) p / 100 of the sorted pixels, between two of
    them linear, as ``numpy.percentile``; 50 is the median. Majority and minority are the most and
    least frequent value, of several the smallest; variety is the number of different values.

    ``pixels`` are all pixels of a zone on the image, ``count`` the valid and ``invalid`` the
    others of a band, ``area`` what the pixels cover: on the ellipsoid for a geographic CRS, empty
    where unknown. With several bands, columns begin with ``b1_`` and so on.

    Values are physical, ``pixel * scale + offset``, unless ``raw`` asks for the pixels as stored.
    Nodata, NaN and masked pixels are invalid. Infinite ones are valid: they count, and show in
    minimum, maximum, range, percentiles and majority, but are left out of sum, mean, std_dev and
    variance. A zone without a valid pixel, or outside of the image, has counts of 0 and no values.

    Takes integers and floats. Counts, minimum, maximum, percentiles, majority and the sum of
    integers are exact, 64-bit ones too; all else is float64. Majority, minority and variety of a
    zone that is more than 1024 pixels wide or high, or scattered over the image, are refused where
    it has more than 250 000 different values. With an extent, only its pixels belong to zones.
    """

    name: ClassVar[str] = "zonalstatistics"
    label: ClassVar[str] = "Zonal statistics"
    group: ClassVar[str] = "Statistics"
    tags: ClassVar[tuple[str, ...]] = (
        "zonal", "zones", "polygons", "parcels", "v.rast.stats", "r.univar", "r.stats.zonal",
        "ZonalStatistics", "grid statistics for polygons", "region of interest", "roi", "mean",
        "median", "percentile", "majority", "minority", "variety", "area", "extract",
        "extract values to points", "sample raster values", "point sampling",
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = (
        image(help="Whose pixels are looked at, and whose grid the zones are brought to"),
        image("ZONES", label="Zone image", optional=True, band_choice=False,
              help="Whole numbers, the same in all pixels of a zone; or give polygons"),
        polygons(optional=True, label="Polygons or points", help="Zones; or give a zone image"),
    )  # fmt: skip
    one_of: ClassVar[tuple[str, ...]] = ("ZONES", "POLYGONS")
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"zone_band": 2, "percentiles": (0, 12.5, 100), "frequencies": True, "raw": True},
    )
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("ZONE_COUNT", "Number of zones"),
        ("EMPTY", "Number of zones without a valid pixel"),
    )
    table_geometry: ClassVar[str] = "polygons"

    zone_band: int = parameter(
        1, kind="band", role="ZONES", label="Band of the zone image", help="Counted from 1"
    )
    percentiles: Optional[tuple[float, ...]] = parameter(
        (50.0,),
        kind="numbers",
        help="0 to 100, separated by commas; 50 is the median. Empty for none.",
        counts_when={"weighted": (False,)},
    )
    frequencies: bool = parameter(
        False,
        label="Majority, minority, variety",
        help="Most and least frequent value, and number of different ones",
    )
    prefix: str = parameter("", help="What the names of all columns but 'zone' begin with")
    area_unit: str = parameter(**AREA_UNIT)
    weighted: bool = parameter(
        False,
        label="Weight by covered area",
        help="Each pixel counts by the share of it that a polygon covers: for polygons that are "
        "small beside pixels",
    )
    all_touched: bool = parameter(**ALL_TOUCHED, counts_when={"weighted": (False,)})
    raw: bool = parameter(**RAW)

    @property
    def places(self) -> str:
        """Zones have areas."""
        return "areas"

    @property
    def differing(self) -> tuple[str, ...]:
        """An image is no zones of itself."""
        return ("INPUT", "ZONES")

    def validate(self) -> None:
        """Refuse what is no percentage."""
        percentiles = () if self.weighted else self.percentiles or ()
        if len(percentiles) > MOST_PERCENTILES:
            raise InputError(f"{self.label}: give at most {MOST_PERCENTILES} percentages.")
        check_percentiles(self.label, percentiles)
        if self.weighted and self.frequencies:
            raise InputError(
                f"{self.label}: majority, minority and variety are not found by covered area. "
                "Choose one of the two."
            )

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse zones that are no whole numbers."""
        super().check(inputs)
        if self.weighted and inputs.get("ZONES"):
            raise InputError(
                f"{self.label}: the zones of an image cover whole pixels. Weighting by covered "
                "area needs polygons."
            )
        for profile in inputs.get("ZONES", ()):
            if np.dtype(profile.dtype).kind not in "iu":
                raise InputError(
                    f"{self.label}: the zone image has {profile.dtype} pixels. Convert it to whole "
                    "numbers first, for example with Reclassify or gdal_translate -ot Int32."
                )

    def run(self, images: Roles, engine: Engine) -> Result:
        """Compact zones from their windows, the others cell by cell."""
        return Result(summary=statistics_of_zones(self, images, engine, COMPACT_SIDE))

    @property
    def asked(self) -> Asked:
        """What is asked of each zone's values."""
        shares = () if self.weighted else tuple(sorted(set(self.percentiles or ())))
        return Asked(shares, self.frequencies, self.raw)


def statistics_of_zones(
    asked: ZonalStatistics, images: Roles, engine: Engine, side: int
) -> Summary:
    """The summary, with zones in windows up to this side taken at once; -1 for none of them."""
    profile = engine.profile(images["INPUT"][0])
    areas = row_areas(profile)
    varying = differing(areas)
    zones, windows = _zones(asked, images, engine, varying)
    shares = len(asked.asked.percentiles)
    columns = ZoneColumns.empty(len(zones), profile, shares, weighted=asked.weighted)
    if asked.weighted:
        found = engine.reduce(ShareMoments(zones=zones), {"INPUT": images["INPUT"]})
        for number, zone in found.items():
            columns.put(number, zone)
    else:
        _unweighted(asked, images, engine, zones, windows, side, columns)
    return zones_summary(asked, profile, zones, columns, areas)


def _unweighted(
    asked: ZonalStatistics,
    images: Roles,
    engine: Engine,
    zones: Zones,
    windows: Sequence[tuple[Window, float]],
    side: int,
    columns: ZoneColumns,
) -> None:
    """Enter all zones that have pixels."""
    roles = {role: images.get(role, ()) for role in ("INPUT", "ZONES")}
    compact, scattered = [], []
    for number, (window, share) in enumerate(windows):
        if max(window.rows, window.cols) <= side and share >= FILLED:
            if window.rows and window.cols:
                compact.append((number, window))
        else:
            scattered.append(number)
    if compact:
        together = _together(compact)
        work = WindowZones(zones=zones, asked=asked.asked, windows=together)
        for part in engine.reduce(work, roles, windows=list(together)):
            part.enter(columns)
    for number, zone in scattered_zones(engine, roles, zones, scattered, asked.asked).items():
        columns.put(number, zone)


def _together(zones: Sequence[tuple[int, Window]]) -> dict[Window, list[int]]:
    """Small zones that begin near each other in one window: in a few calls for all of them."""
    groups: dict[tuple[int, ...], list[tuple[int, Window]]] = {}
    for number, window in zones:
        small = max(window.rows, window.cols) <= SMALL_SIDE
        place = (window.row // SMALL_CELL, window.col // SMALL_CELL) if small else window
        groups.setdefault(place, []).append((number, window))
    found: dict[Window, list[int]] = {}
    for several in groups.values():
        numbers, windows = zip(*several)
        found.setdefault(window_around(windows), []).extend(numbers)
    return {window: sorted(numbers) for window, numbers in found.items()}


def _zones(
    asked: ZonalStatistics,
    images: Roles,
    engine: Engine,
    areas: Optional[np.ndarray],
) -> tuple[Zones, list[tuple[Window, float]]]:
    """The zones, and the window of each with the share of it that the zone is known to fill."""
    if images.get("POLYGONS"):
        layer = engine.polygons(
            images["POLYGONS"][0],
            images["INPUT"][0],
            all_touched=asked.all_touched and not asked.weighted,
        )
        return Zones(layer, row_areas=areas), [(window, 1.0) for window in layer.windows]
    band = asked.zone_band - 1
    found = engine.reduce(ZonesFound(band=band), {"ZONES": images["ZONES"]})
    windows = [found.window(number) for number in range(len(found.values))]
    shares = found.pixels / (found.ends - found.begins).prod(axis=1)
    zones = Zones(values=found.values, band=band, row_areas=areas)
    return zones, list(zip(windows, shares.tolist()))
