"""Values of parameters: from every way in, of every kind, they reach the engine as Python has them.

The headless way is in ``tests/headless``.
"""

from __future__ import annotations

from dataclasses import dataclass

import processing
import pytest
from qgis.core import (
    QgsProcessing,
    QgsProcessingException,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsProcessingModelOutput,
    QgsProcessingModelParameter,
    QgsProcessingParameterRasterLayer,
    QgsProperty,
)
from qgis.gui import QgsGui, QgsProcessingGui

from eoscale_engine.declaration import parameter
from eoscale_qgis.algorithms.engine_algorithm import EngineAlgorithm
from eoscale_qgis.algorithms.recipe import recipe_of
from tests.engine.every_kind import REFUSED, TAKEN, EveryKind, taken

TEMPORARY = QgsProcessing.TEMPORARY_OUTPUT


@pytest.fixture
def every_kind(provider):
    """An algorithm with a parameter of every kind."""
    provider.addAlgorithm(EngineAlgorithm(recipe_of(EveryKind)))
    return provider.algorithm("everykind")


def arrived(engines, name):
    """What the last job gives the engine for a parameter."""
    [job] = [job for engine in engines for job in engine.jobs]
    return taken(name, getattr(EveryKind(**job["parameters"]), name))


def run(image, name, value):
    processing.run("eoscale:everykind", {"INPUT": image, "OUTPUT": TEMPORARY, name.upper(): value})


@pytest.mark.parametrize(("name", "given", "expected"), TAKEN)
def test_from_a_script(every_kind, engines, image, name, given, expected):
    run(image, name, given)
    assert arrived(engines, name) == expected


@pytest.mark.parametrize(("name", "given"), REFUSED)
def test_what_is_refused(every_kind, engines, image, name, given):
    with pytest.raises(QgsProcessingException, match=f"'{name.capitalize()}' (cannot be|is) "):
        run(image, name, given)
    assert not engines


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [case for case in TAKEN if case[0] != "rules"],  # QGIS takes no property for a table
)
def test_from_a_property(every_kind, engines, image, name, given, expected):
    run(image, name, QgsProperty.fromValue(given))
    assert arrived(engines, name) == expected


def model_with(source, name):
    """A model that runs the algorithm with a source for one of its parameters."""
    model = QgsProcessingModelAlgorithm("A model", "Tests")
    model.addModelParameter(
        QgsProcessingParameterRasterLayer("IMAGE"), QgsProcessingModelParameter("IMAGE")
    )
    child = QgsProcessingModelChildAlgorithm("eoscale:everykind")
    child.setChildId("step")
    of_image = QgsProcessingModelChildParameterSource.fromModelParameter("IMAGE")
    child.addParameterSources("INPUT", [of_image])
    child.addParameterSources(name.upper(), [source])
    output = QgsProcessingModelOutput("RESULT")
    output.setChildOutputName("OUTPUT")
    output.setChildId("step")
    child.setModelOutputs({"RESULT": output})
    model.addChildAlgorithm(child)
    return model


def run_model(model, image):
    [output] = [item.name() for item in model.outputDefinitions()]
    processing.run(model, {"IMAGE": image, output: TEMPORARY})


@pytest.mark.parametrize(("name", "given", "expected"), TAKEN)
def test_from_a_model(every_kind, engines, image, name, given, expected):
    source = QgsProcessingModelChildParameterSource.fromStaticValue(given)
    model = model_with(source, name)
    assert model.loadVariant(model.toVariant())  # as a model file keeps it
    run_model(model, image)
    assert arrived(engines, name) == expected


@pytest.mark.parametrize(
    ("name", "expression", "expected"),
    [
        ("integer", "2 + 5", 7),
        ("number", "-1.5 / 2", -0.75),
        ("number", "'inf'", float("inf")),
        ("limit", "NULL", None),
        ("switch", "1 > 2", False),
        ("values", "to_string(2) || ', 98'", (2, 98)),
        ("values", "array(2, 98)", (2, 98)),
        ("rules", "'0,100,1,100,inf,2'", ((0, 100, 1), (100, float("inf"), 2))),
        ("rules", "array(0, 100, 1)", ((0, 100, 1),)),
        ("text", "'a' || 1", "a1"),
        ("red", "1 + 1", 2),
    ],
)
def test_from_an_expression_in_a_model(every_kind, engines, image, name, expression, expected):
    source = QgsProcessingModelChildParameterSource.fromExpression(expression)
    run_model(model_with(source, name), image)
    assert arrived(engines, name) == expected


def in_dialogs(name, given):
    """Whether a dialog's widget holds such a value: its boxes of numbers end at 1e9."""
    if name in ("number", "limit"):
        return isinstance(given, float) and 1e-6 < abs(given) < 1e9
    if name == "rules":
        return isinstance(given, list) and not isinstance(given[0], list)
    return name in ("choice", "text", "code", "file") or isinstance(given, bool)


@pytest.mark.parametrize("kind", [QgsProcessingGui.Standard, QgsProcessingGui.Batch])
@pytest.mark.parametrize(
    ("name", "given", "expected"), [case for case in TAKEN if in_dialogs(*case[:2])]
)
def test_from_a_dialog(every_kind, engines, image, context, kind, name, given, expected):
    definition = every_kind.parameterDefinition(name.upper())
    registry = QgsGui.processingGuiRegistry()
    wrapper = registry.createParameterWidgetWrapper(definition, kind)
    widget = wrapper.createWrappedWidget(context)
    wrapper.setParameterValue(given, context)
    run(image, name, wrapper.parameterValue())
    assert widget is not None
    assert arrived(engines, name) == expected


def test_a_number_that_a_dialog_leaves_open(every_kind, context):
    definition = every_kind.parameterDefinition("LIMIT")
    registry = QgsGui.processingGuiRegistry()
    wrapper = registry.createParameterWidgetWrapper(definition, QgsProcessingGui.Standard)
    widget = wrapper.createWrappedWidget(context)
    assert wrapper.parameterValue() is None
    widget.setValue(5.25)
    assert wrapper.parameterValue() == 5.25


# ---------------------------------------------------------------- what counts only sometimes


@dataclass(frozen=True)
class Sometimes(EveryKind):
    """Two parameters that count for one choice alone; one must be given then."""

    name = "sometimes"

    limit: float = parameter(None, minimum=0, help="Any", counts_when={"choice": ("sum",)})
    positive: float = parameter(1, minimum=0, help="Any.", counts_when={"choice": ("sum",)})


@pytest.fixture
def sometimes(provider):
    provider.addAlgorithm(EngineAlgorithm(recipe_of(Sometimes)))
    return provider.algorithm("sometimes")


@pytest.mark.parametrize("values", [{}, {"LIMIT": -1, "POSITIVE": -2}, {"POSITIVE": "many"}])
def test_what_does_not_count_is_not_refused(sometimes, engines, image, values):
    processing.run(sometimes, {"INPUT": image, "OUTPUT": TEMPORARY, **values})
    [job] = engines[0].jobs
    assert (job["parameters"]["limit"], job["parameters"]["positive"]) == (None, 1)


@pytest.mark.parametrize(
    ("values", "reason"),
    [({}, "'Limit' needs a value"), ({"LIMIT": 1, "POSITIVE": -2}, "'Positive' is -2")],
)
def test_what_counts_is_refused(sometimes, engines, image, values, reason):
    with pytest.raises(QgsProcessingException, match=reason):
        processing.run(sometimes, {"INPUT": image, "OUTPUT": TEMPORARY, "CHOICE": "sum", **values})
    assert not engines


def test_a_dialog_can_know_when_it_counts(sometimes):
    definition = sometimes.parameterDefinition("POSITIVE")
    assert definition.help() == "Any. Only with CHOICE = sum."
    hints = {"kind": "number", "minimum": 0, "counts_when": {"CHOICE": ["sum"]}}
    assert definition.metadata()["eoscale"] == hints
    assert definition.clone().metadata()["eoscale"] == hints


def test_a_dialog_can_know_all_of_each_kind(every_kind):
    for item in EveryKind.parameters():
        definition = every_kind.parameterDefinition(item.name.upper())
        assert definition.metadata()["eoscale"] == item.kind.hints
