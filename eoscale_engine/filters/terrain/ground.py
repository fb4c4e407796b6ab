"""Distances and heights on the ground: the size of cells, and the units of maps and elevations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import pi
from typing import Any, NamedTuple, Optional

import numpy as np
from osgeo import osr

from eoscale_engine.declaration import Declaration, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.profile import CRS, Affine, Band, Profile
from eoscale_engine.tiling import Window

FOOT, SURVEY_FOOT = 0.3048, 1200 / 3937

METRES_IN = {
    "m": 1.0, "metre": 1.0, "meter": 1.0, "metres": 1.0, "meters": 1.0,
    "cm": 0.01, "centimetre": 0.01, "centimeter": 0.01, "km": 1000.0,
    "ft": FOOT, "foot": FOOT, "feet": FOOT, "international foot": FOOT,
    "us survey foot": SURVEY_FOOT, "us survey feet": SURVEY_FOOT, "ftus": SURVEY_FOOT,
    "us-ft": SURVEY_FOOT,
}  # fmt: skip
"""Units that bands name, in metres."""


COLORS = frozenset({"Red", "Green", "Blue", "Palette"})
"""What GDAL calls bands of pictures."""


class GroundFilter(Declaration):
    """What looks at distances between pixels and at how much elevations rise over them.

    Its declarations have a field ``pixel_spacing``; ``z_factor`` is one where heights matter, else
    only their proportions do.
    """

    pixel_spacing: Optional[float]
    z_factor: Optional[float] = 1.0

    @property
    def places(self) -> str:
        """Cells have a size, unless it is given."""
        return "" if self.pixel_spacing is not None else "cells"

    def validate(self) -> None:
        """Refuse elevations that are all zero."""
        if self.z_factor == 0:
            raise InputError(f"{self.label}: 'Z factor' is 0, which makes all terrain flat. Use 1.")

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse grids on which east and north are not along rows and columns."""
        super().check(inputs)
        check_grid(self.label, inputs["INPUT"][0], self.pixel_spacing)

    def doubts(self, inputs: Mapping[str, Sequence[Profile]]) -> Sequence[str]:
        """Pictures, and a Z factor that makes degrees of metres, which is done already."""
        (profile,) = inputs["INPUT"]
        colors = sorted({band.color for band in profile.bands} & COLORS)
        if colors:
            text = (
                f"{self.label}: the image seems to hold no elevations, but colours "
                f"({', '.join(colors)}). Choose an elevation model."
            )
            return (text,)
        geographic = profile.crs is not None and profile.crs.is_geographic
        if not geographic or self.z_factor is None or abs(self.z_factor) > 1e-4:
            return ()
        text = (
            f"{self.label}: the Z factor {self.z_factor:g} seems to convert metres to degrees. "
            "Distances are computed in metres already, so that the terrain gets flat. Leave the "
            "Z factor empty."
        )
        return (text,)

    def remarks(self, inputs: Mapping[str, Sequence[Profile]]) -> Sequence[str]:
        """Which unit elevations are in, where it is not the map's, or not known to be."""
        (profile,) = inputs["INPUT"]
        if self.z_factor is not None or profile.crs is None:
            return ()
        across, name = _units(profile.crs.to_wkt()).across
        found = []
        for band in profile.bands:
            unit, factor = _heights(profile.crs, band)
            if not unit and across != 1:
                found.append(
                    f"{self.label}: elevations are taken to be in the map's unit, {name}. If they "
                    f"are metres, set the Z factor to {1 / across:.6g}."
                )
            elif factor != 1:
                found.append(
                    f"{self.label}: elevations are in the unit {unit}, map distances in the unit "
                    f"{name}: elevations are multiplied by {factor:.6g}. A Z factor takes the "
                    "place of that."
                )
        return found

    def rise(self, profile: Profile, band: Band) -> float:
        """What stored elevations are multiplied by, so that they are in the map's unit."""
        if self.z_factor is not None:
            return self.z_factor * band.scale
        return band.scale * (1.0 if profile.crs is None else _heights(profile.crs, band)[1])


def z_factor_parameter() -> Any:
    """What elevations are multiplied by."""
    return parameter(
        None,
        minimum=-1e6,
        maximum=1e6,
        label="Z factor",
        help="Multiplies elevations: to exaggerate them, or to convert them to the unit of the "
        "map's coordinates (metres where those are degrees). Feet on a map in metres: 0.3048. "
        "Empty: found from the unit of the vertical CRS, or else of the band; 1 where neither has "
        "one.",
    )


def pixel_spacing_parameter() -> Any:
    """The distance between neighbours, where the geotransform does not tell it."""
    return parameter(
        None,
        minimum=1e-12,
        maximum=1e12,
        unit="map units",
        label="Pixel spacing",
        help="Distance between neighbouring pixels, in place of that of the geotransform. In "
        "degrees where coordinates are in degrees: metres are computed from it too.",
        advanced=True,
    )


class Spacing(NamedTuple):
    """How far apart neighbours are: to the east by column, to the north by row, both signed.

    Numbers, or arrays of ``(rows, 1)`` where each row has its own.
    """

    east: np.ndarray
    north: np.ndarray


def spacing(profile: Profile, window: Window, pixel_spacing: Optional[float] = None) -> Spacing:
    """Distances between cells in the unit of the map, in metres for geographic coordinates.

    On the ellipsoid of the CRS at the latitude of each row: the radii of curvature of the meridian
    and of the prime vertical, times the angle.
    """
    transform = profile.transform or Affine(e=-1.0)
    east, north = np.asarray(transform.a), np.asarray(transform.e)
    if pixel_spacing is not None:
        east, north = np.copysign(pixel_spacing, east), np.copysign(pixel_spacing, north)
    ellipsoid = None if profile.crs is None else _units(profile.crs.to_wkt()).ellipsoid
    if ellipsoid is None:
        return Spacing(east, north)
    axis, squared_eccentricity, radians = ellipsoid
    rows = np.arange(window.row, window.end_row)[:, None]
    latitude = (transform.f + transform.e * (rows + 0.5)) * radians
    curved = 1 - squared_eccentricity * np.sin(latitude) ** 2
    across = axis / np.sqrt(curved)
    along = across * (1 - squared_eccentricity) / curved
    return Spacing(east * radians * across * np.cos(latitude), north * radians * along)


class Units(NamedTuple):
    """What a CRS says of distances and heights.

    Attributes
    ----------
    ellipsoid : (float, float, float) or None
        Major axis in metres, squared eccentricity, radians in a unit; None unless geographic.
    vertical : (float, str) or None
        Metres in the unit of heights, and its name; None where no vertical CRS is in it.
    across : (float, str)
        Metres in the unit of distances, and its name: metres on the ellipsoid.
    """

    ellipsoid: Optional[tuple[float, float, float]]
    vertical: Optional[tuple[float, str]]
    across: tuple[float, str]


@lru_cache(maxsize=16)
def _units(wkt: str) -> Units:
    reference = osr.SpatialReference()
    reference.ImportFromWkt(wkt)
    vertical = None
    if reference.IsVertical():
        unit = reference.GetAttrValue("VERT_CS|UNIT", 0) or ""
        vertical = reference.GetTargetLinearUnits("VERT_CS"), unit
    if not reference.IsGeographic():
        return Units(None, vertical, (reference.GetLinearUnits(), reference.GetLinearUnitsName()))
    inverse = reference.GetInvFlattening()
    flattening = 1 / inverse if inverse else 0.0
    radians = reference.GetAngularUnits() or pi / 180
    ellipsoid = reference.GetSemiMajor(), flattening * (2 - flattening), radians
    return Units(ellipsoid, vertical, (1.0, "metre"))


def _heights(crs: CRS, band: Band) -> tuple[str, float]:
    """The unit of elevations, empty where nothing names it, and how many of the map's it is."""
    units = _units(crs.to_wkt())
    metres, name = units.vertical or (METRES_IN.get(band.unit.lower()), band.unit)
    if metres is None:
        return "", 1.0
    factor = metres / units.across[0]
    return name, 1.0 if abs(factor - 1) < 1e-9 else factor


def check_grid(label: str, profile: Profile, pixel_spacing: Optional[float]) -> None:
    """Refuse grids on which east and north are not along rows and columns, or beyond the poles."""
    transform = profile.transform
    if transform is None:
        return
    turned = max(abs(transform.b), abs(transform.d))
    if turned > 1e-6 * min(abs(transform.a), abs(transform.e)):
        raise InputError(
            f"{label}: the image's rows do not run from west to east (its geotransform is "
            "rotated). Warp it to a grid with north up first (Raster > Projections > Warp, or "
            "gdalwarp)."
        )
    ellipsoid = None if profile.crs is None else _units(profile.crs.to_wkt()).ellipsoid
    if ellipsoid and profile.crs:
        ends = (transform.f + transform.e * (row + 0.5) for row in (0, profile.height - 1))
        farthest = max(ends, key=abs)
        if abs(farthest) * ellipsoid[2] > pi / 2 + 1e-9:
            raise InputError(
                f"{label}: the coordinates of the image reach to {farthest:.7g}, which is no "
                f"latitude, but its CRS ({profile.crs.name}) is in degrees. Assign the CRS that "
                "it is in."
            )
        if pixel_spacing is not None and pixel_spacing * ellipsoid[2] > pi / 18:
            raise InputError(
                f"{label}: 'Pixel spacing' is {pixel_spacing:.7g}, but the image's CRS "
                f"({profile.crs.name}) is in degrees. Give degrees, or leave it empty."
            )
