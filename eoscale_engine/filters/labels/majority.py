"""Smoothing of class images: each pixel gets the class that most pixels around it have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Block, Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.filters.neighbourhood.frequencies import frequent
from eoscale_engine.filters.neighbourhood.window_moments import window_count
from eoscale_engine.filters.neighbourhood.windows import SHAPES, Neighbourhood, neighbourhood
from eoscale_engine.filters.origins import Origins, own_band
from eoscale_engine.profile import Profile
from eoscale_engine.styles import Classes, Style


@dataclass(frozen=True)
class MajorityFilter(ImageFilter):
    """Give each pixel of a class image the class that most of the pixels around it have.

    The window is a square of 2 radius + 1 pixels, or a disk: the pixels with
    row^2 + col^2 <= radius^2, counted from the centre, which belongs to it. Every valid pixel of it
    has one vote. Of classes with equally many votes the pixel's own wins, else the smallest. With a
    share a pixel changes only where the winner has more than that share of the votes. Several
    passes filter the result again, each time by the classes of the pass before, as if the whole
    image had been filtered in between. Each band is handled by itself.

    Nodata: invalid pixels, and what lies beyond the image, have no vote. They stay invalid unless
    holes are filled: then each pass gives a class to the invalid pixels whose window holds a valid
    one (and where the winner's share is large enough).

    Pixels: integers of any type, which stay as they are, with scale, offset, colours and names of
    classes. Floats are refused: "Focal statistics" takes their majority by equality. Votes are
    counted exactly.
    """

    name = "majorityfilter"
    label = "Majority filter"
    group = "Labels"
    tags = (
        "majority", "mode", "modal", "vote", "class", "classification", "regularization", "smooth",
        "r.neighbors", "r.mode", "salt and pepper", "generalize", "focal majority", "sieve",
        "post-classification",
    )  # fmt: skip
    dtype_kinds = "iu"
    border = "invalid"
    picture: ClassVar[Mapping[str, Any]] = {"radius": 3}
    examples = (
        {},
        {"radius": 2, "shape": "disk", "minimum_share": 30},
        {"passes": 3, "fill": True},
        {"passes": 2, "shape": "disk", "fill": True, "minimum_share": 40},
    )

    radius: int = parameter(
        1, minimum=1, maximum=64, unit="pixels", help="Half-width of the window; 1 is 3 x 3."
    )
    shape: str = parameter(
        "square",
        choices=SHAPES,
        help="Square of 2 radius + 1 pixels, or disk: the pixels at most the radius away.",
    )
    minimum_share: float = parameter(
        0.0,
        minimum=0,
        maximum=100,
        unit="%",
        label="Least share of the votes",
        help="A pixel changes where the winner has more than this share. 50: by absolute majority.",
    )
    passes: int = parameter(
        1, minimum=1, maximum=16, help="How many times the filter runs, each time on its result."
    )
    fill: bool = parameter(
        False,
        label="Fill holes",
        help="Give invalid pixels a class too, from the valid pixels around them.",
    )

    @property
    def margin(self) -> int:
        """The radius, for each pass."""
        return self.passes * self.radius

    def styles(self) -> Sequence[Optional[Style]]:
        """One colour for each class."""
        return [Classes()]

    def farthest(self, side: int) -> Optional[np.ndarray]:
        """Two classes by chance, about equally many: few votes decide, for several passes."""
        return np.random.default_rng(41).integers(0, 2, (2, side, side))

    def taken_from(self, inputs: Sequence[Profile]) -> Origins:
        """A class of a pixel around."""
        return own_band(inputs)

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block = blocks[0]
        bands: list[tuple[np.ndarray, Optional[np.ndarray]]] = []
        for band, pixels in enumerate(block.pixels):
            found = pixels, None if block.valid is None else block.valid[band]
            for number in range(1, self.passes + 1):
                found = self._one_pass(*found)
                if self.fill and found[1] is not None:
                    # what lies beyond the image is no hole: it never gets a vote
                    found[1][...] &= _inside(block, number * self.radius, found[1].shape)
            bands.append(found)
        valid = (
            None
            if block.valid is None
            else np.stack([where for _, where in bands if where is not None])
        )
        return np.stack([pixels for pixels, _ in bands]), valid

    def _one_pass(
        self, pixels: np.ndarray, valid: Optional[np.ndarray]
    ) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """Pixels and validity without the outermost ``radius`` pixels, after one pass."""
        window, inner = self._window, slice(self.radius, -self.radius)
        own = pixels[inner, inner]
        number = None if valid is None else window_count(valid, window)
        centre = own
        if valid is not None:
            # an invalid pixel has no class: the smallest wins, as it does against the type's least
            least = np.asarray(np.iinfo(own.dtype).min, own.dtype)
            centre = np.where(valid[inner, inner], own, least)
        winners = frequent(pixels, valid, window, number, centre=centre)
        votes = window.size if number is None else number
        # in one type, whatever the votes are counted in, so that every block decides the same
        share = np.multiply(votes, self.minimum_share, dtype=np.float64)
        chosen = np.multiply(winners.counts, 100, dtype=np.float64) > share
        if valid is None or number is None:
            return np.where(chosen, winners.values, own), None
        was_valid = valid[inner, inner]
        stays = was_valid | (chosen & (number > 0)) if self.fill else was_valid
        return np.where(chosen, winners.values, own), stays

    @property
    def _window(self) -> Neighbourhood:
        return neighbourhood(self.shape, self.radius)


def _inside(block: Block, cut: int, shape: tuple[int, ...]) -> np.ndarray:
    """Which pixels of a block belong to the image, without the ``cut`` outermost ones."""
    top, left = block.core.row - block.margins[0] + cut, block.core.col - block.margins[1] + cut
    rows, cols = np.arange(top, top + shape[0]), np.arange(left, left + shape[1])
    inside_rows = (rows >= 0) & (rows < block.profile.height)
    inside: np.ndarray = inside_rows[:, None] & (cols >= 0) & (cols < block.profile.width)
    return inside
