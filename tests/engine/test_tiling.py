"""Windows, tiles, blocks and borders."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eoscale_engine.declaration import ImageFilter
from eoscale_engine.filters.pixel.stack import Stack
from eoscale_engine.pipeline.planning import tiles_of
from eoscale_engine.profile import Profile
from eoscale_engine.raster_files.reading import RasterFile
from eoscale_engine.tiling import (
    BLOCK_BYTES,
    Window,
    block_shape,
    blocks_of,
    border_indices,
    split,
    tile_shape,
)

sides, steps = st.integers(1, 70), st.integers(1, 40)
windows = st.builds(Window, st.integers(0, 90), st.integers(0, 90), sides, sides)
steady = settings(max_examples=80, deadline=None, derandomize=True, database=None)


def covered(pieces: list[Window], window: Window) -> bool:
    """Whether each pixel of the window, and no other, lies in exactly one piece."""
    counts = np.zeros((window.end_row + 1, window.end_col + 1), int)
    for piece in pieces:
        assert piece.rows > 0
        assert piece.cols > 0
        counts[piece.slices] += 1
    inside = counts[window.slices]
    return bool((inside == 1).all() and counts.sum() == inside.size)


def test_windows() -> None:
    window = Window(3, 4, 5, 6)
    assert window.end_row == 8
    assert window.end_col == 10
    assert window.slices == (slice(3, 8), slice(4, 10))
    assert window.expanded(2) == Window(1, 2, 9, 10)
    assert window.intersection(Window(6, 0, 9, 5)) == Window(6, 4, 2, 1)
    assert window.intersection(Window(50, 0, 9, 5))[2:] == (0, 1)
    assert window.relative_to(Window(1, 1, 1, 1)) == Window(2, 3, 5, 6)


@steady
@given(windows, steps, steps)
def test_pieces_cover_and_keep_to_the_images_own_cuts(window: Window, rows: int, cols: int) -> None:
    pieces = split(window, rows, cols)
    assert covered(pieces, window)
    assert pieces == sorted(pieces)
    for piece in pieces:
        assert piece.row == window.row or piece.row % rows == 0
        assert piece.col == window.col or piece.col % cols == 0
        assert piece.row // rows == (piece.end_row - 1) // rows
        assert piece.col // cols == (piece.end_col - 1) // cols


def test_pieces_have_pixels() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        split(Window(0, 0, 4, 4), 0, 3)


@steady
@given(windows, steps, steps)
def test_blocks_cover_and_are_nearly_equal(window: Window, rows: int, cols: int) -> None:
    blocks = blocks_of(window, (rows, cols))
    assert covered(blocks, window)
    for sizes, most in (({b.rows for b in blocks}, rows), ({b.cols for b in blocks}, cols)):
        assert max(sizes) <= most
        assert max(sizes) - min(sizes) <= 1


@steady
@given(windows, steps, steps, st.integers(1, 5000))
def test_tiles_keep_to_the_files_blocks(window: Window, rows: int, cols: int, pixels: int) -> None:
    tile_rows, tile_cols = tile_shape(window, (rows, cols), pixels)
    assert tile_rows % rows == 0
    assert tile_cols % cols == 0
    assert tile_rows * min(tile_cols, window.cols) <= max(
        pixels, rows * min(window.cols, tile_cols)
    )


def test_tiles_of_a_file_of_strips_are_strips() -> None:
    rows, cols = tile_shape(Window(0, 0, 5000, 4000), (1, 4000), 1_000_000)
    assert (rows, cols) == (250, 4000)


def test_blocks_fit_the_cache_and_a_large_margin_makes_them_larger() -> None:
    tile = Window(0, 0, 3000, 3000)
    rows, cols = block_shape(tile, 1, 8)
    assert rows * cols * 8 <= BLOCK_BYTES
    assert rows >= 16
    rows, cols = block_shape(tile, 100, 8)
    assert rows >= 200
    assert cols >= 200
    assert block_shape(Window(0, 0, 2, 3), 50, 8) == (2, 3)


def test_blocks_without_a_margin_are_whole_rows() -> None:
    assert block_shape(Window(0, 0, 100, 10000), 0, 8) == (13, 10000)
    assert block_shape(Window(0, 0, 100, 10**6), 0, 8) == (1, BLOCK_BYTES // 8)
    assert block_shape(Window(0, 0, 2, 3), 0, 8) == (2, 3)


@pytest.mark.parametrize(
    ("border", "mode"), [("nearest", "edge"), ("reflect", "symmetric"), ("invalid", "constant")]
)
@pytest.mark.parametrize("size", [1, 2, 7])
def test_borders_as_numpy_pads(border: str, mode: str, size: int) -> None:
    keywords = {"constant_values": -1} if mode == "constant" else {}
    expected = np.pad(np.arange(size), 20, mode=mode, **keywords)
    np.testing.assert_array_equal(border_indices(-20, size + 20, size, border), expected)


class Wide(Stack):
    """A filter with a margin."""

    margin = 40  # type: ignore[assignment]


@pytest.mark.parametrize("squares", [True, False, None])
@pytest.mark.parametrize("declaration", [Stack(), Wide()])
def test_tiles_of_a_run(squares: bool, declaration: ImageFilter) -> None:
    area = Window(30, 10, 500, 300)
    tiles = tiles_of(area, (), declaration, squares=squares, pixels=6000)
    assert covered(tiles, area)
    strips = {tile.cols for tile in tiles} == {300}
    assert strips == (squares is False or (squares is None and type(declaration) is Stack))
    assert len(tiles) > 10


def test_tiles_of_a_file_keep_to_its_blocks_and_grow_with_the_margin() -> None:
    area = Window(0, 0, 900, 1000)
    file = RasterFile("x.tif", (1,), Profile(1000, 900, "uint8"), (64, 32))
    inputs = (("INPUT", (file,)),)
    small = tiles_of(area, inputs, Stack(), pixels=6000)
    for tile in small:
        assert tile.row % 64 == 0
        assert tile.col % 32 == 0
    # each tile is read with its margin: with one of 40 pixels, a tile has 160 x 160
    large = tiles_of(area, inputs, Wide(), pixels=6000)
    assert large[0].rows * large[0].cols > 3 * small[0].rows * small[0].cols
    strips = tiles_of(area, inputs, Stack(), squares=False, pixels=6000)
    assert {tile.cols for tile in strips} == {1000}
    for tiles in (small, large, strips):
        assert covered(tiles, area)
