"""What lies between two scales: the difference of two Gaussian blurs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.neighbourhood.gaussian import (
    TRUNCATE,
    gaussian_mean,
    ratios_of,
    reach_of,
)
from eoscale_engine.filters.neighbourhood.kernels import BORDER
from eoscale_engine.filters.neighbourhood.windows import by_validity
from eoscale_engine.profile import Profile
from eoscale_engine.styles import DIVERGING, Ramp, Style


@dataclass(frozen=True)
class DifferenceOfGaussians(ImageFilter):
    """Difference of two Gaussian blurs: details larger than the first sigma, up to the second.

    blur(x, sigma 1) - blur(x, sigma 2), each as the Gaussian blur has it. Bright spots and ridges
    are positive, dark spots and valleys negative, even surfaces zero. A ratio of the sigmas of 1.6
    is nearest to the Laplacian of a Gaussian (D. Marr and E. Hildreth, "Theory of edge detection",
    Proceedings of the Royal Society of London B 207, 1980). Each band is handled by itself.

    Nodata: invalid pixels take no part in either blur, and stay invalid. Beyond the image lies its
    mirror image by default.

    Pixels: float32, float64 for 64-bit images. Scale carries on; the offset is none, as it is the
    same in both blurs. Images of up to 16 bits and float32 ones are computed in float32, all others
    in float64; to 6e-7 of the largest value, in float32, for sigmas of some pixels.
    """

    name = "differenceofgaussians"
    label = "Difference of Gaussians"
    group = "Neighbourhood"
    tags = (
        "difference of gaussians", "dog", "band pass", "blob", "edge", "marr-hildreth", "laplacian",
        "multiscale", "local relief",
    )  # fmt: skip
    examples = (
        {},
        {"sigma_1": 0.7, "sigma_2": 2.4, "truncate": 2.5, "border": "invalid"},
        {"sigma_1": 1.0, "sigma_2": 1.1, "border": "nearest"},
    )

    sigma_1: float = parameter(
        1.0,
        minimum=0.1,
        maximum=250,
        unit="pixels",
        label="Smaller sigma",
        help="Standard deviation of the first Gaussian: smaller details are left out.",
    )
    sigma_2: float = parameter(
        1.6,
        minimum=0.1,
        maximum=250,
        unit="pixels",
        label="Larger sigma",
        help="Standard deviation of the second Gaussian: larger details are left out.",
    )
    truncate: float = parameter(**TRUNCATE)
    border: str = parameter(**BORDER)  # type: ignore[misc]

    def validate(self) -> None:
        """Refuse sigmas in the wrong order."""
        if self.sigma_1 >= self.sigma_2:
            raise InputError(
                f"Difference of Gaussians: 'Smaller sigma' is {self.sigma_1:.12g} and 'Larger "
                f"sigma' {self.sigma_2:.12g}. Make the first less than the second."
            )

    @property
    def margin(self) -> int:
        """Reach of the larger window."""
        return reach_of(self.sigma_2, self.truncate)

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats; without the nodata value, which could be a result, and the offset."""
        dtype = "float32" if np.dtype(inputs[0].dtype).itemsize <= 4 else "float64"
        result = inputs[0].with_dtype(dtype).without_classes()
        bands = tuple(replace(band, offset=0.0, nodata=None) for band in result.bands)
        return [replace(result, bands=bands)]

    def styles(self) -> Sequence[Optional[Style]]:
        """Around zero."""
        return (Ramp(DIVERGING, symmetric=True),)

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block, margin = blocks[0], self.margin
        near = reach_of(self.sigma_1, self.truncate)
        smaller, larger = ratios_of(self.sigma_1, near), ratios_of(self.sigma_2, margin)
        dtype = np.result_type(block.pixels.dtype, np.float32)

        def compute(
            _band: int, pixels: np.ndarray, valid: Optional[np.ndarray], out: np.ndarray
        ) -> Optional[np.ndarray]:
            fine, coarse = np.empty((2, *out.shape), dtype)
            inner = tuple(slice(margin - near, size + margin + near) for size in out.shape)
            inner_valid = None if valid is None else valid[inner]
            gaussian_mean(pixels[inner], inner_valid, smaller, fine)
            gaussian_mean(pixels, valid, larger, coarse)
            np.subtract(fine, coarse, out=out, casting="same_kind")
            if valid is None:
                return None
            return valid[margin : margin + out.shape[0], margin : margin + out.shape[1]]

        (result,) = self.output_profiles([block.profile])
        return by_validity(block, margin, np.dtype(result.dtype), compute)
