"""Pieces of one array against SciPy and plain loops; unions of long chains; seams of cells."""

from __future__ import annotations

from typing import Optional

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eoscale_engine.filters.labels.labelling import (
    Contacts,
    best,
    contacts_of,
    grouped,
    joined,
    neighbours,
    pieces_of,
    places_in,
    rows_apart,
    runs_of,
    surroundings,
)
from eoscale_engine.reductions.seams import edges_of, outline, seams
from eoscale_engine.tiling import Window, split
from tests.engine.scipy_labels import in_raster_order, labelled


def spread(values: np.ndarray, connectivity: str, kept: Optional[np.ndarray] = None) -> np.ndarray:
    """Our pieces as labels in raster order."""
    pieces = pieces_of(values, connectivity, kept=kept)
    labels = (pieces.root + 1)[pieces.run]
    return in_raster_order(labels if kept is None else np.where(kept, labels, 0))


@pytest.mark.parametrize("connectivity", ["4", "8"])
@pytest.mark.parametrize("classes", [2, 3, 9])
def test_pieces_are_scipys(connectivity: str, classes: int) -> None:
    random = np.random.default_rng(classes)
    for share in (0.02, 0.3, 0.41, 0.5, 0.59, 0.7, 0.97):
        values = np.where(random.random((47, 61)) < share, random.integers(1, classes, (47, 61)), 0)
        values = values.astype(np.uint8)
        everywhere = np.ones(values.shape, bool)
        wanted = labelled(values, everywhere, connectivity)
        np.testing.assert_array_equal(spread(values, connectivity), wanted)
        kept = (values != 0) & (random.random(values.shape) < 0.9)
        wanted = labelled(values, kept, connectivity)
        np.testing.assert_array_equal(spread(values, connectivity, kept), wanted)


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(
    st.integers(1, 7), st.integers(1, 9), st.integers(0, 10**6), st.sampled_from(("4", "8"))
)  # fmt: skip
def test_pieces_of_any_small_array(rows: int, cols: int, seed: int, connectivity: str) -> None:
    random = np.random.default_rng(seed)
    values = random.integers(0, 3, (rows, cols)).astype(float)
    kept = random.random((rows, cols)) < 0.7
    np.testing.assert_array_equal(
        spread(values, connectivity, kept), labelled(values, kept, connectivity)
    )


@pytest.mark.parametrize("connectivity", ["4", "8"])
def test_invalid_pixels_are_pieces_of_their_own(connectivity: str) -> None:
    random = np.random.default_rng(2)
    values, valid = random.integers(0, 2, (30, 40)), random.random((30, 40)) < 0.6
    values[~valid] = 0
    pieces = pieces_of(values, connectivity, valid=valid)
    wanted = labelled(np.where(valid, values, 7), np.ones(values.shape, bool), connectivity)
    np.testing.assert_array_equal(in_raster_order(pieces.root[pieces.run] + 1), wanted)


def smallest_members(count: int, pairs: np.ndarray) -> list[int]:
    """A union-find of pointers, one pair after the other."""
    parent = list(range(count))

    def root(item: int) -> int:
        while parent[item] != item:
            item = parent[item]
        return item

    for one, two in pairs.tolist():
        low, high = sorted((root(one), root(two)))
        parent[high] = low
    return [root(item) for item in range(count)]


def test_unions_of_random_graphs() -> None:
    random = np.random.default_rng(4)
    for edges in (0, 1, 40, 100, 140, 400):
        pairs = random.integers(0, 200, (edges, 2))
        assert joined(200, pairs[:, 0], pairs[:, 1]).tolist() == smallest_members(200, pairs)


def test_unions_of_chains_and_stars_in_any_order() -> None:
    random = np.random.default_rng(4)
    count = 5000
    for place in (np.arange(count), np.arange(count)[::-1], random.permutation(count)):
        assert not joined(count, place[1:], place[:-1]).any()
        halves = np.arange(1, count) % 2 == 0
        star = np.where(halves, place[-1], place[0])
        joins = np.append(star[1:], place[0]), np.append(place[1:-1], place[-1])
        assert not joined(count, *joins).any()


def test_groups_and_the_best_of_each() -> None:
    keys = np.array([5, 2, 5, 5, 2, 9], np.uint32)
    found = grouped(keys, np.array([1, 10, 2, 4, 20, 7]))
    assert [part.tolist() for part in found] == [[2, 5, 9], [30, 7, 7], [1, 0, 5]]
    empty = grouped(keys[:0], keys[:0])
    assert [len(part) for part in empty] == [0, 0, 0]
    items, amounts = np.array([4, 1, 3, 2, 8, 0]), np.array([6, 5, 7, 7, 5, 1])
    assert best(keys, items, amounts).tolist() == [1, 3, 5]


def test_places_in_a_table() -> None:
    ids = np.array([0, 3, 7, 20, 21], np.uint32)
    labels = np.array([20, 0, 7, 7, 21, 0, 3], np.uint32)
    assert places_in(ids, labels).tolist() == [3, 0, 2, 2, 4, 0, 1]
    assert places_in(ids, labels[2:4]).tolist() == [2, 2]
    assert places_in(ids, np.zeros(3, np.uint32)).tolist() == [0, 0, 0]


def test_runs_are_the_stretches_of_equal_labels() -> None:
    labels = np.array([[4, 4, 2], [2, 2, 4]])
    runs = runs_of(labels)
    assert runs.labels.tolist() == [4, 2, 4]
    assert runs.first.tolist() == [0, 2, 5]
    np.testing.assert_array_equal(runs.spread(np.array([40, 20, 44])), [[40, 40, 20], [20, 20, 44]])


def contacts_by_loop(objects: np.ndarray, wanted: np.ndarray) -> dict[tuple[int, int], int]:
    found: dict[tuple[int, int], int] = {}
    for row, col in np.ndindex(objects.shape):
        for y, x in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            if 0 <= y < objects.shape[0] and 0 <= x < objects.shape[1]:
                one, other = int(objects[row, col]), int(objects[y, x])
                if wanted[one] and other not in (0, one):
                    found[one, other] = found.get((one, other), 0) + 1
    return found


def as_dict(contacts: Contacts) -> dict[tuple[int, int], int]:
    pairs = zip(contacts.objects.tolist(), contacts.others.tolist())
    return dict(zip(pairs, contacts.edges.tolist()))


def test_contacts_are_those_of_a_loop() -> None:
    objects = np.random.default_rng(1).integers(0, 5, (13, 17)).astype(np.uint32)
    for wanted in ([0, 1, 1, 1, 1], [0, 0, 1, 0, 1], [0, 0, 0, 0, 0]):
        table = np.array(wanted, bool)
        found = contacts_of(objects, table, neighbours("4"))
        assert as_dict(found) == contacts_by_loop(objects, table)
        assert list(as_dict(found)) == sorted(as_dict(found))


def test_surroundings_are_the_value_with_the_longest_border() -> None:
    contacts = Contacts(
        np.array([1, 1, 1, 2, 4, 4]), np.array([2, 3, 5, 1, 2, 3]), np.array([3, 4, 2, 9, 2, 2])
    )
    values = np.array([0.0, 8.0, 5.0, 6.0, 1.0, 5.0])
    around = surroundings(contacts, values)
    assert around.objects.tolist() == [1, 2, 4]
    assert around.values.tolist() == [5.0, 8.0, 5.0]  # 3 + 2 edges of 5; of 5 and 6, the smaller
    assert around.alone.tolist() == [False, True, False]


@pytest.mark.parametrize("connectivity", ["4", "8"])
@pytest.mark.parametrize("size", [(1, 1), (1, 11), (2, 2), (7, 3), (10, 9), (8, 8)])
def test_seams_hold_all_that_touches_across_cells(connectivity: str, size: tuple[int, int]) -> None:
    """Each pixel is known by its number, each cell by the window that it is in."""
    place = np.arange(1, size[0] * size[1] + 1).reshape(size)
    cell = np.zeros(size, int)
    area = Window(4, 8, *size)  # cells are anchored at the image's origin
    cells = []
    for number, core in enumerate(split(area, 4, 4)):
        inside = core.relative_to(area).slices
        cell[inside] = number
        cells.append(edges_of(core, place[inside]))
    owner = np.append(-1, cell.ravel())
    wanted = {
        frozenset((int(one), int(two)))
        for here, there in neighbours(connectivity)
        for one, two in zip(place[here].ravel(), place[there].ravel())
        if owner[one] != owner[two]
    }
    found = {
        frozenset((int(one), int(two)))
        for lines in seams(cells)
        for here, there in rows_apart(connectivity)
        for one, two in zip(lines[here].ravel(), lines[there].ravel())
    }
    assert found == wanted
    border = np.ones(size, bool)
    border[1:-1, 1:-1] = False
    assert set(outline(cells).tolist()) == set(place[border].tolist())
