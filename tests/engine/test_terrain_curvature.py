"""Curvatures against known surfaces and fundamental forms, vector ruggedness against gdaldem."""

from __future__ import annotations

import math
from typing import Any, Optional

import numpy as np
import pytest
from osgeo import gdal

from eoscale_engine.errors import InputError
from eoscale_engine.filters.terrain.curvature import CURVATURES, METHODS, Curvature
from eoscale_engine.filters.terrain.ground import spacing
from eoscale_engine.filters.terrain.vector_ruggedness import VectorRuggedness
from eoscale_engine.profile import Affine
from eoscale_engine.tiling import Window
from tests.engine.terrains import GRID, NODATA, hills, profile_of, run, windows, with_scale

ZT, EVANS = METHODS


def curvatures_of(p: float, q: float, r: float, s: float, t: float) -> dict[str, float]:
    """All curvatures from the first and second fundamental forms of the surface.

    The normal points upwards, so that hills have negative second forms: hence the signs.
    """
    first = np.array([[1 + p * p, p * q], [p * q, 1 + q * q]])
    second = -np.array([[r, s], [s, t]]) / math.sqrt(1 + p * p + q * q)
    low, high = sorted(np.linalg.eigvals(np.linalg.solve(first, second)).real)

    def along(direction: Any) -> float:
        return float(direction @ second @ direction / (direction @ first @ direction))

    down, across = np.array([p, q]), np.array([-q, p])
    steep = math.hypot(p, q)
    flat = steep == 0
    tangential = 0 if flat else along(across)
    return {
        "profile": 0 if flat else along(down),
        "tangential": tangential,
        # Meusnier: a contour line is the section of a plane that is tilted by the slope
        "plan": 0 if flat else tangential / math.sin(math.atan(steep)),
        "mean": (low + high) / 2, "Gaussian": low * high, "minimal": low, "maximal": high,
        "general": -(r + t), "total": r * r + 2 * s * s + t * t,
    }  # fmt: skip


def derivatives(window: list[float], method: str, cell: Affine) -> tuple[float, ...]:
    """Derivatives in the middle of a polynomial through, or fitted to, the nine elevations."""
    row, col = np.mgrid[-1:2, -1:2].reshape(2, 9)
    x, y = col * cell.a, row * cell.e
    terms = [np.ones(9), x, y, x * x / 2, x * y, y * y / 2]
    if method == ZT:
        terms += [x * x * y, x * y * y, x * x * y * y]
    (_, p, q, r, s, t, *_), *_ = np.linalg.lstsq(np.array(terms).T, np.array(window), rcond=None)
    return p, q, r, s, t


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("transform", [GRID, Affine(3, 0, 0, 0, -7, 0), Affine(-3, 0, 0, 0, 4, 0)])
def test_by_fitted_polynomials_and_fundamental_forms(
    transform: Affine, edges: bool, method: str
) -> None:
    pixels, valid = hills("int16", 14, 15, seed=3, holes=0.04)
    profile = with_scale(profile_of(pixels, transform), 0.2, -5)
    found = {
        kind: run(Curvature(kind, method, 2, edges), pixels, valid, profile)[0]
        for kind in CURVATURES
    }
    for row, col, window in windows(pixels[0] * 0.2 * 2, valid[0], edges):
        if window is None:
            assert all(np.isnan(found[kind][row, col]) for kind in CURVATURES)
            continue
        bent = np.array(derivatives(window, method, transform))
        bent[np.abs(bent) < 1e-12] = 0
        wanted = curvatures_of(*bent)
        size = np.abs(bent[2:]).max()
        for kind in CURVATURES:
            if kind == "plan" and 0 < math.hypot(*bent[:2]) < 1e-6:
                continue
            assert found[kind][row, col] == pytest.approx(wanted[kind], rel=1e-5, abs=1e-6 * size)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("sign", [1, -1])
def test_a_sphere_bends_alike_everywhere(sign: int, method: str) -> None:
    """A hill (1) or bowl (-1) of radius 500 m, in cells of 0.5 m, off its middle."""
    radius, size = 500.0, 0.5
    row, col = np.mgrid[0:5, 0:5]
    x, y = 100 + size * col, -50 - size * row
    pixels = sign * np.sqrt(radius**2 - x**2 - y**2)[None]
    profile = profile_of(pixels, Affine(size, 0, 0, 0, -size, 0))
    same = ("profile", "tangential", "mean", "minimal", "maximal")
    expected = dict.fromkeys(same, sign / radius)
    expected.update(Gaussian=1 / radius**2, plan=sign / math.hypot(x[2, 2], y[2, 2]))
    for kind, value in expected.items():
        got = run(Curvature(kind, method), pixels, None, profile)[0, 2, 2]
        # rounding of elevations of 500 m shows in the difference of the principal ones
        close = 2e-3 if kind in ("minimal", "maximal") else 1e-5
        assert got == pytest.approx(value, rel=close)


@pytest.mark.parametrize("method", METHODS)
def test_paraboloid_and_saddle_in_their_middle(method: str) -> None:
    """z = -(x^2 + 2 y^2) / 100 and z = x y / 50, on cells of 2 by 5."""
    transform = Affine(2, 0, 0, 0, -5, 0)
    row, col = np.mgrid[-2:3, -2:3]
    x, y = 2.0 * col, -5.0 * row
    for pixels, expected in (
        (-(x**2 + 2 * y**2) / 100, {
            "minimal": 0.02, "maximal": 0.04, "mean": 0.03, "Gaussian": 8e-4, "general": 0.06,
            "total": 0.002, "profile": 0, "plan": 0, "tangential": 0,
        }),
        (x * y / 50, {
            "minimal": -0.02, "maximal": 0.02, "mean": 0, "Gaussian": -4e-4, "general": 0,
            "total": 8e-4, "profile": 0,
        }),
    ):  # fmt: skip
        for kind, value in expected.items():
            got = run(
                Curvature(kind, method), pixels[None], None, profile_of(pixels[None], transform)
            )
            assert got[0, 2, 2] == pytest.approx(value, abs=1e-15)


def test_where_it_bends_alike_in_all_directions() -> None:
    """Rounding makes H^2 - K, which is 0, negative at times."""
    row, col = np.mgrid[-1:2, -1:2]
    x, y = col.astype(float), -row.astype(float)
    for p, q in np.random.default_rng(0).normal(0, 1, (60, 2)):
        second = -0.01 * math.sqrt(1 + p * p + q * q)
        bend = (1 + p * p) * x * x + 2 * p * q * x * y + (1 + q * q) * y * y
        pixels = (p * x + q * y + second * bend / 2)[None]
        profile = profile_of(pixels, Affine(1, 0, 0, 0, -1.0, 0))
        for kind in ("minimal", "maximal"):
            got = run(Curvature(kind), pixels, None, profile)[0, 1, 1]
            assert got == pytest.approx(0.01, rel=1e-5)


def test_signs_of_valleys_and_ridges() -> None:
    """A valley and a ridge that run down to the south, and a slope that steepens downwards."""
    row, col = np.mgrid[0:5, 0:5].astype(float)
    valley = 3 * (col - 2) ** 2 - 8 * row
    ridge = -3 * (col - 2) ** 2 - 8 * row
    brow = -2 * row**2
    for pixels, across, down in ((valley, -1, 0), (ridge, 1, 0), (brow, 0, 1), (-brow, 0, -1)):
        for kind, sign in (("plan", across), ("tangential", across), ("profile", down)):
            assert np.sign(run(Curvature(kind), pixels[None])[0, 2, 2]) == sign


def test_float_images_are_computed_in_double_precision() -> None:
    random = np.random.default_rng(0)
    pixels = (8000 + random.integers(0, 999, (1, 20, 20)) * 2.0**-11).astype("float32")
    for kind in CURVATURES:
        one = run(Curvature(kind), pixels)
        np.testing.assert_allclose(one, run(Curvature(kind), pixels.astype(float)), rtol=2e-7)


def test_curvature_in_degrees() -> None:
    pixels, valid = hills("float64", 20, 9, seed=5)
    profile = profile_of(pixels, Affine(0.001, 0, 7, 0, -0.002, 61), crs="EPSG:4326")
    found = run(Curvature("mean", z_factor=3), pixels, None, profile)
    for row, col, window in windows(3 * pixels[0], valid[0], edges=False):
        if window is not None:
            apart = spacing(profile, Window(row, 0, 1, 9))
            cell = Affine(float(apart.east), 0, 0, 0, float(apart.north), 0)
            wanted = curvatures_of(*derivatives(window, ZT, cell))["mean"]
            assert found[0, row, col] == pytest.approx(wanted, rel=1e-7)
    pieces = run(Curvature("mean", z_factor=3), pixels, None, profile, block=(3, 4))
    assert pieces.tobytes() == found.tobytes()


# ---------------------------------------------------------------- vector ruggedness


def gdal_angles(pixels: np.ndarray, valid: np.ndarray, method: str) -> list[np.ndarray]:
    """Slope and aspect in radians by gdaldem, NaN where there is no slope; flat faces north."""
    rows, cols = pixels.shape
    dataset = gdal.GetDriverByName("MEM").Create("", cols, rows, 1, gdal.GDT_Float64)
    dataset.SetGeoTransform(GRID.to_gdal())
    dataset.GetRasterBand(1).WriteArray(np.where(valid, pixels, NODATA))
    dataset.GetRasterBand(1).SetNoDataValue(NODATA)
    alg = "Horn" if method == "Horn" else "ZevenbergenThorne"
    slope, aspect = (
        gdal.DEMProcessing("", dataset, kind, format="MEM", alg=alg).ReadAsArray().astype(float)
        for kind in ("slope", "aspect")
    )
    slope[slope == -9999] = np.nan
    return [np.radians(slope), np.radians(np.where(aspect == -9999, 0, aspect))]


def ruggedness_at(
    vectors: np.ndarray, row: int, col: int, radius: int, disk: bool, propagate: bool
) -> Optional[float]:
    total, count, size = np.zeros(3), 0, 0
    for y in range(row - radius, row + radius + 1):
        for x in range(col - radius, col + radius + 1):
            if disk and (y - row) ** 2 + (x - col) ** 2 > radius**2:
                continue
            size += 1
            inside = 0 <= y < vectors.shape[1] and 0 <= x < vectors.shape[2]
            if inside and not np.isnan(vectors[0, y, x]):
                total, count = total + vectors[:, y, x], count + 1
    if count == 0 or (propagate and count < size):
        return None
    return float(1 - np.linalg.norm(total) / count)


@pytest.mark.parametrize("nodata", ["ignore", "propagate"])
@pytest.mark.parametrize(("shape", "radius"), [("square", 1), ("square", 2), ("disk", 3)])
@pytest.mark.parametrize("method", ["Horn", ZT])
@pytest.mark.parametrize("dtype", ["int16", "float32", "float64"])
def test_ruggedness_of_vectors_from_gdaldem(
    dtype: str, method: str, shape: str, radius: int, nodata: str
) -> None:
    pixels, valid = hills(dtype, 16, 18, seed=7, holes=0.02)
    slope, aspect = gdal_angles(pixels[0], valid[0], method)
    vectors = np.array(
        [np.sin(slope) * np.sin(aspect), np.sin(slope) * np.cos(aspect), np.cos(slope)]
    )
    got = run(VectorRuggedness(radius, shape, nodata, method), pixels, valid)[0]
    for row, col in np.ndindex(16, 18):
        wanted = ruggedness_at(vectors, row, col, radius, shape == "disk", nodata == "propagate")
        if wanted is None or not valid[0, row, col]:
            assert np.isnan(got[row, col])
        else:
            assert got[row, col] == pytest.approx(wanted, abs=2e-7)
    assert np.isfinite(got).any()


def test_a_plane_is_not_rugged_however_steep() -> None:
    row, col = np.mgrid[0:12, 0:12].astype(float)
    for steep in (0.0, 3.0, 400.0):
        found = run(VectorRuggedness(2), (steep * (row + 0.3 * col))[None])
        assert (found >= 0).all()
        assert found.max() < 1e-15


def test_the_most_rugged_terrain() -> None:
    """Walls that face each other: normals cancel but for their upward part."""
    pixels = np.zeros((1, 9, 9))
    pixels[0, :, 4] = 1e9
    found = run(VectorRuggedness(1), pixels)
    assert found[0, 4, 4] == pytest.approx(1 - 1 / 3, abs=1e-6)  # left, right and one flat


@pytest.mark.parametrize("block", [(1, 31), (5, 7), (23, 2)])
@pytest.mark.parametrize("holes", [0.0, 0.02])
def test_ruggedness_has_the_same_bits_for_any_blocks_in_degrees(
    block: tuple[int, int], holes: float
) -> None:
    pixels, valid = hills("float32", 23, 31, seed=8, holes=holes)
    profile = profile_of(pixels, Affine(0.001, 0, 7, 0, -0.002, 61), crs="EPSG:4326")
    rugged = VectorRuggedness(3, "disk", z_factor=4)
    whole = run(rugged, pixels, valid, profile)
    assert run(rugged, pixels, valid, profile, block).tobytes() == whole.tobytes()


def test_ruggedness_in_degrees() -> None:
    pixels, valid = hills("float64", 12, 9, seed=5)
    profile = profile_of(pixels, Affine(0.1, 0, 7, 0, -0.2, 81), crs="EPSG:4326")
    vectors = np.full((3, 12, 9), np.nan)
    for row, col, window in windows(1e4 * pixels[0], valid[0], edges=False):
        if window is not None:
            apart = spacing(profile, Window(row, 0, 1, 9))
            p = (window[5] - window[3]) / (2 * float(apart.east))
            q = (window[7] - window[1]) / (2 * float(apart.north))
            vectors[:, row, col] = np.array([-p, -q, 1]) / math.sqrt(1 + p * p + q * q)
    found = run(VectorRuggedness(2, method=ZT, z_factor=1e4), pixels, None, profile)[0]
    for row, col in np.ndindex(12, 9):
        wanted = ruggedness_at(vectors, row, col, 2, disk=False, propagate=False)
        assert found[row, col] == pytest.approx(wanted, rel=1e-6, abs=1e-12)


def test_output_profiles() -> None:
    pixels = np.zeros((1, 3, 3), "int16")
    feet = "US survey foot"
    for declaration, crs, name, unit in (
        (Curvature(), "EPSG:32631", "profile curvature of dem", "1/m"),
        (Curvature(), "EPSG:4326", "profile curvature of dem", "1/m"),
        (Curvature("Gaussian"), "EPSG:2263", "Gaussian curvature of dem", f"1/({feet})^2"),
        (VectorRuggedness(), "EPSG:32631", "VRM of dem", ""),
    ):
        profile = profile_of(pixels, nodata=0, scale=0.1, unit="m", name="dem", crs=crs)
        (output,) = declaration.output_profiles([profile])
        band = output.bands[0]
        assert (band.name, band.unit, band.nodata, band.scale) == (name, unit, None, 1.0)
        assert output.dtype == "float32"
        assert len(declaration.styles()) == 1
    (output,) = Curvature().output_profiles([profile_of(pixels)])
    assert output.bands[0].unit == ""


@pytest.mark.parametrize("wrong", [{"z_factor": 0}, {"pixel_spacing": -1}, {"method": "Horn"}])
def test_wrong_parameters_of_curvature(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Curvature(**wrong)


@pytest.mark.parametrize("wrong", [{"z_factor": 0}, {"radius": 0}, {"shape": "hexagon"}])
def test_wrong_parameters_of_ruggedness(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        VectorRuggedness(**wrong)


def test_rotated_grids_are_refused() -> None:
    rotated = profile_of(np.zeros((1, 4, 4)), Affine(10, 1, 0, 1, -10, 0))
    for declaration in (Curvature(), VectorRuggedness()):
        with pytest.raises(InputError, match="rotated"):
            declaration.check({"INPUT": [rotated]})
