"""Several images as one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, images
from eoscale_engine.filters.origins import Origins, every_band
from eoscale_engine.profile import Band, Metadata, Profile, is_of_the_grid, shared_metadata


@dataclass(frozen=True)
class Stack(ImageFilter):
    """The bands of several images as the bands of one, in the order of the images.

    The data type is the smallest that holds the values of all (NumPy's result_type): uint8 and
    int16 give int16, uint16 and float32 give float32, uint32 and float32 give float64. Integers of
    64 bits beside floats or the other signedness become float64, which is exact up to 2^53.

    Bands keep their name, unit, scale, offset and nodata value, and are valid where they were.
    Names that two bands have are put after their image, "im2 red", and bands without a name are
    called as in band math, "im2b1". Colour tables, class names and attribute tables are kept.

    The result has the grid, control points and rational polynomial coefficients of the first image.
    Metadata that all images share is kept as the result's own; what differs between them, such as
    dates, becomes metadata of their bands.
    """

    name = "stack"
    label = "Stack"
    group = "Pixel"
    tags = (
        "stack", "layer stacking", "concatenate", "concatenateimages", "merge bands", "build vrt",
        "separate", "multiband", "i.group", "combine bands", "collocate", "time series",
        "layerstack", "stack bands",
    )  # fmt: skip
    inputs = (images(help="Images of the same size and grid, in the order of the result's bands"),)
    dtype_kinds = "iufc"

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """All bands, in the common type."""
        dtype = np.result_type(*(np.dtype(profile.dtype) for profile in inputs))
        shared = shared_metadata(inputs)
        bands = [
            (number, place, replace(band, metadata=_metadata_of(band, profile, shared)))
            for number, profile in enumerate(inputs, 1)
            for place, band in zip(profile.band_numbers, profile.widened(dtype.name).bands)
        ]
        found = Counter(band.name for _, _, band in bands)
        named = []
        for number, place, band in bands:
            name = band.name or f"im{number}b{place}"
            if band.name and found[band.name] > 1:
                name = f"im{number} {name}"
            named.append(replace(band, name=name))
        return [replace(inputs[0], dtype=dtype.name, bands=tuple(named), metadata=shared)]

    def taken_from(self, inputs: Sequence[Profile]) -> Origins:
        """The pixels of all images."""
        return every_band(inputs)

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


def _metadata_of(band: Band, image: Profile, shared: Sequence[Metadata]) -> tuple[Metadata, ...]:
    """A band's metadata, with what its image says and not all do; the band's own goes first."""
    own = {item[:2] for item in band.metadata}
    more = [
        item
        for item in image.metadata
        if item not in shared and not is_of_the_grid(item) and item[:2] not in own
    ]
    return tuple(sorted((*band.metadata, *more)))
