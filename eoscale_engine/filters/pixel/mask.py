"""Pixels that another image, or nodata, masks out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, image, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.origins import Origins, no_band, own_band
from eoscale_engine.filters.physical_values import physical_dtype, physical_values
from eoscale_engine.filters.pixel.mask_presets import PRESETS, Condition, flag
from eoscale_engine.filters.pixel.value_classes import nodata_pixels
from eoscale_engine.profile import Band, Profile, can_hold
from eoscale_engine.styles import Classes, Style

_LARGEST_WHOLE = 2.0**53
"""Up to here a float64 holds every whole number."""


@dataclass(frozen=True)
class Mask(ImageFilter):
    """Remove the pixels that another image marks, such as clouds by a quality band.

    A rule selects pixels by one band of the mask image; the selected ones are removed, or all
    others. The rules are

    - nonzero: the mask is not 0;
    - values: it is one of some values;
    - range: it lies between two bounds, both included; one alone is enough;
    - bits: at least one of some bits is set; bit 0 is the least significant;
    - Landsat QA_PIXEL (Collection 2), Sentinel-2 SCL, MODIS state QA (MOD09, MYD09): the mask is
      that product's quality band, and at least one of some conditions holds.

    Conditions are named in words, separated by commas. By default they are what spoils a surface.
    Landsat: fill, dilated cloud, cirrus, cloud, cloud shadow; there are also snow, water, possible
    cloud and possible cirrus (medium or high confidence). Sentinel-2: no data, saturated or
    defective, cloud shadow, cloud medium probability, cloud high probability, thin cirrus; also
    dark area, vegetation, not vegetated, water, unclassified, snow. MODIS: cloud, mixed cloud,
    cloud shadow, cirrus (average or high), internal cloud; also small cirrus, high aerosol,
    internal fire, snow, adjacent to cloud, internal snow.

    The rule 'values' finds the mask's own nodata value, as it is stored, if it is among the values.

    Nodata: removed pixels are invalid in every band, those that were invalid stay so, and all
    others are what they were. Where the mask itself is invalid, pixels are removed unless asked to
    be kept. Bands without a nodata value get NaN where they are floats, else a mask.

    The result has the image's bands, data type, scale and offset. Values and bounds are physical
    values of the mask, pixel * scale + offset; nonzero, bits and conditions look at its pixels as
    they are stored. Values and bounds are compared in the mask's type; with a scale as float32 for
    integers of up to 16 bits and float32, and as float64 for all others. Floats that are no whole
    numbers from 0 to 2^53 have no bits: there the mask counts as invalid. Negative integers have
    the bits of their two's complement.
    """

    name = "maskimage"
    label = "Mask"
    group = "Pixel"
    tags = (
        "cloud mask", "quality", "qa", "qa_pixel", "fmask", "scl", "state_1km", "bitmask",
        "no data", "managenodata", "r.mask", "apply mask", "mask raster", "land mask",
        "qa bits", "bit flags", "clip by mask",
    )  # fmt: skip
    inputs = (
        image(),
        image(
            "MASK", help="Of the same size and grid: a mask, or a quality band", band_choice=False
        ),
    )
    picture: ClassVar[Mapping[str, Any]] = {"rule": "values", "values": "1, 4"}
    examples = (
        {},
        {"rule": "values", "values": (17, 3, 0.5), "selected": "keep", "band": 2},
        {"rule": "range", "minimum": 5, "where_invalid": "keep"},
        {"rule": "bits", "bits": (0, 3)},
        {"rule": "Sentinel-2 SCL", "where_invalid": "keep", "selected": "keep"},
        {"rule": "Landsat QA_PIXEL", "conditions": "cloud, snow"},
    )

    rule: str = parameter(
        "nonzero",
        choices=("nonzero", "values", "range", "bits", *PRESETS),
        help="How the mask selects pixels; the last three are quality bands of products.",
    )
    selected: str = parameter(
        "remove",
        choices=("remove", "keep"),
        label="Selected pixels",
        help="Remove them, or keep them and remove all others.",
    )
    band: int = parameter(
        1, kind="band", role="MASK", label="Band of the mask", help="The band that the rule reads."
    )
    values: tuple[float, ...] = parameter(
        (),
        kind="numbers",
        nan=True,
        help="Numbers separated by commas.",
        counts_when={"rule": ("values",)},
    )
    minimum: Optional[float] = parameter(
        None,
        help="The least selected value; empty for no lower bound.",
        counts_when={"rule": ("range",)},
    )
    maximum: Optional[float] = parameter(
        None,
        help="The largest selected value; empty for no upper bound.",
        counts_when={"rule": ("range",)},
    )
    bits: tuple[float, ...] = parameter(
        (),
        kind="numbers",
        help="Their numbers, from 0, separated by commas. One set is enough.",
        counts_when={"rule": ("bits",)},
    )
    conditions: str = parameter(
        "",
        help="Of quality bands, in words separated by commas, such as cloud, snow. Empty for what "
        "spoils a surface; the help lists all.",
        counts_when={"rule": tuple(PRESETS)},
    )
    where_invalid: str = parameter(
        "remove",
        choices=("remove", "keep"),
        label="Where the mask is invalid",
        help="Remove or keep pixels where the mask itself has no value.",
        advanced=True,
    )

    @property
    def differing(self) -> tuple[str, ...]:
        """By this rule an image would lose all of its values."""
        return ("INPUT", "MASK") if self.rule == "nonzero" else ()

    def validate(self) -> None:
        """Refuse a rule without what it looks for, and unknown conditions."""
        low, high = self.minimum, self.maximum
        if self.rule == "values" and not self.values:
            raise InputError(f"{self.label}: the rule 'values' needs at least one value.")
        if self.rule == "range" and low is None and high is None:
            raise InputError(f"{self.label}: the rule 'range' needs a minimum or a maximum.")
        if self.rule == "range" and low is not None and high is not None and low > high:
            raise InputError(
                f"{self.label}: 'Minimum' is {low:.12g}, greater than 'Maximum', {high:.12g}. "
                "Swap them."
            )
        if self.rule == "bits" and not self.bits:
            raise InputError(f"{self.label}: the rule 'bits' needs the number of at least one bit.")
        if self.rule == "bits" and any(bit not in range(64) for bit in self.bits):
            raise InputError(f"{self.label}: bits are whole numbers from 0 to 63.")
        _ = self._conditions

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse a mask whose pixels do not have the bits."""
        super().check(inputs)
        highest = max((bits.bit_length() - 1 for bits, _ in self._conditions), default=0)
        for profile in inputs.get("MASK", ()):
            dtype = np.dtype(profile.dtype)
            has = 53 if dtype.kind == "f" else 8 * dtype.itemsize
            if highest >= has:
                raise InputError(
                    f"{self.label}: the mask's {dtype.name} pixels have bits 0 to {has - 1}, but "
                    f"'{self.rule}' reads bit {highest}. Choose the quality band as it was "
                    "delivered, or another rule."
                )

    @property
    def makes_invalid(self) -> bool:
        """Pixels are removed."""
        return True

    def taken_from(self, inputs: Sequence[Profile]) -> Origins:
        """The image's own pixels."""
        return own_band(inputs)

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block, mask = blocks[0], blocks[1]
        number = self.band - 1
        known = None if mask.valid is None else mask.valid[number]
        chosen, readable = self._chosen(mask.pixels[number], mask.profile.bands[number])
        if readable is not None:
            known = readable if known is None else known & readable
        if known is not None and self.rule == "values":
            for value in self.values:
                where = nodata_pixels(value, mask.pixels[number], mask.profile.bands[number])
                if where is not None:
                    where &= ~known
                    chosen, known = chosen | where, known | where
        kept = chosen if self.selected == "keep" else np.logical_not(chosen, out=chosen)
        if known is not None:
            kept = kept & known if self.where_invalid == "remove" else kept | ~known
        valid = kept[np.newaxis] if block.valid is None else block.valid & kept
        return block.pixels, None if valid.all() else valid

    # ---- inside

    @cached_property
    def _conditions(self) -> tuple[Condition, ...]:
        """What the rule looks for in the bits; nothing for other rules."""
        if self.rule == "bits":
            return tuple(flag(int(bit)) for bit in self.bits)
        if self.rule not in PRESETS:
            return ()
        preset = PRESETS[self.rule]
        names = [" ".join(name.split()).lower() for name in self.conditions.split(",")]
        names = [name for name in names if name] or list(preset.default)
        for name in names:
            if name not in preset.conditions:
                raise InputError(
                    f"{self.label}: {self.rule} has no condition '{name}'. Use some of: "
                    + ", ".join(preset.conditions) + "."
                )  # fmt: skip
        return tuple(preset.conditions[name] for name in names)

    def _chosen(self, pixels: np.ndarray, band: Band) -> tuple[np.ndarray, Optional[np.ndarray]]:
        """Which pixels the rule selects, and which have bits where it reads these."""
        if self.rule == "nonzero":
            return pixels != 0, None
        if self._conditions:
            bits, readable = _bits_of(pixels)
            return _any_of(bits, self._conditions), readable
        pixels = physical_values(pixels, band, physical_dtype(pixels.dtype, (band,)))
        if self.rule == "range":
            return _within(pixels, self.minimum, self.maximum), None
        chosen = np.zeros(pixels.shape, bool)
        for value in self.values:
            if can_hold(pixels.dtype.name, value):
                chosen |= pixels == _in_type(value, pixels.dtype)
        return chosen, None


def _bits_of(pixels: np.ndarray) -> tuple[np.ndarray, Optional[np.ndarray]]:
    """Pixels as unsigned integers, and where they are such numbers (None: everywhere)."""
    if pixels.dtype.kind in "iu":
        return pixels.view(f"u{pixels.dtype.itemsize}"), None
    with np.errstate(invalid="ignore"):
        whole = (pixels == np.rint(pixels)) & (pixels >= 0) & (pixels < _LARGEST_WHOLE)
    return np.where(whole, pixels, 0).astype(np.uint64), whole


def _any_of(bits: np.ndarray, conditions: Sequence[Condition]) -> np.ndarray:
    """Where at least one condition holds."""
    found = np.zeros(bits.shape, bool)
    for mask, values in conditions:
        part = bits & bits.dtype.type(mask)
        for value in values:
            found |= part == part.dtype.type(value)
    return found


def _within(values: np.ndarray, low: Optional[float], high: Optional[float]) -> np.ndarray:
    """Where values lie between two bounds; those of integers are moved to whole numbers."""
    if values.dtype.kind in "iu":
        limits = np.iinfo(values.dtype)
        low = None if low is None or low <= limits.min else low
        high = None if high is None or high >= limits.max else high
        if (low or 0) > limits.max or (high or 0) < limits.min:
            return np.zeros(values.shape, bool)
        low = None if low is None else math.ceil(low)
        high = None if high is None else math.floor(high)
    inside = np.ones(values.shape, bool)
    if low is not None:
        inside &= values >= _in_type(low, values.dtype)
    if high is not None:
        inside &= values <= _in_type(high, values.dtype)
    return inside


def _in_type(value: float, dtype: np.dtype) -> Any:
    with np.errstate(over="ignore"):
        return dtype.type(int(value) if dtype.kind in "iu" else value)


@dataclass(frozen=True)
class ValidityMask(ImageFilter):
    """1 where pixels are valid, 0 where they are not: nodata, NaN, or masked.

    Of each band by itself; or in one band, 1 where all bands are valid, or where at least one is.
    The result is uint8 and valid everywhere. Takes images of every type, complex ones too.
    """

    name = "validitymask"
    label = "Validity mask"
    group = "Pixel"
    tags = (
        "valid", "nodata", "no data", "managenodata", "build mask", "isnull", "null", "gdal_edit",
        "data mask", "footprint", "binary",
    )  # fmt: skip
    dtype_kinds = "iufc"
    sample = "elevation"
    examples = ({}, {"combine": "all"}, {"combine": "any"})

    combine: str = parameter(
        "each",
        choices=("each", "all", "any"),
        label="Bands",
        help="Each band by itself; or one result: all bands are valid, or at least one is.",
    )

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """One band for each, or one alone."""
        names = tuple(
            f"{band.name} valid" if band.name else f"band {number} valid"
            for number, band in zip(inputs[0].band_numbers, inputs[0].bands)
        )
        if self.combine != "each":
            names = ("all bands valid" if self.combine == "all" else "a band valid",)
        return [inputs[0].with_dtype("uint8").with_bands(names)]

    def styles(self) -> Sequence[Optional[Style]]:
        """Two colours."""
        return [Classes(((0, "#b2182b", "invalid"), (1, "#d9d9d9", "valid")))]

    def taken_from(self, inputs: Sequence[Profile]) -> Origins:
        """Valid everywhere."""
        return no_band(inputs[0].count if self.combine == "each" else 1)

    def apply(self, blocks: Blocks) -> Pixels:
        """See the class."""
        block, core = blocks[0], blocks.core
        count = block.profile.count if self.combine == "each" else 1
        if block.valid is None:
            return np.ones((count, core.rows, core.cols), np.uint8), None
        valid = block.valid
        if self.combine != "each":
            valid = valid.all(axis=0) if self.combine == "all" else valid.any(axis=0)
        return np.array(valid, bool, ndmin=3).view(np.uint8), None
