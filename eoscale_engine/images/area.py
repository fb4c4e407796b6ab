"""What a function sees of an image: blocks with their margins, and which pixels are valid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Optional

import numpy as np

from eoscale_engine.declaration import Block
from eoscale_engine.profile import Band, Profile, can_hold
from eoscale_engine.tiling import CELL, Window, border_indices, split


@dataclass(frozen=True)
class Area:
    """Pixels of one source around a tile: all of an image in memory, or what was read of it.

    Attributes
    ----------
    pixels : array of (stored bands, rows, cols)
    planes : array of (1 or stored bands, rows, cols), or None
        0 where the pixel is invalid, of all bands or of each.
    bands : index
        Of the chosen bands in ``pixels``: taken with each block, so that choosing bands that do not
        follow each other never copies a whole image.
    window : Window
        The place of ``pixels`` in the whole image.
    profile : Profile
        Of the whole image with the chosen bands.
    all_valid : bool
        Whether every pixel is known to be valid.
    """

    pixels: np.ndarray
    planes: Optional[np.ndarray]
    bands: Any
    window: Window
    profile: Profile
    all_valid: bool = False

    def block(self, core: Window, margin: int, border: str) -> Block:
        """A block, extended beyond the image's true border as ``border`` says."""
        profile = self.profile
        wanted = core.expanded(margin)
        inside = wanted.intersection(Window(0, 0, profile.height, profile.width))
        place = inside.relative_to(self.window).slices
        pixels = self.pixels[(self.bands, *place)]
        planes = self.planes
        if planes is not None:
            planes = planes[(self.bands if len(planes) > 1 else slice(None), *place)]
        valid = None if self.all_valid else valid_pixels(pixels, planes, profile.bands)
        if border == "cut" or inside == wanted:
            margins = (
                core.row - inside.row, core.col - inside.col,
                inside.end_row - core.end_row, inside.end_col - core.end_col,
            )  # fmt: skip
            pixels.flags.writeable = False
            return Block(pixels, valid, profile, core, margins)
        inner = inside.relative_to(wanted)
        extended = _extended(pixels, wanted, inner, profile, border)
        if valid is not None or border == "invalid":
            valid = np.ones(pixels.shape, bool) if valid is None else valid
            valid = _extended(valid, wanted, inner, profile, border)
        extended.flags.writeable = False
        return Block(extended, valid, profile, core, (margin,) * 4)


def _extended(
    seen: np.ndarray, wanted: Window, inner: Window, profile: Profile, border: str
) -> np.ndarray:
    """What was seen of the image, with the lines that stand for those beyond its border.

    Zeros where none does (border "invalid"). Each of these lines is seen: it lies at most a margin
    from the border.
    """
    array = np.zeros((len(seen), wanted.rows, wanted.cols), seen.dtype)
    array[(slice(None), *inner.slices)] = seen
    if border == "invalid":
        return array
    rows = border_indices(wanted.row, wanted.end_row, profile.height, border) - wanted.row
    for beyond in (slice(0, inner.row), slice(inner.end_row, wanted.rows)):
        array[:, beyond] = array[:, rows[beyond]]
    cols = border_indices(wanted.col, wanted.end_col, profile.width, border) - wanted.col
    for beyond in (slice(0, inner.col), slice(inner.end_col, wanted.cols)):
        array[:, :, beyond] = array[:, :, cols[beyond]]
    return array


def band_index(bands: Optional[Sequence[int]]) -> Any:
    """A slice where the chosen bands follow each other (a view), else a list (a copy)."""
    if bands is None:
        return slice(None)
    first = bands[0] - 1
    follow = list(bands) == list(range(bands[0], bands[0] + len(bands)))
    return slice(first, first + len(bands)) if follow else [band - 1 for band in bands]


def all_valid_in(pixels: np.ndarray, planes: Optional[np.ndarray], bands: Sequence[Band]) -> bool:
    """Whether all pixels are valid, looked at in pieces that fit the cache, up to the first."""
    for piece in split(Window(0, 0, *pixels.shape[1:]), CELL, CELL):
        inside = (slice(None), *piece.slices)
        part = None if planes is None else planes[inside]
        if valid_pixels(pixels[inside], part, bands) is not None:
            return False
    return True


def valid_pixels(
    pixels: np.ndarray, planes: Optional[np.ndarray], bands: Sequence[Band]
) -> Optional[np.ndarray]:
    """Where pixels are valid: not nodata, not NaN, not masked.

    Parameters
    ----------
    pixels : array of (bands, rows, cols)
    planes : array of (1 or bands, rows, cols), or None
        0 where pixels are invalid.
    bands : sequence of Band
        Their nodata values, which may differ.

    Returns
    -------
    boolean array of the pixels' shape, or None where all are valid
    """
    valid = None
    if planes is not None:
        valid = np.repeat(planes != 0, len(pixels) // len(planes), axis=0)
    values = [nodata_in(pixels.dtype, band.nodata) for band in bands]
    if pixels.dtype.kind == "c":
        valid = _both(valid, pixels == pixels)
    elif pixels.dtype.kind == "f" or any(value is not None for value in values):
        # min() finds NaN, and that no pixel is as low as nodata, faster than a comparison of each
        lowest = pixels.min()
        if lowest != lowest:
            valid = _both(valid, pixels == pixels)
        elif all(value is None or lowest > value for value in values):
            return None if valid is None or valid.all() else valid
    if all(value is not None and value == values[0] for value in values):
        valid = _both(valid, pixels != values[0])
    else:
        for number, value in enumerate(values):
            if value is not None:
                valid = np.ones(pixels.shape, bool) if valid is None else valid
                valid[number] &= pixels[number] != value
    return None if valid is None or valid.all() else valid


def _both(first: Optional[np.ndarray], second: np.ndarray) -> np.ndarray:
    return second if first is None else np.logical_and(first, second, out=first)


@lru_cache(maxsize=256)
def nodata_in(dtype: np.dtype, value: Any) -> Any:
    """A nodata value in the pixels' own type; None where no pixel can equal it (NaN too)."""
    if value is None or value != value or not can_hold(dtype.name, value):
        return None
    if dtype.kind in "iu":
        return dtype.type(int(value))
    with np.errstate(over="ignore"):
        return dtype.type(value)
