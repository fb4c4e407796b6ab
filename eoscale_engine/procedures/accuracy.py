"""What a confusion matrix says of each class and of all: accuracies, kappa, F1, IoU."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Optional

DEVIATIONS = 1.959963984540054
"""Standard deviations on either side of the mean within which 95 % of a normal distribution lie."""

Counts = Mapping[tuple[Any, Any], int]
"""Pixels by reference class and class in the classification."""


class Comparison:
    """What a confusion matrix says; integers are divided once, so that results are rounded once.

    Parameters
    ----------
    counts : mapping
        Pixels by reference class and class in the classification; only pairs that occur.
    """

    def __init__(self, counts: Counts) -> None:
        self._counts = counts
        self.total = sum(counts.values())
        self._reference: dict[Any, int] = {}
        self._classified: dict[Any, int] = {}
        for (reference, classified), pixels in counts.items():
            self._reference[reference] = self._reference.get(reference, 0) + pixels
            self._classified[classified] = self._classified.get(classified, 0) + pixels
        self.classes = sorted(self._reference.keys() | self._classified.keys())

    def row(self, reference: Any) -> list[int]:
        """The pixels of a class of the reference, by class in the classification."""
        return [self._counts.get((reference, classified), 0) for classified in self.classes]

    def of_class(self, value: Any) -> tuple[Any, ...]:
        """Pixels in the reference, classified and right; recall, precision, F1 and IoU."""
        right = self._counts.get((value, value), 0)
        true, found = self._reference.get(value, 0), self._classified.get(value, 0)
        return (
            true, found, right, _ratio(right, true), _ratio(right, found),
            _ratio(2 * right, true + found), _ratio(right, true + found - right),
        )  # fmt: skip

    def measures(self) -> dict[str, Optional[float]]:
        """The measures of all classes together."""
        right = sum(self._counts.get((value, value), 0) for value in self.classes)
        chance = sum(n * self._classified.get(value, 0) for value, n in self._reference.items())
        total = self.total
        found = [self.of_class(value) for value in self.classes]
        accuracy = _ratio(right, total)
        error, lower, upper = _uncertainty(right, total)
        return {
            "OVERALL_ACCURACY": accuracy,
            "KAPPA": _ratio(total * right - chance, total * total - chance),
            "MACRO_F1": _mean([f1 for *_, f1, _ in found]),
            "MEAN_IOU": _mean([iou for *_, iou in found]),
            "STANDARD_ERROR": error,
            "ACCURACY_LOWER": lower,
            "ACCURACY_UPPER": upper,
        }


def _ratio(part: int, whole: int) -> Optional[float]:
    return part / whole if whole else None


def _mean(values: Sequence[float]) -> Optional[float]:
    return math.fsum(values) / len(values) if values else None


def _uncertainty(right: int, total: int) -> tuple[Optional[float], ...]:
    """Standard error of a share, and Wilson's interval of 95 %."""
    if not total:
        return None, None, None
    share, squared = right / total, DEVIATIONS**2
    error = math.sqrt(share * (1 - share) / total)
    middle = (right + squared / 2) / (total + squared)
    half = DEVIATIONS / (total + squared) * math.sqrt(total * share * (1 - share) + squared / 4)
    return error, max(0.0, middle - half), min(1.0, middle + half)
