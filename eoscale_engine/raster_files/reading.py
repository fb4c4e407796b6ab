"""Images on disk, through GDAL: what they are, and their pixels.

Writing is in :mod:`eoscale_engine.raster_files.writing`, putting images on one grid in
:mod:`eoscale_engine.raster_files.alignment`.
"""

from __future__ import annotations

import os
import time
from collections import OrderedDict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional

import numpy as np
from osgeo import gdal

from eoscale_engine.errors import InputError
from eoscale_engine.profile import Profile
from eoscale_engine.raster_files.completeness import check_kind, check_whole
from eoscale_engine.raster_files.gdal_calls import call_gdal, reason
from eoscale_engine.raster_files.gdal_profile import BandStatistics, gdal_type, profile_of
from eoscale_engine.raster_files.own_memory import check_path, in_own_memory, unseen
from eoscale_engine.raster_files.remarks import Remarks
from eoscale_engine.raster_files.signature import Signature, file_signature, file_state
from eoscale_engine.raster_files.vrt import vrt_face
from eoscale_engine.tiling import Window

__all__ = [
    "BandStatistics", "Datasets", "RasterFile", "file_signature", "open_raster_file", "vrt_face",
]  # fmt: skip

_READS_BLOCKS = int(gdal.VersionInfo()) >= 3050000
"""Whether this GDAL decodes a block into an array that it is given."""

# ---------------------------------------------------------------- reading


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
        What tells of validity beside nodata: ``"none"``, ``"alpha"`` (a band: 0 is transparent) or
        ``"mask"`` (GDAL mask bands: 0 is invalid).
    alpha : int
        Number of the alpha band, 0 where there is none.
    signature : Signature or None
        Of the file when it was described; None where that cannot be known (see
        :func:`file_signature`).
    described : int
        When, in nanoseconds.
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
    described: int = 0
    derived: bool = False
    as_stored: bool = False
    remarks: tuple[str, ...] = ()

    @property
    def memory_bytes(self) -> int:
        """Bytes of all pixels in memory, with a mask where there is one."""
        return (
            self.profile.nbytes + (self.mask != "none") * self.profile.height * self.profile.width
        )

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

    def read_mask(
        self, window: Window, datasets: Optional[Datasets] = None
    ) -> Optional[np.ndarray]:
        """Where alpha or masks say that pixels are valid, boolean ``(rows, cols)``.

        None where the image has neither. Where each band has its own mask, a pixel is valid that is
        valid in all chosen bands. Nodata values have no part in this.
        """
        if self.mask == "none":
            return None
        datasets = datasets or Datasets()
        dataset = datasets.get(self)
        answer = datasets.call(self, _read_masks, dataset, self, _place(window))
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
                raise unseen(f"What {self.path} shows")
            raise InputError(
                f"{self.path} cannot be read at rows {window.row} to {window.end_row - 1}, columns "
                f"{window.col} to {window.end_col - 1}: {reason(errors)}. The file may be damaged "
                "or incomplete: copy or download it again."
            )
        return pixels


def _place(window: Window) -> tuple[int, int, int, int]:
    return window.col, window.row, window.cols, window.rows


def _read_masks(
    dataset: gdal.Dataset, file: RasterFile, place: tuple[int, int, int, int]
) -> Optional[np.ndarray]:
    """Where alpha band or masks are not 0; None where one cannot be decoded."""
    if file.mask == "alpha":
        masks = [dataset.GetRasterBand(file.alpha)]
    else:
        bands = map(dataset.GetRasterBand, _mask_bands(dataset, file.bands))
        masks = [band.GetMaskBand() for band in bands]
    valid: Optional[np.ndarray] = None
    for mask in masks:
        decoded = mask.ReadAsArray(*place)
        if decoded is None:
            return None
        valid = decoded != 0 if valid is None else valid & (decoded != 0)
    return valid


def _read_blocks(
    dataset: gdal.Dataset, bands: Sequence[int], place: tuple[int, int], out: np.ndarray
) -> Optional[np.ndarray]:
    """Decode one block of each band; None where one fails."""
    for number, pixels in zip(bands, out):
        if dataset.GetRasterBand(number).ReadBlock(*place, pixels.view(np.uint8)) is None:
            return None
    return out


def _as_stored(dataset: gdal.Dataset, bands: Sequence[int], dtype: str) -> bool:
    """Whether GDAL decodes blocks of these bands to arrays of a dtype without a change."""
    apart = dataset.GetMetadataItem("INTERLEAVE", "IMAGE_STRUCTURE") == "BAND"
    return (
        _READS_BLOCKS
        and (apart or dataset.RasterCount == 1)
        and all(dataset.GetRasterBand(n).DataType == gdal_type(dtype) for n in bands)
    )


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
            dataset = _opened(file.path, file.path)
            if file.signature and file_state(file.path) != file.signature[0]:
                raise InputError(f"{file.path} changed while it was in use. Run again.")
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
        return file.path, file.signature or file.described

    def clear(self) -> None:
        """Close all datasets."""
        self._open.clear()


# ---------------------------------------------------------------- describing


def open_raster_file(
    path: str,
    bands: Optional[Sequence[int]] = None,
    *,
    label: str = "",
    keep_alpha: bool = False,
    named: Collection[int] = (),
) -> RasterFile:
    """Check and describe an image that GDAL reads.

    Parameters
    ----------
    path : str
        A file, or any name that GDAL opens.
    bands : sequence of int, optional
        Numbers from 1; all but alpha where None (an image of alpha alone keeps it).
    keep_alpha : bool
        Whether an alpha band is one like any other, and says nothing of validity.
    named : collection of int
        Bands that parameters name: an alpha band that is chosen or named is one like any other.
    label : str
        What the user calls the image, for messages.

    Raises
    ------
    InputError
        Naming the label, the path, what is wrong and what to do.
    """
    name = f"{label} ({path})" if label else path
    check_kind(name, check_path(path))
    remarks: list[str] = []
    dataset = _opened(path, name, remarks)
    _check_bands(dataset, name)
    signature = file_signature(path)
    files = [state[0] for state in signature or ()] or (dataset.GetFileList() or [])[:1]
    check_whole(name, dataset, files)
    alpha = _alpha_band(dataset)
    if keep_alpha or alpha in (*(bands or ()), *named):
        alpha = 0
    everything = range(1, dataset.RasterCount + 1)
    chosen = tuple(bands or [n for n in everything if n != alpha] or everything)
    for number in chosen:
        if number not in everything:
            raise InputError(
                f"{name} has no band {number}: it has {dataset.RasterCount}. Choose another band."
            )
    try:
        profile, errors = call_gdal(profile_of, dataset, chosen, warned=remarks)
    except InputError as problem:
        raise InputError(f"{name}: {problem}. Convert the image to another data type.") from None
    if profile is None:
        raise InputError(f"{name} cannot be described: {reason(errors)}.")
    masked, problems = call_gdal(_mask_bands, dataset, chosen)
    if masked is None or problems:
        raise InputError(f"{name}: its mask cannot be read: {reason(problems)}. Copy it again.")
    mask = "mask" if masked else "none"
    if alpha and chosen != (alpha,):
        mask = "alpha"
    cols, rows = dataset.GetRasterBand(chosen[0]).GetBlockSize()
    return RasterFile(
        path, chosen, profile, (rows, cols), mask, alpha if mask == "alpha" else 0,
        signature, time.time_ns(), dataset.GetDriver().ShortName == "VRT",
        _as_stored(dataset, chosen, profile.dtype), tuple(dict.fromkeys(remarks + errors)),
    )  # fmt: skip


def _opened(path: str, name: str, remarks: Optional[list[str]] = None) -> gdal.Dataset:
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
        raise InputError(f"{name} is not an image that GDAL can read: {reason(errors)}.")
    if remarks is not None:
        remarks += errors
    return dataset


def _check_bands(dataset: gdal.Dataset, name: str) -> None:
    subdatasets = [subdataset for subdataset, _ in dataset.GetSubDatasets()]
    if dataset.RasterCount == 0 and subdatasets:
        raise InputError(
            f"{name} holds {len(subdatasets)} images. Choose one of: {', '.join(subdatasets)}."
        )
    if dataset.RasterCount == 0:
        raise InputError(f"{name} has no bands. Choose an image that has pixels.")


def _alpha_band(dataset: gdal.Dataset) -> int:
    for number in range(1, dataset.RasterCount + 1):
        if dataset.GetRasterBand(number).GetColorInterpretation() == gdal.GCI_AlphaBand:
            return number
    return 0


def _mask_bands(dataset: gdal.Dataset, bands: Sequence[int]) -> list[int]:
    """Bands whose masks say more than their nodata values do; one for a mask of the dataset."""
    masked = []
    for number in bands:
        flags = dataset.GetRasterBand(number).GetMaskFlags()
        # Both flags: the metadata item NODATA_VALUES, a colour that is transparent as a whole.
        by_color = flags & gdal.GMF_NODATA and flags & gdal.GMF_PER_DATASET
        if by_color or not flags & (gdal.GMF_ALL_VALID | gdal.GMF_NODATA | gdal.GMF_ALPHA):
            masked.append(number)
            if flags & gdal.GMF_PER_DATASET:
                break
    return masked
