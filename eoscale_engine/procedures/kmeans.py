"""K-means: classes of pixels of like values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isqrt
from typing import Any, ClassVar, NamedTuple, Optional

import numpy as np

from eoscale_engine.declaration import (
    Chart,
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
from eoscale_engine.filters.multivariate.nearest_class import NearestClass
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.clusters import (
    ClassSums,
    ClusterSums,
    GridSample,
    sums_of,
)
from eoscale_engine.reductions.covariance import Covariance, Covariances
from eoscale_engine.styles import Classes, Style
from eoscale_engine.words import counted

SAMPLE = 16384
"""Pixels, about, from which the first centres come."""

SAMPLE_ITERATIONS = 100


class Found(NamedTuple):
    """The last centres, what is nearest to them, and how far each iteration moved its centres."""

    centres: np.ndarray
    sums: ClassSums
    moves: list[tuple[float, float]]


@dataclass(frozen=True)
class KMeans(Procedure):
    """Divide the pixels of an image into classes of like values, without training.

    Each pixel belongs to the class whose centre is nearest, by the Euclidean distance over all
    bands; each centre is the mean of its pixels. Both are found in turns (Lloyd's iterations), over
    all pixels, until no centre moves farther than the tolerance.

    The first centres come from a sample of some 16 000 pixels on a regular grid: by k-means++,
    where each pixel is chosen with a probability that grows with its squared distance from those
    already chosen, then by iterations over the sample. The seed decides the choice: the same seed
    gives the same classes, with any number of workers; another one may give others.

    A class that loses all its pixels gets the pixel that is farthest from its centre. Of centres
    equally near the first counts. Classes are numbered from 1 by the brightness of their centre,
    the mean over the bands, so 1 is the darkest; 0 is nodata. The table's counts and means are of
    the pixels of the result.

    Standardised bands are divided by their standard deviation, so that all count alike; else
    bands count by their spread. Values are physical, ``pixel * scale + offset``, in float64. A
    pixel that is invalid or infinite in one band is invalid. With an
    extent its pixels alone count, and the sample's grid begins at its corner. Takes integers and
    floats ``(bands, rows, cols)``; gives uint8, or uint16 of more than 255 classes.

    S. P. Lloyd, "Least Squares Quantization in PCM", IEEE Transactions on Information Theory 28(2),
    1982; D. Arthur and S. Vassilvitskii, "k-means++: The Advantages of Careful Seeding", Proc. of
    the 18th ACM-SIAM Symposium on Discrete Algorithms, 2007.
    """

    name: ClassVar[str] = "kmeans"
    label: ClassVar[str] = "K-means classification"
    group: ClassVar[str] = "Multivariate"
    tags: ClassVar[tuple[str, ...]] = (
        "k-means", "clustering", "unsupervised", "classification", "classes", "segmentation",
        "isodata", "i.cluster", "kmeansclassification", "clusters", "lloyd", "em cluster",
    )  # fmt: skip
    outputs: ClassVar[tuple[Output, ...]] = (Output("OUTPUT", "Classes"),)
    reports: ClassVar[bool] = True
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("ITERATIONS", "Iterations over all pixels"),
        ("INERTIA", "Sum of squared distances from the centres"),
        ("EXPLAINED", "Share of the variance between the classes (%)"),
    )
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"classes": 4, "iterations": 3},
        {"classes": 2, "standardise": True, "seed": 7, "tolerance": 5.0},
    )

    classes: int = parameter(
        8, minimum=2, maximum=1000, label="Number of classes", help="How many there are to be."
    )
    standardise: bool = parameter(
        False,
        label="Standardise bands",
        help="Divide each band by its standard deviation, so that all count alike.",
    )
    iterations: int = parameter(
        50, minimum=1, maximum=1000, help="At most so many, over all pixels."
    )
    tolerance: float = parameter(
        0.1,
        minimum=0,
        maximum=100,
        unit="%",
        help="Stop when no centre moves farther than this share of the bands' joint standard "
        "deviation, the root of the sum of their variances.",
    )
    seed: int = parameter(0, help="Any whole number: it chooses the first centres")

    def styles(self) -> Sequence[Optional[Style]]:
        """A colour for each class."""
        return (Classes(),)

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """One band of classes."""
        return [inputs[0].with_dtype("uint16").with_bands(("",))]

    def run(self, images: Roles, engine: Engine) -> Result:
        """Find the centres, then the classes."""
        profile = engine.profile(images["INPUT"][0])
        found = engine.reduce(Covariance(), images)
        if not found.pixels:
            raise InputError(
                f"{self.label}: no pixel is valid in all bands. Check the nodata values, or leave "
                "out the band without valid pixels."
            )
        if not np.isfinite(found.matrix).all():
            raise InputError(
                f"{self.label}: the values are too large for their squares. Rescale the image."
            )
        space = _space(profile, found, standardise=self.standardise)
        sample = self._sample(images, engine, found.pixels) * space.gains[:, None]
        centres = first_centres(sample, self.classes, self.seed)
        result = self._iterated(space, centres, images, engine)
        gains = tuple(space.gains.tolist())
        made = engine.filter(NearestClass(_rows(result.centres), gains), images)
        return Result(tuple(made), self._summary(space, result, profile))

    def _sample(self, images: Roles, engine: Engine, valid: int) -> np.ndarray:
        """Stored pixels on a grid that is as dense as it takes."""
        step = max(1, isqrt(valid // SAMPLE))
        while True:
            sample = engine.reduce(GridSample(step), images)
            # valid pixels can lie between the grid's lines
            if step == 1 or sample.number >= SAMPLE // 2:
                return sample.pixels
            step //= 2

    def _iterated(self, space: Space, centres: np.ndarray, images: Roles, engine: Engine) -> Found:
        moves: list[tuple[float, float]] = []
        while True:
            centres = centres[np.argsort(space.physical(centres).mean(axis=1), kind="stable")]
            gains = tuple(space.gains.tolist())
            sums = engine.reduce(ClusterSums(_rows(centres), gains), images)
            better = moved(centres, sums)
            farthest = np.sqrt(((better - centres) ** 2).sum(axis=1).max())
            move = float(farthest / space.spread * 100) if space.spread else 0.0
            moves.append((move, float(sums.inertia.sum())))
            if move <= self.tolerance or len(moves) == self.iterations:
                return Found(centres, sums, moves)
            centres = better

    def _summary(self, space: Space, found: Found, profile: Profile) -> Summary:
        pixels = found.sums.pixels
        means = found.sums.sums / np.maximum(pixels, 1)[:, None]
        values: list[list[Optional[float]]] = [
            row if count else [None] * len(row)
            for row, count in zip(space.physical(means).tolist(), pixels.tolist())
        ]
        columns = tuple(f"mean{number}" for number in profile.band_numbers)
        deviations = np.sqrt(found.sums.inertia / np.maximum(pixels, 1)).tolist()
        total = int(pixels.sum())
        rows = tuple(
            (place, count, count / total * 100, deviation, *row)
            for place, (count, deviation, row) in enumerate(
                zip(pixels.tolist(), deviations, values), 1
            )
        )
        inertia, whole = found.moves[-1][1], total * space.spread**2
        bands = tuple(map(float, profile.band_numbers))
        chart = Chart(
            "Mean of each class", "Band", "Value",
            tuple(
                (f"Class {place}", bands, tuple(row))
                for place, row in enumerate(space.physical(means).tolist(), 1)
                if pixels[place - 1]
            ),
            "lines" if profile.count > 1 else "bars",
        )  # fmt: skip
        last = found.moves[-1][0]
        done = "Converged" if last <= self.tolerance else "Stopped, not converged,"
        outcome = (
            f"{done} after {counted(len(found.moves), 'iteration')}: the last moved a centre by "
            f"{last:.2g} % of the joint standard deviation at most."
        )
        meaning = (
            "share is in percent of the pixels in classes; distance is the root mean square "
            "distance from the centre" + (", in standardised bands." if self.standardise else ".")
        )
        return Summary(
            self.label,
            (
                Table("Classes", ("class", "pixels", "share", "distance", *columns), rows),
                Table(
                    "Iterations", ("iteration", "move", "inertia"),
                    tuple((place, *row) for place, row in enumerate(found.moves, 1)),
                ),
            ),
            {"ITERATIONS": len(found.moves), "INERTIA": inertia,
             "EXPLAINED": 100 * (1 - inertia / whole) if whole else None},
            (chart,),
            (outcome, meaning),
        )  # fmt: skip


class Space(NamedTuple):
    """The values that distances are of: stored pixels times ``gains``.

    ``divisors`` and ``offsets`` turn them into physical values; ``spread`` is the root of the sum
    of their variances.
    """

    gains: np.ndarray
    divisors: np.ndarray
    offsets: np.ndarray
    spread: float

    def physical(self, values: np.ndarray) -> np.ndarray:
        """Rows of values as physical ones."""
        return values * self.divisors + self.offsets


def _space(profile: Profile, found: Covariances, *, standardise: bool) -> Space:
    scale = np.array([band.scale for band in profile.bands])
    offset = np.array([band.offset for band in profile.bands])
    deviations = np.sqrt(np.diag(found.matrix))
    divisors = np.ones(profile.count)
    if standardise:
        divisors = np.where(found.constant(), 1.0, deviations)
    spread = float(np.sqrt(((deviations / divisors) ** 2).sum()))
    return Space(scale / divisors, divisors, offset, spread)


def first_centres(sample: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Centres ``(count, bands)`` of a sample ``(bands, n)``: k-means++, then Lloyd's iterations."""
    centres = seeds(sample, count, seed)
    for _ in range(SAMPLE_ITERATIONS):
        better = moved(centres, sums_of(sample, centres))
        if np.array_equal(better, centres):
            break
        centres = better
    return centres


def seeds(sample: np.ndarray, count: int, seed: int) -> np.ndarray:
    """``count`` different pixels of a sample, each with a probability as its squared distance.

    Raises :class:`InputError` where there are not so many different pixels.
    """
    generator = np.random.default_rng(seed % 2**64)  # NumPy takes no negative seed
    size = sample.shape[1]
    chosen = [int(generator.random() * size)]
    distances = np.full(size, np.inf)
    while len(chosen) < count:
        steps = sample - sample[:, chosen[-1:]]
        distances = np.minimum(distances, (steps * steps).sum(axis=0))
        totals = np.cumsum(distances)
        if not totals[-1] > 0:
            raise InputError(
                f"K-means classification: 'Number of classes' is {count}, but a sample of {size} "
                f"pixels has {counted(len(chosen), 'different one')}. Ask for fewer classes."
            )
        place = np.searchsorted(totals, generator.random() * totals[-1], side="right")
        # rounding can put it past the last pixel that has any distance
        chosen.append(min(int(place), int(np.flatnonzero(distances)[-1])))
    return sample[:, chosen].T.copy()


def moved(centres: np.ndarray, sums: ClassSums) -> np.ndarray:
    """The means of the classes; the first empty class gets the farthest pixel, others stay."""
    empty = sums.pixels == 0
    better = np.where(empty[:, None], centres, sums.sums / np.maximum(sums.pixels, 1)[:, None])
    if empty.any() and sums.distance > 0:
        better[int(np.argmax(empty))] = sums.farthest
    return better


def _rows(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, matrix.tolist()))
