"""The equivalent number of looks of a radar image."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any, ClassVar

import numpy as np

from eoscale_engine.declaration import (
    Chart,
    Engine,
    Procedure,
    Result,
    Roles,
    Summary,
    Table,
    parameter,
)
from eoscale_engine.errors import InputError
from eoscale_engine.filters.radar.speckle import (
    AMPLITUDE,
    DECIBEL,
    INTENSITY,
    PIXELS,
    speckle_variation,
)
from eoscale_engine.procedures.chart_labels import band_titles
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.looks import (
    Estimate,
    LocalLooks,
    LocalVariation,
    local_looks,
    looks_of,
)

DATA: dict[str, Any] = {
    "default": INTENSITY,
    "choices": PIXELS,
    "label": "Pixels are",
    "help": "Linear intensity (power, sigma nought, gamma nought), amplitude (the square root of "
    "intensity), or intensity in decibels (10 log10 of it).",
}
"""The parameter ``data`` of the radar filters."""

_DECIBEL_NAME = re.compile(r"(?:^|[^a-z])db(?:$|[^a-z])")


def check_unit(label: str, data: str, profile: Profile) -> None:
    """Refuse bands in decibels by their unit that are said to be linear."""
    units = [band.unit.strip().lower() for band in profile.bands]
    if data != DECIBEL and any(unit in ("db", "decibel", "decibels") for unit in units):
        raise InputError(
            f"{label}: the image is in decibels, as the unit of its bands says. Set 'Pixels are' "
            f"to {DECIBEL}."
        )


def unit_doubts(label: str, data: str, profile: Profile) -> list[str]:
    """Bands whose names end in dB, as SNAP has it, that are said to be linear."""
    named = [band.name for band in profile.bands if _DECIBEL_NAME.search(band.name.lower())]
    if data == DECIBEL or not named:
        return []
    seems = f"{label}: the band '{named[0]}' seems to be in decibels. If it is, set 'Pixels are' to"
    return [f"{seems} {DECIBEL}."]


@dataclass(frozen=True)
class NumberOfLooks(Procedure):
    """Estimate the equivalent number of looks of a radar image: how much speckle it has.

    Of homogeneous ground, L = mean^2 / variance of the intensity. The image is cut into square
    windows side by side, and Ci^2 = variance / mean^2 is found in each, the variance being that of
    a sample (n - 1). Windows on edges and texture vary more than speckle alone, homogeneous ones
    all alike: L comes from the mode of their distribution, so that nobody needs to mark an area.

    Windows are counted by log2(Ci^2), in bins of 1/16, smoothed by a triangle of 17 bins; m is the
    mean of ln(Ci^2) over the bins within a factor of sqrt(2) of the highest one. With n pixels in a
    window, gamma distributed intensities have 1 / (L + 1 / n) as the mean of Ci^2 and about a
    variance of 2 (1 + 1 / L) / n of its square; taken as lognormal, L solves

    1 / (L + 1 / n) = exp(m) sqrt(1 + 2 (1 + 1 / L) / n)

    On simulated speckle of 1 to 16 looks it is right within 4 % for 250 x 250 pixels, within 3 %
    for a million. Where little of the image is homogeneous the result is too low. Where
    neighbouring pixels are correlated, as in oversampled images, it is too high: in windows of
    5 x 5 pixels by some 10 to 15 % for twice as many rows and columns as the resolution asks for,
    by half for four times as many; less in larger windows.

    Amplitudes are squared first, so that L is that of the intensity; Cu, in the table, is the
    coefficient of variation of the pixels: 1 / sqrt(L) of intensities, 0.5227 / sqrt(L) of
    amplitudes. Decibels (10 log10) are turned into intensities first. Values are physical,
    ``pixel * scale + offset``, in float64. Bands whose unit is dB are refused as linear ones. A
    window counts where at least half of its pixels are valid, and where its mean and
    variance are finite and greater than 0. A band without such windows has no result; one has at
    least 0.1 looks. Windows begin at each corner of the fixed cells of 512 x 512 pixels, or where
    an extent does. Takes integers and floats.

    Source of the mode of local estimates: S. N. Anfinsen, A. P. Doulgeris and T. Eltoft,
    "Estimation of the equivalent number of looks in polarimetric synthetic aperture radar imagery",
    IEEE Transactions on Geoscience and Remote Sensing 47(11), 2009.
    """

    name: ClassVar[str] = "numberoflooks"
    label: ClassVar[str] = "Number of looks"
    group: ClassVar[str] = "Radar"
    sample: ClassVar[str] = "sar"
    tags: ClassVar[tuple[str, ...]] = (
        "enl", "equivalent number of looks", "sar", "radar", "speckle", "noise", "multilook",
        "coefficient of variation",
    )  # fmt: skip
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"side": 3},
        {"data": AMPLITUDE},
        {"data": DECIBEL},
    )
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("LOOKS", "Number of looks of the first band"),
        ("WINDOWS", "Windows of the first band"),
        ("HOMOGENEOUS", "Windows of the first band that its number of looks comes from"),
    )

    data: str = parameter(**DATA)
    side: int = parameter(
        5,
        minimum=3,
        maximum=63,
        unit="pixels",
        label="Side of a window",
        help="5 is 5 x 5. Large ones estimate better, small ones find more homogeneous ground.",
        advanced=True,
    )

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse decibels that are said to be linear."""
        super().check(inputs)
        check_unit(self.label, self.data, inputs["INPUT"][0])

    def doubts(self, inputs: Mapping[str, Sequence[Profile]]) -> Sequence[str]:
        """Names that say decibels."""
        return unit_doubts(self.label, self.data, inputs["INPUT"][0])

    def run(self, images: Roles, engine: Engine) -> Result:
        """Count the windows, then look for the mode."""
        profile = engine.profile(images["INPUT"][0])
        found = engine.reduce(LocalLooks(data=self.data, side=self.side), images)
        estimates = [looks_of(band, self.side**2) for band in found]
        rows = tuple(
            (number, band.name, one.looks, variation_of(one, self.data), *one[1:])
            for number, band, one in zip(profile.band_numbers, profile.bands, estimates)
        )
        notes = ["Cu is the coefficient of variation of the speckle."]
        if any(one.looks is None for one in estimates):
            notes.append(
                "A band without a result has no window of valid pixels whose mean and variance are "
                "greater than 0. For decibels, set 'Pixels are' to decibel."
            )
        first = estimates[0]
        summary = Summary(
            self.label,
            (Table("Looks", ("band", "name", "looks", "cu", "windows", "homogeneous"), rows),),
            {"LOOKS": first.looks, "WINDOWS": first.windows, "HOMOGENEOUS": first.homogeneous},
            (_chart(found, estimates, profile),),
            tuple(notes),
        )
        return Result(summary=summary)


def variation_of(estimate: Estimate, data: str) -> Any:
    """The coefficient of variation of the speckle; None without an estimate."""
    return None if estimate.looks is None else sqrt(speckle_variation(estimate.looks, data))


def _chart(
    found: Sequence[LocalVariation], estimates: Sequence[Estimate], profile: Profile
) -> Chart:
    """How many windows have which number of looks, from an eighth to four times the result."""
    series = []
    for name, windows, one in zip(band_titles(profile), found, estimates):
        looks, counts = local_looks(windows)
        middle = one.looks or 1.0
        near = (looks >= middle / 8) & (looks <= middle * 4)
        series.append((name, tuple(looks[near].tolist()), tuple(np.asarray(counts)[near].tolist())))
    return Chart("Looks of single windows", "Number of looks", "Windows", tuple(series), "lines")
