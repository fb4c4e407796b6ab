"""Statistics of one pixel over many dates, for all pixels of a block at once.

``dates`` holds one array for each date. ``known`` is None where all of them are valid everywhere;
else it holds one boolean array for each date, and what stands in invalid pixels means nothing.
What is found where no date is valid means nothing either. Every pixel's result depends on its own
dates only, combined in their order.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, Optional

import numpy as np

from eoscale_engine.filters.sorting import select

Arrays = Sequence[np.ndarray]
Known = Optional[Arrays]


def statistic_of(
    statistic: str, dates: Arrays, known: Known, percent: float, dtype: np.dtype
) -> np.ndarray:
    """A statistic by its name, in ``dtype`` or a type that it can take.

    ``percent`` is the percentile; the median is that of 50.
    """
    if statistic in ("median", "percentile"):
        return percentile(dates, known, percent, dtype)
    if statistic in ("minimum", "maximum"):
        return extreme(dates, known, largest=statistic == "maximum")
    if statistic == "range":
        return spread(dates, known, dtype)
    if statistic == "mean":
        return mean(dates, known)
    if statistic == "sum":
        return total(dates, known, dtype)
    if statistic == "standard deviation":
        return deviation(dates, known)
    if statistic == "majority":
        return majority(dates, known)
    if statistic == "last valid":
        dates, known = dates[::-1], None if known is None else known[::-1]
    return first(dates, known)


def filled(dates: Arrays, known: Known, value: Any) -> Arrays:
    """The dates, with a value of their type where they are invalid."""
    if known is None:
        return dates
    return [np.where(valid, date, date.dtype.type(value)) for date, valid in zip(dates, known)]


def number_of(dates: Arrays, known: Known) -> Any:
    """How many dates are valid; one number where all are."""
    if known is None:
        return len(dates)
    total = np.zeros(known[0].shape, np.uint16)
    for valid in known:
        total += valid
    return total


def extreme(dates: Arrays, known: Known, *, largest: bool) -> np.ndarray:
    """The smallest or the largest value."""
    found = filled(dates, known, _bound(dates[0].dtype, upper=not largest))
    return _one_zero(reduce(np.maximum if largest else np.minimum, found))


def extreme_date(dates: Arrays, known: Known, *, largest: bool) -> np.ndarray:
    """The number, from 1, of the first date that has the extreme value; 0 where none is valid."""
    better, merge = (np.greater, np.maximum) if largest else (np.less, np.minimum)
    found = filled(dates, known, _bound(dates[0].dtype, upper=not largest))
    best = found[0].copy()
    kind = np.uint8 if len(dates) < 255 else np.uint16
    chosen = np.ones(best.shape, kind) if known is None else known[0].astype(kind)
    for number, date in enumerate(found[1:], 2):
        taken = better(date, best)
        if known is not None:
            taken = (taken | (chosen == 0)) & known[number - 1]
        np.maximum(chosen, np.multiply(taken, kind(number), dtype=kind), out=chosen)
        merge(best, date, out=best)
    return chosen


def first(dates: Arrays, known: Known) -> np.ndarray:
    """The value of the first valid date."""
    if known is None:
        return dates[0]
    result = dates[-1]
    for date, valid in zip(dates[-2::-1], known[-2::-1]):
        result = np.where(valid, date, result)
    return result


def total(dates: Arrays, known: Known, dtype: np.dtype) -> np.ndarray:
    """The sum, added up date by date in this type."""
    found = filled(dates, known, 0)
    result = found[0].astype(dtype)
    for date in found[1:]:
        np.add(result, date, out=result, casting="unsafe", dtype=dtype)
    return result


def mean(dates: Arrays, known: Known) -> np.ndarray:
    """The sum, exact of integers of up to 32 bits, over the number."""
    kind = dates[0].dtype if dates[0].dtype.kind == "f" else np.dtype(np.float64)
    return np.divide(total(dates, known, kind), number_of(dates, known))


def spread(dates: Arrays, known: Known, dtype: np.dtype) -> np.ndarray:
    """The largest less the smallest value, in a type that holds it."""
    low, high = (extreme(dates, known, largest=largest) for largest in (False, True))
    return np.subtract(high, low, dtype=np.result_type(low, dtype))


def deviation(dates: Arrays, known: Known) -> np.ndarray:
    """The standard deviation of the population, in float64: two passes."""
    count = np.maximum(number_of(dates, known), 1)
    mean = total(dates, known, np.dtype(np.float64)) / count
    squares = np.zeros_like(mean)
    difference = np.empty_like(mean)
    for place, date in enumerate(dates):
        np.subtract(date, mean, out=difference)
        np.multiply(difference, difference, out=difference)
        if known is not None:
            difference[~known[place]] = 0
        squares += difference
    squares /= count
    return np.sqrt(squares, out=squares)


def percentile(dates: Arrays, known: Known, percent: float, dtype: np.dtype) -> np.ndarray:
    """The value at ``percent / 100 * (n - 1)`` of the n sorted values, counted from 0.

    Linear between two, in this type.
    """
    if known is None:
        ranks, share = _place(len(dates), percent)
        return _between(select(dates, ranks, keep=True), share, dtype)
    ordered = select(filled(dates, known, _bound(dates[0].dtype, upper=True)), range(len(dates)))
    count = number_of(dates, known)
    result = np.zeros(count.shape, dtype)
    for number in range(max(1, count.min()), count.max() + 1):
        ranks, share = _place(number, percent)
        found = _between([ordered[rank] for rank in ranks], share, dtype)
        np.copyto(result, found, where=count == number, casting="unsafe")
    return result


def _place(number: int, percent: float) -> tuple[tuple[int, ...], float]:
    """Between which of so many sorted values the percentile lies, and how far from the first."""
    place = percent * (number - 1) / 100
    below = int(place)
    return ((below,) if place == below else (below, below + 1)), place - below


def _between(values: Arrays, share: float, dtype: np.dtype) -> np.ndarray:
    """One value as it is, or what lies between two."""
    if len(values) == 1:
        return _one_zero(values[0])
    low, high = values
    result = np.multiply(low, dtype.type(1 - share), dtype=dtype, casting="unsafe")
    result += np.multiply(high, dtype.type(share), dtype=dtype, casting="unsafe")
    # rounding never leads out of the two values
    np.maximum(result, low, out=result, casting="unsafe")
    np.minimum(result, high, out=result, casting="unsafe")
    return _one_zero(result)


def _one_zero(found: np.ndarray) -> np.ndarray:
    """0.0 for -0.0: which of them is taken is not defined; adding 0 makes both 0.0."""
    return found + found.dtype.type(0) if found.dtype.kind == "f" else found


def majority(dates: Arrays, known: Known) -> np.ndarray:
    """The most frequent value; the smallest of those that are equally frequent."""
    found = filled(dates, known, _bound(dates[0].dtype, upper=True))
    ordered = select(found, range(len(dates)), keep=known is None)
    count = number_of(dates, known)
    best = ordered[0]
    run = np.ones(best.shape, np.uint16)
    longest = run.copy()
    for place in range(1, len(ordered)):
        run *= ordered[place] == ordered[place - 1]
        run += 1
        better = (run > longest) & (place < count)
        best = np.where(better, ordered[place], best)
        np.maximum(longest, run, out=longest)
    return _one_zero(best)


def _bound(dtype: np.dtype, *, upper: bool) -> Any:
    """The largest or the smallest value of a type."""
    if dtype.kind == "f":
        return np.inf if upper else -np.inf
    limits = np.iinfo(dtype)
    return limits.max if upper else limits.min
