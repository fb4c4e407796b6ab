"""The true area of pixels, from the CRS and the geotransform."""

from __future__ import annotations

import math
from typing import Any, Optional

import numpy as np
from osgeo import osr

from eoscale_engine.profile import Affine, Profile

UNITS = {"square metres": 1.0, "hectares": 1e4, "square kilometres": 1e6}
"""Units of area, in square metres."""

AREA_UNIT: dict[str, Any] = {
    "default": "square metres",
    "choices": tuple(UNITS),
    "label": "Unit of area",
    "help": "Areas are empty for an image without a CRS",
}
"""The parameter ``area_unit``."""


def row_areas(profile: Profile) -> Optional[np.ndarray]:
    """The area of one pixel of each row, in square metres.

    In a projected CRS it is the area in the plane of the map, whatever the projection makes of it
    on the ground: ``|determinant of the geotransform| * (metres per unit)^2``.

    In a geographic CRS it is the area on its ellipsoid (semi-major axis ``a``, eccentricity ``e``)
    between two parallels, from latitude 1 to 2 with ``s = sin(latitude)``, and two meridians:

    ``a^2 / 2 * width in radians * (q2 - q1)``,
    ``q = (1 - e^2) (s / (1 - e^2 s^2) + atanh(e s) / e)``.

    What a row has beyond a pole is no area.

    Returns
    -------
    float64 array of (height,), or None
        None without a CRS or a geotransform, for any other kind of CRS, and where the rows of a
        geographic grid do not follow its parallels.

    Source: J. P. Snyder, "Map Projections - A Working Manual", U.S. Geological Survey Professional
    Paper 1395, 1987, equation 3-12.
    """
    if profile.crs is None or profile.transform is None:
        return None
    transform, reference = profile.transform, osr.SpatialReference()
    reference.ImportFromWkt(profile.crs.to_wkt())
    if reference.IsProjected():
        side = reference.GetLinearUnits()
        determinant = transform.a * transform.e - transform.b * transform.d
        return np.full(profile.height, abs(determinant) * side * side)
    # latitudes of a rotated pole are no latitudes on the ellipsoid
    derived = reference.IsDerivedGeographic()
    if not reference.IsGeographic() or derived or transform.b or transform.d:
        return None
    return _on_ellipsoid(transform, profile.height, reference)


def _on_ellipsoid(transform: Affine, rows: int, reference: osr.SpatialReference) -> np.ndarray:
    """Differences of q without its cancellation, so that small pixels are as exact as large."""
    radians = reference.GetAngularUnits()
    major, minor = reference.GetSemiMajor(), reference.GetSemiMinor()
    squared = max(0.0, 1 - (minor / major) ** 2)
    width, height = abs(transform.a) * radians, abs(transform.e) * radians
    middles = (transform.f + transform.e * (np.arange(rows) + 0.5)) * radians
    pole = math.pi / 2
    ends, starts = np.minimum(middles + height / 2, pole), np.maximum(middles - height / 2, -pole)
    cut = (ends == pole) | (starts == -pole)
    heights = np.where(cut, np.maximum(ends - starts, 0), height)
    middles = np.where(cut, (starts + ends) / 2, middles)
    lower, upper = np.sin(middles - heights / 2), np.sin(middles + heights / 2)
    steps = 2 * np.sin(heights / 2) * np.cos(middles)
    product = squared * lower * upper
    gaps = steps * (1 + product) / ((1 - squared * lower**2) * (1 - squared * upper**2))
    gaps += steps / (1 - product) * _atanh_ratio(squared, steps / (1 - product))
    areas: np.ndarray = major * major / 2 * width * (1 - squared) * gaps
    return areas


def _atanh_ratio(squared: float, steps: np.ndarray) -> np.ndarray:
    """``atanh(x) / x`` for ``x = e * steps``; 1 on a sphere."""
    x = math.sqrt(squared) * steps
    return np.divide(np.arctanh(x), x, out=np.ones_like(x), where=x != 0)


def differing(areas: Optional[np.ndarray]) -> Optional[np.ndarray]:
    """The areas where rows differ; None where a number of pixels says as much."""
    return None if areas is None or areas.min() == areas.max() else areas


def area_note(profile: Profile, unit: str) -> str:
    """What a report says of its areas."""
    if profile.crs is None or row_areas(profile) is None:
        return "There are no areas: the image has no CRS or geotransform that they follow from."
    where = "in the plane of the map" if profile.crs.is_projected else "on the ellipsoid"
    return f"Areas are in {unit}, {where}."
