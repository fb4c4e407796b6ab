"""How an image is stored as GeoTIFF or COG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np

from eoscale_engine.errors import InputError
from eoscale_engine.profile import Profile

FORMATS = ("GTiff", "COG")
COMPRESSIONS = ("DEFLATE", "ZSTD", "LZW", "LERC_ZSTD", "NONE")

CLASSIC_TIFF_BYTES = 2 * 1024**3
"""Pixels of more bytes get 64-bit offsets. Half of what 32 bits reach: LZW makes noise larger."""

_LEVELS = {"DEFLATE": (1, 9), "ZSTD": (1, 22), "LERC_ZSTD": (1, 22)}


@dataclass(frozen=True)
class WriteOptions:
    """How an image is stored.

    Attributes
    ----------
    compress : str
        One of :data:`COMPRESSIONS`; all are lossless.
    level : int or None
        1 (fastest) to 9 for DEFLATE, to 22 for ZSTD and LERC_ZSTD; None for GDAL's default.
    block_size : int
        Side of a tile in pixels, a multiple of 16, at least 128. Tiles are cut to a smaller image.
    overviews : bool
        Whether smaller copies for display are stored inside; averages, nearest for classes.
    """

    compress: str = "DEFLATE"
    level: Optional[int] = None
    block_size: int = 512
    overviews: bool = False

    def __post_init__(self) -> None:
        if self.compress not in COMPRESSIONS:
            raise InputError(
                f"Unknown compression '{self.compress}'. Use one of: {', '.join(COMPRESSIONS)}."
            )
        low, high = _LEVELS.get(self.compress, (1, 22))
        if self.level is not None and not low <= self.level <= high:
            raise InputError(
                f"The level of {self.compress} is {self.level}; it must be from {low} to {high}."
            )
        if self.block_size < 128 or self.block_size % 16:
            raise InputError(
                f"The block size is {self.block_size}; it must be a multiple of 16, at least 128."
            )

    def creation_options(self, format: str, profile: Profile, threads: int) -> list[str]:  # noqa: A002
        """GDAL's creation options for an image of this profile."""
        kind = np.dtype(profile.dtype).kind
        predictor = 0
        if self.compress not in ("NONE", "LERC_ZSTD"):
            predictor = {"f": 3, "c": 0}.get(kind, 2)
        rows, cols = (self._cut(size) for size in (profile.height, profile.width))
        if format == "COG":
            rows = cols = max(rows, cols)
        blocks = -(-profile.width // cols) * -(-profile.height // rows) * profile.count
        pixels = blocks * rows * cols * (4 / 3 if self.overviews else 1)
        size = pixels * np.dtype(profile.dtype).itemsize
        options = {
            "COMPRESS": self.compress,
            "BIGTIFF": "YES" if size > CLASSIC_TIFF_BYTES else "NO",
            "NUM_THREADS": str(threads),
        }
        if format == "COG":
            options["BLOCKSIZE"] = str(rows)
            options["OVERVIEWS"] = "IGNORE_EXISTING" if self.overviews else "NONE"
            options["OVERVIEW_COMPRESS"] = self.compress
            options["OVERVIEW_RESAMPLING"] = overview_resampling(profile)
            if predictor:
                options["PREDICTOR"] = options["OVERVIEW_PREDICTOR"] = "YES"
            if self.level is not None and self.compress in _LEVELS:
                options["LEVEL"] = str(self.level)
        else:
            options["TILED"] = "YES"
            options["BLOCKXSIZE"], options["BLOCKYSIZE"] = str(cols), str(rows)
            # As the pixels lie in memory: some bands can be read without decoding the others.
            options["INTERLEAVE"] = "BAND"
            if predictor:
                options["PREDICTOR"] = str(predictor)
            if self.level is not None and self.compress in _LEVELS:
                options["ZLEVEL" if self.compress == "DEFLATE" else "ZSTD_LEVEL"] = str(self.level)
        return [f"{key}={value}" for key, value in options.items()]

    def _cut(self, size: int) -> int:
        """A tile's side for an image of this size: tiles have multiples of 16 pixels."""
        return min(self.block_size, -(-size // 16) * 16)


def overview_resampling(profile: Profile) -> str:
    """How overviews are made: averages, but the nearest pixel of classes and complex numbers."""
    classes = any(band.color_table or band.categories for band in profile.bands)
    return "NEAREST" if classes or np.dtype(profile.dtype).kind == "c" else "AVERAGE"
