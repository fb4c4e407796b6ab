"""Writing an image as GeoTIFF or COG: whole or not at all."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

from osgeo import gdal

from eoscale_engine.errors import Cancelled, OutputError
from eoscale_engine.own_folders import make_folder, remove_stale_folders
from eoscale_engine.profile import Profile
from eoscale_engine.raster_files.gdal_calls import ONE_THREAD, call_gdal, opened, reason
from eoscale_engine.raster_files.gdal_profile import BandStatistics
from eoscale_engine.raster_files.opening import open_raster_file
from eoscale_engine.raster_files.options import FORMATS, WriteOptions, overview_resampling
from eoscale_engine.raster_files.own_memory import in_own_memory
from eoscale_engine.raster_files.reading import RasterFile
from eoscale_engine.raster_files.side_file import inside_tiff, keep_beside
from eoscale_engine.raster_files.signature import source_files
from eoscale_engine.raster_files.tiff_validity import as_in_tiff, write_band_masks
from eoscale_engine.raster_files.verification import (
    blocks_to_compare,
    check_storable,
    check_written,
)
from eoscale_engine.raster_files.vrt import vrt_of_bands

__all__ = ["FORMATS", "Progress", "WriteOptions", "check_no_input", "check_target", "write_raster"]

ENDINGS = (".tif", ".tiff")

PREFIX = ".eoscale-"
"""Of the hidden folder beside a target in which its file is made."""

LEAST_OVERVIEW = 512
"""Overviews are halved until both sides fit this many pixels."""

_SIDE_FILES = (".aux.xml", ".ovr", ".ovr.aux.xml", ".msk", ".msk.ovr")

Progress = Callable[[float], bool]
"""Gets the done part, 0 to 1; returns False to cancel."""

# ---------------------------------------------------------------- before any work


def check_target(path: str, input_paths: Iterable[str] = ()) -> None:
    """Refuse, with an OutputError, a target that cannot be written or that is one of the inputs.

    An input's own files count (side files, the sources of a VRT), and so do other names of the same
    file (links).
    """
    target = Path(path)
    if target.suffix.lower() not in ENDINGS:
        raise OutputError(f"'{path}' has an unknown ending. Use one of: {', '.join(ENDINGS)}.")
    if in_own_memory(path):
        raise OutputError(
            f"'{path}' cannot be written: it is in the memory of one program, and files are "
            "written to disks. Give the path of a file."
        )
    folder = target.absolute().parent
    if not folder.is_dir():
        raise OutputError(
            f"'{path}' cannot be written: there is no folder '{folder}'. Make it first."
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(
            f"'{path}' cannot be written: the folder '{folder}' is not writable. Choose another "
            "folder."
        )
    if target.is_dir():
        raise OutputError(f"'{path}' is a folder. Give the name of a file.")
    check_no_input(path, input_paths)


def check_no_input(path: str, input_paths: Iterable[str]) -> None:
    """Refuse, with an OutputError, a target that is a file of an input, or another name of one.

    Any other file that is there is overwritten, as QGIS does: as a whole, once the new one is.
    """
    target = Path(path)
    if not target.exists():
        return
    for source in input_paths:
        for file in source_files(source) or [source]:
            if os.path.exists(file) and os.path.samefile(file, target):
                raise OutputError(
                    f"'{path}' is one of the inputs"
                    + ("" if file == source else f" (it is behind '{source}')")
                    + ". Choose another name for the result."
                )


# ---------------------------------------------------------------- writing


def write_raster(
    source_path: str,
    target: str,
    *,
    format: str = "GTiff",  # noqa: A002 - GDAL's own word
    options: Optional[WriteOptions] = None,
    statistics: Optional[Sequence[BandStatistics]] = None,
    threads: int = 1,
    progress: Optional[Progress] = None,
) -> list[str]:
    """Write all bands of an image as a tiled, compressed GeoTIFF or COG.

    Everything the image carries goes with it: nodata, mask, names, colours, attribute tables, CRS,
    metadata; its statistics are stored inside. What a TIFF does not hold lies beside it, in
    ``.aux.xml``; what does not fit there either is left out, and returned in words. The file is
    made in a hidden folder beside the target and renamed when it is whole: where this fails or is
    cancelled nothing is left behind, and a file that was there before stays as it was.

    Parameters
    ----------
    source_path : str
        Any image that GDAL opens.
    target : str
        A path that ends in ``.tif`` or ``.tiff``.
    format : str
        ``"GTiff"`` or ``"COG"``.
    options : WriteOptions, optional
    statistics : sequence of BandStatistics, optional
        One for each band; the source's own where None.
    threads : int
        Threads that compress.
    progress : callable, optional
        Gets the done part; returns False to cancel.

    Raises
    ------
    OutputError, Cancelled

    Notes
    -----
    A TIFF holds one nodata value for all bands, and one mask. Bands with different ones are written
    as :mod:`eoscale_engine.raster_files.tiff_validity` says.
    """
    options = options or WriteOptions()
    check_target(target)
    source = open_raster_file(source_path, keep_alpha=True)  # all bands
    check_storable(format, options, source.profile)
    watch = _Watch(progress, 0.8 if options.overviews and format == "GTiff" else 1.0)
    beside, name = str(Path(target).absolute().parent), os.path.basename(target)
    try:
        remove_stale_folders(beside, PREFIX)  # of writers that were killed
        folder, held = make_folder(beside, PREFIX, [glob.escape(name) + "*"])
    except OSError as problem:
        raise OutputError(
            f"'{target}' could not be written: {problem.strerror}. Choose another place."
        ) from None
    try:
        made = str(folder / name)
        done, errors = call_gdal(
            _write, source, made, format, options, statistics, threads, watch,
            config={**ONE_THREAD, "GDAL_TIFF_INTERNAL_MASK": "YES"},
        )  # fmt: skip
        watch.raise_if_stopped()
        if not done or errors:
            raise OutputError(reason(errors))
        profile, masks = done
        if masks is not None:
            whole, errors = call_gdal(
                write_band_masks, made, masks,
                config={**ONE_THREAD, "GDAL_TIFF_INTERNAL_MASK": "NO"},
            )  # fmt: skip
            if not whole or errors:
                raise OutputError(reason(errors))
        lost, errors = call_gdal(keep_beside, made, profile)
        if lost is None:
            raise OutputError(reason(errors))
        _put(made, target)
        return list(lost)
    except OutputError as problem:
        raise OutputError(
            f"'{target}' could not be written: {problem}. Make room there, or choose another place."
        ) from None
    finally:
        if held is not None:
            held.close()  # some systems do not remove a file that is open
        shutil.rmtree(folder, ignore_errors=True)


def _write(
    source: RasterFile,
    target: str,
    format: str,  # noqa: A002
    options: WriteOptions,
    statistics: Optional[Sequence[BandStatistics]],
    threads: int,
    watch: _Watch,
) -> Optional[tuple[Profile, Optional[gdal.Dataset]]]:
    """Write the file; returns what is still to be written: the profile, and masks of bands.

    None where GDAL fails.
    """
    original = opened(source.path)
    every, profile = source.bands, source.profile
    # An image in memory between the two: the source takes no change, not even of statistics.
    path = os.path.abspath(source.path) if os.path.exists(source.path) else source.path
    stored, planes = as_in_tiff(profile, source.planes, statistics)
    turned = stored.bands[0].nodata is not None and stored.bands != profile.bands
    text = vrt_of_bands(
        path, every, inside_tiff(stored), planes=planes if planes == 1 else 0,
        nodata_in_file=[band.nodata for band in profile.bands] if turned else (),
    )  # fmt: skip
    between = opened(text)
    masks = opened(vrt_of_bands(path, every, stored, planes=planes)) if planes > 1 else None
    for number in every:
        band = between.GetRasterBand(number)
        for key, value in _statistics(original, number, statistics).items():
            band.SetMetadataItem(key, value)
    made = gdal.GetDriverByName(format).CreateCopy(
        target, between, 0, options.creation_options(format, profile, threads), watch
    )
    if made is None:
        return None
    masked = planes == 1
    blocks = blocks_to_compare(made, options.compress, masked=masked)
    del made  # closes it
    check_written(target, between, blocks, masked=masked)
    if options.overviews and format == "GTiff":
        watch.next_stage()
        if not _add_overviews(target, profile, watch):
            return None
    return profile, masks


def _statistics(
    original: gdal.Dataset, number: int, statistics: Optional[Sequence[BandStatistics]]
) -> dict[str, str]:
    if statistics:
        return statistics[number - 1].metadata()
    items = original.GetRasterBand(number).GetMetadata_Dict() or {}
    return {key: value for key, value in items.items() if key.startswith("STATISTICS_")}


def _add_overviews(target: str, profile: Profile, watch: _Watch) -> bool:
    factors, factor = [], 1
    while max(profile.width, profile.height) / factor > LEAST_OVERVIEW:
        factor *= 2
        factors.append(factor)
    # With threads, GDAL 3.6 prints an error for each block it decodes of more than three bands.
    dataset = opened(target, flags=gdal.OF_RASTER | gdal.OF_UPDATE)
    return not factors or dataset.BuildOverviews(overview_resampling(profile), factors, watch) == 0


def _put(made: str, target: str) -> None:
    try:
        os.replace(made, target)
        for ending in _SIDE_FILES:
            # What lay beside a file that was overwritten would be taken for the new file's own.
            if os.path.exists(made + ending):
                os.replace(made + ending, target + ending)
            elif os.path.lexists(target + ending):
                os.unlink(target + ending)
    except OSError as problem:
        raise OutputError(f"{problem.strerror}. Another program may have it open") from None


class _Watch:
    """Passes GDAL's progress on, in stages, and keeps why it was stopped."""

    def __init__(self, progress: Optional[Progress], first_share: float) -> None:
        self._progress = progress
        self._start, self._share = 0.0, first_share
        self._problem: Optional[BaseException] = None

    def next_stage(self) -> None:
        self._start, self._share = self._share, 1.0 - self._share

    def __call__(self, done: float, _message: Any = None, _data: Any = None) -> int:
        try:
            if self._progress and not self._progress(self._start + self._share * done):
                self._problem = Cancelled("Cancelled.")
        except BaseException as problem:  # noqa: BLE001 - GDAL would print it and go on
            self._problem = problem
        return 0 if self._problem else 1

    def raise_if_stopped(self) -> None:
        if self._problem:
            raise self._problem
