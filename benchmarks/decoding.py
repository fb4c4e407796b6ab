"""Decoding a file and nothing else, with several processes: what statistics are compared with."""

from __future__ import annotations

import multiprocessing
from typing import Any

from osgeo import gdal

ROWS = 512
"""Of a window that is read at a time."""


def decode(path: str, first: int, step: int) -> None:
    """Every ``step``-th row of windows, as wide as the image, into one buffer again and again."""
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
        self._pool = multiprocessing.get_context("forkserver").Pool(count)

    def decode(self, path: str) -> None:
        """The whole file, shared out."""
        self._pool.starmap(decode, [(path, n, self._count) for n in range(self._count)], 1)

    def close(self) -> None:
        """End them."""
        self._pool.terminate()
        self._pool.join()
