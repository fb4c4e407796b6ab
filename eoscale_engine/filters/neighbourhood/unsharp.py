"""Sharpening by what a blur takes away."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.filters.neighbourhood.gaussian import (
    TRUNCATE,
    gaussian_mean,
    ratios_of,
    reach_of,
)
from eoscale_engine.filters.neighbourhood.kernels import BORDER
from eoscale_engine.filters.neighbourhood.windows import by_validity
from eoscale_engine.profile import Profile


@dataclass(frozen=True)
class UnsharpMask(ImageFilter):
    """Unsharp mask: sharpens an image by adding what a Gaussian blur takes away from it.

    x + amount (x - blur(x, sigma)) where abs(x - blur(x, sigma)) exceeds the threshold, and x
    elsewhere, with the blur as the Gaussian blur has it. The larger the amount, the stronger; the
    larger sigma, the larger the details that stand out. A threshold leaves noise as it is. Each
    band is handled by itself.

    Nodata: invalid pixels take no part in the blur, and stay invalid. Beyond the image lies its
    mirror image by default.

    Pixels: float32, float64 for 64-bit images; or those of the image, rounded and held within the
    type's range, where its type is kept (then a mask says which pixels are invalid, as any value
    may be a result; 64-bit integers become float64 all the same, which cannot hold them all). Scale
    and offset carry on; the threshold is in the unit of the physical values. Images of up to 16
    bits and float32 ones are computed in float32 (to 3e-7 of the largest value times 1 + amount,
    for sigmas of some pixels), all others in float64.
    """

    name = "unsharpmask"
    label = "Unsharp mask"
    group = "Neighbourhood"
    tags = ("unsharp mask", "sharpen", "sharpening", "enhance", "high boost", "detail", "contrast")
    examples = (
        {},
        {"sigma": 2.0, "amount": 0.5, "threshold": 3.0, "border": "invalid"},
        {"sigma": 0.8, "amount": 3.0, "keep_type": True, "border": "nearest", "truncate": 3.0},
    )

    sigma: float = parameter(
        1.5,
        minimum=0.1,
        maximum=250,
        unit="pixels",
        help="Standard deviation of the Gaussian: about the size of the details to bring out.",
    )
    amount: float = parameter(
        1.0, minimum=0, maximum=100, help="How much of the difference is added; 1 doubles details."
    )
    threshold: float = parameter(
        0.0,
        minimum=0,
        help="Pixels that differ from the blurred ones by no more than this stay as they are. In "
        "the unit of the values, with the bands' scale.",
    )
    keep_type: bool = parameter(
        False,
        label="Keep the data type",
        help="Round results to the data type of the image and hold them within its range, in place "
        "of decimal numbers.",
    )
    truncate: float = parameter(**TRUNCATE)
    border: str = parameter(**BORDER)  # type: ignore[misc]

    @property
    def margin(self) -> int:
        """Reach of the window."""
        return reach_of(self.sigma, self.truncate)

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """The input's; or floats, without the nodata value, which could be a result."""
        if self.keep_type and inputs[0].dtype not in ("int64", "uint64"):
            return [inputs[0].without_classes()]
        dtype = "float32" if np.dtype(inputs[0].dtype).itemsize <= 4 else "float64"
        return [inputs[0].with_dtype(dtype).without_classes().with_nodata(None)]

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block, margin = blocks[0], self.margin
        ratios = ratios_of(self.sigma, margin)
        dtype = np.result_type(block.pixels.dtype, np.float32)

        def compute(
            band: int, pixels: np.ndarray, valid: Optional[np.ndarray], out: np.ndarray
        ) -> Optional[np.ndarray]:
            core = tuple(slice(margin, margin + size) for size in out.shape)
            detail = np.empty(out.shape, dtype)
            gaussian_mean(pixels, valid, ratios, detail)
            np.subtract(pixels[core], detail, out=detail)
            if self.threshold:
                size = np.abs(detail) * abs(block.profile.bands[band].scale)
                np.copyto(detail, 0, where=size <= self.threshold)
            np.multiply(detail, dtype.type(self.amount), out=detail)
            np.add(pixels[core], detail, out=out, casting="same_kind")
            return None if valid is None else valid[core]

        (result,) = self.output_profiles([block.profile])
        stored = dtype if self.keep_type else np.dtype(result.dtype)
        return by_validity(block, margin, stored, compute)
