"""Decoding a file and nothing else, with several processes: what statistics are compared with."""

from __future__ import annotations

import multiprocessing
from typing import Any

from osgeo import gdal

ROWS = 512
"""Of a window that is read at a time."""

CACHE = 8 * 1024 * 1024
"""Bytes of GDAL's cache of blocks."""


def decode(path: str, first: int, step: int) -> None:
    """Every ``step``-th row of windows, as wide as the image, into one buffer again and again."""
    # as the engine's workers: a cache that kept what the last turn decoded would be no decoding
    gdal.SetCacheMax(CACHE)
    file = gdal.Open(path)
    cols, rows = file.RasterXSize, file.RasterYSize
    buffer: Any = None
    for row in range(first * ROWS, rows, step * ROWS):
        size = min(ROWS, rows - row)
        if buffer is None or buffer.shape[-2] != size:
            buffer = file.ReadAsArray(0, row, cols, size)
        else:
            file.ReadAsArray(0, row, cols, size, buf_obj=buffer)


class Decoders:
    """Processes that stay, as the engine's workers do."""

    def __init__(self, count: int) -> None:
        self._count = count
        # not by forkserver: there is one for each process, which is the engine's
        self._pool = multiprocessing.get_context("spawn").Pool(count)

    def decode(self, path: str) -> None:
        """The whole file, shared out."""
        self._pool.starmap(decode, [(path, n, self._count) for n in range(self._count)], 1)

    def close(self) -> None:
        """End them."""
        self._pool.terminate()
        self._pool.join()
