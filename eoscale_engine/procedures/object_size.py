"""Objects of a class image filtered by their size, whatever the size of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Engine, Output, Procedure, Result, Roles, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.labels.labelling import (
    CONNECTIVITIES,
    CONNECTIVITY_HELP,
    Contacts,
    best,
    merged_contacts,
)
from eoscale_engine.filters.labels.piece_labels import (
    SELECTIONS,
    PieceLabels,
    is_selected,
)
from eoscale_engine.procedures.objects import (
    UNITS,
    check_selection,
    check_value,
    contacts,
    find_objects,
    free_value,
    outside,
    pixel_area,
    replaced,
    summary_of,
)
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.objects import Objects
from eoscale_engine.styles import Classes, Style


@dataclass(frozen=True)
class ObjectSize(Procedure):
    """Keep the objects of a class image whose size lies between two bounds, replace the others.

    An object is a connected set of pixels of one value in the whole image. Those with
    ``minimum <= size <= maximum`` stay, and so do the objects of values that are not selected. The
    pixels of the others

    become ``nodata``;

    get a ``given value``;

    get the value of the ``largest neighbour``, as a sieve does: of the objects that stay and that
    it touches by a pixel edge, the one with most pixels;

    or that with the ``longest border``: most pixel edges in common.

    Of equals the first in raster order is taken. An object that touches none that stays follows its
    neighbours to the object that takes them, ring by ring from outside; if no object stays anywhere
    around, it stays too. Sizes and borders are those before anything is replaced. GDAL's sieve also
    compares objects that will not stay, and leaves those that lead to no large one.

    Size is a number of pixels, or an area in the square of the unit of the CRS, the same for every
    pixel; images in degrees are refused. Values are compared as stored, without scale and offset;
    floats by equality. Each band is filtered by itself. With an extent the objects are those of its
    pixels alone.

    Nodata, NaN and masked pixels belong to no object and stay as they are. The data type, scale,
    offset and nodata value are the input's; where it has no nodata value and one is needed, the
    largest value of its unsigned, the smallest of its signed type that no object has, or NaN.

    The table has, for each band, the number of objects of selected values, of those that were
    replaced, and of their pixels.
    """

    name: ClassVar[str] = "objectsize"
    label: ClassVar[str] = "Filter objects by size"
    group: ClassVar[str] = "Labels"
    tags: ClassVar[tuple[str, ...]] = (
        "object size", "area filter", "area opening", "remove small objects", "sieve", "clump",
        "minimum mapping unit", "generalize", "despeckle", "reclass.area", "r.reclass.area",
        "regions", "patches", "eliminate",
    )  # fmt: skip
    outputs: ClassVar[tuple[Output, ...]] = (Output(label="Filtered"),)
    reports: ClassVar[bool] = True
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("COUNT", "Number of objects of the first band whose values are selected"),
        ("REPLACED", "Number of objects of the first band that were replaced"),
        ("PIXELS", "Number of pixels of the first band that were replaced"),
    )
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"minimum": None, "maximum": 3, "replacement": "given value", "value": 7},
        {"minimum": 3, "replacement": "largest neighbour", "selection": "all values"},
        {
            "minimum": 20, "unit": "map units squared", "replacement": "longest border",
            "connectivity": "8", "selection": "given values", "values": (0, 3, 20),
        },
    )  # fmt: skip

    minimum: Optional[float] = parameter(
        10, minimum=0, label="Least size", help="Smaller objects are replaced; empty for none."
    )
    maximum: Optional[float] = parameter(
        None, minimum=0, label="Largest size", help="Larger objects are replaced; empty for none."
    )
    unit: str = parameter(
        "pixels", choices=UNITS, label="Size in", help="Pixels, or the area in the CRS's own unit."
    )
    replacement: str = parameter(
        "nodata",
        choices=("nodata", "given value", "largest neighbour", "longest border"),
        label="Replaced by",
        help="What the pixels of other objects become.",
    )
    value: float = parameter(
        0.0,
        label="Given value",
        help="A stored value, without the band's scale and offset.",
        counts_when={"replacement": ("given value",)},
    )
    connectivity: str = parameter("4", choices=CONNECTIVITIES, help=CONNECTIVITY_HELP)
    selection: str = parameter(
        "all but 0",
        choices=SELECTIONS,
        label="Values of objects",
        help="Objects of which values are replaced; others stay, as neighbours that they touch.",
    )
    values: tuple[float, ...] = parameter(
        (),
        kind="numbers",
        label="Given values of objects",
        help="Stored values, separated by commas.",
        counts_when={"selection": ("given values",)},
    )

    @property
    def places(self) -> str:
        """Sizes may be areas."""
        return "" if self.unit == "pixels" else "cells"

    def validate(self) -> None:
        """Refuse bounds that are none."""
        check_selection(self.label, self.selection, self.values)
        if self.minimum is None and self.maximum is None:
            raise InputError(f"{self.label}: give 'Least size', 'Largest size' or both.")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            raise InputError(
                f"{self.label}: 'Least size' is {self.minimum:.12g}, greater than 'Largest size', "
                f"{self.maximum:.12g}. Swap them, or leave one empty."
            )

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse values that the image cannot hold, and areas that its pixels do not have."""
        super().check(inputs)
        profile = inputs["INPUT"][0]
        if self.replacement == "given value":
            check_value(self.label, self.value, profile)
        pixel_area(self.label, self.unit, profile)

    def styles(self) -> Sequence[Optional[Style]]:
        """One colour for each class."""
        return (Classes(),)

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Labels, and the image."""
        return [*PieceLabels(self.connectivity, "all values").output_profiles(inputs), inputs[0]]

    def run(self, images: Roles, engine: Engine) -> Result:
        """Find objects and their sizes, what those to be replaced touch, and replace them."""
        profile = engine.profile(images["INPUT"][0])
        labels, objects = find_objects(images, engine, PieceLabels(self.connectivity, "all values"))
        area = pixel_area(self.label, self.unit, profile)
        selected = [is_selected(o.values, self.selection, self.values) for o in objects]
        unwanted = [
            table & outside(found.sizes * area, self.minimum, self.maximum)
            for table, found in zip(selected, objects)
        ]
        values: list[Optional[np.ndarray]]
        if self.replacement == "nodata":
            values = [None] * len(objects)
        elif self.replacement == "given value":
            # as a valid value it could not be told from nodata
            values = [
                None
                if band.nodata == self.value
                else np.full(len(found.sizes), self.value, found.values.dtype)
                for found, band in zip(objects, profile.bands)
            ]
        else:
            touched = contacts(labels, engine, objects, unwanted)
            values = []
            for number, found in enumerate(objects):
                target = self._targets(found, touched[number], unwanted[number])
                unwanted[number] &= target != 0
                values.append(found.values[target])
        nodata = free_value(objects) if self.replacement == "nodata" else None
        made = replaced(images, engine, labels, objects, unwanted, values, nodata)
        engine.release(labels)
        return Result(tuple(made), summary_of(self, profile, objects, selected, unwanted))

    def _targets(self, objects: Objects, touched: Contacts, unwanted: np.ndarray) -> np.ndarray:
        """Of which object each becomes part; 0 for unwanted ones around which none stays."""
        target = np.where(unwanted, 0, np.arange(len(unwanted)))
        while touched.objects.size:
            reached = target[touched.others]
            near = reached != 0
            if not near.any():
                break
            border = merged_contacts(
                Contacts(touched.objects[near], reached[near], touched.edges[near])
            )
            amounts = border.edges
            if self.replacement == "largest neighbour":
                amounts = objects.sizes[border.others]
            chosen = best(border.objects, border.others, amounts)
            target[border.objects[chosen]] = border.others[chosen]
            waiting = target[touched.objects] == 0
            touched = Contacts(*(column[waiting] for column in touched))
        return target
