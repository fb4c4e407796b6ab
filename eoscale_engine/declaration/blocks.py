"""What ``apply`` and ``map`` see of the inputs, and what they give: one block of pixels."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Optional

import numpy as np

from eoscale_engine.profile import Profile
from eoscale_engine.tiling import Window


@dataclass(frozen=True)
class Block:
    """What ``apply`` and ``map`` see of one input.

    Attributes
    ----------
    pixels : array of (bands, rows + margins, cols + margins), in the image's dtype
        Read-only; often a view into shared memory.
    valid : boolean array of the same shape, or None where every pixel is valid
        Pixels that are not valid may hold anything (nodata, NaN, 0 beyond the border).
    profile : Profile
        Of the whole input image, with the chosen bands.
    core : Window
        The block's place in the whole image, without the margins.
    margins : (top, left, bottom, right)
        Pixels around the core. All equal the declaration's margin, save with the border "cut".
    """

    pixels: np.ndarray
    valid: Optional[np.ndarray]
    profile: Profile
    core: Window
    margins: tuple[int, int, int, int] = (0, 0, 0, 0)

    def filled(self, value: float = 0) -> np.ndarray:
        """The pixels, with ``value`` where they are invalid; a copy only where some are."""
        if self.valid is None:
            return self.pixels
        return np.where(self.valid, self.pixels, np.asarray(value, self.pixels.dtype))


class Blocks(Sequence[Block]):
    """The blocks of all inputs, by number and by role.

    ``blocks[0]`` is the first image's; ``blocks.role("MASK")`` a role's block, or None where an
    optional image was not given; ``blocks.all("DATES")`` the list of a role's blocks.

    ``inside`` is None, or where a reduction is told to look: boolean ``(rows, cols)`` of the core.
    All other pixels are invalid in every block, but belong to no count of invalid pixels:
    ``size`` is the number of pixels that count.
    """

    def __init__(
        self,
        core: Window,
        roles: Mapping[str, Sequence[Block]],
        inside: Optional[np.ndarray] = None,
    ) -> None:
        self.core = core
        self.inside = inside
        self._roles = roles
        self._blocks = [block for blocks in roles.values() for block in blocks]

    def __getitem__(self, index: Any) -> Any:
        return self._blocks[index]

    def __len__(self) -> int:
        return len(self._blocks)

    def __iter__(self) -> Iterator[Block]:
        return iter(self._blocks)

    @property
    def size(self) -> int:
        """Number of pixels of the core that count, valid or not."""
        if self.inside is None:
            return self.core.rows * self.core.cols
        return int(np.count_nonzero(self.inside))

    def restricted(self, inside: np.ndarray) -> Blocks:
        """The same blocks, which have no margins, with pixels valid only where ``inside`` is."""
        roles = {
            role: [
                replace(b, valid=np.broadcast_to(inside, b.pixels.shape) & _all_or(b.valid))
                for b in blocks
            ]
            for role, blocks in self._roles.items()
        }
        return Blocks(self.core, roles, inside)

    def role(self, role: str) -> Optional[Block]:
        """The block of the one image in this role."""
        blocks = self._roles.get(role, ())
        return blocks[0] if blocks else None

    def all(self, role: str) -> Sequence[Block]:
        """The blocks of all images in this role, in order."""
        return self._roles.get(role, ())


def _all_or(valid: Optional[np.ndarray]) -> Any:
    return True if valid is None else valid


Pixels = tuple[np.ndarray, Optional[np.ndarray]]
"""A block's result: pixels ``(bands, rows, cols)`` and where they are valid (None: everywhere)."""
