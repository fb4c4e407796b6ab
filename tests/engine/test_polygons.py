"""Polygons on an image's grid, and reductions within them, against GDAL on the whole image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal, ogr, osr

from eoscale_engine.context import EOContextManager, Observer
from eoscale_engine.declaration import Blocks, Reduction, Within
from eoscale_engine.errors import Cancelled, GridError, InputError, InputWarning
from eoscale_engine.profile import CRS
from eoscale_engine.tiling import Window
from eoscale_engine.vector_features import batches

ROWS, COLS = 700, 1100
GRID = (10.0, 0.0, 500_000.0, 0.0, -10.0, 4_600_000.0)


def utm() -> Any:
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32631)
    return reference


def on_map(*pixels: tuple[float, float]) -> list[list[float]]:
    """A little aside, so that no vertex is on a pixel's edge or centre: rounding decides there."""
    return [[500_001.3 + 10 * col, 4_599_997.1 - 10 * row] for col, row in pixels]


STAR = on_map((300, 20), (330, 250), (560, 260), (350, 330), (480, 640), (280, 400), (300, 20))
CROSSED = on_map((700, 100), (1000, 400), (1000, 100), (700, 400), (700, 100))
CORNER = on_map((-50, -80), (320.3, -80), (320.3, 300.7), (-50, 300.7), (-50, -80))
HOLE = on_map((20, 20), (120, 20), (120, 90.2), (20, 20))
BEYOND = on_map((5000, 5000), (5100, 5000), (5100, 5100), (5000, 5000))
GEOMETRIES: list[Any] = [
    {"type": "Polygon", "coordinates": [STAR]},
    {"type": "Polygon", "coordinates": [CROSSED]},
    {"type": "Polygon", "coordinates": [CORNER, HOLE]},
    {"type": "Polygon", "coordinates": [BEYOND]},
    None,
    {"type": "MultiPolygon", "coordinates": [[STAR], [on_map((1, 1), (9, 1), (9, 9), (1, 1))]]},
]


def write(path: Path, geometries: list[Any], epsg: int = 32631) -> str:
    features = [
        {"type": "Feature", "id": 10 + number, "properties": {"kind": f"k{number % 2}"},
         "geometry": geometry}
        for number, geometry in enumerate(geometries)
    ]  # fmt: skip
    crs = {"type": "name", "properties": {"name": f"urn:ogc:def:crs:EPSG::{epsg}"}}
    path.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": features}))
    return str(path)


def burnt(path: str, feature: int, *, all_touched: bool = False) -> np.ndarray:
    """One feature on the whole image, by GDAL alone."""
    image = gdal.GetDriverByName("MEM").Create("", COLS, ROWS, 1, gdal.GDT_Byte)
    image.SetGeoTransform((500_000, 10, 0, 4_600_000, 0, -10))
    image.SetProjection(utm().ExportToWkt())
    source = gdal.OpenEx(path)
    layer = source.GetLayer(0)
    layer.SetAttributeFilter(f"fid = {feature}")
    options = ["ALL_TOUCHED=TRUE"] if all_touched else []
    gdal.RasterizeLayer(image, [1], layer, burn_values=[1], options=options)
    return image.ReadAsArray() == 1


@pytest.fixture
def context() -> Iterator[EOContextManager]:
    with EOContextManager(2) as made:
        yield made


@pytest.fixture
def key(context: EOContextManager) -> str:
    profile = {"count": 1, "height": ROWS, "width": COLS, "dtype": "int32", "transform": GRID}
    made = context.create_image({**profile, "crs": CRS(utm().ExportToWkt())})
    context.get_array(made)[0] = np.arange(ROWS * COLS).reshape(ROWS, COLS)
    return made


@pytest.mark.parametrize("all_touched", [False, True])
def test_the_pixels_of_each_polygon_are_those_that_gdal_burns(
    context: EOContextManager, key: str, tmp_path: Path, all_touched: bool
) -> None:
    path = write(tmp_path / "zones.geojson", GEOMETRIES)
    found = context.polygons(
        context.open_polygons(path), key, field="kind", all_touched=all_touched
    )
    assert found.ids == (10, 11, 12, 13, 14, 15)
    assert found.values == ("k0", "k1", "k0", "k1", "k0", "k1")
    assert found.repaired == 1
    for window in (Window(0, 0, ROWS, COLS), Window(37, 250, 300, 511), Window(0, 1099, 700, 1)):
        groups = found.groups(window)
        ends = [*groups.starts[1:], groups.places.size]
        named = dict(zip(groups.numbers, zip(groups.starts, ends)))
        union = np.zeros((window.rows, window.cols), bool)
        for number, feature in enumerate(found.ids):
            wanted = burnt(path, feature, all_touched=all_touched)[window.slices]
            start, end = named.get(number, (0, 0))
            np.testing.assert_array_equal(groups.places[start:end], np.flatnonzero(wanted))
            union |= wanted
        np.testing.assert_array_equal(found.inside(window), union)


def test_an_extent_has_the_pixels_of_the_whole_image(
    context: EOContextManager, key: str, tmp_path: Path
) -> None:
    layer = context.open_polygons(write(tmp_path / "zones.geojson", GEOMETRIES))
    whole, extent = context.polygons(layer, key), Window(111, 222, 333, 444)
    part = context.polygons(layer, key, extent=extent)
    inside = part.inside(Window(0, 0, extent.rows, extent.cols))
    np.testing.assert_array_equal(inside, whole.inside(extent))


def test_polygons_in_another_crs_are_reprojected(
    context: EOContextManager, key: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "zones.geojson", GEOMETRIES)
    other = str(tmp_path / "degrees.gpkg")
    gdal.VectorTranslate(other, path, dstSRS="EPSG:4326", format="GPKG")
    here = context.polygons(context.open_polygons(path), key)
    there = context.polygons(context.open_polygons(other), key)
    whole = Window(0, 0, ROWS, COLS)
    assert np.count_nonzero(here.inside(whole) != there.inside(whole)) < 5


class Total(Reduction[list[int], list[int]]):
    """Sum and number of the pixels that count, and of those that are invalid among them."""

    def map(self, blocks: Blocks) -> list[int]:
        block = blocks[0]
        values = block.pixels if block.valid is None else block.pixels[block.valid]
        return [int(values.sum(dtype=np.int64)), values.size, blocks.size - values.size]

    def merge(self, first: list[int], second: list[int]) -> list[int]:
        return [one + two for one, two in zip(first, second)]


@pytest.fixture
def inline() -> Iterator[EOContextManager]:
    with EOContextManager(inline=True) as made:
        yield made


def test_a_reduction_looks_within_polygons_and_a_mask(
    inline: EOContextManager, tmp_path: Path
) -> None:
    profile = {"count": 1, "height": ROWS, "width": COLS, "dtype": "int32", "transform": GRID}
    key = inline.create_image({**profile, "nodata": 7})
    pixels = inline.get_array(key)
    pixels[0] = np.random.default_rng(3).integers(0, 50, pixels.shape[1:])
    mask = inline.create_image({**profile, "dtype": "uint8", "nodata": 200})
    inline.get_array(mask)[0] = np.random.default_rng(4).choice([0, 1, 200], pixels.shape[1:])
    path = write(tmp_path / "zones.geojson", GEOMETRIES)
    zones = inline.polygons(inline.open_polygons(path), key)
    inside = np.logical_or.reduce([burnt(path, feature) for feature in (10, 11, 12, 15)])
    shown = inline.get_array(mask)[0] == 1
    for within, where in (
        (Within(), np.ones_like(inside)),
        (Within(polygons=zones), inside),
        (Within(mask=mask), shown),
        (Within(mask=mask, polygons=zones), inside & shown),
    ):
        valid = where & (pixels[0] != 7)
        wanted = [int(pixels[0][valid].sum()), int(valid.sum()), int((where & ~valid).sum())]
        assert inline.reduce(Total(), key, within=within) == wanted
    small = inline.create_image({**profile, "dtype": "uint8", "width": 5})
    with pytest.raises(GridError, match="created image"):
        inline.reduce(Total(), key, within=Within(mask=small))


def test_a_reduction_looks_at_chosen_windows(inline: EOContextManager) -> None:
    key = inline.create_image({"count": 1, "height": ROWS, "width": COLS, "dtype": "int32"})
    pixels = inline.get_array(key)
    pixels[0] = np.arange(ROWS * COLS).reshape(ROWS, COLS)
    windows = [Window(500, 3, 40, 1000), Window(510, 20, 100, 7), Window(0, 0, 1, 1)]
    wanted = [pixels[0][window.slices] for window in windows]
    found = inline.reduce(Total(), key, windows=windows)
    assert found == [sum(int(part.sum()) for part in wanted), sum(p.size for p in wanted), 0]


def test_what_is_no_layer_of_polygons_is_refused(
    context: EOContextManager, key: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="'fields' cannot be opened"):
        context.open_polygons(str(tmp_path / "none.gpkg"), label="fields")
    line = {"type": "LineString", "coordinates": [[1, 2], [3, 4]]}
    for geometries in ([], [line], [None]):
        path = write(tmp_path / "zones.geojson", geometries)
        with pytest.raises(InputError, match="has no polygons or points.*Buffer|cannot be opened"):
            context.open_polygons(path)
    layer = context.open_polygons(write(tmp_path / "zones.geojson", GEOMETRIES), label="fields")
    with pytest.raises(InputError, match="'fields' has no field 'area'. It has: kind"):
        context.polygons(layer, key, field="area")
    with pytest.raises(InputError, match="no layer of polygons"):
        context.polygons(key, key)


def test_polygons_that_have_no_place_in_the_image_s_crs_lie_outside(
    context: EOContextManager, key: str, tmp_path: Path
) -> None:
    beyond = [[0.0, 95.0], [10.0, 95.0], [10.0, 91.0], [0.0, 95.0]]
    # from the image to where its projection is not defined
    world = [[-170.0, -80.0], [170.0, -80.0], [170.0, 80.0], [-170.0, 80.0], [-170.0, -80.0]]
    geometries = [{"type": "Polygon", "coordinates": [ring]} for ring in (beyond, world)]
    path = write(tmp_path / "zones.geojson", geometries, 4326)
    found = context.polygons(context.open_polygons(path), key)
    whole = Window(0, 0, ROWS, COLS)
    assert found.outside == 1
    assert found.groups(whole).numbers.tolist() == [1]
    assert found.inside(whole).all()


WORLD = [[-180.0, -90.0], [180.0, -90.0], [180.0, 90.0], [-180.0, 90.0], [-180.0, -90.0]]
HUGE = [[-1e11, -1e11], [1e11, -1e11], [1e11, 1e11], [-1e11, 1e11], [-1e11, -1e11]]


@pytest.mark.parametrize(("ring", "epsg"), [(WORLD, 4326), (HUGE, 32631), (HUGE, 3857)])
@pytest.mark.parametrize("all_touched", [False, True])
def test_polygons_far_larger_than_the_image_hold_all_of_it(
    context: EOContextManager, key: str, tmp_path: Path, ring: Any, epsg: int, all_touched: bool
) -> None:
    path = write(tmp_path / "zones.geojson", [{"type": "Polygon", "coordinates": [ring]}], epsg)
    found = context.polygons(context.open_polygons(path), key, all_touched=all_touched)
    whole = Window(0, 0, ROWS, COLS)
    assert found.inside(whole).all()
    if not all_touched:
        assert (found.shares(0, whole) == 1).all()


def without_crs(path: Path, source: str) -> str:
    """A GeoPackage of the same features with an undefined CRS."""
    gdal.VectorTranslate(str(path), source, format="GPKG", layerCreationOptions=["SRID=-1"])
    file = gdal.OpenEx(str(path), gdal.OF_VECTOR | gdal.OF_UPDATE)
    for table, column in (("gpkg_contents", "srs_id"), ("gpkg_geometry_columns", "srs_id")):
        file.ExecuteSQL(f"UPDATE {table} SET {column} = -1")
    del file
    return str(path)


def test_a_layer_without_crs(context: EOContextManager, key: str, tmp_path: Path) -> None:
    here = write(tmp_path / "here.geojson", GEOMETRIES)
    there = str(tmp_path / "there.gpkg")
    gdal.VectorTranslate(there, here, dstSRS="EPSG:4326", format="GPKG")
    known = context.polygons(context.open_polygons(here), key)
    unknown = context.open_polygons(without_crs(tmp_path / "a.gpkg", here), label="fields")
    with pytest.warns(InputWarning, match="'fields' has no CRS"):
        found = context.polygons(unknown, key)
    np.testing.assert_array_equal(found.points, known.points)
    degrees = context.open_polygons(without_crs(tmp_path / "b.gpkg", there), label="fields")
    with pytest.raises(InputError, match="'fields' has no CRS.*Set the layer's CRS"):
        context.polygons(degrees, key)


def test_none_on_the_image_is_told(context: EOContextManager, key: str, tmp_path: Path) -> None:
    path = write(tmp_path / "z.geojson", [{"type": "Polygon", "coordinates": [BEYOND]}])
    layer = context.open_polygons(path, label="fields")
    with pytest.warns(InputWarning, match="None of the features .1. of .fields. lies on the image"):
        context.polygons(layer, key)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_shapefile_that_was_cut_off(
    context: EOContextManager, key: str, tmp_path: Path, share: float
) -> None:
    source, path = write(tmp_path / "z.geojson", [GEOMETRIES[0]] * 50), tmp_path / "fields.shp"
    gdal.VectorTranslate(str(path), source, format="ESRI Shapefile")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match="'fields' cannot be (read|opened)"):
        context.polygons(context.open_polygons(str(path), label="fields"), key)


def test_an_image_without_a_geotransform_lies_below_the_origin(
    context: EOContextManager, tmp_path: Path
) -> None:
    key = context.create_image({"count": 1, "height": 30, "width": 40, "dtype": "uint8"})
    ring = [[10, -10], [20, -10], [20, -15], [10, -15], [10, -10]]
    path = write(tmp_path / "zones.geojson", [{"type": "Polygon", "coordinates": [ring]}])
    found = context.polygons(context.open_polygons(path), key)
    assert found.windows == [Window(10, 10, 5, 10)]


def test_reading_polygons_can_be_cancelled(tmp_path: Path) -> None:
    path = write(tmp_path / "zones.geojson", GEOMETRIES)
    with EOContextManager(inline=True, observer=Observer(cancelled=lambda: True)) as stopped:
        made = stopped.create_image({"count": 1, "height": 3, "width": 4, "dtype": "uint8"})
        layer = stopped.open_polygons(path)
        with pytest.raises(Cancelled):
            stopped.polygons(layer, made)


def test_identifiers_come_from_a_field(context: EOContextManager, key: str, tmp_path: Path) -> None:
    source = ogr.GetDriverByName("GPKG").CreateDataSource(str(tmp_path / "zones.gpkg"))
    layer = source.CreateLayer("zones", utm(), ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("zone", ogr.OFTInteger64))
    for number in (2**40, 5):
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetField("zone", number)
        feature.SetGeometry(ogr.CreateGeometryFromJson(json.dumps(GEOMETRIES[0])))
        layer.CreateFeature(feature)
    del feature, layer, source
    made = context.open_polygons(str(tmp_path / "zones.gpkg"), id_field="zone")
    assert context.polygons(made, key).ids == (2**40, 5)


@pytest.mark.parametrize("kind", ["GPKG", "ESRI Shapefile", "FlatGeobuf", "GeoJSON"])
@pytest.mark.parametrize("alike", [True, False])
def test_features_in_bulk_are_those_read_one_by_one(kind: str, alike: bool, tmp_path: Path) -> None:
    path = str(tmp_path / f"zones.{ogr.GetDriverByName(kind).GetMetadataItem('DMD_EXTENSION')}")
    file = ogr.GetDriverByName(kind).CreateDataSource(path)
    layer = file.CreateLayer("zones", utm(), ogr.wkbUnknown if kind == "GPKG" else ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("zone", ogr.OFTInteger64))
    shapes = ["POLYGON((0 0,9 0,9 9,0 0))", None, "POLYGON((0 0,0 0,0 0,0 0))"] * 4
    if not alike:
        shapes[5:7] = ["POLYGON((0 0,9 0,9 9,0 9,0 0),(1 1,2 1,2 2,1 1))", "POLYGON EMPTY"]
    if not alike and kind == "GPKG":
        shapes += ["POINT(1 2)", "CURVEPOLYGON(CIRCULARSTRING(0 0,1 1,2 0,1 -1,0 0))",
                   "GEOMETRYCOLLECTION Z(POINT Z(1 2 3))"]  # fmt: skip
    for number, shape in enumerate(shapes):
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetField("zone", 100 - number)
        if shape is not None:
            feature.SetGeometry(ogr.CreateGeometryFromWkt(shape))
        layer.CreateFeature(feature)
    if layer.TestCapability(ogr.OLCDeleteFeature):
        layer.DeleteFeature(3)
    del feature, layer, file
    file = ogr.Open(path)

    def read(field: str, id_field: str) -> list[tuple[int, str]]:
        layer = file.GetLayer(0)
        layer.SetIgnoredFields([])
        layer.ResetReading()
        (some,) = batches(layer, id_field, field)
        shapes = [shape and ogr.CreateGeometryFromWkb(shape) for shape in some.shapes]
        return list(zip(some.ids, (shape and shape.ExportToIsoWkt() for shape in shapes)))

    for id_field in ("", "zone"):
        found = read("", id_field)  # a field that is asked for makes it go one by one
        assert found == read("zone", id_field)
        assert len(found) > 5


def test_a_layer_is_found_by_its_name(context: EOContextManager, key: str, tmp_path: Path) -> None:
    path = str(tmp_path / "zones.gpkg")
    file = ogr.GetDriverByName("GPKG").CreateDataSource(path)
    for name, count in (("one", 1), ("two", 2)):
        layer = file.CreateLayer(name, utm(), ogr.wkbPolygon)
        for shape in GEOMETRIES[:count]:
            feature = ogr.Feature(layer.GetLayerDefn())
            feature.SetGeometry(ogr.CreateGeometryFromJson(json.dumps(shape)))
            layer.CreateFeature(feature)
    del feature, layer, file
    assert len(context.polygons(context.open_polygons(path), key)) == 1
    assert len(context.polygons(context.open_polygons(path, layer="two"), key)) == 2
    with pytest.raises(InputError, match="cannot be opened as a layer"):
        context.open_polygons(path, layer="three")


def test_a_polygon_that_gdal_does_not_draw_is_told(
    context: EOContextManager, key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "p.geojson", GEOMETRIES[:1])
    found = context.polygons(context.open_polygons(path), key, all_touched=True)
    monkeypatch.setattr(gdal, "RasterizeLayer", lambda *_, **__: gdal.CE_Failure)
    with pytest.raises(InputError, match="polygon 10 cannot be drawn"):
        found.inside(Window(0, 0, ROWS, COLS))
