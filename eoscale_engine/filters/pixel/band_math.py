"""Band math: new bands from expressions over the bands of one or more images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Input, Pixels, images, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.physical_values import is_scaled, physical_values, scaled
from eoscale_engine.filters.pixel.expression import close_match, compile_expressions
from eoscale_engine.filters.pixel.expression_steps import Program, Step, evaluate
from eoscale_engine.parameters import RAW
from eoscale_engine.profile import Band, Profile, common_profile
from eoscale_engine.words import counted

_SINGLE = ("uint8", "int8", "uint16", "int16", "float32")
"""Types whose every value a float32 holds exactly."""


@dataclass(frozen=True)
class BandMath(ImageFilter):
    """New bands from expressions over the bands of one or more images, such as an index.

    Write one expression a line (or separate them by semicolons); each gives one band of the result,
    which ``name = expression`` names and later expressions may use. Band 2 of image 1 is
    ``im1b2``; ``im1`` is the band of an image that has only one. For example:
    ``ndvi = (im1b4 - im1b3) / (im1b4 + im1b3)``.

    There are the operators + - * / // % **, the comparisons, and, or, not (or & | ~), ``a if c else
    b``, the constants pi and e, the pixel's place (row and col, counted from 0; x and y of its
    centre) and functions such as sqrt, exp, min, max, median, clip, where, valid and coalesce.

    Bands are physical values, pixel * scale + offset, unless raw; of integers the number nearest
    that decimal, so that the pixel 2000 at scale 0.0001 equals 0.2.

    A pixel is invalid (nodata) where any band that its expression uses is, or where the result is
    no finite number, as after a division by zero. ``where``, ``coalesce`` and ``valid`` look only
    at what they choose, and so fill gaps.

    Where pixels are invalid, floats are NaN, and integer results have a mask that says which.

    Metadata that all images share is kept.

    Computed in float64 where a used band has 32-bit or larger integers or float64, where the result
    has 32-bit integers or float64, or where x, y, row, col or a constant need it; in float32
    otherwise, which holds whole numbers exactly up to 16 777 216.
    """

    name: ClassVar[str] = "bandmath"
    label: ClassVar[str] = "Band math"
    group: ClassVar[str] = "Pixel"
    tags: ClassVar[tuple[str, ...]] = (
        "raster calculator", "expression", "index", "ndvi", "ndwi", "algebra", "formula",
        "band arithmetic", "bandmathx", "map algebra", "decibel", "db", "linear to db",
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = (
        images(
            "INPUTS",
            help="im1, im2 and so on in expressions, in this order",
            band_choice=False,
        ),
    )

    picture: ClassVar[Mapping[str, Any]] = {
        "expressions": "ndvi = (im1b4 - im1b3) / (im1b4 + im1b3)"
    }
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"expressions": "index = (im1b1 - im2b2) / (im1b1 + im2b2)"},
        {"expressions": "where(valid(im1b1), im1b1, im2b1); x + row", "dtype": "float64"},
        {"expressions": "im1b1 / 3", "dtype": "int16"},
    )

    expressions: str = parameter(
        kind="expression",
        help="One expression a line, such as ndvi = (im1b4 - im1b3) / (im1b4 + im1b3)",
    )
    dtype: str = parameter(
        "float32",
        label="Data type",
        choices=("float32", "float64", "uint8", "int16", "uint16", "int32", "uint32"),
        help="Of the result. Integers are rounded, and held within the type's range",
    )
    raw: bool = parameter(**RAW)

    @cached_property
    def program(self) -> Program:
        """The expressions, ready to run."""
        return compile_expressions(self.expressions)

    @property
    def places(self) -> str:
        """Expressions may have coordinates in them."""
        return "coordinates" if {"x", "y"} & {*self.program.data("coordinate")} else ""

    def validate(self) -> None:
        """Refuse expressions that cannot be read."""
        _ = self.program

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse expressions whose bands the images do not have."""
        super().check(inputs)
        profiles = [profile for role in inputs.values() for profile in role]
        names = {f"im{i}b{b}": 0 for i, p in enumerate(profiles, 1) for b in range(1, p.count + 1)}
        for (image, band), place in self.program.bands:
            name = f"im{image}b{band}" if band else f"im{image}"
            guess = close_match(name, names)
            if image > len(profiles):
                raise InputError(
                    f"{place}: there is no image {image} for '{name}', only "
                    f"{counted(len(profiles), 'image')}.{guess} Add the image, or correct the name."
                )
            count = profiles[image - 1].count
            if band > count:
                raise InputError(
                    f"{place}: there is no band '{name}'.{guess} Image {image} has "
                    + (f"im{image}b1 to im{image}b{count}." if count > 1 else f"only im{image}b1.")
                )
            if band == 0 and count > 1:
                raise InputError(
                    f"{place}: image {image} has {count} bands. Say {name}b1 to {name}b{count}."
                )
        if {"x", "y"} & {*self.program.data("coordinate")} and profiles[0].transform is None:
            raise InputError(
                "Band math: x and y need an image with a geotransform. Use row and col."
            )

    def doubts(self, inputs: Mapping[str, Sequence[Profile]]) -> Sequence[str]:
        """Comparisons with a band's nodata value, which no valid pixel equals."""
        profiles = [profile for role in inputs.values() for profile in role]
        steps = {register: step for register, step, _ in self.program.steps}
        told = []
        for step in steps.values():
            if step.operation not in ("equal", "not_equal"):
                continue
            leaves = {steps[operand].operation: steps[operand].data for operand in step.operands}
            if leaves.keys() == {"band", "constant"}:
                (image, band), number = leaves["band"], leaves["constant"]
                about = profiles[image - 1].bands[max(0, band - 1)]
                nodata = about.nodata
                if not self.raw and is_scaled(about) and nodata is not None:
                    nodata = scaled(nodata, about)
                if number == nodata:
                    name = f"im{image}b{band}" if band else f"im{image}"
                    told.append(
                        f"Band math: no valid pixel of {name} equals {number:.12g}, its nodata "
                        f"value. Write valid({name}) to ask where it is not nodata."
                    )
        return told

    @property
    def makes_invalid(self) -> bool:
        """Where an operation is not defined, as a division by zero."""
        return self.program.undefined_somewhere

    def output_profiles(self, inputs: Sequence[Profile]) -> list[Profile]:
        """The grid of the first image, one band for each expression."""
        return [common_profile(inputs).with_dtype(self.dtype).with_bands(self.program.names)]

    def apply(self, blocks: Blocks) -> Pixels:
        """One band for each expression, in the type that was computed in."""
        program, shape = self.program, (blocks.core.rows, blocks.core.cols)
        dtype = self._computed_in(blocks)
        values = evaluate(program, lambda step: self._read(step, blocks, dtype), shape, dtype)
        stored = np.dtype(self.dtype) if self.dtype.startswith("float") else dtype
        pixels = np.empty((len(program.outputs), *shape), stored)
        with np.errstate(over="ignore", invalid="ignore"):
            for band, output in zip(pixels, program.outputs):
                band[...] = values[output.register]
        valid = np.isfinite(pixels)
        for mask, output in zip(valid, program.outputs):
            for register in output.valid:
                np.logical_and(mask, values[register], out=mask)
        return pixels, None if valid.all() else valid

    def _computed_in(self, blocks: Blocks) -> np.dtype[Any]:
        bands = {blocks[image - 1].profile.dtype for (image, _), _ in self.program.bands}
        single = (
            {self.dtype, *bands}.issubset(_SINGLE)
            and not self.program.data("coordinate")
            and all(map(_fits_single, self.program.data("constant")))
        )
        return np.dtype(np.float32 if single else np.float64)

    def _read(self, step: Step, blocks: Blocks, dtype: np.dtype[Any]) -> Any:
        core = blocks.core
        if step.operation == "coordinate":
            rows = np.arange(core.row, core.end_row, dtype=dtype)[:, None]
            cols = np.arange(core.col, core.end_col, dtype=dtype)
            a, b, c, d, e, f = blocks[0].profile["transform"][:6]
            place = {
                "row": rows,
                "col": cols,
                "x": a * (cols + 0.5) + b * (rows + 0.5) + c,
                "y": d * (cols + 0.5) + e * (rows + 0.5) + f,
            }
            return np.broadcast_to(place[step.data], (core.rows, core.cols))
        block, index = blocks[step.data[0] - 1], max(0, step.data[1] - 1)
        if step.operation == "valid":
            return np.True_ if block.valid is None else block.valid[index]
        band = Band() if self.raw else block.profile.bands[index]
        return physical_values(block.pixels[index], band, dtype)


def _fits_single(number: float) -> bool:
    """Whether float32 holds a number: whole ones exactly, others in its range."""
    with np.errstate(over="ignore"):
        held = float(np.float32(number))
    return held == number or (number != int(number) and held != 0)
