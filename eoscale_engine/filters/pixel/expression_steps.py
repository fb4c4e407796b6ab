"""Values as a list of array operations on whole blocks, with their validity.

A *step* is one operation, mostly a NumPy ufunc, whose operands are earlier steps, named by their
*register*. Equal steps share a register, so that a common subexpression is computed once.

*Validity* follows the values: a result is valid where all of its operands are, save that
:meth:`Builder.choose` and what is built on it look only at what they choose. An operation that is
not defined for its operands (a division by zero, the logarithm of a negative number) gives NaN or
infinity. That travels on by itself through most operations, so it is looked for only where it
would be lost (a comparison, ``exp``, ``minimum`` ...) and in the result.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Callable, NamedTuple, Optional

import numpy as np

COMPARISONS = ("less", "less_equal", "greater", "greater_equal", "equal", "not_equal")

_LOGICAL = ("logical_and", "logical_or", "logical_xor", "logical_not")
_CONDITIONS = (*_LOGICAL, *COMPARISONS)
_DIVISIONS = ("divide", "floor_divide", "remainder")
_UNDEFINED_SOMEWHERE = (
    *_DIVISIONS, "power", "sqrt", "log", "log10", "log2", "arcsin", "arccos",
)  # fmt: skip
_NEVER_HIDING = (
    "add", "subtract", "multiply", "negative", "absolute", "sqrt", "log", "log10", "log2",
    "sin", "cos", "tan", "arcsin", "arccos", "sinh", "cosh", "floor", "ceil", "rint", "trunc",
    "hypot", "degrees", "radians",
)  # fmt: skip
"""Operations that give NaN or infinity whenever an operand is one."""


class Undefined(Exception):
    """A constant part of an expression has no value; the message says why."""


class Step(NamedTuple):
    """One operation: a ufunc's name or a word of :func:`evaluate`, its operands, a leaf's data."""

    operation: str
    operands: tuple[int, ...] = ()
    data: Any = None


class Value(NamedTuple):
    """What is known of a register before any pixel is.

    Whether it is a condition (boolean), whether it may be NaN or infinite where it counts as valid,
    and the registers that all have to be true where it is valid.
    """

    register: int
    condition: bool = False
    risky: bool = False
    valid: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Program:
    """Expressions, ready to run.

    ``steps`` has the register of each step, the step, and the registers that nothing needs after
    it; ``bands`` the used ``(image, band)``, counted from 1 (band 0: the image's only band), each
    with the place in the text where it first stands.
    """

    names: tuple[str, ...]
    outputs: tuple[Value, ...]
    steps: tuple[tuple[int, Step, tuple[int, ...]], ...]
    bands: tuple[tuple[tuple[int, int], str], ...]

    @property
    def undefined_somewhere(self) -> bool:
        """Whether an operation has no value for some operands."""
        return any(step.operation in _UNDEFINED_SOMEWHERE for _, step, _ in self.steps)

    def data(self, operation: str) -> tuple[Any, ...]:
        """What all steps of one operation carry: the constants, the coordinates."""
        return tuple(step.data for _, step, _ in self.steps if step.operation == operation)


class Builder:
    """Puts steps together, each once."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.registers: dict[Step, int] = {}

    def emit(self, step: Step) -> int:
        """The register of a step, that of the equal one where there is one."""
        if step not in self.registers:
            self.registers[step] = len(self.steps)
            self.steps.append(step)
        return self.registers[step]

    def constant(self, number: float) -> Value:
        """A number."""
        if not math.isfinite(number):
            raise Undefined("this is not a finite number.")
        return Value(self.emit(Step("constant", (), number)))

    def constant_of(self, value: Value) -> Optional[float]:
        """The number that a value is known to be, or None."""
        step = self.steps[value.register]
        return float(step.data) if step.operation == "constant" else None

    def number(self, value: Value) -> Value:
        """A condition as 0 or 1."""
        if value.condition and self.constant_of(value) is None:
            value = value._replace(register=self.emit(Step("number", (value.register,))))
        return value._replace(condition=False)

    def condition(self, value: Value) -> Value:
        """A number as the condition that it is not 0."""
        if value.condition or self.constant_of(value) is not None:
            return value
        return self.call("not_equal", value, self.constant(0))

    def settled(self, value: Value) -> Value:
        """The value, valid only where it is a finite number."""
        if not value.risky:
            return value
        finite = self.emit(Step("isfinite", (value.register,)))
        return value._replace(risky=False, valid=value.valid | {finite})

    def call(self, operation: str, *values: Value) -> Value:
        """A ufunc of values, found now where all of them are constants."""
        values = tuple(map(self.condition if operation in _LOGICAL else self.number, values))
        constants = [self.constant_of(value) for value in values]
        last = constants[-1]
        if operation in _DIVISIONS and last == 0:
            raise Undefined("a division by zero at every pixel.")
        if None not in constants:
            with np.errstate(all="ignore"):
                found = getattr(np, operation)(*map(np.float64, constants))
            return self.constant(float(found))._replace(condition=operation in _CONDITIONS)
        if operation == "power" and last is not None:
            if last in (2, 3, 4):
                return self.fold("multiply", [values[0]] * int(last))
            if last == 0.5:
                return self.call("sqrt", values[0])
        harmless = operation in _DIVISIONS and last is not None
        if not harmless and operation not in _NEVER_HIDING:
            values = tuple(map(self.settled, values))
        risky = operation in _UNDEFINED_SOMEWHERE and not harmless
        return Value(
            self.emit(Step(operation, tuple(value.register for value in values))),
            operation in _CONDITIONS,
            risky or any(value.risky for value in values),
            joined(values),
        )

    def other(self, operation: str, values: Sequence[Value]) -> Value:
        """An operation of :func:`evaluate` that is no ufunc, of numbers."""
        values = [self.settled(self.number(value)) for value in values]
        step = Step(operation, tuple(value.register for value in values))
        return Value(self.emit(step), valid=joined(values))

    def fold(self, operation: str, values: Sequence[Value]) -> Value:
        """``operation(operation(a, b), c)`` and so on; a single value as it is."""
        return reduce(lambda a, b: self.call(operation, a, b), values)

    def all_valid(self, registers: frozenset[int]) -> int:
        """The register that says where all of these are true."""
        if len(registers) == 1:
            return next(iter(registers))
        return self.emit(Step("all_valid", tuple(sorted(registers))))

    def choose(self, condition: Value, first: Value, second: Value) -> Value:
        """``first`` where the condition holds, else ``second``; only the chosen must be valid."""
        condition = self.settled(self.condition(condition))
        first, second = self.settled(self.number(first)), self.settled(self.number(second))
        valid = condition.valid
        if first.valid == second.valid:
            valid |= first.valid
        else:
            chosen = condition.register, self.all_valid(first.valid), self.all_valid(second.valid)
            valid |= {self.emit(Step("choose_valid", chosen))}
        operands = condition.register, first.register, second.register
        return Value(self.emit(Step("where", operands)), valid=valid)

    def program(
        self, names: Iterable[str], outputs: Sequence[Value], places: dict[tuple[int, int], str]
    ) -> Program:
        """Only the steps that the outputs need, each with the registers to free at it."""
        kept = {register for value in outputs for register in (value.register, *value.valid)}
        needed, last_use = set(kept), dict[int, int]()
        for register in reversed(range(len(self.steps))):
            if register in needed:
                for operand in self.steps[register].operands:
                    last_use.setdefault(operand, register)
                    needed.add(operand)
        free: dict[int, tuple[int, ...]] = {}
        for operand, register in last_use.items():
            if operand not in kept:
                free[register] = (*free.get(register, ()), operand)
        steps = tuple((r, self.steps[r], free.get(r, ())) for r in sorted(needed))
        used = {step.data for _, step, _ in steps if step.operation in ("band", "valid")}
        bands = tuple((band, place) for band, place in places.items() if band in used)
        return Program(tuple(names), tuple(outputs), steps, bands)


def joined(values: Iterable[Value]) -> frozenset[int]:
    """All the registers that must be true where every one of the values is valid."""
    return frozenset(register for value in values for register in value.valid)


def evaluate(
    program: Program, read: Callable[[Step], Any], shape: tuple[int, int], dtype: np.dtype
) -> dict[int, Any]:
    """Run a program on one block.

    Parameters
    ----------
    program : Program
    read : callable
        The pixels of a ``band`` step and of a ``coordinate`` step, an array of ``shape`` in
        ``dtype``; the validity of a ``valid`` step, a boolean array or True.
    shape : (rows, cols)
    dtype : float32 or float64
        Of all numbers.

    Returns
    -------
    dict
        The outputs and their validities by register, arrays or single values. NaN or infinite
        where an operation is not defined.
    """
    values: dict[int, Any] = {}
    scratch: dict[np.dtype, list[np.ndarray]] = {np.dtype(dtype): [], np.dtype(bool): []}
    with np.errstate(all="ignore"):
        for register, step, released in program.steps:
            operands = [values[operand] for operand in step.operands]
            # Freed first, so that a ufunc writes into an operand that nothing else needs.
            for freed in released:
                array = values.pop(freed)
                if np.shape(array) == shape and array.flags.owndata:
                    scratch[array.dtype].append(array)
            if step.operation in _OTHER:
                values[register] = _OTHER[step.operation](operands, dtype)
            elif step.operation == "constant":
                values[register] = np.dtype(dtype).type(step.data)
            elif not operands:
                values[register] = read(step)
            else:
                boolean = step.operation in _CONDITIONS or step.operation == "isfinite"
                spare = scratch[np.dtype(bool if boolean else dtype)]
                out = spare.pop() if spare else None
                values[register] = getattr(np, step.operation)(*operands, out=out)
    return values


def _all_valid(operands: list[Any], _: np.dtype) -> Any:
    arrays = [operand for operand in operands if np.ndim(operand)]
    # A copy, since a register's array may be written over while another one still holds it.
    return reduce(np.logical_and, arrays[1:], arrays[0].copy()) if arrays else np.True_


def _choose_valid(operands: list[Any], _: np.dtype) -> Any:
    condition, first, second = operands
    if np.ndim(first) == 0 and np.ndim(second) == 0:
        return np.True_
    return np.where(condition, first, second)


def _bitand(operands: list[Any], dtype: np.dtype) -> Any:
    first, second = (np.asarray(operand).astype(np.int64) for operand in operands)
    return (first & second).astype(dtype)


_OTHER: dict[str, Callable[[list[Any], np.dtype], Any]] = {
    "all_valid": _all_valid,
    "choose_valid": _choose_valid,
    "where": lambda operands, _: np.where(*operands),
    "number": lambda operands, dtype: np.asarray(operands[0]).astype(dtype),
    "median": lambda operands, _: np.median(np.stack(np.broadcast_arrays(*operands)), axis=0),
    "bitand": _bitand,
}
