"""Kernels in text files: rows of numbers, as spreadsheets and other programs write them."""

from __future__ import annotations

import math
import re
from pathlib import Path

from eoscale_engine.errors import InputError
from eoscale_engine.filters.neighbourhood.kernels import Rows

_MOST_BYTES = 4 << 20
_SEPARATORS = re.compile(r"[,;\s]+")


def kernel_in_file(path: str) -> Rows:
    """The weights in a text or CSV file.

    One row a line, numbers separated by spaces, tabs, commas or semicolons; of a single line rows
    may be separated by semicolons. Empty lines, and those that begin with #, are left out.

    Raises
    ------
    InputError
        Where the file cannot be read, or holds something else.
    """
    place = Path(path)
    if not place.is_file():
        raise InputError(
            f"Convolution: the file of weights '{path}' is not there. Choose another one."
        )
    try:
        with place.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"Convolution: '{path}' cannot be read: {error.strerror or error}. Choose a file that "
            "you may read."
        ) from None
    except ValueError:
        raise _unsuitable(path, "it is no text") from None
    if len(content) > _MOST_BYTES:
        raise _unsuitable(path, "it is larger than 4 MB")
    lines = [line for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"]
    if len(lines) == 1:
        lines = [line for line in lines[0].split(";") if line.strip()]
    try:
        rows = tuple(tuple(map(_weight, _SEPARATORS.split(line.strip(" \t,;")))) for line in lines)
    except ValueError:
        raise _unsuitable(path, "something in it is no number") from None
    if not rows or len(set(map(len, rows))) != 1:
        raise _unsuitable(path, "its rows are not of equal length" if rows else "it is empty")
    return rows


def _weight(text: str) -> float:
    number = float(text)
    if math.isnan(number):
        raise ValueError
    return number


def _unsuitable(path: str, reason: str) -> InputError:
    return InputError(
        f"Convolution: '{path}' holds no kernel: {reason}. Write one row a line, as many numbers "
        "(0.5, not 0,5) in each, separated by spaces or commas."
    )
