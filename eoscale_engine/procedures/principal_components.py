"""Principal components of an image's bands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import (
    Chart,
    Engine,
    Output,
    Procedure,
    Result,
    Roles,
    Summary,
    parameter,
)
from eoscale_engine.errors import InputError
from eoscale_engine.procedures.component_bases import Basis, forward, inverse, tables_of
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.covariance import Covariance, Covariances
from eoscale_engine.styles import Composite, Ramp, Style
from eoscale_engine.words import counted


@dataclass(frozen=True)
class PrincipalComponents(Procedure):
    """Turn the bands of an image into uncorrelated ones, ordered by how much they vary.

    With the bands' means m and the eigenvectors v_i of their covariance matrix, by falling
    eigenvalue: y_i = v_i . (x - m). The variance of y_i is the eigenvalue; its share of the sum of
    all is the variance explained. With the correlation matrix each band is divided by its standard
    deviation s first, y_i = v_i . ((x - m) / s): bands of different units or spreads count alike.
    Covariances are of the population, from all pixels that are valid and finite in every band.

    The sign of an eigenvector is free: here its element of the largest magnitude is positive (the
    first of several alike).

    The reconstruction turns the kept components back into bands, x = m + s sum_i y_i v_i, without
    what the left out ones held: mostly noise. The JSON file holds the means, deviations and
    eigenvectors from which "Inverse principal components" does the same at another time.

    A pixel that is invalid in one band is invalid in all. With an extent its pixels alone count.
    Values are physical, ``pixel * scale + offset``. Components are float32, computed in float32
    from the deviations from the mean (float64 for integers of more than 16 bits and for float64):
    to some 1e-6 of the largest deviation. The reconstruction is float32, float64 of 64-bit pixels.
    Takes integers and floats ``(bands, rows, cols)``; refuses images without two valid pixels and,
    with the correlation matrix, constant bands.

    I. T. Jolliffe, "Principal Component Analysis", 2nd edition, Springer, 2002.
    """

    name: ClassVar[str] = "principalcomponents"
    label: ClassVar[str] = "Principal components"
    group: ClassVar[str] = "Multivariate"
    tags: ClassVar[tuple[str, ...]] = (
        "pca", "principal component analysis", "karhunen-loeve", "i.pca",
        "dimensionality reduction", "decorrelation", "eigenvectors", "eigenvalues", "denoise",
        "covariance", "correlation",
    )  # fmt: skip
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("OUTPUT", "Components"),
        Output("RECONSTRUCTION", "Bands from the kept components", optional=True),
    )
    reports: ClassVar[bool] = True
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("VALID", "Pixels that are valid in all bands"),
        ("FIRST_SHARE", "Share of the variance in the first component (%)"),
        ("KEPT_SHARE", "Share of the variance in the kept components (%)"),
    )
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"components": 1, "matrix": "correlation", "reconstruction": True},
    )

    components: Optional[int] = parameter(
        None, minimum=1, help="How many are kept, from the first; all if not set."
    )
    matrix: str = parameter(
        "covariance",
        choices=("covariance", "correlation"),
        help="Covariance: bands count by their variance. Correlation: all bands count alike.",
    )
    reconstruction: bool = parameter(
        False, help="Also make the original bands from the kept components."
    )

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse more components than bands."""
        super().check(inputs)
        bands = inputs["INPUT"][0].count
        if self.components is not None and self.components > bands:
            raise InputError(
                f"{self.label}: 'Components' is {self.components}, but the image has "
                f"{counted(bands, 'band')}. Ask for at most {bands}."
            )

    def styles(self) -> Sequence[Optional[Style]]:
        """The first three components as colours."""
        few = self.components is not None and self.components < 3
        return (Ramp() if few else Composite(), None)

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Components, and what comes back from them."""
        profile = inputs[0]
        kept = ("",) * (self.components or profile.count)
        components = profile.with_dtype("float32").with_bands(kept)
        wide = np.dtype(profile.dtype).itemsize == 8
        back = profile.with_dtype("float64" if wide else "float32")
        return [components, back] if self.reconstruction else [components]

    def run(self, images: Roles, engine: Engine) -> Result:
        """Gather covariances, then project."""
        profile = engine.profile(images["INPUT"][0])
        found = engine.reduce(Covariance(), images)
        basis = self._basis(found, profile)
        kept = basis.first(self.components or profile.count)
        [made] = engine.filter(forward(kept, profile), images)
        back = None
        if self.reconstruction:
            [back] = engine.filter(inverse(kept, profile.dtype), {"INPUT": [made]})
        return Result((made, back), self._summary(basis, found, profile, len(kept.vectors)))

    def _basis(self, found: Covariances, profile: Profile) -> Basis:
        if found.pixels < 2:
            raise InputError(
                f"{self.label}: it found {counted(found.pixels, 'pixel')} valid in all bands and "
                "needs two. Check the nodata values, or leave out the band without valid pixels."
            )
        if not np.isfinite(found.matrix).all():
            raise InputError(
                f"{self.label}: the values are too large for their squares. Rescale the image."
            )
        deviations = np.sqrt(np.diag(found.matrix))
        divisors, matrix = np.ones(profile.count), found.matrix
        if self.matrix == "correlation":
            numbers = np.array(profile.band_numbers)
            constant = numbers[found.constant()].tolist()
            if constant:
                raise InputError(
                    f"{self.label}: band {constant[0]} has the same value everywhere, so it has no "
                    "correlation. Leave it out, or use the covariance matrix."
                )
            divisors, matrix = deviations, matrix / np.outer(deviations, deviations)
        values, vectors = np.linalg.eigh(matrix)
        order = np.argsort(-values, kind="stable")
        return Basis(
            profile.bands, found.means, divisors, np.maximum(values[order], 0),
            with_fixed_signs(vectors.T[order]),
        )  # fmt: skip

    def _summary(self, basis: Basis, found: Covariances, profile: Profile, kept: int) -> Summary:
        shares = basis.shares()
        total = np.cumsum(shares)
        places = tuple(float(place) for place in range(1, profile.count + 1))
        chart = Chart(
            "Variance explained", "Component", "Share of variance (%)",
            (("Component", places, tuple(shares.tolist())),
             ("Cumulative", places, tuple(total.tolist()))),
            "lines" if profile.count > 1 else "bars",
        )  # fmt: skip
        loadings = Chart(
            "Eigenvectors of the kept components", "Band", "Weight",
            tuple(
                (f"Component {place}", tuple(map(float, profile.band_numbers)), tuple(row))
                for place, row in enumerate(basis.vectors[:kept].tolist(), 1)
            ),
            "lines" if profile.count > 1 else "bars",
        )  # fmt: skip
        source = (
            f"From {found.pixels} pixels that are valid in all bands; "
            f"{self.matrix} matrix of the population."
        )
        notes = [
            source,
            "The element of largest magnitude of each eigenvector is positive.",
        ]
        return Summary(
            self.label,
            tables_of(basis, found.matrix, profile.band_numbers),
            {"VALID": found.pixels, "FIRST_SHARE": float(shares[0]),
             "KEPT_SHARE": float(total[kept - 1])},
            (chart, loadings),
            tuple(notes),
        )  # fmt: skip


def with_fixed_signs(vectors: np.ndarray) -> np.ndarray:
    """Rows turned so that the element of largest magnitude, or the first of those, is positive."""
    sizes = np.abs(vectors)
    # Elements that differ by rounding alone are alike, or another machine might turn them.
    largest = np.argmax(sizes >= sizes.max(axis=1, keepdims=True) * (1 - 1e-9), axis=1)
    signs = np.sign(vectors[np.arange(len(vectors)), largest])
    turned: np.ndarray = vectors * signs[:, None]
    return turned
