"""Raster attribute tables: what is known of each value or class of a band."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Optional, Union

import numpy as np

INTEGER, REAL, TEXT = "integer", "real", "text"

PIXEL_COUNT = 1
"""GDAL's number of the usage "count of pixels", which holds for the whole image alone."""


@dataclass(frozen=True)
class AttributeColumn:
    """A column: its name, the type of its values, and GDAL's number of what they are used for."""

    name: str
    type: str
    usage: int
    values: tuple[Union[int, float, str], ...]


@dataclass(frozen=True)
class AttributeTable:
    """Columns of equal length, one row for each value, class or range of values of a band.

    ``bins`` are the lower limit of the first row and the size of all where rows are equal ranges;
    ``thematic`` says that values are classes, not amounts.
    """

    columns: tuple[AttributeColumn, ...]
    thematic: bool = True
    bins: Optional[tuple[float, float]] = None

    def without_counts(self) -> Optional[AttributeTable]:
        """The table of another image of the same classes; None where it says nothing of them."""
        columns = tuple(column for column in self.columns if column.usage != PIXEL_COUNT)
        return replace(self, columns=columns) if columns else None

    def same_as(self, other: Optional[AttributeTable]) -> bool:
        """Whether both say the same, numbers to the 15 digits of GDAL's text files."""
        return (
            other is not None
            and (self.thematic, self.bins is None) == (other.thematic, other.bins is None)
            and len(self.columns) == len(other.columns)
            and all(map(_same_columns, self.columns, other.columns))
        )


def _same_columns(one: AttributeColumn, other: AttributeColumn) -> bool:
    if one.type != REAL or len(one.values) != len(other.values):
        return one == other
    return replace(one, values=()) == replace(other, values=()) and np.allclose(
        one.values, other.values, rtol=1e-14, atol=0, equal_nan=True
    )
