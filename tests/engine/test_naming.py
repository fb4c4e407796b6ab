"""Errors and warnings name the images that they are about, by what users call them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError, InputWarning
from eoscale_engine.filters.labels.majority import MajorityFilter
from eoscale_engine.filters.pixel.stack import Stack
from eoscale_engine.filters.terrain.slope import Slope
from eoscale_engine.pipeline.naming import MOST, Named, Names
from eoscale_engine.procedures.kmeans import KMeans
from eoscale_engine.procedures.pipeline import RunPipeline
from eoscale_engine.profile import Profile
from eoscale_engine.words import counted, listed


def test_names_are_added_where_there_are_none() -> None:
    before, after = Named("Before", "a", "/x/a.tif"), Named("After", "b", "/x/b.tif")
    names = Names((before, after))
    assert names.added_to("No.") == "No. (Before: 'a'; After: 'b')"
    assert names.added_to("'a' has no CRS.") == "'a' has no CRS."
    assert names.added_to("'/x/b.tif' is gone.") == "'/x/b.tif' is gone. (After: 'b')"
    assert Names(()).added_to("No.") == "No."
    several = Names(tuple(Named("Images", str(number), "") for number in range(MOST + 2)))
    assert several.added_to("No.").endswith("'8', '9' and 2 more)")


def raster(path: Path, values: np.ndarray, color: int = gdal.GCI_Undefined) -> str:
    rows, cols = values.shape
    made = gdal.GetDriverByName("GTiff").Create(str(path), cols, rows, 1, gdal.GDT_Float32)
    made.SetGeoTransform((500_000, 10, 0, 4_600_000, 0, -10))
    made.GetRasterBand(1).SetColorInterpretation(color)
    made.GetRasterBand(1).WriteArray(values)
    return str(path)


def test_what_is_wrong_with_an_image_is_told_with_its_name(tmp_path: Path) -> None:
    path = raster(tmp_path / "a.tif", np.full((9, 7), np.nan, "float32"))
    with EOContextManager(inline=True) as context:
        key = context.describe(path, label="dem")
        with pytest.raises(InputError, match=r"float32 .*\(Input image: 'dem'\)$"):
            context.filter(MajorityFilter(), key)
        # what a procedure finds is told with the name once, not by each of its steps too
        with pytest.raises(InputError, match=r"no pixel is valid [^(]*\(Input image: 'dem'\)$"):
            context.run(KMeans(), key)
        # nobody has a name for it
        with pytest.raises(InputError, match=r"one to amplitude or phase\.$"):
            context.filter(MajorityFilter(), context.create_image(Profile(3, 3, "float32")))


def test_a_doubt_is_told_with_the_images_name(tmp_path: Path) -> None:
    path = raster(tmp_path / "a.tif", np.ones((9, 7), "float32"), gdal.GCI_RedBand)
    with EOContextManager(inline=True) as context:
        key = context.describe(path, label="picture")
        with pytest.warns(InputWarning, match=r"no elevations.*\(Input image: 'picture'\)$"):
            context.filter(Slope(), key)


def test_a_file_that_cannot_be_read_is_told_with_its_name(tmp_path: Path) -> None:
    paths = [raster(tmp_path / name, np.ones((9, 7), "float32")) for name in ("a.tif", "b.tif")]
    with EOContextManager(inline=True) as context:
        keys = [context.describe(path, label=path[-5]) for path in paths]
        Path(paths[1]).unlink()
        with pytest.raises(InputError, match=r"/b\.tif' .*\(Input images: 'b'\)$"):
            context.filter(Stack(), keys)
        # the filter between them is no image of the user's
        steps = '[{"algorithm": "gaussian"}, {"algorithm": "slope"}]'
        with pytest.raises(InputError, match=r"^steps [^(]*\(Images: 'b'\)$"):
            context.run(RunPipeline(steps), keys[1:])


def test_words() -> None:
    assert [counted(number, "band") for number in (0, 1, 2)] == ["0 bands", "1 band", "2 bands"]
    assert [listed("abc"[:number], "or") for number in (1, 2, 3)] == ["a", "a or b", "a, b or c"]
