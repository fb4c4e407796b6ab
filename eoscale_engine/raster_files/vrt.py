"""VRT texts: raw pixels as a raster, and chosen bands of an image as an image of their own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import cycle, zip_longest
from typing import Optional, Union

# Only written with here, never parsed.
from xml.etree import ElementTree  # nosec B405

import numpy as np
from osgeo import gdal

from eoscale_engine.profile import CRS, Band, Metadata, Number, Profile
from eoscale_engine.raster_files.attribute_tables import add_table
from eoscale_engine.raster_files.gdal_profile import (
    BandStatistics,
    gdal_type,
    real_nodata,
    signed_byte,
)
from eoscale_engine.raster_files.metadata import by_domain, joined_lists

Statistics = Optional[Sequence[BandStatistics]]


def vrt_face(
    profile: Profile, raw_name: str, statistics: Statistics = None, *, planes: int = 0
) -> str:
    """The text of a VRT over band-sequential raw pixels in a file beside it.

    The raw file holds NumPy's C order ``(bands, rows, cols)`` in the machine's byte order; behind
    it planes of bytes ``(rows, cols)``, one for all bands or one for each: 0 where pixels are
    invalid. The statistics keep a reader that wants them from rewriting the VRT.
    """
    root, bands = _described(profile, statistics, "VRTRawRasterBand")
    for index, band in enumerate(bands):
        _add_raw(band, profile, raw_name, index, profile.dtype)
    for plane, owner in enumerate(_owners(planes, root, bands)):
        mask = _add_band(_add(owner, "MaskBand"), "uint8", "VRTRawRasterBand")
        _add_raw(mask, profile, raw_name, plane, "uint8", first=profile.nbytes)
    return ElementTree.tostring(root, encoding="unicode")


def vrt_of_bands(
    path: Union[str, Sequence[str]],
    bands: Sequence[int],
    profile: Profile,
    *,
    planes: int = 0,
    alpha: int = 0,
    nodata_in_file: Sequence[Optional[Number]] = (),
) -> str:
    """The text of a VRT that is these bands of an image, with its masks or its alpha band behind.

    ``path`` may name an image, or be the text of a VRT, for each band.

    Where the bands' nodata values in the file are given, they are turned into those of the profile.

    Not ``gdal.Translate``: for all bands of a VRT it copies relative paths of raw pixels as they
    are, and then makes an empty file of that name in the working directory.
    """
    root, elements = _described(profile, None, "VRTSourcedRasterBand")
    numbers = [str(number) for number in bands]
    if alpha and alpha not in bands:
        elements.append(_add_band(root, profile.dtype, "VRTSourcedRasterBand", str(len(bands) + 1)))
        _add(elements[-1], "ColorInterp", "Alpha")
        numbers.append(str(alpha))
    for masked, owner in zip(bands, _owners(planes, root, list(elements))):
        elements.append(_add_band(_add(owner, "MaskBand"), "uint8", "VRTSourcedRasterBand"))
        numbers.append(f"mask,{masked}")
    files = cycle([path] if isinstance(path, str) else path)
    for file, (element, number, nodata) in zip(
        files, zip_longest(elements, numbers, nodata_in_file)
    ):
        source = _add(element, "SimpleSource" if nodata is None else "ComplexSource")
        _add(source, "SourceFilename", file, relativeToVRT="0")
        _add(source, "SourceBand", number)
        if nodata is not None:
            _add(source, "NODATA", repr(real_nodata(nodata)))
    return ElementTree.tostring(root, encoding="unicode")


def _owners(
    planes: int, image: ElementTree.Element, bands: Sequence[ElementTree.Element]
) -> Sequence[ElementTree.Element]:
    """What each plane is the mask of: of the image, or of a band."""
    return bands if planes > 1 else [image][:planes]


def _described(
    profile: Profile, statistics: Statistics, subclass: str
) -> tuple[ElementTree.Element, list[ElementTree.Element]]:
    """The VRT with everything in the profile, and its bands, still without sources."""
    root = ElementTree.Element(
        "VRTDataset", rasterXSize=str(profile.width), rasterYSize=str(profile.height)
    )
    if profile.crs is not None:
        _add_crs(root, profile.crs)
    if profile.transform is not None:
        _add(root, "GeoTransform", ", ".join(repr(value) for value in profile.transform.to_gdal()))
    if profile.gcps:
        points = _add(root, "GCPList", Projection=profile.gcp_crs.wkt if profile.gcp_crs else "")
        for p in profile.gcps:
            _add(
                points, "GCP", Id=p.id, Info=p.info, Pixel=repr(p.col), Line=repr(p.row),
                X=repr(p.x), Y=repr(p.y), Z=repr(p.z),
            )  # fmt: skip
    of_image, of_bands = joined_lists(profile)
    _add_metadata(root, of_image)
    elements = []
    for index, (band, metadata) in enumerate(zip(profile.bands, of_bands)):
        element = _add_band(root, profile.dtype, subclass, str(index + 1))
        _describe(element, band)
        found = statistics[index].metadata().items() if statistics else ()
        _add_metadata(element, [*metadata, *(("", key, value) for key, value in found)])
        elements.append(element)
    return root, elements


def _add_band(
    parent: ElementTree.Element, dtype: str, subclass: str, number: str = ""
) -> ElementTree.Element:
    attributes = {"dataType": gdal.GetDataTypeName(gdal_type(dtype)), "subClass": subclass}
    if number:
        attributes["band"] = number
    element = _add(parent, "VRTRasterBand", **attributes)
    if signed_byte(dtype):
        _add_metadata(element, [("IMAGE_STRUCTURE", "PIXELTYPE", "SIGNEDBYTE")])
    return element


def _add_raw(
    element: ElementTree.Element, profile: Profile, raw_name: str, index: int, dtype: str,
    first: int = 0,
) -> None:  # fmt: skip
    item = np.dtype(dtype).itemsize
    _add(element, "SourceFilename", raw_name, relativeToVRT="1")
    _add(element, "ImageOffset", str(first + index * profile.width * profile.height * item))
    _add(element, "PixelOffset", str(item))
    _add(element, "LineOffset", str(profile.width * item))
    _add(element, "ByteOrder", "LSB" if sys.byteorder == "little" else "MSB")


def _describe(element: ElementTree.Element, band: Band) -> None:
    _add(element, "ColorInterp", band.color)
    if band.nodata is not None:
        _add(element, "NoDataValue", repr(real_nodata(band.nodata)))
    if (band.scale, band.offset) != (1.0, 0.0):
        _add(element, "Scale", repr(band.scale))
        _add(element, "Offset", repr(band.offset))
    if band.name:
        _add(element, "Description", band.name)
    if band.unit:
        _add(element, "UnitType", band.unit)
    if band.color_table:
        table = _add(element, "ColorTable")
        for c1, c2, c3, c4 in band.color_table:
            _add(table, "Entry", c1=str(c1), c2=str(c2), c3=str(c3), c4=str(c4))
    if band.categories:
        names = _add(element, "CategoryNames")
        for name in band.categories:
            _add(names, "Category", name)
    if band.attributes:
        add_table(element, band.attributes)


def _add_crs(root: ElementTree.Element, crs: CRS) -> None:
    element = _add(root, "SRS", crs.wkt)
    if crs.epoch:
        element.set("coordinateEpoch", repr(crs.epoch))


def _add_metadata(parent: ElementTree.Element, metadata: Sequence[Metadata]) -> None:
    for domain, items in by_domain(metadata).items():
        element = _add(parent, "Metadata", **({"domain": domain} if domain else {}))
        if "" in items:
            # GDAL's word for one text as it is; "xml" would ask for elements in place of it
            element.set("format", "json")
            element.text = items[""]
            continue
        for key, value in items.items():
            _add(element, "MDI", value, key=key)


def _add(
    parent: ElementTree.Element, tag: str, text: Optional[str] = None, **attributes: str
) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag, attributes)
    element.text = text
    return element
