"""Means and covariances against numpy.cov, and the linear projection against plain sums."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eoscale_engine.declaration import Block
from eoscale_engine.filters.multivariate.projection import LinearProjection
from eoscale_engine.profile import Band
from eoscale_engine.reductions.covariance import (
    PIECE,
    Covariance,
    common_chunks,
    covariances,
    in_pieces,
    merge_moments,
    moments,
    no_moments,
    small_products,
)
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import REAL_DTYPES, random_image
from tests.engine.procedure_runs import image, run


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("holes", [0.0, 0.25])
def test_every_dtype(dtype: str, holes: float) -> None:
    pixels, valid = random_image(dtype, (3, 41, 67), seed=6, holes=holes)
    pixels[1] = pixels[0] // 2 + pixels[1] // 3
    picture = image(pixels, valid if holes else None)
    if np.dtype(dtype).kind in "iu" and holes:
        valid &= picture.pixels != (0 if dtype.startswith("u") else -99)
    found = run(Covariance(), picture)
    common = valid.all(axis=0)
    values = picture.pixels[:, common].astype(np.float64)
    assert found.pixels == found.weight == common.sum()
    np.testing.assert_allclose(found.means, values.mean(axis=1), rtol=1e-12)
    wanted = np.cov(values, ddof=0)
    scale = np.sqrt(np.outer(np.diag(wanted), np.diag(wanted)))
    np.testing.assert_allclose(found.matrix / scale, wanted / scale, atol=1e-13)


def test_exactly_on_a_large_offset() -> None:
    """Against exact arithmetic: the variance is a 1e-14th of the square of the mean."""
    random = np.random.default_rng(0)
    pixels = (1e7 + random.integers(0, 3, (2, 30, 40))).astype("float64")
    found = run(Covariance(), image(pixels))
    rows = [[Fraction(value) for value in band.ravel().tolist()] for band in pixels]
    means = [sum(row) / len(row) for row in rows]
    for i, j in ((0, 0), (0, 1), (1, 1)):
        pairs = zip(rows[i], rows[j])
        exact = sum((a - means[i]) * (b - means[j]) for a, b in pairs) / len(rows[0])
        assert found.matrix[i, j] == pytest.approx(float(exact), rel=1e-10, abs=1e-12)


def test_infinite_pixels_do_not_count() -> None:
    pixels = np.random.default_rng(1).normal(size=(2, 9, 8)).astype("float32")
    pixels[0, 3, 3], pixels[1, 5, 5] = np.inf, -np.inf
    found = run(Covariance(), image(pixels))
    finite = np.isfinite(pixels).all(axis=0)
    assert found.pixels == 70
    np.testing.assert_allclose(
        found.matrix, np.cov(pixels[:, finite].astype(float), ddof=0), rtol=1e-12
    )


def test_physical_values_and_constant_bands() -> None:
    pixels = np.random.default_rng(2).integers(0, 50, (3, 20, 21)).astype("int16")
    pixels[2] = 11
    bands = (Band(scale=-2.0, offset=5.0), Band(scale=0.1), Band(scale=0.1))
    found = run(Covariance(), image(pixels, bands=bands))
    values = np.stack((pixels[0] * -2.0 + 5, pixels[1] * 0.1, pixels[2] * 0.1)).reshape(3, -1)
    np.testing.assert_allclose(found.means, values.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.matrix, np.cov(values, ddof=0), rtol=1e-11, atol=1e-12)
    assert found.constant().tolist() == [False, False, True]


def test_no_valid_pixel() -> None:
    pixels, valid = random_image("float32", (2, 5, 6), seed=1)
    valid[0, :, :3] = valid[1, :, 3:] = False
    found = run(Covariance(), image(pixels, valid))
    assert (found.pixels, found.weight) == (0, 0)
    assert np.isnan(found.means).all()
    assert np.isnan(found.matrix).all()


def test_weighted_moments_in_parts() -> None:
    random = np.random.default_rng(3)
    values, weights = random.normal(50, 9, (4, 2048)), random.random(2048)
    weights[random.random(2048) < 0.3] = 0
    wanted = np.cov(values, aweights=weights, ddof=0)
    found = no_moments(4)
    for start in range(0, 2048, 512):
        part = slice(start, start + 512)
        found = merge_moments(found, moments(values[:, part].copy(), weights[part], 512))
    result = covariances(found)
    assert result.pixels == 2048
    np.testing.assert_allclose(result.means, np.average(values, axis=1, weights=weights))
    np.testing.assert_allclose(result.matrix, wanted, rtol=1e-12)
    assert (result.matrix == result.matrix.T).all()


def test_chunks_end_in_zeros() -> None:
    pixels = np.random.default_rng(5).integers(1, 99, (2, 20, 500)).astype("float32")
    valid = pixels != 50
    pixels[~valid] = np.nan
    core = Window(0, 0, 20, 500)
    block = Block(pixels, valid, image(pixels).profile, core)
    seen = []
    for chunk in common_chunks([block]):
        size = 500 * (16 if not seen else 4)
        assert chunk.values.shape[1] % PIECE == 0
        assert not chunk.values[:, size:].any()
        assert chunk.weights is not None
        assert not chunk.weights[size:].any()
        assert chunk.pixels == chunk.weights.sum()
        seen.append(chunk.values[:, :size].copy())
    wanted = np.where(valid.all(axis=0), pixels, 0).reshape(2, -1)
    np.testing.assert_array_equal(np.hstack(seen), wanted)


MANY_BANDS = """
import numpy as np
from eoscale_engine.reductions.covariance import in_pieces, moments, small_products
random = np.random.default_rng(0)
for bands in (4, 60):
    values, weights = random.normal(500, 100, (bands, 4096)), random.random(4096)
    print(moments(values.copy(), weights, 4096).products.tobytes().hex()[:4000])
    print(small_products(values[:, :bands], in_pieces(values)).tobytes().hex()[:4000])
"""


def test_the_same_bits_with_any_number_of_threads() -> None:
    found = {
        subprocess.run(
            [sys.executable, "-c", MANY_BANDS], cwd=Path(__file__).parents[2],
            env={**os.environ, "OPENBLAS_NUM_THREADS": threads},
            check=True, capture_output=True, timeout=60,
        ).stdout
        for threads in ("1", "2", "4")
    }  # fmt: skip
    assert len(found) == 1


@pytest.mark.parametrize("rows", [1, 16, 17, 40])
@pytest.mark.parametrize("cols", [3, 16, 50])
def test_small_products_are_products(rows: int, cols: int) -> None:
    random = np.random.default_rng(4)
    left, right = random.normal(size=(2, rows, 256)), random.normal(size=(2, 256, cols))
    np.testing.assert_allclose(small_products(left, right), left @ right, atol=1e-11)
    wide = random.normal(size=(cols, 512))
    weights = random.normal(size=(rows, cols))
    wanted = np.stack([weights @ wide[:, :256], weights @ wide[:, 256:]])
    np.testing.assert_allclose(small_products(weights, in_pieces(wide)), wanted, atol=1e-11)


# ---------------------------------------------------------------- the projection


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_projection(dtype: str) -> None:
    pixels, valid = random_image(dtype, (2, 13, 17), seed=8, holes=0.2)
    if np.dtype(dtype).kind in "iu":
        valid &= pixels != (0 if dtype.startswith("u") else -99)
    matrix, centre, constants = (
        ((0.5, -2.0), (3.0, 0.25), (1.0, 1.0)),
        (12.3, -4.5),
        (1.0, 2.0, 0.0),
    )
    bands = tuple(Band(name=name, unit="m") for name in "abc")
    (made,) = run(
        LinearProjection(matrix, centre, constants, bands, "float64"), image(pixels, valid)
    ).images
    common = valid.all(axis=0)
    values = np.where(valid, pixels, 0).astype(np.float64)
    scale = np.abs(values).max() + 20
    for band, (row, constant) in enumerate(zip(matrix, constants)):
        wanted = constant + sum(w * (x - c) for w, x, c in zip(row, values, centre))
        np.testing.assert_array_equal(made.valid[band], common)
        tolerance = (
            1e-6 if dtype not in ("int32", "uint32", "int64", "uint64", "float64") else 1e-14
        )
        np.testing.assert_allclose(
            made.pixels[band][common], wanted[common], rtol=0, atol=5 * tolerance * scale
        )
    assert [(band.name, band.unit) for band in made.profile.bands] == [(n, "m") for n in "abc"]


def test_projection_keeps_its_digits_on_a_large_offset() -> None:
    pixels = (1e6 + np.random.default_rng(1).integers(0, 64, (1, 9, 9)) / 16).astype("float32")
    centre = 1000001.2345
    (made,) = run(LinearProjection(((1.0,),), (centre,)), image(pixels)).images
    np.testing.assert_allclose(made.pixels, pixels.astype(float) - centre, atol=1e-6)


def test_projection_of_an_extent() -> None:
    pixels = np.random.default_rng(1).normal(size=(2, 20, 30)).astype("float32")
    filter_: Any = LinearProjection(((0.3, 0.7),), (0.1, 0.2))
    (whole,), (part,) = (
        run(filter_, image(pixels), extent=e).images for e in (None, Window(3, 4, 5, 6))
    )
    assert part.pixels.tobytes() == whole.pixels[:, 3:8, 4:10].tobytes()
