"""Terrain as the sun lights it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, radians, sin, sqrt
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
from eoscale_engine.styles import GREY, Ramp, Style
from eoscale_engine.tiling import Window

MODES = ("regular", "combined", "multidirectional", "Igor")


@dataclass(frozen=True)
class Hillshade(GroundFilter, TerrainFilter):
    """Hillshade: the terrain as a grey image, lit by a sun at a given place in the sky.

    With the rise p to the east and q to the north, the sun's azimuth A and altitude H, and
    c = (sin H - cos H (p sin A + q cos A)) / sqrt(1 + p^2 + q^2), the cosine of the angle between
    the sun and the terrain's normal:

    - regular: 1 + 254 c, at least 1
    - combined: 1 + 254 (1 - arccos(c) arctan(sqrt(p^2 + q^2)) / (pi / 2)^2), at least 1:
      steep slopes darker
    - multidirectional: 1 + 254 times the mean of c, at least 0, for azimuths of 225, 270, 315 and
      360 degrees, weighted by sin(aspect - azimuth)^2; the azimuth is not used
    - Igor: 255 (1 - s t) with the slope s as a part of 90 degrees, and t from 0 where the terrain
      faces the sun to 1 where it faces away: leaves the colours of a map below it bright; the
      altitude is not used

    p and q come from the 3 x 3 pixels around each one by the formulas of Horn (1981), or of
    Zevenbergen and Thorne (1987), as described for the slope.

    The size of cells is that of the geotransform. Where coordinates are in degrees it is computed
    in metres, on the ellipsoid of the CRS, at the latitude of each row. Elevations are in the unit
    that a vertical CRS or else the band names, without one in that of the map's coordinates (metres
    for degrees); they are converted to the latter, unless a Z factor is given. Scale is applied.
    Each band is handled by itself.

    Nodata: where any of the nine pixels is invalid or beyond the image there is no value, unless
    edges are computed: then the line through the two nearest pixels is carried on beyond the image,
    and any other invalid neighbour is taken to be as high as the pixel itself.

    Values are those of gdaldem, at times 1 more or less by rounding, but for the image's four
    corner pixels where edges are computed: it repeats a column there. Pixels: uint8, 0 is nodata;
    computed in float32 for images of up to 16 bits and float32, in float64 for all others.

    R. Mark, "Multidirectional, oblique-weighted, shaded-relief image of the Island of Hawaii", USGS
    Open-File Report 92-422, 1992.
    """

    name = "hillshade"
    label = "Hillshade"
    spares_nodata = True
    tags = (
        "hillshade", "shaded relief", "hill shading", "illumination", "sun", "relief", "dem", "dtm",
        "terrain", "gdaldem", "r.relief", "analytical hillshading",
    )  # fmt: skip
    examples = (
        {},
        {"mode": "combined", "compute_edges": True, "pixel_spacing": 100},
        {"mode": "multidirectional", "method": "Zevenbergen and Thorne", "z_factor": 0.1},
        {"mode": "Igor", "azimuth": 20, "z_factor": 0.1},
    )

    mode: str = parameter(
        "regular",
        choices=MODES,
        help="One sun; one sun with steep slopes darker; four suns; or shadows only, for a map "
        "below it (Igor).",
    )
    azimuth: float = parameter(
        315.0,
        minimum=0,
        maximum=360,
        unit="degrees",
        help="Where the light comes from, clockwise from north.",
        counts_when={"mode": ("regular", "combined", "Igor")},
    )
    altitude: float = parameter(
        45.0,
        minimum=0,
        maximum=90,
        unit="degrees",
        help="Height of the sun above the horizon: 90 is overhead.",
        counts_when={"mode": ("regular", "combined", "multidirectional")},
    )
    method: str = method_parameter()
    z_factor: Optional[float] = z_factor_parameter()
    compute_edges: bool = compute_edges_parameter()
    pixel_spacing: Optional[float] = pixel_spacing_parameter()

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Bytes, of which 0 is nodata."""
        return [derived(inputs[0], "hillshade", dtype="uint8").with_nodata(0)]

    def styles(self) -> Sequence[Optional[Style]]:
        """Grey as it is."""
        return [Ramp(GREY, 0, 255)]

    def compute(
        self, z: Sequence[np.ndarray], profile: Profile, band: Band, window: Window
    ) -> np.ndarray:
        """See the class."""
        apart = spacing(profile, window, self.pixel_spacing)
        east, north = gradient(z, self.method, apart, self.rise(profile, band))
        steepness = east * east
        steepness += north * north
        azimuth, altitude = radians(self.azimuth), radians(self.altitude)
        sun = (sin(azimuth) * cos(altitude), cos(azimuth) * cos(altitude), sin(altitude))
        if self.mode == "regular":
            shade = _regular(east, north, steepness, sun)
        elif self.mode == "combined":
            shade = _combined(east, north, steepness, sun)
        elif self.mode == "multidirectional":
            shade = _multidirectional(east, north, steepness, altitude)
        else:
            shade = _igor(east, north, steepness, azimuth)
        # rounded as gdaldem does; beside infinite elevations, which have no shade, black
        np.add(shade, 0.5, out=shade)
        return np.fmax(shade, 1, out=shade)


Sun = tuple[float, float, float]
"""The direction of the sun: eastward, northward, upward."""


def _regular(east: np.ndarray, north: np.ndarray, steepness: np.ndarray, sun: Sun) -> np.ndarray:
    shade = _facing(east, north, [254 * part for part in sun])
    np.add(steepness, 1, out=steepness)
    np.divide(shade, np.sqrt(steepness, out=steepness), out=shade)
    return np.add(shade, 1, out=shade)


def _combined(east: np.ndarray, north: np.ndarray, steepness: np.ndarray, sun: Sun) -> np.ndarray:
    shade = _facing(east, north, sun)
    slope = np.arctan(np.sqrt(steepness))
    np.add(steepness, 1, out=steepness)
    np.divide(shade, np.sqrt(steepness, out=steepness), out=shade)
    np.arccos(np.minimum(shade, 1, out=shade), out=shade)
    np.multiply(shade, slope, out=shade)
    np.multiply(shade, -254 * 4 / pi**2, out=shade)
    return np.add(shade, 255, out=shade)


def _multidirectional(
    east: np.ndarray, north: np.ndarray, steepness: np.ndarray, altitude: float
) -> np.ndarray:
    # the weights add up to twice the steepness, hence 127
    up, flat = 127 * sin(altitude), 127 * cos(altitude)
    half = steepness * 0.5
    product = east * north
    total = np.zeros_like(east)
    for weight, along_east, along_north in (
        (half + product, -sqrt(0.5), -sqrt(0.5)),
        (east * east, -1, 0),
        (half - product, -sqrt(0.5), sqrt(0.5)),
        (north * north, 0, 1),
    ):
        shade = _facing(east.copy(), north, (flat * along_east, flat * along_north, up))
        np.maximum(shade, 0, out=shade)
        np.multiply(shade, weight, out=shade)
        np.add(total, shade, out=total)
    level = steepness == 0
    np.divide(total, steepness, out=total)
    np.add(steepness, 1, out=steepness)
    np.divide(total, np.sqrt(steepness, out=steepness), out=total)
    np.copyto(total, 2 * up, where=level)
    return np.add(total, 1, out=total)


def _igor(east: np.ndarray, north: np.ndarray, steepness: np.ndarray, azimuth: float) -> np.ndarray:
    # the angle between where the terrain falls and where the sun is not
    along = east * sin(azimuth) + north * cos(azimuth)
    across = east * cos(azimuth) - north * sin(azimuth)
    away = np.abs(np.arctan2(across, along, out=across), out=across)
    np.subtract(pi, away, out=away)
    slope = np.arctan(np.sqrt(steepness, out=steepness), out=steepness)
    np.multiply(away, slope, out=away)
    np.multiply(away, -255 * 2 / pi**2, out=away)
    return np.add(away, 255, out=away)


def _facing(east: np.ndarray, north: np.ndarray, sun: Sequence[float]) -> np.ndarray:
    """The product of the sun's direction with the terrain's normal (-east, -north, 1).

    Overwrites ``east``.
    """
    np.multiply(east, -sun[0], out=east)
    np.subtract(east, north * sun[1], out=east)
    return np.add(east, sun[2], out=east)
