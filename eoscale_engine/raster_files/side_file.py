"""What an image carries and a TIFF does not hold: kept beside it (``.aux.xml``), or named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Optional

from eoscale_engine.profile import CRS, Band, Metadata, Profile
from eoscale_engine.raster_files.gdal_calls import opened
from eoscale_engine.raster_files.gdal_profile import describe, profile_of
from eoscale_engine.raster_files.metadata import by_domain

_OPAQUE = 255


def inside_tiff(profile: Profile) -> Profile:
    """The profile without the colour tables that a TIFF cannot hold.

    It has one of 8 or 16 bits of an only band, without transparency but of nodata.
    """
    first = profile.bands[0]
    inside = (
        profile.count == 1
        and profile.dtype in ("uint8", "uint16")
        and all(
            entry[3] == _OPAQUE or value == first.nodata
            for value, entry in enumerate(first.color_table)
        )
    )
    if inside:
        return profile
    bands = (
        replace(band, color_table=(), color="Undefined") if band.color_table else band
        for band in profile.bands
    )
    return replace(profile, bands=tuple(bands))


def keep_beside(path: str, profile: Profile) -> list[str]:
    """Keep beside an image that was written what of its profile is not inside.

    Returns what is lost all the same, in words. Sizes, types and nodata are not looked at.
    """
    for _ in range(2):  # a CRS that lies beside hides what was inside with the file's own
        rest = _rest(profile, _profile_in(path))
        if not _names(rest):
            return []
        dataset = opened(path)  # not for update: GDAL keeps changes beside
        describe(dataset, rest)
        del dataset
    return _names(_rest(profile, _profile_in(path)))


def _profile_in(path: str) -> Profile:
    dataset = opened(path)
    return profile_of(dataset, range(1, dataset.RasterCount + 1))


def _rest(wanted: Profile, found: Profile) -> Profile:
    """What is wanted and was not found."""
    points = (wanted.gcps, wanted.gcp_crs) if wanted.gcps != found.gcps else ((), None)
    return Profile(
        wanted.width, wanted.height, wanted.dtype,
        tuple(map(_rest_of_band, wanted.bands, found.bands)),
        crs=None if _same_crs(wanted.crs, found.crs) else wanted.crs,
        transform=None if wanted.transform == found.transform else wanted.transform,
        gcps=points[0], gcp_crs=points[1],
        metadata=_rest_of_metadata(wanted.metadata, found.metadata),
    )  # fmt: skip


def _rest_of_band(wanted: Band, found: Band) -> Band:
    kept = ("scale", "offset", "name", "unit", "color", "categories")
    rest = {
        key: getattr(wanted, key) for key in kept if getattr(wanted, key) != getattr(found, key)
    }
    if found.color_table[: len(wanted.color_table)] != wanted.color_table:
        rest["color_table"] = wanted.color_table
    if wanted.attributes and not wanted.attributes.same_as(found.attributes):
        rest["attributes"] = wanted.attributes
    return Band(metadata=_rest_of_metadata(wanted.metadata, found.metadata), **rest)


def _rest_of_metadata(
    wanted: Sequence[Metadata], found: Sequence[Metadata]
) -> tuple[Metadata, ...]:
    there = set(map(_comparable, found))
    return tuple(item for item in wanted if item[2] and _comparable(item) not in there)


def _comparable(item: Metadata) -> tuple[object, ...]:
    domain, key, value = item
    if domain == "RPC":  # numbers, which GDAL writes in its own way
        return domain, key, tuple(map(float, value.split()[:20]))
    return domain, key, "".join(value.split())  # a parser of XML may drop spaces


def _same_crs(one: Optional[CRS], other: Optional[CRS]) -> bool:
    if one is None or other is None:
        return one is None
    return one.epoch == other.epoch and one.same_as(other)


def _names(rest: Profile) -> list[str]:
    """What a profile holds, in words."""
    said = {
        "CRS": rest.crs is not None,
        "geotransform": rest.transform is not None,
        "control points": bool(rest.gcps),
        **{
            f"metadata {domain} ({', '.join(items)[:100]})".replace("  ", " "): True
            for domain, items in by_domain(rest.metadata).items()
        },
    }
    names = [name for name, is_there in said.items() if is_there]
    for number, band in enumerate(rest.bands, 1):
        said = {
            "colour table": bool(band.color_table),
            "colour interpretation": band.color not in ("Undefined", "Gray", "Palette"),
            "class names": bool(band.categories),
            "attribute table": band.attributes is not None,
            "scale and offset": (band.scale, band.offset) != (1.0, 0.0),
            "name": bool(band.name),
            "unit": bool(band.unit),
            "metadata": bool(band.metadata),
        }
        names += [f"{name} of band {number}" for name, is_there in said.items() if is_there]
    return names
