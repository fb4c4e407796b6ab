"""Pixels as the physical values that they stand for: ``pixel * scale + offset``.

Scale and offset are decimals as people write them: the pixel 2000 at scale 0.0001 is 0.2, though
``2000 * 0.0001`` is the next larger double. So they become whole numbers, and
``(pixel * factor + addend) / divisor``, rounded once in the division, is the double nearest the
decimal ``pixel * scale + offset`` of every integer of up to 16 bits, and of longer ones as far as
float64 holds the dividend.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from eoscale_engine.profile import Band

LARGEST_WHOLE = 2**53
"""Up to here a float64 holds every whole number; a float32 up to 2^24."""


class Terms(NamedTuple):
    """``value = (pixel * factor + addend) / divisor``; ``single`` where float32 is exact too."""

    factor: float
    addend: float
    divisor: float
    single: bool


@lru_cache(maxsize=256)
def terms(scale: float, offset: float) -> Terms:
    """Whole numbers for decimals of some digits; scale, offset and 1 for others, such as 1 / 3."""
    if math.isfinite(scale) and math.isfinite(offset):
        factor, addend, divisor = common_fractions(scale, offset)
        largest = max(abs(factor) * 2**16 + abs(addend), divisor)
        if largest <= LARGEST_WHOLE:
            return Terms(float(factor), float(addend), float(divisor), largest <= 2**24)
    return Terms(scale, offset, 1.0, single=False)


@lru_cache(maxsize=256)
def common_fractions(one: float, two: float) -> tuple[int, int, int]:
    """Two finite numbers, as the decimals that are written for them, over one denominator."""
    first, second = decimal(one), decimal(two)
    divisor = math.lcm(first.denominator, second.denominator)
    return int(first * divisor), int(second * divisor), divisor


def decimal(number: float) -> Fraction:
    """A finite number as the decimal that people write for it: its shortest text."""
    return Fraction(repr(float(number)))


def is_scaled(band: Band) -> bool:
    """Whether values are other than pixels."""
    return (band.scale, band.offset) != (1, 0)


def physical_dtype(dtype: np.dtype, bands: Sequence[Band]) -> np.dtype:
    """The type of physical values: the pixels' own unless a band has a scale or offset.

    Else float32 for integers of up to 16 bits and float32; and float64 for all others.
    """
    if not any(map(is_scaled, bands)):
        return dtype
    return np.dtype(np.float32 if dtype.itemsize <= 2 or dtype == np.float32 else np.float64)


def physical_values(pixels: np.ndarray, band: Band, dtype: np.dtype) -> np.ndarray:
    """A band's physical values, those in float64 rounded to ``dtype``.

    The pixels themselves, not a copy, where they have that type and no scale.
    """
    if not is_scaled(band):
        return pixels.astype(dtype, copy=False)
    # of whole numbers that float32 holds, it has the quotient that float64 rounds to
    single = dtype == np.float32 and pixels.itemsize <= 2 and terms(band.scale, band.offset).single
    with np.errstate(over="ignore", invalid="ignore"):
        values: np.ndarray = scaled(pixels.astype(np.float32 if single else np.float64), band)
        return values.astype(dtype, copy=False)


def scaled(value: Any, band: Band, pixels: Any = 1) -> Any:
    """The physical value of a number, or of an array of floats, which is changed in place.

    Of more ``pixels`` than one, their sum from the sum of the stored ones.
    """
    factor, addend, divisor, _ = terms(band.scale, band.offset)
    if factor != 1:
        value *= factor
    if addend or factor < 0:  # 0 of a negative scale is 0.0, not -0.0
        value += addend * pixels
    if divisor != 1:
        value /= divisor
    return value
