"""What procedures on the objects of a class image share: finding, measuring, replacing them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import numpy as np

from eoscale_engine.declaration import Engine, Procedure, Roles, Summary, Table
from eoscale_engine.errors import InputError
from eoscale_engine.filters.labels.labelling import Contacts
from eoscale_engine.filters.labels.piece_labels import ObjectValues, PieceLabels
from eoscale_engine.profile import Profile, can_hold
from eoscale_engine.reductions.objects import ContactsFound, Objects, ObjectsFound

UNITS = ("pixels", "map units squared")


def find_objects(
    images: Roles, engine: Engine, labels_of: PieceLabels
) -> tuple[str, list[Objects]]:
    """Label the pieces of objects, and find which ones are one: labels, objects of each band."""
    [labels] = engine.filter(labels_of, images)
    both = {**images, "LABELS": [labels]}
    return labels, engine.reduce(ObjectsFound(labels_of.connectivity), both)


def check_selection(label: str, selection: str, values: Sequence[float]) -> None:
    """Refuse, with an InputError, given values that are not given."""
    if selection == "given values" and not values:
        raise InputError(
            f"{label}: 'Values of objects' are given values, but none is given. Write some, "
            "separated by commas."
        )


def pixel_area(label: str, unit: str, profile: Profile) -> float:
    """Size of one pixel; an InputError where its area is not the same everywhere."""
    if unit == "pixels":
        return 1.0
    if profile.transform is None or (profile.crs is not None and profile.crs.is_geographic):
        why, first = "is in degrees", "warp the image to a projected CRS"
        if profile.transform is None:
            why, first = "has no geotransform", "assign it one (gdal_edit.py -a_ullr)"
        raise InputError(
            f"{label}: the image {why}, so that its pixels have no area in map units. Give sizes "
            f"in pixels, or {first}."
        )
    a, b, _, d, e = profile.transform[:5]
    return abs(a * e - b * d)


def outside(sizes: np.ndarray, minimum: Optional[float], maximum: Optional[float]) -> np.ndarray:
    """Which sizes lie outside the bounds."""
    # as many pixels of 0.1 x 0.1 as make up a bound have a little more area in floats
    tolerance = 1e-9
    found = np.zeros(len(sizes), bool)
    if minimum is not None:
        found |= sizes < minimum * (1 - tolerance)
    if maximum is not None:
        found |= sizes > maximum * (1 + tolerance)
    found[0] = False  # of no object
    return found


def check_value(label: str, value: float, profile: Profile) -> None:
    """Refuse, with an InputError, a value that pixels cannot have."""
    if not can_hold(profile.dtype, value):
        raise InputError(
            f"{label}: {profile.dtype} pixels cannot hold the value {value:.12g}. Choose another "
            "value, or convert the image first."
        )


def contacts(
    labels: str, engine: Engine, objects: Sequence[Objects], wanted: Sequence[np.ndarray]
) -> list[Contacts]:
    """What the wanted objects touch, by band."""
    found = ContactsFound([o.ids for o in objects], [o.numbers for o in objects], list(wanted))
    return engine.reduce(found, {"LABELS": [labels]})


def replaced(
    images: Roles,
    engine: Engine,
    labels: str,
    objects: Sequence[Objects],
    changed: Sequence[np.ndarray],
    values: Sequence[Optional[np.ndarray]],
    nodata: Optional[int] = None,
) -> list[str]:
    """The image with the values (None: nodata) that some objects of each band get instead.

    ``nodata`` is for bands that have no such value.
    """
    pieces = [found.numbers for found in objects]
    declaration = ObjectValues(
        [found.ids for found in objects],
        [table[numbers] for table, numbers in zip(changed, pieces)],
        [None if table is None else table[numbers] for table, numbers in zip(values, pieces)],
        nodata,
    )
    return engine.filter(declaration, {**images, "LABELS": [labels]})


def free_value(objects: Sequence[Objects]) -> Optional[int]:
    """A value that no object has, for nodata; None for floats, and where all are taken."""
    dtype = objects[0].values.dtype
    if dtype.kind == "f":
        return None
    used = {int(value) for found in objects for value in np.unique(found.values[found.valid])}
    low, high = int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)
    listed = range(high, low - 1, -1) if dtype.kind == "u" else range(low, high + 1)
    return next((value for value in listed if value not in used), None)


def summary_of(
    procedure: Procedure,
    profile: Profile,
    objects: Sequence[Objects],
    considered: Sequence[np.ndarray],
    changed: Sequence[np.ndarray],
) -> Summary:
    """How many objects of each band were considered, how many of them and of their pixels changed.

    The columns are the procedure's numbers.
    """
    rows = tuple(
        (number, band.name, int(one[1:].sum()), int(two.sum()), int(found.sizes[two].sum()))
        for number, band, found, one, two in zip(
            profile.band_numbers, profile.bands, objects, considered, changed
        )
    )
    names = [name for name, _ in procedure.numbers]
    table = Table("Objects", ("band", "name", *map(str.lower, names)), rows)
    return Summary(procedure.label, (table,), dict(zip(names, rows[0][2:])))
