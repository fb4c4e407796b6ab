"""Holes in the objects of a class image filled, whatever the size of the image."""

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
    surroundings,
)
from eoscale_engine.filters.labels.piece_labels import PieceLabels, is_selected
from eoscale_engine.procedures.objects import (
    UNITS,
    check_value,
    contacts,
    find_objects,
    outside,
    pixel_area,
    replaced,
    summary_of,
)
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.objects import Objects
from eoscale_engine.styles import Classes, Style


@dataclass(frozen=True)
class FillHoles(Procedure):
    """Fill the holes of a class image: what other values surround on all sides.

    A hole is a connected set of pixels of the hole's value (usually 0) or of invalid pixels, that
    does not touch the border of the image, nor an edge of a pixel that is invalid: what lies beyond
    is not known. Holes of any size are found in the whole image; those of at most the largest size
    are filled with

    the ``surrounding value``, where all edges around the hole are of one value; others stay;

    the value with the ``longest border``: along the largest number of pixel edges around the hole,
    the smallest of several;

    or a ``given value``.

    Holes with connectivity 4 lie in objects that corners connect (8), and the other way round.
    Size is a number of pixels, or an area in the square of the unit of the CRS; images in degrees
    are then refused. Values are compared as stored, without scale and offset; floats by equality.
    Each band is filled by itself. With an extent the border is the extent's.

    Nodata, NaN and masked pixels stay as they are unless they are the holes. The data type, scale,
    offset and nodata value are the input's.

    The table has, for each band, the number of holes of any size, of those that were filled, and of
    their pixels.

    Source: P. Soille, "Morphological Image Analysis", 2nd edition, Springer 2003.
    """

    name: ClassVar[str] = "fillholes"
    label: ClassVar[str] = "Fill holes in objects"
    group: ClassVar[str] = "Labels"
    tags: ClassVar[tuple[str, ...]] = (
        "fill holes", "fillhole", "enclosed", "lakes", "islands", "gaps", "remove small holes",
        "morphology", "mask", "classification", "nodata",
    )  # fmt: skip
    outputs: ClassVar[tuple[Output, ...]] = (Output(label="Filled"),)
    reports: ClassVar[bool] = True
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("HOLES", "Number of holes of the first band"),
        ("FILLED", "Number of holes of the first band that were filled"),
        ("PIXELS", "Number of pixels of the first band that were filled"),
    )
    picture: ClassVar[Mapping[str, Any]] = {"holes": "invalid pixels"}
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"filling": "longest border", "connectivity": "8", "maximum": 3},
        {"holes": "invalid pixels", "filling": "longest border"},
        {
            "background": 3, "filling": "given value", "value": 9, "maximum": 4,
            "unit": "map units squared",
        },
    )  # fmt: skip

    holes: str = parameter(
        "pixels of a value",
        choices=("pixels of a value", "invalid pixels"),
        label="Holes are",
        help="Pixels of the hole's value, or nodata, NaN and masked pixels.",
    )
    background: float = parameter(
        0.0,
        label="Value of holes",
        help="A stored value, without the band's scale and offset.",
        counts_when={"holes": ("pixels of a value",)},
    )
    maximum: Optional[float] = parameter(
        None,
        minimum=0,
        label="Largest size",
        help="Larger holes stay; empty for holes of any size.",
    )
    unit: str = parameter(
        "pixels", choices=UNITS, label="Size in", help="Pixels, or the area in the CRS's own unit."
    )
    filling: str = parameter(
        "surrounding value",
        choices=("surrounding value", "longest border", "given value"),
        label="Filled with",
        help="The one value all around, that along most of the border, or a given one.",
    )
    value: float = parameter(
        1.0,
        label="Given value",
        help="A stored value, without the band's scale and offset.",
        counts_when={"filling": ("given value",)},
    )
    connectivity: str = parameter(
        "4", choices=CONNECTIVITIES, label="Connectivity of holes", help=CONNECTIVITY_HELP
    )

    @property
    def places(self) -> str:
        """Sizes may be areas."""
        return "" if self.unit == "pixels" else "cells"

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse values that the image cannot hold, and areas that its pixels do not have."""
        super().check(inputs)
        profile = inputs["INPUT"][0]
        if self.holes == "pixels of a value":
            check_value(self.label, self.background, profile)
            if all(band.nodata == self.background for band in profile.bands):
                raise InputError(
                    f"{self.label}: 'Value of holes' is {self.background:.12g}, the image's nodata "
                    "value. Set 'Holes are' to invalid pixels."
                )
        if self.filling == "given value":
            check_value(self.label, self.value, profile)
            if any(band.nodata == self.value for band in profile.bands):
                raise InputError(
                    f"{self.label}: 'Given value' is {self.value:.12g}, the image's nodata value. "
                    "Choose another one."
                )
        pixel_area(self.label, self.unit, profile)

    def styles(self) -> Sequence[Optional[Style]]:
        """One colour for each class."""
        return (Classes(),)

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Labels, and the image."""
        return [*PieceLabels(self.connectivity, "all values").output_profiles(inputs), inputs[0]]

    def run(self, images: Roles, engine: Engine) -> Result:
        """Find all objects, those of invalid pixels too, and what encloses the holes."""
        profile = engine.profile(images["INPUT"][0])
        area = pixel_area(self.label, self.unit, profile)
        labels, objects = find_objects(
            images, engine, PieceLabels(self.connectivity, "all values", gaps=True)
        )
        holes = [self._enclosed(found) for found in objects]
        touched = contacts(labels, engine, objects, holes)
        filled: list[np.ndarray] = []
        values: list[Optional[np.ndarray]] = []
        for number, found in enumerate(objects):
            at_gap = touched[number].objects[~found.valid[touched[number].others]]
            holes[number][at_gap] = False
            fill, table = self._filling(found, touched[number])
            small = ~outside(found.sizes * area, None, self.maximum)
            filled.append(holes[number] & small & fill)
            values.append(table)
        made = replaced(images, engine, labels, objects, filled, values)
        engine.release(labels)
        return Result(tuple(made), summary_of(self, profile, objects, holes, filled))

    def _enclosed(self, objects: Objects) -> np.ndarray:
        """Which objects are of the hole's pixels and do not touch the border."""
        found = ~objects.valid & ~objects.at_border
        if self.holes == "pixels of a value":
            found = is_selected(objects.values, "given values", (self.background,))
            found &= objects.valid & ~objects.at_border
        found[0] = False
        return found

    def _filling(self, objects: Objects, touched: Contacts) -> tuple[np.ndarray, np.ndarray]:
        """Whether there is a value for each hole, and which, by number."""
        values = objects.values.copy()
        if self.filling == "given value":
            values[:] = self.value
            return np.ones(len(values), bool), values
        around = surroundings(touched, objects.values)
        found = np.zeros(len(values), bool)
        found[around.objects] = True if self.filling == "longest border" else around.alone
        values[around.objects] = around.values
        return found, values
