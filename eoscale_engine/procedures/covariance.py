"""Covariance and correlation of the bands of one or more images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import (
    Engine,
    HeatMap,
    Input,
    Procedure,
    Result,
    Roles,
    Summary,
    Table,
    images,
    parameter,
)
from eoscale_engine.parameters import RAW
from eoscale_engine.procedures.selection import (
    ALL_TOUCHED,
    MASK,
    POLYGONS,
    selection,
    selection_notes,
)
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.covariance import Counted, JointCovariance, correlations
from eoscale_engine.reductions.statistics import scale_notes


@dataclass(frozen=True)
class CovarianceAndCorrelation(Procedure):
    """Find how the bands of one or more images vary together: covariances and correlations.

    The bands of all images follow one another. With n pixels, of the population (not of a sample,
    which would divide by n - 1): ``covariance(x, y) = sum((x - mean(x)) (y - mean(y))) / n`` and
    Pearson's ``correlation(x, y) = covariance(x, y) / (std_dev(x) std_dev(y))``. A band's
    covariance with itself is its variance.

    Only pixels that are valid and finite in all bands of all images count, for every pair alike, so
    that the matrices are those of one set of pixels. Leave out a band that has few. A band of one
    single value has no correlation. Without such pixels there are counts only.

    The table has a row for each pair of bands, each band with itself too; both matrices and the
    bands' means and standard deviations are in the report and the JSON file. Bands are called by
    their names where those differ, else by their numbers, with the image's number in front where
    there are several.

    Values are physical, ``pixel * scale + offset``, unless ``raw`` asks for the pixels as stored,
    in float64. Takes integers and floats ``(bands, rows, cols)`` on one grid. With an extent, a
    mask or polygons, the pixels of all of these alone count.

    Source: T. F. Chan, G. H. Golub, R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for
    Computing Sample Variances", Stanford University, STAN-CS-79-773, 1979.
    """

    name: ClassVar[str] = "covariance"
    label: ClassVar[str] = "Covariance and correlation"
    group: ClassVar[str] = "Statistics"
    one_pass: ClassVar[bool] = True
    tags: ClassVar[tuple[str, ...]] = (
        "covariance", "correlation", "pearson", "matrix", "r.covar", "i.pca", "band collection",
        "multiband", "variance", "heat map", "statistics",
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = (images(), MASK, POLYGONS)
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("VALID", "Pixels that are valid and finite in all bands"),
        ("INVALID", "All other pixels"),
        ("CORRELATION", "Correlation of the first two bands"),
        ("COVARIANCE", "Covariance of the first two bands"),
    )
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({}, {"raw": True, "all_touched": True})

    all_touched: bool = parameter(**ALL_TOUCHED)
    raw: bool = parameter(**RAW)

    def run(self, images: Roles, engine: Engine) -> Result:
        """Gather the moments of all bands in one pass."""
        keys = images["INPUTS"]
        within = selection(images, engine, self.all_touched)
        counted = engine.reduce(JointCovariance(raw=self.raw), {"INPUTS": keys}, within=within)
        profiles = [engine.profile(key) for key in keys]
        notes = [
            "Covariances are of the population: sum((x - mean(x)) (y - mean(y))) / valid.",
            "Only pixels that are valid and finite in all bands count.",
            *selection_notes(within),
        ]
        for number, profile in enumerate(profiles, 1):
            which = f"Image {number}: " if len(profiles) > 1 else ""
            notes += [which + note for note in scale_notes(profile, self.raw)]
        if counted.constant.any() and counted.found.pixels:
            notes.append("A band of one single value has no correlation.")
        if not counted.found.pixels:
            notes.append("No pixel is valid and finite in all bands: there are counts only.")
        return Result(summary=self._summary(counted, profiles, tuple(notes)))

    def _summary(
        self, counted: Counted, profiles: Sequence[Profile], notes: tuple[str, ...]
    ) -> Summary:
        found, names = counted.found, band_labels(profiles)
        covariances = with_gaps(found.matrix)
        related = with_gaps(correlations(found, counted.constant))
        with np.errstate(invalid="ignore"):
            deviations = np.sqrt(np.diag(found.matrix))
        every = range(len(names))
        pairs = tuple(
            (names[i], names[j], covariances[i][j], related[i][j]) for i in every for j in every[i:]
        )
        bands = [
            (image, band_number, band.name, "" if self.raw else band.unit)
            for image, profile in enumerate(profiles, 1)
            for band_number, band in zip(profile.band_numbers, profile.bands)
        ]
        moments = zip(*with_gaps(np.stack((found.means, deviations))))
        first_two = (related[0][1], covariances[0][1]) if len(names) > 1 else (None, None)
        return Summary(
            self.label,
            (
                Table("Pairs", ("first", "second", "covariance", "correlation"), pairs),
                Table("Pixels", ("valid", "invalid"), ((found.pixels, counted.invalid),)),
                Table(
                    "Bands",
                    ("image", "band", "name", "unit", "mean", "std_dev"),
                    tuple((*band, *values) for band, values in zip(bands, moments)),
                ),
                _matrix("Correlation matrix", names, related),
                _matrix("Covariance matrix", names, covariances),
            ),
            dict(zip(
                ("VALID", "INVALID", "CORRELATION", "COVARIANCE"),
                (found.pixels, counted.invalid, *first_two),
            )),
            (
                HeatMap(
                    "Correlation", "", "", names, names, related, limits=(-1, 1), shows_values=True
                ),
            ),
            notes,
        )  # fmt: skip


def band_labels(profiles: Sequence[Profile]) -> tuple[str, ...]:
    """What the bands of several images are called, each differently."""
    named = all(
        len({band.name for band in profile.bands} - {""}) == profile.count for profile in profiles
    )
    return tuple(
        (f"{image}: " if len(profiles) > 1 else "") + (band.name if named else f"b{number}")
        for image, profile in enumerate(profiles, 1)
        for number, band in zip(profile.band_numbers, profile.bands)
    )


def with_gaps(matrix: np.ndarray) -> tuple[tuple[Optional[float], ...], ...]:
    """Rows of numbers, with None where they are not finite."""
    return tuple(
        tuple(value if math.isfinite(value) else None for value in row) for row in matrix.tolist()
    )


def _matrix(title: str, names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> Table:
    return Table(title, ("band", *names), tuple((name, *row) for name, row in zip(names, rows)))
