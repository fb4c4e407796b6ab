"""The kinds of parameters: what is taken from dialogs, commands and JSON, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import pytest

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.profile import Band, Profile

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Everything(ImageFilter):
    """One parameter of each kind that has rows or a band."""

    label = "Everything"

    numbers: tuple[float, ...] = parameter((2, 98), kind="numbers", help="Some numbers")
    kernel: Rows = parameter(((1.0,),), kind="matrix", help="A kernel")
    rules: tuple[tuple[Optional[float], ...], ...] = parameter(
        (), kind="table", columns=("from", "to", "value"), help="Rules"
    )
    red: Optional[int] = parameter(None, kind="band", help="The red band")
    seed: int = parameter(0, help="Any whole number")
    weights: Any = parameter(None, kind="data", help="Not for users")

    def apply(self, blocks: Blocks) -> Pixels:
        """Nothing."""
        return blocks[0].pixels, None


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ("2, 50; 98", (2, 50, 98)),
        ([1, 2.5], (1, 2.5)),
        ("", ()),
        ("-1e3", (-1000,)),
        (" 1 , ", (1,)),
    ],
)
def test_numbers(given: Any, taken: Any) -> None:
    assert Everything(numbers=given).numbers == taken


@pytest.mark.parametrize(
    "given", ["1 2; 3 4", "1,2\n3,4\n", "1, 2 ;3  4;", [[1, 2], [3, 4]], ((1, 2), (3, 4))]
)
def test_matrix(given: Any) -> None:
    assert Everything(kernel=given).kernel == ((1, 2), (3, 4))


@pytest.mark.parametrize(
    "given",
    [
        ["-inf", "2", "1", "3", "", ""],  # the cells of Processing's table, one after the other
        [["-inf", 2, 1], [3, None, None]],
        ((float("-inf"), 2, 1), (3, None, "")),
    ],
)
def test_table(given: Any) -> None:
    assert Everything(rules=given).rules == ((-np.inf, 2, 1), (3, None, None))


@pytest.mark.parametrize("number", [0, -1, 2**63 + 1, -(2**70) - 1])
def test_whole_numbers_of_any_size(number: int) -> None:
    assert Everything(seed=number).seed == number
    assert Everything(seed=str(number)).seed == number


def test_data_is_taken_as_it_is() -> None:
    weights = np.eye(2)
    assert Everything(weights=weights).weights is weights


@pytest.mark.parametrize(
    "values",
    [
        {"numbers": "1, two"},
        {"numbers": "nan"},
        {"numbers": 5},
        {"kernel": "1 2; 3"},
        {"kernel": [[1, None]]},
        {"rules": [1, 2, 3, 4]},
        {"rules": [["a", 2, 3]]},
        {"red": 0},
        {"red": 1.5},
        {"seed": 0.5},
        {"seed": float("inf")},
        {"seed": "1.5"},
    ],
)
def test_what_does_not_fit_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="Everything: '"):
        Everything(**values)


def test_a_band_that_the_image_has_not() -> None:
    image = Profile(4, 3, "uint8", (Band(), Band()))
    Everything(red=2).check({"INPUT": [image]})
    Everything().check({"INPUT": [image]})
    with pytest.raises(InputError, match=r"'Red' is band 3, but the image has 2 band\(s\)"):
        Everything(red=3).check({"INPUT": [image]})
