"""No valid pixel ever changes to make room for nodata: bytes that use all 256 values.

Every declaration takes such images, whose invalid pixels a mask, an alpha band, masks of single
bands or nodata values of single bands tell of; in memory, from files and into files, which GDAL
reads back.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError
from eoscale_engine.profile import Affine, Band, Profile
from eoscale_engine.raster_files.vrt import vrt_face
from eoscale_engine.tiling import Window
from tests.engine.test_exactness import (
    PROCEDURES,
    REDUCTIONS,
    WITH_INPUTS,
    Picture,
    agrees,
    alternatives,
    assert_close,
    by_cells,
    counts,
    keys_by_role,
    on_whole,
    picture_of,
    supported,
    values_in,
)

pytestmark = pytest.mark.filterwarnings("ignore::eoscale_engine.errors.InputWarning")

ROWS, COLS = 18, 21
PROFILE = Profile(COLS, ROWS, "uint8", (Band(), Band()), None, Affine(2, 0, 100, 0, -2, 900))
KINDS = ("mask", "alpha", "masks by band", "nodata by band")


def bytes_of_all_values(kind: str, seed: int) -> Picture:
    random = np.random.default_rng(seed)
    values = np.concatenate([np.arange(256), random.integers(0, 256, ROWS * COLS - 256)])
    pixels = np.stack([random.permutation(values).reshape(ROWS, COLS) for _ in range(2)])
    pixels = pixels.astype(np.uint8)
    if kind == "nodata by band":
        return Picture(pixels, replace(PROFILE, bands=(Band(nodata=7), Band())))
    planes = random.choice(np.uint8([0, 255]), pixels.shape, p=(0.1, 0.9))
    return Picture(pixels, PROFILE, planes if kind == "masks by band" else planes[:1])


def written(image: Picture, path: Path, kind: str) -> str:
    """The image as a file that another program may have made."""
    if kind != "alpha":
        planes = () if image.planes is None else image.planes
        path.with_suffix(".raw").write_bytes(image.pixels.tobytes() + b"".join(map(bytes, planes)))
        text = vrt_face(image.profile, path.with_suffix(".raw").name, planes=len(planes))
        path.with_suffix(".vrt").write_text(text)
        return str(path.with_suffix(".vrt"))
    file = gdal.GetDriverByName("GTiff").Create(str(path), COLS, ROWS, 3)
    file.SetGeoTransform(image.profile.transform.to_gdal())
    file.GetRasterBand(3).SetColorInterpretation(gdal.GCI_AlphaBand)
    for number, pixels in enumerate((*image.pixels, image.planes[0]), 1):
        file.GetRasterBand(number).WriteArray(pixels)
    return str(path)


def read_back(path: str) -> Picture:
    """What GDAL says of a file."""
    file = gdal.Open(path)
    bands = list(map(file.GetRasterBand, range(1, file.RasterCount + 1)))
    planes = np.stack([band.GetMaskBand().ReadAsArray() for band in bands])
    pixels = file.ReadAsArray()
    pixels = pixels if pixels.ndim == 3 else pixels[None]
    return Picture(
        pixels, Profile(*pixels.shape[:0:-1], pixels.dtype.name, (Band(),) * len(bands)), planes
    )


@pytest.fixture(scope="module")
def context() -> Iterator[EOContextManager]:
    with EOContextManager(inline=True, tile_pixels=130, block_bytes=400) as made:
        yield made


WAYS = {"mask": "open_raster", "alpha": "describe", "masks by band": "describe"}
"""How files of each kind come in; the others are loaded."""


def on_bytes(cases: list[Any]) -> Any:
    """Each class and each kind of validity, with its examples in turn."""
    by_class: dict[type, list[Any]] = {}
    for case in cases:
        if "uint8" in supported(case.values[0]):
            by_class.setdefault(type(case.values[0]), []).append(case)
    return pytest.mark.parametrize(
        ("declaration", "kind"),
        [
            pytest.param(
                *examples[number % len(examples)].values, kind, id=f"{name}-{number}-{kind}"
            )
            for name, examples in ((one.__name__, several) for one, several in by_class.items())
            for number, kind in zip(range(max(len(KINDS), len(examples))), cycle(KINDS))
        ],
    )


@on_bytes(WITH_INPUTS)
def test_filters_change_no_valid_pixel(
    declaration: Any, kind: str, context: EOContextManager, tmp_path: Path
) -> None:
    count = sum(counts(declaration).values())
    images = [bytes_of_all_values(kind, seed) for seed in range(count)]
    paths = [written(image, tmp_path / f"{n}.tif", kind) for n, image in enumerate(images)]
    wanted = on_whole(declaration, images)
    opened = getattr(context, WAYS.get(kind, "open_raster"))
    made = context.filter(declaration, [opened(path) for path in paths])
    for number, (key, expected) in enumerate(zip(made, wanted)):
        agrees(declaration, picture_of(context, key), expected)
        context.write(key, str(tmp_path / f"out{number}.tif"))
        agrees(declaration, read_back(str(tmp_path / f"out{number}.tif")), expected)
    context.end()
    context.start()


@on_bytes([case for case in REDUCTIONS if not case.values[0].merge_in_worker])
def test_reductions_see_each_valid_pixel(
    declaration: Any, kind: str, context: EOContextManager, tmp_path: Path
) -> None:
    count = sum(counts(declaration).values())
    images = [bytes_of_all_values(kind, seed) for seed in range(count)]
    paths = [written(image, tmp_path / f"{n}.tif", kind) for n, image in enumerate(images)]
    opened = getattr(context, WAYS.get(kind, "open_raster"))
    found = context.reduce(declaration, [opened(path) for path in paths])
    assert_close(found, by_cells(declaration, images))
    context.end()
    context.start()


@on_bytes([case for case in PROCEDURES if case.values[0].inputs])
def test_procedures_find_what_they_find_where_there_is_room_for_nodata(
    declaration: Any, kind: str, context: EOContextManager, tmp_path: Path
) -> None:
    for roles in alternatives(declaration):
        count = sum(counts(declaration, roles).values())
        images = [bytes_of_all_values(kind, seed) for seed in range(count)]
        paths = [written(image, tmp_path / f"{n}.tif", kind) for n, image in enumerate(images)]
        wide = replace(PROFILE, dtype="int16").with_nodata(-1)
        roomy = [Picture(np.where(i.valid, i.pixels.astype("int16"), -1), wide) for i in images]
        first = found(context, declaration, roomy, roles)
        second = found(context, declaration, [Path(path) for path in paths], roles)
        for one, two in zip(first, second):
            assert one == two


def found(context: EOContextManager, declaration: Any, images: Any, roles: Any) -> list[Any]:
    keys = keys_by_role(context, declaration, images, roles)
    try:
        made = context.run(declaration, keys)
    except InputError as problem:
        return [str(problem)]
    pictures = [picture_of(context, key) for key in made.images if key]
    values = [np.where(p.valid, p.pixels, 0).astype(float).tolist() for p in pictures]
    return [
        *values,
        *(p.valid.tolist() for p in pictures),
        list(map(repr, values_in(made.summary))),
    ]


@pytest.mark.parametrize("bands", [[2], [2, 1], [1, 2]])
def test_chosen_bands_and_crops_keep_their_masks(
    bands: list[int], context: EOContextManager, tmp_path: Path
) -> None:
    image = bytes_of_all_values("masks by band", 3)
    path = written(image, tmp_path / "a.tif", "masks by band")
    chosen, window = [band - 1 for band in bands], Window(4, 5, 11, 9)
    context.open_raster(path)  # kept: other bands of it are found in memory
    for key in (context.open_raster(path, bands), context.describe(path, bands)):
        for place, part in ((Window(0, 0, ROWS, COLS), key), (window, context.crop(key, window))):
            inside = (chosen, *place.slices)
            context.write(part, str(tmp_path / "out.tif"))
            for found in (picture_of(context, part), read_back(str(tmp_path / "out.tif"))):
                np.testing.assert_array_equal(found.valid, image.valid[inside])
                np.testing.assert_array_equal(found.pixels, image.pixels[inside])
    context.end()
    context.start()
