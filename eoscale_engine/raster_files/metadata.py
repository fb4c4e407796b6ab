"""Metadata of images and bands, in all domains, from GDAL and to it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Union

from eoscale_engine.profile import Metadata, Profile

# How a file stores its pixels and their place, or what no longer fits when they change.
_STORAGE_DOMAINS = (
    "IMAGE_STRUCTURE", "SUBDATASETS", "DERIVED_SUBDATASETS", "xml:VRT", "xml:gml.root-instance",
)  # fmt: skip
_STALE = (
    "STATISTICS_", "NODATA_VALUES", "TIFFTAG_MINSAMPLEVALUE", "TIFFTAG_MAXSAMPLEVALUE",
    "TIFFTAG_XRESOLUTION", "TIFFTAG_YRESOLUTION", "TIFFTAG_RESOLUTIONUNIT",
)  # fmt: skip
_ENVI_STORAGE = (
    "bands", "byte_order", "coordinate_system_string", "data_ignore_value", "data_type",
    "file_compression", "file_type", "geo_points", "header_offset", "interleave", "lines",
    "map_info", "projection_info", "rpc_info", "samples", "x_start", "y_start",
)  # fmt: skip

_ENVI_LISTS = (
    "band_names", "bbl", "data_gain_values", "data_offset_values", "data_reflectance_gain_values",
    "data_reflectance_offset_values", "fwhm", "wavelength",
)  # fmt: skip
"""Items of ENVI's headers with an entry for each band."""


def text_of(value: Union[str, bytes, None]) -> str:
    """A text of GDAL's, which hands out bytes where a file's is not UTF-8."""
    return value.decode("latin-1") if isinstance(value, bytes) else value or ""


# ---------------------------------------------------------------- from GDAL and to it


def metadata_of(thing: Any) -> tuple[Metadata, ...]:
    """What is worth carrying on of the metadata of a dataset or a band."""
    return tuple(
        (domain, key, value)
        for domain in sorted(thing.GetMetadataDomainList() or ())
        if domain not in _STORAGE_DOMAINS
        for key, value in sorted(_items(thing, domain))
        if not key.startswith(_STALE) and not (domain == "ENVI" and key in _ENVI_STORAGE)
    )


def _items(thing: Any, domain: str) -> Iterator[tuple[str, str]]:
    if ":" in domain:  # xml:XMP, json:ISIS3: one text
        yield "", "\n".join(map(text_of, thing.GetMetadata_List(domain) or ()))
        return
    for key, value in (thing.GetMetadata_Dict(domain) or {}).items():
        name, text = text_of(key), text_of(value)
        if domain == "GEOLOCATION" and name in ("X_DATASET", "Y_DATASET"):
            beside = os.path.join(os.path.dirname(thing.GetDescription()), text)
            text = os.path.abspath(beside) if os.path.exists(beside) else text
        yield name, text


def set_metadata(thing: Any, metadata: Iterable[Metadata]) -> None:
    """Add metadata to a dataset or a band."""
    for domain, key, value in metadata:
        if key:
            thing.SetMetadataItem(key, value, domain)
        else:
            thing.SetMetadata([value], domain)


def by_domain(metadata: Iterable[Metadata]) -> dict[str, dict[str, str]]:
    """Keys and values of each domain."""
    domains: dict[str, dict[str, str]] = {}
    for domain, key, value in metadata:
        domains.setdefault(domain, {})[key] = value
    return domains


# ---------------------------------------------------------------- ENVI's lists

# They travel with the bands, so that chosen and stacked bands keep their own.


def split_lists(
    metadata: Iterable[Metadata], count: int
) -> tuple[tuple[Metadata, ...], list[tuple[Metadata, ...]]]:
    """The metadata without lists, and the entries of each of ``count`` bands."""
    whole: list[Metadata] = []
    of_bands: list[list[Metadata]] = [[] for _ in range(count)]
    for domain, key, value in metadata:
        entries = [entry.strip() for entry in value.strip("{} \n").split(",")]
        if domain == "ENVI" and key in _ENVI_LISTS and len(entries) == count:
            for band, entry in zip(of_bands, entries):
                band.append((domain, key, entry))
        else:
            whole.append((domain, key, value))
    return tuple(whole), [tuple(band) for band in of_bands]


def joined_lists(profile: Profile) -> tuple[Sequence[Metadata], list[Sequence[Metadata]]]:
    """The metadata of an image and of its bands, with a list of what all of these have."""
    items = [{(d, key): value for d, key, value in band.metadata} for band in profile.bands]
    listed = [("ENVI", key) for key in _ENVI_LISTS if all(("ENVI", key) in band for band in items)]
    lists = [
        (domain, key, "{" + ", ".join(band[domain, key] for band in items) + "}")
        for domain, key in listed
    ]
    of_bands = [
        [item for item in band.metadata if item[:2] not in listed] for band in profile.bands
    ]
    return [*profile.metadata, *lists], list(of_bands)
