"""How uneven terrain is: what its pixels have to do with their eight neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np

from eoscale_engine.declaration import parameter
from eoscale_engine.filters.terrain.elevation import TerrainFilter, compute_edges_parameter, derived
from eoscale_engine.profile import Band, Profile
from eoscale_engine.styles import DIVERGING, HEAT, Ramp, Style
from eoscale_engine.tiling import Window

INDEXES = ("Riley", "Wilson")


@dataclass(frozen=True)
class TopographicPosition(TerrainFilter):
    """Topographic position index (TPI): how much higher a pixel is than its eight neighbours.

    z - mean(neighbours), in the unit of the elevations: above 0 on ridges and tops, below 0 in
    valleys and hollows, about 0 on flat terrain and even slopes. Scale and offset are applied. Each
    band is handled by itself.

    Nodata: where any of the nine pixels is invalid or beyond the image there is no value, unless
    edges are computed: then the line through the two nearest pixels is carried on beyond the image,
    and any other invalid neighbour is taken to be as high as the pixel itself.

    Values are those of gdaldem, but for the image's four corner pixels where edges are computed: it
    repeats a column there. Pixels: float32, float64 for 64-bit images; computed in float32 (to 1e-6
    of the largest difference) for images of up to 16 bits and float32, in float64 for all others.

    M. F. J. Wilson et al., "Multiscale terrain analysis of multibeam bathymetry data for habitat
    mapping on the continental slope", Marine Geodesy 30, 2007.
    """

    name = "topographicposition"
    label = "Topographic position index (TPI)"
    tags = (
        "tpi", "topographic position", "ridge", "valley", "bpi", "dem", "dtm", "elevation",
        "terrain", "gdaldem",
    )  # fmt: skip
    examples = ({}, {"compute_edges": True})

    compute_edges: bool = compute_edges_parameter()

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats, in the unit of the elevations."""
        return [derived(inputs[0], "TPI", None)]

    def styles(self) -> Sequence[Optional[Style]]:
        """Valleys blue, ridges red."""
        return [Ramp(DIVERGING, symmetric=True)]

    def compute(
        self, z: Sequence[np.ndarray], profile: Profile, band: Band, window: Window
    ) -> np.ndarray:
        """See the class."""
        total = z[4] - z[0]
        difference = np.empty_like(total)
        for place in (1, 2, 3, 5, 6, 7, 8):
            np.subtract(z[4], z[place], out=difference)
            np.add(total, difference, out=total)
        return np.multiply(total, band.scale / 8, out=total)


@dataclass(frozen=True)
class Ruggedness(TerrainFilter):
    """Terrain ruggedness index (TRI): how much a pixel's elevation differs from its neighbours'.

    With the eight neighbours n of the pixel z:

    - Riley: sqrt(sum((n - z)^2)), for land
    - Wilson: mean(abs(n - z)), for the sea floor

    Both are in the unit of the elevations; 0 is flat. Scale and offset are applied. Each band is
    handled by itself.

    Nodata: where any of the nine pixels is invalid or beyond the image there is no value, unless
    edges are computed: then the line through the two nearest pixels is carried on beyond the image,
    and any other invalid neighbour is taken to be as high as the pixel itself.

    Values are those of gdaldem, but for the image's four corner pixels where edges are computed: it
    repeats a column there. Pixels: float32, float64 for 64-bit images; computed in float32 (to 1e-6
    of the value) for images of up to 16 bits and float32, in float64 for all others.

    S. J. Riley, S. D. DeGloria and R. Elliot, "A terrain ruggedness index that quantifies
    topographic heterogeneity", Intermountain Journal of Sciences 5, 1999. M. F. J. Wilson et al.,
    "Multiscale terrain analysis of multibeam bathymetry data for habitat mapping on the continental
    slope", Marine Geodesy 30, 2007.
    """

    name = "ruggedness"
    label = "Terrain ruggedness index (TRI)"
    tags = (
        "tri", "ruggedness", "heterogeneity", "dem", "dtm", "elevation", "terrain", "gdaldem",
        "r.tri",
    )  # fmt: skip
    examples = ({}, {"index": "Wilson", "compute_edges": True})

    index: str = parameter(
        "Riley",
        choices=INDEXES,
        help="Root of the sum of squared differences (Riley 1999), or mean absolute difference "
        "(Wilson 2007).",
    )
    compute_edges: bool = compute_edges_parameter()

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats, in the unit of the elevations."""
        return [derived(inputs[0], "TRI", None)]

    def styles(self) -> Sequence[Optional[Style]]:
        """Flat terrain dark."""
        return [Ramp(HEAT, minimum=0)]

    def compute(
        self, z: Sequence[np.ndarray], profile: Profile, band: Band, window: Window
    ) -> np.ndarray:
        """See the class."""
        total = np.zeros_like(z[4])
        difference = np.empty_like(total)
        for place in (0, 1, 2, 3, 5, 6, 7, 8):
            np.subtract(z[place], z[4], out=difference)
            if self.index == "Riley":
                np.multiply(difference, difference, out=difference)
            else:
                np.abs(difference, out=difference)
            np.add(total, difference, out=total)
        if self.index == "Riley":
            np.sqrt(total, out=total)
        factor = abs(band.scale) / (1 if self.index == "Riley" else 8)
        return np.multiply(total, factor, out=total)


@dataclass(frozen=True)
class Roughness(TerrainFilter):
    """Roughness: the difference of the highest and the lowest of the 3 x 3 pixels around each one.

    max - min, in the unit of the elevations; 0 is flat. Scale and offset are applied. Each band is
    handled by itself.

    Nodata: where any of the nine pixels is invalid or beyond the image there is no value, unless
    edges are computed: then the line through the two nearest pixels is carried on beyond the image,
    and any other invalid neighbour is taken to be as high as the pixel itself.

    Values are those of gdaldem, but for the image's four corner pixels where edges are computed: it
    repeats a column there. Pixels: float32, float64 for 64-bit images; computed in float32 for
    images of up to 16 bits and float32, in float64 for all others: rounded once.

    M. F. J. Wilson et al., "Multiscale terrain analysis of multibeam bathymetry data for habitat
    mapping on the continental slope", Marine Geodesy 30, 2007.
    """

    name = "roughness"
    label = "Roughness"
    tags = (
        "roughness", "relief", "range", "dem", "dtm", "elevation", "terrain", "gdaldem",
        "local relief",
    )  # fmt: skip
    examples = ({}, {"compute_edges": True})

    compute_edges: bool = compute_edges_parameter()

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats, in the unit of the elevations."""
        return [derived(inputs[0], "roughness", None)]

    def styles(self) -> Sequence[Optional[Style]]:
        """Flat terrain dark."""
        return [Ramp(HEAT, minimum=0)]

    def compute(
        self, z: Sequence[np.ndarray], profile: Profile, band: Band, window: Window
    ) -> np.ndarray:
        """See the class."""
        high, low = np.maximum(z[0], z[1]), np.minimum(z[0], z[1])
        for elevation in z[2:]:
            np.maximum(high, elevation, out=high)
            np.minimum(low, elevation, out=low)
        np.subtract(high, low, out=high)
        return np.multiply(high, abs(band.scale), out=high)
