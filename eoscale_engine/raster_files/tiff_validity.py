"""How a TIFF says which pixels are invalid: one nodata value for all bands, or masks.

A TIFF holds one mask for all bands inside. Masks of single bands lie beside it, in ``.msk``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import numpy as np
from osgeo import gdal

from eoscale_engine.profile import Number, Profile, can_hold, default_nodata
from eoscale_engine.raster_files.gdal_calls import opened
from eoscale_engine.raster_files.gdal_profile import BandStatistics

ROWS = 256
"""Of a mask that are copied at a time."""


def as_in_tiff(
    profile: Profile, planes: int, statistics: Optional[Sequence[BandStatistics]]
) -> tuple[Profile, int]:
    """The profile with at most one nodata value for all bands, and the number of masks.

    Bands that have different ones, or of which some have none, get one: NaN for floats, for
    integers a value that no valid pixel has, as their statistics show. Where there is none, each
    band gets a mask.
    """
    values = [band.nodata for band in profile.bands]
    if len(set(map(repr, values))) == 1:
        return profile, planes
    if np.dtype(profile.dtype).kind in "fc":
        return profile.with_nodata(float("nan")), planes
    free = None if planes else _free_value(profile, statistics)
    return profile.with_nodata(free), profile.count if free is None else 0


def _free_value(
    profile: Profile, statistics: Optional[Sequence[BandStatistics]]
) -> Optional[Number]:
    """A value that no valid pixel of any band has; None where none is known.

    Those of 64 bits are left alone: statistics are floats, and so is what GDAL turns them into.
    """
    if not statistics or np.dtype(profile.dtype).itemsize == 8:
        return None
    named = [band.nodata for band in profile.bands if band.nodata is not None]
    for value in [*named, default_nodata(profile.dtype)]:
        free = can_hold(profile.dtype, value) and all(
            band.nodata == value or _beyond(value, found)
            for band, found in zip(profile.bands, statistics)
        )
        if free:
            return value
    return None


def _beyond(value: Number, found: BandStatistics) -> bool:
    if found.minimum is None or found.maximum is None:
        return not found.valid
    return not found.minimum <= float(value.real) <= found.maximum


def write_band_masks(target: str, masks: gdal.Dataset) -> bool:
    """Write the mask of each band of an image beside a file; False where GDAL fails.

    To be called with the option ``GDAL_TIFF_INTERNAL_MASK`` off.
    """
    made = opened(target)
    width, height = made.RasterXSize, made.RasterYSize
    for number in range(1, made.RasterCount + 1):
        band, mask = made.GetRasterBand(number), masks.GetRasterBand(number).GetMaskBand()
        if band.CreateMaskBand(0) != gdal.CE_None:
            return False
        out = band.GetMaskBand()
        for row in range(0, height, ROWS):
            pixels = mask.ReadAsArray(0, row, width, min(ROWS, height - row))
            if pixels is None or out.WriteArray(pixels, 0, row) != gdal.CE_None:
                return False
    return True
