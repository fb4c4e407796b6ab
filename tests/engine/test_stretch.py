"""The stretch to 8 bits against its formula, pixel by pixel."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eoscale_engine.errors import InputError
from eoscale_engine.procedures.stretch import Stretch
from eoscale_engine.profile import Band
from eoscale_engine.styles import Composite
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import REAL_DTYPES, random_image
from tests.engine.procedure_runs import image, run


def formula(
    value: float, low: float, high: float, first: int = 1, last: int = 255, gamma: float = 1
) -> int:
    """One pixel's result; Python rounds halves to even too."""
    t = (value > low) * 1.0 if low == high else min(max((value - low) / (high - low), 0.0), 1.0)
    if gamma != 1:
        t = t ** (1 / gamma)
    return round(t * (last - first) + first)


def check(made: Any, values: np.ndarray, valid: np.ndarray, bounds: Any, **how: Any) -> None:
    """All pixels, 0 where they are invalid."""
    result = made.image()
    assert result.profile.dtype == "uint8"
    assert [band.nodata for band in result.profile.bands] == [0] * len(values)
    for band, (low, high) in enumerate(bounds):
        want = [
            formula(value, low, high, **how) if is_valid else 0
            for value, is_valid in zip(values[band].ravel().tolist(), valid[band].ravel().tolist())
        ]
        assert result.pixels[band].ravel().tolist() == want


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_percentiles_of_every_dtype(dtype: str) -> None:
    pixels, valid = random_image(dtype, (2, 23, 31), seed=5, holes=0.2)
    if np.dtype(dtype).kind in "iu":
        valid &= pixels != (0 if dtype.startswith("u") else -99)
    made = run(Stretch(lower_percentile=5, upper_percentile=90), image(pixels, valid))
    bounds = []
    for band in range(2):
        values = pixels[band][valid[band]].astype(np.longdouble)
        bounds.append(tuple(float(value) for value in np.percentile(values, (5, 90))))
    found = [(row["lower"], row["upper"]) for row in made.rows()]
    np.testing.assert_allclose(found, bounds, rtol=1e-12)
    check(made, pixels.astype(np.float64), valid, found)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("common", [False, True])
def test_standard_deviations(dtype: str, common: bool) -> None:
    pixels = np.random.default_rng(2).integers(0, 100, (2, 20, 25)).astype(dtype)
    pixels[1] += 20
    made = run(Stretch("standard deviations", deviations=1.3, common=common), image(pixels))
    wide = pixels.astype(np.float64)
    means, spreads = wide.mean(axis=(1, 2)), wide.std(axis=(1, 2))
    bounds = np.array([means - 1.3 * spreads, means + 1.3 * spreads]).T
    if common:
        bounds = np.array([[bounds[:, 0].min(), bounds[:, 1].max()]] * 2)
    found = [(row["lower"], row["upper"]) for row in made.rows()]
    np.testing.assert_allclose(found, bounds, rtol=1e-12)
    check(made, wide, np.ones(pixels.shape, bool), found)


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "float32", "float64"])
def test_values_gamma_and_range(dtype: str) -> None:
    pixels = np.random.default_rng(3).integers(0, 120, (1, 15, 40)).astype(dtype)
    how = Stretch("values", lower=10, upper=90.5, gamma=2.2, lowest=20, highest=200)
    valid = np.ones(pixels.shape, bool)
    check(
        run(how, image(pixels)), pixels.astype(float), valid, [(10, 90.5)],
        first=20, last=200, gamma=2.2,
    )  # fmt: skip


@pytest.mark.parametrize("dtype", ["uint16", "int8", "float32"])
def test_halves_go_to_the_even_byte(dtype: str) -> None:
    pixels = np.arange(0, 17, dtype=dtype).reshape(1, 1, 17)
    made = run(Stretch("values", lower=0, upper=16, lowest=1, highest=9), image(pixels))
    assert made.image().pixels[0, 0].tolist() == [
        1, 2, 2, 2, 3, 4, 4, 4, 5, 6, 6, 6, 7, 8, 8, 8, 9,
    ]  # fmt: skip


def test_minimum_and_maximum_are_finite_ones() -> None:
    pixels = np.array([[[-np.inf, 2.0, 4.0, 6.0, np.inf, np.nan]]], "float32")
    made = run(Stretch("minimum and maximum"), image(pixels))
    assert made.image().pixels[0, 0].tolist() == [1, 1, 128, 255, 255, 0]
    assert made.summary.numbers == {"LOWER": 2.0, "UPPER": 6.0}


def test_infinite_percentiles_are_refused() -> None:
    pixels = np.array([[[1.0, 2.0, 3.0, np.inf, np.inf]]], "float32")
    with pytest.raises(InputError, match="too many pixels are infinite"):
        run(Stretch(), image(pixels))
    assert run(Stretch(upper_percentile=50), image(pixels)).summary.numbers["UPPER"] == 3


@pytest.mark.parametrize("method", ["percentiles", "standard deviations", "minimum and maximum"])
def test_constant_and_empty_bands(method: str) -> None:
    pixels = np.full((2, 3, 4), 7, "float32")
    valid = np.ones(pixels.shape, bool)
    valid[1] = False
    made = run(Stretch(method), image(pixels, valid))
    assert (made.image().pixels[0] == 1).all()
    assert (made.image().pixels[1] == 0).all()
    # the empty band takes no part in common bounds
    pixels[0, 0, 0] = 9
    made = run(Stretch("minimum and maximum", common=True), image(pixels, valid))
    assert {(row["lower"], row["upper"]) for row in made.rows()} == {(7.0, 9.0)}


@pytest.mark.parametrize("dtype", ["int16", "float64"])
def test_physical_values(dtype: str) -> None:
    pixels = np.random.default_rng(8).integers(-50, 50, (2, 12, 13)).astype(dtype)
    bands = (Band(scale=-0.5, offset=10.0, unit="K"), Band(scale=0.1, unit="K"))
    made = run(Stretch("values", lower=0, upper=12), image(pixels, bands=bands))
    values = np.stack((pixels[0] * -0.5 + 10, pixels[1] * 0.1))
    check(made, values, np.ones(pixels.shape, bool), [(0, 12)] * 2)
    about = made.image().profile.bands[0]
    assert (about.scale, about.offset, about.unit) == (1.0, 0.0, "")
    assert made.rows()[0]["unit"] == "K"


def test_bounds_are_of_the_extent() -> None:
    pixels = np.arange(400, dtype="uint16").reshape(1, 20, 20)
    made = run(Stretch("minimum and maximum"), image(pixels), extent=Window(2, 3, 4, 5))
    assert made.image().pixels.shape == (1, 4, 5)
    assert made.summary.numbers == {"LOWER": 43.0, "UPPER": 107.0}


def test_colours_stay_as_they_are() -> None:
    pixels = np.zeros((1, 2, 2), "uint8")
    bands = (Band(color="Palette", color_table=((0, 0, 0, 0),), categories=("a",)),)
    about = run(Stretch(), image(pixels, bands=bands)).image().profile.bands[0]
    assert (about.color, about.color_table, about.categories) == ("Undefined", (), ())
    assert Stretch().styles() == (Composite(minimum=0, maximum=255),)


@pytest.mark.parametrize(
    "wrong",
    [{"method": "values"}, {"method": "values", "lower": 1.0}, {"method": "equalise"},
     {"method": "values", "lower": 2.0, "upper": 2.0}, {"lower_percentile": 98.0},
     {"method": "values", "lower": 2.0, "upper": float("inf")}, {"lowest": 0}, {"highest": 256},
     {"lowest": 200, "highest": 100}, {"gamma": 0.0},
     {"method": "standard deviations", "deviations": 0.0}],
)  # fmt: skip
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Stretch(**wrong)
