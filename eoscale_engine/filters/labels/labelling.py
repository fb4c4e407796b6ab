"""What filters of labels share: the connected pieces of equal pixels in one array, and tables.

A *piece* is a connected set of pixels of one value in one array: a block, a cell, a seam. An
*object* is one in the whole image: several pieces, where blocks cut it. Pieces are made of *runs*,
the stretches of equal pixels in a row, of which there are far fewer than pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np

CONNECTIVITIES = ("4", "8")
CONNECTIVITY_HELP = "4: pixels that share an edge are connected; 8: those that share a corner too."

Place = tuple[slice, slice]

_STEPS = {"4": (0,), "8": (0, -1, 1)}
_COLUMNS = {
    0: (slice(None), slice(None)),
    -1: (slice(1, None), slice(None, -1)),
    1: (slice(None, -1), slice(1, None)),
}
"""Columns of one row, and those of the row above that lie so many further right."""


def rows_apart(connectivity: str) -> list[tuple[Place, Place]]:
    """Views of an array of ``(rows, cols)``: pixels, and those in the row above that they touch."""
    return [
        ((slice(1, None), here), (slice(None, -1), there))
        for here, there in (_COLUMNS[step] for step in _STEPS[connectivity])
    ]


def neighbours(connectivity: str) -> list[tuple[Place, Place]]:
    """Views of pixels and of those that they touch: each two that touch are one pair."""
    beside = (slice(None), slice(1, None)), (slice(None), slice(None, -1))
    return [beside, *rows_apart(connectivity)]


# ---------------------------------------------------------------- pieces


class Pieces(NamedTuple):
    """The pieces of an array of ``(rows, cols)``, in runs.

    Attributes
    ----------
    run : int32 array of (rows, cols)
        Number of the run to which each pixel belongs.
    first : array of (runs,)
        Place of each run's first pixel in the flat array.
    root : array of (runs,)
        The first run of the piece to which a run belongs: it stands for the piece.
    """

    run: np.ndarray
    first: np.ndarray
    root: np.ndarray


def pieces_of(
    values: np.ndarray,
    connectivity: str,
    *,
    kept: Optional[np.ndarray] = None,
    valid: Optional[np.ndarray] = None,
) -> Pieces:
    """The connected pieces of equal values.

    Parameters
    ----------
    values : array of (rows, cols)
        Without NaN.
    connectivity : "4" or "8"
    kept : boolean array of (rows, cols), or None for all
        The others form runs too, each a piece without a meaning.
    valid : boolean array of (rows, cols), or None for all
        Valid and invalid pixels are never of one piece.
    """
    starts = np.ones(values.shape, bool)
    np.not_equal(values[:, 1:], values[:, :-1], out=starts[:, 1:])
    for mask in (kept, valid):
        if mask is not None:
            starts[:, 1:] |= mask[:, 1:] != mask[:, :-1]
    run = np.cumsum(starts.ravel(), dtype=np.int32)
    run -= 1
    lower, upper = _touching(values, connectivity, kept, valid, starts)
    first = np.flatnonzero(starts)
    root = joined(len(first), run[lower].astype(np.intp), run[upper].astype(np.intp))
    return Pieces(run.reshape(values.shape), first, root)


def _touching(
    values: np.ndarray,
    connectivity: str,
    kept: Optional[np.ndarray],
    valid: Optional[np.ndarray],
    starts: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Places of equal pixels in adjacent rows: at least one pair for any two runs that touch.

    Runs that share a column share one where either starts. Of runs that touch by a corner alone,
    one starts at the corner and the other one has ended there.
    """
    cols = values.shape[1]
    lower, upper = [], []
    for step in _STEPS[connectivity]:
        here, there = _COLUMNS[step]
        touching = np.zeros((len(values) - 1, cols), bool)
        same = touching[:, here]
        np.equal(values[1:, here], values[:-1, there], out=same)
        if kept is not None:
            same &= kept[1:, here]
            same &= kept[:-1, there]
        if valid is not None:
            same &= valid[1:, here] == valid[:-1, there]
        if step == 0:
            same &= starts[1:] | starts[:-1]
        else:
            same &= starts[1:, 1:]
            same &= starts[:-1, 1:]
        lower.append(np.flatnonzero(touching) + cols)
        upper.append(lower[-1] - cols + step)
    return np.concatenate(lower), np.concatenate(upper)


def joined(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The smallest member of the set to which each of ``count`` elements belongs.

    Elements ``first[i]`` and ``second[i]`` belong together. Each round links the roots that touch
    smaller ones to the smallest of these, and all elements straight to their roots: a few rounds
    of a few steps, however long the chains.
    """
    root = np.arange(count, dtype=np.intp)
    while first.size:
        low, high = np.minimum(first, second), np.maximum(first, second)
        # of several, the last one assigned stays: the smallest
        order = np.argsort(low, kind="stable")[::-1]
        root[high[order]] = low[order]
        _shorten(root, high)
        first, second = root[low], root[high]
        apart = first != second
        first, second = first[apart], second[apart]
    _shorten(root, np.arange(count))
    return root


def _shorten(root: np.ndarray, places: np.ndarray) -> None:
    """Link these elements straight to their roots."""
    nearer = root[places]
    while places.size:
        nearest = root[nearer]
        farther = nearest != nearer
        places, nearer = places[farther], nearest[farther]
        root[places] = nearer


# ---------------------------------------------------------------- tables


class Groups(NamedTuple):
    """Equal keys together: each key once, ascending, the sum of its amounts, its first place."""

    keys: np.ndarray
    totals: np.ndarray
    first: np.ndarray


def grouped(keys: np.ndarray, amounts: np.ndarray) -> Groups:
    """Group keys that occur several times."""
    order = np.argsort(keys, kind="stable")
    ascending = keys[order]
    starts = np.ones(len(keys), bool)
    np.not_equal(ascending[1:], ascending[:-1], out=starts[1:])
    first = np.flatnonzero(starts)
    return Groups(ascending[first], np.add.reduceat(amounts[order], first), order[first])


def best(groups: np.ndarray, items: np.ndarray, amounts: np.ndarray) -> np.ndarray:
    """Places of the item with the largest amount in each group; of equals, the smallest item."""
    order = np.lexsort((items, -amounts, groups))
    ascending = groups[order]
    starts = np.ones(len(order), bool)
    np.not_equal(ascending[1:], ascending[:-1], out=starts[1:])
    return order[starts]


class Runs(NamedTuple):
    """Equal labels that follow each other in a flat array: their label, and each pixel's run."""

    labels: np.ndarray
    first: np.ndarray
    run: np.ndarray

    def spread(self, table: np.ndarray) -> np.ndarray:
        """One value for each run as ``(rows, cols)``."""
        # "clip" spares a check of every pixel
        return np.take(table, self.run, mode="clip")


def runs_of(labels: np.ndarray) -> Runs:
    """The runs of an array of ``(rows, cols)``; they may go on from one row to the next."""
    flat = labels.ravel()
    starts = np.ones(flat.shape, bool)
    np.not_equal(flat[1:], flat[:-1], out=starts[1:])
    first = np.flatnonzero(starts)
    run = np.cumsum(starts, dtype=np.int32)
    run -= 1
    return Runs(flat[first], first, run.reshape(labels.shape))


def places_in(ids: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Where each label stands in the ascending table that holds them all, 0 in front."""
    known = labels[labels != 0]
    if not known.size:
        return np.zeros(labels.shape, np.intp)
    # a block's labels lie close together: what is searched fits the cache
    low, high = np.searchsorted(ids, (known.min(), known.max()))
    places = np.searchsorted(ids[low : high + 1], labels) + low
    places[labels == 0] = 0
    return places


# ---------------------------------------------------------------- contacts


class Contacts(NamedTuple):
    """Objects, others that they touch, and along how many pixel edges."""

    objects: np.ndarray
    others: np.ndarray
    edges: np.ndarray


def contacts_of(
    objects: np.ndarray, wanted: np.ndarray, pairs: Sequence[tuple[Place, Place]]
) -> Contacts:
    """What the wanted objects touch in an array of ``(rows, cols)`` of object numbers.

    0 is no object; ``wanted`` is a boolean table by number; ``pairs`` say which pixels are looked
    at (see :func:`neighbours`).
    """
    chosen = wanted[objects]
    ones, others = [], []
    for here, there in pairs:
        border = objects[here] != objects[there]
        border &= chosen[here] | chosen[there]
        ones.append(objects[here][border])
        others.append(objects[there][border])
    one, other = np.concatenate(ones + others), np.concatenate(others + ones)
    known = wanted[one] & (other != 0)
    one, other = one[known], other[known]
    return merged_contacts(Contacts(one, other, np.ones(len(one), np.int64)))


def merged_contacts(contacts: Contacts) -> Contacts:
    """Each pair of objects once, ascending."""
    keys = contacts.objects.astype(np.uint64) << np.uint64(32)
    keys |= contacts.others.astype(np.uint64)
    pairs = grouped(keys, contacts.edges)
    return Contacts(contacts.objects[pairs.first], contacts.others[pairs.first], pairs.totals)


class Surroundings(NamedTuple):
    """Objects, the value along most of their border, and whether they touch that one alone."""

    objects: np.ndarray
    values: np.ndarray
    alone: np.ndarray


def surroundings(contacts: Contacts, values: np.ndarray) -> Surroundings:
    """What the objects' neighbours are, by a table of the values of objects.

    Of values along as many edges, the smallest.
    """
    shares = values[contacts.others]
    order = np.lexsort((shares, contacts.objects))
    ones, shares = contacts.objects[order], shares[order]
    starts = np.ones(len(order), bool)
    starts[1:] = (ones[1:] != ones[:-1]) | (shares[1:] != shares[:-1])
    first = np.flatnonzero(starts)
    ones, shares = ones[first], shares[first]
    most = best(ones, shares, np.add.reduceat(contacts.edges[order], first))
    _, kinds = np.unique(ones, return_counts=True)
    return Surroundings(ones[most], shares[most], kinds == 1)
