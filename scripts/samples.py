"""Which sample image suits which role of an algorithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eoscale_engine.declaration import Declaration

BY_GROUP = {"Terrain": "elevation", "Radar": "sar", "Labels": "classes"}
"""Which image suits a group; an optical one all others."""

BY_ROLE = {
    "AFTER": "after", "MASK": "classes", "STRATA": "classes", "ZONES": "classes",
    "POLYGONS": "polygons",
}  # fmt: skip

OTHER = {"classes": "smooth classes", "optical": "after"}
"""What an image is compared with, as REFERENCE or SECOND."""

ONE_OF = {"zonalstatistics": "POLYGONS", "confusionmatrix": "REFERENCE"}
"""Which of the roles that exclude each other is shown."""


def roles_of(kind: type[Declaration]) -> dict[str, list[str]]:
    """The names of the images for each role: optical, after (a second date), elevation, sar,
    classes, smooth classes; or polygons.

    Statistics look at the whole image: without the mask or polygons that they may have.
    """
    name = kind.sample or BY_GROUP.get(kind.group, "optical")
    roles = {}
    for item in kind.inputs:
        if item.role in kind.one_of:
            if item.role != ONE_OF[kind.name]:
                continue
        elif item.optional and item.role in ("MASK", "POLYGONS", "SECOND"):
            continue
        other = OTHER.get(name, name) if item.role in ("REFERENCE", "SECOND") else name
        roles[item.role] = [BY_ROLE.get(item.role, other)]
        if item.many and name == "optical" and kind.group != "Statistics":
            roles[item.role].append("after")
    return roles
