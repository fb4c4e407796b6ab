"""How terrain bends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple, Optional

import numpy as np
from osgeo import osr

from eoscale_engine.declaration import parameter
from eoscale_engine.filters.terrain.elevation import (
    TerrainFilter,
    compute_edges_parameter,
    derived,
)
from eoscale_engine.filters.terrain.ground import (
    GroundFilter,
    Spacing,
    pixel_spacing_parameter,
    spacing,
    z_factor_parameter,
)
from eoscale_engine.profile import CRS, Band, Profile
from eoscale_engine.styles import DIVERGING, HEAT, Ramp, Style
from eoscale_engine.tiling import Window

CURVATURES = (
    "profile", "plan", "tangential", "mean", "Gaussian", "minimal", "maximal", "general", "total"
)  # fmt: skip
METHODS = ("Zevenbergen and Thorne", "Evans")

_SQUARED = ("Gaussian", "total")


@dataclass(frozen=True)
class Curvature(GroundFilter, TerrainFilter):
    """Curvature of the terrain: how it bends, down the slope, across it, or in all directions.

    With the first derivatives p to the east and q to the north, the second ones r to the east, t to
    the north and s mixed, g = p^2 + q^2 and n = 1 + g:

    - profile, along the line of steepest slope: -(p^2 r + 2 p q s + q^2 t) / (g n^1.5)
    - plan, of contour lines: -(q^2 r - 2 p q s + p^2 t) / g^1.5
    - tangential, across the slope: -(q^2 r - 2 p q s + p^2 t) / (g n^0.5)
    - mean: H = -((1 + q^2) r - 2 p q s + (1 + p^2) t) / (2 n^1.5)
    - Gaussian: K = (r t - s^2) / n^2
    - minimal, maximal: H - sqrt(H^2 - K), H + sqrt(H^2 - K)
    - general, the negative Laplacian: -(r + t)
    - total: r^2 + 2 s^2 + t^2

    Signs are the same throughout: above 0 where terrain is convex (bulges out, as a hill, ridge or
    spur), below 0 where it is concave. So the profile curvature has the opposite sign of ArcGIS's,
    and general is ArcGIS's standard curvature, which is in hundredths. On flat terrain (p = q = 0)
    profile, plan and tangential are 0. Units are one over the unit of the map's coordinates,
    1/m for metres and degrees, squared for Gaussian and total.

    Zevenbergen and Thorne take derivatives from the surface through all nine pixels around each
    one; Evans from the quadratic that fits them best by least squares, which is less sensitive to
    noise. The size of cells is that of the geotransform. Where coordinates are in degrees it is
    computed in metres, on the ellipsoid of the CRS, at the latitude of each row. Elevations are in
    the unit that a vertical CRS or else the band names, without one in that of the map's
    coordinates (metres for degrees); they are converted to the latter, unless a Z factor is given.
    Scale and offset are applied. Each band is handled by itself.

    Nodata: where any of the nine pixels is invalid or beyond the image there is no value, unless
    edges are computed: then the line through the two nearest pixels is carried on beyond the image,
    and any other invalid neighbour is taken to be as high as the pixel itself.

    Pixels: float32, float64 for 64-bit images; computed in float64.

    I. S. Evans, "An integrated system of terrain analysis and slope mapping", University of Durham,
    1979. L. W. Zevenbergen and C. R. Thorne, "Quantitative analysis of land surface topography",
    Earth Surface Processes and Landforms 12, 1987. I. V. Florinsky, "An illustrated introduction to
    general geomorphometry", Progress in Physical Geography 41, 2017. J. P. Wilson and J. C.
    Gallant, "Terrain Analysis", Wiley 2000.
    """

    name = "curvature"
    label = "Curvature"
    tags = (
        "curvature", "profile curvature", "plan curvature", "tangential curvature", "convexity",
        "concavity", "laplacian", "principal curvatures", "dem", "dtm", "elevation", "terrain",
        "r.slope.aspect", "r.param.scale", "morphometry",
    )  # fmt: skip
    examples = (
        {},
        {"curvature": "plan", "method": "Evans", "compute_edges": True},
        {"curvature": "maximal", "pixel_spacing": 10, "z_factor": 0.3048},
        {"curvature": "total", "method": "Evans", "compute_edges": True},
    )

    curvature: str = parameter(
        "profile",
        choices=CURVATURES,
        help="Down the slope (profile), of contour lines (plan), across the slope (tangential), "
        "of the surface as a whole (mean, Gaussian), where it bends least and most upwards "
        "(minimal, maximal), without regard to slope (general, total).",
    )
    method: str = parameter(
        "Zevenbergen and Thorne",
        choices=METHODS,
        help="The surface through all nine pixels, or the quadratic that fits them best.",
    )
    z_factor: Optional[float] = z_factor_parameter()
    compute_edges: bool = compute_edges_parameter()
    pixel_spacing: Optional[float] = pixel_spacing_parameter()

    def computed_in(self, profile: Profile) -> np.dtype:
        """float64: the formulas subtract products of nearly the same size."""
        return np.dtype(np.float64)

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats, in one over the unit of the map's coordinates or its square."""
        unit = _unit(inputs[0].crs, squared=self.curvature in _SQUARED)
        return [derived(inputs[0], f"{self.curvature} curvature", unit)]

    def styles(self) -> Sequence[Optional[Style]]:
        """Concave terrain blue, convex terrain red."""
        if self.curvature == "total":
            return [Ramp(HEAT, minimum=0)]
        return [Ramp(DIVERGING, symmetric=True)]

    def compute(
        self, z: Sequence[np.ndarray], profile: Profile, band: Band, window: Window
    ) -> np.ndarray:
        """See the class."""
        apart = spacing(profile, window, self.pixel_spacing)
        bent = _derivatives(z, self.method, apart, self.rise(profile, band))
        if self.curvature in ("profile", "plan", "tangential"):
            return _by_slope(bent, self.curvature)
        if self.curvature == "general":
            return -(bent.r + bent.t)
        if self.curvature == "total":
            return bent.r**2 + 2 * bent.s**2 + bent.t**2
        return _of_surface(bent, self.curvature)


@lru_cache(maxsize=16)
def _unit(crs: Optional[CRS], *, squared: bool) -> str:
    """One over the map's unit of length, or its square; metres where coordinates are degrees."""
    if crs is None:
        return ""
    reference = osr.SpatialReference()
    reference.ImportFromWkt(crs.to_wkt())
    metres = reference.IsGeographic() or reference.GetLinearUnits() == 1
    name = "m" if metres else f"({reference.GetLinearUnitsName()})"
    return f"1/{name}^2" if squared else f"1/{name}"


class Derivatives(NamedTuple):
    """First derivatives p (east) and q (north); second r (east), s (mixed) and t (north)."""

    p: np.ndarray
    q: np.ndarray
    r: np.ndarray
    s: np.ndarray
    t: np.ndarray


def _derivatives(z: Sequence[np.ndarray], method: str, apart: Spacing, rise: float) -> Derivatives:
    upper, middle, lower = z[2] - z[0], z[5] - z[3], z[8] - z[6]
    s = lower - upper
    r = _second(z, (3, 4, 5))
    t = _second(z, (1, 4, 7))
    if method == "Evans":
        p = (upper + middle) + lower
        q = ((z[6] - z[0]) + (z[7] - z[1])) + (z[8] - z[2])
        r += _second(z, (0, 1, 2)) + _second(z, (6, 7, 8))
        t += _second(z, (0, 3, 6)) + _second(z, (2, 5, 8))
        rows = 3
    else:
        p, q, rows = middle, z[7] - z[1], 1
    east, north = apart
    p *= rise / (2 * rows * east)
    q *= rise / (2 * rows * north)
    r *= rise / (rows * east**2)
    s *= rise / (4 * east * north)
    t *= rise / (rows * north**2)
    return Derivatives(p, q, r, s, t)


def _second(z: Sequence[np.ndarray], places: tuple[int, int, int]) -> np.ndarray:
    """The second difference along a line of three pixels."""
    first, middle, last = (z[place] for place in places)
    difference: np.ndarray = (first - middle) + (last - middle)
    return difference


def _by_slope(bent: Derivatives, curvature: str) -> np.ndarray:
    """Curvatures that depend on where the terrain falls; 0 where it does not."""
    p, q, r, s, t = bent
    square_p, square_q, product = p * p, q * q, p * q
    steepness = square_p + square_q
    if curvature == "profile":
        bend = square_p * r + 2 * product * s + square_q * t
        divisor = steepness * (1 + steepness) * np.sqrt(1 + steepness)
    else:
        bend = square_q * r - 2 * product * s + square_p * t
        plan = curvature == "plan"
        divisor = steepness * np.sqrt(steepness if plan else 1 + steepness)
    bend /= -divisor
    np.copyto(bend, 0, where=divisor == 0)
    return bend


def _of_surface(bent: Derivatives, curvature: str) -> np.ndarray:
    """Curvatures that are the same however the surface is turned."""
    p, q, r, s, t = bent
    square_p, square_q = p * p, q * q
    normal = 1 + square_p + square_q
    gaussian = (r * t - s * s) / (normal * normal)
    if curvature == "Gaussian":
        return gaussian
    mean = (1 + square_q) * r - 2 * (p * q) * s + (1 + square_p) * t
    mean /= -2 * (normal * np.sqrt(normal))
    if curvature == "mean":
        return mean
    spread = np.sqrt(np.maximum(mean * mean - gaussian, 0))
    principal: np.ndarray = mean - spread if curvature == "minimal" else mean + spread
    return principal
