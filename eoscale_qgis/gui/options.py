"""The page "EOScale" in QGIS's options."""

from __future__ import annotations

from typing import Optional

from qgis.gui import QgsFileWidget, QgsOptionsPageWidget, QgsOptionsWidgetFactory
from qgis.PyQt.QtCore import QTimer
from qgis.PyQt.QtGui import QIcon
from qgis.PyQt.QtWidgets import (
    QCheckBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QWidget,
)

from eoscale_qgis.about import icon_path
from eoscale_qgis.results import Results
from eoscale_qgis.settings import Settings


def _number(value: int, maximum: int, step: int, zero: str, suffix: str = "") -> QSpinBox:
    box = QSpinBox()
    box.setRange(0, maximum)
    box.setSingleStep(step)
    box.setSpecialValueText(zero)
    box.setSuffix(suffix)
    box.setValue(value)
    return box


class OptionsPage(QgsOptionsPageWidget):
    """One widget for each setting."""

    def __init__(self, results: Results, parent: Optional[QWidget] = None) -> None:
        super().__init__(parent)
        self._results = results
        settings = Settings.read()
        self.workers = _number(settings.workers, 1024, 1, "One for each core")
        self.memory = _number(settings.memory_mb, 2**30, 1024, "What is free", " MB")
        self.tile = _number(settings.tile_size, 65536, 256, "Automatic", " pixels")
        self.interpreter = QgsFileWidget()
        self.interpreter.setFilePath(settings.interpreter)
        self.keep = QCheckBox("Keep temporary results in memory")
        self.keep.setChecked(settings.keep_in_memory)
        form = QFormLayout(self)
        needs = "It needs the same version of Python, with NumPy and GDAL."
        for label, widget, tip in (
            ("Workers", self.workers, "Processes that compute side by side."),
            ("Memory for images", self.memory, "What does not fit is streamed from and to files."),
            (
                "Pixels of a tile, as side of a square",
                self.tile,
                "What a worker computes at a time: this square, or a strip of as many pixels.",
            ),
            (
                "Python interpreter",
                self.interpreter,
                f"Runs the engine. QGIS's own is found by itself: set it if that fails. {needs}",
            ),
        ):
            widget.setToolTip(tip)
            form.addRow(label, widget)
        self.keep.setToolTip("Otherwise they are written to files in the temporary folder.")
        form.addRow(self.keep)
        self.usage = QLabel()
        self.usage.setWordWrap(True)
        self.free = QPushButton("Free memory")
        self.free.setToolTip(
            "Gives back what is kept for reuse, and results that no layer of the project shows."
        )
        self.free.clicked.connect(self._free)
        form.addRow("Now", self.usage)
        form.addRow("", self.free)
        self._show_usage()

    def _show_usage(self) -> None:
        self.usage.setText(f"{self._results.usage()}.")

    def _free(self) -> None:
        self._results.free()
        # the engine gives back what it keeps a moment later
        QTimer.singleShot(300, self._show_usage)

    def apply(self) -> None:
        """Store what the page shows; the next run uses it."""
        Settings(
            workers=self.workers.value(),
            memory_mb=self.memory.value(),
            tile_size=self.tile.value(),
            interpreter=self.interpreter.filePath().strip(),
            keep_in_memory=self.keep.isChecked(),
        ).write()


class OptionsFactory(QgsOptionsWidgetFactory):
    """Makes the page each time that the options are opened."""

    def __init__(self, results: Results) -> None:
        super().__init__("EOScale", QIcon(icon_path("provider")))
        self._results = results

    def icon(self) -> QIcon:
        return QIcon(icon_path("provider"))

    def createWidget(self, parent: Optional[QWidget] = None) -> OptionsPage:
        return OptionsPage(self._results, parent)
