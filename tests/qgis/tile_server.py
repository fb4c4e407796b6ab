"""A server of XYZ tiles on this machine alone, for layers without pixels of their own."""

from __future__ import annotations

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from osgeo import gdal

WORLD = 40075016.685578488
"""Metres of the equator in EPSG:3857: the width of the one tile of zoom level 0."""

ZOOM = 3
CELL = WORLD / 256 / 2**ZOOM
"""Metres of a pixel of the only zoom level."""


def tile(column, row):
    """Red and green of a tile count its pixels over the whole map, modulo 251; blue is 7."""
    across = (256 * column + np.arange(256)) % 251
    down = (256 * row + np.arange(256)) % 251
    red, green = np.broadcast_arrays(across, down[:, np.newaxis])
    return np.stack([red, green, np.full_like(red, 7)]).astype("uint8")


def as_png(pixels):
    """The bytes of a PNG file."""
    image = gdal.GetDriverByName("MEM").Create("", 256, 256, 3)
    image.WriteArray(pixels)
    path = f"/vsimem/tile-{threading.get_ident()}.png"
    gdal.GetDriverByName("PNG").CreateCopy(path, image)
    file = gdal.VSIFOpenL(path, "rb")
    size = gdal.VSIStatL(path).size
    data = bytes(gdal.VSIFReadL(1, size, file))
    gdal.VSIFCloseL(file)
    gdal.Unlink(path)
    return data


class TileServer:
    """Serves tiles, each of which takes ``seconds``; the paths in ``broken`` fail."""

    def __init__(self):
        self.asked, self.broken, self.seconds = [], set(), 0.0
        self._closing = threading.Event()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                _, column, row = map(int, self.path.strip("/").split("."))
                outer.asked.append((column, row))
                if outer._closing.wait(outer.seconds):
                    return
                if (column, row) in outer.broken:
                    self.send_error(500)
                    return
                data = as_png(tile(column, row))
                self.send_response(200)
                self.send_header("Content-Type", "image/png")
                self.send_header("Content-Length", str(len(data)))
                self.send_header("Cache-Control", "no-store")
                self.end_headers()
                with contextlib.suppress(OSError):  # cancelled
                    self.wfile.write(data)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def uri(self):
        """The source of a layer for QGIS's provider ``wms``."""
        url = f"http://127.0.0.1:{self._server.server_port}/%7Bz%7D.%7Bx%7D.%7By%7D"
        return f"type=xyz&url={url}&zmin={ZOOM}&zmax={ZOOM}"

    def close(self):
        """End it."""
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
