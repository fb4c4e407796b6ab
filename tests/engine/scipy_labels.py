"""What the tests of labels share: the connected sets of pixels of each value, by SciPy."""

from __future__ import annotations

import numpy as np
from scipy import ndimage


def labelled(values: np.ndarray, kept: np.ndarray, connectivity: str) -> np.ndarray:
    """SciPy's labels of each value, numbered together in raster order; 0 where not kept."""
    structure = np.ones((3, 3)) if connectivity == "8" else None
    labels, count = np.zeros(values.shape, int), 0
    for value in np.unique(values[kept]):
        found, number = ndimage.label((values == value) & kept, structure)
        labels += np.where(found, found + count, 0)
        count += number
    return in_raster_order(labels)


def in_raster_order(labels: np.ndarray) -> np.ndarray:
    """Labels renumbered from 1 by their first pixels; 0 stays."""
    names, first = np.unique(labels, return_index=True)
    first[names == 0] = -1
    number = np.argsort(np.argsort(first)) + (names[0] != 0)
    return number[np.searchsorted(names, labels)]
