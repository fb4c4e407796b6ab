"""What a function sees of an image: blocks with their margins, and which pixels are valid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Optional, Union

import numpy as np

from eoscale_engine.declaration import Block, Blocks
from eoscale_engine.memory.images import Image, Mappings
from eoscale_engine.profile import Band, Profile, can_hold
from eoscale_engine.raster_files.reading import Datasets, RasterFile
from eoscale_engine.tiling import Window, border_indices

Source = Union[Image, RasterFile]
"""An image that can be worked on: in memory, or in a file."""

Inputs = tuple[tuple[str, tuple[Source, ...]], ...]
"""The sources of each role, in the order of the declaration's inputs."""


@dataclass
class WorkerState:
    """What a worker keeps between tasks: mapped images and open files."""

    mappings: Mappings = field(default_factory=Mappings)
    datasets: Datasets = field(default_factory=Datasets)


@dataclass(frozen=True)
class Area:
    """Pixels of one input around a tile: all of an image in memory, or what was read from a file.

    Attributes
    ----------
    pixels : array of (stored bands, rows, cols)
    mask : array of (rows, cols) or None
        0 where mask or alpha band say that all bands are invalid.
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
    mask: Optional[np.ndarray]
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
        mask = None if self.mask is None else self.mask[place]
        valid = None if self.all_valid else valid_pixels(pixels, mask, profile.bands)
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


def open_area(source: Source, tile: Window, margin: int, state: WorkerState) -> Area:
    """What blocks of a tile need of one input; a file is read here, with the margin."""
    profile = source.profile
    whole = Window(0, 0, profile.height, profile.width)
    if isinstance(source, Image):
        every_band = replace(source, bands=None)
        pixels, mask = state.mappings.array(every_band), state.mappings.mask(every_band)
        return Area(pixels, mask, _band_index(source.bands), whole, profile, source.all_valid)
    window = tile.expanded(margin).intersection(whole)
    pixels = source.read(window, datasets=state.datasets)
    mask = source.read_mask(window, datasets=state.datasets)
    return Area(pixels, mask, slice(None), window, profile)


def _band_index(bands: Optional[Sequence[int]]) -> Any:
    """A slice where the chosen bands follow each other (a view), else a list (a copy)."""
    if bands is None:
        return slice(None)
    first = bands[0] - 1
    follow = list(bands) == list(range(bands[0], bands[0] + len(bands)))
    return slice(first, first + len(bands)) if follow else [band - 1 for band in bands]


def open_areas(inputs: Inputs, tile: Window, margin: int, state: WorkerState) -> list[Area]:
    """The areas of all inputs, in order."""
    return [open_area(source, tile, margin, state) for _, sources in inputs for source in sources]


def read_blocks(
    inputs: Inputs, areas: Sequence[Area], core: Window, margin: int = 0, border: str = "cut"
) -> Blocks:
    """The blocks of all inputs, by role."""
    remaining = iter(areas)
    roles = {
        role: [next(remaining).block(core, margin, border) for _ in sources]
        for role, sources in inputs
    }
    return Blocks(core, roles)


def valid_pixels(
    pixels: np.ndarray, mask: Optional[np.ndarray], bands: Sequence[Band]
) -> Optional[np.ndarray]:
    """Where pixels are valid: not nodata, not NaN, not masked.

    Parameters
    ----------
    pixels : array of (bands, rows, cols)
    mask : array of (rows, cols) or None
        0 where no band is valid.
    bands : sequence of Band
        Their nodata values, which may differ.

    Returns
    -------
    boolean array of the pixels' shape, or None where all are valid
    """
    valid = None if mask is None else np.repeat((mask != 0)[None], len(pixels), axis=0)
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
