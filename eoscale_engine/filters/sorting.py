"""Sorting many short lists at once: the same comparisons everywhere, as passes over whole arrays.

Element ``e`` of the arrays ``a[0]``, ``a[1]``... is one list. A *comparator* ``(low, high)`` puts
the smaller of two of its members in the place ``low`` and the larger one in ``high``: one
``np.minimum`` and one ``np.maximum`` over all lists. What is computed is a fixed sequence of these,
so that each list's result depends on its own members only, and never on what stands beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Optional

import numpy as np

Comparators = tuple[tuple[int, int], ...]


@lru_cache(maxsize=64)
def comparators(count: int, ranks: tuple[int, ...]) -> Comparators:
    """The comparators that bring the wanted ranks of ``count`` members to their places.

    K. E. Batcher's odd-even merge sort ("Sorting networks and their applications", 1968), in the
    form for any count of D. E. Knuth, The Art of Computer Programming 3, 5.2.2, algorithm M;
    without those comparators that reach none of the ``ranks`` (0 is the smallest).
    """
    network = []
    top = 1 << max(0, (count - 1).bit_length() - 1)
    part = top if count > 1 else 0
    while part:
        step, rest, distance = top, 0, part
        while True:
            network += [
                (low, low + distance) for low in range(count - distance) if low & part == rest
            ]
            if step == part:
                break
            distance, rest, step = step - part, part, step // 2
        part //= 2
    needed, found = set(ranks), []
    for low, high in reversed(network):
        if low in needed or high in needed:
            found.append((low, high))
            needed |= {low, high}
    return tuple(reversed(found))


def select(
    arrays: Sequence[np.ndarray], ranks: Sequence[int], *, keep: bool = False
) -> list[np.ndarray]:
    """What stands at each of the ranks where the lists are sorted, element by element.

    Parameters
    ----------
    arrays : sequence of arrays of one shape and dtype
        Without NaN. Which of 0.0 and -0.0 comes first is not defined.
    ranks : sequence of int
        Different ones, from 0, the smallest. The lists are sorted as far as these need it.
    keep : bool
        Leave the arrays as they are, and work in others. Else they are the scratch: they hold
        anything afterwards, and must not overlap.

    Returns
    -------
    list of arrays
        One for each rank, in order.
    """
    return execute(_selection(len(arrays), tuple(ranks)), arrays, keep=keep)


# ---------------------------------------------------------------- minima and maxima, in order


@dataclass(frozen=True)
class Program:
    """Minima and maxima of pairs of values. The inputs come first, then each step adds a value.

    ``steps`` are ``(is maximum, one, other, place, done)``: which two values are compared, which
    of them may hold the result since nobody needs it any more (or -1), and which others nobody
    needs from now on.
    """

    inputs: int
    steps: tuple[tuple[bool, int, int, int, tuple[int, ...]], ...]
    outputs: tuple[int, ...]

    @property
    def used(self) -> frozenset[int]:
        """The inputs that are needed."""
        compared = {value for _, one, other, _, _ in self.steps for value in (one, other)}
        return frozenset(value for value in compared | {*self.outputs} if value < self.inputs)


def execute(
    program: Program, arrays: Sequence[Optional[np.ndarray]], *, keep: bool = True
) -> list[np.ndarray]:
    """The outputs of a program. Inputs that are not used may be None; see :func:`select`."""
    values: list[Any] = list(arrays)
    spare: list[np.ndarray] = []
    first_own = program.inputs if keep else 0
    for is_maximum, one, other, place, done in program.steps:
        first, second = values[one], values[other]
        if place >= first_own:
            out, values[place] = values[place], None
        else:
            out = spare.pop() if spare else np.empty(first.shape, first.dtype)
        (np.maximum if is_maximum else np.minimum)(first, second, out=out)
        values.append(out)
        for value in done:
            if value >= first_own:
                spare.append(values[value])
            values[value] = None
    return [values[output] for output in program.outputs]


class _Writer:
    """Writes a program: comparisons are noted, and those left out that no output needs."""

    def __init__(self, inputs: int) -> None:
        self.inputs = inputs
        self.compared: list[tuple[bool, int, int]] = []

    def minimum(self, one: int, other: int) -> int:
        return self._note(False, one, other)

    def maximum(self, one: int, other: int) -> int:
        return self._note(True, one, other)

    def _note(self, is_maximum: bool, one: int, other: int) -> int:
        self.compared.append((is_maximum, one, other))
        return self.inputs + len(self.compared) - 1

    def program(self, outputs: Sequence[int]) -> Program:
        needed = set(outputs)
        last_use = dict.fromkeys(outputs, len(self.compared))
        for number in reversed(range(len(self.compared))):
            if self.inputs + number in needed:
                for value in self.compared[number][1:]:
                    needed.add(value)
                    last_use.setdefault(value, number)
        names = {value: value for value in range(self.inputs)}
        steps = []
        for number, (is_maximum, one, other) in enumerate(self.compared):
            if self.inputs + number not in needed:
                continue
            done = [names[value] for value in {one, other} if last_use[value] == number]
            place = max(done, default=-1)
            rest = tuple(value for value in done if value != place)
            steps.append((is_maximum, names[one], names[other], place, rest))
            names[self.inputs + number] = self.inputs + len(steps) - 1
        return Program(self.inputs, tuple(steps), tuple(names[value] for value in outputs))


@lru_cache(maxsize=64)
def _selection(count: int, ranks: tuple[int, ...]) -> Program:
    writer, places = _Writer(count), list(range(count))
    for low, high in comparators(count, ranks):
        one, other = places[low], places[high]
        places[low], places[high] = writer.minimum(one, other), writer.maximum(one, other)
    return writer.program([places[rank] for rank in ranks])


@lru_cache(maxsize=512)
def merging_program(first: int, second: int, ranks: tuple[int, ...]) -> Program:
    """The wanted ranks of two sorted lists together; the inputs are one list after the other.

    Either by Batcher's odd-even merge, or rank by rank, whichever has fewer steps.
    """
    writer = _Writer(first + second)
    merged = _merged(writer, list(range(first)), list(range(first, first + second)))
    by_network = writer.program([merged[rank] for rank in ranks])
    if len(ranks) * min(first, second) > len(by_network.steps):
        return by_network
    writer = _Writer(first + second)
    by_rank = writer.program([_at_rank(writer, first, second, rank) for rank in ranks])
    return min(by_rank, by_network, key=lambda program: len(program.steps))


def _merged(writer: _Writer, one: list[int], other: list[int]) -> list[int]:
    """Odd-even merge of two sorted lists of any lengths: their values in order."""
    if not one or not other:
        return one or other
    if len(one) == len(other) == 1:
        return [writer.minimum(*one, *other), writer.maximum(*one, *other)]
    evens = _merged(writer, one[::2], other[::2])
    odds = _merged(writer, one[1::2], other[1::2])
    found = evens[:1]
    for low, high in zip(odds, evens[1:]):
        found += [writer.minimum(low, high), writer.maximum(low, high)]
    # one list may be longer by one or two: its end is in order already
    paired = min(len(odds), len(evens) - 1)
    return found + odds[paired:] + evens[paired + 1 :]


def _at_rank(writer: _Writer, first: int, second: int, rank: int) -> int:
    """The smallest bound of ``rank + 1`` members: of so many of one list and the rest of the other.

    Each bound is the larger of the last members taken of either list.
    """
    found = -1
    for taken in range(max(0, rank + 1 - second), min(first, rank + 1) + 1):
        rest = rank + 1 - taken
        one, other = taken - 1, first + rest - 1
        bound = other if not taken else one if not rest else writer.maximum(one, other)
        found = bound if found < 0 else writer.minimum(found, bound)
    return found
