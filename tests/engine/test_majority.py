"""The majority filter against a direct loop that filters the whole image pass by pass."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from eoscale_engine.errors import InputError
from eoscale_engine.filters.labels.majority import MajorityFilter
from eoscale_engine.profile import Band
from tests.engine.neighbourhoods import REAL_DTYPES, profile_of, run, same_bits


def one_pass(
    majority: MajorityFilter, pixels: np.ndarray, valid: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A band after one pass, by a direct loop over the window of each pixel."""
    result, where = pixels.copy(), valid.copy()
    rows, cols = pixels.shape
    radius = majority.radius
    for row, col in np.ndindex(rows, cols):
        votes: Counter[int] = Counter()
        for y in range(max(0, row - radius), min(rows, row + radius + 1)):
            for x in range(max(0, col - radius), min(cols, col + radius + 1)):
                near = majority.shape == "square" or (y - row) ** 2 + (x - col) ** 2 <= radius**2
                if near and valid[y, x]:
                    votes[int(pixels[y, x])] += 1
        if not votes or not (valid[row, col] or majority.fill):
            continue
        most = max(votes.values())
        tied = [value for value, count in votes.items() if count == most]
        own = int(pixels[row, col])
        winner = own if valid[row, col] and own in tied else min(tied)
        if most * 100 > majority.minimum_share * sum(votes.values()):
            result[row, col], where[row, col] = winner, True
    return result, where


def check(majority: MajorityFilter, pixels: np.ndarray, valid: np.ndarray) -> None:
    found = run(majority, pixels, valid)
    for band in range(len(pixels)):
        wanted = pixels[band], valid[band]
        for _ in range(majority.passes):
            wanted = one_pass(majority, *wanted)
        np.testing.assert_array_equal(found[1][band], wanted[1])
        np.testing.assert_array_equal(found[0][band][wanted[1]], wanted[0][wanted[1]])
    assert same_bits(found, run(majority, pixels, valid, block=(7, 5)))


def classes(dtype: str, count: int, seed: int, holes: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """Patches of classes over the type's range, and where they are valid."""
    random = np.random.default_rng(seed)
    info = np.iinfo(dtype)
    values = random.integers(info.min, info.max, count, dtype=dtype, endpoint=True)
    patches = random.integers(0, count, (2, 8, 6)).repeat(3, axis=1).repeat(4, axis=2)
    noise = random.integers(0, count, patches.shape)
    places = np.where(random.random(patches.shape) < 0.4, noise, patches)
    return values[places], random.random(patches.shape) >= holes


@pytest.mark.parametrize("shape", ["square", "disk"])
@pytest.mark.parametrize("dtype", REAL_DTYPES[:8])
def test_values_of_every_dtype(dtype: str, shape: str) -> None:
    pixels, valid = classes(dtype, 4, seed=1)
    check(MajorityFilter(1, shape), pixels, valid)
    check(MajorityFilter(2, shape), pixels, np.ones_like(valid))


@pytest.mark.parametrize("passes", [1, 2, 4])
@pytest.mark.parametrize("fill", [False, True])
@pytest.mark.parametrize("share", [0.0, 40.0, 50.0])
def test_passes_holes_and_shares(passes: int, fill: bool, share: float) -> None:
    pixels, valid = classes("uint8", 3, seed=2)
    valid[0, 2:16, 4:15] = False
    check(MajorityFilter(1, "square", share, passes, fill), pixels, valid)
    check(MajorityFilter(2, "disk", share, passes, fill), pixels, valid)


def test_many_classes() -> None:
    pixels, valid = classes("int32", 400, seed=3)
    check(MajorityFilter(1), pixels, valid)
    check(MajorityFilter(3, "disk", 20), pixels, valid)


def test_votes_of_a_worked_window() -> None:
    pixels = np.array([[[5, 5, 5, 2], [2, 2, 2, 2], [5, 9, 5, 5]]], "uint8")
    assert run(MajorityFilter(), pixels)[0][0, 1].tolist() == [5, 5, 2, 2]
    # 5 of 9 votes are 55.6 percent
    assert run(MajorityFilter(minimum_share=55), pixels)[0][0, 1, 1] == 5
    assert run(MajorityFilter(minimum_share=56), pixels)[0][0, 1, 1] == 2


def test_a_share_is_compared_in_one_way() -> None:
    """Three of nine votes are more than 33.3333333 %, with masks (at the border) and without."""
    pixels = np.tile(np.arange(3, dtype="uint8"), (1, 24, 8))
    pixels[0, 12, 12] = 9
    check(MajorityFilter(minimum_share=33.3333333), pixels, np.ones(pixels.shape, bool))
    check(MajorityFilter(minimum_share=33.3333334), pixels, np.ones(pixels.shape, bool))


def test_equal_votes() -> None:
    stripes = np.array([[[7], [3], [7], [3]]], "uint8")
    assert run(MajorityFilter(), stripes)[0].ravel().tolist() == [7, 7, 3, 3]
    hole = np.array([[[8, 1, 6]]], "uint8")
    valid = np.array([[[True, False, True]]])
    result, where = run(MajorityFilter(fill=True), hole, valid)
    assert where.all()
    assert result.ravel().tolist() == [8, 6, 6]


def test_what_lies_beyond_the_image_never_votes() -> None:
    pixels, valid = np.full((1, 1, 5), 4, "uint8"), np.array([[[True] + [False] * 4]])
    filled = run(MajorityFilter(passes=3, fill=True), pixels, valid)
    assert filled[1].ravel().tolist() == [True, True, True, True, False]
    # from above and below, pixels that are filled there would outvote the second class
    corner = np.array([[[2, 1, 1], [2, 1, 2]]], "uint8")
    check(MajorityFilter(passes=5, fill=True), corner, np.ones(corner.shape, bool))
    corner_valid = np.array([[[True, True, False], [True, False, True]]])
    check(MajorityFilter(passes=5, fill=True), corner, corner_valid)


def test_colours_and_categories_stay() -> None:
    bands = (Band(nodata=0, color_table=((0, 0, 0, 255), (9, 9, 9, 255)), categories=("", "sea")),)
    profile = profile_of(np.zeros((1, 2, 2), "uint8"), bands)
    assert MajorityFilter().output_profiles([profile]) == [profile]
    assert not MajorityFilter().makes_invalid


@pytest.mark.parametrize(
    "wrong", [{"radius": 0}, {"passes": 0}, {"passes": 17}, {"minimum_share": 101},
              {"shape": "given"}],
)  # fmt: skip
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        MajorityFilter(**wrong)


def test_floats_are_refused() -> None:
    profile = profile_of(np.zeros((1, 2, 2), "float32"))
    with pytest.raises(InputError, match="does not take float32"):
        MajorityFilter().check({"INPUT": [profile]})
