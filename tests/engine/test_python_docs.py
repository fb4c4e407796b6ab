"""The code in the docs runs as it stands, with the results that the text promises."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal
from scipy import ndimage

from eoscale_engine.context import EOContextManager
from eoscale_engine.filters.sample.sample_scene import SampleElevation

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def elevation(tmp_path: Path) -> np.ndarray:
    """The file that the docs open."""
    with EOContextManager(inline=True) as context:
        [key] = context.filter(SampleElevation(width=300, height=200))
        context.write(key, str(tmp_path / "dsm.tif"))
        return context.get_array(key)[0].copy()


def run(block: str, folder: Path) -> str:
    (folder / "script.py").write_text(block, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "script.py"], cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_there_are_four_scripts() -> None:
    assert len(BLOCKS) == 4
    assert all("__main__" in block for block in BLOCKS)


def test_the_first_script(elevation: np.ndarray, tmp_path: Path) -> None:
    printed = float(run(BLOCKS[0], tmp_path))
    smooth = gdal.Open(str(tmp_path / "smooth.tif")).ReadAsArray()
    assert printed == pytest.approx(smooth[elevation != -9999].mean(dtype=float), rel=1e-6)


def test_pipelines(elevation: np.ndarray, tmp_path: Path) -> None:
    assert "pass 1: 'fillnodata', 'focalstatistics', 'slope'" in run(BLOCKS[1], tmp_path)
    slope = gdal.Open(str(tmp_path / "slope.tif")).ReadAsArray()
    assert slope.shape == elevation.shape


def test_plain_functions(elevation: np.ndarray, tmp_path: Path) -> None:
    rows, cols = np.gradient(elevation, 10.0)
    steep = np.count_nonzero(np.hypot(rows, cols) > 0.5)
    assert run(BLOCKS[2], tmp_path) == f"{steep} pixels are steep\n"


def test_an_own_declaration(elevation: np.ndarray, tmp_path: Path) -> None:
    run(BLOCKS[3], tmp_path)
    valid = elevation != -9999
    lowest = ndimage.minimum_filter(np.where(valid, elevation, np.inf), (1, 11), mode="nearest")
    relief = gdal.Open(str(tmp_path / "relief.tif")).ReadAsArray()
    np.testing.assert_array_equal(relief[valid], (elevation - lowest)[valid].astype(np.float32))
    assert np.isnan(relief[~valid]).all()


def test_links_and_names_are_there() -> None:
    for link in re.findall(r"\]\((\.[^)]+)\)", TEXT):
        assert (ROOT / "docs" / link).exists(), link
    table = re.findall(r"^\| `(\w+)\(", TEXT, re.MULTILINE)
    assert len(table) > 8
    for method in table:
        assert callable(getattr(EOContextManager, method))
