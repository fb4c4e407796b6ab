"""Local entropy against a direct loop over each window, and worked numbers."""

from __future__ import annotations

from collections import Counter
from math import log2, nan
from typing import Any, Optional

import numpy as np
import pytest

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError
from eoscale_engine.filters.neighbourhood.entropy import EntropyBetween
from eoscale_engine.procedures.entropy import LocalEntropy
from eoscale_engine.profile import Band
from tests.engine.neighbourhoods import profile_of, random_image, run, same_bits


def level(value: float, lower: float, upper: float, levels: int) -> int:
    if upper <= lower:
        return 0
    return max(0, min(levels - 1, int((value - lower) * levels / (upper - lower) // 1)))


def reference(
    entropy: EntropyBetween, values: np.ndarray, valid: np.ndarray, bounds: tuple[float, float]
) -> np.ndarray:
    """The entropy of each window of a band, NaN where it has none, by a direct loop."""
    found = np.full(values.shape, nan)
    radius = entropy.radius
    for row, col in np.ndindex(values.shape):
        seen, size = [], 0
        for y in range(row - radius, row + radius + 1):
            for x in range(col - radius, col + radius + 1):
                if entropy.shape == "disk" and (y - row) ** 2 + (x - col) ** 2 > radius**2:
                    continue
                size += 1
                if 0 <= y < values.shape[0] and 0 <= x < values.shape[1] and valid[y, x]:
                    seen.append(level(float(values[y, x]), *bounds, entropy.levels))
        enough = len(seen) == size if entropy.nodata == "propagate" else bool(seen)
        if enough and (entropy.fill or valid[row, col]):
            shares = [count / len(seen) for count in Counter(seen).values()]
            found[row, col] = -sum(share * log2(share) for share in shares)
    return found


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint64", "float32", "float64"])
@pytest.mark.parametrize("shape", ["square", "disk"])
@pytest.mark.parametrize(("nodata", "fill"), [("ignore", False), ("ignore", True),
                                              ("propagate", True)])  # fmt: skip
def test_values(dtype: str, shape: str, nodata: str, fill: bool) -> None:
    pixels, valid = random_image(dtype, (2, 13, 14), seed=4, holes=0.05)
    valid[1, 3:9, 2:9] = False
    bounds = ((1.0, 120.0), (-20.0, 100.0))
    entropy = EntropyBetween(bounds, 7, 2, shape, nodata, fill)
    result, where = run(entropy, pixels, valid)
    assert result.dtype == np.float32
    for band in range(2):
        wanted = reference(entropy, pixels[band], valid[band], bounds[band])
        np.testing.assert_array_equal(where[band], ~np.isnan(wanted))
        np.testing.assert_allclose(
            result[band][where[band]], wanted[where[band]], rtol=1e-6, atol=1e-6
        )
    assert same_bits((result, where), run(entropy, pixels, valid, block=(5, 6)))


def test_worked_numbers() -> None:
    pixels = np.arange(25, dtype="uint8").reshape(1, 5, 5)

    def middle(*bounds: float, levels: int) -> float:
        result, _ = run(EntropyBetween((bounds,), levels, 2), pixels)
        return float(result[0, 2, 2])

    assert middle(0, 24, levels=25) == pytest.approx(log2(25), rel=1e-7)
    assert middle(0, 24, levels=2) == pytest.approx(0.998845536, rel=1e-6)  # 12 and 13 of 25
    assert middle(30, 40, levels=32) == 0
    assert middle(0, 25, levels=5) == pytest.approx(log2(5), rel=1e-7)  # 5 levels of 5 pixels
    flat = np.full((1, 9, 40), 7.7, "float32")
    result, _ = run(EntropyBetween(((7.7, 7.7),), radius=3), flat)
    assert (result == 0).all()
    assert not np.signbit(result).any()


def test_infinite_pixels_are_in_the_outer_levels() -> None:
    pixels = np.array([[[-np.inf, 0, 10, np.inf]]], "float32")
    result, where = run(EntropyBetween(((0.0, 10.0),), levels=4, radius=3), pixels)
    assert where.all()
    assert (result == 1).all()


def test_values_are_physical() -> None:
    pixels, valid = random_image("int16", (1, 12, 12), seed=6)
    bands = (Band(scale=-0.01, offset=3, name="B4", unit="m"),)
    entropy = EntropyBetween(((-50.0, 60.0),), levels=9)
    result, _ = run(entropy, pixels, valid, bands=bands)
    wanted = reference(entropy, pixels[0] * -0.01 + 3, valid[0], (-50.0, 60.0))
    np.testing.assert_allclose(result[0], wanted, rtol=1e-6, atol=1e-6)
    (output,) = entropy.output_profiles([profile_of(pixels, bands)])
    (band,) = output.bands
    assert (band.name, band.unit, band.scale, band.offset) == ("Entropy of B4", "bit", 1, 0)
    assert output.nodata is None


def procedure(pixels: np.ndarray, extent: Any = None, **parameters: Any) -> np.ndarray:
    with EOContextManager(inline=True) as context:
        key = context.create_image(profile_of(pixels, (Band(nodata=0),) * len(pixels)))
        context.get_array(key)[:] = pixels
        (made,) = context.run(LocalEntropy(**parameters), [key], extent=extent).images
        assert made
        return context.get_array(made).copy()


@pytest.mark.parametrize(
    ("lower", "upper"), [(None, None), (20.0, None), (None, 90.0), (5.0, 99.0)]
)
def test_bounds_that_are_not_given_are_the_image_s(
    lower: Optional[float], upper: Optional[float]
) -> None:
    pixels = np.random.default_rng(1).integers(7, 150, (2, 15, 16)).astype("uint8")
    pixels[1] //= 2
    pixels[:, 4:6, 4] = 0  # nodata
    found = procedure(pixels, lower=lower, upper=upper, levels=6, radius=2)
    for band in range(2):
        valid = pixels[band] != 0
        bounds = (
            float(pixels[band][valid].min()) if lower is None else lower,
            float(pixels[band].max()) if upper is None else upper,
        )
        entropy = EntropyBetween((bounds,), 6, 2)
        wanted = reference(entropy, pixels[band], valid, bounds)
        np.testing.assert_allclose(found[band], wanted, rtol=1e-6, atol=1e-6)


def test_values_on_a_limit_are_in_the_level_above() -> None:
    pixels = np.full((1, 5, 5), 49, "uint8")
    pixels[0, 2, 2] = 48
    result, _ = run(EntropyBetween(((0.0, 98.0),), levels=32, radius=2), pixels)
    assert result[0, 2, 2] == pytest.approx(-(log2(1 / 25) / 25 + 24 * log2(24 / 25) / 25))


def test_one_level_for_each_integer() -> None:
    pixels = np.random.default_rng(2).integers(3, 11, (1, 20, 20)).astype("uint8")
    pixels[0, 0, :2] = 3, 10
    found = procedure(pixels, levels=8, radius=1)
    for row, col in np.ndindex(20, 20):
        around = pixels[0, max(0, row - 1) : row + 2, max(0, col - 1) : col + 2]
        shares = np.unique(around, return_counts=True)[1] / around.size
        assert found[0, row, col] == pytest.approx(-(shares * np.log2(shares)).sum(), abs=1e-6)


def test_nothing_valid() -> None:
    assert np.isnan(procedure(np.zeros((1, 5, 6), "uint8"))).all()
    assert np.isnan(procedure(np.zeros((1, 5, 6), "uint8"), lower=4)).all()


@pytest.mark.parametrize(
    "wrong",
    [{"levels": 1}, {"levels": 257}, {"radius": 0}, {"lower": 3, "upper": 3}, {"shape": "ring"},
     {"upper": float("inf")}, {"nodata": "drop"}],
)  # fmt: skip
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        LocalEntropy(**wrong)


def test_bounds_without_values_are_refused() -> None:
    pixels = np.full((1, 5, 6), 9, "uint8")
    for bounds in ({"lower": 10}, {"upper": 8}):
        with pytest.raises(InputError, match="no value of band 1 lies within the bounds"):
            procedure(pixels, **bounds)
