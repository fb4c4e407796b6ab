"""The user's settings, in the profile's section ``[eoscale]``: for the window and headless."""

from __future__ import annotations

from dataclasses import dataclass, fields

from qgis.core import QgsSettings

from eoscale_engine.service.client import EngineOptions

PREFIX = "eoscale/"


@dataclass(frozen=True)
class Settings:
    """How the engine works for this user.

    Attributes
    ----------
    workers : int
        Worker processes; 0: one for each core.
    memory_mb : int
        Megabytes that images may take in memory; 0: what is free, within the engine's own limits.
    tile_size : int
        Pixels of a worker's tile, as the side in pixels of a square; 0: the engine's choice.
    interpreter : str
        Python that runs the engine process; empty: QGIS's own, found by itself.
    keep_in_memory : bool
        Whether temporary results stay in memory as layers, and are never written to disk.
    """

    workers: int = 0
    memory_mb: int = 0
    tile_size: int = 0
    interpreter: str = ""
    keep_in_memory: bool = True

    @classmethod
    def read(cls) -> Settings:
        """The stored settings; what cannot be read counts as not set."""
        store, values = QgsSettings(), {}
        for field in fields(cls):
            try:
                kind = type(field.default)
                values[field.name] = store.value(PREFIX + field.name, field.default, type=kind)
            except TypeError:
                values[field.name] = field.default
        return cls(**values)

    def write(self) -> None:
        """Store these settings in the profile."""
        store = QgsSettings()
        for field in fields(self):
            store.setValue(PREFIX + field.name, getattr(self, field.name))

    def engine_options(self) -> EngineOptions:
        """What of it concerns the engine."""
        return EngineOptions(
            interpreter=self.interpreter,
            workers=self.workers,
            memory_mb=self.memory_mb,
            tile_size=self.tile_size,
        )
