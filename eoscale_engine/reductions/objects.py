"""The objects of a class image, put together from the pieces that blocks of it hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from eoscale_engine.declaration import Blocks, Input, Reduction, image, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.labels.labelling import (
    CONNECTIVITIES,
    CONNECTIVITY_HELP,
    Contacts,
    contacts_of,
    grouped,
    joined,
    merged_contacts,
    neighbours,
    places_in,
    rows_apart,
    runs_of,
)
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.seams import Edges, edges_of, outline, seams
from eoscale_engine.tiling import Window

MOST_OBJECTS = 2**32 - 1
"""So many can be numbered in 32 bits, with 0 for none."""


class Objects(NamedTuple):
    """The objects of one band, numbered from 1 in raster order of their first pixels.

    Number 0 is what belongs to none; it stands first in all tables.

    Attributes
    ----------
    ids : array of (pieces + 1,)
        The labels of all pieces, ascending.
    numbers : uint32 array of (pieces + 1,)
        The object to which each piece belongs.
    sizes : int64 array of (objects + 1,)
        Pixels.
    values : array of (objects + 1,)
        The value of the object's pixels, as stored.
    valid : boolean array of (objects + 1,)
        Whether its pixels are valid.
    at_border : boolean array of (objects + 1,)
        Whether it touches the border of the image.
    """

    ids: np.ndarray
    numbers: np.ndarray
    sizes: np.ndarray
    values: np.ndarray
    valid: np.ndarray
    at_border: np.ndarray


class CellPieces(NamedTuple):
    """The pieces of one band in one cell; ``pairs`` are labels of those that touch."""

    ids: np.ndarray
    sizes: np.ndarray
    values: np.ndarray
    valid: np.ndarray
    pairs: np.ndarray
    edges: Edges


@dataclass(frozen=True)
class ObjectsFound(Reduction[list[list[CellPieces]], list[Objects]]):
    """Which pieces are one object, how large objects are, and which touch the image's border.

    ``LABELS`` are those of :class:`eoscale_engine.filters.labels.piece_labels.PieceLabels`; which
    blocks it cut the image into makes no difference to the objects. Pieces of equal values that
    touch are joined, in the cells and across their seams. Gives :class:`Objects` for each band.
    """

    stage = "Joining pieces to objects"
    inputs: ClassVar[tuple[Input, ...]] = (image("INPUT"), image("LABELS"))
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    connectivity: str = parameter(choices=CONNECTIVITIES, help=CONNECTIVITY_HELP)

    def map(self, blocks: Blocks) -> list[list[CellPieces]]:
        """The pieces in one cell, by band."""
        block, labels = blocks[0], blocks[1].pixels
        values = block.filled()
        valid = np.broadcast_to(True if block.valid is None else block.valid, values.shape)
        return [
            [_cell_pieces(blocks.core, *arrays, self.connectivity)]
            for arrays in zip(labels, values, valid)
        ]

    def merge(
        self, first: list[list[CellPieces]], second: list[list[CellPieces]]
    ) -> list[list[CellPieces]]:
        """Both lists of cells, by band."""
        for cells, others in zip(first, second):
            cells.extend(others)
        return first

    def finish(self, merged: list[list[CellPieces]], inputs: Sequence[Profile]) -> list[Objects]:
        """The objects of each band."""
        return [_objects(cells, self.connectivity) for cells in merged]


def _cell_pieces(
    core: Window, labels: np.ndarray, values: np.ndarray, valid: np.ndarray, connectivity: str
) -> CellPieces:
    runs = runs_of(labels)
    pieces = grouped(runs.labels, np.diff(runs.first, append=labels.size))
    meant = slice(1, None) if pieces.keys[0] == 0 else slice(None)
    places = runs.first[pieces.first[meant]]
    pairs = []
    for here, there in neighbours(connectivity):
        # pieces that blocks cut: few, and all that travels
        cut = labels[here] != labels[there]
        cut &= values[here] == values[there]
        cut &= valid[here] == valid[there]
        pairs.append(_pairs(labels[here][cut], labels[there][cut]))
    return CellPieces(
        pieces.keys[meant], pieces.totals[meant],
        values.ravel()[places], valid.ravel()[places],
        np.concatenate(pairs, axis=1), edges_of(core, labels),
    )  # fmt: skip


def _pairs(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    """Labels that touch, as ``(2, pairs)``, without those of no piece."""
    pairs = np.stack((one, two))
    return pairs[:, (pairs != 0).all(axis=0)]


def _objects(cells: Sequence[CellPieces], connectivity: str) -> Objects:
    """Join the pieces of one band; the smallest label of an object is its first pixel's place."""
    edges = [cell.edges for cell in cells]
    pieces = grouped(
        np.concatenate([cell.ids for cell in cells]), np.concatenate([cell.sizes for cell in cells])
    )
    none = np.zeros(1, pieces.keys.dtype)
    ids = np.concatenate((none, pieces.keys))
    # an object may hold 0.0 and -0.0, and which is first depends on the blocks: 0 makes both 0.0
    values = np.concatenate([cell.values for cell in cells])[pieces.first]
    values = np.concatenate((np.zeros(1, values.dtype), values + values.dtype.type(0)))
    valid = np.concatenate([cell.valid for cell in cells])[pieces.first]
    valid = np.concatenate(([False], valid))

    pairs = [cell.pairs for cell in cells]
    for seam in seams(edges):
        pairs += [_pairs(seam[here][0], seam[there][0]) for here, there in rows_apart(connectivity)]
    one, two = np.searchsorted(ids, np.concatenate(pairs, axis=1))
    equal = (values[one] == values[two]) & (valid[one] == valid[two])
    root = joined(len(ids), one[equal], two[equal])

    first = root == np.arange(len(ids))
    if first.sum() - 1 > MOST_OBJECTS:
        raise InputError(
            f"The image has more than {MOST_OBJECTS} objects. Work on an extent of it."
        )
    numbers = (np.cumsum(first, dtype=np.intp) - 1)[root].astype(np.uint32)
    count = int(first.sum())
    sizes = np.bincount(numbers[1:], pieces.totals, count).astype(np.int64)
    at_border = np.zeros(count, bool)
    at_border[numbers[np.searchsorted(ids, outline(edges))]] = True
    return Objects(ids, numbers, sizes, values[first], valid[first], at_border)


@dataclass(frozen=True)
class ContactsFound(Reduction[list[list[tuple[Contacts, Edges]]], list[Contacts]]):
    """Along how many pixel edges objects touch others.

    Of the wanted ones, a boolean table by number for each band. Gives :class:`Contacts` for each
    band, ascending.
    """

    stage = "Measuring contacts of objects"
    inputs: ClassVar[tuple[Input, ...]] = (image("LABELS"),)
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    ids: Any = parameter(kind="data", help="Labels of all pieces, by band")
    objects: Any = parameter(kind="data", help="The object of each piece, by band")
    wanted: Any = parameter(kind="data", help="Whether each object is wanted, by band")

    def map(self, blocks: Blocks) -> list[list[tuple[Contacts, Edges]]]:
        """What the objects touch within one cell, by band."""
        found = []
        for labels, *tables in zip(blocks[0].pixels, self.ids, self.objects, self.wanted):
            ids, owners, wanted = tables
            runs = runs_of(labels)
            objects = runs.spread(owners[places_in(ids, runs.labels)])
            contacts = contacts_of(objects, wanted, neighbours("4"))
            found.append([(contacts, edges_of(blocks.core, objects))])
        return found

    def merge(
        self,
        first: list[list[tuple[Contacts, Edges]]],
        second: list[list[tuple[Contacts, Edges]]],
    ) -> list[list[tuple[Contacts, Edges]]]:
        """Both lists of cells, by band."""
        for cells, others in zip(first, second):
            cells.extend(others)
        return first

    def finish(
        self, merged: list[list[tuple[Contacts, Edges]]], inputs: Sequence[Profile]
    ) -> list[Contacts]:
        """Add the edges across the seams."""
        found = []
        for cells, wanted in zip(merged, self.wanted):
            parts = [contacts for contacts, _ in cells]
            lines = seams([edges for _, edges in cells])
            parts += [contacts_of(seam, wanted, rows_apart("4")) for seam in lines]
            found.append(
                merged_contacts(Contacts(*(np.concatenate(column) for column in zip(*parts))))
            )
        return found
