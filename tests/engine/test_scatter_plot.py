"""The scatter plot against numpy.histogram2d and the line against numpy.polyfit."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import pytest
from scipy import stats

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError
from eoscale_engine.procedures.scatter_plot import ScatterPlot
from eoscale_engine.profile import Band
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import REAL_DTYPES, random_image
from tests.engine.procedure_runs import Image, Made, image

BOUNDS = {"lower": -20.0, "upper": 55.5, "second_lower": 3.0, "second_upper": 90.0}


def plot(
    one: Image,
    second: Optional[Image] = None,
    mask: Optional[np.ndarray] = None,
    extent: Any = None,
    **options: Any,
) -> Made:
    """Of one image or two, run in this process."""
    with EOContextManager(inline=True, tile_pixels=3000) as context:
        roles = {}
        masked = None if mask is None else image(mask[None])
        for role, picture in (("INPUT", one), ("SECOND", second), ("MASK", masked)):
            if picture is not None:
                roles[role] = [context.create_image(picture.profile)]
                context.get_array(roles[role][0])[:] = picture.pixels
        return Made([], context.run(ScatterPlot(**options), roles, extent=extent).summary)


def counts(made: Made) -> np.ndarray:
    """The heat map, by x and y; and the table has its cells."""
    (heat_map,) = made.summary.charts
    found = np.array([[value or 0 for value in row] for row in heat_map.values]).T
    table = {(row["x"], row["y"]): row["count"] for row in made.rows()}
    assert table == {
        (heat_map.x[i], heat_map.y[j]): found[i, j] for i, j in np.argwhere(found).tolist()
    }
    return found


def edges(made: Made) -> list[np.ndarray]:
    return [np.linspace(row["start"], row["end"], row["bins"] + 1) for row in made.rows(3)]


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("holes", [0.0, 0.3])
@pytest.mark.parametrize("options", [{}, BOUNDS, {"upper": 30.0, "second_lower": 0.0}])
def test_every_dtype(dtype: str, holes: float, options: Any) -> None:
    pixels, valid = random_image(dtype, (2, 37, 53), seed=3, holes=holes)
    pixels[:, ::2] %= 80
    one = image(pixels, valid if holes else None)
    if holes and np.dtype(dtype).kind in "iu":
        valid &= one.pixels != (0 if dtype.startswith("u") else -99)
    common = valid.all(axis=0)
    x, y = one.pixels[:, common].astype(float)
    made = plot(one, bins=20, **options)
    wanted, *_ = np.histogram2d(x, y, edges(made))
    np.testing.assert_array_equal(counts(made), wanted)
    first = made.rows(3)[0]
    if not options and first["bins"] == 20 and np.dtype(dtype).kind == "f":
        assert (first["start"], first["end"]) == (x.min(), x.max())
    if not options:
        assert made.summary.numbers["OUTSIDE"] == 0
    assert made.summary.numbers["VALID"] == common.sum()
    assert made.summary.numbers["INVALID"] == common.size - common.sum()
    assert made.summary.numbers["OUTSIDE"] == common.sum() - wanted.sum()


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_the_line(dtype: str) -> None:
    random = np.random.default_rng(1)
    x = random.integers(0, 90, (1, 600, 700)).astype(dtype)
    y = (x * 0.7 + random.integers(0, 30, x.shape)).astype(dtype)
    made = plot(image(np.concatenate((x, y))), lower=10, upper=20)  # bounds play no part in it
    wanted = stats.linregress(x.ravel().astype(float), y.ravel().astype(float))
    numbers = made.summary.numbers
    assert numbers["SLOPE"] == pytest.approx(wanted.slope, rel=1e-12)
    assert numbers["INTERCEPT"] == pytest.approx(wanted.intercept, rel=1e-11)
    assert numbers["CORRELATION"] == pytest.approx(wanted.rvalue, rel=1e-12)
    assert numbers["R_SQUARED"] == pytest.approx(wanted.rvalue**2, rel=1e-12)
    assert made.rows(2) == [
        {name: numbers[name.upper()] for name in ("slope", "intercept", "r_squared", "correlation")}
    ]
    first, second = made.rows(3)
    assert (first["mean"], second["std_dev"]) == pytest.approx(
        (x.mean(dtype=float), y.std(dtype=float))
    )


def test_integers_share_bins_evenly() -> None:
    pixels = np.stack((np.arange(100) % 10, np.arange(100))).astype("uint16")[:, None]
    made = plot(image(pixels), bins=30)
    first, second = made.rows(3)
    assert (first["start"], first["end"], first["bins"]) == (-0.5, 9.5, 10)
    assert (second["start"], second["end"], second["bins"]) == (-0.5, 99.5, 25)  # four in each
    assert (counts(made).sum(axis=0) == 4).all()
    assert made.summary.charts[0].x[:2] == (0.0, 1.0)


def test_bands_of_two_images() -> None:
    random = np.random.default_rng(2)
    one, two = (random.normal(size=(3, 20, 20)).astype("float32") for _ in range(2))
    for options, x, y in (
        ({"band": 3, "second_band": 1}, one[2], two[0]),
        ({"band": 2}, one[1], two[1]),
    ):
        made = plot(image(one), image(two), bins=8, **options)
        wanted, *_ = np.histogram2d(x.ravel().astype(float), y.ravel().astype(float), 8)
        np.testing.assert_array_equal(counts(made), wanted)
    for options, y in (({"band": 3}, one[0]), ({"band": 3, "second_band": 3}, one[2])):
        made = plot(image(one), bins=8, **options)
        wanted, *_ = np.histogram2d(one[2].ravel().astype(float), y.ravel().astype(float), 8)
        np.testing.assert_array_equal(counts(made), wanted)
    heat_map = plot(image(one), image(two), band=3).summary.charts[0]
    assert (heat_map.x_label, heat_map.y_label) == ("Band 3: b2", "Band 3: b2, second image")


def test_infinite_pixels_are_valid_and_outside() -> None:
    pixels = np.random.default_rng(3).normal(size=(2, 9, 9)).astype("float32")
    pixels[0, 0, 0], pixels[1, 3, 3], pixels[0, 5, 5] = np.inf, -np.inf, np.nan
    made = plot(image(pixels), bins=5)
    numbers = made.summary.numbers
    assert (numbers["VALID"], numbers["INVALID"], numbers["OUTSIDE"]) == (80, 1, 2)
    finite = np.isfinite(pixels).all(axis=0)
    x, y = pixels[:, finite].astype(float)
    np.testing.assert_array_equal(counts(made), np.histogram2d(x, y, 5)[0])
    assert numbers["CORRELATION"] == pytest.approx(np.corrcoef(x, y)[0, 1])


def test_physical_values_unless_raw() -> None:
    pixels = np.random.default_rng(4).integers(0, 99, (2, 20, 20)).astype("int16")
    one = image(pixels, bands=(Band(scale=-0.5, offset=3, unit="K"), Band(scale=2.0)))
    x, y = pixels.reshape(2, -1) * [[-0.5], [2.0]] + [[3.0], [0.0]]
    made = plot(one, bins=10)
    np.testing.assert_array_equal(counts(made), np.histogram2d(x, y, 10)[0])
    slope, intercept = np.polyfit(x, y, 1)
    assert made.summary.numbers["SLOPE"] == pytest.approx(slope)
    assert made.summary.numbers["INTERCEPT"] == pytest.approx(intercept)
    assert made.summary.charts[0].x_label == "Band 1 (K)"
    x, y = pixels.reshape(2, -1)
    slope, intercept = np.polyfit(x, y, 1)
    assert plot(one, raw=True).summary.numbers["SLOPE"] == pytest.approx(slope)


def test_several_cells_a_mask_and_an_extent() -> None:
    random = np.random.default_rng(5)
    pixels = random.normal(size=(2, 600, 1100)).astype("float32")
    mask = random.integers(0, 2, (600, 1100)).astype("uint8")
    made = plot(image(pixels), mask=mask, extent=Window(100, 200, 450, 800))
    inside = mask[100:550, 200:1000] == 1
    x, y = pixels[:, 100:550, 200:1000][:, inside].astype(float)
    np.testing.assert_array_equal(counts(made), np.histogram2d(x, y, 256)[0])
    assert made.summary.numbers["INVALID"] == 0


def test_one_value_has_no_line() -> None:
    pixels = np.random.default_rng(6).normal(size=(2, 9, 9)).astype("float32")
    pixels[0] = 0.3
    made = plot(image(pixels, bands=(Band(offset=-0.3), Band())), bins=4)
    assert [made.summary.numbers[name] for name in ("SLOPE", "CORRELATION")] == [None, None]
    first = made.rows(3)[0]
    assert first["end"] - first["start"] == 1.0
    assert counts(made).sum() == 81
    assert any("no line" in note for note in made.summary.notes)


@pytest.mark.parametrize(
    "options",
    [{}, BOUNDS, {"upper": 0.0, "second_lower": 7.0}, {"lower": -1e20, "second_upper": 1e300}],
)
def test_no_valid_pixel(options: Any) -> None:
    pixels, valid = random_image("float32", (2, 5, 6), seed=1)
    valid[0, :, :3] = valid[1, :, 3:] = False
    made = plot(image(pixels, valid), bins=3, **options)
    assert made.summary.numbers == {
        "VALID": 0, "INVALID": 30, "OUTSIDE": 0, "SLOPE": None, "INTERCEPT": None,
        "R_SQUARED": None, "CORRELATION": None,
    }  # fmt: skip
    assert made.rows() == []
    assert all(row["start"] < row["end"] for row in made.rows(3))


def test_wrong_bounds_and_bands() -> None:
    for options in (
        {"lower": 3.0, "upper": 3.0},
        {"second_lower": 3.0, "second_upper": 1.0},
        {"lower": float("inf")},
        {"second_upper": float("nan")},
        {"lower": -1e308, "upper": 1e308},
        {"bins": 0},
        {"bins": 513},
        {"second_band": 0},
    ):
        with pytest.raises(InputError):
            ScatterPlot(**options)
    one = image(np.arange(8.0).reshape(2, 2, 2))
    with pytest.raises(InputError, match="go from 0 to 3"):
        plot(one, lower=5)
    with pytest.raises(InputError, match="band 3, but 'Input image' has 2"):
        plot(one, second_band=3)
    with pytest.raises(InputError, match="second band is band 2, but 'Second image' has 1"):
        plot(one, image(one.pixels[:1]), band=2)
    with pytest.raises(InputError, match="one band only"):
        plot(image(one.pixels[:1]))
    with pytest.raises(InputError, match="is band 3"):
        plot(one, band=3)
