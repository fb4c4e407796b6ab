"""What a run works on, decided before it starts: inputs, outputs and tiles. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import zip_longest
from typing import Optional, Union

import numpy as np

from eoscale_engine.declaration import Declaration, ImageFilter
from eoscale_engine.errors import EngineError, GridError, InputError, described
from eoscale_engine.grids import grid_difference
from eoscale_engine.images.source import Inputs, Source, may_be_invalid, sources_of
from eoscale_engine.profile import Band, Number, Profile, can_hold
from eoscale_engine.tile_work.jobs import PIECE_COLS
from eoscale_engine.tiling import (
    CELL,
    TILE_PIXELS,
    Window,
    blocks_of,
    check_number_of_pieces,
    split,
    strip_shape,
    tile_shape,
)
from eoscale_engine.words import listed

Keys = Union[str, Sequence[str], Mapping[str, Union[str, Sequence[str]]]]
"""One image, a list in the order of the declaration's inputs, or images by role."""

TASK_BYTES = 64 * 1024 * 1024
"""Most bytes of images that a task of a reduction looks at where one piece has fewer."""

LAST_ROWS = 2
"""Rows of cells for each worker that are cut into pieces."""


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
        raise InputError(
            f"{declaration.called} takes no image {listed(map(repr, left), 'or')}. Its inputs are: "
            + (", ".join(item.role for item in declaration.inputs) or "none")
            + "."
        )
    for item in declaration.inputs:
        count = len(roles.setdefault(item.role, []))
        if count == 0 and not item.optional:
            raise InputError(f"{declaration.called} needs '{item.label}' ({item.role}).")
        if count > 1 and not item.many:
            raise InputError(
                f"{declaration.called} takes one '{item.label}' ({item.role}), not {count}."
            )
    declaration.check_roles([role for role, keys in roles.items() if keys])
    return roles


def check_grids(images: Sequence[tuple[str, Profile]]) -> None:
    """Refuse, with a :class:`GridError`, images that do not lie pixel on pixel on the first."""
    for label, profile in images[1:]:
        first, like = images[0]
        difference = grid_difference(like, profile)
        if difference:
            raise GridError(
                f"'{first}' and '{label}' do not share a grid: {difference}. Set 'Align to the "
                "first image' (ALIGN) to bring the others to the first one's grid, or warp them "
                "beforehand."
            )


def area_of(profile: Profile, extent: Optional[Window]) -> Window:
    """The window to work on: the extent cut to the image; an InputError where they do not meet."""
    whole = Window(0, 0, profile.height, profile.width)
    area = whole if extent is None else extent.intersection(whole)
    if not area.rows or not area.cols:
        raise InputError("The extent does not meet the image. Choose an extent on it.")
    return area


Stored = tuple[Profile, int]
"""How an output is stored: its profile, and how many planes say where it is valid."""


def stored_bytes(stored: Stored) -> int:
    """Bytes of an output, with its planes."""
    profile, planes = stored
    return profile.nbytes + planes * profile.height * profile.width


def to_be_stored(
    declaration: ImageFilter, sources: Sequence[Source], *, foreseen: bool = False
) -> tuple[Stored, ...]:
    """How each output is stored, so that its invalid pixels can be told from its valid ones.

    Floats have NaN, or the nodata value of their band where no valid pixel can equal it: because
    the declaration says so, or because its pixels are those of inputs with that nodata value.
    Integers have such a nodata value, and planes where there is none; neither where no pixel can
    be invalid, by what the inputs carry and not by their pixels. With ``foreseen`` any may be.

    Raises
    ------
    InputError
        Where there is no output, or its size is not the inputs'.
    """
    inputs = [source.profile for source in sources]
    name = declaration.called
    try:
        outputs = list(declaration.output_profiles(inputs))
    except EngineError:
        raise
    except Exception as problem:  # of a user's own class, which may name a band that is not there
        raise InputError(f"{name} does not take these images: {described(problem)}.") from problem
    if not outputs:
        raise InputError(f"{name} declares no output image.")
    width, height = (inputs or outputs)[0].width, (inputs or outputs)[0].height
    for profile in outputs:
        if (profile.width, profile.height) != (width, height):
            raise InputError(
                f"{name} declares an output of {profile.width} x {profile.height} pixels; it must "
                f"have the {width} x {height} of its input."
            )
    taken = declaration.taken_from(inputs)
    invalid = [may_be_invalid(source) for source in sources]
    some = declaration.makes_invalid or any(map(any, invalid))
    stored = []
    for profile in map(_made, outputs):
        nodata = [_spared_nodata(declaration, profile.dtype, band) for band in profile.bands]
        may_be = [foreseen or (some and not declaration.marks_nodata)] * profile.count
        if taken is not None:
            common = [_common_nodata(profile.dtype, inputs, bands) for bands in taken]
            nodata = [one if one is not None else other for one, other in zip(nodata, common)]
            if not (foreseen or declaration.makes_invalid):
                may_be = [any(invalid[image][band] for image, band in bands) for bands in taken]
        stored.append(_stored(profile, nodata, may_be))
    return tuple(stored)


def _stored(
    profile: Profile, nodata: Sequence[Optional[Number]], may_be_invalid: Sequence[bool]
) -> Stored:
    if np.dtype(profile.dtype).kind in "fc":
        nan = float("nan")
        return _with_nodata(profile, [nan if value is None else value for value in nodata]), 0
    if all(value is not None or not may for value, may in zip(nodata, may_be_invalid)):
        return _with_nodata(profile, nodata), 0
    return profile.with_nodata(None), profile.count


def _spared_nodata(declaration: ImageFilter, dtype: str, band: Band) -> Optional[Number]:
    """The nodata value that a band names, where no valid pixel has it."""
    spared = declaration.spares_nodata or declaration.marks_nodata
    return band.nodata if spared and can_hold(dtype, band.nodata) else None


def _common_nodata(
    dtype: str, inputs: Sequence[Profile], bands: Sequence[tuple[int, int]]
) -> Optional[Number]:
    """The nodata value that all these bands of inputs have, if it is none of another's pixels."""
    values = [inputs[image].bands[band].nodata for image, band in bands]
    alike = values and values[0] is not None and all(value == values[0] for value in values)
    exact = all(np.can_cast(inputs[image].dtype, dtype) for image, _ in bands)
    held = all(can_hold(inputs[image].dtype, values[0]) for image, _ in bands) if alike else False
    return values[0] if alike and exact and held and can_hold(dtype, values[0]) else None


def _made(profile: Profile) -> Profile:
    """The profile of a new image: its bands have no numbers from a file, nor counts of pixels."""
    bands = tuple(replace(band.without_counts(), number=0) for band in profile.bands)
    return replace(profile, bands=bands)


def _with_nodata(profile: Profile, values: Sequence[Optional[Number]]) -> Profile:
    bands = (replace(band, nodata=value) for band, value in zip(profile.bands, values))
    return replace(profile, bands=tuple(bands))


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
        f"{declaration.called}: the result has no {listed(lost, 'or')}, as the input has: its "
        "values are no longer those that this described."
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
        What is decoded or computed is read with the margin for each tile: tiles keep to its blocks,
        and are larger for larger margins.
    declaration : ImageFilter
    squares : bool, optional
        Squares (True) or strips as wide as the area (False). By default strips, whose pages follow
        each other in memory, save where the margin or the cost of a call asks for squares.
    pixels : int
        Of one tile, about.
    """
    margin, sources = declaration.margin, sources_of(inputs)
    decoded = next((source for source in sources if not source.in_memory), None)
    large = pixels**0.5 < 8 * margin
    if squares is None:
        squares = decoded is not None or declaration.whole_tiles or large
    if decoded is not None:
        side = max(source.tile_side(margin) for source in sources)
        if not any(source.files for source in sources):
            pixels //= 4  # what is computed on the way stays in the processor's cache
        pixels, block = max(pixels, side**2), decoded.block_shape
        rows, cols = tile_shape(area, block, pixels)
        if not squares:
            rows, cols = max(1, pixels // area.cols // block[0]) * block[0], area.end_col
        # tiles as wide as the image have margins above and below alone
        least = side if cols < area.cols else side // 2
        return split(area, max(rows, -(-least // block[0]) * block[0]), cols)
    if squares:
        if declaration.whole_tiles:
            pixels = max(pixels, (4 * margin) ** 2)
        side = max(1, int(pixels**0.5))
        return blocks_of(area, (side, side))
    return blocks_of(area, (max(1, pixels // area.cols), area.cols))


def tiles_of_copy(area: Window, source: Source, pixels: int = TILE_PIXELS) -> list[Window]:
    """The tiles in which a source is brought into memory as it is.

    Strips in whole rows of its blocks, whose pages follow each other in memory; squares where their
    margins are computed.
    """
    side = source.tile_side(0)
    if side > 1:
        rows, cols = tile_shape(area, source.block_shape, max(pixels, side**2))
        return split(area, max(rows, side), cols)
    return split(area, *strip_shape(area, source.block_shape, pixels))


def tasks_of(area: Window, inputs: Inputs, workers: int, margin: int) -> list[Window]:
    """The tasks of a reduction: rows of cells, the last few in pieces: workers end together.

    Not in pieces where one needs blocks of a file that its neighbours need too: strips would be
    decoded several times.
    """
    sources = sources_of(inputs)
    wide = any(not s.by_block or s.block_shape[1] > PIECE_COLS for s in sources)
    bytes_of_piece = CELL * PIECE_COLS * sum(source.profile.pixel_bytes for source in sources)
    most = max(1, TASK_BYTES // bytes_of_piece) * PIECE_COLS
    check_number_of_pieces(area, CELL, most)
    side = max(source.tile_side(margin) for source in sources)
    if side > 2 * CELL:  # margins above and below alone, in whole rows of cells
        return split(area, -(-side // (2 * CELL)) * CELL, area.end_col)
    rows = split(area, CELL, area.end_col)
    long = max(0, len(rows) - LAST_ROWS * workers)
    tasks = [task for row in rows[:long] for task in split(row, CELL, most)]
    last = most if wide else PIECE_COLS
    return tasks + [task for row in rows[long:] for task in split(row, CELL, last)]
