"""`make demo`'s script, on a small scene, in folders of its own."""

from __future__ import annotations

import json

import demo
import pytest
from osgeo import gdal


@pytest.mark.parametrize(
    ("bands", "expression"),
    [
        (1, "sqrt(abs(im1b1))"),
        (3, "(im1b2 - im1b1) / (im1b2 + im1b1)"),
        (4, "(im1b4 - im1b3) / (im1b4 + im1b3)"),
    ],
)
def test_an_index_that_suits_the_bands(tmp_path, bands, expression):
    path = tmp_path / "image.tif"
    gdal.GetDriverByName("GTiff").Create(str(path), 2, 2, bands)
    assert demo.index_of(path)[1] == expression


def test_the_demo(tmp_path, monkeypatch, capsys):
    results = tmp_path / "demo"
    monkeypatch.setattr(demo, "BUILD", tmp_path)
    monkeypatch.setattr(demo, "RESULTS", results)
    monkeypatch.setattr(demo, "SIZE", 200)
    monkeypatch.setattr("sys.argv", ["demo.py"])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    demo.main()
    shown = capsys.readouterr().out
    assert "200 x 200 x 4" in shown
    pictures = {path.name for path in results.glob("*.png")}
    assert pictures == {
        "sample_elevation.png", "sample_sar.png", "sample_optical.png",
        "sample_optical_index.png", "sample_optical_focal_mean.png",
    }  # fmt: skip
    assert all(path.stat().st_size > 1000 for path in results.glob("*.png"))
    values = json.loads((results / "sample_optical_statistics.json").read_text())
    assert 0 < values["numbers"]["MEAN"] < 1
    assert (results / "sample_optical_statistics.html").stat().st_size > 1000
