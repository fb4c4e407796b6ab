"""Texture features of the grey-level co-occurrence matrix around each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.grey_levels import grey_levels
from eoscale_engine.filters.texture.glcm_matrices import MATRIX_FEATURES, matrix_features
from eoscale_engine.filters.texture.glcm_pairs import STEPS, Pairs, box_sums, pairs_of
from eoscale_engine.profile import Profile

PAIR_FEATURES = (
    "contrast", "dissimilarity", "homogeneity", "mean", "variance", "correlation"
)  # fmt: skip
FEATURES = (*PAIR_FEATURES, *MATRIX_FEATURES)

MEAN = "mean of four"
DIRECTIONS = (MEAN, *STEPS)

MAXIMUM_RADIUS = 64


def check_distance(distance: int, radius: int) -> None:
    """Refuse pairs that are longer than the window."""
    if distance > 2 * radius:
        raise InputError(
            f"Texture: pairs of pixels {distance} apart do not fit into a window of "
            f"{2 * radius + 1} x {2 * radius + 1} pixels. Use a radius of at least "
            f"{(distance + 1) // 2}, or a distance of at most {2 * radius}."
        )


@dataclass(frozen=True)
class Glcm(ImageFilter):
    """Texture features between given bounds: what the procedure Texture computes in its last pass.

    One band for each feature of each input band, in the order of ``FEATURES``. Levels are
    ``floor((value - lower) * levels / (upper - lower))`` of physical values in float64, held within
    ``0 .. levels - 1``. All else is as in :class:`eoscale_engine.procedures.texture.Texture`.
    """

    stage = "Texture"
    border: ClassVar[str] = "invalid"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"features": FEATURES, "bounds": ((0, 90), (-5, 200)), "levels": 8, "radius": 1},
        {
            "features": ("homogeneity", "correlation", "variance", "entropy"),
            "bounds": ((0, 50), (3, 3)), "radius": 2, "distance": 3, "direction": "135",
            "symmetric": False, "nodata": "propagate",
        },
        {
            "features": PAIR_FEATURES, "bounds": ((-20, 120), (0, 255)), "levels": 256,
            "fill": True,
        },
        {
            "features": ("ASM", "maximum probability"), "bounds": ((0, 90), (0, 90)),
            "levels": 5, "radius": 2, "direction": "45",
        },
    )  # fmt: skip

    features: Any = parameter(kind="data", help="Names of the features, some of FEATURES")
    bounds: Any = parameter(kind="data", help="The pair lower, upper of each band")
    levels: int = parameter(32, minimum=2, maximum=256, help="Number of grey levels")
    radius: int = parameter(3, minimum=1, maximum=MAXIMUM_RADIUS, help="Half-width of the window")
    distance: int = parameter(1, minimum=1, help="Between the pixels of a pair")
    direction: str = parameter(MEAN, choices=DIRECTIONS, help="Of the pairs")
    symmetric: bool = parameter(True, help="Count each pair in both orders")
    nodata: str = parameter("ignore", choices=("ignore", "propagate"), help="In the window")
    fill: bool = parameter(False, help="Give invalid pixels a value too")

    def validate(self) -> None:
        """Refuse pairs longer than the window, and features that there are not."""
        check_distance(self.distance, self.radius)
        if not self.features or not set(self.features) <= set(FEATURES):
            raise InputError(f"Texture: choose one or more of {', '.join(FEATURES)}.")

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse an image of another number of bands than there are bounds."""
        super().check(inputs)
        count = inputs["INPUT"][0].count
        if len(self.bounds) != count:
            raise InputError(f"Texture: {count} bands need as many bounds, not {len(self.bounds)}.")

    @property
    def margin(self) -> int:
        """The radius: both pixels of a pair lie inside the window."""
        return self.radius

    @property
    def makes_invalid(self) -> bool:
        """Where no pair lies in the image, or, propagating, near its border."""
        return True

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """One band for each feature of each band, named after both."""
        profile = inputs[0]
        names = tuple(
            f"{band.name or f'band{number}'} {feature}" if profile.count > 1 else feature
            for number, band in zip(profile.band_numbers, profile.bands)
            for feature in self._wanted
        )
        return [profile.with_dtype("float32").with_bands(names)]

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block, count = blocks[0], len(self._wanted)
        bands, rows, cols = block.pixels.shape
        shape = (bands * count, rows - 2 * self.radius, cols - 2 * self.radius)
        result = np.empty(shape, np.float32)
        found = None if block.valid is None else np.empty(shape, bool)
        for band in range(bands):
            part = slice(band * count, (band + 1) * count)
            valid = None if block.valid is None or block.valid[band].all() else block.valid[band]
            about = block.profile.bands[band]
            grey = grey_levels(block.pixels[band], about, self.bounds[band], self.levels)
            where = self._compute(grey, valid, result[part])
            if found is not None:
                found[part] = True if where is None else where
        return result, found

    @property
    def _wanted(self) -> tuple[str, ...]:
        return tuple(feature for feature in FEATURES if feature in self.features)

    def _compute(
        self, grey: np.ndarray, valid: Optional[np.ndarray], out: np.ndarray
    ) -> Optional[np.ndarray]:
        """The features of one band, ``(features, rows, cols)``; returns where they are valid."""
        directions = tuple(STEPS) if self.direction == MEAN else (self.direction,)
        filled = np.zeros(out.shape[1:], np.float32)
        out[...] = 0
        for direction in directions:
            pairs = pairs_of(
                grey, valid, direction, distance=self.distance, radius=self.radius,
                levels=self.levels, symmetric=self.symmetric,
            )  # fmt: skip
            counted = pairs.number > 0
            filled += counted
            for place, values in enumerate(self._features(pairs)):
                if valid is not None:
                    np.copyto(values, 0, where=~counted)
                out[place] += values
        np.divide(out, np.maximum(filled, 1), out=out)
        return None if valid is None else self._found(filled, valid)

    def _features(self, pairs: Pairs) -> Sequence[np.ndarray]:
        """The wanted features of one direction, in order."""
        matrix = set(self._wanted) & set(MATRIX_FEATURES)
        found = matrix_features(pairs, matrix) if matrix else {}
        return [found[name] if name in found else getattr(pairs, name)() for name in self._wanted]

    def _found(self, filled: np.ndarray, valid: np.ndarray) -> np.ndarray:
        """Where there is a value: near invalid pixels as the nodata policy says."""
        inner = slice(self.radius, -self.radius)
        found = filled > 0
        if not self.fill:
            found &= valid[inner, inner]
        if self.nodata == "propagate":
            side = 2 * self.radius + 1
            found &= box_sums(valid.astype(np.uint16), side, side) == side * side
        return found
