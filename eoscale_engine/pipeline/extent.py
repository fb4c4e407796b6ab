"""A procedure with an extent: what it may ask of the engine is of that part of its images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Optional

from eoscale_engine.declaration import (
    Declaration,
    Engine,
    Found,
    ImageFilter,
    Reduction,
    Result,
    Within,
)
from eoscale_engine.pipeline.planning import Keys, area_of, keys_by_role
from eoscale_engine.polygons import Polygons
from eoscale_engine.profile import Profile
from eoscale_engine.tiling import Window

if TYPE_CHECKING:
    from eoscale_engine.pipeline.work import Work


class InExtent(Engine):
    """What a procedure with an extent gets: a part of the images that it was given.

    Those that it makes are of the extent's size already.
    """

    def __init__(self, work: Work, extent: Window) -> None:
        self._work = work
        self._extent = extent
        self._crops: dict[str, str] = {}
        self._made: set[str] = set()
        self._wider: Optional[InExtent] = None

    def filter(self, declaration: ImageFilter, images: Keys) -> list[str]:
        """On input images alone, with their real pixels beyond the extent; else on their crops."""
        roles = keys_by_role(declaration, images)
        if self._of_inputs(roles):
            made = self._work.filter(declaration, roles, extent=self._extent)
        else:
            made = self._work.filter(declaration, self._parts(roles))
        self._made.update(made)
        return made

    def filtered(self, declaration: ImageFilter, images: Keys) -> list[str]:
        """Of input images alone, these are like input images: they reach beyond the extent."""
        roles = keys_by_role(declaration, images)
        if self._of_inputs(roles):
            return self._work.filtered(declaration, roles)
        made = self._work.filtered(declaration, self._parts(roles))
        self._made.update(made)
        return made

    def run(self, declaration: Declaration, images: Keys) -> Result:
        """On input images alone with the extent; else on their crops."""
        roles = keys_by_role(declaration, images)
        if self._of_inputs(roles):
            made = self._work.run(declaration, roles, extent=self._extent)
        else:
            vectors = {item.role: roles[item.role] for item in declaration.inputs if item.polygons}
            rasters = {role: keys for role, keys in roles.items() if role not in vectors}
            made = self._work.run(declaration, {**self._parts(rasters), **vectors})
        self._made.update(filter(None, made.images))
        return made

    def reduce(
        self,
        declaration: Reduction[Any, Found],
        images: Keys,
        *,
        within: Optional[Within] = None,
        windows: Optional[Sequence[Window]] = None,
    ) -> Found:
        """Of the extent's pixels."""
        if within is not None and within.mask is not None:
            within = replace(within, mask=self.part(within.mask))
        cropped = self._parts(keys_by_role(declaration, images))
        return self._work.reduce(declaration, cropped, within=within, windows=windows)

    def profile(self, key: str) -> Profile:
        """Of an image's part in the extent."""
        profile = self._work.profile(key)
        return profile if key in self._made else profile.cropped(*area_of(profile, self._extent))

    def polygons(
        self, key: str, like: str, *, field: str = "", all_touched: bool = False
    ) -> Polygons:
        """On the grid of an image's part in the extent."""
        extent = None if like in self._made else self._extent
        return self._work.polygons(key, like, field=field, all_touched=all_touched, extent=extent)

    def release(self, key: str) -> None:
        """Give back an image that the procedure made."""
        self._made.discard(key)
        self._work.release(key)

    def around(self, pixels: int) -> Engine:
        """Of an extent with so many pixels more on every side."""
        if not pixels:
            return self
        wide = self._extent.expanded(pixels)
        # it begins where what is made in it begins
        wide = wide.intersection(Window(0, 0, wide.end_row, wide.end_col))
        self._wider = InExtent(self._work, wide)
        return self._wider

    def _of_inputs(self, images: Mapping[str, Sequence[str]]) -> bool:
        """Whether none was made in an extent."""
        made = self._made | (self._wider._made if self._wider else set())
        return made.isdisjoint(key for keys in images.values() for key in keys)

    def _parts(self, images: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
        return {role: [self.part(key) for key in keys] for role, keys in images.items()}

    def part(self, key: str) -> str:
        """Of an image that was given; one that the procedure made is no larger."""
        if key in self._made:
            return key
        if key not in self._crops:
            extent = self._extent
            if self._wider is not None and key in self._wider._made:
                extent = extent.relative_to(self._wider._extent)
            self._crops[key] = self._work.images.crop(key, extent)
        return self._crops[key]
