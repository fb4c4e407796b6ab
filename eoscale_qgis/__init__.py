"""EOScale for QGIS: a Processing provider over the EOScale engine.

The engine lies in the folder ``engine`` of the installed plugin, and beside it in the repository.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eoscale_qgis.plugin import EoscalePlugin


def _load_engine() -> None:
    """Make ``eoscale_engine`` importable: the plugin's own one, before any other on ``sys.path``.

    Not by putting this folder on ``sys.path``, which would offer ``settings``, ``plugin`` and
    ``layers`` to every other plugin as top-level modules.
    """
    if "eoscale_engine" in sys.modules:
        return
    here = Path(__file__).resolve().parent
    for folder in (here / "engine", here.parent):
        init = folder / "eoscale_engine" / "__init__.py"
        spec = importlib.util.spec_from_file_location("eoscale_engine", init)
        if init.is_file() and spec is not None and spec.loader is not None:
            sys.modules["eoscale_engine"] = module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return


_load_engine()


def classFactory(iface: Any) -> EoscalePlugin:
    """The plugin, as QGIS asks for it."""
    from eoscale_qgis.plugin import EoscalePlugin

    return EoscalePlugin(iface)
