"""Alpha bands that are none: GDAL marks the last of four bands of bytes as alpha by itself."""

from __future__ import annotations

from itertools import product

import numpy as np

from eoscale_engine.raster_files.datasets import Datasets
from eoscale_engine.raster_files.opening import open_raster_file
from eoscale_engine.raster_files.reading import RasterFile
from eoscale_engine.tiling import Window

SIDE = 128
"""Of the pieces that are looked at."""

MOST_BLOCK_PIXELS = 4096 * 4096
"""A block that is larger would take longer to decode than the question is worth."""


def doubt_of_alpha(file: RasterFile, label: str) -> str:
    """What to tell of an alpha band that seems to hold data; empty where all is well.

    Transparency is mostly all or nothing. Looks at a few pieces of the band.
    """
    if file.mask != "alpha" or np.prod(file.block_shape) > MOST_BLOCK_PIXELS:
        return ""
    band, datasets = open_raster_file(file.path, [file.alpha]), Datasets()
    height, width = file.profile.height, file.profile.width
    pieces = []
    for row, col in product((0.25, 0.75), repeat=2):
        rows, cols = min(SIDE, height), min(SIDE, width)
        top, left = int(row * (height - rows)), int(col * (width - cols))
        window = Window(top, left, rows, cols)
        pieces.append(band.read(window, datasets=datasets).ravel())
    values = np.concatenate(pieces)
    most = np.iinfo(values.dtype).max if values.dtype.kind in "iu" else values.max()
    between = np.count_nonzero((values != 0) & (values != most))
    if between <= values.size / 2 or len(np.unique(values)) <= 16:
        return ""
    return (
        f"'{label}': band {file.alpha} is marked as transparency (alpha) and is taken for that, "
        "but its values look like those of a band of data. If it is one, such as near infrared, "
        "choose it among the bands by its number, or mark it as data: gdal_edit.py "
        f"-colorinterp_{file.alpha} undefined {file.path}"
    )
