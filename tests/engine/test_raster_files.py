"""Images on disk: profiles, reading, change, writing, alignment."""

from __future__ import annotations

import os
import pickle
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, osr

from eoscale_engine.errors import Cancelled, InputError, OutputError
from eoscale_engine.profile import CRS, DTYPES, Affine, Band, GroundControlPoint, Profile
from eoscale_engine.raster_files import opening as raster_files
from eoscale_engine.raster_files import options as raster_options
from eoscale_engine.raster_files import writing as raster_write
from eoscale_engine.raster_files.alignment import aligned
from eoscale_engine.raster_files.datasets import Datasets
from eoscale_engine.raster_files.gdal_calls import call_gdal
from eoscale_engine.raster_files.gdal_profile import (
    BandStatistics,
    describe,
    gdal_type,
    signed_byte,
)
from eoscale_engine.raster_files.opening import open_raster_file
from eoscale_engine.raster_files.options import COMPRESSIONS, WriteOptions
from eoscale_engine.raster_files.signature import file_signature
from eoscale_engine.raster_files.verification import (
    READ_BACK,
    SHARE,
    blocks_to_compare,
    check_written,
)
from eoscale_engine.raster_files.vrt import vrt_face
from eoscale_engine.raster_files.writing import check_target, write_raster
from eoscale_engine.tiling import Window, blocks_of

CUSTOM = "+proj=laea +lat_0=51.3 +lon_0=11.7 +x_0=100 +y_0=200 +ellps=bessel +units=m +no_defs"
UTM = 32631


def crs_of(definition: int | str) -> CRS:
    reference = osr.SpatialReference()
    if isinstance(definition, int):
        reference.ImportFromEPSG(definition)
    else:
        reference.ImportFromProj4(definition)
    return CRS(reference.ExportToWkt(["FORMAT=WKT2_2019"]))


def profile(dtype: str = "float32", width: int = 70, height: int = 50, **changes) -> Profile:
    values = {
        "bands": (Band(color="Gray"),),
        "crs": crs_of(UTM),
        "transform": Affine(10, 0, 500000, 0, -10, 4600000),
        "metadata": (("", "AREA_OR_POINT", "Area"),),
        **changes,
    }
    return Profile(width, height, dtype, **values)


def pixels_of(profile: Profile, seed: int = 1) -> np.ndarray:
    random = np.random.default_rng(seed)
    dtype = np.dtype(profile.dtype)
    if dtype.kind == "c":
        parts = random.normal(size=(2, *profile.shape))
        return (parts[0] + 1j * parts[1]).astype(dtype)
    if dtype.kind == "f":
        return random.normal(size=profile.shape).astype(dtype)
    limits = np.iinfo(dtype)
    return random.integers(limits.min, limits.max, profile.shape, dtype, endpoint=True)


def write_face(folder: Path, profile: Profile, pixels: np.ndarray, **options) -> str:
    pixels.tofile(folder / "face.raw")
    path = folder / "face.vrt"
    path.write_text(vrt_face(profile, "face.raw", **options), encoding="utf-8")
    return str(path)


def write_tif(
    path: Path, profile: Profile, pixels: np.ndarray, options: list[str] | None = None
) -> str:
    creation = ["PIXELTYPE=SIGNEDBYTE"] if signed_byte(profile.dtype) else []
    dataset = gdal.GetDriverByName("GTiff").Create(
        str(path), profile.width, profile.height, profile.count, gdal_type(profile.dtype),
        creation + (options or ["TILED=YES", "COMPRESS=DEFLATE"]),
    )  # fmt: skip
    describe(dataset, profile)
    for number in range(profile.count):
        dataset.GetRasterBand(number + 1).WriteArray(pixels[number])
    return str(path)


def everything(profile: Profile) -> Window:
    return Window(0, 0, profile.height, profile.width)


def contents(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# ---------------------------------------------------------------- profiles

RICH_BANDS = (
    Band(
        nodata=-9999.0, scale=0.1, offset=-1000.25, name="höhe <&\"'>", unit="m", color="Gray",
        metadata=(("", "BANDNAME", "B8A"), ("", "note", "a\nb & <c>")),
    ),
    Band(nodata=-9999.0, name="second"),
)  # fmt: skip

PROFILES = {
    "rich": profile(
        bands=RICH_BANDS,
        metadata=(("", "AREA_OR_POINT", "Point"), ("", "SENSOR", "ü & <x>")),
    ),
    "custom CRS": profile(crs=crs_of(CUSTOM)),
    "geographic": profile(crs=crs_of(4326), transform=Affine(0.1, 0, 7.12345678901234, 0, -0.1, 5)),
    "rotated": profile(transform=Affine(8.66, 5.0, 500000, 5.0, -8.66, 4600000)),
    "south up": profile(transform=Affine(10, 0, 500000, 0, 10, 4600000)),
    "nothing": profile(crs=None, transform=None, metadata=()),
    "control points": profile(
        crs=None, transform=None, gcp_crs=crs_of(4326),
        gcps=tuple(
            GroundControlPoint(c, r, 7 + c / 1000, 45 - r / 1000, 12.5, str(i + 1))
            for i, (c, r) in enumerate([(0.5, 0.5), (60.5, 2.5), (3.25, 40.5), (66.5, 44.5)])
        ),
    ),
    "palette": profile(
        "uint8",
        bands=(Band(
            nodata=0, color="Palette", categories=("none", "wood & field", "water"),
            color_table=tuple((i, 255 - i, i // 2, 255 * (i > 0)) for i in range(256)),
        ),),
    ),
    "int64 nodata": profile("int64", bands=(Band(nodata=-(2**63) + 1, color="Gray"),)),
    "uint64 nodata": profile("uint64", bands=(Band(nodata=2**64 - 1, color="Gray"),)),
    "float nodata": profile(bands=(Band(nodata=-3.4028234663852886e38, color="Gray"),)),
}  # fmt: skip


@pytest.mark.parametrize("name", PROFILES)
def test_a_face_gives_back_its_profile(name: str, tmp_path: Path) -> None:
    pixels = pixels_of(PROFILES[name])
    file = open_raster_file(write_face(tmp_path, PROFILES[name], pixels))
    assert file.profile == PROFILES[name]
    assert np.array_equal(file.read(everything(file.profile)), pixels)


@pytest.mark.parametrize("driver", ["GTiff", "COG"])
@pytest.mark.parametrize("name", PROFILES)
def test_a_written_file_gives_back_its_profile(name: str, driver: str, tmp_path: Path) -> None:
    pixels = pixels_of(PROFILES[name])
    source = write_face(tmp_path, PROFILES[name], pixels)
    (tmp_path / "out").mkdir()
    target = str(tmp_path / "out" / "x.tif")
    write_raster(source, target, format=driver)
    file = open_raster_file(target)
    written, asked = file.profile, PROFILES[name]
    if asked.crs is not None:
        assert written.crs is not None
        assert written.crs.same_as(asked.crs)
    if asked.gcp_crs is not None:
        assert written.gcp_crs is not None
        assert written.gcp_crs.same_as(asked.gcp_crs)
    assert replace(written, crs=asked.crs, gcp_crs=asked.gcp_crs) == asked
    assert np.array_equal(file.read(everything(file.profile)), pixels)


def test_rpc_stays(tmp_path: Path) -> None:
    keys = {
        "LINE_OFF": "25", "SAMP_OFF": "35", "LAT_OFF": "45", "LONG_OFF": "7", "HEIGHT_OFF": "100",
        "LINE_SCALE": "25", "SAMP_SCALE": "35", "LAT_SCALE": "0.1", "LONG_SCALE": "0.1",
        "HEIGHT_SCALE": "500", "ERR_BIAS": "-1", "ERR_RAND": "-1",
        **{key: " ".join(["1"] * 20) for key in (
            "LINE_NUM_COEFF", "LINE_DEN_COEFF", "SAMP_NUM_COEFF", "SAMP_DEN_COEFF")},
    }  # fmt: skip
    asked = profile(
        crs=None, transform=None, metadata=tuple(("RPC", key, keys[key]) for key in sorted(keys))
    )
    source = write_face(tmp_path, asked, pixels_of(asked))
    target = str(tmp_path / "x.tif")
    write_raster(source, target)
    for path in (source, target):
        found = {
            k: v for domain, k, v in open_raster_file(path).profile.metadata if domain == "RPC"
        }
        assert found["LINE_OFF"] == "25"
        assert found["SAMP_DEN_COEFF"].split() == ["1"] * 20


@pytest.mark.parametrize("nan", ["float32", "float64", "complex64"])
def test_nan_nodata(nan: str, tmp_path: Path) -> None:
    asked = profile(nan, bands=(Band(nodata=float("nan")),))
    path = write_face(tmp_path, asked, pixels_of(asked))
    target = str(tmp_path / "x.tif")
    write_raster(path, target)
    for name in (path, target):
        assert np.isnan(open_raster_file(name).profile.nodata)


@pytest.mark.parametrize("compress", COMPRESSIONS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_every_type_and_compression(dtype: str, compress: str, tmp_path: Path) -> None:
    if compress == "LERC_ZSTD" and dtype in ("int64", "uint64", "complex64", "complex128"):
        pytest.skip("LERC has no such pixels")
    asked = profile(dtype, width=150, height=140, bands=(Band(), Band()))
    pixels = pixels_of(asked)
    source = write_face(tmp_path, asked, pixels)
    for driver in ("GTiff", "COG"):
        target = str(tmp_path / f"{driver}.tif")
        write_raster(source, target, format=driver, options=WriteOptions(compress, block_size=128))
        file = open_raster_file(target)
        assert file.profile.dtype == dtype
        assert np.array_equal(file.read(everything(asked)), pixels)


LERC_HAS_NOT = ["int64", "uint64", "complex64", "complex128"]


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("driver", ["GTiff", "COG"])
@pytest.mark.parametrize("dtype", LERC_HAS_NOT)
def test_lerc_refuses_what_it_cannot_hold(
    dtype: str, driver: str, threads: int, tmp_path: Path
) -> None:
    asked = profile(dtype)
    source = write_face(tmp_path, asked, pixels_of(asked))
    before = contents(tmp_path)
    with pytest.raises(OutputError, match=f"LERC_ZSTD cannot hold pixels of type {dtype}. Use"):
        write_raster(
            source, str(tmp_path / "x.tif"), format=driver, options=WriteOptions("LERC_ZSTD"),
            threads=threads,
        )  # fmt: skip
    assert contents(tmp_path) == before


@pytest.mark.parametrize("driver", ["GTiff", "COG"])
@pytest.mark.parametrize("dtype", LERC_HAS_NOT)
def test_an_error_in_gdals_own_threads_fails_the_write(
    dtype: str, driver: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their errors do not come back to the caller: what they did not write is zeros."""
    monkeypatch.setattr(raster_write, "check_storable", lambda *_: None)
    monkeypatch.delenv(READ_BACK)
    asked = profile(dtype, width=900, height=700)
    source = write_face(tmp_path, asked, pixels_of(asked))
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="could not be written: the pixels of band 1"):
        write_raster(
            source, str(tmp_path / "x.tif"), format=driver, options=WriteOptions("LERC_ZSTD"),
            threads=2,
        )  # fmt: skip
    assert contents(tmp_path) == before


EDGE = 16
"""Side of the smallest blocks of a TIFF."""


def write_around(band: gdal.Band, pixels: np.ndarray, row: int, col: int) -> None:
    """Write all blocks of a band but the one at a place, as where GDAL's threads lost it."""
    below, right = row + EDGE, col + EDGE
    for rows, cols in (
        (slice(0, row), slice(None)), (slice(row, below), slice(0, col)),
        (slice(row, below), slice(right, None)), (slice(below, None), slice(None)),
    ):  # fmt: skip
        if pixels[rows, cols].size:
            band.WriteArray(pixels[rows, cols], cols.start or 0, rows.start)


def create_tif(path: str, size: int, dtype: str, compress: str) -> gdal.Dataset:
    """A file of two bands in the smallest blocks."""
    return gdal.GetDriverByName("GTiff").Create(
        path, size, size, 2, gdal_type(dtype),
        [
            "TILED=YES", f"BLOCKXSIZE={EDGE}", f"BLOCKYSIZE={EDGE}", "INTERLEAVE=BAND",
            f"COMPRESS={compress}", "NUM_THREADS=2",
        ],
    )  # fmt: skip


@pytest.mark.parametrize(
    ("compress", "lost"),
    [
        ("DEFLATE", (1, 0, 0)), ("LZW", (1, 512, 320)), ("LERC_ZSTD", (2, 48, 1008)),
        ("LZW", (2, 1008, 1008)),
    ],
)  # fmt: skip
def test_a_lost_block_is_found_among_thousands_of_empty_ones(
    compress: str, lost: tuple[int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All blocks that were not written are compared, where of the others one in a hundred is."""
    monkeypatch.delenv(READ_BACK)
    size = 1024
    asked = profile("uint16", width=size, height=size, bands=(Band(nodata=7), Band(nodata=7)))
    number, row, col = lost
    pixels = np.full((2, size, size), 7, "uint16")
    pixels[number - 1, row + 15, col + 15] = 8
    like = gdal.Open(write_face(tmp_path, asked, pixels))
    path = str(tmp_path / "x.tif")
    made = create_tif(path, size, "uint16", compress)
    for band in (1, 2):
        made.GetRasterBand(band).SetNoDataValue(7)
    made.GetRasterBand(3 - number).WriteArray(pixels[2 - number])
    write_around(made.GetRasterBand(number), pixels[number - 1], row, col)
    blocks = blocks_to_compare(made, compress, masked=False)
    assert len(blocks) == round(2 * (size // EDGE) ** 2 / SHARE) + 1
    made = None  # GDAL fills the block
    assert open_raster_file(path).read(everything(asked)).max() == 7
    with pytest.raises(OutputError, match=f"band {number} at row {row}, column {col} are not"):
        check_written(path, like, blocks, masked=False)


def test_a_lost_block_of_a_mask_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(READ_BACK)
    path, size, pixels = str(tmp_path / "x.tif"), 64, np.full((64, 64), 255, "uint8")
    like = gdal.GetDriverByName("MEM").Create("", size, size, 2)
    made = create_tif(path, size, "uint8", "LZW")
    for dataset in (like, made):
        for number in (1, 2):
            dataset.GetRasterBand(number).WriteArray(pixels)
        call_gdal(
            dataset.CreateMaskBand, gdal.GMF_PER_DATASET,
            config={"GDAL_TIFF_INTERNAL_MASK": "YES"},
        )  # fmt: skip
    like.GetRasterBand(1).GetMaskBand().WriteArray(pixels)
    write_around(made.GetRasterBand(1).GetMaskBand(), pixels, 32, 16)
    blocks = blocks_to_compare(made, "LZW", masked=True)
    made = None
    with pytest.raises(OutputError, match="band 1 at row 32, column 16 are not"):
        check_written(path, like, blocks, masked=True)


@pytest.mark.parametrize("place", [(0, 0), (512, 512)])
def test_every_block_is_compared_where_that_is_asked_for(
    place: tuple[int, int], tmp_path: Path
) -> None:
    asked = profile("uint16", width=600, height=700, bands=(Band(), Band()))
    pixels = pixels_of(asked)
    like = gdal.Open(write_face(tmp_path, asked, pixels))
    path = str(tmp_path / "x.tif")
    write_raster(str(tmp_path / "face.vrt"), path)
    made = gdal.OpenEx(path, gdal.OF_RASTER | gdal.OF_UPDATE)
    row, col = place
    made.GetRasterBand(2).WriteArray(pixels[1, row : row + 1, col : col + 1] + 1, col, row)
    blocks = blocks_to_compare(made, "DEFLATE", masked=False)
    made = None
    with pytest.raises(OutputError, match=f"band 2 at row {row}, column {col}"):
        check_written(path, like, blocks, masked=False)


@pytest.mark.parametrize("compress", ["NONE", "DEFLATE", "ZSTD"])
@pytest.mark.parametrize("driver", ["GTiff", "COG"])
@pytest.mark.parametrize("shape", [(224, 32, 32), (30, 33, 49), (2, 700, 20)])
def test_blocks_are_cut_to_the_image(
    shape: tuple[int, int, int], driver: str, compress: str, tmp_path: Path
) -> None:
    count, rows, cols = shape
    asked = profile(width=cols, height=rows, bands=(Band(),) * count)
    pixels = pixels_of(asked)
    path = str(tmp_path / "x.tif")
    source = write_face(tmp_path, asked, pixels)
    write_raster(source, path, format=driver, options=WriteOptions(compress))
    assert np.array_equal(open_raster_file(path).read(everything(asked)), pixels)
    if driver == "GTiff":
        whole = [-(-rows // 16) * 16, -(-cols // 16) * 16]
        assert open_raster_file(path).block_shape == (min(whole[0], 512), min(whole[1], 512))
    if rows < 512:  # COG has square blocks only
        assert os.path.getsize(path) < 3 * pixels.nbytes


@pytest.mark.parametrize(("kind", "dtype"), [("CInt16", "complex64"), ("CInt32", "complex128")])
def test_complex_integers(kind: str, dtype: str, tmp_path: Path) -> None:
    path = str(tmp_path / "c.tif")
    values = np.array([[1 + 2j, -30000 + 4j], [5, 6j]]) * (1 if kind == "CInt16" else 70001)
    dataset = gdal.GetDriverByName("GTiff").Create(path, 2, 2, 1, gdal.GetDataTypeByName(kind))
    dataset.GetRasterBand(1).WriteArray(values.astype("complex128"))
    del dataset
    file = open_raster_file(path)
    assert file.profile.dtype == dtype
    assert np.array_equal(file.read(Window(0, 0, 2, 2))[0], values)


def test_bands_of_several_types_and_a_nodata_value_that_does_not_fit(tmp_path: Path) -> None:
    parts = []
    for dtype in ("uint8", "int16"):
        part = profile(dtype, bands=(Band(nodata=7),))
        parts.append(write_tif(tmp_path / f"{dtype}.tif", part, pixels_of(part)))
    path = str(tmp_path / "both.vrt")
    gdal.BuildVRT(path, parts, separate=True).FlushCache()
    text = Path(path).read_text().replace("<NoDataValue>7<", "<NoDataValue>-9999.5<", 1)
    Path(path).write_text(text)
    file = open_raster_file(path)
    assert file.profile.dtype == "int16"
    assert [band.nodata for band in file.profile.bands] == [None, 7]
    assert isinstance(file.profile.bands[1].nodata, int)


def test_stale_metadata_is_left_out(tmp_path: Path) -> None:
    asked = profile(metadata=(("", "NODATA_VALUES", "0"), ("", "AREA_OR_POINT", "Area")))
    statistics = [BandStatistics(10, 5, 1.0, 3.0, 2.0, 0.5)]
    file = open_raster_file(write_face(tmp_path, asked, pixels_of(asked), statistics=statistics))
    assert file.profile.metadata == (("", "AREA_OR_POINT", "Area"),)
    assert file.profile.bands[0].metadata == ()


def test_a_face_keeps_metadata_of_any_domain(tmp_path: Path) -> None:
    asked = profile(metadata=(("", "A", "1"), ("IMD", "x", "y"), ("MINE", "z", "2")))
    path = write_face(tmp_path, asked, pixels_of(asked))
    assert open_raster_file(path).profile.metadata == asked.metadata


@pytest.mark.parametrize("driver", ["GTiff", "COG"])
def test_floats_with_several_nodata_values_get_nan(driver: str, tmp_path: Path) -> None:
    asked = profile(bands=(Band(nodata=-1.0), Band(), Band(nodata=float("nan"))))
    pixels = pixels_of(asked)
    pixels[:, 3:9] = -1
    pixels[2, 20:30] = np.nan
    target = str(tmp_path / "x.tif")
    write_raster(write_face(tmp_path, asked, pixels), target, format=driver)
    file = open_raster_file(target)
    expected = pixels.copy()
    expected[0, 3:9] = np.nan
    assert np.isnan([band.nodata for band in file.profile.bands]).all()
    assert np.array_equal(file.read(everything(asked)), expected, equal_nan=True)


@pytest.mark.parametrize("driver", ["GTiff", "COG"])
def test_integers_with_several_nodata_values_get_a_free_one(tmp_path: Path, driver: str) -> None:
    asked = profile("uint8", bands=(Band(nodata=1), Band(), Band(nodata=200)))
    pixels = pixels_of(asked) % 100 + 2
    pixels[0, 3:9], pixels[2, 5:7] = 1, 200
    source = write_face(tmp_path, asked, pixels)
    target = str(tmp_path / "x.tif")
    counts = [BandStatistics(1, 1, band.min(), band.max(), 5, 2) for band in pixels[:, 20:]]
    write_raster(source, target, format=driver, statistics=counts)
    file = open_raster_file(target)
    expected = np.where(pixels == [[[1]], [[999]], [[200]]], 1, pixels)
    assert ([band.nodata for band in file.profile.bands], file.mask) == ([1, 1, 1], "none")
    assert np.array_equal(file.read(everything(asked)), expected)


@pytest.mark.parametrize("driver", ["GTiff", "COG"])
def test_bytes_of_all_values_with_nodata_by_band_get_masks(tmp_path: Path, driver: str) -> None:
    asked = profile("uint8", bands=(Band(nodata=1), Band(), Band(nodata=200)))
    pixels = pixels_of(asked)
    pixels[:, :16, :16] = np.arange(256).reshape(16, 16)
    source = write_face(tmp_path, asked, pixels)
    target = str(tmp_path / "x.tif")
    counts = [BandStatistics(256, 1, 0, 255, 100, 50)] * 3
    write_raster(source, target, format=driver, statistics=counts)
    file = open_raster_file(target)
    assert ([band.nodata for band in file.profile.bands], file.mask) == ([None] * 3, "bands")
    assert np.array_equal(file.read(everything(asked)), pixels)
    valid = np.array([[[1]], [[999]], [[200]]]) != pixels
    assert np.array_equal(file.read_planes(everything(asked)), valid)
    assert contents(tmp_path) == ["face.raw", "face.vrt", "x.tif", "x.tif.msk"]


# ---------------------------------------------------------------- statistics


@pytest.mark.parametrize("approximate", [True, False])
def test_a_reader_of_statistics_leaves_a_face_as_it_is(approximate: bool, tmp_path: Path) -> None:
    asked = profile()
    statistics = [BandStatistics(3500, 0, -1.5, 2.25, 0.1, 1 / 3)]
    path = write_face(tmp_path, asked, pixels_of(asked), statistics=statistics)
    text = Path(path).read_text()
    dataset = gdal.Open(path)
    assert dataset.GetRasterBand(1).GetStatistics(approximate, True) == [-1.5, 2.25, 0.1, 1 / 3]
    del dataset
    assert Path(path).read_text() == text
    assert contents(tmp_path) == ["face.raw", "face.vrt"]


@pytest.mark.parametrize("overviews", [True, False])
@pytest.mark.parametrize("driver", ["GTiff", "COG"])
def test_statistics_are_stored_inside(driver: str, overviews: bool, tmp_path: Path) -> None:
    asked = profile(width=1100, height=600)
    source = write_face(tmp_path, asked, pixels_of(asked))
    (tmp_path / "out").mkdir()
    target = str(tmp_path / "out" / "x.tif")
    write_raster(
        source, target, format=driver, options=WriteOptions(overviews=overviews),
        statistics=[BandStatistics(10, 30, 1.5, 3.0, 2.0, 0.5)], threads=2,
    )  # fmt: skip
    dataset = gdal.Open(target)
    assert dataset.GetRasterBand(1).GetStatistics(False, False) == [1.5, 3.0, 2.0, 0.5]
    assert dataset.GetRasterBand(1).GetMetadataItem("STATISTICS_VALID_PERCENT") == "25"
    assert (dataset.GetRasterBand(1).GetOverviewCount() > 0) == overviews
    assert dataset.GetRasterBand(1).GetBlockSize() == [512, 512]
    layout = dataset.GetMetadataItem("LAYOUT", "IMAGE_STRUCTURE")
    assert layout == ("COG" if driver == "COG" else None)
    assert dataset.GetMetadataItem("PREDICTOR", "IMAGE_STRUCTURE") == "3"
    assert contents(tmp_path / "out") == ["x.tif"]
    assert not any("STATISTICS" in str(item) for item in open_raster_file(source).profile.metadata)


def test_a_source_keeps_its_own_statistics(tmp_path: Path) -> None:
    asked = profile()
    statistics = [BandStatistics(3500, 0, -1.5, 2.25, 0.1, 1 / 3)]
    source = write_face(tmp_path, asked, pixels_of(asked), statistics=statistics)
    write_raster(source, str(tmp_path / "x.tif"))
    written = gdal.Open(str(tmp_path / "x.tif"))
    assert written.GetRasterBand(1).GetStatistics(False, False) == [-1.5, 2.25, 0.1, 1 / 3]


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize("bands", [(2,), (3, 1), (1, 2, 3)])
@pytest.mark.parametrize("interleave", ["PIXEL", "BAND"])
def test_reading_into_a_part_of_a_larger_array(
    bands: tuple[int, ...], interleave: str, tmp_path: Path
) -> None:
    asked = profile("uint16", bands=(Band(), Band(), Band()))
    pixels = pixels_of(asked)
    path = write_tif(tmp_path / "a.tif", asked, pixels, ["TILED=YES", f"INTERLEAVE={interleave}"])
    file = open_raster_file(path, bands)
    whole = np.memmap(tmp_path / "m", "uint16", "w+", shape=(len(bands), 60, 90))
    window = Window(11, 7, 30, 41)
    out = whole[:, 5:35, 9:50]
    assert file.read(window, out, Datasets()) is out
    expected = pixels[[number - 1 for number in bands]][(slice(None), *window.slices)]
    assert np.array_equal(out, expected)
    assert np.array_equal(file.read(window), expected)
    assert whole.sum(dtype="uint64") == expected.sum(dtype="uint64")


@pytest.mark.parametrize("dtype", ["int8", "uint16", "float32", "complex64"])
@pytest.mark.parametrize("interleave", ["PIXEL", "BAND"])
@pytest.mark.parametrize("bands", [(2,), (3, 1)])
def test_whole_blocks_are_what_any_window_is(
    bands: tuple[int, ...], interleave: str, dtype: str, tmp_path: Path
) -> None:
    asked = profile(dtype, bands=(Band(), Band(), Band()))
    pixels = pixels_of(asked)
    options = ["TILED=YES", "BLOCKXSIZE=32", "BLOCKYSIZE=16", f"INTERLEAVE={interleave}"]
    file = open_raster_file(write_tif(tmp_path / "a.tif", asked, pixels, options), bands)
    chosen = pixels[[number - 1 for number in bands]]
    for window in blocks_of(Window(0, 0, *pixels.shape[1:]), (16, 32)):
        assert np.array_equal(file.read(window), chosen[(slice(None), *window.slices)])


@pytest.mark.usefixtures("both_ways")
def test_a_block_that_cannot_be_decoded_is_named(tmp_path: Path, capfd) -> None:
    asked = profile(width=600, height=600)
    path = tmp_path / "a.tif"
    options = ["TILED=YES", "BLOCKXSIZE=64", "BLOCKYSIZE=64", "COMPRESS=DEFLATE"]
    write_tif(path, asked, pixels_of(asked), options)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    file = open_raster_file(str(path))
    with pytest.raises(InputError, match=r"a.tif. .*rows 512 to 575, columns 64 to 127: .*damaged"):
        file.read(Window(512, 64, 64, 64))
    assert capfd.readouterr() == ("", "")


def test_a_file_travels_to_workers(tmp_path: Path) -> None:
    asked = profile(bands=RICH_BANDS)
    file = open_raster_file(write_tif(tmp_path / "a.tif", asked, pixels_of(asked)), [2, 1])
    copy = pickle.loads(pickle.dumps(file))
    assert copy == file
    assert file.block_shape == (256, 256)


def test_alpha_is_a_mask_and_no_band(tmp_path: Path) -> None:
    asked = profile("uint16", bands=(Band(color="Gray"), Band(color="Alpha")))
    pixels = pixels_of(asked)
    pixels[1] = 0
    pixels[1, 10:20, 5:] = 1
    path = write_tif(tmp_path / "a.tif", asked, pixels, ["ALPHA=YES"])
    file = open_raster_file(path)
    assert (file.bands, file.mask, file.alpha) == ((1,), "alpha", 2)
    assert np.array_equal(file.read_planes(everything(asked)), pixels[1:] != 0)
    alone = open_raster_file(path, [2])
    assert (alone.mask, alone.read_planes(Window(0, 0, 1, 1))) == ("none", None)


def test_an_image_of_alpha_alone_keeps_it(tmp_path: Path) -> None:
    asked = profile("uint8", bands=(Band(color="Alpha"),))
    file = open_raster_file(write_face(tmp_path, asked, pixels_of(asked)))
    assert (file.bands, file.mask) == ((1,), "none")


@pytest.mark.parametrize("driver", ["GTiff", "COG"])
def test_a_mask_is_read_and_written(driver: str, tmp_path: Path) -> None:
    asked = profile(bands=(Band(), Band()))
    mask = np.random.default_rng(3).integers(0, 2, (50, 70), "uint8")
    with (tmp_path / "face.raw").open("wb") as raw:
        raw.write(pixels_of(asked).tobytes() + mask.tobytes())
    source = tmp_path / "face.vrt"
    source.write_text(vrt_face(asked, "face.raw", planes=1))
    (tmp_path / "out").mkdir()
    target = str(tmp_path / "out" / "x.tif")
    write_raster(str(source), target, format=driver)
    for path in (str(source), target):
        file = open_raster_file(path)
        assert file.mask == "mask"
        assert np.array_equal(file.read_planes(everything(asked)), mask[None] != 0)
    assert contents(tmp_path / "out") == ["x.tif"]


def test_masks_of_each_band_are_read(tmp_path: Path) -> None:
    asked = profile("uint8", bands=(Band(), Band()))
    masks = np.random.default_rng(3).integers(0, 2, asked.shape, "uint8")
    masks.tofile(tmp_path / "mask.raw")
    mask_face = tmp_path / "mask.vrt"
    mask_face.write_text(vrt_face(asked, "mask.raw"))
    text = Path(write_face(tmp_path, asked, pixels_of(asked))).read_text()
    for number in (1, 2):
        source = (
            '<MaskBand><VRTRasterBand dataType="Byte"><SimpleSource><SourceFilename '
            f'relativeToVRT="0">{mask_face}</SourceFilename><SourceBand>{number}</SourceBand>'
            "</SimpleSource></VRTRasterBand></MaskBand></VRTRasterBand>"
        )
        text = text.replace("</VRTRasterBand>", source.replace("</VRTRasterBand>", "@"), 1)
    path = tmp_path / "masked.vrt"
    path.write_text(text.replace("@", "</VRTRasterBand>"))
    file = open_raster_file(str(path))
    assert (file.mask, file.planes) == ("bands", 2)
    assert np.array_equal(file.read_planes(everything(asked)), masks != 0)


def test_nodata_alone_is_no_mask(tmp_path: Path) -> None:
    asked = profile(bands=(Band(nodata=-1.0), Band()))
    assert open_raster_file(write_face(tmp_path, asked, pixels_of(asked))).mask == "none"


def test_a_dataset_is_opened_once_and_anew_after_a_change(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    asked = profile()
    first, second = pixels_of(asked, 1), pixels_of(asked, 2)
    write_tif(path, asked, first)
    file, datasets = open_raster_file(str(path)), Datasets()
    assert np.array_equal(file.read(everything(asked), datasets=datasets), first)
    assert datasets.get(file) is datasets.get(pickle.loads(pickle.dumps(file)))
    write_tif(tmp_path / "b.tif", asked, second)
    os.replace(tmp_path / "b.tif", path)
    with pytest.raises(InputError, match="changed while it was in use"):
        Datasets().get(file)
    anew = open_raster_file(str(path))
    assert np.array_equal(anew.read(everything(asked), datasets=datasets), second)


def test_few_datasets_stay_open(tmp_path: Path) -> None:
    asked, datasets = profile(), Datasets(limit=2)
    files = [
        open_raster_file(write_tif(tmp_path / f"{n}.tif", asked, pixels_of(asked)))
        for n in range(4)
    ]
    for file in files:
        datasets.get(file)
    assert len(datasets._open) == 2
    datasets.clear()
    assert not datasets._open


# ---------------------------------------------------------------- bad input


@pytest.fixture(params=[False, True], ids=["GDAL returns", "GDAL raises"])
def both_ways(request):
    before = gdal.GetUseExceptions()
    (gdal.UseExceptions if request.param else gdal.DontUseExceptions)()
    yield
    assert gdal.GetUseExceptions() == int(request.param)
    (gdal.UseExceptions if before else gdal.DontUseExceptions)()


def refused(capfd, path, bands=None) -> str:
    with pytest.raises(InputError) as problem:
        open_raster_file(str(path), bands, label="INPUT")
    assert capfd.readouterr() == ("", "")
    assert f"'INPUT' ({path})" in str(problem.value)
    return str(problem.value)


@pytest.mark.usefixtures("both_ways")
def test_unusable_inputs(tmp_path: Path, capfd) -> None:
    assert "No such file" in refused(capfd, tmp_path / "none.tif")
    text = tmp_path / "text.tif"
    text.write_text("no image")
    assert "not recognized" in refused(capfd, text)
    (tmp_path / "link.tif").symlink_to(tmp_path / "gone.vrt")
    assert "no longer in memory" in refused(capfd, tmp_path / "link.tif")
    asked = profile()
    path = write_tif(tmp_path / "a.tif", asked, pixels_of(asked))
    assert "no band 2: it has 1" in refused(capfd, path, [1, 2])
    assert "no band 0" in refused(capfd, path, [0])
    with pytest.raises(InputError, match="INPUT has no bands"):
        raster_files._check_bands(gdal.GetDriverByName("MEM").Create("", 3, 2, 0), "INPUT")


def test_subdatasets_are_listed(tmp_path: Path, capfd) -> None:
    asked = profile("uint8")
    source = gdal.Open(write_tif(tmp_path / "a.tif", asked, pixels_of(asked)))
    path = tmp_path / "many.gpkg"
    for table in ("one", "two"):
        options = [f"RASTER_TABLE={table}", "APPEND_SUBDATASET=YES", "TILE_FORMAT=PNG"]
        gdal.GetDriverByName("GPKG").CreateCopy(str(path), source, 0, options)
    message = refused(capfd, path)
    assert f"holds 2 images. Choose one of: GPKG:{path}:one, GPKG:{path}:two." in message
    assert open_raster_file(f"GPKG:{path}:two").profile.width == 70


@pytest.mark.usefixtures("both_ways")
def test_a_truncated_file_names_the_window(tmp_path: Path, capfd) -> None:
    asked = profile(width=600, height=600)
    source = write_face(tmp_path, asked, pixels_of(asked))
    path = tmp_path / "cog.tif"
    write_raster(source, str(path), format="COG", options=WriteOptions(block_size=128))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    file, datasets = open_raster_file(str(path)), Datasets()
    file.read(Window(0, 0, 64, 64), datasets=datasets)
    with pytest.raises(
        InputError, match=r"cog.tif. .*rows 500 to 599, columns 400 to 599: .*Read error"
    ):
        file.read(Window(500, 400, 100, 200), datasets=datasets)
    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------- whether files changed


def test_signatures_follow_all_files(tmp_path: Path) -> None:
    asked = profile()
    path = write_tif(tmp_path / "a.tif", asked, pixels_of(asked))
    mosaic, outer = str(tmp_path / "m.vrt"), str(tmp_path / "outer.vrt")
    gdal.BuildVRT(mosaic, [path]).FlushCache()
    gdal.Translate(outer, mosaic, bandList=[1, 1]).FlushCache()
    warped = str(tmp_path / "w.vrt")
    aligned(path, None, replace(asked, width=30), "nearest", warped)
    names = (path, mosaic, outer, warped)
    before = [file_signature(name) for name in names]
    assert None not in before
    assert before == [file_signature(name) for name in names]
    for change in (
        lambda: (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset></PAMDataset>"),
        lambda: gdal.Open(path).BuildOverviews("NEAREST", [2]),
        lambda: os.utime(path, ns=(1, 1)),
        lambda: os.replace(write_tif(tmp_path / "b.tif", asked, pixels_of(asked)), path),
    ):
        change()
        after = [file_signature(name) for name in names]
        assert all(one != other for one, other in zip(before, after))
        assert None not in after
        before = after


def test_no_signature_for_what_may_change_unseen(tmp_path: Path) -> None:
    service = tmp_path / "service.xml"
    service.write_text(
        '<GDAL_WMS><Service name="TMS"><ServerUrl>http://localhost:1/${z}</ServerUrl></Service>'
        "<DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>1</UpperLeftY><LowerRightX>1"
        "</LowerRightX><LowerRightY>0</LowerRightY><SizeX>512</SizeX><SizeY>512</SizeY>"
        "</DataWindow><BlockSizeX>256</BlockSizeX><BlockSizeY>256</BlockSizeY></GDAL_WMS>"
    )
    over = tmp_path / "over.vrt"
    over.write_text(
        '<VRTDataset rasterXSize="9" rasterYSize="9"><VRTRasterBand dataType="Byte" band="1">'
        '<SimpleSource><SourceFilename relativeToVRT="1">service.xml</SourceFilename>'
        "<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    remote = tmp_path / "remote.vrt"
    remote.write_text(over.read_text().replace("service.xml", "/vsicurl/http://localhost:1/a.tif"))
    gone = tmp_path / "gone.vrt"
    gone.write_text(over.read_text().replace("service.xml", "gone.tif"))
    assert gdal.Open(str(service)) is not None
    for name in (
        str(service), str(over), str(remote), str(gone), str(tmp_path / "none.tif"),
        "/vsicurl/http://localhost:1/a.tif", "http://localhost:1/a.tif", "NETCDF:x.nc:y",
    ):  # fmt: skip
        assert file_signature(name) is None, name


# ---------------------------------------------------------------- writing


def test_bigtiff_by_size(tmp_path: Path, monkeypatch) -> None:
    def decision(profile: Profile, **options) -> bool:
        return "BIGTIFF=YES" in WriteOptions(**options).creation_options("GTiff", profile, 1)

    large = profile(width=21000, height=21000)
    assert not decision(large)
    assert decision(large, overviews=True)
    assert decision(replace(large, width=40000))
    asked = profile()
    source = write_face(tmp_path, asked, pixels_of(asked))
    for limit, magic in ((10**9, 42), (1000, 43)):
        monkeypatch.setattr(raster_options, "CLASSIC_TIFF_BYTES", limit)
        write_raster(source, str(tmp_path / "x.tif"))
        assert (tmp_path / "x.tif").read_bytes()[2] == magic


@pytest.mark.parametrize("driver", ["GTiff", "COG"])
def test_an_overwritten_file_is_replaced_with_its_side_files(driver: str, tmp_path: Path) -> None:
    asked = profile()
    source = write_face(tmp_path, asked, pixels_of(asked))
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "x.tif"
    for ending in ("", ".aux.xml", ".ovr", ".msk"):
        Path(f"{target}{ending}").write_text("old")
    write_raster(source, str(target), format=driver)
    assert contents(tmp_path / "out") == ["x.tif"]
    assert open_raster_file(str(target)).profile.count == 1
    assert stat.S_IMODE(target.stat().st_mode) & 0o444


def test_a_link_is_replaced_and_what_it_led_to_stays(tmp_path: Path) -> None:
    asked = profile()
    source = write_face(tmp_path, asked, pixels_of(asked))
    (tmp_path / "kept.txt").write_text("kept")
    (tmp_path / "x.tif").symlink_to(tmp_path / "kept.txt")
    write_raster(source, str(tmp_path / "x.tif"))
    assert not (tmp_path / "x.tif").is_symlink()
    assert (tmp_path / "kept.txt").read_text() == "kept"


@pytest.mark.parametrize("driver", ["GTiff", "COG"])
@pytest.mark.parametrize("stop", [0.0, 0.3, 0.9])
def test_cancelling_leaves_all_as_it_was(driver: str, stop: float, tmp_path: Path) -> None:
    asked = profile(width=1500, height=1500)
    source = write_face(tmp_path, asked, pixels_of(asked))
    target = tmp_path / "x.tif"
    target.write_text("old")
    before = contents(tmp_path)
    seen = []

    def progress(done: float) -> bool:
        seen.append(done)
        return done < stop

    with pytest.raises(Cancelled):
        write_raster(
            source, str(target), format=driver, options=WriteOptions(overviews=True),
            progress=progress,
        )  # fmt: skip
    assert seen == sorted(seen)
    assert 1 <= [done >= stop for done in seen].count(True) <= 2
    assert contents(tmp_path) == before
    assert target.read_text() == "old"


@pytest.mark.parametrize("driver", ["GTiff", "COG"])
def test_progress_runs_to_the_end(driver: str, tmp_path: Path) -> None:
    asked = profile(width=1500, height=1500)
    source = write_face(tmp_path, asked, pixels_of(asked))
    seen: list[float] = []
    write_raster(
        source, str(tmp_path / "x.tif"), format=driver, options=WriteOptions(overviews=True),
        progress=lambda done: seen.append(done) is None,
    )  # fmt: skip
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)
    assert len(seen) > 5


def test_an_error_in_progress_is_passed_on(tmp_path: Path) -> None:
    asked = profile()
    source = write_face(tmp_path, asked, pixels_of(asked))

    def progress(_done: float) -> bool:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        write_raster(source, str(tmp_path / "x.tif"), progress=progress)
    assert contents(tmp_path) == ["face.raw", "face.vrt"]


FULL_DISK = """
import resource, sys
from eoscale_engine.errors import OutputError
from eoscale_engine.raster_files.writing import WriteOptions, write_raster
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))
try:
    write_raster(sys.argv[1], sys.argv[2], format=sys.argv[3], options=WriteOptions("NONE"))
except OutputError as problem:
    print("refused:", problem)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="limits of file sizes are POSIX")
@pytest.mark.parametrize("driver", ["GTiff", "COG"])
def test_a_full_disk_leaves_all_as_it_was(driver: str, tmp_path: Path) -> None:
    asked = profile(width=600, height=600)
    source = write_face(tmp_path, asked, pixels_of(asked))
    target = tmp_path / "x.tif"
    target.write_text("old")
    before = contents(tmp_path)
    run = subprocess.run(
        [sys.executable, "-c", FULL_DISK, source, str(target), driver],
        capture_output=True, text=True, check=True, cwd=Path(raster_write.__file__).parents[2],
    )  # fmt: skip
    assert run.stdout.startswith(f"refused: '{target}' could not be written: "), run
    assert contents(tmp_path) == before
    assert target.read_text() == "old"


def test_targets_that_are_refused(tmp_path: Path) -> None:
    asked = profile()
    path = write_tif(tmp_path / "a.tif", asked, pixels_of(asked))
    with pytest.raises(OutputError, match="unknown ending"):
        check_target(str(tmp_path / "x.png"))
    with pytest.raises(OutputError, match="there is no folder"):
        check_target(str(tmp_path / "none" / "x.tif"))
    (tmp_path / "folder.tif").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        check_target(str(tmp_path / "folder.tif"))
    mosaic, link = str(tmp_path / "m.vrt"), str(tmp_path / "link.tif")
    gdal.BuildVRT(mosaic, [path]).FlushCache()
    os.symlink(path, link)
    for target, source in ((path, path), (link, path), (path, link)):
        with pytest.raises(OutputError, match=r"is one of the inputs\. Choose"):
            check_target(target, [source])
    with pytest.raises(OutputError, match=r"is one of the inputs \(it is behind"):
        check_target(path, [mosaic])
    check_target(str(tmp_path / "new.TIF"), [path, mosaic])
    with pytest.raises(OutputError, match="Unknown format"):
        write_raster(path, str(tmp_path / "x.tif"), format="PNG")


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere"
)
def test_a_folder_that_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    with pytest.raises(OutputError, match="not writable"):
        check_target(str(tmp_path / "locked" / "x.tif"))


def test_options_that_are_refused() -> None:
    for options in (
        {"compress": "JPEG"}, {"level": 10}, {"compress": "ZSTD", "level": 23},
        {"block_size": 100}, {"block_size": 64},
    ):  # fmt: skip
        with pytest.raises(InputError):
            WriteOptions(**options)


def test_higher_levels_make_smaller_files(tmp_path: Path) -> None:
    asked = profile("uint16", width=400, height=400)
    pixels = (np.add.outer(np.arange(400), np.arange(400)) // 7 % 50).astype("uint16")[np.newaxis]
    source = write_face(tmp_path, asked, pixels)
    for driver in ("GTiff", "COG"):
        sizes = []
        for level in (1, 9):
            write_raster(
                source, str(tmp_path / "x.tif"), format=driver, options=WriteOptions(level=level)
            )
            sizes.append((tmp_path / "x.tif").stat().st_size)
        assert sizes[1] < sizes[0]


# ---------------------------------------------------------------- alignment

COARSE = profile(
    "uint16", width=60, height=40, transform=Affine(20, 0, 500000, 0, -20, 4600000),
    bands=(Band(name="a", color="Gray"), Band(name="b", scale=0.5), Band(name="c")),
)  # fmt: skip
FINE = profile("uint8", width=150, height=100, transform=Affine(10, 0, 499900, 0, -10, 4600050))


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic", "average"])
@pytest.mark.parametrize("other_crs", [False, True])
def test_a_20_m_image_on_a_10_m_grid(resampling: str, other_crs: bool, tmp_path: Path) -> None:
    like = FINE
    if other_crs:
        from_31, to_32 = osr.SpatialReference(), osr.SpatialReference()
        from_31.ImportFromEPSG(UTM)
        to_32.ImportFromEPSG(UTM + 1)
        x, y, _ = osr.CoordinateTransformation(from_31, to_32).TransformPoint(500000, 4600000)
        place = FINE.transform._replace(c=x - 100.5, f=y + 50.25)
        like = replace(FINE, crs=crs_of(UTM + 1), transform=place)
    coarse = COARSE.with_nodata(0)
    pixels = np.maximum(pixels_of(coarse), 1)
    pixels[:, 10:15, 20:30] = 0
    path = write_tif(tmp_path / "a.tif", coarse, pixels)
    aligned(path, [2, 1], like, resampling, str(tmp_path / "a.vrt"))
    file = open_raster_file(str(tmp_path / "a.vrt"))
    assert (file.profile.crs, file.profile.transform) == (like.crs, like.transform)
    assert (file.profile.width, file.profile.height, file.mask) == (150, 100, "none")
    assert [band.name for band in file.profile.bands] == ["b", "a"]
    assert file.profile.bands[0].scale == 0.5
    assert file.profile.bands[0].nodata == 0
    corner, end = like.transform * (0, 100), like.transform * (150, 0)
    command = [
        "gdalwarp", "-q", "-et", "0", "-t_srs", like.crs.to_wkt(), "-te", *map(str, corner),
        *map(str, end), "-ts", "150", "100", "-r", resampling.replace("nearest", "near"),
        path, str(tmp_path / "direct.tif"),
    ]  # fmt: skip
    subprocess.run(command, check=True)
    direct = gdal.Open(str(tmp_path / "direct.tif")).ReadAsArray()
    found = file.read(everything(like))
    assert np.array_equal(found, direct[[1, 0]])
    assert (found != 0).mean() > 0.3
    assert (found == 0).mean() > 0.2


def test_an_aligned_band_keeps_what_it_carries(tmp_path: Path) -> None:
    for name in ("rich", "palette"):
        source = write_face(tmp_path, PROFILES[name], pixels_of(PROFILES[name]))
        aligned(source, None, FINE, "nearest", str(tmp_path / "a.vrt"))
        assert open_raster_file(str(tmp_path / "a.vrt")).profile.bands == PROFILES[name].bands


def test_outside_is_invalid_without_nodata(tmp_path: Path) -> None:
    pixels = np.maximum(pixels_of(COARSE), 1)
    path = write_tif(tmp_path / "a.tif", COARSE, pixels, ["PHOTOMETRIC=MINISBLACK"])
    aligned(path, None, FINE, "nearest", str(tmp_path / "a.vrt"))
    file = open_raster_file(str(tmp_path / "a.vrt"))
    assert (file.bands, file.mask) == ((1, 2, 3), "alpha")
    expected = np.zeros((100, 150), bool)
    expected[5:85, 10:130] = True
    assert np.array_equal(file.read_planes(everything(FINE)), expected[None])
    assert np.array_equal(file.read(everything(FINE))[:, 5:85:2, 10:130:2], pixels)


def test_floats_get_nan_outside(tmp_path: Path) -> None:
    coarse = replace(COARSE, dtype="float32").with_nodata(None)
    path = write_tif(tmp_path / "a.tif", coarse, pixels_of(coarse))
    aligned(path, [3], FINE, "bilinear", str(tmp_path / "a.vrt"))
    file = open_raster_file(str(tmp_path / "a.vrt"))
    found = file.read(everything(FINE))[0]
    assert np.isnan(file.profile.nodata)
    assert file.mask == "none"
    assert np.isnan(found[:5]).all()
    assert np.isfinite(found[5:85, 10:130]).all()


def test_nodata_in_some_bands_only(tmp_path: Path) -> None:
    bands = (Band(nodata=5), Band())
    coarse = replace(COARSE, bands=bands)
    pixels = np.full(coarse.shape, 9, "uint16")
    pixels[0, :20] = 5
    path = write_face(tmp_path, coarse, pixels)
    aligned(path, None, FINE, "nearest", str(tmp_path / "a.vrt"))
    file = open_raster_file(str(tmp_path / "a.vrt"))
    assert file.mask == "alpha"
    found, mask = file.read(everything(FINE)), file.read_planes(everything(FINE))
    inside = np.zeros((100, 150), bool)
    inside[5:85, 10:130] = True
    assert np.array_equal(mask, inside[None])
    assert file.profile.bands[0].nodata == 5
    assert (found[0, 5:45, 10:130] == 5).all()
    assert (found[0, 45:85, 10:130] == 9).all()
    assert (found[1][inside] == 9).all()


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic", "average"])
@pytest.mark.parametrize(
    ("dtype", "nodata"),
    [("uint16", (0, 0)), ("int16", (-99, 7)), ("uint16", (0, None)), ("float32", (-9999, -9999)),
     ("float32", (-9999, None)), ("float32", (None, None))],
)  # fmt: skip
def test_a_hole_of_one_band_alone_is_never_a_value(
    dtype: str, nodata: tuple[float | None, ...], resampling: str, tmp_path: Path
) -> None:
    coarse = replace(COARSE, dtype=dtype, bands=tuple(Band(nodata=value) for value in nodata))
    pixels = np.full(coarse.shape, 100, dtype)
    pixels[0, 10:15, 20:30] = np.nan if nodata[0] is None else nodata[0]
    path = write_face(tmp_path, coarse, pixels)
    aligned(path, None, FINE, resampling, str(tmp_path / "a.vrt"))
    holed, whole = open_raster_file(str(tmp_path / "a.vrt")).read(everything(FINE))
    valid = holed == 100
    assert np.all(valid | np.isnan(holed) | (holed == nodata[0]))
    assert not valid[27:33, 52:68].any()
    assert np.array_equal(valid[5:23, 10:130], np.full((18, 120), True))
    assert np.all(whole[5:85, 10:130] == 100)


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "cubic", "average"])
def test_masks_of_single_bands_are_aligned_each_with_its_band(
    resampling: str, tmp_path: Path
) -> None:
    """A TIFF with ``.msk``, as GDAL writes it; each of its cells is four of the finer grid."""
    random = np.random.default_rng(8)
    pixels = random.integers(0, 256, (2, 40, 60)).astype("uint8")
    masks = np.full(pixels.shape, 255, "uint8")
    masks[0, :20], masks[1, :, :30] = 0, 0
    if resampling != "nearest":  # what is hidden never shows among what is not
        pixels = np.where(masks == 0, 200, 100).astype("uint8")
    coarse = replace(COARSE, dtype="uint8", bands=COARSE.bands[:2])
    path = write_tif(tmp_path / "a.tif", coarse, pixels)
    file = gdal.Open(path, gdal.GA_Update)
    gdal.SetConfigOption("GDAL_TIFF_INTERNAL_MASK", "NO")
    for number, mask in enumerate(masks, 1):
        file.GetRasterBand(number).CreateMaskBand(0)
        file.GetRasterBand(number).GetMaskBand().WriteArray(mask)
    del file
    gdal.SetConfigOption("GDAL_TIFF_INTERNAL_MASK", None)
    assert (tmp_path / "a.tif.msk").exists() and open_raster_file(path).mask == "bands"
    aligned(path, None, FINE, resampling, str(tmp_path / "a.vrt"))
    placed = open_raster_file(str(tmp_path / "a.vrt"))
    found, planes = placed.read(everything(FINE)), placed.read_planes(everything(FINE))
    assert planes is not None
    if resampling == "nearest":
        wanted = np.zeros((2, 100, 150), bool)
        wanted[:, 5:85, 10:130] = masks.repeat(2, 1).repeat(2, 2) != 0
        assert np.array_equal(planes, wanted)
        values = np.zeros(wanted.shape, "uint8")
        values[:, 5:85, 10:130] = pixels.repeat(2, 1).repeat(2, 2)
        assert np.array_equal(found[wanted], values[wanted])
    else:
        assert (found[planes] == 100).all()
        assert planes[0, 47:83, 12:128].all() and not planes[0, 7:43, 12:128].any()
        assert planes[1, 7:83, 72:128].all() and not planes[1, 7:83, 12:68].any()


@pytest.mark.parametrize("mask", ["alpha", "mask"])
def test_invalid_pixels_of_the_source_stay_invalid(mask: str, tmp_path: Path) -> None:
    valid = np.ones((40, 60), "uint8")
    valid[10:20, 30:] = 0
    bands = (Band(),) if mask == "mask" else (Band(), Band(color="Alpha"))
    coarse = replace(COARSE, dtype="uint8", bands=bands)
    with (tmp_path / "face.raw").open("wb") as raw:
        raw.write(np.full((40, 60), 7, "uint8").tobytes() + (valid * 255).tobytes())
    path = tmp_path / "face.vrt"
    path.write_text(vrt_face(coarse, "face.raw", planes=int(mask == "mask")))
    aligned(str(path), None, FINE, "nearest", str(tmp_path / "a.vrt"))
    file = open_raster_file(str(tmp_path / "a.vrt"))
    expected = np.zeros((100, 150), bool)
    expected[5:85, 10:130] = valid.repeat(2, 0).repeat(2, 1) != 0
    assert np.array_equal(file.read_planes(everything(FINE)), expected[None])
    assert file.profile.count == 1


def test_a_rotated_grid(tmp_path: Path) -> None:
    like = replace(FINE, transform=Affine(8, 6, 500100, 6, -8, 4599700))
    pixels = np.maximum(pixels_of(COARSE), 1)
    path = write_tif(tmp_path / "a.tif", COARSE.with_nodata(0), pixels)
    aligned(path, [1], like, "nearest", str(tmp_path / "a.vrt"))
    file = open_raster_file(str(tmp_path / "a.vrt"))
    assert file.profile.transform == like.transform
    text = (tmp_path / "a.vrt").read_text().split("<DstInvGeoTransform>")[1].split("<")[0]
    assert [float(number) for number in text.split(",")] == list((~like.transform).to_gdal())
    rows, cols = np.mgrid[0:100, 0:150] + 0.5
    x, y = like.transform * (cols, rows)
    col, row = (~COARSE.transform) * (x, y)
    col, row = np.floor(col).astype(int), np.floor(row).astype(int)
    inside = (col >= 0) & (col < 60) & (row >= 0) & (row < 40)
    expected = np.where(inside, pixels[0][np.clip(row, 0, 39), np.clip(col, 0, 59)], 0)
    assert np.array_equal(file.read(everything(like))[0], expected)


def test_alignment_needs_a_place_on_the_map(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "a.tif", COARSE, pixels_of(COARSE))
    nowhere = write_face(tmp_path, replace(COARSE, crs=None), pixels_of(COARSE))
    target = str(tmp_path / "a.vrt")
    for source, like in (
        (nowhere, FINE), (path, replace(FINE, crs=None)), (path, replace(FINE, transform=None)),
    ):  # fmt: skip
        with pytest.raises(InputError, match="cannot be aligned"):
            aligned(source, None, like, "nearest", target)
    with pytest.raises(InputError, match="Unknown resampling"):
        aligned(path, None, FINE, "lanczos", target)
    assert not os.path.exists(target)
