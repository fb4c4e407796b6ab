"""Local entropy between bounds that are known: the one pass of the procedure "localentropy"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.filters.grey_levels import grey_levels
from eoscale_engine.filters.neighbourhood.class_counts import counts_of, distinct_values
from eoscale_engine.filters.neighbourhood.window_moments import window_count
from eoscale_engine.filters.neighbourhood.windows import SHAPES, by_validity, neighbourhood
from eoscale_engine.profile import Profile


@dataclass(frozen=True)
class EntropyBetween(ImageFilter):
    """Shannon entropy in bits of the levels of the pixels around each pixel.

    See :class:`eoscale_engine.procedures.entropy.LocalEntropy`. ``bounds`` holds a lower and an
    upper bound for each band.
    """

    stage = "Local entropy"
    border = "invalid"
    examples = (
        {"bounds": ((0.0, 90.0), (-50.0, 60.0))},
        {"bounds": ((0.0, 255.0), (7.0, 7.0)), "levels": 8, "shape": "disk", "radius": 3},
        {"bounds": ((0.0, 90.0), (0.0, 90.0)), "nodata": "propagate", "radius": 4},
        {"bounds": ((0.0, 90.0), (0.0, 90.0)), "levels": 4, "fill": True},
    )

    bounds: Any = parameter(kind="data", help="A lower and an upper bound for each band")
    levels: int = parameter(32, minimum=2, maximum=256, help="Number of levels")
    radius: int = parameter(2, minimum=1, maximum=128, unit="pixels", help="Half-width")
    shape: str = parameter("square", choices=SHAPES, help="Shape of the window")
    nodata: str = parameter("ignore", choices=("ignore", "propagate"), help="Invalid pixels")
    fill: bool = parameter(False, help="Give invalid pixels a value too")

    @property
    def margin(self) -> int:
        """The radius."""
        return self.radius

    @property
    def makes_invalid(self) -> bool:
        """Near the border, beyond which all is invalid."""
        return self.nodata == "propagate"

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats, in bits."""
        result = inputs[0].with_dtype("float32").with_nodata(None)
        result = result.without_classes().physical(unit="bit")
        bands = tuple(
            replace(band, name=f"Entropy of {band.name}" if band.name else "Entropy")
            for band in result.bands
        )
        return [replace(result, bands=bands)]

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block = blocks[0]
        window = neighbourhood(self.shape, self.radius)
        inner = slice(self.radius, -self.radius)
        numbers = np.arange(window.size + 1)
        products = numbers * np.log2(np.maximum(numbers, 1))

        def compute(
            band: int, pixels: np.ndarray, valid: Optional[np.ndarray], out: np.ndarray
        ) -> Optional[np.ndarray]:
            about = block.profile.bands[band]
            levels = grey_levels(pixels, about, self.bounds[band], self.levels)
            total, part = np.zeros((2, *out.shape))
            # levels that no pixel of the block has would add 0.0
            for counts in counts_of(distinct_values(levels, valid), levels, valid, window):
                np.take(products, counts, out=part, mode="clip")
                total += part
            number = np.asarray(window.size) if valid is None else window_count(valid, window)
            # log2(n) - total / n, in a form that is exactly 0 where all pixels have one level
            np.subtract(products[number], total, out=total)
            np.divide(total, np.maximum(number, 1), out=out, casting="same_kind")
            if valid is None:
                return None
            found = number >= (window.size if self.nodata == "propagate" else 1)
            if not self.fill:
                found &= valid[inner, inner]
            return found

        return by_validity(block, self.radius, np.dtype(np.float32), compute)
