"""Images on disk, through GDAL: what they are, and their pixels.

Describing them is in :mod:`eoscale_engine.raster_files.opening`, writing in
:mod:`eoscale_engine.raster_files.writing`, putting them on one grid in
:mod:`eoscale_engine.raster_files.alignment`.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Optional

import numpy as np
from osgeo import gdal

from eoscale_engine.errors import InputError
from eoscale_engine.images.area import Area, all_valid_in
from eoscale_engine.images.part import Part
from eoscale_engine.images.source import READ, Place, Seen, WorkerState
from eoscale_engine.profile import Profile
from eoscale_engine.raster_files.datasets import Datasets
from eoscale_engine.raster_files.gdal_calls import reason
from eoscale_engine.raster_files.gdal_profile import gdal_type
from eoscale_engine.raster_files.masks import read_planes
from eoscale_engine.raster_files.own_memory import in_own_memory, unseen
from eoscale_engine.raster_files.signature import FileState, Signature
from eoscale_engine.tiling import Window

if TYPE_CHECKING:
    from eoscale_engine.memory.images import Image

_READS_BLOCKS = int(gdal.VersionInfo()) >= 3050000
"""Whether this GDAL decodes a block into an array that it is given."""


@dataclass(frozen=True)
class RasterFile:
    """Chosen bands of an image on disk. A value: it can be sent to workers.

    Attributes
    ----------
    path : str
    bands : tuple of int
        Numbers of the chosen bands, from 1.
    profile : Profile
        Of the chosen bands.
    block_shape : (rows, cols)
        The file's own blocks: windows that keep to them are read fastest.
    mask : str
        What tells of validity beside nodata: ``"none"``, ``"alpha"`` (a band: 0 is transparent),
        ``"mask"`` (GDAL's mask of all bands: 0 is invalid) or ``"bands"`` (masks of single bands).
    alpha : int
        Number of the alpha band, 0 where it tells of nothing.
    signature : Signature or None
        Of the file when it was described; None where that cannot be known (see
        :func:`file_signature`).
    opened_at : int
        When it was described, in nanoseconds.
    derived : bool
        Whether its pixels are those of other files (a VRT), whose blocks may be others.
    as_stored : bool
        Whether each band's blocks lie apart in the file and hold pixels of the profile's dtype.
    remarks : tuple of str
        What GDAL had to say as it opened the image, though it could.
    """

    path: str
    bands: tuple[int, ...]
    profile: Profile
    block_shape: tuple[int, int]
    mask: str = "none"
    alpha: int = 0
    signature: Optional[Signature] = None
    opened_at: int = 0
    derived: bool = False
    as_stored: bool = False
    remarks: tuple[str, ...] = ()

    label = "Reading"
    comes = READ
    in_memory = False

    @property
    def planes(self) -> int:
        """As the mask says."""
        return {"none": 0, "bands": len(self.bands)}.get(self.mask, 1)

    @property
    def by_block(self) -> bool:
        """Not where its pixels are those of other files."""
        return not self.derived

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels in memory, with its planes."""
        return self.profile.nbytes + self.planes * self.profile.height * self.profile.width

    @property
    def files(self) -> tuple[str, ...]:
        """Its path."""
        return (self.path,)

    @property
    def states(self) -> tuple[FileState, ...]:
        """Of its signature."""
        return self.signature or ()

    @property
    def images(self) -> tuple[Image, ...]:
        """None."""
        return ()

    def tile_side(self, margin: int) -> int:
        """Four margins: what lies in the margins is decoded again."""
        return 4 * margin

    def working_bytes(self, rows: int, cols: int) -> int:
        """Pixels and planes of the window."""
        return rows * cols * (self.profile.pixel_bytes + self.planes)

    def identity(self, bands: Sequence[int]) -> Hashable:
        """The file and the bands in it."""
        chosen = tuple(self.bands[number - 1] for number in bands) or self.bands
        return os.path.realpath(self.path), chosen

    def cropped(self, window: Window) -> Part:
        """A window of it."""
        return Part(self, window, self.profile.cropped(*window))

    def described(self, profile: Profile) -> RasterFile:
        """With other words."""
        return replace(self, profile=profile)

    def area(self, window: Window, state: WorkerState) -> Area:
        """What is decoded of a window."""
        datasets = state.of(Datasets)
        pixels = self.read(window, datasets=datasets)
        planes = self.read_planes(window, datasets=datasets)
        return Area(pixels, planes, slice(None), window, self.profile)

    def fill(self, window: Window, places: list[Place], state: WorkerState) -> list[Seen]:
        """Decode straight into a place."""
        datasets, (place,) = state.of(Datasets), places
        self.read(window, place.pixels, datasets=datasets)
        planes = self.read_planes(window, datasets=datasets)
        if planes is not None and place.planes is not None:
            # GDAL's own value of a valid pixel
            np.multiply(planes, 255, out=place.planes, dtype=np.uint8)
        return [Seen(all_valid_in(*place[:2], place.profile.bands))]

    def read(
        self,
        window: Window,
        out: Optional[np.ndarray] = None,
        datasets: Optional[Datasets] = None,
    ) -> np.ndarray:
        """The pixels of a window of the image, ``(bands, rows, cols)`` in the profile's dtype.

        Decoded straight into ``out`` where it is given: any view with these shape and dtype whose
        strides are positive. An InputError names the file and the window that cannot be decoded.
        """
        if out is None:
            out = np.empty((len(self.bands), window.rows, window.cols), self.profile.dtype)
        datasets = datasets or Datasets()
        dataset = datasets.get(self)
        if self.as_stored and self._is_block(window) and out.flags.c_contiguous:
            # to where they are wanted, not by way of GDAL's cache of blocks
            place = window.col // window.cols, window.row // window.rows
            answer = datasets.call(self, _read_blocks, dataset, self.bands, place, out)
        else:
            bands = list(self.bands)
            answer = datasets.call(
                self, dataset.ReadAsArray, *_place(window), buf_obj=out, band_list=bands
            )
        self._checked(answer, window, datasets)
        return out

    def _is_block(self, window: Window) -> bool:
        """Whether a window is one whole block of the file."""
        rows, cols = self.block_shape
        return (
            (window.rows, window.cols) == (rows, cols)
            and window.row % rows == 0 and window.end_row <= self.profile.height
            and window.col % cols == 0 and window.end_col <= self.profile.width
        )  # fmt: skip

    def read_planes(
        self, window: Window, datasets: Optional[Datasets] = None
    ) -> Optional[np.ndarray]:
        """Where alpha or masks say that pixels are valid, boolean ``(1 or bands, rows, cols)``.

        None where the image has neither. Nodata values have no part in this.
        """
        if self.mask == "none":
            return None
        datasets = datasets or Datasets()
        dataset = datasets.get(self)
        answer = datasets.call(self, read_planes, dataset, self, _place(window))
        return np.asarray(self._checked(answer, window, datasets))

    def _checked(
        self, answer: tuple[Optional[Any], list[str]], window: Window, datasets: Datasets
    ) -> Any:
        pixels, errors = answer
        if pixels is None or errors:
            # GDAL keeps a block that it could not decode, and would hand it out the next time
            text = datasets.get(self).GetMetadata("xml:VRT") if self.derived else None
            datasets.close(self)
            if in_own_memory("".join(text or ())):
                raise unseen(f"What '{self.path}' shows")
            raise InputError(
                f"'{self.path}' cannot be read at rows {window.row} to {window.end_row - 1}, "
                f"columns {window.col} to {window.end_col - 1}: {reason(errors)}. The file may be "
                "damaged or incomplete: copy or download it again."
            )
        return pixels


def _place(window: Window) -> tuple[int, int, int, int]:
    return window.col, window.row, window.cols, window.rows


def _read_blocks(
    dataset: gdal.Dataset, bands: Sequence[int], place: tuple[int, int], out: np.ndarray
) -> Optional[np.ndarray]:
    """Decode one block of each band; None where one fails."""
    for number, pixels in zip(bands, out):
        if dataset.GetRasterBand(number).ReadBlock(*place, pixels.view(np.uint8)) is None:
            return None
    return out


def as_stored(dataset: gdal.Dataset, bands: Sequence[int], dtype: str) -> bool:
    """Whether GDAL decodes blocks of these bands to arrays of a dtype without a change."""
    apart = dataset.GetMetadataItem("INTERLEAVE", "IMAGE_STRUCTURE") == "BAND"
    return (
        _READS_BLOCKS
        and (apart or dataset.RasterCount == 1)
        and all(dataset.GetRasterBand(n).DataType == gdal_type(dtype) for n in bands)
    )
