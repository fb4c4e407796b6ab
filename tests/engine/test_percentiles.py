"""Exact percentiles against numpy.percentile of all valid pixels at once."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eoscale_engine.errors import InputError
from eoscale_engine.procedures.percentiles import Percentiles
from eoscale_engine.profile import Band
from eoscale_engine.reductions.keys import ordered_keys, value_of_key
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import REAL_DTYPES, random_image
from tests.engine.procedure_runs import image, run

SHARES = (0.0, 2.0, 12.34, 50.0, 99.9, 100.0)


def values_of(pixels: np.ndarray, valid: Optional[np.ndarray] = None, **options: Any) -> Any:
    """The percentiles of each band; None where there are none."""
    bands = options.pop("bands", ())
    made = run(
        Percentiles(options.pop("percentiles", SHARES), **options), image(pixels, valid, bands)
    )
    return [list(row)[3:] for row in made.summary.tables[0].rows]


def wanted(values: np.ndarray, shares: Any = SHARES) -> list[float]:
    """NumPy's own, in extended precision: float64 rounds 64-bit integers before they are sorted."""
    return [float(value) for value in np.percentile(values.astype(np.longdouble), shares)]


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("holes", [0.0, 0.3])
def test_every_dtype_over_its_whole_range(dtype: str, holes: float) -> None:
    pixels, valid = random_image(dtype, (2, 37, 53), seed=3, holes=holes)
    if np.dtype(dtype).kind in "iu":
        valid &= pixels != (0 if dtype.startswith("u") else -99)
    found = values_of(pixels, valid)
    for band in range(2):
        np.testing.assert_allclose(found[band], wanted(pixels[band][valid[band]]), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64", "float32", "float64"])
def test_values_that_share_their_highest_bits(dtype: str) -> None:
    """All of a pass's pixels in one bucket, and order statistics on either side of its ends."""
    random = np.random.default_rng(1)
    base = 65536 * 7 if np.dtype(dtype).kind in "iu" else 1.0
    step = 1 if np.dtype(dtype).kind in "iu" else 2.0**-20
    pixels = (base + step * random.integers(-40000, 40000, (1, 50, 60))).astype(dtype)
    shares = tuple(np.linspace(0, 100, 77).tolist())
    found = values_of(pixels, percentiles=shares)
    np.testing.assert_allclose(found[0], wanted(pixels[0], shares), rtol=1e-13)


def test_more_cells_than_one() -> None:
    pixels = np.random.default_rng(0).normal(0, 1, (1, 600, 1100)).astype("float32")
    np.testing.assert_allclose(values_of(pixels)[0], wanted(pixels), rtol=1e-12)


@settings(max_examples=60, deadline=None)
@given(
    dtype=st.sampled_from(REAL_DTYPES),
    size=st.integers(1, 60),
    few=st.integers(1, 5),
    share=st.floats(0, 100),
    seed=st.integers(0, 10**6),
)
def test_many_equal_pixels(dtype: str, size: int, few: int, share: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, few, (1, 1, size)).astype(dtype)
    np.testing.assert_allclose(
        values_of(pixels, percentiles=(share,))[0], wanted(pixels, (share,)), rtol=1e-12, atol=1e-12
    )


def test_infinities_and_zeros() -> None:
    pixels = np.array([[[-np.inf, -1.5, -0.0, 0.0, 3.0, np.inf, np.inf]]], "float32")
    found = values_of(pixels, percentiles=(0, 100 / 6, 100 / 3, 50, 200 / 3, 100))
    assert found[0] == [-np.inf, -1.5, 0.0, 0.0, 3.0, np.inf]
    assert not np.signbit(found[0][2])
    # halfway between a number and infinity
    assert values_of(pixels, percentiles=(75.0,))[0] == [np.inf]


def test_bands_without_pixels_have_no_values() -> None:
    pixels, valid = random_image("float32", (2, 9, 9), seed=1)
    valid[0] = False
    made = run(Percentiles(), image(pixels, valid))
    assert made.summary.tables[0].rows[0][3:] == (None, None, None)
    assert made.summary.numbers == {"LOWEST": None, "MEDIAN": None, "HIGHEST": None}
    assert None not in made.summary.tables[0].rows[1]


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_scale_and_offset(dtype: str) -> None:
    pixels = np.random.default_rng(4).integers(0, 100, (2, 20, 20)).astype(dtype)
    bands = (Band(scale=-0.5, offset=3.0), Band(scale=2.0))
    found = values_of(pixels, bands=bands)
    np.testing.assert_allclose(found[0], wanted(pixels[0] * -0.5 + 3), rtol=1e-12)
    np.testing.assert_allclose(found[1], wanted(pixels[1] * 2.0), rtol=1e-12)
    np.testing.assert_allclose(values_of(pixels, bands=bands, raw=True)[0], wanted(pixels[0]))


def test_table_and_numbers() -> None:
    pixels = np.arange(101, dtype="uint8").reshape(1, 1, 101)
    made = run(Percentiles("98, 2, 2"), image(pixels))
    assert made.rows() == [{"band": 1, "name": "b0", "unit": "", "p2": 2.0, "p98": 98.0}]
    assert made.summary.numbers == {"LOWEST": 2.0, "MEDIAN": 50.0, "HIGHEST": 98.0}
    assert made.summary.charts[0].series[0][1:] == ((2.0, 98.0), (2.0, 98.0))


def test_an_extent_counts_alone() -> None:
    pixels = np.arange(400, dtype="int32").reshape(1, 20, 20)
    made = run(Percentiles((0, 100)), image(pixels), extent=Window(3, 4, 5, 6))
    assert made.summary.tables[0].rows[0][3:] == (64.0, 149.0)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_keys_sort_as_values_do_and_lead_back(dtype: str) -> None:
    pixels, _ = random_image(dtype, (1, 1, 500), seed=9)
    values = np.sort(np.append(pixels.ravel(), pixels.dtype.type(0)))
    keys = ordered_keys(values)
    assert keys.dtype.kind == "u"
    distinct = np.diff(values) > 0 if keys.dtype.kind == "f" else values[1:] > values[:-1]
    assert (keys[1:] > keys[:-1])[distinct].all()
    assert [value_of_key(int(key), values.dtype) for key in keys] == values.tolist()


@pytest.mark.parametrize("wrong", ["", "2, 101", "-1", (50.0,) * 1002, "two"])
def test_wrong_percentiles(wrong: Any) -> None:
    with pytest.raises(InputError):
        Percentiles(wrong)
