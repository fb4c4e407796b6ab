"""Covariances of the bands of two images, pixels weighted by how little they seem to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from eoscale_engine.declaration import Blocks, Input, Reduction, image, parameter
from eoscale_engine.filters.multivariate.change_variates import EXAMPLE
from eoscale_engine.filters.multivariate.chi_square import survival, survival_table
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.covariance import (
    Covariances,
    Moments,
    common_chunks,
    covariances,
    in_pieces,
    merge_moments,
    moments,
    no_moments,
    small_products,
)


@dataclass(frozen=True)
class ChangeCovariance(Reduction[Moments, Covariances]):
    """Weighted means and covariances of the stored pixels of all bands of both images.

    The weight of a pixel is the probability of no change under a transform (see
    :class:`~eoscale_engine.filters.multivariate.change_variates.ChangeVariates`), or 1 without one.
    Pixels that are invalid or infinite in a band do not count. Gives :class:`Covariances`.
    """

    stage = "Finding weighted covariances"
    inputs: ClassVar[tuple[Input, ...]] = (image("BEFORE"), image("AFTER"))
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({}, {"transform": EXAMPLE})

    transform: Any = parameter(None, kind="data", help="A Transform; None: equal weights")

    @cached_property
    def _table(self) -> np.ndarray:
        return survival_table(len(self.transform.matrix))

    def map(self, blocks: Blocks) -> Moments:
        """The moments of one cell."""
        found = no_moments(sum(block.pixels.shape[0] for block in blocks))
        with np.errstate(over="ignore", invalid="ignore", under="ignore"):
            for values, counted, pixels in common_chunks(blocks):
                weights = counted
                if self.transform is not None:
                    weights = self._unchanged(values)
                    if counted is not None:
                        weights *= counted
                found = merge_moments(found, moments(values, weights, pixels))
        return found

    def _unchanged(self, values: np.ndarray) -> np.ndarray:
        """The probability of no change of each pixel."""
        transform = self.transform
        scaled = np.array(transform.matrix) / np.array(transform.deviations)[:, None]
        deviations = values - np.array(transform.centre)[:, None]
        variates = small_products(scaled, in_pieces(deviations))
        np.multiply(variates, variates, out=variates)
        # the variates' axis is as long in any image
        return survival(np.add.reduce(variates, axis=1).ravel(), self._table)

    def merge(self, first: Moments, second: Moments) -> Moments:
        """Both cells together."""
        with np.errstate(over="ignore", invalid="ignore"):
            return merge_moments(first, second)

    def finish(self, merged: Moments, inputs: Sequence[Profile]) -> Covariances:
        """Of the stored pixels."""
        return covariances(merged)
