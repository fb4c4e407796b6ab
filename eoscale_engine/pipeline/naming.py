"""Names of images in what is said of a run: its declaration knows them by their roles alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple

from eoscale_engine.errors import InputError
from eoscale_engine.words import listed

MOST = 10
"""Names in one role that are told."""


class Named(NamedTuple):
    """An image or a layer of a run: what its role is called, what it is called, and its file."""

    role: str
    name: str
    path: str


@dataclass(frozen=True)
class Names:
    """What users call the images and layers of a run."""

    known: tuple[Named, ...]

    def added_to(self, text: str) -> str:
        """The text with the names of those that it may be about, where it has none of them."""
        if not self.known or any(f"'{one.name}'" in text for one in self.known):
            return text
        about = [one for one in self.known if one.path and one.path in text] or self.known
        roles: dict[str, list[str]] = {}
        for one in about:
            roles.setdefault(one.role, []).append(f"'{one.name}'")
        return f"{text} ({'; '.join(f'{role}: {_few(names)}' for role, names in roles.items())})"

    @contextmanager
    def in_errors(self) -> Iterator[None]:
        """Add them to the text of any error that an input is to blame for."""
        try:
            yield
        except InputError as error:
            error.args = (self.added_to(str(error)),)
            raise


def first_image(name: str) -> Names:
    """The image whose grid all others must have, in which extents are."""
    return Names((Named("First image", name, ""),))


def _few(names: list[str]) -> str:
    more = [f"{len(names) - MOST} more"] if len(names) > MOST else []
    return listed(names[:MOST] + more)
