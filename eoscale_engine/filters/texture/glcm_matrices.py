"""Texture features that need the co-occurrence matrix itself, of every window.

The windows of one row of pixels are handled together, and move down the image together: each
matrix gains the pairs that enter its window and loses those that leave it, and the sums over its
entries follow. All of it is in integers, so that nothing is left of what came and went, and the
same window has the same features in any block. The cost grows with the window's width alone, and
the number of grey levels has hardly a share in it.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from eoscale_engine.filters.texture.glcm_pairs import Pairs

MATRIX_FEATURES = ("ASM", "energy", "entropy", "maximum probability")

UNIT = 2**32
"""Sums of m ln(m) are integers in this unit: to 1e-10 each, and to 2^31 in total."""

TABLE_BYTES = 16 * 2**20
"""Of the matrices of a row; with many grey levels fewer columns are handled together."""


def matrix_features(pairs: Pairs, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """The wanted ones of the features, float32 ``(rows, cols)``; arbitrary where no pair counts.

    With the entries m of a window's matrix and their sum M:

    - ASM: sum((m / M)^2); energy: its square root
    - entropy: -sum(m / M ln(m / M)) = (M ln(M) - sum(m ln(m))) / M
    - maximum probability: max(m) / M
    """
    found = _sums(pairs, wanted)
    entries, result = pairs.entries.astype(np.float64), {}
    if "squares" in found:
        asm = found["squares"] / (entries * entries)
        result["ASM"] = asm.astype(np.float32)
        result["energy"] = np.sqrt(asm).astype(np.float32)
    if "logarithms" in found:
        whole = _m_ln_m(2 * pairs.size).take(pairs.entries)
        result["entropy"] = ((whole - found["logarithms"]) / (UNIT * entries)).astype(np.float32)
    if "largest" in found:
        result["maximum probability"] = (found["largest"] / entries).astype(np.float32)
    return {name: values for name, values in result.items() if name in wanted}


def _sums(pairs: Pairs, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """Sum of squares, sum of m ln(m) and largest entry of each window's matrix, as integers."""
    places, steps = _places(pairs)
    kinds = {
        "squares": "ASM" in wanted or "energy" in wanted,
        "logarithms": "entropy" in wanted,
        "largest": "maximum probability" in wanted,
    }
    names = [name for name, is_wanted in kinds.items() if is_wanted]
    rows = places.shape[0] - pairs.height + 1
    cols = places.shape[1] - pairs.width + 1
    found = {name: np.empty((rows, cols), np.int64) for name in names}
    together = max(1, TABLE_BYTES // _Matrices.column_bytes(pairs))
    for left in range(0, cols, together):
        right = min(cols, left + together)
        matrices = _Matrices(pairs, right - left, names)
        for entering in range(len(places)):
            for col in range(pairs.width):
                part = entering, slice(left + col, right + col)
                matrices.count(places[part], steps[part], 1)
            row = entering - pairs.height + 1
            if row < 0:
                continue
            for name in names:
                found[name][row, left:right] = matrices.sums[name]
            for col in range(pairs.width):
                part = row, slice(left + col, right + col)
                matrices.count(places[part], steps[part], -1)
    if pairs.symmetric and "squares" in found:
        found["squares"] *= 2  # see _Matrices.count
    return found


def _places(pairs: Pairs) -> tuple[np.ndarray, np.ndarray]:
    """Where in a table of matrix entries each pair counts, and by how much.

    Of a symmetric matrix only one half is kept: a pair adds 1 to an entry that stands for two, or
    2 to an entry of the diagonal. A pair that does not count adds 0 to an entry of its own.
    """
    first, second = pairs.first.astype(np.intp), pairs.second.astype(np.intp)
    steps = np.ones(first.shape, np.uint8)
    if pairs.symmetric:
        high, low = np.maximum(first, second), np.minimum(first, second)
        places = high * (high + 1) // 2 + low
        steps += first == second
    else:
        places = first * pairs.levels + second
    if pairs.counted is not None:
        steps *= pairs.counted
        np.copyto(places, _table_size(pairs) - 1, where=~pairs.counted)
    return places, steps


def _table_size(pairs: Pairs) -> int:
    levels = pairs.levels
    return 1 + (levels * (levels + 1) // 2 if pairs.symmetric else levels * levels)


def _entry_type(pairs: Pairs) -> np.dtype:
    return np.min_scalar_type(2 * pairs.size)


class _Matrices:
    """The matrices of some neighbouring windows, and sums over each one's entries.

    ``sums`` holds, for each window, the wanted ones of ``squares``, ``logarithms``, the sum of
    m ln(m) in units of ``1 / UNIT``, and ``largest``, the largest entry.
    """

    def __init__(self, pairs: Pairs, windows: int, names: Collection[str]) -> None:
        kind, size, most = _entry_type(pairs), _table_size(pairs), 2 * pairs.size
        self.sums = {name: np.zeros(windows, np.int64) for name in names}
        self._steps = 2 if pairs.symmetric else 1
        self._matrices = np.arange(windows) * size
        self._table = np.zeros(windows * size, kind)
        self._place = np.empty(windows, np.intp)
        self._before, self._after = np.empty((2, windows), kind)
        self._gain = np.empty(windows, np.int64)
        if "logarithms" in names:
            self._most = most
            self._gains = _logarithm_gains(most, pairs.symmetric)
        if "largest" in names:
            # how many entries have each value; of zeros there are always enough
            self._values = np.arange(windows) * (most + 1)
            self._tally = np.zeros(windows * (most + 1), _entry_type(pairs))
            self._tally[self._values] = most

    @staticmethod
    def column_bytes(pairs: Pairs) -> int:
        """Bytes of one window's tables."""
        return (_table_size(pairs) + 2 * pairs.size + 1) * _entry_type(pairs).itemsize

    def count(self, places: np.ndarray, steps: np.ndarray, sign: int) -> None:
        """Count one pair more (sign 1) or less (-1) in each window."""
        before, after = self._before, self._after
        np.add(self._matrices, places, out=self._place)
        self._table.take(self._place, out=before, mode="clip")
        change = np.add if sign > 0 else np.subtract
        change(before, steps, out=after)
        self._table[self._place] = after
        if "squares" in self.sums:
            # (m + s)^2 - m^2 = s (2 m + s); a step s of 1 has two entries of a symmetric matrix
            squares = self.sums["squares"]
            change(squares, before, out=squares)
            change(squares, after, out=squares)
        if "logarithms" in self.sums:
            key = self._place
            np.multiply(steps, self._most, out=key, dtype=np.intp)
            key += before if sign > 0 else after
            self._gains.take(key, out=self._gain, mode="clip")
            change(self.sums["logarithms"], self._gain, out=self.sums["logarithms"])
        if "largest" in self.sums:
            self._follow_largest(sign)

    def _follow_largest(self, sign: int) -> None:
        largest = self.sums["largest"]
        one = self._tally.dtype.type(1)
        for values, change in ((self._before, np.subtract), (self._after, np.add)):
            place = np.add(self._values, values, out=self._place)
            self._tally[place] = change(self._tally.take(place, mode="clip"), one)
        if sign > 0:
            np.maximum(largest, self._after, out=largest)
            return
        for _ in range(self._steps):  # the largest entry may have shrunk by as much
            largest -= self._tally.take(self._values + largest, mode="clip") == 0


def _m_ln_m(most: int) -> np.ndarray:
    """The values m ln(m) of 0 to most, in units of ``1 / UNIT``."""
    entries = np.arange(most + 1)
    return np.rint(UNIT * entries * np.log(np.maximum(entries, 1))).astype(np.int64)


def _logarithm_gains(most: int, symmetric: bool) -> np.ndarray:
    """By how much the sum of m ln(m) grows where an entry m does by a step, at step * most + m."""
    sums = _m_ln_m(most)
    single = (sums[1:] - sums[:-1]) * (2 if symmetric else 1)
    double = sums[2:] - sums[:-2]
    return np.concatenate((np.zeros(most, np.int64), single, double))
