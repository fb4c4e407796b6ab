"""Putting an image on another one's grid, on the fly: a warped VRT."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import numpy as np
from osgeo import gdal

from eoscale_engine.errors import InputError
from eoscale_engine.profile import CRS, Affine, Profile
from eoscale_engine.raster_files.gdal_calls import call_gdal, opened, reason
from eoscale_engine.raster_files.gdal_profile import describe, profile_of
from eoscale_engine.raster_files.opening import open_raster_file
from eoscale_engine.raster_files.reading import RasterFile
from eoscale_engine.raster_files.vrt import vrt_of_bands

RESAMPLINGS = {"nearest": "near", "bilinear": "bilinear", "cubic": "cubic", "average": "average"}
"""Ways to resample, and GDAL's names of them."""


def aligned(
    path: str,
    bands: Optional[Sequence[int]],
    like: Profile,
    resampling: str,
    vrt_path: str,
    *,
    profile: Optional[Profile] = None,
    label: str = "",
) -> None:
    """Write a VRT in which bands of an image lie pixel on pixel on the grid of ``like``.

    Same size, CRS and geotransform (rotated ones too) to the last bit. Each pixel is transformed
    exactly, and from the full resolution (no overviews). What lies outside the image, or is
    invalid in it, is invalid: by nodata where a band has it, NaN in other bands of floats, and an
    alpha band for the rest.

    Parameters
    ----------
    path : str
    bands : sequence of int, optional
        Numbers from 1; all but alpha where None. They are bands 1, 2, ... of the VRT.
    like : Profile
        The grid, with CRS and geotransform.
    resampling : str
        One of :data:`RESAMPLINGS`.
    vrt_path : str
        Where the VRT is written.
    profile : Profile, optional
        In place of the file's own: with another CRS or other nodata values.
    label : str
        What messages call the image; its path by default.

    Raises
    ------
    InputError
        Where one of the two has no CRS or no place on the map.
    """
    if resampling not in RESAMPLINGS:
        raise InputError(
            f"Unknown resampling '{resampling}'. Use one of: {', '.join(RESAMPLINGS)}."
        )
    file = open_raster_file(path, bands, label=label)
    if profile is not None:
        file = replace(file, profile=profile)
    refusal = f"'{label or path}' cannot be aligned"
    if like.crs is None or like.transform is None:
        raise InputError(
            f"{refusal}: the first image has no CRS or geotransform. Assign it both first."
        )
    own = file.profile
    if not ((own.crs and own.transform) or (own.gcp_crs and own.gcps)):
        raise InputError(
            own.without_grid(label or path) if own.control
            else f"{refusal}: it has no CRS or geotransform. Assign it both first."
        )  # fmt: skip
    warp = _warped_bands if file.mask == "bands" else _warped_text
    text, errors = call_gdal(warp, file, like, like.crs, like.transform, resampling)
    if text is None or errors:
        raise InputError(
            f"{refusal}: {reason(errors)}. Warp it beforehand (Raster > Projections > Warp, or "
            "gdalwarp)."
        )
    new = Path(vrt_path + ".new")
    new.write_text(text, encoding="utf-8")
    new.replace(vrt_path)  # never there in part


def _warped_bands(
    file: RasterFile, like: Profile, crs: CRS, transform: Affine, resampling: str
) -> str:
    """Band by band, each with its own mask: GDAL warps all bands of an image by one."""
    texts, placed = [], []
    for place, number in enumerate(file.bands, 1):
        own = file.profile.selected((place,))
        one = replace(file, bands=(number,), profile=own, mask="mask")
        texts.append(_warped_text(one, like, crs, transform, resampling))
        placed.append(profile_of(opened(texts[-1]), (1,)))
    bands = tuple(band for profile in placed for band in profile.bands)
    profile = replace(placed[0], bands=bands)
    return vrt_of_bands(texts, [1] * len(texts), profile, planes=len(texts))


def _warped_text(
    file: RasterFile, like: Profile, crs: CRS, transform: Affine, resampling: str
) -> str:
    path = os.path.abspath(file.path) if os.path.exists(file.path) else file.path
    profile = file.profile
    if np.dtype(profile.dtype).kind == "f":
        nan = tuple(
            replace(b, nodata=math.nan if b.nodata is None else b.nodata) for b in profile.bands
        )
        profile = replace(profile, bands=nan)
    source_text = vrt_of_bands(
        path, file.bands, profile, planes=int(file.mask == "mask"), alpha=file.alpha
    )
    nodata = [str(band.nodata).lower() for band in profile.bands]
    options = ["NUM_THREADS=1"]
    if "none" in nodata:
        # GDAL's way to join the bands' validity takes a band without nodata for one with.
        options.append("UNIFIED_SRC_NODATA=NO")
        # the alpha band says what is invalid; GDAL 3.13 refuses to fill bands without nodata
        options.append("INIT_DEST=" + ",".join("0" if v == "none" else v for v in nodata))
    right, bottom = like.width, like.height
    x, y = zip(*(transform * place for place in ((0, 0), (right, 0), (0, bottom), (right, bottom))))
    warped = gdal.Warp(
        "", opened(source_text), format="VRT", dstSRS=crs.wkt,
        outputBounds=(min(x), min(y), max(x), max(y)), width=like.width, height=like.height,
        resampleAlg=RESAMPLINGS[resampling], errorThreshold=0, overviewLevel="NONE",
        # no srcNodata: GDAL then fills the holes of a band that is valid in another with nodata
        dstNodata=" ".join(nodata), dstAlpha="none" in nodata, warpOptions=options,
    )  # fmt: skip
    placed = profile.moved(crs, transform)
    describe(warped, placed if resampling == "nearest" else placed.without_classes())
    tree = gdal.ParseXMLString(warped.GetMetadata("xml:VRT")[0])
    # gdal.Warp takes a box, which cannot say a rotated grid and rounds any other.
    numbers = [repr(number) for number in transform.to_gdal()]
    inverse: Affine = ~transform
    _set_text(tree, "SRS", crs.wkt)
    _set_text(tree, "GeoTransform", ", ".join(numbers))
    _set_text(tree, "DstGeoTransform", ",".join(numbers))
    _set_text(tree, "DstInvGeoTransform", ",".join(map(repr, inverse.to_gdal())))
    _set_text(tree, "SourceDataset", source_text)
    return str(gdal.SerializeXMLTree(tree))


def _set_text(node: list[Any], name: str, text: str) -> None:
    for child in node[2:]:
        if child[0] == gdal.CXT_Element and child[1] == name:
            child[2:] = [part for part in child[2:] if part[0] != gdal.CXT_Text]
            child.append([gdal.CXT_Text, text])
        else:
            _set_text(child, name, text)
