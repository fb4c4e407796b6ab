"""Whether the Python file that a model names may run: models come from elsewhere, too.

QGIS runs them without a question; from 3.40 on it says in a model's help that it may do harm, and
no more. So the user is asked, once for each file and its content.
"""

from __future__ import annotations

import hashlib
import os
import threading
from pathlib import Path

from qgis.core import Qgis, QgsApplication, QgsProcessingContext, QgsSettings
from qgis.PyQt.QtCore import QCoreApplication, QObject, Qt, pyqtSignal
from qgis.PyQt.QtWidgets import QApplication, QMessageBox

from eoscale_engine.errors import InputError

SWITCH = "EOSCALE_TRUST_MODELS"
"""The environment variable that lets models run Python files where nobody can be asked."""

RISK = getattr(getattr(Qgis, "ProcessingAlgorithmFlag", None), "SecurityRisk", None)
"""The flag of algorithms that may do harm; None where QGIS has none."""


class Trust(QObject):
    """Asks, in the window's thread, and remembers in the profile what was allowed."""

    _question = pyqtSignal(str)

    def __init__(self) -> None:
        super().__init__()
        self._answer = False
        self._one = threading.Lock()
        self.moveToThread(QCoreApplication.instance().thread())
        self._question.connect(self._ask, Qt.ConnectionType.BlockingQueuedConnection)

    def require(self, path: str, context: QgsProcessingContext) -> None:
        """Refuse, with an :class:`InputError`, a file that a model names and nobody trusts."""
        in_model = context.expressionContext().hasVariable("model_name")
        if not in_model or os.environ.get(SWITCH) or not os.path.isfile(path):
            return
        digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()
        key = f"eoscale/trusted/{digest}"
        known = QgsSettings().value(key, "") == os.path.realpath(path)
        if known or self._allowed(path):
            QgsSettings().setValue(key, os.path.realpath(path))
            return
        raise InputError(
            f"A model names the Python file '{path}', which may do anything that you may, and "
            "nobody has allowed it. If you trust it, run the model in QGIS's window, which asks; "
            f"or set the environment variable {SWITCH} to 1."
        )

    def _allowed(self, path: str) -> bool:
        if QgsApplication.platform() != "desktop":
            return False
        with self._one:
            if threading.current_thread() is threading.main_thread():
                self._ask(path)
            else:
                self._question.emit(path)
            return self._answer

    def _ask(self, path: str) -> None:
        buttons = QMessageBox.StandardButton
        chosen = QMessageBox.question(
            QApplication.activeWindow(),
            "EOScale",
            f"A model runs the Python file\n\n{path}\n\nwhich may do anything that you may. Run it?"
            " You are asked again only when the file changes.",
            buttons.Yes | buttons.No,
            buttons.No,
        )
        self._answer = chosen == buttons.Yes
