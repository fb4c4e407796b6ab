"""Spectral indices against the formulas of their papers, typed once more, and what they refuse."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import sqrt, tanh
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
import pytest
from osgeo import gdal

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Block, Blocks
from eoscale_engine.errors import InputError
from eoscale_engine.filters.spectral import surface_formulas, vegetation_formulas
from eoscale_engine.filters.spectral.sensors import (
    BY_NAMES,
    NONE,
    ROLES,
    SENSORS,
    named_bands,
    named_sensor,
    sensor_table,
)
from eoscale_engine.filters.spectral.spectral_formulas import AFTER, INDICES, reference_table
from eoscale_engine.filters.spectral.spectral_index import SpectralIndex
from eoscale_engine.parameter_kinds import Choice
from eoscale_engine.profile import Band, Profile
from eoscale_engine.styles import VEGETATION
from eoscale_engine.tiling import Window

GREENLAND = Path(__file__).parents[3] / "shared" / "data" / "landsat8_greenland.tif"

PLACES = {role: number for number, role in enumerate(ROLES, 1)}
EVERY = dict(PLACES)
"""Parameters that give each role the band of its place in an image of all roles."""


def block(pixels: Any, valid: Any = None, bands: Any = None) -> Block:
    """One row of pixels in each band."""
    array = np.asarray(pixels)
    array = array.reshape(len(array), 1, -1)
    mask = None if valid is None else np.asarray(valid, bool).reshape(array.shape)
    described = tuple(bands or (Band(),) * len(array))
    profile = Profile(array.shape[2], 1, array.dtype.name, described)
    return Block(array, mask, profile, Window(0, 0, 1, array.shape[2]))


def apply(declaration: SpectralIndex, *images: Block) -> tuple[np.ndarray, np.ndarray]:
    """One row of values, and where they are valid, of images that were checked."""
    roles = {role: [item] for role, item in zip(("INPUT", "AFTER"), images)}
    declaration.check({role: [item[0].profile] for role, item in roles.items()})
    (output,) = declaration.output_profiles([item.profile for item in images])
    pixels, valid = declaration.apply(Blocks(images[0].core, roles))
    assert pixels.dtype == output.dtype
    assert pixels.shape == output.shape
    where = np.ones(pixels.shape, bool) if valid is None else valid
    return pixels[0, 0], where[0, 0]


# ---------------------------------------------------------------- formulas

# c b g y r: coastal, blue, green, yellow, red; e f h: red edge 1, 2, 3; n o: near infrared, narrow;
# s t: shortwave infrared 1, 2; k: thermal; later: n and t, r of the other date
PAPERS: dict[str, Callable[..., float]] = {
    "ndvi": lambda n, r, **_: (n - r) / (n + r),
    "sr": lambda n, r, **_: n / r,
    "evi": lambda n, r, b, **_: 2.5 * (n - r) / (n + 6 * r - 7.5 * b + 1),
    "evi2": lambda n, r, **_: 2.5 * (n - r) / (1 + n + 2.4 * r),
    "savi": lambda n, r, **_: 1.5 * (n - r) / (n + r + 0.5),
    "osavi": lambda n, r, **_: (n - r) / (n + r + 0.16),
    "msavi": lambda n, r, **_: 0.5 * (2 * n + 1 - sqrt((2 * n + 1) ** 2 - 8 * (n - r))),
    "gndvi": lambda n, g, **_: (n - g) / (n + g),
    "gci": lambda n, g, **_: n / g - 1,
    "arvi": lambda n, r, b, **_: (n - (r - (b - r))) / (n + (r - (b - r))),
    "gari": lambda n, g, b, r, **_: (n - g + 1.7 * (b - r)) / (n + g - 1.7 * (b - r)),
    "wdrvi": lambda n, r, **_: (0.1 * n - r) / (0.1 * n + r),
    "tndvi": lambda n, r, **_: sqrt((n - r) / (n + r) + 0.5),
    "trivi": lambda n, g, r, **_: 0.5 * (120 * (n - g) - 200 * (r - g)),
    "ipvi": lambda n, r, **_: 0.5 * ((n - r) / (n + r) + 1),
    "msr": lambda n, r, **_: (n / r - 1) / sqrt(n / r + 1),
    "kndvi": lambda n, r, **_: tanh(((n - r) / (2 * 0.5 * (n + r))) ** 2),
    "nirv": lambda n, r, **_: (n - r) / (n + r) * n,
    "lai": lambda n, r, b, **_: 3.618 * (2.5 * (n - r) / (n + 6 * r - 7.5 * b + 1)) - 0.118,
    "tdvi": lambda n, r, **_: 1.5 * (n - r) / (n * n + r + 0.5) ** 0.5,
    "satvi": lambda s, r, t, **_: (s - r) / (s + r + 0.5) * 1.5 - t / 2,
    "sipi": lambda n, c, r, **_: (n - c) / (n - r),
    "ndpi": lambda n, r, s, **_: (n - 0.74 * r - 0.26 * s) / (n + 0.74 * r + 0.26 * s),
    "mtvi2": lambda n, g, r, **_: (
        1.5 * (1.2 * (n - g) - 2.5 * (r - g))
        / sqrt((2 * n + 1) ** 2 - (6 * n - 5 * sqrt(r)) - 0.5)
    ),
    "mcari2": lambda n, g, r, **_: (
        1.5 * (2.5 * (n - r) - 1.3 * (n - g))
        / sqrt((2 * n + 1) ** 2 - (6 * n - 5 * sqrt(r)) - 0.5)
    ),
    "ndre": lambda n, e, **_: (n - e) / (n + e),
    "cire": lambda n, e, **_: n / e - 1,
    "ccci": lambda n, e, r, **_: (n - e) / (n + e) / ((n - r) / (n + r)),
    "mcari": lambda e, r, g, **_: ((e - r) - 0.2 * (e - g)) * e / r,
    "tcari": lambda e, r, g, **_: 3 * ((e - r) - 0.2 * (e - g) * e / r),
    "mtci": lambda f, e, r, **_: (f - e) / (e - r),
    "s2rep": lambda r, e, f, h, **_: 705 + 35 * (0.5 * (h + r) - e) / (f - e),
    "reip": lambda r, e, f, h, **_: 700 + 40 * (0.5 * (h + r) - e) / (f - e),
    "ireci": lambda h, r, e, f, **_: (h - r) * f / e,
    "psri": lambda r, b, f, **_: (r - b) / f,
    "ari": lambda g, e, **_: 1 / g - 1 / e,
    "cri": lambda b, g, **_: 1 / b - 1 / g,
    "mndvi705": lambda f, e, c, **_: (f - e) / (f + e - 2 * c),
    "vari": lambda g, r, b, **_: (g - r) / (g + r - b),
    "ngrdi": lambda g, r, **_: (g - r) / (g + r),
    "exg": lambda g, r, b, **_: (2 * g - r - b) / (r + g + b),
    "gli": lambda g, r, b, **_: (g - r + g - b) / (g + r + g + b),
    "rgbvi": lambda g, r, b, **_: (g * g - r * b) / (g * g + r * b),
    "tgi": lambda g, r, b, **_: -0.5 * ((670 - 480) * (r - g) - (670 - 550) * (r - b)),
    "veg": lambda g, r, b, **_: g / (r**0.667 * b ** (1 - 0.667)),
    "ndwi": lambda g, n, **_: (g - n) / (g + n),
    "mndwi": lambda g, s, **_: (g - s) / (g + s),
    "aweinsh": lambda g, s, n, t, **_: 4 * (g - s) - (0.25 * n + 2.75 * t),
    "aweish": lambda b, g, n, s, t, **_: b + 2.5 * g - 1.5 * (n + s) - 0.25 * t,
    "wri": lambda g, r, n, s, **_: (g + r) / (n + s),
    "wi2015": lambda g, r, n, s, t, **_: 1.7204 + 171 * g + 3 * r - 70 * n - 45 * s - 71 * t,
    "andwi": lambda b, g, r, n, s, t, **_: (
        (b + g + r - n - s - t) / (b + g + r + n + s + t)
    ),
    "ndti": lambda r, g, **_: (r - g) / (r + g),
    "ndci": lambda e, r, **_: (e - r) / (e + r),
    "ndmi": lambda n, s, **_: (n - s) / (n + s),
    "ndwigao": lambda o, s, **_: (o - s) / (o + s),
    "msi": lambda s, n, **_: s / n,
    "gvmi": lambda n, s, **_: ((n + 0.1) - (s + 0.02)) / ((n + 0.1) + (s + 0.02)),
    "nmdi": lambda n, s, t, **_: (n - s + t) / (n + s - t),
    "ndsi": lambda g, s, **_: (g - s) / (g + s),
    "s3": lambda n, r, s, **_: n * (r - s) / (n + r) / (n + s),
    "swi": lambda g, n, s, **_: g * (n - s) / (g + n) / (n + s),
    "nbr": lambda n, t, **_: (n - t) / (n + t),
    "nbr2": lambda s, t, **_: (s - t) / (s + t),
    "nbrplus": lambda t, o, g, b, **_: (t - o - g - b) / (t + o + g + b),
    "bai": lambda r, n, **_: 1 / ((0.1 - r) ** 2 + (0.06 - n) ** 2),
    "baim": lambda n, t, **_: 1 / ((n - 0.05) ** 2 + (t - 0.2) ** 2),
    "bais2": lambda f, h, o, r, t, **_: (
        (1 - sqrt(f * h * o / r)) * ((t - o) / sqrt(t + o) + 1)
    ),
    "mirbi": lambda t, s, **_: 10 * t - 9.8 * s + 2,
    "csi": lambda n, t, **_: n / t,
    "ndbi": lambda s, n, **_: (s - n) / (s + n),
    "ui": lambda t, n, **_: (t - n) / (t + n),
    "bsi": lambda s, r, n, b, **_: ((s + r) - (n + b)) / ((s + r) + (n + b)),
    "ibi": lambda s, n, r, g, **_: (
        (2 * s / (s + n) - (n / (n + r) + g / (g + s)))
        / (2 * s / (s + n) + n / (n + r) + g / (g + s))
    ),
    "ndbai": lambda s, k, **_: (s - k) / (s + k),
    "ebbi": lambda s, n, k, **_: (s - n) / (10 * sqrt(s + k)),
    "vibi": lambda n, r, s, **_: (
        (n - r) / (n + r) / ((n - r) / (n + r) + (s - n) / (s + n))
    ),
    "bi2": lambda r, g, n, **_: sqrt((r * r + g * g + n * n) / 3),
    "wvsi": lambda g, y, **_: (g - y) / (g + y),
    "clay": lambda s, t, **_: s / t,
    "ironoxide": lambda r, b, **_: r / b,
    "ferrous": lambda s, n, **_: s / n,
    "dnbr": lambda n, t, n2, t2, **_: (n - t) / (n + t) - (n2 - t2) / (n2 + t2),
    "rbr": lambda n, t, n2, t2, **_: (
        ((n - t) / (n + t) - (n2 - t2) / (n2 + t2)) / ((n - t) / (n + t) + 1.001)
    ),
    "rdnbr": lambda n, t, n2, t2, **_: (
        ((n - t) / (n + t) - (n2 - t2) / (n2 + t2)) / abs((n - t) / (n + t)) ** 0.5
    ),
    "dndvi": lambda n, r, n2, r2, **_: (n - r) / (n + r) - (n2 - r2) / (n2 + r2),
}  # fmt: skip
LETTERS = dict(zip("cbgyrefhnostk", ROLES))


def expected(index: str, before: np.ndarray, after: np.ndarray) -> list[Optional[float]]:
    """Pixel by pixel what the paper's formula gives, None where it has no value."""
    found: list[Optional[float]] = []
    for one, other in zip(before.T.tolist(), after.T.tolist()):
        values = {letter: one[PLACES[role] - 1] for letter, role in LETTERS.items()}
        values.update({f"{k}2": other[PLACES[role] - 1] for k, role in LETTERS.items()})
        try:
            found.append(PAPERS[index](**values))
        except (ValueError, ZeroDivisionError):
            found.append(None)
    return found


@pytest.mark.parametrize("index", PAPERS)
def test_an_index_is_its_papers_formula(index: str) -> None:
    random = np.random.default_rng(len(index))
    before, after = random.uniform(0.01, 0.6, (2, len(ROLES), 40))
    before[-1] += 290
    before[:, 0] = 0.0
    for dtype, tolerance in (("float64", 1e-12), ("float32", 3e-4)):
        images = block(before.astype(dtype)), block(after.astype(dtype))
        pixels, valid = apply(SpectralIndex(index=index, **EVERY), *images)
        wanted = expected(index, *(np.squeeze(item.pixels, 1).astype(float) for item in images))
        assert valid.tolist() == [value is not None for value in wanted]
        numbers = np.array([value for value in wanted if value is not None])
        np.testing.assert_allclose(pixels[valid], numbers, rtol=tolerance, atol=tolerance)


def test_most_indices_are_checked_and_none_hides_another() -> None:
    rows = [
        row
        for module in (vegetation_formulas, surface_formulas)
        for rows in vars(module).values()
        if isinstance(rows, tuple) and isinstance(rows[0], tuple)
        for row in rows
    ]
    assert len(rows) == len(INDICES) >= 120
    assert len(PAPERS) >= 80
    assert set(PAPERS) <= set(INDICES)
    assert {role for index in INDICES.values() for role in index.roles()} == set(ROLES)


SURFACES = {  # coastal, blue, green, yellow, red, red edge 1 to 3, nir, narrow, swir 1, 2, thermal
    "crop": (0.02, 0.03, 0.07, 0.05, 0.04, 0.11, 0.32, 0.40, 0.42, 0.43, 0.20, 0.09, 0.03),
    "soil": (0.08, 0.10, 0.14, 0.17, 0.19, 0.22, 0.24, 0.26, 0.27, 0.28, 0.35, 0.30, 0.04),
    "water": (0.06, 0.055, 0.05, 0.04, 0.03, 0.025, 0.018, 0.016, 0.015, 0.014, 0.008, 0.005, 0.02),
    "char": (0.04, 0.045, 0.05, 0.055, 0.06, 0.065, 0.07, 0.08, 0.09, 0.095, 0.17, 0.20, 0.05),
}


@pytest.mark.parametrize("index", INDICES)
def test_every_index_has_a_value_on_every_surface_near_its_colours(index: str) -> None:
    before = block(np.float32(list(SURFACES.values())).T)
    after = block(np.float32(list(SURFACES.values())).T[:, ::-1].copy())
    pixels, valid = apply(SpectralIndex(index=index, **EVERY), before, after)
    assert valid.all()
    entry = INDICES[index]
    if entry.minimum is not None and entry.maximum is not None:
        inside = (pixels >= entry.minimum) & (pixels <= entry.maximum)
        assert inside.any()
        assert len(np.unique(np.clip(pixels, entry.minimum, entry.maximum))) > 1


def test_what_the_constants_change() -> None:
    image = block(np.array([[0.1], [0.5]]))
    bands = {"red": 1, "nir": 2}
    values = {
        "savi": ({"soil_factor": 0.25}, 1.25 * 0.4 / 0.85),
        "tsavi": (
            {"soil_slope": 1.2, "soil_intercept": 0.04},
            1.2 * (0.5 - 0.12 - 0.04) / (0.1 + 1.2 * (0.5 - 0.04) + 0.08 * (1 + 1.44)),
        ),
        "wdvi": ({"soil_slope": 1.2}, 0.5 - 0.12),
        "pvi": (
            {"soil_slope": 1.2, "soil_intercept": -0.04},
            (0.5 - 0.12 + 0.04) / math.sqrt(1 + 1.44),
        ),
        "wdrvi": ({"nir_weight": 0.2}, 0.0),
    }
    for index, (constants, value) in values.items():
        pixels, _ = apply(SpectralIndex(index=index, **bands, **constants), image)
        assert pixels[0] == pytest.approx(value, abs=1e-14)


def test_whether_an_index_needs_reflectance() -> None:
    needing = {"evi", "savi", "gemi", "bai", "wi2015", "mirbi", "ebbi", "nli", "bais2"}
    free = {"ndvi", "dvi", "kndvi", "aweinsh", "s2rep", "rdnbr", "tgi", "ari", "ibi", "veg"}
    assert {i for i in needing | free if INDICES[i].doubling() is None} == needing
    assert INDICES["dvi"].doubling() == 2
    assert INDICES["ari"].doubling() == 0.5
    # constants that a user changes count: b of the soil line, and L, without which SAVI is NDVI
    assert SpectralIndex(index="pvi", soil_intercept=0.1)._doubling is None
    assert SpectralIndex(index="pvi")._doubling == 2
    assert SpectralIndex(index="savi", soil_factor=0)._doubling == 1


def told(declaration: SpectralIndex, *profiles: Profile) -> Sequence[str]:
    """Doubts about images that are not refused."""
    inputs = {role: [item] for role, item in zip(("INPUT", "AFTER"), profiles)}
    declaration.check(inputs)
    return declaration.doubts(inputs)


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("constants", [{}, {"soil_slope": 1.2, "soil_intercept": 0.1}])
def test_an_index_that_is_no_ratio_says_so_on_raw_numbers(
    index: str, constants: dict[str, float]
) -> None:
    roles = [role for role in ROLES if role != "thermal"]
    bands = {role: place for place, role in enumerate([*roles, "thermal"], 1)}
    declared = SpectralIndex(index=index, sensor=NONE, **bands, **constants)
    # the published unit, and the numbers that are stored: thermal bands keep theirs
    values = np.sort(np.random.default_rng(3).uniform(0.1, 0.5, (2, len(bands), 9)), axis=1)
    stored = np.append(np.full(len(roles), 1e4), 1.0)[:, None]
    published = apply(declared, *map(block, values))[0]
    raw = apply(declared, *(block(pixels * stored) for pixels in values))[0]
    same = np.allclose(published, raw, rtol=1e-6)

    plain = Profile(9, 1, "uint16", (Band(),) * len(bands))
    try:
        said = bool(told(declared, plain, plain))
    except InputError as error:
        said = "Give the reflectance scale" in str(error)
    assert said == (not same)
    # a scale of the image's own or a given one settles it, and floats may be reflectances
    known = Profile(9, 1, "uint16", (Band(scale=1e-4),) * len(bands))
    assert not told(declared, known, known)
    assert not told(replace(declared, reflectance_scale=1.0), plain, plain)
    assert not told(declared, *[replace(plain, dtype="float32")] * 2)


def test_pvi_of_raw_numbers_is_refused_and_right_with_the_scale() -> None:
    image = block(np.uint16([[1000], [3000]]))
    soil = {"index": "pvi", "red": 1, "nir": 2, "soil_slope": 1.2, "soil_intercept": 0.1}
    with pytest.raises(InputError, match="pvi needs reflectances"):
        apply(SpectralIndex(**soil), image)
    (found,) = apply(SpectralIndex(**soil, reflectance_scale=1e-4), image)[0]
    assert found == pytest.approx((0.3 - 0.12 - 0.1) / np.hypot(1.2, 1), rel=1e-6)


def test_products_with_an_offset_are_told_of() -> None:
    bands = tuple(Band(name=f"B{name}") for name in ("2", "3", "4", "8"))
    named = Profile(4, 4, "uint16", bands)
    twelve, eleven = (Profile(4, 4, "uint16", (Band(),) * count) for count in (12, 11))
    for declared, image, wanted in (
        (SpectralIndex(sensor="sentinel-2 l2a"), twelve, "scale 0.0001 and .* offset -0.1"),
        (SpectralIndex(), named, "scale 0.0001 and .* offset -0.1"),
        (SpectralIndex(sensor="landsat 8/9"), eleven, "scale 0.0000275 and .* offset -0.2"),
    ):
        (text,) = told(declared, image)
        assert re.search(wanted, text)
        assert not told(replace(declared, reflectance_scale=1e-4), image)
        known = replace(image, bands=(Band(scale=1e-4, offset=-0.1),) * image.count)
        assert not told(replace(declared, sensor=NONE, red=1, nir=2), known)
        assert not told(declared, replace(image, dtype="float32"))
    assert not told(SpectralIndex(sensor="modis"), twelve)
    assert not told(SpectralIndex(sensor="landsat 5/7"), replace(eleven, dtype="uint8"))


# ---------------------------------------------------------------- values of pixels


def test_reflectance_is_scaled_after_the_bands_own_scale() -> None:
    bands = (Band(scale=0.5, offset=100), Band(scale=2, offset=-300))
    image = block(np.uint16([[1000], [1400]]), bands=bands)
    given = SpectralIndex(
        index="evi2", red=1, nir=2, reflectance_scale=0.0001, reflectance_offset=-0.01
    )
    red, nir = (1000 * 0.5 + 100) * 1e-4 - 0.01, (1400 * 2 - 300) * 1e-4 - 0.01
    pixels, _ = apply(given, image)
    assert pixels[0] == pytest.approx(2.5 * (nir - red) / (nir + 2.4 * red + 1), rel=1e-6)
    (output,) = given.output_profiles([image.profile])
    assert (output.bands[0].scale, output.bands[0].offset) == (1, 0)


def test_thermal_bands_keep_their_own_unit() -> None:
    image = block(
        np.uint16([[2500], [3000], [40000]]), bands=(Band(), Band(), Band(scale=0.01, offset=-100))
    )
    declared = SpectralIndex(
        index="ebbi", nir=1, swir1=2, thermal=3, reflectance_scale=1e-4, reflectance_offset=0.1
    )
    pixels, _ = apply(declared, image)
    assert pixels[0] == pytest.approx(0.05 / (10 * math.sqrt(0.4 + 300)), rel=1e-5)


def test_only_the_needed_bands_have_to_be_valid() -> None:
    pixels = np.float32([[1, 1, 1, 0, np.nan], [3, 3, 3, 0, 3], [5, 5, 5, 5, 5]])
    valid = np.array([[1, 0, 1, 1, 0], [1, 1, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
    found, where = apply(SpectralIndex(sensor=NONE, red=1, nir=2), block(pixels, valid))
    assert where.tolist() == [True, False, False, False, False]
    assert found[0] == 0.5


def test_a_division_by_zero_is_nodata_in_an_image_without_nodata() -> None:
    assert SpectralIndex().makes_invalid
    with EOContextManager(inline=True) as context:
        key = context.create_image(Profile(2, 1, "uint8", (Band(),) * 2))
        context.get_array(key)[:] = [[[0, 1]], [[0, 3]]]
        (made,) = context.filter(SpectralIndex(red=1, nir=2), [key])
        found = context.get_array(made)[0, 0].tolist()
        assert math.isnan(context.profile(made).nodata)
    assert math.isnan(found[0])
    assert found[1] == 0.5


def test_two_dates_and_their_validity() -> None:
    before = block(np.uint16([[300, 300, 300], [100, 100, 100]]), [[1, 1, 1], [1, 1, 0]])
    after = block(np.uint16([[100, 100, 100], [300, 300, 300]]), [[1, 0, 1], [1, 1, 1]])
    found, where = apply(SpectralIndex(index="dnbr", nir=1, swir2=2), before, after)
    assert where.tolist() == [True, False, False]
    assert found[0] == 1
    alone, where = apply(SpectralIndex(index="nbr", nir=1, swir2=2), before, after)
    assert where.tolist() == [True, True, False]
    assert alone[0] == 0.5


def test_the_type_of_the_result() -> None:
    bands = {"red": 1, "nir": 2}
    for dtype, wanted in (("uint8", "float32"), ("int32", "float32"), ("float64", "float64"),
                          ("int64", "float64")):  # fmt: skip
        # float32 does not hold 2**24 + 1: 32-bit integers need float64
        odd = 2**24 if np.dtype(dtype).itemsize >= 4 else 0
        image = block(np.array([[odd + 1], [odd + 4]], dtype))
        found, _ = apply(SpectralIndex(index="dvi", **bands), image)
        assert found.dtype == wanted
        assert found[0] == 3
    later = block(np.array([[1.0], [2.0]]))
    early = block(np.float32([[1], [2]]))
    assert apply(SpectralIndex(index="dndvi", **bands), early, later)[0].dtype == "float64"
    assert apply(SpectralIndex(index="ndvi", **bands), early, later)[0].dtype == "float32"


def test_the_result_carries_the_name_the_unit_and_colours() -> None:
    profile = Profile(4, 3, "uint16", (Band(name="x", unit="DN", scale=2),) * 13)
    declared = SpectralIndex(index="s2rep", sensor="sentinel-2 l1c")
    (output,) = declared.output_profiles([profile])
    assert [(band.name, band.unit, band.scale) for band in output.bands] == [("s2rep", "nm", 1)]
    (style,) = SpectralIndex().styles()
    assert (style.colors, style.minimum, style.maximum) == (VEGETATION, -0.2, 0.9)
    # a difference of pixels in an unknown unit has no usual range
    assert SpectralIndex(index="dvi").styles()[0].maximum is None
    assert SpectralIndex(index="dvi", reflectance_scale=1).styles()[0].maximum == 0.5


# ---------------------------------------------------------------- bands

FACES = {
    "sentinel-2 l1c": "B1 B2 B3 B4 B5 B6 B7 B8 B8A B9 B10 B11 B12",
    "sentinel-2 l2a": "B1 B2 B3 B4 B5 B6 B7 B8 B8A B9 B11 B12",
    "sentinel-2 10 bands": "B2 B3 B4 B5 B6 B7 B8 B8A B11 B12",
}
SENTINEL2 = {
    "coastal": "B1", "blue": "B2", "green": "B3", "red": "B4", "red_edge1": "B5",
    "red_edge2": "B6", "red_edge3": "B7", "nir": "B8", "narrow_nir": "B8A", "swir1": "B11",
    "swir2": "B12",
}  # fmt: skip


@pytest.mark.parametrize("sensor", FACES)
def test_the_bands_of_sentinel_2(sensor: str) -> None:
    names = FACES[sensor].split()
    wanted = {role: names.index(name) + 1 for role, name in SENTINEL2.items() if name in names}
    assert SENSORS[sensor] == wanted
    assert named_bands(names) == wanted
    from_gdal = [f"{name}, central wavelength 1 nm" for name in names if name != "B8A"]
    assert named_bands(["aerosol optical thickness", *from_gdal])["nir"] == names.index("B8") + 2


def test_the_bands_of_other_sensors() -> None:
    wanted: dict[str, dict[str, Any]] = {
        "landsat 5/7": {"red": 3, "nir": 4, "swir1": 5, "thermal": 6, "swir2": 7},
        "landsat 5/7 without thermal": {"swir1": 5, "swir2": 6, "thermal": None},
        "landsat 8/9": {"coastal": 1, "blue": 2, "red": 4, "nir": 5, "narrow_nir": 5, "swir1": 6,
                        "swir2": 7, "thermal": 10},
        "modis": {"red": 1, "nir": 2, "blue": 3, "green": 4, "swir1": 6, "swir2": 7},
        "pleiades": {"red": 1, "green": 2, "blue": 3, "nir": 4, "swir1": None},
        "spot 6/7": {"red": 1, "nir": 4},
        "planetscope 4 bands": {"blue": 1, "green": 2, "red": 3, "nir": 4},
        "planetscope 8 bands": {"coastal": 1, "blue": 2, "green": 4, "yellow": 5, "red": 6,
                                "red_edge1": 7, "nir": 8},
        "rapideye": {"blue": 1, "red": 3, "red_edge1": 4, "nir": 5},
        "worldview 8 bands": {"coastal": 1, "blue": 2, "green": 3, "yellow": 4, "red": 5,
                              "red_edge1": 6, "nir": 7},
        "blue green red nir": {"blue": 1, "nir": 4},
        "red green blue": {"red": 1, "blue": 3, "nir": None},
        "none": {"red": None},
    }  # fmt: skip
    for sensor, bands in wanted.items():
        assert {role: SENSORS[sensor].get(role) for role in bands} == bands
        assert set(SENSORS[sensor]) <= set(ROLES)
    assert {*wanted, *FACES, "red green blue nir"} == set(SENSORS)


def test_bands_by_their_names() -> None:
    planet = ["coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir"]
    assert named_bands(planet) == {
        "coastal": 1, "blue": 2, "green": 4, "yellow": 5, "red": 6, "red_edge1": 7, "nir": 8,
    }  # fmt: skip
    landsat = ["Band 4 - Red", "nir08 (B5)", "SWIR-1", "swir22", "qa_pixel", "lwir11", "red"]
    assert named_bands(landsat) == {
        "red": 1, "narrow_nir": 2, "nir": 2, "swir1": 3, "swir2": 4, "thermal": 6,
    }  # fmt: skip
    # B4 alone is red for Sentinel-2 and near infrared for Landsat 5
    assert named_bands(["B3", "B4", "", "infrared"]) == {}


BGRN = {"blue": 1, "green": 2, "red": 3, "nir": 4}


@pytest.mark.parametrize(
    ("names", "sensor", "wanted"),
    [
        ("B2 B3 B4 B8", "sentinel-2 l1c", BGRN),
        ("B02 B03 B04 B08", "sentinel-2 l1c", BGRN),
        ("band_2 Band_3 BAND_4 band_8", "sentinel-2 l1c", BGRN),
        ("T31TCJ_20230101_B04_10m T31TCJ_20230101_B08_10m", "sentinel-2 l1c",
         {"red": 1, "nir": 2}),
        ("B8 B11", "sentinel-2 l1c", {"nir": 1, "swir1": 2}),
        ("B4 B12", "sentinel-2 l1c", {"red": 1, "swir2": 2}),
        ("B4 B8A", "sentinel-2 l1c", {"red": 1, "narrow_nir": 2, "nir": 2}),
        ("B04 B05 B08", "sentinel-2 l1c", {"red": 1, "red_edge1": 2, "nir": 3}),
        ("SR_B2 SR_B3 SR_B4 SR_B5 SR_B6 SR_B7 ST_B10", "landsat 8/9",
         {**BGRN, "narrow_nir": 4, "swir1": 5, "swir2": 6, "thermal": 7}),
        ("SR_B1 SR_B2 SR_B3 SR_B4 SR_B5 ST_B6 SR_B7", "landsat 5/7",
         {**BGRN, "swir1": 5, "thermal": 6, "swir2": 7}),
        ("sur_refl_b01 sur_refl_b02", "modis", {"red": 1, "nir": 2, "narrow_nir": 2}),
        # other bands for other sensors
        ("B2 B3 B4 B5", "", {}),
        ("SR_B3 SR_B4", "", {}),
        ("B1 B2 B3 B4 B5 B6 B7 B8 B9 B10 B11", "", {}),
        ("band_1 band_2 band_3 band_4 band_5 band_6 band_7 band_8", "", {}),
        ("Band_1 Band_2 Band_3 Band_4 Band_5 Band_6 Band_7 Band_8 Band_9 Band_10 Band_11 Band_12",
         "", {}),
    ],
)  # fmt: skip
def test_codes_of_bands_tell_the_sensor(names: str, sensor: str, wanted: dict[str, int]) -> None:
    assert named_sensor(names.split()) == sensor
    assert named_bands(names.split()) == wanted


def test_ndvi_of_the_usual_10_m_stack() -> None:
    bands = tuple(Band(name=name) for name in ("B2", "B3", "B4", "B8"))
    image = block(np.float32([[5], [5], [1], [3]]), bands=bands)
    assert apply(SpectralIndex(index="ndvi"), image)[0][0] == 0.5


def test_a_number_counts_more_than_name_and_sensor() -> None:
    bands = tuple(Band(name=name) for name in ("red", "nir", "other"))
    image = block(np.float32([[1], [3], [9]]), bands=bands)
    assert apply(SpectralIndex(), image)[0][0] == 0.5
    assert apply(SpectralIndex(nir=3), image)[0][0] == np.float32(0.8)
    modis = SpectralIndex(index="gndvi", sensor="modis", green=3)
    assert apply(modis, image)[0][0] == np.float32(-0.5)


def test_each_date_has_its_own_named_bands() -> None:
    early = block(np.float32([[1], [3]]), bands=(Band(name="red"), Band(name="nir")))
    later = block(np.float32([[3], [1]]), bands=(Band(name="nir"), Band(name="red")))
    assert apply(SpectralIndex(index="dndvi"), early, later)[0][0] == 0


# ---------------------------------------------------------------- what is refused


def refused(message: str, parameters: Mapping[str, Any], **profiles: Profile) -> None:
    with pytest.raises(InputError, match=message):
        SpectralIndex(**parameters).check({role: [item] for role, item in profiles.items()})


def test_what_is_missing_is_said() -> None:
    four = Profile(5, 5, "float32", (Band(),) * 4)
    refused("ndvi needs 'Red band' and 'Near infrared band' of .*name.*Choose", {}, INPUT=four)
    refused("band' of 'Input image', and no number", {"sensor": NONE, "red": 1}, INPUT=four)
    refused("'pleiades' has none.*another", {"index": "mndwi", "sensor": "pleiades"}, INPUT=four)
    refused(
        "'Shortwave infrared 1 band' is band 11 .*'sentinel-2 l2a'.*, but 'Input image' has 4",
        {"index": "mndwi", "sensor": "sentinel-2 l2a"},
        INPUT=four,
    )
    refused("band 5, but 'Input image' has 4 bands", {"red": 5, "nir": 1}, INPUT=four)
    refused("two dates.*'Image \\(after\\)'", {"index": "rbr", "sensor": "modis"}, INPUT=four)
    seven = replace(four, bands=(Band(),) * 7)
    refused(
        "band 7 .*'modis'.*, but 'Image \\(after\\)' has 4 bands",
        {"index": "rbr", "sensor": "modis"},
        INPUT=seven,
        AFTER=four,
    )
    SpectralIndex(index="rbr", sensor="modis").check({"INPUT": [seven], "AFTER": [seven]})
    refused("complex64", {"red": 1, "nir": 2}, INPUT=Profile(5, 5, "complex64", (Band(),) * 2))
    for bad in ({"index": "nvdi"}, {"sensor": "meteosat"}, {"red": 0},
                {"index": "savi", "soil_factor": 2}, {"reflectance_scale": 0}):  # fmt: skip
        with pytest.raises(InputError):
            SpectralIndex(**bad)


def test_integers_without_a_scale_are_no_reflectances() -> None:
    given: dict[str, Any] = {"index": "savi", "red": 1, "nir": 2}
    plain = Profile(5, 5, "uint16", (Band(),) * 3)
    refused("savi needs reflectances from 0 to 1.*0.0001", given, INPUT=plain)
    scaled = replace(plain, bands=(Band(scale=0.0001),) * 2 + (Band(),))
    for parameters, profile in (
        (given, scaled),
        (given, replace(plain, dtype="float32")),
        ({**given, "reflectance_scale": 1}, plain),
        ({**given, "index": "ndvi"}, plain),
    ):
        SpectralIndex(**parameters).check({"INPUT": [profile]})


# ---------------------------------------------------------------- documentation and a real image


def test_the_tables_name_everything() -> None:
    table, sensors = reference_table(), sensor_table()
    for index in INDICES.values():
        (line,) = [line for line in table.splitlines() if line.startswith(f"| `{index.id}` |")]
        assert index.formula in line
        assert index.source in line
        assert line.count("|") == 6
        assert index.source[-4:].isdigit()
        assert AFTER in index.formula or not index.two_dates
    assert all(f"| {sensor} |" in sensors for sensor in SENSORS)
    assert SpectralIndex.parameters()[1].kind == Choice((BY_NAMES, *SENSORS))


@pytest.mark.skipif(not GREENLAND.exists(), reason="the shared images are not here")
def test_a_real_image_through_the_engine() -> None:
    pixels = gdal.Open(str(GREENLAND)).ReadAsArray(300, 200, 90, 70).astype(float)
    _, green, red, nir = pixels
    reflectance = {"reflectance_scale": 2e-5, "reflectance_offset": -0.1}
    wanted: dict[str, tuple[dict[str, float], np.ndarray]] = {
        "ndvi": ({}, (nir - red) / (nir + red)),
        "ndwi": ({}, (green - nir) / (green + nir)),
        # the offset of -0.1 in each band: 1 - 0.1 - 0.24 in the denominator
        "evi2": (reflectance, 5e-5 * (nir - red) / (2e-5 * (nir + 2.4 * red) + 0.66)),
    }
    with EOContextManager(inline=True) as context:
        key = context.open_raster(str(GREENLAND))
        for index, (units, values) in wanted.items():
            declared = SpectralIndex(index=index, sensor="blue green red nir", **units)
            (made,) = context.filter(declared, [key])
            found = context.get_array(made)[0, 200:270, 300:390]
            np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-5)


def test_an_offset_without_a_scale_is_refused_for_integers() -> None:
    declaration = SpectralIndex(index="ndvi", red=1, nir=2, reflectance_offset=-0.1)
    with pytest.raises(InputError, match="a reflectance offset needs reflectances"):
        declaration.check({"INPUT": [Profile(3, 3, "uint16", (Band(), Band()))], "AFTER": []})
