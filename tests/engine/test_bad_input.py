"""Input and targets that cannot be: refused before any work. Files that change while in use."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pytest
from osgeo import gdal

from eoscale_engine.catalogue import declaration_named
from eoscale_engine.context import EOContextManager, Observer
from eoscale_engine.declaration import Blocks, ImageFilter
from eoscale_engine.errors import InputError, OutputError
from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
from eoscale_engine.filters.pixel.band_math import BandMath
from eoscale_engine.filters.pixel.stack import Stack
from eoscale_engine.procedures.object_size import ObjectSize
from eoscale_engine.profile import Profile
from eoscale_engine.raster_files.options import WriteOptions
from eoscale_engine.reductions.statistics import BandMoments

SIDE = 300


def write(path: Path, dtype: str = "uint8", seed: int = 0, bands: int = 1) -> str:
    """Uncompressed strips: what changes in place is still an image."""
    kind = {"uint8": gdal.GDT_Byte, "int64": gdal.GDT_Int64}[dtype]
    file = gdal.GetDriverByName("GTiff").Create(str(path), SIDE, SIDE, bands, kind)
    file.SetGeoTransform((100, 2, 0, 900, 0, -2))
    pixels = np.random.default_rng(seed).integers(1, 200, (bands, SIDE, SIDE))
    file.WriteArray(pixels.astype(dtype))
    return str(path)


def replaced(path: str) -> None:
    os.replace(write(Path(path + ".new"), seed=1), path)


def rewritten(path: str) -> None:
    with open(path, "r+b") as file:
        file.seek(-SIDE, os.SEEK_END)
        file.write(bytes(SIDE))


def truncated(path: str) -> None:
    os.truncate(path, os.path.getsize(path) // 2)


def removed(path: str) -> None:
    os.unlink(path)


def loaded(context: EOContextManager, key: str) -> Any:
    return context.get_array(key)


def run(name: str) -> Callable[[EOContextManager, str], Any]:
    def work(context: EOContextManager, key: str) -> Any:
        kind = declaration_named(name)
        assert kind is not None
        return context.run(kind(), key)

    return work


WAYS = {
    "load": loaded,
    "filter": lambda context, key: context.filter(FocalStatistics(), key),
    "reduce": lambda context, key: context.reduce(BandMoments(), key),
    "procedure": run(ObjectSize.name),
    "filtered": lambda context, key: context.reduce(
        BandMoments(), context.filtered(FocalStatistics(), key)
    ),
    "copy": lambda context, key: context.publish(context.filtered(FocalStatistics(), key)[0]),
}


@pytest.mark.parametrize("change", [replaced, rewritten, truncated, removed])
@pytest.mark.parametrize("way", WAYS)
def test_a_file_that_changes_while_it_is_read(tmp_path: Path, way: str, change: Any) -> None:
    _changes_in_use(tmp_path, WAYS[way], change, inline=True)


@pytest.mark.parametrize("change", [replaced, rewritten])
@pytest.mark.parametrize("way", ["load", "filter", "reduce"])
def test_a_file_that_changes_while_workers_read_it(tmp_path: Path, way: str, change: Any) -> None:
    _changes_in_use(tmp_path, WAYS[way], change, inline=False)


def _changes_in_use(tmp_path: Path, way: Any, change: Any, *, inline: bool) -> None:
    path = write(tmp_path / "a.tif")
    left = [change]

    def progress(_: float) -> None:
        while left:
            left.pop()(path)

    with EOContextManager(
        2, inline=inline, tile_pixels=2000, observer=Observer(progress=progress)
    ) as context:
        key = context.describe(path)
        with pytest.raises(InputError, match=r"a\.tif. changed while it was in use"):
            way(context, key)
        assert not left
        for each in list(context.images):
            context.release(each)
        assert not context._runs.store._holds


def test_the_source_of_a_vrt_that_changes_while_it_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif")
    gdal.BuildVRT(str(tmp_path / "a.vrt"), [path]).FlushCache()

    def filter_it(context: EOContextManager, _: str) -> Any:
        return context.filter(FocalStatistics(), context.describe(str(tmp_path / "a.vrt")))

    _changes_in_use(tmp_path, filter_it, rewritten, inline=True)


def test_what_others_note_beside_a_file_is_no_change(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif")
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset/>")
    with EOContextManager(inline=True) as context:
        key = context.describe(path)
        (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset></PAMDataset>")
        context.filter(FocalStatistics(), key)


# ---------------------------------------------------------------- targets


class Never(ImageFilter):
    """Fails where it is computed."""

    label = "Never"

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        return [inputs[0]]

    def apply(self, blocks: Blocks) -> Any:
        raise AssertionError("it was computed")


@pytest.fixture
def context() -> Iterator[EOContextManager]:
    with EOContextManager(inline=True) as made:
        yield made


def test_what_cannot_hold_an_image_is_refused_before_it_is_computed(
    context: EOContextManager, tmp_path: Path
) -> None:
    wide = context.filtered(Never(), context.describe(write(tmp_path / "a.tif", "int64")))[0]
    target = str(tmp_path / "b.tif")
    with pytest.raises(OutputError, match="LERC_ZSTD cannot hold pixels of type int64"):
        context.write(wide, target, options=WriteOptions(compress="LERC_ZSTD"))
    with pytest.raises(OutputError, match="Unknown format 'PNG'"):
        context.write(wide, target, format="PNG")
    with pytest.raises(OutputError, match="there is no folder"):
        context.write(wide, str(tmp_path / "none" / "b.tif"))
    many = context.create_image({"width": 1, "height": 1, "count": 65536, "dtype": "uint8"})
    for format_ in ("GTiff", "COG"):
        with pytest.raises(OutputError, match="at most 65535 bands, the image has 65536"):
            context.write(context.filtered(Never(), many)[0], target, format=format_)
    assert os.listdir(tmp_path) == ["a.tif"]


def test_a_target_that_is_behind_what_is_computed_is_refused(
    context: EOContextManager, tmp_path: Path
) -> None:
    path = write(tmp_path / "a.tif")
    gdal.BuildVRT(str(tmp_path / "a.vrt"), [path]).FlushCache()
    os.link(path, tmp_path / "same.tif")
    for given in (path, str(tmp_path / "a.vrt")):
        [first] = context.filtered(Never(), context.describe(given))
        [second] = context.filtered(Never(), first)
        context.release(first)
        for target in ("a.tif", "same.tif"):
            with pytest.raises(OutputError, match="is one of the inputs"):
                context.write(second, str(tmp_path / target))
        context.release(second)


def test_another_file_that_is_there_is_overwritten(
    context: EOContextManager, tmp_path: Path
) -> None:
    target = write(tmp_path / "b.tif", seed=3)
    key = context.open_raster(write(tmp_path / "a.tif"))
    context.write(key, target)
    assert np.array_equal(gdal.Open(target).ReadAsArray()[None], context.get_array(key))


# ---------------------------------------------------------------- chains


def test_a_step_that_does_not_fit_is_named_when_the_chain_is_made(
    context: EOContextManager, tmp_path: Path
) -> None:
    [step] = context.filtered(Never(), context.describe(write(tmp_path / "a.tif", bands=2)))
    majority = declaration_named("majorityfilter")
    with pytest.raises(InputError, match="Band math.*there is no band 'im1b3'"):
        context.filtered(BandMath("im1b3 + 1"), step)
    [floats] = context.filtered(BandMath("im1b1 / 2"), step)
    assert majority is not None
    with pytest.raises(InputError, match="Majority filter does not take float"):
        context.filtered(majority(), floats)
    other = context.create_image({"width": 9, "height": 9, "count": 1, "dtype": "uint8"})
    with pytest.raises(InputError, match="'Never' and 'created image' do not share a grid"):
        context.filtered(Stack(), [step, other])


class ThirdBand(Never):
    """Takes a band for granted."""

    label = "Third band"

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        return [inputs[0].with_bands((inputs[0].bands[2].description,))]


def test_a_class_of_the_users_that_does_not_fit_is_named(
    context: EOContextManager, tmp_path: Path
) -> None:
    key = context.describe(write(tmp_path / "a.tif", bands=2))
    for run_it in (context.filtered, context.filter):
        with pytest.raises(InputError, match="Third band does not take these images: IndexError"):
            run_it(ThirdBand(), key)
