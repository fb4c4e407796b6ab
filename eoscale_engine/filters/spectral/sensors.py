"""Which band of an image is red, which is near infrared: by sensor, or by the bands' own names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType

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
_ROLE_OF_CODE = dict(
    zip(("1", "2", "3", "4", "5", "6", "7", "8", "8a", "11", "12"),
        ("coastal", "blue", "green", "red", *_RED_EDGES.split(), "nir", "narrow_nir",
         "swir1", "swir2")),
)  # fmt: skip
_CODE = re.compile(r"\bb(?:and)?[ _]?0*(\d+a?)\b")


def named_bands(names: Iterable[str]) -> dict[str, int]:
    """The band number of each role that the bands' names tell; the first band of a role counts.

    Names are words, such as ``red``, ``NIR`` or ``swir16``, and Sentinel-2's B1 to B12, which mean
    other bands for other sensors: they count only where B8A is among them, or where GDAL's own
    driver named them.

    >>> named_bands(["Blue", "Green", "Red", "B5 (NIR)"])
    {'blue': 1, 'green': 2, 'red': 3, 'nir': 4}
    """
    names = [name.lower() for name in names]
    codes = [match.group(1) if match else "" for match in map(_CODE.search, names)]
    sentinel2 = "8a" in codes or any("central wavelength" in name for name in names)
    found: dict[str, int] = {}
    for number, (name, code) in enumerate(zip(names, codes), 1):
        word = re.sub(r"[^a-z0-9]", "", _CODE.sub("", name))
        role = _ROLE_OF_WORD.get(word) or (_ROLE_OF_CODE.get(code) if sentinel2 else None)
        if role:
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
