"""Whether an image changed: the state of all files behind it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Optional

from osgeo import gdal

from eoscale_engine.errors import Cancelled, EngineError, InputError
from eoscale_engine.raster_files.gdal_calls import call_gdal

FileState = tuple[str, int, int, int, int]
"""Path, size in bytes, time of change in nanoseconds, inode, and the time of its last change of any
kind, which no program can set back (where the system has one)."""

Signature = tuple[FileState, ...]
"""The state of each file behind an image, its own first."""

_REMOTE_DRIVERS = frozenset(
    (
        "DAAS", "EEDAI", "HTTP", "NGW", "OGCAPI", "PLMosaic", "PostGISRaster", "STACIT", "STACTA",
        "WCS", "WMS", "WMTS",
    )
)  # fmt: skip
_NOTES = (".aux.xml", ".ovr")
_SIDE_FILES = (*_NOTES, ".msk")
_VRT_SOURCES = ("SourceFilename", "SourceDataset")


def file_signature(path: str) -> Optional[Signature]:
    """Size, times of change and inode of all files behind an image; equal while none changed.

    These are the file, its side files (``.aux.xml``, ``.ovr``, ``.msk``, world files) and a VRT's
    sources. None for remote images and for names that are no file: they must never be cached.
    """
    files = source_files(path)
    states = [file_state(file) for file in files or ()]
    return tuple(states) if states and None not in states else None  # type: ignore[arg-type]


@contextmanager
def unchanged(states: Sequence[FileState]) -> Iterator[None]:
    """Refuse, with an InputError, what was made of files that changed in the meantime.

    Whatever else is said of them then comes of the change.
    """
    try:
        yield
    except Cancelled:
        raise
    except EngineError:
        _check_unchanged(states)
        raise
    _check_unchanged(states)


def _check_unchanged(states: Sequence[FileState]) -> None:
    for state in states:
        # what other programs note beside an image (statistics, overviews) are no pixels of it
        if not state[0].endswith(_NOTES) and file_state(state[0]) != state:
            raise InputError(f"'{state[0]}' changed while it was in use. Run again.")


def source_files(path: str) -> Optional[list[str]]:
    """All files behind an image, its own first; None where they cannot all be known."""
    found: dict[str, None] = {}
    return list(found) if _gather(path, found) else None


def _gather(path: str, found: dict[str, None]) -> bool:
    if path in found:
        return True
    if not os.path.isfile(path) or path.startswith("/vsi"):
        return False
    found[path] = None
    dataset, _ = call_gdal(gdal.OpenEx, path, gdal.OF_RASTER)
    if dataset is None or dataset.GetDriver().ShortName in _REMOTE_DRIVERS:
        return False
    is_vrt = dataset.GetDriver().ShortName == "VRT"
    sources = set(_vrt_sources(dataset)) if is_vrt else set()
    found.update(dict.fromkeys(f for f in dataset.GetFileList() or () if f not in sources))
    return all(_gather_source(source, found) for source in sources)


def _gather_source(source: str, found: dict[str, None]) -> bool:
    driver, _ = call_gdal(gdal.IdentifyDriver, source)
    # Mosaics have thousands of sources: only those that have their own, or are remote, are opened.
    if driver is not None and driver.ShortName in _REMOTE_DRIVERS | {"VRT"}:
        return _gather(source, found)
    files = [source, *(source + ending for ending in _SIDE_FILES)]
    found.update(dict.fromkeys(file for file in files if os.path.isfile(file)))
    return source in found


def _vrt_sources(dataset: gdal.Dataset) -> Iterator[str]:
    text = (dataset.GetMetadata("xml:VRT") or [""])[0]
    folder = os.path.dirname(os.path.realpath(dataset.GetDescription()))
    yield from _sources_in(_parsed(text), folder)


def _parsed(text: str) -> list[Any]:
    return call_gdal(gdal.ParseXMLString, text)[0] or []


def _sources_in(node: list[Any], folder: str) -> Iterator[str]:
    # A node of GDAL's XML: its kind, its name or text, and the nodes within.
    children = node[2:]
    if len(node) > 1 and node[0] == gdal.CXT_Element and node[1] in _VRT_SOURCES:
        text = "".join(child[1] for child in children if child[0] == gdal.CXT_Text)
        relative = any(child[1] == "relativeToVRT" and child[2][1] == "1" for child in children)
        if text.lstrip().startswith("<"):
            yield from _sources_in(_parsed(text), folder)
        else:
            yield os.path.join(folder, text) if relative else text
        return
    for child in children:
        yield from _sources_in(child, folder)


def file_state(path: str) -> Optional[FileState]:
    """The state of one file; None where there is none."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return path, status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns
