"""Classes of values between thresholds that each band has of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.filters.physical_values import physical_values
from eoscale_engine.profile import Band, Profile


@dataclass(frozen=True)
class ThresholdClasses(ImageFilter):
    """The class of each pixel: 1, and one more for each threshold of its band that it exceeds.

    Values are physical unless ``raw``, in float64. uint8, nodata 0; a band without thresholds has
    no valid pixel.
    """

    stage = "Assigning classes"
    spares_nodata: ClassVar[bool] = True
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"thresholds": ((20.0,), (-3.0, 17.0, 50.5))},
        {"thresholds": ((), (40.0,)), "raw": True},
    )

    thresholds: Any = parameter(kind="data", help="Of each band, ascending")
    raw: bool = parameter(False, help="Use the stored pixels, without scale and offset")

    @property
    def makes_invalid(self) -> bool:
        """Where a band has no thresholds."""
        return not all(self.thresholds)

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Bands of the same names."""
        bands = tuple(Band(nodata=0, name=band.name) for band in inputs[0].bands)
        return [replace(inputs[0], dtype="uint8", bands=bands)]

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block = blocks[0]
        result = np.ones(block.pixels.shape, np.uint8)
        # what stands in invalid pixels may be NaN or overflow
        with np.errstate(over="ignore", invalid="ignore"):
            for band, limits in enumerate(self.thresholds):
                about = Band() if self.raw else block.profile.bands[band]
                values = physical_values(block.pixels[band], about, np.dtype(np.float64))
                for limit in limits:
                    result[band] += values > limit
        if all(self.thresholds):
            return result, block.valid
        known = np.array([len(limits) > 0 for limits in self.thresholds])[:, None, None]
        return result, known if block.valid is None else block.valid & known
