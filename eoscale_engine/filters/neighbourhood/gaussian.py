"""Smoothing by a Gaussian."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import exp
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.filters.neighbourhood.kernels import BORDER
from eoscale_engine.filters.neighbourhood.windows import by_validity, flat_lines, unflattened
from eoscale_engine.profile import Profile

TRUNCATE: dict[str, Any] = {
    "default": 4.0,
    "minimum": 1,
    "maximum": 8,
    "unit": "sigma",
    "label": "Reach of the window",
    "help": "How far the window reaches to each side, in sigmas.",
    "advanced": True,
}
"""The parameter ``truncate`` of the filters that smooth by a Gaussian."""


@dataclass(frozen=True)
class Gaussian(ImageFilter):
    """Gaussian blur: the mean of the valid pixels around each pixel, weighted by their distance.

    sum(w x) / sum(w) over the valid pixels x of a square window, with the weights
    w = exp(-(row^2 + col^2) / (2 sigma^2)), row and col counted from the centre. The window reaches
    int(truncate sigma + 0.5) pixels to each side, as in SciPy's gaussian_filter, whose values it
    has where all pixels are valid. Each band is handled by itself.

    Nodata: invalid pixels take no part (normalised convolution: H. Knutsson and C.-F. Westin,
    "Normalized and differential convolution", CVPR 1993). An invalid pixel stays so unless holes
    are filled; then it has a value where its window holds a valid pixel. Beyond the image lies its
    mirror image by default.

    Pixels: float32, float64 for 64-bit images; scale and offset carry on. Images of up to 16 bits
    and float32 ones are computed in float32 (to 3e-7 of the largest value for a sigma of 2, 1e-6
    for 40), all others in float64.
    """

    name = "gaussian"
    label = "Gaussian blur"
    group = "Neighbourhood"
    tags = ("gaussian", "blur", "smooth", "low pass", "denoise", "normalised convolution")

    picture: ClassVar[Mapping[str, Any]] = {"sigma": 3}
    examples = (
        {},
        {"sigma": 2.5, "fill": True, "border": "invalid"},
        {"sigma": 0.8, "truncate": 3, "border": "nearest"},
    )

    sigma: float = parameter(
        1.0,
        minimum=0.1,
        maximum=250,
        unit="pixels",
        help="Standard deviation of the Gaussian: the larger, the smoother.",
    )
    truncate: float = parameter(**TRUNCATE)
    fill: bool = parameter(
        False,
        label="Fill holes",
        help="Give invalid pixels a value too, from the valid pixels around them.",
    )
    border: str = parameter(**BORDER)  # type: ignore[misc]

    @property
    def margin(self) -> int:
        """Reach of the window, rounded."""
        return reach_of(self.sigma, self.truncate)

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats; without the nodata value, which could be a result."""
        dtype = "float32" if np.dtype(inputs[0].dtype).itemsize <= 4 else "float64"
        return [inputs[0].with_dtype(dtype).without_classes().with_nodata(None)]

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block = blocks[0]
        margin, ratios = self.margin, ratios_of(self.sigma, self.margin)

        def compute(
            _band: int, pixels: np.ndarray, valid: Optional[np.ndarray], out: np.ndarray
        ) -> Optional[np.ndarray]:
            weight = gaussian_mean(pixels, valid, ratios, out)
            if valid is None or weight is None:
                return None
            if self.fill:
                return weight > 0
            return valid[margin : margin + out.shape[0], margin : margin + out.shape[1]]

        (result,) = self.output_profiles([block.profile])
        return by_validity(block, margin, np.dtype(result.dtype), compute)


def reach_of(sigma: float, truncate: float) -> int:
    """Pixels from the middle of the window to its edge."""
    return int(truncate * sigma + 0.5)


def ratios_of(sigma: float, reach: int) -> tuple[float, ...]:
    """Each weight of the window, from the middle outwards, divided by the one before."""
    return tuple(exp((1 - 2 * distance) / (2 * sigma**2)) for distance in range(1, reach + 1))


def gaussian_mean(
    pixels: np.ndarray, valid: Optional[np.ndarray], ratios: tuple[float, ...], out: np.ndarray
) -> Optional[np.ndarray]:
    """The weighted mean of the valid pixels around each pixel of the core, into ``out``.

    ``pixels`` is ``(rows, cols)`` with a margin of as many pixels as there are ratios. Returns the
    sum of the valid pixels' weights, or None without ``valid``.
    """
    dtype = np.result_type(pixels.dtype, np.float32)
    pitch = pixels.shape[1]
    total = _weighted(flat_lines(pixels, valid, dtype, 0), pitch, ratios, out.shape)
    if valid is None:
        np.divide(total, _full_weight(ratios, dtype), out=out, casting="same_kind")
        return None
    weight = _weighted(flat_lines(valid, None, dtype, 0), pitch, ratios, out.shape)
    np.divide(total, weight, out=out, casting="same_kind")
    return weight


def _weighted(
    lines: np.ndarray, pitch: int, ratios: tuple[float, ...], shape: tuple[int, ...]
) -> np.ndarray:
    """The weighted sums on the core ``(rows, cols)``; the weight of the centre is 1."""
    return unflattened(_along(_along(lines, pitch, ratios), 1, ratios), pitch, shape)


def _along(lines: np.ndarray, step: int, ratios: tuple[float, ...]) -> np.ndarray:
    """Weighted sums of elements that stand ``step`` apart, by Horner's scheme from the outside in.

    ``ratios[k]`` is the weight at distance ``k + 1`` divided by that at ``k``: multiplying what
    lies outside by it costs one pass for each pair of elements, and no scratch.
    """
    reach = len(ratios)
    if not reach:
        return lines
    length = lines.size - 2 * reach * step

    def at(place: int) -> np.ndarray:
        first = (reach + place) * step
        return lines[first : first + length]

    total: np.ndarray = at(-reach) + at(reach)
    for distance in range(reach - 1, 0, -1):
        np.multiply(total, lines.dtype.type(ratios[distance]), out=total)
        np.add(total, at(-distance), out=total)
        np.add(total, at(distance), out=total)
    np.multiply(total, lines.dtype.type(ratios[0]), out=total)
    np.add(total, at(0), out=total)
    return total


@lru_cache(maxsize=16)
def _full_weight(ratios: tuple[float, ...], dtype: np.dtype) -> np.ndarray:
    """The sum of the weights of a window without invalid pixels, rounded as ``_weighted`` does."""
    size = 2 * len(ratios) + 1
    column = _along(np.ones(size, dtype), 1, ratios)
    weight: np.ndarray = _along(np.full(size, column[0]), 1, ratios)[0]
    return weight
