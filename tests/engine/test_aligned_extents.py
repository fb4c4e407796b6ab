"""An extent beyond the first image: aligned images are used as far as it reaches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal, osr

from eoscale_engine.context import EOContextManager, Observer
from eoscale_engine.errors import InputError, InputWarning
from eoscale_engine.filters.pixel.composite import TemporalComposite
from eoscale_engine.filters.pixel.stack import Stack
from eoscale_engine.grids import window_of_extent
from eoscale_engine.memory.allocation import Memory
from eoscale_engine.memory.folder import make_folders
from eoscale_engine.memory.store import ImageStore
from eoscale_engine.pipeline.resources import Resources
from eoscale_engine.service.jobs import run_job
from eoscale_engine.tiling import Window
from eoscale_engine.workers.inline import InlineWorkers

TYPES = [("uint16", None), ("uint16", 0), ("int16", -7), ("float32", None), ("float32", -9999)]


def written(path: Path, left: int, pixels: np.ndarray, nodata: float | None) -> str:
    """An image of cells of 1 m whose upper left corner is at (left, 4)."""
    kind = gdal.GetDataTypeByName({"uint8": "Byte"}.get(pixels.dtype.name, pixels.dtype.name))
    rows, cols = pixels.shape
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), cols, rows, 1, kind)
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32631)
    dataset.SetSpatialRef(reference)
    dataset.SetGeoTransform((left, 1, 0, 4, 0, -1))
    if nodata is not None:
        dataset.GetRasterBand(1).SetNoDataValue(nodata)
    dataset.GetRasterBand(1).WriteArray(pixels)
    return str(path)


def two_images(
    tmp_path: Path, dtype: str, nodata: float | None
) -> tuple[list[str], list[np.ndarray]]:
    """Images over x from 0 to 4 and from 10 to 14; both on the grid from 0 to 14, NaN beside."""
    parts = np.random.default_rng(5).integers(1, 5000, (2, 4, 4)).astype(dtype)
    whole = np.full((2, 4, 14), np.nan)
    whole[0, :, :4], whole[1, :, 10:] = parts
    places = zip((0, 10), parts)
    paths = [written(tmp_path / f"{x}.tif", x, part, nodata) for x, part in places]
    return paths, list(whole)


def values_of(path: str) -> np.ndarray:
    """The pixels as floats, NaN where they are invalid by nodata or mask."""
    bands = []
    dataset = gdal.Open(path)
    for number in range(1, dataset.RasterCount + 1):
        band = dataset.GetRasterBand(number)
        valid = band.GetMaskBand().ReadAsArray() != 0
        bands.append(np.where(valid, band.ReadAsArray().astype(float), np.nan))
    return np.squeeze(np.array(bands))


def run(tmp_path: Path, paths: list[str], **job: Any) -> str:
    target = str(tmp_path / "made.tif")
    folders = make_folders()
    try:
        resources = Resources(ImageStore(Memory(*folders), lambda _: None), InlineWorkers())
        described = {
            "declaration": "temporalcomposite",
            "parameters": {"statistic": "mean"},
            "inputs": {"INPUTS": [{"path": path} for path in paths]},
            "outputs": {"OUTPUT": {"path": target, "keep": "file"}},
            **job,
        }
        run_job(resources, described, Observer())
    finally:
        for folder in folders:
            folder.close()
    return target


@pytest.mark.parametrize(("dtype", "nodata"), TYPES)
def test_a_composite_of_images_apart(dtype: str, nodata: float | None, tmp_path: Path) -> None:
    paths, whole = two_images(tmp_path, dtype, nodata)
    made = run(tmp_path, paths, align="nearest", extent=[0, 0, 14, 4])
    np.testing.assert_array_equal(values_of(made), np.where(np.isnan(whole[0]), whole[1], whole[0]))
    assert gdal.Open(made).GetGeoTransform() == (0, 1, 0, 4, 0, -1)


def test_a_part_that_reaches_beyond_on_all_sides(tmp_path: Path) -> None:
    paths, whole = two_images(tmp_path, "float32", None)
    made = run(tmp_path, paths, align="nearest", extent=[-2, 1.5, 11.5, 6])
    expected = np.full((5, 14), np.nan)
    expected[2:, 2:] = np.where(np.isnan(whole[0]), whole[1], whole[0])[:3, :12]
    np.testing.assert_array_equal(values_of(made), expected)
    assert gdal.Open(made).GetGeoTransform() == (-2, 1, 0, 6, 0, -1)


def test_an_extent_within_the_first_image_is_that_part_of_the_whole(tmp_path: Path) -> None:
    paths, whole = two_images(tmp_path, "float32", None)
    made = run(tmp_path, paths, align="nearest", extent=[1, 0, 3, 3])
    np.testing.assert_array_equal(values_of(made), whole[0][1:, 1:3])


def test_an_extent_elsewhere_is_refused(tmp_path: Path) -> None:
    paths, _ = two_images(tmp_path, "float32", None)
    with pytest.raises(InputError, match="does not meet .*First image: "):
        run(tmp_path, paths, align="nearest", extent=[500, 0, 600, 4])


def test_from_python(tmp_path: Path) -> None:
    paths, whole = two_images(tmp_path, "uint16", None)
    extent = (0.0, 0.0, 14.0, 4.0)
    with EOContextManager(inline=True) as context:
        first, second = (context.describe(path) for path in paths)
        context.align(first, first, "nearest", extent=extent)
        context.align(second, first, "nearest")
        area = Window(*window_of_extent(context.profile(first), extent))
        (stack,) = context.filter(Stack(), [first, second], extent=area)
        (mean,) = context.filter(TemporalComposite(statistic="mean"), [first, second])
        both, one = str(tmp_path / "both.tif"), str(tmp_path / "one.tif")
        context.images.leave_in(stack, both)
        context.write(mean, one)
    np.testing.assert_array_equal(values_of(both), whole)
    np.testing.assert_array_equal(values_of(one), np.fmax(*whole))


def test_classes_are_mixed_by_other_resampling_than_nearest(tmp_path: Path) -> None:
    paths, _ = two_images(tmp_path, "uint8", None)
    dataset = gdal.Open(paths[1])
    dataset.GetRasterBand(1).SetCategoryNames(["none", "wood", "water"])
    del dataset
    with EOContextManager(inline=True) as context:
        keys = [context.describe(path) for path in (paths[0], paths[1], paths[1])]
        context.align(keys[1], keys[0], "nearest")
        assert context.profile(keys[1]).bands[0].categories
        with pytest.warns(InputWarning, match=r"10\.tif' has classes .* mixed by bilinear"):
            context.align(keys[2], keys[0], "bilinear")
        assert not context.profile(keys[2]).bands[0].categories
