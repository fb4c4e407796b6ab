"""The class whose centre is nearest, of pixels and of whole images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.filters.multivariate.projection import common_valid
from eoscale_engine.profile import Band, Profile

CHUNK_PIXELS = 8192
"""Pixels taken at a time, about: their distances stay in the cache."""


def nearest(values: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest centre of each pixel, the first of those as near, and its squared distance.

    Parameters
    ----------
    values : float64 array of (bands, ...)
    centres : float64 array of (classes, bands)

    Returns
    -------
    uint16 and float64 arrays of (...)
        Classes count from 0.
    """
    classes = np.zeros(values.shape[1:], np.uint16)
    least = np.empty(values.shape[1:])
    distance, term, later = np.empty_like(least), np.empty_like(least), np.empty_like(classes)
    for number, centre in enumerate(centres):
        target = distance if number else least
        for band, (plane, place) in enumerate(zip(values, centre)):
            part = term if band else target
            np.subtract(plane, place, out=part)
            np.multiply(part, part, out=part)
            if band:
                target += term
        if number:
            # the number is larger than all before; several times as fast as a masked copy
            np.multiply(distance < least, np.uint16(number), out=later)
            np.maximum(classes, later, out=classes)
            np.minimum(least, distance, out=least)
    return classes, least


@dataclass(frozen=True)
class NearestClass(ImageFilter):
    """The class, from 1, whose centre is nearest to the pixel times the gain of each band.

    Distances are Euclidean, in float64; of classes as near the first. uint8 of up to 255 classes,
    else uint16; nodata 0. A pixel with an invalid or infinite band is invalid.
    """

    stage = "Assigning classes"
    spares_nodata: ClassVar[bool] = True
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"centres": ((0.0, 0.0), (20.0, 20.0), (90.0, 10.0)), "gains": (1.0, 1.0)},
        {"centres": ((1.0, 2.0), (-1.0, 0.5)), "gains": (0.1, 0.02)},
    )

    centres: Any = parameter(kind="data", help="One row for each class, one number for each band")
    gains: Any = parameter(
        kind="data", help="By what the stored pixels of each band are multiplied"
    )

    @property
    def makes_invalid(self) -> bool:
        """Where a pixel is infinite."""
        return True

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """One band."""
        dtype = "uint8" if len(self.centres) <= 255 else "uint16"
        return [replace(inputs[0], dtype=dtype, bands=(Band(nodata=0, name="class"),))]

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block = blocks[0]
        _, rows, cols = block.pixels.shape
        result = np.empty((1, rows, cols), np.uint16)
        centres, gains = np.array(self.centres), np.array(self.gains)[:, None, None]
        height = max(1, CHUNK_PIXELS // cols)
        valid = common_valid(block.valid)
        if block.pixels.dtype.kind == "f":
            finite = np.isfinite(block.pixels).all(axis=0, keepdims=True)
            valid = finite if valid is None else valid & finite
        # what stands in invalid pixels may be NaN or overflow
        with np.errstate(over="ignore", invalid="ignore"):
            for row in range(0, rows, height):
                lines = slice(row, row + height)
                values = np.multiply(block.pixels[:, lines], gains, dtype=np.float64)
                result[0, lines] = nearest(values, centres)[0]
        result += 1
        return result, valid
