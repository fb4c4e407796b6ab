"""What is told of any run: what makes its results meaningless, and what it is given in vain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations

from eoscale_engine.declaration import Declaration
from eoscale_engine.errors import InputError
from eoscale_engine.images.source import Source
from eoscale_engine.profile import Profile
from eoscale_engine.words import listed

MOST_STRETCHED = 1.05
"""How many metres of the map may be one on the ground before that is told."""

Named = tuple[str, Source]
"""What the user calls an image, and where it is."""


def check_places(declaration: Declaration, label: str, profile: Profile, *, vectors: bool) -> None:
    """Refuse, with an :class:`InputError`, an image without a grid where places matter."""
    wanted = vectors or declaration.places in ("cells", "coordinates")
    if wanted and profile.control:
        raise InputError(profile.without_grid(label))


def doubts_of(declaration: Declaration, roles: Mapping[str, Sequence[Named]]) -> Iterator[str]:
    """Each a sentence with its remedy."""
    first = next((named for several in roles.values() for named in several), None)
    if first is not None and declaration.places:
        yield from _doubts_of_place(declaration, first[0], first[1].profile)
    for (one, *place), (two, *other) in combinations(declaration.given_bands(), 2):
        if place == other:
            yield (
                f"{declaration.label}: '{one.label}' and '{two.label}' are both band {place[1]}. "
                "Choose two different bands."
            )
    looked_at = [
        (role, label, source.identity(declaration.named_bands(role)))
        for role in declaration.differing
        for label, source in roles.get(role, ())
    ]
    for (one_role, label, pixels), (two_role, _, others) in combinations(looked_at, 2):
        if pixels == others:
            how = [f"as '{declaration.label_of(role)}'" for role in (one_role, two_role)]
            which = "twice" if one_role == two_role else listed(how)
            yield (
                f"{declaration.label}: '{label}' is given {which}, which makes the result "
                "meaningless. Choose two different images or bands."
            )


def remarks_of(declaration: Declaration) -> Iterator[str]:
    """Parameters that are given to no purpose: each a sentence."""
    values = vars(declaration)
    labels = {item.name: f"'{item.label}'" for item in declaration.parameters()}
    for item in declaration.parameters():
        if not item.counts(values) and values[item.name] != item.default:
            yield (
                f"{declaration.called}: '{item.label}' is given, but has a part in the result only "
                f"{item.condition(labels.__getitem__)}."
            )


def _doubts_of_place(declaration: Declaration, label: str, profile: Profile) -> Iterator[str]:
    if profile.control:
        yield profile.without_grid(label)
    elif declaration.places == "coordinates":
        return
    elif profile.transform is None and declaration.places == "cells":
        yield (
            f"{declaration.label}: '{label}' has no geotransform: its cells are taken to be 1 wide "
            "and high. Assign it one (gdal_edit.py -a_ullr), or give the pixel spacing."
        )
    elif profile.seems_in_degrees:
        crs = f"is in {profile.crs.name}" if profile.crs else "has no CRS"
        yield (
            f"{declaration.label}: '{label}' {crs}, but its coordinates look like degrees, which "
            "make no size of its cells. If they are, assign the CRS that it is in (such as "
            "EPSG:4326) first."
        )
    elif profile.stretched > MOST_STRETCHED:
        yield (
            f"{declaration.label}: '{label}' is in Web Mercator (EPSG:3857), which stretches "
            f"distances by {profile.stretched - 1:.0%} at its latitude, and areas more. Warp it to "
            "a CRS that keeps them there, such as its UTM zone."
        )
