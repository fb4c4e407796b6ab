"""Moments of large and scattered zones, from what each cell has of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import repeat
from typing import Any, ClassVar, NamedTuple

import numpy as np

from eoscale_engine.declaration import Block, Blocks, Input, Reduction, parameter
from eoscale_engine.reductions.statistics import Moments
from eoscale_engine.reductions.zones import INPUTS, Members, starts_of


class Sizes(NamedTuple):
    """Pixels of zones and their area, by the zones' places among those asked for, ascending."""

    zones: np.ndarray
    pixels: np.ndarray
    areas: np.ndarray


class BandMoments(NamedTuple):
    """The columns of :class:`Moments`, of the zones that have valid pixels in one band.

    ``totals`` holds Python ints for 64-bit integers, int64 for others, and float64 for floats.
    """

    zones: np.ndarray
    valid: np.ndarray
    infinite: np.ndarray
    minimum: np.ndarray
    maximum: np.ndarray
    totals: np.ndarray
    squares: np.ndarray

    def each(self) -> Iterator[Moments]:
        """The moments of each row, as Python numbers."""
        valid, infinite, *others = (column.tolist() for column in self[1:])
        for row in zip(valid, repeat(0), infinite, *others):
            yield Moments(*row)


ZonesPartial = tuple[Sizes, list[BandMoments]]


@dataclass(frozen=True)
class ZoneMoments(Reduction[ZonesPartial, ZonesPartial]):
    """Pixels, area and moments of zones, merged cell by cell as those of the whole image are."""

    stage = "Finding statistics of large zones"
    inputs: ClassVar[tuple[Input, ...]] = INPUTS
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    zones: Any = parameter(kind="data", help="Zones")
    chosen: Any = parameter(kind="data", help="Numbers of the zones asked for, ascending")

    def map(self, blocks: Blocks) -> ZonesPartial:
        """The zones' pixels in one cell."""
        parts = self.zones.members(blocks, self.chosen)
        return reduce(self.merge, (self._of(blocks, by_zone(members)) for members in parts))

    def _of(self, blocks: Blocks, members: Members) -> ZonesPartial:
        starts = starts_of(members.zones)
        pixels = np.diff(starts, append=members.zones.size)
        areas = np.zeros(starts.size)
        if self.zones.row_areas is not None and starts.size:
            rows = members.places // blocks.core.cols + blocks.core.row
            areas = np.add.reduceat(self.zones.row_areas[rows], starts)
        sizes = Sizes(members.zones[starts], pixels, areas)
        with np.errstate(over="ignore", invalid="ignore"):
            bands = [
                band_moments(*valid_values(blocks[0], band, members))
                for band in range(len(blocks[0].pixels))
            ]
        return sizes, bands

    def merge(self, first: ZonesPartial, second: ZonesPartial) -> ZonesPartial:
        """Both cells together."""
        zones, pixels, areas = (np.concatenate(pair) for pair in zip(first[0], second[0]))
        order, starts = _joined(zones)
        sizes = first[0]
        if starts.size:
            sums = [np.add.reduceat(column[order], starts) for column in (pixels, areas)]
            sizes = Sizes(zones[order][starts], *sums)
        with np.errstate(over="ignore", invalid="ignore"):
            return sizes, [_merged(one, two) for one, two in zip(first[1], second[1])]


def by_zone(members: Members) -> Members:
    """Pixels sorted by zone, in row order within each; those of polygons are already."""
    if (members.zones[1:] >= members.zones[:-1]).all():
        return members
    # of 16 bits a stable sort is a radix sort
    order = np.argsort(members.zones, kind="stable")
    return Members(members.zones[order], members.places[order])


def _joined(zones: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The order of two ascending runs together, and where each zone then begins."""
    order = np.argsort(zones, kind="stable")
    return order, starts_of(zones[order])


def valid_values(block: Block, band: int, members: Members) -> tuple[np.ndarray, np.ndarray]:
    """Zones and values of the valid pixels of one band."""
    zones, places = members
    if block.valid is not None:
        known = block.valid[band].ravel()[places]
        zones, places = zones[known], places[known]
    return zones, block.pixels[band].ravel()[places]


def band_moments(zones: np.ndarray, values: np.ndarray) -> BandMoments:
    """Of values sorted by zone, in two passes: sums, then squared deviations from the means."""
    starts = starts_of(zones)
    if not starts.size:
        none = np.empty(0, np.int64)
        return BandMoments(
            zones,
            none,
            none,
            values,
            values,
            values.astype(totals_dtype(values.dtype)),
            np.empty(0),
        )
    valid = np.diff(starts, append=zones.size)
    low, high = np.minimum.reduceat(values, starts), np.maximum.reduceat(values, starts)
    infinite, counted, totals = np.zeros_like(valid), None, None
    if values.dtype.kind == "f":
        above = values.astype(np.float64)
        counted = np.isfinite(above)
        above[~counted] = 0
        infinite = valid - np.add.reduceat(counted.astype(np.int64), starts)
        sums: np.ndarray = np.add.reduceat(above, starts)
    elif values.dtype.itemsize == 8:
        # float64 would round them; unsigned distances from the smallest are exact
        distances = values.view(np.uint64) - np.repeat(low.view(np.uint64), valid)
        halves = (distances >> np.uint64(32), distances & np.uint64(0xFFFF_FFFF))
        upper, lower = (np.add.reduceat(half, starts).astype(object) for half in halves)
        sums = upper * 2**32 + lower
        totals = sums + low.astype(object) * valid.astype(object)
        above = distances.astype(np.float64)
    else:
        sums, above = np.add.reduceat(values.astype(np.int64), starts), values.astype(np.float64)
    means = (sums / np.maximum(valid - infinite, 1)).astype(np.float64)
    if counted is not None:
        means = np.clip(means, low, high)  # rounding must not give equal pixels a mean beside them
    above -= np.repeat(means, valid)
    if counted is not None:
        above[~counted] = 0
    squares = np.add.reduceat(above * above, starts)
    totals = sums if totals is None else totals
    return BandMoments(zones[starts], valid, infinite, low, high, totals, squares)


def totals_dtype(dtype: np.dtype) -> np.dtype:
    """The type that holds the sums of such values."""
    if dtype.kind == "f":
        return np.dtype(np.float64)
    return np.dtype(object if dtype.itemsize == 8 else np.int64)


def _merged(one: BandMoments, two: BandMoments) -> BandMoments:
    """By the update of Chan, Golub and LeVeque (see ``merge_moments``), zone by zone."""
    zones = np.concatenate((one.zones, two.zones))
    order, starts = _joined(zones)
    if not starts.size:
        return one
    columns = [np.concatenate(pair)[order] for pair in zip(one, two)]
    zones, valid, infinite, low, high, totals, squares = columns
    finite = valid - infinite
    first = starts[np.diff(starts, append=zones.size) == 2]
    first = first[(finite[first] > 0) & (finite[first + 1] > 0)]
    n1, n2 = finite[first], finite[first + 1]
    if totals.dtype == object:
        # exact before its one division
        m1, m2 = n1.astype(object), n2.astype(object)
        gaps = (totals[first] * m2 - totals[first + 1] * m1) / (m1 * m2)
    else:
        means = totals / np.maximum(finite, 1)
        if means.dtype == totals.dtype:  # floats, of which rounding must not part equal ones
            means = np.clip(means, low, high)
        gaps = means[first] - means[first + 1]
    squares[first] += gaps.astype(np.float64) ** 2 * (n1 * (n2 / (n1 + n2)))
    return BandMoments(
        zones[starts],
        np.add.reduceat(valid, starts),
        np.add.reduceat(infinite, starts),
        np.minimum.reduceat(low, starts),
        np.maximum.reduceat(high, starts),
        np.add.reduceat(totals, starts),
        np.add.reduceat(squares, starts),
    )
