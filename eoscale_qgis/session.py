"""The engine of one QGIS session: started at the first run, replaced when its settings change."""

from __future__ import annotations

import atexit
import threading
from collections import Counter
from typing import Callable, Optional

from qgis.core import Qgis, QgsMessageLog

from eoscale_engine.errors import Cancelled
from eoscale_engine.service.client import EngineClient, EngineOptions
from eoscale_qgis.settings import Settings

StartEngine = Callable[[EngineOptions], EngineClient]


def start_engine(options: EngineOptions) -> EngineClient:
    """An engine that logs to QGIS's message panel."""

    def log(text: str) -> None:
        QgsMessageLog.logMessage(text, "EOScale", Qgis.MessageLevel.Info)

    return EngineClient(options, log=log)


class Session:
    """Hands out the engine, and counts who needs it: runs, and the images that it holds.

    A change of settings starts a new engine for the next run. The old one goes when the last
    image in its folder was released, so that no layer loses its pixels to a changed setting.
    """

    def __init__(self, start: StartEngine = start_engine) -> None:
        self._start = start
        self._lock = threading.RLock()
        self._current: Optional[EngineClient] = None
        self._options: Optional[EngineOptions] = None
        self._uses: Counter[EngineClient] = Counter()
        self._ended = False
        atexit.register(self.close)

    def acquire(self) -> EngineClient:
        """The engine for a run, started if need be. Give it back with :meth:`give_back`."""
        options = Settings.read().engine_options()
        with self._lock:
            if self._ended:  # and nobody would end another engine
                raise Cancelled("EOScale was unloaded.")
            if self._current is None or options != self._options:
                self._retire()
                self._current, self._options = self._start(options), options
            self.retain(self._current)
            return self._current

    def retain(self, client: EngineClient) -> None:
        """Keep an engine for one more user of it."""
        with self._lock:
            self._uses[client] += 1

    def give_back(self, client: EngineClient) -> None:
        """One user of an engine is done with it; a retired engine goes with its last one."""
        with self._lock:
            self._uses[client] -= 1
            if self._uses[client] <= 0 and client is not self._current:
                del self._uses[client]
                client.close()

    def inline_reason(self) -> str:
        """Why work runs inside QGIS itself; empty where it does not, or no engine runs yet."""
        with self._lock:
            return "" if self._current is None else self._current.inline

    def clients(self) -> set[EngineClient]:
        """All engines that may hold something in memory."""
        with self._lock:
            return {*self._uses, *filter(None, [self._current])}

    def rest(self) -> None:
        """End all engine processes; images in memory stay."""
        with self._lock:
            self._ended = True
            self._retire()
            for client in self._uses:
                client.rest()

    def leave(self) -> None:
        """Leave all engines to another session, which holds their images now."""
        atexit.unregister(self.close)
        with self._lock:
            self._current = None
            self._uses.clear()

    def _retire(self) -> None:
        client, self._current = self._current, None
        if client is not None and self._uses[client] <= 0:
            del self._uses[client]
            client.close()

    def close(self) -> None:
        """End every engine, with all images that they hold. May be called more than once."""
        atexit.unregister(self.close)
        with self._lock:
            self._ended = True
            self._retire()
            for client in list(self._uses):
                client.close()
            self._uses.clear()
