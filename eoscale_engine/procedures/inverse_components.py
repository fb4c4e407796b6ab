"""From principal components back to the bands that they were made from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Engine, Output, Procedure, Result, Roles, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.procedures.component_bases import Basis, basis_in_file, inverse
from eoscale_engine.profile import Band, Profile
from eoscale_engine.words import counted


@dataclass(frozen=True)
class InversePrincipalComponents(Procedure):
    """Turn principal components back into the bands from which they were made.

    x = m + s sum_i y_i v_i, with the components y_i of the image, their eigenvectors v_i, and the
    means m and divisors s of the bands (all 1 where the components are of the covariance matrix).
    With all components this gives the bands again, with fewer what those components hold of them:
    change or drop components in between to remove noise, or to sharpen.

    The numbers come from the JSON file that "Principal components" wrote, or without a file from
    the eigenvectors, means and divisors given here. The image's first band is the first component,
    and so on; it may hold fewer than there were.

    A pixel that is invalid in one component is invalid in all bands. Takes integers and floats
    ``(components, rows, cols)``, as physical values ``pixel * scale + offset``; gives float32,
    float64 of 64-bit components, in the units of the original bands.
    """

    name: ClassVar[str] = "inverseprincipalcomponents"
    label: ClassVar[str] = "Inverse principal components"
    group: ClassVar[str] = "Multivariate"
    tags: ClassVar[tuple[str, ...]] = (
        "inverse pca", "principal component analysis", "reconstruction", "i.pca", "denoise",
        "inverse transform", "pan-sharpening",
    )  # fmt: skip
    outputs: ClassVar[tuple[Output, ...]] = (Output("OUTPUT", "Bands"),)
    picture: ClassVar[Mapping[str, Any]] = {
        "eigenvectors": "0.5 0.5 0.5 0.5; 0.5 0.5 -0.5 -0.5; 0.5 -0.5 -0.5 0.5; 0.5 -0.5 0.5 -0.5"
    }
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"eigenvectors": ((0.6, 0.8, 0.0), (-0.8, 0.6, 0.0)), "means": (100.0, 80.0, 3.5)},
        {"eigenvectors": ((0.8, -0.6), (0.6, 0.8)), "means": (1.0, 2.0), "divisors": (5.0, 7.0)},
    )

    file: Optional[str] = parameter(
        None,
        kind="file",
        suffix=".json",
        label="JSON file of the components",
        help='What "Principal components" wrote as JSON; its numbers are used.',
    )
    eigenvectors: tuple[tuple[float, ...], ...] = parameter(
        (),
        kind="matrix",
        help="One row for each component, one number for each band.",
        counts_when={"file": (None,)},
        advanced=True,
    )
    means: tuple[float, ...] = parameter(
        (),
        kind="numbers",
        help="The mean of each band; all 0 if not set.",
        advanced=True,
        counts_when={"file": (None,)},
    )
    divisors: tuple[float, ...] = parameter(
        (),
        kind="numbers",
        help="By what each band was divided (its standard deviation, for the correlation matrix); "
        "all 1 if not set.",
        counts_when={"file": (None,)},
        advanced=True,
    )

    def validate(self) -> None:
        """Refuse numbers that do not go together, and a run without any."""
        if self.file:
            return
        if not self.eigenvectors:
            raise InputError(
                f"{self.label}: give the JSON file that 'Principal components' wrote, or "
                "eigenvectors."
            )
        bands = len(self.eigenvectors[0])
        for what, numbers in (("Means", self.means), ("Divisors", self.divisors)):
            if numbers and len(numbers) != bands:
                raise InputError(
                    f"{self.label}: '{what}' has {counted(len(numbers), 'number')} for the "
                    f"{counted(bands, 'band')} of 'Eigenvectors'. Give one for each band."
                )

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse an unusable file, and more components than the numbers are for."""
        super().check(inputs)
        known, given = len(self._basis().vectors), inputs["INPUT"][0].count
        if given > known:
            raise InputError(
                f"{self.label}: the image has {counted(given, 'band')}, but there are "
                f"{counted(known, 'component')}. Choose the bands that are components."
            )

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Floats, as many bands as the basis has."""
        return inverse(self._basis(), inputs[0].dtype).output_profiles(inputs)

    def run(self, images: Roles, engine: Engine) -> Result:
        """One projection."""
        profile = engine.profile(images["INPUT"][0])
        basis = self._basis().first(profile.count)
        made = engine.filter(inverse(basis, profile.dtype, profile.bands), images)
        return Result(tuple(made))

    def _basis(self) -> Basis:
        if self.file:
            return basis_in_file(self.file)
        vectors = np.array(self.eigenvectors)
        bands = vectors.shape[1]
        return Basis(
            tuple(Band() for _ in range(bands)),
            np.array(self.means or (0.0,) * bands),
            np.array(self.divisors or (1.0,) * bands),
            np.zeros(len(vectors)),
            vectors,
        )
