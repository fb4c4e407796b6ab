"""The steps of a pipeline in its dialog: a list that is edited, or the JSON itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Optional

from processing.gui.wrappers import WidgetWrapper
from qgis.gui import QgsProcessingGui
from qgis.PyQt.QtWidgets import (
    QAbstractItemView,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QListWidget,
    QPlainTextEdit,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from eoscale_engine.errors import InputError
from eoscale_qgis.gui.step_dialog import StepDialog
from eoscale_qgis.gui.step_list import Step, StepList, problem_of, shown


class StepsWidget(QTabWidget):
    """A list with buttons, and the same as JSON; the text is what counts."""

    def __init__(self, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.list = QListWidget()
        self.list.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.list.itemDoubleClicked.connect(lambda _: self.edit())
        self.buttons = {
            text: self._button(text, tip, act)
            for text, tip, act in (
                ("Add…", "Add a step behind the last one.", self.add),
                ("Edit…", "Change the parameters of this step, and what it takes.", self.edit),
                ("Remove", "Remove this step.", self.remove),
                ("Up", "Do this step earlier.", lambda: self.move(-1)),
                ("Down", "Do this step later.", lambda: self.move(1)),
            )
        }
        self.inputs, self.outputs = QLineEdit(), QLineEdit()
        self.inputs.setPlaceholderText("what the first step takes")
        self.inputs.setToolTip("Names for the images, in their order, separated by commas.")
        self.outputs.setPlaceholderText("images of the last step")
        self.outputs.setToolTip("Names of the steps whose images are wanted, by commas.")
        for line in (self.inputs, self.outputs):
            line.editingFinished.connect(self._names_changed)
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        self.text = QPlainTextEdit()
        self.text.textChanged.connect(self._show)
        self.addTab(self._page(), "Steps")
        self.addTab(self.text, "JSON")
        self._show()

    def _button(self, text: str, tip: str, act: Callable[[], None]) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        button.clicked.connect(lambda _: act())
        return button

    def _page(self) -> QWidget:
        page, side, row, names = QWidget(), QVBoxLayout(), QHBoxLayout(), QFormLayout()
        for button in self.buttons.values():
            side.addWidget(button)
        side.addStretch()
        row.addWidget(self.list, 1)
        row.addLayout(side)
        names.addRow("Names of the images", self.inputs)
        names.addRow("Results", self.outputs)
        whole = QVBoxLayout(page)
        whole.addLayout(row)
        whole.addLayout(names)
        whole.addWidget(self.problem)
        return page

    # ---- what the buttons do

    def add(self) -> None:
        """Ask for a step, and put it behind the others."""
        step = self.asked({})
        if step is not None:
            self._set(self._steps().with_step(self.list.count(), step), self.list.count())

    def edit(self) -> None:
        """Ask for changes of the chosen step."""
        place, steps = self.list.currentRow(), self._steps()
        step = None if place < 0 else self.asked(steps.steps[place])
        if step is not None:
            self._set(steps.with_step(place, step), place)

    def remove(self) -> None:
        """Take the chosen step out."""
        place = self.list.currentRow()
        if place >= 0:
            self._set(self._steps().without(place), min(place, self.list.count() - 2))

    def move(self, by: int) -> None:
        """Move the chosen step up (-1) or down (1)."""
        place = self.list.currentRow()
        if place >= 0 and 0 <= place + by < self.list.count():
            self._set(self._steps().moved(place, place + by), place + by)

    def asked(self, step: Step) -> Optional[Step]:
        """A step as the user wants it; None where they do not."""
        dialog = StepDialog(step, self)
        return dialog.step if dialog.exec() else None

    # ---- inside

    def _steps(self) -> StepList:
        return StepList.of(self.text.toPlainText())

    def _set(self, steps: StepList, chosen: int = -1) -> None:
        self.text.setPlainText(steps.as_text())
        self.list.setCurrentRow(chosen)

    def _names_changed(self) -> None:
        lines = (self.inputs.text(), self.outputs.text())
        names = (tuple(filter(None, map(str.strip, line.split(",")))) for line in lines)
        self._set(StepList(self._steps().steps, *names), self.list.currentRow())

    def _show(self) -> None:
        """The list and what is wrong with it, as the text says."""
        text = self.text.toPlainText()
        try:
            steps, problem = StepList.of(text), problem_of(text) if text.strip() else ""
            listed = True
        except InputError as error:
            steps, problem, listed = StepList(), str(error), False
        self.list.clear()
        self.list.addItems(map(shown, steps.steps))
        self.inputs.setText(", ".join(steps.inputs))
        self.outputs.setText(", ".join(steps.outputs))
        for widget in (*self.buttons.values(), self.inputs, self.outputs):
            widget.setEnabled(listed)  # a list would take the place of what is being typed
        self.problem.setText(problem)


class StepsWrapper(WidgetWrapper):
    """Puts the widget into QGIS's dialogs; a batch has a line for the JSON."""

    def createWidget(self, **_: Any) -> QWidget:
        if self.dialogType == QgsProcessingGui.WidgetType.Batch:
            self._text = line = QLineEdit()
            return line
        widget = StepsWidget()
        self._text = widget.text
        widget.text.textChanged.connect(lambda: self.widgetValueHasChanged.emit(self))
        return widget

    def setValue(self, value: Any) -> None:
        text = "" if value is None else str(value)
        if isinstance(self._text, QLineEdit):
            self._text.setText(text)
        else:
            self._text.setPlainText(text)

    def value(self) -> str:
        line = isinstance(self._text, QLineEdit)
        return str(self._text.text() if line else self._text.toPlainText())
