"""What a run gives: images by their keys, and a summary of tables, numbers and plots as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Optional, Union


@dataclass(frozen=True)
class Table:
    """Rows of plain values (numbers, text or None) under named columns.

    ``shown`` names the column by which rows that have a place on a map are coloured there.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    shown: str = ""


@dataclass(frozen=True)
class Chart:
    """A plot as data: one or more series over a common axis. ``kind`` is ``bars`` or ``lines``."""

    title: str
    x_label: str
    y_label: str
    series: tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...]
    kind: str = "bars"


@dataclass(frozen=True)
class HeatMap:
    """A plot as data: a matrix drawn in colours, ``values[row][column]``; None for no value.

    ``x`` and ``y`` name the columns and rows: texts, or numbers (the middles of equal bins).
    ``limits`` are the values of the first and last colour, by default the smallest and largest;
    where they lie on either side of 0 alike, the colours diverge from it. ``logarithmic`` colours
    suit counts. ``shows_values`` writes each value into its cell.
    """

    title: str
    x_label: str
    y_label: str
    x: tuple[Any, ...]
    y: tuple[Any, ...]
    values: tuple[tuple[Optional[float], ...], ...]
    limits: Optional[tuple[float, float]] = None
    logarithmic: bool = False
    shows_values: bool = False
    kind: str = "heatmap"


@dataclass(frozen=True)
class Summary:
    """The values that a reduction or procedure finds.

    ``tables[0]`` becomes the table layer, ``numbers`` the output numbers that a model can use,
    all of it the JSON file and the report.
    """

    title: str
    tables: tuple[Table, ...]
    numbers: Mapping[str, Optional[float]] = field(default_factory=dict)
    charts: tuple[Union[Chart, HeatMap], ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """What a declaration of any kind gives.

    Attributes
    ----------
    images : tuple of (str or None)
        A key for each of its ``outputs``; None for one that was not made.
    summary : Summary, optional
        The values, of a reduction, or a procedure that finds some.
    """

    images: tuple[Optional[str], ...] = ()
    summary: Optional[Summary] = None
