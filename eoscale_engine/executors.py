"""EOScale's two paradigms for plain functions, with CNES EOScale's own signatures.

N images to M images, and N images to M scalars: a script written for EOScale runs unchanged when it
imports these and :class:`~eoscale_engine.context.EOContextManager`.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from multiprocessing.reduction import ForkingPickler
from typing import Any, Callable, Optional

from eoscale_engine.callable_work import (
    CallableFilter,
    CallableReduction,
    concatenated,
    declared_profiles,
    tile_of,
)
from eoscale_engine.callables import FunctionReference, in_this_process, reference_to
from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError
from eoscale_engine.profile import Profile
from eoscale_engine.tiling import CELL, Window, split


def n_images_to_m_images_filter(
    inputs: Optional[Sequence[str]] = None,
    image_filter: Optional[Callable[..., Any]] = None,
    filter_parameters: Optional[Mapping[str, Any]] = None,
    generate_output_profiles: Optional[Callable[..., Any]] = None,
    concatenate_filter: Optional[Callable[..., Any]] = None,
    stable_margin: int = 0,
    context_manager: Optional[EOContextManager] = None,
    multiproc_context: str = "",  # noqa: ARG001 - EOScale's; processes never start by plain fork
    filter_desc: str = "",
    *,
    whole_tiles: bool = False,
) -> list[str]:
    """Apply a function to N images in parallel, piece by piece; returns the keys of M images.

    Parameters
    ----------
    inputs : sequence of str
        Keys of images of one size and grid.
    image_filter : callable
        ``f(input_buffers, input_profiles, params)``: arrays ``(bands, rows, cols)``, dictionaries,
        a dictionary, all its own. Returns an array or a list of arrays with the rows and columns of
        its input, ``(rows, cols)`` or ``(bands, rows, cols)``. The margin is cut off at the image's
        border. Nodata is its own business: a pixel that equals the output's nodata value is
        invalid, and so is NaN, which becomes the nodata value.
    filter_parameters : mapping, optional
        Handed to the function.
    generate_output_profiles : callable, optional
        ``f(input_profiles, params)``: the profile of each output, as dictionaries (``dtype``,
        ``nodata``, ``count``). By default one output like each input.
    concatenate_filter : callable, optional
        ``f(outputs, chunk_output_buffers, tile)``: puts the result of a tile, in the outputs' type,
        into the outputs, which are zeros at first and may have another size than the inputs. Called
        in this process, tile by tile. By default results stand where their input was: workers write
        them in place, which is much faster.
    stable_margin : int
        How many pixels around a place its result depends on.
    context_manager : EOContextManager
        Owns the images.
    multiproc_context : str
        EOScale's; has no effect.
    filter_desc : str
        What progress and messages call it; the function's name by default.
    whole_tiles : bool
        Hand over tiles of some megabytes in place of blocks that fit the processor's cache, for
        functions with a cost for each call (GDAL's FillNodata, models).

    Raises
    ------
    InputError
        Where something is missing or does not fit.
    TileError
        Where the function failed, with the tile and the cause.

    Warns
    -----
    UserWarning
        A function that cannot travel to workers (lambda, closure, console, script without a main
        guard) runs inline, and the warning says why.
    """
    context, function = _checked(inputs, image_filter, context_manager)
    keys, params = list(inputs or ()), dict(filter_parameters or {})
    if stable_margin < 0:
        raise InputError(f"The stable margin is {stable_margin}; it must be at least 0.")
    profiles = [context.profile(key) for key in keys]
    outputs = profiles
    if generate_output_profiles is not None:
        made = generate_output_profiles([profile.to_dict() for profile in profiles], params)
        outputs = declared_profiles(made, profiles)
    placed = outputs
    if concatenate_filter is not None:
        width, height = profiles[0].width, profiles[0].height
        placed = [replace(profile, width=width, height=height) for profile in outputs]
    travelling, inline = _travel(function, params)
    declaration = CallableFilter(
        travelling, params, int(stable_margin), placed, whole_tiles=whole_tiles,
        label=filter_desc or _name(function),
    )  # fmt: skip
    results = context.filter(declaration, keys, inline=inline)
    if concatenate_filter is None:
        return results
    return _concatenated(context, results, outputs, concatenate_filter)


def n_images_to_m_scalars(
    inputs: Optional[Sequence[str]] = None,
    image_filter: Optional[Callable[..., Any]] = None,
    concatenate_filter: Optional[Callable[..., Any]] = None,
    context_manager: Optional[EOContextManager] = None,
    filter_parameters: Optional[Mapping[str, Any]] = None,
    nb_output_scalars: Optional[int] = None,
    output_scalars: Optional[list[Any]] = None,
    multiproc_context: str = "",  # noqa: ARG001 - EOScale's; processes never start by plain fork
    filter_desc: str = "",
) -> list[Any]:
    """Reduce N images to M values: map pieces in parallel, then concatenate them in order.

    Parameters
    ----------
    inputs, filter_parameters, context_manager, multiproc_context, filter_desc
        As in :func:`n_images_to_m_images_filter`.
    image_filter : callable
        ``f(input_buffers, input_profiles, params)``: the list of values (of any kind) of one piece
        of at most 512 x 512 pixels.
    concatenate_filter : callable
        ``f(output_scalars, chunk_output_scalars, tile)``: adds a piece to ``output_scalars`` in
        place, or returns the new list. Called in this process, piece by piece, left to right and
        top to bottom: the result is the same for any number of workers.
    nb_output_scalars : int, optional
        How many values there are; as many as the first piece has by default.
    output_scalars : list, optional
        What to start from. By default zeros, as in EOScale: give the neutral value of your
        function (such as infinity for a minimum) where that is not zero.

    Raises
    ------
    InputError, TileError
        As in :func:`n_images_to_m_images_filter`, which tells of the warning too.
    """
    context, function = _checked(inputs, image_filter, context_manager)
    if concatenate_filter is None:
        raise InputError("n_images_to_m_scalars needs a concatenate_filter.")
    params = dict(filter_parameters or {})
    travelling, inline = _travel(function, params)
    declaration = CallableReduction(travelling, params, label=filter_desc or _name(function))
    pieces = context.reduce(declaration, list(inputs or ()), inline=inline)
    if output_scalars is None:
        output_scalars = [0.0] * (nb_output_scalars or len(pieces[0][0]))
    for scalars, tile in pieces:
        output_scalars = concatenated(concatenate_filter, output_scalars, scalars, tile)
    return output_scalars


def _checked(
    inputs: Optional[Sequence[str]],
    function: Optional[Callable[..., Any]],
    context: Optional[EOContextManager],
) -> tuple[EOContextManager, Callable[..., Any]]:
    if not inputs:
        raise InputError("At least one input image must be given.")
    if not callable(function):
        raise InputError("The image filter must be a function.")
    if context is None:
        raise InputError("The context manager must be given.")
    return context, function


def _name(function: Callable[..., Any]) -> str:
    return str(getattr(function, "__name__", type(function).__name__))


def _concatenated(
    context: EOContextManager,
    results: Sequence[str],
    outputs: Sequence[Profile],
    concatenate_filter: Callable[..., Any],
) -> list[str]:
    """Call a concatenate_filter on each tile of the results, which are released."""
    made = [context.create_image(profile) for profile in outputs]
    arrays = [context.get_array(key) for key in made]
    pixels = [context.get_array(key) for key in results]
    whole = Window(0, 0, *pixels[0].shape[1:])
    for window in split(whole, CELL, CELL):
        parts = [array[(slice(None), *window.slices)] for array in pixels]
        concatenate_filter(arrays, parts, tile_of(window))
    for key in results:
        context.release(key)
    return made


def _travel(function: Callable[..., Any], params: Mapping[str, Any]) -> tuple[Any, bool]:
    """What to send to workers in a function's place, and whether it must run inline instead."""
    found = reference_to(function)
    if isinstance(found, FunctionReference):
        try:
            ForkingPickler.dumps(dict(params))
        except Exception as error:  # noqa: BLE001 - pickling calls the parameters' own code
            found = f"its parameters cannot be sent to another process ({error})"
        else:
            return found, False
    warnings.warn(in_this_process(_name(function), found), stacklevel=3)
    return function, True
