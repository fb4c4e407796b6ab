"""Datasets of GDAL: opened, with what was said, and kept open."""

from __future__ import annotations

import os
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Callable, Optional

from osgeo import gdal

from eoscale_engine.errors import InputError
from eoscale_engine.raster_files.gdal_calls import call_gdal, reason
from eoscale_engine.raster_files.own_memory import in_own_memory, unseen
from eoscale_engine.raster_files.remarks import Remarks
from eoscale_engine.raster_files.signature import file_state

if TYPE_CHECKING:
    from eoscale_engine.raster_files.reading import RasterFile


def open_dataset(path: str, name: str, remarks: Optional[list[str]] = None) -> gdal.Dataset:
    """An image's dataset; an InputError says by its name why there is none."""
    dataset, errors = call_gdal(
        gdal.OpenEx, path, gdal.OF_RASTER | gdal.OF_VERBOSE_ERROR, warned=remarks
    )
    if dataset is None and not os.path.exists(path):
        if os.path.islink(path):
            raise InputError(
                f"{name} is a link to an image that is no longer in memory. Make it again."
            )
        if in_own_memory(path):
            raise unseen(name)
        raise InputError(f"{name} cannot be opened: {reason(errors)}. Check the path.")
    if dataset is None:
        raise InputError(
            f"{name} is not an image that GDAL can read: {reason(errors)}. Choose another file, or "
            "copy or download it again."
        )
    if remarks is not None:
        remarks += errors
    return dataset


class Datasets:
    """The datasets that one thread has open, each opened once and used again.

    An image that was described anew after its file changed is opened anew. Not for two threads.

    Attributes
    ----------
    remarks : Remarks
        What GDAL warned of while it read.
    """

    def __init__(self, limit: int = 32) -> None:
        self.remarks = Remarks()
        self._limit = limit
        self._open: OrderedDict[Any, gdal.Dataset] = OrderedDict()

    def get(self, file: RasterFile) -> gdal.Dataset:
        """The image's dataset; InputError where its file is gone or no more what was described."""
        key = self._key(file)
        if key not in self._open:
            dataset = open_dataset(file.path, f"'{file.path}'")
            if file.signature and file_state(file.path) != file.signature[0]:
                raise InputError(f"'{file.path}' changed while it was in use. Run again.")
            self._open[key] = dataset
            if len(self._open) > self._limit:
                self._open.popitem(last=False)
        self._open.move_to_end(key)
        return self._open[key]

    def call(
        self, file: RasterFile, function: Callable[..., Any], *arguments: Any, **keywords: Any
    ) -> tuple[Optional[Any], list[str]]:
        """Call GDAL, as :func:`call_gdal`, for pixels of an image; keep what it warns of."""
        warned: list[str] = []
        answer = call_gdal(function, *arguments, warned=warned, **keywords)
        if warned:
            self.remarks.add(file.path, warned)
        return answer

    def close(self, file: RasterFile) -> None:
        """Close an image's dataset, and drop what GDAL keeps of its pixels."""
        self._open.pop(self._key(file), None)

    @staticmethod
    def _key(file: RasterFile) -> Any:
        return file.path, file.signature or file.opened_at

    def clear(self) -> None:
        """Close all datasets."""
        self._open.clear()
