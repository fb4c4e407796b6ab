"""Slope, aspect, hillshade, TPI, TRI and roughness against gdaldem, direct loops and planes."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from osgeo import gdal, osr

from eoscale_engine.declaration import ImageFilter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.terrain.aspect import Aspect
from eoscale_engine.filters.terrain.curvature import Curvature
from eoscale_engine.filters.terrain.elevation import METHODS
from eoscale_engine.filters.terrain.ground import spacing
from eoscale_engine.filters.terrain.hillshade import MODES, Hillshade
from eoscale_engine.filters.terrain.roughness import Roughness, Ruggedness, TopographicPosition
from eoscale_engine.filters.terrain.slope import Slope
from eoscale_engine.filters.terrain.vector_ruggedness import VectorRuggedness
from eoscale_engine.profile import Affine, Profile
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import REAL_DTYPES
from tests.engine.terrains import GRID, NODATA, crs_of, hills, profile_of, run, windows, with_scale

ZT = "Zevenbergen and Thorne"
GDAL_TYPES = {
    "uint8": gdal.GDT_Byte, "int16": gdal.GDT_Int16, "float32": gdal.GDT_Float32,
    "float64": gdal.GDT_Float64,
}  # fmt: skip


def by_gdaldem(
    kind: str, pixels: np.ndarray, valid: np.ndarray, transform: Affine = GRID, **options: Any
) -> np.ndarray:
    """What gdaldem makes of a band; NaN where it has no value."""
    rows, cols = pixels.shape
    dataset = gdal.GetDriverByName("MEM").Create("", cols, rows, 1, GDAL_TYPES[pixels.dtype.name])
    dataset.SetGeoTransform(transform.to_gdal())
    band = dataset.GetRasterBand(1)
    band.WriteArray(np.where(valid, pixels, NODATA).astype(pixels.dtype))
    band.SetNoDataValue(NODATA)
    made = gdal.DEMProcessing("", dataset, kind, format="MEM", **options)
    values = made.ReadAsArray().astype(float)
    values[values == made.GetRasterBand(1).GetNoDataValue()] = np.nan
    return values


def without_corners(values: np.ndarray) -> np.ndarray:
    found = values.copy()
    found[[0, 0, -1, -1], [0, -1, 0, -1]] = np.nan
    return found


CASES: list[tuple[type[ImageFilter], dict[str, Any], str, dict[str, Any]]] = [
    (Slope, {}, "slope", {}),
    (Slope, {"method": ZT}, "slope", {"alg": "ZevenbergenThorne"}),
    (Slope, {"unit": "percent"}, "slope", {"slopeFormat": "percent"}),
    (Slope, {"z_factor": 0.25}, "slope", {"scale": 4}),
    (Aspect, {}, "aspect", {}),
    (Aspect, {"method": ZT}, "aspect", {"alg": "ZevenbergenThorne"}),
    (Aspect, {"angle": "trigonometric"}, "aspect", {"trigonometric": True}),
    (TopographicPosition, {}, "TPI", {}),
    (Ruggedness, {}, "TRI", {"alg": "Riley"}),
    (Ruggedness, {"index": "Wilson"}, "TRI", {"alg": "Wilson"}),
    (Roughness, {}, "roughness", {}),
]


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("dtype", list(GDAL_TYPES))
@pytest.mark.parametrize(("declaration", "parameters", "kind", "options"), CASES)
def test_gdaldem_agrees(
    declaration: Any, parameters: Any, kind: str, options: Any, dtype: str, edges: bool
) -> None:
    pixels, valid = hills(dtype, 50, 61, seed=1, holes=0.03)
    got = run(declaration(compute_edges=edges, **parameters), pixels, valid)[0]
    wanted = by_gdaldem(kind, pixels[0], valid[0], computeEdges=edges, **options)
    got, wanted = without_corners(got), without_corners(wanted)
    # gdaldem adds floats up before it subtracts
    tolerance = 0.01 if kind == "aspect" else 2e-4
    np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=tolerance)


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("dtype", ["int16", "float32"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("sun", [{}, {"azimuth": 80.0, "altitude": 15.0}])
def test_gdaldem_agrees_on_hillshades(
    mode: str, method: str, dtype: str, edges: bool, sun: dict[str, float]
) -> None:
    pixels, valid = hills(dtype, 50, 61, seed=2, holes=0.03)
    options: dict[str, Any] = {"alg": "ZevenbergenThorne"} if method == ZT else {}
    parameters = dict(sun)
    options.update(sun)
    if mode != "regular":
        options["multiDirectional" if mode == "multidirectional" else mode.lower()] = True
    options.pop({"multidirectional": "azimuth", "Igor": "altitude"}.get(mode, ""), None)
    hillshade = Hillshade(mode, method=method, z_factor=1.5, compute_edges=edges, **parameters)
    got = without_corners(run(hillshade, pixels, valid)[0])
    wanted = by_gdaldem(
        "hillshade", pixels[0], valid[0], computeEdges=edges, zFactor=1.5, **options
    )
    wanted = without_corners(wanted)
    assert np.array_equal(np.isnan(got), np.isnan(wanted))
    differences = np.abs(got - wanted)[~np.isnan(got)]
    assert differences.max() <= 1
    assert np.count_nonzero(differences) <= 3
    assert np.nanstd(wanted) > 10


def rises(window: list[float], method: str, transform: Affine) -> tuple[float, float]:
    """Rise to the east and to the north, as the papers have them."""
    a, b, c, d, _, f, g, h, i = window
    if method == "Horn":
        across = ((c + 2 * f + i) - (a + 2 * d + g)) / 8
        down = ((g + 2 * h + i) - (a + 2 * b + c)) / 8
    else:
        across, down = (f - d) / 2, (h - b) / 2
    return across / transform.a, down / transform.e


@pytest.mark.parametrize(
    "transform",
    [Affine(10, 0, 0, 0, -10, 0), Affine(8, 0, 0, 0, -20, 0), Affine(-8, 0, 0, 0, 5, 0)],
)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_slope_and_aspect_by_a_loop(
    dtype: str, edges: bool, method: str, transform: Affine
) -> None:
    pixels, valid = hills(dtype, 13, 17, seed=4, holes=0.05)
    profile = with_scale(profile_of(pixels, transform), 0.5, 7)
    slope = run(Slope("radians", method, 3, edges), pixels, valid, profile)[0]
    aspect = run(Aspect("azimuth", "minus one", method, edges), pixels, valid, profile)[0]
    for row, col, window in windows(pixels[0] * 0.5 + 7, valid[0], edges):
        if window is None:
            assert np.isnan(slope[row, col])
            assert np.isnan(aspect[row, col])
            continue
        east, north = rises(window, method, transform)
        assert slope[row, col] == pytest.approx(math.atan(3 * math.hypot(east, north)), abs=2e-6)
        wanted = math.degrees(math.atan2(-east, -north)) % 360 if (east, north) != (0, 0) else -1
        assert 0 <= aspect[row, col] < 360 or wanted == -1
        assert abs((aspect[row, col] - wanted + 180) % 360 - 180) < 0.01


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("direction", [0, 30, 135, 200, 290])
def test_a_plane_has_the_same_slope_everywhere_to_its_corners(
    direction: float, method: str
) -> None:
    """Falling towards an azimuth, by 3 in 4."""
    transform = Affine(2, 0, 100, 0, -5, 900)
    row, col = np.mgrid[0:9, 0:11]
    x, y = transform * (col, row)
    angle = math.radians(direction)
    pixels = (-0.75 * (x * math.sin(angle) + y * math.cos(angle)))[None]
    profile = profile_of(pixels, transform)
    slope = run(Slope("percent", method, compute_edges=True), pixels, None, profile)
    aspect = run(Aspect(method=method, compute_edges=True), pixels, None, profile)
    counterclockwise = run(
        Aspect("trigonometric", method=method, compute_edges=True), pixels, None, profile
    )
    np.testing.assert_allclose(slope, 75, rtol=1e-9)
    np.testing.assert_allclose((aspect - direction + 180) % 360, 180, atol=1e-6)
    np.testing.assert_allclose((counterclockwise - (90 - direction) + 180) % 360, 180, atol=1e-6)
    # perpendicular to the light, and away from it
    lit = Hillshade("regular", direction, 90 - math.degrees(math.atan(0.75)), compute_edges=True)
    dark = Hillshade("regular", (direction + 180) % 360, 30, compute_edges=True)
    np.testing.assert_array_equal(run(lit, pixels, None, profile), 255)
    np.testing.assert_array_equal(run(dark, pixels, None, profile), 1)


def test_high_terrain_costs_no_digits() -> None:
    random = np.random.default_rng(0)
    pixels = (8000 + random.integers(0, 999, (1, 30, 30)) * 2.0**-11).astype("float32")
    exact = pixels.astype(float)
    for declaration in (Slope(), Slope(method=ZT), Ruggedness(), TopographicPosition()):
        one, two = run(declaration, pixels), run(declaration, exact)
        scale = np.nanmax(np.abs(two))
        np.testing.assert_allclose(one, two, rtol=1e-6, atol=3e-7 * scale)


# ---------------------------------------------------------------- degrees, cell sizes


@pytest.mark.parametrize("crs", ["EPSG:4326", "EPSG:4807", "+proj=longlat +R=3396190"])
@pytest.mark.parametrize("latitude", [-71.3, -33.0, 0.05, 46.7, 84.9])
def test_metres_of_a_degree(crs: str, latitude: float) -> None:
    """Against a map around the place on which distances from its middle are true."""
    reference = osr.SpatialReference()
    reference.ImportFromWkt(crs_of(crs).wkt)
    reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    degrees = math.degrees(reference.GetAngularUnits())
    size = 0.001
    profile = profile_of(
        np.zeros((1, 50, 3)), Affine(size, 0, 1, 0, -size, latitude + 20.5 * size), crs=crs
    )
    apart = spacing(profile, Window(20, 0, 1, 3))
    axis, flat = reference.GetSemiMajor(), reference.GetInvFlattening()
    plane = osr.SpatialReference()
    plane.ImportFromProj4(
        f"+proj=aeqd +a={axis} {f'+rf={flat}' if flat else f'+b={axis}'} "
        f"+lat_0={latitude * degrees} +lon_0=0"
    )
    longlat = plane.CloneGeogCS()
    longlat.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    transformation = osr.CoordinateTransformation(longlat, plane)
    step = size * degrees / 2
    right = transformation.TransformPoint(step, latitude * degrees)[0]
    up = [transformation.TransformPoint(0, latitude * degrees + s)[1] for s in (-step, step)]
    assert float(apart.east) == pytest.approx(2 * right, rel=1e-6)
    assert float(apart.north) == pytest.approx(up[0] - up[1], rel=1e-6)


def geographic(pixels: np.ndarray) -> Profile:
    return profile_of(pixels, Affine(0.01, 0, 7, 0, -0.02, 61), crs="EPSG:4326")


@pytest.mark.parametrize("edges", [False, True])
def test_slope_in_degrees_of_latitude(edges: bool) -> None:
    pixels, valid = hills("float64", 40, 9, seed=5)
    profile = geographic(pixels)
    slope = run(Slope("percent", compute_edges=edges), pixels, valid, profile)[0]
    for row, col, window in windows(pixels[0], valid[0], edges):
        if window is not None:
            apart = spacing(profile, Window(row, 0, 1, 9))
            cell = Affine(float(apart.east), 0, 0, 0, float(apart.north), 0)
            wanted = 100 * math.hypot(*rises(window, "Horn", cell))
            assert slope[row, col] == pytest.approx(wanted, rel=1e-9)
    assert spacing(profile, Window(0, 0, 1, 9)).east < spacing(profile, Window(39, 0, 1, 9)).east


@pytest.mark.parametrize("edges", [False, True])
@pytest.mark.parametrize("block", [(1, 50), (7, 13), (40, 1), (5, 32)])
@pytest.mark.parametrize("holes", [0.0, 0.03])
def test_same_bits_for_any_blocks_in_degrees(
    block: tuple[int, int], edges: bool, holes: float
) -> None:
    pixels, valid = hills("float32", 37, 50, seed=6, holes=holes)
    profile = geographic(pixels)
    for declaration in (
        Slope(compute_edges=edges), Aspect(compute_edges=edges, method=ZT),
        Hillshade("multidirectional", z_factor=30, compute_edges=edges),
    ):  # fmt: skip
        whole = run(declaration, pixels, valid, profile)
        assert run(declaration, pixels, valid, profile, block).tobytes() == whole.tobytes()


def test_cell_size_takes_the_place_of_the_geotransform() -> None:
    pixels, _ = hills("float32", 12, 12)
    wanted = run(Slope(), pixels, None, profile_of(pixels, Affine(25, 0, 0, 0, -25, 0)))
    profile = profile_of(pixels, Affine(3, 0, 0, 0, -1, 0))
    np.testing.assert_array_equal(run(Slope(pixel_spacing=25), pixels, None, profile), wanted)
    south_up = profile_of(pixels[:, ::-1], Affine(3, 0, 0, 0, 1, 0))
    aspect = run(Aspect(pixel_spacing=25), pixels, None, profile_of(pixels))
    turned = run(Aspect(pixel_spacing=25), pixels[:, ::-1], None, south_up)
    np.testing.assert_allclose(turned[:, ::-1], aspect, atol=1e-4)
    without = run(Aspect(), pixels, None, profile_of(pixels, None))
    np.testing.assert_allclose(without, aspect, atol=1e-4)


def test_cell_size_is_in_degrees_where_coordinates_are() -> None:
    """A metre a pixel on cells of one second of arc at the equator: 30.9 m to the east."""
    second, pixels = 1 / 3600, np.tile(np.arange(5, dtype="float32"), (1, 5, 1))
    finer = profile_of(pixels, Affine(second / 9, 0, 3, 0, -second / 9, 0), crs="EPSG:4326")
    for declaration in (Slope(), Aspect(), Hillshade(), Curvature("mean"), VectorRuggedness()):
        spaced = replace(declaration, pixel_spacing=second)
        same = profile_of(pixels, Affine(second, 0, 3, 0, -second, 0), crs="EPSG:4326")
        found = run(spaced, pixels, None, finer)
        np.testing.assert_allclose(
            found, run(declaration, pixels, None, same), rtol=1e-5, atol=1e-9
        )
    slope = run(Slope(pixel_spacing=second), pixels, None, finer)[0, 2, 2]
    east = math.radians(second) * 6378137
    assert slope == pytest.approx(math.degrees(math.atan(1 / east)), rel=1e-5)
    with pytest.raises(InputError, match="Give degrees"):
        Slope(pixel_spacing=30).check({"INPUT": [finer]})


# ---------------------------------------------------------------- units of elevations

FOOT = 1200 / 3937
"""The US survey foot, in metres."""


@pytest.mark.parametrize(
    ("crs", "unit", "factor"),
    [
        ("EPSG:2263+5703", "", 1 / FOOT),  # feet across, metres up
        ("EPSG:2263+5703", "ft", 1 / FOOT),
        ("EPSG:2263+6360", "", 1),  # feet both ways
        ("EPSG:2263", "", 1),  # not known
        ("EPSG:2263", "m", 1 / FOOT),
        ("EPSG:32631", "ft", 0.3048),
        ("EPSG:32631", "US survey foot", FOOT),
        ("EPSG:32631", "m", 1),
        ("EPSG:32631", "dB", 1),
        ("EPSG:4326+5773", "", 1),
    ],
)
def test_elevations_are_brought_to_the_unit_of_the_map(crs: str, unit: str, factor: float) -> None:
    pixels, _ = hills("float32", 12, 12)
    size = 1e-4 if crs.startswith("EPSG:4326") else 10
    profile = profile_of(pixels, Affine(size, 0, 0, 0, -size, 0), crs=crs, unit=unit)
    for kind in (Slope, Hillshade, Curvature, VectorRuggedness):
        found = run(kind(), pixels, None, profile)
        wanted = run(kind(z_factor=factor), pixels, None, profile)
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-9)
        told = kind().remarks({"INPUT": [profile]})
        assert bool(told) == (factor != 1 or crs == "EPSG:2263")
        assert not kind(z_factor=1).remarks({"INPUT": [profile]})
    assert not Aspect().remarks({"INPUT": [profile]})


def test_metres_over_feet_by_gdaldem() -> None:
    pixels, valid = hills("float32", 12, 12)
    slope = run(Slope(), pixels, None, profile_of(pixels, crs="EPSG:2263+5703"))[0]
    wanted = by_gdaldem("slope", pixels[0], valid[0], scale=FOOT)
    np.testing.assert_allclose(slope, wanted, atol=1e-3)
    (told,) = Slope().remarks({"INPUT": [profile_of(pixels, crs="EPSG:2263+5703")]})
    assert "metre" in told and "US survey foot" in told and "3.28083" in told


def test_a_z_factor_for_degrees_is_doubted() -> None:
    pixels = np.zeros((1, 4, 4), "float32")
    profile = {"INPUT": [profile_of(pixels, Affine(1e-3, 0, 9, 0, -1e-3, 9), crs="EPSG:4326")]}
    (doubt,) = Hillshade(z_factor=1 / 111120).doubts(profile)
    assert "Leave the Z factor empty" in doubt
    assert not Hillshade().doubts(profile)
    assert not Hillshade(z_factor=1 / 111120).doubts({"INPUT": [profile_of(pixels)]})


# ---------------------------------------------------------------- special terrain


def test_flat_terrain() -> None:
    pixels = np.zeros((1, 5, 6), "float32")
    pixels[0, 2, 2] = -0.0
    assert np.isnan(run(Aspect(compute_edges=True), pixels)).all()
    for flat, value in (("zero", 0.0), ("minus one", -1.0)):
        for angle in ("azimuth", "trigonometric"):
            found = run(Aspect(angle, flat, compute_edges=True), pixels)
            assert (found == value).all()
            assert np.signbit(found).all() == (value < 0)
    assert (run(Slope(compute_edges=True), pixels) == 0).all()
    lit = np.rint(1 + 254 * math.sin(math.radians(30)))
    for mode in ("regular", "multidirectional"):
        assert (run(Hillshade(mode, altitude=30, compute_edges=True), pixels) == lit).all()
    for zero in (Roughness(True), TopographicPosition(True), Ruggedness(compute_edges=True)):
        found = run(zero, pixels)
        assert (found == 0).all()
    pixels = np.where(np.random.default_rng(0).random((1, 20, 300)) < 0.5, -0.0, 0.0)
    assert not np.signbit(run(Roughness(True), pixels.astype("float32"))).any()


def test_a_hair_west_of_north_is_no_full_turn() -> None:
    pixels = np.repeat(np.arange(-2, 3, dtype="float32"), 5).reshape(1, 5, 5)
    pixels[0, 2, 3] = 1e-10
    for method in METHODS:
        found = run(Aspect(method=method), pixels)
        assert (found[0, 1:-1, 1:-1] == 0).all()
        assert not np.signbit(found[0, 1:-1, 1:-1]).any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 8), (1, 8, 1), (1, 2, 2)])
@pytest.mark.parametrize("declaration", [Slope, Aspect, Hillshade, Roughness])
def test_tiny_images(declaration: Any, shape: tuple[int, ...]) -> None:
    pixels = (np.arange(np.prod(shape), dtype="float32") * 10).reshape(shape)
    assert np.isnan(run(declaration(), pixels)).all()
    if declaration is Slope:
        found = run(Slope("percent", compute_edges=True), pixels)
        steps = [10 * shape[2] if shape[1] > 1 else 0, 10 if shape[2] > 1 else 0]
        # the missing neighbours above and below a single row are as high as the pixel itself
        share = 1 if min(shape[1:]) > 1 else 0.5
        np.testing.assert_allclose(found, 10 * math.hypot(*steps) * share)


def test_infinite_elevations() -> None:
    pixels, _ = hills("float32", 9, 9)
    pixels[0, 4, [4, 6]] = np.inf
    slope, shade = run(Slope(), pixels)[0], run(Hillshade(), pixels)[0]
    between = np.zeros((9, 9), bool)
    between[3:6, 5] = True  # where infinite elevations are subtracted
    np.testing.assert_array_equal(np.isnan(slope)[1:-1, 1:-1], between[1:-1, 1:-1])
    assert slope[4, 3] == 90
    assert (shade[between] == 1).all()
    assert (run(TopographicPosition(), pixels)[0, 4, [4, 6]] == np.inf).all()


def test_bands_by_themselves() -> None:
    first, valid = hills("int16", 20, 30, seed=1, holes=0.1)
    second, all_valid = hills("int16", 20, 30, seed=2)
    both = run(Slope(), np.concatenate([first, second]), np.concatenate([valid, all_valid]))
    np.testing.assert_array_equal(both[:1], run(Slope(), first, valid))
    np.testing.assert_array_equal(both[1:], run(Slope(), second))


# ---------------------------------------------------------------- profiles and refusals


def test_output_profiles() -> None:
    pixels = np.zeros((1, 4, 4), "int16")
    profile = profile_of(pixels, nodata=-1, scale=0.1, unit="m", name="height")
    for declaration, name, unit, dtype, nodata in (
        (Slope(), "slope of height", "degrees", "float32", None),
        (Slope("percent"), "slope of height", "%", "float32", None),
        (Aspect(), "aspect of height", "degrees", "float32", None),
        (Hillshade(), "hillshade of height", "", "uint8", 0),
        (TopographicPosition(), "TPI of height", "m", "float32", None),
        (Ruggedness(), "TRI of height", "m", "float32", None),
        (Roughness(), "roughness of height", "m", "float32", None),
    ):
        (output,) = declaration.output_profiles([profile])
        band = output.bands[0]
        assert (band.name, band.unit, output.dtype) == (name, unit, dtype)
        assert (band.nodata, band.scale, band.offset) == (nodata, 1.0, 0.0)
        assert output.transform == profile.transform
        assert len(declaration.styles()) == 1
    (wide,) = Slope().output_profiles([profile_of(pixels.astype("int64"))])
    assert (wide.dtype, wide.bands[0].name) == ("float64", "slope")


@pytest.mark.parametrize(
    "wrong",
    [
        {"z_factor": 0},
        {"pixel_spacing": 0},
        {"pixel_spacing": -3},
        {"unit": "gon"},
        {"method": "Prewitt"},
    ],
)
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Slope(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"altitude": 91}, {"azimuth": -1}, {"mode": "night"}, {"z_factor": 0}]
)
def test_wrong_suns(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Hillshade(**wrong)


def test_grids_that_are_refused() -> None:
    pixels = np.zeros((1, 4, 4), "float32")
    rotated = profile_of(pixels, Affine(10, 1, 0, 1, -10, 0))
    for declaration in (Slope(), Aspect(), Hillshade()):
        with pytest.raises(InputError, match="rotated"):
            declaration.check({"INPUT": [rotated]})
    with pytest.raises(InputError, match="rotated"):
        Slope().check({"INPUT": [profile_of(pixels, Affine(0, 10, 0, -10, 0, 0))]})
    metres = profile_of(pixels, Affine(30, 0, 500000, 0, -30, 4e6), crs="EPSG:4326")
    with pytest.raises(InputError, match="Assign the CRS"):
        Slope().check({"INPUT": [metres]})
    TopographicPosition().check({"INPUT": [rotated]})
    poles = profile_of(
        np.zeros((1, 181, 4), "float32"), Affine(1, 0, 0, 0, -1, 90.5), crs="EPSG:4326"
    )
    Slope().check({"INPUT": [poles]})
    assert (
        np.isnan(run(Slope(), np.zeros((1, 181, 4), "float32"), None, poles)).sum() == 2 * 179 + 8
    )
