"""The quick start, run as a user runs it, against computations on the whole image."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal
from scipy import ndimage

from eoscale_engine.context import EOContextManager
from eoscale_engine.executors import n_images_to_m_images_filter
from eoscale_engine.filters.neighbourhood.fill_nodata import FillNodata
from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
from eoscale_engine.filters.sample.sample_scene import SampleElevation
from eoscale_engine.filters.terrain.slope import Slope
from eoscale_engine.pipelines import read_pipeline

ROOT = Path(__file__).parents[2]
URBAN = ROOT.parent / "shared" / "data" / "urban_dsm.tif"
needs_urban = pytest.mark.skipif(not URBAN.exists(), reason="no shared sample data beside the tree")


@pytest.fixture(scope="module")
def pipeline() -> Any:
    spec = importlib.util.spec_from_file_location("pipeline", ROOT / "examples" / "pipeline.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["pipeline"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules["pipeline"]


def read(path: Path) -> np.ndarray:
    return gdal.Open(str(path)).ReadAsArray()


def run(output: Path, *arguments: str, example: str = "pipeline.py") -> str:
    command = [sys.executable, str(ROOT / "examples" / example), *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*command, "--output", str(output), "--workers", "2"], cwd=output.parent, env=environment,
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "runs in this process only" not in done.stderr
    return done.stdout


def check(pipeline: Any, output: Path, text: str, elevation: np.ndarray, nodata: float) -> None:
    """Compare the three results and the printed numbers with those of the whole image."""
    hollow = elevation == nodata
    np.testing.assert_array_equal(read(output / "nodata_mask.tif"), hollow)
    buffers = [elevation[None], hollow.astype(np.uint8)[None]]
    options = {"max_search_distance": 100, "smoothing_iterations": 0}
    filled = pipeline.fill_holes(buffers, [], options)
    assert (filled[hollow] != nodata).any()
    got = read(output / "filled.tif")
    assert got.tobytes() == filled.tobytes()
    valid = got != nodata
    weight = ndimage.uniform_filter(valid.astype(float), 3, mode="constant")
    total = ndimage.uniform_filter(np.where(valid, filled, 0).astype(float), 3, mode="constant")
    smooth = read(output / "smooth.tif")
    expected = total[valid] / weight[valid]
    np.testing.assert_allclose(smooth[valid], expected, rtol=1e-6)
    least, most = map(float, re.findall(r"elevation from (\S+) to (\S+);", text)[0])
    assert least == pytest.approx(expected.min(), abs=2e-3)
    assert most == pytest.approx(expected.max(), abs=2e-3)
    assert f"{100 * hollow.mean():.2f} % of the pixels" in text


def test_on_the_scene_that_it_makes(pipeline: Any, tmp_path: Path) -> None:
    text = run(tmp_path / "out")
    with EOContextManager(inline=True) as context:
        [key] = context.filter(SampleElevation(width=1500, height=1200))
        check(pipeline, tmp_path / "out", text, context.get_array(key)[0].copy(), -9999)


@needs_urban
def test_on_a_real_elevation_model(pipeline: Any, tmp_path: Path) -> None:
    text = run(tmp_path / "out", str(URBAN))
    dataset = gdal.Open(str(URBAN))
    nodata = dataset.GetRasterBand(1).GetNoDataValue()
    check(pipeline, tmp_path / "out", text, dataset.ReadAsArray(), nodata)


@pytest.mark.parametrize("iterations", [0, 2])
def test_the_margin_of_filling_holes(pipeline: Any, iterations: int) -> None:
    """In many small tiles with that margin as on the whole image; not so with a smaller one."""
    params = {"max_search_distance": 24, "smoothing_iterations": iterations}
    random = np.random.default_rng(7)
    elevation = ndimage.gaussian_filter(random.normal(size=(230, 260)), 3).astype(np.float32)
    hollow = ndimage.gaussian_filter(random.normal(size=elevation.shape), 4) > 0.02
    elevation[hollow] = -9999
    buffers = [elevation[None], hollow.astype(np.uint8)[None]]
    whole = pipeline.fill_holes([part.copy() for part in buffers], [], params)
    results = []
    with EOContextManager(inline=True, tile_mode=True, tile_pixels=900) as context:
        keys = []
        for part in buffers:
            profile = {"width": 260, "height": 230, "dtype": part.dtype, "nodata": -9999}
            profile = profile if part.dtype == np.float32 else {**profile, "nodata": None}
            keys.append(context.create_image(profile))
            context.get_array(keys[-1])[:] = part
        for margin in (24 + iterations, 6):
            [made] = n_images_to_m_images_filter(
                inputs=keys, image_filter=pipeline.fill_holes, filter_parameters=params,
                generate_output_profiles=pipeline.filled_profile, stable_margin=margin,
                context_manager=context, whole_tiles=True,
            )  # fmt: skip
            results.append(context.get_array(made)[0].copy())
    assert results[0].tobytes() == whole.tobytes()
    assert results[1].tobytes() != whole.tobytes()


def test_one_pass(tmp_path: Path) -> None:
    """The slope in one pass is that of its steps one by one; so is that of the JSON."""
    text = run(tmp_path / "out", example="one_pass.py")
    assert "pass 1: 'filled', 'smooth', 'slope'" in text
    with EOContextManager(inline=True) as context:
        [key] = context.filter(SampleElevation(width=1500, height=1200))
        for step in (FillNodata(max_distance=20), FocalStatistics(radius=1), Slope()):
            [key] = context.filter(step, key)
        slope = context.get_array(key)[0]
        assert slope.tobytes() == read(tmp_path / "out" / "slope.tif").tobytes()
        mean = re.findall(r"mean slope (\S+) degrees", text)
        assert mean == [f"{slope[slope == slope].mean(dtype=float):.2f}"]
    assert read_pipeline(str(tmp_path / "out" / "pipeline.json")).kept == ("slope",)
