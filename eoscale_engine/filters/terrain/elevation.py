"""What terrain filters share: the elevations around each pixel, and gradients.

The elevations around a pixel are nine arrays, one for each place of the 3 x 3 window, row by row:
``z[0]`` in the upper left, ``z[4]`` the pixel itself, ``z[8]`` in the lower right. Their rows are
as long as the block's with its margin, so that each is a contiguous piece of one copy of the block
and an operation is one pass over memory; the last two elements of each row mix two rows, and are
never read.

Elevations are subtracted before anything is added: the difference of two floats is exact where
one is at most twice the other (P. H. Sterbenz, "Floating-Point Computation", 1974), so that high
terrain costs no digits.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.filters.terrain.ground import Spacing
from eoscale_engine.profile import Band, Profile
from eoscale_engine.tiling import Window

METHODS = ("Horn", "Zevenbergen and Thorne")


class TerrainFilter(ImageFilter):
    """A function of the nine elevations around each pixel; each band by itself.

    Its declarations have a field ``compute_edges`` (see :func:`compute_edges_parameter`).
    """

    group = "Terrain"
    compute_edges: bool

    @property
    def margin(self) -> int:
        """One pixel: a window of 3 x 3."""
        return 1

    @property
    def makes_invalid(self) -> bool:
        """At the image's edge, and beside infinite elevations."""
        return True

    def computed_in(self, profile: Profile) -> np.dtype:
        """float32 where it holds every pixel exactly, else float64."""
        return np.result_type(profile.dtype, np.float32)

    @abstractmethod
    def compute(
        self, z: Sequence[np.ndarray], profile: Profile, band: Band, window: Window
    ) -> np.ndarray:
        """The result on a window of the image, from the pixels around each of its pixels.

        All arrays are ``(rows, cols + 2)``, in the type that ``computed_in`` says. For an output of
        integers the fraction is cut off.
        """

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block = blocks[0]
        profile, core = block.profile, block.core
        dtype = self.computed_in(profile)
        (output,) = self.output_profiles([profile])
        result = np.empty((len(block.pixels), core.rows, core.cols), output.dtype)
        found = None if block.valid is None else np.empty(result.shape, bool)
        with np.errstate(all="ignore"):
            for number, pixels in enumerate(block.pixels):
                if block.valid is None or found is None:
                    z = around(pixels, dtype)
                elif self.compute_edges:
                    z, found[number] = around_edges(
                        pixels, block.valid[number], profile, core, dtype
                    )
                else:
                    z, found[number] = around(pixels, dtype), all_around(block.valid[number])
                values = self.compute(z, profile, profile.bands[number], core)
                np.copyto(result[number], values[:, :-2], casting="unsafe")
        return result, found


def derived(
    profile: Profile, name: str, unit: Optional[str] = "", dtype: Optional[str] = None
) -> Profile:
    """The profile of values computed from elevations; ``unit`` None is that of the elevations.

    The type is float32, or float64 for images of 64 bits, unless given.
    """
    dtype = dtype or ("float32" if np.dtype(profile.dtype).itemsize <= 4 else "float64")
    bands = tuple(
        Band(
            name=f"{name} of {band.name}" if band.name else name,
            unit=band.unit if unit is None else unit,
        )
        for band in profile.bands
    )
    return replace(profile, dtype=dtype, bands=bands)


# ---------------------------------------------------------------- the nine elevations


def around(pixels: np.ndarray, dtype: np.dtype) -> list[np.ndarray]:
    """The nine pixels around each one of the core, from a band with a margin of one pixel."""
    rows, pitch = pixels.shape
    lines = np.zeros(rows * pitch + 2, dtype)
    np.copyto(lines[:-2].reshape(rows, pitch), pixels)
    length = (rows - 2) * pitch
    firsts = (row * pitch + col for row in range(3) for col in range(3))
    return [lines[first : first + length].reshape(-1, pitch) for first in firsts]


def all_around(valid: np.ndarray) -> np.ndarray:
    """Where all nine pixels are valid, from a mask with a margin of one pixel."""
    columns = valid[:-2] & valid[1:-1] & valid[2:]
    found: np.ndarray = columns[:, :-2] & columns[:, 1:-1] & columns[:, 2:]
    return found


def around_edges(
    pixels: np.ndarray, valid: np.ndarray, profile: Profile, core: Window, dtype: np.dtype
) -> tuple[list[np.ndarray], np.ndarray]:
    """The nine pixels, values in place of missing ones, and where the pixel itself is valid.

    Beyond the image's border the line through the two nearest pixels is carried on; any other
    invalid pixel is taken to be as high as the pixel in the middle.
    """
    pixels, valid = pixels.astype(dtype), valid.copy()
    for first, last, lines, good in (
        (core.row == 0, core.end_row == profile.height, pixels, valid),
        (core.col == 0, core.end_col == profile.width, pixels.T, valid.T),
    ):
        ends = [(0, 1, 2)] * first + [(-1, -2, -3)] * last
        for beyond, edge, inner in ends:
            lines[beyond] = lines[edge] + (lines[edge] - lines[inner])
            good[beyond] = good[edge] & good[inner]
    z = around(pixels, dtype)
    if not valid.all():
        z = [
            np.where(known, elevation, z[4])
            for known, elevation in zip(around(valid, np.dtype(bool)), z)
        ]
    return z, valid[1:-1, 1:-1]


# ---------------------------------------------------------------- gradients


def gradient(
    z: Sequence[np.ndarray], method: str, apart: Spacing, rise: float
) -> tuple[np.ndarray, np.ndarray]:
    """The rise to the east and to the north, for elevations of ``rise`` times the pixels."""
    east, north = z[5] - z[3], z[7] - z[1]
    weight = 2
    if method == "Horn":
        northeast, southeast = z[2] - z[6], z[8] - z[0]
        east += east
        east += southeast
        east += northeast
        north += north
        north += southeast
        north -= northeast
        weight = 8
    east *= (rise / (weight * apart.east)).astype(east.dtype)
    north *= (rise / (weight * apart.north)).astype(north.dtype)
    return east, north


# ---------------------------------------------------------------- parameters of several filters


def method_parameter() -> Any:
    """From which neighbours the gradient is taken."""
    return parameter(
        "Horn",
        choices=METHODS,
        help="Horn weighs all eight neighbours: better for rough or noisy terrain. Zevenbergen and "
        "Thorne take the four at the sides: better for smooth terrain.",
    )


def compute_edges_parameter() -> Any:
    """Whether incomplete windows give a value."""
    return parameter(
        False,
        label="Compute edges",
        help="Give values at the image's edge and beside invalid pixels too, where some of the "
        "3 x 3 pixels are missing.",
    )
