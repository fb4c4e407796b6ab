"""The client: starts the engine, keeps account of images, cancels; also where no engine starts."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from osgeo import gdal, osr

from eoscale_engine.errors import (
    Cancelled,
    EngineError,
    InputError,
    MemoryBudgetError,
    ServiceError,
)
from eoscale_engine.service import client as client_module
from eoscale_engine.service import engine as engine_module
from eoscale_engine.service import host
from eoscale_engine.service.client import EngineClient, EngineOptions
from eoscale_engine.service.interpreter import NoInterpreter
from eoscale_engine.service.protocol import Sender, messages
from tests.faults.jobs import job, pixels, python_job, same, wait_until, write_image

_UTM = osr.SpatialReference()
_UTM.ImportFromEPSG(32631)
UTM = _UTM.ExportToWkt()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> str:
    return write_image(Path(tmp_path_factory.mktemp("images"), "image.tif"))


@pytest.fixture(scope="module")
def client() -> Iterator[EngineClient]:
    made = EngineClient(EngineOptions(workers=2, tile_size=100))
    yield made
    made.close()


@pytest.fixture
def inline(monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineClient]:
    monkeypatch.setattr(
        client_module, "find_interpreter", lambda setting: NoInterpreter("No Python was found.")
    )
    made = EngineClient()
    yield made
    made.close()


def faces(client: EngineClient) -> list[Path]:
    return list(Path(client.folder).glob("*.vrt"))


def test_progress_log_and_result(client: EngineClient, image: str, tmp_path: Path) -> None:
    percents: list[float] = []
    log: list[str] = []
    here = threading.get_ident()

    def progress(percent: float) -> None:
        assert threading.get_ident() == here
        percents.append(percent)

    made = client.run(
        job("focalstatistics", image, str(tmp_path / "OUTPUT.tif")),
        progress, lambda level, text: log.append(text),
    )  # fmt: skip
    assert percents == sorted(percents) and percents[-1] > 50
    assert log[0].startswith("Focal statistics: ")
    assert "0.4 MB" in log[0] and "2 workers x " in log[0]
    assert "input loaded: " in log[0] and "results in memory: 0.4 MB" in log[0]
    assert set(made["timings"]) >= {"Focal statistics"}
    client.release([made["images"]["OUTPUT"]["name"]])


def test_an_image_lives_until_its_last_release(
    client: EngineClient, image: str, tmp_path: Path
) -> None:
    described = job("copy", image, str(tmp_path / "OUTPUT.tif"))
    first, second = (client.run(described)["images"]["OUTPUT"] for _ in range(2))
    assert first["vrt"] == second["vrt"]
    client.release([first["name"]])
    time.sleep(0.2)
    assert same(pixels(first["vrt"]), pixels(image))
    client.release([first["name"]])
    client.release([first["name"], "unknown"])
    third = client.run(described)["images"]["OUTPUT"]
    assert same(pixels(third["vrt"]), pixels(image))
    client.release([third["name"]])


def test_a_cancel_before_the_start(client: EngineClient, image: str, tmp_path: Path) -> None:
    before = faces(client)
    with pytest.raises(Cancelled):
        client.run(
            python_job("same", image, str(tmp_path / "OUTPUT.tif"), params='{"seconds": 0.2}'),
            cancelled=lambda: True,
        )
    assert wait_until(lambda: faces(client) == before, 3)


def test_a_callback_that_fails_stops_the_job(
    client: EngineClient, image: str, tmp_path: Path
) -> None:
    def log(level: str, text: str) -> None:
        raise KeyError("callback")

    before = faces(client)
    marks = tmp_path / "marks"
    marks.mkdir()
    params = json.dumps({"seconds": 0.3, "folder": str(marks)})
    with pytest.raises(KeyError):
        client.run(python_job("same", image, str(tmp_path / "o.tif"), params=params), log=log)
    time.sleep(0.8)
    assert len(list(marks.iterdir())) <= 4
    assert faces(client) == before


def test_a_run_that_is_given_up_leaves_no_image(
    client: EngineClient, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "CANCEL_SECONDS", 0.0)
    monkeypatch.setattr(engine_module.EngineProcess, "_cancel", lambda self, identity: None)
    before = faces(client)
    marks = tmp_path / "marks"
    marks.mkdir()
    params = json.dumps({"seconds": 0.05, "folder": str(marks)})
    with pytest.raises(Cancelled):
        client.run(
            python_job("same", image, str(tmp_path / "OUTPUT.tif"), params=params),
            cancelled=lambda: True,
        )
    # the engine, which was not told, finishes the job and offers its result
    assert wait_until(lambda: len(list(marks.iterdir())) >= 9)
    time.sleep(0.5)
    assert faces(client) == before


def test_a_closed_client_says_so(image: str) -> None:
    client = EngineClient()
    folder = client.folder
    client.close()
    client.close()
    assert not os.path.exists(folder)
    with pytest.raises(ServiceError, match="closed"):
        client.run(job("rasterstatistics", image))


def test_closing_while_a_job_runs(image: str, tmp_path: Path) -> None:
    client = EngineClient(EngineOptions(workers=1))
    caught: list[EngineError] = []
    params = json.dumps({"folder": str(tmp_path)})

    def work() -> None:
        try:
            client.run(python_job("spins", image, str(tmp_path / "OUTPUT.tif"), params=params))
        except (ServiceError, Cancelled) as error:
            caught.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert wait_until(lambda: list(tmp_path.iterdir()))
    start = time.monotonic()
    client.close()
    thread.join(10)
    assert caught and time.monotonic() - start < 4


# ---------------------------------------------------------------- without an engine


def test_without_an_interpreter_jobs_run_inline(
    inline: EngineClient, client: EngineClient, image: str, tmp_path: Path
) -> None:
    described = job("focalstatistics", image, str(tmp_path / "OUTPUT.tif"), radius=3)
    log: list[tuple[str, str]] = []
    made = inline.run(described, log=lambda *line: log.append(line))["images"]["OUTPUT"]
    assert log[0][0] == "warning" and "No Python was found." in log[0][1] == inline.inline
    other = client.run(described)["images"]["OUTPUT"]
    assert same(pixels(made["vrt"]), pixels(other["vrt"]))
    client.release([other["name"]])
    inline.release([made["name"]])
    assert not faces(inline)
    with pytest.raises(InputError, match="runs only in an engine process"):
        inline.run(python_job("same", image, str(tmp_path / "OUTPUT.tif")))


def test_releasing_does_not_wait_for_an_inline_run(
    inline: EngineClient, image: str, tmp_path: Path
) -> None:
    made = inline.run(job("focalstatistics", image, str(tmp_path / "a.tif")))["images"]["OUTPUT"]
    running, go_on = threading.Event(), threading.Event()

    def log(level: str, text: str) -> None:
        if level == "info":  # in the run itself
            running.set()
            go_on.wait(10)

    thread = threading.Thread(
        target=inline.run, args=(job("rasterstatistics", image),), kwargs={"log": log}
    )
    thread.start()
    running.wait(5)
    release = threading.Thread(target=inline.release, args=([made["name"]],))
    release.start()
    release.join(2)
    assert not release.is_alive() and not faces(inline)
    go_on.set()
    thread.join()


# ---------------------------------------------------------------- the engine process


def test_the_engine_imports_no_plugin_and_the_client_no_multiprocessing() -> None:
    code = (
        "import sys, eoscale_engine.service.client\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('multiprocessing', 'qgis')])"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    run = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == "[]"


def test_an_engine_that_does_not_start_says_why(
    image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = EngineClient()
    try:
        with monkeypatch.context() as patch:
            patch.setattr(client, "_start", lambda: {"folders": [client.folder, "/nowhere"]})
            with pytest.raises(ServiceError, match="does not start: FileNotFoundError"):
                client.run(job("rasterstatistics", image))
        assert client.run(job("rasterstatistics", image))["summary"]
    finally:
        client.close()


def test_loaded_files_go_when_the_engine_is_idle(
    image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from eoscale_engine.memory.folder import make_folders

    monkeypatch.setattr(host, "IDLE_SECONDS", 0.6)
    folders = make_folders()
    outgoing = io.BytesIO()
    served = host.Host(
        {"folders": [folder.path for folder in folders], "workers": 1}, Sender(outgoing)
    )
    try:
        served.handle({"run": 1, "job": job("rasterstatistics", image)})
        assert wait_until(lambda: b'"result"' in outgoing.getvalue())
        assert list(folders[0].path.glob("*.raw"))
        assert wait_until(lambda: not list(folders[0].path.glob("*.raw")), 3)
    finally:
        served.close()
        for folder in folders:
            folder.close()


def test_idle_memory_goes_back_within_a_minute_and_on_request(
    client: EngineClient, image: str
) -> None:
    assert host.IDLE_SECONDS * (1 + 1 / 6) < 60
    client.run(job("rasterstatistics", image))
    assert client.memory() > 0
    client.drop_idle()
    assert wait_until(lambda: client.memory() == 0, 3)


def test_images_outlive_the_engine_that_rests(image: str, tmp_path: Path) -> None:
    client = EngineClient(EngineOptions(workers=1))
    try:
        described = job("focalstatistics", image, str(tmp_path / "OUTPUT.tif"))
        made = client.run(described)["images"]["OUTPUT"]
        expected = pixels(made["vrt"])
        client.rest()
        assert client.pid == 0
        assert client.memory() == client.memory([made["name"]]) == expected.nbytes
        assert same(pixels(made["vrt"]), expected)
        client.release([made["name"]])
        assert client.memory() == 0 and faces(client) == []
        again = client.run(described)["images"]["OUTPUT"]
        assert same(pixels(again["vrt"]), expected)
    finally:
        client.close()


def test_a_copy_on_disk_takes_no_memory_and_lives_by_itself(
    client: EngineClient, image: str, tmp_path: Path
) -> None:
    made = client.run(job("copy", image, str(tmp_path / "OUTPUT.tif")))["images"]["OUTPUT"]
    copies = [client.copy_to_disk(made["name"]) for _ in range(2)]
    name, vrt = copies[0]
    assert copies[0] == copies[1] and Path(vrt).parent != Path(client.folder)
    client.release([made["name"]])
    client.drop_idle()
    assert wait_until(lambda: not faces(client), 3)
    assert client.memory([name]) == 0
    client.release([name])
    assert same(pixels(vrt), pixels(image))
    client.release([name])
    assert list(Path(vrt).parent.glob("*.raw")) == list(Path(vrt).parent.glob("*.vrt")) == []


def test_no_copy_on_a_full_disk(
    client: EngineClient, image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = client.run(job("copy", image, str(tmp_path / "OUTPUT.tif")))["images"]["OUTPUT"]
    monkeypatch.setattr(client_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(MemoryBudgetError, match="No space left"):
        client.copy_to_disk(made["name"])
    client.release([made["name"]])


def test_a_message_that_was_cut_off_is_dropped() -> None:
    assert list(messages(io.BytesIO(b'{"a": 1}\n{"b": 2}\n{"c"'))) == [{"a": 1}, {"b": 2}]


def test_long_tables_come_in_parts(tmp_path: Path) -> None:
    """One line of all rows would halt the client's other threads while it is read."""
    target, zones = str(tmp_path / "image.tif"), str(tmp_path / "zones.tif")
    for path, kind in ((target, gdal.GDT_Float32), (zones, gdal.GDT_Int32)):
        file = gdal.GetDriverByName("GTiff").Create(path, 60, 50, 1, kind)
        file.WriteArray(np.arange(3000).reshape(50, 60))
    file = None
    described = {
        "declaration": "zonalstatistics", "parameters": {"percentiles": []},
        "inputs": {"INPUT": [{"path": target}], "ZONES": [{"path": zones}]},
    }  # fmt: skip
    longest = 0

    def watched(pipe: Any) -> Iterator[dict[str, Any]]:
        nonlocal longest
        for message in messages(pipe):
            longest = max(longest, len(json.dumps(message)))
            yield message

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_module, "messages", watched)
        own = EngineClient()
        try:
            tables = own.run(described)["summary"]["tables"]
        finally:
            own.close()
    rows = tables[0]["rows"]
    assert [row[0] for row in rows] == list(range(3000))
    assert [row[tables[0]["columns"].index("sum")] for row in rows] == list(range(3000))
    assert len(tables[1]["rows"]) == 1
    assert longest < 150_000 < len(json.dumps(rows))


def test_a_sender_outlives_its_reader() -> None:
    read, write = os.pipe()
    sender = Sender(os.fdopen(write, "wb", buffering=0))
    assert sender.send({"text": "é\n\ud800"})
    assert json.loads(os.read(read, 1000)) == {"text": "é\n\ud800"}
    os.close(read)
    assert not sender.send({})
    sender.close()
    assert not sender.send({})


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_parameter_may_be_no_finite_number(
    client: EngineClient, image: str, tmp_path: Path, value: float
) -> None:
    output = str(tmp_path / "OUTPUT.tif")
    asked = python_job("mean", image, output, keep="file", output_nodata=value)
    asked["parameters"]["file"] = str(tmp_path / "mine.py")
    (tmp_path / "mine.py").write_text("def mean(buffers, profiles, params): return buffers[0]\n")
    client.run(asked)
    result = gdal.Open(output)
    nodata = result.GetRasterBand(1).GetNoDataValue()
    assert nodata == value or (nodata != nodata and value != value)


def test_what_json_cannot_say_is_refused_and_leaves_nothing(
    client: EngineClient, image: str
) -> None:
    with pytest.raises(InputError, match="cannot be sent"):
        client.run(job("rasterstatistics", image, percentiles=object()))
    assert client._engine is not None and not client._engine._inboxes


def test_a_job_that_waits_for_another_one_inline_can_be_cancelled(
    inline: EngineClient, image: str
) -> None:
    with inline._one_inline, pytest.raises(Cancelled):
        inline.run(job("rasterstatistics", image), cancelled=lambda: True)


def aligned_job(first: str, second: str, output: str) -> dict[str, Any]:
    return {
        "declaration": "bandmath",
        "parameters": {"expressions": "im1b1 + im2b1"},
        "inputs": {"INPUTS": [{"path": first}, {"path": second}]},
        "outputs": {"OUTPUT": {"path": output, "keep": "file"}},
        "align": "bilinear",
    }


def test_the_same_alignment_in_many_threads_and_once_more(
    client: EngineClient, tmp_path: Path
) -> None:
    first, second = (
        write_image(tmp_path / f"{step}.tif", side=200, step=step) for step in (10, 15)
    )
    for path in (first, second):
        assigned = gdal.Open(path, gdal.GA_Update)
        assigned.SetProjection(UTM)
        del assigned
    failures: list[EngineError] = []

    def runs(number: int) -> None:
        try:
            for turn in range(5):
                output = str(tmp_path / f"{number}-{turn}.tif")
                client.run(aligned_job(first, second, output))
        except EngineError as error:
            failures.append(error)

    threads = [threading.Thread(target=runs, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    log: list[str] = []
    client.run(
        aligned_job(first, second, str(tmp_path / "again.tif")),
        log=lambda _, text: log.append(text),
    )
    assert len([text for text in log if "in memory already" in text]) == 2
