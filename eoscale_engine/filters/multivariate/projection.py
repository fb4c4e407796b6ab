"""Weighted sums of the bands of an image, as procedures of several passes use them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.profile import Band, Profile

_SINGLE = ("uint8", "int8", "uint16", "int16", "float32")
"""Types whose every value a float32 holds exactly."""


@dataclass(frozen=True)
class LinearProjection(ImageFilter):
    """New bands ``y_i = constant_i + sum_j matrix_ij (x_j - centre_j)`` of the stored pixels x.

    Computed in float32 for pixels that it holds, else in float64. A pixel with an invalid band is
    invalid in all.
    """

    stage = "Projecting bands"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"matrix": ((0.6, 0.8), (-0.8, 0.6), (1.5, 0.0)), "centre": (17.3, 40.1)},
        {"matrix": ((0.6, 0.8),), "centre": (20.0, 1e4), "constants": (-3.0,), "dtype": "float64"},
    )

    matrix: Any = parameter(kind="data", help="Rows of weights, one for each new band")
    centre: Any = parameter(kind="data", help="What is subtracted from each band")
    constants: Any = parameter(None, kind="data", help="What is added to each new band; None: 0")
    bands: Any = parameter(None, kind="data", help="Properties of the new bands (Band)")
    dtype: str = parameter("float32", choices=("float32", "float64"), help="Of the new bands")

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """As many bands as rows."""
        bands = self.bands or tuple(Band() for _ in self.matrix)
        return [replace(inputs[0], dtype=self.dtype, bands=tuple(bands))]

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block = blocks[0]
        kind = np.dtype(np.float32 if block.pixels.dtype.name in _SINGLE else np.float64)
        matrix = np.asarray(self.matrix, np.float64)
        centre = np.asarray(self.centre, np.float64)
        used = centre.astype(kind)
        # what rounding the centre leaves is small: added at the end it costs no digits
        rest = [
            sum(weight * (near - exact) for weight, near, exact in zip(row, used.tolist(), centre))
            for row in matrix.tolist()
        ]
        constants = self.constants or (0.0,) * len(matrix)
        result = np.empty((len(matrix), *block.pixels.shape[1:]), kind)
        for plane, constant, left in zip(result, constants, rest):
            plane[...] = constant + left
        deviation, term = np.empty((2, *block.pixels.shape[1:]), kind)
        weights = matrix.astype(kind)
        # what stands in invalid pixels may overflow
        with np.errstate(over="ignore", invalid="ignore"):
            for band, pixels in enumerate(block.pixels):
                np.subtract(pixels, used[band], out=deviation, dtype=kind, casting="unsafe")
                for plane, weight in zip(result, weights[:, band]):
                    np.multiply(deviation, weight, out=term)
                    np.add(plane, term, out=plane)
            return result.astype(self.dtype, copy=False), common_valid(block.valid)


def common_valid(valid: Optional[np.ndarray]) -> Optional[np.ndarray]:
    """``(1, rows, cols)``: where all bands are valid; None where all pixels are."""
    return None if valid is None else valid.all(axis=0, keepdims=True)
