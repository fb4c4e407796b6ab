"""A declaration's parameters as Processing's, and Processing's values as the declaration's."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
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

from eoscale_engine.parameters import Parameter, as_text
from eoscale_qgis.algorithms.recipe import Recipe

ADVANCED = QgsProcessingParameterDefinition.Flag.FlagAdvanced


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


def definition_of(item: Parameter) -> QgsProcessingParameterDefinition:
    """The Processing parameter for a declaration's."""
    name, optional = item.name.upper(), item.optional
    label = f"{item.label} ({item.unit})" if item.unit else item.label
    definition: QgsProcessingParameterDefinition
    if item.kind in ("integer", "number"):
        kinds = QgsProcessingParameterNumber.Type
        kind = kinds.Integer if item.kind == "integer" else kinds.Double
        definition = QgsProcessingParameterNumber(name, label, kind, item.default, optional)
        if item.minimum is not None and 0 < item.minimum < 1e-6:
            # the 6 decimals of QGIS's dialogs would round small numbers: 0.0000275 of Landsat
            definition.setMetadata({"widget_wrapper": {"decimals": 9}})
        if item.minimum is not None:
            definition.setMinimum(item.minimum)
        if item.maximum is not None:
            definition.setMaximum(item.maximum)
    elif item.kind == "boolean":
        definition = QgsProcessingParameterBoolean(name, label, item.default, optional)
    elif item.kind == "choice":
        definition = choice(name, label, item.choices, item.default, optional=optional)
    elif item.kind == "file":
        behavior = QgsProcessingParameterFile.Behavior.File
        suffix = item.suffix.lstrip(".")
        # An empty path and no path are the same here, but only None passes as a default.
        default = item.default or None
        definition = QgsProcessingParameterFile(name, label, behavior, suffix, default, optional)
    elif item.kind == "band":
        # QGIS refuses a band that is not given, whatever its default
        empty = optional or item.default is not None
        definition = QgsProcessingParameterBand(name, label, item.default, item.role, empty)
    elif item.kind == "field":
        empty = optional or item.default == ""
        definition = QgsProcessingParameterField(
            name, label, item.default, item.role, optional=empty
        )
    elif item.kind == "table":
        cells = ["" if cell is None else cell for row in item.default or () for cell in row]
        definition = QgsProcessingParameterMatrix(
            name, label, 1, False, list(item.columns), cells, optional
        )
    else:
        several_lines = item.kind in ("expression", "json", "matrix")
        empty = optional or item.default in ("", ())
        definition = QgsProcessingParameterString(
            name, label, as_text(item.default), several_lines, empty
        )
    return described(definition, item.help, advanced=item.advanced)


def unknown_names(algorithm: QgsProcessingAlgorithm, parameters: Mapping[str, Any]) -> list[str]:
    """Names that are no parameter's, which QGIS passes over in silence: a warning for each."""
    known = [definition.name() for definition in algorithm.parameterDefinitions()]
    warnings = []
    for name in parameters:
        if name not in known:
            near = get_close_matches(name.upper(), known, n=1, cutoff=0.5)
            meant = f" Did you mean {near[0]}?" if near else ""
            warnings.append(
                f"{name} is no parameter of '{algorithm.displayName()}' and has no effect.{meant}"
            )
    return warnings


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
    read = {
        "file": algorithm.parameterAsFile,
        "field": algorithm.parameterAsString,
        "text": algorithm.parameterAsString,
        "expression": algorithm.parameterAsString,
    }
    values = {}
    for item in recipe.parameters:
        name = item.name.upper()
        given = parameters.get(name)
        if isinstance(given, QgsProperty):
            given = given.value(context.expressionContext())[0]
        # a list is refused: as text, QGIS takes it for nothing
        if item.kind in read and not isinstance(given, (type(None), list, tuple, dict)):
            given = read[item.kind](parameters, name, context)
        values[item.name] = item.checked(item.default if given is None else given, recipe.label)
    return values


def finite(recipe: Recipe, fields: Mapping[str, Any]) -> dict[str, float]:
    """What QGIS may check in place of infinite numbers, which it takes for none in any range."""
    return {
        item.name.upper(): item.minimum or 0.0
        for item in recipe.parameters
        if item.kind == "number" and fields[item.name] in (math.inf, -math.inf)
    }
