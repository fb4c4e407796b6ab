"""Profiles: the mapping that filters read, what they write into it, grids and extents."""

from __future__ import annotations

import math
import pickle
from dataclasses import replace
from typing import Any

import pytest
from osgeo import osr

from eoscale_engine.errors import InputError
from eoscale_engine.grids import grid_difference, window_of_extent
from eoscale_engine.profile import (
    CRS,
    Affine,
    Band,
    GroundControlPoint,
    Profile,
    can_hold,
    default_nodata,
    profile_from,
)


def crs(code: int) -> CRS:
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(code)
    return CRS(reference.ExportToWkt(["FORMAT=WKT2_2019"]))


UTM = crs(32631)
PROFILE = Profile(
    30,
    20,
    "int16",
    (Band(-5, name="red"), Band(-5, name="nir")),
    UTM,
    Affine(10, 0, 500, 0, -10, 900),
)


def test_it_reads_as_the_mapping_that_filters_know() -> None:
    values = PROFILE.to_dict()
    assert list(values) == [
        "driver", "dtype", "nodata", "width", "height", "count", "crs", "transform"
    ]  # fmt: skip
    assert (values["dtype"], values["nodata"], values["count"]) == ("int16", -5, 2)
    assert (values["width"], values["height"]) == (30, 20)
    assert values["crs"].to_wkt().startswith("PROJCRS")
    assert values["crs"].to_epsg() == 32631
    assert dict(PROFILE) == values
    assert len(PROFILE) == 8
    with pytest.raises(KeyError):
        PROFILE["colour"]
    assert pickle.loads(pickle.dumps(PROFILE)) == PROFILE


def test_the_geotransform_reads_like_rasterios() -> None:
    transform = PROFILE["transform"]
    assert (transform.a, transform.b, transform.c) == (10, 0, 500)
    assert (transform.d, transform.e, transform.f) == (0, -10, 900)
    assert transform[0] == 10
    assert transform[5] == 900
    assert len(transform) == 9
    a, b, c, d, e, f, *rest = transform
    assert (a, b, c, d, e, f) == tuple(transform)[:6]
    assert rest == [0, 0, 1]
    assert transform * (3, 2) == (530, 880)
    assert ~transform * (530, 880) == (3, 2)
    assert transform.to_gdal() == (500, 10, 0, 900, 0, -10)
    assert Affine.from_gdal(*transform.to_gdal()) == transform
    assert Profile(2, 2, "uint8")["transform"] == Affine()
    turned = Affine(3, 4, 100, 4, -3, 200)
    assert ~turned * (turned * (7, 11)) == pytest.approx((7, 11))
    with pytest.raises(InputError, match="without an area"):
        _ = ~Affine(1, 1, 0, 1, 1, 0)


def test_what_a_filter_does_not_change_stays() -> None:
    assert PROFILE.updated(PROFILE.to_dict()) == PROFILE
    several = replace(PROFILE, bands=(Band(1), Band(2)))
    assert several.updated(several.to_dict()) == several
    mixed = Profile(2, 2, "float32", (Band(math.nan), Band(-1)))
    assert mixed.updated(mixed.to_dict()).bands[1].nodata == -1


def test_what_a_filter_changes() -> None:
    values = {**PROFILE, "dtype": "float32", "count": 1, "nodata": None, "crs": "EPSG:3857"}
    changed = PROFILE.updated({**values, "transform": (5, 0, 1, 0, -5, 2)})
    assert (changed.dtype, changed.count, changed.nodata) == ("float32", 1, None)
    assert changed.crs is not None
    assert changed.crs.to_epsg() == 3857
    assert changed.transform == Affine(5, 0, 1, 0, -5, 2)
    assert PROFILE.updated({**PROFILE, "crs": None}).crs is None

    class Foreign:
        def to_wkt(self) -> str:
            return UTM.wkt

    assert PROFILE.updated({"crs": Foreign()}).crs.same_as(UTM)


def test_another_number_of_bands_keeps_nodata() -> None:
    assert [band.nodata for band in PROFILE.updated({**PROFILE, "count": 3}).bands] == [-5] * 3


def test_nodata_that_a_new_type_cannot_hold_is_dropped_or_refused() -> None:
    assert PROFILE.updated({**PROFILE, "dtype": "uint8"}).nodata is None
    with pytest.raises(InputError, match="uint8 pixels cannot hold nodata -1"):
        PROFILE.updated({**PROFILE, "dtype": "uint8", "nodata": -1})
    assert PROFILE.updated({**PROFILE, "dtype": "uint8", "nodata": 0}).nodata == 0


@pytest.mark.parametrize("value", [{"dtype": "float23"}, {"dtype": bool}, {"crs": "EPSG:nothing"}])
def test_values_that_mean_nothing_are_refused(value: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        PROFILE.updated(value)


def test_a_profile_from_a_dictionary() -> None:
    made = profile_from({"width": 4, "height": 3, "count": 2, "dtype": "uint16", "nodata": 7})
    assert made.shape == (2, 3, 4)
    assert [band.nodata for band in made.bands] == [7, 7]
    assert made.nbytes == 48
    with pytest.raises(InputError, match="width, dtype"):
        profile_from({"height": 3})
    assert profile_from(PROFILE) is PROFILE


@pytest.mark.parametrize(
    "wrong",
    [{"width": 0}, {"height": -1}, {"dtype": "bool"}, {"bands": ()}],
)
def test_impossible_profiles(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        replace(PROFILE, **wrong)


def test_chosen_bands_and_windows() -> None:
    assert [band.name for band in PROFILE.selected((2, 1, 2)).bands] == ["nir", "red", "nir"]
    for number in (0, 3):
        with pytest.raises(InputError, match="2 band"):
            PROFILE.selected((number,))
    located = replace(PROFILE, gcps=(GroundControlPoint(8, 9, 1, 2),))
    part = located.cropped(4, 3, 5, 6)
    assert (part.width, part.height) == (6, 5)
    assert part.transform * (0, 0) == PROFILE.transform * (3, 4)
    assert part.gcps[0][:2] == (5, 5)
    turned = replace(PROFILE, transform=Affine(3, 4, 100, 4, -3, 200)).cropped(4, 3, 5, 6)
    assert turned.transform * (1, 1) == Affine(3, 4, 100, 4, -3, 200) * (4, 5)


def test_grids() -> None:
    assert grid_difference(PROFILE, PROFILE) == ""
    shift = PROFILE.transform._replace
    assert grid_difference(PROFILE, replace(PROFILE, transform=shift(c=500.05))) == ""
    assert "geotransforms (500," in grid_difference(
        PROFILE, replace(PROFILE, transform=shift(c=500.2))
    )
    # a cell size off by little adds up over the image
    assert "geotransforms" in grid_difference(PROFILE, replace(PROFILE, transform=shift(a=10.01)))
    assert "sizes 30 x 20 and 31 x 20" in grid_difference(PROFILE, replace(PROFILE, width=31))
    other = grid_difference(PROFILE, replace(PROFILE, crs=crs(32632)))
    assert "EPSG:32631" in other
    assert "EPSG:32632" in other
    assert grid_difference(PROFILE, replace(PROFILE, crs=None, transform=None)) == ""


def test_the_window_of_an_extent() -> None:
    assert window_of_extent(PROFILE, (500, 700, 800, 900)) == (0, 0, 20, 30)
    assert window_of_extent(PROFILE, (-1e9, -1e9, 1e9, 1e9)) == (0, 0, 20, 30)
    no_place = replace(PROFILE, transform=None)
    assert window_of_extent(no_place, (2, -5, 6, -1)) == (1, 2, 4, 4)
    assert window_of_extent(PROFILE, (520, 850, 540, 870)) == (3, 2, 2, 2)
    assert window_of_extent(PROFILE, (519, 849, 541, 871)) == (2, 1, 4, 4)
    # noise far below a pixel takes no further pixel
    assert window_of_extent(PROFILE, (520 - 1e-7, 850, 540 + 1e-7, 870)) == (3, 2, 2, 2)
    with pytest.raises(InputError, match="does not meet"):
        window_of_extent(PROFILE, (900, 850, 950, 870))


def test_the_window_of_an_extent_in_a_rotated_image() -> None:
    half = math.sqrt(0.5)
    turned = replace(PROFILE, transform=Affine(half, half, 0, half, -half, 0))
    # columns go to the north-east, rows to the south-east: one pixel's diagonal is an axis' unit
    x, y = turned.transform * (10, 5)
    row, col, rows, cols = window_of_extent(turned, (x - 0.1, y - 0.1, x + 0.1, y + 0.1))
    assert (row, col, rows, cols) == (4, 9, 2, 2)


@pytest.mark.parametrize(
    ("dtype", "value", "expected"),
    [
        ("uint8", 255, True), ("uint8", 256, False), ("uint8", -1, False), ("uint8", 1.5, False),
        ("int16", math.nan, False), ("int16", math.inf, False), ("int16", -5.0, True),
        ("float32", math.nan, True), ("float32", 1e300, True), ("uint8", None, True),
        ("uint64", 2**64 - 1, True), ("int64", 2**63, False), ("int32", 1 + 2j, False),
    ],
)  # fmt: skip
def test_which_types_hold_a_nodata_value(dtype: str, value: Any, expected: bool) -> None:
    assert can_hold(dtype, value) is expected


def test_the_nodata_value_that_the_engine_picks() -> None:
    assert default_nodata("uint8") == 255
    assert default_nodata("int16") == -32768
    assert math.isnan(default_nodata("float32"))
