"""The grids of images: whether two are the same, and which pixels an extent means."""

from __future__ import annotations

import math

from eoscale_engine.errors import InputError
from eoscale_engine.profile import Affine, Profile


def grid_difference(first: Profile, other: Profile) -> str:
    """What keeps two images from lying pixel on pixel, in words; empty where they do.

    Geotransforms are compared at the image's corners, to a hundredth of a pixel.
    """
    if (first.width, first.height) != (other.width, other.height):
        return f"sizes {first.width} x {first.height} and {other.width} x {other.height} pixels"
    if first.crs is not None and other.crs is not None and not first.crs.same_as(other.crs):
        return f"CRS {first.crs.name} and {other.crs.name}"
    for one, two in ((first, other), (other, first)):
        if one.control and two.transform is not None:
            return f"{one.control} only and a geotransform"
    if first.transform is not None and other.transform is not None:
        tolerance = 0.01 * max(
            abs(first.transform.a), abs(first.transform.b),
            abs(first.transform.d), abs(first.transform.e),
        )  # fmt: skip
        for place in ((0, 0), (first.width, 0), (0, first.height), (first.width, first.height)):
            one, two = first.transform * place, other.transform * place
            if max(abs(one[0] - two[0]), abs(one[1] - two[1])) > tolerance:
                return (
                    f"geotransforms {_six(first.transform)} and {_six(other.transform)} "
                    "(origin x, cell width, rotation, origin y, rotation, cell height)"
                )
    return ""


def _six(transform: Affine) -> str:
    return "(" + ", ".join(f"{value:.12g}" for value in transform.to_gdal()) + ")"


def window_of_extent(
    profile: Profile, extent: tuple[float, float, float, float]
) -> tuple[int, int, int, int]:
    """Row, column, rows and columns of the pixels that an extent touches, cut to the image.

    ``extent`` is ``(x minimum, y minimum, x maximum, y maximum)`` in the image's CRS (for an image
    without a geotransform in pixels, y upwards from minus the number of rows, as QGIS has it); a
    side that lies on a pixel's edge, to a millionth of a pixel, takes no further pixel. Where the
    geotransform is rotated it is the bounding rectangle in pixels.

    Raises :class:`InputError` where the extent does not meet the image.
    """
    first_row, first_col, last_row, last_col = _touched(profile, extent)
    first_row, last_row = max(0, first_row), min(profile.height, last_row)
    first_col, last_col = max(0, first_col), min(profile.width, last_col)
    if first_col >= last_col or first_row >= last_row:
        raise InputError("The extent does not meet the image. Choose an extent on it.")
    return first_row, first_col, last_row - first_row, last_col - first_col


def grid_reaching(profile: Profile, extent: tuple[float, float, float, float]) -> Profile:
    """The image's grid, larger where an extent (see :func:`window_of_extent`) lies beyond it.

    Raises :class:`InputError` where the extent does not meet the image.
    """
    window_of_extent(profile, extent)
    first_row, first_col, last_row, last_col = _touched(profile, extent)
    row, col = min(0, first_row), min(0, first_col)
    rows, cols = max(profile.height, last_row) - row, max(profile.width, last_col) - col
    return profile.cropped(row, col, rows, cols)


def _touched(
    profile: Profile, extent: tuple[float, float, float, float]
) -> tuple[int, int, int, int]:
    """First row and column, and those behind the last, on the image's grid without an end."""
    x_minimum, y_minimum, x_maximum, y_maximum = extent
    inverse = ~(profile.transform or Affine(e=-1.0))
    corners = [inverse * (x, y) for x in (x_minimum, x_maximum) for y in (y_minimum, y_maximum)]
    cols, rows = zip(*corners)
    tolerance = 1e-6
    first_row, first_col = (math.floor(min(places) + tolerance) for places in (rows, cols))
    last_row, last_col = (math.ceil(max(places) - tolerance) for places in (rows, cols))
    return first_row, first_col, last_row, last_col
