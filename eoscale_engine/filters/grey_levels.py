"""Pixels cut into a small number of grey levels, as texture and entropy count them."""

from __future__ import annotations

import numpy as np

from eoscale_engine.filters.physical_values import physical_values
from eoscale_engine.profile import Band


def grey_levels(
    pixels: np.ndarray, band: Band, bounds: tuple[float, float], levels: int
) -> np.ndarray:
    """The level of each pixel, uint8: ``floor((value - lower) * levels / (upper - lower))``.

    Of physical values in float64, held within ``0 .. levels - 1``; 0 for an image of one value, any
    level for NaN.
    """
    lower, upper = bounds
    with np.errstate(all="ignore"):
        values = physical_values(pixels, band, np.dtype(np.float64)) - lower
        values *= levels
        values /= np.float64(upper) - lower
        np.fmax(values, 0, out=values)  # 0 / 0 too
        np.fmin(values, levels - 1, out=values)
        return values.astype(np.uint8)
