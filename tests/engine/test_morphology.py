"""Morphology against a direct loop, SciPy, and the laws of morphology."""

from __future__ import annotations

from math import cos, radians, sin
from typing import Any, Optional

import numpy as np
import pytest
from hypothesis import given, settings
from scipy import ndimage

from eoscale_engine.filters.neighbourhood.morphology import OPERATIONS, Morphology
from eoscale_engine.profile import Band
from tests.engine.neighbourhoods import REAL_DTYPES, images, profile_of, random_image, run

Grid = list[list[Optional[Any]]]


def element(shape: str, radius: int, angle: float = 0) -> set[tuple[int, int]]:
    reach = range(-radius, radius + 1)
    if shape == "line":
        across, up = cos(radians(angle)), sin(radians(angle))
        longest = max(abs(across), abs(up))
        return {(round(-k * up / longest), round(k * across / longest)) for k in reach}
    return {(y, x) for y in reach for x in reach if shape == "square" or y * y + x * x <= radius**2}


def step(grid: Grid, places: set[tuple[int, int]], chosen: Any, strict: bool) -> Grid:
    """The smallest or largest value around each one; None stays None."""
    rows, cols = len(grid), len(grid[0])
    result: Grid = [[None] * cols for _ in range(rows)]
    for y in range(rows):
        for x in range(cols):
            around = [
                grid[y + dy][x + dx] if 0 <= y + dy < rows and 0 <= x + dx < cols else None
                for dy, dx in places
            ]
            there = [value for value in around if value is not None]
            if grid[y][x] is not None and not (strict and len(there) < len(around)):
                result[y][x] = chosen(there)
    return result


def minus(one: Grid, two: Grid) -> Grid:
    return [
        [None if a is None or b is None else a - b for a, b in zip(first, second)]
        for first, second in zip(one, two)
    ]


def expected(morphology: Morphology, pixels: np.ndarray, valid: np.ndarray) -> Grid:
    """By the definitions, in Python's own numbers."""
    places = element(morphology.shape, morphology.radius, morphology.angle)
    strict = morphology.nodata == "propagate"
    grid: Grid = [
        [value if there else None for value, there in zip(*pair)]
        for pair in zip(pixels.tolist(), valid.tolist())
    ]
    low = step(grid, places, min, strict)
    high = step(grid, places, max, strict)
    opening = step(low, places, max, strict)
    closing = step(high, places, min, strict)
    return {
        "erosion": low,
        "dilation": high,
        "opening": opening,
        "closing": closing,
        "gradient": minus(high, low),
        "white top-hat": minus(grid, opening),
        "black top-hat": minus(closing, grid),
    }[morphology.operation]


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("nodata", ["ignore", "propagate"])
@pytest.mark.parametrize(
    ("shape", "radius", "angle"),
    [("square", 1, 0), ("disk", 2, 0), ("line", 2, 30), ("line", 3, 90), ("line", 1, 135)],
)
def test_every_operation_by_its_definition(
    operation: str, nodata: str, shape: str, radius: int, angle: float
) -> None:
    morphology = Morphology(operation, shape, radius, angle, nodata)
    for dtype in ("uint8", "int16", "float64"):
        for holes in (0.0, 0.1):
            pixels, valid = random_image(dtype, (1, 13, 17), 4, holes)
            if dtype == "float64":
                pixels = np.round(pixels)
            values, found = run(morphology, pixels, valid)
            wanted = expected(morphology, pixels[0], valid[0])
            for place in np.ndindex(13, 17):
                value = wanted[place[0]][place[1]]
                assert found[0][place] == (value is not None)
                if value is not None:
                    assert values[0][place].item() == value


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(image=images())
def test_any_block_gives_the_same(image: Any) -> None:
    pixels, valid, block = image
    for operation in ("opening", "gradient"):
        morphology = Morphology(operation, "disk", 2)
        whole, cut = run(morphology, pixels, valid), run(morphology, pixels, valid, block=block)
        assert whole[0].tobytes() == cut[0].tobytes()
        assert whole[1].tobytes() == cut[1].tobytes()


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_scipy_agrees_far_from_the_border(dtype: str) -> None:
    pixels = random_image(dtype, (1, 60, 70), 1, 0.0)[0]
    pixels[~np.isfinite(pixels)] = 3
    pixels += 0  # no -0.0
    disk = np.hypot(*np.mgrid[-3:4, -3:4]) <= 3
    inner = (slice(6, -6),) * 2
    for ours, theirs in (
        ("erosion", ndimage.grey_erosion),
        ("dilation", ndimage.grey_dilation),
        ("opening", ndimage.grey_opening),
        ("closing", ndimage.grey_closing),
    ):
        found = run(Morphology(ours, "disk", 3), pixels)[0][0]
        np.testing.assert_array_equal(found[inner], theirs(pixels[0], footprint=disk)[inner])


def test_opening_and_closing_obey_their_laws() -> None:
    for dtype in REAL_DTYPES:
        pixels, valid = random_image(dtype, (1, 30, 40), 7, 0.05)
        for shape in ("square", "disk", "line"):
            opened, found = run(Morphology("opening", shape, 2, 70), pixels, valid)
            closed, _ = run(Morphology("closing", shape, 2, 70), pixels, valid)
            assert (found == valid).all()
            assert (opened[valid] <= pixels[valid]).all()
            assert (closed[valid] >= pixels[valid]).all()
            again, _ = run(Morphology("opening", shape, 2, 70), opened, valid)
            np.testing.assert_array_equal(again[valid], opened[valid])


def test_differences_of_signed_integers_fit() -> None:
    for dtype in ("int8", "int16", "int32", "int64"):
        limits = np.iinfo(dtype)
        pixels = np.array([[[limits.min, 0, limits.max]]], dtype)
        values, found = run(Morphology("gradient", "line", 1), pixels)
        assert values.dtype == np.dtype(dtype.replace("int", "uint"))
        assert values[0, 0].tolist() == [-limits.min, limits.max - limits.min, limits.max]
        assert found.all()


def test_a_negative_scale_swaps_smallest_and_largest() -> None:
    pixels = random_image("int16", (1, 20, 20), 3, 0.0)[0]
    falling = [Band(scale=-0.1, offset=5.0)]
    for operation, mirrored in (("erosion", "dilation"), ("opening", "closing")):
        swapped = run(Morphology(operation), pixels, bands=falling)[0]
        np.testing.assert_array_equal(swapped, run(Morphology(mirrored), pixels)[0])
    hat = Morphology("white top-hat")
    swapped = run(hat, pixels, bands=falling)[0]
    np.testing.assert_array_equal(swapped, run(Morphology("black top-hat"), pixels)[0])
    (profile,) = hat.output_profiles([profile_of(pixels, falling)])
    assert (profile.bands[0].scale, profile.bands[0].offset) == (0.1, 0)


def test_margins() -> None:
    assert Morphology("erosion", radius=3).margin == 3
    assert Morphology("gradient", radius=3).margin == 3
    assert Morphology("opening", radius=3).margin == 6
    assert Morphology("black top-hat", radius=3).margin == 6
