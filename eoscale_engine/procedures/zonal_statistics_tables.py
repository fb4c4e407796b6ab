"""The table, chart and notes of zonal statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import chain
from typing import Any, Optional

import numpy as np

from eoscale_engine.declaration import Chart, Summary, Table
from eoscale_engine.procedures.chart_labels import band_titles, value_label
from eoscale_engine.procedures.percentiles import column_of
from eoscale_engine.procedures.selection import repair_notes
from eoscale_engine.profile import Band, Profile
from eoscale_engine.reductions.areas import UNITS, area_note
from eoscale_engine.reductions.statistics import scale_notes
from eoscale_engine.reductions.zones import Zones
from eoscale_engine.reductions.zones_columns import BandColumns, ZoneColumns, listed
from eoscale_engine.reductions.zones_windows import Asked

MOST_BARS = 50
"""Zones of a chart with a bar for each; of more, their means are counted."""

MOMENTS = ("sum", "mean", "minimum", "maximum", "range", "std_dev", "variance")
MODES = ("majority", "minority", "variety")


def _columns(asked: Any, profile: Profile) -> tuple[str, ...]:
    shares = asked.asked.percentiles
    names = ["count", "invalid", *MOMENTS]
    names += map(column_of, shares)
    names += MODES if asked.frequencies else ()
    numbers = [f"b{number}_" for number in profile.band_numbers] if profile.count > 1 else [""]
    each = [number + name for number in numbers for name in names]
    return ("zone", *(asked.prefix + name for name in ("pixels", "area", *each)))


def _band_columns(asked: Asked, found: BandColumns, band: Band) -> list[Sequence[Any]]:
    """The values of all zones in one band, in the order of the columns."""
    some = found.moments.valid > 0
    columns: list[Sequence[Any]] = [found.moments.valid.tolist(), found.invalid.tolist()]
    columns += found.values(band, asked.raw)
    columns += [listed(column, some) for column in found.percentiles.T]
    if asked.values:
        nothing = (None,) * len(MODES)
        columns += zip(*(found.modes.get(zone, nothing) for zone in range(some.size)))
    return columns


def zones_summary(
    asked: Any,
    profile: Profile,
    zones: Zones,
    found: ZoneColumns,
    areas: Optional[np.ndarray],
) -> Summary:
    """The summary of zones.

    ``asked`` is the declaration; ``areas`` are square metres of a pixel of each row.
    """
    layer, count = zones.polygons, len(zones)
    names = zones.values.tolist() if layer is None else layer.ids
    # rows of one area: its product with the number of pixels is more exact than a sum
    same = areas is not None and zones.row_areas is None
    covered = found.pixels * areas[0] if areas is not None and same else found.areas
    area = listed(covered / UNITS[asked.area_unit], np.full(count, areas is not None))
    each = [_band_columns(asked.asked, one, band) for one, band in zip(found.bands, profile.bands)]
    columns, data = _columns(asked, profile), [names, found.pixels.tolist(), area, *chain(*each)]
    pixels = tuple(
        (number, band.name, sum(values[0]), sum(values[1]))
        for number, band, values in zip(profile.band_numbers, profile.bands, each)
    )
    places = [place for place, name in enumerate(columns) if name.endswith("mean")]
    empty = count - int(np.any([band.moments.valid > 0 for band in found.bands], axis=0).sum())
    means = [data[place] for place in places]
    return Summary(
        asked.label,
        (
            Table("Zones", columns, tuple(zip(*data)), columns[places[0]]),
            Table("Pixels of all zones", ("band", "name", "valid", "invalid"), pixels),
        ),
        {"ZONE_COUNT": count, "EMPTY": empty},
        (_chart(asked, profile, names, means),) if count > empty else (),
        (*_notes(asked, profile, zones, found, empty), area_note(profile, asked.area_unit)),
    )


def _notes(asked: Any, profile: Profile, zones: Zones, found: ZoneColumns, empty: int) -> list[str]:
    notes = ["std_dev and variance are of the population: sum((x - mean)^2) / count."]
    if not len(zones):
        notes.append("There is no zone: all pixels of the zone image are nodata.")
    if empty:
        notes.append(f"Zones without a valid pixel have no values: {empty} of {len(zones)}.")
    if zones.polygons is not None:
        small = int((found.pixels == 0).sum()) - zones.polygons.outside
        if small:
            notes.append(
                f"Polygons on the image that hold no centre of a pixel: {small}. Weight by covered "
                "area, or count all touched pixels."
            )
    if asked.weighted:
        notes.append("Pixels count by covered area; there are no percentiles.")
    if zones.polygons is not None:
        notes += repair_notes(zones.polygons)
    if any(band.moments.infinite.any() for band in found.bands):
        notes.append(
            "Infinite pixels count as valid and show in minimum, maximum, range and percentiles, "
            "but are left out of sum, mean, std_dev and variance."
        )
    return notes + scale_notes(profile, asked.raw)


def _chart(
    asked: Any, profile: Profile, names: Sequence[int], means: Sequence[Sequence[Any]]
) -> Chart:
    """The mean of each zone, or how many zones have which mean; ``means`` are by band and zone."""
    label = value_label(profile, "Mean", raw=asked.raw)
    series = []
    for title, found in zip(band_titles(profile), means):
        values = np.array([math.nan if mean is None else mean for mean in found], np.float64)
        values[np.isinf(values)] = math.nan
        series.append((title, tuple(map(float, names)), tuple(values.tolist())))
    if len(names) <= MOST_BARS:
        return Chart("Mean of each zone", "Zone", label, tuple(series))
    finite = [np.array(values)[np.isfinite(values)] for _, _, values in series]
    every = np.concatenate(finite)
    low, high = (every.min(), every.max()) if every.size else (0.0, 0.0)
    edges = np.linspace(low, high if high > low else low + 1, MOST_BARS + 1)
    middles = tuple(((edges[1:] + edges[:-1]) / 2).tolist())
    counted = tuple(
        (title, middles, tuple(np.histogram(values, edges)[0].astype(float).tolist()))
        for (title, _, _), values in zip(series, finite)
    )
    return Chart("Means of the zones", label, "Zones", counted)
