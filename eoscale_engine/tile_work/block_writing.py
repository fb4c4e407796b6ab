"""From what a function returns to where it is written: cast, mark invalid, gather statistics."""

from __future__ import annotations

from typing import Optional

import numpy as np

from eoscale_engine.images.moments import Moments, invalid_of, moments_of
from eoscale_engine.images.source import Place

VALID = 255
"""In planes: GDAL's own value of a valid pixel."""


def cast(pixels: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Pixels in another type: integers rounded half to even and clipped to the type's range.

    Floats that a smaller float type cannot hold become infinite. Floats beyond a 64-bit integer's
    range become the largest integer that a float64 holds in it.
    """
    if pixels.dtype == dtype:
        return pixels
    if dtype.kind in "iu" and pixels.dtype.kind in "iuf":
        info = np.iinfo(dtype)
        low, high = info.min, info.max
        if pixels.dtype.kind == "f":
            # float32 holds every 16-bit integer, float64 every 32-bit one
            pixels = np.rint(pixels if dtype.itemsize <= 2 else pixels.astype(np.float64))
            highest = float(high)
            pixels = np.clip(
                pixels, float(low), highest if int(highest) == high else np.nextafter(highest, 0)
            )
        else:
            source = np.iinfo(pixels.dtype)
            pixels = np.clip(pixels, max(low, source.min), min(high, source.max))
    with np.errstate(over="ignore", invalid="ignore"):
        return pixels.astype(dtype)


def store(
    pixels: np.ndarray,
    valid: Optional[np.ndarray],
    place: Place,
    band: int,
    *,
    statistics: bool = True,
) -> Moments:
    """Write one band of one block; returns its moments.

    Only invalid pixels get another value than the function's: the band's nodata value, or 0 where
    it has none. Where there are planes these tell of them. Where there is neither, nothing does.

    Parameters
    ----------
    pixels : array of (rows, cols)
        The function's result, in any type. NaN is an invalid result.
    valid : boolean array of (rows, cols), or None where all are valid
    place : Place
    band : int
        Its number, from 0.
    statistics : bool
        Whether values are looked at; invalid pixels always are.
    """
    if pixels.dtype.kind in "fc":
        # whatever the output's type; min() finds NaN without a mask, and mostly there is none
        lowest = pixels.min()
        if lowest != lowest:
            number = pixels == pixels
            valid = number if valid is None else valid & number
    out, nodata = place.pixels[band], place.profile.bands[band].nodata
    stored = cast(pixels, out.dtype)
    moments = moments_of(stored, valid) if statistics else invalid_of(valid)
    np.copyto(out, stored)
    plane = None if place.planes is None else place.planes[band]
    if valid is not None and moments.invalid:
        np.copyto(out, out.dtype.type(nodata or 0), where=np.logical_not(valid))
        if plane is not None:
            np.multiply(valid, VALID, out=plane, dtype=np.uint8)
    elif plane is not None:
        plane[:] = VALID
    return moments
