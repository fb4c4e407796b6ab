"""The difference of two images, pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from eoscale_engine.declaration import Block, Blocks, ImageFilter, Pixels, image, parameter
from eoscale_engine.filters.physical_values import is_scaled, physical_values
from eoscale_engine.profile import Band, Profile, common_profile


@dataclass(frozen=True)
class Difference(ImageFilter):
    """Image minus reference, band by band, of physical values unless ``raw``.

    float32 where both images have at most 16 bits or are float32, else float64; computed in
    float64, for 64-bit integers after the subtraction. Invalid where either image is, and where
    infinity is subtracted from itself.
    """

    stage = "Subtracting"
    inputs: ClassVar[Any] = (image(), image("REFERENCE"))
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({}, {"raw": True})

    raw: bool = parameter(False, help="Use the stored pixels, without scale and offset")

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Named as the bands of the image."""
        small = all(
            np.dtype(profile.dtype).itemsize <= 2 or profile.dtype == "float32"
            for profile in inputs
        )
        made = common_profile(inputs).with_dtype("float32" if small else "float64")
        made = made.with_nodata(None).physical(unit="" if self.raw else None).without_classes()
        return [replace(made, bands=tuple(replace(band, metadata=()) for band in made.bands))]

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        dtype = np.dtype(self.output_profiles([block.profile for block in blocks])[0].dtype)
        result = np.empty(blocks[0].pixels.shape, dtype)
        # what stands in invalid pixels may overflow, and infinity minus infinity is NaN
        with np.errstate(all="ignore"):
            for band, target in enumerate(result):
                target[...] = self._of_band(blocks, band)
        masks = [block.valid for block in blocks if block.valid is not None]
        return result, np.logical_and.reduce(masks) if masks else None

    def _of_band(self, blocks: Sequence[Block], band: int) -> np.ndarray:
        pixels = [block.pixels[band] for block in blocks]
        bands = [Band() if self.raw else block.profile.bands[band] for block in blocks]
        if are_long_integers(*pixels) and not any(map(is_scaled, bands)):
            magnitude, above = integer_difference(*pixels)
            return np.where(above, 1.0, -1.0) * magnitude
        one, two = (
            physical_values(values, about, np.dtype(np.float64))
            for values, about in zip(pixels, bands)
        )
        difference: np.ndarray = one - two
        return difference


def are_long_integers(one: np.ndarray, two: np.ndarray) -> bool:
    """Whether float64 would round one of them, and there is an integer type that holds both."""
    common = np.result_type(one.dtype, two.dtype)
    return common.kind in "iu" and max(one.itemsize, two.itemsize) == 8


def integer_difference(one: np.ndarray, two: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The exact magnitude of the difference of 64-bit integers, uint64, and where ``one > two``."""
    common = np.result_type(one.dtype, two.dtype)
    one, two = one.astype(common), two.astype(common)
    above = one > two
    # unsigned subtraction is exact even across the whole range
    one, two = one.view(np.uint64), two.view(np.uint64)
    return np.where(above, one - two, two - one), above
