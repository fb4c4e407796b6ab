"""How many pixels there are of each pair of values: of two images, or of polygons and an image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from eoscale_engine.declaration import Blocks, Input, Reduction, image, parameter
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.value_counts import (
    MOST,
    Tally,
    few_enough,
    merged,
    pixel_areas,
    tally,
)


class Pairs(NamedTuple):
    """Pixels by pair of values, and how many have no such pair."""

    tally: Tally
    invalid: int


@dataclass(frozen=True)
class ValuePairs(Reduction[Pairs, Pairs]):
    """Count the pixels by the values that they have in a band of each of two images.

    Values are those stored, each in its image's dtype. Pixels that are invalid in either band are
    counted as such. Raises an ``InputError`` as soon as there are more than ``most`` pairs.
    """

    stage = "Counting pixels by pairs of values"
    inputs: ClassVar[tuple[Input, ...]] = (image("FIRST"), image("SECOND"))
    # tested in the procedures: a million pairs of images of noise would take minutes
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    first_band: int = parameter(1, kind="band", role="FIRST", help="Band of the first image")
    second_band: int = parameter(1, kind="band", role="SECOND", help="Band of the second image")
    areas: Any = parameter(
        None, kind="data", help="The area of a pixel of each row, if they differ"
    )
    most: int = parameter(MOST, minimum=1, help="Most pairs")

    def map(self, blocks: Blocks) -> Pairs:
        """The counts of one cell."""
        where = np.ones((blocks.core.rows, blocks.core.cols), bool)
        bands = [(blocks[0], self.first_band - 1), (blocks[1], self.second_band - 1)]
        for block, band in bands:
            if block.valid is not None:
                where &= block.valid[band]
        columns = [block.pixels[band][where] for block, band in bands]
        weights = pixel_areas(self.areas, blocks)
        areas = None if weights is None else weights[where]
        return Pairs(tally(columns, areas), blocks.size - columns[0].size)

    def merge(self, first: Pairs, second: Pairs) -> Pairs:
        """Both cells together."""
        both = merged(first.tally, second.tally, self.most)
        return Pairs(both, first.invalid + second.invalid)

    def finish(self, merged: Pairs, inputs: Sequence[Profile]) -> Pairs:
        """The counts of the whole image."""
        few_enough(merged.tally.pixels.size, self.most)
        return merged


@dataclass(frozen=True)
class LabelPairs(Reduction[Pairs, Pairs]):
    """Count the pixels in labelled polygons by label and value; those in several count in each.

    Invalid pixels in the polygons are counted as such.
    """

    stage = "Counting pixels by polygons and values"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    polygons: Any = parameter(kind="data", help="The polygons, on the image's grid")
    labels: Any = parameter(kind="data", help="A number for each polygon; -1: it does not count")
    band: int = parameter(1, kind="band", help="Band of the image")

    def map(self, blocks: Blocks) -> Pairs:
        """The counts of one cell."""
        block, groups = blocks[0], self.polygons.groups(blocks.core)
        sizes = np.diff(groups.starts, append=groups.places.size)
        labels = np.repeat(np.asarray(self.labels, np.int64)[groups.numbers], sizes)
        counts = labels >= 0
        labels, places = labels[counts], groups.places[counts]
        values = block.pixels[self.band - 1].ravel()[places]
        invalid = 0
        if block.valid is not None:
            where = block.valid[self.band - 1].ravel()[places]
            invalid = places.size - int(np.count_nonzero(where))
            labels, values = labels[where], values[where]
        return Pairs(tally([labels, values]), invalid)

    def merge(self, first: Pairs, second: Pairs) -> Pairs:
        """Both cells together."""
        both = merged(first.tally, second.tally)
        return Pairs(both, first.invalid + second.invalid)

    def finish(self, merged: Pairs, inputs: Sequence[Profile]) -> Pairs:
        """The counts of the whole image."""
        few_enough(merged.tally.pixels.size)
        return merged
