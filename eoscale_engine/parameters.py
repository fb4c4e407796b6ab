"""The parameters of a declaration: its fields, with what dialogs, commands and docs say of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields
from functools import lru_cache
from typing import Any, Callable, Optional, Union, get_args, get_origin, get_type_hints

from eoscale_engine.errors import InputError
from eoscale_engine.parameter_kinds import KINDS, Kind, said
from eoscale_engine.words import listed


@dataclass(frozen=True)
class Parameter:
    """One field of a declaration, as dialogs, headless commands and docs need it.

    Attributes
    ----------
    kind : Kind
        What values it takes (see :mod:`eoscale_engine.parameter_kinds`).
    optional : bool
        Whether it may be None.
    counts_when : mapping of names to values
        Other parameters, and for which of their values this one has a part in the result; it
        always has where there are none.
    """

    name: str
    kind: Kind
    label: str
    help: str
    default: Any
    optional: bool = False
    unit: str = ""
    advanced: bool = False
    counts_when: Mapping[str, Sequence[Any]] = field(default_factory=dict, hash=False)

    def checked(self, value: Any, owner: str) -> Any:
        """The value in the parameter's type; an :class:`InputError` where it does not fit."""
        if self.optional and (value is None or (isinstance(value, str) and not value.strip())):
            return None
        return self.kind.checked(value, owner, self.label)

    def counts(self, values: Mapping[str, Any]) -> bool:
        """Whether it has a part in the result where the declaration's fields have these values."""
        return all(values[name] in wanted for name, wanted in self.counts_when.items())

    def condition(self, called: Callable[[str], str] = str.upper) -> str:
        """When it counts, such as ``with MODE = regular or combined``; nothing if always."""
        return " and ".join(
            _in_words(called(name), wanted) for name, wanted in self.counts_when.items()
        )

    @property
    def full_help(self) -> str:
        """The help, and when the parameter counts."""
        help_ = self.help.rstrip(".")
        return f"{help_}. Only {self.condition()}." if self.counts_when else self.help


def _in_words(name: str, wanted: Sequence[Any]) -> str:
    if not any(wanted):
        return f"without {name}"
    words = (str(value).lower() if isinstance(value, bool) else str(value) for value in wanted)
    return f"with {name} = {listed(words, 'or')}"


def parameter(
    default: Any = MISSING,
    *,
    help: str,  # noqa: A002 - the field's own word
    label: str = "",
    kind: str = "",
    minimum: Optional[float] = None,
    maximum: Optional[float] = None,
    choices: Sequence[str] = (),
    suffix: str = "",
    role: str = "",
    columns: Sequence[str] = (),
    nan: bool = False,
    unit: str = "",
    advanced: bool = False,
    counts_when: Optional[Mapping[str, Sequence[Any]]] = None,
) -> Any:
    """A field of a declaration.

    Its kind follows from the annotation: ``int``, ``float``, ``bool``, ``str``, or with ``choices``
    a choice. For all others ``kind`` names a class of :mod:`eoscale_engine.parameter_kinds`, in
    small letters; ``minimum`` to ``nan`` are fields of these classes. For the rest see
    :class:`Parameter`.
    """
    options = {
        "minimum": minimum, "maximum": maximum, "choices": tuple(choices), "suffix": suffix,
        "role": role, "columns": tuple(columns), "nan": nan,
    }  # fmt: skip
    metadata = {
        "help": help, "label": label, "unit": unit, "advanced": advanced,
        "kind": kind or ("choice" if choices else ""),
        "said": said(options),
        "counts_when": counts_when or {},
    }  # fmt: skip
    return field(default=default, metadata=metadata)


RAW: dict[str, Any] = {
    "default": False,
    "label": "Pixels as stored",
    "help": "Use the stored pixels, without the scale and offset of their bands",
    "advanced": True,
}
"""The parameter ``raw`` of what works on physical values otherwise."""


_WORDS = {int: "integer", float: "number", bool: "boolean", str: "text"}


@lru_cache(maxsize=1024)
def parameters_of(declaration: type) -> tuple[Parameter, ...]:
    """The parameters of a class, in order; none of one without fields.

    They are kept: to look up type hints takes a millisecond, and each of its objects asks.
    """
    if not hasattr(declaration, "__dataclass_fields__"):
        return ()
    hints = get_type_hints(declaration)
    found = tuple(_parameter_of(item, hints[item.name]) for item in fields(declaration))
    unknown = {name for item in found for name in item.counts_when} - hints.keys()
    if unknown:
        raise TypeError(f"{declaration.__name__}: counts_when names no field: {sorted(unknown)}.")
    return found


def _parameter_of(item: Field[Any], hint: Any) -> Parameter:
    """The parameter that a field of this type declares."""
    options = dict(item.metadata)
    optional = get_origin(hint) is Union and type(None) in get_args(hint)
    plain = next(kind for kind in get_args(hint) if kind is not type(None)) if optional else hint
    options["kind"] = KINDS[options["kind"] or _WORDS[plain]](**options.pop("said"))
    options["label"] = options["label"] or item.name.replace("_", " ").capitalize()
    default = None if item.default is MISSING else item.default
    return Parameter(name=item.name, default=default, optional=optional, **options)


def checked_values(
    parameters: Sequence[Parameter], given: Mapping[str, Any], owner: str
) -> dict[str, Any]:
    """The values in their types; an :class:`InputError` where one that counts does not fit.

    What does not count has its default then.
    """
    found: dict[str, Any] = {}
    refused: dict[str, InputError] = {}
    for item in parameters:
        try:
            found[item.name] = item.checked(given[item.name], owner)
        except InputError as error:
            found[item.name], refused[item.name] = item.default, error
    for item in parameters:
        if item.name in refused and item.counts(found):
            raise refused[item.name]
    return found
