"""Edges against SciPy, direct loops and inclined planes, and themselves in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from math import atan2, cos, degrees, hypot, radians, sin, sqrt
from typing import Any, Optional

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from eoscale_engine.declaration import Block, Blocks
from eoscale_engine.errors import InputError
from eoscale_engine.filters.neighbourhood.edges import Edges
from eoscale_engine.profile import Band
from eoscale_engine.styles import CYCLE, DIVERGING, GREY, Ramp
from eoscale_engine.tiling import Window
from tests.engine.neighbourhoods import (
    REAL_DTYPES,
    images,
    profile_of,
    random_image,
    run,
    same_bits,
)

GRADIENTS = ("sobel", "prewitt", "scharr", "roberts")
OPERATORS = (*GRADIENTS, "laplacian")
SIZES = {"sobel": 8, "prewitt": 6, "scharr": 32, "roberts": sqrt(2), "laplacian": 1}


def at(edges: Edges, pixels: np.ndarray, valid: np.ndarray, row: int, col: int) -> Any:
    """Change to the right and upwards (or the Laplacian alone) at a pixel; None if invalid."""
    if not valid[row, col]:
        return None
    used = {
        "roberts": [(0, 1), (1, 0), (1, 1)],
        "laplacian": [(-1, 0), (1, 0), (0, -1), (0, 1)],
    }.get(edges.operator, [(y, x) for y in (-1, 0, 1) for x in (-1, 0, 1)])

    def known(y: int, x: int) -> bool:
        inside = 0 <= row + y < pixels.shape[0] and 0 <= col + x < pixels.shape[1]
        return bool(inside and valid[row + y, col + x])

    def p(y: int, x: int) -> float:
        return float(pixels[row + y, col + x] if known(y, x) else pixels[row, col])

    if edges.nodata == "propagate" and not all(known(*place) for place in used):
        return None
    if edges.operator == "laplacian":
        return (p(-1, 0) + p(1, 0) + p(0, -1) + p(0, 1) - 4 * p(0, 0),)
    if edges.operator == "roberts":
        rising, falling = p(0, 1) - p(1, 0), p(0, 0) - p(1, 1)
        changes = (rising - falling) / sqrt(2), (rising + falling) / sqrt(2)
    else:
        a, b, c = {"sobel": (1, 2, 1), "prewitt": (1, 1, 1), "scharr": (3, 10, 3)}[edges.operator]
        changes = (
            a * (p(-1, 1) - p(-1, -1)) + b * (p(0, 1) - p(0, -1)) + c * (p(1, 1) - p(1, -1)),
            a * (p(-1, -1) - p(1, -1)) + b * (p(-1, 0) - p(1, 0)) + c * (p(-1, 1) - p(1, 1)),
        )
    # a plane that rises by 1 from pixel to pixel has Roberts' diagonal differences of sqrt(2)
    size = SIZES[edges.operator] if edges.per_pixel else 1
    return tuple(change / size for change in changes)


def reference(edges: Edges, pixels: np.ndarray, valid: np.ndarray) -> list[list[Any]]:
    """For each result of a band one value or None for each pixel, by a direct loop."""
    changes = [at(edges, pixels, valid, *place) for place in np.ndindex(*pixels.shape)]

    def values(kind: str) -> list[Optional[float]]:
        found: list[Optional[float]] = []
        for change in changes:
            if change is None or (kind == "direction" and not any(change)):
                found.append(None)
            elif kind == "direction":
                found.append(degrees(atan2(*change)) % 360)
            elif len(change) == 1:
                found.append(change[0])
            else:
                found.append({"right": change[0], "up": change[1]}.get(kind, hypot(*change)))
        return found

    kinds = {"both": ("magnitude", "direction"), "components": ("right", "up")}
    return [values(kind) for kind in kinds.get(edges.result, (edges.result,))]


def filtered(
    edges: Edges,
    pixels: np.ndarray,
    valid: Optional[np.ndarray] = None,
    bands: Sequence[Band] = (),
) -> tuple[np.ndarray, np.ndarray]:
    """Filter an image in one block: every band of the result, and where it is valid."""
    modes: dict[str, Any] = {"invalid": "constant", "nearest": "edge", "reflect": "symmetric"}
    wide = ((0, 0), (1, 1), (1, 1))
    valid = np.ones(pixels.shape, bool) if valid is None else valid
    seen = np.pad(valid, wide, mode=modes[edges.border])
    core = Window(0, 0, *pixels.shape[1:])
    block = Block(
        np.pad(pixels, wide, mode=modes[edges.border]),
        None if seen.all() else seen,
        profile_of(pixels, bands),
        core,
        (1,) * 4,
    )
    found, where = edges.apply(Blocks(core, {"INPUT": [block]}))
    (output,) = edges.output_profiles([block.profile])
    assert found.shape == (output.count, *pixels.shape[1:])
    assert found.dtype == output.dtype
    return found, (found == found) & (True if where is None else where)


def compare(found: np.ndarray, where: np.ndarray, wanted: list[Any], atol: float) -> None:
    assert where.ravel().tolist() == [value is not None for value in wanted]
    want = np.array([np.nan if value is None else value for value in wanted])[where.ravel()]
    np.testing.assert_allclose(found[where], want, rtol=1e-6, atol=atol)


def random_holes(dtype: str, seed: int, holes: float = 0.2) -> tuple[np.ndarray, np.ndarray]:
    """Two bands of small whole numbers, and where they are valid."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 100, (2, 9, 11)).astype(dtype)
    valid = random.random(pixels.shape) >= holes
    pixels[~valid] = np.nan if np.dtype(dtype).kind == "f" else 99
    return pixels, valid


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("border", ["reflect", "nearest"])
@pytest.mark.parametrize("dtype", REAL_DTYPES)
def test_scipy_agrees_on_plain_sums(dtype: str, border: str) -> None:
    pixels, _ = random_image(dtype, (1, 20, 23), seed=1)
    wide = pixels[0].astype(float)
    largest = float(np.abs(wide).max())
    for operator, by_scipy in (("sobel", ndimage.sobel), ("prewitt", ndimage.prewitt)):
        right, down = (by_scipy(wide, axis, mode=border) for axis in (1, 0))
        edges = Edges(operator, "magnitude", False, border=border)
        found, where = filtered(edges, pixels)
        assert where.all()
        assert found.dtype == ("float64" if np.dtype(dtype).itemsize == 8 else "float32")
        atol = 16 * np.finfo(found.dtype).eps * largest
        np.testing.assert_allclose(found[0], np.hypot(right, down), rtol=1e-6, atol=atol)
        found, _ = filtered(Edges(operator, "components", False, border=border), pixels)
        np.testing.assert_allclose(found, [right, -down], rtol=1e-6, atol=atol)
    found, _ = filtered(Edges("laplacian", border=border), pixels)
    np.testing.assert_allclose(found[0], ndimage.laplace(wide, mode=border), rtol=1e-6, atol=atol)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "float64"])
@pytest.mark.parametrize("nodata", ["ignore", "propagate"])
@pytest.mark.parametrize("result", ["magnitude", "direction", "both"])
@pytest.mark.parametrize("operator", OPERATORS)
def test_holes_against_a_direct_loop(
    operator: str, result: str, nodata: str, dtype: str
) -> None:  # fmt: skip
    if operator == "laplacian" and result != "magnitude":
        return
    pixels, valid = random_holes(dtype, seed=2)
    for per_pixel in (True, False):
        edges = Edges(operator, result, per_pixel, nodata, "invalid")
        found, where = filtered(edges, pixels, valid)
        wanted = [part for band in range(2) for part in reference(edges, pixels[band], valid[band])]
        assert len(wanted) == len(found)
        for one, inside, want in zip(found, where, wanted):
            compare(one, inside, want, atol=2e-4)


@pytest.mark.parametrize("operator", GRADIENTS)
def test_components_with_holes(operator: str) -> None:
    pixels, valid = random_holes("float32", seed=3)
    edges = Edges(operator, "components", border="invalid")
    found, where = filtered(edges, pixels, valid)
    wanted = [part for band in range(2) for part in reference(edges, pixels[band], valid[band])]
    for one, inside, want in zip(found, where, wanted):
        compare(one, inside, want, atol=1e-5)


def test_components_need_the_pixels_under_their_own_weights() -> None:
    valid = np.ones((1, 3, 3), bool)
    valid[0, 0, 1] = False
    edges = Edges("sobel", "components", nodata="propagate")
    _, where = filtered(edges, np.ones((1, 3, 3)), valid)
    assert where[:, 1, 1].tolist() == [True, False]


@pytest.mark.parametrize("angle", [0, 1, 45, 90, 133, 180, 225, 270, 359.5])
@pytest.mark.parametrize("operator", GRADIENTS)
def test_an_inclined_plane(operator: str, angle: float) -> None:
    rows, cols = np.indices((7, 8))
    slope = 2.5
    plane = slope * (sin(radians(angle)) * cols - cos(radians(angle)) * rows)
    found, where = filtered(Edges(operator, "both"), plane[None])
    inner = (slice(1, -1), slice(1, -1))
    assert where[:, 1:-1, 1:-1].all()
    np.testing.assert_allclose(found[0][inner], slope, rtol=1e-12)
    np.testing.assert_allclose(found[1][inner], angle, rtol=0, atol=1e-9)


def test_directions_stay_below_the_full_circle() -> None:
    pixels = np.zeros((1, 3, 3), "float32")
    pixels[0, 0] = 1e6
    pixels[0, :, 0] += 1e-3
    for way in (pixels, pixels[:, :, ::-1]):
        found, where = filtered(Edges(result="direction"), np.ascontiguousarray(way))
        assert where[0, 1, 1]
        assert 0 <= found[0, 1, 1] < 360


def test_no_direction_without_a_change() -> None:
    pixels = np.zeros((1, 4, 9))
    pixels[0, :, 5:] = 3
    found, where = filtered(Edges(result="both"), pixels)
    assert where[0].all()
    assert (where[1] == (found[0] > 0)).all()
    assert where[1].sum() == 8
    assert (found[1][where[1]] == 90).all()


@pytest.mark.parametrize("operator", ["sobel", "scharr"])
def test_a_large_offset_costs_no_digits(operator: str) -> None:
    steps = np.random.default_rng(4).integers(0, 4096, (1, 12, 13)) / 4096
    edges = Edges(operator, "components")
    high, _ = filtered(edges, (4000 + steps).astype("float32"))
    low, _ = filtered(edges, steps)
    np.testing.assert_allclose(high, low, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("operator", OPERATORS)
def test_the_edge_of_a_hole_is_none(operator: str) -> None:
    pixels = np.full((1, 7, 8), 12.5)
    valid = np.ones(pixels.shape, bool)
    valid[0, 2:4, 3:6] = False
    pixels[~valid] = -9999
    found, where = filtered(Edges(operator, border="invalid"), pixels, valid)
    assert (where == valid).all()
    assert not found[valid].any()


# ---------------------------------------------------------------- profiles


def output_of(edges: Edges, dtype: str = "int16", **band: Any) -> Any:
    return edges.output_profiles([profile_of(np.zeros((1, 2, 2), dtype), (Band(**band),))])[0]


def test_output_bands() -> None:
    band = {"nodata": 7, "scale": -0.5, "offset": 9.0, "unit": "m", "name": "height"}
    assert output_of(Edges(result="both"), **band).bands == (
        Band(scale=0.5, unit="m/pixel", name="height magnitude"),
        Band(unit="degrees", name="height direction"),
    )
    assert output_of(Edges(result="components", per_pixel=False), **band).bands == (
        Band(scale=-0.5, unit="m", name="height to the right"),
        Band(scale=-0.5, unit="m", name="height upwards"),
    )
    assert output_of(Edges("laplacian"), **band).bands == (
        Band(scale=-0.5, unit="m/pixel^2", name="height laplacian"),
    )
    assert output_of(Edges()).bands == (Band(name="magnitude"),)
    dtypes = {dtype: output_of(Edges(), dtype).dtype for dtype in ("uint8", "int32", "uint64")}
    assert dtypes == {"uint8": "float32", "int32": "float32", "uint64": "float64"}


@pytest.mark.parametrize("scale", [0.5, -2.0])
def test_physical_values(scale: float) -> None:
    pixels, valid = random_holes("int16", seed=5)
    bands = (Band(scale=scale, offset=30.0),) * 2
    for result in ("both", "components"):
        edges = Edges("prewitt", result, border="invalid")
        found, where = filtered(edges, pixels, valid, bands)
        plain, inside = filtered(edges, pixels * scale + 30, valid)
        (output,) = edges.output_profiles([profile_of(pixels, bands)])
        assert (where == inside).all()
        for one, two, known, band in zip(found, plain, where, output.bands):
            np.testing.assert_allclose(
                one[known] * band.scale + band.offset, two[known], rtol=1e-5, atol=1e-4
            )


def test_styles() -> None:
    assert Edges().styles() == (Ramp(GREY),)
    assert Edges(result="both").styles() == (Ramp(GREY),)
    assert Edges(result="direction").styles() == (Ramp(CYCLE, 0, 360),)
    for edges in (Edges("laplacian"), Edges(result="components")):
        assert edges.styles() == (Ramp(DIVERGING, symmetric=True),)


@pytest.mark.parametrize(
    "wrong",
    [{"operator": "canny"}, {"result": "angle"}, {"nodata": "drop"}, {"border": "wrap"},
     *({"operator": "laplacian", "result": result} for result in ("direction", "both",
                                                                  "components"))],
)  # fmt: skip
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Edges(**wrong)


@pytest.mark.parametrize(
    ("parameters", "makes"),
    [
        ({}, False),
        ({"border": "invalid"}, False),
        ({"border": "invalid", "nodata": "propagate"}, True),
        ({"nodata": "propagate"}, False),
        ({"result": "direction"}, True),
        ({"result": "both"}, True),
        ({"result": "components"}, False),
    ],
)
def test_where_results_can_be_invalid(parameters: dict[str, Any], makes: bool) -> None:
    edges = Edges(**parameters)
    assert edges.makes_invalid == makes
    assert makes == (not filtered(edges, np.ones((1, 4, 4)))[1].all())


# ---------------------------------------------------------------- the same bits


ONE_BAND = [
    Edges("sobel"),
    Edges("scharr", "direction", border="invalid"),
    Edges("prewitt", "direction", nodata="propagate", border="nearest"),
    Edges("roberts", per_pixel=False, nodata="propagate", border="invalid"),
    Edges("laplacian", border="invalid"),
]


@settings(max_examples=100, deadline=None)
@given(image=images(), edges=st.sampled_from(ONE_BAND))
def test_same_bits_for_any_blocks(image: Any, edges: Edges) -> None:
    pixels, valid, block = image
    whole = run(edges, pixels, valid)
    assert same_bits(whole, run(edges, pixels, valid, block=block))


@pytest.mark.parametrize("edges", ONE_BAND)
def test_the_mask_alone_changes_no_bit(edges: Edges) -> None:
    pixels, valid = random_image("float32", (1, 40, 60), seed=6)
    clean = run(edges, pixels)[0]
    valid[0, [0, 0, -1, -1], [0, -1, 0, -1]] = False  # so that all of it is computed with a mask
    masked = run(edges, pixels, valid)[0]
    assert masked[0, 2:-2].tobytes() == clean[0, 2:-2].tobytes()
    assert masked.tobytes() != clean.tobytes()


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 3)])
@pytest.mark.parametrize("operator", OPERATORS)
def test_small_images(operator: str, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(7).random((1, *size))
    for nodata in ("ignore", "propagate"):
        edges = Edges(operator, "magnitude", nodata=nodata, border="invalid")
        found, where = filtered(edges, pixels)
        (wanted,) = reference(edges, pixels[0], np.ones(size, bool))
        compare(found[0], where[0], wanted, atol=1e-15)


def test_no_valid_pixel() -> None:
    pixels = np.random.default_rng(8).random((1, 5, 6))
    for edges in ONE_BAND:
        assert not filtered(edges, pixels, np.zeros(pixels.shape, bool))[1].any()
