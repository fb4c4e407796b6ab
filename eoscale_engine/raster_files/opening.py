"""Raster files, checked and described."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Optional

from osgeo import gdal

from eoscale_engine.errors import InputError
from eoscale_engine.raster_files.completeness import check_kind, check_whole
from eoscale_engine.raster_files.datasets import open_dataset
from eoscale_engine.raster_files.gdal_calls import call_gdal, reason
from eoscale_engine.raster_files.gdal_profile import profile_of
from eoscale_engine.raster_files.masks import kind_of_mask
from eoscale_engine.raster_files.own_memory import check_path
from eoscale_engine.raster_files.reading import RasterFile, as_stored
from eoscale_engine.raster_files.signature import file_signature
from eoscale_engine.words import counted


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
    name = f"'{path}'" if label in ("", path) else f"'{label}' ({path})"
    check_kind(name, check_path(path))
    remarks: list[str] = []
    dataset = open_dataset(path, name, remarks)
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
                f"{name} has no band {number}: it has {counted(dataset.RasterCount, 'band')}. "
                "Choose another band."
            )
    try:
        profile, errors = call_gdal(profile_of, dataset, chosen, warned=remarks)
    except InputError as problem:
        raise InputError(f"{name}: {problem}. Convert the image to another data type.") from None
    if profile is None:
        raise InputError(
            f"{name} cannot be used: {reason(errors)}. Copy or download it again, or convert it to "
            "another format."
        )
    mask, problems = call_gdal(kind_of_mask, dataset, chosen)
    if mask is None or problems:
        raise InputError(f"{name}: its mask cannot be read: {reason(problems)}. Copy it again.")
    if mask == "none" and alpha and chosen != (alpha,):  # as GDAL: a mask goes before
        mask = "alpha"
    cols, rows = dataset.GetRasterBand(chosen[0]).GetBlockSize()
    return RasterFile(
        path, chosen, profile, (rows, cols), mask, alpha if mask == "alpha" else 0,
        signature, time.time_ns(), dataset.GetDriver().ShortName == "VRT",
        as_stored(dataset, chosen, profile.dtype), tuple(dict.fromkeys(remarks + errors)),
    )  # fmt: skip


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
