"""Several images as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, images
from eoscale_engine.profile import Profile


@dataclass(frozen=True)
class Stack(ImageFilter):
    """The bands of several images as the bands of one, in the order of the images.

    The data type is the smallest that holds the values of all (NumPy's result_type): uint8 and
    int16 give int16, uint16 and float32 give float32, uint32 and float32 give float64. Integers of
    64 bits beside floats or the other signedness become float64, which is exact up to 2^53.

    Bands keep their name, unit, scale, offset and nodata value, and are valid where they were.
    Names that two bands have are put after their image, "im2 red", and bands without a name are
    called as in band math, "im2b1". Colour tables are kept where the type is.
    """

    name = "stack"
    label = "Stack"
    group = "Pixel"
    tags = (
        "stack", "layer stacking", "concatenate", "concatenateimages", "merge bands", "build vrt",
        "separate", "multiband", "i.group", "combine bands", "collocate", "time series",
    )  # fmt: skip
    inputs = (images(help="Images of the same size and grid, in the order of the result's bands"),)
    dtype_kinds = "iufc"

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """All bands, in the common type."""
        dtype = np.result_type(*(np.dtype(profile.dtype) for profile in inputs))
        bands = [
            (number, place, band)
            for number, profile in enumerate(inputs, 1)
            for place, band in zip(profile.band_numbers, profile.with_dtype(dtype.name).bands)
        ]
        found = Counter(band.name for _, _, band in bands)
        named = []
        for number, place, band in bands:
            name = band.name or f"im{number}b{place}"
            if band.name and found[band.name] > 1:
                name = f"im{number} {name}"
            named.append(replace(band, name=name))
        return [replace(inputs[0], dtype=dtype.name, bands=tuple(named))]

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        # in the common type
        pixels = np.concatenate([block.pixels for block in blocks])
        if all(block.valid is None for block in blocks):
            return pixels, None
        valid = [
            np.ones(block.pixels.shape, bool) if block.valid is None else block.valid
            for block in blocks
        ]
        return pixels, np.concatenate(valid)
