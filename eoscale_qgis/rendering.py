"""Layers that GDAL cannot read, as images: rendered to a file through QGIS's raster pipe."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from osgeo import gdal
from qgis.core import (
    Qgis,
    QgsCoordinateReferenceSystem,
    QgsCoordinateTransformContext,
    QgsNetworkAccessManager,
    QgsNetworkReplyContent,
    QgsProcessingFeedback,
    QgsProcessingUtils,
    QgsRasterBlockFeedback,
    QgsRasterDataProvider,
    QgsRasterFileWriter,
    QgsRasterPipe,
    QgsRasterProjector,
)
from qgis.PyQt.QtCore import Qt
from qgis.PyQt.QtNetwork import QNetworkReply

from eoscale_engine.errors import Cancelled, InputError, MemoryBudgetError
from eoscale_engine.raster_files.gdal_calls import call_gdal, opened, reason
from eoscale_engine.words import counted
from eoscale_qgis.grids import Grid

PICTURES = (Qgis.DataType.ARGB32, Qgis.DataType.ARGB32_Premultiplied)
"""Data types of layers that servers draw: one band in QGIS, written as red, green, blue, alpha."""


def is_picture(provider: QgsRasterDataProvider) -> bool:
    """Whether a provider gives colours, and not values in bands."""
    return provider.dataType(1) in PICTURES


def band_count(provider: QgsRasterDataProvider) -> int:
    """Bands of the image that a provider's layer is rendered to."""
    return 4 if is_picture(provider) else int(provider.bandCount())


@dataclass
class Rendering:
    """A layer to be rendered once: its provider and CRS, its grid, and the part that is needed."""

    label: str
    provider: QgsRasterDataProvider
    crs: QgsCoordinateReferenceSystem
    grid: Grid
    part: Grid
    details: str = field(init=False)
    _picture: bool = field(init=False)
    _pixel_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        size = f"{self.part.cols} x {self.part.rows} pixels"
        self.details = f"{self.provider.name()}, rendered at {size}"
        self._picture = is_picture(self.provider)
        self._pixel_bytes = sum(
            self.provider.dataTypeSize(band + 1) for band in range(self.provider.bandCount())
        )

    def write(
        self,
        folder: str,
        transforms: QgsCoordinateTransformContext,
        feedback: QgsProcessingFeedback,
    ) -> str:
        """Write the image into a folder; its path.

        Where only a part is needed, the rest of the grid is left empty: no run looks there.
        """
        part = self.part
        path = os.path.join(folder, f"{len(os.listdir(folder))}.tif")
        self._require_space(folder)
        feedback.pushInfo(
            f"'{self.label}' is not a file that GDAL reads: rendering {part.cols} x {part.rows} "
            "pixels of it."
        )
        with _failed_requests() as failed:
            problem = self._render(path, transforms, feedback)
        if feedback.isCanceled():
            raise Cancelled("Cancelled.")
        if problem:
            raise self._not_rendered(problem)
        if failed:
            feedback.pushWarning(
                f"{counted(len(failed), 'request')} of layer '{self.label}' failed, and the pixels "
                f"there are invalid in the result ({failed.popitem()[1]}). Run again, or look at "
                "the layer in the map window."
            )
        self._require_content(path)
        if part == self.grid:
            return path
        said: list[str] = []  # what it cannot use, GDAL only warns of
        made, errors = call_gdal(_placed, path, self.grid, warned=said)
        if not made or errors:
            raise self._not_rendered(reason(errors or said))
        return path + ".vrt"

    def _not_rendered(self, problem: str) -> InputError:
        return InputError(
            f"Layer '{self.label}' could not be rendered: {problem}. Look at it in the map window."
        )

    def _require_space(self, folder: str) -> None:
        needed = self.part.cols * self.part.rows * self._pixel_bytes
        free = shutil.disk_usage(folder).free
        if needed > free:
            raise MemoryBudgetError(
                f"Layer '{self.label}' needs {needed / 1e6:.0f} MB as an image, and '{folder}' has "
                f"{free / 1e6:.0f} MB. Choose a smaller extent, a larger cell size, or make room."
            )

    def _render(
        self,
        path: str,
        transforms: QgsCoordinateTransformContext,
        feedback: QgsProcessingFeedback,
    ) -> str:
        """Write the part; why that failed, or an empty text.

        No error leaves from here: its traceback would keep the pipe, which must not outlive QGIS.
        """
        if self.crs != self.part.crs and not (self.crs.isValid() and self.part.crs.isValid()):
            return "it or the first image has no CRS, which is set in the layer's properties"
        pipe = QgsRasterPipe()
        # It becomes the pipe's own. No clone: QGIS 3.22 reads noise from a virtual raster's second.
        pipe.set(self.provider)
        if self.crs != self.part.crs:
            projector = QgsRasterProjector()
            projector.setCrs(self.crs, self.part.crs, transforms)
            pipe.set(projector)
        progress = QgsRasterBlockFeedback()
        # Cancel comes from the window's thread while this one is busy: it cannot wait in its queue.
        feedback.canceled.connect(progress.cancel, Qt.ConnectionType.DirectConnection)
        progress.progressChanged.connect(feedback.setProgress)
        part = self.part
        error = QgsRasterFileWriter(path).writeRaster(
            pipe, part.cols, part.rows, part.extent, part.crs, transforms, progress
        )
        if error == QgsRasterFileWriter.WriterError.NoError:
            return ""
        return "; ".join(progress.errors()) or f"error {int(error)} of QGIS's raster writer"

    def _require_content(self, path: str) -> None:
        """Refuse a picture without a single pixel: a server that fails draws and says nothing."""
        if self._picture:
            highest, errors = call_gdal(_highest_alpha, path)
            if highest is None:
                raise self._not_rendered(reason(errors))
            if highest == 0:
                raise InputError(
                    f"Layer '{self.label}' is empty here: its server cannot be reached, or has "
                    "nothing to show at this place and cell size. Look at it in the map window."
                )


def _placed(path: str, grid: Grid) -> bool:
    """Write a VRT of the whole grid, of which the image at a path is a part."""
    whole, (width, height) = grid.extent, grid.cell
    bounds = (whole.xMinimum(), whole.yMinimum(), whole.xMaximum(), whole.yMaximum())
    made = gdal.BuildVRT(path + ".vrt", [path], outputBounds=bounds, xRes=width, yRes=height)
    return made is not None


def _highest_alpha(path: str) -> float:
    image = opened(path)  # which its band does not keep open
    return float(image.GetRasterBand(4).ComputeRasterMinMax(False)[1])


@contextmanager
def _failed_requests() -> Iterator[dict[str, str]]:
    """This thread's requests that failed meanwhile, with the reasons: the writer hides them."""
    failed: dict[str, str] = {}

    def finished(reply: QgsNetworkReplyContent) -> None:
        url = reply.request().url().toString()
        if reply.error() == QNetworkReply.NetworkError.NoError:
            failed.pop(url, None)
        elif reply.error() != QNetworkReply.NetworkError.OperationCanceledError:
            failed[url] = reply.errorString()

    signal = QgsNetworkAccessManager.instance().finished[QgsNetworkReplyContent]
    signal.connect(finished)
    try:
        yield failed
    finally:
        signal.disconnect(finished)


@contextmanager
def rendering_folder() -> Iterator[str]:
    """A folder for rendered images, removed at the end."""
    folder = tempfile.mkdtemp(prefix="rendered-", dir=QgsProcessingUtils.tempFolder())
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
