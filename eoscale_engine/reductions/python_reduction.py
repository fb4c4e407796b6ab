"""A user's own functions as a reduction."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from eoscale_engine.callable_work import call_reduction, tile_of
from eoscale_engine.callables import FunctionReference, check_function, parse_parameters
from eoscale_engine.declaration import Blocks, Reduction, Summary, Table, images, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.profile import Profile


@dataclass(frozen=True)
class PythonReduction(Reduction):
    """Reduces images of any size to a few values with two functions of your own, on every core.

    The map function has the form `f(input_buffers, input_profiles, params)` and returns the list of
    values that it finds in one piece of at most 512 x 512 pixels. The merge function has the form
    `merge(output_scalars, chunk_output_scalars, tile)`, as in CNES EOScale: it changes the list
    `output_scalars` in place so that it covers the piece too (or returns the new list). Pieces
    come in a fixed order, left to right and top to bottom, so that the result does not depend on
    the number of workers. The first piece's list is what merging starts from.

    Nodata is the functions' own business: compare with `input_profiles[0]["nodata"]`.
    The file runs with your rights: choose only files that you trust.
    """

    name = "pythonreduction"
    label = "Python reduction"
    group = "Python"
    tags = ("numpy", "custom", "script", "function", "map reduce", "eoscale", "callable")
    inputs = (images("INPUTS", help="Images of the same size and grid, in the function's order"),)
    dtype_kinds = "iufc"
    merge_in_worker = True
    runs_user_code = True
    examples = ()
    numbers = (("VALUE", "First value"),)

    file: str = parameter(kind="file", suffix="py", help="Python file that holds the functions")
    function: str = parameter(label="Map function", help="Name of the map function in the file")
    merge_function: str = parameter(help="Name of the merge function in the file")
    params: str = parameter(
        "{}", kind="json", label="Parameters", help='JSON object given to the function: {"low": 3}'
    )
    names: str = parameter(
        "", label="Names of the values", help="Separated by commas: minimum, maximum"
    )

    def validate(self) -> None:
        """Parameters must be JSON."""
        parse_parameters(self.params, self.label)

    def map(self, blocks: Blocks) -> list[Any]:
        """Each piece's values with its place; merging needs them one by one."""
        check_function(self.file, self.function)
        check_function(self.file, self.merge_function)
        params = parse_parameters(self.params, self.label)
        reference = FunctionReference("", self.file, self.function)
        scalars = call_reduction(reference, blocks, params)
        if len(scalars) == 1 and isinstance(scalars[0], tuple):
            scalars = list(scalars[0])
        return [(scalars, tile_of(blocks.core))]

    def merge(self, first: list[Any], second: list[Any]) -> list[Any]:
        """Line up the pieces; the user's merge sees them in their fixed order."""
        first.extend(second)
        return first

    def finish(self, merged: list[Any], inputs: Sequence[Profile]) -> Summary:
        """Call the merge function on one piece after the other."""
        merge = FunctionReference("", self.file, self.merge_function).resolve()
        values = list(merged[0][0])
        for scalars, tile in merged[1:]:
            returned = merge(values, scalars, tile)
            values = values if returned is None else list(returned)
        given = [name.strip() for name in self.names.split(",") if name.strip()]
        labels = given + [f"value {number}" for number in range(len(given) + 1, len(values) + 1)]
        rows = tuple((label, _plain(value, label)) for label, value in zip(labels, values))
        first = rows[0][1] if rows and isinstance(rows[0][1], (int, float)) else None
        table = Table("Values", ("name", "value"), rows)
        return Summary(self.label, (table,), {"VALUE": first})


def _plain(value: Any, label: str) -> Any:
    """A value that tables and JSON can hold: numbers and text as they are, arrays as JSON text."""
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    try:
        return json.dumps(value)
    except (TypeError, ValueError):
        raise InputError(
            f"The value '{label}' is a {type(value).__name__}; return numbers, text or arrays."
        ) from None
