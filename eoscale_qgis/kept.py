"""What outlives the plugin in QGIS: the results in memory, until a plugin takes them over.

QGIS forgets all modules of a plugin that is disabled, reloaded or upgraded. The results stay with
the application: their code goes on giving back what nothing needs, and the next plugin, which may
be of another version, gets them as plain values.
"""

from __future__ import annotations

from typing import Any

from qgis.PyQt.QtCore import QCoreApplication

from eoscale_qgis.results import Results

PLACE = "eoscale_results"
"""The application's property; a name that all versions share."""


def leave(results: Results) -> None:
    """Leave the results with the application, and end the engines."""
    results.rest()
    QCoreApplication.instance().setProperty(PLACE, results)


def taken() -> list[dict[str, Any]]:
    """What a plugin left, for the one that asks: it is its own now."""
    application = QCoreApplication.instance()
    results = application.property(PLACE)
    if results is None:
        return []
    application.setProperty(PLACE, None)
    application.aboutToQuit.disconnect(results.close)
    found: list[dict[str, Any]] = results.hand_over()
    return found
