"""Edges: how steeply pixels change, and which way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.neighbourhood.kernels import BORDER, Kernel, correlate
from eoscale_engine.filters.neighbourhood.windows import by_validity
from eoscale_engine.profile import Band, Profile
from eoscale_engine.styles import CYCLE, DIVERGING, Ramp, Style

_ACROSS = {"sobel": (1.0, 2.0, 1.0), "prewitt": (1.0, 1.0, 1.0), "scharr": (3.0, 10.0, 3.0)}
"""How the three rows, or columns, of a difference are weighted."""

_KERNELS: dict[str, tuple[Kernel, ...]] = {
    name: (
        Kernel(tuple((-weight, 0.0, weight) for weight in weights)),
        Kernel((weights, (0.0, 0.0, 0.0), tuple(-weight for weight in weights))),
    )
    for name, weights in _ACROSS.items()
}
_KERNELS["roberts"] = (
    Kernel(((0, 0, 0), (0, -1, 1), (0, -1, 1))),
    Kernel(((0, 0, 0), (0, 1, 1), (0, -1, -1))),
)
_KERNELS["laplacian"] = (Kernel(((0, 1, 0), (1, -4, 1), (0, 1, 0))),)
"""Of each operator the kernels of the change to the right and upwards, or the only one."""

_STEPS = {name: 2 * sum(weights) for name, weights in _ACROSS.items()}
_STEPS.update(roberts=2.0, laplacian=1.0)
"""What the kernels give where pixels change by 1 from one to the next."""

_BANDS = {
    "magnitude": ("magnitude",),
    "direction": ("direction",),
    "both": ("magnitude", "direction"),
    "components": ("to the right", "upwards"),
}


@dataclass(frozen=True)
class Edges(ImageFilter):
    """Edges by the gradient (Sobel, Prewitt, Scharr, Roberts) or the Laplacian.

    With gx the change to the right (east, where north is up) and gy the change upwards (north):

    - magnitude: sqrt(gx^2 + gy^2)
    - direction: of the steepest increase, in degrees clockwise from upwards, from 0 to less than
      360; no value where the magnitude is zero
    - components: gx and gy

    gx is a difference between the columns beside the pixel, its three rows weighted 1 2 1 (Sobel),
    1 1 1 (Prewitt) or 3 10 3 (Scharr); gy is the same for rows. Roberts takes the square of four
    pixels of which the pixel is the upper left one, by its two diagonal differences; its components
    are turned to the right and upwards. The Laplacian is the sum of the four neighbours less four
    times the pixel: it has a sign and no direction. Each band is handled by itself; where there are
    two results, those of a band follow each other.

    Per pixel, the gradient is the change from one pixel to the next: the weighted sums are divided
    by 8 (Sobel), 6 (Prewitt), 32 (Scharr) or the square root of 2 (Roberts, after its diagonals).
    Else they are the plain weighted sums, as scipy.ndimage.sobel has them. The Laplacian is the
    same either way.

    Nodata: an invalid neighbour counts as equal to the pixel in the middle ("ignore"), so that a
    hole's edge is none, or gives no value ("propagate"). An invalid pixel stays so. Beyond the
    image lies its mirror image by default.

    Pixels: float32, float64 for 64-bit images. The band's scale is that of the image (without a
    sign for the magnitude), directions follow physical values. Images of up to 16 bits and float32
    ones are computed in float32, to 1e-6 of the largest sum under the kernel, all others in
    float64.

    I. Sobel and G. Feldman, "A 3x3 isotropic gradient operator for image processing", Stanford,
    1968; J. M. S. Prewitt, "Object enhancement and extraction", 1970; H. Scharr, "Optimale
    Operatoren in der Digitalen Bildverarbeitung", Heidelberg, 2000; L. G. Roberts, "Machine
    perception of three-dimensional solids", MIT, 1963.
    """

    name = "edges"
    label = "Edges"
    group = "Neighbourhood"
    tags = (
        "edge detection", "gradient", "sobel", "prewitt", "scharr", "roberts", "laplacian",
        "laplace", "magnitude", "direction", "orientation", "contour",
    )  # fmt: skip
    examples = (
        {},
        {"operator": "scharr", "result": "both", "border": "invalid"},
        {"operator": "prewitt", "result": "direction", "nodata": "propagate"},
        {"operator": "roberts", "per_pixel": False, "nodata": "propagate", "border": "invalid"},
        {"operator": "roberts", "result": "components", "border": "nearest"},
        {"operator": "laplacian", "border": "invalid"},
    )

    operator: str = parameter(
        "sobel",
        choices=tuple(_KERNELS),
        help="Sobel suits most images; Scharr has the truest directions, Roberts the thinnest "
        "edges, Laplacian a line on each side of an edge.",
    )
    result: str = parameter(
        "magnitude",
        choices=tuple(_BANDS),
        help="How steep, which way, a band for each of them, or a band for the change to the right "
        "and one for the change upwards.",
    )
    per_pixel: bool = parameter(
        True,
        label="Change per pixel",
        help="The gradient from one pixel to the next, so that operators compare. Else plain "
        "weighted sums.",
    )
    nodata: str = parameter(
        "ignore",
        choices=("ignore", "propagate"),
        label="Invalid neighbours",
        help="Take them as equal to the pixel itself, or give no value where there is one.",
    )
    border: str = parameter(**BORDER)  # type: ignore[misc]

    def validate(self) -> None:
        """Refuse the direction of what has none."""
        if self.operator == "laplacian" and self.result != "magnitude":
            raise InputError(
                "Edges: the Laplacian has no direction and no components. Choose 'magnitude', or "
                "another operator."
            )

    @property
    def margin(self) -> int:
        """The neighbours."""
        return 1

    @property
    def makes_invalid(self) -> bool:
        """Where no direction is, and near the border where nothing lies beyond it."""
        beyond = self.border == "invalid" and self.nodata == "propagate"
        return beyond or "direction" in _BANDS[self.result]

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats, a band for each result of each band."""
        dtype = "float32" if np.dtype(inputs[0].dtype).itemsize <= 4 else "float64"
        result = inputs[0].with_dtype(dtype).without_classes()
        bands = (self._named(band, kind) for band in result.bands for kind in _BANDS[self.result])
        return [replace(result, bands=tuple(bands))]

    def _named(self, band: Band, kind: str) -> Band:
        """The band of one result: how steep, which way, or how much to one side."""
        laplacian = self.operator == "laplacian"
        scale, unit = band.scale, band.unit
        if kind == "direction":
            scale, unit = 1.0, "degrees"
        elif unit and (self.per_pixel or laplacian):
            unit += "/pixel^2" if laplacian else "/pixel"
        if kind == "magnitude" and not laplacian:
            scale = abs(scale)
        name = f"{band.name} {'laplacian' if laplacian else kind}".strip()
        return Band(scale=scale, name=name, unit=unit)

    def styles(self) -> Sequence[Optional[Style]]:
        """Of the first band."""
        if self.result == "direction":
            return (Ramp(CYCLE, 0, 360),)
        signed = self.result == "components" or self.operator == "laplacian"
        return (Ramp(DIVERGING, symmetric=True) if signed else Ramp(),)

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block = blocks[0]
        (result,) = self.output_profiles([block.profile])
        factor = 1 / _STEPS[self.operator]
        if not self.per_pixel:
            factor = 2**-0.5 if self.operator == "roberts" else 1.0

        def part(kind: str) -> Pixels:
            def compute(
                band: int, pixels: np.ndarray, valid: Optional[np.ndarray], out: np.ndarray
            ) -> Optional[np.ndarray]:
                changes, known = self._changes(kind, pixels, valid)
                if kind == "direction":
                    _direction(changes, block.profile.bands[band].scale, out)
                    return known
                size = changes[0]
                if len(changes) > 1:
                    size = np.sqrt(sum(np.multiply(change, change) for change in changes))
                np.multiply(size, size.dtype.type(factor), out=out, casting="same_kind")
                return known

            return by_validity(block, 1, np.dtype(result.dtype), compute)

        parts = [part(kind) for kind in _BANDS[self.result]]
        if len(parts) == 1:
            return parts[0]
        shape = (len(parts) * len(block.pixels), *parts[0][0].shape[1:])
        pixels = np.stack([found for found, _ in parts], axis=1).reshape(shape)
        masks = [where for _, where in parts if where is not None]
        return pixels, np.stack(masks, axis=1).reshape(shape) if masks else None

    def _changes(
        self, kind: str, pixels: np.ndarray, valid: Optional[np.ndarray]
    ) -> tuple[list[np.ndarray], Optional[np.ndarray]]:
        """The plain weighted sums that a result needs, and where they are known."""
        kernels = _KERNELS[self.operator]
        if self.result == "components":
            kernels = kernels[_BANDS["components"].index(kind) :][:1]
        changes, known = [], None if valid is None else valid[1:-1, 1:-1]
        for kernel in kernels:
            change, where = correlate(kernel, pixels, valid, propagate=self.nodata == "propagate")
            changes.append(change)
            if known is not None and where is not None:
                known = known & where
        return changes, known


def _direction(changes: Sequence[np.ndarray], scale: float, out: np.ndarray) -> None:
    """Degrees clockwise from upwards; NaN, which is no value, where nothing changes."""
    right, up = (np.negative(change) for change in changes) if scale < 0 else changes
    np.arctan2(right, up, out=out, casting="same_kind")
    np.degrees(out, out=out)
    np.add(out, 360, out=out, where=out < 0)
    # what is less than zero by almost nothing is rounded to the full circle
    np.copyto(out, 0, where=out >= 360)
    np.copyto(out, np.nan, where=(right == 0) & (up == 0))
