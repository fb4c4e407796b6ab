"""Whether files are whole, where GDAL does not look: it reads what is missing as zeros, or worse.

Formats say in their first bytes how long the file is. Most of GDAL's readers notice where it ends
early; these do not: ENVI, PCRaster, PCIDSK, classic netCDF, and SQLite (MBTiles, GeoPackage).
"""

from __future__ import annotations

import math
import os
import stat
import struct
from collections.abc import Iterable
from typing import Any, Callable, Optional

from osgeo import gdal

from eoscale_engine.errors import InputError
from eoscale_engine.raster_files.gdal_calls import call_gdal, opened, reason
from eoscale_engine.raster_files.netcdf_header import MAGIC, end_of_variables

_HEADS = (1 << 10, 1 << 16, 1 << 26)
"""Bytes of a file's beginning that are read, the more the longer its header."""


def check_kind(name: str, path: str, most: float = math.inf) -> None:
    """Refuse, with an InputError, a pipe, a device, or more bytes: reading might never end."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise InputError(f"{name} is a device or a pipe, not a file. Choose a file.")
    if found.st_size > most:
        raise InputError(
            f"{name} has {found.st_size / 1e6:.0f} MB, more than the {most / 1e6:.0f} MB that a "
            "file of numbers or code may have. Choose another file."
        )


def check_whole(name: str, dataset: gdal.Dataset, files: Iterable[str]) -> None:
    """Refuse, with an InputError, an image of which a file ends early or a side file is damaged."""
    stated = {path: _stated_size(path) for path in files}
    path = dataset.GetDescription()
    stated[path] = stated.get(path) or _envi_size(dataset)
    for file, least in stated.items():
        found, _ = call_gdal(gdal.VSIStatL, file)
        size: Any = getattr(found, "size", least)
        if least and size < least:
            raise InputError(
                f"{name} is incomplete: '{file}' has {size} of the {least} bytes that its header "
                "tells of. Copy or download it again."
            )
    _check_side_file(name, path + ".msk", opened)
    _check_side_file(name, path + ".aux.xml", _parsed)


def _check_side_file(name: str, path: str, read: Callable[[str], Any]) -> None:
    """GDAL goes on without a mask, or without nodata and names, where it cannot read them."""
    if not os.path.isfile(path):
        return
    found, errors = call_gdal(read, path)
    if found is None:
        raise InputError(
            f"{name} cannot be used: '{path}', which belongs to it, is damaged: {reason(errors)}. "
            "Copy it again, or delete it to read the image without it."
        )


def _parsed(path: str) -> Any:
    with open(path, encoding="utf-8", errors="replace") as file:
        return gdal.ParseXMLString(file.read())


# ---------------------------------------------------------------- what headers say


def _stated_size(path: str) -> Optional[int]:
    """The least bytes that a file has by its own first ones; None where they do not tell."""
    for count in _HEADS:
        head = call_gdal(_first_bytes, path, count)[0] or b""
        try:
            return _size_by(head, path)
        except struct.error:  # the header is longer
            if len(head) < count:
                return None
        except LookupError:
            return None
    return None


def _first_bytes(path: str, count: int) -> bytes:
    file = gdal.VSIFOpenL(path, "rb")
    if file is None:
        return b""
    try:
        return bytes(gdal.VSIFReadL(1, count, file) or b"")
    finally:
        gdal.VSIFCloseL(file)


def _size_by(head: bytes, path: str) -> Optional[int]:
    if head.startswith(MAGIC):
        return end_of_variables(head)
    if head.startswith(b"PCIDSK") and head[16:32].strip().isdigit():
        return 512 * int(head[16:32])
    if head.startswith(b"RUU CROSS SYSTEM MAP FORMAT"):  # PCRaster
        rows, cols = struct.unpack_from("<2I" if head[46] else ">2I", head, 100)
        size_of_pixel = 1 << (max(head[66:68]) & 3)
        return int(256 + rows * cols * size_of_pixel)
    # pages that are still in a log beside the file are not in it
    if head.startswith(b"SQLite format 3\0") and not os.path.exists(path + "-wal"):
        page, pages = struct.unpack_from(">H10xI", head, 16)
        current = head[24:28] == head[92:96]
        return int((65536 if page == 1 else page) * pages) if current else None
    return None


def _envi_size(dataset: gdal.Dataset) -> Optional[int]:
    header = dataset.GetMetadata_Dict("ENVI") or {}
    if dataset.GetDriver().ShortName != "ENVI" or header.get("file_compression", "0") != "0":
        return None
    pixels = dataset.RasterXSize * dataset.RasterYSize * dataset.RasterCount
    size_of_pixel = gdal.GetDataTypeSize(dataset.GetRasterBand(1).DataType) // 8
    offset = header.get("header_offset", "0").strip()
    return pixels * size_of_pixel + (int(offset) if offset.isdigit() else 0)
