"""Unique values against numpy.unique and sums by a direct loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from osgeo import osr

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError
from eoscale_engine.procedures.unique_values import UniqueValues
from eoscale_engine.profile import CRS, Affine, Band
from eoscale_engine.reductions.areas import row_areas
from eoscale_engine.reductions.value_counts import ValueCounts
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import REAL_DTYPES, random_image
from tests.engine.procedure_runs import Image, image, run


def on_map(one: Image, epsg: int, transform: Any) -> Image:
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(epsg)
    crs = CRS(reference.ExportToWkt(["FORMAT=WKT2_2019"]))
    return one._replace(profile=replace(one.profile, crs=crs, transform=transform))


def counts_of(made: Any, band: int = 1) -> dict[Any, int]:
    return {row["value"]: row["count"] for row in made.rows() if row["band"] == band}


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_every_dtype_over_its_whole_range(dtype: str, holes: float) -> None:
    pixels, valid = random_image(dtype, (2, 41, 57), seed=3, holes=holes)
    if np.dtype(dtype).kind in "iu":
        valid &= pixels != (0 if dtype.startswith("u") else -99)
    made = run(UniqueValues(), image(pixels, valid))
    for band in range(2):
        values, counts = np.unique(pixels[band][valid[band]], return_counts=True)
        found = counts_of(made, band + 1)
        assert list(found) == values.tolist()
        assert list(found.values()) == counts.tolist()
        row = made.rows(1)[band]
        assert row["valid"] == counts.sum()
        assert row["invalid"] == 41 * 57 - counts.sum()
        assert row["majority"] == values[counts.argmax()]
        assert row["minority"] == values[counts.argmin()]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float32"])
def test_more_cells_than_one(dtype: str) -> None:
    pixels = np.random.default_rng(0).integers(-90, 90, (1, 600, 1100)).astype(dtype)
    values, counts = np.unique(pixels, return_counts=True)
    made = run(UniqueValues(), image(pixels))
    assert counts_of(made) == dict(zip(values.tolist(), counts.tolist()))
    shares = [row["share"] for row in made.rows()]
    assert shares == (counts / pixels.size).tolist()


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_integers_beyond_float64(dtype: str) -> None:
    info = np.iinfo(dtype)
    values = [info.min, info.min + 1, 2**53, 2**53 + 1, info.max - 1, info.max]
    pixels = np.array([[values + values[-2:]]], dtype)
    assert counts_of(run(UniqueValues(), image(pixels))) == dict(zip(values, (1, 1, 1, 1, 2, 2)))
    narrow = np.array([[[info.max, info.max - 3, info.max - 3]]], dtype)
    assert counts_of(run(UniqueValues(), image(narrow))) == {info.max - 3: 2, info.max: 1}


def test_infinities_zeros_and_nan() -> None:
    pixels = np.array([[[-np.inf, -0.0, 0.0, np.inf, np.inf, np.nan, 1.5]]], "float32")
    made = run(UniqueValues(), image(pixels))
    assert counts_of(made) == {-np.inf: 1, 0.0: 2, 1.5: 1, np.inf: 2}
    assert not np.signbit(list(counts_of(made))[1])
    assert made.summary.numbers == {
        "DISTINCT": 4, "VALID": 6, "INVALID": 1, "MAJORITY": 0.0, "MINORITY": -np.inf
    }  # fmt: skip
    assert made.summary.charts[0].series[0][1:] == ((0.0, 1.5), (2.0, 1.0))


def test_no_valid_pixel() -> None:
    pixels, valid = random_image("float32", (2, 9, 9), seed=1)
    valid[0] = False
    made = run(UniqueValues(), image(pixels, valid))
    assert not counts_of(made)
    assert counts_of(made, 2)
    assert made.summary.numbers == {
        "DISTINCT": 0, "VALID": 0, "INVALID": 81, "MAJORITY": None, "MINORITY": None
    }  # fmt: skip
    assert any("no values" in note for note in made.summary.notes)


def test_scale_offset_and_names() -> None:
    pixels = np.array([[[0, 1, 1, 2, 3]]], "uint8")
    band = Band(scale=-0.5, offset=3.0, categories=("", "water", "wood"))
    rows = run(UniqueValues(), image(pixels, bands=[band])).rows()
    assert [(row["value"], row["name"]) for row in rows] == [
        (1.5, ""), (2.0, "wood"), (2.5, "water"), (3.0, "")
    ]  # fmt: skip
    stored = run(UniqueValues(raw=True), image(pixels, bands=[band]))
    assert counts_of(stored) == {0: 1, 1: 2, 2: 1, 3: 1}


def test_areas_in_the_plane() -> None:
    pixels = np.random.default_rng(1).integers(0, 5, (1, 30, 40)).astype("uint8")
    one = on_map(image(pixels), 32631, Affine(30, 0, 5e5, 0, -30, 4e6))
    made = run(UniqueValues(area_unit="hectares"), one)
    assert [row["area"] for row in made.rows()] == [r["count"] * 900 / 1e4 for r in made.rows()]
    without = run(UniqueValues(), image(pixels))
    assert {row["area"] for row in without.rows()} == {None}


@pytest.mark.parametrize("extent", [None, Window(100, 30, 450, 500)])
def test_areas_on_the_ellipsoid(extent: Any) -> None:
    pixels = np.random.default_rng(1).integers(0, 5, (1, 700, 600)).astype("uint8")
    valid = pixels > 0
    one = on_map(image(pixels, valid), 4326, Affine(0.2, 0, -60, 0, -0.2, 80))
    made = run(UniqueValues(area_unit="square kilometres"), one, extent=extent)
    areas = row_areas(one.profile)
    assert areas is not None
    window = extent or Window(0, 0, 700, 600)
    for row in made.rows():
        each = (pixels[0] == row["value"])[window.slices].sum(axis=1)
        wanted = float((each * areas[window.row : window.end_row]).sum()) / 1e6
        assert row["area"] == pytest.approx(wanted, rel=1e-12)


def test_a_mask() -> None:
    pixels = np.arange(12, dtype="uint8").reshape(1, 3, 4) // 4
    mask = np.array([[[0, 1, 1, 0], [0, 0, 0, 0], [2, 2, 2, 2]]], "uint8")
    made = run(UniqueValues(), image(pixels), image(mask))
    assert counts_of(made) == {0: 2, 2: 4}
    assert (made.summary.numbers["VALID"], made.summary.numbers["INVALID"]) == (6, 0)


def test_too_many_values_stop_early() -> None:
    pixels = np.random.default_rng(0).random((4, 520, 1100)).astype("float64")
    with pytest.raises(InputError, match="Reclassify"):
        run(UniqueValues(), image(pixels))
    with pytest.raises(InputError, match="more than 5 distinct"):
        run(ValueCounts(most=5), image(np.arange(600.0).reshape(1, 1, 600) // 100))
    with pytest.raises(InputError, match="more than 5 distinct"):  # in one single cell
        run(ValueCounts(most=5), image(np.arange(6.0).reshape(2, 1, 3)))
    found = run(ValueCounts(most=6), image(np.arange(600.0).reshape(1, 1, 600) // 100))
    assert found[0].tally.pixels.tolist() == [100] * 6


def test_workers_give_the_same() -> None:
    pixels = np.random.default_rng(0).integers(0, 99, (1, 1100, 600)).astype("uint16")
    one = on_map(image(pixels), 4326, Affine(0.1, 0, 0, 0, -0.1, 80))
    with EOContextManager(2) as context:
        key = context.create_image(one.profile)
        context.get_array(key)[:] = pixels
        found = context.run(UniqueValues(), key).summary
        assert repr(found) == repr(run(UniqueValues(), one).summary)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_integers_in_floats(dtype: str) -> None:
    """Small integers, some half-integers among them, and integers beyond what the type tells."""
    for values in ([3, -0.0, 0, -7, -7], [3, 3.5, -0.5, 3.5, 0], [2.0**60, 2.0**60, 2.0**61, 1, 1]):
        pixels = np.array([[values]], dtype)
        found, counts = np.unique(pixels + np.asarray(0, dtype), return_counts=True)
        assert counts_of(run(UniqueValues(), image(pixels))) == dict(
            zip(found.tolist(), counts.tolist())
        )
