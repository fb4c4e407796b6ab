"""Random pixels: against the generator in plain Python, and against what chance allows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Summary
from eoscale_engine.errors import InputError
from eoscale_engine.procedures import sampling
from eoscale_engine.procedures.sampling import SamplePixels, shares
from eoscale_engine.profile import Affine, Band, Profile
from eoscale_engine.reductions.sampling import class_counts, pixel_numbers
from eoscale_engine.reductions.summary import jsonable
from eoscale_engine.tiling import Window

MASK64 = 2**64 - 1
STEP = 0x9E3779B97F4A7C15
GRID = Affine(2, 0, 100, 0, -3, 900)


# ---------------------------------------------------------------- references


class SplitMix64:
    """The generator as its authors publish it, one number after the other."""

    def __init__(self, state: int) -> None:
        self.state = state

    def next(self) -> int:
        self.state = (self.state + STEP) & MASK64
        z = self.state
        z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK64
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK64
        return z ^ (z >> 31)


def number(row: int, col: int, seed: int) -> int:
    """A pixel's number: the seed's stream, the row's stream, the column's place in it."""
    first = SplitMix64(seed * STEP & MASK64).next()
    start = SplitMix64((first + row * STEP) & MASK64).next()
    return SplitMix64((start + col * STEP) & MASK64).next()


def lowest(where: np.ndarray, count: int, seed: int) -> list[tuple[int, int]]:
    """The places with the lowest numbers, by sorting all, in row order."""
    rows, cols = where.shape
    numbers = pixel_numbers(Window(0, 0, rows, cols), seed)
    places = sorted(zip(*np.nonzero(where)), key=lambda place: int(numbers[place]))
    return sorted((int(row), int(col)) for row, col in places[:count])


def run(
    declaration: SamplePixels, extent: Any = None, polygons: str = "", workers: int = 0,
    **images: Any,
) -> Summary:  # fmt: skip
    """On arrays ``(bands, rows, cols)`` or pairs of them and bands, by role."""
    with EOContextManager(workers, inline=not workers) as context:
        keys: dict[str, Any] = {"POLYGONS": [context.open_polygons(polygons)]} if polygons else {}
        for role, several in images.items():
            for one in several if isinstance(several, list) else [several]:
                pixels, bands = one if isinstance(one, tuple) else (one, ())
                count, rows, cols = pixels.shape
                bands = tuple(bands) or (Band(),) * count
                profile = Profile(cols, rows, pixels.dtype.name, bands, None, GRID)
                keys.setdefault(role, []).append(context.create_image(profile))
                context.get_array(keys[role][-1])[:] = pixels
        found = context.run(declaration, keys, extent=extent).summary
        assert found is not None
        return found


def places(summary: Summary) -> list[tuple[int, int]]:
    return [(row[3], row[4]) for row in summary.tables[0].rows]


def noise(*shape: int, dtype: str = "uint16", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(1, 200, shape).astype(dtype)


# ---------------------------------------------------------------- the numbers


def test_the_published_sequence() -> None:
    reference = SplitMix64(1234567)
    assert [reference.next() for _ in range(3)] == [
        6457827717110365317, 3203168211198807973, 9817491932198370423,
    ]  # fmt: skip


@pytest.mark.parametrize("seed", [0, 1, 2**31 - 1, -1, -7, 2**63 + 5, 2**70 + 3])
def test_numbers_are_the_generators(seed: int) -> None:
    window = Window(7, 900, 5, 6)
    found = pixel_numbers(window, seed).tolist()
    wanted = [[number(row, col, seed) for col in range(900, 906)] for row in range(7, 12)]
    assert found == wanted


def test_numbers_are_uniform_and_independent() -> None:
    """Every byte of the number, neighbours in both directions, and neighbouring seeds."""
    numbers = pixel_numbers(Window(0, 0, 1024, 1024), 0)
    for shift in range(0, 64, 8):
        digits = (numbers >> np.uint64(shift)) & np.uint64(255)
        assert stats.chisquare(np.bincount(digits.ravel().astype(int))).pvalue > 1e-4
    high = (numbers >> np.uint64(60)).astype(int)
    other = (pixel_numbers(Window(0, 0, 1024, 1024), 1) >> np.uint64(60)).astype(int)
    for one, two in (
        (high[:, ::2], high[:, 1::2]), (high[::2], high[1::2]), (high, other), (high, high.T),
    ):  # fmt: skip
        # a pixel and its mirror image are the same pair twice: only one half counts
        half = np.triu(np.ones(one.shape, bool), 1) if two is not other else True
        pairs = (16 * one + two)[np.broadcast_to(half, one.shape)]
        assert stats.chisquare(np.bincount(pairs, minlength=256)).pvalue > 1e-4
    assert np.unique(numbers).size == numbers.size


def test_drawn_places_are_spread_evenly() -> None:
    """Points of 16 seeds in 8 x 8 squares, and the number of points that two seeds share."""
    image, counts, seen = np.ones((1, 320, 320), "uint8"), np.zeros((8, 8), int), []
    for seed in range(16):
        found = places(run(SamplePixels(2000, seed=seed), INPUTS=image))
        seen.append(set(found))
        rows, cols = np.array(found).T
        np.add.at(counts, (rows // 40, cols // 40), 1)
    assert stats.chisquare(counts.ravel()).pvalue > 1e-3
    expected = 2000 * 2000 / 320**2
    for one, two in zip(seen, seen[1:]):
        assert abs(len(one & two) - expected) < 5 * expected**0.5


# ---------------------------------------------------------------- all of the image


def test_lowest_numbers_of_many_cells_win() -> None:
    image = noise(2, 600, 1100)
    made = run(SamplePixels(500, seed=3), INPUTS=image)
    table = made.tables[0]
    assert table.columns == ("point", "x", "y", "row", "column", "im1b1", "im1b2")
    assert places(made) == lowest(np.ones((600, 1100), bool), 500, 3)
    for point, (place, x, y, row, col, one, two) in enumerate(table.rows, 1):
        assert (place, x, y) == (point, 101 + 2 * col, 898.5 - 3 * row)
        assert (one, two) == tuple(image[:, row, col].tolist())
        assert type(one) is int
    assert made.numbers == {"POINTS": 500, "CLASSES": 0}
    heights = made.charts[0].series[0][2]
    assert sum(heights) == 500


def test_more_points_keep_fewer_ones() -> None:
    image = noise(1, 90, 80)
    few, many = (set(places(run(SamplePixels(n), INPUTS=image))) for n in (50, 400))
    assert few < many


def test_valid_in_all_images_strata_and_mask() -> None:
    one, two = noise(2, 130, 140), noise(1, 130, 140, dtype="float32", seed=1)
    mask, strata = noise(1, 130, 140, dtype="uint8", seed=2) % 3, np.full((1, 130, 140), 5, "int16")
    random = np.random.default_rng(9)
    one[0][random.random((130, 140)) < 0.3] = 0
    two[0][random.random((130, 140)) < 0.3] = np.nan
    strata[0][random.random((130, 140)) < 0.3] = -1
    where = (one[0] != 0) & (one[1] != 7) & (two[0] == two[0]) & (mask[0] != 0) & (strata[0] == 5)
    images = {
        "INPUTS": [(one, (Band(nodata=0), Band(nodata=7))), two],
        "MASK": mask,
        "STRATA": (strata, (Band(nodata=-1),)),
    }
    for declaration in (SamplePixels(300), SamplePixels(300, allocation="proportional")):
        made = run(declaration, **images)
        assert places(made) == lowest(where, 300, 0)
        assert made.tables[1].rows == ((5, "", int(where.sum()), 1.0, 300),)
        assert made.tables[0].columns[5:] == ("stratum", "im1b1", "im1b2", "im2b1")
    assert made.numbers == {"POINTS": 300, "CLASSES": 1}
    assert "mask" in " ".join(made.notes)


def test_few_valid_pixels_need_a_second_pass() -> None:
    image = np.zeros((1, 700, 700), "uint8")
    image[0, 300:310, 500:600] = 1
    made = run(SamplePixels(100), INPUTS=(image, (Band(nodata=0),)))
    assert places(made) == lowest(image[0] == 1, 100, 0)
    every = run(SamplePixels(5000), INPUTS=(image, (Band(nodata=0),)))
    assert places(every) == [(row, col) for row in range(300, 310) for col in range(500, 600)]
    assert "There are 1000 pixels, fewer than the 5000 points asked for" in every.notes[0]


def test_inside_polygons(tmp_path: Path) -> None:
    ring = [[110, 870], [150, 870], [150, 810], [110, 810], [110, 870]]
    feature = {
        "type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]},
    }  # fmt: skip
    path = tmp_path / "square.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    made = run(SamplePixels(80), INPUTS=noise(1, 60, 60), polygons=str(path))
    where = np.zeros((60, 60), bool)
    where[10:30, 5:25] = True
    assert places(made) == lowest(where, 80, 0)


def test_an_extent_counts_from_its_corner() -> None:
    image = noise(1, 120, 150)
    made = run(SamplePixels(40), Window(20, 30, 60, 70), INPUTS=image)
    alone = run(SamplePixels(40), INPUTS=image[:, 20:80, 30:100])
    assert places(made) == places(alone) == lowest(np.ones((60, 70), bool), 40, 0)
    point, x, y, row, col, value = made.tables[0].rows[0]
    assert (x, y) == (100 + 2 * (col + 30.5), 900 - 3 * (row + 20.5))
    assert value == image[0, row + 20, col + 30]


# ---------------------------------------------------------------- strata


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int64", "uint64", "float32"])
def test_each_class_has_its_own_lowest_numbers(dtype: str) -> None:
    strata = (noise(600, 700, seed=4) % 4 + 10 * (np.arange(700) > 690)).astype(dtype)
    if dtype in ("int8", "int16", "int64"):
        strata = np.where(strata == 3, np.iinfo(dtype).min, strata)
        strata = np.where(strata == 2, np.iinfo(dtype).max, strata)
    if dtype == "uint64":
        strata = strata + np.uint64(2**64 - 20)
    image = noise(1, 600, 700)
    made = run(SamplePixels(60), INPUTS=image, STRATA=strata[None])
    rows = made.tables[0].rows
    assert [row[5] for row in rows] == sorted(row[5] for row in rows)
    assert [row[0] for row in rows] == list(range(1, 60 * 8 + 1))
    values, counts = np.unique(strata, return_counts=True)
    assert values.size == 8
    for value, count, told in zip(values.tolist(), counts.tolist(), made.tables[1].rows):
        drawn = [(row[3], row[4]) for row in rows if row[5] == value]
        assert drawn == lowest(strata == value, 60, 0)
        assert told == (value, "", count, count / strata.size, 60)
        assert type(told[0]) is type(value)
    assert made.numbers == {"POINTS": 480, "CLASSES": 8}


def test_in_proportion() -> None:
    strata = np.zeros((1, 100, 100), "uint8")
    strata[0, :10], strata[0, 10:13], strata[0, 50, 50:53] = 1, 2, 3
    made = run(
        SamplePixels(100, allocation="proportional"), INPUTS=noise(1, 100, 100), STRATA=strata
    )
    # of 8697, 1000, 300 and 3 pixels: 86.97, 10, 3 and 0.03 points
    assert [row[-1] for row in made.tables[1].rows] == [87, 10, 3, 0]
    assert made.numbers == {"POINTS": 100, "CLASSES": 3}
    assert made.notes == ("Classes too small to get any of 100 points: 3.",)
    for value, count in ((0, 87), (1, 10), (2, 3)):
        drawn = [(row[3], row[4]) for row in made.tables[0].rows if row[5] == value]
        assert drawn == lowest(strata[0] == value, count, 0)


def test_shares() -> None:
    assert shares(10, [3, 3, 3]) == [3, 3, 3]
    assert shares(10, [10, 10, 10]) == [4, 3, 3]
    assert shares(3, [10**18 + 1, 10**18, 10**18]) == [1, 1, 1]
    assert shares(7, []) == []
    random = np.random.default_rng(1)
    for _ in range(50):
        counts = random.integers(0, 1000, 9).tolist()
        given = shares(200, counts)
        assert sum(given) == min(200, sum(counts))
        exact = [200 * count / sum(counts) for count in counts]
        assert all(abs(one - two) < 1 for one, two in zip(given, exact))


def test_small_classes_give_all_and_names_are_told() -> None:
    strata = np.zeros((1, 40, 40), "uint8")
    strata[0, 0, :3], strata[0, 1, :4] = 1, 2
    names = (Band(categories=("sea", "forest")),)
    made = run(SamplePixels(20), INPUTS=noise(2, 40, 40), STRATA=(strata, names))
    told = [(row[0], row[1], row[-1]) for row in made.tables[1].rows]
    assert told == [(0, "sea", 20), (1, "forest", 3), (2, "", 4)]
    assert [note.split(",")[0] for note in made.notes] == [
        "Class 1 has 3 pixels", "Class 2 has 4 pixels",
    ]  # fmt: skip
    bars, means = made.charts
    assert bars.series[0][1:] == ((0.0, 1.0, 2.0), (20.0, 3.0, 4.0))
    own = [row[6:] for row in made.tables[0].rows if row[5] == 1]
    np.testing.assert_allclose(means.series[1][2], np.mean(own, axis=0), rtol=1e-12)


def test_the_band_of_the_strata() -> None:
    strata = np.stack([np.zeros((30, 30), "uint8"), np.eye(30, dtype="uint8")])
    strata[0, :, 0] = 9  # nodata of the other band does not matter
    made = run(
        SamplePixels(30, strata_band=2), INPUTS=noise(1, 30, 30),
        STRATA=(strata, (Band(nodata=9), Band())),
    )  # fmt: skip
    assert [row[3:6] for row in made.tables[0].rows[30:]] == [(n, n, 1) for n in range(30)]


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int32", "uint64", "int64", "float64"])
def test_class_counts(dtype: str) -> None:
    values = noise(5000, dtype="int64") % 100
    wanted = {value: int((values == value).sum()) for value in set(values.tolist())}
    assert class_counts(values.astype(dtype)) == wanted
    assert class_counts(values[:0].astype(dtype)) == {}
    if dtype != "float64":
        ends = np.array([np.iinfo(dtype).min, np.iinfo(dtype).max, np.iinfo(dtype).max], dtype)
        assert class_counts(ends) == {int(ends[0]): 1, int(ends[1]): 2}


# ---------------------------------------------------------------- values


def test_values_are_physical_or_stored() -> None:
    image = noise(2, 20, 30, dtype="int16")
    bands = (Band(scale=0.5, offset=-3, name="near infra-red", unit="K"), Band(name="red"))
    made = run(SamplePixels(50), INPUTS=[(image, bands), noise(1, 20, 30)])
    names = ("im1b1_near_infra_red", "im1b2_red", "im2b1")
    assert made.tables[0].columns[5:] == names
    assert made.tables[1].rows[0] == (names[0], 1, 1, "near infra-red", "K")
    for _, _, _, row, col, *values in made.tables[0].rows:
        assert values[:2] == [image[0, row, col] * 0.5 - 3, image[1, row, col]]
    assert made.notes == ("Image 1: Band 1: value = pixel * 0.5 + -3.",)
    raw = run(SamplePixels(50, raw=True), INPUTS=(image, bands))
    for _, _, _, row, col, *values in raw.tables[0].rows:
        assert values == image[:, row, col].tolist()
        assert {type(value) for value in values} == {int}


def test_wide_integers_stay_exact() -> None:
    image = np.array([[[2**64 - 1, 2**63 + 1, 3]]], "uint64")
    assert [row[5] for row in run(SamplePixels(9), INPUTS=image).tables[0].rows] == [
        2**64 - 1, 2**63 + 1, 3,
    ]  # fmt: skip


def test_infinities_are_values_and_classes() -> None:
    image = np.array([[[np.inf, 1, np.nan, -np.inf, 2]]], "float32")
    made = run(SamplePixels(9), INPUTS=image)
    assert [row[5] for row in made.tables[0].rows] == [np.inf, 1, -np.inf, 2]
    assert sum(made.charts[0].series[0][2]) == 2
    strata = run(SamplePixels(9), INPUTS=image, STRATA=image)
    assert [row[5] for row in strata.tables[0].rows] == [-np.inf, 1, 2, np.inf]
    jsonable(strata)
    nothing = run(SamplePixels(9), INPUTS=np.full((1, 3, 3), np.inf))
    assert sum(nothing.charts[0].series[0][2]) == 0


def test_no_valid_pixel() -> None:
    image = np.full((1, 30, 30), np.nan, "float32")
    for images in ({"INPUTS": image}, {"INPUTS": image, "STRATA": np.ones((1, 30, 30), "uint8")}):
        for allocation in ("equal", "proportional"):
            made = run(SamplePixels(10, allocation=allocation), **images)
            assert made.tables[0].rows == ()
            assert made.numbers == {"POINTS": 0, "CLASSES": 0}
            assert made.charts == ()
            assert "There is no pixel to draw from" in made.notes[0]


# ---------------------------------------------------------------- workers and refusals


def test_workers_draw_the_same() -> None:
    image, strata = noise(2, 1100, 1600), noise(1, 1100, 1600, dtype="int32", seed=5) % 7
    declaration = SamplePixels(200, allocation="proportional", seed=8)
    alone = run(declaration, INPUTS=image, STRATA=strata)
    assert repr(run(declaration, workers=2, INPUTS=image, STRATA=strata)) == repr(alone)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "Number of points"),
        ({"seed": 1.5}, "Seed"),
        ({"allocation": "fair"}, "equal, proportional"),
        ({"strata_band": 3}, "band 3"),
    ],
)
def test_bad_parameters(options: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        run(SamplePixels(**options), INPUTS=noise(1, 4, 4), STRATA=noise(2, 4, 4))


def test_too_many_classes_and_points(monkeypatch: pytest.MonkeyPatch) -> None:
    strata = np.arange(300 * 300, dtype="float32").reshape(1, 300, 300)
    with pytest.raises(InputError, match="more than 65536 different values"):
        run(SamplePixels(5), INPUTS=noise(1, 300, 300), STRATA=strata)
    monkeypatch.setattr(sampling, "MOST_POINTS", 50)
    with pytest.raises(InputError, match="20 points for each of 3 classes are 60"):
        run(SamplePixels(20), INPUTS=noise(1, 30, 30), STRATA=noise(1, 30, 30) % 3)
