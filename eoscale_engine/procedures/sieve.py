"""Small objects of a class image dissolved into what surrounds them, until none is left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Engine, Output, Procedure, Result, Roles, parameter
from eoscale_engine.filters.labels.labelling import (
    CONNECTIVITIES,
    CONNECTIVITY_HELP,
    Contacts,
    best,
    joined,
    merged_contacts,
    surroundings,
)
from eoscale_engine.filters.labels.piece_labels import PieceLabels
from eoscale_engine.procedures.objects import contacts, find_objects, outside, replaced
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.objects import Objects
from eoscale_engine.styles import Classes, Style


@dataclass(frozen=True)
class Sieve(Procedure):
    """Dissolve objects of fewer pixels than the size into what surrounds them, until none is left.

    An object is a connected set of pixels of one value in the whole image: classes, or any integers
    or floats, by equality, as stored. Each band is handled by itself. With an extent the objects
    are those of its pixels alone.

    The pixels of an object that is smaller than the size get the value along the largest number of
    their outer pixel edges, of those that belong to objects of at least the size; of several the
    smallest. What touches no such object waits until its neighbours have a value, ring by ring from
    outside. Where small objects lie among small ones alone, each goes to its largest neighbour,
    whose value they all get, until they make up the size together.

    So no object smaller than the size is left, but those that touch no other one by a pixel edge,
    and islands of valid pixels that are smaller as a whole: these stay as they are. The result is
    that of the whole image, however it is cut for the work. GDAL's sieve takes the value of the
    largest neighbour, and leaves objects around which it finds none that is large; "Filter objects
    by size" has that rule too.

    Nodata: invalid pixels belong to no object, have no share in a border, and stay invalid. The
    data type, scale, offset and nodata value are the input's. While it runs, it needs 4 bytes for
    each pixel and band beside the result (8 for images of 2^32 pixels and more), and some 100 bytes
    for each object.
    """

    name: ClassVar[str] = "sieve"
    label: ClassVar[str] = "Sieve small objects"
    group: ClassVar[str] = "Labels"
    tags: ClassVar[tuple[str, ...]] = (
        "sieve", "clump", "speckle", "salt and pepper", "generalize", "minimum mapping unit",
        "majority", "small", "objects", "regions", "classification", "regularization", "clean",
    )  # fmt: skip
    outputs: ClassVar[tuple[Output, ...]] = (Output(),)
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"minimum": 2},
        {"minimum": 9, "connectivity": "8"},
        {"minimum": 500},
    )

    minimum: int = parameter(
        8,
        minimum=2,
        unit="pixels",
        label="Least size",
        help="Pixels of the smallest object that stays as it is.",
    )
    connectivity: str = parameter("4", choices=CONNECTIVITIES, help=CONNECTIVITY_HELP)

    def styles(self) -> Sequence[Optional[Style]]:
        """One colour for each class."""
        return (Classes(),)

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Labels, and the image."""
        return [*PieceLabels(self.connectivity, "all values").output_profiles(inputs), inputs[0]]

    def run(self, images: Roles, engine: Engine) -> Result:
        """Find objects and their sizes, what the small ones touch, and dissolve them."""
        labels, objects = find_objects(images, engine, PieceLabels(self.connectivity, "all values"))
        small = [outside(found.sizes, self.minimum, None) for found in objects]
        touched = contacts(labels, engine, objects, small)
        values = [dissolved(*band, self.minimum) for band in zip(objects, touched)]
        changed = [new != found.values for new, found in zip(values, objects)]
        made = replaced(images, engine, labels, objects, changed, values)
        engine.release(labels)
        return Result(tuple(made))


def dissolved(objects: Objects, touched: Contacts, minimum: int) -> np.ndarray:
    """The value that each object gets, by its number.

    ``touched`` are all contacts of the objects of fewer than ``minimum`` pixels.
    """
    values, sizes = objects.values.copy(), objects.sizes.copy()
    settled = sizes >= minimum
    group = np.arange(len(sizes))
    while touched.objects.size:
        touched = _settle(touched, values, settled)
        if touched.objects.size:
            nearest = _grouped(touched, values, sizes)
            group = nearest[group]
            sizes = np.bincount(nearest, sizes, len(sizes)).astype(np.int64)
            settled |= sizes >= minimum
            touched = _between(touched, nearest, settled)
    return np.where(settled[group], values[group], objects.values)


def _settle(touched: Contacts, values: np.ndarray, settled: np.ndarray) -> Contacts:
    """Give values along the borders with what is settled, ring by ring; the contacts left over."""
    while True:
        near = settled[touched.others]
        if not near.any():
            return touched
        around = surroundings(Contacts(*(column[near] for column in touched)), values)
        values[around.objects] = around.values
        settled[around.objects] = True
        waiting = ~settled[touched.objects]
        touched = Contacts(*(column[waiting] for column in touched))


def _grouped(touched: Contacts, values: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """For each object the one that stands for its group, of whose value the group is.

    Each goes with its largest neighbour (the first of equals) if that is larger than itself, and
    groups of one value that touch are one.
    """
    nearest = np.arange(len(sizes))
    chosen = best(touched.objects, touched.others, sizes[touched.others])
    ones, others = touched.objects[chosen], touched.others[chosen]
    larger = (sizes[others] > sizes[ones]) | ((sizes[others] == sizes[ones]) & (others < ones))
    nearest[ones[larger]] = others[larger]
    while (nearest[nearest] != nearest).any():
        nearest = nearest[nearest]
    first, second = nearest[touched.objects], nearest[touched.others]
    equal = values[first] == values[second]
    return joined(len(sizes), first[equal], second[equal])[nearest]


def _between(touched: Contacts, nearest: np.ndarray, settled: np.ndarray) -> Contacts:
    """The contacts of groups that are not settled."""
    ones, others = nearest[touched.objects], nearest[touched.others]
    apart = (ones != others) & ~settled[ones]
    return merged_contacts(Contacts(ones[apart], others[apart], touched.edges[apart]))
