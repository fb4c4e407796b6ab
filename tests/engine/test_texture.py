"""Texture against matrices counted by a direct loop, Haralick's example and MATLAB's numbers."""

from __future__ import annotations

import itertools
import math
from typing import Any, Optional

import numpy as np
import pytest

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Block, Blocks
from eoscale_engine.errors import InputError
from eoscale_engine.filters.texture import glcm_matrices
from eoscale_engine.filters.texture.glcm import FEATURES, MATRIX_FEATURES, PAIR_FEATURES, Glcm
from eoscale_engine.procedures.texture import Texture
from eoscale_engine.profile import Band, Profile
from eoscale_engine.tiling import Window

TO_SECOND = {"0": (0, 1), "45": (-1, 1), "90": (-1, 0), "135": (-1, -1)}

HARALICK = np.array([[0, 0, 1, 1], [0, 0, 1, 1], [0, 2, 2, 2], [2, 2, 3, 3]], np.uint8)
"""The image of figure 3 of Haralick et al. 1973; below the matrices that the paper prints."""
PRINTED = {
    "0": [[4, 2, 1, 0], [2, 4, 0, 0], [1, 0, 6, 1], [0, 0, 1, 2]],
    "45": [[4, 1, 0, 0], [1, 2, 2, 0], [0, 2, 4, 1], [0, 0, 1, 0]],
    "90": [[6, 0, 2, 0], [0, 4, 2, 0], [2, 2, 2, 2], [0, 0, 2, 0]],
    "135": [[2, 1, 3, 0], [1, 2, 1, 0], [3, 1, 0, 2], [0, 0, 2, 0]],
}
ONE_WAY = {  # as scikit-image's tests of graycomatrix have them; its 90 degrees point down
    "0": [[2, 2, 1, 0], [0, 2, 0, 0], [0, 0, 3, 1], [0, 0, 0, 1]],
    "90": np.transpose([[3, 0, 2, 0], [0, 2, 2, 0], [0, 0, 1, 2], [0, 0, 0, 0]]),
}


def features_of(matrix: Any) -> dict[str, float]:
    """By the formulas of the help, entry by entry, in float64."""
    matrix = np.asarray(matrix, float)
    cells = [(*place, p) for place, p in np.ndenumerate(matrix / matrix.sum()) if p]
    mean = sum(p * i for i, _, p in cells)
    other = sum(p * j for _, j, p in cells)
    variance = sum(p * (i - mean) ** 2 for i, _, p in cells)
    spread = math.sqrt(variance * sum(p * (j - other) ** 2 for _, j, p in cells))
    shared = sum(p * (i - mean) * (j - other) for i, j, p in cells)
    asm = sum(p * p for _, _, p in cells)
    return {
        "contrast": sum(p * (i - j) ** 2 for i, j, p in cells),
        "dissimilarity": sum(p * abs(i - j) for i, j, p in cells),
        "homogeneity": sum(p / (1 + (i - j) ** 2) for i, j, p in cells),
        "mean": mean,
        "variance": variance,
        "correlation": shared / spread if spread > 1e-12 else 1.0,
        "ASM": asm,
        "energy": math.sqrt(asm),
        "entropy": -sum(p * math.log(p) for _, _, p in cells),
        "maximum probability": max(p for _, _, p in cells),
    }


def matrix_at(
    glcm: Glcm, grey: np.ndarray, valid: np.ndarray, row: int, col: int, direction: str
) -> np.ndarray:
    """The pairs around a pixel, counted one by one."""
    matrix = np.zeros((glcm.levels, glcm.levels), int)
    down, right = (step * glcm.distance for step in TO_SECOND[direction])
    window = range(-glcm.radius, glcm.radius + 1)
    for y, x in itertools.product(window, window):
        if y + down not in window or x + right not in window:
            continue
        one, two = (row + y, col + x), (row + y + down, col + x + right)
        inside = all(0 <= p[0] < grey.shape[0] and 0 <= p[1] < grey.shape[1] for p in (one, two))
        if inside and valid[one] and valid[two]:
            matrix[grey[one], grey[two]] += 1
            if glcm.symmetric:
                matrix[grey[two], grey[one]] += 1
    return matrix


def expected(
    glcm: Glcm, grey: np.ndarray, valid: np.ndarray, row: int, col: int
) -> Optional[dict[str, float]]:
    """The features at a pixel, or None where there is no value."""
    window = range(-glcm.radius, glcm.radius + 1)
    rows, cols = grey.shape
    around = [(row + y, col + x) for y, x in itertools.product(window, window)]
    if not valid[row, col] and not glcm.fill:
        return None
    whole = all(0 <= y < rows and 0 <= x < cols and valid[y, x] for y, x in around)
    if glcm.nodata == "propagate" and not whole:
        return None
    directions = TO_SECOND if glcm.direction == "mean of four" else (glcm.direction,)
    matrices = [matrix_at(glcm, grey, valid, row, col, direction) for direction in directions]
    found = [features_of(matrix) for matrix in matrices if matrix.any()]
    if not found:
        return None
    return {name: sum(one[name] for one in found) / len(found) for name in FEATURES}


def run(
    glcm: Glcm, pixels: np.ndarray, valid: Optional[np.ndarray] = None, **band: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Features ``(bands x features, rows, cols)`` of a whole image, and where they are valid."""
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    count, rows, cols = pixels.shape
    valid = np.ones(pixels.shape, bool) if valid is None else valid.reshape(pixels.shape)
    wide = ((0, 0), (glcm.margin,) * 2, (glcm.margin,) * 2)
    profile = Profile(cols, rows, pixels.dtype.name, (Band(**band),) * count)
    core = Window(0, 0, rows, cols)
    block = Block(np.pad(pixels, wide), np.pad(valid, wide), profile, core, (glcm.margin,) * 4)
    values, where = glcm.apply(Blocks(core, {"INPUT": [block]}))
    assert values.dtype == np.float32
    assert where is not None
    assert len(values) == glcm.output_profiles([profile])[0].count
    return values, where


def agree(glcm: Glcm, grey: np.ndarray, valid: np.ndarray, got: Any, where: Any) -> int:
    """Compare all pixels of one band; returns how many have a value."""
    names = [name for name in FEATURES if name in glcm.features]
    number = 0
    for row, col in np.ndindex(grey.shape):
        wanted = expected(glcm, grey, valid, row, col)
        assert where[:, row, col].tolist() == [wanted is not None] * len(names)
        if wanted is not None:
            number += 1
            values = [wanted[name] for name in names]
            np.testing.assert_allclose(got[:, row, col], values, rtol=2e-6, atol=5e-7)
    return number


def level(value: float, lower: float, upper: float, levels: int) -> int:
    return min(max(math.floor((value - lower) / (upper - lower) * levels), 0), levels - 1)


CASES: tuple[dict[str, Any], ...] = (
    {"radius": 1, "levels": 4},
    {"radius": 2, "levels": 8, "direction": "0"},
    {"radius": 2, "levels": 8, "direction": "45", "symmetric": False},
    {"radius": 1, "levels": 3, "direction": "90", "symmetric": False, "nodata": "propagate"},
    {"radius": 3, "levels": 32, "direction": "135", "distance": 2},
    {"radius": 2, "levels": 256, "distance": 4, "fill": True},
    {"radius": 2, "levels": 5, "symmetric": False},
    {"radius": 3, "levels": 2, "direction": "135", "distance": 6, "symmetric": False},
    {"radius": 1, "levels": 16, "nodata": "propagate", "fill": True},
)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("holes", [0.0, 0.15, 0.75])
def test_every_feature_is_that_of_a_matrix_counted_by_a_loop(
    case: dict[str, Any], holes: float
) -> None:
    random = np.random.default_rng(7)
    glcm = Glcm(features=FEATURES, bounds=((-20.0, 30.0),), **case)
    pixels = np.cumsum(random.normal(0, 6, (9, 11)), axis=1).astype(np.float32)
    valid = random.random(pixels.shape) >= holes
    pixels[~valid] = np.nan
    grey = np.zeros(pixels.shape, int)
    for place in np.argwhere(valid):
        grey[tuple(place)] = level(float(pixels[tuple(place)]), -20, 30, glcm.levels)
    number = agree(glcm, grey, valid, *run(glcm, pixels, valid))
    assert number > 0 or holes == 0.75 or (glcm.nodata == "propagate" and holes)


@pytest.mark.parametrize(
    "dtype", ["uint8", "int8", "uint16", "int16", "int32", "uint64", "float64"]
)
def test_levels_of_every_type_between_and_beyond_the_bounds(dtype: str) -> None:
    random = np.random.default_rng(3)
    pixels = random.integers(0, 120, (6, 7)).astype(dtype)
    glcm = Glcm(features=("contrast", "mean", "entropy"), bounds=((13, 93),), levels=16, radius=1)
    grey = np.array([[level(float(x), 13, 93, 16) for x in row] for row in pixels])
    assert {0, 15} <= set(grey.ravel().tolist())
    assert agree(glcm, grey, np.ones(grey.shape, bool), *run(glcm, pixels)) == 42


def test_infinite_pixels_have_the_outermost_levels() -> None:
    pixels = np.array([[-np.inf, np.inf, 5.0]])
    glcm = Glcm(features=("mean", "contrast"), bounds=((0, 8),), levels=4, radius=1, direction="0")
    values, where = run(glcm, pixels)
    assert where.all()
    # pairs of levels 0, 3 and 3, 2
    assert values[0].tolist() == [[9.0, 5.0, 1.0]]
    assert values[1].tolist() == [[1.5, 2.0, 2.5]]


@pytest.mark.parametrize("direction", sorted(PRINTED))
def test_the_example_of_haralick(direction: str) -> None:
    """A window of 5 x 5 around the pixel (2, 2) holds the whole image."""
    glcm = Glcm(features=FEATURES, bounds=((0, 3),), levels=4, radius=2, direction=direction)
    values, _ = run(glcm, HARALICK)
    wanted = features_of(PRINTED[direction])
    np.testing.assert_allclose(values[:, 2, 2], [wanted[name] for name in FEATURES], rtol=1e-6)


@pytest.mark.parametrize("direction", sorted(ONE_WAY))
def test_a_matrix_that_is_not_symmetric(direction: str) -> None:
    glcm = Glcm(
        features=FEATURES, bounds=((0, 3),), levels=4, radius=2, direction=direction,
        symmetric=False,
    )  # fmt: skip
    values, _ = run(glcm, HARALICK)
    wanted = features_of(ONE_WAY[direction])
    np.testing.assert_allclose(values[:, 2, 2], [wanted[name] for name in FEATURES], rtol=1e-6)


def test_the_numbers_that_matlab_prints() -> None:
    """graycoprops([0 1 2 3; 1 1 2 3; 1 0 2 0; 0 0 0 3]), as its documentation shows."""
    matrix = np.array([[0, 1, 2, 3], [1, 1, 2, 3], [1, 0, 2, 0], [0, 0, 0, 3]])
    pairs = [place for place, count in np.ndenumerate(matrix) for _ in range(count)]
    glcm = Glcm(
        features=("contrast", "correlation", "ASM"), bounds=((0, 3),), levels=4, radius=9,
        direction="0", symmetric=False,
    )  # fmt: skip
    values, _ = run(glcm, np.array(pairs, np.uint8))
    np.testing.assert_allclose(values[:, 9, 0], [2.8947, 0.0783, 0.1191], atol=5e-5)


@pytest.mark.parametrize("symmetric", [True, False])
@pytest.mark.parametrize("radius", [8, 64])
def test_large_windows_and_many_levels_do_not_overflow(radius: int, symmetric: bool) -> None:
    random = np.random.default_rng(11)
    side = 2 * radius + 1
    pixels = random.choice(np.array([0, 3, 251, 255], np.uint8), (side, side))
    pixels[:, radius:] = random.choice(np.array([0, 255], np.uint8), (side, radius + 1))
    glcm = Glcm(
        features=FEATURES, bounds=((0, 255),), levels=256, radius=radius, direction="45",
        symmetric=symmetric,
    )  # fmt: skip
    profile = Profile(side, side, "uint8")
    block = Block(pixels[None], None, profile, Window(radius, radius, 1, 1), (radius,) * 4)
    values, where = glcm.apply(Blocks(block.core, {"INPUT": [block]}))
    assert where is None
    wanted = features_of(
        matrix_at(glcm, pixels.astype(int), np.ones(pixels.shape, bool), radius, radius, "45")
    )
    names = [wanted[name] for name in FEATURES]
    np.testing.assert_allclose(values[:, 0, 0], names, rtol=2e-6, atol=1e-6)


@pytest.mark.parametrize("symmetric", [True, False])
def test_a_flat_image_and_two_alternating_levels(symmetric: bool) -> None:
    glcm = Glcm(features=FEATURES, bounds=((5, 5),), radius=1, levels=9, symmetric=symmetric)
    values, where = run(glcm, np.full((4, 5), 5.0))
    assert where.all()
    flat = {"homogeneity": 1, "correlation": 1, "ASM": 1, "energy": 1, "maximum probability": 1}
    for name, plane in zip(FEATURES, values):
        assert (plane == flat.get(name, 0)).all()
    beyond = Glcm(features=("mean",), bounds=((5, 5),), radius=1, levels=9, direction="0")
    assert run(beyond, np.array([[5.0, 6.0]]))[0].tolist() == [[[4, 4]]]
    assert run(beyond, np.array([[5.0, 4.0]]))[0].tolist() == [[[0, 0]]]
    stripes = np.tile(np.array([0, 8], np.int16), (6, 4))
    glcm = Glcm(
        features=("contrast", "correlation", "entropy"), bounds=((0, 8),), levels=9, radius=2,
        direction="0", symmetric=symmetric,
    )  # fmt: skip
    values, _ = run(glcm, stripes)
    np.testing.assert_allclose(values[:, 2, 3], [64, -1, math.log(2)], rtol=1e-6)


def test_bounds_are_physical_values() -> None:
    random = np.random.default_rng(5)
    stored = random.integers(0, 1000, (7, 8)).astype(np.int16)
    glcm = Glcm(features=FEATURES, bounds=((2.0, 9.0),), levels=16, radius=1)
    grey = np.array([[level(x * -0.01 + 10, 2, 9, 16) for x in row] for row in stored.tolist()])
    got = run(glcm, stored, scale=-0.01, offset=10.0)
    agree(glcm, grey, np.ones(grey.shape, bool), *got)


def test_a_row_has_no_pairs_up_and_a_single_pixel_none_at_all() -> None:
    row = np.arange(9, dtype=np.float32)[None]
    up = Glcm(features=("contrast",), bounds=((0, 9),), direction="90")
    assert not run(up, row)[1].any()
    mean = Glcm(features=("contrast",), bounds=((0, 9),), levels=9, radius=1)
    values, where = run(mean, row)
    assert where.all()
    assert (values == 1).all()  # of the direction 0 alone
    assert not run(mean, row[:, :1])[1].any()


def test_few_columns_at_a_time_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(2).normal(size=(2, 12, 30))
    glcm = Glcm(features=MATRIX_FEATURES, bounds=((-2, 2), (-1, 1)), radius=2)
    values, _ = run(glcm, pixels)
    for bytes_ in (1, 9000):
        monkeypatch.setattr(glcm_matrices, "TABLE_BYTES", bytes_)
        assert run(glcm, pixels)[0].tobytes() == values.tobytes()


def test_a_pixel_far_from_nodata_has_the_same_bits_as_without() -> None:
    pixels = np.random.default_rng(4).normal(size=(14, 15)).astype(np.float32)
    valid = np.ones(pixels.shape, bool)
    valid[0, 0] = False
    glcm = Glcm(features=FEATURES, bounds=((-2, 2),), radius=2)
    profile = Profile(11, 10, "float32")
    blocks = [
        Block(pixels[None], mask, profile, Window(2, 2, 10, 11), (2,) * 4)
        for mask in (None, valid[None])
    ]
    (one, _), (two, where) = (glcm.apply(Blocks(b.core, {"INPUT": [b]})) for b in blocks)
    assert where is not None and where.all()
    assert one[:, 1:].tobytes() == two[:, 1:].tobytes()
    assert one[:, 0, 0].tobytes() != two[:, 0, 0].tobytes()


# ---------------------------------------------------------------- the procedure


def textured(
    texture: Texture, pixels: np.ndarray, bands: Any = None, **options: Any
) -> tuple[np.ndarray, Profile]:
    count, rows, cols = pixels.shape
    profile = Profile(cols, rows, pixels.dtype.name, bands or (Band(nodata=-99),) * count)
    with EOContextManager(inline=True) as context:
        key = context.create_image(profile)
        context.get_array(key)[:] = pixels
        (made,) = context.run(texture, key, **options).images
        assert made
        return context.get_array(made).copy(), context.profile(made)


def test_bounds_not_given_are_those_of_each_band() -> None:
    random = np.random.default_rng(9)
    pixels = random.integers(-50, 150, (3, 8, 9)).astype(np.int16)
    pixels[1] += 1000
    pixels[:, 2, 3] = -99
    bands = tuple(Band(nodata=-99, name=name) for name in ("red", "", "nir"))
    texture = Texture(radius=1, levels=10, asm=True, entropy=False)
    values, profile = textured(texture, pixels, bands)
    assert [band.name for band in profile.bands] == [
        f"{band} {feature}"
        for band in ("red", "band2", "nir")
        for feature in ("contrast", "homogeneity", "ASM")
    ]
    assert profile.dtype == "float32"
    for band in range(3):
        plane, valid = pixels[band], pixels[band] != -99
        lower, upper = float(plane[valid].min()), float(plane[valid].max())
        grey = np.array([[level(x, lower, upper, 10) for x in row] for row in plane.tolist()])
        glcm = Glcm(features=texture.features, bounds=((lower, upper),), levels=10, radius=1)
        got = values[3 * band : 3 * band + 3]
        assert agree(glcm, grey, valid, got, np.isfinite(got)) == 71


def test_one_bound_given_and_an_extent() -> None:
    pixels = np.random.default_rng(1).uniform(0, 100, (1, 20, 20)).astype(np.float32)
    pixels[0, 0, 0] = 9999
    texture = Texture(
        radius=1, mean=True, contrast=False, homogeneity=False, entropy=False, lower=40
    )
    extent = Window(5, 6, 8, 7)
    values, profile = textured(texture, pixels, extent=extent)
    assert [band.name for band in profile.bands] == ["mean"]
    upper = float(pixels[0][extent.slices].max())
    given = Texture(**{**vars(texture), "upper": upper})
    whole, _ = textured(given, pixels)
    assert values.tobytes() == whole[(slice(None), *extent.slices)].tobytes()
    lower = float(pixels.min())
    ends = [{"lower": None, "upper": 50}, {"lower": lower, "upper": 50}, {"lower": lower}]
    one, two, three = (textured(Texture(**{**vars(texture), **end}), pixels)[0] for end in ends)
    assert one.tobytes() == two.tobytes() != three.tobytes()


def test_as_many_levels_as_integers_keep_them() -> None:
    pixels = np.random.default_rng(6).integers(0, 256, (1, 7, 7)).astype(np.uint8)
    pixels[0, 0, :2] = 0, 255
    values, _ = textured(Texture(radius=1, levels=256), pixels, (Band(),))
    glcm = Glcm(
        features=("contrast", "homogeneity", "entropy"), bounds=((0, 1),), levels=256, radius=1
    )
    agree(glcm, pixels[0].astype(int), np.ones((7, 7), bool), values, values == values)


def test_nothing_valid_and_a_band_of_one_value() -> None:
    pixels = np.stack((np.full((5, 5), -99.0), np.full((5, 5), 7.0)))
    values, _ = textured(Texture(radius=1), pixels)
    assert np.isnan(values[:3]).all()
    assert (values[3:] == np.array([0, 1, 0])[:, None, None]).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"contrast": False, "homogeneity": False, "entropy": False}, "choose one or more"),
        ({"radius": 1, "distance": 3}, "radius of at least 2, or a distance of at most 2"),
        ({"lower": 3, "upper": 3}, "must be less than"),
        ({"upper": math.inf}, "cannot be inf"),
        ({"levels": 1}, "at least 2"),
        ({"levels": 257}, "at most 256"),
        ({"radius": 65}, "at most 64"),
        ({"direction": "30"}, "Use one of: mean of four, 0, 45, 90, 135"),
    ],
)
def test_what_does_not_fit_is_refused(options: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Texture(**options)


def test_values_beyond_the_bounds_or_too_far_apart_are_refused() -> None:
    pixels = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    with pytest.raises(
        InputError, match="band 1 lies within the bounds; it has values from 1 to 4"
    ):
        textured(Texture(lower=10), pixels)
    with pytest.raises(InputError, match="too far apart"):
        textured(Texture(), np.array([[[-1.7e308, 1.7e308]]]))
    with pytest.raises(InputError, match=r"-1\.7e\+308 and 1\.7e\+308 are too far apart"):
        textured(Texture(lower=-1.7e308, upper=1.7e308), pixels)
    values, _ = textured(Texture(lower=0, upper=1), pixels)
    assert np.isfinite(values).all()


def test_the_filter_refuses_other_features_and_other_numbers_of_bounds() -> None:
    with pytest.raises(InputError, match="choose one or more of contrast"):
        Glcm(features=("colour",), bounds=((0, 1),))
    with pytest.raises(InputError, match="choose one or more of contrast"):
        Glcm(features=(), bounds=((0, 1),))
    glcm = Glcm(features=PAIR_FEATURES, bounds=((0, 1),))
    with pytest.raises(InputError, match="2 bands need as many bounds, not 1"):
        glcm.check({"INPUT": [Profile(4, 4, "uint8", (Band(), Band()))]})
