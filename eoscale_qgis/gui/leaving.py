"""What the plugin asks when it is unloaded while results are in memory."""

from __future__ import annotations

from typing import Optional

from qgis.PyQt.QtWidgets import QMessageBox, QWidget

from eoscale_qgis.results import Usage


def keeps_results(parent: Optional[QWidget], usage: Usage) -> bool:
    """Ask whether results stay in memory; they do where nobody answers."""
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Question)
    box.setWindowTitle("EOScale is being unloaded")
    box.setText(f"{usage}.")
    box.setInformativeText(
        "Keep the results? Their layers work on without the plugin, until you remove them or QGIS "
        "ends; enabled again, it finds them. Otherwise the layers are removed now, and the results "
        "are lost."
    )
    keep = box.addButton("Keep results", QMessageBox.ButtonRole.AcceptRole)
    lose = box.addButton("Remove layers", QMessageBox.ButtonRole.DestructiveRole)
    box.setDefaultButton(keep)
    box.setEscapeButton(keep)
    box.exec()
    return box.clickedButton() is not lose
