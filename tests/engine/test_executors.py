"""EOScale's two functions: N images to M images and to M scalars, against the whole image."""

from __future__ import annotations

import copy
import inspect
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from eoscale_engine.callable_work import Tile
from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError
from eoscale_engine.executors import n_images_to_m_images_filter, n_images_to_m_scalars

ROWS, COLS = 70, 90


@pytest.fixture(scope="module", params=["workers", "inline"])
def context(request: Any) -> Iterator[EOContextManager]:
    inline = request.param == "inline"
    with EOContextManager(2, True, inline=inline, tile_pixels=700, block_bytes=3000) as made:
        yield made


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    random = np.random.default_rng(3)
    found = random.normal(100, 30, (2, ROWS, COLS)).astype(np.float32)
    found[random.random(found.shape) < 0.1] = -9999
    return found


@pytest.fixture(scope="module")
def image(context: EOContextManager, pixels: np.ndarray) -> str:
    key = context.create_image(
        {
            "width": COLS, "height": ROWS, "count": 2, "dtype": "float32", "nodata": -9999,
            "crs": "EPSG:32631", "transform": (10, 0, 500, 0, -10, 900),
        }
    )  # fmt: skip
    context.get_array(key)[:] = pixels
    return key


# ---------------------------------------------------------------- functions as EOScale users write


def nodata_filter(input_buffers: Any, input_profiles: Any, params: Any) -> Any:
    return np.where(input_buffers[0][0] == input_profiles[0]["nodata"], 1, 0).astype(np.uint8)


def nodata_profile(input_profiles: Any, params: Any) -> Any:
    mask_profile = input_profiles[0]
    mask_profile["dtype"] = np.uint8
    mask_profile["nodata"] = None
    mask_profile["count"] = 1
    return mask_profile


def uniform_filter(input_buffers: Any, input_profiles: Any, params: Any) -> Any:
    return [
        np.stack([
            ndimage.correlate(band, np.ones((params["size"],) * 2, band.dtype), mode="constant")
            for band in input_buffers[0]
        ])
    ]  # fmt: skip


def place(input_buffers: Any, input_profiles: Any, params: Any) -> Any:
    """Two images: what was handed over, and other types and band counts."""
    profile = input_profiles[1]
    assert profile["transform"].a == 10
    assert profile["crs"].to_epsg() == 32631
    assert profile["width"] == COLS
    one, two = input_buffers
    assert one.shape == two.shape
    return [np.concatenate([one, two, two]), (one[0] > two[1]) * params["factor"]]


def place_profiles(input_profiles: Any, params: Any) -> Any:
    first, second = copy.deepcopy(input_profiles)
    first["count"], first["dtype"] = 6, np.float64
    second["count"], second["dtype"], second["nodata"] = 1, "int16", -1
    params["factor"] = 7
    return [first, second]


def stats_filter(input_buffers: Any, input_profiles: Any, filter_parameters: Any) -> Any:
    img = input_buffers[0]
    return [np.min(img), np.max(img)]


def stats_concatenate(output_scalars: Any, chunk_output_scalars: Any, tile: Any) -> None:
    output_scalars[0] = min(output_scalars[0], chunk_output_scalars[0])
    output_scalars[1] = max(output_scalars[1], chunk_output_scalars[1])


def histogram(input_buffers: Any, input_profiles: Any, params: Any) -> Any:
    assert input_buffers[0].shape == input_buffers[1].shape
    return np.histogram(input_buffers[0], params["edges"])[0]


# ---------------------------------------------------------------- N images to M images


def test_a_mask_with_a_profile_that_the_function_changes(
    context: EOContextManager, image: str, pixels: np.ndarray
) -> None:
    [made] = n_images_to_m_images_filter(
        inputs=[image],
        image_filter=nodata_filter,
        generate_output_profiles=nodata_profile,
        context_manager=context,
        filter_desc="Nodata processing...",
    )
    array = context.get_array(made)
    assert array.dtype == np.uint8
    np.testing.assert_array_equal(array, (pixels[:1] == -9999))
    assert context.get_profile(made)["nodata"] is None
    assert context.get_profile(image)["dtype"] == "float32"
    assert context.timings["Nodata processing..."] > 0


@pytest.mark.parametrize("whole_tiles", [False, True])
def test_margins_are_cut_at_the_border(
    context: EOContextManager, image: str, pixels: np.ndarray, whole_tiles: bool
) -> None:
    """SciPy sees the same beyond the border as on the whole image; one less margin shows."""
    params = {"size": 7}
    [whole] = uniform_filter([pixels], [{}], params)
    for margin in (3, 5, 1000):
        [made] = n_images_to_m_images_filter(
            [image], uniform_filter, params, None, None, margin, context, whole_tiles=whole_tiles
        )
        assert context.get_array(made).tobytes() == whole.tobytes()
    [made] = n_images_to_m_images_filter([image], uniform_filter, params, None, None, 2, context)
    assert context.get_array(made).tobytes() != whole.tobytes()


def test_nodata_that_a_function_hands_on_stays(
    context: EOContextManager, image: str, pixels: np.ndarray
) -> None:
    [made] = n_images_to_m_images_filter(
        [image], uniform_filter, {"size": 1}, context_manager=context
    )
    assert context.get_array(made).tobytes() == pixels.tobytes()


def test_two_images_to_two_of_other_types_and_band_counts(
    context: EOContextManager, image: str, pixels: np.ndarray
) -> None:
    params: dict[str, Any] = {}
    one, two = n_images_to_m_images_filter(
        inputs=[image, image], image_filter=place, filter_parameters=params,
        generate_output_profiles=place_profiles, context_manager=context, stable_margin=2,
    )  # fmt: skip
    assert params == {}
    np.testing.assert_array_equal(context.get_array(one), np.concatenate([pixels] * 3))
    assert context.get_array(one).dtype == np.float64
    assert [band.nodata for band in context.profile(one).bands] == [-9999] * 6
    np.testing.assert_array_equal(context.get_array(two)[0], (pixels[0] > pixels[1]) * 7)
    assert (context.get_array(two).dtype, context.profile(two).nodata) == (np.int16, -1)


def test_one_output_like_each_input_by_default(context: EOContextManager, image: str) -> None:
    from eoscale_engine.errors import EngineError

    with pytest.raises(EngineError, match="returned 1 image; it declares 2"):
        n_images_to_m_images_filter(
            [image, image], uniform_filter, {"size": 1}, context_manager=context
        )


def half_profile(input_profiles: Any, params: Any) -> Any:
    return {**input_profiles[0], "width": COLS // 2, "height": ROWS // 2}


def test_a_concatenate_filter_places_the_tiles(
    context: EOContextManager, image: str, pixels: np.ndarray
) -> None:
    tiles: list[Tile] = []

    def every_second(outputs: Any, chunk_output_buffers: Any, tile: Any) -> None:
        tiles.append(tile)
        rows = slice(tile.start_y // 2, (tile.end_y + 1) // 2)
        cols = slice(tile.start_x // 2, (tile.end_x + 1) // 2)
        outputs[0][:, rows, cols] = chunk_output_buffers[0][:, ::2, ::2]

    before = set(context.images)
    [made] = n_images_to_m_images_filter(
        [image], uniform_filter, {"size": 1}, half_profile, every_second, 0, context
    )
    np.testing.assert_array_equal(context.get_array(made), pixels[:, ::2, ::2])
    assert tiles == [Tile(0, 0, COLS - 1, ROWS - 1)]
    assert set(context.images) - before == {made}
    with pytest.raises(InputError, match="45 x 35 pixels; it must have the 90 x 70"):
        n_images_to_m_images_filter(
            [image], uniform_filter, {"size": 1}, half_profile, context_manager=context
        )


@pytest.mark.parametrize("made", [None, 3, [], [3]])
def test_profile_functions_that_return_something_else(
    context: EOContextManager, image: str, made: Any
) -> None:
    with pytest.raises(InputError, match=r"profile function returned|no output"):
        n_images_to_m_images_filter(
            [image], uniform_filter, {"size": 1}, lambda p, q: made, context_manager=context
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": []}, "At least one input"),
        ({"inputs": None}, "At least one input"),
        ({"image_filter": None}, "must be a function"),
        ({"context_manager": None}, "context manager"),
        ({"stable_margin": -1}, "at least 0"),
        ({"inputs": ["nothing"]}, "no image 'nothing'"),
    ],
)
def test_what_is_missing_is_a_value_error_too(
    context: EOContextManager, image: str, changes: Any, message: str
) -> None:
    arguments = {"inputs": [image], "image_filter": uniform_filter, "context_manager": context}
    with pytest.raises(ValueError, match=message):
        n_images_to_m_images_filter(**{**arguments, **changes})


# ---------------------------------------------------------------- N images to M scalars


def test_extremes(context: EOContextManager, image: str, pixels: np.ndarray) -> None:
    stats = n_images_to_m_scalars(
        inputs=[image],
        image_filter=stats_filter,
        nb_output_scalars=2,
        concatenate_filter=stats_concatenate,
        context_manager=context,
        filter_desc="Min value processing...",
    )
    assert stats == [pixels.min(), pixels.max()]
    neutral = [math.inf, -math.inf]
    given = n_images_to_m_scalars(
        [image], stats_filter, stats_concatenate, context, output_scalars=neutral
    )
    assert given is neutral
    assert given == stats


def test_values_of_any_kind(context: EOContextManager, image: str, pixels: np.ndarray) -> None:
    def add(output_scalars: Any, chunk_output_scalars: Any, tile: Any) -> None:
        output_scalars[0] = output_scalars[0] + chunk_output_scalars[0]

    edges = [-1e5, 0, 90, 100, 1e5]
    [counts] = n_images_to_m_scalars(
        [image, image], histogram, add, context, {"edges": edges}, 1, [np.zeros(4, int)]
    )
    np.testing.assert_array_equal(counts, np.histogram(pixels, edges)[0])


def corner(input_buffers: Any, input_profiles: Any, params: Any) -> Any:
    return [float(input_buffers[0][0, 0, 0])]


def test_pieces_come_in_reading_order(context: EOContextManager) -> None:
    key = context.create_image({"width": 3000, "height": 1100, "count": 1, "dtype": "int32"})
    values = np.add.outer(np.arange(1100) * 10_000, np.arange(3000))
    context.get_array(key)[0] = values
    tiles: list[Tile] = []
    corners: list[float] = []

    def gather(output_scalars: Any, chunk_output_scalars: Any, tile: Any) -> None:
        tiles.append(tile)
        corners.extend(chunk_output_scalars)

    n_images_to_m_scalars([key], corner, gather, context)
    assert tiles[0] == Tile(0, 0, 511, 511)
    assert tiles[-1] == Tile(2560, 1024, 2999, 1099)
    assert [(t.start_y, t.start_x) for t in tiles] == sorted((t.start_y, t.start_x) for t in tiles)
    assert corners == [t.start_y * 10_000 + t.start_x for t in tiles]
    context.release(key)


def test_a_concatenate_filter_is_needed(context: EOContextManager, image: str) -> None:
    with pytest.raises(ValueError, match="concatenate_filter"):
        n_images_to_m_scalars([image], stats_filter, None, context)


# ---------------------------------------------------------------- signatures


def names(function: Any) -> list[str]:
    return [
        item.name
        for item in inspect.signature(function).parameters.values()
        if item.kind is item.POSITIONAL_OR_KEYWORD and item.name != "self"
    ]


def test_parameters_have_eoscales_names_and_order() -> None:
    assert names(n_images_to_m_images_filter) == [
        "inputs", "image_filter", "filter_parameters", "generate_output_profiles",
        "concatenate_filter", "stable_margin", "context_manager", "multiproc_context",
        "filter_desc",
    ]  # fmt: skip
    assert names(n_images_to_m_scalars) == [
        "inputs", "image_filter", "concatenate_filter", "context_manager", "filter_parameters",
        "nb_output_scalars", "output_scalars", "multiproc_context", "filter_desc",
    ]  # fmt: skip
    assert names(EOContextManager) == ["nb_workers", "tile_mode"]
    for method, first in (
        ("open_raster", ["raster_path"]), ("create_image", ["profile"]),
        ("create_memview", ["key", "arr_subset", "arr_subset_profile"]),
        ("get_array", ["key", "tile"]), ("get_profile", ["key"]), ("release", ["key"]),
        ("write", ["key", "img_path"]), ("update_profile", ["key", "profile"]),
        ("start", []), ("end", []),
    ):  # fmt: skip
        found = names(getattr(EOContextManager, method))
        assert found[: len(first)] == first, method
    assert Tile._fields == (
        "start_x", "start_y", "end_x", "end_y",
        "top_margin", "right_margin", "left_margin", "bottom_margin",
    )  # fmt: skip
