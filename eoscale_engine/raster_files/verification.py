"""Whether a file was written: what the codec cannot take, which blocks are lost, and a sample.

GDAL compresses in threads of its own, and tells of errors there in a way that the caller does not
see: the block that is lost is filled with zeros, or nodata, when the file is closed. Until then it
is the one that has no place in the file.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

import numpy as np
from osgeo import gdal

from eoscale_engine.errors import OutputError
from eoscale_engine.profile import Profile
from eoscale_engine.raster_files.gdal_calls import opened
from eoscale_engine.raster_files.options import COMPRESSIONS, FORMATS, WriteOptions
from eoscale_engine.tiling import Window

READ_BACK = "EOSCALE_READ_BACK"
"""The variable that, set to ``all``, has every block of every file compared."""

MOST_BANDS = 65535
"""Of a TIFF, which counts them in 16 bits."""

SHARE = 100
"""Else one block of so many: less than a fiftieth of the time that writing them takes."""

Block = tuple[int, Window]
"""A band and a block's place. Where bands share their blocks, the first one stands for all."""


def check_storable(format: str, options: WriteOptions, profile: Profile) -> None:  # noqa: A002
    """Refuse, with an OutputError, a format or compression that cannot hold an image.

    Or that this GDAL has not.
    """
    if format not in FORMATS:
        raise OutputError(f"Unknown format '{format}'. Use one of: {', '.join(FORMATS)}.")
    if profile.count > MOST_BANDS:
        raise OutputError(
            f"A TIFF holds at most {MOST_BANDS} bands, the image has {profile.count}. Choose fewer "
            "bands at a time."
        )
    dtype = profile.dtype
    known = gdal.GetDriverByName(format).GetMetadataItem("DMD_CREATIONOPTIONLIST")
    usable = [name for name in COMPRESSIONS if f">{name}<" in known]
    if options.compress not in usable:
        raise OutputError(
            f"This GDAL does not write {options.compress}. Use one of: {', '.join(usable)}."
        )
    kind, size = np.dtype(dtype).kind, np.dtype(dtype).itemsize
    if options.compress.startswith("LERC") and (kind == "c" or (kind in "iu" and size == 8)):
        usable.remove(options.compress)
        raise OutputError(
            f"{options.compress} cannot hold pixels of type {dtype}. Use one of: "
            f"{', '.join(usable)}."
        )


def blocks_to_compare(made: gdal.Dataset, compress: str, *, masked: bool) -> list[Block]:
    """Blocks of a file, before it is closed, of which it is to be seen whether they are right.

    All that were not written, of the mask too, and a sample of the others.
    """
    made.FlushCache()  # waits for GDAL's threads
    bands = range(1, made.RasterCount + 1) if _apart(made) else (1,)
    blocks = [(n, place) for n in bands for place in _places(made.GetRasterBand(n))]
    share = 1 if os.environ.get(READ_BACK) == "all" else SHARE
    chosen = blocks[share // 2 :: share]
    if compress == "NONE":
        # without threads, errors are seen; and empty blocks are only written at the end
        return chosen
    chosen += [(n, place) for n, place in blocks if not _is_written(made.GetRasterBand(n), place)]
    if masked:
        mask = made.GetRasterBand(1).GetMaskBand()
        mask.GetDataset().FlushCache()
        chosen += [(1, place) for place in _places(mask) if not _is_written(mask, place)]
    return chosen


def check_written(
    path: str, like: gdal.Dataset, blocks: Collection[Block], *, masked: bool
) -> None:
    """Open a file that was just written and compare blocks of it with their origin.

    Raises
    ------
    OutputError
        Where the file holds something else.
    """
    if not blocks:
        return
    made = opened(path)
    for number, place in blocks:
        window = place.col, place.row, place.cols, place.rows
        for band in (number,) if _apart(made) else range(1, made.RasterCount + 1):
            pair = made.GetRasterBand(band), like.GetRasterBand(band)
            stored, origin = (one.ReadAsArray(*window) for one in pair)
            same = np.array_equal(stored, origin, equal_nan=True)
            if masked:
                stored, origin = (one.GetMaskBand().ReadAsArray(*window) for one in pair)
                same &= np.array_equal(stored != 0, origin != 0)
            if not same:
                raise OutputError(
                    f"the pixels of band {band} at row {place.row}, column {place.col} are not "
                    "those that were to be stored (memory or disk may be full, or the compression "
                    "at fault)"
                )


def _apart(made: gdal.Dataset) -> bool:
    """Whether each band has blocks of its own."""
    return bool(made.GetMetadataItem("INTERLEAVE", "IMAGE_STRUCTURE") == "BAND")


def _places(band: gdal.Band) -> Iterator[Window]:
    cols, rows = band.GetBlockSize()
    for row in range(0, band.YSize, rows):
        for col in range(0, band.XSize, cols):
            yield Window(row, col, min(rows, band.YSize - row), min(cols, band.XSize - col))


def _is_written(band: gdal.Band, place: Window) -> bool:
    cols, rows = band.GetBlockSize()
    item = f"BLOCK_OFFSET_{place.col // cols}_{place.row // rows}"
    return band.GetMetadataItem(item, "TIFF") is not None
