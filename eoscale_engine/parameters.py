"""The parameters of a declaration: its fields, with what dialogs, commands and docs say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import lru_cache
from typing import Any, Optional, Union, get_args, get_origin, get_type_hints

from eoscale_engine.errors import InputError


@dataclass(frozen=True)
class Parameter:
    """One field of a declaration, as dialogs, headless commands and docs need it.

    ``kind`` is one of

    - ``integer``, ``number``, ``boolean``, ``choice``, ``text``, ``expression`` (text of several
      lines), ``json``, ``file`` (an existing file, its ending in ``suffix``);
    - ``band``: the number, from 1, of a band of the image in ``role``;
    - ``field``: the name of a field of the polygons in ``role``;
    - ``numbers``: numbers separated by commas; the value is a tuple of floats;
    - ``matrix``: rows of numbers, on lines of their own or separated by semicolons; the value is a
      tuple of rows of equal length;
    - ``table``: rows of numbers under named ``columns``; the value is a tuple of rows, None in
      empty cells;
    - ``data``: any value that can travel to workers, for declarations that only a procedure uses.
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

    def checked(self, value: Any, owner: str) -> Any:
        """The value in the parameter's type; an :class:`InputError` where it does not fit."""
        if self.kind == "data" or (value is None and self.optional):
            return value
        if value is None:
            raise InputError(f"{owner}: '{self.label}' needs a value.")
        try:
            value = self._typed(value)
        except (TypeError, ValueError, OverflowError):
            raise InputError(f"{owner}: '{self.label}' cannot be {value!r}.") from None
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
            number = int(value)
            # compared as it is: a float would round what is large
            if not isinstance(value, str) and value != number:
                raise ValueError
            return number
        if self.kind in ("number", "boolean"):
            return float(value) if self.kind == "number" else bool(value)
        if not isinstance(value, str):
            raise ValueError
        return value

    def _rows(self, value: Any) -> Any:
        """Numbers as typed, or as lists from JSON; a ValueError where they are none."""
        if self.kind == "numbers":
            items = value.replace(";", ",").split(",") if isinstance(value, str) else value
            found = [_cell(item) for item in items if str(item).strip()]
            return tuple(found)
        if isinstance(value, str):
            lines = value.replace("\n", ";").split(";")
            value = [line.replace(",", " ").split() for line in lines if line.strip()]
        value = list(value)
        width = len(self.columns)
        if width and value and not isinstance(value[0], (list, tuple)):
            # Processing gives the cells of a table one after the other
            value = [value[start : start + width] for start in range(0, len(value), width)]
        empty = (None, "") if self.kind == "table" else ()
        rows = tuple(tuple(None if cell in empty else _cell(cell) for cell in row) for row in value)
        if any(len(row) != (width or len(rows[0])) for row in rows):
            raise ValueError
        return rows


def _cell(value: Any) -> float:
    number = float(value)
    if number != number:
        raise ValueError
    return number


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
) -> Any:
    """A field of a declaration. Its type is the annotation's; ``kind`` refines it.

    See :class:`Parameter`.
    """
    metadata = {
        "help": help, "label": label, "minimum": minimum, "maximum": maximum,
        "choices": tuple(choices), "unit": unit, "kind": kind, "suffix": suffix,
        "role": role, "columns": tuple(columns), "advanced": advanced,
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
