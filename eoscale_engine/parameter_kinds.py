"""The kinds of parameters: what values each takes, and how they are written.

A kind is a frozen value that knows all about its values: which it takes, from wherever they come
(:meth:`Kind.checked`), how one is typed (:meth:`Kind.as_text`) and sent as JSON
(:meth:`Kind.as_json`), and what a dialog may want to know (:attr:`Kind.hints`). What is written in
either form is read back as the same value.

Numbers may be infinite, written ``inf`` and ``-inf``. NaN is none, save where ``nan`` says so: no
pixel compares with it, so that a limit would be ignored without a word.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from numbers import Integral
from typing import Any, ClassVar, Optional

from eoscale_engine.errors import InputError
from eoscale_engine.raster_files.completeness import check_kind

MOST_BYTES = 100_000_000
"""Of a file that a parameter names; the components of 1000 bands take half of it."""


@dataclass(frozen=True)
class Kind(ABC):
    """What all kinds share. Their fields are what a declaration may say of the values."""

    form: ClassVar[str] = ""
    """How all values of the kind are written; empty for any way."""
    several_lines: ClassVar[bool] = False
    """Whether a value is typed on several lines."""

    def checked(self, value: Any, owner: str, label: str) -> Any:
        """The value in the kind's type; an :class:`InputError` where it does not fit."""
        if value is None:
            raise InputError(f"{owner}: '{label}' needs a value.")
        try:
            typed = self.typed(value)
        except (KeyError, TypeError, ValueError, OverflowError):
            form = f" Write {self.written()}." if self.form else ""
            raise InputError(f"{owner}: '{label}' cannot be {value!r}.{form}") from None
        except RecursionError:
            raise InputError(f"{owner}: '{label}' is nested too deeply.") from None
        self.check(typed, owner, label)
        return typed

    def written(self) -> str:
        """How values are written, in words."""
        return self.form

    @abstractmethod
    def typed(self, value: Any) -> Any:
        """The value in the kind's type; a ValueError or the like where it has none."""

    def check(self, value: Any, owner: str, label: str) -> None:
        """Refuse, with an :class:`InputError`, what has the type but is not allowed."""

    def as_text(self, value: Any) -> str:
        """A value as it is typed."""
        return "" if value is None else str(value)

    def as_json(self, value: Any) -> Any:
        """A value in strict JSON, which has no infinite numbers: they are texts there."""
        if isinstance(value, (list, tuple)):
            return [self.as_json(item) for item in value]
        return str(value) if isinstance(value, float) and not math.isfinite(value) else value

    @property
    def hints(self) -> dict[str, Any]:
        """For a dialog: the kind's name and all that is said of its values, as plain data."""
        options = {item.name: getattr(self, item.name) for item in fields(self)}
        found = {"kind": type(self).__name__.lower(), "several_lines": self.several_lines}
        found = said({**found, **options})
        return {name: list(v) if isinstance(v, tuple) else v for name, v in found.items()}


@dataclass(frozen=True)
class _Bounded(Kind):
    """One number within limits."""

    minimum: Optional[float] = None
    maximum: Optional[float] = None

    def check(self, value: Any, owner: str, label: str) -> None:
        low, high = self.minimum, self.maximum
        if not ((low is None or value >= low) and (high is None or value <= high)):
            limits = f"at least {low:.15g}" if low is not None else ""
            limits += " and " if low is not None and high is not None else ""
            limits += f"at most {high:.15g}" if high is not None else ""
            raise InputError(f"{owner}: '{label}' is {value:.15g}; it must be {limits}.")


@dataclass(frozen=True)
class Integer(_Bounded):
    """A whole number, exact however large."""

    form = "a whole number"

    def typed(self, value: Any) -> int:
        with suppress(ValueError):
            if isinstance(value, (str, Integral)):
                return int(value)
        number = float(value)
        if number != int(number):
            raise ValueError
        return int(number)


@dataclass(frozen=True)
class Number(_Bounded):
    """A number with decimals."""

    form = "a number with a decimal point, such as 0.5"

    nan: bool = False

    def typed(self, value: Any) -> float:
        return _number(value, nan=self.nan)

    @property
    def hints(self) -> dict[str, Any]:
        # six decimals, as dialogs have them, would round small numbers: 0.0000275 of Landsat
        small = self.minimum is not None and 0 < self.minimum < 1e-6
        return {**super().hints, "decimals": 9} if small else super().hints


@dataclass(frozen=True)
class Boolean(Kind):
    """Yes or no."""

    form = "true or false"

    def typed(self, value: Any) -> bool:
        return _BOOLEANS[str(value).strip().lower()]


@dataclass(frozen=True)
class Choice(Kind):
    """One of some texts."""

    choices: tuple[str, ...] = ()

    def typed(self, value: Any) -> str:
        return str(value)

    def check(self, value: Any, owner: str, label: str) -> None:
        if value not in self.choices:
            raise InputError(
                f"{owner}: '{label}' cannot be '{value}'. Use one of: "
                + ", ".join(self.choices) + "."
            )  # fmt: skip


@dataclass(frozen=True)
class Text(Kind):
    """A text."""

    form = "a text"

    def typed(self, value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError
        return value


@dataclass(frozen=True)
class Expression(Text):
    """A text of several lines."""

    several_lines = True


@dataclass(frozen=True)
class Json(Kind):
    """JSON as a text, or the object itself; the value is the text."""

    form = 'JSON, such as {"size": 3}'
    several_lines = True

    def typed(self, value: Any) -> str:
        return value if isinstance(value, str) else json.dumps(value)


@dataclass(frozen=True)
class Steps(Json):
    """The steps of a pipeline as JSON."""


@dataclass(frozen=True)
class File(Text):
    """An existing file; ``suffix`` is its ending."""

    suffix: str = ""

    def check(self, value: Any, owner: str, label: str) -> None:
        check_kind(f"{owner}: '{value}'", value, MOST_BYTES)


@dataclass(frozen=True)
class Band(Integer):
    """The number, from 1, of a band of the image in ``role``."""

    form = "the number of a band, from 1"

    minimum: Optional[float] = 1
    role: str = "INPUT"


@dataclass(frozen=True)
class Field(Text):
    """The name of a field of the polygons in ``role``."""

    role: str = "INPUT"


@dataclass(frozen=True)
class Numbers(Kind):
    """Numbers separated by commas; the value is a tuple of floats."""

    form = "numbers separated by commas"

    nan: bool = False

    def typed(self, value: Any) -> tuple[float, ...]:
        value = _plain(value)
        several = value.replace(";", ",").split(",") if isinstance(value, str) else value
        items = several if hasattr(several, "__iter__") else [several]
        return tuple(_number(item, nan=self.nan) for item in items if str(item).strip())

    def as_text(self, value: Any) -> str:
        return ", ".join(map(_typed_number, value or ()))


@dataclass(frozen=True)
class Matrix(Kind):
    """Rows of numbers, on lines of their own or separated by semicolons.

    The value is a tuple of rows of equal length.
    """

    form = "rows of as many numbers each, separated by semicolons: 1 2 1; 2 4 2"
    several_lines = True

    def typed(self, value: Any) -> tuple[tuple[float, ...], ...]:
        value = _plain(value)
        if isinstance(value, str):
            value = [line.replace(",", " ").split() for line in _lines(value)]
        rows = tuple(tuple(map(_number, row)) for row in value)
        if any(len(row) != len(rows[0]) for row in rows):
            raise ValueError
        return rows

    def as_text(self, value: Any) -> str:
        return "; ".join(" ".join(map(_typed_number, row)) for row in value or ())


@dataclass(frozen=True)
class Table(Kind):
    """Rows of numbers under named ``columns``, or all cells one after the other.

    The value is a tuple of rows, None in empty cells.
    """

    form = "rows of numbers, cells separated by commas and rows by semicolons"

    columns: tuple[str, ...] = ()
    nan: bool = False

    def written(self) -> str:
        """With the names of the columns."""
        return f"{self.form}: {', '.join(self.columns)}"

    def typed(self, value: Any) -> tuple[tuple[Optional[float], ...], ...]:
        value = _plain(value)
        rows = self._split(value) if isinstance(value, str) else list(value)
        width = len(self.columns)
        if rows and not isinstance(rows[0], (list, tuple)):
            # Processing gives the cells of a table one after the other
            rows = [rows[start : start + width] for start in range(0, len(rows), width)]
        typed = tuple(tuple(map(self._cell, row)) for row in rows)
        if any(len(row) != width for row in typed):
            raise ValueError
        return typed

    def _split(self, text: str) -> list[Any]:
        """The rows of a text; of one line the cells, which may be those of many rows."""
        rows = [line.split(",") if "," in line else line.split() for line in _lines(text)]
        return rows[0] if len(rows) == 1 else rows

    def _cell(self, value: Any) -> Optional[float]:
        empty = value is None or str(value).strip() == ""
        return None if empty else _number(value, nan=self.nan)

    def as_text(self, value: Any) -> str:
        rows = (
            ["" if cell is None else _typed_number(cell) for cell in row] for row in value or ()
        )
        return "; ".join(map(", ".join, rows))


@dataclass(frozen=True)
class Data(Kind):
    """Any value that can travel to workers, for declarations that only a procedure uses."""

    def typed(self, value: Any) -> Any:
        return value

    def checked(self, value: Any, owner: str, label: str) -> Any:
        return value


KINDS: dict[str, type[Kind]] = {
    kind.__name__.lower(): kind
    for kind in (
        Integer, Number, Boolean, Choice, Text, Expression, Json, Steps, File, Band, Field, Numbers,
        Matrix, Table, Data,
    )
}  # fmt: skip
"""By the word that a declaration has for it."""

_BOOLEANS = {
    "true": True, "yes": True, "1": True, "1.0": True,
    "false": False, "no": False, "0": False, "0.0": False, "": False,
}  # fmt: skip


def said(options: Mapping[str, Any]) -> dict[str, Any]:
    """Those that say anything; 0 does."""
    return {
        name: value
        for name, value in options.items()
        if value not in (None, "", ()) and value is not False
    }


def _number(value: Any, *, nan: bool = False) -> float:
    number = float(value)
    if number != number and not nan:
        raise ValueError
    return number


def _typed_number(number: float) -> str:
    """As short as it is still the same."""
    short = f"{number:g}"
    return short if number != number or float(short) == number else repr(float(number))


def _plain(value: Any) -> Any:
    """Arrays of NumPy as lists."""
    return value.tolist() if hasattr(value, "tolist") else value


def _lines(text: str) -> list[str]:
    return [line for line in text.replace("\n", ";").split(";") if line.strip()]
