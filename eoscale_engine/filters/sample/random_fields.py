"""Random fields: numbers that depend on nothing but the place and a seed.

Every field is a function of the pixel's row and column and of a seed, so that any window can be
computed alone, and always has the same bits. Smooth fields come from hashed numbers on a coarse
lattice that is refined by halving its cells with the subdivision of cubic B-splines, which has
no visible grid (J. M. Lane and R. F. Riesenfeld, "A theoretical development for the computer
generation and display of piecewise polynomial surfaces", IEEE PAMI 2(1), 1980).
"""

from __future__ import annotations

import numpy as np

from eoscale_engine.tiling import Window


def hashed(rows: np.ndarray, cols: np.ndarray, seed: int) -> np.ndarray:
    """Independent numbers, float32 from 0 to below 1, one for each pair of whole numbers.

    Two rounds of a 32-bit integer hash with the multipliers of C. Wellons' "lowbias32" (2018).
    """
    state = _mixed(
        rows.astype(np.uint32) * np.uint32(0x9E3779B1) + np.uint32(seed * 0x632BE59B % 2**32)
    )
    state = _mixed(state + cols.astype(np.uint32) * np.uint32(0x85EBCA77))
    state >>= np.uint32(8)
    numbers = state.astype(np.float32)
    numbers *= np.float32(2**-24)
    return numbers


def uniform(window: Window, seed: int) -> np.ndarray:
    """Independent numbers, float32 from 0 to below 1, one for each place of a window."""
    rows, cols = places(window)
    return hashed(rows, cols, seed)


def places(window: Window) -> tuple[np.ndarray, np.ndarray]:
    """The rows ``(rows, 1)`` and columns ``(1, cols)`` of a window."""
    return (
        np.arange(window.row, window.end_row)[:, None],
        np.arange(window.col, window.end_col)[None, :],
    )


def _mixed(state: np.ndarray) -> np.ndarray:
    for shift, multiplier in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        state ^= state >> np.uint32(shift)
        state *= np.uint32(multiplier)
    state ^= state >> np.uint32(16)
    return state


def coarser(window: Window) -> Window:
    """The lattice of twice the cell size that :func:`refined` needs for a window."""
    row, col = window.row // 2 - 1, window.col // 2 - 1
    return Window(
        row, col, (window.end_row - 1) // 2 + 2 - row, (window.end_col - 1) // 2 + 2 - col
    )


def refined(coarse: np.ndarray, window: Window) -> np.ndarray:
    """One subdivision of a cubic B-spline: from :func:`coarser` of a window to the window."""
    tall = _interleaved(coarse[:-2], coarse[1:-1], coarse[2:], axis=0)
    tall = tall[window.row % 2 :][: window.rows]
    wide = _interleaved(tall[:, :-2], tall[:, 1:-1], tall[:, 2:], axis=1)
    return wide[:, window.col % 2 :][:, : window.cols]


def _interleaved(before: np.ndarray, here: np.ndarray, after: np.ndarray, axis: int) -> np.ndarray:
    rows, cols = here.shape
    fine = np.empty((2 * rows, cols) if axis == 0 else (rows, 2 * cols), np.float32)
    even, odd = (fine[::2], fine[1::2]) if axis == 0 else (fine[:, ::2], fine[:, 1::2])
    np.add(here, after, out=odd)
    odd *= np.float32(0.5)
    sides = before + after
    sides *= np.float32(0.125)
    np.multiply(here, np.float32(0.75), out=even)
    even += sides
    return fine


def smooth(window: Window, octave: int, seed: int) -> np.ndarray:
    """A smooth field with hills some ``2 ** octave`` places apart; mean 0, deviation about 1."""
    if octave == 0:
        field = uniform(window, seed)
        field -= np.float32(0.5)
        field *= np.float32(8)
        return field
    return refined(smooth(coarser(window), octave - 1, seed), window)
