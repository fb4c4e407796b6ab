"""The functions of band math: each with its help, and how it is made of array operations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Callable, Union

from eoscale_engine.filters.pixel.expression_steps import Builder, Value, joined


@dataclass(frozen=True)
class Function:
    """A function that expressions can call.

    ``make`` is the ufunc that it is, or what puts it together. In the signature, ``...`` stands for
    any number of further arguments.
    """

    signature: str
    help: str
    make: Union[str, Callable[[Builder, Sequence[Value]], Value]]

    @property
    def name(self) -> str:
        """What stands before the parenthesis."""
        return self.signature.split("(")[0]

    @property
    def least(self) -> int:
        """The smallest number of arguments."""
        return self.signature.count(",") + 1 - self.signature.count("...")

    @property
    def most(self) -> float:
        """The largest number of arguments."""
        return float("inf") if "..." in self.signature else self.least


def _mean(b: Builder, values: Sequence[Value]) -> Value:
    return b.call("divide", b.fold("add", values), b.constant(len(values)))


def _std(b: Builder, values: Sequence[Value]) -> Value:
    mean = _mean(b, values)
    deviations = [b.call("subtract", value, mean) for value in values]
    return b.call("sqrt", _mean(b, [b.call("multiply", value, value) for value in deviations]))


def _clip(b: Builder, values: Sequence[Value]) -> Value:
    return b.call("minimum", b.call("maximum", values[0], values[1]), values[2])


def _valid(b: Builder, values: Sequence[Value]) -> Value:
    settled = [b.settled(b.number(value)) for value in values]
    return Value(b.all_valid(joined(settled)), condition=True)


def _coalesce(b: Builder, values: Sequence[Value]) -> Value:
    *others, result = values
    for value in reversed(others):
        result = b.choose(_valid(b, [value]), value, result)
    return result


def _bit(b: Builder, values: Sequence[Value]) -> Value:
    mask = b.call("power", b.constant(2), values[1])
    return b.call("not_equal", b.other("bitand", [values[0], mask]), b.constant(0))


_ALL = (
    Function("abs(a)", "absolute value", "absolute"),
    Function("sqrt(a)", "square root; invalid for a < 0", "sqrt"),
    Function("exp(a)", "e to the power of a", "exp"),
    Function("log(a)", "natural logarithm; invalid for a <= 0", "log"),
    Function("log10(a)", "logarithm to base 10; invalid for a <= 0", "log10"),
    Function("log2(a)", "logarithm to base 2; invalid for a <= 0", "log2"),
    Function("pow(a, b)", "a to the power of b, as a ** b", "power"),
    Function("sin(a)", "sine of an angle in radians", "sin"),
    Function("cos(a)", "cosine of an angle in radians", "cos"),
    Function("tan(a)", "tangent of an angle in radians", "tan"),
    Function("asin(a)", "inverse sine in radians; invalid beyond -1 to 1", "arcsin"),
    Function("acos(a)", "inverse cosine in radians; invalid beyond -1 to 1", "arccos"),
    Function("atan(a)", "inverse tangent in radians", "arctan"),
    Function("atan2(y, x)", "angle of the point (x, y) in radians, from -pi to pi", "arctan2"),
    Function("sinh(a)", "hyperbolic sine", "sinh"),
    Function("cosh(a)", "hyperbolic cosine", "cosh"),
    Function("tanh(a)", "hyperbolic tangent", "tanh"),
    Function("degrees(a)", "radians to degrees", "degrees"),
    Function("radians(a)", "degrees to radians", "radians"),
    Function("hypot(a, b)", "sqrt(a ** 2 + b ** 2)", "hypot"),
    Function("floor(a)", "largest whole number not above a", "floor"),
    Function("ceil(a)", "smallest whole number not below a", "ceil"),
    Function("round(a)", "nearest whole number, halves to the even one", "rint"),
    Function("trunc(a)", "whole part, towards 0", "trunc"),
    Function("sign(a)", "-1, 0 or 1", "sign"),
    Function("min(a, ...)", "smallest", lambda b, values: b.fold("minimum", values)),
    Function("max(a, ...)", "largest", lambda b, values: b.fold("maximum", values)),
    Function("sum(a, ...)", "sum", lambda b, values: b.fold("add", values)),
    Function("mean(a, ...)", "mean", _mean),
    Function("median(a, ...)", "median", lambda b, values: b.other("median", values)),
    Function("std(a, ...)", "standard deviation, sqrt(mean((a - mean) ** 2))", _std),
    Function("clip(a, low, high)", "a, held between low and high", _clip),
    Function(
        "where(condition, a, b)",
        "a where the condition holds, else b, as `a if condition else b`; only the chosen one has "
        "to be valid",
        lambda b, values: b.choose(*values),
    ),
    Function(
        "valid(a, ...)", "1 where all are valid, else 0; the result itself is always valid", _valid
    ),
    Function(
        "isnan(a)",
        "1 where a is not valid or not a number, else 0, as `not valid(a)`",
        lambda b, values: b.call("logical_not", _valid(b, values)),
    ),
    Function("coalesce(a, b, ...)", "the first that is valid; fills the gaps of a", _coalesce),
    Function(
        "bitand(a, b)",
        "the bits that are set in both whole numbers",
        lambda b, values: b.other("bitand", values),
    ),
    Function(
        "bit(a, n)", "1 where bit n of the whole number a is set, counted from 0, else 0", _bit
    ),
)

FUNCTIONS = {function.name: function for function in _ALL}
