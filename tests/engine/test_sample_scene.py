"""The sample scene: the same for any tiling, and plausible in its figures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.interpolate import BSpline
from scipy.stats import gamma, kstest

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Blocks, ImageFilter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.sample.random_fields import coarser, hashed, refined, smooth, uniform
from eoscale_engine.filters.sample.sample_land import FOREST, SNOW, TOWN, WATER, land
from eoscale_engine.filters.sample.sample_scene import (
    SampleElevation,
    SampleOptical,
    SampleSar,
    SampleScene,
    speckle,
)
from eoscale_engine.tiling import Window, split

SCENES = (SampleElevation, SampleOptical, SampleSar)
SIZE = {"width": 300, "height": 200}


def made(scene: ImageFilter, rows: int, cols: int) -> tuple[np.ndarray, np.ndarray]:
    """Pixels, 0 where invalid, and validity, computed in blocks of a size."""
    (profile,) = scene.output_profiles([])
    pixels, valid = np.zeros(profile.shape, np.float32), np.zeros(profile.shape, bool)
    for core in split(Window(0, 0, profile.height, profile.width), rows, cols):
        place = (slice(None), *core.slices)
        values, where = scene.apply(Blocks(core, {}))
        assert values.dtype == np.float32
        valid[place] = where
        pixels[place] = np.where(where, values, 0)
    return pixels, valid


@pytest.mark.parametrize("scene", SCENES)
def test_any_tiling_gives_the_same_bits(scene: Any) -> None:
    whole = made(scene(**SIZE), 200, 300)
    for rows, cols in ((17, 300), (64, 61), (200, 1)):
        parts = made(scene(**SIZE), rows, cols)
        assert all(one.tobytes() == two.tobytes() for one, two in zip(whole, parts))


@pytest.mark.parametrize("scene", SCENES)
def test_the_seed_makes_the_scene(scene: Any) -> None:
    first = made(scene(**SIZE), 200, 300)[0]
    assert np.array_equal(first, made(scene(**SIZE), 200, 300)[0])
    for seed in (2, -1, 2**40 + 1):
        other = made(scene(**SIZE, seed=seed), 200, 300)[0]
        assert np.mean(first == other) < 0.2


def test_a_larger_scene_goes_on_where_a_smaller_one_ends() -> None:
    small, large = (
        SampleElevation(width=w, height=h).apply(Blocks(Window(0, 0, h, w), {}))[0]
        for w, h in ((90, 70), (140, 110))
    )
    assert np.array_equal(small, large[:, :70, :90])


def test_elevation_has_relief_and_some_holes() -> None:
    pixels, valid = made(SampleElevation(width=1500, height=1500), 500, 1500)
    assert 0.02 < 1 - valid.mean() < 0.06
    heights = pixels[valid]
    assert 100 < heights.min() < 400
    assert 1000 < heights.max() < 3500
    # in metres by metre; a steeper scene would be cliffs, a flatter one a plain
    south, east = np.gradient(pixels[0], 10)
    inside = valid[0] & np.roll(valid[0], 1, 0) & np.roll(valid[0], -1, 0)
    inside &= np.roll(valid[0], 1, 1) & np.roll(valid[0], -1, 1)
    slopes = np.degrees(np.arctan(np.hypot(south, east)))[inside]
    assert 3 < np.median(slopes) < 25
    assert np.percentile(slopes, 99.9) < 65


def test_smaller_cells_make_lower_relief() -> None:
    window = Blocks(Window(0, 0, 50, 60), {})
    fine, coarse = (SampleElevation(cell_size=cell).apply(window)[0] for cell in (2.5, 10.0))
    np.testing.assert_allclose(2 * (fine - 150), coarse - 150, rtol=1e-4)


def test_optical_reflectance_is_that_of_land_water_and_clouds() -> None:
    scene = SampleOptical(width=1200, height=1200)
    pixels, valid = made(scene, 400, 1200)
    ground = land(Window(0, 0, 1200, 1200), 1000)
    assert 0.01 < 1 - valid[0].mean() < 0.1
    assert (valid == valid[:1]).all()
    assert not valid[0, 0, :100].any()
    blue, _, red, nir = pixels
    seen = valid[0] & (blue < 2000)
    index = (nir - red) / np.maximum(nir + red, 1)
    assert index[seen & (ground.cover == WATER)].max() < 0
    assert np.median(index[seen & (ground.cover != WATER)]) > 0.5
    cloudy = blue[valid[0] & (ground.cover != SNOW)] > 4000
    assert 0.02 < cloudy.mean() < 0.3
    assert pixels[valid].min() >= 1
    assert pixels.max() < 2**16


@pytest.mark.parametrize("looks", [1, 4])
def test_speckle_is_gamma_distributed(looks: int) -> None:
    found = speckle(Window(0, 0, 200, 300), 5, looks)
    assert kstest(found.ravel(), gamma(looks, scale=1 / looks).cdf).pvalue > 0.01
    assert abs(np.corrcoef(found[:-1].ravel(), found[1:].ravel())[0, 1]) < 0.02


def test_sar_sees_water_dark_and_towns_bright() -> None:
    pixels, valid = made(SampleSar(width=1200, height=1200, looks=16), 400, 1200)
    cover = land(Window(0, 0, 1200, 1200), 1000).cover
    medians = {
        kind: np.median(pixels[0][valid[0] & (cover == kind)]) for kind in (WATER, FOREST, TOWN)
    }
    assert 3 * medians[WATER] < medians[FOREST] < medians[TOWN]
    assert not valid[0, -1, -90:].any()
    assert pixels[valid].min() > 0


def test_a_subdivision_is_a_cubic_b_spline() -> None:
    # Six subdivisions of control points come to their uniform cubic B-spline.
    window = Window(-130, 70, 200, 3)
    levels = [window]
    for _ in range(6):
        levels.append(coarser(levels[-1]))
    field = uniform(levels[-1], 5)
    field[:] = field[:, :1]
    control = field[:, 0].astype(float)
    for level in reversed(levels[:-1]):
        field = refined(field, level)
    first = levels[-1].row
    spline = BSpline(np.arange(first - 2, first + len(control) + 2), control, 3)
    reference = spline(np.arange(window.row, window.end_row) / 64)
    np.testing.assert_allclose(field[:, 0], reference, atol=2e-4)


def test_random_numbers_are_uniform_and_unrelated() -> None:
    numbers = uniform(Window(-50, -50, 400, 400), 3)
    counts, _ = np.histogram(numbers, 64, (0, 1))
    assert counts.sum() == numbers.size
    expected = numbers.size / 64
    assert ((counts - expected) ** 2 / expected).sum() < 120  # chi square, 63 degrees of freedom
    other_seed = uniform(Window(-50, -50, 400, 400), 4)
    below, beside = (numbers[:-1], numbers[1:]), (numbers[:, :-1], numbers[:, 1:])
    for one, other in (below, beside, (numbers, other_seed), (numbers, numbers.T)):
        assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.02
    assert hashed(np.array([-1]), np.array([2]), 1) != hashed(np.array([2]), np.array([-1]), 1)


def test_smooth_fields_have_mean_0_and_deviation_1() -> None:
    field = smooth(Window(0, 0, 1000, 1000), 3, 7)
    assert abs(field.mean()) < 0.05
    assert 0.8 < field.std() < 1.2


def test_profiles_tell_what_the_images_are() -> None:
    (elevation,), (optical,), (sar,) = (
        scene(width=30, height=20, cell_size=5).output_profiles([]) for scene in SCENES
    )
    assert (elevation.dtype, elevation.nodata, elevation.bands[0].unit) == ("float32", -9999, "m")
    assert (optical.dtype, optical.nodata) == ("uint16", 0)
    assert [band.name for band in optical.bands] == ["blue", "green", "red", "nir"]
    assert [band.color for band in optical.bands] == ["Blue", "Green", "Red", "Undefined"]
    assert {band.scale for band in optical.bands} == {0.0001}
    assert sar.dtype == "float32"
    assert np.isnan(float(sar.nodata))  # type: ignore[arg-type]
    for profile in (elevation, optical, sar):
        assert (profile.width, profile.height) == (30, 20)
        assert profile.crs is not None
        assert profile.crs.to_epsg() == 32631
        assert profile.transform is not None
        assert profile.transform.to_gdal() == (600000, 5, 0, 4900000, 0, -5)


def test_only_the_wanted_images_are_made() -> None:
    with EOContextManager(inline=True) as context:
        wanted = SampleScene(width=40, height=30, optical=False)
        elevation, optical, sar = context.run(wanted).images
        assert optical is None
        assert elevation and sar
        assert context.profile(elevation).bands[0].name == "elevation"
        reference = made(SampleSar(width=40, height=30), 30, 40)
        found = context.get_array(sar)
        assert np.array_equal(np.isfinite(found), reference[1])
        assert np.array_equal(np.nan_to_num(found), reference[0])
    with pytest.raises(InputError, match="at least one"):
        SampleScene(elevation=False, optical=False, sar=False)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (1, 9), (13, 1)])
def test_tiny_scenes(width: int, height: int) -> None:
    for scene in SCENES:
        assert made(scene(width=width, height=height), 5, 4)[0].shape[1:] == (height, width)
