"""The filter of the stretch: values between two bounds to 8 bits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.filters.physical_values import physical_values
from eoscale_engine.profile import Band, Profile


@dataclass(frozen=True)
class LinearStretch(ImageFilter):
    """``lowest + t^(1 / gamma) (highest - lowest)``, t = (x - low) / (high - low) cut to 0..1.

    Of physical values, in float64. Where a band's bounds are equal, t is 1 above and else 0.
    """

    stage = "Stretching"
    spares_nodata: ClassVar[bool] = True
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"bounds": ((10.0, 60.5), (-40.0, 90.0))},
        {"bounds": ((20.0, 20.0), (0.0, 100.0)), "lowest": 50, "highest": 150, "gamma": 2.2},
    )

    bounds: Any = parameter(kind="data", help="For each band the low and high physical value")
    lowest: int = parameter(1, minimum=1, maximum=254, help="Result at and below the low value")
    highest: int = parameter(255, minimum=2, maximum=255, help="Result from the high value on")
    gamma: float = parameter(1.0, minimum=0.01, maximum=100, help="Above 1 it brightens the middle")

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Bytes, with 0 as nodata where no pixel can be 0."""
        image = inputs[0].with_dtype("uint8").physical(unit="").without_classes()
        least, most = sorted((self.lowest, self.highest))
        return [image.with_nodata(0 if least > 0 else 255 if most < 255 else None)]

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block = blocks[0]
        result = np.empty(block.pixels.shape, np.uint8)
        for band, about in enumerate(block.profile.bands):
            pixels, bounds = block.pixels[band], self.bounds[band]
            if pixels.dtype.kind in "iu" and pixels.dtype.itemsize <= 2:
                table = self._table(pixels.dtype, about, bounds)
                # a negative pixel counts from the table's end, where its value stands
                np.take(table, pixels, out=result[band])
            else:
                result[band] = self._stretched(pixels, about, bounds)
        return result, block.valid

    @cached_property
    def _tables(self) -> dict[Any, np.ndarray]:
        return {}

    def _table(self, dtype: np.dtype, band: Band, bounds: tuple[float, float]) -> np.ndarray:
        """The result of every value of a small type, made when a worker first meets it."""
        key = (dtype.name, band.scale, band.offset, bounds)
        if key not in self._tables:
            every = np.arange(256**dtype.itemsize).astype(dtype)
            self._tables[key] = self._stretched(every, band, bounds)
        return self._tables[key]

    def _stretched(self, pixels: np.ndarray, band: Band, bounds: tuple[float, float]) -> np.ndarray:
        """Stored pixels to bytes."""
        low, high = bounds
        # what stands in invalid pixels may be NaN or overflow
        with np.errstate(over="ignore", invalid="ignore"):
            values = physical_values(pixels, band, np.dtype(np.float64))
            if low == high:
                values = (values > low).astype(np.float64)
            else:
                values = values - low
                values /= high - low
            np.clip(values, 0, 1, out=values)
            if self.gamma != 1:
                np.power(values, 1 / self.gamma, out=values)
            values *= self.highest - self.lowest
            values += self.lowest
            return np.rint(values, out=values).astype(np.uint8)
