"""Small objects of a class image dissolved into what surrounds them, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.filters.labels.labelling import (
    CONNECTIVITIES,
    CONNECTIVITY_HELP,
    Pieces,
    contacts_of,
    neighbours,
    pieces_of,
    surroundings,
)
from eoscale_engine.styles import Classes, Style


@dataclass(frozen=True)
class Sieve(ImageFilter):
    """Give each object of fewer pixels than the size the value that has most of its border.

    An object is a connected set of pixels of one value: classes, or any integers or floats, by
    equality, as stored. The pixels of one that is smaller than the size get the value along the
    largest number of their outer pixel edges, the smallest of several. Each band is handled by
    itself.

    All values are those of the input: small objects that touch each other do not wait for what
    becomes of their neighbour. So the result depends on pixels at most size - 1 away, and one pass
    over blocks is exact; GDAL's sieve and "Filter objects by size" merge objects of any size into
    their largest neighbours, which they look for in the whole image.

    Nodata: invalid pixels belong to no object, have no share in a border, and stay invalid; what
    lies beyond the image is invalid. An object that touches no other one stays as it is. The data
    type, scale, offset and nodata value are the input's.
    """

    name = "sieve"
    label = "Sieve small objects"
    group = "Labels"
    tags = (
        "sieve", "clump", "speckle", "salt and pepper", "generalize", "minimum mapping unit",
        "majority", "small", "objects", "regions", "classification", "regularization", "clean",
    )  # fmt: skip
    border = "invalid"
    examples = (
        {},
        {"minimum": 2},
        {"minimum": 9, "connectivity": "8"},
    )

    minimum: int = parameter(
        8,
        minimum=2,
        maximum=64,
        unit="pixels",
        label="Least size",
        help="Pixels of the smallest object that stays as it is.",
    )
    connectivity: str = parameter("4", choices=CONNECTIVITIES, help=CONNECTIVITY_HELP)

    @property
    def margin(self) -> int:
        """One less than the size.

        Enough: an object that goes on beyond the margin has size pixels within it, on the way to a
        pixel of the core; one that does not has its border within it too.
        """
        return self.minimum - 1

    def farthest(self, side: int) -> Optional[np.ndarray]:
        """A line of size pixels from the core's edge outwards: large enough if all are seen."""
        pixels = np.zeros((2, side, side))
        pixels[:, side // 2, side // 2 + 1 :] = 1
        return pixels

    def styles(self) -> Sequence[Optional[Style]]:
        """One colour for each class."""
        return (Classes(),)

    def apply(self, blocks: Blocks) -> Pixels:
        """Label the block with its margin, and look at the small objects."""
        block, margin = blocks[0], self.margin
        bands, rows, cols = block.pixels.shape
        core = (slice(None), slice(margin, rows - margin), slice(margin, cols - margin))
        result = block.pixels[core].copy()
        valid = None if block.valid is None else block.valid[core]
        for band in range(bands):
            kept = None if block.valid is None else block.valid[band]
            values = block.pixels[band] if kept is None else block.filled()[band]
            self._dissolve(values, kept, result[band])
        return result, valid

    def _dissolve(self, values: np.ndarray, kept: Optional[np.ndarray], result: np.ndarray) -> None:
        """Write the new values of the small objects over those of the core."""
        pieces = pieces_of(values, self.connectivity, kept=kept)
        # pieces are numbered by their first runs, from 1; 0 is what is not kept
        meant = None if kept is None else kept.ravel()[pieces.first]
        numbers = (pieces.root + 1).astype(np.uint32)
        if meant is not None:
            numbers[~meant] = 0
        small = np.append(False, self._sizes(pieces, values.size) < self.minimum)
        replacement, found = self._replacements(pieces, numbers, small, values)
        if not found.any():
            return
        inner = pieces.run[self.margin : -self.margin, self.margin : -self.margin]
        place = numbers[inner]
        np.copyto(result, replacement[place], where=found[place])

    def _sizes(self, pieces: Pieces, count: int) -> np.ndarray:
        """Pixels of the piece that each run stands for; of other runs, 0."""
        lengths = np.diff(pieces.first, append=count)
        return np.bincount(pieces.root, lengths, len(lengths))

    def _replacements(
        self, pieces: Pieces, numbers: np.ndarray, small: np.ndarray, values: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The value along most of each small object's border, by number, and whether it has one."""
        objects = np.take(numbers, pieces.run, mode="clip")
        # an object may hold 0.0 and -0.0, and which is first depends on the block: 0 makes both 0.0
        own = np.append(values.dtype.type(0), values.ravel()[pieces.first]) + values.dtype.type(0)
        around = surroundings(contacts_of(objects, small, neighbours("4")), own)
        replacement, found = own, np.zeros(len(own), bool)
        replacement[around.objects] = around.values
        found[around.objects] = True
        return replacement, found
