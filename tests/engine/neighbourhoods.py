"""What the tests of neighbourhood filters share: running one over any blocks, and images for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
from hypothesis import strategies as st

from eoscale_engine.declaration import Block, Blocks, ImageFilter
from eoscale_engine.profile import Band, Profile
from eoscale_engine.tiling import Window, border_indices, split

REAL_DTYPES = (
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float32", "float64"
)  # fmt: skip


def profile_of(pixels: np.ndarray, bands: Sequence[Band] = ()) -> Profile:
    """The profile of an array of ``(bands, rows, cols)``."""
    count, rows, cols = pixels.shape
    return Profile(cols, rows, pixels.dtype.name, tuple(bands) or (Band(),) * count)


def run(
    declaration: ImageFilter,
    pixels: np.ndarray,
    valid: Optional[np.ndarray] = None,
    *,
    bands: Sequence[Band] = (),
    block: Optional[tuple[int, int]] = None,
    blind: int = 0,
) -> tuple[np.ndarray, np.ndarray]:
    """Filter an image block by block, as the engine does; in one block unless a size is given.

    ``blind`` pixels at the outside of every margin are made invalid.
    Returns pixels of the output's dtype, 0 where they are invalid, and where they are valid.
    """
    profile = profile_of(pixels, bands)
    image = Window(0, 0, profile.height, profile.width)
    (output,) = declaration.output_profiles([profile])
    result = np.zeros(pixels.shape, output.dtype)
    found = np.zeros(pixels.shape, bool)
    valid = np.ones(pixels.shape, bool) if valid is None else valid
    margin = declaration.margin
    for core in split(image, *(block or (image.rows, image.cols))):
        wide = core.expanded(margin)
        rows = border_indices(wide.row, wide.end_row, image.rows, declaration.border)
        cols = border_indices(wide.col, wide.end_col, image.cols, declaration.border)
        index = (slice(None), rows[:, None], cols[None, :])
        seen = valid[index] & (rows >= 0)[:, None] & (cols >= 0)
        edge = np.ones(seen.shape[1:], bool)
        edge[blind : wide.rows - blind, blind : wide.cols - blind] = False
        seen &= ~edge
        part = Block(pixels[index], None if seen.all() else seen, profile, core, (margin,) * 4)
        part.pixels.flags.writeable = False
        values, where = declaration.apply(Blocks(core, {"INPUT": [part]}))
        assert values.shape == (len(pixels), core.rows, core.cols)
        assert values.dtype == output.dtype
        where = np.ones(values.shape, bool) if where is None else where
        result[(slice(None), *core.slices)] = np.where(where, values, 0)
        found[(slice(None), *core.slices)] = where
    return result, found


def same_bits(first: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> bool:
    """Whether two results have the same bits, signs of zeros and NaN too."""
    return all(one.tobytes() == two.tobytes() for one, two in zip(first, other))


def random_image(
    dtype: str, shape: tuple[int, ...], seed: int, holes: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels over the dtype's range (integers) or of many magnitudes, and where they are valid.

    Invalid pixels hold NaN or the largest value.
    """
    random = np.random.default_rng(seed)
    kind = np.dtype(dtype)
    valid = random.random(shape) >= holes
    if kind.kind == "f":
        pixels = (random.normal(size=shape) * 10 ** random.uniform(-3, 3, shape)).astype(kind)
        pixels[random.random(shape) < 0.05] = -0.0
        pixels[random.random(shape) < 0.05] = 0.0
        pixels[~valid] = np.nan
    else:
        info = np.iinfo(kind)
        pixels = random.integers(info.min, info.max, shape, dtype=kind, endpoint=True)
        pixels[~valid] = info.max
    return pixels, valid


@st.composite
def images(draw: Any) -> tuple[np.ndarray, np.ndarray, tuple[int, int]]:
    """An image of any real dtype, with no, few, many or grouped holes, and a block size."""
    bands, rows = draw(st.integers(1, 2)), draw(st.integers(1, 24))
    cols = draw(st.one_of(st.integers(1, 40), st.integers(150, 320)))
    pixels, valid = random_image(
        draw(st.sampled_from(REAL_DTYPES)),
        (bands, rows, cols),
        draw(st.integers(0, 2**32 - 1)),
        draw(st.sampled_from((0.0, 0.0, 0.003, 0.2, 1.0))),
    )
    if draw(st.booleans()):
        row, col = draw(st.integers(0, rows - 1)), draw(st.integers(0, cols - 1))
        valid[-1, row : row + 4, col : col + 4] = False
    return pixels, valid, (draw(st.integers(1, rows)), draw(st.integers(1, cols)))
