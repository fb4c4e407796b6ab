"""Temporal composites against direct loops over pixels and dates, and against NumPy."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Optional

import numpy as np
import pytest

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Block, Blocks
from eoscale_engine.errors import InputError
from eoscale_engine.filters.pixel.composite import STATISTICS, TemporalComposite
from eoscale_engine.profile import Band, Profile
from eoscale_engine.styles import HEAT, Classes, Ramp
from eoscale_engine.tiling import Window, split
from tests.engine.neighbourhoods import REAL_DTYPES, profile_of, random_image, same_bits

Bands = Sequence[tuple[Band, ...]]


def run(
    declaration: TemporalComposite,
    dates: Sequence[np.ndarray],
    valid: Optional[Sequence[np.ndarray]] = None,
    bands: Bands = (),
    block: Optional[tuple[int, int]] = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels of the output's dtype, 0 where they are invalid, and where they are valid."""
    bands = bands or [()] * len(dates)
    profiles = [profile_of(date, each) for date, each in zip(dates, bands)]
    declaration.check({"INPUTS": profiles})
    (output,) = declaration.output_profiles(profiles)
    result, found = np.zeros(output.shape, output.dtype), np.zeros(output.shape, bool)
    image = Window(0, 0, output.height, output.width)
    for core in split(image, *(block or (image.rows, image.cols))):
        place = (slice(None), *core.slices)
        blocks = []
        for number, (date, profile) in enumerate(zip(dates, profiles)):
            where = None if valid is None else valid[number][place]
            if where is not None and where.all():
                where = None
            pixels = date[place]
            pixels.flags.writeable = False
            blocks.append(Block(pixels, where, profile, core))
        values, where = declaration.apply(Blocks(core, {"INPUTS": blocks}))
        assert values.shape == (output.count, core.rows, core.cols)
        assert values.dtype == output.dtype
        where = np.broadcast_to(True if where is None else where, values.shape)
        result[place] = np.where(where, values, 0)
        found[place] = where
    return result, found


def expected(declaration: TemporalComposite, values: list[Any]) -> Any:
    """The statistic of one pixel's valid values, in exact arithmetic up to the square root."""
    place = Fraction(declaration.percentile) * (len(values) - 1) / 100
    low, high = sorted(values)[int(place)], sorted(values)[math.ceil(place)]
    return {
        "median": lambda: statistics.median(values),
        "mean": lambda: statistics.mean(values),
        "minimum": lambda: min(values),
        "maximum": lambda: max(values),
        "range": lambda: max(values) - min(values),
        "sum": lambda: sum(values),
        "standard deviation": lambda: float(statistics.pvariance(values)) ** 0.5,
        "percentile": lambda: low + (high - low) * (place - int(place)),
        "valid count": lambda: len(values),
        "first valid": lambda: values[0],
        "last valid": lambda: values[-1],
        "majority": lambda: min(statistics.multimode(values)),
    }[declaration.statistic]()


def dates_of(
    dtype: str, count: int, seed: int, holes: float = 0.25, shape: Any = (2, 3, 8)
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Dates with equal values among them, extreme ones, and pixels valid on all or on no date."""
    pairs = [random_image(dtype, shape, seed + number, holes) for number in range(count)]
    random = np.random.default_rng(seed)
    dates, valid = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    for date, mask in zip(dates, valid):
        few = random.random(shape) < 0.5
        date[few] = random.integers(0, 3, shape)[few].astype(dtype)
        mask[:, 0] = True
        mask[0, 1, :3] = False
        date[np.isnan(date) & mask] = 1
    return dates, valid


SIMPLE = [name for name in STATISTICS if name != "best pixel"]


@pytest.mark.parametrize("count", [1, 2, 5, 8])
@pytest.mark.parametrize("statistic", SIMPLE)
def test_values_of_every_dtype(statistic: str, count: int) -> None:
    for seed, dtype in enumerate(REAL_DTYPES):
        declaration = TemporalComposite(statistic, 30)
        dates, valid = dates_of(dtype, count, 10 * seed)
        result, where = run(declaration, dates, valid)
        for place in np.ndindex(result.shape):
            values = [
                Fraction(date[place].item()) for date, mask in zip(dates, valid) if mask[place]
            ]
            if not values:
                assert where[place] == (statistic == "valid count")
                assert not result[place]
                continue
            want = expected(declaration, values)
            tolerance: Any = 0
            if result.dtype.kind == "f" and statistic not in ("first valid", "last valid"):
                largest = float(max(map(abs, [*values, want])))
                tolerance = np.finfo(result.dtype).eps * largest
                tolerance *= count if statistic in ("sum", "mean") else 1
            assert where[place]
            assert abs(Fraction(result[place].item()) - Fraction(want)) <= tolerance
            if statistic in ("minimum", "maximum", "majority", "first valid", "last valid"):
                assert result.dtype.name == dtype
                assert result[place].item() == want


@pytest.mark.parametrize("dtype", ["uint16", "float32", "float64"])
@pytest.mark.parametrize("count", [5, 6, 12, 21])
def test_numpy_agrees(dtype: str, count: int) -> None:
    dates, valid = dates_of(dtype, count, 77, 0.1, (1, 40, 60))
    if dtype != "uint16":
        dates = [(date % 1000).astype(dtype) for date in dates]
    stack = np.where(valid, np.array(dates, float), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # no date is valid
        wanted = {
            ("median", 50): np.nanmedian(stack, axis=0),
            ("percentile", 17.5): np.nanpercentile(stack, 17.5, axis=0),
            ("percentile", 100): np.nanmax(stack, axis=0),
            ("mean", 50): np.nanmean(stack, axis=0),
            ("standard deviation", 50): np.nanstd(stack, axis=0),
        }
    for (statistic, percent), want in wanted.items():
        result, where = run(TemporalComposite(statistic, percent), dates, valid)
        np.testing.assert_array_equal(where, ~np.isnan(want))
        np.testing.assert_allclose(result[where], want[where], rtol=1e-6, atol=1e-3)
    dates = [np.nan_to_num(date) for date in dates]
    whole, _ = run(TemporalComposite(), dates)
    np.testing.assert_allclose(whole, np.median(np.array(dates), axis=0), rtol=2e-7)


def test_the_median_of_integers_is_exact() -> None:
    dates = [np.full((1, 1, 1), value, "uint16") for value in (65535, 65534, 0, 65535)]
    assert run(TemporalComposite(), dates)[0].item() == 65534.5
    dates = [np.full((1, 1, 1), value, "int32") for value in (2**31 - 1, 2**31 - 2)]
    assert run(TemporalComposite(), dates)[0].item() == 2**31 - 1.5


@pytest.mark.parametrize("statistic", STATISTICS)
@pytest.mark.parametrize("count", [1, 3, 10])
def test_same_bits_for_any_blocks(statistic: str, count: int) -> None:
    random = np.random.default_rng(count)
    for dtype in ("float32", "int16"):
        dates, valid = dates_of(dtype, count, 5, 0.05, (1, 5, 37))
        if dtype == "float32":
            for date in dates:
                date[random.random(date.shape) < 0.2] = -0.0
        declaration = TemporalComposite(statistic, 40)
        whole = run(declaration, dates, valid)
        for block in ((1, 1), (3, 5), (2, 37)):
            assert same_bits(run(declaration, dates, valid, block=block), whole)


def test_infinite_pixels_are_values() -> None:
    def of(statistic: str, *values: float, percent: float = 50) -> Any:
        dates = [np.full((1, 1, 1), value, "float32") for value in values]
        pixels, where = run(TemporalComposite(statistic, percent), dates)
        known = [np.ones((1, 1, 1), bool)] * len(dates) + [np.zeros((1, 1, 1), bool)]
        again = run(TemporalComposite(statistic, percent), [*dates, dates[0]], known)
        assert again[0].tobytes() == pixels.tobytes()
        return pixels.item() if where.all() else None

    inf = math.inf
    assert of("median", -inf, 3, inf) == 3
    assert of("median", inf, 3, inf) == inf
    assert of("median", inf, inf) == inf
    assert of("percentile", 1, 2, inf, percent=50) == 2
    assert of("percentile", 1, 2, inf, percent=75) == inf
    assert of("percentile", 1, 2, inf, percent=0) == 1
    assert of("maximum", 1, -inf) == 1
    assert of("minimum", inf, inf) == inf
    assert of("majority", 1, inf, inf) == inf
    assert math.isnan(of("mean", inf, -inf))


@pytest.mark.parametrize("statistic", ["minimum", "maximum", "median", "percentile", "majority"])
def test_zeros_have_one_sign(statistic: str) -> None:
    for dtype in ("float32", "float64"):
        for count in (1, 2, 3, 4):
            zeros = np.random.default_rng(1).random((count, 1, 3, 70)) - 0.5
            for signs in (zeros, np.full_like(zeros, -1)):
                dates = list(np.copysign(0, signs).astype(dtype))
                valid = list(np.random.default_rng(2).random(zeros.shape) < 0.8)
                for known in (None, valid):
                    result, _ = run(TemporalComposite(statistic, 35), dates, known)
                    assert not np.signbit(result).any()


@pytest.mark.parametrize("percent", [10, 30, 50, 70, 99.9])
def test_percentiles_lie_between_their_neighbours(percent: float) -> None:
    random = np.random.default_rng(4)
    date = random.normal(0, 1000, (1, 20, 50)).astype("float32")
    above = np.nextafter(date, np.float32(np.inf))
    known = [np.ones(date.shape, bool)] * 2 + [np.zeros(date.shape, bool)]
    for second in (date, above):
        for dates, valid in (([date, second], None), ([date, second, date], known)):
            result, _ = run(TemporalComposite("percentile", percent), dates, valid)
            assert ((result >= date) & (result <= second)).all()


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("statistic", ["minimum", "maximum", "first valid", "last valid"])
def test_image_numbers(statistic: str, dtype: str) -> None:
    for count in (1, 2, 5):
        dates, valid = dates_of(dtype, count, 3)
        kind = np.dtype(dtype)
        low, high = (
            (-np.inf, np.inf) if kind.kind == "f" else (np.iinfo(kind).min, np.iinfo(kind).max)
        )
        for date in dates:
            date[:, 1], date[:, 2] = low, high
        numbers, where = run(TemporalComposite(statistic, result="image number"), dates, valid)
        assert numbers.dtype == np.uint8
        for place in np.ndindex(numbers.shape):
            known = [number for number in range(count) if valid[number][place]]
            values = [dates[number][place].item() for number in known]
            assert where[place] == bool(known)
            if known:
                chosen = {
                    "minimum": values.index(min(values)),
                    "maximum": values.index(max(values)),
                    "first valid": 0,
                    "last valid": -1,
                }[statistic]
                assert numbers[place] == known[chosen] + 1


@pytest.mark.parametrize("count", [254, 255, 300])
def test_many_dates(count: int) -> None:
    dates = [np.full((1, 1, 2), number % 256, "uint8") for number in range(count)]
    last, _ = run(TemporalComposite("last valid", result="image number"), dates)
    assert last.tolist() == [[[count] * 2]]
    assert last.dtype == (np.uint8 if count < 255 else np.uint16)
    number, _ = run(TemporalComposite("valid count"), dates)
    assert (number.tolist(), number.dtype) == ([[[count] * 2]], last.dtype)
    total, _ = run(TemporalComposite("sum"), dates)
    assert total.tolist() == [[[sum(n % 256 for n in range(count))] * 2]]
    largest, _ = run(TemporalComposite("maximum", result="image number"), dates)
    assert largest.tolist() == [[[min(count, 256)] * 2]]


def best_by_loop(
    declaration: TemporalComposite,
    dates: Sequence[np.ndarray],
    valid: Sequence[np.ndarray],
    place: tuple[int, int],
    band: Band,
) -> int:
    """The number of the best date, 0 for none."""
    best, found, count = None, 0, 0
    for number, (date, mask) in enumerate(zip(dates, valid), 1):
        if not mask[(slice(None), *place)].all():
            continue
        physical = [
            date[(index, *place)].item() * band.scale + band.offset
            for index in (declaration.quality_band - 1, (declaration.second_quality_band or 1) - 1)
        ]
        quality = physical[0]
        if declaration.second_quality_band is not None:
            if sum(physical) == 0:
                continue
            quality = (physical[0] - physical[1]) / sum(physical)
        if not math.isfinite(quality):
            continue
        count += 1
        if best is None or quality > best:
            best, found = quality, number
    return found if count >= declaration.minimum_count else 0


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32", "float64"])
@pytest.mark.parametrize("other", [None, 1])
@pytest.mark.parametrize("minimum_count", [1, 3])
@pytest.mark.parametrize("band", [Band(), Band(scale=0.5, offset=-8)])
def test_best_pixel(dtype: str, other: Any, minimum_count: int, band: Band) -> None:
    random = np.random.default_rng(6)
    shape = (3, 9, 13)
    dates = [random.integers(0, 60, shape).astype(dtype) for _ in range(4)]
    valid = [random.random(shape) > 0.1 for _ in dates]
    for date, mask in zip(dates, valid):
        date[:, 0] = 16  # equal qualities, or none where the sum is 0
        date[:2, 1, :5] = 0
        mask[:, :2, :3] = True
        mask[:, 5] = False
    if dtype.startswith("float"):
        dates[1][1, 2] = np.inf
    bands = [(band,) * 3] * 4
    wanted = TemporalComposite(
        "best pixel", quality_band=2, second_quality_band=other, minimum_count=minimum_count
    )
    result, where = run(wanted, dates, valid, bands)
    numbers, known = run(replace(wanted, result="image number"), dates, valid, bands)
    assert numbers.shape == (1, 9, 13)
    assert result.dtype.name == dtype
    for place in np.ndindex(shape[1:]):
        number = best_by_loop(wanted, dates, valid, place, band)
        assert numbers[(0, *place)] == number
        assert known[(0, *place)] == bool(number)
        for index in range(3):
            pixel = (index, *place)
            assert where[pixel] == bool(number)
            if number:
                assert result[pixel] == dates[number - 1][pixel]


@pytest.mark.parametrize("statistic", SIMPLE)
def test_fewer_valid_dates_than_asked_for(statistic: str) -> None:
    dates, valid = dates_of("int16", 4, 9, 0.5)
    declaration = TemporalComposite(statistic, minimum_count=3)
    _, where = run(declaration, dates, valid)
    enough = np.sum(valid, axis=0) >= 3
    np.testing.assert_array_equal(where, enough | (statistic == "valid count"))


# ---------------------------------------------------------------- scales, types, bands

PHYSICAL = ("range", "sum", "standard deviation")


@pytest.mark.parametrize("statistic", SIMPLE)
@pytest.mark.parametrize(
    "scales", [((0.5, 3), (0.5, 3)), ((1, 0), (1, -100)), ((-2, 1), (-2, 1)), ((0.5, 0), (2, 0))]
)
def test_physical_values(statistic: str, scales: Any) -> None:
    """The result's physical values are the statistic of the dates' physical values."""
    dates, valid = dates_of("int16", 2, 4)
    dates = [date // 64 for date in dates]
    bands = [(Band(scale=scale, offset=offset),) * 2 for scale, offset in scales]
    declaration = TemporalComposite(statistic, 25)
    result, where = run(declaration, dates, valid, bands)
    profiles = [profile_of(date, each) for date, each in zip(dates, bands)]
    output = declaration.output_profiles(profiles)[0].bands[0]
    same = scales[0] == scales[1] and scales[0][0] > 0
    carried = same and statistic not in (*PHYSICAL, "valid count")
    assert (output.scale, output.offset) == (scales[0] if carried else (1, 0))
    for place in np.ndindex(result.shape):
        values = [
            Fraction(date[place].item()) * Fraction(scale) + Fraction(offset)
            for date, mask, (scale, offset) in zip(dates, valid, scales)
            if mask[place]
        ]
        if where[place] and values:
            value = result[place].item() * output.scale + output.offset
            assert value == pytest.approx(float(expected(declaration, values)), rel=1e-6, abs=1e-3)


@pytest.mark.parametrize(
    ("statistic", "dtypes", "result"),
    [
        ("median", ("uint8", "uint16"), "float32"), ("median", ("int32",) * 2, "float64"),
        ("mean", ("float32",), "float32"), ("mean", ("float64",), "float64"),
        ("standard deviation", ("uint64",), "float64"), ("minimum", ("uint8", "int16"), "int16"),
        ("maximum", ("uint16", "int16"), "int32"), ("majority", ("uint8",), "uint8"),
        ("sum", ("uint8",), "uint32"), ("sum", ("int16",) * 3, "int32"),
        ("sum", ("uint32",), "float64"), ("sum", ("float32",), "float32"),
        ("range", ("int8",), "uint16"), ("range", ("int16",), "uint32"),
        ("range", ("int32",), "float64"), ("range", ("float64",), "float64"),
        ("first valid", ("uint16", "float32"), "float32"), ("valid count", ("float64",), "uint8"),
    ],
)  # fmt: skip
def test_output_dtypes(statistic: str, dtypes: tuple[str, ...], result: str) -> None:
    profiles = [Profile(4, 3, dtype) for dtype in dtypes]
    assert TemporalComposite(statistic).output_profiles(profiles)[0].dtype == result


def test_output_bands() -> None:
    bands = (Band(nodata=0, name="red", scale=0.1, unit="1"), Band(nodata=0, name="nir", scale=0.1))
    profile = Profile(4, 3, "uint16", bands)

    def of(**parameters: Any) -> Profile:
        return TemporalComposite(**parameters).output_profiles([profile, profile])[0]

    new = tuple(replace(band, nodata=None) for band in bands)
    for statistic in ("maximum", "best pixel", "median"):
        assert of(statistic=statistic).bands == new
    assert TemporalComposite("maximum").taken_from([profile] * 2) == [
        [(0, 0), (1, 0)], [(0, 1), (1, 1)]
    ]  # fmt: skip
    assert TemporalComposite().taken_from([profile] * 2) is None
    assert [band.name for band in of(statistic="valid count").bands] == ["red", "nir"]
    number = Band(nodata=0, name="image number")
    assert of(statistic="best pixel", result="image number").bands == (number,)
    numbers = of(statistic="first valid", result="image number").bands
    assert numbers == (Band(nodata=0, name="red"), Band(nodata=0, name="nir"))


def test_styles() -> None:
    assert TemporalComposite("valid count").styles() == [Ramp(HEAT)]
    assert TemporalComposite("minimum", result="image number").styles() == [Classes()]
    assert not TemporalComposite().styles()


def in_engine(declaration: TemporalComposite, *dates: tuple[Any, Any, str]) -> Any:
    with EOContextManager(inline=True) as context:
        keys = []
        for pixels, nodata, dtype in dates:
            array = np.array(pixels, dtype).reshape(-1, 1, 3)
            keys.append(
                context.create_image(profile_of(array, (Band(nodata=nodata),) * len(array)))
            )
            context.get_array(keys[-1])[:] = array
        (made,) = context.filter(declaration, keys)
        return context.get_array(made).ravel().tolist(), context.profile(made).nodata


def test_nodata_of_each_date() -> None:
    first, second = ([1, 0, 0], 0, "uint8"), ([3, 7, 9], 9, "uint8")
    found, nodata = in_engine(TemporalComposite("mean"), first, second)
    assert found[:2] == [2, 7]
    assert math.isnan(found[2])
    assert math.isnan(nodata)
    # a valid pixel of either may be the other's nodata value: a mask says what is invalid
    assert in_engine(TemporalComposite("maximum"), first, second) == ([3, 7, 0], None)
    assert in_engine(TemporalComposite("maximum"), first, first) == ([1, 0, 0], 0)
    assert in_engine(TemporalComposite("valid count"), first, second)[0] == [2, 1, 0]
    numbers = TemporalComposite("last valid", result="image number")
    assert in_engine(numbers, first, second) == ([2, 2, 0], 0)


def test_no_quality_on_any_date_is_nodata() -> None:
    best = TemporalComposite("best pixel", quality_band=1, second_quality_band=2)
    date = ([0, 4, 255, 0, 4, 1], None, "uint8")
    assert in_engine(best, date) == ([0, 4, 255, 0, 4, 1], None)
    # as in an extent where each has one, which must be a crop of the whole result
    date = ([1, 4, 255, 0, 4, 1], None, "uint8")
    assert in_engine(best, date) == ([1, 4, 255, 0, 4, 1], None)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"statistic": "mean", "result": "image number"}, "no single image"),
        ({"statistic": "majority", "result": "image number"}, "no single image"),
        ({"statistic": "percentile", "percentile": 101}, "at most 100"),
        ({"minimum_count": 0}, "at least 1"),
        ({"statistic": "best pixel", "quality_band": 0}, "at least 1"),
        ({"statistic": "mode"}, "majority"),
    ],
)
def test_wrong_parameters(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        TemporalComposite(**wrong)


def test_images_that_do_not_go_together() -> None:
    one, two = Profile(4, 3, "uint8"), Profile(4, 3, "uint8", (Band(), Band()))
    with pytest.raises(InputError, match="image 2 has 2 band"):
        TemporalComposite().check({"INPUTS": [one, two]})
    with pytest.raises(InputError, match="valid dates. is 3, of 2 images"):
        TemporalComposite(minimum_count=3).check({"INPUTS": [two, two]})
    for bands in ({"quality_band": 3}, {"second_quality_band": 3}):
        with pytest.raises(InputError, match="no quality band 3"):
            TemporalComposite("best pixel", **bands).check({"INPUTS": [two, two]})
        TemporalComposite("mean", **bands).check({"INPUTS": [two, two]})
    with pytest.raises(InputError, match="complex64"):
        TemporalComposite().check({"INPUTS": [one.with_dtype("complex64")]})
