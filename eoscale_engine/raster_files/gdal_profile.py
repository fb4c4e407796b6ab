"""Profiles from GDAL datasets and onto them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional, Union

import numpy as np
from osgeo import gdal, osr

from eoscale_engine.errors import InputError
from eoscale_engine.profile import (
    CRS,
    Affine,
    Band,
    GroundControlPoint,
    Metadata,
    Number,
    Profile,
    can_hold,
)
from eoscale_engine.raster_files.attribute_tables import gdal_table, table_of
from eoscale_engine.raster_files.metadata import (
    joined_lists,
    metadata_of,
    set_metadata,
    split_lists,
    text_of,
)

_GDAL_NAMES = {
    "uint8": "Byte", "int8": "Int8", "uint16": "UInt16", "int16": "Int16", "uint32": "UInt32",
    "int32": "Int32", "uint64": "UInt64", "int64": "Int64", "float32": "Float32",
    "float64": "Float64", "complex64": "CFloat32", "complex128": "CFloat64",
}  # fmt: skip

_READ_AS = {name: dtype for dtype, name in _GDAL_NAMES.items()}
# 32-bit floats hold every 16-bit number, 64-bit floats every 32-bit integer.
_READ_AS.update(
    CInt16="complex64", CInt32="complex128", Float16="float32", CFloat16="complex64"
)  # fmt: skip


@dataclass(frozen=True)
class BandStatistics:
    """What one band's pixels are like: counts, and the values of the valid ones.

    ``minimum``, ``maximum``, ``mean`` and ``deviation`` (of the population: divided by the number
    of valid pixels) are None where no pixel is valid, or where the pixels are complex.
    """

    valid: int
    invalid: int
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    mean: Optional[float] = None
    deviation: Optional[float] = None

    def metadata(self) -> dict[str, str]:
        """The metadata items in which GDAL keeps a band's statistics."""
        total = self.valid + self.invalid
        items = {"STATISTICS_VALID_PERCENT": f"{100 * self.valid / total if total else 0:.4g}"}
        values = (self.minimum, self.maximum, self.mean, self.deviation)
        for key, value in zip(("MINIMUM", "MAXIMUM", "MEAN", "STDDEV"), values):
            if value is not None:
                items[f"STATISTICS_{key}"] = f"{value:.17g}"
        return items


# ---------------------------------------------------------------- data types


def dtype_of(band: gdal.Band) -> str:
    """NumPy's name of the type that holds all of a band's values, or an InputError."""
    name = gdal.GetDataTypeName(band.DataType)
    if (
        name == "Byte"
        # GDAL 3.7 and newer, which have the type, warn whoever asks for the item
        and signed_byte("int8")
        and band.GetMetadataItem("PIXELTYPE", "IMAGE_STRUCTURE") == "SIGNEDBYTE"
    ):
        return "int8"
    if name not in _READ_AS:
        raise InputError(f"pixels of type {name} are not supported")
    return _READ_AS[name]


def gdal_type(dtype: str) -> int:
    """GDAL's number of a data type; ``GDT_Byte`` for int8 where GDAL (before 3.7) has none."""
    number = int(gdal.GetDataTypeByName(_GDAL_NAMES[dtype]))
    return number if number != gdal.GDT_Unknown or dtype != "int8" else int(gdal.GDT_Byte)


def signed_byte(dtype: str) -> bool:
    """Whether this GDAL (before 3.7) marks the type by the metadata item ``PIXELTYPE``."""
    return dtype == "int8" and gdal_type(dtype) == gdal.GDT_Byte


# ---------------------------------------------------------------- from a dataset


def profile_of(dataset: gdal.Dataset, bands: Sequence[int]) -> Profile:
    """The profile of a dataset's bands, counted from 1.

    Bands of several data types get the one that holds them all. A nodata value that the type cannot
    hold (``-9999`` in unsigned bytes) marks no pixel and is left out.
    """
    chosen = [dataset.GetRasterBand(number) for number in bands]
    dtypes = {dtype_of(band) for band in chosen}
    if len(dtypes) > 1 and any(signed_byte(dtype) for dtype in dtypes):
        raise InputError("signed bytes and bands of another type cannot be read together")
    dtype = np.result_type(*dtypes).name
    transform = dataset.GetGeoTransform(can_return_null=True)
    metadata, of_bands = split_lists(metadata_of(dataset), dataset.RasterCount)
    return Profile(
        width=dataset.RasterXSize,
        height=dataset.RasterYSize,
        dtype=dtype,
        bands=tuple(_band_of(band, dtype, of_bands[band.GetBand() - 1]) for band in chosen),
        crs=_crs_of(dataset.GetSpatialRef()),
        transform=Affine.from_gdal(*transform) if transform else None,
        gcps=tuple(
            GroundControlPoint(
                p.GCPPixel, p.GCPLine, p.GCPX, p.GCPY, p.GCPZ, text_of(p.Id), text_of(p.Info)
            )
            for p in dataset.GetGCPs()
        ),
        gcp_crs=_crs_of(dataset.GetGCPSpatialRef()),
        metadata=metadata,
    )


def _band_of(band: gdal.Band, dtype: str, listed: tuple[Metadata, ...]) -> Band:
    nodata = band.GetNoDataValue()
    if nodata is not None and np.dtype(dtype).kind in "iu" and can_hold(dtype, nodata):
        nodata = int(nodata)
    scale, table = band.GetScale(), band.GetColorTable()
    return Band(
        nodata=nodata if can_hold(dtype, nodata) else None,
        scale=1.0 if scale is None else scale,
        offset=band.GetOffset() or 0.0,
        name=text_of(band.GetDescription()),
        unit=text_of(band.GetUnitType()),
        color=gdal.GetColorInterpretationName(band.GetColorInterpretation()),
        color_table=tuple(table.GetColorEntry(i) for i in range(table.GetCount())) if table else (),
        categories=tuple(text_of(name) for name in band.GetCategoryNames() or ()),
        attributes=table_of(band),
        metadata=tuple(sorted({*metadata_of(band), *listed})),
        number=band.GetBand(),
    )


def _crs_of(reference: Optional[osr.SpatialReference]) -> Optional[CRS]:
    if reference is None:
        return None
    wkt = reference.ExportToWkt(["FORMAT=WKT2_2019"]) or reference.ExportToWkt()
    return CRS(wkt, reference.GetCoordinateEpoch()) if wkt else None


# ---------------------------------------------------------------- onto a dataset


def describe(dataset: gdal.Dataset, profile: Profile) -> None:
    """Give a dataset of the same size and bands everything in the profile, its data type apart."""
    if profile.crs is not None:
        dataset.SetSpatialRef(_reference(profile.crs))
    if profile.transform is not None:
        dataset.SetGeoTransform(profile.transform.to_gdal())
    if profile.gcps:
        points = [gdal.GCP(p.x, p.y, p.z, p.col, p.row, p.info, p.id) for p in profile.gcps]
        dataset.SetGCPs(points, _reference(profile.gcp_crs) if profile.gcp_crs else None)
    of_image, of_bands = joined_lists(profile)
    set_metadata(dataset, of_image)
    for number, (band, metadata) in enumerate(zip(profile.bands, of_bands), 1):
        _describe_band(dataset.GetRasterBand(number), band)
        set_metadata(dataset.GetRasterBand(number), metadata)


def _describe_band(target: gdal.Band, band: Band) -> None:
    if band.color != "Undefined":
        target.SetColorInterpretation(_color_number(band.color))
    if band.nodata is not None:
        target.SetNoDataValue(real_nodata(band.nodata))
    if (band.scale, band.offset) != (1.0, 0.0):
        target.SetScale(band.scale)
        target.SetOffset(band.offset)
    if band.name:
        target.SetDescription(band.name)
    if band.unit:
        target.SetUnitType(band.unit)
    if band.color_table:
        table = gdal.ColorTable()
        for index, entry in enumerate(band.color_table):
            table.SetColorEntry(index, entry)
        target.SetColorTable(table)
    if band.categories:
        target.SetCategoryNames(list(band.categories))
    if band.attributes:
        target.SetDefaultRAT(gdal_table(band.attributes))


def _color_number(name: str) -> int:
    # GDAL's numbers are consecutive; how many there are depends on its version.
    numbers = range(gdal.GCI_GrayIndex, 64)
    matches = (number for number in numbers if gdal.GetColorInterpretationName(number) == name)
    return next(matches, int(gdal.GCI_Undefined))


def _reference(crs: CRS) -> osr.SpatialReference:
    reference = osr.SpatialReference()
    reference.ImportFromWkt(crs.wkt)
    if crs.epoch:
        reference.SetCoordinateEpoch(crs.epoch)
    reference.SetAxisMappingStrategy(osr.OAMS_TRADITIONAL_GIS_ORDER)
    return reference


def real_nodata(nodata: Number) -> Union[int, float]:
    """A nodata value as GDAL holds it: of complex pixels, the real part."""
    return nodata.real if isinstance(nodata, complex) else nodata
