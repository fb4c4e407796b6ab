"""Band math against Python's own arithmetic, pixel by pixel, and its errors."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eoscale_engine.declaration import Block, Blocks
from eoscale_engine.errors import InputError
from eoscale_engine.filters.pixel.band_functions import FUNCTIONS
from eoscale_engine.filters.pixel.band_math import BandMath
from eoscale_engine.filters.pixel.expression import compile_expressions
from eoscale_engine.profile import CRS, Affine, Band, Profile
from eoscale_engine.tiling import Window, split


def image(pixels: Any, dtype: str = "float64", valid: Any = None, **band: Any) -> Block:
    """An image of these pixels, one band of one row unless they have more dimensions."""
    array = np.asarray(pixels, dtype)
    array = array.reshape((1,) * (3 - array.ndim) + array.shape)
    mask = None if valid is None else np.asarray(valid, bool).reshape(array.shape)
    profile = Profile(array.shape[2], array.shape[1], dtype, (Band(**band),) * len(array))
    return Block(array, mask, profile, Window(0, 0, *array.shape[1:]))


def run(
    expressions: str, *images: Block, block: Optional[tuple[int, int]] = None, **parameters: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels, 0 where invalid, and validity of ``(bands, rows, cols)``."""
    declaration = BandMath(expressions=expressions, **parameters)
    declaration.check({"INPUTS": [item.profile for item in images]})
    whole = images[0].core
    pixels = np.zeros((len(declaration.program.outputs), whole.rows, whole.cols))
    valid = np.ones(pixels.shape, bool)
    for core in split(whole, *(block or (whole.rows, whole.cols))):
        place = (slice(None), *core.slices)
        parts = [
            replace(
                item,
                pixels=item.pixels[place],
                valid=None if item.valid is None else item.valid[place],
                core=core,
            )
            for item in images
        ]
        for part in parts:
            part.pixels.flags.writeable = False
        values, where = declaration.apply(Blocks(core, {"INPUTS": parts}))
        valid[place] = True if where is None else where
        pixels[place] = np.where(valid[place], values, 0)
    return pixels, valid


def row(expressions: str, *images: Block, **parameters: Any) -> list[Optional[float]]:
    """The first row of the first band, None where invalid."""
    pixels, valid = run(expressions, *images, **parameters)
    pairs = zip(pixels[0, 0].tolist(), valid[0, 0].tolist())
    return [value if good else None for value, good in pairs]


# ---------------------------------------------------------------- values


class Invalid(Exception):
    """A pixel that has no value."""


class Names(Mapping[str, float]):
    """The values of one pixel by name, for Python's eval."""

    def __init__(self, values: dict[str, Optional[float]]) -> None:
        self.values_ = values

    def __getitem__(self, name: str) -> float:
        value = self.values_[name]
        if value is None:
            raise Invalid
        return value

    def __iter__(self) -> Any:
        return iter(self.values_)

    def __len__(self) -> int:
        return len(self.values_)


REFERENCE = {"__builtins__": {}, "min": min, "max": max, "abs": abs, "sqrt": math.sqrt,
             "floor": math.floor, "log": math.log}  # fmt: skip


def expected(expression: str, values: dict[str, Optional[float]]) -> Optional[float]:
    """What Python makes of an expression at one pixel."""
    try:
        result = float(eval(expression, REFERENCE, Names(values)))
    except (Invalid, ZeroDivisionError, ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


NAMES = ("im1b1", "im1b2", "im2b1")
LEAVES = st.sampled_from([*NAMES, "0", "1", "2.5", "3"])


def _numbers(depth: int) -> st.SearchStrategy[str]:
    if depth == 0:
        return LEAVES
    part = _numbers(depth - 1)
    return st.one_of(
        LEAVES,
        st.builds(
            "({} {} {})".format, part, st.sampled_from(["+", "-", "*", "/", "//", "%"]), part
        ),
        st.builds("{}({})".format, st.sampled_from(["abs", "sqrt", "floor", "-", "+"]), part),
        st.builds("{}({}, {}, {})".format, st.sampled_from(["min", "max"]), part, part, part),
        st.builds("({} if {} else {})".format, part, _conditions(depth - 1), part),
    )


def _conditions(depth: int) -> st.SearchStrategy[str]:
    part = _numbers(depth)
    operators = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    compared = st.builds("({} {} {})".format, part, operators, part)
    return st.one_of(
        compared,
        st.builds("(not {})".format, compared),
        st.builds("({} {} {})".format, compared, st.sampled_from(["&", "|", "^"]), compared),
        # Python leaves a chain at the first that fails: the last one is a constant, always valid
        st.builds("({} < {} <= 2)".format, LEAVES, LEAVES),
    )


@settings(max_examples=100, deadline=None)
@given(expression=st.one_of(_numbers(3), _conditions(2)), seed=st.integers(0, 2**31))
def test_expressions_are_pythons_at_every_pixel(expression: str, seed: int) -> None:
    random = np.random.default_rng(seed)
    pixels, valid = random.integers(-3, 4, (3, 4, 5)), random.random((3, 4, 5)) > 0.2
    first = image(pixels[:2], valid=valid[:2])
    second = image(pixels[2:], valid=valid[2:])
    try:
        found = run(expression, first, second, dtype="float64")
    except InputError as error:
        # a constant part without a value is an error at once
        if re.search("by zero at every pixel|not a finite number", str(error)):
            return
        raise
    blocked = run(expression, first, second, dtype="float64", block=(3, 2))
    assert all(one.tobytes() == two.tobytes() for one, two in zip(found, blocked))
    for at in np.ndindex(4, 5):
        values = [float(p) if v else None for p, v in zip(pixels[(..., *at)], valid[(..., *at)])]
        reference = expected(expression, dict(zip(NAMES, values)))
        assert found[1][(0, *at)] == (reference is not None), (expression, values)
        assert found[0][(0, *at)] == pytest.approx(reference or 0, rel=1e-12, abs=1e-12)


A, B, C = 0.75, -2.5, 5.0
WHOLE = 13.0
EXAMPLES = {
    "abs": ("abs(b)", 2.5), "sqrt": ("sqrt(c)", math.sqrt(C)), "exp": ("exp(b)", math.exp(B)),
    "log": ("log(c)", math.log(C)), "log10": ("log10(c)", math.log10(C)),
    "log2": ("log2(c)", math.log2(C)), "pow": ("pow(c, b)", C**B), "sin": ("sin(b)", math.sin(B)),
    "cos": ("cos(b)", math.cos(B)), "tan": ("tan(b)", math.tan(B)),
    "asin": ("asin(a)", math.asin(A)), "acos": ("acos(a)", math.acos(A)),
    "atan": ("atan(b)", math.atan(B)), "atan2": ("atan2(b, a)", math.atan2(B, A)),
    "sinh": ("sinh(b)", math.sinh(B)), "cosh": ("cosh(b)", math.cosh(B)),
    "tanh": ("tanh(b)", math.tanh(B)), "degrees": ("degrees(b)", math.degrees(B)),
    "radians": ("radians(b)", math.radians(B)), "hypot": ("hypot(a, b)", math.hypot(A, B)),
    "floor": ("floor(b)", -3.0), "ceil": ("ceil(b)", -2.0), "round": ("round(b)", -2.0),
    "trunc": ("trunc(b)", -2.0), "sign": ("sign(b)", -1.0), "min": ("min(a, b, c)", B),
    "max": ("max(a, b, c)", C), "sum": ("sum(a, b, c)", A + B + C),
    "mean": ("mean(a, b, c)", (A + B + C) / 3), "median": ("median(a, b, c, 1)", (A + 1) / 2),
    "std": ("std(a, b, c)", statistics.pstdev([A, B, C])), "clip": ("clip(b, -1, a)", -1.0),
    "where": ("where(b < a, c, a)", C), "valid": ("valid(a, c)", 1.0), "isnan": ("isnan(a)", 0.0),
    "coalesce": ("coalesce(log(b), c)", C), "bitand": ("bitand(n, 9)", 9.0),
    "bit": ("bit(n, 2) + 10 * bit(n, 1)", 1.0),
}  # fmt: skip


def test_every_function_has_an_example() -> None:
    assert EXAMPLES.keys() == FUNCTIONS.keys()


@pytest.mark.parametrize(("expression", "reference"), EXAMPLES.values(), ids=EXAMPLES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_functions(expression: str, reference: float, dtype: str) -> None:
    bands = image([[[A]], [[B]], [[C]], [[WHOLE]]], dtype)
    names = "a = im1b1; b = im1b2; c = im1b3; n = im1b4;"
    pixels, valid = run(names + expression, bands, dtype=dtype)
    assert valid.all()
    assert pixels[4, 0, 0] == pytest.approx(reference, rel=1e-6 if dtype == "float32" else 1e-14)


@pytest.mark.parametrize("exponent", [-2, -0.5, 0, 0.5, 1, 2, 3, 4, 5, 1.7])
def test_powers(exponent: float) -> None:
    found = row(f"im1 ** {exponent}", image([0.3, 2, 7]), dtype="float64")
    assert found == pytest.approx([base**exponent for base in (0.3, 2, 7)], rel=1e-14)


def test_constants_and_places() -> None:
    bands = image(np.zeros((1, 3, 4)))
    transform = Affine(10, 1, 500000, 2, -10, 4900000)
    placed = replace(bands, profile=replace(bands.profile, transform=transform))
    names = ("row", "col", "x", "y", "pi * e")
    found, _ = run("; ".join(names), placed, dtype="float64", block=(2, 3))
    rows, cols = np.mgrid[:3, :4]
    x, y = transform * (cols + 0.5, rows + 0.5)
    for band, reference in zip(found, (rows, cols, x, y, math.pi * math.e)):
        np.testing.assert_allclose(band, np.broadcast_to(reference, (3, 4)), rtol=1e-15)


# ---------------------------------------------------------------- validity

HOLES = {"valid": [1, 1, 0, 0]}


def test_a_pixel_is_invalid_where_a_used_band_is() -> None:
    one, two = image([1, 2, 3, 4], **HOLES), image([5, 6, 7, 8], valid=[1, 0, 1, 0])
    assert row("im1 + im2", one, two) == [6, None, None, None]
    assert row("im1 * 2", one, two) == [2, 4, None, None]
    assert row("im1 > 1 or im2 > 1", one, two) == [1, None, None, None]
    assert row("max(im1, im2)", one, two) == [5, None, None, None]


def test_gaps_can_be_filled() -> None:
    one, two = image([1, 2, 3, 4], **HOLES), image([5, 6, 7, 8], valid=[1, 0, 1, 0])
    assert row("coalesce(im1, im2)", one, two) == [1, 2, 7, None]
    assert row("coalesce(im1, im2, -1)", one, two) == [1, 2, 7, -1]
    assert row("coalesce(im1, im2, -1)", two, one) == [5, 2, 7, -1]
    assert row("valid(im1)", one, two) == [1, 1, 0, 0]
    assert row("valid(im1, im2)", one, two) == [1, 0, 0, 0]
    assert row("isnan(im1) + 2 * isnan(im2)", one, two) == [0, 2, 1, 3]
    assert row("im1 if valid(im1) else im2", one, two) == [1, 2, 7, None]
    assert row("where(im2 > 5, im2, 0)", one, two) == [0, None, 7, None]


def test_what_has_no_value_is_invalid() -> None:
    zeros = image([0, 4, -1, 0.5], "float32")
    assert row("1 / im1", zeros) == [None, 0.25, -1, 2]
    assert row("1 / im1 < 1", zeros) == [None, 1, 1, 0]
    assert row("exp(log(im1))", zeros) == [None, pytest.approx(4), None, pytest.approx(0.5)]
    assert row("exp(-1 / im1 ** 2) * 0 + 1", zeros) == [None, 1, 1, 1]
    assert row("min(1 / im1, 3)", zeros) == [None, 0.25, -1, 2]
    assert row("atan(1 / im1) > 0", zeros) == [None, 1, 0, 1]
    assert row("valid(sqrt(im1), asin(im1))", zeros) == [1, 0, 0, 1]
    assert row("1 / im1 if im1 != 0 else -9", zeros) == [-9, 0.25, -1, 2]
    assert row("coalesce(1 / im1, 7)", zeros) == [7, 0.25, -1, 2]
    assert row("im1 % im1", zeros) == [None, 0, 0, 0]
    assert row("bitand(1 / im1, 1)", zeros) == [None, 0, 1, 0]


def test_a_division_by_zero_everywhere_is_all_nodata() -> None:
    assert row("1 / (im1 - im1)", image([1, 2])) == [None, None]


def test_only_used_bands_are_read() -> None:
    used = image([1, 2], valid=[1, 1])
    unused = replace(image([3, 4], valid=[0, 0]), pixels=None)
    declaration = BandMath(expressions="im1 + 1; valid(im1)")
    pixels, valid = declaration.apply(Blocks(used.core, {"INPUTS": [used, unused]}))
    assert valid is None
    assert pixels[:, 0].tolist() == [[2, 3], [1, 1]]
    assert [band for band, _ in declaration.program.bands] == [(1, 0)]
    program = BandMath(expressions="valid(im1 + 1)").program
    assert [step.operation for _, step, _ in program.steps] == ["valid", "number"]


def test_scratch_never_overwrites_what_is_still_needed() -> None:
    one, two = image([0, 1, 0, 1]), image([9, 9, 1, 1])
    assert row("valid(1 / im1, im2) + 2 * (im2 > 3)", one, two) == [2, 3, 0, 1]


# ---------------------------------------------------------------- types and physical values


def test_physical_values() -> None:
    scaled = image([0, 100, 65535], "uint16", scale=0.01, offset=-1.0)
    assert row("im1", scaled) == pytest.approx([-1, 0, 654.35], rel=1e-6)
    assert row("im1", scaled, raw=True) == [0, 100, 65535]


@pytest.mark.parametrize("dtype", ["float64", "int32", "uint32"])
def test_wide_results_are_computed_in_float64(dtype: str) -> None:
    assert row("im1 * im1 - 1", image([65535], "uint16"), dtype=dtype) == [65535**2 - 1]


@pytest.mark.parametrize("dtype", ["int32", "uint32", "int64", "uint64"])
def test_wide_bands_are_computed_in_float64(dtype: str) -> None:
    assert row("im1 == 16777217", image([2**24, 2**24 + 1], dtype)) == [0, 1]


def test_wide_constants_are_computed_in_float64() -> None:
    band = image([1, 2], "uint8")
    assert row("im1 + 16777216 == 16777217", band) == [1, 0]
    assert row("im1 * 1e300 / 1e299", band) == pytest.approx([10, 20])
    assert row("im1 * 1e300", band) == [None, None]  # float32 has no such number


def test_short_types_are_computed_in_float32() -> None:
    declaration = BandMath(expressions="im1 * 0.1")
    for dtype in ("uint8", "int8", "uint16", "int16", "float32"):
        block = image([1], dtype)
        assert declaration.apply(Blocks(block.core, {"INPUTS": [block]}))[0].dtype == np.float32


def test_the_result_lies_on_the_first_images_grid() -> None:
    first = Profile(
        7, 5, "uint16", (Band(nodata=0, scale=0.1, color="Red"),) * 2,
        crs=CRS('LOCAL_CS["mine"]'), transform=Affine(10, 0, 3, 0, -10, 4),
    )  # fmt: skip
    declaration = BandMath(expressions="ratio = im1b1 / im1b2\nim1b1 > 2 # a note", dtype="uint8")
    (profile,) = declaration.output_profiles([first])
    assert (profile.width, profile.height, profile.dtype) == (7, 5, "uint8")
    assert (profile.crs, profile.transform) == (first.crs, first.transform)
    assert profile.bands == (Band(name="ratio"), Band(name="im1b1 > 2"))


def test_names_and_common_parts_are_computed_once() -> None:
    program = BandMath(
        expressions="d = im1b2 - im1b1; s = im1b2 + im1b1; d / s; (im1b2-im1b1)**2"
    ).program
    operations = sorted(step.operation for _, step, _ in program.steps if step.operands)
    assert operations == ["add", "divide", "multiply", "subtract"]
    assert program.names == ("d", "s", "d / s", "(im1b2-im1b1)**2")


def test_equal_expressions_are_two_bands() -> None:
    assert run("im1; im1", image([3]))[0].tolist() == [[[3]], [[3]]]


# ---------------------------------------------------------------- errors

ERRORS = [
    ("", "no expression"),
    ("im1b1 +", "expression 1 'im1b1 +', at character 7: invalid syntax"),
    ("im1b1; im1b2 * ndbi", "expression 2 'im1b2 * ndbi', at character 9: unknown name 'ndbi'"),
    ("ndvi = im1b1; ndvl * 2", "Did you mean 'ndvi'?"),
    ("IM1B1", "Did you mean 'im1b1'?"),
    ("r = im0b1", "at character 5: 'im0b1': images and bands are counted from 1"),
    ("sqr(im1b1)", "no function 'sqr'. Did you mean 'sqrt'? The functions are abs, sqrt"),
    ("sin(im1b1, 2)", "it has 2 arguments; write sin(a)"),
    ("coalesce(im1b1)", "write coalesce(a, b, ...)"),
    ("clip(im1b1, high=2, low=1)", "by place"),
    ("max(*im1b1)", "by place"),
    ("im1b1 && im1b2", "write 'and'"),
    ("im1b1 AND im1b2", "lowercase"),
    ("im1b1 > 1 ? 2 : 3", "write 'a if c else b'"),
    ("(im1b1 = 3)", "Equality is '=='"),
    ("im1b1 = 3", "the name 'im1b1' is taken"),
    ("a = im1b1; a = 2", "the name 'a' is taken"),
    ("sin = im1b1", "the name 'sin' is taken"),
    ("im1b1 > 1 & im1b2 < 3", "Put each in parentheses"),
    ("~im1b1", "negates a condition"),
    ("im1b1 ^ 2", "A power is a ** b"),
    ("im1b1 << 2", "this operator is no part of band math"),
    ("im1b1 in im1b2", "the comparisons are"),
    ("im1b1 + 'text'", "only numbers"),
    ("im1b1 / 0", "a division by zero at every pixel"),
    ("9 ** 9 ** 99", "not a finite number"),
    ("log(-1)", "not a finite number"),
    ("1e999", "not a finite number"),
    ("9" * 400, "too large"),
    ("9" * 5000, "more than 4000"),
    ("im1b1 + " + "a" * 3900, "unknown name 'aaaa"),
    ("a" * 3900 + "(im1b1)", "no function 'aaaa"),
    ("+".join(["im1b1"] * 400), "levels of nesting"),
    ("-" * 3900 + "1", "expression 1"),
    ("(" * 1900 + "1" + ")" * 1900, "expression 1"),
    ("__import__('os').system('true')", "only a function's name can stand before"),
    ("im1b1.real", "no part of band math"),
    ("im1b1[0]", "no part of band math"),
    ("[im1b1]", "no part of band math"),
    ("lambda: 1", "no part of band math"),
    ("abs(a := 1)", "no part of band math"),
    ("é = im1b1; é + boo", "at character 5: unknown name 'boo'"),
]


@pytest.mark.parametrize(("expression", "message"), ERRORS, ids=[e[:20] for e, _ in ERRORS])
def test_errors_before_any_image_is_known(expression: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        BandMath(expressions=expression)
    assert message in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("im1b1 + im3b1", "at character 9: there is no image 3 for 'im3b1', only 2 images."),
        ("im1b4", "there is no band 'im1b4'. Did you mean 'im1b3'? Image 1 has im1b1 to im1b3."),
        ("im2b2", "Image 2 has only im2b1."),
        ("im1 * 2", "image 1 has 3 bands. Say im1b1 to im1b3."),
        ("x + im2", "x and y need an image with a geotransform"),
    ],
)
def test_errors_of_the_images(expression: str, message: str) -> None:
    profiles = [Profile(5, 4, "uint8", (Band(),) * count) for count in (3, 1)]
    with pytest.raises(InputError, match=re.escape(message)):
        BandMath(expressions=expression).check({"INPUTS": profiles})


def test_complex_images_are_refused() -> None:
    with pytest.raises(InputError, match="complex64"):
        BandMath(expressions="im1").check({"INPUTS": [Profile(5, 4, "complex64")]})


# ---------------------------------------------------------------- documentation


def test_the_page_lists_the_functions() -> None:
    page = (Path(__file__).parents[2] / "docs" / "band-math.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(\w+\(.*?\))` \| (.*?) \|$", page, re.MULTILINE)
    assert listed == [(function.signature, function.help) for function in FUNCTIONS.values()]


@pytest.mark.parametrize(
    ("expression", "doubts"),
    [
        ("where(im1b1 == -9999, 0, im1b1)", 1),
        ("-9999 != im1b1", 1),
        ("im1b1 == im1b2", 0),
        ("im1b1 > -9999", 0),
        ("im1b2 == -9999", 0),
        ("im1b1 == 3", 0),
    ],
)
def test_a_comparison_with_nodata_is_told_of(expression: str, doubts: int) -> None:
    profile = Profile(3, 3, "int16", (Band(nodata=-9999), Band()))
    told = BandMath(expressions=expression).doubts({"INPUTS": [profile]})
    assert len(told) == doubts
    assert all("im1b1 equals -9999" in text and "valid(im1b1)" in text for text in told)


def test_nodata_is_compared_as_the_value_that_it_stands_for() -> None:
    # 0 is the pixel 1000, which is valid; nodata is -0.1
    profile = Profile(3, 3, "uint16", (Band(nodata=0, scale=0.0001, offset=-0.1),))
    for expression, raw, doubts in (
        ("im1b1 == 0", False, 0), ("im1b1 == -0.1", False, 1), ("im1b1 == 0", True, 1),
    ):  # fmt: skip
        assert len(BandMath(expression, raw=raw).doubts({"INPUTS": [profile]})) == doubts


def test_more_expressions_than_anyone_writes_are_refused() -> None:
    text = "\n".join(f"n{number} = im1b1 + {number}" for number in range(1000))
    assert len(compile_expressions(text).names) == 1000
    with pytest.raises(InputError, match="60000 expressions, more than 1000"):
        compile_expressions("\n".join(f"n{number} = 1" for number in range(60_000)))
