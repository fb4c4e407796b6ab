"""Spectral indices, such as NDVI, of images whose bands are known by sensor, name or number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Input, Pixels, image, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.physical_values import is_scaled
from eoscale_engine.filters.pixel.band_math import BandMath
from eoscale_engine.filters.spectral.sensors import (
    BY_NAMES,
    NONE,
    ROLES,
    SENSORS,
    STORED,
    named_bands,
    named_sensor,
)
from eoscale_engine.filters.spectral.spectral_formulas import AFTER, CONSTANTS, INDICES
from eoscale_engine.profile import Profile, common_profile
from eoscale_engine.styles import Ramp, Style
from eoscale_engine.words import counted, listed

_IMAGES = {"INPUT": "", "AFTER": AFTER}
"""The images, and what the names of their bands end in."""


def _band(role: str, *, advanced: bool = True) -> Any:
    label, wavelength = ROLES[role]
    return parameter(
        None,
        kind="band",
        label=f"{label} band",
        help=f"Number of the band at {wavelength}, in place of the sensor's",
        advanced=advanced,
    )


def _indices_with(constant: str) -> tuple[str, ...]:
    return tuple(name for name, index in INDICES.items() if constant in index.names)


def _names(profile: Profile) -> tuple[str, ...]:
    return tuple(band.name for band in profile.bands)


@dataclass(frozen=True)
class SpectralIndex(ImageFilter):
    """One of more than 120 spectral indices: of vegetation, water, snow, fire, towns, soil, rocks.

    Say where the image has its bands: by the sensor, whose usual order of bands is known; by the
    names of the bands (red, NIR, swir16, Sentinel-2's B4 and B8, Landsat's SR_B4, MODIS's
    sur_refl_b01 ...); or by their numbers, which count more than both. What a band is to an index:
    coastal, blue, green, yellow, red, red edge 1 to 3 (705, 740, 780 nm), near infrared, narrow
    near infrared (865 nm), shortwave infrared 1 and 2 (1600 and 2200 nm) and thermal.

    The sensors: Sentinel-2 with the 13 bands of L1C, the 12 of L2A or the 10 of 10 and 20 m;
    Landsat 5/7 with the bands 1 to 7 or the 6 without the thermal one; Landsat 8/9 with the bands
    1 to 11 (or the first 7); MODIS with the bands 1 to 7; Pleiades and SPOT 6/7 (red, green, blue,
    near infrared); PlanetScope with 4 or 8 bands; RapidEye; WorldView-2/3; and plain orders of
    three and four bands.

    Indices of two dates (dnbr, rbr, rdnbr, dndvi) take the later image too, with the bands in the
    same order; all others leave it aside. The values of dnbr are positive where it burned.

    Bands are reflectances: pixels with the bands' own scale and offset, then times the reflectance
    scale plus the reflectance offset. A preset of a sensor says where bands are, nothing of their
    units. Ratios such as NDVI are the same in any unit, but not with another offset: Sentinel-2
    since 2022 has one of -0.1 (with the scale 0.0001) and Landsat Collection 2 one of -0.2 (with
    0.0000275), which change NDVI by up to 0.4. For their integers without a scale there is a
    warning until the reflectance scale is given, and so there is for indices that are no ratio,
    such as DVI or RDVI, of any integers. Indices with constants, such as EVI and SAVI, need values
    from 0 to 1: there such images are refused. Thermal bands keep their own scale and offset only.

    A pixel is invalid (nodata) where a band that the index needs is invalid, or the formula has no
    finite value, as after a division by zero.

    Computed in float32, and in float64 for images with 32-bit or larger integers or float64; the
    result is float32, or float64 for 64-bit images.
    """

    name: ClassVar[str] = "spectralindex"
    label: ClassVar[str] = "Spectral index"
    group: ClassVar[str] = "Pixel"
    tags: ClassVar[tuple[str, ...]] = (
        "ndvi", "ndwi", "mndwi", "evi", "savi", "nbr", "dnbr", "ndsi", "ndbi", "ndmi", "bsi",
        "vegetation index", "radiometric indices", "RadiometricIndices", "i.vi", "burn severity",
        "water index", "snow index", "red edge", "band ratio", "mineral", "normalised difference",
        "normalized difference index", "sentinel-2", "landsat", "modis",
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = (
        image(
            "INPUT",
            label="Input image",
            help="The image; of two, the earlier one",
            band_choice=False,
        ),
        image(
            "AFTER",
            label="Image (after)",
            help="For indices of two dates: the later image, with the same order of bands",
            optional=True,
            band_choice=False,
        ),
    )
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"index": "ndvi", "sensor": NONE, "red": 1, "nir": 2},
        {"index": "savi", "red": 2, "nir": 1, "reflectance_scale": 0.01, "soil_factor": 0.25},
        {
            "index": "kndvi", "red": 1, "nir": 2,
            "reflectance_scale": 0.5, "reflectance_offset": -1,
        },
        {"index": "rdnbr", "nir": 1, "swir2": 2},
        {"index": "ebbi", "nir": 1, "swir1": 1, "thermal": 2, "reflectance_scale": 0.01},
    )  # fmt: skip

    index: str = parameter(
        "ndvi",
        choices=tuple(sorted(INDICES)),
        help="The documentation has a table of all, with formulas, bands and sources",
    )
    sensor: str = parameter(
        BY_NAMES,
        choices=(BY_NAMES, *SENSORS),
        help="Which order the bands have; it says nothing of their scale and offset. With 'none' "
        "only the bands given below count",
    )
    reflectance_scale: Optional[float] = parameter(
        None,
        minimum=1e-9,
        maximum=1e9,
        help="What turns the image's values into reflectances from 0 to 1, such as 0.0001 for "
        "Sentinel-2 or 0.0000275 for Landsat Collection 2; empty for images that hold them or "
        "know their scale",
    )
    reflectance_offset: float = parameter(
        0.0,
        help="Added after the scale, such as -0.1 for Sentinel-2 since 2022 or -0.2 for Landsat "
        "Collection 2",
    )
    blue: Optional[int] = _band("blue", advanced=False)
    green: Optional[int] = _band("green", advanced=False)
    red: Optional[int] = _band("red", advanced=False)
    nir: Optional[int] = _band("nir", advanced=False)
    swir1: Optional[int] = _band("swir1", advanced=False)
    swir2: Optional[int] = _band("swir2", advanced=False)
    coastal: Optional[int] = _band("coastal")
    yellow: Optional[int] = _band("yellow")
    red_edge1: Optional[int] = _band("red_edge1")
    red_edge2: Optional[int] = _band("red_edge2")
    red_edge3: Optional[int] = _band("red_edge3")
    narrow_nir: Optional[int] = _band("narrow_nir")
    thermal: Optional[int] = _band("thermal")
    soil_factor: float = parameter(
        CONSTANTS["L"],
        minimum=0,
        maximum=1,
        help="L: 1 for bare soil, 0 for dense vegetation",
        counts_when={"index": _indices_with("L")},
        advanced=True,
    )
    soil_slope: float = parameter(
        CONSTANTS["a"],
        minimum=0.01,
        maximum=100,
        help="a of the soil line nir = a * red + b",
        counts_when={"index": _indices_with("a")},
        advanced=True,
    )
    soil_intercept: float = parameter(
        CONSTANTS["b"],
        minimum=-10,
        maximum=10,
        help="b of the soil line nir = a * red + b, in reflectance",
        counts_when={"index": _indices_with("b")},
        advanced=True,
    )
    nir_weight: float = parameter(
        CONSTANTS["alpha"],
        label="Near infrared weight",
        minimum=0.001,
        maximum=1,
        help="alpha, mostly 0.1 to 0.2",
        counts_when={"index": _indices_with("alpha")},
        advanced=True,
    )

    @property
    def title(self) -> str:
        """The index's own name."""
        return self.index.upper()

    @property
    def makes_invalid(self) -> bool:
        """Where a formula has no finite value."""
        return True

    def named_bands(self, role: str) -> tuple[int, ...]:
        """Those that the index needs of the image, as far as no band's name says which they are."""
        bands = self._bands(())
        needed = INDICES[self.index].roles(_IMAGES[role])
        return tuple(bands[name] for name in needed if name in bands)

    @property
    def differing(self) -> tuple[str, ...]:
        """Nothing changes from a date to itself."""
        return ("INPUT", "AFTER")

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse images without a band that the index needs, or not in reflectance if it must."""
        super().check(inputs)
        index = INDICES[self.index]
        if index.two_dates and not inputs.get("AFTER"):
            raise InputError(
                f"{self.label}: {index.id} compares two dates. Give the later image as "
                "'Image (after)'."
            )
        for role, ending in _IMAGES.items():
            needed = index.roles(ending)
            if needed:
                self._check_image(inputs[role][0], role, needed)

    def _check_image(self, profile: Profile, role: str, needed: Sequence[str]) -> None:
        bands = self._bands(_names(profile))
        labels = {name: f"'{ROLES[name][0]} band'" for name in needed}
        missing = [label for name, label in labels.items() if name not in bands]
        if missing:
            reasons = {BY_NAMES: "no band's name tells which it is", NONE: "no number is given"}
            reason = reasons.get(self.sensor, f"'{self.sensor}' has none")
            raise InputError(
                f"{self.label}: {self.index} needs {listed(missing)} of '{self.label_of(role)}', "
                f"and {reason}. Choose another sensor or index, or give the band's number."
            )
        for name, label in labels.items():
            if bands[name] > profile.count:
                raise InputError(
                    f"{self.label}: {label} is band {bands[name]} (sensor: '{self.sensor}'), but "
                    f"'{self.label_of(role)}' has {counted(profile.count, 'band')}. Choose the "
                    "sensor whose order of bands the image has, or give the band's number."
                )
        needed_for = self.index if self._doubling is None else ""
        if self.reflectance_offset:
            needed_for = "a reflectance offset"
        if needed_for and self._is_raw(profile, needed):
            raise InputError(
                f"{self.label}: {needed_for} needs reflectances from 0 to 1, but "
                f"'{self.label_of(role)}' has {profile.dtype} pixels without a scale. Give the "
                "reflectance scale, such as 0.0001 for Sentinel-2, or 1 to take the pixels as they "
                "are."
            )

    def doubts(self, inputs: Mapping[str, Sequence[Profile]]) -> Sequence[str]:
        """Integers in an unknown unit, where the index is no ratio or the unit has an offset."""
        told, index = [], INDICES[self.index]
        for role, ending in _IMAGES.items():
            profile = next(iter(inputs.get(role, ())), None)
            if profile is None or not self._is_raw(profile, index.roles(ending)):
                continue
            which = f"{self.label}: '{self.label_of(role)}'"
            raw = f"{which} has {profile.dtype} pixels without a scale, "
            by_names = self.sensor == BY_NAMES
            sensor = named_sensor(_names(profile)) if by_names else self.sensor
            stored = STORED.get(sensor) if np.dtype(profile.dtype).itemsize > 1 else None
            if stored:
                told.append(
                    f"{raw}and {stored.products} have an offset, which changes ratios too. Give "
                    f"the reflectance scale {stored.scale:.7f}".rstrip("0")
                    + f" and the reflectance offset {stored.offset:g}; {stored.otherwise}."
                )
            elif self._doubling != 1:
                told.append(
                    f"{raw}and {index.id} is no ratio: its values are in a unit of these pixels, "
                    "not as published. Give the reflectance scale, such as 0.0001 for Sentinel-2, "
                    "or 1 to take the pixels as they are."
                )
        return told

    def output_profiles(self, inputs: Sequence[Profile]) -> list[Profile]:
        """The grid of the image with one band, named as the index."""
        index = INDICES[self.index]
        profile = common_profile(inputs).with_dtype(self._dtype(inputs)).with_bands((index.id,))
        return [replace(profile, bands=(replace(profile.bands[0], unit=index.unit),))]

    def styles(self) -> list[Optional[Style]]:
        """The colours that suit the index, over its usual values where the unit is known."""
        index = INDICES[self.index]
        known = self._doubling in (None, 1) or self.reflectance_scale is not None
        return [Ramp(index.colors, index.minimum, index.maximum) if known else Ramp(index.colors)]

    def apply(self, blocks: Blocks) -> Pixels:
        """One band, in the type that was computed in."""
        profiles = [block.profile for block in blocks]
        return _band_math(self, self._dtype(profiles), *map(_names, profiles)).apply(blocks)

    def expression(self, *names: Sequence[str]) -> str:
        """The index as band math, for images whose bands have these names."""
        index = INDICES[self.index]
        values = {name: f"({value!r})" for name, value in self._constants.items()}
        for number, (bands, ending) in enumerate(zip(names, _IMAGES.values()), 1):
            places = self._bands(bands)
            for role in index.roles(ending):
                values[role + ending] = self._reflectance(f"im{number}b{places[role]}", role)
        return f"{index.id} = {index.expression(values)}"

    def _dtype(self, profiles: Sequence[Profile]) -> str:
        used = profiles if INDICES[self.index].two_dates else profiles[:1]
        wide = any(np.dtype(profile.dtype).itemsize == 8 for profile in used)
        return "float64" if wide else "float32"

    @property
    def _constants(self) -> dict[str, float]:
        """What the names of constants in formulas stand for."""
        numbers = (self.soil_factor, self.soil_slope, self.soil_intercept, self.nir_weight)
        return dict(zip(CONSTANTS, numbers))

    @cached_property
    def _doubling(self) -> Optional[float]:
        return INDICES[self.index].doubling(self._constants)

    def _is_raw(self, profile: Profile, needed: Sequence[str]) -> bool:
        """Whether pixels are integers whose unit nobody knows."""
        bands = self._bands(_names(profile))
        return (
            self.reflectance_scale is None
            and np.dtype(profile.dtype).kind in "iu"
            and any(not is_scaled(profile.bands[bands[name] - 1]) for name in needed)
        )

    def _bands(self, names: Sequence[str]) -> dict[str, int]:
        """The band number of each role."""
        known = named_bands(names) if self.sensor == BY_NAMES else SENSORS[self.sensor]
        given = {role: getattr(self, role) for role in ROLES}
        return {**known, **{role: number for role, number in given.items() if number}}

    def _reflectance(self, band: str, role: str) -> str:
        """The expression of a band, which has its own scale and offset already, in reflectance."""
        if role == "thermal":
            return band
        scale = 1.0 if self.reflectance_scale is None else self.reflectance_scale
        text = band if scale == 1 else f"{band} * {scale!r}"
        return (
            f"({text} + ({self.reflectance_offset!r}))" if self.reflectance_offset else f"({text})"
        )


@lru_cache(maxsize=64)
def _band_math(declared: SpectralIndex, dtype: str, *names: Sequence[str]) -> BandMath:
    """What computes an index: made once, not for each block."""
    return BandMath(expressions=declared.expression(*names), dtype=dtype)
