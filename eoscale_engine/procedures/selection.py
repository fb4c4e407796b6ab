"""Where statistics look: over a mask image, inside polygons, or both."""

from __future__ import annotations

from typing import Any, Optional

from eoscale_engine.declaration import Engine, Roles, Within, image, polygons
from eoscale_engine.polygons import Polygons

MASK = image(
    "MASK",
    label="Mask",
    help="Only pixels where its first band is valid and not 0 count",
    optional=True,
    band_choice=False,
)
"""The input of a mask image."""

POLYGONS = polygons(
    "POLYGONS", help="Only pixels inside them count; of points, those that hold one", optional=True
)
"""The input of polygons that pixels must lie in."""

_ROLES = (MASK.role, POLYGONS.role)

ALL_TOUCHED: dict[str, Any] = {
    "default": False,
    "label": "All touched pixels",
    "help": "Count all pixels that polygons touch, not those alone whose centre is inside",
    "advanced": True,
}
"""The parameter ``all_touched`` of what takes polygons."""


def selection(images: Roles, engine: Engine, all_touched: bool = False) -> Optional[Within]:
    """Where a procedure with the inputs MASK and POLYGONS looks; None for everywhere.

    Parameters
    ----------
    images, engine
        What a procedure gets: its first role that has images holds the image that is looked at.
    all_touched : bool
        Whether pixels count that polygons touch, their centre being outside.
    """
    mask = next(iter(images.get("MASK", ())), None)
    layer = next(iter(images.get("POLYGONS", ())), None)
    if mask is None and layer is None:
        return None
    if layer is None:
        return Within(mask)
    like = next(keys[0] for role, keys in images.items() if keys and role not in _ROLES)
    return Within(mask, engine.polygons(layer, like, all_touched=all_touched))


def selection_notes(within: Optional[Within]) -> list[str]:
    """Sentences on which pixels count, and on polygons that were repaired or lie outside."""
    notes = []
    if within is not None and within.mask is not None:
        notes.append("Only pixels where the mask is valid and not 0 count.")
    found = None if within is None else within.polygons
    if found is None:
        return notes
    touched = "polygons touch" if found.all_touched else "lie inside polygons by their centres"
    notes.append(f"Only pixels that {touched} count.")
    if found.outside:
        notes.append(f"Polygons outside the image, or empty: {found.outside} of {len(found)}.")
    return notes + repair_notes(found)


def repair_notes(found: Polygons) -> list[str]:
    """A sentence on polygons that were repaired, if there are any."""
    if not found.repaired:
        return []
    what = "Polygons that were invalid, such as by crossing themselves, and were repaired"
    return [f"{what}: {found.repaired} of {len(found)}."]
