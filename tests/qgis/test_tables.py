"""Tables, JSON and reports as files: exact, and whole or not there."""

from __future__ import annotations

import copy
import csv
import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import processing
import pytest
from qgis.core import (
    QgsProcessing,
    QgsProcessingException,
    QgsProcessingUtils,
    QgsVectorLayer,
)

from eoscale_engine.errors import OutputError
from eoscale_qgis import report
from eoscale_qgis.files import written_beside
from tests.qgis.fake_engine import FakeClient

ENDINGS = ("gpkg", "csv", "shp", "geojson")
LARGEST = 2**64 - 1


def summary(columns, *rows):
    table = {"name": "Values", "columns": columns, "rows": [list(row) for row in rows]}
    table["shown"] = ""
    return {"title": "Values", "tables": [table], "numbers": {}, "charts": [], "notes": []}


@pytest.fixture
def table(provider, image, monkeypatch):
    """Runs an algorithm whose table has these columns and rows, into a file."""

    def run(path, columns, *rows, output="OUTPUT", **more):
        monkeypatch.setattr(FakeClient, "answer", lambda _, job: summary(columns, *rows))
        values = {"INPUT": image, output: str(path), **more}
        return processing.run("eoscale:rasterstatistics", values)

    return run


def test_numbers_in_a_csv_file_are_plain_and_exact(table, tmp_path):
    path = tmp_path / "made.csv"
    rows = [
        (1, LARGEST, 0.1, "Infinity", 'a "b", c', None),
        (-(2**63), 2**53 + 1, 1e-300, 5.0, "12", 0.5),
    ]
    assert table(path, ["id", "value", "share", "top", "name", "none"], *rows)["OUTPUT"] == str(
        path
    )
    assert path.read_text(encoding="utf-8").splitlines() == [
        "id,value,share,top,name,none",
        f'1,{LARGEST},0.1,inf,"a ""b"", c",',
        f"{-(2**63)},{2**53 + 1},1e-300,5.0,12,0.5",
    ]
    with path.open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [int(row["value"]) for row in read] == [LARGEST, 2**53 + 1]


def test_large_whole_numbers_are_rounded_in_no_format(table, tmp_path):
    values = (LARGEST, 2**63 + 1)
    for ending in ("gpkg", "geojson"):
        path = table(tmp_path / f"made.{ending}", ["value"], *zip(values))["OUTPUT"]
        found = [feature["value"] for feature in QgsVectorLayer(path, "made").getFeatures()]
        assert list(map(int, found)) == list(values), ending
    path = tmp_path / "made.json"
    table(path, ["value"], *zip(values), output="OUTPUT_JSON")
    assert json.loads(path.read_text())["tables"][0]["rows"] == [[LARGEST], [2**63 + 1]]


def fill(folder, left):
    """Take all space of a small file system but so many bytes."""
    free = os.statvfs(folder)
    size = free.f_bavail * free.f_frsize - left
    (folder / "ballast").write_bytes(b"x" * size)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("older", [True, False])
def test_a_full_disk_leaves_no_half_of_a_table(table, tiny, ending, older):
    path, columns = tiny / f"made.{ending}", ["number", "text"]
    if older:
        table(path, columns, (7, "older"))
    before = {item.name: item.read_bytes() for item in tiny.iterdir()}
    fill(tiny, 64 * 1024)
    rows = [(number, "x" * 200) for number in range(3000)]
    with pytest.raises(QgsProcessingException, match="cannot be written|could not be written|not"):
        table(path, columns, *rows)
    (tiny / "ballast").unlink()
    assert {item.name: item.read_bytes() for item in tiny.iterdir()} == before


@pytest.mark.parametrize("older", [True, False])
@pytest.mark.parametrize("kind", ["json", "html"])
def test_a_full_disk_leaves_no_half_of_a_report(tiny, kind, older):
    path = tiny / f"made.{kind}"
    if older:
        path.write_text("older")
    before = {item.name: item.read_bytes() for item in tiny.iterdir()}
    fill(tiny, 16 * 1024)
    long = summary(["text"], *[("x" * 100,)] * 1000)
    write = report.write_json if kind == "json" else partial(report.write_report, context={})
    with pytest.raises(OutputError, match=f"made.{kind}' cannot be written .No space left"):
        write(long, path)
    (tiny / "ballast").unlink()
    assert {item.name: item.read_bytes() for item in tiny.iterdir()} == before


def test_side_files_come_along_and_nothing_is_left(tmp_path):
    with written_beside(tmp_path / "a.shp") as made:
        for ending in (".shp", ".dbf"):
            made.with_suffix(ending).write_text("new")
        assert not (tmp_path / "a.shp").exists()
    assert sorted(item.name for item in tmp_path.iterdir()) == ["a.dbf", "a.shp"]
    with (
        pytest.raises(OutputError, match="nowhere"),
        written_beside(tmp_path / "nowhere" / "a.txt"),
    ):
        pass


def test_what_a_killed_writer_left_goes_with_the_next_one(tmp_path):
    code = (
        "import os\nfrom eoscale_qgis.files import written_beside\n"
        f"with written_beside({str(tmp_path / 'a.csv')!r}) as made:\n"
        "    made.write_text('half')\n    os._exit(1)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=False)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith(".eoscale-")
    with written_beside(tmp_path / "b.csv") as made:
        made.write_text("whole")
    assert [item.name for item in tmp_path.iterdir()] == ["b.csv"]


def test_temporary_reports_share_their_script(provider, image, monkeypatch):
    made = summary(["value"], (1,))
    series = [["a", [1, 2], [3, 4]]]
    made["charts"] = [
        {"title": "t", "x_label": "x", "y_label": "y", "series": series, "kind": "bars"}
    ]
    monkeypatch.setattr(FakeClient, "answer", lambda _, job: copy.deepcopy(made))
    values = {"INPUT": image, "OUTPUT_HTML": QgsProcessing.TEMPORARY_OUTPUT}
    pages = [
        Path(processing.run("eoscale:rasterstatistics", values)["OUTPUT_HTML"]) for _ in range(2)
    ]
    (script,) = Path(QgsProcessingUtils.tempFolder()).glob("**/plotly-*.js")
    for page in pages:
        assert page.stat().st_size < 100_000
        assert f'<script src="{os.path.relpath(script, page.parent)}">' in page.read_text()
