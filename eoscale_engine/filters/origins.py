"""Of which bands the values of a filter's results are taken (see ``ImageFilter.taken_from``)."""

from __future__ import annotations

from collections.abc import Sequence

from eoscale_engine.profile import Profile

Origins = list[list[tuple[int, int]]]
"""For each band of the output, the (input, band), from 0, whose values its own are."""


def own_band(inputs: Sequence[Profile]) -> Origins:
    """Those of the same band of the first image."""
    return [[(0, band)] for band in range(inputs[0].count)]


def same_bands(inputs: Sequence[Profile]) -> Origins:
    """Those of the same band of any image."""
    return [
        [(image, band) for image in range(len(inputs))] for band in range(inputs[0].count)
    ]  # fmt: skip


def every_band(inputs: Sequence[Profile]) -> Origins:
    """Those of all images, one after the other."""
    return [
        [(image, band)] for image, profile in enumerate(inputs) for band in range(profile.count)
    ]  # fmt: skip


def no_band(count: int) -> Origins:
    """None: each pixel is valid, whatever the inputs' are."""
    return [[] for _ in range(count)]
