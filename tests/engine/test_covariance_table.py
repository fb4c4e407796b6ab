"""Covariance and correlation of several images against numpy.cov and numpy.corrcoef."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import GridError, InputError
from eoscale_engine.procedures.covariance import CovarianceAndCorrelation
from eoscale_engine.profile import Band, Profile
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import REAL_DTYPES, random_image
from tests.engine.procedure_runs import Image, Made, image


def found(*images: Image, mask: Any = None, extent: Any = None, **options: Any) -> Made:
    """Of these images, run in this process."""
    with EOContextManager(inline=True, tile_pixels=3000) as context:

        def key(one: Image) -> str:
            made = context.create_image(one.profile)
            context.get_array(made)[:] = one.pixels
            return made

        roles = {"INPUTS": [key(one) for one in images]}
        if mask is not None:
            roles["MASK"] = [key(image(mask[None]))]
        return Made(
            [], context.run(CovarianceAndCorrelation(**options), roles, extent=extent).summary
        )


def matrix(made: Made, table: str) -> np.ndarray:
    (rows,) = [one.rows for one in made.summary.tables if one.name == f"{table} matrix"]
    return np.array([row[1:] for row in rows], float)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("holes", [0.0, 0.2])
def test_two_images(dtype: str, holes: float) -> None:
    one, valid = random_image(dtype, (2, 37, 53), seed=6, holes=holes)
    other = np.random.default_rng(0).normal(size=(1, 37, 53)).astype("float32")
    one[1] = one[0] // 2 + one[1] // 3
    other[0, 5, 5], other[0, 6, 6] = np.nan, np.inf
    first = image(one, valid if holes else None)
    if holes and np.dtype(dtype).kind in "iu":
        valid &= first.pixels != (0 if dtype.startswith("u") else -99)
    made = found(first, image(other))
    common = valid.all(axis=0) & np.isfinite(other[0])
    values = np.concatenate((first.pixels.astype(float), other))[:, common]
    correlation = matrix(made, "Correlation")
    np.testing.assert_allclose(correlation, np.corrcoef(values), atol=1e-13)
    assert (correlation == correlation.T).all()
    assert (np.diag(correlation) == 1).all()
    wanted, spread = np.cov(values, ddof=0), values.std(axis=1)
    scale = np.outer(spread, spread)
    np.testing.assert_allclose(matrix(made, "Covariance") / scale, wanted / scale, atol=1e-13)
    assert made.summary.numbers == {
        "VALID": common.sum(),
        "INVALID": common.size - common.sum(),
        "CORRELATION": correlation[0, 1],
        "COVARIANCE": matrix(made, "Covariance")[0, 1],
    }


def test_tables_and_names() -> None:
    pixels = np.random.default_rng(1).integers(0, 9, (3, 8, 8)).astype("uint8")
    bands = (Band(name="red", unit="K"), Band(name="nir"))
    one, two = image(pixels[:2], bands=bands), image(pixels[2:], bands=(Band(name="dem"),))
    made = found(one, two)
    wanted, correlation = np.cov(pixels.reshape(3, -1), ddof=0), np.corrcoef(pixels.reshape(3, -1))
    names = ("1: red", "1: nir", "2: dem")
    assert [(row["first"], row["second"]) for row in made.rows()] == [
        (names[i], names[j]) for i in range(3) for j in range(i, 3)
    ]
    upper = np.triu_indices(3)
    np.testing.assert_allclose([row["covariance"] for row in made.rows()], wanted[upper])
    np.testing.assert_allclose([row["correlation"] for row in made.rows()], correlation[upper])
    assert made.rows(1) == [{"valid": 64, "invalid": 0}]
    assert [list(row.values())[:4] for row in made.rows(2)] == [
        [1, 1, "red", "K"], [1, 2, "nir", ""], [2, 1, "dem", ""],
    ]  # fmt: skip
    np.testing.assert_allclose(
        [(row["mean"], row["std_dev"]) for row in made.rows(2)],
        [(band.mean(), band.std()) for band in pixels],
    )
    (plot,) = made.summary.charts
    assert (plot.x, plot.y, plot.limits) == (names, names, (-1, 1))
    np.testing.assert_allclose(np.array(plot.values), correlation)


@pytest.mark.parametrize(
    ("names", "wanted"), [(("a", "a"), ("b1", "b2")), (("", ""), ("b1", "b2"))]
)
def test_bands_alike_are_called_by_number(names: Any, wanted: Any) -> None:
    pixels = np.random.default_rng(1).normal(size=(2, 4, 4))
    made = found(image(pixels, bands=[Band(name=name) for name in names]))
    assert made.summary.charts[0].x == wanted


@pytest.mark.parametrize("offset", [0.0, -0.30000001192092896])
def test_constant_bands_have_no_correlation(offset: float) -> None:
    pixels = np.random.default_rng(2).normal(size=(3, 70, 70)).astype("float32")
    pixels[1] = 0.3  # with this offset its mean is 0, but for rounding
    made = found(image(pixels, bands=(Band(), Band(offset=offset), Band())))
    correlation = matrix(made, "Correlation")
    assert np.isnan(correlation[1]).all()
    assert np.isnan(correlation[:, 1]).all()
    assert not np.isnan(correlation[[0, 0, 2], [0, 2, 2]]).any()
    assert made.summary.numbers["CORRELATION"] is None
    assert any("single value" in note for note in made.summary.notes)


def test_physical_values_unless_raw() -> None:
    pixels = np.random.default_rng(3).integers(0, 50, (2, 20, 20)).astype("int16")
    one = image(pixels, bands=(Band(scale=-2.0, offset=5.0), Band(scale=0.1)))
    stored = np.cov(pixels.reshape(2, -1), ddof=0)
    np.testing.assert_allclose(matrix(found(one, raw=True), "Covariance"), stored)
    scaled = stored * np.outer((-2, 0.1), (-2, 0.1))
    np.testing.assert_allclose(matrix(found(one), "Covariance"), scaled)
    assert found(one).rows(2)[0]["mean"] == pytest.approx((pixels[0] * -2.0 + 5).mean())


def test_large_integers_and_large_floats() -> None:
    """64-bit integers as float64 has them; squares beyond float64 leave gaps and no warning."""
    random = np.random.default_rng(4)
    pixels = random.integers(2**63, 2**64, (2, 30, 30), dtype=np.uint64)
    values = pixels.reshape(2, -1).astype(float)
    np.testing.assert_allclose(
        matrix(found(image(pixels)), "Correlation"), np.corrcoef(values), atol=1e-12
    )
    huge = np.array([[[1e308, -1e308, 1e300]], [[1.0, 2.0, 3.0]]])
    made = found(image(huge))
    assert made.rows()[0]["covariance"] is None
    assert made.rows()[2]["covariance"] == pytest.approx(2 / 3)


def test_several_cells_a_mask_and_an_extent() -> None:
    random = np.random.default_rng(5)
    pixels = random.normal(size=(2, 600, 1100)).astype("float32")
    mask = random.integers(0, 2, (600, 1100)).astype("uint8")
    made = found(image(pixels), mask=mask, extent=Window(100, 200, 450, 800))
    part = pixels[:, 100:550, 200:1000]
    inside = mask[100:550, 200:1000] == 1
    wanted = np.corrcoef(part[:, inside].astype(float))
    np.testing.assert_allclose(matrix(made, "Correlation"), wanted, atol=1e-13)
    assert made.summary.numbers["VALID"] == inside.sum()
    assert made.summary.numbers["INVALID"] == 0


def test_no_common_pixel() -> None:
    pixels, valid = random_image("float32", (2, 5, 6), seed=1)
    valid[0, :, :3] = valid[1, :, 3:] = False
    made = found(image(pixels, valid))
    assert made.summary.numbers == {
        "VALID": 0, "INVALID": 30, "CORRELATION": None, "COVARIANCE": None,
    }  # fmt: skip
    assert made.rows()[0] == {
        "first": "b0", "second": "b0", "covariance": None, "correlation": None,
    }  # fmt: skip


def test_one_band() -> None:
    made = found(image(np.arange(6.0).reshape(1, 2, 3)))
    assert made.rows() == [
        {"first": "b0", "second": "b0", "covariance": pytest.approx(35 / 12), "correlation": 1.0}
    ]
    assert made.summary.numbers["CORRELATION"] is None


def test_wrong_images() -> None:
    one = image(np.zeros((1, 4, 4), "uint8"))
    with pytest.raises(GridError, match="grid"):
        found(one, image(np.zeros((1, 4, 5), "uint8")))
    complex_one = one._replace(profile=Profile(4, 4, "complex64"))
    with pytest.raises(InputError, match="complex64"):
        found(complex_one)
