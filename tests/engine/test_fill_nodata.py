"""Filled holes against a direct search of the four quadrants."""

from __future__ import annotations

from math import hypot
from typing import Any, Optional

import numpy as np
import pytest
from hypothesis import given, settings

from eoscale_engine.filters.neighbourhood.fill_nodata import FillNodata
from tests.engine.neighbourhoods import images, random_image, run

QUADRANTS = (
    lambda down, right: down < 0 <= right,
    lambda down, right: right > 0 and down >= 0,
    lambda down, right: down > 0 >= right,
    lambda down, right: right < 0 and down <= 0,
)


def filled(
    pixels: np.ndarray, valid: np.ndarray, row: int, col: int, reach: int, power: float
) -> Optional[float]:
    """The weighted mean of the nearest valid pixel of each quadrant."""
    total = weights = 0.0
    for inside in QUADRANTS:
        there = [
            (hypot(y - row, x - col), abs(x - col), pixels[y, x])
            for y, x in np.argwhere(valid)
            if inside(y - row, x - col) and hypot(y - row, x - col) <= reach
        ]
        if there:
            distance, _, value = min(there)
            total += float(value) / distance**power
            weights += 1 / distance**power
    return total / weights if weights else None


def smoothed(grid: dict[Any, float], holes: set[Any]) -> dict[Any, float]:
    result = dict(grid)
    for y, x in holes:
        around = [
            grid[p] for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (p := (y + dy, x + dx)) in grid
        ]
        result[y, x] = sum(around) / len(around)
    return result


@pytest.mark.parametrize(
    ("reach", "power", "smoothing"), [(4, 2, 0), (7, 1, 0), (5, 0.5, 3), (1, 2, 1)]
)
@pytest.mark.parametrize("holes", [0.1, 0.7, 0.97])
def test_by_a_direct_search(reach: int, power: float, smoothing: int, holes: float) -> None:
    random = np.random.default_rng(5)
    pixels = random.normal(100, 30, (1, 17, 22))
    valid = random.random(pixels.shape) >= holes
    declaration = FillNodata(max_distance=reach, power=power, smoothing=smoothing)
    values, found = run(declaration, pixels, valid)
    grid = {tuple(place): pixels[0][tuple(place)] for place in np.argwhere(valid[0]).tolist()}
    changed = set()
    for row, col in np.argwhere(~valid[0]).tolist():
        value = filled(pixels[0], valid[0], row, col, reach, power)
        if value is not None:
            grid[row, col] = value
            changed.add((row, col))
    for _ in range(smoothing):
        grid = smoothed(grid, changed)
    assert {tuple(place) for place in np.argwhere(found[0]).tolist()} == set(grid)
    for place, value in grid.items():
        assert values[0][place] == pytest.approx(value, rel=1e-12)


def test_valid_pixels_stay_and_integers_are_rounded() -> None:
    pixels = np.array([[[10, 0, 13, 0, 0, 0]]], np.uint8)
    valid = np.array([[[True, False, True, False, False, False]]])
    values, found = run(FillNodata(max_distance=2, power=1), pixels, valid)
    assert values[0, 0].tolist() == [10, 12, 13, 13, 13, 0]  # 11.5 to even
    assert found[0, 0].tolist() == [True] * 5 + [False]


@pytest.mark.parametrize("dtype", ["int64", "uint64", "int8"])
def test_the_largest_integers(dtype: str) -> None:
    limits = np.iinfo(dtype)
    pixels = np.array([[[limits.max, 0, limits.max, limits.min, 0, limits.min]]], dtype)
    valid = np.array([[[True, False, True, True, False, True]]])
    values, _ = run(FillNodata(), pixels, valid)
    assert values[0, 0, 1] == pytest.approx(limits.max, rel=1e-15)
    assert values[0, 0, 4] == limits.min
    assert (values[valid] == pixels[valid]).all()


def test_nothing_to_fill_from_and_nothing_to_fill() -> None:
    pixels = random_image("float32", (1, 9, 9), 1, 0.0)[0]
    values, found = run(FillNodata(), pixels, np.zeros(pixels.shape, bool))
    assert not found.any()
    values, found = run(FillNodata(), pixels)
    assert values.tobytes() == pixels.tobytes()
    assert found.all()


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(image=images())
def test_any_block_gives_the_same(image: Any) -> None:
    pixels, valid, block = image
    declaration = FillNodata(max_distance=6, smoothing=2)
    whole, cut = run(declaration, pixels, valid), run(declaration, pixels, valid, block=block)
    assert whole[0].tobytes() == cut[0].tobytes()
    assert whole[1].tobytes() == cut[1].tobytes()
