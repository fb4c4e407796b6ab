"""A user's own function as an image filter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from eoscale_engine.callable_work import call_filter
from eoscale_engine.callables import FunctionReference, check_function, parse_parameters
from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, images, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.profile import DTYPES, Profile, can_hold

SAME = "same as input"


@dataclass(frozen=True)
class PythonFilter(ImageFilter):
    """Runs a function of your own, from a Python file, on images of any size and on every core.

    The function has the form `f(input_buffers, input_profiles, params)`: a list of NumPy arrays
    (bands, rows, columns), a list of dictionaries (dtype, nodata, width, height, count, crs,
    transform) and the dictionary of parameters. It returns an array with the rows and columns of
    its input, (rows, columns) or (bands, rows, columns).

    The image is handed over in pieces with the margin around them (cut off at the image's border).
    With a margin that covers the function's reach the result is the same as on the whole image.
    Nodata is the function's own business: compare with `input_profiles[0]["nodata"]`, and return
    the output's nodata value where there is no result. NaN in the result becomes nodata, and so
    does what a masked array masks.

    The file runs with your rights: choose only files that you trust. Before a model runs a file,
    QGIS's window asks once for each file and its content, and qgis_process refuses it unless the
    environment variable EOSCALE_TRUST_MODELS is 1.
    """

    name = "pythonfilter"
    label = "Python filter"
    group = "Python"
    tags = ("numpy", "custom", "script", "function", "user defined", "eoscale", "callable")
    inputs = (images("INPUTS", help="Images of the same size and grid, in the function's order"),)
    border = "cut"
    dtype_kinds = "iufc"
    marks_nodata = True
    runs_user_code = True
    examples = ()

    file: str = parameter(kind="file", suffix="py", help="Python file that holds the function")
    function: str = parameter(help="Name of the function in the file")
    params: str = parameter(
        "{}", kind="json", label="Parameters", help='JSON object given to the function: {"size": 3}'
    )
    stable_margin: int = parameter(
        0, minimum=0, maximum=100_000, label="Stable margin", unit="pixels",
        help="How far the function looks beyond a pixel, in every direction",
    )  # fmt: skip
    output_bands: int = parameter(
        0, minimum=0, maximum=65_535, label="Output bands", help="0: as many as the first image"
    )
    output_dtype: str = parameter(
        SAME, choices=(SAME, *DTYPES), label="Output data type", help="Of the resulting pixels"
    )
    output_nodata: Optional[float] = parameter(
        None, label="Output nodata", nan=True,
        help="Empty: the first image's, where the type can hold it; nan is possible too",
    )  # fmt: skip
    by_tiles: bool = parameter(
        False, advanced=True, label="Whole tiles",
        help="Call the function on whole tiles of some megabytes instead of small blocks: for "
        "functions with a cost for each call, such as models",
    )  # fmt: skip

    def validate(self) -> None:
        """Parameters must be JSON."""
        parse_parameters(self.params, self.label)

    @property
    def margin(self) -> int:
        """The stable margin."""
        return self.stable_margin

    @property
    def whole_tiles(self) -> bool:  # type: ignore[override]
        """As chosen."""
        return self.by_tiles

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """The first image's, with the chosen bands, type and nodata."""
        profile = inputs[0]
        if self.output_dtype != SAME:
            profile = profile.with_dtype(self.output_dtype)
        if self.output_bands not in (0, profile.count):
            profile = profile.with_bands(("",) * self.output_bands, profile.nodata)
        if self.output_nodata is not None:
            if not can_hold(profile.dtype, self.output_nodata):
                raise InputError(
                    f"{self.label}: {profile.dtype} cannot hold nodata {self.output_nodata:.12g}. "
                    "Give another value, or another data type."
                )
            whole = profile.dtype.startswith(("int", "uint"))
            profile = profile.with_nodata(int(self.output_nodata) if whole else self.output_nodata)
        return [profile]

    def apply(self, blocks: Blocks) -> list[Pixels]:
        """Call the function on one block."""
        check_function(self.file, self.function)
        params = parse_parameters(self.params, self.label)
        return call_filter(FunctionReference("", self.file, self.function), blocks, params)
