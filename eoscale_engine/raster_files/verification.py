"""Whether a file was written: what the codec cannot take, and a sample of what was stored.

GDAL compresses in threads of its own, and tells of errors there in a way that the caller does not
see: the block that is lost is then filled with zeros, or nodata.
"""

from __future__ import annotations

import numpy as np
from osgeo import gdal

from eoscale_engine.errors import OutputError
from eoscale_engine.raster_files.options import COMPRESSIONS, WriteOptions

SHARE = 200
"""Of so many blocks one is compared: a hundredth of the time that compressing them takes."""


def check_codec(format: str, options: WriteOptions, dtype: str) -> None:  # noqa: A002
    """Refuse, with an OutputError, a compression that this GDAL has not, or not for this type."""
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


def check_written(path: str, like: gdal.Dataset, *, masked: bool) -> None:
    """Open a file that was just written and compare a sample of its blocks with their origin.

    The blocks are those that take the least room, where one that was lost is among them, and some
    from all over the image.

    Raises
    ------
    OutputError
        Where the file holds something else.
    """
    made = gdal.OpenEx(path, gdal.OF_RASTER)
    width, height = made.GetRasterBand(1).GetBlockSize()
    apart = made.GetMetadataItem("INTERLEAVE", "IMAGE_STRUCTURE") == "BAND"
    numbers = range(1, made.RasterCount + 1)
    blocks = [
        (int(band.GetMetadataItem(f"BLOCK_SIZE_{col}_{row}", "TIFF") or 0), number, row, col)
        for number, band in ((n, made.GetRasterBand(n)) for n in (numbers if apart else (1,)))
        for row in range(-(-made.RasterYSize // height))
        for col in range(-(-made.RasterXSize // width))
    ]
    smallest = sorted(blocks)[: 1 + len(blocks) // (2 * SHARE)]
    for _, number, row, col in {*smallest, *blocks[SHARE :: 2 * SHARE]}:
        left, top = col * width, row * height
        place = left, top, min(width, made.RasterXSize - left), min(height, made.RasterYSize - top)
        for band in (number,) if apart else numbers:
            pair = made.GetRasterBand(band), like.GetRasterBand(band)
            stored, origin = (one.ReadAsArray(*place) for one in pair)
            same = np.array_equal(stored, origin, equal_nan=True)
            if masked:
                stored, origin = (one.GetMaskBand().ReadAsArray(*place) for one in pair)
                same &= np.array_equal(stored != 0, origin != 0)
            if not same:
                raise OutputError(
                    f"the pixels of band {band} at row {top}, column {left} are not those that "
                    "were to be stored. Memory or disk may be full: free some and write again, or "
                    "choose another compression"
                )
