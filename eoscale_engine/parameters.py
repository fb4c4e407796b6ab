"""The parameters of a declaration: its fields, with what dialogs, commands and docs say of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import lru_cache
from numbers import Integral
from typing import Any, Optional, Union, get_args, get_origin, get_type_hints

from eoscale_engine.errors import InputError
from eoscale_engine.raster_files.completeness import check_kind

MOST_BYTES = 100_000_000
"""Of a file that a parameter names; the components of 1000 bands take half of it."""


@dataclass(frozen=True)
class Parameter:
    """One field of a declaration, as dialogs, headless commands and docs need it.

    ``kind`` is one of

    - ``integer``, ``number``, ``boolean``, ``choice``, ``text``, ``expression`` (text of several
      lines), ``json`` (text, or the object itself), ``file`` (an existing file, its ending in
      ``suffix``);
    - ``band``: the number, from 1, of a band of the image in ``role``;
    - ``field``: the name of a field of the polygons in ``role``;
    - ``numbers``: numbers separated by commas; the value is a tuple of floats;
    - ``matrix``: rows of numbers, on lines of their own or separated by semicolons; the value is a
      tuple of rows of equal length;
    - ``table``: rows of numbers under named ``columns``, or all cells one after the other; the
      value is a tuple of rows, None in empty cells;
    - ``data``: any value that can travel to workers, for declarations that only a procedure uses.

    Numbers may be infinite, written ``inf`` and ``-inf``. NaN is none, save where ``nan`` says so:
    no pixel compares with it, so that a limit would be ignored without a word.
    """

    name: str
    kind: str
    label: str
    help: str
    default: Any
    optional: bool = False
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    suffix: str = ""
    role: str = ""
    columns: tuple[str, ...] = ()
    advanced: bool = False
    nan: bool = False

    def checked(self, value: Any, owner: str) -> Any:
        """The value in the parameter's type; an :class:`InputError` where it does not fit."""
        if self.kind == "data":
            return value
        if self.optional and (value is None or (isinstance(value, str) and not value.strip())):
            return None
        if value is None:
            raise InputError(f"{owner}: '{self.label}' needs a value.")
        try:
            value = self._typed(value)
        except (KeyError, TypeError, ValueError, OverflowError):
            form = f" Write {_FORMS[self.kind]}." if self.kind in _FORMS else ""
            raise InputError(f"{owner}: '{self.label}' cannot be {value!r}.{form}") from None
        except RecursionError:
            raise InputError(f"{owner}: '{self.label}' is nested too deeply.") from None
        if self.kind == "file":
            check_kind(f"{owner}: '{value}'", value, MOST_BYTES)
        if self.choices and value not in self.choices:
            raise InputError(
                f"{owner}: '{self.label}' cannot be '{value}'. Use one of: "
                + ", ".join(self.choices) + "."
            )  # fmt: skip
        if self.kind in ("integer", "number", "band"):
            low, high = self.minimum, self.maximum
            if not ((low is None or value >= low) and (high is None or value <= high)):
                limits = f"at least {low:g}" if low is not None else ""
                limits += " and " if low is not None and high is not None else ""
                limits += f"at most {high:g}" if high is not None else ""
                raise InputError(f"{owner}: '{self.label}' is {value:g}; it must be {limits}.")
        return value

    def _typed(self, value: Any) -> Any:
        """The value in its type; a ValueError or TypeError where it has none."""
        if self.kind in ("numbers", "matrix", "table"):
            return self._rows(value)
        if self.kind in ("integer", "band"):
            return _integer(value)
        if self.kind == "number":
            return self._number(value)
        if self.kind == "boolean":
            return _BOOLEANS[str(value).strip().lower()]
        if self.kind == "choice":
            return str(value)
        if self.kind == "json" and not isinstance(value, str):
            return json.dumps(value)
        if not isinstance(value, str):
            raise ValueError
        return value

    def _rows(self, value: Any) -> Any:
        """Numbers as typed, or as lists from JSON; a ValueError where they are none."""
        if hasattr(value, "tolist"):
            value = value.tolist()
        if self.kind == "numbers":
            several = value.replace(";", ",").split(",") if isinstance(value, str) else value
            items = several if hasattr(several, "__iter__") else [several]
            return tuple(self._number(item) for item in items if str(item).strip())
        rows = self._lines(value) if isinstance(value, str) else list(value)
        width = len(self.columns)
        if width and rows and not isinstance(rows[0], (list, tuple)):
            # Processing gives the cells of a table one after the other
            rows = [rows[start : start + width] for start in range(0, len(rows), width)]
        typed = tuple(tuple(map(self._cell, row)) for row in rows)
        if any(len(row) != (width or len(typed[0])) for row in typed):
            raise ValueError
        return typed

    def _lines(self, text: str) -> list[Any]:
        """The rows of a text; of a table on one line the cells, which may be those of many rows."""
        lines = [line for line in text.replace("\n", ";").split(";") if line.strip()]
        if not self.columns:
            return [line.replace(",", " ").split() for line in lines]
        rows = [line.split(",") if "," in line else line.split() for line in lines]
        return rows[0] if len(rows) == 1 else rows

    def _cell(self, value: Any) -> Optional[float]:
        empty = value is None or str(value).strip() == ""
        return None if empty and self.kind == "table" else self._number(value)

    def _number(self, value: Any) -> float:
        number = float(value)
        if number != number and not self.nan:
            raise ValueError
        return number


_FORMS = {
    "integer": "a whole number",
    "number": "a number with a decimal point, such as 0.5",
    "boolean": "true or false",
    "band": "the number of a band, from 1",
    "numbers": "numbers separated by commas",
    "matrix": "rows of as many numbers each, separated by semicolons: 1 2 1; 2 4 2",
    "table": "rows of numbers, cells separated by commas and rows by semicolons",
}
"""How the values of a kind are written."""

_BOOLEANS = {
    "true": True, "yes": True, "1": True, "1.0": True,
    "false": False, "no": False, "0": False, "0.0": False, "": False,
}  # fmt: skip


def _integer(value: Any) -> int:
    """Exact, however large."""
    with suppress(ValueError):
        if isinstance(value, (str, Integral)):
            return int(value)
    number = float(value)
    if number != int(number):
        raise ValueError
    return int(number)


def parameter(
    default: Any = MISSING,
    *,
    help: str,  # noqa: A002 - the field's own word
    label: str = "",
    minimum: Optional[float] = None,
    maximum: Optional[float] = None,
    choices: Sequence[str] = (),
    unit: str = "",
    kind: str = "",
    suffix: str = "",
    role: str = "INPUT",
    columns: Sequence[str] = (),
    advanced: bool = False,
    nan: bool = False,
) -> Any:
    """A field of a declaration. Its type is the annotation's; ``kind`` refines it.

    See :class:`Parameter`.
    """
    metadata = {
        "help": help, "label": label, "minimum": minimum, "maximum": maximum,
        "choices": tuple(choices), "unit": unit, "kind": kind, "suffix": suffix,
        "role": role, "columns": tuple(columns), "advanced": advanced,
        "nan": nan,
    }  # fmt: skip
    return field(default=default, metadata=metadata)


RAW: dict[str, Any] = {
    "default": False,
    "label": "Pixels as stored",
    "help": "Use the stored pixels, without the scale and offset of their bands",
    "advanced": True,
}
"""The parameter ``raw`` of what works on physical values otherwise."""


_KINDS = {int: "integer", float: "number", bool: "boolean", str: "text"}


@lru_cache(maxsize=1024)
def parameters_of(declaration: type) -> tuple[Parameter, ...]:
    """The parameters of a class, in order; none of one without fields.

    They are kept: to look up type hints takes a millisecond, and each of its objects asks.
    """
    if not hasattr(declaration, "__dataclass_fields__"):
        return ()
    hints = get_type_hints(declaration)
    return tuple(_parameter_of(item, hints[item.name]) for item in fields(declaration))


def _parameter_of(item: Field[Any], hint: Any) -> Parameter:
    """The parameter that a field of this type declares."""
    options = dict(item.metadata)
    optional = get_origin(hint) is Union and type(None) in get_args(hint)
    plain = next(kind for kind in get_args(hint) if kind is not type(None)) if optional else hint
    options["kind"] = options["kind"] or ("choice" if options["choices"] else _KINDS[plain])
    if options["kind"] == "band":
        options["minimum"] = 1
    options["label"] = options["label"] or item.name.replace("_", " ").capitalize()
    default = None if item.default is MISSING else item.default
    return Parameter(name=item.name, default=default, optional=optional, **options)


def as_text(value: Any) -> Any:
    """A default as it is typed: numbers separated by commas, rows by semicolons."""
    if not isinstance(value, tuple):
        return value
    if value and isinstance(value[0], tuple):
        return "; ".join(" ".join(f"{cell:g}" for cell in row) for row in value)
    return ", ".join(f"{number:g}" for number in value)
