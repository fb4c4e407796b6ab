"""One step of a pipeline: its algorithm, the algorithm's own parameters, and what it takes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

from qgis.core import QgsProcessingContext
from qgis.gui import QgsGui, QgsProcessingGui
from qgis.PyQt.QtCore import QVariant
from qgis.PyQt.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QLineEdit,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from eoscale_engine.declaration import Declaration, Parameter
from eoscale_engine.errors import InputError
from eoscale_engine.parameter_kinds import Band, Field, Integer, Table, Text
from eoscale_engine.pipelines.json_form import offered
from eoscale_qgis.algorithms.parameters import definition_of
from eoscale_qgis.gui.step_list import Step, sources_of, step_of


class StepDialog(QDialog):
    """Asks for a step; ``step`` is what was accepted."""

    def __init__(self, step: Step, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self.setWindowTitle("Step of the pipeline")
        self.resize(560, 620)
        self.step = step
        self._context = QgsProcessingContext()
        self.name = QLineEdit(str(step.get("name") or ""))
        self.name.setPlaceholderText("the algorithm's name")
        self.name.setToolTip("What other steps and the results call it.")
        self.algorithm = QComboBox()
        by_place = sorted(offered().values(), key=lambda kind: (kind.group, kind.label))
        for kind in by_place:
            self.algorithm.addItem(f"{kind.group}: {kind.label}", kind)
        names = [kind.name for kind in by_place]
        if step.get("algorithm") in names:
            self.algorithm.setCurrentIndex(names.index(step["algorithm"]))
        self.algorithm.currentIndexChanged.connect(self._fill)
        self.sources: dict[str, QLineEdit] = {}
        self.wrappers: dict[str, Any] = {}
        self._scroll = QScrollArea()
        self._scroll.setWidgetResizable(True)
        self.problem = QLabel()
        self.problem.setWordWrap(True)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        top = QFormLayout()
        top.addRow("Algorithm", self.algorithm)
        top.addRow("Name", self.name)
        whole = QVBoxLayout(self)
        whole.addLayout(top)
        for widget in (self._scroll, self.problem, buttons):
            whole.addWidget(widget)
        self._fill()

    def accept(self) -> None:
        """Close, unless something does not fit: then say what."""
        values = {item.name: self._value(item) for item in self._kind().parameters()}
        sources = {role: line.text() for role, line in self.sources.items()}
        try:
            self.step = step_of(self._kind(), self.name.text(), values, sources)
        except InputError as error:
            self.problem.setText(str(error))
            return
        super().accept()

    def _value(self, item: Parameter) -> Any:
        value = self.wrappers[item.name].parameterValue()
        if value is None or isinstance(value, QVariant):  # which QGIS's NULL is in Python
            return None if item.optional else item.default
        return value

    def _kind(self) -> type[Declaration]:
        kind: type[Declaration] = self.algorithm.currentData()
        return kind

    def _fill(self) -> None:
        """The images and parameters of the chosen algorithm, as the step has them."""
        kind, step = self._kind(), self.step
        same = step.get("algorithm") == kind.name
        given = {name.lower(): value for name, value in (step.get("parameters") or {}).items()}
        page = QWidget()
        form = QFormLayout(page)
        self.sources, self.wrappers = {}, {}
        images = [item for item in kind.inputs if not item.polygons]
        sources = sources_of(step, images) if same else {}
        for item in images:
            line = self.sources[item.role] = QLineEdit(sources.get(item.role, ""))
            line.setPlaceholderText("none" if item.optional else "the step before")
            line.setToolTip(
                "Names of images and earlier steps, separated by commas; NAME.2 is a step's second "
                f"image. {item.help}"
            )
            form.addRow(f"{item.label} from", line)
        self.problem.clear()
        for item in kind.parameters():
            value = item.default
            try:
                if same and item.name in given:
                    value = item.checked(given[item.name], kind.label)
            except InputError as error:
                self.problem.setText(str(error))
            self._add(form, item, value)
        self._scroll.setWidget(page)

    def _add(self, form: QFormLayout, item: Parameter, value: Any) -> None:
        # there is no layer yet that could tell its bands and fields
        if isinstance(item.kind, Band):
            item = replace(item, kind=Integer(minimum=1))
        elif isinstance(item.kind, Field):
            item = replace(item, kind=Text())
        definition = definition_of(item)
        registry = QgsGui.processingGuiRegistry()
        wrapper = registry.createParameterWidgetWrapper(
            definition, QgsProcessingGui.WidgetType.Standard
        )
        widget, label = wrapper.createWrappedWidget(self._context), wrapper.createWrappedLabel()
        widget.setToolTip(definition.help())
        if isinstance(item.kind, Table):
            value = ["" if cell is None else cell for row in value or () for cell in row]
        elif isinstance(value, tuple):
            value = item.kind.as_text(value)
        wrapper.setParameterValue(value, self._context)
        self.wrappers[item.name] = wrapper
        if label is None:  # a box to tick has its own
            form.addRow(widget)
        else:
            form.addRow(label, widget)
