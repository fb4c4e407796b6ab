"""What stands beside the curves and axes of plots."""

from __future__ import annotations

from eoscale_engine.profile import Profile


def band_titles(profile: Profile) -> tuple[str, ...]:
    """Number and name of each band."""
    return tuple(
        f"Band {number}: {band.name}" if band.name else f"Band {number}"
        for number, band in zip(profile.band_numbers, profile.bands)
    )


def value_label(profile: Profile, what: str = "Value", *, raw: bool) -> str:
    """What the values of all bands are, in the unit that they share, of physical values."""
    units = {"" if raw else band.unit for band in profile.bands}
    unit = units.pop() if len(units) == 1 else ""
    return f"{what} ({unit})" if unit else what
