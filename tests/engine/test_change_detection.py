"""IR-MAD against its formulas over whole arrays, with SciPy's eigenvalues and chi-square."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import pytest
from scipy import linalg, stats

from eoscale_engine.errors import InputError
from eoscale_engine.filters.multivariate.chi_square import survival, survival_table
from eoscale_engine.procedures.change_detection import ChangeDetection
from eoscale_engine.profile import Band
from eoscale_engine.styles import Classes
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import REAL_DTYPES
from tests.engine.procedure_runs import Image, image, run


def scenes(dtype: str = "float32", *, bands: int = 3, holes: float = 0.0) -> tuple[Image, Image]:
    """Two dates under different light, with noise, and change in one corner."""
    random = np.random.default_rng(21)
    base = random.normal(size=(bands, 34, 45))
    before = 70 + 10 * base + 5 * base[::-1]
    after = 15 + 0.7 * before + random.normal(0, 1.5, base.shape)
    after[:, :9, :12] = 60 + 9 * random.normal(size=(bands, 9, 12))
    made = []
    for pixels in (before, after):
        valid = random.random(pixels.shape) >= holes if holes else None
        made.append(image(pixels.astype(dtype), valid))
    return made[0], made[1]


def reference(
    before: np.ndarray, after: np.ndarray, iterations: int, penalty: float = 0.0,
    tolerance: float = 0.001,
) -> Any:  # fmt: skip
    """Correlations of each iteration, variates and chi-square of ``(bands, n)`` values.

    By the generalised eigenvalue problems of Nielsen's paper, the weakest correlation first.
    """
    bands, weights = len(before), np.ones(before.shape[1])
    history: list[np.ndarray] = []
    while True:
        both = np.vstack((before, after))
        matrix = np.cov(both, aweights=weights, ddof=0)
        means = np.average(both, axis=1, weights=weights)
        first, second, cross = (
            matrix[:bands, :bands],
            matrix[bands:, bands:],
            matrix[:bands, bands:],
        )
        ridge_first = first + penalty * np.diag(np.diag(first))
        ridge_second = second + penalty * np.diag(np.diag(second))
        squares, a = linalg.eigh(cross @ np.linalg.inv(ridge_second) @ cross.T, ridge_first)
        rho = np.sqrt(np.clip(squares, 0, 1))
        b = np.linalg.inv(ridge_second) @ cross.T @ a / rho
        for column in range(bands):
            u = a[:, column] @ (before - means[:bands, None])
            correlations = [
                np.average(u * (x - m), weights=weights) / np.sqrt(v)
                for x, m, v in zip(before, means, np.diag(first))
            ]
            if sum(correlations) < 0:
                a[:, column], b[:, column] = -a[:, column], -b[:, column]
        variates = a.T @ (before - means[:bands, None]) - b.T @ (after - means[bands:, None])
        variances = np.average(
            (variates - np.average(variates, axis=1, weights=weights)[:, None]) ** 2,
            axis=1, weights=weights,
        )  # fmt: skip
        if not penalty:
            np.testing.assert_allclose(variances, 2 * (1 - rho), rtol=1e-6)
        chi = (variates**2 / variances[:, None]).sum(axis=0)
        last = history[-1] if history else np.zeros(bands)
        history.append(rho)
        if np.abs(rho - last).max() < tolerance or len(history) == iterations:
            return history, variates, chi
        weights = stats.chi2.sf(chi, bands)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("holes", [0.0, 0.05])
def test_every_dtype(dtype: str, holes: float) -> None:
    before, after = scenes(dtype, holes=holes)
    made = run(ChangeDetection(change=True, significance=0.01), before, after)
    common = before.valid.all(axis=0) & after.valid.all(axis=0)
    history, variates, chi = reference(
        before.pixels[:, common].astype(float), after.pixels[:, common].astype(float), 30
    )
    assert 2 < len(made.rows()) == len(history) < 30
    rows = [[row[f"rho{place}"] for place in (1, 2, 3)] for row in made.rows()]
    np.testing.assert_allclose(rows, history, atol=1e-8)
    mads, sums, change = (made.image(place) for place in range(3))
    np.testing.assert_allclose(mads.pixels[:, common], variates, atol=1e-4)
    np.testing.assert_allclose(sums.pixels[0][common], chi, rtol=1e-4)
    wanted = stats.chi2.sf(chi, 3)
    np.testing.assert_allclose(sums.pixels[1][common], wanted, rtol=1e-3, atol=1e-7)
    clear = np.abs(wanted - 0.01) > 1e-5
    assert (change.pixels[0][common][clear] == (wanted < 0.01)[clear]).all()
    for result in (mads, sums, change):
        assert (result.valid == common).all()
    assert (change.profile.dtype, change.profile.nodata) == ("uint8", 255)


@pytest.mark.parametrize("bands", [1, 2, 4])
@pytest.mark.parametrize("penalty", [0.0, 0.05])
def test_bands_and_penalty(bands: int, penalty: float) -> None:
    before, after = scenes("float64", bands=bands)
    made = run(ChangeDetection(iterations=4, penalty=penalty, tolerance=0), before, after)
    history, variates, chi = reference(
        before.pixels.reshape(bands, -1), after.pixels.reshape(bands, -1), 4, penalty, 0.0
    )
    assert len(made.rows()) == len(history) == 4
    rows = [[row[f"rho{place + 1}"] for place in range(bands)] for row in made.rows()]
    np.testing.assert_allclose(rows, history, atol=1e-9)
    np.testing.assert_allclose(made.image().pixels.reshape(bands, -1), variates, atol=1e-5)
    np.testing.assert_allclose(made.image(1).pixels[0].ravel(), chi, rtol=1e-5)


def test_change_is_found_under_another_light() -> None:
    before, after = scenes("float64")
    made = run(ChangeDetection(change=True, significance=1e-4), before, after)
    changed = made.image(2).pixels[0].astype(bool)
    assert changed[:9, :12].mean() > 0.95
    changed[:9, :12] = False
    assert changed.mean() < 0.25
    # a linear difference between the images changes nothing
    shifted = image(after.pixels * np.array([3.0, -0.5, 1e4])[:, None, None] + 100)
    again = run(ChangeDetection(), before, shifted)
    np.testing.assert_allclose(again.image(1).pixels, made.image(1).pixels, rtol=1e-4, atol=1e-6)


def test_scale_and_offset_make_no_difference() -> None:
    before, after = scenes("int16")
    scaled = image(before.pixels, bands=(Band(scale=-0.1, offset=4), Band(scale=7), Band()))
    one, two = run(ChangeDetection(), before, after), run(ChangeDetection(), scaled, after)
    assert one.image().pixels.tobytes() == two.image().pixels.tobytes()


def test_nothing_changed_at_all() -> None:
    before, _ = scenes("float32")
    made = run(ChangeDetection(change=True), before, before)
    assert made.summary.numbers["LOWEST_CORRELATION"] == pytest.approx(1)
    np.testing.assert_allclose(made.image(1).pixels[1], 1, atol=1e-6)
    assert not made.image(2).pixels.any()


def test_optional_outputs() -> None:
    pair = scenes()
    made = run(ChangeDetection(chi_square=False), *pair)
    assert made.images[1:] == [None, None]
    made = run(ChangeDetection(chi_square=False, change=True), *pair)
    assert made.images[1] is None
    assert made.image(2).profile.bands[0].name == "change"
    assert isinstance(ChangeDetection().styles()[2], Classes)


def test_infinite_pixels_take_no_part() -> None:
    before, after = scenes("float64")
    plain = run(ChangeDetection(iterations=2), *(image(p.pixels[:, 1:]) for p in (before, after)))
    before.pixels[1, 0], after.pixels[2, 0, ::2] = np.inf, -np.inf
    made = run(ChangeDetection(iterations=2), before, after)
    np.testing.assert_allclose(made.image().pixels[:, 1:], plain.image().pixels, atol=1e-6)
    assert np.isnan(made.image().pixels[:, 0]).all()


def test_an_extent_counts_alone() -> None:
    before, after = scenes("float64")
    extent = Window(5, 6, 20, 30)
    crops = [image(p.pixels[(slice(None), *extent.slices)].copy()) for p in (before, after)]
    made, wanted = (
        run(ChangeDetection(), before, after, extent=extent),
        run(ChangeDetection(), *crops),
    )
    np.testing.assert_allclose(made.image().pixels, wanted.image().pixels, atol=1e-6)


def test_report() -> None:
    made = run(ChangeDetection(), *scenes())
    numbers, last = made.summary.numbers, made.rows()[-1]
    assert numbers["ITERATIONS"] == last["iteration"] == len(made.summary.charts[0].series[0][1])
    assert numbers["LOWEST_CORRELATION"] == last["rho1"] < last["rho3"]
    assert numbers["LAST_CHANGE"] == last["change"] < 0.001
    assert made.rows()[0]["weight"] == 1
    assert "Converged" in made.summary.notes[0]
    assert "not converged" in run(ChangeDetection(iterations=2), *scenes()).summary.notes[0]


def refused(match: str, before: Image, after: Image, **how: Any) -> None:
    with pytest.raises(InputError, match=match):
        run(ChangeDetection(**how), before, after)


def test_what_is_refused() -> None:
    before, after = scenes()
    fewer = image(after.pixels[:2])
    refused("3 band.* and .Image after. 2", before, fewer)
    flat = image(np.where(np.arange(3)[:, None, None] == 1, 5, after.pixels).astype("float32"))
    refused("band 2 of .Image after. has the same value", before, flat)
    sums = after.pixels.astype("float64")
    sums[2] = sums[0] + 2 * sums[1]
    refused("of .Image after. depend on each other", before, image(sums))
    run(ChangeDetection(penalty=0.001), before, image(sums))
    valid: Optional[np.ndarray] = np.zeros(before.pixels.shape, bool)
    refused("0 pixel", image(before.pixels, valid), after)
    huge = image(after.pixels.astype("float64") * 1e200)
    refused("too large", before, huge)
    for wrong in ({"iterations": 0}, {"tolerance": -1}, {"significance": 2}, {"penalty": -0.1}):
        with pytest.raises(InputError):
            ChangeDetection(**wrong)


# ---------------------------------------------------------------- chi-square


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 6, 7, 10, 13, 40, 121])
def test_chi_square_tail(degrees: int) -> None:
    random = np.random.default_rng(degrees)
    statistic = np.concatenate((
        [0.0, 1e-12, 1e-3], random.random(500), random.chisquare(degrees, 2000),
        random.uniform(0, 1360, 2000), [1360.0],
    ))  # fmt: skip
    found = survival(statistic, survival_table(degrees))
    np.testing.assert_allclose(found, stats.chi2.sf(statistic, degrees), rtol=1e-10)


def test_chi_square_far_out() -> None:
    found = survival(np.array([1e4, np.inf, np.nan]), survival_table(3))
    assert (found[:2] == 0).all()
