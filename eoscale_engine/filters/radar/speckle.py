"""Speckle filters from the mean and variance around each pixel, and the one filter of them all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import hypot, pi, sqrt
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.filters.neighbourhood.windows import Neighbourhood, by_validity, neighbourhood
from eoscale_engine.filters.radar.lee_sigma import POINT_REACH, lee_sigma, sigma_range
from eoscale_engine.filters.radar.refined_lee import RADIUS, refined_lee
from eoscale_engine.filters.radar.speckle_windows import (
    Plane,
    from_decibels,
    least_error,
    mean_and_variance,
    plane_of,
    to_decibels,
)
from eoscale_engine.profile import Profile

LEE, ENHANCED, REFINED, SIGMA = "Lee", "enhanced Lee", "refined Lee", "Lee sigma"
FROST, GAMMA, KUAN = "Frost", "Gamma-MAP", "Kuan"
METHODS = (LEE, ENHANCED, REFINED, SIGMA, FROST, GAMMA, KUAN)
INTENSITY, AMPLITUDE, DECIBEL = "intensity", "amplitude", "decibel"
PIXELS = (INTENSITY, AMPLITUDE, DECIBEL)


def speckle_variation(looks: float, data: str) -> float:
    """Cu^2, the squared coefficient of variation of fully developed speckle."""
    return (4 / pi - 1 if data == AMPLITUDE else 1.0) / looks


@dataclass(frozen=True)
class Speckle(ImageFilter):
    """One of the speckle filters, where looks and bright pixels of each band are known."""

    stage = "Speckle filter"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"looks": (4.0, 2.5)},
        {"method": KUAN, "looks": (1.0, 4.0), "data": AMPLITUDE, "radius": 2},
        {"method": ENHANCED, "looks": (0.4, 1.0), "radius": 2},
        {"method": REFINED, "looks": (4.0, 1.0)},
        {"method": FROST, "looks": (1.0, 1.0), "radius": 2, "damping": 0.1},
        {"method": GAMMA, "looks": (0.5, 0.2), "radius": 1},
        {"method": GAMMA, "looks": (0.5, 0.2), "radius": 2, "data": AMPLITUDE},
        {"method": SIGMA, "looks": (4.0, 1.0), "radius": 1, "bright": (30.0, -2.0)},
        {"method": SIGMA, "looks": (1.0, 4.0), "data": AMPLITUDE, "sigma": 0.5},
        {"method": LEE, "looks": (1.0, 0.2), "data": DECIBEL, "radius": 2},
    )

    looks: Any = parameter(kind="data", help="Number of looks of each band")
    method: str = parameter(LEE, choices=METHODS, help="Which filter")
    radius: int = parameter(3, minimum=1, maximum=50, unit="pixels", help="Half-width")
    data: str = parameter(INTENSITY, choices=PIXELS, help="What pixels are")
    damping: float = parameter(1.0, minimum=0, help="Of Frost and enhanced Lee")
    sigma: float = parameter(0.9, minimum=0.5, maximum=0.95, help="Share of the speckle")
    bright: Any = parameter(
        (), kind="data", help="From where on pixels of each band are bright; none without"
    )

    @property
    def margin(self) -> int:
        """The radius; at least 2 for bright pixels, whose neighbours are looked at with theirs."""
        if self.method == REFINED:
            return RADIUS
        return max(self.radius, POINT_REACH) if self.method == SIGMA else self.radius

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Physical values as floats, with any nodata."""
        dtype = "float32" if np.dtype(inputs[0].dtype).itemsize <= 4 else "float64"
        return [inputs[0].physical().with_dtype(dtype).with_nodata(None).without_classes()]

    def farthest(self, side: int) -> Optional[np.ndarray]:
        """A smooth image whose outermost ring is brighter; for bright pixels one with a corner.

        The corner of 3 x 3 has enough bright pixels around its middle one only with that ring.
        """
        image = np.full((2, side, side), 100.0)
        image[:, [0, -1]] = image[:, :, [0, -1]] = 110
        if self.margin > self.radius and self.method == SIGMA:
            image[...] = 10
            image[:, :3, :3] += np.arange(90, 135, 5).reshape(3, 3)
        return image

    def apply(self, blocks: Blocks) -> Pixels:
        """See the procedure."""
        block = blocks[0]
        margin = self.margin
        squared = self.method == GAMMA and self.data == AMPLITUDE
        decibels = self.data == DECIBEL

        def compute(
            band: int, pixels: np.ndarray, valid: Optional[np.ndarray], out: np.ndarray
        ) -> Optional[np.ndarray]:
            properties = block.profile.bands[band]
            plane = plane_of(pixels, valid, properties, margin, squared=squared, decibels=decibels)
            result = self._filtered(plane, band)
            lowest = result.min()
            if lowest != lowest:
                np.copyto(result, plane.at(plane.values), where=result != result)
            if squared:
                np.copysign(np.sqrt(np.abs(result)), result, out=result)
            if decibels:
                result = to_decibels(result)
            np.copyto(out, result, casting="same_kind")
            if valid is None:
                return None
            return valid[margin : margin + out.shape[0], margin : margin + out.shape[1]]

        (profile,) = self.output_profiles([block.profile])
        return by_validity(block, margin, np.dtype(profile.dtype), compute)

    def _filtered(self, plane: Plane, band: int) -> np.ndarray:
        """The result on the core of one band; NaN where the formula has none."""
        looks = self.looks[band]
        noise = speckle_variation(looks, self.data)
        if self.method == REFINED:
            return refined_lee(plane, noise)
        window = neighbourhood("square", self.radius)
        if self.method == SIGMA:
            kept = sigma_range(looks, self.sigma, amplitude=self.data == AMPLITUDE)
            bright = self.bright[band] if self.bright else np.inf
            bright = from_decibels(bright) if self.data == DECIBEL else bright
            return lee_sigma(plane, window, noise, kept, bright)
        pixels = plane.at(plane.values)
        mean, variance = mean_and_variance(plane.sums(window))
        if self.method == FROST:
            return _frost(plane, window, mean, variance, self.damping)
        if self.method == ENHANCED:
            return _enhanced_lee(pixels, mean, variance, noise, self.damping)
        if self.method == GAMMA:
            return _gamma_map(pixels, mean, variance, looks)
        return least_error(pixels, mean, variance, noise, exact=self.method == KUAN)


# ---------------------------------------------------------------- the formulas


def _enhanced_lee(
    pixels: np.ndarray, mean: np.ndarray, variance: np.ndarray, noise: float, damping: float
) -> np.ndarray:
    """The mean where Ci is at most Cu, the pixel where it is at least Cmax, and between them."""
    speckle, most = sqrt(noise), sqrt(1 + 2 * noise)
    variation = np.maximum(variance, 0)
    np.sqrt(variation, out=variation)
    variation /= mean
    weight = variation - speckle
    weight /= most - variation
    weight *= -damping
    np.exp(weight, out=weight)
    result = mean - pixels
    result *= weight
    result += pixels
    np.copyto(result, mean, where=variation <= speckle)
    np.copyto(result, pixels, where=variation >= most)
    return result


def _gamma_map(
    pixels: np.ndarray, mean: np.ndarray, variance: np.ndarray, looks: float
) -> np.ndarray:
    """The most probable intensity of a scene whose intensities follow a gamma distribution."""
    variation = variance / mean
    variation /= mean
    alpha = (1 + 1 / looks) / (variation - 1 / looks)
    slope = alpha - (looks + 1)
    slope *= mean
    alpha *= 2
    root = alpha * mean
    root *= pixels
    root *= 2 * looks
    root += slope * slope
    np.sqrt(root, out=root)
    root += slope
    root /= alpha
    np.copyto(root, mean, where=variation <= 1 / looks)
    np.copyto(root, pixels, where=variation >= 2 / looks)
    return root


def _frost(
    plane: Plane, window: Neighbourhood, mean: np.ndarray, variance: np.ndarray, damping: float
) -> np.ndarray:
    """The mean weighted by exp(-K Ci^2 d), pixels of the same distance d together."""
    rate = variance / mean
    rate /= mean
    rate *= -damping
    total, weights = plane.at(plane.values).copy(), np.ones(plane.shape)
    ring, weight = np.empty_like(total), np.empty_like(total)
    for distance, places in _rings(window.radius):
        np.multiply(rate, distance, out=weight)
        np.exp(weight, out=weight)
        _ring_sum(plane, plane.values, places, ring)
        ring *= weight
        total += ring
        if plane.ones is None:
            weight *= float(len(places))
        else:
            _ring_sum(plane, plane.ones, places, ring)
            weight *= ring
        weights += weight
    total /= weights
    return total


def _ring_sum(
    plane: Plane, lines: np.ndarray, places: Sequence[tuple[int, int]], out: np.ndarray
) -> None:
    np.copyto(out, plane.at(lines, *places[0]))
    for place in places[1:]:
        out += plane.at(lines, *place)


@lru_cache(maxsize=16)
def _rings(radius: int) -> list[tuple[float, list[tuple[int, int]]]]:
    """The places of a square around its centre, by their distance from there."""
    side = range(-radius, radius + 1)
    rings: dict[int, list[tuple[int, int]]] = {}
    for row in side:
        for col in side:
            rings.setdefault(row * row + col * col, []).append((row, col))
    del rings[0]
    return [(hypot(*places[0]), places) for _, places in sorted(rings.items())]
