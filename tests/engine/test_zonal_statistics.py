"""Zonal statistics against a plain loop over zones: masks of the whole image, and NumPy."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from osgeo import gdal, ogr, osr

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError
from eoscale_engine.procedures import zonal_statistics
from eoscale_engine.procedures.zonal_statistics import ZonalStatistics
from eoscale_engine.profile import CRS, Affine, Band, Profile
from eoscale_engine.reductions.areas import row_areas
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import REAL_DTYPES, random_image
from tests.engine.procedure_runs import Image, image

EXACT = ("pixels", "count", "invalid", "minimum", "maximum", "range", "majority", "minority",
         "variety")  # fmt: skip
SHARES = (0.0, 12.5, 50.0, 97.0)
NAMES = ("p0", "p12.5", "median", "p97")

SQUARE = [(3, 2), (9, 2), (9, 8), (3, 8)]
RINGS: list[Any] = [
    [SQUARE],
    [[(6, 5), (30, 1), (25, 22), (14, 12)]],  # overlaps the first
    [[(20, 20), (40, 20), (40, 35), (20, 35)], [(25, 24), (33, 24), (33, 30), (25, 30)]],  # a hole
    [[(100, 100), (120, 100), (120, 120)]],  # outside
    [[(-5, -5), (2, -5), (2, 4), (-5, 4)]],  # half outside
    [[(10.1, 10.1), (10.3, 10.1), (10.3, 10.3)]],  # no centre
    [[(30, 5), (45, 15), (45, 5), (30, 15)]],  # crosses itself
]


def layer(tmp_path: Path, rings: Sequence[Any] = RINGS) -> str:
    """A GeoJSON file of polygons, given in columns and rows: y grows upwards."""
    rings = [[[(x, -y) for x, y in ring] for ring in several] for several in rings]
    features = [
        {
            "type": "Feature", "id": number * 10, "properties": {},
            "geometry": {"type": "Polygon", "coordinates": [[*r, r[0]] for r in several]},
        }
        for number, several in enumerate(rings, 1)
    ]  # fmt: skip
    path = tmp_path / "zones.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return str(path)


def masks(path: str, shape: tuple[int, ...], touched: bool = False) -> dict[int, np.ndarray]:
    """The pixels of each polygon, burnt over the whole image."""
    found = {}
    for feature in (source := ogr.Open(path)).GetLayer(0):
        whole = gdal.GetDriverByName("MEM").Create("", shape[-1], shape[-2], 1, gdal.GDT_Byte)
        whole.SetGeoTransform((0, 1, 0, 0, 0, -1))
        single = ogr.GetDriverByName("Memory").CreateDataSource("")
        one = single.CreateLayer("")
        copy = ogr.Feature(one.GetLayerDefn())
        copy.SetGeometry(feature.GetGeometryRef().MakeValid())
        one.CreateFeature(copy)
        options = [f"ALL_TOUCHED={'TRUE' if touched else 'FALSE'}"]
        gdal.RasterizeLayer(whole, [1], one, burn_values=[1], options=options)
        found[feature.GetFID()] = whole.ReadAsArray() == 1
    del source
    return found


def classes(zones: Image, band: int = 0) -> dict[int, np.ndarray]:
    """The pixels of each zone of an image."""
    pixels, valid = zones.pixels[band], zones.valid[band]
    return {value: (pixels == value) & valid for value in np.unique(pixels[valid]).tolist()}


def wanted(
    picture: Image, band: int, zone: np.ndarray, scale: float = 1, offset: float = 0
) -> dict[str, Any]:
    """All statistics of one zone, in Python integers where there are some."""
    valid = zone & picture.valid[band]
    values = picture.pixels[band][valid]
    row: dict[str, Any] = {
        "pixels": int(zone.sum()), "count": int(valid.sum()),
        "invalid": int(zone.sum() - valid.sum()),
    }  # fmt: skip
    if not values.size:
        return row
    plain = [value * scale + offset if scale != 1 else value for value in values.tolist()]
    finite = [value for value in plain if math.isfinite(value)]
    row.update(minimum=min(plain), maximum=max(plain), range=max(plain) - min(plain))
    if finite:
        total = sum(finite) if isinstance(finite[0], int) else math.fsum(finite)
        mean = total / len(finite)
        above = np.array([float(value - round(mean)) for value in finite])
        row.update(sum=total, mean=mean, variance=float(above.var()), std_dev=float(above.std()))
    ordered = np.sort(np.array(plain, np.longdouble))
    row.update(zip(NAMES, (float(value) for value in np.percentile(ordered, SHARES))))
    different, counts = np.unique(np.array(plain, dtype=object), return_counts=True)
    row.update(majority=different[counts.argmax()], minority=different[counts.argmin()])
    return {**row, "variety": len(different)}


def run(
    declaration: ZonalStatistics,
    picture: Image,
    zones: Any,
    *,
    extent: Optional[Window] = None,
    **options: Any,
) -> Any:
    """The summary. ``zones`` is an image or a layer's path."""
    with EOContextManager(inline=True, tile_pixels=3000, **options) as context:
        keys: dict[str, str] = {}
        images = {"INPUT": picture, **({"ZONES": zones} if isinstance(zones, Image) else {})}
        for role, one in images.items():
            keys[role] = context.create_image(one.profile)
            context.get_array(keys[role])[:] = one.pixels
        if isinstance(zones, str):
            keys["POLYGONS"] = context.open_polygons(zones)
        return context.run(declaration, keys, extent=extent).summary


def rows(summary: Any) -> dict[int, dict[str, Any]]:
    """The table's rows by zone."""
    table = summary.tables[0]
    listed = [dict(zip(table.columns, row)) for row in table.rows]
    return {row["zone"]: row for row in listed}


def agree(found: Mapping[str, Any], expected: Mapping[str, Any], prefix: str = "") -> None:
    for name in ("pixels", *EXACT[1:], "sum", "mean", "std_dev", "variance", *NAMES):
        value = found[name if name == "pixels" else prefix + name]
        if name not in expected:
            assert value is None, name
        elif name in EXACT or (name == "sum" and isinstance(expected[name], int)):
            assert value == expected[name], name
        else:
            assert value == pytest.approx(expected[name], rel=1e-11, abs=1e-9), name


@pytest.fixture(params=["windows", "cells"])
def way(request: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    """Zones taken at once, or all of them cell by cell."""
    if request.param == "cells":
        monkeypatch.setattr(zonal_statistics, "COMPACT_SIDE", -1)
    return str(request.param)


FULL = ZonalStatistics(percentiles=SHARES, frequencies=True)


def zone_image(shape: tuple[int, int], dtype: str = "int32", seed: int = 5) -> Image:
    """Blocks of a class each, one class scattered all over, nodata, and classes far apart."""
    random = np.random.default_rng(seed)
    rows_, cols = np.indices(shape)
    pixels = (rows_ // 13 * 7 + cols // 17).astype(dtype)
    pixels[random.random(shape) < 0.1] = 3
    pixels[random.random(shape) < 0.1] = np.iinfo(dtype).max
    valid = random.random(shape) > 0.05
    return image(pixels[None], valid[None])


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_every_dtype_in_polygons(dtype: str, tmp_path: Path) -> None:
    pixels, valid = random_image(dtype, (2, 41, 57), seed=3, holes=0.2)
    picture = image(pixels, valid & (pixels != (0 if dtype[0] == "u" else -99)))
    path = layer(tmp_path)
    found = rows(run(FULL, picture, path))
    for name, row in rows(run(ZonalStatistics(percentiles=SHARES), picture, path)).items():
        assert list(row.values()) == [found[name][column] for column in row]
    for name, zone in masks(path, pixels.shape).items():
        for band in range(2):
            agree(found[name], wanted(picture, band, zone), f"b{band + 1}_")


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_every_dtype_in_classes(dtype: str) -> None:
    pixels, valid = random_image(dtype, (1, 45, 57), seed=4, holes=0.2)
    picture = image(pixels, valid & (pixels != (0 if dtype[0] == "u" else -99)))
    zones = zone_image((45, 57))
    found = rows(run(FULL, picture, zones))
    assert list(found) == list(classes(zones))
    for value, zone in classes(zones).items():
        agree(found[value], wanted(picture, 0, zone))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", [name for name in REAL_DTYPES if name[0] in "iu"])
def test_zones_of_every_dtype(dtype: str) -> None:
    """Over the type's whole range, whose differences it cannot hold itself."""
    info, shape = np.iinfo(dtype), (30, 40)
    values = np.array([info.min, info.min + 1, 5, 6, info.max - 1, info.max], dtype)
    pixels = values[np.random.default_rng(2).integers(0, 6, shape)]
    zones = Image(pixels[None], np.ones((1, *shape), bool), Profile(40, 30, dtype))
    picture = image(np.random.default_rng(3).normal(0, 1, (1, *shape)))
    found = rows(run(FULL, picture, zones))
    assert list(found) == sorted(values.tolist())
    for value, zone in classes(zones).items():
        agree(found[value], wanted(picture, 0, zone))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "uint64", "float32", "float64"])
def test_both_ways_agree_to_the_last_bit(
    dtype: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels, valid = random_image(dtype, (1, 700, 600), seed=7, holes=0.1)
    if dtype in ("uint64", "float64"):  # many equal values too
        pixels[0, ::2] = pixels[0, :1]
    picture = image(pixels, valid)
    rings = [[[(x * 11, y * 11) for x, y in several[0]]] for several in RINGS]
    found = []
    for side in (1024, 100, -1):
        monkeypatch.setattr(zonal_statistics, "COMPACT_SIDE", side)
        found.append(rows(run(FULL, picture, layer(tmp_path, rings))))
    columns = [*EXACT, *NAMES]
    columns += ["sum"] if np.dtype(dtype).kind in "iu" else []
    for other in found[1:]:
        for name, row in found[0].items():
            assert [repr(other[name][c]) for c in columns] == [repr(row[c]) for c in columns]
            for column in ("sum", "mean", "variance"):
                assert other[name][column] == pytest.approx(row[column], rel=1e-10)


@pytest.mark.usefixtures("way")
def test_all_touched(tmp_path: Path) -> None:
    picture, path = image(np.arange(2337, dtype="int32").reshape(1, 41, 57)), layer(tmp_path)
    touching = ZonalStatistics(all_touched=True, percentiles=SHARES, frequencies=True)
    found = rows(run(touching, picture, path))
    plain = rows(run(FULL, picture, path))
    for name, zone in masks(path, picture.pixels.shape, touched=True).items():
        agree(found[name], wanted(picture, 0, zone))
    assert found[60]["pixels"] == 1
    assert plain[60]["pixels"] == 0


def geometries(tmp_path: Path, *shapes: Any) -> str:
    """A GeoJSON file of geometries, given in columns and rows: y grows upwards."""
    features = []
    for number, text in enumerate(shapes, 1):
        shape = json.loads(ogr.CreateGeometryFromWkt(text).ExportToJson())
        features.append({"type": "Feature", "id": number, "properties": {}, "geometry": shape})
    path = tmp_path / "shapes.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    return str(path)


@pytest.mark.usefixtures("way")
def test_a_point_is_the_pixel_that_holds_it(tmp_path: Path) -> None:
    picture = image(np.arange(2337, dtype="int32").reshape(1, 41, 57))
    path = geometries(
        tmp_path, "POINT (3.9 -7.01)", "MULTIPOINT (0 0, 0.5 -0.5, 56.99 -40.99)", "POINT (57 -3)",
        "POINT Z (4 -7 5)", "GEOMETRYCOLLECTION (POINT (1 -1), POLYGON ((2 -2,4 -2,4 -4,2 -2)))",
        "LINESTRING (1 -1, 9 -9)",
    )  # fmt: skip
    for touched in (False, True):
        found = rows(run(ZonalStatistics(all_touched=touched), picture, path))
        pixels = [(row["count"], row["sum"]) for row in found.values()]
        assert pixels[:4] == [(1, 57 * 7 + 3), (2, 2336), (0, None), (1, 57 * 7 + 4)]
        assert pixels[4][0] > 1 - (not touched)
        assert pixels[5] == (0, None)


def covered_by_geos(shape: Any, rows_: int, cols: int) -> np.ndarray:
    """The share of each pixel that a geometry covers, cut out pixel by pixel."""
    shares = np.zeros((rows_, cols))
    for row, col in np.ndindex(rows_, cols):
        pixel = ogr.CreateGeometryFromWkt(
            f"POLYGON (({col} {-row},{col + 1} {-row},{col + 1} {-row - 1},{col} {-row - 1},"
            f"{col} {-row}))"
        )
        shares[row, col] = shape.Intersection(pixel).GetArea()
    return shares


SHAPES = (
    "POLYGON ((3.2 -2.1,3.4 -2.2,3.3 -2.9,3.2 -2.1))",  # within a pixel
    "POLYGON ((5.6 -4.6,6.4 -4.7,6.3 -5.4,5.7 -5.3,5.6 -4.6))",  # in four, without a centre
    "POLYGON ((0.5 -0.5,20.3 -1.2,18.9 -14.6,2 -15.5,0.5 -0.5),(6 -4,12.7 -4.6,10.5 -8.2,6 -4))",
    "POLYGON ((4 -4,8 -4,8 -8,4 -8,4 -4))",  # whole pixels
    "POLYGON ((-9.5 5.5,7.3 5.5,7.3 -3.3,-9.5 -3.3,-9.5 5.5))",  # beyond the image
    "MULTIPOLYGON (((1 -1,2.5 -1,2.5 -3,1 -1)),((11 -11,13.1 -11,13.1 -12.2,11 -11)))",
    "POLYGON ((2 -12,9 -15,9 -12,2 -15,2 -12))",  # crosses itself
    "POINT (7.3 -7.8)",
    "POLYGON ((30 -30,31 -30,31 -31,30 -30))",  # outside
    "POLYGON ((0 -7.6,22 -7.6,22 -7.601,0 -7.601,0 -7.6))",  # a sliver
)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_weighted_by_covered_area(dtype: str, tmp_path: Path) -> None:
    pixels, valid = random_image(dtype, (2, 17, 23), seed=3, holes=0.2)
    if dtype == "float32":
        pixels[0, 2, 6] = np.inf
    picture, path = image(pixels, valid & (pixels != 0)), geometries(tmp_path, *SHAPES)
    summary = run(ZonalStatistics(weighted=True), picture, path)
    found = list(rows(summary).values())
    assert not {"b1_median", "b1_majority"} & set(found[0])
    for row, text in zip(found, SHAPES):
        shape = ogr.CreateGeometryFromWkt(text).MakeValid()
        if text.startswith("POINT"):
            shape = ogr.CreateGeometryFromWkt("POLYGON ((7 -7,8 -7,8 -8,7 -8,7 -7))")
        shares = covered_by_geos(shape, 17, 23)
        assert row["pixels"] == pytest.approx(shares.sum(), abs=1e-9)
        for band in range(2):
            here = picture.valid[band] & (shares > 1e-9)
            x, w = picture.pixels[band][here].astype(float), shares[here]
            name = f"b{band + 1}_"
            assert row[name + "count"] == pytest.approx(w.sum(), abs=1e-9)
            assert row[name + "count"] + row[name + "invalid"] == pytest.approx(row["pixels"])
            if not x.size:
                assert row[name + "mean"] is None
                continue
            assert (row[name + "minimum"], row[name + "maximum"]) == (x.min(), x.max())
            x, w = x[np.isfinite(x)], w[np.isfinite(x)]
            mean = (w * x).sum() / w.sum()
            variance = (w * (x - mean) ** 2).sum() / w.sum()
            assert row[name + "sum"] == pytest.approx((w * x).sum(), rel=1e-9)
            assert row[name + "mean"] == pytest.approx(mean, rel=1e-9)
            assert row[name + "variance"] == pytest.approx(variance, rel=1e-6, abs=1e-9)
    assert any("by covered area" in note for note in summary.notes)


def test_shares_do_not_depend_on_cells_and_extents(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    picture = image(random.integers(0, 4000, (1, 1100, 1200)).astype("uint16"))
    ring = [(400.3, 300.1), (1190.2, 600.7), (700.9, 1090.4)]
    path = layer(tmp_path, [[ring]])
    row = rows(run(ZonalStatistics(weighted=True), picture, path))[10]
    x, y = np.array(ring).T
    area = abs(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2
    assert row["count"] == pytest.approx(area, rel=1e-12)
    parts = [Window(0, 0, 777, 1200), Window(777, 0, 323, 1200)]
    pieces = [
        rows(run(ZonalStatistics(weighted=True), picture, path, extent=part))[10] for part in parts
    ]
    for name in ("count", "sum"):
        assert sum(piece[name] for piece in pieces) == pytest.approx(row[name], rel=1e-12)


def test_polygons_without_a_centre_are_counted(tmp_path: Path) -> None:
    picture = image(np.ones((1, 17, 23), "uint8"))
    summary = run(ZonalStatistics(), picture, geometries(tmp_path, *SHAPES))
    assert any("hold no centre of a pixel: 3." in note for note in summary.notes)


def test_what_cannot_be_weighted(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="majority, minority and variety"):
        ZonalStatistics(weighted=True, frequencies=True)
    with pytest.raises(InputError, match="needs polygons"):
        run(ZonalStatistics(weighted=True), image(np.ones((1, 45, 57))), zone_image((45, 57)))


def test_very_many_polygons_in_one_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one look takes at once, and more pixels than are gathered together."""
    monkeypatch.setattr("eoscale_engine.reductions.zones_windows.MOST_AT_ONCE", 3)
    monkeypatch.setattr("eoscale_engine.reductions.zones.MOST_PIXELS", 50)
    pixels, valid = random_image("int16", (1, 41, 57), seed=3, holes=0.2)
    picture, path = image(pixels, valid & (pixels != -99)), layer(tmp_path, RINGS * 3)
    found = rows(run(FULL, picture, path))
    for name, zone in masks(path, pixels.shape).items():
        agree(found[name], wanted(picture, 0, zone))


@pytest.mark.usefixtures("way")
def test_zones_over_several_cells(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    picture = image(random.integers(0, 4000, (1, 1300, 1400)).astype("uint16"))
    rings = [[[(400, 300), (1390, 600), (700, 1290)]], [[(500, 500), (530, 500), (530, 530)]]]
    path = layer(tmp_path, rings)
    found = rows(run(FULL, picture, path))
    for name, zone in masks(path, picture.pixels.shape).items():
        agree(found[name], wanted(picture, 0, zone))


@pytest.mark.usefixtures("way")
def test_an_extent(tmp_path: Path) -> None:
    pixels, valid = random_image("float32", (1, 41, 57), seed=1, holes=0.1)
    extent, inside = Window(4, 5, 20, 25), np.zeros((41, 57), bool)
    inside[extent.slices] = True
    picture, path, zones = image(pixels, valid), layer(tmp_path), zone_image((41, 57))
    found = rows(run(FULL, picture, path, extent=extent))
    for name, zone in masks(path, pixels.shape).items():
        agree(found[name], wanted(picture, 0, zone & inside))
    found = rows(run(FULL, picture, zones, extent=extent))
    assert list(found) == [v for v, zone in classes(zones).items() if (zone & inside).any()]
    for value in found:
        agree(found[value], wanted(picture, 0, classes(zones)[value] & inside))


@pytest.mark.usefixtures("way")
def test_infinities_and_zeros_of_either_sign() -> None:
    inf = np.inf
    pixels = np.array([[[-inf, 1, 2, inf], [inf, inf, 0.0, -0.0], [-0.0, 0.0, -0.0, 7]]], "float32")
    zones = image(np.array([[[1, 1, 1, 1], [2, 2, 3, 3], [3, 3, 3, 4]]], "uint8"))
    found = rows(
        run(ZonalStatistics(percentiles=(0, 50, 100), frequencies=True), image(pixels), zones)
    )
    assert found[1]["count"] == 4
    assert (found[1]["minimum"], found[1]["maximum"], found[1]["range"]) == (-inf, inf, inf)
    assert (found[1]["sum"], found[1]["mean"], found[1]["variance"]) == (3.0, 1.5, 0.25)
    assert found[1]["median"] == 1.5
    assert (found[2]["count"], found[2]["median"], found[2]["majority"]) == (2, inf, inf)
    assert (found[2]["sum"], found[2]["mean"], found[2]["std_dev"]) == (None, None, None)
    assert (found[2]["minimum"], found[2]["range"]) == (inf, None)
    zero = [found[3][name] for name in ("minimum", "maximum", "median", "p0", "p100", "majority")]
    assert list(map(repr, zero)) == ["0.0"] * 6
    assert found[3]["variety"] == 1
    assert (found[4]["median"], found[4]["variance"], found[4]["variety"]) == (7.0, 0.0, 1)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ranks_among_zeros_of_either_sign(dtype: str) -> None:
    lists = [[0.0, -0.0, -0.0, 1, 2], [-0.0, -0.0, 0.0, 1, 2], [0.0, 0.0, -0.0, -1, -2],
             [-0.0, 0.0, 0.0, -1, -2]]  # fmt: skip
    zones = image(np.repeat(np.arange(4, dtype="uint8"), 5).reshape(1, 4, 5))
    shares = ZonalStatistics(percentiles=(0, 25, 50, 75, 100))
    for order in (slice(None), slice(None, None, -1)):
        pixels = np.array([lists], dtype)[:, :, order]
        found = rows(run(shares, image(pixels), zones))
        for name, values in enumerate(lists):
            ranks = [found[name][column] for column in ("p0", "p25", "median", "p75", "p100")]
            assert list(map(repr, ranks)) == [repr(value + 0.0) for value in sorted(values)]


@pytest.mark.usefixtures("way")
@pytest.mark.filterwarnings("error")
def test_no_valid_pixel(tmp_path: Path) -> None:
    picture = image(np.zeros((2, 41, 57), "float32"), np.zeros((2, 41, 57), bool))
    summary = run(FULL, picture, layer(tmp_path))
    assert summary.numbers == {"ZONE_COUNT": 7, "EMPTY": 7}
    assert not summary.charts
    row = rows(summary)[10]
    assert (row["pixels"], row["b1_count"], row["b2_invalid"]) == (36, 0, 36)
    assert {row[f"b{band}_{name}"] for band in (1, 2) for name in (*EXACT[3:], *NAMES)} == {None}
    assert any("have no values: 7 of 7." in note for note in summary.notes)


@pytest.mark.usefixtures("way")
@pytest.mark.filterwarnings("error")
def test_sums_beyond_float64() -> None:
    pixels = np.array([[[1e308, 1e308, 1e308], [1, 2, 3]]])
    zones = image(np.array([[[1, 1, 1], [2, 2, 2]]], "uint8"))
    found = rows(run(ZonalStatistics(), image(pixels), zones))
    assert (found[1]["sum"], found[1]["mean"]) == (np.inf, np.inf)
    assert found[1]["median"] == 1e308


def test_no_zone() -> None:
    zones = image(np.zeros((1, 5, 6), "uint8"), np.zeros((1, 5, 6), bool))
    summary = run(FULL, image(np.ones((1, 5, 6), "uint8")), zones)
    assert summary.tables[0].rows == ()
    assert summary.numbers == {"ZONE_COUNT": 0, "EMPTY": 0}
    assert any("no zone" in note for note in summary.notes)


@pytest.mark.usefixtures("way")
def test_equal_pixels_do_not_vary() -> None:
    zones = image(np.ones((1, 523, 611), "uint8"))
    found = rows(run(FULL, image(np.full((1, 523, 611), 0.1)), zones))[1]
    assert (found["variance"], found["std_dev"], found["range"]) == (0, 0, 0)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("scale", [0.5, -0.25])
def test_scale_and_offset(scale: float, tmp_path: Path) -> None:
    pixels = np.random.default_rng(4).integers(1, 9, (1, 41, 57)).astype("int16")
    bands = (Band(scale=scale, offset=3.0),)
    picture, path = image(pixels, bands=bands), layer(tmp_path)
    found = rows(run(FULL, picture, path))
    raw = rows(run(ZonalStatistics(percentiles=SHARES, frequencies=True, raw=True), picture, path))
    for name, zone in masks(path, pixels.shape).items():
        agree(found[name], wanted(picture, 0, zone, scale, 3.0))
        agree(raw[name], wanted(picture, 0, zone))


@pytest.mark.usefixtures("way")
def test_of_equally_frequent_values_the_smallest() -> None:
    pixels = np.array([[[5, 9, 9, 5, 7, 8]]], "uint8")
    zones = image(np.ones((1, 1, 6), "uint8"))
    found = rows(run(FULL, image(pixels), zones))[1]
    assert (found["majority"], found["minority"], found["variety"]) == (5, 7, 4)
    turned = image(pixels, bands=(Band(scale=-1.0),))
    found = rows(run(FULL, turned, zones))[1]
    assert (found["majority"], found["minority"]) == (-9.0, -8.0)


@pytest.mark.usefixtures("way")
def test_sixty_four_bits_far_from_zero() -> None:
    """Times in nanoseconds, whose spread float64 would lose beside their size."""
    pixels = 1_700_000_000_000_000_000 + np.arange(600 * 600, dtype="int64").reshape(1, 600, 600)
    zones = image(np.full((1, 600, 600), 7, "uint8"))
    found = rows(run(ZonalStatistics(), image(pixels), zones))[7]
    assert found["sum"] == sum(pixels.ravel().tolist())
    assert found["variance"] == pytest.approx(((600 * 600) ** 2 - 1) / 12, rel=1e-12)


def test_a_band_of_the_zone_image() -> None:
    zones = image(np.array([[[1, 1, 1]], [[4, 4, 9]]], "uint8"))
    found = rows(run(ZonalStatistics(zone_band=2), image(np.array([[[1, 2, 7]]], "uint8")), zones))
    assert {name: row["sum"] for name, row in found.items()} == {4: 3, 9: 7}


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("epsg", [32631, 4326])
def test_areas(epsg: int) -> None:
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(epsg)
    side = 10 if epsg == 32631 else 0.5
    grid = Affine(side, 0, 0, 0, -side, side * 41)
    profile = Profile(57, 41, "uint8", (Band(),), CRS(reference.ExportToWkt()), grid)
    zones = zone_image((41, 57))
    zones = zones._replace(profile=Profile(57, 41, "int32", zones.profile.bands, profile.crs, grid))
    picture = Image(np.ones((1, 41, 57), "uint8"), np.ones((1, 41, 57), bool), profile)
    areas = row_areas(profile)
    assert areas is not None
    found = rows(run(ZonalStatistics(), picture, zones))
    for value, zone in classes(zones).items():
        assert found[value]["area"] == pytest.approx(zone.sum(axis=1) @ areas, rel=1e-13)
    hectares = rows(run(ZonalStatistics(area_unit="hectares"), picture, zones))
    assert hectares[0]["area"] == found[0]["area"] / 1e4


def test_columns_chart_and_notes(tmp_path: Path) -> None:
    picture, path = image(np.ones((1, 41, 57), "uint8")), layer(tmp_path)
    summary = run(
        ZonalStatistics(prefix="x_", percentiles="90, 50", frequencies=True), picture, path
    )
    assert summary.tables[0].columns == (
        "zone", "x_pixels", "x_area", "x_count", "x_invalid", "x_sum", "x_mean", "x_minimum",
        "x_maximum", "x_range", "x_std_dev", "x_variance", "x_median", "x_p90", "x_majority",
        "x_minority", "x_variety",
    )  # fmt: skip
    assert [row[0] for row in summary.tables[0].rows] == [10, 20, 30, 40, 50, 60, 70]
    assert summary.numbers == {"ZONE_COUNT": 7, "EMPTY": 2}
    assert summary.tables[0].rows[0][2] is None  # no CRS, no area
    assert any("were repaired: 1 of " in note for note in summary.notes)
    (chart,) = summary.charts
    assert chart.series[0][1] == (10, 20, 30, 40, 50, 60, 70)
    assert [value == value for value in chart.series[0][2]] == [True] * 3 + [
        False,
        True,
        False,
        True,
    ]
    many = image(np.arange(2337, dtype="uint16").reshape(1, 41, 57) // 20)
    (chart,) = run(ZonalStatistics(), many, many).charts
    assert sum(chart.series[0][2]) == 117
    assert not {"median", "majority"} & set(
        run(ZonalStatistics(percentiles=()), picture, path).tables[0].columns
    )


@pytest.mark.parametrize("zones", ["polygons", "classes"])
def test_workers_and_tiles_make_no_difference(zones: str, tmp_path: Path) -> None:
    pixels, valid = random_image("float32", (2, 600, 700), seed=8, holes=0.1)
    rings = [[[(x * 11, y * 11) for x, y in several[0]]] for several in RINGS]
    given: Any = layer(tmp_path, rings) if zones == "polygons" else zone_image((600, 700))
    results = []
    for side in (200, 1024):
        for workers in (1, 2):
            with EOContextManager(workers, tile_pixels=90_000 // workers) as context:
                keys = {"INPUT": context.create_image(image(pixels, valid).profile)}
                context.get_array(keys["INPUT"])[:] = image(pixels, valid).pixels
                if isinstance(given, str):
                    keys["POLYGONS"] = context.open_polygons(given)
                else:
                    keys["ZONES"] = context.create_image(given.profile)
                    context.get_array(keys["ZONES"])[:] = given.pixels
                with pytest.MonkeyPatch.context() as patch:
                    patch.setattr(zonal_statistics, "COMPACT_SIDE", side)
                    results.append(repr(context.run(FULL, keys)))
    assert results[0] == results[1]
    assert results[2] == results[3]


def test_too_many_values_of_a_large_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zonal_statistics, "COMPACT_SIDE", -1)
    monkeypatch.setattr("eoscale_engine.reductions.zones_counts.MOST_VALUES", 99)
    zones = image(np.ones((1, 10, 10), "uint8"))
    with pytest.raises(InputError, match="different values"):
        run(FULL, image(np.arange(100, dtype="float32").reshape(1, 10, 10)), zones)


@pytest.mark.parametrize("wrong", ["101", "-1", (50.0,) * 102, "two"])
def test_wrong_percentiles(wrong: Any) -> None:
    with pytest.raises(InputError):
        ZonalStatistics(percentiles=wrong)


def test_wrong_zones() -> None:
    picture = image(np.ones((1, 41, 57), "float32"))
    with pytest.raises(InputError, match="whole numbers"):
        run(FULL, picture, picture)
    with pytest.raises(InputError, match="ZONES"):
        run(FULL, picture, None)
    with pytest.raises(InputError, match="band"):
        run(ZonalStatistics(zone_band=2), picture, zone_image((41, 57)))
