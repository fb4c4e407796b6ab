"""Counting pixels, or the differences of two images, in bins that each band has of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from eoscale_engine.declaration import Blocks, Reduction, image, parameter
from eoscale_engine.reductions.differences import pair_of
from eoscale_engine.reductions.histogram import bin_numbers, even_edges
from eoscale_engine.reductions.statistics import CHUNK_ROWS, physical, valid_chunks


@dataclass(frozen=True)
class BandCounts(Reduction[list[np.ndarray], list[np.ndarray]]):
    """Count the valid pixels of each band in bins of equal width, each band in its own.

    A bin holds its left edge, and the last one its right edge too. Pixels outside count nowhere.
    Values are physical unless ``raw``, in float64. Gives an int64 array of counts for each band.
    """

    stage = "Counting pixels in bins"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"layouts": ((0.0, 90.0, 7), None)},
        {"layouts": ((-9.5, 40.5, 50), (3.0, 60.0, 1))},
    )

    layouts: Any = parameter(
        kind="data", help="For each band lower and upper bound and number of bins; None: no bins"
    )
    raw: bool = parameter(False, help="Use the stored pixels, without scale and offset")

    def map(self, blocks: Blocks) -> list[np.ndarray]:
        """The counts of one cell."""
        block, found = blocks[0], []
        with np.errstate(all="ignore"):
            for band, (layout, about) in enumerate(zip(self.layouts, block.profile.bands)):
                counts = np.zeros(layout[2] if layout else 0, np.int64)
                for chunk in valid_chunks(block, band) if layout else ():
                    values = chunk.astype(np.float64, order="C").ravel()
                    counts += binned(physical(values, about, self.raw), layout)
                found.append(counts)
        return found

    def merge(self, first: list[np.ndarray], second: list[np.ndarray]) -> list[np.ndarray]:
        """Both cells together, band by band."""
        return [one + two for one, two in zip(first, second)]


@dataclass(frozen=True)
class DifferenceCounts(BandCounts):
    """Count the differences, image minus reference, of each band in bins of equal width.

    Of the pixels that are valid and finite in both; else as :class:`BandCounts`.
    """

    stage = "Counting differences in bins"
    inputs: ClassVar[Any] = (image(), image("REFERENCE"))

    def map(self, blocks: Blocks) -> list[np.ndarray]:
        """The counts of one cell."""
        found = []
        with np.errstate(all="ignore"):
            for band, layout in enumerate(self.layouts):
                counts = np.zeros(layout[2] if layout else 0, np.int64)
                for row in range(0, blocks.core.rows if layout else 0, CHUNK_ROWS):
                    pair = pair_of(blocks, band, slice(row, row + CHUNK_ROWS), self.raw)
                    counts += binned(pair.image - pair.reference, layout)
                found.append(counts)
        return found


def edges_of(layout: tuple[float, float, int]) -> np.ndarray:
    """Edges of the bins between two bounds, float64 ``(bins + 1,)``."""
    return even_edges(*layout)


def binned(values: np.ndarray, layout: tuple[float, float, int]) -> np.ndarray:
    """How many values lie in each bin; float64 ``(n,)`` that may hold infinities."""
    lower, upper, bins = layout
    if values.size and not (values.min() >= lower and values.max() <= upper):
        values = values[(values >= lower) & (values <= upper)]
    return np.bincount(bin_numbers(values, edges_of(layout)), minlength=bins)
