"""Statistics of an image in zones: polygons, or the classes of another image."""

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
    Summary,
    Table,
    image,
    parameter,
    polygons,
)
from eoscale_engine.errors import InputError
from eoscale_engine.parameters import RAW
from eoscale_engine.procedures.chart_labels import band_titles, value_label
from eoscale_engine.procedures.percentiles import check_percentiles, column_of
from eoscale_engine.procedures.selection import ALL_TOUCHED
from eoscale_engine.procedures.zonal_statistics_scattered import scattered_zones
from eoscale_engine.profile import Band, Profile
from eoscale_engine.reductions.areas import AREA_UNIT, UNITS, area_note, differing, row_areas
from eoscale_engine.reductions.statistics import scale_notes
from eoscale_engine.reductions.zones import Zones, ZonesFound
from eoscale_engine.reductions.zones_windows import (
    Asked,
    WindowZones,
    Zone,
    ZoneBand,
    moment_values,
)
from eoscale_engine.tiling import Window

COMPACT_SIDE = 1024
"""Longest side of a window that is taken at once: a few megabytes, whatever the zones."""

FILLED = 1 / 8
"""Least share of its bounding box that a zone of an image has to fill to be compact."""

MOST_BARS = 50
"""Zones of a chart with a bar for each; of more, their means are counted."""

MOST_PERCENTILES = 101

MOMENTS = ("sum", "mean", "minimum", "maximum", "range", "std_dev", "variance")
MODES = ("majority", "minority", "variety")


@dataclass(frozen=True)
class ZonalStatistics(Procedure):
    """Find the statistics of an image's pixels in each polygon, or in each class of a zone image.

    Zones are the polygons of a layer, each by itself, also where they overlap; or the values of
    one band of a zone image of whole numbers, as stored, of which nodata is no zone. A pixel lies
    in a polygon if its centre does, or, with ``all_touched``, if the polygon touches it at all.

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
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = (
        image(help="Whose pixels are looked at, and whose grid the zones are brought to"),
        image("ZONES", label="Zone image", optional=True, band_choice=False,
              help="Whole numbers, the same in all pixels of a zone; or give polygons"),
        polygons(optional=True, help="Zones; or give a zone image"),
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
    )
    frequencies: bool = parameter(
        False,
        label="Majority, minority, variety",
        help="Most and least frequent value, and number of different ones",
    )
    prefix: str = parameter("", help="What the names of all columns but 'zone' begin with")
    area_unit: str = parameter(**AREA_UNIT)
    all_touched: bool = parameter(**ALL_TOUCHED)
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
        if len(self.percentiles or ()) > MOST_PERCENTILES:
            raise InputError(f"{self.label}: give at most {MOST_PERCENTILES} percentages.")
        check_percentiles(self.label, self.percentiles or ())

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse zones that are no whole numbers."""
        super().check(inputs)
        for profile in inputs.get("ZONES", ()):
            if np.dtype(profile.dtype).kind not in "iu":
                raise InputError(
                    f"{self.label}: the zone image has {profile.dtype} pixels. Convert it to whole "
                    "numbers first, for example with Reclassify or gdal_translate -ot Int32."
                )

    def run(self, images: Mapping[str, Sequence[Any]], engine: Engine) -> Summary:
        """Compact zones from their windows, the others cell by cell."""
        return statistics_of_zones(self, images, engine, COMPACT_SIDE)

    @property
    def asked(self) -> Asked:
        """What is asked of each zone's values."""
        return Asked(tuple(sorted(set(self.percentiles or ()))), self.frequencies, self.raw)


def statistics_of_zones(
    asked: ZonalStatistics, images: Mapping[str, Sequence[Any]], engine: Engine, side: int
) -> Summary:
    """The summary, with zones in windows up to this side taken at once; -1 for none of them."""
    profile = engine.profile(images["INPUT"][0])
    areas = row_areas(profile)
    varying = differing(areas)
    zones, windows = _zones(asked, images, engine, varying)
    roles = {role: images.get(role, ()) for role in ("INPUT", "ZONES")}
    compact: dict[Window, list[int]] = {}
    scattered = []
    for number, (window, share) in enumerate(windows):
        if max(window.rows, window.cols) <= side and share >= FILLED:
            if window.rows and window.cols:
                compact.setdefault(window, []).append(number)
        else:
            scattered.append(number)
    found: dict[int, Zone] = {}
    if compact:
        work = WindowZones(zones=zones, asked=asked.asked, windows=compact)
        found = engine.reduce(work, roles, windows=list(compact))
    found.update(scattered_zones(engine, roles, zones, scattered, asked.asked))
    nothing = Zone(0, 0.0, (ZoneBand(),) * profile.count)
    listed = [found.get(number, nothing) for number in range(len(zones))]
    return _summary(asked, profile, zones, listed, areas)


def _zones(
    asked: ZonalStatistics,
    images: Mapping[str, Sequence[Any]],
    engine: Engine,
    areas: Optional[np.ndarray],
) -> tuple[Zones, list[tuple[Window, float]]]:
    """The zones, and the window of each with the share of it that the zone is known to fill."""
    if images.get("POLYGONS"):
        layer = engine.polygons(
            images["POLYGONS"][0], images["INPUT"][0], all_touched=asked.all_touched
        )
        return Zones(layer, row_areas=areas), [(window, 1.0) for window in layer.windows]
    band = asked.zone_band - 1
    found = engine.reduce(ZonesFound(band=band), {"ZONES": images["ZONES"]})
    windows = [found.window(number) for number in range(len(found.values))]
    shares = found.pixels / (found.ends - found.begins).prod(axis=1)
    zones = Zones(values=found.values, band=band, row_areas=areas)
    return zones, list(zip(windows, shares.tolist()))


# ---------------------------------------------------------------- table, chart, notes


def _columns(asked: ZonalStatistics, profile: Profile) -> tuple[str, ...]:
    shares = asked.asked.percentiles
    names = ["count", "invalid", *MOMENTS]
    names += map(column_of, shares)
    names += MODES if asked.frequencies else ()
    numbers = [f"b{number}_" for number in profile.band_numbers] if profile.count > 1 else [""]
    each = [number + name for number in numbers for name in names]
    return ("zone", *(asked.prefix + name for name in ("pixels", "area", *each)))


def _band_values(asked: Asked, found: ZoneBand, band: Band) -> tuple[Any, ...]:
    """A zone's values in one band, in the order of the columns."""
    moments = found.moments
    percentiles = found.percentiles or (None,) * len(asked.percentiles)
    modes = found.modes or ((None,) * len(MODES) if asked.values else ())
    values = moment_values(moments, band, asked.raw)
    return (moments.valid, moments.invalid, *values, *percentiles, *modes)


def _summary(
    asked: ZonalStatistics,
    profile: Profile,
    zones: Zones,
    listed: Sequence[Zone],
    areas: Optional[np.ndarray],
) -> Summary:
    layer = zones.polygons
    names = zones.values.tolist() if layer is None else layer.ids
    unit = UNITS[asked.area_unit]
    # rows of one area: its product with the number of pixels is more exact than a sum
    same = None if areas is None or zones.row_areas is not None else float(areas[0])
    rows = []
    for name, zone in zip(names, listed):
        area = zone.area if same is None else zone.pixels * same
        values = [
            value
            for found, band in zip(zone.bands, profile.bands)
            for value in _band_values(asked.asked, found, band)
        ]
        rows.append((name, zone.pixels, None if areas is None else area / unit, *values))
    pixels = tuple(
        (number, band.name, *(sum(zone.bands[place].moments[n] for zone in listed) for n in (0, 1)))
        for place, (number, band) in enumerate(zip(profile.band_numbers, profile.bands))
    )
    columns = _columns(asked, profile)
    first_mean = next(name for name in columns if name.endswith("mean"))
    empty = sum(not any(band.moments.valid for band in zone.bands) for zone in listed)
    return Summary(
        asked.label,
        (
            Table("Zones", columns, tuple(rows), first_mean),
            Table("Pixels of all zones", ("band", "name", "valid", "invalid"), pixels),
        ),
        {"ZONE_COUNT": len(listed), "EMPTY": empty},
        (_chart(asked, profile, names, listed),) if len(listed) > empty else (),
        (*_notes(asked, profile, zones, listed, empty), area_note(profile, asked.area_unit)),
    )


def _notes(
    asked: ZonalStatistics, profile: Profile, zones: Zones, listed: Sequence[Zone], empty: int
) -> list[str]:
    notes = ["std_dev and variance are of the population: sum((x - mean)^2) / count."]
    if not listed:
        notes.append("There is no zone: all pixels of the zone image are nodata.")
    if empty:
        notes.append(f"{empty} of {len(listed)} zones have no valid pixel: no values.")
    if zones.polygons is not None and zones.polygons.repaired:
        notes.append(f"{zones.polygons.repaired} polygon(s) were invalid and have been repaired.")
    if any(band.moments.infinite for zone in listed for band in zone.bands):
        notes.append(
            "Infinite pixels count as valid and show in minimum, maximum, range and percentiles, "
            "but are left out of sum, mean, std_dev and variance."
        )
    return notes + scale_notes(profile, asked.raw)


def _chart(
    asked: ZonalStatistics, profile: Profile, names: Sequence[int], listed: Sequence[Zone]
) -> Chart:
    """The mean of each zone, or how many zones have which mean."""
    label = value_label(profile, "Mean", raw=asked.raw)
    series = []
    for place, (title, band) in enumerate(zip(band_titles(profile), profile.bands)):
        found = [moment_values(zone.bands[place].moments, band, asked.raw)[1] for zone in listed]
        means = np.array([math.nan if mean is None else mean for mean in found], np.float64)
        means[np.isinf(means)] = math.nan
        series.append((title, tuple(map(float, names)), tuple(means.tolist())))
    if len(listed) <= MOST_BARS:
        return Chart("Mean of each zone", "Zone", label, tuple(series))
    finite = [np.array(means)[np.isfinite(means)] for _, _, means in series]
    every = np.concatenate(finite)
    low, high = (every.min(), every.max()) if every.size else (0.0, 0.0)
    edges = np.linspace(low, high if high > low else low + 1, MOST_BARS + 1)
    middles = tuple(((edges[1:] + edges[:-1]) / 2).tolist())
    counted = tuple(
        (title, middles, tuple(np.histogram(means, edges)[0].astype(float).tolist()))
        for (title, _, _), means in zip(series, finite)
    )
    return Chart("Means of the zones", label, "Zones", counted)
