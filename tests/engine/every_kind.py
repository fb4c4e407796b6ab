"""A declaration with a parameter of every kind, and values that mean the same in every way in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Optional

from eoscale_engine.declaration import Blocks, ImageFilter, Pixels, image, parameter, polygons

Rows = tuple[tuple[Optional[float], ...], ...]


@dataclass(frozen=True)
class EveryKind(ImageFilter):
    """Does nothing with its parameters."""

    name = "everykind"
    label = "Every kind"
    group = "Tests"
    inputs = (image(), polygons(optional=True))

    integer: int = parameter(3, help="Any")
    bounded: int = parameter(3, minimum=0, maximum=9, help="Any")
    number: float = parameter(0.5, help="Any")
    limit: Optional[float] = parameter(None, help="Any")
    positive: float = parameter(1.0, minimum=0, help="Any")
    fill: Optional[float] = parameter(None, nan=True, help="Any")
    switch: bool = parameter(False, help="Any")
    choice: str = parameter("mean", choices=("mean", "sum"), help="Any")
    text: str = parameter("", help="Any")
    code: str = parameter("im1b1", kind="expression", help="Any")
    params: str = parameter("{}", kind="json", help="Any")
    file: Optional[str] = parameter(None, kind="file", suffix="py", help="Any")
    red: Optional[int] = parameter(None, kind="band", help="Any")
    zone: str = parameter("", kind="field", role="POLYGONS", help="Any")
    values: tuple[float, ...] = parameter((), kind="numbers", help="Any")
    kernel: Rows = parameter(((1.0,),), kind="matrix", help="Any")
    rules: Optional[Rows] = parameter(
        None, kind="table", columns=("from", "to", "value"), help="Any"
    )

    def apply(self, blocks: Blocks) -> Pixels:
        """The image as it is."""
        return blocks[0].pixels, blocks[0].valid


TWO_RULES = ((0, 100, 1), (100, math.inf, 2))

TAKEN: list[tuple[str, Any, Any]] = [
    ("integer", "7", 7),
    ("integer", -(2**40), -(2**40)),
    ("integer", str(2**60 + 1), 2**60 + 1),
    ("integer", 4.0, 4),
    ("integer", "4.0", 4),
    ("number", math.inf, math.inf),
    ("number", "-inf", -math.inf),
    ("number", "1e300", 1e300),
    ("number", 5e-324, 5e-324),
    ("number", -0.1, -0.1),
    ("limit", "inf", math.inf),
    ("limit", "", None),
    ("positive", math.inf, math.inf),
    ("fill", math.nan, "nan"),
    ("fill", "nan", "nan"),
    ("fill", "", None),
    ("switch", True, True),
    ("switch", "true", True),
    ("switch", "false", False),
    ("switch", "no", False),
    ("switch", 1, True),
    ("choice", "sum", "sum"),
    ("text", "nan", "nan"),
    ("text", "", ""),
    ("text", "a 'b' \"c\", d=ü;\n", "a 'b' \"c\", d=ü;\n"),
    ("code", "im1b1 < 2\nim1b2", "im1b1 < 2\nim1b2"),
    ("params", '{"low": -Infinity}', '{"low": -Infinity}'),
    ("params", {"low": 3}, '{"low": 3}'),
    ("file", "/some where/é.py", "/some where/é.py"),
    ("red", "2", 2),
    ("red", "", None),
    ("zone", "name", "name"),
    ("values", "-inf, 1e300; 2", (-math.inf, 1e300, 2)),
    ("values", [1, math.inf], (1, math.inf)),
    ("values", 5, (5,)),
    ("values", "", ()),
    ("kernel", "1 -2; 3e5 inf", ((1, -2), (3e5, math.inf))),
    ("kernel", [[1, 2], [3, -math.inf]], ((1, 2), (3, -math.inf))),
    ("rules", "0,100,1,100,inf,2", TWO_RULES),
    ("rules", "0, 100, 1; 100, inf, 2", TWO_RULES),
    ("rules", "0 100 1\n100 inf 2\n", TWO_RULES),
    ("rules", [0, 100, 1, 100, math.inf, 2], TWO_RULES),
    ("rules", ["0", "100", "1", "100", "inf", "2"], TWO_RULES),
    ("rules", [[0, 100, 1], [100, math.inf, 2]], TWO_RULES),
    ("rules", "-inf,0,,7,,1", ((-math.inf, 0, None), (7, None, 1))),
    ("rules", ["-inf", "0", "", "7", "", "1"], ((-math.inf, 0, None), (7, None, 1))),
]
"""A field, a value as it is given, and as it arrives; "nan" of the field ``fill`` is NaN."""

REFUSED: list[tuple[str, Any]] = [
    ("integer", "2.7"),
    ("integer", math.inf),
    ("integer", "many"),
    ("bounded", 10),
    ("bounded", -1),
    ("number", math.nan),
    ("number", "nan"),
    ("number", "0,5"),
    ("limit", "nan"),
    ("positive", -math.inf),
    ("switch", "perhaps"),
    ("choice", "median"),
    ("text", ["a", "b"]),
    ("code", ["im1b1"]),
    ("red", 0),
    ("red", 1.5),
    ("values", "1, two"),
    ("values", [1, math.nan]),
    ("kernel", "1 2; 3"),
    ("kernel", [[1, None]]),
    ("rules", "1,2,3,4"),
    ("rules", ["a", 2, 3]),
    ("rules", [1, 2, math.nan]),
]
"""A field, and a value that is refused."""


def taken(name: str, value: Any) -> Any:
    """A value of :data:`TAKEN` or of a run, in a form that compares."""
    return "nan" if name == "fill" and value is not None and value != value else value
