"""Differences between canonical variates of two images, and what they say of change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, NamedTuple, Optional

import numpy as np

from eoscale_engine.declaration import (
    Blocks,
    ImageFilter,
    Input,
    Output,
    Pixels,
    image,
    parameter,
)
from eoscale_engine.filters.multivariate.chi_square import survival, survival_table
from eoscale_engine.filters.multivariate.projection import common_valid
from eoscale_engine.profile import Band, Profile, common_profile


class Transform(NamedTuple):
    """``variate_i = sum_j matrix_ij (x_j - centre_j)`` over the bands of both images.

    ``deviations`` are the standard deviations of the variates where nothing changed.
    """

    matrix: tuple[tuple[float, ...], ...]
    centre: tuple[float, ...]
    deviations: tuple[float, ...]


EXAMPLE = Transform(
    ((0.02, -0.01, 0.015, 0.01), (0.01, 0.03, -0.02, 0.005)), (20.0, 20.0, 25.0, 20.0), (0.9, 1.3)
)


@dataclass(frozen=True)
class ChangeVariates(ImageFilter):
    """MAD variates, their chi-square sum with the probability of no change, and changed pixels.

    ``chi_square = sum_i (variate_i / deviation_i)^2``, of as many degrees of freedom as variates.
    Of stored pixels, in float64. A pixel with an invalid band in either image is invalid.
    """

    stage = "Computing change variates"
    spares_nodata: ClassVar[bool] = True
    inputs: ClassVar[tuple[Input, ...]] = (image("BEFORE"), image("AFTER"))
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("OUTPUT"),
        Output("CHI_SQUARE", optional=True),
        Output("CHANGE", optional=True),
    )
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"transform": EXAMPLE},
        {"transform": EXAMPLE, "chi_square": True, "change": 0.05},
    )

    transform: Any = parameter(kind="data", help="A Transform")
    chi_square: bool = parameter(False, help="Make the second image too")
    change: Optional[float] = parameter(None, help="Make the third, at this probability")

    @property
    def makes_invalid(self) -> bool:
        """Where a pixel is infinite."""
        return True

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """One image, and those that are asked for."""
        like = common_profile(inputs).with_dtype("float32")
        bands = tuple(Band(name=f"MAD {n}") for n in range(1, len(self.transform.matrix) + 1))
        made = [replace(like, bands=bands)]
        if self.chi_square:
            names = ("chi-square", "no-change probability")
            made.append(replace(like, bands=tuple(Band(name=name) for name in names)))
        if self.change is not None:
            made.append(replace(like, dtype="uint8", bands=(Band(nodata=255, name="change"),)))
        return made

    @cached_property
    def _table(self) -> np.ndarray:
        return survival_table(len(self.transform.matrix))

    def apply(self, blocks: Blocks) -> list[Pixels]:
        """See the class."""
        variates = self._variates(blocks)
        valid: Optional[np.ndarray] = None
        for block in blocks:
            part = common_valid(block.valid)
            if part is not None:
                valid = part if valid is None else valid & part
            if block.pixels.dtype.kind == "f":
                finite = np.isfinite(block.pixels).all(axis=0, keepdims=True)
                valid = finite if valid is None else valid & finite
        with np.errstate(over="ignore", invalid="ignore"):
            made: list[Pixels] = [(variates.astype(np.float32), valid)]
            if self.chi_square or self.change is not None:
                total = np.zeros(variates.shape[1:])
                for variate, deviation in zip(variates, self.transform.deviations):
                    np.divide(variate, deviation, out=variate)
                    np.multiply(variate, variate, out=variate)
                    np.add(total, variate, out=total)
                probability = survival(total, self._table)
            if self.chi_square:
                made.append((np.stack((total, probability)).astype(np.float32), valid))
            if self.change is not None:
                made.append(((probability < self.change)[None].astype(np.uint8), valid))
        return made

    def _variates(self, blocks: Blocks) -> np.ndarray:
        matrix = np.array(self.transform.matrix)
        shape = blocks.core.rows, blocks.core.cols
        result = np.zeros((len(matrix), *shape))
        deviation, term = np.empty((2, *shape))
        bands = [band for block in blocks for band in block.pixels]
        with np.errstate(over="ignore", invalid="ignore"):
            for pixels, centre, weights in zip(bands, self.transform.centre, matrix.T):
                np.subtract(pixels, centre, out=deviation, dtype=np.float64, casting="unsafe")
                for plane, weight in zip(result, weights):
                    np.multiply(deviation, weight, out=term)
                    np.add(plane, term, out=plane)
        return result
