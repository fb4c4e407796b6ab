"""Pixels as the physical values that they stand for: ``pixel * scale + offset``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eoscale_engine.profile import Band


def physical_dtype(dtype: np.dtype, bands: Sequence[Band]) -> np.dtype:
    """The type of physical values: the pixels' own unless a band has a scale or offset.

    Else float32 for integers of up to 16 bits and float32, so that 3000 * 0.0001 equals 0.3; and
    float64 for all others.
    """
    if all((band.scale, band.offset) == (1, 0) for band in bands):
        return dtype
    return np.dtype(np.float32 if dtype.itemsize <= 2 or dtype == np.float32 else np.float64)


def physical_values(pixels: np.ndarray, band: Band, dtype: np.dtype) -> np.ndarray:
    """A band's physical values, computed in float64 and rounded to ``dtype``.

    The pixels themselves, not a copy, where they have that type and no scale.
    """
    if (band.scale, band.offset) == (1, 0):
        return pixels.astype(dtype, copy=False)
    values = pixels.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        values *= band.scale
        values += band.offset
        return values.astype(dtype, copy=False)
