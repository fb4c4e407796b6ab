"""Weighted sums of the pixels around each pixel, by a kernel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.neighbourhood.kernel_files import kernel_in_file
from eoscale_engine.filters.neighbourhood.kernels import BORDER, Kernel, Rows, correlate, kernel_of
from eoscale_engine.filters.neighbourhood.windows import by_validity
from eoscale_engine.profile import Profile
from eoscale_engine.styles import DIVERGING, Ramp, Style

MOST_ROWS = 255

NANOSECONDS = 0.7
"""About what one weight takes for one pixel, on one core (measured)."""

MOST_UNSAID = 1000
"""So many weights take no time that would have to be said."""


def _rows(text: str) -> Rows:
    return tuple(tuple(map(float, row.split())) for row in text.split(";"))


def _filled(side: int, value: float = 1, middle: float = 1) -> Rows:
    rows = np.full((side, side), float(value))
    rows[side // 2, side // 2] = middle
    return tuple(map(tuple, rows.tolist()))


PRESETS: dict[str, Rows] = {
    "mean 3 x 3": _filled(3),
    "mean 5 x 5": _filled(5),
    "mean 7 x 7": _filled(7),
    "gaussian 3 x 3": _rows("1 2 1; 2 4 2; 1 2 1"),
    "gaussian 5 x 5": _rows("1 4 6 4 1; 4 16 24 16 4; 6 24 36 24 6; 4 16 24 16 4; 1 4 6 4 1"),
    "sharpen": _rows("0 -1 0; -1 5 -1; 0 -1 0"),
    "sharpen more": _filled(3, -1, 9),
    "high pass 3 x 3": _filled(3, -1, 8),
    "high pass 5 x 5": _filled(5, -1, 24),
    "laplacian 4": _rows("0 1 0; 1 -4 1; 0 1 0"),
    "laplacian 8": _filled(3, 1, -8),
    "laplacian of gaussian 5 x 5": _rows(
        "0 0 -1 0 0; 0 -1 -2 -1 0; -1 -2 16 -2 -1; 0 -1 -2 -1 0; 0 0 -1 0 0"
    ),
    "emboss": _rows("-2 -1 0; -1 1 1; 0 1 2"),
    "horizontal lines": _rows("-1 -1 -1; 2 2 2; -1 -1 -1"),
    "vertical lines": _rows("-1 2 -1; -1 2 -1; -1 2 -1"),
    "lines rising to the right": _rows("-1 -1 2; -1 2 -1; 2 -1 -1"),
    "lines falling to the right": _rows("2 -1 -1; -1 2 -1; -1 -1 2"),
    "sobel to the right": _rows("-1 0 1; -2 0 2; -1 0 1"),
    "sobel upwards": _rows("1 2 1; 0 0 0; -1 -2 -1"),
    "prewitt to the right": _rows("-1 0 1; -1 0 1; -1 0 1"),
    "prewitt upwards": _rows("1 1 1; 0 0 0; -1 -1 -1"),
}
"""Gaussians by the binomial coefficients; gradients count upwards and to the right."""


@dataclass(frozen=True)
class Convolution(ImageFilter):
    """Weighted sum of the pixels around each pixel, by a kernel of your own or a known one.

    sum(w x) over the pixels x under the kernel, or sum(w x) / sum(w) if it is normalised. The
    kernel is laid on the image as it is written, its first row to the top and its middle on the
    pixel: a correlation, as r.mfilter of GRASS and scipy.ndimage.correlate have it. Turn the kernel
    by 180 degrees for the mathematical convolution. Each band is handled by itself.

    Normalised or not, a kernel whose weights add up to zero (to a millionth of the sum of their
    sizes), such as those that find edges, is never divided.

    Nodata: "ignore" takes the valid pixels alone. Without negative weights that is their weighted
    mean (normalised convolution: H. Knutsson and C.-F. Westin, "Normalized and differential
    convolution", CVPR 1993), times the sum of all weights if the kernel is not normalised. With
    negative weights an invalid pixel counts as equal to the pixel in the middle, so that a hole's
    edge is none. "propagate" gives no value where an invalid pixel has a weight other than zero. An
    invalid pixel stays so unless holes are filled; then it has a value where a valid pixel has a
    weight. Beyond the image lies its mirror image by default.

    Pixels: float32, float64 for 64-bit images. Scale carries on, and so does the offset times the
    sum of the weights in use. Images of up to 16 bits and float32 ones are added up in float32, to
    3e-7 (small kernels) or 1e-6 (large ones) of the sum of sizes abs(w) times the largest pixel,
    and exactly for whole numbers of up to 16 777 216; all others, and kernels of more than 100
    weights that are no product of a column and a row, in float64. Kernels that are such a product
    (to 1e-12 of the largest weight) take two short passes in place of a long one: 125 x 125 weights
    then cost as much as 250, and else 60 times that. The log tells the cost of large ones.
    """

    name = "convolution"
    label = "Convolution"
    group = "Neighbourhood"
    tags = (
        "convolution", "correlation", "kernel", "weights", "user-defined filter", "r.mfilter",
        "matrix filter", "mean", "low pass", "high pass", "sharpen", "emboss", "laplacian",
        "line detection", "sobel", "prewitt", "edge",
    )  # fmt: skip
    picture: ClassVar[Mapping[str, Any]] = {"kernel": "emboss"}
    examples = (
        {},
        {"kernel": "sharpen", "border": "invalid"},
        {"kernel": "emboss", "nodata": "propagate", "border": "nearest"},
        {"weights": "1 2.5 0 2 1", "fill": True, "border": "invalid"},
        {"kernel": "sobel upwards", "nodata": "propagate", "border": "invalid"},
        {"weights": "0.1 0.2 0.3; 0.4 0.7 0.6; 0 0.8 0.9", "normalise": False},
    )

    kernel: str = parameter(
        "given",
        choices=("given", *PRESETS),
        label="Kernel",
        help="Given: the weights below. Else a known kernel, whatever is below.",
    )
    weights: Rows = parameter(
        PRESETS["gaussian 3 x 3"],
        kind="matrix",
        label="Weights",
        help="Rows of numbers from the top of the image on, separated by semicolons: 1 2 1; 2 4 2; "
        "1 2 1. An odd number of rows and of columns, at most 255.",
        counts_when={"kernel": ("given",), "file": (None,)},
    )
    normalise: bool = parameter(
        True,
        help="Divide by the sum of the weights, unless it is zero: the mean level stays.",
    )
    nodata: str = parameter(
        "ignore",
        choices=("ignore", "propagate"),
        label="Invalid pixels under the kernel",
        help="Ignore them, or give no value where there is one.",
    )
    fill: bool = parameter(
        False,
        label="Fill holes",
        help="Give invalid pixels a value too, from the valid pixels around them. Not with "
        "negative weights.",
    )
    border: str = parameter(**BORDER)  # type: ignore[misc]
    file: Optional[str] = parameter(
        None,
        kind="file",
        label="File of weights",
        help="A text or CSV file in place of the weights above: one row a line, numbers separated "
        "by spaces, tabs, commas or semicolons.",
        counts_when={"kernel": ("given",)},
    )

    @property
    def used(self) -> Kernel:
        """The kernel in use."""
        return kernel_of(PRESETS.get(self.kernel, self.weights))

    def validate(self) -> None:
        """Read the file, if there is one, and refuse what is no kernel."""
        if self.file and self.kernel == "given":
            # once: what it holds then is what all workers compute with
            object.__setattr__(self, "weights", kernel_in_file(self.file))
            object.__setattr__(self, "file", None)
        rows = PRESETS.get(self.kernel, self.weights)
        sides = len(rows), len(rows[0]) if rows else 0
        if not all(side % 2 and side <= MOST_ROWS for side in sides):
            large = max(sides) > MOST_ROWS
            raise InputError(
                f"Convolution: the kernel has {sides[0]} rows and {sides[1]} columns; both must be "
                f"odd numbers, at most {MOST_ROWS}. "
                + ("Use a smaller kernel." if large else "Add rows or columns of zeros.")
            )
        sizes = [abs(weight) for row in rows for weight in row if weight]
        if not sizes:
            raise InputError("Convolution: all 'Weights' are 0. Give one that is not.")
        if not 1e-12 <= min(sizes) <= max(sizes) <= 1e12:
            raise InputError(
                "Convolution: weights other than 0 must lie between 1e-12 and 1e12 in size. "
                "Multiply all of them by the same number."
            )
        if self.fill and self.used.has_negative:
            raise InputError(
                "Convolution: 'Fill holes' needs a kernel without negative weights. Do not fill "
                "them, or use another kernel."
            )

    def remarks(self, inputs: Mapping[str, Sequence[Profile]]) -> Sequence[str]:
        """How long a large kernel takes."""
        (profile,) = inputs["INPUT"]
        weights = self.used.operations
        if weights <= MOST_UNSAID:
            return ()
        seconds = weights * profile.count * profile.width * profile.height * NANOSECONDS / 1e9
        told = (
            f"Convolution: the kernel has {weights} weights and is no product of a column and a "
            f"row, which would take far less. The whole image takes some {max(1, seconds):.0f} "
            "seconds of one core."
        )
        return (told,)

    @property
    def margin(self) -> int:
        """How far the weights reach."""
        return self.used.margin

    @property
    def makes_invalid(self) -> bool:
        """Near the border, where nothing lies beyond it."""
        needs_others = not self.used.middle and not self.used.has_negative
        return self.border == "invalid" and (self.nodata == "propagate" or needs_others)

    @property
    def divisor(self) -> float:
        """What the weighted sums are divided by."""
        return (self.used.total if self.normalise else 0) or 1.0

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats; without the nodata value, which could be a result."""
        dtype = "float32" if np.dtype(inputs[0].dtype).itemsize <= 4 else "float64"
        result = inputs[0].with_dtype(dtype).without_classes().with_nodata(None)
        weight = self.used.total / self.divisor
        bands = tuple(replace(band, offset=band.offset * weight) for band in result.bands)
        return [replace(result, bands=bands)]

    def styles(self) -> Sequence[Optional[Style]]:
        """Where the weights add up to zero, results lie around it."""
        return () if self.used.total else (Ramp(DIVERGING, symmetric=True),)

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block, kernel, divisor = blocks[0], self.used, self.divisor
        margin, propagate = kernel.margin, self.nodata == "propagate"

        def compute(
            _band: int, pixels: np.ndarray, valid: Optional[np.ndarray], out: np.ndarray
        ) -> Optional[np.ndarray]:
            total, known = correlate(kernel, pixels, valid, propagate=propagate)
            np.divide(total, total.dtype.type(divisor), out=out, casting="same_kind")
            if valid is None or known is None or self.fill:
                return known
            return known & valid[margin : margin + out.shape[0], margin : margin + out.shape[1]]

        (result,) = self.output_profiles([block.profile])
        return by_validity(block, margin, np.dtype(result.dtype), compute)
