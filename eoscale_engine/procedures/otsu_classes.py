"""The best way to cut a histogram into classes: exact dynamic programming."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple, Optional

import numpy as np


class Parted(NamedTuple):
    """Classes of a histogram.

    Attributes
    ----------
    lasts : tuple of int
        The number of the last value of each class but the highest.
    eta : float
        The variance between the classes as a share of the whole variance.
    pixels, means : tuples
        Of each class.
    """

    lasts: tuple[int, ...]
    eta: float
    pixels: tuple[int, ...]
    means: tuple[float, ...]


@dataclass(frozen=True)
class _Sums:
    """Running sums over the values, from 0: of pixels, and of their deviations from the mean."""

    pixels: np.ndarray
    deviations: np.ndarray

    def gains(self, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """What classes of the values ``start <= i < stop`` add: (sum of deviations)^2 / pixels.

        Together they are the number of pixels times the variance between the classes.
        """
        totals = self.deviations[stop] - self.deviations[start]
        gains: np.ndarray = totals * totals / (self.pixels[stop] - self.pixels[start])
        return gains


def best_parts(values: np.ndarray, counts: np.ndarray, classes: int) -> Optional[Parted]:
    """The classes with the largest variance between them; None of fewer values than classes.

    Parameters
    ----------
    values : float64 array of (n,)
        Ascending.
    counts : int64 array of (n,)
        Greater than 0.
    classes : int
        At least 2.
    """
    number = len(values)
    if number < classes:
        return None
    # thresholds do not change when values are moved and stretched; squares could overflow
    scaled = (values - values[0]) / (values[-1] - values[0])
    pixels = counts.astype(np.float64)
    scaled -= (scaled * pixels).sum() / pixels.sum()
    sums = _Sums(*(np.concatenate(([0.0], np.cumsum(v))) for v in (pixels, scaled * pixels)))
    best = np.full(number + 1, -np.inf)
    best[1:] = sums.gains(np.zeros(number, np.intp), np.arange(1, number + 1))
    choices = []
    for place in range(2, classes):
        best, choice = _one_more(best, sums, place)
        choices.append(choice)
    last = np.arange(classes - 1, number)
    ends = [number, int(last[np.argmax(best[last] + sums.gains(last, np.full_like(last, number)))])]
    for choice in reversed(choices):
        ends.append(int(choice[ends[-1]]))
    ends = [0, *reversed(ends)]
    parts = [slice(start, stop) for start, stop in zip(ends, ends[1:])]
    shares = [counts[part] / counts[part].sum() for part in parts]
    centres = [float((scaled[part] * share).sum()) for part, share in zip(parts, shares)]
    within = math.fsum(
        float((pixels[part] * (scaled[part] - centre) ** 2).sum())
        for part, centre in zip(parts, centres)
    )
    means = (
        values[0] + ((values[part] - values[0]) * share).sum() for part, share in zip(parts, shares)
    )
    return Parted(
        tuple(end - 1 for end in ends[1:-1]),
        1 - within / float((pixels * scaled**2).sum()),
        tuple(int(counts[part].sum()) for part in parts),
        tuple(map(float, means)),
    )


def _one_more(best: np.ndarray, sums: _Sums, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """From the best sums for one class less, those for so many, and where the last class starts.

    Entry ``j`` is of the first ``j`` values. The best start of the last class never moves down as
    ``j`` grows (sums of squares about means obey the quadrangle inequality), so that of the middle
    ``j`` halves the search for all others: n log n gains in place of n^2. All searches of one depth
    run together.
    """
    number = len(best) - 1
    most, choice = np.full(number + 1, -np.inf), np.zeros(number + 1, np.intp)
    # each search: the entries first..last, whose starts lie in low..high
    first, last = np.array([classes]), np.array([number])
    low, high = np.array([classes - 1]), np.array([number - 1])
    while first.size:
        middle = (first + last) // 2
        stop = np.minimum(high, middle - 1)
        widths = stop - low + 1
        offsets = np.concatenate(([0], np.cumsum(widths)[:-1]))
        which = np.repeat(np.arange(first.size), widths)
        starts = np.arange(widths.sum()) - offsets[which] + low[which]
        found = best[starts] + sums.gains(starts, middle[which])
        most[middle] = np.maximum.reduceat(found, offsets)
        # the first of those as good
        equal = np.flatnonzero(found == most[middle][which])
        owners, places = np.unique(which[equal], return_index=True)
        chosen = starts[equal[places]]
        choice[middle] = chosen[owners]
        lower, upper = first < middle, middle < last
        first, last, low, high = (
            np.concatenate(pair)
            for pair in (
                (first[lower], middle[upper] + 1),
                (middle[lower] - 1, last[upper]),
                (low[lower], chosen[upper]),
                (chosen[lower], high[upper]),
            )
        )
    return most, choice
