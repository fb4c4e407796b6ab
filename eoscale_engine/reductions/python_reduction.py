"""A user's own functions as a reduction."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional, Union

from eoscale_engine.callable_work import (
    Tile,
    call_reduction,
    concatenated,
    place_in,
    tile_of,
    tile_text,
    zeros_like,
)
from eoscale_engine.callables import FunctionReference, check_function, parse_parameters
from eoscale_engine.declaration import Blocks, Chart, Reduction, Summary, Table, images, parameter
from eoscale_engine.errors import EngineError, InputError, TileError, described
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.summary import jsonable

FIRST, ZEROS = "first piece", "zeros"

Scalars = Union[list[Any], dict[str, Any]]
"""What a map function returns: values in order, or by name."""


@dataclass(frozen=True)
class PythonReduction(Reduction[list[tuple[Scalars, Tile]], Summary]):
    """Reduces images of any size to a few values with functions of your own, on every core.

    The map function has the form `f(input_buffers, input_profiles, params)` and returns the list of
    values, or a dictionary of names and values, that it finds in one piece of at most 512 x 512
    pixels. The values may be numbers, arrays, text, or anything that Python can pickle.

    The merge function has the form `merge(output_scalars, chunk_output_scalars, tile)`, as the
    `concatenate_filter` of CNES EOScale: it changes `output_scalars` in place so that it covers the
    piece too (or returns the new list or dictionary). `tile` says where the piece is: `start_x`,
    `start_y`, `end_x`, `end_y`, the ends included. Merging starts from the values of the first
    piece, or from zeros, as EOScale does: then the merge function sees the first piece too.

    The finish function, which is optional, has the form `finish(values, input_profiles, params)`
    and returns the values that you see, such as a mean from a sum and a count: a list, or a
    dictionary of names and values.

    Pieces are always the same, counted from the image's corner, and merged left to right and top
    to bottom, in one process: the result never depends on the number of workers or on the tiles
    that they take. Where the merge function is not associative, as sums of floats are not, it
    does depend on these pieces, and so on the corner of an extent.

    What the map function returns is kept for all pieces until they are merged, so let it be small:
    an image of 10000 x 10000 pixels has 400 pieces.

    Nodata is the functions' own business: compare with `input_profiles[0]["nodata"]`.
    NaN becomes "no data" in the table, arrays become lists, and arrays of numbers are plotted.
    An error names function, file and line. The file runs with your rights: choose only files that
    you trust. Before a model runs a file, QGIS's window asks once for each file and its content,
    and qgis_process refuses it unless the environment variable EOSCALE_TRUST_MODELS is 1.
    """

    name = "pythonreduction"
    label = "Python reduction"
    group = "Python"
    tags = ("numpy", "custom", "script", "function", "map reduce", "eoscale", "callable",
            "n_images_to_m_scalars", "concatenate_filter")  # fmt: skip
    inputs = (images("INPUTS", help="Images of the same size and grid, in the function's order"),)
    dtype_kinds = "iufc"
    merge_in_worker = True
    runs_user_code = True
    examples = ()
    numbers = (
        ("VALUE", "First value"),
        ("VALUE_2", "Second value"),
        ("VALUE_3", "Third value"),
        ("VALUE_4", "Fourth value"),
    )

    file: str = parameter(kind="file", suffix="py", help="Python file that holds the functions")
    function: str = parameter(label="Map function", help="Name of the map function in the file")
    merge_function: str = parameter(help="Name of the merge function in the file")
    params: str = parameter(
        "{}", kind="json", label="Parameters", help='JSON object given to the functions: {"low": 3}'
    )
    names: str = parameter(
        "", label="Names of the values", help="Separated by commas: minimum, maximum"
    )
    finish_function: str = parameter(
        "", help="Name of a function that turns the merged values into the final ones"
    )
    start: str = parameter(
        FIRST,
        choices=(FIRST, ZEROS),
        label="Merge from",
        help="With what the values of the first piece are merged: nothing, or zeros, as in "
        "EOScale's n_images_to_m_scalars",
        advanced=True,
    )

    def validate(self) -> None:
        """Parameters must be JSON."""
        parse_parameters(self.params, self.label)

    def map(self, blocks: Blocks) -> list[tuple[Scalars, Tile]]:
        """Each piece's values with its place; merging needs them one by one."""
        for name in (self.function, self.merge_function, self.finish_function):
            if name:
                check_function(self.file, name)
        params, tile = parse_parameters(self.params, self.label), tile_of(blocks.core)
        reference = FunctionReference("", self.file, self.function)
        scalars = self._called(
            "map", self.function, tile, lambda: call_reduction(reference, blocks, params)
        )
        if len(scalars) == 1 and isinstance(scalars[0], (tuple, dict)):
            [scalars] = scalars
        return [(scalars if isinstance(scalars, dict) else list(scalars), tile)]

    def merge(
        self, first: list[tuple[Scalars, Tile]], second: list[tuple[Scalars, Tile]]
    ) -> list[tuple[Scalars, Tile]]:
        """Line up the pieces; the user's merge sees them in their fixed order."""
        first.extend(second)
        return first

    def finish(self, merged: list[tuple[Scalars, Tile]], inputs: Sequence[Profile]) -> Summary:
        """Call the merge function on one piece after the other, then the finish function."""
        function = FunctionReference("", self.file, self.merge_function).resolve()
        values: Any = merged[0][0]
        if self.start == ZEROS:
            values = zeros_like(values)
        for scalars, tile in merged if self.start == ZEROS else merged[1:]:
            values = self._called(
                "merge", self.merge_function, tile,
                lambda: concatenated(function, values, scalars, tile),  # noqa: B023
            )  # fmt: skip
        if self.finish_function:
            last = FunctionReference("", self.file, self.finish_function).resolve()
            params = parse_parameters(self.params, self.label)
            profiles = [profile.to_dict() for profile in inputs]
            values = self._called(
                "finish", self.finish_function, None, lambda: last(values, profiles, params)
            )
        return self._summary(values)

    def _called(self, role: str, name: str, tile: Optional[Tile], call: Callable[[], Any]) -> Any:
        """What a user's function returns; where it fails, an error that says where."""
        try:
            return call()
        except EngineError:
            raise
        except Exception as error:
            where = "" if tile is None else f" on {tile_text(tile)}"
            raise TileError(
                f"{self.label}: the {role} function '{name}' failed{where}: "
                f"{described(error)} ({place_in(self.file, error)})"
            ) from error

    # ---- what is told of the values

    def _summary(self, values: Any) -> Summary:
        if hasattr(values, "tolist"):
            values = values.tolist()
        given = [name.strip() for name in self.names.split(",") if name.strip()]
        if isinstance(values, Mapping):
            labels, values = [str(key) for key in values], list(values.values())
        else:
            values = list(values) if isinstance(values, (list, tuple)) else [values]
            labels = given + [
                f"value {number}" for number in range(len(given) + 1, len(values) + 1)
            ]
        shown = [(label, _plain(value, label)) for label, value in zip(labels, values)]
        rows = tuple((label, _as_text(value)) for label, value in shown)
        firsts = [_number(value) for _, value in shown[: len(self.numbers)]]
        firsts += [None] * (len(self.numbers) - len(firsts))
        return Summary(
            self.label,
            (Table("Values", ("name", "value"), rows),),
            dict(zip((name for name, _ in self.numbers), firsts)),
            tuple(chart for label, value in shown for chart in _charts(label, value)),
        )


_INFINITE = ("Infinity", "-Infinity")


def _plain(value: Any, label: str) -> Any:
    """Numbers, text, None, or lists of them; NaN is None."""
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, complex):
        return str(value).strip("()")
    try:
        return value if value is None or isinstance(value, (bool, int, str)) else jsonable(value)
    except TypeError as error:
        raise InputError(
            f"The value '{label}' cannot be shown: {error}. Return numbers, text or arrays, if "
            "need be from a finish function."
        ) from None


def _as_text(value: Any) -> Any:
    """Lists and dictionaries as JSON text."""
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _number(value: Any) -> Optional[float]:
    return value if isinstance(value, (int, float)) else None


def _charts(label: str, value: Any) -> list[Chart]:
    """A list of numbers by their places."""
    if not isinstance(value, list) or len(value) < 2:
        return []
    if not all(i is None or i in _INFINITE or isinstance(i, (int, float)) for i in value):
        return []
    # what is not finite leaves a gap
    heights = tuple(math.nan if i is None or i in _INFINITE else float(i) for i in value)
    return [Chart(label, "Place", label, ((label, tuple(map(float, range(len(value)))), heights),))]
