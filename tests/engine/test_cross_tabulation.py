"""Cross-tabulation against a direct loop, SciPy's chi-squared and Cramer's V."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from osgeo import osr
from scipy.stats import chi2_contingency
from scipy.stats.contingency import association

from eoscale_engine.errors import InputError
from eoscale_engine.procedures.cross_tabulation import CrossTabulation
from eoscale_engine.profile import CRS, Affine, Band
from eoscale_engine.reductions.areas import row_areas
from eoscale_engine.reductions.value_pairs import ValuePairs
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import REAL_DTYPES, random_image
from tests.engine.procedure_runs import image, run


def pairs_of(made: Any) -> dict[tuple[Any, Any], int]:
    return {(row["first"], row["second"]): row["count"] for row in made.rows()}


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("other", ["uint8", "int64", "float64"])
def test_every_dtype(dtype: str, other: str) -> None:
    images = []
    for seed, kind in enumerate((dtype, other)):
        pixels, valid = random_image(kind, (1, 31, 47), seed=seed, holes=0.2)
        random = np.random.default_rng(seed + 9)
        # few values here, all the type's values there
        few = pixels.ravel()[random.integers(0, 6, pixels.shape)]
        pixels = np.where(random.random(pixels.shape) < 0.7, few, pixels)
        if np.dtype(kind).kind in "iu":
            valid &= pixels != (0 if kind.startswith("u") else -99)
        valid &= pixels == pixels
        images.append(image(pixels, valid))
    made = run(CrossTabulation(), *images)
    both = images[0].valid & images[1].valid
    wanted = Counter(zip(*(one.pixels[both].tolist() for one in images)))
    assert pairs_of(made) == wanted
    assert list(pairs_of(made)) == sorted(wanted)
    numbers = made.summary.numbers
    assert (numbers["VALID"], numbers["INVALID"]) == (both.sum(), (~both).sum())
    assert numbers["PAIRS"] == len(wanted)


def test_more_cells_than_one_and_a_matrix() -> None:
    random = np.random.default_rng(5)
    first = random.integers(0, 7, (1, 600, 1100)).astype("uint8")
    second = np.where(random.random(first.shape) < 0.4, first * 2, random.integers(-3, 9))
    made = run(CrossTabulation(), image(first), image(second.astype("int16")))
    assert pairs_of(made) == Counter(zip(first.ravel().tolist(), second.ravel().tolist()))
    assert sum(row["share"] for row in made.rows()) == pytest.approx(1)
    matrix = np.array([row[1:] for row in made.summary.tables[1].rows])
    values = [int(name) for name in made.summary.tables[1].columns[1:]]
    for row in made.summary.tables[1].rows:
        for value, count in zip(values, row[1:]):
            assert count == ((first == row[0]) & (second == value)).sum()
    wanted = chi2_contingency(matrix, correction=False)
    numbers = made.summary.numbers
    assert numbers["CHI_SQUARED"] == pytest.approx(wanted[0], rel=1e-9)
    assert numbers["DEGREES_OF_FREEDOM"] == wanted[2]
    assert numbers["CRAMERS_V"] == pytest.approx(association(matrix), rel=1e-9)
    heat = made.summary.charts[0]
    assert [[cell or 0 for cell in row] for row in heat.values] == matrix.tolist()


def test_images_that_tell_each_other() -> None:
    pixels = np.array([[[1, 1, 2, 3, 3, 3]]], "uint8")
    numbers = run(CrossTabulation(), image(pixels), image(9 - pixels)).summary.numbers
    assert (numbers["CHI_SQUARED"], numbers["CRAMERS_V"]) == (pytest.approx(12), pytest.approx(1))
    numbers = run(CrossTabulation(), image(pixels), image(pixels * 0)).summary.numbers
    assert (numbers["CHI_SQUARED"], numbers["DEGREES_OF_FREEDOM"]) == (0, 0)
    assert numbers["CRAMERS_V"] is None


def test_bands_names_infinities_and_nan() -> None:
    first = np.array([[[7, 7, 7, 7, 7, 7]], [[0, 1, 1, 1, 2, 2]]], "uint8")
    second = np.array([[[np.nan, -0.0, 0.0, np.inf, np.inf, 1.0]]], "float32")
    bands = [Band(), Band(categories=("", "water", "wood"), scale=0.5)]
    made = run(CrossTabulation(band=2), image(first, bands=bands), image(second))
    assert pairs_of(made) == {(1, 0.0): 2, (1, np.inf): 1, (2, 1.0): 1, (2, np.inf): 1}
    assert [row["first_name"] for row in made.rows()] == ["water", "water", "wood", "wood"]
    assert made.summary.numbers["INVALID"] == 1


def test_no_valid_pixel() -> None:
    pixels, valid = random_image("int16", (1, 5, 6), seed=0)
    valid[:, :3] = False
    made = run(CrossTabulation(), image(pixels, valid), image(pixels, ~valid))
    assert made.rows() == []
    assert made.summary.numbers == {
        "VALID": 0, "INVALID": 30, "PAIRS": 0, "CHI_SQUARED": None, "DEGREES_OF_FREEDOM": None,
        "CRAMERS_V": None,
    }  # fmt: skip
    assert any("No pixel" in note for note in made.summary.notes)


@pytest.mark.parametrize("extent", [None, Window(2, 3, 20, 9)])
def test_areas(extent: Any) -> None:
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(4326)
    crs = CRS(reference.ExportToWkt(["FORMAT=WKT2_2019"]))
    random = np.random.default_rng(2)
    first, second = (image(random.integers(0, 3, (1, 40, 30)).astype("uint8")) for _ in range(2))
    profile = replace(first.profile, crs=crs, transform=Affine(1, 0, 0, 0, -1, 60))
    first, second = (one._replace(profile=profile) for one in (first, second))
    made = run(CrossTabulation(area_unit="hectares"), first, second, extent=extent)
    areas, window = row_areas(profile), extent or Window(0, 0, 40, 30)
    assert areas is not None
    for row in made.rows():
        where = (first.pixels[0] == row["first"]) & (second.pixels[0] == row["second"])
        wanted = (where[window.slices].sum(axis=1) * areas[window.row : window.end_row]).sum() / 1e4
        assert row["area"] == pytest.approx(wanted, rel=1e-12)


def test_what_is_refused_and_left_out() -> None:
    many = image(np.arange(600, dtype="int16").reshape(1, 20, 30))
    made = run(CrossTabulation(), many, many)
    assert len(made.summary.tables) == 1
    assert not made.summary.charts
    assert any("no matrix" in note for note in made.summary.notes)
    with pytest.raises(InputError, match="band 2"):
        run(CrossTabulation(second_band=2), many, many)
    wide = image(np.arange(1100, dtype="int16").reshape(1, 1, 1100))
    with pytest.raises(InputError, match="more than 600 distinct"):
        run(ValuePairs(most=600), wide, wide)
