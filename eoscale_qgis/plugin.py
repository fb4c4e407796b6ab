"""The plugin: a Processing provider everywhere, and an options page where there is a window."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Optional

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QCoreApplication

from eoscale_qgis import kept
from eoscale_qgis.provider import EoscaleProvider


class EoscalePlugin:
    """What QGIS loads and unloads. ``iface`` is None in ``qgis_process``."""

    def __init__(self, iface: Any) -> None:
        self._iface = iface
        self.provider: Optional[EoscaleProvider] = None
        self._options: Any = None
        self._permanent: Any = None
        self._asks: Any = None

    def initProcessing(self) -> None:
        """Offer the algorithms; all that ``qgis_process`` calls."""
        self.provider = EoscaleProvider()
        QgsApplication.processingRegistry().addProvider(self.provider)
        # QGIS neither ends Python nor unloads plugins in every case when it ends.
        QCoreApplication.instance().aboutToQuit.connect(self.provider.results.close)
        self.provider.results.adopt(kept.taken())

    def initGui(self) -> None:
        """Offer the algorithms, the options page, and *Make permanent* for what is in memory."""
        from eoscale_qgis.gui.leaving import keeps_results
        from eoscale_qgis.gui.options import OptionsFactory
        from eoscale_qgis.gui.permanent import MakePermanent

        self.initProcessing()
        self._options = OptionsFactory(self.provider.results)
        self._iface.registerOptionsWidgetFactory(self._options)
        self._permanent = MakePermanent(self._iface, self.provider.results)
        # imported now: an upgrade has put its own files in place when it unloads this version
        self._asks = keeps_results

    def unload(self) -> None:
        """Take everything back, but for results in memory that the user wants to keep."""
        if self._options is not None:
            self._iface.unregisterOptionsWidgetFactory(self._options)
            self._permanent.unload()
            self._options = self._permanent = None
        if self.provider is not None:
            if self._keeps_results():
                kept.leave(self.provider.results)
            else:
                QCoreApplication.instance().aboutToQuit.disconnect(self.provider.results.close)
                self.provider.results.let_go()
            QgsApplication.processingRegistry().removeProvider(self.provider)
            self.provider = None
        _forget_engine()

    def _keeps_results(self) -> bool:
        """Whether there are results that stay.

        They do without a question where nobody can be asked, and where no layer shows any: so it is
        when QGIS ends, which closes the project before it unloads plugins.
        """
        results = self.provider.results
        usage = results.usage()
        if self._asks is None or usage.unseen == usage.results:
            return len(results) > 0
        return bool(self._asks(self._iface.mainWindow(), usage))


def _forget_engine() -> None:
    """Let an upgraded plugin import its own engine: QGIS forgets only the plugin's modules."""
    here = Path(__file__).resolve().parent
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] == "eoscale_engine":
            path = getattr(module, "__file__", None)
            if path and here in Path(path).resolve().parents:
                del sys.modules[name]
