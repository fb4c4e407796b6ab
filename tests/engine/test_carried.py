"""What an image carries beside its pixels is kept by every step, or named in a warning.

The image is made and read with GDAL alone.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal, osr

from eoscale_engine import catalogue
from eoscale_engine.attribute_tables import AttributeColumn, AttributeTable
from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import ImageFilter, Result
from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
from eoscale_engine.filters.neighbourhood.gaussian import Gaussian
from eoscale_engine.filters.pixel.band_math import BandMath
from eoscale_engine.filters.pixel.composite import TemporalComposite
from eoscale_engine.filters.pixel.difference import Difference
from eoscale_engine.filters.pixel.stack import Stack
from eoscale_engine.procedures.object_size import ObjectSize
from eoscale_engine.procedures.sieve import Sieve
from eoscale_engine.profile import Affine, Band, Profile
from eoscale_engine.tiling import Window

COLORS = [(0, 0, 0, 255), (200, 30, 30, 255), (30, 200, 30, 255), (30, 30, 200, 255)]
RPC = {
    "LINE_OFF": "12", "SAMP_OFF": "14", "LAT_OFF": "45", "LONG_OFF": "7", "HEIGHT_OFF": "100",
    "LINE_SCALE": "12", "SAMP_SCALE": "14", "LAT_SCALE": "0.1", "LONG_SCALE": "0.1",
    "HEIGHT_SCALE": "500", "ERR_BIAS": "-1", "ERR_RAND": "-1",
    **{key: " ".join(["1"] * 20) for key in (
        "LINE_NUM_COEFF", "LINE_DEN_COEFF", "SAMP_NUM_COEFF", "SAMP_DEN_COEFF")},
}  # fmt: skip
CORNER = 5, 3
"""Row and column at which the crop begins."""


def laden(path: Path, type_: int = gdal.GDT_Byte) -> str:
    """An image of classes with everything that GDAL can keep of it."""
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), 28, 24, 1, type_)
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(9989)  # ITRF2020, which moves with the plates
    reference.SetCoordinateEpoch(2021.5)
    reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    dataset.SetSpatialRef(reference)
    dataset.SetGeoTransform((7, 0.01, 0, 45, 0, -0.01))
    dataset.SetMetadata({"ACQUIRED": "2021-07-01", "AREA_OR_POINT": "Point"})
    dataset.SetMetadata({"Sensor": "LND08"}, "FORCE")
    dataset.SetMetadata({"SATELLITEID": "PHR 1A"}, "IMAGERY")
    dataset.SetMetadata({"wavelength": "{ 0.56}", "sensor_type": "Unknown"}, "ENVI")
    dataset.SetMetadata(['<x:xmpmeta xmlns:x="adobe:ns:meta/">a &amp; b</x:xmpmeta>'], "xml:XMP")
    dataset.SetMetadata(RPC, "RPC")
    band = dataset.GetRasterBand(1)
    band.SetNoDataValue(0)
    band.SetDescription("land cover")
    band.SetUnitType("class")
    band.SetScale(2.0)
    band.SetOffset(1.0)
    band.SetMetadataItem("note", "by hand")
    band.SetMetadataItem("Date", "2021-07-01", "FORCE")
    pixels = np.zeros((24, 28), np.uint8)
    pixels[2:, 2:14], pixels[2:, 14:], pixels[10, 20] = 1, 2, 3
    band.WriteArray(pixels)
    table = gdal.RasterAttributeTable()
    table.CreateColumn("VALUE", gdal.GFT_Integer, gdal.GFU_MinMax)
    table.CreateColumn("COUNT", gdal.GFT_Integer, gdal.GFU_PixelCount)
    table.CreateColumn("Höhe", gdal.GFT_Real, gdal.GFU_Generic)
    table.CreateColumn("NAME", gdal.GFT_String, gdal.GFU_Name)
    table.SetRowCount(3)
    for row in range(3):
        table.SetValueAsInt(row, 0, row + 1)
        table.SetValueAsInt(row, 1, 100 * row)
        table.SetValueAsDouble(row, 2, 0.1 * row)
        table.SetValueAsString(row, 3, f"Fläche <{row}> & mehr")
    band.SetDefaultRAT(table)
    dataset = band = None
    # what a TIFF may not hold itself
    dataset = gdal.Open(str(path))
    band = dataset.GetRasterBand(1)
    colors = gdal.ColorTable()
    for value, entry in enumerate(COLORS):
        colors.SetColorEntry(value, entry)
    band.SetColorTable(colors)
    band.SetColorInterpretation(gdal.GCI_PaletteIndex)
    band.SetCategoryNames(["none", "wood & field", "water", "höhe"])
    return str(path)


def rows_of(dataset: gdal.Dataset, band: int, *, counts: bool = False) -> list[list[Any]]:
    """The cells of the attribute table, with or without the counts of pixels, under the heads."""
    table = dataset.GetRasterBand(band).GetDefaultRAT()
    if table is None:
        return []
    columns = [
        number
        for number in range(table.GetColumnCount())
        if counts or table.GetUsageOfCol(number) != gdal.GFU_PixelCount
    ]
    heads = [
        (table.GetNameOfCol(n), table.GetTypeOfCol(n), table.GetUsageOfCol(n)) for n in columns
    ]
    cells = [
        [table.GetValueAsString(row, number) for number in columns]
        for row in range(table.GetRowCount())
    ]
    return [heads, *cells]


def colors_of(dataset: gdal.Dataset, band: int) -> list[tuple[int, ...]]:
    band = dataset.GetRasterBand(band)
    table = band.GetColorTable()
    if table is None or band.GetColorInterpretation() != gdal.GCI_PaletteIndex:
        return []
    return [table.GetColorEntry(value)[:3] for value in range(len(COLORS))]


def rpc_of(dataset: gdal.Dataset, _: int) -> dict[str, list[float]]:
    items = dataset.GetMetadata_Dict("RPC")
    return {key: [float(number) for number in items[key].split()] for key in RPC if key in items}


def listed(dataset: gdal.Dataset, band: int) -> str:
    """The entry of a band in a list of ENVI's."""
    entries = dataset.GetMetadataItem("wavelength", "ENVI").strip("{} ").split(",")
    return entries[band - 1].strip()


ITEMS: dict[str, Callable[[gdal.Dataset, int], Any]] = {
    "CRS": lambda d, _: d.GetSpatialRef().GetAuthorityCode(None),
    "epoch": lambda d, _: d.GetSpatialRef().GetCoordinateEpoch(),
    "geotransform": lambda d, _: d.GetGeoTransform(),
    "RPC": rpc_of,
    "metadata": lambda d, _: d.GetMetadataItem("ACQUIRED"),
    "area or point": lambda d, _: d.GetMetadataItem("AREA_OR_POINT"),
    "FORCE": lambda d, _: d.GetMetadataItem("Sensor", "FORCE"),
    "IMAGERY": lambda d, _: d.GetMetadataItem("SATELLITEID", "IMAGERY"),
    "ENVI": lambda d, _: d.GetMetadataItem("sensor_type", "ENVI"),
    "ENVI's lists": listed,
    "XML": lambda d, _: "".join(d.GetMetadata_List("xml:XMP")).split(),
    "name": lambda d, b: d.GetRasterBand(b).GetDescription().rpartition("im2 ")[2],
    "unit": lambda d, b: d.GetRasterBand(b).GetUnitType(),
    "scale": lambda d, b: (d.GetRasterBand(b).GetScale(), d.GetRasterBand(b).GetOffset()),
    "band metadata": lambda d, b: d.GetRasterBand(b).GetMetadataItem("note"),
    "band date": lambda d, b: d.GetRasterBand(b).GetMetadataItem("Date", "FORCE"),
    "nodata": lambda d, b: d.GetRasterBand(b).GetNoDataValue(),
    "colour table": colors_of,
    "class names": lambda d, b: d.GetRasterBand(b).GetCategoryNames(),
    "attribute table": rows_of,
}
"""What is carried, as it is read of a band of a dataset."""

CLASSES = {"colour table", "class names", "attribute table"}

CHANGED = {
    "crop": {
        "geotransform": (7.03, 0.01, 0, 44.95, 0, -0.01),
        "RPC": {
            **{key: [float(number) for number in text.split()] for key, text in RPC.items()},
            "LINE_OFF": [7.0], "SAMP_OFF": [11.0],
        },
    },
    "gaussian": {"nodata": float("nan")},
}  # fmt: skip
"""What is right though it is not what the image had."""


def only(made: Result) -> str:
    (key,) = made.images
    assert key
    return key


STEPS: dict[str, Callable[[EOContextManager, str], str]] = {
    "load": lambda c, path: c.open_raster(path),
    "copy": lambda c, path: c.crop(c.describe(path), Window(0, 0, 2**20, 2**20)),
    "stack": lambda c, path: c.filter(Stack(), [c.open_raster(path)])[0],
    "sieve": lambda c, path: only(c.run(Sieve(minimum=2), c.open_raster(path))),
    "object size": lambda c, path: only(c.run(ObjectSize(), c.open_raster(path))),
    "gaussian": lambda c, path: c.filter(Gaussian(sigma=1.0), c.open_raster(path))[0],
    "crop": lambda c, path: c.crop(c.open_raster(path), Window(*CORNER, 15, 20)),
}


def stepped(step: str, path: str, target: Path, way: str) -> tuple[gdal.Dataset, str]:
    """The dataset that a step leaves in memory or in a file, and what was warned of."""
    with warnings.catch_warnings(record=True) as caught, EOContextManager(inline=True) as context:
        warnings.simplefilter("always")
        key = STEPS[step](context, path)
        if way == "memory":
            context.images.leave_in(key, str(target))
        else:
            context.write(key, str(target), format=way)
    return gdal.Open(str(target)), " ".join(str(item.message) for item in caught)


@pytest.mark.parametrize("way", ["memory", "GTiff", "COG"])
@pytest.mark.parametrize("type_", [gdal.GDT_Byte, gdal.GDT_Int16], ids=["uint8", "int16"])
@pytest.mark.parametrize("step", STEPS)
def test_every_item_is_kept_or_named(step: str, type_: int, way: str, tmp_path: Path) -> None:
    path = laden(tmp_path / "laden.tif", type_)
    made, told = stepped(step, path, tmp_path / "made.tif", way)
    source = gdal.Open(path)
    for name, read in ITEMS.items():
        if step == "gaussian" and name in CLASSES:
            assert not read(made, 1), name
            assert name in told, (name, told)
            continue
        expected = CHANGED.get(step, {}).get(name, read(source, 1))
        found = read(made, 1)
        assert found == expected or found == pytest.approx(expected, nan_ok=True), name
    assert told == "" or step == "gaussian"


@pytest.mark.parametrize(("step", "stays"), [("load", True), ("sieve", False), ("crop", False)])
def test_counts_of_pixels_stay_with_the_pixels(step: str, stays: bool, tmp_path: Path) -> None:
    path = laden(tmp_path / "laden.tif")
    made, _ = stepped(step, path, tmp_path / "made.tif", "memory")
    assert (rows_of(made, 1, counts=True) == rows_of(gdal.Open(path), 1, counts=True)) == stays


@pytest.mark.parametrize("way", ["memory", "GTiff", "COG"])
def test_a_stack_keeps_what_each_image_says(way: str, tmp_path: Path) -> None:
    paths = [laden(tmp_path / f"{year}.tif", gdal.GDT_Byte) for year in (2021, 2022, 2023)]
    for path in paths[1:]:
        dataset = gdal.Open(path, gdal.GA_Update)
        dataset.SetMetadataItem("ACQUIRED", f"{Path(path).stem}-07-01")
        dataset.SetMetadataItem("wavelength", "{ 0.67}", "ENVI")
        dataset = None
    sources = [gdal.Open(path) for path in paths]
    with warnings.catch_warnings(record=True) as caught, EOContextManager(inline=True) as context:
        warnings.simplefilter("always")
        (key,) = context.filter(Stack(), [context.open_raster(path) for path in paths])
        if way == "memory":
            context.images.leave_in(key, str(tmp_path / "made"))
        else:
            context.write(key, str(tmp_path / "made.tif"), format=way)
    made = gdal.Open(str(tmp_path / ("made" if way == "memory" else "made.tif")))
    told = " ".join(str(item.message) for item in caught)
    for number, source in enumerate(sources, 1):
        for name, read in ITEMS.items():
            if name in ("metadata", "name"):
                continue
            if name == "colour table" and way != "memory" and number > 1:
                assert f"colour table of band {number}" in told  # GDAL reads it of band 1 alone
                continue
            assert read(made, number) == read(source, 1), (name, number)
        date = source.GetMetadataItem("ACQUIRED")
        assert made.GetRasterBand(number).GetMetadataItem("ACQUIRED") == date
        assert made.GetRasterBand(number).GetDescription() == f"im{number} land cover"
    assert made.GetMetadataItem("ACQUIRED") is None


@pytest.mark.parametrize(
    "declaration",
    [
        TemporalComposite(statistic="mean"),
        BandMath(expressions="im1 - im2"),
        Difference(),
    ],
    ids=lambda declaration: type(declaration).__name__,
)
def test_a_date_of_one_image_is_not_that_of_a_result(declaration: ImageFilter) -> None:
    one, two = (
        Profile(
            3, 2, "uint8", metadata=(("", "DATE", day), ("", "SENSOR", "OLI"), ("RPC", "A", day))
        )
        for day in ("1", "2")
    )
    (made,) = declaration.output_profiles([one, two])
    assert made.metadata == (("", "SENSOR", "OLI"), ("RPC", "A", "1"))


# ---------------------------------------------------------------- files of other makers


def test_an_attribute_table_of_erdas(tmp_path: Path) -> None:
    path, target = str(tmp_path / "classes.img"), str(tmp_path / "classes.tif")
    gdal.Translate(path, laden(tmp_path / "laden.tif"), format="HFA")
    dataset = gdal.Open(path, gdal.GA_Update)
    table = gdal.RasterAttributeTable()
    table.CreateColumn("Class_Names", gdal.GFT_String, gdal.GFU_Name)
    table.CreateColumn("Share", gdal.GFT_Real, gdal.GFU_Generic)
    table.SetRowCount(500)
    for row in range(500):
        table.SetValueAsString(row, 0, f"class {row}")
        table.SetValueAsDouble(row, 1, row * 0.1)  # 0.30000000000000004
    dataset.GetRasterBand(1).SetDefaultRAT(table)
    dataset = None
    with warnings.catch_warnings(), EOContextManager(inline=True) as context:
        warnings.simplefilter("error")
        context.write(context.open_raster(path), target)
    assert rows_of(gdal.Open(target), 1) == rows_of(gdal.Open(path), 1)


def test_counts_of_pixels_alone_are_not_missed(tmp_path: Path) -> None:
    """ERDAS keeps a histogram as an attribute table: of other pixels it says nothing."""
    path = str(tmp_path / "counted.tif")
    dataset = gdal.GetDriverByName("GTiff").Create(path, 9, 8)
    table = gdal.RasterAttributeTable()
    table.CreateColumn("Histogram", gdal.GFT_Real, gdal.GFU_PixelCount)
    table.SetRowCount(256)
    dataset.GetRasterBand(1).SetDefaultRAT(table)
    dataset = None
    with warnings.catch_warnings(), EOContextManager(inline=True) as context:
        warnings.simplefilter("error")
        image = context.describe(path)
        assert context.profile(image).bands[0].attributes
        for kind in (Gaussian(sigma=1.0), FocalStatistics(statistic="majority")):
            (made,) = context.filter(kind, image)
            assert not context.profile(made).bands[0].attributes


def test_bands_of_an_envi_file_keep_their_wavelengths(tmp_path: Path) -> None:
    path, target = tmp_path / "spectra.bsq", str(tmp_path / "spectra.tif")
    np.arange(24, dtype="<i2").tofile(path)
    path.with_suffix(".hdr").write_text(
        "ENVI\nsamples = 4\nlines = 2\nbands = 3\nheader offset = 0\ndata type = 2\n"
        "interleave = bsq\nbyte order = 0\nwavelength units = Nanometers\n"
        "wavelength = {450.5, 550, 650.25}\nfwhm = {10, 20, 30}\n"
        "sensor type = EnMAP\nacquisition time = 2022-06-01T10:00:00Z\n"
    )
    with EOContextManager(inline=True) as context:
        part = context.open_raster(str(path), [3, 1])
        (stack,) = context.filter(Stack(), [part, context.open_raster(str(path), [2])])
        context.write(stack, target)
    made = gdal.Open(target)
    assert made.GetMetadataItem("wavelength", "ENVI") == "{650.25, 450.5, 550}"
    assert made.GetMetadataItem("fwhm", "ENVI") == "{30, 10, 20}"
    assert made.GetMetadataItem("sensor_type", "ENVI") == "EnMAP"
    assert made.GetMetadataItem("acquisition_time", "ENVI") == "2022-06-01T10:00:00Z"
    assert made.GetMetadataItem("samples", "ENVI") is None
    assert made.GetRasterBand(2).GetMetadataItem("wavelength") == "450.5"


def placed(path: Path) -> str:
    """An image that control points and geolocation arrays place."""
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), 20, 10, 1, gdal.GDT_UInt16)
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(4326)
    reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    places = [(0.5, 0.5, "north west"), (19.5, 0.5, ""), (0.5, 9.5, ""), (18.5, 9.25, "last")]
    points = [
        gdal.GCP(7 + col / 10, 45 - row / 10, 120.5, col, row, info, f"p{number}")
        for number, (col, row, info) in enumerate(places)
    ]
    dataset.SetGCPs(points, reference)
    gdal.GetDriverByName("GTiff").Create(str(path.with_name("lon.tif")), 10, 5)
    dataset.SetMetadata(
        {
            "X_DATASET": "lon.tif", "X_BAND": "1", "Y_DATASET": "elsewhere.tif", "Y_BAND": "1",
            "PIXEL_OFFSET": "0", "LINE_OFFSET": "0", "PIXEL_STEP": "2", "LINE_STEP": "2",
        },
        "GEOLOCATION",
    )  # fmt: skip
    return str(path)


@pytest.mark.parametrize("way", ["memory", "GTiff", "COG"])
def test_what_places_an_image_is_shifted_by_a_crop(way: str, tmp_path: Path) -> None:
    path, target = placed(tmp_path / "raw.tif"), tmp_path / "out" / "part.tif"
    target.parent.mkdir()
    row, col = 4, 6
    with EOContextManager(inline=True) as context:
        part = context.crop(context.open_raster(path), Window(row, col, 5, 9))
        if way == "memory":
            context.images.leave_in(part, str(target))
        else:
            context.write(part, str(target), format=way)
    source, made = gdal.Open(path), gdal.Open(str(target))
    for one, other in zip(source.GetGCPs(), made.GetGCPs()):
        assert (other.GCPPixel, other.GCPLine) == (one.GCPPixel - col, one.GCPLine - row)
        assert (other.GCPX, other.GCPY, other.GCPZ) == (one.GCPX, one.GCPY, one.GCPZ)
        assert (other.Id, other.Info) == (one.Id, one.Info)
    assert made.GetGCPCount() == 4
    assert made.GetGCPSpatialRef().GetAuthorityCode(None) == "4326"
    arrays = made.GetMetadata_Dict("GEOLOCATION")
    assert (float(arrays["PIXEL_OFFSET"]), float(arrays["LINE_OFFSET"])) == (-col, -row)
    assert arrays["X_DATASET"] == str(tmp_path / "lon.tif")  # found from anywhere
    assert arrays["Y_DATASET"] == "elsewhere.tif"


# ---------------------------------------------------------------- every filter

KEEPING = {
    "copy", "stack", "maskimage", "sieve", "majorityfilter", "fillnodata", "morphology",
    "temporalcomposite", "focalstatistics",
}  # fmt: skip
"""Filters whose values, by default or with some parameters, are the image's own."""


def filters() -> list[type[ImageFilter]]:
    return [kind for kind in catalogue.declarations().values() if issubclass(kind, ImageFilter)]


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float64"])
@pytest.mark.parametrize("kind", filters(), ids=lambda kind: kind.name)
def test_classes_stay_or_go_as_a_whole(kind: type[ImageFilter], dtype: str) -> None:
    table = AttributeTable((AttributeColumn("NAME", "text", 2, ("none", "wood")),))
    band = Band(
        color="Palette", color_table=((0, 0, 0, 255),), categories=("none",), attributes=table
    )
    profile = Profile(9, 8, dtype, (band, band), transform=Affine(1, 0, 0, 0, -1, 0))
    inputs = [profile for item in kind.inputs if not item.optional or item.role in kind.one_of]
    found = set()
    for example in kind.examples:
        for output in kind(**example).output_profiles(inputs):
            for made in output.bands:
                kept = {bool(made.color_table), bool(made.categories), bool(made.attributes)}
                assert len(kept | {made.color == "Palette"}) == 1
                found |= kept
    assert (True in found) == (kind.name in KEEPING)
