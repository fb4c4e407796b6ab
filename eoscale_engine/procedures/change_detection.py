"""Change between two images: iteratively reweighted multivariate alteration detection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Optional

import numpy as np

from eoscale_engine.declaration import (
    Chart,
    Engine,
    Input,
    Output,
    Procedure,
    Result,
    Roles,
    Summary,
    Table,
    image,
    parameter,
)
from eoscale_engine.errors import InputError
from eoscale_engine.filters.multivariate.change_variates import ChangeVariates, Transform
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.change_covariance import ChangeCovariance
from eoscale_engine.reductions.covariance import Covariances
from eoscale_engine.styles import Classes, Composite, Ramp, Style
from eoscale_engine.words import counted

LEAST_EIGENVALUE = 1e-10
"""Of a correlation matrix: below it, bands depend on each other but for rounding."""

LEAST_VARIANCE = 1e-12
"""Of a variate, whose parts have variance 1: below it there is only rounding."""


class Iteration(NamedTuple):
    """What one pass finds: correlations from the least, and the mean weight that it had."""

    correlations: np.ndarray
    change: float
    weight: float


@dataclass(frozen=True)
class ChangeDetection(Procedure):
    """Find change between two images of the same bands, whatever the light, haze and calibration.

    For each pair of weighted sums of the bands of both images, U_i = a_i . x and V_i = b_i . y,
    that are correlated as strongly as can be (canonical correlation, each sum of variance 1 and
    uncorrelated with the others), the variate is MAD_i = U_i - V_i, of variance 2 (1 - rho_i).
    MAD 1 has the weakest correlation rho, so it holds the most change. Linear differences between
    the images, by light, haze or calibration, do not matter.

    Where nothing changed, chi-square = sum_i MAD_i^2 / (2 (1 - rho_i)) has a chi-square
    distribution of as many degrees of freedom as there are bands; the probability of no change is
    that of a larger sum. With these probabilities as weights the correlations are found again, from
    pixels that seem unchanged, until no correlation changes by the tolerance or more. One iteration
    is plain MAD. The weights settle on the pixels that change least, so that probabilities are low
    wherever there is more noise than at those.

    U_i correlates with most bands positively: the sum of its correlations with them is positive.
    A penalty p makes the covariance matrix S of each image S + p diag(S), where bands depend almost
    on each other; the variances of the variates are then their own.

    A pixel that is invalid or infinite in any band of either image is invalid. With an extent its
    pixels alone count. All is computed in float64; variates, chi-square and probability (two bands
    of one image) are float32; changed pixels are 1 and others 0, as uint8 with nodata 255. Scale
    and offset of bands make no difference. Takes integers and floats ``(bands, rows, cols)``; bands
    that are constant or depend on each other are refused.

    A. A. Nielsen, "The Regularized Iteratively Reweighted MAD Method for Change Detection in Multi-
    and Hyperspectral Data", IEEE Transactions on Image Processing 16(2), 2007, pp. 463-478.
    """

    name: ClassVar[str] = "irmad"
    label: ClassVar[str] = "Change detection (IR-MAD)"
    group: ClassVar[str] = "Multivariate"
    tags: ClassVar[tuple[str, ...]] = (
        "change", "change detection", "mad", "ir-mad", "multivariate alteration detection",
        "multivariatealterationdetector", "canonical correlation", "difference", "bitemporal",
        "no-change probability", "i.mad", "chi-square",
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = (
        image("BEFORE", label="Image before"),
        image("AFTER", label="Image after", help="With as many bands, in the same order."),
    )
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("OUTPUT", "MAD variates"),
        Output("CHI_SQUARE", "Chi-square and no-change probability", optional=True),
        Output("CHANGE", "Changed pixels", optional=True),
    )
    reports: ClassVar[bool] = True
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("ITERATIONS", "Iterations"),
        ("LAST_CHANGE", "Largest change of a correlation in the last iteration"),
        ("LOWEST_CORRELATION", "Lowest canonical correlation"),
        ("HIGHEST_CORRELATION", "Highest canonical correlation"),
    )
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"iterations": 3, "change": True},
        {"iterations": 1, "chi_square": False, "penalty": 0.1},
    )

    iterations: int = parameter(30, minimum=1, maximum=1000, help="At most so many; 1: plain MAD.")
    tolerance: float = parameter(
        0.001,
        minimum=0,
        maximum=1,
        help="Stop when no correlation changes by this or more.",
    )
    significance: float = parameter(
        0.001,
        minimum=0,
        maximum=1,
        help="A pixel counts as changed where its no-change probability is below this.",
    )
    penalty: float = parameter(
        0.0,
        minimum=0,
        maximum=1,
        help="Part of each band's variance that is added to it, for almost dependent bands.",
        advanced=True,
    )
    chi_square: bool = parameter(True, help="Make chi-square and no-change probability.")
    change: bool = parameter(False, help="Make the mask of changed pixels.")

    @property
    def differing(self) -> tuple[str, ...]:
        """Nothing changes from a date to itself."""
        return ("BEFORE", "AFTER")

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse images of different bands."""
        super().check(inputs)
        before, after = inputs["BEFORE"][0].count, inputs["AFTER"][0].count
        if before != after:
            raise InputError(
                f"{self.label}: 'Image before' has {counted(before, 'band')} and 'Image after' "
                f"{after}. Choose the same bands of both."
            )

    def styles(self) -> Sequence[Optional[Style]]:
        """Variates as colours about zero, chi-square by its size, changes in red."""
        return (
            Composite(),
            Ramp(),
            Classes(((0, "#d9d9d9", "no change"), (1, "#d7301f", "change"))),
        )

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """The variates, and what else is asked for."""
        like = inputs[0].with_dtype("float32")
        made = [like.with_bands(("",) * max(profile.count for profile in inputs))]
        if self.chi_square:
            made.append(like.with_bands(("", "")))
        if self.change:
            made.append(like.with_dtype("uint8").with_bands(("",)))
        return made

    def run(self, images: Roles, engine: Engine) -> Result:
        """Find the transform, then apply it."""
        before = engine.profile(images["BEFORE"][0])
        numbers = (before.band_numbers, engine.profile(images["AFTER"][0]).band_numbers)
        transform, history = self._transform(images, engine, numbers)
        significance = self.significance if self.change else None
        variates, *more = engine.filter(
            ChangeVariates(transform, self.chi_square, significance), images
        )
        chi_square = more.pop(0) if self.chi_square else None
        change = more.pop() if self.change else None
        return Result((variates, chi_square, change), self._summary(transform, history, numbers))

    def _transform(
        self, images: Roles, engine: Engine, numbers: Any
    ) -> tuple[Transform, list[Iteration]]:
        """Weighted correlations until they stand still."""
        transform: Optional[Transform] = None
        history: list[Iteration] = []
        while True:
            found = engine.reduce(ChangeCovariance(transform), images)
            self._check_usable(found, numbers)
            transform, correlations = alteration(found, self.penalty)
            last = history[-1].correlations if history else np.zeros(len(correlations))
            change = float(np.abs(correlations - last).max())
            history.append(Iteration(correlations, change, found.weight / found.pixels))
            if change < self.tolerance or len(history) == self.iterations:
                return transform, history

    def _check_usable(self, found: Covariances, numbers: Any) -> None:
        half = len(found.means) // 2
        if found.weight < half + 1:
            raise InputError(
                f"{self.label}: it found {counted(found.pixels, 'pixel')} valid in all bands of "
                f"both images, with a weight of {found.weight:.3g}; it needs more than there are "
                "bands. Check the nodata values, or use fewer iterations."
            )
        if not np.isfinite(found.matrix).all():
            raise InputError(
                f"{self.label}: the values are too large for their squares. Rescale the images."
            )
        constant = found.constant()
        for part, date, listed in ((0, "before", numbers[0]), (half, "after", numbers[1])):
            fixed = [n for n, is_ in zip(listed, constant[part : part + half].tolist()) if is_]
            if fixed:
                raise InputError(
                    f"{self.label}: band {fixed[0]} of 'Image {date}' has the same value in all "
                    "pixels that count. Leave this band out of both images."
                )
            block = found.matrix[part : part + half, part : part + half]
            deviations = np.sqrt(np.diag(block))
            correlations = block / np.outer(deviations, deviations)
            correlations[np.diag_indices(half)] = 1 + self.penalty
            if np.linalg.eigvalsh(correlations)[0] < LEAST_EIGENVALUE:
                raise InputError(
                    f"{self.label}: the bands of 'Image {date}' depend on each other: one is a "
                    "weighted sum of others. Leave such a band out of both images, or set "
                    "'Penalty', such as to 0.001."
                )

    def _summary(self, transform: Transform, history: list[Iteration], numbers: Any) -> Summary:
        last = history[-1]
        variates = range(1, len(last.correlations) + 1)
        passes = Table(
            "Iterations",
            ("iteration", "change", "weight", *(f"rho{place}" for place in variates)),
            tuple(
                (place, one.change, one.weight, *one.correlations.tolist())
                for place, one in enumerate(history, 1)
            ),
        )
        weights = Table(
            "Variates",
            ("variate", "correlation", "std_dev", *(f"before{n}" for n in numbers[0]),
             *(f"after{n}" for n in numbers[1])),
            tuple(
                (place, rho, deviation, *row)
                for place, rho, deviation, row in zip(
                    variates, last.correlations.tolist(), transform.deviations, transform.matrix
                )
            ),
        )  # fmt: skip
        places = tuple(map(float, range(1, len(history) + 1)))
        by_variate = zip(*(one.correlations.tolist() for one in history))
        chart = Chart(
            "Canonical correlations", "Iteration", "Correlation",
            tuple(
                (f"MAD {place}", places, tuple(rhos))
                for place, rhos in zip(variates, by_variate)
            ),
            "lines" if len(history) > 1 else "bars",
        )  # fmt: skip
        done = last.change < self.tolerance
        outcome = (
            f"{'Converged' if done else 'Stopped, not converged,'} after "
            f"{counted(len(history), 'iteration')}: the last changed a correlation by "
            f"{last.change:.2g} at most."
        )
        meaning = (
            "MAD i is the sum of (pixel - mean) times the weights of table Variates; weight is the "
            "mean no-change probability that an iteration started from."
        )
        return Summary(
            self.label,
            (passes, weights),
            {"ITERATIONS": len(history), "LAST_CHANGE": last.change,
             "LOWEST_CORRELATION": float(last.correlations[0]),
             "HIGHEST_CORRELATION": float(last.correlations[-1])},
            (chart,),
            (outcome, meaning),
        )  # fmt: skip


def alteration(found: Covariances, penalty: float = 0.0) -> tuple[Transform, np.ndarray]:
    """The MAD transform of covariances of both images' bands, and the canonical correlations.

    With the Cholesky factors S_xx = L L' and S_yy = M M', the singular values of L^-1 S_xy M'^-1
    are the correlations, and L'^-1 u, M'^-1 v the weights of both images. The weakest comes first.
    """
    half = len(found.means) // 2
    both = found.matrix
    first, second, cross = both[:half, :half], both[half:, half:], both[:half, half:]
    factors = [
        np.linalg.cholesky(part + penalty * np.diag(np.diag(part))) for part in (first, second)
    ]
    inner = np.linalg.solve(factors[1], np.linalg.solve(factors[0], cross).T).T
    left, correlations, right = np.linalg.svd(inner)
    before = np.linalg.solve(factors[0].T, left[:, ::-1]).T
    after = np.linalg.solve(factors[1].T, right[::-1].T).T
    # correlations of U with the bands, but for a positive factor
    signs = np.where((before @ first / np.sqrt(np.diag(first))).sum(axis=1) < 0, -1.0, 1.0)
    matrix = np.hstack((before, -after)) * signs[:, None]
    variances = np.einsum("ij,jk,ik->i", matrix, both, matrix)
    deviations = np.sqrt(np.maximum(variances, LEAST_VARIANCE))
    transform = Transform(
        tuple(map(tuple, matrix.tolist())), tuple(found.means.tolist()), tuple(deviations.tolist())
    )
    return transform, np.clip(correlations[::-1], 0, 1)
