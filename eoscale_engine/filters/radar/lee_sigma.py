"""Lee's improved sigma filter: pixels within the range of the speckle, point targets kept."""

from __future__ import annotations

from functools import lru_cache
from math import exp, lgamma, log, sqrt
from typing import NamedTuple

import numpy as np

from eoscale_engine.filters.neighbourhood.windows import (
    Neighbourhood,
    gather_window,
    merging,
    neighbourhood,
)
from eoscale_engine.filters.radar.speckle_windows import (
    Plane,
    Sums,
    least_error,
    mean_and_variance,
)

POINT_REACH = 2
"""How far away a pixel may be that decides whether another one is part of a point target."""

_POINT_PIXELS = 5
_SMALL = neighbourhood("square", 1)
_SUM, _ANY = merging(np.add), merging(np.logical_or)


class SigmaRange(NamedTuple):
    """Between which multiples of the mean pixels count, and Cu^2 of the speckle within."""

    low: float
    high: float
    noise: float


@lru_cache(maxsize=64)
def sigma_range(looks: float, sigma: float, *, amplitude: bool) -> SigmaRange:
    """The range that holds the share ``sigma`` of the speckle, with its mean unchanged at 1.

    Integrals are sums of trapezoids over the logarithm of the intensity, of the gamma distribution
    with mean 1 and variance 1 / looks. The higher the range begins, the higher is its mean.
    """
    start = -max(20 / looks, 10 / sqrt(looks))
    end = log(1 + max(40 / looks, 12 / sqrt(looks)))
    steps = np.linspace(start, end, 20001)
    intensity = np.exp(steps)
    density = np.exp(looks * (steps - intensity) + (looks * log(looks) - lgamma(looks)))
    values = intensity
    if amplitude:
        root = exp(lgamma(looks + 0.5) - lgamma(looks)) / sqrt(looks)
        values = np.sqrt(intensity) / root
    share = _integral(density)
    first, second = _integral(density * values), _integral(density * values**2)
    first, second, share = first / share[-1], second / share[-1], share / share[-1]
    lower = steps[share <= 1 - sigma]
    upper = np.interp(share[: lower.size] + sigma, share, steps)
    means = (np.interp(upper, steps, first) - first[: lower.size]) / sigma
    low = float(np.interp(1, means, lower))
    high = float(np.interp(low, lower, upper))
    ends = np.interp((low, high), steps, second)
    low, high = (float(value) for value in np.interp((low, high), steps, values))
    return SigmaRange(low, high, max(0.0, float(ends[1] - ends[0]) / sigma - 1))


def _integral(density: np.ndarray) -> np.ndarray:
    """From the first step up to each one, in steps."""
    return np.concatenate(([0.0], np.cumsum(density[1:] + density[:-1]) / 2))


def lee_sigma(
    plane: Plane, window: Neighbourhood, noise: float, kept: SigmaRange, bright: float
) -> np.ndarray:
    """The estimate of the least error from the window's pixels within the range of the speckle."""
    pixels = plane.at(plane.values)
    guess = least_error(pixels, *mean_and_variance(plane.sums(_SMALL)), noise, exact=True)
    sums = _selected(plane, window.radius, guess * kept.low, guess * kept.high)
    result = least_error(pixels, *mean_and_variance(sums), kept.noise, exact=True)
    np.copyto(result, guess, where=sums.number == 0)
    if bright < np.inf:
        np.copyto(result, pixels, where=_point_targets(plane, bright))
    return result


def _selected(plane: Plane, radius: int, low: np.ndarray, high: np.ndarray) -> Sums:
    """Sums over the pixels of each window that lie between two values.

    Both are greater than 0 wherever the result counts, so that invalid pixels are left out.
    """
    side = range(-radius, radius + 1)
    total, squares = np.zeros((2, *plane.shape))
    number = np.zeros(plane.shape, np.min_scalar_type(len(side) ** 2))
    chosen, above = np.empty((2, *plane.shape), bool)
    part = np.empty(plane.shape)
    for place in ((row, col) for row in side for col in side):
        values = plane.at(plane.values, *place)
        np.greater_equal(values, low, out=chosen)
        np.less_equal(values, high, out=above)
        chosen &= above
        number += chosen.view(np.uint8)
        np.multiply(values, chosen, out=part)
        total += part
        part *= values
        squares += part
    return Sums(number.astype(np.float64), total, squares)


def _point_targets(plane: Plane, bright: float) -> np.ndarray:
    """Bright pixels around a bright one that has at least five of them in its 3 x 3 pixels."""
    lines = plane.values >= bright
    if plane.ones is not None:
        lines &= plane.ones != 0
    middle = plane.pitch + 1
    count = gather_window(_SUM, lines.view(np.uint8), plane.pitch, _SMALL)
    clusters = count >= _POINT_PIXELS
    clusters &= lines[middle : middle + clusters.size]
    around = gather_window(_ANY, clusters, plane.pitch, _SMALL)
    # what was gathered twice begins two rows and columns further than the margin
    return plane.placed(around, neighbourhood("square", POINT_REACH)) & plane.at(lines)
