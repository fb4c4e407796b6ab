"""Which way terrain faces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan, pi
from typing import Optional

import numpy as np

from eoscale_engine.declaration import parameter
from eoscale_engine.filters.terrain.elevation import (
    TerrainFilter,
    compute_edges_parameter,
    derived,
    gradient,
    method_parameter,
)
from eoscale_engine.filters.terrain.ground import (
    GroundFilter,
    pixel_spacing_parameter,
    spacing,
)
from eoscale_engine.profile import Band, Profile
from eoscale_engine.styles import CYCLE, Ramp, Style
from eoscale_engine.tiling import Window

ANGLES = ("azimuth", "trigonometric")
FLAT = {"no value": nan, "zero": 0.0, "minus one": -1.0}

_NORTH, _EAST, _SOUTH, _WEST = CYCLE[:4]


@dataclass(frozen=True)
class Aspect(GroundFilter, TerrainFilter):
    """Aspect of the terrain: the direction in which it falls at each pixel, in degrees.

    With the rise p to the east and q to the north, the terrain falls most steeply along (-p, -q).
    The azimuth is that direction clockwise from north: 0 north, 90 east, 180 south, 270 west. The
    trigonometric angle is counterclockwise from east. Both are from 0 to below 360.

    p and q come from the 3 x 3 pixels around each one by the formulas of Horn (1981), or of
    Zevenbergen and Thorne (1987), as described for the slope. Flat terrain, p = q = 0, has no
    direction: no value, or 0, or -1.

    The size of cells is that of the geotransform; where coordinates are in degrees it is computed
    in metres, on the ellipsoid of the CRS, at the latitude of each row. Only the proportion of
    width and height matters. Scale is applied. Each band is handled by itself.

    Nodata: where any of the nine pixels is invalid or beyond the image there is no value, unless
    edges are computed: then the line through the two nearest pixels is carried on beyond the image,
    and any other invalid neighbour is taken to be as high as the pixel itself.

    Values are those of gdaldem, save that it takes all cells for squares, and but for the image's
    four corner pixels where edges are computed: it repeats a column there. Pixels: float32, float64
    for 64-bit images; computed in float32 (to some 1e-5 degrees; more where the differences between
    the nine pixels all but cancel) for images of up to 16 bits and float32, in float64 for all
    others.
    """

    name = "aspect"
    label = "Aspect"
    tags = (
        "aspect", "exposition", "orientation", "direction", "azimuth", "dem", "dtm", "elevation",
        "terrain", "gdaldem", "r.slope.aspect", "zero_for_flat",
    )  # fmt: skip
    examples = (
        {},
        {"angle": "trigonometric", "flat": "zero", "method": "Zevenbergen and Thorne"},
        {"flat": "minus one", "compute_edges": True, "pixel_spacing": 5},
    )

    angle: str = parameter(
        "azimuth",
        choices=ANGLES,
        help="Clockwise from north, or counterclockwise from east.",
    )
    flat: str = parameter(
        "no value",
        choices=tuple(FLAT),
        label="Flat terrain",
        help="What pixels get where the terrain is flat and has no direction.",
    )
    method: str = method_parameter()
    compute_edges: bool = compute_edges_parameter()
    pixel_spacing: Optional[float] = pixel_spacing_parameter()

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats, in degrees."""
        return [derived(inputs[0], "aspect", "degrees")]

    def styles(self) -> Sequence[Optional[Style]]:
        """North in red, east in yellow, south in green, west in blue."""
        if self.angle == "azimuth":
            return [Ramp(CYCLE, 0, 360)]
        return [Ramp((_EAST, _NORTH, _WEST, _SOUTH, _EAST), 0, 360)]

    def compute(
        self, z: Sequence[np.ndarray], profile: Profile, band: Band, window: Window
    ) -> np.ndarray:
        """See the class."""
        apart = spacing(profile, window, self.pixel_spacing)
        # downwards, so that the angle needs no change of signs
        east, north = gradient(z, self.method, apart, -self.rise(profile, band))
        flat = (east == 0) & (north == 0)
        first, second = (east, north) if self.angle == "azimuth" else (north, east)
        degrees = np.arctan2(first, second, out=first)
        np.multiply(degrees, 180 / pi, out=degrees)
        turn = (degrees < 0) * degrees.dtype.type(360)
        np.add(degrees, turn, out=degrees)
        # a tiny angle below 0 rounds to a full turn; adding 0 leaves no -0.0
        np.copyto(degrees, 0, where=degrees >= 360)
        np.add(degrees, 0, out=degrees)
        np.copyto(degrees, FLAT[self.flat], where=flat)
        return degrees
