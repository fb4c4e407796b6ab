"""Texture (GLCM): bounds found where none are given, then the features in one pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

from eoscale_engine.declaration import Engine, Output, Procedure, Result, Roles, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.texture.glcm import (
    DIRECTIONS,
    FEATURES,
    MAXIMUM_RADIUS,
    MEAN,
    Glcm,
    check_distance,
)
from eoscale_engine.procedures.value_bounds import check_bounds, find_bounds
from eoscale_engine.profile import Profile
from eoscale_engine.styles import HEAT, Ramp, Style


@dataclass(frozen=True)
class Texture(Procedure):
    """Haralick's texture features from the grey-level co-occurrence matrix around each pixel.

    The values are put into grey levels 0 to levels - 1 of equal width between two bounds:
    level = floor((value - lower) / (upper - lower) * levels), held within these levels. The matrix
    counts, for each two levels i and j, the pairs of pixels with these levels that lie in the
    window of 2 radius + 1 pixels, both of them. The second pixel of a pair lies at the distance
    from the first in a direction: 0 to the right, 45 up and to the right, 90 up, 135 up and to the
    left; diagonal ones are as many rows and as many columns away. A symmetric matrix counts each
    pair in both orders. With p(i, j) the share of the pairs:

    - contrast: sum(p (i - j)^2); dissimilarity: sum(p abs(i - j))
    - homogeneity (inverse difference moment): sum(p / (1 + (i - j)^2))
    - ASM (angular second moment): sum(p^2); energy: sqrt(ASM)
    - entropy: -sum(p ln(p)), with the natural logarithm
    - mean: sum(p i); variance: sum(p (i - mean)^2), in levels and levels squared
    - correlation: sum(p (i - mean) (j - mean of j)) / (deviation of i times that of j), and 1 where
      all pixels of the pairs have one level
    - maximum probability: max(p)

    Over four directions a feature is the mean of its values in 0, 45, 90 and 135 degrees. The
    result has a band for each feature, and these for each band of the image.

    Bounds are physical values (pixel * scale + offset). Those that are not given are the smallest
    and largest finite valid value of each band, within the extent if there is one: give both to
    compare images, or parts of one, or where a few extreme values would leave most pixels in one
    level. With as many levels as there are integers in the range, each integer is a level.

    Nodata: a pair with an invalid pixel does not count, and what lies beyond the image is invalid.
    "ignore" takes the pairs that are left, "propagate" gives no value where the window holds an
    invalid pixel. There is no value where no pair is left; a direction without pairs takes no share
    in the mean of four. An invalid pixel stays so unless holes are filled.

    Takes integers and floats; results are float32, of the levels, and have no scale. They come from
    exact integers, rounded at the end (the homogeneity is summed in float32): to 1e-6 of the value,
    the correlation to 1e-6. ASM, energy, entropy and maximum probability need the matrix itself:
    they take some ten times as long as the others.

    R. M. Haralick, K. Shanmugam and I. Dinstein, "Textural Features for Image Classification", IEEE
    Transactions on Systems, Man, and Cybernetics 3(6), 1973, 610-621.
    """

    name: ClassVar[str] = "texture"
    label: ClassVar[str] = "Texture (GLCM)"
    group: ClassVar[str] = "Neighbourhood"
    tags: ClassVar[tuple[str, ...]] = (
        "texture", "glcm", "haralick", "co-occurrence", "cooccurrence", "grey level",
        "r.texture", "HaralickTextureExtraction", "inverse difference moment", "second moment",
        *FEATURES,
    )  # fmt: skip
    outputs: ClassVar[tuple[Output, ...]] = (Output(label="Texture"),)
    picture: ClassVar[Mapping[str, Any]] = {
        "contrast": False,
        "homogeneity": False,
        "entropy": True,
        "levels": 128,
    }
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"radius": 2, "entropy": False, "correlation": True},
        {
            "radius": 1, "levels": 8, "direction": "45", "distance": 2, "lower": -3.0,
            "dissimilarity": True, "mean": True, "energy": True, "entropy": False,
        },
        {
            "radius": 1, "levels": 64, "direction": "0", "symmetric": False, "lower": 0,
            "upper": 80, "asm": True, "variance": True,
        },
    )  # fmt: skip

    radius: int = parameter(
        3,
        minimum=1,
        maximum=MAXIMUM_RADIUS,
        unit="pixels",
        help="Half-width of the window; 3 is 7 x 7.",
    )
    levels: int = parameter(
        32,
        minimum=2,
        maximum=256,
        label="Grey levels",
        help="How many there are between the lower and the upper bound.",
    )
    direction: str = parameter(
        MEAN,
        choices=DIRECTIONS,
        unit="degrees",
        help="From one pixel of a pair to the other, from the right anticlockwise.",
    )
    distance: int = parameter(
        1,
        minimum=1,
        maximum=2 * MAXIMUM_RADIUS,
        unit="pixels",
        help="Between the pixels of a pair, at most twice the radius.",
    )
    contrast: bool = parameter(True, help="Mean squared difference of a pair's levels.")
    dissimilarity: bool = parameter(False, help="Mean difference of a pair's levels.")
    homogeneity: bool = parameter(
        True, help="Large where a pair's levels are alike: the inverse difference moment."
    )
    asm: bool = parameter(
        False, label="ASM", help="Angular second moment: large where few kinds of pairs occur."
    )
    energy: bool = parameter(False, help="Square root of the ASM.")
    entropy: bool = parameter(True, help="Large where many kinds of pairs occur equally often.")
    correlation: bool = parameter(
        False, help="How well one level of a pair tells the other, -1 to 1."
    )
    mean: bool = parameter(False, help="Mean level of the pairs.")
    variance: bool = parameter(False, help="Variance of the pairs' levels.")
    maximum_probability: bool = parameter(False, help="Share of the most frequent kind of pair.")
    lower: Optional[float] = parameter(
        None,
        label="Lower bound",
        help="Where the lowest grey level begins; each band's smallest value if not set.",
    )
    upper: Optional[float] = parameter(
        None,
        label="Upper bound",
        help="Where the highest grey level ends; each band's largest value if not set.",
    )
    nodata: str = parameter(
        "ignore",
        choices=("ignore", "propagate"),
        label="Invalid pixels in the window",
        help="Ignore their pairs, or give no value where there is an invalid pixel.",
    )
    fill: bool = parameter(
        False,
        label="Fill holes",
        help="Give invalid pixels a value too, from the valid pixels around them.",
        advanced=True,
    )
    symmetric: bool = parameter(
        True,
        label="Symmetric matrix",
        help="Count each pair in both orders, so that opposite directions are the same.",
        advanced=True,
    )

    @property
    def features(self) -> tuple[str, ...]:
        """Names of the chosen features."""
        fields = {name: name.replace(" ", "_").lower() for name in FEATURES}
        return tuple(name for name, field in fields.items() if getattr(self, field))

    def validate(self) -> None:
        """Refuse no feature, pairs longer than the window, and bounds that enclose nothing."""
        if not self.features:
            raise InputError(f"Texture: choose one or more of {', '.join(FEATURES)}.")
        check_distance(self.distance, self.radius)
        check_bounds(self.label, self.lower, self.upper)

    def styles(self) -> Sequence[Optional[Style]]:
        """The first feature, from little to much."""
        return (Ramp(HEAT),)

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """A band for each feature of each band."""
        names = ("",) * (inputs[0].count * len(self.features))
        return [inputs[0].with_dtype("float32").with_bands(names)]

    def run(self, images: Roles, engine: Engine) -> Result:
        """Find the bounds that are not given, then compute the features."""
        bounds = find_bounds(self.label, self.lower, self.upper, images, engine)
        glcm = Glcm(
            features=self.features, bounds=bounds, levels=self.levels, radius=self.radius,
            distance=self.distance, direction=self.direction, symmetric=self.symmetric,
            nodata=self.nodata, fill=self.fill,
        )  # fmt: skip
        return Result(tuple(engine.filter(glcm, images)))
