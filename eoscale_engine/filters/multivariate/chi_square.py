"""The chi-square distribution's upper tail over whole arrays, with NumPy alone."""

from __future__ import annotations

import math

import numpy as np

_STEPS = 128
"""Places of the table for each unit of sqrt(z)."""

_END = 37 * _STEPS
"""Where exp(-z / 2) is about to leave what float64 holds: the tail is 0 from there on."""


def survival_table(degrees: int) -> np.ndarray:
    """The logarithm of the upper tail as cubics in sqrt(z), for :func:`survival`.

    Parameters
    ----------
    degrees : int
        Degrees of freedom, at least 1.

    Returns
    -------
    float64 array of (4, n)
        Coefficients from the constant one up, of one cubic for each step.
    """
    places = np.arange(_END + 1) / _STEPS
    values, slopes = _log_survival(places, degrees)
    slopes = slopes / _STEPS
    rise = np.diff(values)
    return np.array([
        values[:-1],
        slopes[:-1],
        3 * rise - 2 * slopes[:-1] - slopes[1:],
        slopes[:-1] + slopes[1:] - 2 * rise,
    ])  # fmt: skip


def survival(statistic: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Probability that a chi-square variable is larger, to 1e-10 of itself (0 from z = 1369 on).

    Parameters
    ----------
    statistic : float64 array
        At least 0.
    table : array
        Of :func:`survival_table`, for the degrees of freedom.
    """
    place = np.sqrt(statistic)
    place *= _STEPS
    np.fmin(place, _END - 0.5, out=place)  # of NaN too, which invalid pixels may hold
    step = place.astype(np.intp)
    place -= step
    result = table[3].take(step)
    for coefficients in (table[2], table[1], table[0]):
        result *= place
        result += coefficients.take(step)
    np.exp(result, out=result)
    result[step == _END - 1] = 0
    return result


def _log_survival(root: np.ndarray, degrees: int) -> tuple[np.ndarray, np.ndarray]:
    """``log Q`` at ``z = root^2``, and its derivative by the root.

    With x = z / 2 the tail is e^-x (1 + x + x^2/2! + ...) of degrees / 2 terms for even degrees;
    for odd ones erfc(sqrt(x)) and e^-x times (degrees - 1) / 2 terms x^(k - 1/2) / Gamma(k + 1/2).
    The last term is the density, but for a factor: M. Abramowitz and I. A. Stegun, "Handbook of
    Mathematical Functions", 1964, 26.4.4 and 26.4.5.
    """
    x = root * root / 2
    if degrees % 2:
        total = np.array([math.erfc(math.sqrt(v)) * math.exp(v) for v in x.tolist()])
        term = root * math.sqrt(2 / math.pi)
        density = np.full_like(root, math.sqrt(2 / math.pi))
        first = 0.5
    else:
        total, term, density, first = np.zeros_like(root), np.ones_like(root), root, 0.0
    for number in range(degrees // 2):
        if number:
            term = term * (x / (number + first))
        total += term
        density = root * term
    return np.log(total) - x, -density / total
