"""Results as plain values that any JSON reader takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from math import isfinite, isnan
from typing import Any

_PLAIN = frozenset((int, str, bool, type(None)))


def jsonable(value: Any) -> Any:
    """The same value in the types of strict JSON, which knows no NaN and no infinity.

    Dataclasses (a :class:`~eoscale_engine.declaration.Summary` and its parts) and mappings become
    dictionaries, sequences lists, NumPy's numbers and arrays Python's. NaN becomes None;
    infinities become the texts ``"Infinity"`` and ``"-Infinity"``, which Python's ``float`` and
    JavaScript's ``Number`` read back. Integers stay exact, however large. What is already plain
    comes back unchanged.

    Raises
    ------
    TypeError
        For a value that has no such form, a complex number for example.

    Examples
    --------
    >>> jsonable({"mean": float("nan"), "bounds": (1, float("-inf"))})
    {'mean': None, 'bounds': [1, '-Infinity']}
    """
    if hasattr(value, "tolist"):
        value = value.tolist()
    if value is None or isinstance(value, (str, bool, int)):
        return value
    if isinstance(value, float):
        if isfinite(value):
            return value
        return None if isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if is_dataclass(value):
        return {item.name: jsonable(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        # most are plain already: a call for each would take longer than all else
        return [
            item if type(item) in _PLAIN or (type(item) is float and isfinite(item))
            else jsonable(item)
            for item in value
        ]  # fmt: skip
    raise TypeError(f"{type(value).__name__} has no form in JSON")
