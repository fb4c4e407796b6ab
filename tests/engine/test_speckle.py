"""Speckle filters against direct loops of the papers' formulas, SciPy's gamma and simulations."""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import replace
from typing import Any, Optional

import numpy as np
import pytest
from scipy import integrate, ndimage, optimize, stats

from eoscale_engine.declaration import Declaration
from eoscale_engine.errors import InputError
from eoscale_engine.filters.radar.lee_sigma import sigma_range
from eoscale_engine.filters.radar.speckle import METHODS, Speckle
from eoscale_engine.procedures.looks import NumberOfLooks
from eoscale_engine.procedures.speckle import SpeckleFilter
from eoscale_engine.profile import Band, Profile
from eoscale_engine.tiling import Window
from tests.engine import procedure_runs as procedures
from tests.engine.neighbourhoods import REAL_DTYPES, profile_of, run, same_bits

LOOKS = 3.0
AMPLITUDE_NOISE = 4 / math.pi - 1
Pixel = tuple[int, int, float]


def scene(rows: int, cols: int, seed: int = 1, looks: float = LOOKS) -> np.ndarray:
    """Fields and points under speckle: ``(1, rows, cols)``."""
    random = np.random.default_rng(seed)
    ground = np.where(np.arange(cols) > cols // 2, 300.0, 90.0) * np.ones((rows, 1))
    ground[rows // 3] *= 4
    ground[2:5, 3:6] = 3000
    return (ground * random.gamma(looks, 1 / looks, (rows, cols)))[None]


# ---------------------------------------------------------------- the formulas, one by one


def moments(values: list[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    squares = math.fsum((value - mean) ** 2 for value in values)
    return mean, squares / max(1, len(values) - 1)  # of a sample, as OTB and SNAP have it


def kuan(x: float, values: list[float], noise: float) -> Optional[float]:
    mean, variance = moments(values)
    if mean <= 0:
        return None
    if variance <= noise * mean * mean:
        return mean
    return mean + (1 - noise * mean**2 / variance) / (1 + noise) * (x - mean)


class Reference:
    """One band, pixel by pixel; None where a formula has no value."""

    def __init__(self, declaration: Speckle, pixels: np.ndarray, valid: np.ndarray) -> None:
        self.of = declaration
        self.values, self.valid = pixels.astype(np.float64), valid
        self.amplitude = declaration.data == "amplitude"
        self.looks = declaration.looks[0]
        self.noise = (AMPLITUDE_NOISE if self.amplitude else 1) / self.looks

    def window(self, row: int, col: int, radius: int) -> list[Pixel]:
        """Valid pixels with their place around the middle."""
        side = range(-radius, radius + 1)
        rows, cols = self.values.shape
        return [
            (y, x, float(self.values[row + y, col + x]))
            for y, x in itertools.product(side, side)
            if 0 <= row + y < rows and 0 <= col + x < cols and self.valid[row + y, col + x]
        ]

    def at(self, row: int, col: int) -> Optional[float]:
        x = float(self.values[row, col])
        if self.of.method == "refined Lee":
            return kuan(x, self.half(row, col), self.noise)
        if self.of.method == "Lee sigma":
            return self.lee_sigma(row, col)
        window = self.window(row, col, self.of.radius)
        values = [value for *_, value in window]
        if self.of.method == "Gamma-MAP" and self.amplitude:
            squared = self.gamma_map(x * abs(x), [value * abs(value) for value in values])
            return None if squared is None else math.copysign(math.sqrt(abs(squared)), squared)
        if self.of.method == "Gamma-MAP":
            return self.gamma_map(x, values)
        if self.of.method == "Kuan":
            return kuan(x, values, self.noise)
        mean, variance = moments(values)
        if mean <= 0:
            return None
        variation, damping = math.sqrt(variance) / mean, self.of.damping
        if self.of.method == "Frost":
            weights = [math.exp(-damping * variation**2 * math.hypot(y, x)) for y, x, _ in window]
            return sum(w * v for w, v in zip(weights, values)) / sum(weights)
        speckle = math.sqrt(self.noise)
        if variation <= speckle:
            return mean
        if self.of.method == "Lee":
            return mean + (1 - self.noise / variation**2) * (x - mean)
        most = math.sqrt(1 + 2 * self.noise)
        if variation >= most:
            return x
        weight = math.exp(-damping * (variation - speckle) / (most - variation))
        return mean * weight + x * (1 - weight)

    def gamma_map(self, x: float, values: list[float]) -> Optional[float]:
        mean, variance = moments(values)
        if mean <= 0:
            return None
        noise, looks = 1 / self.looks, self.looks
        variation = variance / mean**2
        if variation <= noise:
            return mean
        if variation >= 2 * noise:
            return x
        alpha = (1 + noise) / (variation - noise)
        # the positive root of alpha R^2 + (looks + 1 - alpha) mean R - looks mean x = 0
        half = (looks + 1 - alpha) * mean / (2 * alpha)
        inside = half**2 + looks * mean * x / alpha
        return None if inside < 0 else -half + math.sqrt(inside)

    def half(self, row: int, col: int) -> list[float]:
        """Refined Lee: the pixels of the half that the middle belongs to."""
        window = self.window(row, col, 3)
        means = {}
        for y, x in [(0, 0), *itertools.product((-2, 0, 2), repeat=2)]:
            near = [v for row_, col_, v in window if abs(row_ - y) <= 1 and abs(col_ - x) <= 1]
            means[y, x] = sum(near) / len(near) if near else means[0, 0]
        edges = (  # a side's windows, and where the half on that side lies
            (((-2, -2), (0, -2), (2, -2)), (0, -2), lambda y, x: -x),
            (((-2, -2), (-2, 0), (-2, 2)), (-2, 0), lambda y, x: -y),
            (((-2, -2), (-2, 0), (0, -2)), (-2, -2), lambda y, x: -y - x),
            (((-2, 2), (-2, 0), (0, 2)), (-2, 2), lambda y, x: -y + x),
        )
        strengths = [
            abs(sum(means[place] for place in side) - sum(means[-y, -x] for y, x in side))
            for side, _, _ in edges
        ]
        _, (y, x), towards = edges[strengths.index(max(strengths))]
        first = abs(means[y, x] - means[0, 0]) <= abs(means[-y, -x] - means[0, 0])
        return [v for y, x, v in window if (towards(y, x) if first else -towards(y, x)) >= 0]

    def lee_sigma(self, row: int, col: int) -> Optional[float]:
        x = float(self.values[row, col])
        if self.point(row, col):
            return x
        guess = kuan(x, [v for *_, v in self.window(row, col, 1)], self.noise)
        if guess is None:
            return None
        low, high, noise = gamma_range(self.looks, self.of.sigma, self.amplitude)
        window = self.window(row, col, self.of.radius)
        values = [v for *_, v in window if low * guess <= v <= high * guess]
        return kuan(x, values, noise) if values else guess

    def point(self, row: int, col: int) -> bool:
        bright = self.of.bright[0]
        return self.values[row, col] >= bright and any(
            value >= bright and sum(v >= bright for *_, v in self.window(row + y, col + x, 1)) >= 5
            for y, x, value in self.window(row, col, 1)
        )


@functools.cache
def gamma_range(looks: float, sigma: float, amplitude: bool) -> tuple[float, float, float]:
    """The range of the sigma filter from SciPy's distributions, and the squared variation there."""
    speckle: Any = stats.gamma(looks, scale=1 / looks)
    if amplitude:
        root = speckle.expect(math.sqrt, lb=0, ub=np.inf)
        speckle = stats.nakagami(looks, scale=1 / root)

    def integral(low: float, high: float, power: int) -> float:
        return integrate.quad(lambda v: speckle.pdf(v) * v**power, low, high, epsabs=1e-12)[0]

    def upper(low: float) -> float:
        return float(speckle.ppf(speckle.cdf(low) + sigma))

    low = optimize.brentq(
        lambda low: integral(low, upper(low), 1) / sigma - 1,
        speckle.ppf(1e-9), speckle.ppf((1 - sigma) * (1 - 1e-9)),
    )  # fmt: skip
    return low, upper(low), integral(low, upper(low), 2) / sigma - 1


CASES = [
    pytest.param(Speckle(looks=(LOOKS,), method=method, data=data, radius=radius, **more), id=name)
    for name, method, radius, more in (
        ("Lee", "Lee", 2, {}),
        ("Kuan", "Kuan", 1, {}),
        ("enhanced", "enhanced Lee", 2, {"damping": 0.7}),
        ("Frost", "Frost", 2, {"damping": 2.0}),
        ("Gamma-MAP", "Gamma-MAP", 2, {}),
        ("refined", "refined Lee", 1, {}),
        ("sigma", "Lee sigma", 3, {"bright": (800.0,)}),
        ("sigma 3x3", "Lee sigma", 1, {"bright": (800.0,), "sigma": 0.6}),
    )
    for data in ("intensity", "amplitude")
]


def check(declaration: Speckle, pixels: np.ndarray, valid: np.ndarray, tolerance: float) -> int:
    """Compare every pixel; returns at how many the result is not the pixel."""
    result, where = run(declaration, pixels, valid)
    # away from the border a small block has no invalid pixels, and needs no mask
    assert same_bits(run(declaration, pixels, valid, block=(4, 5)), (result, where))
    np.testing.assert_array_equal(where, valid)
    reference, changed = Reference(declaration, pixels[0], valid[0]), 0
    for row, col in np.argwhere(valid[0]):
        wanted, pixel = reference.at(row, col), float(pixels[0, row, col])
        wanted = pixel if wanted is None else wanted
        largest = max(abs(value) for *_, value in reference.window(row, col, 3))
        assert result[0, row, col] == pytest.approx(wanted, rel=tolerance, abs=tolerance * largest)
        changed += wanted != pixel
    return changed


@pytest.mark.parametrize("declaration", CASES)
@pytest.mark.parametrize("holes", [0.0, 0.25])
def test_values_are_the_formulas(declaration: Speckle, holes: float) -> None:
    pixels = scene(16, 21)
    if declaration.data == "amplitude":
        pixels = np.sqrt(pixels) * 30
    valid = np.random.default_rng(2).random(pixels.shape) >= holes
    pixels[~valid] = np.nan
    if holes:
        valid[0, 8:, 10:14] = False
    # the range of the sigma filter is found by interpolation
    tolerance = 3e-6 if declaration.method == "Lee sigma" else 1e-10
    assert check(declaration, pixels, valid, tolerance) > 100


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("method", METHODS)
def test_values_of_every_dtype(method: str, dtype: str) -> None:
    scale = 0.03 if np.dtype(dtype).itemsize == 1 else 1.0
    pixels = np.clip(scene(9, 12, seed=4) * scale, 0, 120 if scale < 1 else None).astype(dtype)
    if np.dtype(dtype).kind in "iu":
        pixels[0, -3:, :3] = 0  # no mean
    valid = np.ones(pixels.shape, bool)
    valid[0, 4, 5:7] = False
    declaration = Speckle(looks=(LOOKS,), method=method, radius=2, bright=(600.0 * scale,))
    (output,) = declaration.output_profiles([profile_of(pixels)])
    assert output.dtype == ("float64" if np.dtype(dtype).itemsize == 8 else "float32")
    if method != "refined Lee" or np.dtype(dtype).kind == "f":  # integers have equal gradients
        tolerance = 1e-10 if output.dtype == "float64" else 2e-7
        check(declaration, pixels, valid, 3e-6 if method == "Lee sigma" else tolerance)


@pytest.mark.parametrize("method", ["Lee", "Kuan"])
def test_values_are_those_of_otb(method: str) -> None:
    """The formulas of otb::LeeImageFilter and otb::KuanImageFilter, on SciPy's moments."""
    pixels = scene(40, 50, seed=3).astype(np.float32)
    around: dict[str, Any] = {"size": 7, "output": np.float64}
    mean = ndimage.generic_filter(pixels[0], np.mean, **around)
    squared = ndimage.generic_filter(pixels[0], np.var, extra_keywords={"ddof": 1}, **around)
    noise = 1 / LOOKS
    weight = 1 - noise / (squared / mean**2)
    if method == "Kuan":
        weight /= 1 + noise
    wanted = np.where(squared / mean**2 < noise, mean, pixels[0] * weight + mean * (1 - weight))
    result, _ = run(Speckle(looks=(LOOKS,), method=method), pixels)
    inside = (slice(3, -3), slice(3, -3))
    np.testing.assert_allclose(result[0][inside], wanted[inside], rtol=6e-8)


def test_every_branch_is_met() -> None:
    """The scene has pixels below Cu, between Cu and Cmax, and above, and kept points."""
    for method, bright in (("enhanced Lee", ()), ("Gamma-MAP", ()), ("Lee sigma", (800.0,))):
        declaration = Speckle(looks=(LOOKS,), method=method, radius=2, bright=bright)
        pixels = scene(16, 21)
        (result,), _ = run(declaration, pixels)
        means, _ = run(Speckle(looks=(1e-6,), method="Lee", radius=2), pixels)
        kept, smooth = result == pixels[0], np.isclose(result, means[0], rtol=1e-12)
        assert 2 <= kept.sum() <= 250
        assert method == "Lee sigma" or 2 <= smooth.sum() <= 250
        assert (~kept & ~smooth).sum() > 20


@pytest.mark.parametrize(("bright", "holes"), [(500.0, 0.0), (500.0, 0.3), (-1.0, 0.5)])
def test_point_targets_are_kept(bright: float, holes: float) -> None:
    """Half of the pixels are bright, or all valid ones."""
    random = np.random.default_rng(9)
    pixels = np.where(random.random((1, 14, 15)) < 0.5, 1000.0, 50.0) * random.uniform(
        0.9, 1.1, (1, 14, 15)
    )
    valid = random.random(pixels.shape) >= holes
    declaration = Speckle(looks=(4.0,), method="Lee sigma", radius=1, bright=(bright,))
    reference = Reference(declaration, pixels[0], valid[0])
    kept = sum(reference.point(row, col) for row, col in np.argwhere(valid[0]))
    assert 20 < kept < valid.sum()
    assert 0 < check(declaration, pixels, valid, 3e-6) <= valid.sum() - kept


@pytest.mark.parametrize("axis", range(4))
def test_refined_lee_keeps_straight_edges(axis: int) -> None:
    rows, cols = np.mgrid[:15, :15]
    along = (cols - 7, rows - 7, rows + cols - 14, rows - cols)[axis]
    for step in (along > 0, along >= 0):
        pixels = np.where(step, 50.0, 10.0)[None]
        result, _ = run(Speckle(looks=(1.0,), method="refined Lee"), pixels)
        near = np.abs(along) <= 3
        near[[0, 1, 2, -3, -2, -1]] = near[:, [0, 1, 2, -3, -2, -1]] = False
        np.testing.assert_allclose(result[0, near], pixels[0, near], rtol=1e-12)
        smeared, _ = run(Speckle(looks=(1.0,), method="Kuan"), pixels)
        assert np.abs(smeared - pixels)[0, near].max() > 5


# ---------------------------------------------------------------- the range of the sigma filter


@pytest.mark.parametrize("looks", [0.5, 1.0, 2.7, 4.0, 30.0])
@pytest.mark.parametrize("sigma", [0.5, 0.8, 0.95])
@pytest.mark.parametrize("amplitude", [False, True])
def test_range_is_that_of_the_gamma_distribution(
    looks: float, sigma: float, amplitude: bool
) -> None:
    found = sigma_range(looks, sigma, amplitude=amplitude)
    assert found == pytest.approx(gamma_range(looks, sigma, amplitude), rel=1e-4)


def test_range_of_one_look() -> None:
    """Of exponential speckle: exp(-a) - exp(-b) = sigma and a exp(-a) = b exp(-b)."""
    low, high, _ = sigma_range(1.0, 0.9, amplitude=False)
    assert math.exp(-low) - math.exp(-high) == pytest.approx(0.9, abs=1e-6)
    assert low * math.exp(-low) == pytest.approx(high * math.exp(-high), rel=1e-4)
    assert low == pytest.approx(0.084, abs=5e-4)
    assert high == pytest.approx(3.94, abs=0.01)


# ---------------------------------------------------------------- speckle


@pytest.mark.parametrize("looks", [1, 4])
@pytest.mark.parametrize("method", METHODS)
def test_homogeneous_ground_keeps_its_mean_and_loses_speckle(method: str, looks: int) -> None:
    pixels = np.random.default_rng(6).gamma(looks, 50 / looks, (1, 200, 200)).astype(np.float32)
    bright = (float(np.percentile(pixels, 98)),)
    result, _ = run(Speckle(looks=(float(looks),), method=method, bright=bright), pixels)
    # refined Lee and Lee sigma select pixels; Gamma-MAP is the mode, which lies below the mean
    limit = {"refined Lee": 0.02, "Lee sigma": 0.02, "Gamma-MAP": 0.045}.get(method, 0.002)
    limit /= looks**0.5
    assert result.mean() == pytest.approx(pixels.mean(), rel=limit)
    before, after = (image.mean() ** 2 / image.var() for image in (pixels, result))
    assert after > 3 * before


# ---------------------------------------------------------------- nodata, numbers without meaning


@pytest.mark.parametrize("method", METHODS)
def test_invalid_pixels_take_no_part(method: str) -> None:
    pixels = scene(20, 24)
    valid = np.random.default_rng(7).random(pixels.shape) > 0.2
    declaration = Speckle(looks=(LOOKS,), method=method, radius=2, bright=(500.0,))
    first = run(declaration, np.where(valid, pixels, 0), valid)
    for value in (np.nan, np.inf, -np.inf, 1e300):
        other = run(declaration, np.where(valid, pixels, value), valid)
        assert [part.tobytes() for part in other] == [part.tobytes() for part in first]
    np.testing.assert_array_equal(first[1], valid)


@pytest.mark.parametrize("data", ["intensity", "amplitude"])
@pytest.mark.parametrize("method", METHODS)
def test_what_has_no_meaning_stays(method: str, data: str) -> None:
    declaration = Speckle(looks=(LOOKS,), method=method, radius=2, data=data, bright=(np.nan,))
    decibels = -12 + np.random.default_rng(8).normal(size=(1, 9, 11))
    for pixels in (decibels, np.zeros((1, 5, 6))):
        result, where = run(declaration, pixels)
        assert where.all()
        np.testing.assert_array_equal(result, pixels)
    pixels = scene(15, 15)
    pixels[0, 7, 7], pixels[0, 7, 8] = np.inf, -np.inf
    result, where = run(declaration, pixels)
    assert where.all()
    np.testing.assert_array_equal(result[0, 7, 7:9], pixels[0, 7, 7:9])
    assert np.isfinite(np.delete(result.ravel(), [7 * 15 + 7, 7 * 15 + 8])).all()
    assert (result[0, :3] != pixels[0, :3]).any()


def test_constant_image_is_constant() -> None:
    for method in METHODS:
        result, _ = run(
            Speckle(looks=(4.0,), method=method, bright=(9.0,)), np.full((1, 9, 9), 0.3)
        )
        np.testing.assert_allclose(result, 0.3, rtol=1e-14)


# ---------------------------------------------------------------- the procedure


def values_of(made: procedures.Made) -> np.ndarray:
    return made.image().pixels


def test_looks_are_those_of_the_image_where_none_are_given() -> None:
    pixels = np.stack([scene(60, 70, seed, looks)[0] for seed, looks in ((1, 1), (2, 4))])
    image = procedures.image(pixels.astype(np.float32))
    looks = [row["looks"] for row in procedures.run(NumberOfLooks(), image).rows()]
    assert looks[0] < 0.6 * looks[1]
    made = procedures.run(SpeckleFilter("Lee", 2), image)
    assert [row["looks"] for row in made.rows()] == looks
    assert made.rows()[0]["cu"] == pytest.approx(looks[0] ** -0.5)
    assert made.summary.numbers == {"LOOKS": looks[0]}
    for band in range(2):
        alone = procedures.image(image.pixels[band : band + 1])
        given = procedures.run(SpeckleFilter("Lee", 2, looks=looks[band]), alone)
        np.testing.assert_array_equal(values_of(given)[0], values_of(made)[band])


def test_a_band_without_looks_takes_those_of_another() -> None:
    pixels = scene(40, 40)
    image = procedures.image(np.concatenate([np.zeros_like(pixels), pixels, -pixels]))
    rows = procedures.run(SpeckleFilter("Lee"), image).rows()
    assert rows[0]["looks"] == rows[1]["looks"] == rows[2]["looks"]
    decibels = procedures.image(-5 - scene(40, 40) / 1000)
    with pytest.raises(InputError, match="decibels"):
        procedures.run(SpeckleFilter("Lee"), decibels)


@pytest.mark.parametrize("holes", [False, True])
@pytest.mark.parametrize("method", METHODS)
def test_decibels_are_filtered_as_intensities(method: str, holes: bool) -> None:
    pixels = scene(70, 80) / 1000
    valid = np.random.default_rng(4).random(pixels.shape) > 0.1 if holes else None
    linear = procedures.run(
        SpeckleFilter(method, 2, looks=LOOKS), procedures.image(pixels, valid)
    ).image()
    decibels = procedures.image(10 * np.log10(pixels), valid)
    made = procedures.run(SpeckleFilter(method, 2, looks=LOOKS, data="decibel"), decibels).image()
    where = linear.valid
    np.testing.assert_array_equal(made.valid, where)
    wanted = 10 * np.log10(linear.pixels[where])
    # the 98th percentile lies between two pixels, in decibels elsewhere
    np.testing.assert_allclose(made.pixels[where], wanted, rtol=1e-9, atol=1e-9)
    assert (made.pixels != decibels.pixels)[where].mean() > 0.5


def test_looks_of_decibels_are_those_of_the_intensities() -> None:
    pixels = scene(60, 70)
    wanted = procedures.run(NumberOfLooks(), procedures.image(pixels)).rows()[0]
    decibels = procedures.image(10 * np.log10(pixels))
    found = procedures.run(NumberOfLooks(data="decibel"), decibels).rows()[0]
    assert found["looks"] == pytest.approx(wanted["looks"])
    assert found["cu"] == pytest.approx(wanted["cu"])
    made = procedures.run(SpeckleFilter("Lee", 2, data="decibel"), decibels)
    assert made.summary.numbers["LOOKS"] == pytest.approx(wanted["looks"])


def test_decibels_are_not_taken_for_linear_values() -> None:
    negative = procedures.image(10 * np.log10(scene(200, 90) / 1e5))
    with pytest.raises(InputError, match="negative on average.*to decibel"):
        procedures.run(SpeckleFilter("Lee", looks=4), negative)
    # by their unit, where most are positive
    profile = Profile(5, 5, "float32", (Band(unit="dB"),))
    for declared in (SpeckleFilter(looks=4), NumberOfLooks(), NumberOfLooks(data="amplitude")):
        with pytest.raises(InputError, match="in decibels, as the unit"):
            declared.check({"INPUT": [profile]})
        replace(declared, data="decibel").check({"INPUT": [profile]})
        for name, doubts in (("Sigma0_VV_db", 1), ("VV (dB)", 1), ("Sigma0_VV", 0), ("dbh", 0)):
            named = {"INPUT": [Profile(5, 5, "float32", (Band(name=name),))]}
            declared.check(named)
            assert len(declared.doubts(named)) == doubts
            assert not replace(declared, data="decibel").doubts(named)


def test_an_image_without_a_sign_is_filtered() -> None:
    empty = procedures.image(np.ones((1, 70, 90)), np.zeros((1, 70, 90), bool))
    assert not procedures.run(SpeckleFilter("Lee", looks=4), empty).image().valid.any()
    noisy = procedures.image(scene(70, 90) - 50)
    assert (values_of(procedures.run(SpeckleFilter("Lee", looks=4), noisy)) != noisy.pixels).any()


def test_bright_pixels_are_from_the_98th_percentile_on() -> None:
    pixels = scene(50, 60)
    image = procedures.image(pixels)
    made = procedures.run(SpeckleFilter("Lee sigma", 2, looks=LOOKS), image)
    bright = (float(np.percentile(pixels, 98)),)
    wanted, _ = run(Speckle(looks=(LOOKS,), method="Lee sigma", radius=2, bright=bright), pixels)
    np.testing.assert_array_equal(values_of(made), wanted)
    assert (wanted[0, 2:5, 3:6] == pixels[0, 2:5, 3:6]).sum() >= 7


def test_values_are_physical() -> None:
    band = Band(scale=0.5, offset=-20.0, name="VV", nodata=0)
    stored = np.round(scene(30, 30) * 2 + 40).astype(np.uint16)
    image = procedures.image(stored, np.ones(stored.shape, bool), [band])
    made = procedures.run(SpeckleFilter("Frost", 2, looks=4), image)
    plain = procedures.image((stored * 0.5 - 20).astype(np.float32))
    wanted = procedures.run(SpeckleFilter("Frost", 2, looks=4), plain)
    np.testing.assert_array_equal(values_of(made), values_of(wanted))
    (found,) = made.image().profile.bands
    assert (found.scale, found.offset, found.name) == (1, 0, "VV")
    assert made.image().profile.dtype == "float32"


def test_an_extent_has_the_real_pixels_around_it() -> None:
    image = procedures.image(scene(40, 50))
    for method in ("Frost", "refined Lee"):
        whole = values_of(procedures.run(SpeckleFilter(method, looks=4), image))
        part = procedures.run(SpeckleFilter(method, looks=4), image, extent=Window(7, 9, 20, 30))
        np.testing.assert_array_equal(values_of(part), whole[:, 7:27, 9:39])


@pytest.mark.parametrize(
    "parameters",
    [
        {"method": "lee"},
        {"method": "Lee", "radius": 0},
        {"looks": 0},
        {"looks": math.inf},
        {"looks": -1},
        {"data": "phase"},
        {"method": "Frost", "damping": -1},
        {"method": "Lee sigma", "speckle_share": 0.99},
    ],
)
def test_bad_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        SpeckleFilter(**parameters)


def test_complex_images_are_refused() -> None:
    declaration: Declaration = SpeckleFilter(looks=4)
    with pytest.raises(InputError, match="amplitude"):
        declaration.check({"INPUT": [Profile(3, 3, "complex64")]})
