"""Which band of an image is red, which is near infrared: by sensor, or by the bands' own names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Optional

ROLES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "coastal": ("Coastal", "about 440 nm"),
        "blue": ("Blue", "about 480 nm"),
        "green": ("Green", "about 560 nm"),
        "yellow": ("Yellow", "about 610 nm"),
        "red": ("Red", "about 660 nm"),
        "red_edge1": ("Red edge 1", "about 705 nm"),
        "red_edge2": ("Red edge 2", "about 740 nm"),
        "red_edge3": ("Red edge 3", "about 780 nm"),
        "nir": ("Near infrared", "about 840 nm"),
        "narrow_nir": ("Narrow near infrared", "about 865 nm"),
        "swir1": ("Shortwave infrared 1", "about 1600 nm"),
        "swir2": ("Shortwave infrared 2", "about 2200 nm"),
        "thermal": ("Thermal infrared", "about 11 micrometres"),
    }
)
"""What a band sees: the name in formulas, its label, its wavelength."""

BY_NAMES = "by band names"
NONE = "none"


def _order(text: str) -> Mapping[str, int]:
    """Roles by their places in a text; a hyphen is a band without one, a slash joins two roles."""
    places = enumerate(text.split(), 1)
    return MappingProxyType(
        {role: number for number, roles in places for role in roles.split("/") if role != "-"}
    )


_RED_EDGES = "red_edge1 red_edge2 red_edge3"
_SENTINEL2 = f"coastal blue green red {_RED_EDGES} nir narrow_nir -"
_RGB_NIR, _BGR_NIR = "red green blue nir", "blue green red nir"

SENSORS: Mapping[str, Mapping[str, int]] = MappingProxyType(
    {
        NONE: _order(""),
        "red green blue": _order("red green blue"),
        "red green blue nir": _order(_RGB_NIR),
        "blue green red nir": _order(_BGR_NIR),
        "sentinel-2 l1c": _order(f"{_SENTINEL2} - swir1 swir2"),
        "sentinel-2 l2a": _order(f"{_SENTINEL2} swir1 swir2"),
        "sentinel-2 10 bands": _order(f"blue green red {_RED_EDGES} nir narrow_nir swir1 swir2"),
        "landsat 5/7": _order(f"{_BGR_NIR} swir1 thermal swir2"),
        "landsat 5/7 without thermal": _order(f"{_BGR_NIR} swir1 swir2"),
        "landsat 8/9": _order("coastal blue green red nir/narrow_nir swir1 swir2 - - thermal"),
        "modis": _order("red nir/narrow_nir blue green - swir1 swir2"),
        "pleiades": _order(_RGB_NIR),
        "spot 6/7": _order(_RGB_NIR),
        "planetscope 4 bands": _order(_BGR_NIR),
        "planetscope 8 bands": _order("coastal blue - green yellow red red_edge1 nir/narrow_nir"),
        "rapideye": _order("blue green red red_edge1 nir"),
        "worldview 8 bands": _order("coastal blue green yellow red red_edge1 nir -"),
    }
)
"""The band number of each role that a sensor has, in the order that its images usually have."""


class Stored(NamedTuple):
    """How products of a sensor store reflectance: ``pixel * scale + offset``."""

    products: str
    scale: float
    offset: float
    otherwise: str


_SENTINEL2_STORED = Stored(
    "Sentinel-2 products since 2022 (processing baseline 04.00)", 0.0001, -0.1,
    "older products, and those that are harmonised with them, have no offset",
)  # fmt: skip
_LANDSAT_STORED = Stored(
    "Landsat Collection 2 surface reflectances", 0.0000275, -0.2,
    "Collection 1 has a scale of 0.0001 and no offset",
)  # fmt: skip
STORED: Mapping[str, Stored] = MappingProxyType(
    {
        sensor: _SENTINEL2_STORED if sensor.startswith("sentinel-2") else _LANDSAT_STORED
        for sensor in SENSORS
        if sensor.startswith(("sentinel-2", "landsat"))
    }
)
"""What the integers of sensors are whose products have an offset."""

_SYNONYMS = {
    "coastal": "coastal coastalblue coastalaerosol aerosol aerosols ultrablue deepblue violet",
    "red_edge1": "rededge rededge1 vegetationrededge1 re re1",
    "red_edge2": "rededge2 vegetationrededge2 re2",
    "red_edge3": "rededge3 vegetationrededge3 re3",
    "nir": "nir nir1 nearinfrared nearir broadnir",
    "narrow_nir": "narrownir nirnarrow narrownearinfrared nir08 nira",
    "swir1": "swir1 swir16 shortwaveinfrared1",
    "swir2": "swir2 swir22 shortwaveinfrared2",
    "thermal": "thermal thermalinfrared tir tir1 tirs1 lwir lwir11",
}
_ROLE_OF_WORD = {
    word: role for role in ROLES for word in _SYNONYMS.get(role, role.replace("_", "")).split()
}
_SENTINEL2_CODES = ["1", "2", "3", "4", "5", "6", "7", "8", "8a", "9", "10", "11", "12"]


def _codes(sensor: str, codes: Optional[Sequence[str]] = None) -> Mapping[str, tuple[str, ...]]:
    """The roles of each code that a sensor's bands are called by, its place where none is given."""
    found: dict[str, tuple[str, ...]] = {}
    for role, number in SENSORS[sensor].items():
        code = codes[number - 1] if codes else str(number)
        found[code] = (*found.get(code, ()), role)
    return MappingProxyType(found)


_ROLES_OF_CODES = MappingProxyType(
    {
        "sentinel-2 l1c": _codes("sentinel-2 l1c", _SENTINEL2_CODES),
        **{name: _codes(name) for name in ("landsat 5/7", "landsat 8/9", "modis")},
        "": {},
    }
)
_CODE = re.compile(r"(?<![a-z0-9])b(?:and)?[ _]?(0*)(\d+a?)(?![a-z0-9])")
_LANDSAT = re.compile(r"(?<![a-z])s[rt]_b\d")


def named_sensor(names: Iterable[str]) -> str:
    """The sensor whose codes the bands are named by, one of :data:`SENSORS`; else empty.

    B4 is another band for each sensor, so that codes alone do not tell. Landsat's Collection 2 says
    SR_B4 and ST_B10, MODIS sur_refl_b01. Sentinel-2 has B8A, or B8 where there is no B5, which
    Landsat's near infrared would be; codes that only count the bands from 1 on tell nothing.
    """
    names = [name.lower() for name in names]
    found = [match.groups() if match else ("", "") for match in map(_CODE.search, names)]
    codes = [code for _, code in found]
    text = " ".join(names)
    if "sur_refl_b" in text:
        return "modis"
    if _LANDSAT.search(text):
        if "sr_b6" in text or "st_b10" in text:
            return "landsat 8/9"
        return "landsat 5/7" if "st_b6" in text or {"5", "7"} <= {*codes} else ""
    padded = ("0", "8") in found
    counted = codes == [str(place) for place in range(1, len(codes) + 1)]
    lone = "12" in codes or ("8" in codes and (padded or "5" not in codes))
    if "8a" in codes or "central wavelength" in text or (lone and not counted):
        return "sentinel-2 l1c"
    return ""


def named_bands(names: Iterable[str]) -> dict[str, int]:
    """The band number of each role that the bands' names tell; the first band of a role counts.

    Names are words, such as ``red``, ``NIR`` or ``swir16``, in any case, or the codes of a sensor
    that :func:`named_sensor` knows them to be, such as B4 and B8.

    >>> named_bands(["Blue", "Green", "Red", "B5 (NIR)"])
    {'blue': 1, 'green': 2, 'red': 3, 'nir': 4}
    >>> named_bands(["B2", "B3", "B4", "B8"])
    {'blue': 1, 'green': 2, 'red': 3, 'nir': 4}
    """
    names = [name.lower() for name in names]
    of_codes = _ROLES_OF_CODES[named_sensor(names)]
    found: dict[str, int] = {}
    for number, name in enumerate(names, 1):
        match = _CODE.search(name)
        word = re.sub(r"[^a-z0-9]", "", _CODE.sub("", name))
        by_word = (_ROLE_OF_WORD[word],) if word in _ROLE_OF_WORD else ()
        for role in by_word or (of_codes.get(match.group(2), ()) if match else ()):
            found.setdefault(role, number)
    if "narrow_nir" in found:  # Landsat's only one, which catalogues call nir08
        found.setdefault("nir", found["narrow_nir"])
    return found


def sensor_table() -> str:
    """The band numbers of all sensors as a table in Markdown."""
    lines = ["| sensor | bands |", "|---|---|"]
    for sensor, bands in SENSORS.items():
        listed = ", ".join(f"{role} {number}" for role, number in bands.items())
        lines.append(f"| {sensor} | {listed or 'only those given'} |")
    return "\n".join(lines) + "\n"
