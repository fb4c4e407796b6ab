"""Areas of pixels against published figures and sums of small pieces on the ellipsoid."""

from __future__ import annotations

import math
from typing import Any, Optional

import numpy as np
import pytest
from osgeo import osr

from eoscale_engine.profile import CRS, Affine, Profile
from eoscale_engine.reductions.areas import area_note, differing, row_areas


def crs_of(text: str) -> CRS:
    reference = osr.SpatialReference()
    assert reference.SetFromUserInput(text) == 0
    return CRS(reference.ExportToWkt(["FORMAT=WKT2_2019"]))


def areas(crs: Optional[str], transform: Any, height: int, width: int = 1) -> Any:
    reference = None if crs is None else crs_of(crs)
    return row_areas(Profile(width, height, "uint8", crs=reference, transform=transform))


def integrated(south: float, north: float, width: float, major: float, flattening: float) -> float:
    """The area of a cell in degrees: radii of curvature times small steps, by Simpson's rule."""
    squared = flattening * (2 - flattening)
    latitudes = np.radians(np.linspace(south, north, 20001))
    w = np.sqrt(1 - squared * np.sin(latitudes) ** 2)
    density = (major / w) * np.cos(latitudes) * (major * (1 - squared) / w**3)
    weights = np.full(latitudes.size, 2.0)
    weights[1::2], weights[[0, -1]] = 4.0, 1.0
    step = (latitudes[-1] - latitudes[0]) / (latitudes.size - 1)
    return float((density * weights).sum() * step / 3 * math.radians(width))


@pytest.mark.parametrize("rows", [1, 2, 180, 43200])
def test_the_whole_earth(rows: int) -> None:
    """510 065 621.7 square kilometres on WGS 84 (GRS 80: 510 065 621.7 too; Moritz 2000)."""
    found = areas("EPSG:4326", Affine(0.5, 0, -180, 0, -180 / rows, 90), rows)
    assert found.sum() * 720 == pytest.approx(510_065_621.7e6, rel=1e-9)


@pytest.mark.parametrize("size", [0.25, 1e-3, 1e-6])
@pytest.mark.parametrize("north", [89.75, 48.0, 0.1, -33.3])
def test_a_pixel_of_any_size(size: float, north: float) -> None:
    found = areas("EPSG:4326", Affine(size, 0, 7, 0, -size, north), 1)
    wanted = integrated(north - size, north, size, 6378137, 1 / 298.257223563)
    # what is left is the rounding of the reference's own latitudes
    assert found[0] == pytest.approx(wanted, rel=max(1e-12, 1e-13 / size))


def test_tiny_pixels_lose_nothing_to_cancellation() -> None:
    """A pixel of a tenth of a millimetre: a plane with the ellipsoid's two radii."""
    size, latitude = 1e-9, 48.0
    found = areas("EPSG:4326", Affine(size, 0, 7, 0, -size, latitude), 1)
    squared = (1 / 298.257223563) * (2 - 1 / 298.257223563)
    w = math.sqrt(1 - squared * math.sin(math.radians(latitude)) ** 2)
    radii = 6378137**2 * (1 - squared) / w**4 * math.cos(math.radians(latitude))
    assert found[0] == pytest.approx(radii * math.radians(size) ** 2, rel=1e-10)


def test_rows_from_south_to_north() -> None:
    down = areas("EPSG:4326", Affine(1, 0, 0, 0, -1, 60), 30)
    up = areas("EPSG:4326", Affine(1, 0, 0, 0, 1, 30), 30)
    np.testing.assert_allclose(up, down[::-1], rtol=1e-14)


def test_rows_beyond_the_poles() -> None:
    """Pixels centred on the poles, as climate models have them, and one row more."""
    found = areas("EPSG:4326", Affine(2.5, 0, -1.25, 0, -2.5, 93.75), 75)
    assert found[0] == found[-1] == 0
    assert found[1] == pytest.approx(integrated(88.75, 90, 2.5, 6378137, 1 / 298.257223563))
    assert found.sum() * 144 == pytest.approx(510_065_621.7e6, rel=1e-9)


def test_other_bodies_and_units() -> None:
    moon = areas("+proj=longlat +R=1737400 +no_defs", Affine(1, 0, 0, 0, -1, 90), 180)
    assert moon.sum() * 360 == pytest.approx(4 * math.pi * 1737400**2, rel=1e-12)
    clarke = areas("EPSG:4275", Affine(1, 0, 0, 0, -1, 49), 1)  # NTF
    grads = areas("EPSG:4807", Affine(1 / 0.9, 0, 0, 0, -1 / 0.9, 49 / 0.9), 1)  # NTF (Paris)
    assert clarke[0] == pytest.approx(integrated(48, 49, 1, 6378249.2, 1 - 6356515 / 6378249.2))
    assert grads[0] == pytest.approx(clarke[0], rel=1e-12)


def test_projected_grids() -> None:
    assert areas("EPSG:32631", Affine(10, 0, 5e5, 0, -10, 4e6), 3).tolist() == [100] * 3
    assert areas("EPSG:32631", Affine(3, 4, 5e5, 4, -3, 4e6), 1).tolist() == [25]
    feet = areas("EPSG:2263", Affine(1, 0, 0, 0, -1, 0), 1)  # US survey feet
    assert feet[0] == pytest.approx((1200 / 3937) ** 2, rel=1e-12)
    compound = areas("EPSG:32631+5773", Affine(2, 0, 0, 0, -2, 0), 1)
    assert compound.tolist() == [4]


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (None, Affine()),
        ("EPSG:4326", None),
        ("EPSG:4326", Affine(1, 0.1, 0, 0, -1, 0)),
        ("EPSG:4326", Affine(1, 0, 0, 0.1, -1, 0)),
        ("EPSG:4978", Affine()),
        ('LOCAL_CS["plan",UNIT["metre",1]]', Affine()),
        ("+proj=ob_tran +o_proj=longlat +o_lon_p=0 +o_lat_p=30 +lon_0=10", Affine()),
    ],
)
def test_no_area(crs: Optional[str], transform: Any) -> None:
    assert areas(crs, transform, 2) is None


@pytest.mark.parametrize(
    ("crs", "wanted"), [(None, "no areas"), ("EPSG:32631", "plane"), ("EPSG:4326", "ellipsoid")]
)
def test_notes(crs: Optional[str], wanted: str) -> None:
    reference = None if crs is None else crs_of(crs)
    found = area_note(Profile(1, 1, "uint8", crs=reference, transform=Affine()), "hectares")
    assert wanted in found
    assert ("hectares" in found) == (crs is not None)


def test_rows_that_differ() -> None:
    assert differing(None) is None
    assert differing(np.ones(3)) is None
    assert differing(np.arange(3.0)) is not None
