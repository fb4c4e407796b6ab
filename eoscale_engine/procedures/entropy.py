"""Local entropy: bounds found where none are given, then one pass over the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from eoscale_engine.declaration import Engine, Output, Procedure, Result, Roles, parameter
from eoscale_engine.filters.neighbourhood.entropy import EntropyBetween
from eoscale_engine.filters.neighbourhood.windows import SHAPES
from eoscale_engine.procedures.value_bounds import check_bounds, find_bounds
from eoscale_engine.profile import Profile
from eoscale_engine.styles import HEAT, Ramp, Style


@dataclass(frozen=True)
class LocalEntropy(Procedure):
    """Shannon entropy of the pixels around each pixel: how many bits their levels are worth.

    Values are cut into levels of equal width between two bounds: level
    floor(levels (x - lower) / (upper - lower)), the last level at the upper bound; what lies beyond
    a bound has the level next to it. With p the share of the window's n valid pixels that each
    level has, the entropy is -sum(p log2 p) over the levels that occur, in bits: 0 where all pixels
    have one level, at most log2 of the number of levels or of n. High in mixed and rough texture,
    low in smooth surfaces; unlike a variance it does not depend on how far the levels are apart.

    Bounds that are not given are the smallest and largest finite valid value of each band, in the
    extent if there is one: give them to compare images. Integers have one level each where there
    are as many levels as integers between the bounds, both included.

    The window is a square of 2 radius + 1 pixels, or a disk: the pixels with
    row^2 + col^2 <= radius^2, counted from the centre. Each band is handled by itself.

    Nodata: "ignore" takes the valid pixels of the window; "propagate" gives no value where the
    window holds an invalid pixel, nor in a frame of the radius. What lies beyond the image is
    invalid. An invalid pixel stays so unless holes are filled.

    Pixels: integers and floats. Values are physical, ``pixel * scale + offset``, in float64; the
    result is float32 in bits, summed in float64 as log2(n) - sum(c log2 c) / n over the counts c.

    Source: C. E. Shannon, "A mathematical theory of communication", Bell System Technical Journal
    27, 1948.
    """

    name = "localentropy"
    label = "Local entropy"
    group = "Neighbourhood"
    tags = (
        "entropy", "shannon", "texture", "information", "heterogeneity", "diversity", "roughness",
        "rank.entropy", "entropyfilt", "r.neighbors", "focal", "moving window",
    )  # fmt: skip
    outputs = (Output(),)
    examples = (
        {},
        {"lower": 0, "upper": 255, "levels": 8, "shape": "disk", "radius": 3},
        {"upper": 90, "nodata": "propagate", "fill": True},
    )

    radius: int = parameter(
        2, minimum=1, maximum=128, unit="pixels", help="Half-width of the window; 2 is 5 x 5."
    )
    shape: str = parameter(
        "square",
        choices=SHAPES,
        help="Square of 2 radius + 1 pixels, or disk: the pixels at most the radius away.",
    )
    levels: int = parameter(
        32,
        minimum=2,
        maximum=256,
        help="Into how many levels of equal width the values are cut. Time grows with them.",
    )
    lower: Optional[float] = parameter(
        None, label="Lower bound", help="Start of the first level; the smallest value if not set"
    )
    upper: Optional[float] = parameter(
        None, label="Upper bound", help="End of the last level; the largest value if not set"
    )
    nodata: str = parameter(
        "ignore",
        choices=("ignore", "propagate"),
        label="Invalid pixels in the window",
        help="Ignore them, or give no value where there is one. Beyond the image all are invalid.",
    )
    fill: bool = parameter(
        False,
        label="Fill holes",
        help="Give invalid pixels a value too, from the valid pixels around them.",
    )

    def validate(self) -> None:
        """Refuse bounds that enclose nothing."""
        check_bounds(self.label, self.lower, self.upper)

    def styles(self) -> Sequence[Optional[Style]]:
        """The more bits the brighter."""
        return [Ramp(HEAT)]

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats."""
        return [inputs[0].with_dtype("float32")]

    def run(self, images: Roles, engine: Engine) -> Result:
        """Find the bounds that are not given, then compute."""
        bounds = find_bounds(self.label, self.lower, self.upper, images, engine)
        one_pass = EntropyBetween(
            bounds, self.levels, self.radius, self.shape, self.nodata, self.fill
        )
        return Result(tuple(engine.filter(one_pass, images)))
