"""Sorting networks, sorted windows and counted values, each against a plain sort or loop."""

from __future__ import annotations

from collections import Counter
from typing import Any, Optional

import numpy as np
import pytest
from scipy import ndimage

from eoscale_engine.filters.neighbourhood import class_counts, frequencies, ranked, window_sorting
from eoscale_engine.filters.neighbourhood.class_counts import distinct_values, few_values
from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
from eoscale_engine.filters.neighbourhood.window_moments import window_count
from eoscale_engine.filters.neighbourhood.window_sorting import sorted_windows
from eoscale_engine.filters.neighbourhood.windows import (
    Neighbourhood,
    neighbourhood,
    neighbourhood_of,
)
from eoscale_engine.filters.sorting import (
    comparators,
    execute,
    merging_program,
    select,
)
from tests.engine.neighbourhoods import REAL_DTYPES, random_image, run, same_bits

CROSS = ((0, 0, 1, 0, 0), (1, 1, 0, 1, 1), (0, 0, 1, 0, 0))


def zeros_and_ones(count: int) -> np.ndarray:
    """Every list of so many zeros and ones: a network that sorts these sorts all lists."""
    numbers = np.arange(2**count)
    return np.array([numbers >> place & 1 for place in range(count)], np.uint8)


@pytest.mark.parametrize("count", range(1, 12))
def test_a_network_sorts_every_list(count: int) -> None:
    lists = zeros_and_ones(count)
    wanted = np.sort(lists, axis=0)
    for ranks in (range(count), [count // 2], [0], [count - 1, 0]):
        for keep in (True, False):
            arrays = [row.copy() for row in lists]
            found = select(arrays, ranks, keep=keep)
            for rank, array in zip(ranks, found):
                np.testing.assert_array_equal(array, wanted[rank])
            if keep:
                np.testing.assert_array_equal(arrays, lists)


def test_a_network_is_pruned_to_the_ranks() -> None:
    assert comparators(1, (0,)) == ()
    assert comparators(2, (0, 1)) == ((0, 1),)
    assert len(comparators(4, (0, 1, 2, 3))) == 5
    assert len(comparators(16, tuple(range(16)))) == 63  # Knuth 5.3.4
    assert len(comparators(16, (0,))) == 15
    assert len(comparators(25, (12,))) < len(comparators(25, tuple(range(25))))


@pytest.mark.parametrize("first", range(1, 8))
@pytest.mark.parametrize("second", range(1, 8))
def test_two_sorted_lists_are_merged(first: int, second: int) -> None:
    cases = [
        [place >= first - ones for place in range(first)]
        + [place >= second - others for place in range(second)]
        for ones in range(first + 1)
        for others in range(second + 1)
    ]
    lists = np.array(cases, np.uint8).T
    wanted = np.sort(lists, axis=0)
    for lowest in range(first + second):
        for end in range(lowest + 1, first + second + 1):
            program = merging_program(first, second, tuple(range(lowest, end)))
            inputs = [row if place in program.used else None for place, row in enumerate(lists)]
            np.testing.assert_array_equal(execute(program, inputs), wanted[lowest:end])


def windows_of(pixels: np.ndarray, window: Neighbourhood) -> np.ndarray:
    """The pixels of each window of the core, ``(rows, cols, size)``."""
    rows, cols = (side - 2 * window.radius for side in pixels.shape)
    places = [(row, col + step) for row, col, width in window.runs for step in range(width)]
    return np.stack([pixels[y : y + rows, x : x + cols] for y, x in places], axis=-1)


WINDOWS = {
    "square 1": neighbourhood("square", 1),
    "square 4": neighbourhood("square", 4),
    "disk 3": neighbourhood("disk", 3),
    "disk 5": neighbourhood("disk", 5),
    "ring 4": neighbourhood("ring", 4, 2.5),
    "cross": neighbourhood_of(CROSS),
    "one": neighbourhood_of(((0, 0, 0), (0, 0, 1), (0, 0, 0))),
}


@pytest.mark.parametrize("merging", [True, False])
@pytest.mark.parametrize("name", WINDOWS)
def test_sorted_windows(name: str, merging: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window_sorting, "LARGEST", 10_000 if merging else 0)
    window = WINDOWS[name]
    pixels = np.random.default_rng(1).integers(0, 60, (21, 25)).astype("int16")
    wanted = np.sort(windows_of(pixels, window), axis=-1)
    size = window.size
    some = [(0, size), (0, 1), (size - 1, size), (size // 2, size // 2 + 1)]
    some += [(size * tenth // 10, size * tenth // 10 + 1 + tenth // 3) for tenth in range(1, 9)]
    for ranks in (range(first, min(size, last)) for first, last in some):
        found = sorted_windows(pixels, window, ranks)
        np.testing.assert_array_equal(np.stack(found, -1), wanted[..., ranks[0] : ranks[-1] + 1])


def test_windows_of_cells() -> None:
    assert neighbourhood_of(CROSS).runs == ((1, 2, 1), (2, 0, 2), (2, 3, 2), (3, 2, 1))
    assert neighbourhood_of(CROSS).radius == 2
    assert not neighbourhood_of(CROSS).has_centre
    assert WINDOWS["one"] == Neighbourhood(1, ((1, 2, 1),))
    assert neighbourhood_of(((1, 1, 1),) * 3).is_square
    assert neighbourhood_of(((0, 0, 0), (0, 1, 0), (0, 0, 0))) == Neighbourhood(0, ((0, 0, 1),))
    assert neighbourhood("disk", 1).size == 5
    assert neighbourhood("ring", 2, 2).size == 4


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_distinct_values(dtype: str) -> None:
    pixels, valid = random_image(dtype, (30, 40), seed=2, holes=0.1)
    assert distinct_values(pixels, valid).tolist() == sorted(set(pixels[valid].tolist()))
    assert distinct_values(pixels, np.zeros_like(valid)).tolist() == [0]
    narrow = np.clip(pixels, 1, 40) if dtype[0] == "u" else np.clip(pixels, -40, 40)
    narrow = np.rint(narrow).astype(dtype)
    values = sorted(set(narrow[valid].tolist()))
    found = few_values(narrow, valid, len(values))
    assert found is not None
    assert found.dtype == narrow.dtype
    assert found.tolist() == values
    assert few_values(narrow, valid, len(values) - 1) is None


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize("name", ["square 1", "disk 3", "ring 4", "cross"])
@pytest.mark.parametrize(
    "statistic", ["median", "lower median", "percentile", "majority", "minority", "variety"]
)
def test_counting_and_sorting_find_the_same(
    statistic: str, name: str, dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape, radius = name.split()[0], WINDOWS[name].radius
    shape = "given" if shape == "cross" else shape
    focal = FocalStatistics(
        statistic, shape, radius, percentile=70, inner_radius=2.5, window=CROSS, fill=True
    )
    random = np.random.default_rng(5)
    largest = np.inf if dtype[0] == "f" else np.iinfo(dtype).max
    pixels = random.integers(0, 9, (1, 40, 50)).astype(dtype)
    pixels[pixels == 8] = largest  # what stands for invalid pixels in sorted windows
    valid = random.random(pixels.shape) > 0.2
    results = []
    for most in (0, 1024):
        monkeypatch.setattr(class_counts, "MOST_VALUES", most)
        monkeypatch.setattr(ranked, "LEAST_STEPS", 0 if most else 10**9)
        monkeypatch.setattr(ranked, "passes", lambda _: 1e-9)
        monkeypatch.setattr(frequencies, "passes", lambda _: 1e-9)
        results += [run(focal, pixels), run(focal, pixels, valid)]
    assert same_bits(results[0], results[2])
    assert same_bits(results[1], results[3])
    assert results[1][1].all()


@pytest.mark.parametrize("shape", ["square", "disk"])
@pytest.mark.parametrize(("radius", "dtype"), [(1, "uint8"), (2, "uint16"), (4, "float32")])
def test_median_is_scipys(radius: int, dtype: str, shape: str) -> None:
    pixels = np.random.default_rng(3).integers(0, 255, (1, 50, 300)).astype(dtype)
    steps = np.arange(-radius, radius + 1)
    footprint = (shape == "square") | (np.add.outer(steps**2, steps**2) <= radius**2)
    result, _ = run(FocalStatistics("median", shape, radius), pixels)
    assert result.dtype == np.float32
    inside = (slice(radius, -radius),) * 2
    wanted = ndimage.median_filter(
        pixels[0], footprint=np.broadcast_to(footprint, (len(steps),) * 2)
    )
    np.testing.assert_array_equal(result[0][inside], wanted[inside])


@pytest.mark.parametrize("share", [0.0, 25.0, 33.3, 50.0, 95.0, 100.0])
def test_percentile_is_numpys(share: float) -> None:
    pixels, valid = random_image("float64", (1, 12, 13), seed=8, holes=0.2)
    focal = FocalStatistics("percentile", radius=2, percentile=share, fill=True)
    result, where = run(focal, pixels, valid)
    for row, col in np.ndindex(pixels.shape[1:]):
        place = (0, slice(max(0, row - 2), row + 3), slice(max(0, col - 2), col + 3))
        around = pixels[place][valid[place]]
        assert where[0, row, col] == (around.size > 0)
        assert result[0, row, col] == pytest.approx(np.percentile(around, share), rel=1e-12)


@pytest.mark.parametrize("radius", [27, 150])
def test_windows_too_large_to_be_merged(radius: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_counts, "MOST_VALUES", 0)
    random = np.random.default_rng(radius)
    pixels = random.normal(size=(1, 5, 6)) if radius < 100 else random.random((1, 3, 2))
    result, where = run(FocalStatistics("median", "square", radius), pixels)
    assert where.all()
    np.testing.assert_allclose(result, np.median(pixels), rtol=1e-15)
    result, _ = run(FocalStatistics("lower median", "square", radius), pixels)
    assert (result == np.sort(pixels.ravel())[(pixels.size - 1) // 2]).all()


def most_common(values: np.ndarray, own: Optional[Any]) -> tuple[Any, int]:
    counts = Counter(values.tolist())
    most = max(counts.values())
    tied = [value for value, count in counts.items() if count == most]
    return (own if own in tied else min(tied)), most


@pytest.mark.parametrize("values", [3, 300])
@pytest.mark.parametrize("with_own", [False, True])
def test_most_frequent_and_its_number(values: int, with_own: bool) -> None:
    random = np.random.default_rng(values)
    pixels = random.integers(0, values, (24, 30)).astype("int32") * 100_000
    pixels[::2] = pixels[1::2]
    valid = random.random(pixels.shape) > 0.2
    window = WINDOWS["square 1"]
    number = window_count(valid, window)
    own = pixels[1:-1, 1:-1] if with_own else None
    found = frequencies.frequent(pixels, valid, window, number, centre=own)
    for row, col in np.ndindex(22, 28):
        around = (slice(row, row + 3), slice(col, col + 3))
        if number[row, col]:
            wanted = most_common(
                pixels[around][valid[around]], None if own is None else own[row, col]
            )
            assert (found.values[row, col], found.counts[row, col]) == wanted
