"""Holes filled from the valid pixels around them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.profile import Profile


@dataclass(frozen=True)
class FillNodata(ImageFilter):
    """Gives invalid pixels a value by inverse distance weighting of the nearest valid pixels.

    Around an invalid pixel the nearest valid one is looked for in each of four quadrants, at most
    the search distance away: sum(z / d^power) / sum(1 / d^power) over those found (up to four), d
    being the distance in pixels. A quadrant holds one of the half-axes that bound it: the northern
    one that to the north, and so on clockwise. Of several pixels equally far away, that of the
    nearest column counts. An invalid pixel that finds none stays invalid.

    Each smoothing iteration then replaces every filled pixel by the mean of the 3 x 3 pixels around
    it that are valid or filled. Valid pixels never change. Each band is handled by itself.

    Pixels keep their type; weights and sums are float64, integers are rounded half to even. Beyond
    the image there is nothing to fill from. GDAL's FillNodata, as gdal_fillnodata uses it, has a
    power of 1, quadrants that overlap on the half-axes, and smooths in another way.

    Source: D. Shepard, "A two-dimensional interpolation function for irregularly-spaced data",
    Proceedings of the ACM National Conference, 1968.
    """

    name: ClassVar[str] = "fillnodata"
    label: ClassVar[str] = "Fill nodata"
    spares_nodata: ClassVar[bool] = True
    group: ClassVar[str] = "Neighbourhood"
    sample: ClassVar[str] = "elevation"
    tags: ClassVar[tuple[str, ...]] = (
        "fill holes", "gaps", "voids", "interpolate", "inverse distance", "idw", "r.fillnulls",
        "close gaps", "fillmissingdata", "inpaint",
    )  # fmt: skip
    picture: ClassVar[Mapping[str, Any]] = {"max_distance": 30, "smoothing": 1}
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"max_distance": 3},
        {"max_distance": 8, "power": 1, "smoothing": 2},
    )

    max_distance: int = parameter(
        10,
        minimum=1,
        maximum=1000,
        unit="pixels",
        label="Search distance",
        help="How far away a valid pixel may be to have a part in filling",
    )
    smoothing: int = parameter(
        0,
        minimum=0,
        maximum=100,
        label="Smoothing iterations",
        help="How often the filled pixels are replaced by the mean of 3 x 3 pixels",
    )
    power: float = parameter(
        2.0,
        minimum=0,
        maximum=10,
        help="Of the distance by which a pixel is weighted: the higher, the more the nearest count",
        advanced=True,
    )

    @property
    def margin(self) -> int:
        """The search distance, and a pixel for each smoothing."""
        return self.max_distance + self.smoothing

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """The input's; integers keep a nodata value at an end of their type.

        No mean of other values is as low, or as high, save where float64 rounds.
        """
        profile = inputs[0]
        if profile.dtype.startswith("float") or profile.dtype.endswith("64"):
            return [profile.with_nodata(None)]
        limits = np.iinfo(profile.dtype)
        ends = [b.nodata if b.nodata in (limits.min, limits.max) else None for b in profile.bands]
        bands = (replace(band, nodata=nodata) for band, nodata in zip(profile.bands, ends))
        return [replace(profile, bands=tuple(bands))]

    def farthest(self, side: int) -> Optional[np.ndarray]:
        """A valid pixel in the ring as far as the search reaches, and one in the core."""
        margin = self.margin
        pixels = np.full((2, side, side), np.nan)
        pixels[:, 0, margin] = 100
        if self.smoothing:
            pixels[:, margin + 1, margin + 1] = 1
        return pixels

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block = blocks[0]
        margin = self.margin
        inner = (slice(None), *[slice(margin, size - margin) for size in block.pixels.shape[1:]])
        pixels = block.pixels[inner]
        if block.valid is None or block.valid[inner].all():
            return pixels, None
        pixels, valid = pixels.copy(), block.valid[inner].copy()
        # what lies beyond the image is invalid, but no hole
        image = np.zeros(block.pixels.shape[1:], bool)
        row, col = (max(0, margin - place) for place in block.core[:2])
        bottom = block.profile.height + margin - block.core.row
        right = block.profile.width + margin - block.core.col
        image[row:bottom, col:right] = True
        for band, mask in enumerate(block.valid):
            if not valid[band].all():
                self._fill(block.pixels[band], mask, image & ~mask, pixels[band], valid[band])
        return pixels, valid

    def _fill(
        self, pixels: np.ndarray, mask: np.ndarray, holes: np.ndarray, out: np.ndarray,
        valid: np.ndarray,
    ) -> None:  # fmt: skip
        """Fill the holes of one band; ``out`` and ``valid`` are its core's."""
        reach, smoothing = self.max_distance, self.smoothing
        near = (slice(reach, mask.shape[0] - reach), slice(reach, mask.shape[1] - reach))
        rows, cols = np.nonzero(holes[near])
        values = _interpolated(pixels, mask, rows + reach, cols + reach, reach, self.power)
        found = values == values
        # the core with a pixel more on each side for each smoothing
        surface = np.where(mask[near], pixels[near], 0).astype(np.float64)
        known = mask[near].copy()
        rows, cols = rows[found], cols[found]
        surface[rows, cols], known[rows, cols] = values[found], True
        filled = known & ~mask[near]
        for _ in range(smoothing):
            surface, known, filled = _smoothed(surface, known, filled)
        if out.dtype.kind in "iu":
            limits = np.iinfo(out.dtype)
            # the largest float64 that a 64-bit integer holds lies below its own limit
            high = np.nextafter(float(limits.max) + 1, 0)
            surface = np.clip(np.rint(surface), float(limits.min), min(high, float(limits.max)))
        np.copyto(out, surface, where=filled, casting="unsafe")
        valid |= filled


def _interpolated(
    pixels: np.ndarray, mask: np.ndarray, rows: np.ndarray, cols: np.ndarray, reach: int,
    power: float,
) -> np.ndarray:  # fmt: skip
    """The weighted mean of the nearest valid pixels of each place; NaN where there are none."""
    total, weights = np.zeros((2, len(rows)))
    above, below = _last_valid(mask), len(mask) - 1 - _last_valid(mask[::-1])[::-1]
    # North, east, south, west: the nearest valid row of a column that lies on one side or another;
    # the pixel's own row counts to the east and west.
    higher, lower = np.roll(above, 1, axis=0), np.roll(below, -1, axis=0)
    for side, lines, first in ((1, higher, 0), (1, below, 1), (-1, lower, 0), (-1, above, 1)):
        nearest = _nearest_of_quadrant(lines, rows, cols, side, first, reach)
        there = np.flatnonzero(nearest[0] <= reach * reach)
        squares, away = nearest[0][there], nearest[1][there]
        places = cols[there] + side * away
        found = pixels[lines[rows[there], places], places].astype(np.float64)
        weight = squares.astype(np.float64) ** (-power / 2)
        total[there] += weight * found
        weights[there] += weight
    with np.errstate(invalid="ignore"):
        result: np.ndarray = total / weights
    return result


def _last_valid(mask: np.ndarray) -> np.ndarray:
    """The row of the nearest valid pixel at or above each; far away where there is none."""
    rows = np.arange(len(mask), dtype=np.int32)[:, None]
    found = np.where(mask, rows, np.int32(-(2**20)))
    result: np.ndarray = np.maximum.accumulate(found, axis=0, out=found)
    return result


def _nearest_of_quadrant(
    lines: np.ndarray, rows: np.ndarray, cols: np.ndarray, side: int, first: int, reach: int
) -> tuple[np.ndarray, np.ndarray]:
    """Squared distance and columns away of the nearest valid pixel in one quadrant.

    Looks along the columns from ``first`` on, as long as one of them could be nearer.
    """
    nearest = np.full(len(rows), np.iinfo(np.int64).max)
    columns = np.zeros(len(rows), np.int64)
    active = np.arange(len(rows))
    for away in range(first, reach + 1):
        active = active[nearest[active] > away * away]
        if not active.size:
            break
        down = (lines[rows[active], cols[active] + side * away] - rows[active]).astype(np.int64)
        squares = down * down + away * away
        better = squares < nearest[active]
        chosen = active[better]
        nearest[chosen], columns[chosen] = squares[better], away
    return nearest, columns


def _smoothed(
    surface: np.ndarray, known: np.ndarray, filled: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One smoothing; everything loses a pixel on each side."""
    rows, cols = (size - 2 for size in surface.shape)
    total, count = np.zeros((2, rows, cols))
    for down in range(3):
        for right in range(3):
            place = (slice(down, down + rows), slice(right, right + cols))
            total += surface[place]
            count += known[place]
    inner = (slice(1, -1), slice(1, -1))
    changed = surface[inner].copy()
    np.divide(total, count, out=changed, where=filled[inner])
    return changed, known[inner], filled[inner]
