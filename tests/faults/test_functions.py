"""A user's functions that fail: the message names the tile and the cause, and other jobs go on."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eoscale_engine.errors import Cancelled, EngineError, InputError, TileError
from eoscale_engine.service.client import EngineClient
from tests.faults.jobs import FUNCTIONS, job, pixels, python_job, wait_until

CANCEL = 1.5


@pytest.fixture(autouse=True)
def _nothing_stays(client: EngineClient) -> Iterator[None]:
    """A failed job leaves nothing but loaded files and what is kept for the next image."""
    folder = Path(client.folder)
    yield
    assert not list(folder.glob("*.vrt*"))
    assert len(list(folder.glob("*.raw"))) <= 3


@pytest.mark.parametrize(
    ("function", "said"),
    [
        ("raises", ["the tile of rows ", "ZeroDivisionError: as asked", "functions.py"]),
        ("os_exits", ["the tile of rows ", "twice (exit code 3)"]),
        ("sys_exits", ["the tile of rows ", "SystemExit: enough"]),
        ("faults", ["the tile of rows ", "SIGSEGV"]),
        ("allocates", ["the tile of rows ", "memory ran out"]),
        ("calls_itself", ["the tile of rows ", "each other without end", "functions.py, line "]),
        ("wrong_shape", ["shape"]),
        ("wrong_bands", ["shape"]),
        ("wrong_type", ["str"]),
        ("wrong_dtype", ["object"]),
        ("nothing", ["returned nothing"]),
        ("not_there", ["no function 'not_there'"]),
    ],
)
def test_a_function_that_fails(
    client: EngineClient, image: str, tmp_path: Path, function: str, said: list[str]
) -> None:
    output = str(tmp_path / "OUTPUT.tif")
    with pytest.raises(EngineError) as caught:
        client.run(python_job(function, image, output))
    assert all(part in str(caught.value) for part in said), str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("function", ["changes_its_input", "reads_standard_input"])
def test_a_function_that_does_odd_things(
    client: EngineClient, image: str, tmp_path: Path, function: str
) -> None:
    before = pixels(image)
    result = client.run(python_job(function, image, str(tmp_path / "OUTPUT.tif")))["images"][
        "OUTPUT"
    ]
    change = function == "changes_its_input"
    assert (pixels(result["vrt"]) == before + change).all()
    again = client.run(python_job("same", image, str(tmp_path / "OUTPUT.tif")))["images"]["OUTPUT"]
    assert (pixels(again["vrt"]) == before).all()
    client.release([result["name"], again["name"]])
    wait_until(lambda: not list(Path(client.folder).glob("*.vrt")))


def test_what_a_function_prints_goes_to_the_log(image: str, tmp_path: Path) -> None:
    heard: list[str] = []
    client = EngineClient(log=heard.append)
    try:
        result = client.run(python_job("prints", image, str(tmp_path / "OUTPUT.tif")))
        assert (pixels(result["images"]["OUTPUT"]["vrt"]) == pixels(image)).all()
        assert wait_until(lambda: any("from a child" in line for line in heard))
        assert any("printed" in line for line in heard)
        assert max(map(len, heard)) <= 8192
    finally:
        client.close()


def test_workers_have_the_malloc_settings(client: EngineClient, image: str, tmp_path: Path) -> None:
    names = ["MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "GDAL_CACHEMAX"]
    params = json.dumps({"names": names})
    with pytest.raises(TileError) as caught:
        client.run(python_job("environment", image, str(tmp_path / "OUTPUT.tif"), params=params))
    text = str(caught.value)
    found = json.loads(text[text.index("{") : text.index("}") + 1])
    assert found == dict(zip(names, [str(64 * 1024**2), str(256 * 1024**2), "8"]))


def test_a_worker_killed_once_changes_nothing(
    client: EngineClient, image: str, tmp_path: Path
) -> None:
    params = json.dumps({"marker": str(tmp_path / "once")})
    made = client.run(
        python_job("kills_itself_once", image, str(tmp_path / "OUTPUT.tif"), params=params)
    )["images"]["OUTPUT"]
    assert (pixels(made["vrt"]) == pixels(image)).all()
    client.release([made["name"]])
    wait_until(lambda: not list(Path(client.folder).glob("*.vrt")))


@pytest.mark.parametrize("function", ["faults", "raises"])
def test_another_job_goes_on_while_one_fails(
    client: EngineClient, image: str, tmp_path: Path, function: str
) -> None:
    made: list[str] = []

    def other() -> None:
        params = json.dumps({"seconds": 0.05})
        result = client.run(python_job("same", image, str(tmp_path / "other.tif"), params=params))
        made.append(result["images"]["OUTPUT"]["name"])

    thread = threading.Thread(target=other)
    thread.start()
    with pytest.raises(TileError):
        client.run(python_job(function, image, str(tmp_path / "OUTPUT.tif")))
    thread.join()
    assert len(made) == 1
    client.release(made)
    wait_until(lambda: not list(Path(client.folder).glob("*.vrt")))


@pytest.mark.parametrize("function", ["spins", "holds"])
def test_a_function_that_never_returns_is_cancelled_and_others_go_on(
    client: EngineClient, image: str, tmp_path: Path, function: str
) -> None:
    cancel = threading.Event()
    ended: list[float] = []
    params = json.dumps({"folder": str(tmp_path)})

    def endless() -> None:
        with pytest.raises(Cancelled):
            client.run(
                python_job(function, image, str(tmp_path / "OUTPUT.tif"), params=params),
                cancelled=cancel.is_set,
            )
        ended.append(time.monotonic())

    thread = threading.Thread(target=endless)
    thread.start()
    assert wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    assert client.run(job("rasterstatistics", image))["summary"]
    start = time.monotonic()
    cancel.set()
    thread.join(20)
    assert ended and ended[0] - start < CANCEL
    assert client.run(job("rasterstatistics", image))["summary"]


@pytest.mark.parametrize(
    ("map_function", "merge_function", "kind", "said"),
    [
        ("own_values", "add", TileError, "only its own process knows"),
        ("total", "crashes", TileError, "exit code 5"),
        ("total", "not_there", InputError, "no function 'not_there'"),
        ("os_exits", "add", TileError, "exit code 3"),
    ],
)
def test_a_reduction_that_fails(
    client: EngineClient, large: str, map_function: str, merge_function: str,
    kind: type[Exception], said: str,
) -> None:  # fmt: skip
    with pytest.raises(kind, match=said):
        client.run(
            job("pythonreduction", large, file=FUNCTIONS, function=map_function,
                merge_function=merge_function)
        )  # fmt: skip


def test_a_file_that_does_not_import(client: EngineClient, image: str, tmp_path: Path) -> None:
    file = tmp_path / "broken.py"
    file.write_text("import not_there\n")
    with pytest.raises(InputError, match="does not import: ModuleNotFoundError, line 1"):
        client.run(
            job("pythonfilter", image, str(tmp_path / "OUTPUT.tif"), file=str(file), function="f")
        )
