"""The quality bands of well-known products: what their bits and classes mean.

A *condition* is ``(bits, values)``: it holds for a pixel where ``pixel & bits`` is one of the
values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

Condition = tuple[int, tuple[int, ...]]


class Preset(NamedTuple):
    """The conditions that a product's quality band tells, by name, and those that spoil a pixel."""

    conditions: Mapping[str, Condition]
    default: tuple[str, ...]


def flag(bit: int) -> Condition:
    """One bit that is set, counted from 0, the least significant."""
    return 1 << bit, (1 << bit,)


def field(first: int, last: int, *values: int) -> Condition:
    """One of some values in the bits from ``first`` to ``last``."""
    bits = (1 << (last + 1)) - (1 << first)
    return bits, tuple(value << first for value in values)


def _scene_class(value: int) -> Condition:
    return field(0, 7, value)


LANDSAT = Preset(
    {
        "fill": flag(0),
        "dilated cloud": flag(1),
        "cirrus": flag(2),
        "cloud": flag(3),
        "cloud shadow": flag(4),
        "snow": flag(5),
        "water": flag(7),
        "possible cloud": field(8, 9, 2, 3),
        "possible cirrus": field(14, 15, 2, 3),
    },
    ("fill", "dilated cloud", "cirrus", "cloud", "cloud shadow"),
)
"""QA_PIXEL of Landsat Collection 2 (USGS, "Landsat 8-9 Collection 2 Level 2 Science Product
Guide", LSDS-1619). Flags are set where the confidence is high; "possible" is medium or high."""

SENTINEL_2 = Preset(
    {
        "no data": _scene_class(0),
        "saturated or defective": _scene_class(1),
        "dark area": _scene_class(2),
        "cloud shadow": _scene_class(3),
        "vegetation": _scene_class(4),
        "not vegetated": _scene_class(5),
        "water": _scene_class(6),
        "unclassified": _scene_class(7),
        "cloud medium probability": _scene_class(8),
        "cloud high probability": _scene_class(9),
        "thin cirrus": _scene_class(10),
        "snow": _scene_class(11),
    },
    (
        "no data", "saturated or defective", "cloud shadow", "cloud medium probability",
        "cloud high probability", "thin cirrus",
    ),
)  # fmt: skip
"""Scene classification (SCL) of Sentinel-2 level 2A (ESA, "Sentinel-2 Products Specification
Document")."""

MODIS = Preset(
    {
        "cloud": field(0, 1, 1),
        "mixed cloud": field(0, 1, 2),
        "cloud shadow": flag(2),
        "high aerosol": field(6, 7, 3),
        "small cirrus": field(8, 9, 1),
        "cirrus": field(8, 9, 2, 3),
        "internal cloud": flag(10),
        "internal fire": flag(11),
        "snow": flag(12),
        "adjacent to cloud": flag(13),
        "internal snow": flag(15),
    },
    ("cloud", "mixed cloud", "cloud shadow", "cirrus", "internal cloud"),
)
"""State QA of MOD09 and MYD09 surface reflectance at 500 m and 1 km (E. F. Vermote, J. C. Roger
and J. P. Ray, "MODIS Surface Reflectance User's Guide, Collection 6", 2015)."""

PRESETS: Mapping[str, Preset] = {
    "Landsat QA_PIXEL": LANDSAT,
    "Sentinel-2 SCL": SENTINEL_2,
    "MODIS state QA": MODIS,
}
