"""Plain EOScale-style functions as declarations.

A function ``f(input_buffers, input_profiles, params)`` gets a list of arrays ``(bands, rows,
cols)``, a list of profiles as dictionaries and a dictionary of parameters.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Callable, NamedTuple, Union

import numpy as np

from eoscale_engine.callables import FunctionReference
from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, Reduction, images
from eoscale_engine.errors import InputError
from eoscale_engine.profile import Profile, profile_from
from eoscale_engine.tiling import Window

Resolvable = Union[FunctionReference, Callable[..., Any]]
"""A function, or where it is found in another process."""


class Tile(NamedTuple):
    """A tile as EOScale's ``concatenate_filter`` gets it: inclusive ends and the margins."""

    start_x: int
    start_y: int
    end_x: int
    end_y: int
    top_margin: int = 0
    right_margin: int = 0
    left_margin: int = 0
    bottom_margin: int = 0


def tile_of(window: Window) -> Tile:
    """A window as EOScale describes it."""
    return Tile(window.col, window.row, window.end_col - 1, window.end_row - 1)


def tile_text(tile: Tile) -> str:
    """A tile's place, in words."""
    return (
        f"the tile of rows {tile.start_y} to {tile.end_y}, columns {tile.start_x} to {tile.end_x}"
    )


def place_in(file: str, error: BaseException) -> str:
    """The file and the last line in it that an error came through."""
    path, trace = os.path.abspath(file), traceback.extract_tb(error.__traceback__)
    lines = [frame.lineno for frame in trace if frame.filename == path]
    return f"{file}, line {lines[-1]}" if lines else file


def _called(function: Resolvable, blocks: Blocks, params: Mapping[str, Any]) -> Any:
    function = function.resolve() if isinstance(function, FunctionReference) else function
    # copies: such functions may change what they get, and other blocks must not see that
    buffers = [block.pixels.copy() for block in blocks]
    return function(buffers, [block.profile.to_dict() for block in blocks], dict(params))


def call_filter(function: Resolvable, blocks: Blocks, params: Mapping[str, Any]) -> list[Pixels]:
    """Call a filter on blocks whose margins are cut off at the border; crop its result to the core.

    Parameters
    ----------
    function : callable or FunctionReference
        Returns an array or a list of arrays, ``(rows, cols)`` or ``(bands, rows, cols)`` with the
        rows and columns of its input. What a masked array masks is invalid.

    Raises
    ------
    InputError
        Where it returns something else.
    """
    made = _called(function, blocks, params)
    results: list[Pixels] = []
    for result in made if isinstance(made, (list, tuple)) else [made]:
        if not isinstance(result, np.ndarray):
            raise InputError(
                f"{_returned(function, result)}; it must return a NumPy array, or a list of arrays."
            )
        shape = blocks[0].pixels.shape[1:]
        cube = result[np.newaxis] if result.ndim == 2 else result
        if cube.ndim != 3 or cube.shape[1:] != shape:
            raise InputError(
                f"{_returned(function, result)} of shape {result.shape}; it must be (rows, "
                f"columns) or (bands, rows, columns) with the {shape[0]} rows and {shape[1]} "
                "columns of its input."
            )
        (top, left, _, _), core = blocks[0].margins, blocks.core
        cube = cube[:, top : top + core.rows, left : left + core.cols]
        valid = None
        if isinstance(cube, np.ma.MaskedArray):
            valid = np.logical_not(np.ma.getmaskarray(cube))  # type: ignore[no-untyped-call]
        results.append((np.asarray(cube), valid))
    return results


def call_reduction(function: Resolvable, blocks: Blocks, params: Mapping[str, Any]) -> list[Any]:
    """The scalars that a function finds in one cell: its list, or a list of its only one."""
    scalars = _called(function, blocks, params)
    return scalars if isinstance(scalars, list) else [scalars]


def zeros_like(scalars: Any) -> Any:
    """What EOScale's ``concatenate_filter`` starts from: 0.0 for each value of a piece."""
    return dict.fromkeys(scalars, 0.0) if isinstance(scalars, dict) else [0.0] * len(scalars)


def concatenated(function: Callable[..., Any], values: Any, scalars: Any, tile: Tile) -> Any:
    """The values with a piece's, by a ``concatenate_filter``: changed in place, or returned."""
    returned = function(values, scalars, tile)
    if returned is None:
        return values
    if isinstance(returned, (tuple, np.ndarray)):
        return list(returned)
    if not isinstance(returned, (list, dict)):
        raise InputError(
            f"{_returned(function, returned)}; it must change its first argument in place and "
            "return nothing, or return the new list or dictionary."
        )
    return returned


def _returned(function: Resolvable, value: Any) -> str:
    attribute = "name" if isinstance(function, FunctionReference) else "__name__"
    name = getattr(function, attribute, type(function).__name__)
    what = "nothing" if value is None else type(value).__name__
    what = "an array" if isinstance(value, np.ndarray) else what
    return f"The function '{name}' returned {what}"


class CallableFilter(ImageFilter):
    """A plain function as a filter; made by ``n_images_to_m_images_filter``."""

    border = "cut"
    dtype_kinds = "iufc"
    marks_nodata = True
    inputs = (images("INPUTS"),)

    def __init__(
        self, function: Resolvable, params: Mapping[str, Any], margin: int,
        profiles: Sequence[Profile], *, whole_tiles: bool = False, label: str = "",
    ) -> None:  # fmt: skip
        self._function, self._params, self._margin = function, dict(params), margin
        self._profiles = tuple(profiles)
        self.whole_tiles = whole_tiles  # type: ignore[misc]
        self.stage = label

    @property
    def margin(self) -> int:
        """The stable margin."""
        return self._margin

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """As the caller declared them."""
        return self._profiles

    def apply(self, blocks: Blocks) -> list[Pixels]:
        """Call the function."""
        return call_filter(self._function, blocks, self._params)


class CallableReduction(Reduction[list[tuple[list[Any], Tile]], list[tuple[list[Any], Tile]]]):
    """A plain function as a reduction: partials are the scalars of each cell with its tile."""

    dtype_kinds = "iufc"
    inputs = (images("INPUTS"),)

    def __init__(self, function: Resolvable, params: Mapping[str, Any], label: str = "") -> None:
        self._function, self._params = function, dict(params)
        self.stage = label

    def map(self, blocks: Blocks) -> list[tuple[list[Any], Tile]]:
        """The scalars of one cell."""
        return [(call_reduction(self._function, blocks, self._params), tile_of(blocks.core))]

    def merge(self, first: Any, second: Any) -> Any:
        """Line them up; the caller's own function concatenates at the end."""
        first.extend(second)
        return first


def declared_profiles(made: Any, like: Sequence[Profile]) -> list[Profile]:
    """What a profile function returned, as profiles; what one does not name is as in the input."""
    results: list[Profile] = []
    for number, item in enumerate(made if isinstance(made, (list, tuple)) else [made]):
        if not isinstance(item, Mapping):
            raise InputError(
                f"The profile function returned {type(item).__name__}; it must return a profile "
                "(a dictionary), or a list of them."
            )
        results.append(profile_from(item, like[min(number, len(like) - 1)]))
    return results
