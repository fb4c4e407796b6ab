"""An image as it is: what loading and saving run when bands or an extent are chosen."""

from __future__ import annotations

from dataclasses import dataclass

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, image


@dataclass(frozen=True)
class Copy(ImageFilter):
    """The chosen bands and extent of an image, unchanged."""

    name = "copy"
    label = "Copy"
    group = "Images"
    inputs = (image(),)
    dtype_kinds = "iufc"

    def apply(self, blocks: Blocks) -> Pixels:
        """The pixels themselves."""
        return blocks[0].pixels, blocks[0].valid
