"""Speckle filters: the number of looks found where none is given, then one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
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
from eoscale_engine.errors import InputError
from eoscale_engine.filters.radar.speckle import (
    AMPLITUDE,
    DECIBEL,
    ENHANCED,
    FROST,
    GAMMA,
    METHODS,
    REFINED,
    SIGMA,
    Speckle,
    speckle_variation,
)
from eoscale_engine.procedures.looks import DATA, check_unit, unit_doubts
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.looks import LocalLooks, looks_of
from eoscale_engine.reductions.percentiles import exact_percentiles
from eoscale_engine.reductions.statistics import BandMoments, physical
from eoscale_engine.styles import Ramp, Style
from eoscale_engine.tiling import Window

_BRIGHT = 98.0
"""The percentile from which on the Lee sigma filter takes pixels for bright."""

_SIDE = 64
"""Of the windows in which the sign of the image is looked for."""


@dataclass(frozen=True)
class SpeckleFilter(Procedure):
    """Reduce the speckle of radar images: Lee, Frost, Gamma-MAP, Kuan and newer filters of Lee.

    Speckle multiplies: its deviation is Cu times the signal, Cu^2 = 1 / L for the intensity of L
    looks and (4 / pi - 1) / L for amplitude (0.5227 / sqrt(L)). With mean m and variance v (over
    n - 1, as OTB and SNAP have it) of the n valid pixels in a window of 2 radius + 1 pixels,
    Ci^2 = v / m^2, and the pixel x in its middle:

    - Lee: m + W (x - m), W = 1 - Cu^2 / Ci^2, at least 0
    - Kuan: the same with W / (1 + Cu^2), the linear estimate of the least squared error
    - enhanced Lee: m where Ci <= Cu, x where Ci >= Cmax = sqrt(1 + 2 Cu^2), between them
      m w + x (1 - w), w = exp(-K (Ci - Cu) / (Cmax - Ci))
    - Frost: the mean weighted by exp(-K Ci^2 d), d being the distance in pixels
    - Gamma-MAP: m where Ci <= Cu, x where Ci >= sqrt(2) Cu, between them
      (b m + sqrt(b^2 m^2 + 4 a L m x)) / (2 a), a = (1 + Cu^2) / (Ci^2 - Cu^2), b = a - L - 1;
      amplitudes are squared before, and the root is taken after: that of the mean intensity
    - refined Lee: Kuan's formula on the half of a 7 x 7 window (28 pixels, whatever the radius)
      that lies on the pixel's side of the strongest edge. Nine means of 3 x 3 pixels, two apart,
      give the four gradients (the first of equal ones: across columns, rows, diagonals); of both
      sides that one whose mean is nearer to the middle's
    - Lee sigma: Kuan's formula on 3 x 3 pixels guesses g; then it is used on the window's pixels
      from I1 g to I2 g, with the Cu that speckle has within. I1 and I2 hold the share sigma of the
      speckle and leave its mean unchanged; they come from the gamma distribution. No such pixel: g.
      Point targets stay: pixels of at least the band's 98th percentile, which have one of five or
      more such in its 3 x 3 pixels at most one row and column away

    K is the damping factor: the larger, the less smooth. Over homogeneous ground Lee, enhanced Lee,
    Kuan and Frost keep the mean; refined Lee and Lee sigma lose 1.5 % of it at one look and 0.4 %
    at four, Gamma-MAP 4 % and 1.6 %.

    The number of looks L, where it is not given, is found for each band as "Number of looks" does,
    in windows of 5 x 5 pixels; a band where it finds none takes that of another one. With an
    extent, looks and percentile are of its pixels.

    Speckle multiplies linear values. Intensities in decibels, 10 log10, are turned into linear
    ones, filtered, and turned back, if told so; images that are negative on average, or whose unit
    is dB, are refused as linear ones. Values are physical, ``pixel * scale + offset``; the result
    has no scale. It is float32, float64 for 64-bit images, computed in float64 (variances to 1e-13
    of m^2). Each band is handled by itself. Where a formula has no value the pixel stays as it is:
    where the mean is not greater than 0, or infinite pixels take part.

    Nodata: invalid pixels take no part and stay invalid. Beyond the image all are invalid, and
    windows at its border hold fewer pixels.

    Sources: J. S. Lee, IEEE Trans. PAMI 2(2), 1980 (Lee, here as by Lopes et al.); Computer
    Graphics and Image Processing 17, 1981 (refined Lee); J. S. Lee, J. H. Wen, T. L. Ainsworth,
    K. S. Chen and A. J. Chen, IEEE Trans. Geoscience and Remote Sensing 47(1), 2009 (Lee sigma);
    V. S. Frost et al., IEEE Trans. PAMI 4(2), 1982; D. T. Kuan et al., IEEE Trans. PAMI 7(2), 1985;
    A. Lopes, R. Touzi and E. Nezry, IEEE Trans. Geoscience and Remote Sensing 28(6), 1990 (enhanced
    Lee); A. Lopes, E. Nezry, R. Touzi and H. Laur, IGARSS 1990 (Gamma-MAP).
    """

    name: ClassVar[str] = "specklefilter"
    label: ClassVar[str] = "Speckle filter"
    group: ClassVar[str] = "Radar"
    sample: ClassVar[str] = "sar"
    tags: ClassVar[tuple[str, ...]] = (
        "speckle", "despeckle", "sar", "radar", "multiplicative noise", "denoise", "lee",
        "refined lee", "lee sigma", "enhanced lee", "frost", "gamma map", "kuan", "sentinel-1",
        "multi direction lee", "adaptive filter",
    )  # fmt: skip
    outputs: ClassVar[tuple[Output, ...]] = (Output("OUTPUT", "Filtered image"),)
    reports: ClassVar[bool] = True
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("LOOKS", "Number of looks of the first band"),
    )
    picture: ClassVar[Mapping[str, Any]] = {"method": SIGMA, "radius": 4, "looks": 4}
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"looks": 3},
        {"method": SIGMA, "radius": 2, "speckle_share": 0.7},
        {"method": GAMMA, "data": AMPLITUDE, "looks": 0.5, "radius": 1},
    )

    method: str = parameter(
        REFINED,
        choices=METHODS,
        label="Filter",
        help="Refined Lee keeps edges, Lee sigma edges and point targets; Lee, Kuan and Gamma-MAP "
        "take statistics of the whole window; Frost weights by distance",
    )
    radius: int = parameter(
        3,
        minimum=1,
        maximum=50,
        unit="pixels",
        help="Half-width of the window; 3 is 7 x 7, which refined Lee always has. Frost and Lee "
        "sigma take time by its square",
        counts_when={"method": tuple(name for name in METHODS if name != REFINED)},
    )
    looks: Optional[float] = parameter(
        None,
        minimum=0.1,
        label="Number of looks",
        help="Equivalent number of looks of the image; found from the image if not set",
    )
    data: str = parameter(**DATA)
    damping: float = parameter(
        1.0,
        minimum=0,
        maximum=100,
        label="Damping factor",
        help="The larger, the less is smoothed",
        counts_when={"method": (FROST, ENHANCED)},
    )
    speckle_share: float = parameter(
        0.9,
        minimum=0.5,
        maximum=0.95,
        label="Share of the speckle",
        help="Which share of the speckle the range of pixels holds",
        counts_when={"method": (SIGMA,)},
    )

    def validate(self) -> None:
        """Refuse an infinite number of looks."""
        if self.looks is not None and self.looks == float("inf"):
            raise InputError("Speckle filter: the number of looks must be finite.")

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse decibels that are said to be linear."""
        super().check(inputs)
        check_unit(self.label, self.data, inputs["INPUT"][0])

    def doubts(self, inputs: Mapping[str, Sequence[Profile]]) -> Sequence[str]:
        """Names that say decibels."""
        return unit_doubts(self.label, self.data, inputs["INPUT"][0])

    def styles(self) -> Sequence[Optional[Style]]:
        """Grey, without the few brightest pixels."""
        return (Ramp(),)

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats."""
        return Speckle(looks=(1.0,) * inputs[0].count).output_profiles(inputs)

    def run(self, images: Roles, engine: Engine) -> Result:
        """Find the number of looks if it is not given, then filter."""
        profile = engine.profile(images["INPUT"][0])
        if self.looks and self.data != DECIBEL:
            self._check_sign(images, engine, profile)
        looks = (self.looks,) * profile.count if self.looks else self._looks(images, engine)
        bright: tuple[float, ...] = ()
        if self.method == SIGMA:
            bright = tuple(exact_percentiles(engine, images, (_BRIGHT,))[:, 0].tolist())
        made = engine.filter(
            Speckle(
                looks=looks, method=self.method, radius=self.radius, data=self.data,
                damping=self.damping, sigma=self.speckle_share, bright=bright,
            ),
            images,
        )  # fmt: skip
        rows = tuple(
            (number, band.name, value, sqrt(speckle_variation(value, self.data)))
            for number, band, value in zip(profile.band_numbers, profile.bands, looks)
        )
        origin = "given" if self.looks else "found from the image"
        note = f"The number of looks was {origin}; cu is the coefficient of variation of speckle."
        summary = Summary(
            self.label,
            (Table("Looks", ("band", "name", "looks", "cu"), rows),),
            {"LOOKS": looks[0]},
            notes=(note,),
        )
        return Result(tuple(made), summary)

    def _check_sign(self, images: Roles, engine: Engine, profile: Profile) -> None:
        """Refuse decibels by their sign, in a few windows all over the image."""
        whole = Window(0, 0, profile.height, profile.width)
        rows, cols = ({0, size // 2, max(0, size - _SIDE)} for size in profile.shape[1:])
        windows = [
            Window(row, col, _SIDE, _SIDE).intersection(whole)
            for row in sorted(rows)
            for col in sorted(cols)
        ]
        found = engine.reduce(BandMoments(), images, windows=windows)
        means = [
            physical(one.total / one.finite, band, raw=False)
            for one, band in zip(found, profile.bands)
            if one.finite
        ]
        if means and max(means) < 0:
            raise InputError(
                f"{self.label}: the image is negative on average, as decibels are, but "
                f"{self.data} is not. Set 'Pixels are' to {DECIBEL}."
            )

    def _looks(self, images: Roles, engine: Engine) -> tuple[float, ...]:
        """Of each band; of the first one that has a result where it has none."""
        counter = LocalLooks(data=self.data)
        windows = engine.reduce(counter, images)
        found = [looks_of(band, counter.side**2).looks for band in windows]
        known = [looks for looks in found if looks is not None]
        if not known:
            raise InputError(
                "Speckle filter: the number of looks cannot be found, since no window has a mean "
                "and a variance greater than 0. For decibels, set 'Pixels are' to decibel; else "
                "give the number of looks."
            )
        return tuple(known[0] if looks is None else looks for looks in found)
