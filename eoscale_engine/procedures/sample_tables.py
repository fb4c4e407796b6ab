"""What is told of a sample of pixels: tables and charts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from eoscale_engine.declaration import Chart, Table
from eoscale_engine.filters.physical_values import is_scaled
from eoscale_engine.procedures.unique_values import category
from eoscale_engine.profile import Affine, Band, Profile
from eoscale_engine.reductions.sampling import Stratum
from eoscale_engine.reductions.statistics import physical

MOST_SERIES = 30
"""Classes or bands of one plot."""

BINS = 64
"""Of the histogram of the points' values."""


class Column(NamedTuple):
    """One band of one image as a column of the table."""

    image: int
    band: int
    name: str
    label: str
    unit: str
    values: Any


class Sample(NamedTuple):
    """The points, sorted by class, row and column; classes by their places in ``strata``."""

    counts: dict[Stratum, int]
    wanted: np.ndarray
    places: np.ndarray
    rows: np.ndarray
    cols: np.ndarray
    values: tuple[np.ndarray, ...]

    @property
    def strata(self) -> list[Any]:
        """The values of the classes, ascending."""
        return list(self.counts)

    @property
    def found(self) -> list[int]:
        """How many points each class has."""
        return [int(n) for n in np.bincount(self.places, minlength=len(self.counts))]


def columns_of(sample: Sample, profiles: Sequence[Profile], *, raw: bool) -> list[Column]:
    """The values of the points, band by band of all images."""
    columns = []
    for number, (profile, pixels) in enumerate(zip(profiles, sample.values), 1):
        chosen = profile.band_numbers
        if len(set(chosen)) < len(chosen):  # of several files
            chosen = tuple(range(1, profile.count + 1))
        for place, band, stored in zip(chosen, profile.bands, pixels):
            label = re.sub(r"\W+", "_", band.name).strip("_")[:40]
            name = f"im{number}b{place}" + (f"_{label}" if label else "")
            unit = "" if raw else band.unit
            columns.append(Column(number, place, name, band.name, unit, _values(stored, band, raw)))
    return columns


def _values(stored: np.ndarray, band: Band, raw: bool) -> np.ndarray:
    """As stored, or physical: floats where there is a scale."""
    if raw or not is_scaled(band):
        return stored
    with np.errstate(over="ignore", invalid="ignore"):
        scaled: np.ndarray = physical(stored.astype(np.float64), band, raw)
    return scaled


def points_table(
    sample: Sample, columns: Sequence[Column], profile: Profile, *, stratified: bool
) -> Table:
    """One row for each point."""
    # without a geotransform coordinates are pixels, y upwards, as QGIS has it
    transform = profile.transform or Affine(e=-1.0)
    x, y = transform * (sample.cols + 0.5, sample.rows + 0.5)
    strata = np.array(sample.strata, object)
    parts: list[Any] = [range(1, sample.rows.size + 1), x, y, sample.rows, sample.cols]
    parts += [strata[sample.places]] if stratified else []
    parts += [column.values for column in columns]
    named = ("stratum",) if stratified else ()
    names = ("point", "x", "y", "row", "column", *named, *(column.name for column in columns))
    lists = [part.tolist() if isinstance(part, np.ndarray) else part for part in parts]
    return Table("Points", names, tuple(zip(*lists)), "stratum" if stratified else "")


def strata_table(sample: Sample, band: Band) -> Table:
    """Pixels and points of each class, and its name where the image has some."""
    whole = sum(sample.counts.values())
    rows = tuple(
        (stratum, category(band, stratum), pixels, pixels / whole, points)
        for (stratum, pixels), points in zip(sample.counts.items(), sample.found)
    )
    return Table("Strata", ("stratum", "name", "count", "share", "points"), rows)


def sample_charts(
    sample: Sample, columns: Sequence[Column], *, stratified: bool
) -> tuple[Chart, ...]:
    """Of strata their points and mean values; else the distribution of the values."""
    if not sample.rows.size:
        return ()
    if not stratified:
        return (_histogram(columns[:MOST_SERIES]),)
    strata, found = [float(stratum) for stratum in sample.strata], sample.found
    shown = [place for place, stratum in enumerate(strata) if np.isfinite(stratum)]
    heights = tuple(float(found[place]) for place in shown)
    drawn = ("Points", tuple(strata[place] for place in shown), heights)
    bars = Chart("Points by class", "Class", "Points", (drawn,))
    places = tuple(float(place) for place in range(1, len(columns) + 1))
    series = []
    for place, stratum in enumerate(strata[:MOST_SERIES]):
        own = sample.places == place
        means = tuple(_mean(column.values[own]) for column in columns)
        series.append((f"Class {stratum:.12g}", places, means))
    kind = "lines" if len(columns) > 1 else "bars"
    means_chart = Chart(
        "Mean values by class", "Band, in the order of the columns", "Mean", tuple(series), kind
    )
    return bars, means_chart


def _mean(values: np.ndarray) -> float:
    """Of the finite ones; NaN, a gap in the plot, where there are none."""
    values = values.astype(np.float64)
    values = values[np.isfinite(values)]
    with np.errstate(over="ignore"):
        mean = float(values.mean()) if values.size else np.nan
    return mean if np.isfinite(mean) else np.nan


def _histogram(columns: Sequence[Column]) -> Chart:
    """How the finite values of each column lie, in bins that all share."""
    finite = [column.values.astype(np.float64) for column in columns]
    finite = [values[np.isfinite(values)] for values in finite]
    low = min((float(values.min()) for values in finite if values.size), default=0.0)
    high = max((float(values.max()) for values in finite if values.size), default=1.0)
    low, high = (low - 0.5, high + 0.5) if low == high else (low, high)
    # halves, since the range of doubles may be too wide for a double
    edges = np.linspace(low / 2, high / 2, BINS + 1)
    middles = tuple((edges[:-1] + edges[1:]).tolist())
    series = tuple(
        (column.name, middles, tuple(np.histogram(values / 2, edges)[0].astype(float).tolist()))
        for column, values in zip(columns, finite)
    )
    kind = "bars" if len(columns) == 1 else "lines"
    return Chart("Values of the points", "Value", "Points", series, kind)
