"""What a declaration takes and makes: images and polygons in their roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

Roles = Mapping[str, Sequence[str]]
"""The keys of images, and of layers of polygons, by role."""


@dataclass(frozen=True)
class Input:
    """An image (or, with ``many``, a list of images) in the role that it plays, or polygons.

    ``band_choice`` says whether users choose its bands; not where a parameter names them.
    ``polygons`` is a vector layer, of which procedures get the polygons by
    :meth:`Engine.polygons`.
    """

    role: str
    label: str = ""
    help: str = ""
    many: bool = False
    optional: bool = False
    band_choice: bool = True
    polygons: bool = False


def image(
    role: str = "INPUT",
    *,
    label: str = "",
    help: str = "",  # noqa: A002 - the field's own word
    optional: bool = False,
    band_choice: bool = True,
) -> Input:
    """One image in a role."""
    label = label or role.capitalize() + " image"
    return Input(role, label, help, many=False, optional=optional, band_choice=band_choice)


def images(
    role: str = "INPUTS",
    *,
    label: str = "",
    help: str = "",  # noqa: A002 - the field's own word
    optional: bool = False,
    band_choice: bool = True,
) -> Input:
    """One or more images in a role."""
    label = label or role.rstrip("S").capitalize() + " images"
    return Input(role, label, help, many=True, optional=optional, band_choice=band_choice)


def polygons(
    role: str = "POLYGONS",
    *,
    label: str = "",
    help: str = "",  # noqa: A002 - the field's own word
    optional: bool = False,
) -> Input:
    """A vector layer of polygons in a role, of procedures only."""
    label = label or role.capitalize()
    return Input(role, label, help, optional=optional, band_choice=False, polygons=True)


@dataclass(frozen=True)
class Output:
    """An image that a filter or procedure makes; ``at_first`` says whether dialogs ask for it."""

    name: str = "OUTPUT"
    label: str = "Result"
    optional: bool = False
    at_first: bool = True
