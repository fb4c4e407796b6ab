"""Unsigned integers that sort as pixels do: what order statistics count."""

from __future__ import annotations

from typing import Any

import numpy as np


def ordered_keys(values: np.ndarray) -> np.ndarray:
    """Unsigned integers of the same size that sort as the values do, -0.0 just below 0.0.

    Of floats all bits are turned over where the sign is set, and the sign bit alone elsewhere: the
    bits of positive floats sort as integers already, those of negative ones the other way round.
    """
    kind = np.dtype(f"u{values.dtype.itemsize}")
    if values.dtype.kind == "u":
        return values
    sign = kind.type(1 << (8 * kind.itemsize - 1))
    keys = values.view(kind)
    if values.dtype.kind == "i":
        return keys ^ sign
    signed = values.view(np.dtype(f"i{kind.itemsize}"))
    turned = (signed >> signed.dtype.type(8 * kind.itemsize - 1)).view(kind)
    turned |= sign
    turned ^= keys
    return turned


def value_of_key(key: int, dtype: np.dtype) -> Any:
    """The pixel whose key this is, as a Python number; -0.0 as 0.0."""
    bits = np.array([bits_of_key(key, dtype.kind, 8 * dtype.itemsize)], f"u{dtype.itemsize}")
    return bits.view(dtype)[0].item() + 0


def bits_of_key(key: int, kind: str, bits: int) -> int:
    """The stored bits of the pixel whose key this is; or the highest ones, of the highest ones."""
    sign = 1 << (bits - 1)
    if kind == "i":
        key ^= sign
    elif kind == "f":
        key ^= sign if key & sign else 2 * sign - 1
    return key
