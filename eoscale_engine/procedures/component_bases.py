"""What principal components are made with, as tables of a summary and from its JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from eoscale_engine.declaration import Table
from eoscale_engine.errors import InputError
from eoscale_engine.filters.multivariate.projection import LinearProjection
from eoscale_engine.profile import Band, Profile


@dataclass(frozen=True)
class Basis:
    """Components ``y_i = vectors_i . ((x - means) / divisors)`` of the physical values x.

    ``variances`` are of the components of all pixels; ``bands`` give names and units.
    """

    bands: Sequence[Band]
    means: np.ndarray
    divisors: np.ndarray
    variances: np.ndarray
    vectors: np.ndarray

    def first(self, count: int) -> Basis:
        """Of the first components alone."""
        return replace(self, variances=self.variances[:count], vectors=self.vectors[:count])

    def shares(self) -> np.ndarray:
        """Of the variance, in percent; all in the first where nothing varies."""
        total = self.variances.sum()
        if total:
            return self.variances / total * 100
        return np.where(np.arange(len(self.variances)) == 0, 100.0, 0.0)


def forward(basis: Basis, profile: Profile) -> LinearProjection:
    """From stored pixels to components."""
    scale = np.array([band.scale for band in profile.bands])
    offset = np.array([band.offset for band in profile.bands])
    # v . ((x scale + offset - mean) / divisor) = sum of v scale / divisor (x - centre)
    weights = basis.vectors * (scale / basis.divisors)
    bands = tuple(Band(name=f"component {place}") for place in range(1, len(weights) + 1))
    return LinearProjection(_tuples(weights), tuple(((basis.means - offset) / scale).tolist()),
                            None, bands)  # fmt: skip


def inverse(basis: Basis, dtype: str, components: Sequence[Band] = ()) -> LinearProjection:
    """From components, which may have a scale and offset, to physical values of the bands."""
    scale = np.array([band.scale for band in components] or [1.0] * len(basis.vectors))
    offset = np.array([band.offset for band in components] or [0.0] * len(basis.vectors))
    weights = (basis.vectors * basis.divisors).T * scale
    bands = tuple(
        Band(name=band.name, unit=band.unit, metadata=band.metadata) for band in basis.bands
    )
    return LinearProjection(
        _tuples(weights), tuple((-offset / scale).tolist()), tuple(basis.means.tolist()), bands,
        "float64" if np.dtype(dtype).itemsize == 8 else "float32",
    )  # fmt: skip


def tables_of(basis: Basis, covariance: np.ndarray, numbers: Sequence[int]) -> tuple[Table, ...]:
    """Components, eigenvectors, bands and covariances, from which a basis can be made again."""
    columns = tuple(f"b{number}" for number in numbers)
    shares = basis.shares()
    components = zip(basis.variances.tolist(), shares.tolist(), np.cumsum(shares).tolist())
    deviations = np.sqrt(np.diag(covariance)).tolist()
    bands = zip(numbers, basis.bands, basis.means.tolist(), deviations, basis.divisors.tolist())
    return (
        Table(
            "Components",
            ("component", "variance", "share", "cumulative"),
            tuple((place, *row) for place, row in enumerate(components, 1)),
        ),
        Table(
            "Eigenvectors",
            ("component", *columns),
            tuple((place, *row) for place, row in enumerate(basis.vectors.tolist(), 1)),
        ),
        Table(
            "Bands",
            ("band", "name", "unit", "mean", "std_dev", "divisor"),
            tuple((number, band.name, band.unit, *row) for number, band, *row in bands),
        ),
        Table(
            "Covariances",
            ("band", *columns),
            tuple((number, *row) for number, row in zip(numbers, covariance.tolist())),
        ),
    )


def basis_in_file(path: str) -> Basis:
    """The basis in a JSON file with the tables of :func:`tables_of`.

    Raises
    ------
    InputError
        Where the file cannot be read or holds something else.
    """
    try:
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read: {error.strerror or error}. Choose a file that you may read."
        ) from None
    except (ValueError, RecursionError):
        raise _unsuitable(path, "it is not JSON") from None
    try:
        tables = {str(table["name"]): table for table in found["tables"]}
        components = _rows(tables["Components"], ("variance",))
        bands = _rows(tables["Bands"], ("name", "unit", "mean", "divisor"))
        columns = tuple(tables["Eigenvectors"]["columns"][1:])
        vectors = np.array(_rows(tables["Eigenvectors"], columns), np.float64)
        numbers = np.array([row[2:] for row in bands], np.float64)
        variances = np.array(components, np.float64)[:, 0]
    except (LookupError, TypeError, ValueError):
        raise _unsuitable(path, "the tables of 'Principal components' are not in it") from None
    whole = vectors.shape == (len(variances), len(bands)) and numbers.shape == (len(bands), 2)
    if not whole or not np.isfinite(vectors).all() or not np.isfinite(numbers).all():
        raise _unsuitable(path, "its tables do not fit together")
    names = tuple(Band(name=str(name or ""), unit=str(unit or "")) for name, unit, *_ in bands)
    return Basis(names, numbers[:, 0], numbers[:, 1], variances, vectors)


def _rows(table: Mapping[str, Any], columns: Sequence[str]) -> list[list[Any]]:
    places = [table["columns"].index(column) for column in columns]
    return [[row[place] for place in places] for row in table["rows"]]


def _unsuitable(path: str, reason: str) -> InputError:
    return InputError(
        f"'{path}' is not what 'Principal components' wrote as JSON: {reason}. Run that with a "
        "JSON file, and give this file here."
    )


def _tuples(matrix: np.ndarray) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, matrix.tolist()))
