"""How much the directions that terrain faces differ around each pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.filters.neighbourhood.windows import (
    SHAPES,
    gather,
    merging,
    unflattened,
    window_size,
)
from eoscale_engine.filters.terrain.elevation import (
    all_around,
    around,
    derived,
    gradient,
    method_parameter,
)
from eoscale_engine.filters.terrain.ground import (
    GroundFilter,
    pixel_spacing_parameter,
    spacing,
    z_factor_parameter,
)
from eoscale_engine.profile import Profile
from eoscale_engine.styles import HEAT, Ramp, Style

_SUM = merging(np.add)


@dataclass(frozen=True)
class VectorRuggedness(GroundFilter, ImageFilter):
    """Vector ruggedness measure (VRM): how much the terrain's normals around a pixel differ.

    1 - |sum(n)| / N for the N unit normals n = (-p, -q, 1) / sqrt(1 + p^2 + q^2) of the pixels in a
    window, with the rise p to the east and q to the north. 0 where all terrain faces the same way,
    however steep it is, up to 1; most natural terrain is below 0.2. Unlike other measures it tells
    rugged from steep.

    p and q come from the 3 x 3 pixels around each one by the formulas of Horn (1981), or of
    Zevenbergen and Thorne (1987), as described for the slope. The window is a square of
    2 radius + 1 pixels, or a disk: the pixels with row^2 + col^2 <= radius^2.

    The size of cells is that of the geotransform. Where coordinates are in degrees it is computed
    in metres, on the ellipsoid of the CRS, at the latitude of each row. Elevations are in the unit
    that a vertical CRS or else the band names, without one in that of the map's coordinates (metres
    for degrees); they are converted to the latter, unless a Z factor is given. Scale is applied.
    Each band is handled by itself.

    Nodata: a pixel has a normal where all of its 3 x 3 pixels are valid and in the image. "ignore"
    takes the normals that the window has; "propagate" gives no value where one is missing, near
    the image's edge too. An invalid pixel stays so.

    Pixels: float32, float64 for 64-bit images; computed in float64.

    J. M. Sappington, K. M. Longshore and D. B. Thompson, "Quantifying landscape ruggedness for
    animal habitat analysis", Journal of Wildlife Management 71, 2007.
    """

    name = "vectorruggedness"
    label = "Vector ruggedness measure (VRM)"
    group = "Terrain"
    tags = (
        "vrm", "ruggedness", "vector dispersion", "sappington", "dem", "dtm", "elevation",
        "terrain", "r.vector.ruggedness",
    )  # fmt: skip
    picture: ClassVar[Mapping[str, Any]] = {"radius": 3}
    examples = (
        {},
        {"radius": 3, "shape": "disk", "nodata": "propagate", "pixel_spacing": 10},
        {"radius": 2, "method": "Zevenbergen and Thorne", "z_factor": 0.1},
    )

    radius: int = parameter(
        1, minimum=1, maximum=256, unit="pixels", help="Half-width of the window; 1 is 3 x 3."
    )
    shape: str = parameter(
        "square",
        choices=SHAPES,
        help="Square of 2 radius + 1 pixels, or disk: the pixels at most the radius away.",
    )
    nodata: str = parameter(
        "ignore",
        choices=("ignore", "propagate"),
        label="Missing normals in the window",
        help="Ignore them, or give no value where there is one. The image's outermost pixels have "
        "no normal.",
    )
    method: str = method_parameter()
    z_factor: Optional[float] = z_factor_parameter()
    pixel_spacing: Optional[float] = pixel_spacing_parameter()

    @property
    def margin(self) -> int:
        """The radius, and one pixel for the normals."""
        return self.radius + 1

    @property
    def makes_invalid(self) -> bool:
        """Near the image's edge, and beside infinite elevations."""
        return True

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats without a unit."""
        return [derived(inputs[0], "VRM")]

    def styles(self) -> Sequence[Optional[Style]]:
        """Even terrain dark."""
        return [Ramp(HEAT, minimum=0)]

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block = blocks[0]
        profile, core, radius = block.profile, block.core, self.radius
        (output,) = self.output_profiles([profile])
        result = np.empty((len(block.pixels), core.rows, core.cols), output.dtype)
        found = None if block.valid is None else np.empty(result.shape, bool)
        size = window_size(self.shape, radius)
        apart = spacing(profile, core.expanded(radius), self.pixel_spacing)
        with np.errstate(all="ignore"):
            for number, band in enumerate(profile.bands):
                valid = None if block.valid is None else block.valid[number]
                rise = self.rise(profile, band)
                z = around(block.pixels[number], np.dtype(np.float64))
                normals = _normals(*gradient(z, self.method, apart, rise), valid)
                total = self._around(normals, result.shape[1:])
                if valid is None or found is None:
                    count: np.ndarray = np.asarray(float(size))
                else:
                    count = total[3]
                    enough = count == size if self.nodata == "propagate" else count > 0
                    inside = slice(self.margin, -self.margin)
                    np.logical_and(enough, valid[inside, inside], out=found[number])
                length = np.sqrt(total[0] ** 2 + total[1] ** 2 + total[2] ** 2)
                # rounding can make the sum of parallel normals longer than their number
                result[number] = np.maximum(1 - length / count, 0)
        return result, found

    def _around(self, normals: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """The sums over the windows of the core."""
        parts, _, pitch = normals.shape
        gathered = gather(_SUM, normals.reshape(parts, -1), pitch, self.shape, self.radius)
        return unflattened(gathered, pitch, shape)


def _normals(east: np.ndarray, north: np.ndarray, valid: Optional[np.ndarray]) -> np.ndarray:
    """Eastward, northward and upward parts of the unit normals; 0 where there is none.

    With a mask, as fourth part whether there is one. The signs of the first two, which play no part
    in a length, are turned around.
    """
    normals = np.empty((3 if valid is None else 4, *east.shape))
    np.divide(1, np.sqrt(1 + east * east + north * north), out=normals[2])
    np.multiply(east, normals[2], out=normals[0])
    np.multiply(north, normals[2], out=normals[1])
    if valid is not None:
        known = np.zeros(east.shape, bool)
        known[:, :-2] = all_around(valid)
        np.copyto(normals, 0, where=~known)
        normals[3] = known
    return normals
