"""Calling GDAL without touching what belongs to the host process.

GDAL's exceptions are switched for a whole process, and inside QGIS they are not ours to switch. A
call made here behaves the same with them on or off: it returns a result and the errors, prints
nothing, and uses configuration options that hold in the calling thread alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Callable, Optional

from osgeo import gdal

ONE_THREAD: Mapping[str, str] = {"GDAL_NUM_THREADS": "1"}
"""Workers already use every core: GDAL must not multiply them by its own threads."""

_MADE_UP = re.compile("jpeg.*(premature end|corrupt)", re.IGNORECASE | re.DOTALL)
"""Warnings after which GDAL hands out pixels that are not in the file."""

_set_option = getattr(gdal, "SetThreadLocalConfigOption", gdal.SetConfigOption)
_get_option = getattr(gdal, "GetThreadLocalConfigOption", gdal.GetConfigOption)


def call_gdal(
    function: Callable[..., Any],
    *arguments: Any,
    config: Mapping[str, str] = ONE_THREAD,
    warned: Optional[list[str]] = None,
    **keywords: Any,
) -> tuple[Optional[Any], list[str]]:
    """Call a function that uses nothing but GDAL.

    Returns
    -------
    (result, errors)
        The result is None where GDAL failed with exceptions on. ``errors`` are GDAL's messages,
        the first cause first. Warnings are added to ``warned``, save those of damaged pixels, which
        are errors.
    """
    errors: list[str] = []

    def note(level: int, _number: int, message: str) -> None:
        if level >= gdal.CE_Failure or _MADE_UP.search(message):
            found = errors
        elif level == gdal.CE_Warning and warned is not None:
            found = warned
        else:
            return
        if message not in found:
            found.append(message)

    before = {key: _get_option(key) for key in config}
    for key, value in config.items():
        _set_option(key, value)
    gdal.PushErrorHandler(note)
    try:
        return function(*arguments, **keywords), errors
    except RuntimeError as problem:
        return None, errors or [str(problem)]
    finally:
        gdal.PopErrorHandler()
        for key, value in before.items():
            _set_option(key, value)


def opened(path: str, options: Sequence[str] = (), *, flags: int = gdal.OF_RASTER) -> gdal.Dataset:
    """A dataset, in a function that :func:`call_gdal` calls: that ends where there is none."""
    dataset = gdal.OpenEx(path, flags, open_options=list(options))
    if dataset is None:
        raise RuntimeError(gdal.GetLastErrorMsg() or f"{path} cannot be opened")
    return dataset


def reason(errors: list[str]) -> str:
    """GDAL's first messages, which name the cause, as the end of a sentence."""
    return (
        "; ".join(" ".join(error.split()).rstrip(".") for error in errors[:2])
        or "GDAL gives no reason"
    )
