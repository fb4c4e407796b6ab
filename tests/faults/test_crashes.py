"""The engine, its client, or both are killed: what survives, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from eoscale_engine.errors import ServiceError
from eoscale_engine.memory.folder import PREFIX
from eoscale_engine.own_folders import remove_stale_folders
from eoscale_engine.raster_files.writing import write_raster
from eoscale_engine.service.client import EngineClient, EngineOptions
from tests.faults.jobs import alive, descendants, job, pixels, python_job, same, wait_until


@pytest.fixture
def own() -> Iterator[EngineClient]:
    client = EngineClient(EngineOptions(workers=2, tile_size=100))
    yield client
    client.close()


def folders_of(client: EngineClient) -> list[Path]:
    return [folder.path for folder in client._folders]


def images_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def kill(client: EngineClient) -> None:
    engine = client._engine
    assert engine is not None
    os.kill(engine.pid, signal.SIGKILL)
    assert wait_until(lambda: not engine.alive())


@pytest.mark.parametrize("function", ["spins", "holds"])
def test_the_engine_is_killed_at_work(
    own: EngineClient, image: str, tmp_path: Path, function: str
) -> None:
    made = own.run(job("focalstatistics", image, str(tmp_path / "OUTPUT.tif"), radius=2))
    made = made["images"]["OUTPUT"]
    before = pixels(made["vrt"])
    marks = tmp_path / "marks"
    marks.mkdir()
    params = json.dumps({"folder": str(marks)})
    caught: list[BaseException] = []

    def work() -> None:
        with pytest.raises(ServiceError, match="SIGKILL") as error:
            own.run(python_job(function, image, str(tmp_path / "other.tif"), params=params))
        caught.append(error.value)

    thread = threading.Thread(target=work)
    thread.start()
    assert wait_until(lambda: len(list(marks.iterdir())) == 2)
    first, family = own.pid, descendants(own.pid)
    assert len(family) >= 4  # forkserver, resource tracker and two workers
    os.kill(first, signal.SIGKILL)
    thread.join(10)
    assert caught
    assert wait_until(lambda: not any(alive(pid) for pid in family), 5)
    # what was published is still there, also for a program that knows nothing of the engine
    assert same(pixels(made["vrt"]), before)

    again = own.run(job("focalstatistics", image, str(tmp_path / "OUTPUT.tif"), radius=2))
    again = again["images"]["OUTPUT"]
    assert own.pid != first and again["name"] != made["name"]
    assert same(pixels(again["vrt"]), before)
    assert same(pixels(made["vrt"]), before)
    # the new engine swept what only the old one knew: its loaded file and its half-made result
    folder = folders_of(own)[0]
    assert len([name for name in images_in(folder) if name.endswith(".raw")]) <= 3
    Path(made["vrt"] + ".aux.xml").write_text("left by GDAL")
    own.release([made["name"]])
    assert not [path for path in (made["raw"], made["vrt"]) if os.path.exists(path)]
    assert not list(folder.glob(made["name"] + "*"))
    assert same(pixels(again["vrt"]), before)
    own.release([again["name"], again["name"], "unknown"])
    assert wait_until(lambda: not list(folder.glob("*.vrt*")))


def test_an_engine_that_was_killed_idle_is_started_again(own: EngineClient, image: str) -> None:
    own.run(job("rasterstatistics", image))
    kill(own)
    assert own.run(job("rasterstatistics", image))["summary"]


def test_folders_that_were_cleaned_away_are_made_again(own: EngineClient, image: str) -> None:
    own.run(job("rasterstatistics", image))
    kill(own)
    for folder in folders_of(own):
        shutil.rmtree(folder)
    assert own.run(job("rasterstatistics", image))["summary"]


CLIENT = """
import json, sys, threading
from eoscale_engine.service.client import EngineClient, EngineOptions
from tests.faults.jobs import job, python_job
image, folder = sys.argv[1:]
client = EngineClient(EngineOptions(workers=2, tile_size=100))
client.run(job("focalstatistics", image, folder + "/OUTPUT.tif", radius=2))
print(json.dumps([client.pid, [str(folder.path) for folder in client._folders]]), flush=True)
client.run(python_job("spins", image, folder + "/other.tif", params=json.dumps({"folder": folder})))
"""


@pytest.fixture
def script(image: str, tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int, list[Path]]]:
    """Another client, at work in two endless tiles; its engine's number; its folders."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLIENT, image, str(tmp_path)], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert process.stdout is not None
    engine, folders = json.loads(process.stdout.readline())
    assert wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    yield process, engine, [Path(folder) for folder in folders]
    process.kill()
    process.communicate()


def test_the_client_is_killed(script: tuple[subprocess.Popen[str], int, list[Path]]) -> None:
    process, engine, folders = script
    family = descendants(process.pid)
    assert engine in family and len(family) >= 5
    assert all(folder.exists() for folder in folders)
    process.kill()
    process.wait()
    assert wait_until(lambda: not any(alive(pid) for pid in family))
    assert not any(folder.exists() for folder in folders)


def test_both_are_killed(script: tuple[subprocess.Popen[str], int, list[Path]]) -> None:
    process, engine, folders = script
    family = descendants(process.pid)
    assert [remove_stale_folders(str(folder.parent), PREFIX) for folder in folders] == [[], []]
    for pid in (engine, process.pid):
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert wait_until(lambda: not any(alive(pid) for pid in family))
    assert not any(folder.exists() for folder in folders)


CONTEXT = """
import multiprocessing.util, sys
from eoscale_engine.context import EOContextManager
from eoscale_engine.filters.neighbourhood.gaussian import Gaussian
from eoscale_engine.profile import Profile
with EOContextManager(2, tile_pixels=100) as context:
    image = context.create_image(Profile(300, 300, "float32"))
    context.filter(Gaussian(sigma=1.0), image)
    print(context._runs.store.memory.folder.path, multiprocessing.util.get_temp_dir(), flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_the_script_of_a_context_is_ended(how: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CONTEXT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert process.stdout is not None
    images, sockets = map(Path, process.stdout.readline().split())
    assert images.is_dir() and any(sockets.iterdir())
    family = descendants(process.pid)
    process.send_signal(how)
    process.wait()
    assert wait_until(lambda: not any(alive(pid) for pid in family))
    assert not images.exists() and not sockets.exists()
    process.communicate()


def test_a_client_that_is_not_closed_leaves_nothing(image: str, tmp_path: Path) -> None:
    code = CLIENT.split("client.run(python_job")[0]
    process = subprocess.run(
        [sys.executable, "-c", code, image, str(tmp_path)], capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, check=True,
    )  # fmt: skip
    engine, folders = json.loads(process.stdout)
    assert not alive(engine) and not any(os.path.exists(folder) for folder in folders)
    assert process.stderr == ""


WRITER = """
import os, signal, sys
from eoscale_engine.raster_files.writing import write_raster
write_raster(sys.argv[1], sys.argv[2], progress=lambda done: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_the_next_write_removes_what_a_killed_one_left(image: str, tmp_path: Path) -> None:
    target = tmp_path / "o[1].tif"
    done = subprocess.run(
        [sys.executable, "-c", WRITER, image, str(target)], check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    [left] = tmp_path.iterdir()
    assert list(left.glob("o*"))
    write_raster(image, str(tmp_path / "another.tif"))
    assert [path.name for path in tmp_path.iterdir()] == ["another.tif"]
