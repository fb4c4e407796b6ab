"""The dialog of *Pipeline*: steps as a list, each with its algorithm's own parameters."""

from __future__ import annotations

import json

import pytest
from qgis.core import QgsApplication, QgsProcessingContext

from eoscale_engine.pipelines import from_json
from eoscale_engine.pipelines.json_form import offered
from eoscale_qgis.gui.step_dialog import StepDialog
from eoscale_qgis.gui.step_list import StepList

CHAIN = [
    {"name": "filled", "algorithm": "fillnodata", "parameters": {"max_distance": 20}},
    {"algorithm": "gaussian"},
    {"name": "relief", "algorithm": "slope", "inputs": {"INPUT": ["filled"]}},
]


@pytest.fixture
def widget(provider):
    """As QGIS's dialogs make it."""
    from processing.gui.wrappers import WidgetWrapperFactory
    from qgis.PyQt.QtWidgets import QDialog

    algorithm = QgsApplication.processingRegistry().createAlgorithmById("eoscale:pipeline")
    dialog = QDialog()
    wrapper = WidgetWrapperFactory.create_wrapper(algorithm.parameterDefinition("STEPS"), dialog)
    assert wrapper.parameterValue() == ""
    wrapper.setParameterValue(json.dumps(CHAIN), QgsProcessingContext())
    yield wrapper.widget
    assert wrapper.parameterValue() == wrapper.widget.text.toPlainText()


def test_a_batch_has_a_line(provider):
    from processing.gui.wrappers import WidgetWrapperFactory
    from qgis.PyQt.QtWidgets import QDialog

    class BatchAlgorithmDialog(QDialog):
        """QGIS goes by the name of the class."""

    algorithm = QgsApplication.processingRegistry().createAlgorithmById("eoscale:pipeline")
    definition, dialog = algorithm.parameterDefinition("STEPS"), BatchAlgorithmDialog()
    wrapper = WidgetWrapperFactory.create_wrapper(definition, dialog)
    text = StepList(tuple(CHAIN)).as_text()
    wrapper.setParameterValue(text, QgsProcessingContext())
    assert json.loads(wrapper.parameterValue()) == json.loads(text)


def lines(widget):
    return [widget.list.item(row).text() for row in range(widget.list.count())]


def steps(widget):
    return json.loads(widget.text.toPlainText())["steps"]


def test_the_list_shows_what_the_text_says(widget):
    assert lines(widget) == ["filled: Fill nodata", "Gaussian blur", "relief: Slope of filled"]
    assert "'gaussian': nothing takes its image" in widget.problem.text()
    widget.list.setCurrentRow(1)
    widget.buttons["Remove"].click()
    assert widget.problem.text() == ""
    widget.list.setCurrentRow(1)
    widget.buttons["Up"].click()
    assert widget.list.currentRow() == 0
    assert "'filled', which does not come before it" in widget.problem.text()
    widget.buttons["Down"].click()
    assert steps(widget) == [CHAIN[0], CHAIN[2]]
    widget.inputs.setText("dem")
    widget.outputs.setText("filled, relief")
    widget.outputs.editingFinished.emit()
    pipeline = from_json(widget.text.toPlainText())
    assert [item.role for item in pipeline.inputs] == ["dem"]
    assert pipeline.kept == ("filled", "relief")


def test_text_that_is_no_list_is_left_as_it_is(widget):
    for text in ("{", '{"steps": 3}', "[3]"):
        widget.text.setPlainText(text)
        assert widget.problem.text()
        assert not lines(widget)
        assert not widget.buttons["Add…"].isEnabled()
        assert widget.text.toPlainText() == text
    widget.text.setPlainText("")
    assert widget.buttons["Add…"].isEnabled()
    assert not widget.problem.text()


def test_steps_are_added_and_changed_by_their_dialog(widget, monkeypatch):
    def accepted(dialog):
        if dialog.step:
            dialog.wrappers["max_distance"].setParameterValue(7, dialog._context)
        else:
            kinds = [dialog.algorithm.itemData(n).name for n in range(dialog.algorithm.count())]
            dialog.algorithm.setCurrentIndex(kinds.index("stack"))
            dialog.sources["INPUTS"].setText("relief, filled")
        dialog.accept()
        return dialog.result()

    monkeypatch.setattr(StepDialog, "exec", accepted)
    widget.list.setCurrentRow(0)
    widget.buttons["Edit…"].click()
    assert steps(widget)[0] == {**CHAIN[0], "parameters": {"max_distance": 7}}
    widget.buttons["Add…"].click()
    assert steps(widget)[3] == {"algorithm": "stack", "inputs": {"INPUTS": ["relief", "filled"]}}
    assert widget.list.currentRow() == 3
    monkeypatch.setattr(StepDialog, "exec", lambda dialog: 0)
    widget.buttons["Add…"].click()
    assert len(steps(widget)) == 4


def test_a_step_that_does_not_fit_is_not_accepted(qgis_app):
    dialog = StepDialog({"algorithm": "stretch", "parameters": {"gamma": "bright"}})
    assert "'Gamma' cannot be 'bright'" in dialog.problem.text()
    dialog.wrappers["lowest"].setParameterValue(200, dialog._context)
    dialog.wrappers["highest"].setParameterValue(100, dialog._context)
    dialog.accept()
    assert "'Lowest result' is 200 and 'Highest result' 100" in dialog.problem.text()
    assert not dialog.result()


def test_images_in_a_list_go_to_their_roles(qgis_app):
    dialog = StepDialog({"algorithm": "maskimage", "inputs": ["dem", "clouds"]})
    assert {role: line.text() for role, line in dialog.sources.items()} == {
        "INPUT": "dem", "MASK": "clouds",
    }  # fmt: skip


@pytest.mark.parametrize("name", offered())
def test_every_algorithm_can_be_a_step(qgis_app, name):
    """What its examples say is still so when the dialog was opened and accepted."""
    kind = offered()[name]
    for example in kind.examples[:2]:
        whole = kind(**example)
        values = {item.name: item.kind.as_json(getattr(whole, item.name))
                  for item in kind.parameters()}  # fmt: skip
        dialog = StepDialog({"algorithm": name, "parameters": values})
        dialog.accept()
        assert not dialog.problem.text()
        made = kind(**dialog.step.get("parameters", {}))
        assert repr(made) == repr(whole)
        dialog.deleteLater()


def test_a_list_says_no_more_than_it_must():
    assert StepList.of("").as_text() == ""
    assert json.loads(StepList.of(json.dumps(CHAIN)).as_text()) == {"version": 1, "steps": CHAIN}


def test_what_does_not_fit_is_refused_before_the_run(provider, engines, image):
    algorithm = QgsApplication.processingRegistry().createAlgorithmById("eoscale:pipeline")
    values = {"INPUTS": [image], "STEPS": '[{"algorithm": "slop"}]', "OUTPUT": "TEMPORARY_OUTPUT"}
    ok, text = algorithm.checkParameterValues(values, QgsProcessingContext())
    assert not ok
    assert text.startswith("step '1': There is no algorithm 'slop'")
    values |= {"STEPS": [{"algorithm": "slope"}], "OUTPUT_2": "TEMPORARY_OUTPUT"}
    ok, text = algorithm.checkParameterValues(values, QgsProcessingContext())
    assert not ok
    assert "OUTPUT_2 is asked for" in text
    del values["OUTPUT_2"]
    assert algorithm.checkParameterValues(values, QgsProcessingContext())[0]
    assert not engines
