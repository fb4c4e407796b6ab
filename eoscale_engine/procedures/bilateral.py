"""The bilateral filter: the range sigma found from the noise where none is given, then one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar, Optional

from eoscale_engine.declaration import (
    Engine,
    Output,
    Procedure,
    Result,
    Roles,
    Summary,
    Table,
    parameter,
)
from eoscale_engine.filters.neighbourhood.bilateral import BilateralWithin
from eoscale_engine.filters.neighbourhood.convolution import Convolution
from eoscale_engine.filters.neighbourhood.kernels import BORDER
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.percentiles import exact_percentiles

_NOISE = ((1.0, -2.0, 1.0), (-2.0, 4.0, -2.0), (1.0, -2.0, 1.0))
"""Of planes and straight edges along the axes it is 0, of noise 6 times as large as that is."""

_QUARTILES = 1.349
"""From the first to the third quartile of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class Bilateral(Procedure):
    """Bilateral filter: the mean of the pixels around each pixel, weighted by place and likeness.

    sum(w y) / sum(w) over the valid pixels y of a disk, with the weights
    w = exp(-d^2 / (2 s^2)) exp(-(y - x)^2 / (2 r^2)): d is the distance to the pixel x in the
    middle, s the spatial sigma, r the range sigma. Pixels that differ from x by much more than r
    have next to no weight, so noise is smoothed and edges stay. Each band is handled by itself.

    The disk holds the pixels with row^2 + col^2 <= radius^2, counted from the middle; the radius is
    twice the spatial sigma, rounded, unless it is given.

    The range sigma, where it is not given, is three times the noise of each band: the interquartile
    range of the image's sums under the kernel 1 -2 1; -2 4 -2; 1 -2 1, divided by 6 and 1.349 (as
    by J. Immerkaer, "Fast noise variance estimation", Computer Vision and Image Understanding
    64(2), 1996, with quartiles in place of the mean, which few edges do not move). Where most
    pixels show no noise it is a twentieth of the way from the 2nd to the 98th percentile. With an
    extent it is found in the extent; give it to compare images.

    Nodata: invalid pixels take no part, and stay invalid. Infinite pixels stay, and take no part
    elsewhere. Beyond the image lies its mirror image by default.

    Pixels: float32, float64 for 64-bit images; scale and offset carry on, and the range sigma is in
    the unit of the physical values. Images of up to 16 bits and float32 ones are computed in
    float32, as deviations from x, to some 1e-7 of the largest value; all others in float64.

    C. Tomasi and R. Manduchi, "Bilateral filtering for gray and color images", ICCV 1998.
    """

    name: ClassVar[str] = "bilateral"
    label: ClassVar[str] = "Bilateral filter"
    group: ClassVar[str] = "Neighbourhood"
    tags: ClassVar[tuple[str, ...]] = (
        "bilateral", "edge preserving", "edge-preserving", "smooth", "denoise", "noise",
        "gaussian", "tomasi", "manduchi",
    )  # fmt: skip
    outputs: ClassVar[tuple[Output, ...]] = (Output(),)
    reports: ClassVar[bool] = True
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("SIGMA_RANGE", "Range sigma of the first band"),
    )
    picture: ClassVar[Mapping[str, Any]] = {"sigma_range": 400}
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"sigma_range": 30.0, "sigma_spatial": 0.8, "border": "invalid"},
    )

    sigma_range: Optional[float] = parameter(
        None,
        minimum=1e-9,
        maximum=1e18,
        label="Range sigma",
        help="Differences up to about this are smoothed away, larger ones stay. In the unit of the "
        "values, with the bands' scale. Three times each band's noise if not set.",
    )
    sigma_spatial: float = parameter(
        1.5,
        minimum=0.1,
        maximum=50,
        unit="pixels",
        label="Spatial sigma",
        help="Standard deviation of the Gaussian of the distance: the larger, the smoother.",
    )
    radius: Optional[int] = parameter(
        None,
        minimum=1,
        maximum=100,
        unit="pixels",
        help="Of the disk around each pixel. Empty: twice the spatial sigma, rounded.",
        advanced=True,
    )
    border: str = parameter(**BORDER)

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """The noise, which goes before the result comes, and is as large."""
        return BilateralWithin((1.0,) * inputs[0].count).output_profiles(inputs)

    def run(self, images: Roles, engine: Engine) -> Result:
        """Find the range sigma if it is not given, then filter."""
        profile = engine.profile(images["INPUT"][0])
        given = self.sigma_range
        sigmas = range_sigmas(images, engine) if given is None else (given,) * profile.count
        one_pass = BilateralWithin(sigmas, self.sigma_spatial, self.radius, self.border)
        rows = tuple(
            (number, band.name, sigma)
            for number, band, sigma in zip(profile.band_numbers, profile.bands, sigmas)
        )
        summary = Summary(
            self.label,
            (Table("Range sigma", ("band", "name", "sigma"), rows),),
            {"SIGMA_RANGE": sigmas[0]},
            notes=(f"The range sigma was {'found from the image' if given is None else 'given'}.",),
        )
        return Result(tuple(engine.filter(one_pass, images)), summary)


def range_sigmas(images: Roles, engine: Engine) -> tuple[float, ...]:
    """Of each band of the image: three times its noise."""
    (made,) = engine.filter(Convolution(weights=_NOISE, normalise=False), images)
    quartiles = exact_percentiles(engine, {"INPUT": [made]}, (25, 75)).tolist()
    engine.release(made)
    sigmas = [3 * (high - low) / (6 * _QUARTILES) for low, high in quartiles]
    if not all(map(_is_spread, sigmas)):
        ends = exact_percentiles(engine, images, (2, 98)).tolist()
        spreads = [(high - low) / 20 for low, high in ends]
        sigmas = [one if _is_spread(one) else two for one, two in zip(sigmas, spreads)]
    # a constant band is the same with any
    return tuple(sigma if _is_spread(sigma) else 1.0 for sigma in sigmas)


def _is_spread(sigma: float) -> bool:
    return isfinite(sigma) and sigma > 0
