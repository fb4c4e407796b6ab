"""The number of looks against windows taken one by one, and simulated speckle of known looks."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError
from eoscale_engine.filters.sample.sample_scene import SampleSar
from eoscale_engine.procedures.looks import NumberOfLooks
from eoscale_engine.profile import Band, Profile
from eoscale_engine.reductions.looks import LocalLooks, looks_of
from eoscale_engine.tiling import Window
from tests.engine import procedure_runs as procedures


def speckle(looks: float, side: int, seed: int = 3) -> np.ndarray:
    random = np.random.default_rng(seed)
    return (70 * random.gamma(looks, 1 / looks, (1, side, side))).astype(np.float32)


def first_row(declaration: NumberOfLooks, image: procedures.Image, **where: Any) -> dict[str, Any]:
    return procedures.run(declaration, image, **where).rows()[0]


def variations(
    pixels: np.ndarray, valid: np.ndarray, side: int, amplitude: bool = False
) -> list[float]:
    """Squared coefficients of variation of the windows of one cell, by a direct loop."""
    found = []
    rows, cols = pixels.shape
    for top, left in itertools.product(
        range(0, rows - side + 1, side), range(0, cols - side + 1, side)
    ):
        place = np.s_[top : top + side, left : left + side]
        values = [float(value) for value in pixels[place][valid[place]]]
        if amplitude:
            values = [value * abs(value) for value in values]
        if 2 * len(values) < side**2:
            continue
        mean = math.fsum(values) / len(values)
        variance = math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)
        if mean > 0 and 0 < variance < math.inf:
            found.append(variance / mean**2)
    return found


@pytest.mark.parametrize("data", ["intensity", "amplitude"])
@pytest.mark.parametrize(("side", "holes"), [(3, 0.0), (5, 0.2), (7, 0.45)])
def test_windows_are_those_of_a_direct_loop(data: str, side: int, holes: float) -> None:
    pixels = speckle(3, 80)
    valid = np.random.default_rng(4).random(pixels.shape) >= holes
    valid[0, 20:40, 30:50] = False
    pixels[0, :12] *= -1
    pixels[0, 60:70, :] = 5  # no variance
    pixels[0, 75, 75] = np.inf
    image = procedures.image(pixels, valid)
    wanted = variations(pixels[0], valid[0], side, data == "amplitude")
    wanted = [value for value in wanted if value < 2**12]
    (found,) = procedures.run(LocalLooks(data=data, side=side), image)
    bins = np.bincount([math.floor((math.log2(v) + 20) * 16) for v in wanted], minlength=512)
    np.testing.assert_array_equal(found.windows, bins)
    assert found.logarithms.sum() == pytest.approx(sum(math.log2(v) for v in wanted), rel=1e-9)
    row = first_row(NumberOfLooks(data=data, side=side), image)
    assert row["windows"] == len(wanted)
    assert 0 < row["homogeneous"] < len(wanted)


def test_looks_solve_the_equation_of_the_help() -> None:
    (found,) = procedures.run(LocalLooks(), procedures.image(speckle(2, 200)))
    looks, windows, homogeneous = looks_of(found, 25)
    assert looks is not None
    places = np.flatnonzero(found.windows)
    spans = [(start, start + 17) for start in range(places[0], places[-1] - 16)]
    (low, high), *more = [
        span for span in spans if found.windows[slice(*span)].sum() == homogeneous
    ]
    means = [
        found.logarithms[slice(*span)].sum() / homogeneous * math.log(2)
        for span in [(low, high), *more]
    ]
    right = [math.exp(m) * math.sqrt(1 + 2 * (1 + 1 / looks) / 25) for m in means]
    assert any(1 / (looks + 1 / 25) == pytest.approx(value, rel=1e-9) for value in right)
    assert windows == 1600


@pytest.mark.parametrize(("side", "error"), [(250, 0.05), (700, 0.03)])
@pytest.mark.parametrize("looks", [1, 2.5, 4, 16])
def test_homogeneous_speckle(looks: float, side: int, error: float) -> None:
    pixels = speckle(looks, side)
    row = first_row(NumberOfLooks(), procedures.image(pixels))
    assert row["looks"] == pytest.approx(looks, rel=error)
    assert row["cu"] == pytest.approx(row["looks"] ** -0.5)
    roots = first_row(NumberOfLooks(data="amplitude"), procedures.image(np.sqrt(pixels)))
    assert roots["looks"] == pytest.approx(row["looks"], rel=0.005)
    assert roots["cu"] == pytest.approx(0.5227 / math.sqrt(roots["looks"]), rel=1e-4)


@pytest.mark.parametrize("looks", [1, 4])
def test_sample_scene(looks: int) -> None:
    """Fields, slopes, towns and an edge."""
    with EOContextManager(inline=True) as context:
        (key,) = context.filter(SampleSar(width=800, height=700, looks=looks), [])
        summary = context.run(NumberOfLooks(), [key]).summary
        assert summary
        found = summary.numbers["LOOKS"]
        whole = context.get_array(key)[0]
        assert found == pytest.approx(looks, rel=0.1)
    seen = whole[np.isfinite(whole)]
    assert seen.mean() ** 2 / seen.var() < 0.5 * looks  # which is why windows are needed


def test_edges_and_texture_do_not_count() -> None:
    pixels = speckle(4, 400)
    pixels[0, :, ::40] *= 9
    pixels[0, :120] *= np.random.default_rng(5).gamma(1, 1, (120, 400)).astype(np.float32)
    assert first_row(NumberOfLooks(), procedures.image(pixels))["looks"] == pytest.approx(4, 0.05)


def test_values_are_physical() -> None:
    pixels = np.round(speckle(4, 100) * 9).astype(np.uint16)
    valid = np.ones(pixels.shape, bool)
    scaled = procedures.image(pixels, valid, [Band(scale=0.1, offset=25)])
    plain = procedures.image((pixels * 0.1 + 25).astype(np.float64))
    one, two = (first_row(NumberOfLooks(), image) for image in (scaled, plain))
    assert one["looks"] == pytest.approx(two["looks"], rel=1e-12)
    stored = first_row(NumberOfLooks(), procedures.image(pixels))
    assert one["looks"] > 1.3 * stored["looks"]


@pytest.mark.parametrize(
    "pixels",
    [
        np.full((1, 30, 30), 7.0),
        np.zeros((1, 30, 30)),
        -speckle(4, 30),
        np.full((1, 30, 30), np.inf),
        speckle(4, 4),
    ],
    ids=["constant", "zero", "negative", "infinite", "small"],
)
def test_no_window_no_result(pixels: np.ndarray) -> None:
    found = procedures.run(NumberOfLooks(), procedures.image(pixels))
    assert found.summary.numbers == {"LOOKS": None, "WINDOWS": 0, "HOMOGENEOUS": 0}
    assert found.rows()[0]["cu"] is None
    assert any("decibels" in note.lower() for note in found.summary.notes)


def test_every_band_has_its_own_and_an_extent_its_pixels() -> None:
    pixels = np.concatenate([speckle(1, 300), speckle(9, 300)])
    pixels[:, :, 150:] = speckle(3, 300)[:, :, 150:]
    image = procedures.image(pixels)
    left, right = (
        procedures.run(NumberOfLooks(), image, extent=Window(0, col, 300, 150)).rows()
        for col in (0, 150)
    )
    assert [row["looks"] for row in left] == pytest.approx([1, 9], rel=0.1)
    assert [row["looks"] for row in right] == pytest.approx([3, 3], rel=0.1)
    chart = procedures.run(NumberOfLooks(), image).summary.charts[0]
    for (name, looks, windows), row in zip(chart.series, left):
        assert name == f"Band {row['band']}: {row['name']}"
        assert list(looks) == sorted(looks)
        assert sum(windows) > 1000


def test_a_single_bright_pixel_is_the_least_number_of_looks() -> None:
    pixels = np.zeros((1, 5, 5))
    pixels[0, 2, 2] = 1
    assert first_row(NumberOfLooks(), procedures.image(pixels))["looks"] == 0.1


@pytest.mark.parametrize("parameters", [{"side": 2}, {"data": "phase"}])
def test_bad_parameters_are_refused(parameters: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        NumberOfLooks(**parameters)


def test_complex_images_are_refused() -> None:
    profile = Profile(3, 3, "complex64")
    with pytest.raises(InputError, match="amplitude"):
        NumberOfLooks().check({"INPUT": [profile]})
