"""Every declaration of the catalogue: the same bits for any cut, any workers, file or memory.

A new filter or reduction is found by itself. It runs with its ``examples`` on small images of two
bands; one that runs a user's code gets some from the table below.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from osgeo import gdal

from eoscale_engine.catalogue import declaration_named, declarations
from eoscale_engine.context import EOContextManager, Resources
from eoscale_engine.declaration import (
    Block,
    Blocks,
    Declaration,
    ImageFilter,
    Procedure,
    Reduction,
)
from eoscale_engine.errors import InputError
from eoscale_engine.memory.allocation import Memory
from eoscale_engine.memory.folder import make_folders
from eoscale_engine.memory.images import Mappings
from eoscale_engine.memory.store import ImageStore
from eoscale_engine.profile import DTYPES, Affine, Band, Profile
from eoscale_engine.tiling import CELL, Window, split
from eoscale_engine.workers.inline import InlineWorkers
from eoscale_engine.workers.processes import ProcessWorkers

USER_FILE = str(Path(__file__).parents[1] / "data" / "user_functions.py")
USER_CODE: dict[str, tuple[dict[str, Any], ...]] = {
    "pythonfilter": (
        {"file": USER_FILE, "function": "box_sum", "params": '{"radius": 2}', "stable_margin": 2},
        {"file": USER_FILE, "function": "differences", "output_bands": 2, "output_dtype": "uint8"},
    ),
    "pythonreduction": (
        {"file": USER_FILE, "function": "extremes", "merge_function": "merge_extremes"},
    ),
}


def kinds(base: type[Declaration]) -> Iterator[type[Declaration]]:
    declarations()  # imports them all
    for kind in base.__subclasses__():
        yield from kinds(kind)
        own = kind.__module__.startswith("eoscale_engine.")
        if own and is_dataclass(kind) and not inspect.isabstract(kind):
            yield kind


def cases(base: type[Declaration]) -> list[Any]:
    return [
        pytest.param(kind(**example), id=f"{kind.__name__}-{number}")
        for kind in kinds(base)
        for number, example in enumerate(kind.examples or USER_CODE.get(kind.name, ()))
    ]


# the images are random and of two bands, which some examples find strange
pytestmark = pytest.mark.filterwarnings("ignore::eoscale_engine.errors.InputWarning")

FILTERS, REDUCTIONS, PROCEDURES = cases(ImageFilter), cases(Reduction), cases(Procedure)
WITH_INPUTS = [case for case in FILTERS if case.values[0].inputs]
WITH_MARGIN = [case for case in WITH_INPUTS if case.values[0].margin]
filters = pytest.mark.parametrize("declaration", FILTERS)
filters_of_images = pytest.mark.parametrize("declaration", WITH_INPUTS)
reductions = pytest.mark.parametrize("declaration", REDUCTIONS)
procedures = pytest.mark.parametrize("declaration", [c for c in PROCEDURES if c.values[0].inputs])


def test_every_declaration_is_here() -> None:
    tested = {case.values[0].name for case in FILTERS + REDUCTIONS + PROCEDURES}
    assert len(declarations()) > 5
    assert set(declarations()) <= tested


def test_every_declaration_is_found_by_its_name() -> None:
    assert all(declaration_named(name) is kind for name, kind in declarations().items())
    assert declaration_named("nothing") is None


# ---------------------------------------------------------------- images


@dataclass(frozen=True)
class Picture:
    """An image of two bands: pixels, profile, and masks where there are some."""

    pixels: np.ndarray
    profile: Profile
    planes: Optional[np.ndarray] = None

    @property
    def valid(self) -> np.ndarray:
        nodata = [np.nan if band.nodata is None else band.nodata for band in self.profile.bands]
        found = self.pixels == self.pixels
        if self.planes is not None:
            found = found & (self.planes != 0)
        for band, value in enumerate(nodata):
            found[band] &= self.pixels[band] != value
        return found


def picture(
    dtype: str, rows: int, cols: int, *, seed: int = 0, holes: float = 0.0, nodata: bool = True
) -> Picture:
    """Many values of the type, nodata and NaN in the holes (another value in each band)."""
    random = np.random.default_rng(seed)
    shape, kind = (2, rows, cols), np.dtype(dtype)
    values: tuple[Any, Any] = (-9.0, 17.0)
    if kind.kind in "iu":
        info = np.iinfo(kind)
        pixels = random.integers(info.min, info.max, shape, dtype=kind, endpoint=True)
        pixels = np.where(random.random(shape) < 0.5, pixels % 90, pixels).astype(kind)
        values = (int(info.max), 17)
    else:
        pixels = (random.normal(20, 30, shape) * 10 ** random.uniform(-2, 2, shape)).astype(kind)
        if kind.kind == "c":
            pixels = pixels + kind.type(1j) * pixels[:, ::-1]
        pixels[random.random(shape) < 0.03] = 0
    hollow = random.random(shape) < holes
    if nodata:
        for band in range(2):
            pixels[band][hollow[band]] = values[band]
    if kind.kind in "fc":
        pixels[hollow & (random.random(shape) < 0.3)] = np.nan
    bands = tuple(Band(nodata=value if nodata else None) for value in values)
    return Picture(pixels, Profile(cols, rows, dtype, bands, None, Affine(2, 0, 100, 0, -2, 900)))


def counts(declaration: Declaration, roles: Optional[Sequence[str]] = None) -> dict[str, int]:
    """How many images each role gets: one, or two where there may be many; of polygons none."""
    return {
        item.role: 2 if item.many else 1
        for item in declaration.inputs
        if not item.polygons and (roles is None or item.role in roles)
    }


def pictures(
    declaration: Declaration,
    *arguments: Any,
    seed: int = 0,
    roles: Optional[Sequence[str]] = None,
    **options: Any,
) -> list[Picture]:
    """The images of all roles, or of these."""
    dtype, *size = arguments
    given = [role for role, count in counts(declaration, roles).items() for _ in range(count)]
    # zones are whole numbers
    kinds = ["uint8" if role == "ZONES" and "float" in dtype else dtype for role in given]
    return [
        picture(kind, *size, seed=seed + number, **options) for number, kind in enumerate(kinds)
    ]


def alternatives(declaration: Declaration) -> list[list[str]]:
    """The roles that can be given together."""
    roles = [item.role for item in declaration.inputs]
    rest = [role for role in roles if role not in declaration.one_of]
    return [[*rest, role] for role in declaration.one_of] or [roles]


def supported(declaration: Declaration) -> list[str]:
    return [dtype for dtype in DTYPES if np.dtype(dtype).kind in declaration.dtype_kinds]


def usual(declaration: Declaration) -> list[str]:
    """A float type where it is taken, and a small integer."""
    taken = supported(declaration)
    return [name for name in ("float32", "uint8") if name in taken]


# ---------------------------------------------------------------- the filter on the whole image


PADDING = {"invalid": "constant", "nearest": "edge", "reflect": "symmetric", "cut": ""}


def whole_block(declaration: Any, image: Picture, margin: Optional[int] = None) -> Block:
    """All of an image as one block, extended with NumPy's own padding."""
    margin = declaration.margin if margin is None else margin
    core = Window(0, 0, image.profile.height, image.profile.width)
    if declaration.border == "cut":
        return Block(image.pixels, image.valid, image.profile, core)
    wide: Any = ((0, 0), (margin, margin), (margin, margin))
    pixels = np.pad(image.pixels, wide, mode=PADDING[declaration.border])
    valid = np.pad(image.valid, wide, mode=PADDING[declaration.border])
    return Block(pixels, valid, image.profile, core, (margin,) * 4)


def on_whole(declaration: Any, images: Sequence[Picture]) -> list[tuple[np.ndarray, np.ndarray]]:
    """What one single call of ``apply`` gives: pixels and validity of each output."""
    profiles = [image.profile for image in images]
    output = declaration.output_profiles(profiles)[0]
    core = Window(0, 0, output.height, output.width)
    remaining = iter([whole_block(declaration, image) for image in images])
    roles = {
        role: [next(remaining) for _ in range(count)] for role, count in counts(declaration).items()
    }
    made = declaration.apply(Blocks(core, roles))
    results = []
    for pixels, valid in made if isinstance(made, list) else [made]:
        where = np.broadcast_to(True if valid is None else valid, pixels.shape)
        results.append((pixels, where & (pixels == pixels)))
    return results


def agrees(declaration: Any, got: Picture, wanted: tuple[np.ndarray, np.ndarray]) -> None:
    """Compare the engine's image with one call's pixels: all valid ones, no others."""
    pixels, valid = wanted
    dtype = got.pixels.dtype
    if dtype.kind in "iu" and pixels.dtype.kind == "f":
        limits = np.iinfo(dtype)
        pixels = np.clip(np.rint(np.where(valid, pixels, 0).astype(float)), limits.min, limits.max)
    with np.errstate(over="ignore", invalid="ignore"):
        pixels = pixels.astype(dtype)
    for band, properties in enumerate(got.profile.bands):
        if declaration.marks_nodata and properties.nodata is not None:
            valid[band] &= pixels[band] != dtype.type(properties.nodata)
    np.testing.assert_array_equal(got.valid, valid)
    assert got.pixels[valid].tobytes() == pixels[valid].tobytes()


# ---------------------------------------------------------------- the engine


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, Resources]]:
    folders = make_folders()
    executors: dict[str, Any] = {"inline": InlineWorkers()}
    executors.update({str(count): ProcessWorkers(count) for count in (1, 2, 5)})
    yield {
        name: Resources(ImageStore(Memory(*folders), executor.forget), executor)
        for name, executor in executors.items()
    }
    for executor in executors.values():
        executor.close()
    for folder in folders:
        assert not list(folder.path.glob("*.vrt"))
        folder.close()


Images = Sequence[Union[Picture, Path]]


def keys_of(context: EOContextManager, images: Images) -> list[str]:
    """Pictures in memory; files by their paths, without loading them."""
    keys = []
    for image in images:
        if isinstance(image, Path):
            keys.append(context.describe(str(image)))
        else:
            keys.append(context.create_image(image.profile))
            context.get_array(keys[-1])[:] = image.pixels
    return keys


def filtered(
    resources: Resources, declaration: Any, images: Images, extent: Any = None, **cuts: Any
) -> list[Picture]:
    with EOContextManager(resources=resources, **cuts) as context:
        made = context.filter(declaration, keys_of(context, images), extent=extent)
        return [picture_of(context, key) for key in made]


def picture_of(context: EOContextManager, key: str) -> Picture:
    """An image of a context, copied."""
    pixels = context.get_array(key).copy()
    planes = Mappings().planes(context.images.entries[key].source.images[0])
    return Picture(pixels, context.profile(key), None if planes is None else planes.copy())


def reduced(
    resources: Resources, declaration: Any, images: Images, extent: Any = None, **cuts: Any
) -> Any:
    with EOContextManager(resources=resources, **cuts) as context:
        return context.reduce(declaration, keys_of(context, images), extent=extent)


def same(one: Sequence[Picture], two: Sequence[Picture]) -> bool:
    return len(one) == len(two) and all(
        a.pixels.tobytes() == b.pixels.tobytes() and np.array_equal(a.valid, b.valid)
        for a, b in zip(one, two)
    )


def values_in(found: Any) -> Iterator[Any]:
    """All plain values of a reduction's result, in order."""
    if is_dataclass(found):
        for item in fields(found):
            yield from values_in(getattr(found, item.name))
    elif isinstance(found, np.ndarray):
        yield from found.ravel().tolist()
    elif isinstance(found, dict):
        yield from values_in(list(found.items()))
    elif isinstance(found, (list, tuple)):
        for item in found:
            yield from values_in(item)
    else:
        yield found


POLYGONS = str(Path(__file__).parents[1] / "data" / "polygons.geojson")
"""On the pictures' grid: apart, overlapping, with a hole, crossing itself, beyond, without area."""


def keys_by_role(
    context: EOContextManager, declaration: Declaration, images: Images, roles: Sequence[str]
) -> dict[str, list[str]]:
    """The keys of the images in their roles, and of polygons where they are given."""
    keys = iter(keys_of(context, images))
    found = {
        role: [next(keys) for _ in range(count)]
        for role, count in counts(declaration, roles).items()
    }
    for item in declaration.inputs:
        if item.polygons and item.role in roles:
            found[item.role] = [context.open_polygons(POLYGONS)]
    return found


SQUARES = {"tile_mode": True, "tile_pixels": 700, "block_bytes": 3000}
STRIPS = {"tile_mode": False, "tile_pixels": 3000, "block_bytes": 100_000}
BY_DEFAULT: dict[str, Any] = {}


def written(image: Picture, path: Path, blocks: Sequence[str]) -> Path:
    """A GeoTIFF, which has one nodata value for all bands."""
    image = replace(image, profile=image.profile.with_nodata(image.profile.nodata))
    count, rows, cols = image.pixels.shape
    kind = {"float32": gdal.GDT_Float32, "uint8": gdal.GDT_Byte}[image.profile.dtype]
    file = gdal.GetDriverByName("GTiff").Create(str(path), cols, rows, count, kind, list(blocks))
    file.SetGeoTransform(image.profile.transform.to_gdal())
    for band in range(count):
        file.GetRasterBand(band + 1).WriteArray(image.pixels[band])
        file.GetRasterBand(band + 1).SetNoDataValue(image.profile.nodata)
    return path


# ---------------------------------------------------------------- filters


@filters
@settings(
    max_examples=10, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(data=st.data())
def test_any_cut_gives_what_the_whole_image_gives(
    declaration: Any, engines: dict[str, Resources], data: Any
) -> None:
    dtype = data.draw(st.sampled_from(supported(declaration)))
    rows, cols = data.draw(st.integers(1, 45)), data.draw(st.integers(1, 60))
    seed, holes = data.draw(st.integers(0, 10**6)), data.draw(st.sampled_from((0.0, 0.02, 0.3)))
    images = pictures(declaration, dtype, rows, cols, seed=seed, holes=holes)
    whole = filtered(engines["inline"], declaration, images, block_bytes=2**30)
    for got, wanted in zip(whole, on_whole(declaration, images)):
        agrees(declaration, got, wanted)
    # sample scenes, which are no small images, would take minutes pixel by pixel
    least = (80, 1) if declaration.inputs else (500, 5000)
    cuts = {
        "tile_mode": data.draw(st.sampled_from((True, False, None))),
        "tile_pixels": data.draw(st.integers(least[0], 900)),
        "block_bytes": data.draw(st.integers(least[1], 20_000)),
    }
    assert same(filtered(engines["inline"], declaration, images, **cuts), whole)
    rows, cols = whole[0].pixels.shape[1:]
    row, col = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, cols - 1))
    extent = Window(
        row, col, data.draw(st.integers(1, rows - row)), data.draw(st.integers(1, cols - col))
    )
    part = filtered(engines["inline"], declaration, images, extent, **cuts)
    for crop, got in zip(part, whole):
        inside = (slice(None), *extent.slices)
        assert crop.profile.transform == got.profile.transform.shifted(row, col)
        assert crop.pixels.tobytes() == got.pixels[inside].tobytes()
        assert np.array_equal(crop.valid, got.valid[inside])


@filters
def test_any_workers_from_memory_and_from_a_file(
    declaration: Any, engines: dict[str, Resources], tmp_path: Path
) -> None:
    for dtype in usual(declaration):
        images = [
            replace(image, profile=image.profile.with_nodata(image.profile.nodata))
            for image in pictures(declaration, dtype, 83, 131, holes=0.05)
        ]
        first = filtered(engines["inline"], declaration, images)
        tiled = ("TILED=YES", "BLOCKXSIZE=32", "BLOCKYSIZE=16", "COMPRESS=DEFLATE")
        for blocks in (tiled, ("BLOCKYSIZE=5",)):
            files = [
                written(image, tmp_path / f"{dtype}-{number}.tif", blocks)
                for number, image in enumerate(images)
            ]
            assert same(filtered(engines["inline"], declaration, files, **SQUARES), first)
            assert same(filtered(engines["2"], declaration, files, **STRIPS), first)
        assert same(filtered(engines["1"], declaration, images, **SQUARES), first)
        assert same(filtered(engines["2"], declaration, images, **BY_DEFAULT), first)
        assert same(filtered(engines["5"], declaration, images, **STRIPS), first)
        if not declaration.inputs:
            return


@filters_of_images
def test_every_dtype_and_nothing_valid(declaration: Any, engines: dict[str, Resources]) -> None:
    for dtype in supported(declaration):
        for holes, nodata in ((0.0, False), (0.2, True), (1.0, True)):
            images = pictures(declaration, dtype, 11, 14, seed=3, holes=holes, nodata=nodata)
            got = filtered(engines["inline"], declaration, images, **SQUARES)
            for one, wanted in zip(got, on_whole(declaration, images)):
                agrees(declaration, one, wanted)


@filters_of_images
@pytest.mark.parametrize("size", [(1, 1), (1, 9), (9, 1), (2, 3)])
def test_images_smaller_than_the_margin(
    declaration: Any, size: tuple[int, int], engines: dict[str, Resources]
) -> None:
    for dtype in usual(declaration):
        for holes in (0.0, 0.4, 1.0):
            images = pictures(declaration, dtype, *size, seed=5, holes=holes)
            got = filtered(engines["inline"], declaration, images, tile_pixels=1, block_bytes=1)
            for one, wanted in zip(got, on_whole(declaration, images)):
                agrees(declaration, one, wanted)


@pytest.mark.parametrize("declaration", WITH_MARGIN)
def test_one_pixel_of_margin_less_gives_another_result(declaration: Any) -> None:
    """What stands in the outermost ring of the margin changes the result on the core."""
    margin = declaration.margin
    side = 3 + 2 * margin
    dtype = usual(declaration)[0]
    images = pictures(declaration, dtype, side, side, seed=1, nodata=False)
    special = declaration.farthest(side)
    if special is not None:
        images = [replace(image, pixels=special.astype(dtype)) for image in images]
    large = 1e7 if dtype == "float32" else np.iinfo(dtype).max
    core = Window(margin, margin, 3, 3)
    ring = np.ones((2, side, side), bool)
    ring[:, 1:-1, 1:-1] = False

    def result(change: Any = None, hidden: Any = False) -> list[bytes]:
        blocks = []
        for image in images:
            pixels = image.pixels.copy()
            if change is not None:
                pixels[ring] = change
            valid = (pixels == pixels) & ~np.asarray(hidden)
            seen = None if valid.all() else valid
            blocks.append(Block(pixels, seen, image.profile, core, (margin,) * 4))
        remaining = iter(blocks)
        roles = {
            item.role: [next(remaining) for _ in range(2 if item.many else 1)]
            for item in declaration.inputs
        }
        made = declaration.apply(Blocks(core, roles))
        parts = made if isinstance(made, list) else [made]
        return [
            np.where(True if where is None else where, found, 0).tobytes()
            + np.broadcast_to(True if where is None else where, found.shape).tobytes()
            for found, where in parts
        ]

    assert result(large) != result() or result(hidden=ring) != result()


# ---------------------------------------------------------------- reductions


@reductions
@pytest.mark.parametrize("dtype", ["float32", "uint8"])
def test_a_reduction_is_the_same_for_any_workers(
    declaration: Any, dtype: str, engines: dict[str, Resources], tmp_path: Path
) -> None:
    images = [
        replace(image, profile=image.profile.with_nodata(image.profile.nodata))
        for image in pictures(declaration, dtype, 530, 2100, holes=0.05)
    ]
    files = [
        written(image, tmp_path / f"{number}.tif", ("TILED=YES", "COMPRESS=DEFLATE"))
        for number, image in enumerate(images)
    ]
    strips = [written(image, tmp_path / f"strips-{n}.tif", ()) for n, image in enumerate(images)]
    runs = [
        reduced(engines["inline"], declaration, images),
        reduced(engines["inline"], declaration, strips),
        reduced(engines["1"], declaration, images, **SQUARES),
        reduced(engines["2"], declaration, files, **STRIPS),
        reduced(engines["5"], declaration, images, **STRIPS),
    ]
    first = list(map(repr, values_in(runs[0])))
    for other in runs[1:]:
        assert list(map(repr, values_in(other))) == first
    extent = Window(300, 700, 220, 500)
    crop = [
        Picture(
            image.pixels[(slice(None), *extent.slices)].copy(),
            image.profile.cropped(*extent),
        )
        for image in images
    ]
    part = reduced(engines["5"], declaration, images, extent, **STRIPS)
    assert_close(part, by_cells(declaration, crop))
    if dtype == "float32":
        assert list(map(repr, values_in(part))) != first


@reductions
def test_a_reduction_on_every_dtype_and_size(
    declaration: Any, engines: dict[str, Resources]
) -> None:
    for dtype in supported(declaration):
        for size in ((1, 1), (1, 9), (9, 1), (12, 17)):
            for holes in (0.0, 0.3, 1.0):
                images = pictures(declaration, dtype, *size, seed=2, holes=holes)
                got = reduced(engines["inline"], declaration, images)
                assert_close(got, by_cells(declaration, images))


def by_cells(declaration: Any, images: Sequence[Picture]) -> Any:
    """A reduction by a plain loop."""
    merged, profile, margin = None, images[0].profile, declaration.margin
    whole = [whole_block(declaration, image) for image in images]
    for core in split(Window(0, 0, profile.height, profile.width), CELL, CELL):
        # the padded image begins a margin before the first pixel
        place = (slice(None), *Window(*core[:2], *(n + 2 * margin for n in core[2:])).slices)
        blocks = iter(
            Block(block.pixels[place], block.valid[place], block.profile, core, (margin,) * 4)
            for block in whole
        )
        roles = {
            role: [next(blocks) for _ in range(count)]
            for role, count in counts(declaration).items()
        }
        found = declaration.map(Blocks(core, roles))
        merged = found if merged is None else declaration.merge(merged, found)
    return declaration.finish(merged, [image.profile for image in images])


def assert_close(one: Any, two: Any) -> None:
    pairs = list(zip(values_in(one), values_in(two)))
    assert pairs
    assert len(pairs) == len(list(values_in(one)))
    for a, b in pairs:
        if isinstance(a, float) and isinstance(b, float):
            assert a == pytest.approx(b, rel=1e-9, nan_ok=True)
        else:
            assert a == b


# ---------------------------------------------------------------- procedures


def procured(
    resources: Resources,
    declaration: Any,
    images: Images,
    extent: Any = None,
    roles: Sequence[str] = (),
    **cuts: Any,
) -> tuple[list[Picture], Any]:
    """The images and the summary of a procedure."""
    with EOContextManager(resources=resources, **cuts) as context:
        keys_of_roles = keys_by_role(context, declaration, images, roles)
        made = context.run(declaration, keys_of_roles, extent=extent)
        assert bool(made.summary) == (declaration.reports or not declaration.outputs)
        return [picture_of(context, key) for key in made.images if key], made.summary


@procedures
def test_a_procedure_is_the_same_for_any_workers(
    declaration: Any, engines: dict[str, Resources], tmp_path: Path
) -> None:
    for dtype, roles in product(usual(declaration), alternatives(declaration)):
        images = [
            replace(image, profile=image.profile.with_nodata(image.profile.nodata))
            for image in pictures(declaration, dtype, 130, 610, holes=0.05, roles=roles)
        ]
        files = [
            written(image, tmp_path / f"{dtype}-{number}.tif", ("TILED=YES", "COMPRESS=DEFLATE"))
            for number, image in enumerate(images)
        ]
        for extent in (None, Window(30, 77, 61, 502)):
            first, values = procured(engines["inline"], declaration, images, extent, roles)
            for other, numbers in (
                procured(engines["1"], declaration, images, extent, roles, **SQUARES),
                procured(engines["2"], declaration, files, extent, roles, **STRIPS),
                procured(engines["5"], declaration, images, extent, roles, **STRIPS),
            ):
                assert same(other, first)
                assert list(map(repr, values_in(numbers))) == list(map(repr, values_in(values)))


@procedures
def test_a_procedure_on_every_dtype_and_size(
    declaration: Any, engines: dict[str, Resources]
) -> None:
    inline, small = engines["inline"], {"tile_pixels": 20}
    for dtype, roles in product(supported(declaration), alternatives(declaration)):
        for size in ((1, 1), (1, 9), (9, 1), (12, 17)):
            for holes in (0.0, 0.3, 1.0):
                images = pictures(declaration, dtype, *size, seed=2, holes=holes, roles=roles)
                if size != (12, 17) or holes == 1.0:  # too little to compute from is refused
                    with suppress(InputError):
                        procured(inline, declaration, images, roles=roles, **small)
                    continue
                first, values = procured(inline, declaration, images, roles=roles)
                other, numbers = procured(inline, declaration, images, roles=roles, **small)
                assert same(other, first)
                assert list(map(repr, values_in(numbers))) == list(map(repr, values_in(values)))


# ---------------------------------------------------------------- what is refused


REFUSING = [
    c
    for c in FILTERS + REDUCTIONS + PROCEDURES
    if c.values[0].inputs and "c" not in c.values[0].dtype_kinds
]


@pytest.mark.parametrize("declaration", REFUSING)
def test_other_dtypes_are_refused_with_nothing_left(
    declaration: Any, engines: dict[str, Resources]
) -> None:
    refused = [dtype for dtype in DTYPES if dtype not in supported(declaration)]
    assert refused
    for dtype in refused:
        with EOContextManager(resources=engines["inline"]) as context:
            roles = alternatives(declaration)[0]
            images = pictures(declaration, dtype, 4, 5, roles=roles)
            keys = keys_by_role(context, declaration, images, roles)
            with pytest.raises(InputError, match=dtype):
                context.run(declaration, keys)
            given = [key for listed in keys.values() for key in listed]
            assert set(context.images) <= set(given)
