"""Masks and alpha bands: which pixels they say are valid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Optional

import numpy as np
from osgeo import gdal

if TYPE_CHECKING:
    from eoscale_engine.raster_files.reading import RasterFile


def read_planes(
    dataset: gdal.Dataset, file: RasterFile, place: tuple[int, int, int, int]
) -> Optional[np.ndarray]:
    """Where alpha band or masks are not 0; None where one cannot be decoded."""
    if file.mask == "alpha":
        masks = [dataset.GetRasterBand(file.alpha)]
    else:
        numbers = file.bands if file.mask == "bands" else file.bands[:1]
        bands = list(map(dataset.GetRasterBand, numbers))
        masks = [band.GetMaskBand() if _is_masked(band) else None for band in bands]
    planes = np.ones((len(masks), place[3], place[2]), bool)
    for plane, mask in zip(planes, masks):
        if mask is None:  # a band without one, beside others that have
            continue
        decoded = mask.ReadAsArray(*place)
        if decoded is None:
            return None
        np.not_equal(decoded, 0, out=plane)
    return planes


def kind_of_mask(dataset: gdal.Dataset, bands: Sequence[int]) -> str:
    """What more is known of validity than nodata values and an alpha band say."""
    masked = [band for band in map(dataset.GetRasterBand, bands) if _is_masked(band)]
    if not masked:
        return "none"
    return "mask" if masked[0].GetMaskFlags() & gdal.GMF_PER_DATASET else "bands"


def _is_masked(band: gdal.Band) -> bool:
    """Whether a band's mask says more than its nodata value does."""
    flags = band.GetMaskFlags()
    # Both flags: the metadata item NODATA_VALUES, a colour that is transparent as a whole.
    by_color = flags & gdal.GMF_NODATA and flags & gdal.GMF_PER_DATASET
    return bool(by_color or not flags & (gdal.GMF_ALL_VALID | gdal.GMF_NODATA | gdal.GMF_ALPHA))
