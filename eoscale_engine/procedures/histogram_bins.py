"""How many bins a histogram gets, and where those of integers lie."""

from __future__ import annotations

import math
import sys

from eoscale_engine.errors import InputError
from eoscale_engine.filters.physical_values import decimal
from eoscale_engine.reductions.histogram import MAXIMUM_BINS

LARGEST_INTEGER = 2**51
"""Up to here float64 holds the half-integers between which integers have their bins."""


def integer_layout(lower: float, upper: float, each: int) -> tuple[float, float, int]:
    """First edge, last edge and number of bins that hold ``each`` integers.

    An :class:`InputError` where there are none, or too many.
    """
    first, last = math.ceil(lower), math.floor(upper)
    if first > last or max(-first, last) > LARGEST_INTEGER:
        raise InputError(
            f"Histogram: from {lower:.12g} to {upper:.12g} there is no integer that can have a bin "
            "of its own. Choose bins by number."
        )
    bins = affordable(math.ceil((last - first + 1) / each))
    return first - 0.5, first - 0.5 + bins * each, bins


def width_layout(
    lower: float, upper: float, width: float, *, aligned: bool
) -> tuple[float, float, int]:
    """First edge, last edge and number of bins of a width that hold some values.

    Edges are decimals, so that bins of 0.1 end at 0.3 and not beside it. ``aligned``: the first one
    is the multiple of the width at or below the lowest value.
    """
    first, last, step = map(decimal, (lower, upper, width))
    if aligned:
        first = first // step * step
    bins = affordable(max(1, math.ceil((last - first) / step)))
    last = first + bins * step
    return float(first), float(last) if last < sys.float_info.max else math.inf, bins


def affordable(bins: int) -> int:
    """The number of bins; an :class:`InputError` where it is too large."""
    if bins > MAXIMUM_BINS:
        raise InputError(
            f"Histogram: this makes {bins} bins; the most is {MAXIMUM_BINS}. Choose fewer or wider "
            "bins, or narrower bounds."
        )
    return bins
