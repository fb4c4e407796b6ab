"""The made-up land of the sample scene: relief, slopes, land cover and parcels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eoscale_engine.filters.sample.random_fields import (
    coarser,
    hashed,
    places,
    refined,
    smooth,
    uniform,
)
from eoscale_engine.tiling import Window

RELIEF = 1500.0
"""Metres of a height of 1, for cells of 10 m."""

WATER, MEADOW, FOREST, CROPS, ROCK, SNOW, TOWN = range(7)

_COARSEST = 7
"""Level, with cells of ``2 ** level`` pixels, at which the relief begins."""

_LAKE = np.float32(0.02)


class Land(NamedTuple):
    """What lies in a window, each ``(rows, cols)``: height and its change by pixel to the south and
    to the east (relief units), the class of land cover, and a parcel's own number from 0 to 1.
    """

    height: np.ndarray
    south: np.ndarray
    east: np.ndarray
    cover: np.ndarray
    parcel: np.ndarray


def relief(window: Window, seed: int, level: int = 0) -> np.ndarray:
    """Height of the land, from about 0 (lakes) to 1 (peaks), on the lattice of a level.

    Octave by octave from the coarsest, the larger ones as ridges, ``(1.3 - abs(noise)) ** 2``, and
    each the stronger the higher the land is: rough mountains over smooth valleys, as erosion leaves
    them (a heterogeneous multifractal: F. K. Musgrave in "Texturing and Modeling", 1994). Rivers
    cut their valleys into it.
    """
    if level == _COARSEST:
        return smooth(window, 2, seed) * np.float32(0.17) + np.float32(0.3)
    land = refined(relief(coarser(window), seed, level + 1), window)
    if level == 0:
        return land
    change = smooth(window, 2, seed + level + 1)
    if level > 2:
        np.abs(change, out=change)
        np.subtract(np.float32(1.3), change, out=change)
        np.maximum(change, 0, out=change)
        change *= change
        change -= np.float32(0.4)
    change *= np.float32(0.65 * 0.45 ** (_COARSEST - 1 - level))
    change *= np.clip(land + np.float32(0.05), np.float32(0.03), np.float32(1))
    land += change
    if level == 3:
        course = _river(window, seed, level) ** 2
        land *= (course + np.float32(0.002)) / (course + np.float32(0.06))
    return land


def _river(window: Window, seed: int, level: int = 0) -> np.ndarray:
    """A field that is 0 along the rivers."""
    meanders = smooth(window, 6 - level, seed + 18) * np.float32(0.15)
    meanders += smooth(window, 9 - level, seed + 19)
    return meanders


def surface(window: Window, seed: int) -> np.ndarray:
    """The relief with the lakes' level surface."""
    return np.maximum(relief(window, seed), _LAKE)


def land(window: Window, seed: int) -> Land:
    """All of a window's land."""
    wide = surface(window.expanded(1), seed)
    south = (wide[2:, 1:-1] - wide[:-2, 1:-1]) * np.float32(0.5)
    east = (wide[1:-1, 2:] - wide[1:-1, :-2]) * np.float32(0.5)
    high = wide[1:-1, 1:-1]
    parcel, hedge = _parcels(window, seed)

    patches = smooth(window, 6, seed + 20)
    patches += smooth(window, 3, seed + 21) * np.float32(0.35)
    region = smooth(window, 8, seed + 22) + patches * np.float32(0.4)
    rough = patches * np.float32(0.06)
    flat = np.abs(south) + np.abs(east) < 0.0025
    cover = np.full(high.shape, MEADOW, np.uint8)
    cover[(high < 0.35) & (region > -0.9)] = CROPS
    cover[((patches > 1.1) | (high + 4 * rough > 0.4)) & (high + rough < 0.72)] = FOREST
    cover[hedge & (cover == CROPS)] = FOREST
    cover[flat & (patches < -1.5) & (high < 0.3)] = TOWN
    cover[high + rough > 0.8] = ROCK
    cover[high + rough > 1] = SNOW
    cover[(high <= _LAKE) | ((np.abs(_river(window, seed)) < 0.01) & (high < 0.5))] = WATER
    return Land(high, south, east, cover, parcel)


def _parcels(window: Window, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Each parcel's number, and where the hedges between some of them are.

    Strips of parcels in one of two directions, each strip shifted and its parcels as long as chance
    has it.
    """
    rows, cols = (place.astype(np.float32) for place in places(window))
    turned = smooth(window, 7, seed + 23) > 0
    bend = smooth(window, 6, seed + 24) * np.float32(3)
    across = np.where(turned, cols + rows * np.float32(0.35), rows - cols * np.float32(0.6)) + bend
    along = np.where(turned, rows - cols * np.float32(0.35), cols + rows * np.float32(0.6))
    across *= np.float32(1 / 22)
    strip = np.floor(across)
    chance = hashed(strip.astype(np.int64), turned, seed + 25)
    along = along / (np.float32(22) + np.float32(40) * chance) + chance * np.float32(7)
    piece = np.floor(along)
    parcel = hashed(strip.astype(np.int64), piece.astype(np.int64), seed + 26)
    hedge = (across - strip < 0.09) & (chance > 0.6)
    return parcel, hedge


def texture(window: Window, seed: int, strength: float) -> np.ndarray:
    """Factors about 1 that differ from pixel to pixel."""
    factors = uniform(window, seed)
    factors *= np.float32(2 * strength)
    factors += np.float32(1 - strength)
    return factors
