"""What the tests of terrain filters share: terrain, running a filter on it, windows by a loop."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Optional

import numpy as np
from osgeo import osr

from eoscale_engine.declaration import Block, Blocks, ImageFilter
from eoscale_engine.profile import CRS, Affine, Band, Profile
from eoscale_engine.tiling import Window, split

NODATA = 255
"""Too high for the hills, and for what gdaldem makes of them beyond the image's edge."""

GRID = Affine(10, 0, 1000, 0, -10, 5000)


def crs_of(text: str) -> CRS:
    reference = osr.SpatialReference()
    reference.SetFromUserInput(text)
    return CRS(reference.ExportToWkt(["FORMAT=WKT2_2019"]))


def hills(
    dtype: str, rows: int, cols: int, seed: int = 0, holes: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Rough hills with a flat piece, ``(1, rows, cols)``, and where they are valid."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[0:rows, 0:cols]
    z = 120 + 30 * np.sin(x / 5) * np.cos(y / 7) + random.normal(0, 3, (rows, cols))
    z[rows // 2 : rows // 2 + 6, cols // 2 : cols // 2 + 7] = 100
    valid = random.random((1, rows, cols)) >= holes
    pixels = np.minimum(z, 127 if dtype == "int8" else 254).astype(dtype)[None]
    pixels[~valid] = np.asarray(NODATA).astype(dtype)
    return pixels, valid


def profile_of(pixels: np.ndarray, transform: Optional[Affine] = GRID, **options: Any) -> Profile:
    """The profile of ``(bands, rows, cols)``; with ``crs`` and, for all bands, other options."""
    count, rows, cols = pixels.shape
    crs = crs_of(options.pop("crs")) if "crs" in options else None
    return Profile(
        cols, rows, pixels.dtype.name, (Band(**options),) * count, crs=crs, transform=transform
    )


def run(
    declaration: ImageFilter,
    pixels: np.ndarray,
    valid: Optional[np.ndarray] = None,
    profile: Optional[Profile] = None,
    block: Optional[tuple[int, int]] = None,
) -> np.ndarray:
    """Filter an image, block by block where a size is given; float64, NaN where it is invalid."""
    profile = profile or profile_of(pixels)
    declaration.check({"INPUT": [profile]})
    (output,) = declaration.output_profiles([profile])
    valid = np.ones(pixels.shape, bool) if valid is None else valid
    margin = declaration.margin
    around: Any = ((0, 0), (margin, margin), (margin, margin))
    pixels, valid = np.pad(pixels, around), np.pad(valid, around)
    result = np.full((profile.count, profile.height, profile.width), np.nan)
    for core in split(
        Window(0, 0, profile.height, profile.width), *(block or (profile.height, profile.width))
    ):
        place = (slice(None), *core._replace(
            rows=core.rows + 2 * margin, cols=core.cols + 2 * margin
        ).slices)  # fmt: skip
        seen = None if valid[place].all() else valid[place]
        part = Block(pixels[place], seen, profile, core, (margin,) * 4)
        values, where = declaration.apply(Blocks(core, {"INPUT": [part]}))  # type: ignore[misc]
        assert values.dtype == output.dtype
        assert values.shape == (profile.count, core.rows, core.cols)
        where = np.ones(values.shape, bool) if where is None else where
        result[(slice(None), *core.slices)] = np.where(where, values, np.nan)
    return result


def windows(z: np.ndarray, valid: np.ndarray, edges: bool) -> Any:
    """For each pixel the 3 x 3 elevations around it, or None, by a loop over a band."""
    rows, cols = z.shape

    def known(row: int, col: int) -> Optional[float]:
        """A pixel, or what a line through two inner ones makes of a place beyond the image."""
        if row < 0 or row >= rows:
            one, two = (0, 1) if row < 0 else (rows - 1, rows - 2)
            near, far = known(one, col), known(two, col) if 0 <= two < rows else None
        elif col < 0 or col >= cols:
            one, two = (0, 1) if col < 0 else (cols - 1, cols - 2)
            near, far = known(row, one), known(row, two) if 0 <= two < cols else None
        else:
            return float(z[row, col]) if valid[row, col] else None
        return None if near is None or far is None else 2 * near - far

    for row, col in np.ndindex(rows, cols):
        inside = [
            0 <= row + y < rows and 0 <= col + x < cols for y in (-1, 0, 1) for x in (-1, 0, 1)
        ]
        found = [known(row + y, col + x) for y in (-1, 0, 1) for x in (-1, 0, 1)]
        if not valid[row, col] or (not edges and (None in found or not all(inside))):
            yield row, col, None
        else:
            centre = found[4]
            yield row, col, [centre if value is None else value for value in found]


def with_scale(profile: Profile, scale: float, offset: float) -> Profile:
    bands = tuple(replace(band, scale=scale, offset=offset) for band in profile.bands)
    return replace(profile, bands=bands)
