"""A user's map, merge and finish functions, and that EOScale's own form gives the same."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Summary
from eoscale_engine.errors import EngineError, InputError, TileError
from eoscale_engine.executors import n_images_to_m_scalars
from eoscale_engine.profile import Band, Profile
from eoscale_engine.reductions.python_reduction import PythonReduction
from eoscale_engine.reductions.summary import jsonable

ROOT = Path(__file__).parents[2]
FILE = str(ROOT / "tests" / "data" / "user_functions.py")
EXAMPLE = str(ROOT / "examples" / "python_reduction.py")
PIXELS = np.random.default_rng(3).integers(0, 100, (1, 700, 1300)).astype("int16")


def reduction(function: str, merge: str, **options: Any) -> PythonReduction:
    return PythonReduction(
        **{"file": FILE, "function": function, "merge_function": merge, **options}
    )


def opened(context: EOContextManager, pixels: np.ndarray = PIXELS) -> str:
    count, rows, cols = pixels.shape
    bands = (Band(nodata=0),) * count
    key = context.create_image(Profile(cols, rows, pixels.dtype.name, bands))
    context.get_array(key)[:] = pixels
    return key


def run(declaration: PythonReduction, pixels: np.ndarray = PIXELS, workers: int = 0) -> Summary:
    with EOContextManager(workers, inline=not workers) as context:
        found: Summary = context.reduce(declaration, [opened(context, pixels)])
        return found


def functions(file: str) -> Any:
    spec = importlib.util.spec_from_file_location(Path(file).stem + "_of_test", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("start", ["first piece", "zeros"])
def test_map_merge_and_finish(start: str) -> None:
    declaration = reduction(
        "counted", "add_counted", finish_function="mean_of", start=start,
        params='{"edges": [1, 10, 50, 99]}', names="these, names, are, the, dictionary's",
    )  # fmt: skip
    valid = PIXELS[PIXELS != 0]
    counts = np.histogram(valid, [1, 10, 50, 99])[0].tolist()
    made = run(declaration)
    rows = dict(made.tables[0].rows)
    assert rows["pixels"] == valid.size
    assert rows["total"] == valid.sum()
    assert rows["mean"] == valid.mean()
    assert rows["width"] == 1300
    np.testing.assert_array_equal(np.array(rows["counts"].strip("[]").split(","), float), counts)
    assert made.numbers == {
        "VALUE": valid.size, "VALUE_2": valid.sum(), "VALUE_3": None, "VALUE_4": valid.mean(),
    }  # fmt: skip
    assert made.charts[0].title == "counts"
    assert made.charts[0].series[0][1:] == ((0.0, 1.0, 2.0), tuple(map(float, counts)))
    assert repr(run(declaration, workers=2)) == repr(made)


def test_without_finish_as_before() -> None:
    made = run(reduction("extremes", "merge_extremes", names="least, most"))
    assert made.tables[0].rows == (
        ("least", 0.0), ("most", 99.0), ("value 3", PIXELS.size),
    )  # fmt: skip
    assert list(made.numbers.values()) == [0.0, 99.0, PIXELS.size, None]
    # zeros are no neutral element of a minimum, nor have they another type than EOScale's
    assert run(reduction("extremes", "merge_extremes", start="zeros")).numbers["VALUE_2"] == 99


@pytest.mark.parametrize("workers", [0, 2])
def test_pieces_come_in_order_with_their_tiles(workers: int) -> None:
    """A merge that is not associative."""
    starts = [(row, col) for row in (0, 512) for col in (0, 512, 1024)]
    said = [
        f"{PIXELS[0, row, col]}@{row},{min(col + 511, 1299)}" for row, col in starts
    ]  # fmt: skip
    made = run(reduction("corner", "corners", start="zeros"), workers=workers)
    assert made.tables[0].rows == (("value 1", " ".join(["0.0", *said])),)
    made = run(reduction("corner", "corners"), workers=workers)
    assert made.tables[0].rows == (("value 1", " ".join([str(PIXELS[0, 0, 0]), *said[1:]])),)
    assert made.numbers["VALUE"] is None


def test_the_same_as_eoscales_form() -> None:
    module = functions(FILE)
    with EOContextManager(inline=True) as context:
        key = opened(context)
        for merge, first in (("merge_extremes", "extremes"), ("corners", "corner")):
            with pytest.warns(UserWarning, match="runs in this process only"):
                values = n_images_to_m_scalars(
                    [key], getattr(module, first), getattr(module, merge), context
                )
            made = context.reduce(reduction(first, merge, start="zeros"), [key])
            assert [value for _, value in made.tables[0].rows] == values


def sizes(buffers: Any, profiles: Any, params: Any) -> Any:
    return buffers[0].size


def test_a_concatenate_filter_may_return_the_list() -> None:
    def total(output_scalars: Any, chunk_output_scalars: Any, tile: Any) -> Any:
        return (output_scalars[0] + chunk_output_scalars[0],)

    with EOContextManager(inline=True) as context:
        assert n_images_to_m_scalars([opened(context)], sizes, total, context) == [PIXELS.size]


def test_values_of_every_kind_are_shown() -> None:
    made = run(reduction("oddities", "keep"))
    assert [value for _, value in made.tables[0].rows] == [
        0.5, None, np.inf, None, True, "text", "[0, 1, 2]", "[1, null]", "[[1.0, 0.0], [0.0, 1.0]]",
        '{"a": 3}', "1+2j", "2024-02-03",
    ]  # fmt: skip
    assert made.numbers == {"VALUE": 0.5, "VALUE_2": None, "VALUE_3": np.inf, "VALUE_4": None}
    assert [chart.title for chart in made.charts] == ["value 7", "value 8"]
    jsonable(made)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("function", "merge", "finish", "said"),
    [
        (
            "fails",
            "keep",
            "",
            "map function 'fails' failed on the tile of rows 0 to 511, columns 0",
        ),
        ("corner", "fails", "", "merge function 'fails' failed on the tile of .*, columns 512 to"),
        ("corner", "keep", "fails", "finish function 'fails' failed"),
    ],
)
@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_names_function_file_and_line(
    function: str, merge: str, finish: str, said: str, workers: int
) -> None:
    said += r".*LinAlgError: Singular matrix \(.*user_functions.py, line \d+\)"
    with pytest.raises(TileError, match=said) as caught:
        run(reduction(function, merge, finish_function=finish), workers=workers)
    line = int(str(caught.value).rpartition("line ")[2].rstrip(")"))
    assert (
        Path(FILE).read_text().splitlines()[line - 1]
        == "    return np.linalg.inv(np.zeros((1, 1)))"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"finish_function": "nothing"}, "no function 'nothing'.*It has: box_sum"),
        ({"merge_function": "nothing"}, "no function 'nothing'"),
        ({"finish_function": "an_object"}, "'value 1' cannot be shown: object"),
        ({"merge_function": "a_number"}, "'a_number' returned int; it must change"),
    ],
)
def test_functions_that_do_not_fit(options: Any, said: str) -> None:
    with pytest.raises(EngineError, match=said):
        run(PythonReduction(**{"file": FILE, "function": "corner", "merge_function": "keep",
                               **options}))  # fmt: skip


def test_bad_parameters() -> None:
    with pytest.raises(InputError, match="first piece, zeros"):
        reduction("corner", "keep", start="nowhere")
    with pytest.raises(InputError, match="JSON"):
        reduction("corner", "keep", params="{")


# ---------------------------------------------------------------- the example


def test_the_example_in_qgis() -> None:
    declaration = PythonReduction(
        file=EXAMPLE, function="pixels", merge_function="add", finish_function="averages",
        params='{"bins": 5, "range": [0, 100]}',
    )  # fmt: skip
    valid = PIXELS[PIXELS != 0].astype(float)
    rows = dict(run(declaration, workers=2).tables[0].rows)
    assert rows["count"] == valid.size
    assert rows["mean"] == pytest.approx(valid.mean(), rel=1e-12)
    assert rows["deviation"] == pytest.approx(valid.std(), rel=1e-12)
    assert rows["histogram"] == str(np.histogram(valid, 5, (0, 100))[0].tolist())
    empty = run(declaration, np.zeros((1, 9, 9), "int16")).tables[0].rows
    assert empty[:3] == (("count", 0), ("mean", None), ("deviation", None))


def test_the_example_as_a_script(tmp_path: Path) -> None:
    with EOContextManager(inline=True) as context:
        context.write(opened(context), str(tmp_path / "image.tif"))
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", EXAMPLE, str(tmp_path / "image.tif"),
         "--workers", "2"],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = dict(line.split(": ") for line in done.stdout.splitlines())
    assert float(said["mean"]) == pytest.approx(PIXELS[PIXELS != 0].mean(), rel=1e-12)
    assert said["mean, once more"] == said["mean"]
