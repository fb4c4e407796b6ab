"""Lee's refined filter: statistics of that half of the window which lies on the pixel's side."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from eoscale_engine.filters.neighbourhood.windows import (
    Neighbourhood,
    neighbourhood,
    neighbourhood_of,
)
from eoscale_engine.filters.radar.speckle_windows import Plane, Sums, least_error, mean_and_variance

RADIUS = 3
"""The window has 7 x 7 pixels: nine overlapping ones of 3 x 3 show where an edge is."""

_STEPS = (-2, 0, 2)

_SIDES = (
    ((-2, -2), (0, -2), (2, -2)),
    ((-2, -2), (-2, 0), (-2, 2)),
    ((-2, -2), (-2, 0), (0, -2)),
    ((-2, 2), (-2, 0), (0, 2)),
)
"""For each direction of a gradient the small windows on its first side; the second's lie opposite:
left and right, above and below, and the corners on either side of a diagonal."""

_TOWARDS = ((0, -2), (-2, 0), (-2, -2), (-2, 2))
"""For each direction the small window in the middle of its first side."""


@lru_cache(maxsize=1)
def half_windows() -> tuple[Neighbourhood, ...]:
    """28 of the 49 pixels: for each direction those of the first side, then of the second.

    Each holds the line through the centre along the edge.
    """
    rows, cols = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    halves = []
    for row, col in _TOWARDS:
        along = rows * np.sign(row) + cols * np.sign(col)
        halves += [along >= 0, along <= 0]
    return tuple(neighbourhood_of(tuple(map(tuple, half.tolist()))) for half in halves)


def refined_lee(plane: Plane, noise: float) -> np.ndarray:
    """The estimate of the least error from the chosen half of each window."""
    chosen = _chosen_half(plane)
    number = np.asarray(float(half_windows()[0].size))
    if plane.ones is not None:
        number = _half_sums(plane, plane.ones, chosen)
    total, squares = (_half_sums(plane, lines, chosen) for lines in (plane.values, plane.squares))
    mean, variance = mean_and_variance(Sums(number, total, squares))
    return least_error(plane.at(plane.values), mean, variance, noise, exact=True)


def _half_sums(plane: Plane, lines: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """The sum over the chosen half of each window; the sums of rows' runs serve all halves."""
    runs = [lines]
    while len(runs) < 2 * RADIUS + 1:
        runs.append(runs[-1][:-1] + lines[len(runs) :])
    result, part = np.zeros((2, *plane.shape))
    total = np.empty(lines.size - 2 * RADIUS * (plane.pitch + 1))
    for code, half in enumerate(half_windows()):
        first, *others = (
            runs[width - 1][row * plane.pitch + col :][: total.size]
            for row, col, width in half.runs
        )
        np.add(first, others[0], out=total)
        for run in others[1:]:
            total += run
        # twice as fast as copying where it is chosen
        np.multiply(plane.placed(total, half), chosen == code, out=part)
        result += part
    return result


def _chosen_half(plane: Plane) -> np.ndarray:
    """Which of the half windows each pixel takes."""
    means = _small_means(plane)
    strongest = np.full(plane.shape, -1.0)
    chosen = np.zeros(plane.shape, np.uint8)
    centre = means[0, 0]
    for code, (side, (row, col)) in enumerate(zip(_SIDES, _TOWARDS)):
        gradient = np.zeros(plane.shape)
        for place in side:
            gradient += means[place]
            gradient -= means[-place[0], -place[1]]
        np.abs(gradient, out=gradient)
        stronger = gradient > strongest
        np.maximum(strongest, gradient, out=strongest)
        farther = np.abs(means[row, col] - centre) > np.abs(means[-row, -col] - centre)
        half = farther.astype(np.uint8)
        half += np.uint8(2 * code)
        # in place of a copy where it is stronger: bytes wrap round to the right number
        half -= chosen
        half *= stronger
        chosen += half
    return chosen


def _small_means(plane: Plane) -> dict[tuple[int, int], np.ndarray]:
    """Means of the nine windows of 3 x 3, by their place; the centre's for those without pixels."""
    small = neighbourhood("square", 1)
    places = [(row, col) for row in _STEPS for col in _STEPS]
    lines = plane.gathered(plane.values, small)
    if plane.ones is None:
        lines /= float(small.size)
        return {place: plane.placed(lines, small, *place) for place in places}
    number = plane.gathered(plane.ones, small)
    lines /= number
    centre = plane.placed(lines, small)
    return {
        place: np.where(
            plane.placed(number, small, *place) > 0, plane.placed(lines, small, *place), centre
        )
        for place in places
    }
