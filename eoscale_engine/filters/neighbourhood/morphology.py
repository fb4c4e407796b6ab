"""Morphology on grey values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import cos, radians, sin
from typing import Any, Callable, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.filters.neighbourhood.windows import (
    Neighbourhood,
    by_validity,
    flat_lines,
    gather_window,
    merging,
    neighbourhood,
    neighbourhood_of,
    unflattened,
)
from eoscale_engine.filters.origins import Origins, own_band
from eoscale_engine.profile import Profile
from eoscale_engine.styles import HEAT, Ramp, Style

EROSION, DILATION, OPENING, CLOSING = "erosion", "dilation", "opening", "closing"
GRADIENT, WHITE, BLACK = "gradient", "white top-hat", "black top-hat"
OPERATIONS = (EROSION, DILATION, OPENING, CLOSING, GRADIENT, WHITE, BLACK)
DIFFERENCES = (GRADIENT, WHITE, BLACK)
SHAPES = ("square", "disk", "line")

_MINIMUM, _MAXIMUM = merging(np.minimum), merging(np.maximum)


@dataclass(frozen=True)
class Morphology(ImageFilter):
    """Erosion, dilation, opening, closing, gradient and top-hats of grey values.

    With the structuring element B around each pixel, a flat one that is its own mirror image:

    - erosion: the smallest pixel in B; dilation: the largest
    - opening: the dilation of the erosion, which removes what is brighter and smaller than B
    - closing: the erosion of the dilation, which removes what is darker and smaller than B
    - gradient: dilation - erosion, which shows edges (S. Beucher)
    - white top-hat: image - opening, what the opening removes; black top-hat: closing - image

    B is a square of 2 radius + 1 pixels, a disk (row^2 + col^2 <= radius^2, counted from the
    centre), or a line of 2 radius + 1 pixels through the centre, at an angle counted from the row
    towards north: the pixels k (cos, -sin) / max(abs(cos), abs(sin)) for k from -radius to radius,
    rounded. An image of zeros and ones is handled as well as one of many values.

    Nodata: "ignore" takes the valid pixels of B, in both steps of an opening or closing;
    "propagate" gives no value where an invalid pixel has a part in it. What lies beyond the image
    is invalid. An invalid pixel stays so. Each band is handled by itself.

    Pixels keep their type; differences of signed integers become unsigned, in which all of them
    fit. Results are exact. Scale and offset carry on (of differences the size of the scale alone);
    in a band of negative scale smallest and largest change places.

    Source: J. Serra, Image Analysis and Mathematical Morphology, 1982; the top-hat is F. Meyer's.
    """

    name: ClassVar[str] = "morphology"
    label: ClassVar[str] = "Morphology"
    group: ClassVar[str] = "Neighbourhood"
    tags: ClassVar[tuple[str, ...]] = (
        "mathematical morphology", "grayscale morphology", "grayscalemorphologicaloperation",
        "structuring element", "erode", "dilate", "open", "close", "tophat", "bottom hat",
        *OPERATIONS,
    )  # fmt: skip
    border: ClassVar[str] = "invalid"
    picture: ClassVar[Mapping[str, Any]] = {"operation": OPENING, "shape": "disk", "radius": 4}
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"operation": DILATION, "shape": "disk", "radius": 3},
        {"operation": OPENING, "shape": "line", "radius": 3, "angle": 45},
        {"operation": CLOSING, "radius": 2, "nodata": "propagate"},
        {"operation": GRADIENT, "shape": "disk", "radius": 2},
        {"operation": WHITE, "shape": "line", "radius": 2, "angle": 20, "nodata": "propagate"},
        {"operation": BLACK, "radius": 2},
    )

    operation: str = parameter(
        EROSION, choices=OPERATIONS, help="What is made of the smallest and largest pixels"
    )
    shape: str = parameter(
        "square", choices=SHAPES, label="Structuring element", help="Square, disk or line"
    )
    radius: int = parameter(
        1, minimum=1, maximum=256, unit="pixels", help="Half of its width; 1 is 3 x 3 pixels"
    )
    angle: float = parameter(
        0.0,
        minimum=-360,
        maximum=360,
        unit="degrees",
        help="Of a line: 0 lies along the rows, 90 along the columns, 45 goes up to the right",
        counts_when={"shape": ("line",)},
    )
    nodata: str = parameter(
        "ignore",
        choices=("ignore", "propagate"),
        label="Invalid pixels in the structuring element",
        help="Ignore them, or give no value where there is one. Beyond the image all are invalid",
    )

    @property
    def margin(self) -> int:
        """The radius, twice of it for two steps."""
        return self.radius * (1 if self.operation in (EROSION, DILATION, GRADIENT) else 2)

    @property
    def makes_invalid(self) -> bool:
        """Near the border, beyond which all is invalid."""
        return self.nodata == "propagate"

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """The input's, but for differences."""
        profile = inputs[0]
        if self.operation not in DIFFERENCES:
            return [profile]
        bands = tuple(replace(band, scale=abs(band.scale), offset=0.0) for band in profile.bands)
        return [
            replace(profile, bands=bands)
            .with_dtype(_difference_dtype(np.dtype(profile.dtype)).name)
            .with_nodata(None)
            .without_classes()
        ]

    def taken_from(self, inputs: Sequence[Profile]) -> Optional[Origins]:
        """One of the pixels around, or a difference."""
        return None if self.operation in DIFFERENCES else own_band(inputs)

    def styles(self) -> Sequence[Optional[Style]]:
        """Differences from dark to bright."""
        return (Ramp(HEAT),) if self.operation in DIFFERENCES else ()

    def farthest(self, side: int) -> Optional[np.ndarray]:
        """A bright element that ends in the outermost ring, where it is dark; negated for closings.

        Only without that ring does it lie wholly within what is bright.
        """
        radius = self.radius
        if self.margin == radius:
            return None
        places = _places(self._element())
        row, col = next(place for place in places if place[0] == -radius or place[1] == radius)
        bright = np.zeros((side, side))
        for down, right in places:
            bright[2 * radius + row + down, 2 * radius + 2 + col + right] = 1
        bright[[0, -1]] = bright[:, [0, -1]] = 0
        if self.operation in (CLOSING, BLACK):
            bright = 1 - bright
        return np.stack([bright, bright])

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block = blocks[0]
        dtype = np.dtype(self.output_profiles([block.profile])[0].dtype)
        element = self._element()

        def compute(
            band: int, pixels: np.ndarray, valid: Optional[np.ndarray], out: np.ndarray
        ) -> Optional[np.ndarray]:
            rising = block.profile.bands[band].scale > 0
            return self._compute(_Plane(pixels, valid), element, rising, out)

        return by_validity(block, self.margin, dtype, compute)

    def _element(self) -> Neighbourhood:
        if self.shape == "line":
            return _line(self.radius, self.angle)
        return neighbourhood(self.shape, self.radius)

    def _compute(
        self, plane: _Plane, element: Neighbourhood, rising: bool, out: np.ndarray
    ) -> Optional[np.ndarray]:
        """The operation on one band; returns where the result is valid."""
        strict = self.nodata == "propagate"

        def low(of: _Plane) -> _Plane:
            return of.extreme(element, largest=not rising, strict=strict)

        def high(of: _Plane) -> _Plane:
            return of.extreme(element, largest=rising, strict=strict)

        steps: dict[str, Callable[[], tuple[_Plane, Optional[_Plane]]]] = {
            EROSION: lambda: (low(plane), None),
            DILATION: lambda: (high(plane), None),
            OPENING: lambda: (high(low(plane)), None),
            CLOSING: lambda: (low(high(plane)), None),
            GRADIENT: lambda: (high(plane), low(plane)),
            WHITE: lambda: (plane.cropped(self.margin), high(low(plane))),
            BLACK: lambda: (low(high(plane)), plane.cropped(self.margin)),
        }
        first, second = steps[self.operation]()
        if second is None:
            # Which of 0.0 and -0.0 is taken depends on the order; adding 0 makes both 0.0.
            np.add(first.pixels, 0, out=out)
            return first.valid
        more, less = (first, second) if rising else (second, first)
        # Unsigned integers wrap round to the right difference of signed ones.
        np.subtract(more.pixels.view(out.dtype), less.pixels.view(out.dtype), out=out)
        return second.valid if self.operation == WHITE else first.valid


@dataclass(frozen=True)
class _Plane:
    """One band with what is left of its margin, and where it is valid (None: everywhere)."""

    pixels: np.ndarray
    valid: Optional[np.ndarray]

    def cropped(self, margin: int) -> _Plane:
        inner = (slice(margin, -margin),) * 2
        return _Plane(self.pixels[inner], None if self.valid is None else self.valid[inner])

    def extreme(self, element: Neighbourhood, *, largest: bool, strict: bool) -> _Plane:
        """The smallest or largest valid pixel in the element around each; the margin shrinks."""
        dtype = self.pixels.dtype
        if dtype.kind == "f":
            fill = -np.inf if largest else np.inf
        else:
            fill = np.iinfo(dtype).min if largest else np.iinfo(dtype).max
        lines = flat_lines(self.pixels, self.valid, dtype, fill)
        found = self._gathered(lines, element, largest=largest)
        valid = self.cropped(element.radius).valid
        if self.valid is not None and strict:
            lines = flat_lines(self.valid, None, np.dtype(bool), 0)
            valid = self._gathered(lines, element, largest=False)
        return _Plane(found, valid)

    def _gathered(self, lines: np.ndarray, element: Neighbourhood, *, largest: bool) -> np.ndarray:
        rows, pitch = self.pixels.shape
        merge = _MAXIMUM if largest else _MINIMUM
        found = gather_window(merge, lines, pitch, element)
        shape = (rows - 2 * element.radius, pitch - 2 * element.radius)
        return unflattened(found, pitch, shape)


def _places(element: Neighbourhood) -> list[tuple[int, int]]:
    """Rows and columns of the element's pixels, counted from its centre."""
    radius = element.radius
    return [
        (row - radius, place - radius)
        for row, col, width in element.runs
        for place in range(col, col + width)
    ]


@lru_cache(maxsize=64)
def _line(radius: int, angle: float) -> Neighbourhood:
    """The pixels of a line through the centre."""
    across, up = cos(radians(angle)), sin(radians(angle))
    longest = max(abs(across), abs(up))
    cells = np.zeros((2 * radius + 1, 2 * radius + 1))
    for step in range(1, radius + 1):
        col, row = round(step * across / longest), round(-step * up / longest)
        cells[radius + row, radius + col] = cells[radius - row, radius - col] = 1
    cells[radius, radius] = 1
    return neighbourhood_of(tuple(map(tuple, cells.tolist())))


def _difference_dtype(dtype: np.dtype) -> np.dtype:
    return np.dtype(f"u{dtype.itemsize}") if dtype.kind == "i" else dtype
