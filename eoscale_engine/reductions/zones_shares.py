"""Moments of polygons in which each pixel counts by the share of it that the polygon covers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eoscale_engine.declaration import Block, Blocks, Input, Reduction, image, parameter
from eoscale_engine.reductions.statistics import Moments, merge_moments
from eoscale_engine.reductions.zones_columns import Zone, ZoneBand
from eoscale_engine.tiling import Window


@dataclass(frozen=True)
class ShareMoments(Reduction[dict[int, Zone], dict[int, Zone]]):
    """Pixels, area and moments of polygons, cell by cell. Gives a :class:`Zone` by number.

    Counts are sums of shares, and so no whole numbers.
    """

    stage = "Finding statistics by covered area"
    inputs: ClassVar[tuple[Input, ...]] = (image("INPUT"),)
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    zones: Any = parameter(kind="data", help="Zones, which are polygons")

    def map(self, blocks: Blocks) -> dict[int, Zone]:
        """The polygons in one cell."""
        polygons, core, found = self.zones.polygons, blocks.core, {}
        for number in polygons.near(core).tolist():
            window = Window(*polygons.bounds[number].tolist()).intersection(core)
            shares = polygons.shares(number, window)
            covered = shares > 0
            if not covered.any():
                continue
            area = 0.0
            if self.zones.row_areas is not None:
                rows = self.zones.row_areas[window.row : window.end_row]
                area = float((shares.sum(axis=1) * rows).sum())
            part, weights = window.relative_to(core).slices, shares[covered]
            bands = tuple(
                ZoneBand(_moments(blocks[0], (band, *part), covered, weights))
                for band in range(len(blocks[0].pixels))
            )
            found[number] = Zone(float(weights.sum()), area, bands)
        return found

    def merge(self, first: dict[int, Zone], second: dict[int, Zone]) -> dict[int, Zone]:
        """Both cells together."""
        for number, zone in second.items():
            first[number] = _joined(first[number], zone) if number in first else zone
        return first


def _moments(block: Block, part: Any, covered: np.ndarray, weights: np.ndarray) -> Moments:
    """Of the covered pixels of a part of a block."""
    values, invalid = block.pixels[part][covered], 0.0
    if block.valid is not None:
        valid = block.valid[part][covered]
        invalid = float(weights[~valid].sum())
        values, weights = values[valid], weights[valid]
    if not values.size:
        return Moments(invalid=invalid)
    count, low, high = float(weights.sum()), values.min().item(), values.max().item()
    finite = np.isfinite(values)
    beyond = float(weights[~finite].sum()) if not finite.all() else 0.0
    kept, shares = values[finite].astype(np.float64), weights[finite]
    # the sum of very large floats may overflow to infinity, as it says
    with np.errstate(over="ignore", invalid="ignore"):
        total = float((kept * shares).sum())
        mean = min(max(total / float(shares.sum()), low), high) if kept.size else 0.0
        squares = float((shares * (kept - mean) ** 2).sum())
    return Moments(count, invalid, beyond, low, high, total, squares)


def _joined(one: Zone, two: Zone) -> Zone:
    bands = (
        ZoneBand(merge_moments(first.moments, second.moments))
        for first, second in zip(one.bands, two.bands)
    )
    return Zone(one.pixels + two.pixels, one.area + two.area, tuple(bands))
