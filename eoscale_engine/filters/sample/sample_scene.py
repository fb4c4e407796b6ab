"""A made-up scene to try things on: elevation, optical reflectance and SAR intensity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, ClassVar, Optional

import numpy as np
from osgeo import osr

from eoscale_engine.declaration import (
    Blocks,
    Engine,
    ImageFilter,
    Input,
    Output,
    Pixels,
    Procedure,
    Result,
    Roles,
    parameter,
)
from eoscale_engine.errors import InputError
from eoscale_engine.filters.sample.random_fields import hashed, places, smooth, uniform
from eoscale_engine.filters.sample.sample_land import (
    CROPS,
    RELIEF,
    TOWN,
    land,
    surface,
    texture,
)
from eoscale_engine.profile import CRS, Affine, Band, Profile
from eoscale_engine.tiling import Window

_ORIGIN = 600000.0, 4900000.0
"""Easting and northing in metres of the upper left corner: UTM zone 31 north, in the Cevennes."""

_SPECTRA = np.array(
    [  # blue, green, red, nir
        (480, 430, 260, 130),  # water
        (480, 860, 720, 3100),  # meadow
        (260, 480, 320, 2800),  # forest
        (380, 720, 420, 3900),  # green crops
        (1050, 1250, 1450, 1900),  # rock
        (8600, 8500, 8300, 7400),  # snow
        (1150, 1250, 1350, 1900),  # town
    ],
    np.float32,
)
_SOIL = np.array((900, 1200, 1550, 2300), np.float32)

_BACKSCATTER = np.array((0.012, 0.07, 0.16, 0.05, 0.13, 0.06, 0.30), np.float32)
"""Intensity of each class of land cover; crops range from this to four times as much."""


_EXAMPLES = ({"width": 90, "height": 70}, {"width": 33, "height": 150, "cell_size": 2, "seed": 5})


@lru_cache(maxsize=1)
def _utm() -> CRS:
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32631)
    return CRS(reference.ExportToWkt(["FORMAT=WKT2_2019"]))


@dataclass(frozen=True)
class _Grid:
    width: int = parameter(2000, minimum=1, maximum=200000, unit="pixels", help="Columns")
    height: int = parameter(2000, minimum=1, maximum=200000, unit="pixels", help="Rows")
    cell_size: float = parameter(
        10.0, minimum=0.01, maximum=10000, unit="metres", help="Side of a pixel"
    )
    seed: int = parameter(1, help="Any whole number; another one gives another landscape")

    def _profile(self, dtype: str, *bands: Band) -> Profile:
        x, y = _ORIGIN
        transform = Affine(self.cell_size, 0, x, 0, -self.cell_size, y)
        return Profile(self.width, self.height, dtype, bands, _utm(), transform)

    @property
    def _land_seed(self) -> int:
        # the higher bits too, which the products modulo 2^32 would lose
        return self.seed * 1000 + (self.seed >> 29) * 0x9E3779B1

    @property
    def _metres(self) -> np.float32:
        """Metres of a height of 1: lower where a scene spans less ground, but not in proportion."""
        return np.float32(RELIEF * (self.cell_size / 10) ** 0.5)

    @property
    def _steepness(self) -> np.float32:
        return self._metres / np.float32(self.cell_size)


@dataclass(frozen=True)
class SampleElevation(_Grid, ImageFilter):
    """Elevation in metres, float32, with holes of nodata (-9999) in some 3 % of the pixels."""

    stage = "Making elevation"
    spares_nodata: ClassVar[bool] = True
    inputs: ClassVar[tuple[Input, ...]] = ()
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = _EXAMPLES

    def output_profiles(self, inputs: Sequence[Profile]) -> list[Profile]:
        """One band in metres."""
        return [self._profile("float32", Band(nodata=-9999, name="elevation", unit="m"))]

    def apply(self, blocks: Blocks) -> Pixels:
        """The relief of a window, invalid in the holes."""
        window, seed = blocks.core, self._land_seed
        metres = surface(window, seed)
        metres *= self._metres
        metres += np.float32(150)
        blobs = smooth(window, 5, seed + 30)
        blobs += smooth(window, 3, seed + 31) * np.float32(0.5)
        return metres[None], (blobs < 2.25)[None]


@dataclass(frozen=True)
class SampleOptical(_Grid, ImageFilter):
    """Reflectance in blue, green, red and near infrared, uint16 with scale 0.0001 and nodata 0.

    Lakes, forest, crops, meadows, towns, rock and snow on the relief, lit from the north-west, with
    clouds and their shadows, and nodata beyond the edge of the swath.
    """

    stage = "Making an optical image"
    spares_nodata: ClassVar[bool] = True
    inputs: ClassVar[tuple[Input, ...]] = ()
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = _EXAMPLES

    def output_profiles(self, inputs: Sequence[Profile]) -> list[Profile]:
        """Four bands."""
        colors = {"blue": "Blue", "green": "Green", "red": "Red", "nir": "Undefined"}
        bands = [Band(0, 0.0001, name=name, color=color) for name, color in colors.items()]
        return [self._profile("uint16", *bands)]

    def apply(self, blocks: Blocks) -> Pixels:
        """Spectra of the land cover, times light and texture, under the clouds."""
        window, seed = blocks.core, self._land_seed
        ground = land(window, seed)
        light = (ground.south + ground.east) * (self._steepness * np.float32(0.75))
        light += np.float32(1)
        np.clip(light, np.float32(0.35), np.float32(1.6), out=light)
        light *= texture(window, seed + 40, 0.07)
        north_west = window._replace(row=window.row - 40, col=window.col - 40)
        shadow = _cloud(north_west, seed)
        light *= np.float32(1) - shadow * np.float32(0.6)
        cloud = _cloud(window, seed)
        white = cloud * np.float32(7600) * texture(window, seed + 41, 0.03)
        light *= np.float32(1) - cloud
        rows, cols = places(window)
        houses = hashed(rows // 3, cols // 3, seed + 42) * np.float32(1.2) + np.float32(0.5)
        light *= np.where(ground.cover == TOWN, houses, np.float32(1))
        bare = np.maximum(ground.parcel * np.float32(2) - np.float32(1), 0)
        bare *= ground.cover == CROPS
        pixels = np.empty((4, *light.shape), np.float32)
        for band, (spectrum, soil) in enumerate(zip(_SPECTRA.T, _SOIL)):
            np.take(spectrum, ground.cover, out=pixels[band])
            pixels[band] += bare * (soil - spectrum[CROPS])
        pixels *= light
        pixels += white
        np.maximum(pixels, 1, out=pixels)
        return pixels, np.broadcast_to(cols + 0.2 * rows >= 0.12 * self.width, light.shape)[None]


def _cloud(window: Window, seed: int) -> np.ndarray:
    """How much of the light clouds take, 0 to 1."""
    cloud = smooth(window, 8, seed + 43)
    for octave, weight in ((6, 0.5), (5, 0.3), (4, 0.2), (3, 0.12), (2, 0.06)):
        cloud += smooth(window, octave, seed + 43 + octave) * np.float32(weight)
    cloud -= np.float32(1.35)
    cloud *= np.float32(1.6)
    return np.clip(cloud, np.float32(0), np.float32(0.97), out=cloud)


@dataclass(frozen=True)
class SampleSar(_Grid, ImageFilter):
    """SAR intensity (sigma nought, linear), float32 with nodata NaN and the speckle of some looks.

    The backscatter of the land cover, stronger on slopes that face the radar in the west, times
    speckle from the gamma distribution of mean 1 and variance ``1 / looks`` (J. W. Goodman, "Some
    fundamental properties of speckle", JOSA 66(11), 1976).
    """

    stage = "Making a SAR image"
    spares_nodata: ClassVar[bool] = True
    inputs: ClassVar[tuple[Input, ...]] = ()
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = _EXAMPLES

    looks: int = parameter(4, minimum=1, maximum=64, help="Looks of the speckle: more are smoother")

    def output_profiles(self, inputs: Sequence[Profile]) -> list[Profile]:
        """One band."""
        return [self._profile("float32", Band(nodata=float("nan"), name="sigma0 VV"))]

    def apply(self, blocks: Blocks) -> Pixels:
        """The speckled backscatter of a window."""
        window, seed = blocks.core, self._land_seed
        ground = land(window, seed)
        intensity = _BACKSCATTER[ground.cover]
        crops = ground.cover == CROPS
        intensity *= np.where(crops, ground.parcel * np.float32(3) + np.float32(1), np.float32(1))
        bright = (uniform(window, seed + 50) > 0.93) & (ground.cover == TOWN)
        intensity *= np.where(bright, np.float32(12), np.float32(1))
        facing = ground.east * (self._steepness * np.float32(1.5))
        intensity *= np.exp(np.clip(facing, np.float32(-1.5), np.float32(1.5)))
        intensity *= speckle(window, seed + 60, self.looks)
        rows, cols = places(window)
        edge = (self.width - cols) + 0.2 * (self.height - rows) > 0.08 * self.width
        return intensity[None], edge[None]


def speckle(window: Window, seed: int, looks: int) -> np.ndarray:
    """Speckle of mean 1: the mean over the looks of ``-log(u)``, u uniform between 0 and 1."""
    total = np.zeros((window.rows, window.cols), np.float32)
    for look in range(looks):
        chance = uniform(window, seed + look)
        chance += np.float32(2**-25)
        total -= np.log(chance, out=chance)
    total *= np.float32(1 / looks)
    return total


@dataclass(frozen=True)
class SampleScene(_Grid, Procedure):
    """Makes a scene to try things on: elevation, optical and SAR image of the same made-up land.

    Elevation in metres (float32, nodata -9999 in holes), reflectance in blue, green, red and near
    infrared (uint16, scale 0.0001, nodata 0; with clouds, shadows and a swath's edge) and SAR
    intensity with speckle (float32, nodata NaN), in UTM zone 31 north. The same seed gives the same
    pixels, whatever the size of the scene, but for the edges of the swaths.
    """

    name: ClassVar[str] = "samplescene"
    label: ClassVar[str] = "Make a sample scene"
    group: ClassVar[str] = "Images"
    tags: ClassVar[tuple[str, ...]] = (
        "example", "demo", "synthetic", "test", "dem", "optical", "sar", "speckle", "random",
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = ()
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("ELEVATION", "Elevation", optional=True),
        Output("OPTICAL", "Optical", optional=True),
        Output("SAR", "SAR", optional=True),
    )

    looks: int = parameter(
        4, minimum=1, maximum=64, help="Looks of the SAR image's speckle: more are smoother"
    )
    elevation: bool = parameter(True, help="Make the elevation")
    optical: bool = parameter(True, help="Make the optical image")
    sar: bool = parameter(True, label="SAR", help="Make the SAR image")

    def validate(self) -> None:
        """Refuse to make nothing."""
        if not (self.elevation or self.optical or self.sar):
            raise InputError("Make a sample scene: choose at least one of the three images.")

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Those that are wanted."""
        return [filter_.output_profiles(())[0] for filter_ in self._wanted() if filter_]

    def run(self, images: Roles, engine: Engine) -> Result:
        """Elevation, optical and SAR image; None for those that are not wanted."""
        made = (filter_ and engine.filter(filter_, {}) for filter_ in self._wanted())
        return Result(tuple(keys[0] if keys else None for keys in made))

    def _wanted(self) -> tuple[Optional[ImageFilter], ...]:
        grid = {item.name: getattr(self, item.name) for item in fields(_Grid)}
        return (
            SampleElevation(**grid) if self.elevation else None,
            SampleOptical(**grid) if self.optical else None,
            SampleSar(**grid, looks=self.looks) if self.sar else None,
        )
