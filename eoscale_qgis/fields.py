"""Fields of attribute tables: their types in every version of QGIS, and their names."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import count

from qgis.core import Qgis
from qgis.PyQt.QtCore import QMetaType, QVariant

# QGIS 3.38 changed what the types of fields are, in Qt 5 too.
if Qgis.QGIS_VERSION_INT >= 33800:
    INTEGER, NUMBER, TEXT = QMetaType.Type.LongLong, QMetaType.Type.Double, QMetaType.Type.QString
else:
    INTEGER, NUMBER, TEXT = QVariant.LongLong, QVariant.Double, QVariant.String


def free_name(name: str, taken: Iterable[str]) -> str:
    """The name, or with ``_2`` and so on where it is taken; most formats ignore case."""
    used = {other.casefold() for other in taken}
    return next(
        found
        for found in (name if number == 1 else f"{name}_{number}" for number in count(1))
        if found.casefold() not in used
    )
