"""Convolution against SciPy, direct loops and exact arithmetic, and itself in blocks."""

from __future__ import annotations

import pickle
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from eoscale_engine.errors import InputError
from eoscale_engine.filters.neighbourhood.convolution import PRESETS, Convolution
from eoscale_engine.filters.neighbourhood.kernels import Kernel
from eoscale_engine.parameter_kinds import Choice, Matrix
from eoscale_engine.profile import Band
from eoscale_engine.styles import DIVERGING, Ramp
from tests.engine.neighbourhoods import (
    REAL_DTYPES,
    images,
    profile_of,
    random_image,
    run,
    same_bits,
)

Rows = tuple[tuple[float, ...], ...]


def rows_of(array: Any) -> Rows:
    return tuple(map(tuple, np.asarray(array, float).tolist()))


def general(rows: int, cols: int, seed: int = 0) -> Rows:
    return rows_of(np.random.default_rng(seed).normal(size=(rows, cols)))


def positive(rows: int, cols: int, seed: int = 0) -> Rows:
    return rows_of(np.random.default_rng(seed).integers(0, 9, (rows, cols)))


def product(rows: int, cols: int, seed: int = 0) -> Rows:
    random = np.random.default_rng(seed)
    return rows_of(np.outer(random.normal(size=rows), random.normal(size=cols)))


KERNELS = {
    "general": general(3, 5),
    "wide": general(1, 7),
    "tall": general(5, 1),
    "product": product(5, 3),
    "positive": positive(3, 3),
    "hollow": ((0, 2, 0), (3, 0, 1), (0, 5, 0)),
    "far": ((0, 0, 0, 0, 0), (0, 1, 2, 0, 4), (0, 0, 0, 0, 0)),
    "sharpen": PRESETS["sharpen"],
    "sobel": PRESETS["sobel upwards"],
}


def reference(
    weights: Rows,
    pixels: np.ndarray,
    valid: np.ndarray,
    *,
    normalise: bool = True,
    nodata: str = "ignore",
    fill: bool = False,
) -> list[Optional[float]]:
    """One value or None for each pixel of a band; invalid beyond the image, by a direct loop."""
    down, across = len(weights) // 2, len(weights[0]) // 2
    total_weight = sum(map(sum, weights))
    negative = any(weight < 0 for row in weights for weight in row)
    found: list[Optional[float]] = []
    for row, col in np.ndindex(*pixels.shape):
        total = present = 0.0
        whole, here = True, bool(valid[row, col])
        for y, x in np.ndindex(len(weights), len(weights[0])):
            weight, (i, j) = weights[y][x], (row + y - down, col + x - across)
            inside = 0 <= i < pixels.shape[0] and 0 <= j < pixels.shape[1]
            if inside and valid[i, j]:
                total += weight * float(pixels[i, j])
                present += weight
            elif weight and negative and here:
                total += weight * float(pixels[row, col])
                whole = False
            elif weight:
                whole = False
        known = whole if nodata == "propagate" else (here if negative else present > 0)
        if not known or not (here or fill):
            found.append(None)
            continue
        if not negative:
            total *= total_weight / present
        found.append(total / total_weight if normalise and abs(total_weight) > 1e-9 else total)
    return found


def scale_of(weights: Rows, pixels: np.ndarray, *, normalise: bool) -> float:
    """The sum of sizes of the weights times the largest pixel: what errors are measured by."""
    size, total = np.abs(weights).sum(), abs(np.sum(weights))
    size /= total if normalise and total > 1e-9 else 1
    return float(size * np.abs(pixels.astype(float)).max(initial=0))


def compare(result: np.ndarray, where: np.ndarray, wanted: list[Any], scale: float) -> None:
    assert where.ravel().tolist() == [value is not None for value in wanted]
    want = np.array([np.nan if value is None else value for value in wanted])[where.ravel()]
    tolerance = 3e-7 if result.dtype == np.float32 else 1e-15
    np.testing.assert_allclose(result[where], want, rtol=0, atol=tolerance * scale)


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("border", ["reflect", "nearest"])
@pytest.mark.parametrize("preset", PRESETS)
def test_scipy_agrees_on_the_known_kernels(preset: str, border: str) -> None:
    pixels, _ = random_image("float32", (1, 21, 17), seed=1)
    for normalise in (True, False):
        result, where = run(Convolution(preset, normalise=normalise, border=border), pixels)
        weights = np.array(PRESETS[preset])
        wanted = ndimage.correlate(pixels[0].astype(float), weights, mode=border)
        if normalise and weights.sum():
            wanted /= weights.sum()
        scale = scale_of(PRESETS[preset], pixels, normalise=normalise)
        compare(result[0], where[0], wanted.ravel().tolist(), scale)


@pytest.mark.parametrize("dtype", REAL_DTYPES)
@pytest.mark.parametrize("kernel", KERNELS)
def test_scipy_agrees_for_every_dtype(kernel: str, dtype: str) -> None:
    pixels, _ = random_image(dtype, (2, 14, 19), seed=2)
    weights = KERNELS[kernel]
    result, where = run(Convolution(weights=weights, normalise=False), pixels)
    assert where.all()
    assert result.dtype == ("float64" if np.dtype(dtype).itemsize == 8 else "float32")
    for band in range(2):
        wanted = ndimage.correlate(pixels[band].astype(float), np.array(weights))
        scale = scale_of(weights, pixels[band], normalise=False)
        compare(result[band], where[band], wanted.ravel().tolist(), scale)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "float64"])
@pytest.mark.parametrize("nodata", ["ignore", "propagate"])
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("kernel", KERNELS)
def test_holes_against_a_direct_loop(
    kernel: str, normalise: bool, nodata: str, dtype: str
) -> None:  # fmt: skip
    pixels, valid = random_image(dtype, (2, 9, 11), seed=3, holes=0.2)
    valid[1, 4:, 5:] = False
    weights = KERNELS[kernel]
    for fill in (False, True) if np.min(weights) >= 0 else (False,):
        declaration = Convolution("given", weights, normalise, nodata, fill, "invalid")
        result, where = run(declaration, pixels, valid)
        for band in range(2):
            wanted = reference(
                weights, pixels[band], valid[band], normalise=normalise, nodata=nodata, fill=fill
            )
            scale = scale_of(weights, pixels[band][valid[band]], normalise=normalise)
            # a mean of pixels whose weights are few is as good, but for what dividing adds
            compare(result[band], where[band], wanted, 2 * scale)


def test_the_kernel_lies_as_it_is_written() -> None:
    pixels = np.arange(35, dtype="float32").reshape(1, 5, 7)
    right, _ = run(Convolution(weights="0 0 1"), pixels)
    above, _ = run(Convolution(weights="1; 0; 0"), pixels)
    assert (right[0, :, :-1] == pixels[0, :, 1:]).all()
    assert (above[0, 1:] == pixels[0, :-1]).all()


@pytest.mark.parametrize("preset", ["mean 7 x 7", "gaussian 5 x 5", "sharpen", "emboss"])
def test_sums_of_small_whole_numbers_are_exact(preset: str) -> None:
    pixels, _ = random_image("uint8", (1, 12, 13), seed=4)
    result, _ = run(Convolution(preset), pixels)
    weights = np.array(PRESETS[preset], int)
    total = ndimage.correlate(pixels[0].astype(int), weights)
    for value, number in zip(result.ravel().tolist(), total.ravel().tolist()):
        assert value == float(np.float32(Fraction(number, int(weights.sum()))))


@pytest.mark.parametrize("side", [9, 11, 51])
@pytest.mark.parametrize("kind", ["general", "product", "equal", "round"])
def test_many_weights_keep_their_digits(side: int, kind: str) -> None:
    away = np.arange(side) - side // 2
    weights = {
        "general": np.random.default_rng(5).random((side, side)),
        "product": np.outer(*np.random.default_rng(6).random((2, side))),
        "equal": np.full((side, side), 0.1),
        "round": np.where(np.add.outer(away**2, away**2) <= (side // 2) ** 2, 0.1, 0.0),
    }[kind]
    for seed, level in enumerate((0, 1000)):
        noise = np.random.default_rng(seed).random((1, 60, 60))
        pixels = (level + noise).astype("float32")
        result, _ = run(Convolution(weights=rows_of(weights), normalise=False), pixels)
        wanted = ndimage.correlate(pixels[0].astype(float), weights)
        np.testing.assert_allclose(result[0], wanted, rtol=1e-6)


def test_differences_come_first_and_cost_no_digits() -> None:
    random = np.random.default_rng(7)
    pixels = (4000 + random.integers(0, 4096, (1, 20, 20)) / 4096).astype("float32")
    for preset in ("sobel to the right", "sobel upwards", "horizontal lines", "vertical lines"):
        result, _ = run(Convolution(preset), pixels)
        wanted = ndimage.correlate(pixels[0].astype(float), np.array(PRESETS[preset]))
        np.testing.assert_allclose(result[0], wanted, rtol=0, atol=1e-2)
        if preset.startswith("sobel"):
            np.testing.assert_array_equal(result[0], wanted)


def test_infinite_pixels_are_values() -> None:
    pixels = np.zeros((1, 9, 9), "float32")
    pixels[0, 4, 4] = np.inf
    for weights in (positive(3, 3, seed=1), rows_of(np.full((3, 3), 1.0))):
        result, where = run(Convolution(weights=weights), pixels)
        assert where.all()
        assert np.isinf(result).sum() == np.count_nonzero(weights)


# ---------------------------------------------------------------- the kernel


@pytest.mark.parametrize("shape", [(3, 3), (5, 3), (3, 7), (51, 51)])
def test_products_of_a_column_and_a_row_are_found(shape: tuple[int, int]) -> None:
    whole = np.random.default_rng(8).integers(1, 20, shape[0])[:, None] * (
        np.random.default_rng(9).integers(-30, -1, shape[1])
    )
    for weights in (whole, np.array(product(*shape)), whole / 48):
        factors = Kernel(rows_of(weights)).factors
        assert factors is not None
        np.testing.assert_allclose(np.outer(*factors), weights, rtol=1e-14)
    down, across = Kernel(rows_of(whole)).factors or ((), ())
    assert (np.outer(down, across) == whole).all()
    assert (down == np.rint(down)).all()
    assert (across == np.rint(across)).all()


def test_what_is_no_product_is_none() -> None:
    almost = np.outer([1.0, 2.0, 1.0], [1.0, 2.0, 1.0])
    almost[0, 0] += 1e-9
    for weights in (almost, general(3, 3), PRESETS["emboss"], ((1, 2, 3),), ((1,), (2,), (3,))):
        kernel = Kernel(rows_of(weights))
        assert kernel.factors is None
        assert len(kernel.passes) == 1


def test_zeros_around_the_weights_need_no_margin() -> None:
    framed = np.zeros((9, 9))
    framed[4, 3:6] = 1, 2, 1
    assert Convolution(weights=rows_of(framed)).margin == 1
    assert Convolution(weights=((0, 0, 0), (0, 3, 0), (0, 0, 0))).margin == 0
    assert Convolution(weights=((1, 0, 0),) * 5).margin == 2
    pixels, valid = random_image("float32", (1, 12, 12), seed=9, holes=0.1)
    slim = run(Convolution(weights="1 2 1", nodata="propagate"), pixels, valid)
    assert same_bits(slim, run(Convolution(weights=framed, nodata="propagate"), pixels, valid))


def test_known_kernels_have_their_numbers() -> None:
    sums = {name: np.sum(weights) for name, weights in PRESETS.items()}
    assert {name for name, total in sums.items() if total == 0} == {
        "high pass 3 x 3", "high pass 5 x 5", "laplacian 4", "laplacian 8",
        "laplacian of gaussian 5 x 5", "horizontal lines", "vertical lines",
        "lines rising to the right", "lines falling to the right", "sobel to the right",
        "sobel upwards", "prewitt to the right", "prewitt upwards",
    }  # fmt: skip
    picture = np.zeros((1, 9, 9), "float32")
    for step in range(9):
        picture[0, 8 - step, step] = 1
    response = {name: run(Convolution(name), picture)[0][0, 4, 4] for name in PRESETS}
    lines = {name: value for name, value in response.items() if "lines" in name}
    assert max(lines, key=lambda name: lines[name]) == "lines rising to the right"
    upwards = np.broadcast_to(np.arange(9.0)[::-1, None], (1, 9, 9))
    right = np.broadcast_to(np.arange(9.0), (1, 9, 9))
    for name, size in (("sobel", 8), ("prewitt", 6)):
        for way, slope in (("upwards", upwards), ("to the right", right)):
            assert run(Convolution(f"{name} {way}"), slope)[0][0, 4, 4] == size


@pytest.mark.parametrize(
    "wrong",
    [{"weights": "1 2; 3 4"}, {"weights": "1 2 3; 4 5 6"}, {"weights": ""}, {"weights": "0 0 0"},
     {"weights": "1 2 1; 1"}, {"weights": "1 inf 1"}, {"weights": "1 nan 1"}, {"weights": "1e13"},
     {"weights": "1 1e-13 1"}, {"weights": rows_of(np.ones((257, 1)))}, {"kernel": "blur"},
     {"kernel": "sharpen", "fill": True}, {"nodata": "drop"}, {"border": "wrap"}],
)  # fmt: skip
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Convolution(**wrong)


def test_a_known_kernel_does_not_mind_the_weights() -> None:
    assert Convolution("sharpen", weights="1 2; 3 4").used.weights == PRESETS["sharpen"]


# ---------------------------------------------------------------- profiles and borders


@pytest.mark.parametrize("dtype", ["int16", "float32", "int64"])
@pytest.mark.parametrize("kernel", ["positive", "sobel", "sharpen", "general"])
@pytest.mark.parametrize("normalise", [True, False])
def test_physical_values(kernel: str, normalise: bool, dtype: str) -> None:
    pixels = np.random.default_rng(1).integers(-100, 100, (1, 8, 9)).astype(dtype)
    valid = np.random.default_rng(2).random(pixels.shape) > 0.2
    bands = (Band(nodata=7, scale=-0.5, offset=30.0, unit="m", name="height"),)
    declaration = Convolution(weights=KERNELS[kernel], normalise=normalise, border="invalid")
    result, where = run(declaration, pixels, valid, bands=bands)
    (output,) = declaration.output_profiles([profile_of(pixels, bands)])
    (band,) = output.bands
    values = result[0].astype(float) * band.scale + band.offset
    physical = pixels[0] * -0.5 + 30
    wanted = reference(KERNELS[kernel], physical, valid[0], normalise=normalise)
    size = 4 * scale_of(KERNELS[kernel], physical, normalise=normalise)
    compare(values.astype("float32"), where[0], wanted, size)
    assert (band.name, band.unit, band.nodata) == ("height", "m", None)


def test_results_around_zero_are_drawn_so() -> None:
    assert Convolution("laplacian 4").styles() == (Ramp(DIVERGING, symmetric=True),)
    assert not Convolution("sharpen").styles()
    assert Convolution(weights="0.1 0.2 -0.3").used.total == 0


@pytest.mark.parametrize("border", ["reflect", "nearest", "invalid"])
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 3)])
def test_margin_larger_than_the_image(size: tuple[int, int], border: str) -> None:
    pixels, valid = random_image("float64", (1, *size), seed=3)
    for weights in (general(9, 11), product(9, 5), positive(7, 9)):
        result, where = run(Convolution(weights=weights, border=border), pixels)
        if border == "invalid":
            wanted: Any = reference(weights, pixels[0], valid[0])
        else:
            wanted = ndimage.correlate(pixels[0], np.array(weights), mode=border) / np.sum(weights)
            wanted = wanted.ravel().tolist()
        compare(result[0], where[0], wanted, 10 * scale_of(weights, pixels, normalise=True))


@pytest.mark.parametrize(
    ("parameters", "makes"),
    [
        ({}, False),
        ({"border": "invalid"}, False),
        ({"nodata": "propagate"}, False),
        ({"nodata": "propagate", "border": "invalid"}, True),
        ({"weights": "1 0 1", "border": "invalid"}, True),
        ({"kernel": "sobel upwards", "border": "invalid"}, False),
    ],
)
def test_where_results_can_be_invalid(parameters: dict[str, Any], makes: bool) -> None:
    declaration = Convolution(**parameters)
    assert declaration.makes_invalid == makes
    shapes = ((1, 1, 1), (1, 4, 4))
    assert makes == any(not run(declaration, np.ones(shape))[1].all() for shape in shapes)


# ---------------------------------------------------------------- the same bits


@settings(max_examples=80, deadline=None)
@given(
    image=images(),
    kernel=st.sampled_from(list(KERNELS.values())),
    normalise=st.booleans(),
    nodata=st.sampled_from(["ignore", "propagate"]),
    border=st.sampled_from(["reflect", "nearest", "invalid"]),
)
def test_same_bits_for_any_blocks(
    image: Any, kernel: Rows, normalise: bool, nodata: str, border: str
) -> None:
    pixels, valid, block = image
    fill = np.min(kernel) >= 0
    declaration = Convolution("given", kernel, normalise, nodata, fill, border)
    whole = run(declaration, pixels, valid)
    assert same_bits(whole, run(declaration, pixels, valid, block=block))


@pytest.mark.parametrize("kernel", KERNELS)
def test_the_mask_alone_changes_no_bit(kernel: str) -> None:
    pixels, valid = random_image("float32", (1, 60, 90), seed=5)
    declaration = Convolution(weights=KERNELS[kernel])
    clean = run(declaration, pixels)[0]
    valid[0, [0, 0, -1, -1], [0, -1, 0, -1]] = False  # so that all of it is computed with a mask
    masked = run(declaration, pixels, valid)[0]
    far = slice(declaration.margin + 1, -declaration.margin - 1)
    assert masked[0, far].tobytes() == clean[0, far].tobytes()
    assert (masked[0] != clean[0]).any()


def test_pieces_of_a_long_sum_change_no_bit() -> None:
    pixels, _ = random_image("float32", (1, 300, 500), seed=6)
    for weights in (general(3, 5), product(5, 5)):
        declaration = Convolution(weights=weights)
        whole = run(declaration, pixels)
        assert same_bits(whole, run(declaration, pixels, block=(37, 50)))
        wanted = ndimage.correlate(pixels[0].astype(float), np.array(weights)) / np.sum(weights)
        scale = scale_of(weights, pixels, normalise=True)
        compare(whole[0][0], whole[1][0], wanted.ravel().tolist(), scale)


def test_parameters_of_the_dialog() -> None:
    found = {item.name: item for item in Convolution.parameters()}
    assert list(found) == [
        "kernel", "weights", "normalise", "nodata", "fill", "border", "file",
    ]  # fmt: skip
    assert found["weights"].kind == Matrix()
    assert found["border"].kind == Choice(("reflect", "nearest", "invalid"))
    assert Convolution(weights="1 2 1; 2 4 2; 1 2 1") == Convolution()


# ---------------------------------------------------------------- large kernels, and those of files


@pytest.mark.parametrize("separable", [True, False])
def test_a_kernel_of_125_rows(separable: bool) -> None:
    random = np.random.default_rng(12)
    weights = (
        np.outer(*random.uniform(0.1, 1, (2, 125))) if separable else random.random((125, 125))
    )
    declaration = Convolution(weights=rows_of(weights))
    assert declaration.margin == 62
    assert (declaration.used.factors is not None) == separable
    assert declaration.used.operations == (250 if separable else 125**2)
    pixels, _ = random_image("float32", (1, 70, 90), seed=1)
    result = run(declaration, pixels)
    wanted = ndimage.correlate(pixels[0].astype(float), weights, mode="reflect") / weights.sum()
    np.testing.assert_allclose(result[0][0], wanted, rtol=0, atol=1e-6 * np.abs(pixels).max())
    assert same_bits(result, run(declaration, pixels, block=(30, 41)))
    profile = replace(profile_of(pixels), width=10_000, height=10_000)
    remarks = declaration.remarks({"INPUT": [profile]})
    if separable:
        assert not remarks
    else:
        assert "15625 weights" in remarks[0]
        assert "1094 seconds" in remarks[0]


@pytest.mark.parametrize(
    "text",
    ["1 2 1\n2 4.5 2\n1 2 1\n", "1,2,1\r\n2,4.5,2\r\n1,2,1", "1;2;1\n2;4.5;2;\n1;2;1",
     "# a kernel\n1\t2\t1\n\n 2, 4.5, 2 \n1 2 1", "1 2 1; 2 4.5 2; 1 2 1",
     "\ufeff1,2,1\n2,4.5,2\n1,2,1"],
)  # fmt: skip
def test_weights_in_a_file(text: str, tmp_path: Path) -> None:
    path = tmp_path / "kernel.csv"
    path.write_bytes(text.encode())
    found = Convolution(file=str(path))
    assert found == Convolution(weights="1 2 1; 2 4.5 2; 1 2 1")
    path.unlink()  # it was read once, whatever becomes of it
    assert pickle.loads(pickle.dumps(found)) == found
    assert Convolution("sharpen", file="nowhere").used.weights == PRESETS["sharpen"]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "it is empty"), (b"1 2 1\n1 2", "not of equal length"), (b"1 two 1", "is no number"),
     (b"1 nan 1", "is no number"),
     (b"\xff\xfe\x00", "is no text"), (b" " * (4 << 20) + b"1 ", "larger than 4 MB"),
     (b"1 2\n3 4", "odd numbers")],
)  # fmt: skip
def test_files_that_hold_no_kernel(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "kernel.txt"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason):
        Convolution(file=str(path))
    for other in (tmp_path, tmp_path / "nowhere.txt", Path("/dev/zero")):
        with pytest.raises(InputError, match="is not there|not a file"):
            Convolution(file=str(other))
