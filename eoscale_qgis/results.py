"""Results as QGIS sees them: files, or images in memory under a link, and how long those live.

An image in memory is shown to QGIS by a symbolic link at the path that Processing asked for. It is
released when the last layer on it goes, and an intermediate result when the Processing context that
made it goes; whatever is left goes with the session.
"""

from __future__ import annotations

import glob
import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Optional

from qgis.core import QgsMapLayer, QgsProcessingContext, QgsProcessingUtils, QgsProject
from qgis.PyQt.QtCore import QTimer

from eoscale_engine.service.client import EngineClient
from eoscale_qgis.session import Session


def is_temporary(path: str, context: QgsProcessingContext) -> bool:
    """Whether a destination lies in the folder of Processing's temporary outputs."""
    folders = [QgsProcessingUtils.tempFolder()]
    if hasattr(context, "temporaryFolder") and context.temporaryFolder():
        folders.append(context.temporaryFolder())
    place = os.path.realpath(os.path.dirname(path))
    for folder in map(os.path.realpath, folders):
        if place == folder or place.startswith(folder + os.sep):
            return True
    return False


def links_work(path: str) -> bool:
    """Whether a symbolic link can be made at a path (Windows wants a privilege for it)."""
    if os.name == "nt":
        return False
    probe = path + ".link"
    try:
        os.symlink(path, probe)
        os.unlink(probe)
    except OSError:
        return False
    return True


def keep_of(path: str, context: QgsProcessingContext, in_memory: bool) -> str:
    """How a result is kept: ``memory`` under a link, ``folder`` without links, or a ``file``."""
    if not in_memory or not is_temporary(path, context):
        return "file"
    return "memory" if links_work(path) else "folder"


def link(target: str, path: str) -> None:
    """Make ``path`` a link to an image's GDAL face, in place of what is there."""
    remove(path)
    os.symlink(target, path)


def remove(path: str) -> None:
    """Remove a file or link, and what GDAL left beside it (statistics, overviews, masks)."""
    for name in (path, *glob.glob(glob.escape(path) + ".*")):
        with suppress(OSError):
            os.unlink(name)


def image_key(source: str) -> str:
    """The place that a layer's source names, however its folder is written.

    The link itself, not what it leads to: an image that was loaded twice has two links.
    """
    folder, name = os.path.split(source.partition("|")[0])
    return os.path.join(os.path.realpath(folder), name)


@dataclass
class Published:
    """An image in memory that QGIS knows of.

    ``waiting`` says that something may still come to use it: a script or dialog that has its path
    and loaded no layer yet, or the Processing context of the model that goes on with it.
    """

    client: EngineClient
    name: str
    path: str
    waiting: bool = True
    of_context: bool = False
    layers: set[str] = field(default_factory=set)
    runs: int = 0

    @property
    def needed(self) -> bool:
        """Whether anything uses it or may come to."""
        return self.waiting or bool(self.layers) or self.runs > 0


class ContextImages:
    """The images that live as long as a Processing context."""

    def __init__(self, results: Results, context: QgsProcessingContext) -> None:
        keys: list[str] = []
        self.keys = keys

        def context_gone(*_: Any) -> None:
            for key in keys:
                results.context_gone(key)

        # A function, since PyQt keeps no reference to the object of a method.
        context.temporaryLayerStore().destroyed.connect(context_gone)


class Results:
    """Which images in memory QGIS knows of, and who needs them. Safe to use from any thread."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.RLock()
        self._images: dict[str, Published] = {}
        QgsProject.instance().layersAdded.connect(self._layers_added)

    def publish(
        self,
        client: EngineClient,
        name: str,
        face: str,
        path: str,
        holder: Optional[ContextImages] = None,
    ) -> None:
        """Enter an image. ``face`` is its VRT; ``path`` what QGIS knows it by, made a link to it.

        With a ``holder`` it lives as long as that context, or the layers on it if they stay longer.
        """
        if os.path.realpath(face) != os.path.realpath(path):
            link(face, path)
        key = image_key(path)
        with self._lock:
            self._images[key] = Published(client, name, path, of_context=holder is not None)
            self._session.retain(client)
        if holder is not None:
            holder.keys.append(key)

    def __len__(self) -> int:
        return len(self._images)

    @contextmanager
    def in_use(self, paths: Iterable[str]) -> Iterator[None]:
        """Keep the images among these paths while a run reads them."""
        with self._lock:
            keys = [key for key in map(image_key, paths) if key in self._images]
            for key in keys:
                self._images[key].runs += 1
        try:
            yield
        finally:
            with self._lock:
                for key in keys:
                    self._images[key].runs -= 1
            for key in keys:
                self._release_unneeded(key)

    def context_gone(self, key: str) -> None:
        """The Processing context that an image belonged to was destroyed."""
        with self._lock:
            if key in self._images:
                self._images[key].waiting = False
        self._release_unneeded(key)

    def _layers_added(self, layers: list[QgsMapLayer]) -> None:
        with self._lock:
            for layer in layers:
                key, layer_id = image_key(layer.source()), layer.id()
                image = self._images.get(key)
                if image is None:
                    continue
                image.layers.add(layer_id)
                image.waiting = image.waiting and image.of_context
                layer.willBeDeleted.connect(partial(self._layer_gone, key, layer_id))
                layer.dataSourceChanged.connect(partial(self._source_changed, key, layer_id))

    def _source_changed(self, key: str, layer_id: str) -> None:
        layer = QgsProject.instance().mapLayer(layer_id)
        if layer is not None and image_key(layer.source()) != key:
            self._layer_gone(key, layer_id)

    def _layer_gone(self, key: str, layer_id: str) -> None:
        with self._lock:
            if key in self._images:
                self._images[key].layers.discard(layer_id)
        # The layer still has its file open, which Windows does not let go of.
        QTimer.singleShot(0, partial(self._release_unneeded, key))

    def _release_unneeded(self, key: str) -> None:
        with self._lock:
            image = self._images.get(key)
            if image is None or image.needed:
                return
            del self._images[key]
        remove(image.path)
        image.client.release([image.name])
        self._session.give_back(image.client)

    def close(self) -> None:
        """Forget all images and remove their links; the session removes the images themselves."""
        with suppress(TypeError):  # not connected: closed before
            QgsProject.instance().layersAdded.disconnect(self._layers_added)
        with self._lock:
            for image in self._images.values():
                remove(image.path)
            self._images.clear()
