"""How a result is drawn until a user chooses otherwise: data alone, of which QGIS makes a renderer.

A declaration names a style for each output (``styles``), by its parameters: a slope in degrees has
other bounds than one in percent.
"""

from __future__ import annotations

from collections.abc import Sequence
from colorsys import hsv_to_rgb
from dataclasses import dataclass
from typing import Optional, Union

GREY = ("#000000", "#ffffff")
VEGETATION = ("#a6611a", "#dfc27d", "#f5f5e8", "#a6d96a", "#1a7d33", "#004529")
"""From bare brown to green."""
WATER = ("#8c6d3f", "#e0d8c3", "#f5f7f7", "#7fb8da", "#2171b5", "#08306b")
SNOW = ("#5a4a3a", "#b8b0a8", "#e8eef2", "#9ed0f0", "#2f7fd0")
BURN = ("#1a7d33", "#d9ef8b", "#ffffbf", "#fdae61", "#d7301f", "#67001f")
MINERAL = ("#2c3e50", "#c8b8a0", "#e8a04c", "#b5451c")
BUILT = ("#2a7f62", "#e6efe9", "#d8b4d8", "#7b3294")
DIVERGING = ("#2166ac", "#92c5de", "#f7f7f7", "#f4a582", "#b2182b")
"""Blue below the middle, white, red above."""
HEAT = ("#0d0887", "#7e03a8", "#cc4778", "#f89540", "#f0f921")
"""For amounts: the darker the less."""
SLOPE = ("#ffffff", "#ffeda0", "#feb24c", "#e31a1c", "#67000d")
CYCLE = ("#d7301f", "#f6e05e", "#2f9e66", "#3b5bdb", "#d7301f")
"""For directions: north in red, east yellow, south green, west blue."""
GOLDEN = 0.618033988749895
"""Hues that are this far apart go round the circle without coming close to each other."""


@dataclass(frozen=True)
class Ramp:
    """Colours at equal steps between two values, and between those by interpolation.

    Attributes
    ----------
    colors : sequence of str
        ``#rrggbb``, from the lowest value on.
    minimum, maximum : float, optional
        Where the first and the last colour stand; None: where the 2nd and 98th percentile lie.
    symmetric : bool
        Without bounds: as far from zero on both sides.
    """

    colors: Sequence[str] = GREY
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    symmetric: bool = False


@dataclass(frozen=True)
class Classes:
    """One colour for each value; ``entries`` are value, colour and label.

    Without entries each value that is there gets a colour of its own.
    """

    entries: Sequence[tuple[float, str, str]] = ()


@dataclass(frozen=True)
class Composite:
    """Three bands as red, green and blue, each between its 2nd and 98th percentile, or as given."""

    red: int = 1
    green: int = 2
    blue: int = 3
    minimum: Optional[float] = None
    maximum: Optional[float] = None


Style = Union[Ramp, Classes, Composite]


def hue(number: int) -> str:
    """A class's colour: neighbours differ, near and far."""
    rgb = hsv_to_rgb(number * GOLDEN % 1.0, 0.55 + 0.3 * (number % 2), 0.95)
    return "#" + "".join(f"{round(255 * part):02x}" for part in rgb)
