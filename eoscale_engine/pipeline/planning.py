"""What a run works on, decided before it starts: inputs, outputs and tiles. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Optional, TypeVar, Union

from eoscale_engine.declaration import Declaration, ImageFilter
from eoscale_engine.errors import GridError, InputError
from eoscale_engine.grids import grid_difference
from eoscale_engine.memory.images import Image
from eoscale_engine.profile import Profile, can_hold, default_nodata
from eoscale_engine.raster_files.reading import RasterFile
from eoscale_engine.tile_work.block_reading import Inputs, Source
from eoscale_engine.tiling import TILE_PIXELS, Window, blocks_of, split, tile_shape

Keys = Union[str, Sequence[str], Mapping[str, Union[str, Sequence[str]]]]
"""One image, a list in the order of the declaration's inputs, or images by role."""

Output = TypeVar("Output")


def keys_by_role(declaration: Declaration, images: Keys) -> dict[str, list[str]]:
    """Which image plays which role.

    Of a plain list each role takes one image in turn, and one that takes many takes all that are
    left.

    Raises
    ------
    InputError
        Where an image is missing or left over, or a role is not the declaration's.
    """
    roles: dict[str, list[str]] = {}
    if isinstance(images, Mapping):
        for role, keys in images.items():
            roles[role] = [keys] if isinstance(keys, str) else list(keys)
        left = [role for role in roles if role not in {item.role for item in declaration.inputs}]
    else:
        left = [images] if isinstance(images, str) else list(images)
        for item in declaration.inputs:
            taken = len(left) if item.many else 1
            roles[item.role], left = left[:taken], left[taken:]
    if left:
        raise InputError(f"{declaration.called} takes no image {', '.join(map(repr, left))}.")
    for item in declaration.inputs:
        count = len(roles.setdefault(item.role, []))
        if count == 0 and not item.optional:
            raise InputError(f"{declaration.called} needs an image as {item.label}.")
        if count > 1 and not item.many:
            raise InputError(f"{declaration.called} takes one image as {item.label}.")
    declaration.check_roles([role for role, keys in roles.items() if keys])
    return roles


def check_grids(images: Sequence[tuple[str, Profile]]) -> None:
    """Refuse, with a :class:`GridError`, images that do not lie pixel on pixel on the first."""
    for label, profile in images[1:]:
        first, like = images[0]
        difference = grid_difference(like, profile)
        if difference:
            raise GridError(
                f"'{first}' and '{label}' do not share one grid: {difference}. "
                "Align the others to the first (parameter ALIGN), or warp them beforehand."
            )


def area_of(profile: Profile, extent: Optional[Window]) -> Window:
    """The window to work on: the extent cut to the image; an InputError where they do not meet."""
    whole = Window(0, 0, profile.height, profile.width)
    area = whole if extent is None else extent.intersection(whole)
    if not area.rows or not area.cols:
        raise InputError("The extent does not meet the image. Choose an extent on it.")
    return area


def output_profiles(
    declaration: ImageFilter, sources: Sequence[Source]
) -> list[tuple[Profile, bool]]:
    """The profile of each output with a nodata value in each band, and whether it may be dropped.

    Where integers get a value that the declaration did not name, it is dropped if no pixel needs
    it; but not where inputs may hold invalid pixels, by their profiles, or the declaration makes
    some. Then it stays, and valid pixels that equal it are moved aside, whatever the pixels are:
    the result of an extent must be that part of the whole result.

    Raises
    ------
    InputError
        Where there is no output, or its size is not the inputs'.
    """
    inputs = [source.profile for source in sources]
    outputs = list(declaration.output_profiles(inputs))
    name = declaration.called
    if not outputs:
        raise InputError(f"{name} declares no output image.")
    width, height = (inputs or outputs)[0].width, (inputs or outputs)[0].height
    for profile in outputs:
        if (profile.width, profile.height) != (width, height):
            raise InputError(
                f"{name} declares an output of {profile.width} x {profile.height} pixels; it must "
                f"have the {width} x {height} of its input."
            )
    foreseen = declaration.makes_invalid or any(map(_may_be_invalid, sources))
    certain = foreseen and not declaration.marks_nodata
    return [_with_nodata(_made(profile), certain) for profile in outputs]


def _may_be_invalid(source: Source) -> bool:
    """By what an image carries, whatever its pixels are."""
    profile = source.profile
    masked = source.masked if isinstance(source, Image) else source.mask != "none"
    marked = any(
        band.nodata is not None and can_hold(profile.dtype, band.nodata) for band in profile.bands
    )
    return masked or marked or not profile.dtype.startswith(("int", "uint"))


def _made(profile: Profile) -> Profile:
    """The profile of a new image: its bands have no numbers from a file, nor counts of pixels."""
    bands = tuple(replace(band.without_counts(), number=0) for band in profile.bands)
    return replace(profile, bands=bands)


def _with_nodata(profile: Profile, certain: bool) -> tuple[Profile, bool]:
    """A value that the type cannot hold (-9999 in bytes, as files do have it) is none."""
    known = [
        band.nodata is not None and can_hold(profile.dtype, band.nodata) for band in profile.bands
    ]
    if all(known):
        return profile, False
    value = default_nodata(profile.dtype)
    bands = tuple(
        band if fits else replace(band, nodata=value) for band, fits in zip(profile.bands, known)
    )
    return replace(profile, bands=bands), not certain


def classes_left_out(
    declaration: Declaration, inputs: Sequence[Profile], outputs: Sequence[Profile]
) -> str:
    """Say what told of the inputs' values and is left out; empty where there is nothing to say.

    Outputs that are drawn in a way of their own, such as an index, are not taken for the input.
    """
    styles = declaration.styles()
    alike = [
        output for output, style in zip_longest(outputs, styles[: len(outputs)]) if style is None
    ]
    inputs = list(map(_made, inputs))  # what no result keeps is not missed
    lost = [
        name
        for name, field in (
            ("colour table", "color_table"),
            ("class names", "categories"),
            ("attribute table", "attributes"),
        )
        if _has(inputs, field) and alike and not _has(alike, field)
    ]
    if not lost:
        return ""
    return (
        f"{declaration.called}: the input's {', '.join(lost)} left out: the values of the "
        "result are no longer those that this described."
    )


def _has(profiles: Sequence[Profile], field: str) -> bool:
    return any(getattr(band, field) for profile in profiles for band in profile.bands)


def tiles_of(
    area: Window,
    inputs: Inputs,
    declaration: ImageFilter,
    *,
    squares: Optional[bool] = None,
    pixels: int = TILE_PIXELS,
) -> list[Window]:
    """The tiles of a run: any give the same result, these give it fast.

    Parameters
    ----------
    area : Window
    inputs : Inputs
        A file among them is read with the margin for each tile: tiles keep to its blocks, and are
        larger for larger margins.
    declaration : ImageFilter
    squares : bool, optional
        Squares (True) or strips as wide as the area (False). By default strips, whose pages follow
        each other in memory, save where the margin or the cost of a call asks for squares.
    pixels : int
        Of one tile, about.
    """
    margin = declaration.margin
    file = next((s for _, all_ in inputs for s in all_ if isinstance(s, RasterFile)), None)
    large = pixels**0.5 < 8 * margin
    if squares is None:
        squares = file is not None or declaration.whole_tiles or large
    if file is not None:
        pixels = max(pixels, (4 * margin) ** 2)
        rows, cols = tile_shape(area, file.block_shape, pixels)
        if not squares:
            block = file.block_shape[0]
            rows, cols = max(1, pixels // area.cols // block) * block, area.end_col
        return split(area, rows, cols)
    if squares:
        if declaration.whole_tiles:
            pixels = max(pixels, (4 * margin) ** 2)
        side = max(1, int(pixels**0.5))
        return blocks_of(area, (side, side))
    return blocks_of(area, (max(1, pixels // area.cols), area.cols))
