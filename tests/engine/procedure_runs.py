"""What the tests of procedures share: running one on arrays, in this process and in small tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Optional

import numpy as np

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Declaration, Reduction
from eoscale_engine.profile import Band, Profile


class Image(NamedTuple):
    """Pixels ``(bands, rows, cols)``, where they are valid, and the profile."""

    pixels: np.ndarray
    valid: np.ndarray
    profile: Profile


class Made(NamedTuple):
    """What a procedure gives: its images (None: not made) and its summary."""

    images: list[Optional[Image]]
    summary: Any

    def image(self, number: int = 0) -> Image:
        found = self.images[number]
        assert found is not None
        return found

    def rows(self, table: int = 0) -> list[dict[str, Any]]:
        """A table's rows, by column."""
        found = self.summary.tables[table]
        return [dict(zip(found.columns, row)) for row in found.rows]


NODATA = {"f": float("nan"), "u": 0, "i": -99}


def image(
    pixels: np.ndarray, valid: Optional[np.ndarray] = None, bands: Sequence[Band] = ()
) -> Image:
    """An image whose invalid pixels hold nodata; of bands without it where all are valid."""
    count, rows, cols = pixels.shape
    properties = tuple(bands) or tuple(Band(name=f"b{place}") for place in range(count))
    if valid is not None:
        nodata = NODATA[pixels.dtype.kind]
        properties = tuple(
            Band(nodata=nodata, scale=band.scale, offset=band.offset, name=band.name)
            for band in properties
        )
        pixels = np.where(valid, pixels, np.asarray(nodata, pixels.dtype))
    where = np.ones(pixels.shape, bool) if valid is None else valid
    return Image(pixels, where, Profile(cols, rows, pixels.dtype.name, properties))


def run(declaration: Declaration, *images: Image, extent: Any = None) -> Any:
    """Run a procedure (gives :class:`Made`), reduction or filter (images) in this process."""
    with EOContextManager(inline=True, tile_pixels=3000) as context:
        keys = []
        for one in images:
            keys.append(context.create_image(one.profile))
            context.get_array(keys[-1])[:] = one.pixels
        if isinstance(declaration, Reduction):
            return context.reduce(declaration, keys, extent=extent)
        made = context.run(declaration, keys, extent=extent)
        images_made = [None if key is None else _image(context, key) for key in made.images]
        return Made(images_made, made.summary)


def _image(context: EOContextManager, key: str) -> Image:
    pixels, profile = context.get_array(key).copy(), context.profile(key)
    valid = pixels == pixels
    for band, properties in enumerate(profile.bands):
        if properties.nodata is not None:
            valid[band] &= pixels[band] != properties.nodata
    return Image(pixels, valid, profile)
