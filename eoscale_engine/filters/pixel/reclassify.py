"""New values for ranges of old ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Block, Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.physical_values import physical_dtype, physical_values
from eoscale_engine.filters.pixel.value_classes import (
    ENDS,
    Table,
    classes_of,
    is_single,
    looked_up,
    nodata_pixels,
)
from eoscale_engine.parameters import RAW
from eoscale_engine.profile import Band, Number, Profile, can_hold, default_nodata
from eoscale_engine.styles import Classes, Style

DTYPES = ("uint8", "int16", "uint16", "int32", "uint32", "float32", "float64")
"""Of results, in the order in which "automatic" tries them."""


@dataclass(frozen=True)
class Reclassify(ImageFilter):
    """Give pixels new values by a table of ranges and single values.

    A pixel x gets the value of the first row that it matches:

    - a row with both ends matches a range. Which end belongs to it is a choice, by default
      from <= x < to. "-inf" and "inf" are ends without a limit, which take infinite pixels too;
    - a row without "to", or whose ends are equal, matches the single value "from";
    - a row without "value" makes its pixels nodata;
    - a row for the single value that is the image's nodata value (as it is stored; or nan) gives
      nodata pixels a class. Ranges never match them.

    Ranges may overlap, and rows may stand in any order. Pixels that match no row become nodata,
    keep their value, or get a given one.

    Values are physical, pixel * scale + offset, and so is the result, which has no scale; or, if
    asked, pixels as they are stored (where pixels are kept, scale and offset are then carried on).
    Integers without a scale are compared exactly; the values of scaled integers of up to 16 bits,
    and of float32 images, as float32, to which the table's numbers are rounded too; all others as
    float64.

    The data type of the result is by default the smallest that holds all values: uint8, int16,
    uint16, int32, uint32, float32 or float64 (fractions are float32); with kept pixels, one that
    holds them too.

    Nodata: an invalid pixel stays so but for such a row. The nodata value of the image stays if it
    is no result and the type can hold it. Else it is one that is no result either: the largest of
    unsigned, the smallest of signed types, NaN, or the largest that is free. Where kept integers
    may have any value, a mask says which pixels are invalid.
    """

    name = "reclassify"
    label = "Reclassify"
    spares_nodata = True
    group = "Pixel"
    tags = (
        "reclassify by table", "recode", "r.reclass", "r.recode", "classes", "ranges", "threshold",
        "density slice", "lookup table", "remap", "replace values", "binning", "class mapping",
    )  # fmt: skip
    picture: ClassVar[Mapping[str, Any]] = {
        "table": [0, 350, 1, 350, 600, 2, 600, 10000, 3],
        "raw": True,
    }
    examples = (
        {"table": ((0, 10, 1), (10, 50, 2), (50, math.inf, 3))},
        {"table": ((17, None, -1), (20, 30, None)), "unmatched": "keep", "ends": "from < x <= to"},
        {
            "table": ((-math.inf, 0, 0.5), (0, 40, 2)),
            "ends": "from <= x <= to",
            "unmatched": "value",
            "unmatched_value": -7,
        },
        {"table": ((-5, 60, 300),), "dtype": "int32", "ends": "from < x < to", "raw": True},
    )

    table: Table = parameter(
        kind="table",
        nan=True,
        columns=("from", "to", "value"),
        label="Classes",
        help="One row for each range or single value ('to' empty); an empty value is nodata. The "
        "first row that matches counts. -inf and inf are ends without a limit.",
    )
    ends: str = parameter(
        ENDS[0], choices=ENDS, label="Ends of ranges", help="Which end belongs to a range."
    )
    unmatched: str = parameter(
        "nodata",
        choices=("nodata", "keep", "value"),
        label="Pixels that match no row",
        help="Make them nodata, keep them as they are, or give them the value below.",
    )
    unmatched_value: float = parameter(
        0.0,
        label="Value of pixels that match no row",
        help="What they become.",
        counts_when={"unmatched": ("value",)},
    )
    dtype: str = parameter(
        "automatic",
        choices=("automatic", *DTYPES),
        label="Data type",
        help="Of the result; automatic is the smallest that holds all values.",
    )
    raw: bool = parameter(**RAW)

    def validate(self) -> None:
        """Refuse rows that can match nothing, and values that the data type cannot hold."""
        if not self.table:
            raise InputError(f"{self.label}: the table is empty. Add a row for each class.")
        for number, (start, end, value) in enumerate(self.table, 1):
            if start is None:
                raise InputError(
                    f"{self.label}: row {number} has no 'from'. Type the single value there, or "
                    "-inf for a range without a lower limit."
                )
            if end is not None and not (start <= end or is_single((start, end))):
                raise InputError(
                    f"{self.label}: row {number} is from {start:.12g} to {end:.12g}, which holds "
                    "nothing. Swap them."
                )
            if value is not None and math.isnan(value):
                raise InputError(
                    f"{self.label}: row {number} has the value nan. Leave it empty for nodata."
                )
        if self.dtype == "automatic":
            return
        for value in self._results:
            if not can_hold(self.dtype, value):
                raise InputError(
                    f"{self.label}: {self.dtype} pixels cannot hold {value:.12g}. Choose another "
                    "data type, or automatic."
                )

    @property
    def makes_invalid(self) -> bool:
        """Where a row or what matches none is nodata."""
        return self.unmatched == "nodata" or any(row[2] is None for row in self.table)

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Without what described the old values."""
        profile = inputs[0]
        dtype = self._result_dtype(profile)
        keeps_scale = self.unmatched == "keep" and self.raw
        same = keeps_scale or profile.physical() == profile
        bands = tuple(
            replace(
                band,
                nodata=self._nodata(band.nodata if same else None, dtype),
                scale=band.scale if keeps_scale else 1.0,
                offset=band.offset if keeps_scale else 0.0,
                unit=band.unit if self.unmatched == "keep" else "",
            )
            for band in profile.bands
        )
        return [replace(profile, dtype=dtype.name, bands=bands).without_classes()]

    def styles(self) -> Sequence[Optional[Style]]:
        """A colour for each class, unless pixels are kept."""
        return () if self.unmatched == "keep" else [Classes()]

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block = blocks[0]
        compared, dtype = self._compared(block.profile), self._result_dtype(block.profile)
        if self.unmatched == "keep" and self.dtype != "automatic":
            # the engine rounds kept pixels to the chosen type
            dtype = np.result_type(dtype, compared)
        pixels = np.empty(block.pixels.shape, dtype)
        valid = None if block.valid is None else block.valid.copy()
        for number, band in enumerate(block.profile.bands):
            described = band if not self.raw else Band()
            pixels[number], found = self._reclassified(
                block.pixels[number], described, compared, dtype
            )
            if found is not None:
                valid = np.ones(pixels.shape, bool) if valid is None else valid
                valid[number] &= found
            if valid is not None:
                self._classify_nodata(block, number, pixels[number], valid[number])
        return pixels, valid

    # ---- inside

    def _reclassified(
        self, pixels: np.ndarray, band: Band, compared: np.dtype, dtype: np.dtype
    ) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """The new pixels of one band; integers of 8 and 16 bits are looked up."""
        small = pixels.dtype.kind in "iu" and pixels.dtype.itemsize <= 2
        unsigned = f"u{pixels.dtype.itemsize}"
        key = (pixels.dtype, compared, dtype, band.scale, band.offset)
        if key not in self._prepared:
            keep = self.unmatched == "keep"
            other = self.unmatched_value if self.unmatched == "value" else None
            table = tuple(row for row in self.table if row[0] == row[0])  # NaN is never valid
            prepared: Any = classes_of(table, self.ends, other, keep, (compared, dtype))
            if small:
                every = np.arange(256**pixels.dtype.itemsize).astype(unsigned).view(pixels.dtype)
                prepared = looked_up(physical_values(every, band, compared), prepared)
            self._prepared[key] = prepared
        if not small:
            return looked_up(physical_values(pixels, band, compared), self._prepared[key])
        new, valid = self._prepared[key]
        index = pixels.view(unsigned)
        return new.take(index), None if valid is None else valid.take(index)

    def _classify_nodata(
        self, block: Block, number: int, made: np.ndarray, valid: np.ndarray
    ) -> None:
        """Give invalid pixels of one band the value of a row for the nodata value itself."""
        if block.valid is None:
            return
        pixels, invalid = block.pixels[number], ~block.valid[number]
        for start, _, new in filter(is_single, self.table):
            where = nodata_pixels(start or 0.0, pixels, block.profile.bands[number])
            if where is None:
                continue
            where &= invalid
            invalid &= ~where
            if new is not None:
                made[where] = new
                valid |= where

    @cached_property
    def _prepared(self) -> dict[Any, Any]:
        """Classes, or lookup tables, of each kind of band met so far."""
        return {}

    @property
    def _results(self) -> list[float]:
        """All new values."""
        values = [row[2] for row in self.table if row[2] is not None]
        return values + [self.unmatched_value] * (self.unmatched == "value")

    def _compared(self, profile: Profile) -> np.dtype:
        """The type in which pixels are compared with the table, and kept."""
        dtype = np.dtype(profile.dtype)
        return physical_dtype(dtype, profile.bands) if not self.raw else dtype

    def _result_dtype(self, profile: Profile) -> np.dtype:
        """The type that was chosen; or the smallest for all values, kept pixels among them."""
        if self.dtype != "automatic":
            return np.dtype(self.dtype)
        values = self._results
        dtype = np.dtype(next(name for name in DTYPES if all(_holds(name, v) for v in values)))
        return np.result_type(dtype, self._compared(profile)) if self.unmatched == "keep" else dtype

    def _nodata(self, own: Optional[Number], dtype: np.dtype) -> Optional[Number]:
        """The image's own if it is no result, else one that none can be; None if none is known."""
        taken = set(self._results)
        if own is not None and can_hold(dtype.name, own) and own not in taken:
            # an old value that floats would round is not worth keeping; NaN differs from itself
            return own if dtype.kind != "f" or float(dtype.type(own)) == own else None
        if dtype.kind == "f" or self.unmatched == "keep":
            return None
        limits = np.iinfo(dtype)
        values = chain((default_nodata(dtype.name),), range(limits.max, limits.min - 1, -1))
        return next((value for value in values if value not in taken), None)


def _holds(dtype: str, value: float) -> bool:
    """Whether a type holds a value; of fractions a float type need only hold the magnitude."""
    if dtype != "float32":
        return can_hold(dtype, value)
    with np.errstate(over="ignore"):
        held = float(np.float32(value))
    return held == value or (value % 1 != 0 and math.isfinite(held))
