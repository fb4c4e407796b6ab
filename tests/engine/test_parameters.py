"""The kinds of parameters: what is taken from dialogs, commands and JSON, and what is refused."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

from eoscale_engine.errors import InputError
from eoscale_engine.filters.neighbourhood.entropy import EntropyBetween
from eoscale_engine.parameter_kinds import Integer, Table
from eoscale_engine.profile import Band, Profile
from eoscale_engine.service.protocol import Sender, messages
from tests.engine.every_kind import REFUSED, TAKEN, EveryKind, taken


@pytest.mark.parametrize(("name", "given", "expected"), TAKEN)
def test_what_a_parameter_takes(name: str, given: Any, expected: Any) -> None:
    found = taken(name, getattr(EveryKind(**{name: given}), name))
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(("name", "given"), REFUSED)
def test_what_a_parameter_refuses(name: str, given: Any) -> None:
    label = name.capitalize()
    with pytest.raises(InputError, match=f"Every kind: '{label}' (cannot be|is) "):
        EveryKind(**{name: given})


def test_a_refusal_says_how_values_are_written() -> None:
    with pytest.raises(InputError, match="'Number' cannot be '0,5'. Write a number with a decimal"):
        EveryKind(number="0,5")  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"cells separated by .*: from, to\.$"):
        Table(("from", "to")).checked("1", "Filter", "Classes")
    with pytest.raises(InputError, match="is 1000001; it must be at most 1000000"):
        Integer(maximum=1_000_000).checked(1_000_001, "Filter", "Count")


@pytest.mark.parametrize(("name", "given", "expected"), TAKEN)
def test_a_value_travels_to_the_engine(name: str, given: Any, expected: Any) -> None:
    reading, writing = os.pipe()
    with open(writing, "wb") as pipe, open(reading, "rb") as end:
        Sender(pipe).send({"parameters": {name: given}})
        pipe.close()
        [message] = messages(end)
    arrived = getattr(EveryKind(**message["parameters"]), name)
    assert taken(name, arrived) == expected


@pytest.mark.parametrize("number", [0, -1, 2**63 + 1, -(2**70) - 1])
def test_whole_numbers_of_any_size(number: int) -> None:
    assert EveryKind(integer=number).integer == number
    assert EveryKind(integer=str(number)).integer == number  # type: ignore[arg-type]


def test_data_is_taken_as_it_is() -> None:
    bounds = np.eye(2)
    assert EntropyBetween(bounds=bounds).bounds is bounds


def test_any_sequence_of_numbers_is_one() -> None:
    assert EveryKind(values=range(3)).values == (0, 1, 2)  # type: ignore[arg-type]
    assert EveryKind(kernel=map(range, (2, 2))).kernel == ((0, 1), (0, 1))  # type: ignore[arg-type]


def test_arrays_of_numpy_are_numbers_too() -> None:
    made = EveryKind(
        integer=np.int64(4),  # type: ignore[arg-type]
        switch=np.bool_(True),  # type: ignore[arg-type]
        values=np.arange(2),  # type: ignore[arg-type]
        kernel=np.eye(2),  # type: ignore[arg-type]
    )
    assert made.integer == 4
    assert made.switch is True
    assert made.values == (0, 1)
    assert made.kernel == ((1, 0), (0, 1))


def test_a_band_that_the_image_has_not() -> None:
    image = Profile(4, 3, "uint8", (Band(), Band()))
    EveryKind(red=2).check({"INPUT": [image]})
    EveryKind().check({"INPUT": [image]})
    with pytest.raises(InputError, match=r"'Red' is band 3, but .Input image. has 2 bands"):
        EveryKind(red=3).check({"INPUT": [image]})
