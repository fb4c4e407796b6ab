"""Principal components and back, against eigenvectors by singular values and direct sums."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eoscale_engine.errors import InputError
from eoscale_engine.procedures.inverse_components import InversePrincipalComponents
from eoscale_engine.procedures.principal_components import PrincipalComponents, with_fixed_signs
from eoscale_engine.profile import Band
from eoscale_engine.reductions.summary import jsonable
from eoscale_engine.styles import Composite, Ramp
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import REAL_DTYPES
from tests.engine.procedure_runs import Image, image, run


def scene(dtype: str = "float32", *, holes: float = 0.0, bands: Any = ()) -> Image:
    """Four bands that depend on each other, of different spreads."""
    random = np.random.default_rng(12)
    base = random.normal(size=(4, 31, 44))
    mixed = np.stack((base[0], base[0] + 0.4 * base[1], base[1] - base[2], 0.3 * base[3]))
    limits = np.array([9.0, 14.0, 6.0, 3.0])[:, None, None]
    pixels = (mixed * limits + 60).astype(dtype)
    valid = random.random(pixels.shape) >= holes if holes else None
    return image(pixels, valid, bands)


def reference(values: np.ndarray, *, correlation: bool = False) -> Any:
    """Means, divisors, variances and eigenvectors of ``(bands, n)``, by singular values."""
    means = values.mean(axis=1)
    divisors = values.std(axis=1) if correlation else np.ones(len(values))
    centred = (values - means[:, None]) / divisors[:, None]
    vectors, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    vectors = vectors.T
    for place, row in enumerate(vectors):
        vectors[place] = row * np.sign(row[np.argmax(np.abs(row))])
    return means, divisors, sizes**2 / values.shape[1], vectors


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("matrix", ["covariance", "correlation"])
@pytest.mark.parametrize("holes", [0.0, 0.1])
def test_components(dtype: str, matrix: str, holes: float) -> None:
    picture = scene(dtype, holes=holes)
    made = run(PrincipalComponents(matrix=matrix), picture)
    common = picture.valid.all(axis=0)
    values = picture.pixels[:, common].astype(np.float64)
    means, divisors, variances, vectors = reference(values, correlation=matrix == "correlation")
    wanted = vectors @ ((values - means[:, None]) / divisors[:, None])
    result = made.image()
    assert result.profile.dtype == "float32"
    assert result.profile.bands[1].name == "component 2"
    assert (result.valid == common).all()
    np.testing.assert_allclose(result.pixels[:, common], wanted, atol=5e-6 * np.abs(wanted).max())
    rows = made.rows()
    np.testing.assert_allclose([row["variance"] for row in rows], variances, rtol=1e-9, atol=1e-12)
    shares = variances / variances.sum() * 100
    np.testing.assert_allclose([row["share"] for row in rows], shares, rtol=1e-9)
    np.testing.assert_allclose([row["cumulative"] for row in rows], np.cumsum(shares))
    loadings = [list(row.values())[1:] for row in made.rows(1)]
    np.testing.assert_allclose(loadings, vectors, atol=1e-8)
    assert made.summary.numbers["VALID"] == common.sum()
    assert made.images[1] is None


def test_components_are_uncorrelated() -> None:
    made = run(PrincipalComponents(), scene("float64")).image()
    covariance = np.cov(made.pixels.reshape(4, -1).astype(float), ddof=0)
    assert np.abs(covariance - np.diag(np.diag(covariance))).max() < 1e-4
    assert (np.diff(np.diag(covariance)) < 0).all()


@pytest.mark.parametrize("matrix", ["covariance", "correlation"])
@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("components", [2, 4, None])
def test_reconstruction(matrix: str, dtype: str, components: Any) -> None:
    picture = scene(dtype, holes=0.1)
    made = run(PrincipalComponents(components, matrix, reconstruction=True), picture)
    common = picture.valid.all(axis=0)
    values = picture.pixels[:, common].astype(np.float64)
    means, divisors, _, vectors = reference(values, correlation=matrix == "correlation")
    kept = vectors[:components]
    parts = kept @ ((values - means[:, None]) / divisors[:, None])
    wanted = means[:, None] + divisors[:, None] * (kept.T @ parts)
    back = made.image(1)
    assert back.profile.dtype == ("float64" if dtype == "float64" else "float32")
    assert [band.name for band in back.profile.bands] == ["b0", "b1", "b2", "b3"]
    assert made.image().profile.count == (components or 4)
    np.testing.assert_allclose(back.pixels[:, common], wanted, atol=1e-3 if components else 1e-4)
    if components != 2:
        np.testing.assert_allclose(back.pixels[:, common], values, atol=1e-4)


@pytest.mark.parametrize("matrix", ["covariance", "correlation"])
def test_inverse_by_the_json_file(matrix: str, tmp_path: Path) -> None:
    bands = tuple(Band(name=f"n{place}", unit="W") for place in range(4))
    made = run(PrincipalComponents(3, matrix, reconstruction=True), scene(bands=bands))
    path = tmp_path / "components.json"
    path.write_text(json.dumps(jsonable(made.summary)), encoding="utf-8")
    back = run(InversePrincipalComponents(str(path)), made.image()).image()
    assert back.pixels.tobytes() == made.image(1).pixels.tobytes()
    assert [(band.name, band.unit) for band in back.profile.bands] == [
        (f"n{place}", "W") for place in range(4)
    ]
    fewer = made.image()._replace(
        pixels=made.image().pixels[:2], profile=made.image().profile.selected((1, 2))
    )
    two = run(InversePrincipalComponents(str(path)), fewer).image()
    want = run(PrincipalComponents(2, matrix, reconstruction=True), scene()).image(1)
    np.testing.assert_allclose(two.pixels, want.pixels, atol=1e-4)


def test_inverse_by_numbers() -> None:
    pixels = np.random.default_rng(1).normal(size=(2, 8, 9)).astype("float32")
    bands = (Band(scale=2.0, offset=1.0), Band())
    how = InversePrincipalComponents(
        eigenvectors="0.6 0.8 0; -0.8 0.6 0", means="10, 20, 30", divisors="1, 2, 3"
    )
    back = run(how, image(pixels, bands=bands)).image()
    first, second = pixels[0].astype(float) * 2 + 1, pixels[1].astype(float)
    wanted = np.stack((
        10 + 1 * (0.6 * first - 0.8 * second), 20 + 2 * (0.8 * first + 0.6 * second),
        np.full(first.shape, 30.0),
    ))  # fmt: skip
    np.testing.assert_allclose(back.pixels, wanted, atol=1e-5)


def test_physical_values() -> None:
    bands = (Band(scale=0.5, offset=3.0), Band(scale=-2.0), Band(), Band())
    picture = scene("int16", bands=bands)
    values = picture.pixels.reshape(4, -1) * np.array([[0.5], [-2], [1], [1]])
    values += np.array([[3.0], [0], [0], [0]])
    made = run(PrincipalComponents(reconstruction=True), picture)
    means, _, _, vectors = reference(values)
    wanted = vectors @ (values - means[:, None])
    np.testing.assert_allclose(made.image().pixels.reshape(4, -1), wanted, atol=1e-3)
    np.testing.assert_allclose(made.image(1).pixels.reshape(4, -1), values, atol=1e-3)


def test_an_extent_counts_alone() -> None:
    picture, extent = scene(), Window(4, 6, 15, 20)
    made = run(PrincipalComponents(), picture, extent=extent)
    part = picture.pixels[(slice(None), *extent.slices)]
    means, _, _, vectors = reference(part.reshape(4, -1).astype(float))
    wanted = vectors @ (part.reshape(4, -1) - means[:, None])
    np.testing.assert_allclose(made.image().pixels.reshape(4, -1), wanted, atol=1e-4)


def test_signs() -> None:
    near = 0.5 + 1e-16
    rows = np.array([[0.1, -0.9], [-0.5, near], [0.7, 0.2], [-0.6, -0.6]])
    wanted = np.array([[-0.1, 0.9], [0.5, -near], [0.7, 0.2], [0.6, 0.6]])
    np.testing.assert_array_equal(with_fixed_signs(rows), wanted)


def test_nothing_varies() -> None:
    made = run(PrincipalComponents(), image(np.full((2, 4, 5), 7, "uint8")))
    assert (made.image().pixels == 0).all()
    assert [row["share"] for row in made.rows()] == [100.0, 0.0]


def test_what_is_refused() -> None:
    flat = scene()
    flat.pixels[2] = 0.1
    with pytest.raises(InputError, match="band 3 has the same value"):
        run(PrincipalComponents(matrix="correlation"), flat)
    with pytest.raises(InputError, match="at most 4"):
        run(PrincipalComponents(5), scene())
    with pytest.raises(InputError, match="0 pixel"):
        run(PrincipalComponents(), scene(holes=1.0))
    with pytest.raises(InputError, match="too large"):
        run(PrincipalComponents(), image(np.array([[[1e300, -1e300]]])))
    for wrong in ({"components": 0}, {"matrix": "distance"}):
        with pytest.raises(InputError):
            PrincipalComponents(**wrong)


def test_what_the_inverse_refuses(tmp_path: Path) -> None:
    components = run(PrincipalComponents(), scene()).image()
    with pytest.raises(InputError, match="eigenvectors"):
        InversePrincipalComponents()
    with pytest.raises(InputError, match="1 number for the 2"):
        InversePrincipalComponents(eigenvectors="1 0; 0 1", means="3")
    with pytest.raises(InputError, match=r"has 4 bands, but there are 2"):
        run(InversePrincipalComponents(eigenvectors="1 0; 0 1"), components)
    made = jsonable(run(PrincipalComponents(), scene()).summary)
    holed = json.loads(json.dumps(made))
    holed["tables"][1]["rows"].pop()
    empty = json.loads(json.dumps(made))
    empty["tables"][2]["rows"][0][3] = None
    for text, reason in (
        ("{", "not JSON"), ("[1]", "not in it"), ('{"tables": []}', "not in it"),
        (json.dumps(holed), "do not fit"), (json.dumps(empty), "do not fit"),
    ):  # fmt: skip
        path = tmp_path / "wrong.json"
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=reason):
            run(InversePrincipalComponents(str(path)), components)
    with pytest.raises(InputError, match="cannot be read"):
        run(InversePrincipalComponents(str(tmp_path / "none.json")), components)


def test_styles() -> None:
    assert PrincipalComponents().styles() == (Composite(), None)
    assert PrincipalComponents(1).styles() == (Ramp(), None)
