"""A declaration's parameters as Processing's, and Processing's values as the declaration's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from difflib import SequenceMatcher, get_close_matches
from functools import partial
from typing import Any, Optional

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingParameterBand,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterField,
    QgsProcessingParameterFile,
    QgsProcessingParameterMatrix,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
    QgsProperty,
)

from eoscale_engine.parameter_kinds import (
    Band,
    Boolean,
    Choice,
    Expression,
    Field,
    File,
    Integer,
    Json,
    Kind,
    Matrix,
    Number,
    Numbers,
    Steps,
    Table,
    Text,
)
from eoscale_engine.parameters import Parameter, checked_values
from eoscale_qgis.algorithms.recipe import Recipe

ADVANCED = QgsProcessingParameterDefinition.Flag.FlagAdvanced
METADATA = "eoscale"
"""Where a parameter's metadata hold a kind's hints, and ``counts_when``."""


def described(
    definition: QgsProcessingParameterDefinition, help_text: str, *, advanced: bool = False
) -> QgsProcessingParameterDefinition:
    """A parameter with its tooltip, under the advanced ones if asked."""
    definition.setHelp(help_text)
    if advanced:
        definition.setFlags(definition.flags() | ADVANCED)
    return definition


def choice(
    name: str, label: str, choices: Sequence[str], default: Optional[str], *, optional: bool = False
) -> QgsProcessingParameterEnum:
    """A choice whose values are texts, which stay right when choices are added or sorted."""
    return QgsProcessingParameterEnum(
        name, label, list(choices), False, default, optional, usesStaticStrings=True
    )


Hints = Mapping[str, Any]
Definition = QgsProcessingParameterDefinition


def _number(
    kind: QgsProcessingParameterNumber.Type, item: Parameter, name: str, label: str, hints: Hints
) -> Definition:
    definition = QgsProcessingParameterNumber(name, label, kind, item.default, item.optional)
    if "decimals" in hints:
        definition.setMetadata({"widget_wrapper": {"decimals": hints["decimals"]}})
    if "minimum" in hints:
        definition.setMinimum(hints["minimum"])
    if "maximum" in hints:
        definition.setMaximum(hints["maximum"])
    return definition


def _boolean(item: Parameter, name: str, label: str, _hints: Hints) -> Definition:
    return QgsProcessingParameterBoolean(name, label, item.default, item.optional)


def _choice(item: Parameter, name: str, label: str, hints: Hints) -> Definition:
    return choice(name, label, hints["choices"], item.default, optional=item.optional)


def _file(item: Parameter, name: str, label: str, hints: Hints) -> Definition:
    behavior = QgsProcessingParameterFile.Behavior.File
    suffix = hints.get("suffix", "").lstrip(".")
    # An empty path and no path are the same here, but only None passes as a default.
    default = item.default or None
    return QgsProcessingParameterFile(name, label, behavior, suffix, default, item.optional)


def _band(item: Parameter, name: str, label: str, hints: Hints) -> Definition:
    # QGIS refuses a band that is not given, whatever its default
    empty = item.optional or item.default is not None
    return QgsProcessingParameterBand(name, label, item.default, hints["role"], empty)


def _field(item: Parameter, name: str, label: str, hints: Hints) -> Definition:
    empty = item.optional or item.default == ""
    return QgsProcessingParameterField(name, label, item.default, hints["role"], optional=empty)


def _table(item: Parameter, name: str, label: str, hints: Hints) -> Definition:
    cells = ["" if cell is None else cell for row in item.default or () for cell in row]
    columns = hints["columns"]
    return QgsProcessingParameterMatrix(name, label, 1, False, columns, cells, item.optional)


def _text(item: Parameter, name: str, label: str, hints: Hints) -> Definition:
    default = None if item.default is None else item.kind.as_text(item.default)
    several_lines, empty = "several_lines" in hints, item.optional or default == ""
    return QgsProcessingParameterString(name, label, default, several_lines, empty)


def _steps(item: Parameter, name: str, label: str, hints: Hints) -> Definition:
    definition = _text(item, name, label, hints)
    # named, as there is no window to import it for in qgis_process
    definition.setMetadata({"widget_wrapper": {"class": "eoscale_qgis.gui.steps.StepsWrapper"}})
    return definition


_DEFINITIONS: dict[type[Kind], Callable[[Parameter, str, str, Hints], Definition]] = {
    Integer: partial(_number, QgsProcessingParameterNumber.Type.Integer),
    Number: partial(_number, QgsProcessingParameterNumber.Type.Double),
    Boolean: _boolean,
    Choice: _choice,
    Text: _text,
    Expression: _text,
    Json: _text,
    Steps: _steps,
    File: _file,
    Band: _band,
    Field: _field,
    Numbers: _text,
    Matrix: _text,
    Table: _table,
}
"""How QGIS has the values of each kind: all that a new kind needs here."""


def definition_of(item: Parameter) -> Definition:
    """The Processing parameter for a declaration's, with what a dialog may want to know of it."""
    if item.counts_when and item.default is None:
        item = replace(item, optional=True)  # the declaration refuses what misses where it counts
    label, hints = f"{item.label} ({item.unit})" if item.unit else item.label, item.kind.hints
    definition = _DEFINITIONS[type(item.kind)](item, item.name.upper(), label, hints)
    if item.counts_when:
        counts = {name.upper(): list(wanted) for name, wanted in item.counts_when.items()}
        hints["counts_when"] = counts
    definition.setMetadata({**definition.metadata(), METADATA: hints})
    return described(definition, item.full_help, advanced=item.advanced)


def unknown_names(algorithm: QgsProcessingAlgorithm, parameters: Mapping[str, Any]) -> list[str]:
    """Names that are no parameter's, which QGIS passes over in silence: a warning for each."""
    known = [definition.name() for definition in algorithm.parameterDefinitions()]
    warnings = []
    for name in parameters:
        if name not in known:
            near = _nearest(name.upper(), known)
            meant = f" Did you mean {near}?" if near else ""
            warnings.append(
                f"{name} is no parameter of '{algorithm.displayName()}' and has no effect.{meant}"
            )
    return warnings


def _nearest(name: str, known: Sequence[str]) -> str | None:
    """The name that was meant, or None: alike as a whole, and then in its least alike word."""

    def likeness(candidate: str) -> float:
        # OUTPUT_TABLE is no OUTPUT_HTML: words that names share must not outweigh those that differ
        pairs = [(name, candidate)]
        if name.count("_") == candidate.count("_"):
            pairs = list(zip(name.split("_"), candidate.split("_")))
        return min(SequenceMatcher(None, *pair).ratio() for pair in pairs)

    near = get_close_matches(name, known, n=len(known), cutoff=0.5)
    return max(near, key=likeness, default=None)


def with_chosen_texts(
    algorithm: QgsProcessingAlgorithm, parameters: Mapping[str, Any]
) -> dict[str, Any]:
    """The values, with the numbers of choices (``0`` or ``"0"``) replaced by the choices' texts.

    Models and commands written by hand number the choices, which QGIS refuses for choices of texts.
    """
    values = dict(parameters)
    for definition in algorithm.parameterDefinitions():
        if not isinstance(definition, QgsProcessingParameterEnum):
            continue
        value, options = values.get(definition.name()), definition.options()
        text = str(value)
        is_number = text.isdigit() and text not in options and not isinstance(value, bool)
        if is_number and int(text) < len(options):
            values[definition.name()] = options[int(text)]
    return values


def values_of(
    algorithm: QgsProcessingAlgorithm,
    recipe: Recipe,
    parameters: Mapping[str, Any],
    context: QgsProcessingContext,
) -> dict[str, Any]:
    """The declaration's field values, from the values of a run.

    The declaration itself reads numbers, as it does in Python: QGIS's own way takes what it cannot
    read for 0, cuts fractions off integers, and takes the default where they are too large.
    """
    values = {}
    for item in recipe.parameters:
        name = item.name.upper()
        given = parameters.get(name)
        if isinstance(given, QgsProperty):
            given = given.value(context.expressionContext())[0]
        # QGIS makes texts of numbers; a list, which it takes for an empty text, is refused
        if isinstance(item.kind, Text) and not isinstance(given, (type(None), list, tuple, dict)):
            given = algorithm.parameterAsString(parameters, name, context)
        values[item.name] = item.default if given is None else given
    return checked_values(recipe.parameters, values, recipe.label)


def as_json(recipe: Recipe, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The declaration's field values as they travel to the engine; switches as they are."""
    sent = {item.name: item.kind.as_json(fields[item.name]) for item in recipe.parameters}
    return {**fields, **sent}


def for_qgis(
    recipe: Recipe, values: Mapping[str, Any], fields: Mapping[str, Any]
) -> dict[str, Any]:
    """The values of a run, of which QGIS may check all.

    It takes infinite numbers for none in any range, and needs values that have no part in the run.
    """
    checked = dict(values)
    for item in recipe.parameters:
        if not item.counts(fields):
            checked.pop(item.name.upper(), None)
        elif fields[item.name] in (math.inf, -math.inf):
            checked[item.name.upper()] = item.kind.hints.get("minimum", 0.0)
    return checked
