"""K-means against Lloyd's iterations by plain loops, from the same first centres."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import pytest

from eoscale_engine.errors import InputError
from eoscale_engine.filters.multivariate.nearest_class import NearestClass, nearest
from eoscale_engine.procedures import kmeans
from eoscale_engine.procedures.kmeans import KMeans, first_centres, moved, seeds
from eoscale_engine.profile import Band
from eoscale_engine.reductions.clusters import GridSample, sums_of
from eoscale_engine.styles import Classes
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import REAL_DTYPES
from tests.engine.procedure_runs import Image, image, run


def scene(dtype: str = "float32", holes: float = 0.0, bands: Any = ()) -> Image:
    """Four groups of pixels in two bands, of different spreads."""
    random = np.random.default_rng(5)
    group = random.integers(0, 4, (27, 38))
    places = np.array([[20, 90, 60, 110], [30, 20, 90, 100]], float)
    pixels = (places[:, group] + random.normal(0, [[[6]], [[9]]], (2, 27, 38))).clip(1, 126)
    valid = random.random(pixels.shape) >= holes if holes else None
    return image(pixels.astype(dtype), valid, bands)


def plain_nearest(pixel: list[float], centres: list[list[float]]) -> int:
    """The first of the nearest centres."""
    distances = [sum((x - c) ** 2 for x, c in zip(pixel, centre)) for centre in centres]
    return distances.index(min(distances))


def plain_lloyd(pixels: list[list[float]], centres: list[list[float]], most: int) -> Any:
    """Classes by these centres, and the centres, after at most so many iterations."""
    for iteration in range(1, most + 1):
        centres = sorted(centres, key=sum)
        classes = [plain_nearest(pixel, centres) for pixel in pixels]
        means = []
        for number, centre in enumerate(centres):
            own = [pixel for pixel, found in zip(pixels, classes) if found == number]
            means.append([sum(band) / len(own) for band in zip(*own)] if own else centre)
        if iteration == most or np.allclose(means, centres, rtol=0, atol=1e-9):
            return classes, means
        centres = means
    raise AssertionError


def check(
    picture: Image, made: Any, values: np.ndarray, classes: int, most: int, seed: int
) -> None:
    """The image and the table against the plain loops."""
    common = picture.valid.all(axis=0)
    sample = values[:, common]
    start = first_centres(sample, classes, seed)
    wanted, means = plain_lloyd(sample.T.tolist(), start.tolist(), most)
    result = made.image()
    assert (result.profile.dtype, result.profile.nodata, result.profile.count) == ("uint8", 0, 1)
    assert result.pixels[0][common].tolist() == [number + 1 for number in wanted]
    assert (result.pixels[0][~common] == 0).all()
    for row, number in zip(made.rows(), range(classes)):
        assert row["class"] == number + 1
        assert row["pixels"] == wanted.count(number)
        assert row["share"] == pytest.approx(100 * wanted.count(number) / len(wanted))
    return means


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("holes", [0.0, 0.2])
def test_every_dtype(dtype: str, holes: float) -> None:
    picture = scene(dtype, holes)
    made = run(KMeans(4, tolerance=0), picture)
    means: Any = check(picture, made, picture.pixels.astype(float), 4, 50, 0)
    found = [[row["mean1"], row["mean2"]] for row in made.rows()]
    np.testing.assert_allclose(found, means, rtol=1e-9)


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("seed", [0, 3])
def test_iterations_and_seeds(
    classes: int, most: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kmeans, "SAMPLE_ITERATIONS", 0)
    picture = scene("float64", 0.1)
    made = run(KMeans(classes, iterations=most, seed=seed, tolerance=0), picture)
    assert made.summary.numbers["ITERATIONS"] == most
    check(picture, made, picture.pixels.astype(float), classes, most, seed)


def test_inertia_and_explained_variance() -> None:
    picture = scene("float64")
    made = run(KMeans(4, tolerance=0), picture)
    values, found = picture.pixels.reshape(2, -1), made.image().pixels.ravel()
    within = sum(
        ((values[:, found == n] - values[:, found == n].mean(axis=1)[:, None]) ** 2).sum()
        for n in range(1, 5)
    )
    assert made.summary.numbers["INERTIA"] == pytest.approx(within, rel=1e-9)
    whole = values.var(axis=1).sum() * values.shape[1]
    assert made.summary.numbers["EXPLAINED"] == pytest.approx(100 * (1 - within / whole))
    own = values[:, found == 1]
    distance = np.sqrt(((own - own.mean(axis=1)[:, None]) ** 2).sum(axis=0).mean())
    assert made.rows()[0]["distance"] == pytest.approx(distance)
    assert made.rows(1)[-1]["move"] == 0
    assert made.summary.numbers["ITERATIONS"] == len(made.rows(1)) < 50
    assert "Converged" in made.summary.notes[0]


def test_the_tolerance_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans, "SAMPLE_ITERATIONS", 0)
    picture = scene("float64")
    every = [row["move"] for row in run(KMeans(4, tolerance=0), picture).rows(1)]
    some = [row["move"] for row in run(KMeans(4, tolerance=2), picture).rows(1)]
    assert 1 < len(some) < len(every)
    assert some == every[: len(some)]
    assert some[-1] <= 2 < some[-2]


@pytest.mark.parametrize("standardise", [False, True])
def test_physical_and_standardised_values(standardise: bool) -> None:
    bands = (Band(scale=-0.5, offset=100.0), Band(scale=20.0, offset=-3.0))
    picture = scene("uint8", bands=bands)
    values = picture.pixels * np.array([-0.5, 20.0])[:, None, None]
    offsets = np.array([100.0, -3.0])
    divisors = values.std(axis=(1, 2)) if standardise else np.ones(2)
    made = run(KMeans(4, standardise=standardise, tolerance=0), picture)
    features = values / divisors[:, None, None]
    start = first_centres(features.reshape(2, -1), 4, 0)
    wanted, means = plain_lloyd(features.reshape(2, -1).T.tolist(), start.tolist(), 50)
    # by the brightness of physical values, which is another order than that of the features
    order = np.argsort((np.array(means) * divisors + offsets).mean(axis=1))
    found = [[row["mean1"], row["mean2"]] for row in made.rows()]
    np.testing.assert_allclose(found, (np.array(means) * divisors + offsets)[order], rtol=1e-9)
    rank = np.argsort(order) + 1
    assert made.image().pixels.ravel().tolist() == rank[wanted].tolist()


def test_a_constant_band_plays_no_part() -> None:
    picture = scene("float64")
    three = image(np.concatenate((picture.pixels, np.full((1, 27, 38), 0.1))))
    one, two = run(KMeans(4, standardise=True), picture), run(KMeans(4, standardise=True), three)
    assert one.image().pixels.tobytes() == two.image().pixels.tobytes()


def test_ties_go_to_the_first_class() -> None:
    pixels = np.array([[[0, 1, 2, 3, 4, 5, 6]]], "uint8")
    for shift in (0, 1):
        centres = ((0.0,), (2.0,), (2.0,), (6.0,))
        (made,) = run(NearestClass(centres, (1.0,)), image(pixels + shift)).images
        wanted = [[1, 1, 2, 2, 2, 4, 4], [1, 2, 2, 2, 4, 4, 4]][shift]
        assert made.pixels.ravel().tolist() == wanted


def test_infinite_pixels_have_no_class() -> None:
    picture = scene()
    picture.pixels[0, 3, 3] = np.inf
    made = run(KMeans(4), picture)
    assert made.image().pixels[0, 3, 3] == 0
    assert sum(row["pixels"] for row in made.rows()) == 27 * 38 - 1
    assert np.count_nonzero(made.image().pixels) == 27 * 38 - 1


def test_more_than_255_classes() -> None:
    pixels = np.arange(600, dtype="float32").reshape(1, 20, 30)
    made = run(KMeans(300, iterations=1), image(pixels))
    assert made.image().profile.dtype == "uint16"
    assert set(made.image().pixels.ravel().tolist()) == set(range(1, 301))
    assert (np.diff(made.image().pixels.ravel().astype(int)) >= 0).all()


def test_empty_classes() -> None:
    """The first one takes the farthest pixel, a second one stays where it is."""
    values = np.array([[0.0, 1.0, 2.0, 50.0]])
    centres = np.array([[1.0], [900.0], [800.0]])
    assert moved(centres, sums_of(values, centres)).tolist() == [[13.25], [50.0], [800.0]]
    weights = np.array([1.0, 1.0, 1.0, 0.0])
    assert moved(centres, sums_of(values, centres, weights)).tolist() == [[1.0], [0.0], [800.0]]


def test_seeds_are_different_pixels_far_apart() -> None:
    sample = np.repeat(np.array([[0.0, 0.01, 100.0, 100.01, 200.0]]), 50, axis=1)
    for seed in range(20):
        found = np.sort(seeds(sample, 3, seed).ravel())
        assert [round(value / 100) for value in found.tolist()] == [0, 1, 2]
    assert seeds(sample, 5, 0).ravel().tolist() != seeds(sample, 5, 1).ravel().tolist()
    assert len(set(seeds(sample, 5, 0).ravel().tolist())) == 5


@pytest.mark.parametrize("seed", [-1, 2**63 + 1, -(2**70)])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    picture = scene("float64", 0.1)
    first, again, other = (
        run(KMeans(5, seed=chosen, iterations=1, tolerance=0), picture).rows()
        for chosen in (seed, seed, seed + 1)
    )
    assert first == again
    assert first != other


def test_seeds_are_as_likely_as_their_squared_distance() -> None:
    sample = np.array([[0.0, 1.0, 3.0]])
    found = [tuple(seeds(sample, 2, seed).ravel().tolist()) for seed in range(3000)]
    for first, second, likely in ((0, 1, 1 / 10), (1, 0, 1 / 5), (3, 1, 4 / 13), (0, 3, 9 / 10)):
        share = 3 * found.count((first, second)) / len(found)
        assert share == pytest.approx(likely, abs=0.06)


def sample_of(
    pixels: np.ndarray, valid: Optional[np.ndarray], step: int, extent: Any = None
) -> Any:
    return run(GridSample(step), image(pixels, valid), extent=extent)


@pytest.mark.parametrize("step", [1, 7, 40])
def test_grid_sample(step: int) -> None:
    random = np.random.default_rng(1)
    pixels = random.normal(size=(2, 530, 1050)).astype("float32")
    valid = random.random(pixels.shape) > 0.2
    rows, cols = np.arange(0, 530, step), np.arange(0, 1050, step)
    picked, kept = pixels[:, rows][:, :, cols], valid[:, rows][:, :, cols].all(axis=0)
    found = sample_of(pixels, valid, step)
    assert found.number == kept.sum()
    np.testing.assert_array_equal(found.pixels, picked[:, kept])


def test_a_denser_sample_where_the_grid_misses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kmeans, "SAMPLE", 16)
    picture = scene("float64")
    valid = np.zeros(picture.pixels.shape, bool)
    valid[:, 1::4, 1::4] = True
    made = run(KMeans(4), image(picture.pixels, valid))
    assert (made.image().pixels[0] > 0).sum() == valid[0].sum()
    assert len({row["pixels"] for row in made.rows()}) > 1


def test_an_extent_counts_alone() -> None:
    picture, extent = scene("float64"), Window(3, 4, 20, 30)
    crop = image(picture.pixels[(slice(None), *extent.slices)].copy())
    made, wanted = run(KMeans(4), picture, extent=extent), run(KMeans(4), crop)
    assert made.image().pixels.tobytes() == wanted.image().pixels.tobytes()


def test_nearest_distances() -> None:
    random = np.random.default_rng(2)
    values, centres = random.normal(size=(3, 400)), random.normal(size=(9, 3))
    found, distances = nearest(values, centres)
    squares = ((values.T[:, None] - centres) ** 2).sum(axis=2)
    assert found.tolist() == squares.argmin(axis=1).tolist()
    np.testing.assert_allclose(distances, squares.min(axis=1), rtol=1e-12)


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="3 different"):
        run(KMeans(4), image(np.arange(60, dtype="uint8").reshape(1, 6, 10) % 3))
    with pytest.raises(InputError, match="no pixel is valid"):
        run(KMeans(), scene(holes=1.0))
    for wrong in ({"classes": 1}, {"iterations": 0}, {"tolerance": -1.0}, {"seed": 0.5}):
        with pytest.raises(InputError):
            KMeans(**wrong)
    assert KMeans().styles() == (Classes(),)
