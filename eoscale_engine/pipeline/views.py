"""Views: parts of an image in memory that are images of their own, without a copy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Optional

import numpy as np

from eoscale_engine.errors import InputError
from eoscale_engine.memory.images import Image
from eoscale_engine.tiling import Window

FIXED = ("width", "height", "count", "dtype")


def view_of(image: Image, whole: np.ndarray, part: np.ndarray) -> Optional[Image]:
    """The part of an image that a slice of its array shows; None where it is no plain slice.

    Parameters
    ----------
    image : Image
    whole : array of (bands, rows, cols)
        All of the image.
    part : array of (bands, rows, cols) or (rows, cols)
    """
    part = part[np.newaxis] if part.ndim == 2 else part
    if part.ndim != 3 or part.dtype != whole.dtype or part.size == 0:
        return None
    offset = _address(part) - _address(whole)
    if not 0 <= offset < whole.strides[0] * whole.shape[0]:
        return None
    band, rest = divmod(offset, whole.strides[0])
    row, rest = divmod(rest, whole.strides[1])
    window = Window(row, rest // whole.strides[2], *part.shape[1:])
    step = max(1, part.strides[0] // whole.strides[0]) if len(part) > 1 else 1
    places = slice(band, band + step * (len(part) - 1) + 1, step)
    same = whole[(places, *window.slices)]
    # one band may be any number of bytes away from a next one
    first = 1 if len(part) == 1 else 0
    if same.shape != part.shape or same.strides[first:] != part.strides[first:]:
        return None
    if _address(same) != _address(part):
        return None
    numbers = image.bands or tuple(range(1, image.stored.count + 1))
    return replace(image, bands=numbers[places]).cropped(window)


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])


def with_georeference(image: Image, values: Mapping[str, Any]) -> Image:
    """The image with the nodata, CRS and geotransform that a mapping names.

    Raises
    ------
    InputError
        Where the mapping names another size, band count or data type than the pixels have.
    """
    profile = image.profile
    for key in FIXED:
        wanted = values.get(key, profile[key])
        if (np.dtype(wanted).name if key == "dtype" else int(wanted)) != profile[key]:
            raise InputError(
                f"The profile says {key} {wanted}, but the image has {profile[key]}: make a new "
                "image to change that."
            )
    changed = profile.updated(values)
    return replace(image.described(changed), all_valid=False)
