"""Which images in memory QGIS knows of, under a link at the path that Processing asked for.

An image is given back as soon as nothing uses it and nothing can come back to it. It is *used* by
layers in the project, runs that read it, and the Processing context of a model that goes on with
it. Something can *come back* to it where a project file that was saved in this session shows it
(*Revert*, *Open*), where the clipboard holds a layer on it, and where a script was given its path.
An image that is not used but may be come back to leaves memory within a minute: it moves to disk,
where QGIS's own temporary results lie, and its path stays as it is.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any, Optional

from qgis.core import QgsApplication, QgsMapLayer, QgsProcessingContext, QgsProject
from qgis.PyQt.QtCore import QTimer

from eoscale_engine.errors import MemoryBudgetError
from eoscale_engine.service.client import EngineClient
from eoscale_qgis.places import image_key, link, remove
from eoscale_qgis.published import Published, Usage
from eoscale_qgis.session import Session

LAYERS_IN_CLIPBOARD = "application/qgis.maplayer"

LOOK_SECONDS = 20.0
"""How often images are looked at; one that was not used at two looks moves to disk."""


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
        self._clipboard = ""
        self._timer = QTimer()
        self._timer.timeout.connect(self.look)
        self._timer.start(int(LOOK_SECONDS * 1000))
        QgsProject.instance().layersAdded.connect(self._layers_added)
        QgsProject.instance().projectSaved.connect(self._project_saved)
        if QgsApplication.platform() != "qgis_process":
            QgsApplication.clipboard().dataChanged.connect(self._clipboard_changed)

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
        What was published at that path before is given back.
        """
        image = Published(client, name, path, of_context=holder is not None)
        if image_key(face) != image_key(path):
            remove(path)
            link(face, path)
        key = image_key(path)
        with self._lock:
            replaced = self._images.get(key)
            if replaced is not None:
                image.layers, image.projects = replaced.layers, replaced.projects
                image.waiting = image.of_context or not image.layers
            self._images[key] = image
            self._session.retain(client)
        if replaced is not None:
            self._give_back(replaced)
        if holder is not None:
            holder.keys.append(key)

    def __len__(self) -> int:
        return len(self._images)

    def __contains__(self, source: str) -> bool:
        return image_key(source) in self._images

    def usage(self) -> Usage:
        """What is in memory now."""
        with self._lock:
            images = list(self._images.values())
            clients = {image.client for image in images} | self._session.clients()
        names: dict[EngineClient, set[str]] = {client: set() for client in clients}
        for image in images:
            names[image.client].add(image.name)
        taken = sum(client.memory(names[client]) for client in clients)
        total = sum(client.memory() for client in clients)
        unseen = sum(not image.used for image in images)
        return Usage(len(images), unseen, taken, max(0, total - taken))

    @contextmanager
    def in_use(self, paths: Iterable[str]) -> Iterator[None]:
        """Keep the images among these paths while a run reads them."""
        with self._lock:
            keys = [key for key in map(image_key, paths) if key in self._images]
            read = [self._images[key] for key in keys]
            for image in read:
                image.runs += 1
        try:
            yield
        finally:
            with self._lock:
                for image in read:  # by now, another one may be there, or none
                    image.runs -= 1
            self._release_unneeded(keys)

    def context_gone(self, key: str) -> None:
        """The Processing context that an image belonged to was destroyed."""
        with self._lock:
            if key in self._images:
                self._images[key].waiting = False
        self._release_unneeded([key])

    # ---- who uses it

    def _layers_added(self, layers: Iterable[QgsMapLayer]) -> None:
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
        QTimer.singleShot(0, partial(self._release_unneeded, [key]))

    def _project_saved(self) -> None:
        file = QgsProject.instance().fileName()
        with self._lock:
            for image in self._images.values():
                (image.projects.add if image.layers else image.projects.discard)(file)
        self._release_unneeded()

    def _clipboard_changed(self) -> None:
        if not self._images:
            return
        data = QgsApplication.clipboard().mimeData()
        found = b"" if data is None else bytes(data.data(LAYERS_IN_CLIPBOARD))
        self._clipboard = found.decode(errors="replace")
        self._release_unneeded()

    # ---- giving back

    def _release_unneeded(self, keys: Optional[Sequence[str]] = None) -> None:
        """Give back those images, or any, that nothing uses and nothing can come back to."""
        with self._lock:
            gone = []
            for key in list(self._images) if keys is None else keys:
                image = self._images.get(key)
                if image is None or image.used or image.waiting or image.projects:
                    continue
                if not image.named_in(self._clipboard):
                    gone.append(self._images.pop(key))
        for image in gone:
            remove(image.path)
            self._give_back(image)

    def _give_back(self, image: Published) -> None:
        image.client.release([image.name])
        self._session.give_back(image.client)

    def free(self, unused: bool = True) -> None:
        """Give back what is kept for reuse; with ``unused`` all images that nothing uses now."""
        with self._lock:
            for image in self._images.values() if unused else ():
                if not image.used:
                    image.waiting = False
                    image.projects.clear()
            self._clipboard = "" if unused else self._clipboard
            clients = self._session.clients() | {image.client for image in self._images.values()}
        self._release_unneeded()
        for client in clients:
            client.drop_idle()

    def look(self) -> None:
        """Have images that were not used at this look and the one before move to disk.

        Where work runs inside QGIS, what is kept for reuse goes too; an engine sees to it itself.
        """
        for client in self._session.clients():
            if client.inline:
                client.drop_idle()
        with self._lock:
            for image in self._images.values():
                image.unused_looks = 0 if image.used else image.unused_looks + 1
            unused = [image for image in self._images.values() if image.unused_looks == 2]
        if unused:
            threading.Thread(
                target=self._to_disk, args=(unused,), name="eoscale to disk", daemon=True
            ).start()

    def _to_disk(self, images: Iterable[Published]) -> None:
        for image in images:
            client, old = image.client, image.name
            # gone meanwhile, or no room: it stays where it is
            with suppress(KeyError, MemoryBudgetError):
                if not client.memory([old]):
                    continue
                copy, face = client.copy_to_disk(old)
                with self._lock:
                    unused = self._images.get(image_key(image.path)) is image and not image.used
                    moved = unused and _linked(face, image.path)
                    if moved:
                        image.name = copy
                client.release([old if moved else copy])

    # ---- the end, and the plugin's

    def rest(self) -> None:
        """End the engines; the images stay, and go as before when nothing needs them."""
        self._session.rest()

    def hand_over(self) -> list[dict[str, Any]]:
        """All images, for a plugin of another version: as plain values, beside their client."""
        self._disconnect()
        with self._lock:
            images, self._images = self._images, {}
        self._session.leave()
        return [
            {
                "client": image.client,
                "name": image.name,
                "path": image.path,
                "waiting": image.waiting,
                "projects": sorted(image.projects),
            }
            for image in images.values()
        ]

    def adopt(self, images: Iterable[dict[str, Any]]) -> None:
        """Take over what a plugin that was unloaded handed over."""
        with self._lock:
            for item in images:
                known = {name: item[name] for name in ("client", "name", "path", "waiting")}
                image = Published(**known, projects=set(item["projects"]))
                self._images[image_key(image.path)] = image
                self._session.retain(image.client)
        self._layers_added(QgsProject.instance().mapLayers().values())
        self._release_unneeded()

    def close(self) -> None:
        """Give all images back with their links, and end the session."""
        self._disconnect()
        with self._lock:
            for image in self._images.values():
                remove(image.path)
            self._images.clear()
        self._session.close()

    def let_go(self) -> None:
        """Remove the layers on all images, and close."""
        with self._lock:
            layers = [name for image in self._images.values() for name in image.layers]
        QgsProject.instance().removeMapLayers(layers)
        self.close()

    def _disconnect(self) -> None:
        self._timer.stop()
        with suppress(TypeError):  # not connected: closed before
            QgsProject.instance().layersAdded.disconnect(self._layers_added)
            QgsProject.instance().projectSaved.disconnect(self._project_saved)
            QgsApplication.clipboard().dataChanged.disconnect(self._clipboard_changed)


def _linked(face: str, path: str) -> bool:
    try:
        link(face, path)
    except OSError:  # the folder of temporary results was removed, or is full
        return False
    return True
