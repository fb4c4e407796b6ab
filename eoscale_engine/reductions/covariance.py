"""Means and covariances of the bands of one or more images, from the pixels valid in all of them.

Sums are over fixed pieces of fixed cells in a fixed order, and each product is too small for a BLAS
library to share it out among threads: the bits are the same on one core and on many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Optional

import numpy as np

from eoscale_engine.declaration import Block, Blocks, Input, Reduction, images, parameter
from eoscale_engine.profile import Band, Profile

PIECE = 256
"""Pixels of one matrix product."""

PART = 16
"""Most bands of one matrix product."""

CHUNK_PIXELS = 8192
"""Pixels taken at a time, about: with some bands in float64 they stay in the cache."""


class Moments(NamedTuple):
    """What a set of weighted pixels contributes.

    Attributes
    ----------
    pixels : int
        How many are valid and finite in all bands.
    weight : float
        Sum of their weights.
    means : float64 array of (bands,)
    products : float64 array of (bands, bands)
        Weighted sums of the products of deviations from the means.
    """

    pixels: int
    weight: float
    means: np.ndarray
    products: np.ndarray


class Covariances(NamedTuple):
    """Means ``(bands,)`` and covariances ``(bands, bands)`` of the population; NaN of no pixel."""

    pixels: int
    weight: float
    means: np.ndarray
    matrix: np.ndarray

    def constant(self) -> np.ndarray:
        """Boolean ``(bands,)``: whether a band varies no more than rounding its mean makes it."""
        found: np.ndarray = np.sqrt(np.diag(self.matrix)) <= 1e-14 * np.abs(self.means)
        return found


@dataclass(frozen=True)
class Covariance(Reduction[Moments, Covariances]):
    """Means and covariances of all bands, of the pixels that are valid and finite in all of them.

    ``covariance(i, j) = sum((x_i - mean_i) (x_j - mean_j)) / n``, of physical values. Takes
    integers and floats ``(bands, rows, cols)``; gives :class:`Covariances`. Cells are merged as in
    T. F. Chan, G. H. Golub and R. J. LeVeque, "Updating Formulae and a Pairwise Algorithm for
    Computing Sample Variances", Stanford University, STAN-CS-79-773, 1979.
    """

    stage = "Finding covariances"

    def map(self, blocks: Blocks) -> Moments:
        """The moments of one cell."""
        return cell_moments(blocks)

    def merge(self, first: Moments, second: Moments) -> Moments:
        """Both cells together."""
        with np.errstate(over="ignore", invalid="ignore"):
            return merge_moments(first, second)

    def finish(self, merged: Moments, inputs: Sequence[Profile]) -> Covariances:
        """Of physical values."""
        return physical_covariances(covariances(merged), inputs[0].bands)


class Counted(NamedTuple):
    """Covariances, and how many pixels do not count since a band of theirs is not valid or finite.

    ``constant`` is boolean ``(bands,)``: of the stored pixels, which no offset takes near to 0.
    """

    found: Covariances
    invalid: int
    constant: np.ndarray


@dataclass(frozen=True)
class JointCovariance(Reduction[tuple[Moments, int], Counted]):
    """Means and covariances as of :class:`Covariance`, of all bands of one or more images.

    Bands follow one another image by image. Values are physical unless ``raw``. Gives
    :class:`Counted`.
    """

    stage = "Finding covariances of several images"
    inputs: ClassVar[tuple[Input, ...]] = (images(),)

    raw: bool = parameter(False, help="Use the stored pixels, without scale and offset")

    def map(self, blocks: Blocks) -> tuple[Moments, int]:
        """The moments of one cell, and its number of pixels."""
        return cell_moments(blocks), blocks.size

    def merge(self, first: tuple[Moments, int], second: tuple[Moments, int]) -> tuple[Moments, int]:
        """Both cells together."""
        with np.errstate(over="ignore", invalid="ignore"):
            return merge_moments(first[0], second[0]), first[1] + second[1]

    def finish(self, merged: tuple[Moments, int], inputs: Sequence[Profile]) -> Counted:
        """Of physical values."""
        found, (gathered, size) = covariances(merged[0]), merged
        constant = found.constant()
        if not self.raw:
            found = physical_covariances(found, [b for profile in inputs for b in profile.bands])
        return Counted(found, size - gathered.pixels, constant)


def physical_covariances(found: Covariances, bands: Sequence[Band]) -> Covariances:
    """Those of ``pixel * scale + offset`` from those of stored pixels."""
    scale = np.array([band.scale for band in bands])
    offset = np.array([band.offset for band in bands])
    with np.errstate(over="ignore", invalid="ignore"):
        return found._replace(
            means=found.means * scale + offset, matrix=found.matrix * np.outer(scale, scale)
        )


def cell_moments(blocks: Sequence[Block]) -> Moments:
    """The moments of all bands of a cell's blocks."""
    found = no_moments(sum(block.pixels.shape[0] for block in blocks))
    with np.errstate(over="ignore", invalid="ignore"):
        for chunk in common_chunks(blocks):
            found = merge_moments(found, moments(chunk.values, chunk.weights, chunk.pixels))
    return found


def correlations(found: Covariances, constant: np.ndarray) -> np.ndarray:
    """``covariance(i, j) / (deviation_i deviation_j)``, NaN of bands that are constant.

    Exactly symmetric, exactly 1 of a band with itself, and never beyond 1.
    """
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        deviations = np.sqrt(np.diag(found.matrix))
        constant = constant | (deviations == 0) | ~np.isfinite(deviations)
        matrix = found.matrix / deviations[:, None] / deviations
    matrix = np.clip(np.triu(matrix, 1), -1, 1)
    matrix += matrix.T + np.eye(len(matrix))
    matrix[constant] = matrix[:, constant] = np.nan
    return matrix


class Chunk(NamedTuple):
    """Some rows of a cell.

    Attributes
    ----------
    values : float64 array of (all bands of all blocks, n)
        0 where a pixel does not count, and to the end of the last piece of :data:`PIECE` pixels.
        The next chunk takes its place.
    weights : float64 array of (n,), or None where all are 1
        1 where all bands are valid and finite, else 0.
    pixels : int
        How many are.
    """

    values: np.ndarray
    weights: Optional[np.ndarray]
    pixels: int


def common_chunks(blocks: Sequence[Block]) -> Iterator[Chunk]:
    """The pixels of a cell, some rows at a time, and which are valid and finite in all bands."""
    bands = sum(block.pixels.shape[0] for block in blocks)
    rows, cols = blocks[0].pixels.shape[1:]
    height = min(rows, max(1, CHUNK_PIXELS // cols))
    scratch = np.empty((bands, _padded(height * cols)))
    for row in range(0, rows, height):
        lines = slice(row, min(row + height, rows))
        size = (lines.stop - row) * cols
        values = scratch[:, : _padded(size)]
        values[:, size:] = 0
        counts = _fill(blocks, lines, values[:, :size])
        if counts is None and size == values.shape[1]:
            yield Chunk(values, None, size)
            continue
        weights = np.zeros(values.shape[1])
        weights[:size] = 1 if counts is None else counts
        yield Chunk(values, weights, size if counts is None else int(np.count_nonzero(counts)))


def _padded(size: int) -> int:
    return -(-size // PIECE) * PIECE


def _fill(blocks: Sequence[Block], lines: slice, out: np.ndarray) -> Optional[np.ndarray]:
    """The pixels of some rows; which count, or None where all do."""
    counts: Optional[np.ndarray] = None
    first = 0
    for block in blocks:
        pixels = block.pixels[:, lines]
        part = out[first : first + len(pixels)]
        first += len(pixels)
        for band, target in zip(pixels, part):
            target.reshape(band.shape)[...] = band
        if block.valid is not None:
            valid = block.valid[:, lines].all(axis=0).ravel()
            counts = valid if counts is None else counts & valid
    if counts is not None:
        np.copyto(out, 0, where=~counts)
    floats = any(block.pixels.dtype.kind == "f" for block in blocks)
    # one look at each band's sum tells that all is finite, as it mostly is
    if floats and not np.isfinite(out.sum(axis=1)).all():
        finite = np.isfinite(out).all(axis=0)
        np.copyto(out, 0, where=~finite)
        counts = finite if counts is None else counts & finite
    return counts


def no_moments(bands: int) -> Moments:
    """The moments of no pixel."""
    return Moments(0, 0.0, np.zeros(bands), np.zeros((bands, bands)))


def moments(values: np.ndarray, weights: Optional[np.ndarray], pixels: int) -> Moments:
    """Moments of a chunk, whose values are changed in place.

    Parameters
    ----------
    values : float64 array of (bands, n)
        n is a multiple of :data:`PIECE`.
    weights : float64 array of (n,), or None where all are 1
        At least 0.
    pixels : int
        How many of them count.
    """
    total = float(values.shape[1] if weights is None else weights.sum())
    if not total:
        return no_moments(len(values))._replace(pixels=pixels)
    weighted = values if weights is None else values * weights
    means = weighted.sum(axis=1) / total
    values -= means[:, None]
    if weights is not None:
        np.multiply(values, weights, out=weighted)
    products = small_products(in_pieces(weighted), in_pieces(values).transpose(0, 2, 1)).sum(axis=0)
    return Moments(pixels, total, means, (products + products.T) / 2)


def in_pieces(values: np.ndarray) -> np.ndarray:
    """``(bands, n)`` as ``(pieces, bands, PIECE)``, a view."""
    return values.reshape(len(values), -1, PIECE).transpose(1, 0, 2)


def small_products(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """``left @ right`` of stacks of matrices, in parts that no BLAS library gives to many threads.

    With 50 bands and more, one product on two threads has other last digits than on one.
    """
    rows, inner = left.shape[-2:]
    cols = right.shape[-1]
    width = PART if inner > 2 * PART else cols
    if rows <= PART and cols <= width:
        return np.matmul(left, right)
    result = np.empty((*right.shape[:-2], rows, cols))
    for row in range(0, rows, PART):
        for col in range(0, cols, width):
            place = (..., slice(row, row + PART), slice(col, col + width))
            result[place] = left[..., row : row + PART, :] @ right[..., col : col + width]
    return result


def merge_moments(first: Moments, second: Moments) -> Moments:
    """Moments of two sets of pixels together (Chan, Golub and LeVeque 1979)."""
    pixels = first.pixels + second.pixels
    if not first.weight or not second.weight:
        return (second if second.weight else first)._replace(pixels=pixels)
    weight = first.weight + second.weight
    gap = second.means - first.means
    products = first.products + second.products
    products += np.outer(gap, gap) * (first.weight * second.weight / weight)
    return Moments(pixels, weight, first.means + gap * (second.weight / weight), products)


def covariances(found: Moments) -> Covariances:
    """Means and covariances of what was gathered."""
    if not found.weight:
        nothing = np.nan
        return Covariances(found.pixels, 0.0, found.means + nothing, found.products + nothing)
    return Covariances(found.pixels, found.weight, found.means, found.products / found.weight)
