"""Inputs that change, break or do not fit together; outputs that cannot be."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal

from eoscale_engine.errors import (
    EngineError,
    GridError,
    InputError,
    MemoryBudgetError,
    OutputError,
)
from eoscale_engine.service.client import EngineClient, EngineOptions
from tests.faults.jobs import job, pixels, python_job, same, wait_until, write_image

IN_MEMORY = "is in memory already"


def run(client: EngineClient, described: dict[str, Any]) -> tuple[np.ndarray, str]:
    """The pixels of a job's result, which is released, and the log."""
    log: list[str] = []
    made = client.run(described, log=lambda level, text: log.append(text))["images"]["OUTPUT"]
    found = pixels(made["vrt"])
    client.release([made["name"]])
    return found, "\n".join(log)


def copy_of(image: str, tmp_path: Path, **options: Any) -> dict[str, Any]:
    return python_job("same", image, str(tmp_path / "OUTPUT.tif"), **options)


@pytest.fixture(autouse=True)
def _folder_is_tidy(client: EngineClient) -> Iterator[None]:
    yield
    assert wait_until(lambda: not list(Path(client.folder).glob("image-*")), 3)


def test_a_file_is_loaded_again_only_when_it_changed(client: EngineClient, tmp_path: Path) -> None:
    image = write_image(tmp_path / "image.tif", 200, seed=1)
    described = copy_of(image, tmp_path)
    first, log = run(client, described)
    assert IN_MEMORY not in log and "Loading: " in log
    second, log = run(client, described)
    assert IN_MEMORY in log and "Loading: " not in log
    assert same(first, second) and same(first, pixels(image))
    write_image(tmp_path / "image.tif", 200, seed=2)
    third, log = run(client, described)
    assert IN_MEMORY not in log
    assert same(third, pixels(image)) and not same(first, third)


def test_a_vrt_is_loaded_again_when_its_source_changed(
    client: EngineClient, tmp_path: Path
) -> None:
    image = write_image(tmp_path / "image.tif", 200, seed=1)
    vrt = str(tmp_path / "image.vrt")
    gdal.BuildVRT(vrt, [image]).FlushCache()
    described = copy_of(vrt, tmp_path)
    first, _ = run(client, described)
    assert IN_MEMORY in run(client, described)[1]
    write_image(tmp_path / "image.tif", 200, seed=2)
    second, log = run(client, described)
    assert IN_MEMORY not in log
    assert same(second, pixels(image)) and not same(first, second)


def test_relative_paths_are_the_clients(
    image: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "os.py").write_text("raise RuntimeError('not to be imported')")
    client = EngineClient(EngineOptions(workers=1))
    try:
        write_image(tmp_path / "image.tif", 50)
        client.run(job("focalstatistics", "image.tif", "OUTPUT.tif", "file"))
        params = json.dumps({"folder": "."})
        client.run(python_job("fills", "image.tif", "OUTPUT.tif", params=params))
        temporary = [str(folder.path).replace("/", "|") for folder in client._folders]
    finally:
        client.close()
    assert {path.name for path in tmp_path.iterdir()} == {
        "image.tif", "OUTPUT.tif", "os.py", temporary[1] + "|gdal",
    }  # fmt: skip


def test_some_bands_of_a_file_in_memory(client: EngineClient, tmp_path: Path) -> None:
    image = write_image(tmp_path / "image.tif", 200, seed=3, bands=3)
    everything = pixels(image)
    assert same(run(client, copy_of(image, tmp_path))[0], everything)
    described = copy_of(image, tmp_path)
    described["inputs"]["INPUTS"][0]["bands"] = [3, 1]
    found, log = run(client, described)
    assert IN_MEMORY in log and same(found, everything[[2, 0]])
    described["inputs"]["INPUTS"][0]["bands"] = [2]
    found, log = run(client, described)
    assert IN_MEMORY in log and same(found, everything[[1]])
    described["inputs"]["INPUTS"][0]["bands"] = [4]
    with pytest.raises(InputError, match="no band 4"):
        client.run(described)


def test_old_pixels_never_show_in_a_new_image(client: EngineClient, tmp_path: Path) -> None:
    images = [write_image(tmp_path / f"{seed}.tif", 250, seed) for seed in (1, 2)]
    for _ in range(2):
        for image in images:  # the second result lies in the memory of the first
            assert same(run(client, copy_of(image, tmp_path))[0], pixels(image))


def test_a_truncated_file(client: EngineClient, image: str, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tif"
    shutil.copy(image, broken)
    os.truncate(broken, os.path.getsize(image) // 2)
    with pytest.raises(InputError, match="broken.tif"):
        client.run(copy_of(str(broken), tmp_path))


@pytest.mark.parametrize("what", ["missing", "text", "folder", "empty"])
def test_a_path_that_is_no_image(client: EngineClient, tmp_path: Path, what: str) -> None:
    path = tmp_path / "input"
    if what == "folder":
        path.mkdir()
    elif what != "missing":
        path.write_text("no image" if what == "text" else "")
    with pytest.raises(InputError, match=str(path)):
        client.run(copy_of(str(path), tmp_path))


def test_grids_that_differ_name_both_images(
    client: EngineClient, image: str, tmp_path: Path
) -> None:
    coarse = write_image(tmp_path / "coarse.tif", 150, step=20)
    described = copy_of(image, tmp_path)
    described["inputs"]["INPUTS"].append({"path": coarse, "label": "the coarse one"})
    with pytest.raises(GridError, match=r"'image' and 'the coarse one'.*150 x 150|size"):
        client.run(described)


def test_outputs_that_cannot_be(client: EngineClient, image: str, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    for path in (
        file / "OUTPUT.tif",
        tmp_path / "missing" / "OUTPUT.tif",
        Path("/proc/OUTPUT.tif"),
    ):
        with pytest.raises(OutputError, match="cannot be written|not be written"):
            client.run(python_job("same", image, "") | {
                "outputs": {"OUTPUT": {"path": str(path), "keep": "file"}}
            })  # fmt: skip
    (tmp_path / "folder.tif").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        client.run(job("focalstatistics", image, str(tmp_path / "folder.tif"), "file"))


@pytest.mark.parametrize("keep", ["file", "memory", "folder"])
def test_an_output_that_is_one_of_the_inputs(
    client: EngineClient, tmp_path: Path, keep: str
) -> None:
    image = write_image(tmp_path / "image.tif")
    link = tmp_path / "link.tif"
    link.symlink_to(image)
    before = Path(image).read_bytes()
    for path in (image, str(link)):
        with pytest.raises(OutputError, match="one of the inputs"):
            client.run(job("focalstatistics", image, path, keep))
    assert Path(image).read_bytes() == before


@pytest.mark.parametrize("name", ["majorityfilter", "sieve", "copy"])
@pytest.mark.parametrize(
    "wrong", [{"compress": "LERC_ZSTD"}, {"compress": "JPEG"}, {"format": "x"}]
)
def test_a_file_that_cannot_hold_a_result_is_refused_before_the_work(
    client: EngineClient, tmp_path: Path, name: str, wrong: dict[str, str]
) -> None:
    image = str(tmp_path / "image.tif")
    file = gdal.GetDriverByName("GTiff").Create(image, 20, 20, 1, gdal.GDT_Int64)
    file.SetGeoTransform((0, 1, 0, 0, 0, -1))
    del file
    described = job(name, image, str(tmp_path / "OUTPUT.tif"), "file")
    described["outputs"]["OUTPUT"].update(wrong)
    log: list[str] = []
    with pytest.raises(EngineError, match="cannot hold pixels of type int64|Unknown"):
        client.run(described, log=lambda level, text: log.append(text))
    assert not log and not (tmp_path / "OUTPUT.tif").exists()


def test_two_outputs_with_one_path(client: EngineClient, image: str, tmp_path: Path) -> None:
    described = job("focalstatistics", image, str(tmp_path / "OUTPUT.tif"), "file")
    described["outputs"]["SECOND"] = {"path": f"{tmp_path}/./OUTPUT.tif", "keep": "file"}
    with pytest.raises(OutputError, match="Two outputs have the same path"):
        client.run(described)
    assert not list(tmp_path.iterdir())


def test_a_result_in_a_folder_of_the_clients(
    client: EngineClient, image: str, tmp_path: Path
) -> None:
    path = tmp_path / "OUTPUT.vrt"
    made = client.run(python_job("same", image, "") | {
        "outputs": {"OUTPUT": {"path": str(path), "keep": "folder"}}
    })["images"]["OUTPUT"]  # fmt: skip
    assert made["name"] == ""
    assert same(pixels(str(path)), pixels(image))
    assert {item.name for item in tmp_path.iterdir()} == {"OUTPUT.vrt", "OUTPUT.vrt.raw"}


def test_jobs_from_several_threads_on_one_file(client: EngineClient, tmp_path: Path) -> None:
    image = write_image(tmp_path / "image.tif", 400, seed=5)
    expected, found, failed = pixels(image), [], []

    def work(number: int) -> None:
        try:
            for _ in range(3):
                output = str(tmp_path / f"OUTPUT{number}.tif")
                found.append(run(client, python_job("same", image, output))[0])
        except EngineError as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed and len(found) == 12
    assert all(same(expected, one) for one in found)


def test_clients_do_not_disturb_each_other(
    client: EngineClient, image: str, tmp_path: Path
) -> None:
    made = client.run(copy_of(image, tmp_path))["images"]["OUTPUT"]
    others = [EngineClient(EngineOptions(workers=1)) for _ in range(2)]
    try:
        for other in others:
            assert same(run(other, copy_of(image, tmp_path))[0], pixels(image))
            with pytest.raises(EngineError):
                other.run(python_job("faults", image, str(tmp_path / "o.tif")))
    finally:
        for other in others:
            other.close()
    assert same(pixels(made["vrt"]), pixels(image))
    client.release([made["name"]])


@pytest.mark.parametrize(
    "broken",
    [
        {"declaration": "nothing of the kind"},
        {"parameters": {"radius": -1}},
        {"parameters": {"unknown": 1}},
        {"inputs": {}},
        {"inputs": {"INPUT": [{}]}},
        {"outputs": {"OUTPUT": {}}},
    ],
)
def test_a_job_that_makes_no_sense(
    client: EngineClient, image: str, tmp_path: Path, broken: dict[str, Any]
) -> None:
    described = job("focalstatistics", image, str(tmp_path / "OUTPUT.tif"))
    with pytest.raises(EngineError):
        client.run({**described, **broken})
    assert run(client, described)[0].shape == (1, 300, 300)


@pytest.mark.parametrize(("rows", "cols"), [(1, 1), (1, 40), (40, 1)])
def test_a_margin_larger_than_the_image(
    client: EngineClient, tmp_path: Path, rows: int, cols: int
) -> None:
    path = str(tmp_path / "small.tif")
    image = gdal.GetDriverByName("GTiff").Create(path, cols, rows, 1, gdal.GDT_Float32)
    image.WriteArray(np.arange(rows * cols, dtype="float32").reshape(rows, cols))
    image = None
    found, _ = run(client, job("focalstatistics", path, str(tmp_path / "OUTPUT.tif"), radius=30))
    assert np.allclose(found[0, 0, 0], np.arange(min(rows * cols, 31)).mean())
    assert same(run(client, copy_of(path, tmp_path, stable_margin=500))[0], pixels(path))


HUGE = """<VRTDataset rasterXSize="2147483647" rasterYSize="2147483647">
<VRTRasterBand dataType="Byte" band="1"><SimpleSource><SourceFilename>{image}</SourceFilename>
<SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"""


@pytest.mark.timeout(30)  # its tiles would take hours to list
@pytest.mark.parametrize("name", ["rasterstatistics", "focalstatistics", "histogram", "copy"])
def test_an_image_beyond_measure_is_refused_at_once(
    client: EngineClient, image: str, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "huge.vrt"
    path.write_text(HUGE.format(image=image))
    with pytest.raises((InputError, MemoryBudgetError), match="extent|does not fit|cannot be made"):
        client.run(job(name, str(path), str(tmp_path / "o.tif")))
    assert [file.name for file in tmp_path.iterdir()] == ["huge.vrt"]
