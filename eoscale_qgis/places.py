"""Where results lie for QGIS: temporary places, and links to the faces of images in memory."""

from __future__ import annotations

import glob
import os
from contextlib import suppress

from qgis.core import QgsProcessingContext, QgsProcessingUtils


def temporary_root(path: str, context: QgsProcessingContext) -> str:
    """The folder of Processing's temporary outputs that a destination lies in; empty for none."""
    folders = [QgsProcessingUtils.tempFolder()]
    if hasattr(context, "temporaryFolder") and context.temporaryFolder():
        folders.append(context.temporaryFolder())
    place = os.path.realpath(os.path.dirname(path))
    for folder in map(os.path.realpath, folders):
        if place == folder or place.startswith(folder + os.sep):
            return str(folder)
    return ""


def is_temporary(path: str, context: QgsProcessingContext) -> bool:
    """Whether a destination lies in the folder of Processing's temporary outputs."""
    return bool(temporary_root(path, context))


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
    """Make ``path`` a link to an image's GDAL face; at no time is there nothing at it."""
    new = path + ".link"
    os.symlink(target, new)
    os.replace(new, path)


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
