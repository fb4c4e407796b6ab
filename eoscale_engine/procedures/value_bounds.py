"""Bounds of values, given by the user or found in the image, for what cuts them into levels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Optional

from eoscale_engine.declaration import Engine, Roles
from eoscale_engine.errors import InputError
from eoscale_engine.reductions.histogram import Limits, ValueRange

Bounds = tuple[float, float]


def check_bounds(label: str, lower: Optional[float], upper: Optional[float]) -> None:
    """Refuse, with an InputError, bounds that enclose nothing."""
    for bound in (lower, upper):
        if bound is not None and not math.isfinite(bound):
            raise InputError(
                f"{label}: a bound cannot be {bound}. Give a finite number, or leave it empty."
            )
    if lower is not None and upper is not None and lower >= upper:
        raise InputError(
            f"{label}: the lower bound {lower:.12g} must be less than the upper bound "
            f"{upper:.12g}. Change one, or leave it empty."
        )


def find_bounds(
    label: str,
    lower: Optional[float],
    upper: Optional[float],
    images: Roles,
    engine: Engine,
) -> tuple[Bounds, ...]:
    """Both bounds of each band: as given, else its smallest and largest finite value.

    Raises
    ------
    InputError
        Where a band has no value within the bounds, or values too far apart to be cut.
    """
    profile = engine.profile(images["INPUT"][0])
    found: Sequence[Optional[Limits]] = [None] * profile.count
    if lower is None or upper is None:
        found = engine.reduce(ValueRange(), images)
    return tuple(
        _of_band(label, number, limits, lower, upper)
        for number, limits in zip(profile.band_numbers, found)
    )


def _of_band(
    label: str,
    number: int,
    limits: Optional[Bounds],
    lower: Optional[float],
    upper: Optional[float],
) -> Bounds:
    """``limits`` is the band's range of values; None: not looked for, or no valid pixel."""
    smallest, largest = limits or (lower or 0.0, upper or 0.0)
    low = float(smallest if lower is None else lower)
    high = float(largest if upper is None else upper)
    if limits and low > high:
        raise InputError(
            f"{label}: no value of band {number} lies within the bounds; it has values from "
            f"{smallest:.7g} to {largest:.7g}. Change the bounds, or leave them empty."
        )
    if not math.isfinite(high - low):
        raise InputError(
            f"{label}: {low:.7g} and {high:.7g} are too far apart to be cut into levels (band "
            f"{number}). Give a lower and an upper bound that are closer."
        )
    return low, max(low, high)
