"""Classes of values: a table of ranges, made into intervals that do not overlap."""

from __future__ import annotations

import math
from typing import Any, NamedTuple, Optional

import numpy as np

from eoscale_engine.profile import Band

ENDS = ("from <= x < to", "from < x <= to", "from <= x <= to", "from < x < to")

Row = tuple[Optional[float], ...]
"""From, to (None: the single value ``from``) and the new value (None: nodata)."""
Table = tuple[Row, ...]

FEW = 255
"""Up to so many edges are compared one by one, which is faster than a search (measured)."""


class ValueClasses(NamedTuple):
    """What becomes of the values from each edge to the next; the first class lies below them all.

    ``values`` are the new ones, ``valid`` says where there is one, ``kept`` where pixels keep their
    own.
    """

    edges: np.ndarray
    values: np.ndarray
    valid: np.ndarray
    kept: np.ndarray


def classes_of(
    table: Table, ends: str, unmatched: Optional[float], keep: bool, types: tuple[np.dtype, ...]
) -> ValueClasses:
    """The table as classes that do not overlap.

    ``types`` are those of the values that are compared, and of the new ones.
    """
    compared, dtype = types
    rows = [(*_first_and_last(row, ends, compared), row[2]) for row in table]
    rows = [row for row in rows if row[0] <= row[1]]
    low, high = (np.array([row[side] for row in rows], compared) for side in (0, 1))
    after = [_next(value) for value in high if value != _limits(compared)[1]]
    edges = np.unique(np.concatenate([low, np.array(after, compared)]))
    row_of = np.full(len(edges) + 1, len(rows))
    if rows:
        matches = (low[:, None] <= edges) & (edges <= high[:, None])
        row_of[1:] = np.where(matches.any(axis=0), matches.argmax(axis=0), len(rows))
    new = [row[2] for row in rows] + [0.0 if keep else unmatched]
    with np.errstate(over="ignore"):
        values = np.array([0.0 if value is None else value for value in new]).astype(dtype)
    valid = np.array([value is not None for value in new])
    return ValueClasses(edges, values[row_of], valid[row_of], (row_of == len(rows)) & keep)


def nodata_pixels(value: float, pixels: np.ndarray, band: Band) -> Optional[np.ndarray]:
    """Where pixels hold the nodata value, or NaN, if that is the value; else None."""
    floats = pixels.dtype.kind == "f"
    if math.isnan(value):
        return np.isnan(pixels) if floats else None
    if band.nodata is None or not (
        value == band.nodata or (floats and pixels.dtype.type(value) == band.nodata)
    ):
        return None
    found: np.ndarray = pixels == band.nodata
    return found


def is_single(row: Row) -> bool:
    """Whether a row matches one value alone; NaN is one too."""
    return row[1] is None or row[0] == row[1] or (row[0] != row[0] and row[1] != row[1])


def _first_and_last(row: Row, ends: str, dtype: np.dtype) -> tuple[Any, Any]:
    """The first and the last value of the type that a row matches; in reverse where none does."""
    start = 0.0 if row[0] is None else row[0]
    end = start if row[1] is None else row[1]
    after = start != end and "from <=" not in ends and math.isfinite(start)
    before = start != end and "<= to" not in ends and math.isfinite(end)
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            low, high = dtype.type(start), dtype.type(end)
        return _next(low) if after else low, -_next(-high) if before else high
    least, most = _limits(dtype)
    if math.isfinite(start):
        start = math.floor(start) + 1 if after else math.ceil(start)
    if math.isfinite(end):
        end = math.ceil(end) - 1 if before else math.floor(end)
    return max(least, start), min(most, end)


def _limits(dtype: np.dtype) -> tuple[Any, Any]:
    if dtype.kind == "f":
        return -np.inf, np.inf
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


def _next(value: Any) -> Any:
    """The next larger value of the same type."""
    if value.dtype.kind == "f":
        return np.nextafter(value, value.dtype.type(np.inf))
    return value + value.dtype.type(1)


def looked_up(values: np.ndarray, classes: ValueClasses) -> tuple[np.ndarray, Optional[np.ndarray]]:
    """New pixels, and where they are valid (None: everywhere)."""
    if len(classes.edges) > FEW:
        numbers = np.searchsorted(classes.edges, values, side="right")
    else:
        numbers = np.zeros(values.shape, np.uint8)
        reached = np.empty(values.shape, bool)
        for edge in classes.edges:
            np.greater_equal(values, edge, out=reached)
            numbers += reached.view(np.uint8)
    pixels = classes.values.take(numbers)
    if classes.kept.any():
        pixels = np.where(classes.kept.take(numbers), values, pixels).astype(pixels.dtype)
    return pixels, None if classes.valid.all() else classes.valid.take(numbers)
