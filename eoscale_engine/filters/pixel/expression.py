"""Expressions over bands: read and checked, then handed over as steps.

An expression is read by Python's own grammar (:mod:`ast`) and translated, one allowed node after
the other, into the steps of :mod:`eoscale_engine.filters.pixel.expression_steps`. Nothing of it
ever runs as Python.
"""

from __future__ import annotations

import ast
import difflib
import math
import re
from collections.abc import Iterable
from typing import Union

from eoscale_engine.errors import InputError
from eoscale_engine.filters.pixel.band_functions import FUNCTIONS
from eoscale_engine.filters.pixel.expression_steps import (
    COMPARISONS,
    Builder,
    Program,
    Step,
    Undefined,
    Value,
)
from eoscale_engine.words import counted

LONGEST = 4000
"""Characters of one expression."""

MOST = 1000
"""Expressions of one run."""

DEEPEST = 150
"""Levels of nesting of one expression."""

CONSTANTS = {"pi": math.pi, "e": math.e}
COORDINATES = ("row", "col", "x", "y")

_BAND = re.compile(r"im(\d{1,5})(?:b(\d{1,5}))?")
_NAMED = re.compile(r"([^\W\d]\w*)\s*=(?!=)\s*")
_BINARY = {
    ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide",
    ast.FloorDiv: "floor_divide", ast.Mod: "remainder", ast.Pow: "power",
}  # fmt: skip
_JOINING = {ast.BitAnd: "logical_and", ast.BitOr: "logical_or", ast.BitXor: "logical_xor"}
_COMPARING = dict(zip((ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq), COMPARISONS))
_REMEDIES = (
    (r"&&", "In place of '&&' write 'and'"),
    (r"\|\|", "In place of '||' write 'or'"),
    (r"\?", "In place of 'c ? a : b' write 'a if c else b'"),
    (r"!(?!=)", "In place of '!' write 'not'"),
    (r"\b(AND|OR|NOT)\b", "Write and, or, not in lowercase"),
    (r"(?<![=<>!])=(?!=)", "Equality is '=='"),
    (r"", "Check operators, commas and parentheses"),
)


def compile_expressions(text: str) -> Program:
    """Translate expressions, one a line or separated by ``;``, each with an optional ``name =``.

    Raises
    ------
    InputError
        With the expression, the place in it, what is wrong and what to write instead.

    >>> compile_expressions("ndvi = (im1b4 - im1b3) / (im1b4 + im1b3)").names
    ('ndvi',)
    """
    parts = [part.strip() for line in text.splitlines() for part in line.split("#")[0].split(";")]
    parts = [part for part in parts if part]
    if not parts:
        raise InputError("Band math: there is no expression. Write one a line, such as im1b1 * 2.")
    if len(parts) > MOST:
        raise InputError(
            f"Band math: there are {len(parts)} expressions, more than {MOST}. Split them into "
            "several runs."
        )
    parser = _Parser()
    outputs = [parser.parsed(number, part) for number, part in enumerate(parts, 1)]
    names, values = (name for name, _ in outputs), [value for _, value in outputs]
    return parser.builder.program(names, values, parser.places)


class _Parser:
    """Reads expressions one after the other; later ones may use the names of earlier ones."""

    def __init__(self) -> None:
        self.builder = Builder()
        self.places: dict[tuple[int, int], str] = {}
        self.named: dict[str, Value] = {}
        self.number, self.text, self.start = 0, "", 0

    def parsed(self, number: int, text: str) -> tuple[str, Value]:
        """The band's name (the expression itself where it has none) and its value."""
        self.number, self.text, self.start = number, text, 0
        if len(text) > LONGEST:
            raise self.problem(0, f"it has {len(text)} characters, more than {LONGEST}. Split it.")
        match = _NAMED.match(text)
        name = match.group(1) if match else ""
        taken = {*self.named, *CONSTANTS, *COORDINATES, *FUNCTIONS}
        if name in taken or _BAND.fullmatch(name):
            raise self.problem(0, f"the name '{name}' is taken. Choose another.")
        self.start = match.end() if match else 0
        value = self.builder.number(self.visit(self._tree(text[self.start :]), 1))
        if name:
            self.named[name] = value
        return name or text, value

    def _tree(self, source: str) -> ast.expr:
        try:
            return ast.parse(source, mode="eval").body
        except SyntaxError as error:
            remedy = next(remedy for sign, remedy in _REMEDIES if re.search(sign, source))
            place = min(error.offset or len(source), len(source)) - 1
            raise self.problem(place, f"{error.msg}. {remedy}.") from None
        except (ValueError, RecursionError, MemoryError):
            raise self.problem(0, "it cannot be read. Make it simpler.") from None

    def problem(self, place: Union[int, ast.AST], message: str) -> InputError:
        """The error to raise for a node, or for a character counted from 0."""
        return InputError(f"{self._where(place)}: {message}")

    def _where(self, place: Union[int, ast.AST]) -> str:
        if isinstance(place, ast.AST):
            encoded = self.text[self.start :].encode()[: getattr(place, "col_offset", 0)]
            place = len(encoded.decode(errors="ignore"))
        at = f"at character {self.start + place + 1}"
        return f"Band math, expression {self.number} '{shortened(self.text)}', {at}"

    def visit(self, node: ast.expr, depth: int) -> Value:
        """The value of one node of the syntax tree."""
        if depth > DEEPEST:
            raise self.problem(node, f"more than {DEEPEST} levels of nesting. Name a part of it.")
        handler = getattr(self, f"_visit_{type(node).__name__.lower()}", None)
        if handler is None:
            raise self.problem(
                node,
                "this is no part of band math, which has numbers, bands, operators, functions.",
            )
        try:
            value: Value = handler(node, depth + 1)
        except Undefined as error:
            raise self.problem(node, str(error)) from None
        return value

    def _visit_constant(self, node: ast.Constant, _: int) -> Value:
        if not isinstance(node.value, (int, float)):
            raise self.problem(node, "only numbers can stand here; bands are named im1b1, im2b1.")
        try:
            return self.builder.constant(float(node.value))
        except OverflowError:
            raise self.problem(node, "this number is too large.") from None

    def _visit_name(self, node: ast.Name, _: int) -> Value:
        name, match, emit = node.id, _BAND.fullmatch(node.id), self.builder.emit
        if match:
            band = int(match.group(1)), int(match.group(2) or 0)
            if band[0] == 0 or (match.group(2) and band[1] == 0):
                raise self.problem(node, f"'{name}': images and bands are counted from 1.")
            self.places.setdefault(band, self._where(node))
            valid = frozenset({emit(Step("valid", (), band))})
            return Value(emit(Step("band", (), band)), valid=valid)
        if name in CONSTANTS:
            return self.builder.constant(CONSTANTS[name])
        if name in COORDINATES:
            return Value(emit(Step("coordinate", (), name)))
        if name in self.named:
            return self.named[name]
        others = [*self.named, *CONSTANTS, *COORDINATES]
        guess = close_match(name, ["im1b1", *others])
        raise self.problem(
            node,
            f"unknown name '{shortened(name)}'.{guess} Bands are named im1b1 (band 1 of image 1), "
            f"im1b2, im2b1; other names are {', '.join(others)}.",
        )

    def _visit_binop(self, node: ast.BinOp, depth: int) -> Value:
        values = self.visit(node.left, depth), self.visit(node.right, depth)
        operator, conditions = type(node.op), all(value.condition for value in values)
        if operator in _BINARY:
            return self.builder.call(_BINARY[operator], *values)
        if operator in _JOINING and conditions:
            return self.builder.call(_JOINING[operator], *values)
        if operator is ast.BitXor:
            raise self.problem(node, "'^' joins two conditions. A power is a ** b.")
        if operator in _JOINING:
            raise self.problem(
                node,
                "'&' and '|' join conditions. Put each in parentheses, as in (im1b1 > 1) & "
                "(im1b2 < 5); the bits of a number are bitand(a, b) and bit(a, n).",
            )
        raise self.problem(node, "this operator is no part of band math.")

    def _visit_unaryop(self, node: ast.UnaryOp, depth: int) -> Value:
        value = self.visit(node.operand, depth)
        if isinstance(node.op, ast.UAdd):
            return self.builder.number(value)
        if isinstance(node.op, ast.USub):
            return self.builder.call("negative", value)
        if isinstance(node.op, ast.Invert) and not value.condition:
            raise self.problem(node, "'~' negates a condition, as in ~(im1b1 > 1).")
        return self.builder.call("logical_not", value)

    def _visit_boolop(self, node: ast.BoolOp, depth: int) -> Value:
        name = "logical_and" if isinstance(node.op, ast.And) else "logical_or"
        return self.builder.fold(name, [self.visit(value, depth) for value in node.values])

    def _visit_compare(self, node: ast.Compare, depth: int) -> Value:
        values = [self.visit(value, depth) for value in (node.left, *node.comparators)]
        if not all(type(operator) in _COMPARING for operator in node.ops):
            raise self.problem(node, "the comparisons are < <= > >= == and !=.")
        names = [_COMPARING[type(operator)] for operator in node.ops]
        parts = [self.builder.call(*part) for part in zip(names, values, values[1:])]
        return self.builder.fold("logical_and", parts)

    def _visit_ifexp(self, node: ast.IfExp, depth: int) -> Value:
        parts = (self.visit(part, depth) for part in (node.test, node.body, node.orelse))
        return self.builder.choose(*parts)

    def _visit_call(self, node: ast.Call, depth: int) -> Value:
        if not isinstance(node.func, ast.Name):
            raise self.problem(node, "only a function's name can stand before the parentheses.")
        name = node.func.id
        if name not in FUNCTIONS:
            guess = close_match(name, FUNCTIONS)
            raise self.problem(
                node,
                f"no function '{shortened(name)}'.{guess} "
                f"The functions are {', '.join(FUNCTIONS)}.",
            )
        function = FUNCTIONS[name]
        if node.keywords or any(isinstance(value, ast.Starred) for value in node.args):
            raise self.problem(node, f"write {function.signature}, the arguments by place.")
        if not function.least <= len(node.args) <= function.most:
            raise self.problem(
                node,
                f"it has {counted(len(node.args), 'argument')}; write {function.signature}.",
            )
        values = [self.visit(value, depth) for value in node.args]
        if isinstance(function.make, str):
            return self.builder.call(function.make, *values)
        return function.make(self.builder, values)


def shortened(text: str) -> str:
    """A text as messages repeat it."""
    return text if len(text) <= 80 else text[:77] + "..."


def close_match(name: str, names: Iterable[str]) -> str:
    """A question that offers the most alike of some names, or nothing."""
    found = difflib.get_close_matches(name.lower(), list(names), n=1)
    return f" Did you mean '{found[0]}'?" if found else ""
