"""Which sample image suits which role of an algorithm."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from eoscale_engine.declaration import Declaration

BY_GROUP = {"Terrain": "elevation", "Radar": "sar", "Labels": "classes"}
"""Which image suits a group; an optical one all others."""

BY_ROLE = {"AFTER": "after", "MASK": "classes"}


def roles_of(kind: type[Declaration]) -> dict[str, list[str]]:
    """The names of the images for each role: optical, after (a second date), elevation, sar or
    classes.
    """
    name = kind.sample or BY_GROUP.get(kind.group, "optical")
    return {
        item.role: [BY_ROLE.get(item.role, name)]
        + (["after"] if item.many and name == "optical" else [])
        for item in kind.inputs
    }
