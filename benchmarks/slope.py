"""A naive slope in NumPy, as a user writes it: what the Python filter is measured with."""

from __future__ import annotations

from typing import Any

import numpy as np


def slope(buffers: list[Any], profiles: list[Any], params: dict[str, Any]) -> Any:
    """Slope in degrees by Horn's formula (Proceedings of the IEEE 69, 1981)."""
    z = np.pad(buffers[0][0], 1, mode="edge")
    size = 8 * abs(profiles[0]["transform"].a)
    west = z[:-2, :-2] + 2 * z[1:-1, :-2] + z[2:, :-2]
    east = z[:-2, 2:] + 2 * z[1:-1, 2:] + z[2:, 2:]
    north = z[:-2, :-2] + 2 * z[:-2, 1:-1] + z[:-2, 2:]
    south = z[2:, :-2] + 2 * z[2:, 1:-1] + z[2:, 2:]
    rise = np.sqrt(((east - west) / size) ** 2 + ((south - north) / size) ** 2)
    return np.degrees(np.arctan(rise))
