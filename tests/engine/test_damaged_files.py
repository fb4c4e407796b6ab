"""Images that are damaged, incomplete or no file at all: refused, and refused again."""

from __future__ import annotations

import os
import re
import shutil
import struct
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal, osr

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import EngineError, InputError, InputWarning
from eoscale_engine.filters.neighbourhood.convolution import Convolution
from eoscale_engine.filters.pixel.python_filter import PythonFilter
from eoscale_engine.procedures.component_bases import basis_in_file
from eoscale_engine.procedures.inverse_components import InversePrincipalComponents
from eoscale_engine.procedures.pipeline import RunPipeline
from eoscale_engine.profile import CRS, Affine, profile_from
from eoscale_engine.raster_files.completeness import _stated_size
from eoscale_engine.raster_files.datasets import Datasets
from eoscale_engine.raster_files.opening import open_raster_file
from eoscale_engine.raster_files.remarks import LONGEST, MOST, Remarks
from eoscale_engine.raster_files.signature import file_signature
from eoscale_engine.reductions.python_reduction import PythonReduction
from eoscale_engine.reductions.statistics import BandMoments
from eoscale_engine.tiling import Window
from eoscale_engine.vector_files import open_polygon_layer

SIDE = 600
RUNS = 4

FORMATS = {
    "ENVI": ("a.dat", [], 1),
    "netCDF": ("a.nc", ["FORMAT=NC"], 1),
    "netCDF4": ("a.nc", ["FORMAT=NC4"], 1),
    "PCIDSK": ("a.pix", [], 1),
    "PCRaster": ("a.map", [], 1),
    "MBTiles": ("a.mbtiles", [], 3),
    "GPKG": ("a.gpkg", ["TILE_FORMAT=JPEG"], 3),
    "JPEG": ("a.jpg", [], 1),
    "PNG": ("a.png", [], 1),
    "XYZ": ("a.xyz", [], 1),
    "HFA": ("a.img", [], 1),
    "EHdr": ("a.bil", [], 1),
    "GTiff": ("a.tif", ["TILED=YES"], 1),
    "GTiff JPEG": ("a.tif", ["TILED=YES", "COMPRESS=JPEG"], 3),
    "GTiff LZW": ("a.tif", ["TILED=YES", "COMPRESS=LZW"], 1),
}


def image_of(form: str, folder: Path) -> str:
    name, options, bands = FORMATS[form]
    kind = form.split()[0].replace("netCDF4", "netCDF")
    driver = gdal.GetDriverByName(kind)
    if driver is None:
        pytest.skip(f"this GDAL has no {kind}")
    side = 60 if kind == "XYZ" else SIDE
    made = gdal.GetDriverByName("MEM").Create("", side, side, bands)
    made.SetGeoTransform((500000, 10, 0, 4600000, 0, -10))
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(3857)
    made.SetProjection(reference.ExportToWkt())
    noise = np.random.default_rng(5).integers(0, 255, (bands, side, side), "uint8")
    made.WriteArray(noise if bands > 1 else noise[0])
    path = str(folder / name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gdal.PushErrorHandler(lambda *_: None)
        copied = driver.CreateCopy(path, made, 0, options)
        gdal.PopErrorHandler()
    if copied is None:
        pytest.skip(f"this GDAL does not write {form}")
    return path


def all_pixels(path: str, datasets: Datasets) -> np.ndarray:
    file = open_raster_file(path, keep_alpha=True)
    return file.read(Window(0, 0, file.profile.height, file.profile.width), datasets=datasets)


@pytest.mark.parametrize("cut", ["half", "10 %", "64 bytes"])
@pytest.mark.parametrize("form", FORMATS)
def test_a_file_that_ends_early_is_refused_every_time(form: str, cut: str, tmp_path: Path) -> None:
    path = image_of(form, tmp_path)
    truth = all_pixels(path, Datasets())
    size = os.path.getsize(path)
    os.truncate(path, {"half": size // 2, "10 %": size * 9 // 10, "64 bytes": size - 64}[cut])
    datasets = Datasets()
    for _ in range(RUNS):
        if cut != "64 bytes":
            with pytest.raises(InputError, match=re.escape(path)):
                all_pixels(path, datasets)
            continue
        with suppress(InputError):  # or what is gone was no pixel, as at PNG's own end
            assert np.array_equal(all_pixels(path, datasets), truth)


def test_a_tile_that_ends_early_is_refused_every_time(tmp_path: Path) -> None:
    """GDAL only warns of it, once, and keeps what it made up in its cache of blocks."""
    path = image_of("GTiff JPEG", tmp_path)
    damage_tile(path, 1)
    vrt = str(tmp_path / "a.vrt")
    gdal.BuildVRT(vrt, [path]).FlushCache()
    for name in (path, vrt):
        for inline in (True, False):
            with EOContextManager(1, inline=inline) as context:
                for open_it in (context.describe, context.open_raster):
                    for _ in range(RUNS):
                        with pytest.raises(InputError, match="damaged or incomplete"):
                            context.reduce(BandMoments(), open_it(name))


def damage_tile(path: str, place: int) -> None:
    """A whole tile of 256 x 256: where one reaches beyond the image, JPEG does not miss its end."""
    dataset = gdal.Open(path)
    start, size = (
        int(dataset.GetRasterBand(1).GetMetadataItem(f"BLOCK_{what}_{place}_{place}", "TIFF"))
        for what in ("OFFSET", "SIZE")
    )
    dataset = None
    with open(path, "r+b") as file:
        file.seek(start + size // 2)
        file.write(bytes(size - size // 2))


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("records", [0, 1, 7])
@pytest.mark.parametrize("several", [True, False])
def test_the_length_in_a_netcdf_header(
    version: int, records: int, several: bool, tmp_path: Path
) -> None:
    netcdf = pytest.importorskip("scipy.io").netcdf_file
    path = str(tmp_path / "a.nc")
    with netcdf(path, "w", version=version) as file:
        file.history = "x" * 3001
        file.createDimension("time", None)
        file.createDimension("x", 5)
        file.createVariable("grid", "h", ("x",))[:] = 3
        for name in "ab" if several else "a":
            variable = file.createVariable(name, "h", ("time", "x"))
            variable.units = "m"
            for record in range(records):
                variable[record] = np.arange(5)
    stated, size = _stated_size(path), os.path.getsize(path)
    assert stated is not None and stated <= size < stated + 4


@pytest.mark.parametrize("size", [0, 64])
def test_a_damaged_mask_is_refused(size: int, tmp_path: Path) -> None:
    path = image_of("GTiff", tmp_path)
    dataset = gdal.Open(path)  # read only: the mask goes to a file of its own
    dataset.CreateMaskBand(gdal.GMF_PER_DATASET)
    dataset.GetRasterBand(1).GetMaskBand().Fill(255)
    dataset = None
    assert open_raster_file(path).mask == "mask"
    os.truncate(path + ".msk", size)
    for _ in range(2):
        with pytest.raises(InputError, match=r"a\.tif\.msk"):
            open_raster_file(path)


@pytest.mark.parametrize("text", ["", "<PAMDataset><PAMRasterBand band='1'><NoDataValue>7</No"])
def test_a_damaged_side_file_is_refused(text: str, tmp_path: Path) -> None:
    path = image_of("GTiff", tmp_path)
    Path(path + ".aux.xml").write_text(text)
    with pytest.raises(InputError, match=r"a\.tif\.aux\.xml.* is damaged.*delete it"):
        open_raster_file(path)


def test_what_gdal_says_reaches_the_user_once(tmp_path: Path) -> None:
    path = image_of("GTiff", tmp_path)
    code = struct.pack("<4H", 3072, 0, 1, 3857)
    data = Path(path).read_bytes()
    assert data.count(code) == 1
    Path(path).write_bytes(data.replace(code, struct.pack("<4H", 3072, 0, 1, 32999)))
    told: list[Any]
    with EOContextManager(inline=True) as context, warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        context.describe(path, label="the scene")
        context.describe(path, label="the scene")
    assert told and all(one.category is InputWarning for one in told)
    assert all("GDAL says of 'the scene'" in str(one.message) for one in told)
    assert len({str(one.message) for one in told}) == len(told)


def overrun_blocks(path: str, count: int) -> None:
    """Let some blocks of PackBits decode to more bytes than they have, each by its own number."""
    dataset = gdal.Open(path)
    band, across = dataset.GetRasterBand(1), dataset.RasterXSize // 128
    with open(path, "r+b") as file:
        for number in range(count):
            place = "_".join(map(str, reversed(divmod(number, across))))
            offset, size = (
                int(band.GetMetadataItem(f"BLOCK_{item}_{place}", "TIFF"))
                for item in ("OFFSET", "SIZE")
            )
            file.seek(offset)
            file.write(bytes((130 + number, 5)) * (size // 2))


@pytest.mark.parametrize("way", ["load", "reduce", "aligned"])
@pytest.mark.parametrize("how", [{"nb_workers": 2}, {"inline": True}], ids=["workers", "inline"])
def test_what_gdal_says_while_it_decodes_reaches_the_user_once(
    how: dict[str, Any], way: str, tmp_path: Path
) -> None:
    path = str(tmp_path / "a.tif")
    made = gdal.GetDriverByName("GTiff").Create(
        path, 512, 512, 1, gdal.GDT_Byte,
        ["TILED=YES", "BLOCKXSIZE=128", "BLOCKYSIZE=128", "COMPRESS=PACKBITS"],
    )  # fmt: skip
    crs = osr.SpatialReference()
    crs.ImportFromEPSG(32631)
    made.SetSpatialRef(crs)
    made.SetGeoTransform((500000, 10, 0, 4600000, 0, -10))
    made.GetRasterBand(1).WriteArray(np.random.default_rng(1).integers(0, 255, (512, 512)))
    made = None
    overrun_blocks(path, 5)
    told: list[Any]
    with (
        EOContextManager(tile_pixels=100, **how) as context,
        warnings.catch_warnings(record=True) as told,
    ):
        warnings.simplefilter("always")
        key = context.describe(path, label="the scene")
        assert not told
        if way == "aligned":
            grid = {"width": 500, "height": 500, "count": 1, "dtype": "uint8"}
            place = Affine(10, 0, 500003, 0, -10, 4599997)
            like = context.create_image({**grid, "crs": CRS(crs.ExportToWkt()), "transform": place})
            key = context.align(key, like, "nearest")
        if way == "load":
            context.load(key)
        context.reduce(BandMoments(), key)
    (one,) = told
    assert one.category is InputWarning
    assert re.match("GDAL says of 'the scene': PackBits.* bytes", str(one.message))


def test_what_is_gone_is_told_in_words(
    tmp_path: Path, exceptions: None, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whether GDAL's exceptions are on or off, and with nothing printed."""
    image = open_raster_file(image_of("GTiff", tmp_path))
    layer = tmp_path / "zones.geojson"
    shutil.copy(Path(__file__).parents[1] / "data" / "polygons.geojson", layer)
    zones = open_polygon_layer(str(layer), "zones")
    for path in (image.path, layer):
        os.unlink(path)
    with pytest.raises(InputError, match="'zones' cannot be read: .*zones.geojson"):
        zones.on_grid(image.profile, warn=print)
    with pytest.raises(InputError, match="is no CRS"):
        profile_from({**image.profile, "crs": "nonsense"})
    assert not capfd.readouterr().err


def test_remarks_are_bounded() -> None:
    remarks = Remarks()
    assert len(remarks.add("a", ["block 1 of 2 " + "x" * 5000, "block 3 of 40 " + "x" * 5000])) == 1
    assert not remarks.add("a", ["TIFFReadDirectory: tags are not sorted in ascending order"])
    assert len(remarks.add("b", [chr(97 + number) for number in range(26)])) == MOST - 1
    found = remarks.take()
    assert len(found) == MOST
    assert max(len(text) for _, text in found) == LONGEST
    assert not remarks.take()


@pytest.mark.skipif(sys.platform == "win32", reason="no time of change")
def test_a_change_that_hides_is_seen(tmp_path: Path) -> None:
    path = image_of("GTiff", tmp_path)
    before, status = file_signature(path), os.stat(path)
    with open(path, "r+b") as file:
        file.seek(status.st_size // 2)
        file.write(b"other pixels")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    after = os.stat(path)
    assert (after.st_size, after.st_mtime_ns) == (status.st_size, status.st_mtime_ns)
    assert file_signature(path) != before


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_a_pipe_or_a_device_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    path = "/dev/zero"
    if kind == "pipe":
        path = str(tmp_path / "pipe.tif")
        os.mkfifo(path)
    with EOContextManager(inline=True) as context:
        for opened in (context.describe, context.open_polygons):
            with pytest.raises(EngineError, match="is a device or a pipe"):
                opened(path)


def test_a_polygon_file_that_ends_early_is_refused(tmp_path: Path) -> None:
    from osgeo import ogr

    whole = tmp_path / "whole"
    layers = ogr.GetDriverByName("ESRI Shapefile").CreateDataSource(str(whole))
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(3857)
    layer = layers.CreateLayer("a", reference, ogr.wkbPolygon)
    for number in range(200):
        feature = ogr.Feature(layer.GetLayerDefn())
        west, north = 500000 + number * 30, 4599900
        ring = f"{west} {north},{west + 20} {north},{west + 20} {north - 90},{west} {north}"
        shape = f"POLYGON(({ring}))"
        feature.SetGeometry(ogr.CreateGeometryFromWkt(shape))
        layer.CreateFeature(feature)
    layers = layer = None
    image = image_of("GTiff", tmp_path)
    shutil.copytree(whole, tmp_path / "cut")
    os.truncate(tmp_path / "cut" / "a.shp", os.path.getsize(whole / "a.shp") // 2)

    def read(folder: str) -> Any:
        with EOContextManager(inline=True) as context:
            key = context.open_polygons(str(tmp_path / folder / "a.shp"))
            return context.polygons(key, context.describe(image))

    assert len(read("whole").ids) == 200
    with pytest.raises(InputError, match=r"a\.shp"):
        read("cut")


@pytest.mark.parametrize("text", ["[" * 100_000, "{", '{"tables": 1}'])
def test_numbers_of_components_that_make_no_sense(text: str, tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(InputError, match="is not what 'Principal components' wrote"):
        basis_in_file(str(file))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes")
@pytest.mark.parametrize(
    ("kind", "others"),
    [
        (InversePrincipalComponents, {}),
        (Convolution, {"kernel": "given"}),
        (PythonFilter, {"function": "f"}),
        (PythonReduction, {"function": "f", "merge_function": "g"}),
        (RunPipeline, {}),
    ],
)
def test_files_of_parameters_are_bounded(kind: Any, others: Any, tmp_path: Path) -> None:
    pipe, large = str(tmp_path / "pipe"), str(tmp_path / "large")
    os.mkfifo(pipe)
    with open(large, "w") as file:
        file.truncate(10**9)
    for path, problem in {
        "/dev/zero": "is a device or a pipe",
        pipe: "is a device or a pipe",
        large: "has 1000 MB, more than the 100 MB",
    }.items():
        with pytest.raises(InputError, match=problem):
            kind(file=path, **others)


def test_long_messages_are_cut() -> None:
    text = str(InputError("It is " + "x" * 100_000 + ". Choose another."))
    assert len(text) < 5000 and text.startswith("It is x") and text.endswith(". Choose another.")
