"""The kinds of parameters: values written as text and as JSON are read back, whatever they are."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eoscale_engine.parameter_kinds import (
    KINDS,
    Band,
    Boolean,
    Choice,
    Data,
    Expression,
    Field,
    File,
    Integer,
    Json,
    Kind,
    Matrix,
    Number,
    Numbers,
    Steps,
    Table,
    Text,
)

NUMBERS = st.floats(allow_nan=False)
ANY_NUMBERS = st.floats()
TEXTS = st.text(st.characters(blacklist_categories=("Cs",)))
CHOICES = ("mean", "standard deviation", "1")


def rows(cells: st.SearchStrategy[Any], width: int) -> st.SearchStrategy[Any]:
    return st.lists(st.tuples(*[cells] * width), max_size=4).map(tuple)


VALUES: dict[Kind, st.SearchStrategy[Any]] = {
    Integer(): st.integers(),
    Integer(minimum=0, maximum=9): st.integers(0, 9),
    Number(): NUMBERS,
    Number(nan=True): ANY_NUMBERS,
    Boolean(): st.booleans(),
    Choice(CHOICES): st.sampled_from(CHOICES),
    Text(): TEXTS,
    Expression(): TEXTS,
    Json(): st.dictionaries(TEXTS, ANY_NUMBERS).map(json.dumps),
    Steps(): st.lists(st.dictionaries(TEXTS, TEXTS)).map(json.dumps),
    File(".py"): TEXTS.map("/nowhere/{}".format),
    Band(role="MASK"): st.integers(1),
    Field("POLYGONS"): TEXTS,
    Numbers(): st.lists(NUMBERS).map(tuple),
    Numbers(nan=True): st.lists(ANY_NUMBERS).map(tuple),
    Matrix(): st.integers(1, 4).flatmap(lambda width: rows(NUMBERS, width)),
    Table(("from", "to", "value")): rows(st.none() | NUMBERS, 3),
    Table(("from", "to"), nan=True): rows(st.none() | ANY_NUMBERS, 2),
}
"""Kinds, and values of each."""

FEW = settings(max_examples=30)
EACH = pytest.mark.parametrize("kind", VALUES, ids=str)


def test_all_kinds_are_here() -> None:
    assert {type(kind) for kind in VALUES} | {Data} == set(KINDS.values())


def same(one: Any, two: Any) -> bool:
    """Equal and of one type, where NaN equals itself and 0 is not -0."""
    return repr(one) == repr(two)


@EACH
@FEW
@given(data=st.data())
def test_a_value_is_its_own(kind: Kind, data: st.DataObject) -> None:
    value = data.draw(VALUES[kind])
    assert same(kind.checked(value, "A filter", "It"), value)


@EACH
@FEW
@given(data=st.data())
def test_a_text_is_read_back(kind: Kind, data: st.DataObject) -> None:
    value = data.draw(VALUES[kind])
    text = kind.as_text(value)
    assert isinstance(text, str)
    assert same(kind.checked(text, "A filter", "It"), value)


@EACH
@FEW
@given(data=st.data())
def test_strict_json_is_read_back(kind: Kind, data: st.DataObject) -> None:
    value = data.draw(VALUES[kind])
    sent = json.dumps(kind.as_json(value), allow_nan=False)
    assert same(kind.checked(json.loads(sent), "A filter", "It"), value)


@EACH
def test_no_value_is_an_empty_text(kind: Kind) -> None:
    assert kind.as_text(None) == ""
    assert kind.as_json(None) is None


@pytest.mark.parametrize(
    ("kind", "hints"),
    [
        (Integer(minimum=0), {"kind": "integer", "minimum": 0}),
        (Number(1e-9, 1), {"kind": "number", "minimum": 1e-9, "maximum": 1, "decimals": 9}),
        (Number(nan=True), {"kind": "number", "nan": True}),
        (Boolean(), {"kind": "boolean"}),
        (Choice(CHOICES), {"kind": "choice", "choices": list(CHOICES)}),
        (Text(), {"kind": "text"}),
        (Expression(), {"kind": "expression", "several_lines": True}),
        (Json(), {"kind": "json", "several_lines": True}),
        (File(".py"), {"kind": "file", "suffix": ".py"}),
        (Band(role="MASK"), {"kind": "band", "minimum": 1, "role": "MASK"}),
        (Field("POLYGONS"), {"kind": "field", "role": "POLYGONS"}),
        (Numbers(), {"kind": "numbers"}),
        (Matrix(), {"kind": "matrix", "several_lines": True}),
        (Table(("from", "to")), {"kind": "table", "columns": ["from", "to"]}),
    ],
)
def test_hints_are_plain_data(kind: Kind, hints: dict[str, Any]) -> None:
    assert kind.hints == hints
    assert json.loads(json.dumps(kind.hints)) == hints


@pytest.mark.parametrize(
    ("kind", "value", "text"),
    [
        (Number(), 0.5, "0.5"),
        (Number(), 1e-9, "1e-09"),
        (Numbers(), (2.0, 50.0, math.inf), "2, 50, inf"),
        (Numbers(), (0.1 + 0.2,), "0.30000000000000004"),
        (Matrix(), ((1, 2), (3, -0.5)), "1 2; 3 -0.5"),
        (Table(("from", "to")), ((-math.inf, 1), (2, None)), "-inf, 1; 2, "),
    ],
)
def test_texts_are_short(kind: Kind, value: Any, text: str) -> None:
    assert kind.as_text(value) == text
