"""How steep terrain is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import pi
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
    z_factor_parameter,
)
from eoscale_engine.profile import Band, Profile
from eoscale_engine.styles import SLOPE, Ramp, Style
from eoscale_engine.tiling import Window

UNITS = ("degrees", "percent", "radians")


@dataclass(frozen=True)
class Slope(GroundFilter, TerrainFilter):
    """Slope of the terrain: how steeply it falls at each pixel.

    With the rise p to the east and q to the north, the slope is arctan(sqrt(p^2 + q^2)) in degrees
    or radians, or 100 sqrt(p^2 + q^2) in percent. With the elevations

        a b c
        d e f
        g h i

    around a pixel and cells of the width w and the height h:

    - Horn: p = (c + 2 f + i - a - 2 d - g) / (8 w), q = (a + 2 b + c - g - 2 h - i) / (8 h)
    - Zevenbergen and Thorne: p = (f - d) / (2 w), q = (b - h) / (2 h)

    The size of cells is that of the geotransform. Where coordinates are in degrees it is computed
    in metres, on the ellipsoid of the CRS, at the latitude of each row. Elevations are in the unit
    that a vertical CRS or else the band names, without one in that of the map's coordinates (metres
    for degrees); they are converted to the latter, unless a Z factor is given. Scale and offset of
    the image are applied. Each band is handled by itself.

    Nodata: where any of the nine pixels is invalid or beyond the image there is no value, unless
    edges are computed: then the line through the two nearest pixels is carried on beyond the image,
    and any other invalid neighbour is taken to be as high as the pixel itself.

    Values are those of gdaldem, but for the image's four corner pixels where edges are computed: it
    repeats a column there. Pixels: float32, float64 for 64-bit images; computed in float32 (to 1e-6
    of the steepest rise between two of the nine pixels) for images of up to 16 bits and float32, in
    float64 for all others.

    B. K. P. Horn, "Hill shading and the reflectance map", Proceedings of the IEEE 69, 1981.
    L. W. Zevenbergen and C. R. Thorne, "Quantitative analysis of land surface topography", Earth
    Surface Processes and Landforms 12, 1987.
    """

    name = "slope"
    label = "Slope"
    tags = (
        "slope", "gradient", "steepness", "inclination", "dem", "dtm", "elevation", "terrain",
        "gdaldem", "r.slope.aspect", "topographic",
    )  # fmt: skip
    examples = (
        {},
        {"method": "Zevenbergen and Thorne", "unit": "percent", "compute_edges": True},
        {"unit": "radians", "pixel_spacing": 10, "z_factor": 0.3048, "compute_edges": True},
    )

    unit: str = parameter("degrees", choices=UNITS, help="Angle, or rise over run times 100.")
    method: str = method_parameter()
    z_factor: Optional[float] = z_factor_parameter()
    compute_edges: bool = compute_edges_parameter()
    pixel_spacing: Optional[float] = pixel_spacing_parameter()

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats in the unit that was asked for."""
        return [derived(inputs[0], "slope", "%" if self.unit == "percent" else self.unit)]

    def styles(self) -> Sequence[Optional[Style]]:
        """From white on flat terrain to dark red."""
        return [Ramp(SLOPE, minimum=0)]

    def compute(
        self, z: Sequence[np.ndarray], profile: Profile, band: Band, window: Window
    ) -> np.ndarray:
        """See the class."""
        apart = spacing(profile, window, self.pixel_spacing)
        east, north = gradient(z, self.method, apart, self.rise(profile, band))
        np.multiply(east, east, out=east)
        np.multiply(north, north, out=north)
        rise = np.add(east, north, out=east)
        np.sqrt(rise, out=rise)
        if self.unit == "percent":
            np.multiply(rise, 100, out=rise)
        else:
            np.arctan(rise, out=rise)
            if self.unit == "degrees":
                np.multiply(rise, 180 / pi, out=rise)
        return rise
