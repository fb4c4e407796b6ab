"""Python files that models name: run only where somebody allowed them."""

from __future__ import annotations

import threading

import pytest
from qgis.core import (
    QgsApplication,
    QgsExpressionContextScope,
    QgsProcessingContext,
    QgsProcessingModelAlgorithm,
    QgsProcessingModelChildAlgorithm,
    QgsProcessingModelChildParameterSource,
    QgsSettings,
)
from qgis.PyQt.QtWidgets import QApplication, QMessageBox

from eoscale_engine.errors import InputError
from eoscale_qgis.algorithms import engine_algorithm
from eoscale_qgis.trust import RISK, SWITCH, Trust
from tests.qgis.helpers import Feedback

YES, NO = QMessageBox.StandardButton.Yes, QMessageBox.StandardButton.No


@pytest.fixture(autouse=True)
def no_switch(monkeypatch):
    """An environment without the switch."""
    monkeypatch.delenv(SWITCH, raising=False)


@pytest.fixture
def code(tmp_path):
    """A Python file."""
    path = tmp_path / "mine.py"
    path.write_text("def same(buffers, profiles, params): return buffers[0]\n")
    return path


@pytest.fixture
def of_model():
    """The context of a model's step."""
    context, scope = QgsProcessingContext(), QgsExpressionContextScope()
    scope.setVariable("model_name", "theirs")
    context.expressionContext().appendScope(scope)
    return context


@pytest.fixture
def asked(monkeypatch):
    """The questions that were asked in the window, answered with the first item."""
    questions = [NO]

    def question(parent, title, text, buttons, default):
        assert threading.current_thread() is threading.main_thread()
        assert default == NO
        questions.append(text)
        return questions[0]

    monkeypatch.setattr(QMessageBox, "question", question)
    monkeypatch.setattr(QgsApplication, "platform", lambda: "desktop")
    return questions


def test_a_file_is_asked_for_once_and_again_when_it_changed(qgis_app, code, of_model, asked):
    with pytest.raises(InputError, match="nobody has allowed it"):
        Trust().require(str(code), of_model)
    asked[0] = YES
    Trust().require(str(code), of_model)
    Trust().require(str(code), of_model)
    assert len(asked) == 3
    assert str(code) in asked[-1]
    code.write_text("# another\n")
    Trust().require(str(code), of_model)
    assert len(asked) == 4


def test_a_file_that_the_user_chose_is_not_asked_for(qgis_app, code, context, asked):
    Trust().require(str(code), context)
    assert len(asked) == 1


def test_nobody_can_be_asked_in_a_terminal(qgis_app, code, of_model, monkeypatch):
    with pytest.raises(InputError, match=SWITCH):
        Trust().require(str(code), of_model)
    monkeypatch.setenv(SWITCH, "1")
    Trust().require(str(code), of_model)
    assert not QgsSettings().allKeys() or not QgsSettings().contains("eoscale/trusted")


def test_a_thread_of_a_model_asks_in_the_window(qgis_app, code, of_model, asked):
    asked[0] = YES
    answers, asks = [], Trust()
    thread = threading.Thread(target=lambda: answers.append(asks.require(str(code), of_model)))
    thread.start()
    while thread.is_alive():
        QApplication.processEvents()
    assert answers == [None]
    assert len(asked) == 2


def model_of(image, code):
    """A model whose one step is a Python filter with a fixed file."""
    model, child = QgsProcessingModelAlgorithm("theirs"), QgsProcessingModelChildAlgorithm()
    child.setAlgorithmId("eoscale:pythonfilter")
    child.setChildId("step")
    values = {"INPUTS": [image], "FILE": str(code), "FUNCTION": "same"}
    for name, value in {**values, "OUTPUT": "TEMPORARY_OUTPUT"}.items():
        source = QgsProcessingModelChildParameterSource.fromStaticValue(value)
        child.addParameterSources(name, [source])
    model.addChildAlgorithm(child)
    return model


@pytest.mark.parametrize(("answer", "jobs"), [(YES, 1), (NO, 0)])
def test_a_model_with_a_fixed_file(provider, engines, image, code, asked, answer, jobs):
    asked[0] = answer
    _, done = model_of(image, code).run({}, QgsProcessingContext(), Feedback())
    assert done is bool(jobs)
    assert sum(len(engine.jobs) for engine in engines) == jobs
    assert len(asked) == 2


def test_qgis_is_told_of_the_risk(provider, monkeypatch):
    flag = RISK
    if flag is None:  # what newer QGIS has, for this one
        flag = provider.algorithm("pythonfilter").flags().__class__(1 << 15)
        monkeypatch.setattr(engine_algorithm, "RISK", flag)
    risky = [item.name() for item in provider.algorithms() if item.flags() & flag]
    assert sorted(risky) == ["pythonfilter", "pythonreduction"]


@pytest.mark.skipif(RISK is None, reason="QGIS has the flag from 3.40 on")
def test_the_flag_of_a_step_is_the_models(provider, image, code):
    assert model_of(image, code).flags() & RISK
