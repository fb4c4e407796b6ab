"""Objects found, filtered and filled across tiles, against SciPy, GDAL and plain loops."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Optional

import numpy as np
import pytest
from osgeo import gdal
from scipy import ndimage

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Procedure
from eoscale_engine.errors import InputError
from eoscale_engine.procedures.components import ConnectedComponents
from eoscale_engine.procedures.fill_holes import FillHoles
from eoscale_engine.procedures.object_size import ObjectSize
from eoscale_engine.profile import CRS, Affine, Band, Profile
from eoscale_engine.tiling import Window
from tests.engine.scipy_labels import labelled

DEGREES = CRS(
    'GEOGCRS["x",DATUM["x",ELLIPSOID["x",6378137,298]],CS[ellipsoidal,2],AXIS["lat",north],'
    'AXIS["lon",east],ANGLEUNIT["degree",0.0174532925199433]]'
)


@pytest.fixture
def small_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many cells in a small image; of workers in this process."""
    for module in ("pipeline.fold", "tile_work.jobs"):
        monkeypatch.setattr(f"eoscale_engine.{module}.CELL", 16)


def run(
    procedure: Procedure,
    pixels: np.ndarray,
    nodata: Sequence[Optional[float]] = (None,),
    *,
    extent: Optional[Window] = None,
    context: Optional[EOContextManager] = None,
    profile: Optional[Profile] = None,
    **cuts: Any,
) -> tuple[np.ndarray, Any, Profile]:
    """Pixels, summary and profile; of one band where pixels are ``(rows, cols)``."""
    if context is None:
        options = {"inline": True, "tile_pixels": 700, "block_bytes": 2000, **cuts}
        with EOContextManager(**options) as own:
            return run(
                procedure, pixels, nodata, extent=extent, context=own, profile=profile, **cuts
            )
    cube = pixels if pixels.ndim == 3 else pixels[None]
    bands = tuple(Band(nodata=value) for value in nodata)
    if profile is None:
        size = cube.shape[2], cube.shape[1]
        profile = Profile(*size, cube.dtype.name, bands, None, Affine(2, 0, 900, 0, -2, 500))
    key = context.create_image(profile)
    context.get_array(key)[:] = cube
    found = context.run(procedure, key, extent=extent)
    (made,) = found.images
    assert made
    result = context.get_array(made).copy()
    return (result if pixels.ndim == 3 else result[0]), found.summary, context.profile(made)


def patches(
    shape: tuple[int, int],
    classes: int,
    seed: int,
    dtype: str = "uint8",
    sigma: float = 1.0,
    share: float = 0.03,
) -> np.ndarray:
    """A class image of patches of all sizes, with single pixels strewn over it."""
    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(size=shape), sigma)
    found = np.digitize(smooth, np.quantile(smooth, np.arange(1, classes) / classes))
    strewn = random.random(shape) < share
    return np.where(strewn, random.integers(0, classes, shape), found).astype(dtype)


def spiral(side: int) -> np.ndarray:
    """One snake of ones, a pixel wide, from the corner to the middle."""
    pixels = np.zeros((side, side), np.uint8)
    row, col, step = 0, 0, (0, 1)
    pixels[0, 0] = 1
    for length in (side - 1, *(size for size in range(side - 1, 0, -2) for _ in range(2))):
        for _ in range(length):
            row, col = row + step[0], col + step[1]
            pixels[row, col] = 1
        step = step[1], -step[0]
    return pixels


def snake(side: int) -> np.ndarray:
    """Every other row, joined at its left and right ends in turn."""
    pixels = np.zeros((side, side), np.uint8)
    pixels[::2] = 1
    pixels[1::4, -1] = pixels[3::4, 0] = 1
    return pixels


# ---------------------------------------------------------------- connected components


@pytest.mark.usefixtures("small_cells")
@pytest.mark.parametrize("connectivity", ["4", "8"])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32", "uint64"])
def test_labels_are_scipys_in_raster_order(connectivity: str, dtype: str) -> None:
    for seed, sigma in enumerate((0.0, 0.7, 2.0)):
        pixels = patches((61, 83), 4, seed, dtype, sigma)
        procedure = ConnectedComponents(connectivity)
        got, summary, profile = run(procedure, pixels)
        wanted = labelled(pixels, pixels != 0, connectivity)
        np.testing.assert_array_equal(got, wanted)
        assert profile.dtype == "uint32"
        assert profile.nodata == 0
        sizes = np.bincount(wanted.ravel())[1:]
        assert summary.numbers == {
            "COUNT": len(sizes), "SMALLEST": sizes.min(), "MEAN": pytest.approx(sizes.mean()),
            "MEDIAN": np.median(sizes), "LARGEST": sizes.max(),
        }  # fmt: skip
        _, _, heights = summary.charts[0].series[0][0:3]
        assert sum(heights) == len(sizes)
        assert heights[0] == (sizes == 1).sum()
        assert heights[1] == ((sizes == 2) | (sizes == 3)).sum()


@pytest.mark.usefixtures("small_cells")
def test_selections_and_invalid_pixels() -> None:
    pixels = np.stack([patches((40, 50), 5, 1, "float32"), patches((40, 50), 5, 2, "float32")])
    pixels[0][pixels[0] == 3] = np.nan
    pixels[1][pixels[1] == 0] = -0.0
    pixels[1, ::3][pixels[1, ::3] == 0] = 0.0
    usable = pixels == pixels
    usable[1] &= pixels[1] != 2
    for options, selected in (
        ({"selection": "all values"}, usable),
        ({"selection": "all but 0"}, usable & (pixels != 0)),
        ({"selection": "given values", "values": (0, 4, 99)}, usable & np.isin(pixels, (0, 4))),
    ):
        got, summary, _ = run(ConnectedComponents("8", **options), pixels, (None, 2.0))
        for band in range(2):
            wanted = labelled(pixels[band], selected[band], "8")
            np.testing.assert_array_equal(got[band], wanted)
            assert summary.tables[0].rows[band][2] == wanted.max()


def test_given_values_that_the_type_cannot_hold_are_nowhere() -> None:
    pixels = np.array([[255, 1, 0, 1]], np.uint8)
    given = ConnectedComponents(selection="given values", values=(-1, 0.5, 1, 1e30))
    assert run(given, pixels)[0].tolist() == [[0, 1, 0, 2]]


@pytest.mark.usefixtures("small_cells")
@pytest.mark.parametrize("pixels", [spiral(65), snake(65), snake(65).T.copy()])
def test_one_object_across_all_seams(pixels: np.ndarray) -> None:
    assert ndimage.label(pixels)[1] == 1
    for background in (pixels, 1 - pixels):
        for cuts in ({}, {"tile_mode": True, "tile_pixels": 90, "block_bytes": 1}):
            got, _, _ = run(ConnectedComponents(), background, **cuts)
            np.testing.assert_array_equal(got, ndimage.label(background)[0])


@pytest.mark.usefixtures("small_cells")
def test_checkerboard() -> None:
    board = (np.indices((50, 70)).sum(axis=0) % 2).astype(np.uint8)
    alone, _, _ = run(ConnectedComponents("4", "all values"), board)
    np.testing.assert_array_equal(alone, np.arange(1, 3501).reshape(50, 70))
    together, _, _ = run(ConnectedComponents("8", "all values"), board)
    np.testing.assert_array_equal(together, board + 1)


@pytest.mark.parametrize("connectivity", ["4", "8"])
def test_more_than_65535_objects_in_real_cells_by_real_workers(connectivity: str) -> None:
    pixels = patches((1100, 1300), 5, 3, sigma=0.8)
    wanted = labelled(pixels, np.ones(pixels.shape, bool), connectivity)
    assert wanted.max() > 65535
    procedure = ConnectedComponents(connectivity, "all values")
    with EOContextManager(nb_workers=2) as context:
        got, summary, _ = run(procedure, pixels, context=context)
        np.testing.assert_array_equal(got, wanted)
        assert summary.numbers["COUNT"] == wanted.max()


@pytest.mark.usefixtures("small_cells")
def test_an_extents_objects_are_those_of_its_pixels() -> None:
    pixels, extent = patches((60, 70), 3, 5), Window(13, 21, 35, 40)
    got, _, profile = run(ConnectedComponents(), pixels, extent=extent)
    part = pixels[extent.slices]
    np.testing.assert_array_equal(got, labelled(part, part != 0, "4"))
    assert profile.transform == Affine(2, 0, 900 + 2 * 21, 0, -2, 500 - 2 * 13)


@pytest.mark.parametrize("value", [0, 1])
def test_one_pixel(value: int) -> None:
    got, summary, _ = run(ConnectedComponents(), np.array([[value]], np.uint8))
    assert got.tolist() == [[value]]
    numbers = [value, 1, 1, 1, 1] if value else [0, None, None, None, None]
    assert list(summary.numbers.values()) == numbers


def test_bands_keep_their_names() -> None:
    profile = Profile(3, 1, "uint8", (Band(name="water", scale=0.1, unit="m"), Band()))
    _, summary, made = run(ConnectedComponents(), np.ones((2, 1, 3), np.uint8), profile=profile)
    assert [band.name for band in made.bands] == ["objects of water", "objects"]
    assert made.bands[0].scale == 1
    assert not made.bands[0].unit
    assert summary.tables[0].rows == ((1, "water", 1, 3, 3.0, 3.0, 3), (2, "", 1, 3, 3.0, 3.0, 3))


# ---------------------------------------------------------------- objects by size


def by_size(pixels: np.ndarray, valid: np.ndarray, filtering: ObjectSize) -> np.ndarray:
    """The filtered image by SciPy's labels and plain loops; -1 for nodata."""
    labels = labelled(pixels, valid, filtering.connectivity)
    sizes = dict(enumerate(np.bincount(labels.ravel()).tolist()))
    value = {label: int(pixels[labels == label][0]) for label in sizes if label}
    area = 4 if filtering.unit == "map units squared" else 1
    low = 0 if filtering.minimum is None else filtering.minimum
    high = np.inf if filtering.maximum is None else filtering.maximum
    selected = {"all values": lambda v: True, "all but 0": bool,
                "given values": lambda v: v in filtering.values}[filtering.selection]  # fmt: skip
    out = {k for k in value if selected(value[k]) and not low <= sizes[k] * area <= high}
    result = pixels.astype(int)
    if filtering.replacement in ("nodata", "given value"):
        new = -1 if filtering.replacement == "nodata" else int(filtering.value)
        result[np.isin(labels, list(out))] = new
        return result
    edges: dict[int, dict[int, int]] = {k: {} for k in out}
    for one, two in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        for a, b in zip(one.ravel().tolist(), two.ravel().tolist()):
            for k, other in ((a, b), (b, a)):
                if k in out and other not in (0, k):
                    edges[k][other] = edges[k].get(other, 0) + 1
    part_of = {k: k for k in value if k not in out}
    while True:
        ring: dict[int, int] = {}
        for k in out - set(part_of):
            border: dict[int, int] = {}
            for other, length in edges[k].items():
                if other in part_of:
                    border[part_of[other]] = border.get(part_of[other], 0) + length
            if border:
                largest = filtering.replacement == "largest neighbour"
                amount = {o: sizes[o] if largest else n for o, n in border.items()}
                ring[k] = min(border, key=lambda o: (-amount[o], o))
        if not ring:
            break
        part_of.update(ring)
    for k in out & set(part_of):
        result[labels == k] = value[part_of[k]]
    return result


FILTERINGS = [
    ObjectSize(8),
    ObjectSize(None, 5, connectivity="8"),
    ObjectSize(3, 40, replacement="given value", value=9, selection="all values"),
    ObjectSize(6, replacement="largest neighbour"),
    ObjectSize(12, replacement="largest neighbour", connectivity="8", selection="all values"),
    ObjectSize(9, 60, replacement="longest border", selection="all values"),
    ObjectSize(
        20, unit="map units squared", replacement="longest border",
        selection="given values", values=(0, 2),
    ),
]  # fmt: skip


@pytest.mark.usefixtures("small_cells")
@pytest.mark.parametrize("filtering", FILTERINGS)
def test_objects_by_size_are_those_of_a_loop(filtering: ObjectSize) -> None:
    for seed, sigma in enumerate((0.0, 0.6, 1.5)):
        pixels = patches((45, 58), 4, seed, "int16", sigma)
        pixels[pixels == 3] = 77
        valid = np.random.default_rng(seed).random(pixels.shape) > 0.05
        pixels[~valid] = -5
        wanted = by_size(pixels, valid, filtering)
        for cuts in ({}, {"tile_mode": True, "tile_pixels": 150, "block_bytes": 1}):
            got, summary, profile = run(filtering, pixels, (-5,), **cuts)
            assert (profile.dtype, profile.nodata) == ("int16", -5)
            np.testing.assert_array_equal(got, np.where(wanted == -1, -5, wanted))
        assert summary.numbers["PIXELS"] >= (wanted != pixels).sum()
        assert 0 < summary.numbers["REPLACED"] <= summary.numbers["COUNT"]
    if filtering.replacement == "nodata":
        assert summary.numbers["PIXELS"] == (wanted == -1).sum()


@pytest.mark.usefixtures("small_cells")
def test_the_largest_neighbour_is_gdals_where_small_objects_lie_apart() -> None:
    pixels = patches((60, 80), 3, 3, sigma=6, share=0)
    assert np.bincount(labelled(pixels, pixels >= 0, "4").ravel())[1:].min() > 20
    pixels[2::6, 3::6] = 7
    pixels[2::6, 4::12] = 7
    memory = gdal.GetDriverByName("MEM").Create("", 80, 60, 1, gdal.GDT_Byte)
    memory.WriteArray(pixels)
    gdal.SieveFilter(memory.GetRasterBand(1), None, memory.GetRasterBand(1), 3, 4)
    declared = ObjectSize(3, replacement="largest neighbour", selection="all values")
    got, _, _ = run(declared, pixels)
    changed = pixels == 7
    assert changed.sum() > 100
    np.testing.assert_array_equal(got[changed], memory.ReadAsArray()[changed])


def test_nodata_is_chosen_where_there_is_none_and_it_is_needed() -> None:
    pixels = np.array([[1, 1, 1, 0, 255, 2]], np.uint8)
    got, summary, profile = run(ObjectSize(2), pixels)
    assert profile.nodata == 254  # 255 is a class, whose pixels must not be moved aside
    assert got.tolist() == [[1, 1, 1, 0, 254, 254]]
    assert summary.numbers == {"COUNT": 3, "REPLACED": 2, "PIXELS": 2}


def test_a_given_value_that_is_nodata_makes_pixels_invalid() -> None:
    pixels = np.array([[1, 1, 1, 5, 2, 2]], np.uint8)
    got, _, profile = run(ObjectSize(2, replacement="given value", value=0), pixels, (0,))
    assert profile.nodata == 0
    assert got.tolist() == [[1, 1, 1, 0, 2, 2]]


def test_a_mask_of_0_and_255_keeps_its_values() -> None:
    pixels = np.array([[255, 255, 0, 255, 0, 0]], np.uint8)
    got, _, profile = run(ObjectSize(2), pixels)
    assert got.tolist() == [[255, 255, 0, 254, 0, 0]]
    assert profile.nodata == 254


def test_objects_stay_where_none_of_their_neighbours_does() -> None:
    pixels = np.array([[1, 2, 3, 9, 4]], np.uint8)
    declared = ObjectSize(2, replacement="largest neighbour")
    got, summary, _ = run(declared, pixels, (9,))
    np.testing.assert_array_equal(got, pixels)
    assert summary.numbers["REPLACED"] == 0


def test_sizes_at_the_bounds_stay() -> None:
    pixels = np.array([[1, 0, 2, 2, 0, 3, 3, 3, 0, 4, 4, 4, 4]], np.uint8)
    profile = Profile(13, 1, "uint8", transform=Affine(0.1, 0, 900, 0, -0.1, 0))
    declared = ObjectSize(0.02, 0.03, "map units squared", "given value", 0)
    got, _, _ = run(declared, pixels, profile=profile)
    assert got.tolist() == [[0, 0, 2, 2, 0, 3, 3, 3, 0, 0, 0, 0, 0]]
    profile = Profile(13, 1, "uint8", transform=Affine(0.7, 0, 900, 0, -0.7, 0))
    assert 0.7 * 0.7 < 0.49
    got, _, _ = run(ObjectSize(0.49, None, "map units squared"), pixels, profile=profile)
    np.testing.assert_array_equal(got, pixels)


def test_refused_sizes_and_values() -> None:
    with pytest.raises(InputError, match="give .Least size., .Largest size. or both"):
        ObjectSize(None)
    with pytest.raises(InputError, match="greater than .Largest size"):
        ObjectSize(5, 3)
    for kind in (ObjectSize, ConnectedComponents):
        with pytest.raises(InputError, match="none is given. Write some"):
            kind(selection="given values")
    pixels = np.zeros((3, 4), np.uint8)
    with pytest.raises(InputError, match="cannot hold the value -1"):
        run(ObjectSize(5, replacement="given value", value=-1), pixels)
    with pytest.raises(InputError, match=r"cannot hold the value 0\.5"):
        run(FillHoles(background=0.5), pixels)
    with pytest.raises(InputError, match="cannot hold the value 256"):
        run(FillHoles(filling="given value", value=256), pixels)
    with pytest.raises(InputError, match=", the image's nodata"):
        run(FillHoles(filling="given value", value=7, background=3), pixels, (7,))
    with pytest.raises(InputError, match="to invalid pixels"):
        run(FillHoles(background=7), pixels, (7,))
    for crs, transform, why in ((DEGREES, Affine(), "in degrees"), (None, None, "no geotransform")):
        profile = Profile(4, 3, "uint8", crs=crs, transform=transform)
        for declared in (
            ObjectSize(5, unit="map units squared"),
            FillHoles(unit="map units squared"),
        ):
            with pytest.raises(InputError, match=why):
                run(declared, pixels, profile=profile)


# ---------------------------------------------------------------- holes


def masks() -> Iterator[np.ndarray]:
    for seed, sigma in enumerate((0.0, 0.8, 1.5)):
        yield (patches((50, 64), 2, seed, sigma=sigma) > 0).astype(np.uint8)
        yield (np.random.default_rng(seed).random((33, 47)) < 0.8).astype(np.uint8)


@pytest.mark.usefixtures("small_cells")
@pytest.mark.parametrize("connectivity", ["4", "8"])
def test_holes_of_masks_are_scipys(connectivity: str) -> None:
    structure = np.ones((3, 3)) if connectivity == "8" else None
    for mask in masks():
        wanted = ndimage.binary_fill_holes(mask, structure)
        for filling in ("surrounding value", "longest border", "given value"):
            got, summary, _ = run(FillHoles(filling=filling, connectivity=connectivity), mask)
            np.testing.assert_array_equal(got, wanted)
        assert summary.numbers["PIXELS"] == wanted.sum() - mask.sum()
        holes = ndimage.label(wanted & (mask == 0), structure)[1]
        assert summary.numbers["FILLED"] == summary.numbers["HOLES"] == holes
        # the same with nodata for holes; 0 is what the engine sees in them
        for value in (3, 0):
            values = np.where(mask, np.float32(value), np.nan)
            got, _, _ = run(
                FillHoles(
                    "invalid pixels", filling=filling, value=value, connectivity=connectivity
                ),
                values,
            )
            np.testing.assert_array_equal(got, np.where(wanted, np.float32(value), np.nan))


HOLES = np.array(
    [
        [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0],
        [1, 0, 1, 2, 0, 1, 0, 0, 1, 1, 1],
        [1, 1, 1, 2, 2, 1, 1, 0, 1, 0, 9],
        [1, 1, 2, 2, 2, 2, 1, 1, 1, 1, 1],
        [0, 1, 2, 0, 0, 2, 1, 2, 1, 1, 1],
        [1, 1, 2, 2, 2, 1, 2, 0, 2, 1, 1],
        [1, 1, 1, 1, 1, 1, 1, 2, 1, 1, 1],
    ],
    np.int16,
)
"""Holes of one value, of 1 and 2, at nodata (9), at the border."""


def filled(changes: dict[tuple[int, int], int]) -> np.ndarray:
    wanted = HOLES.copy()
    for place, value in changes.items():
        wanted[place] = value
    return wanted


ONE_VALUE = {(1, 1): 1, (1, 6): 1, (1, 7): 1, (2, 7): 1, (4, 3): 2, (4, 4): 2, (5, 7): 2}


def test_holes_among_several_values() -> None:
    def result(**options: Any) -> np.ndarray:
        return run(FillHoles(**options), HOLES, (9,))[0]

    np.testing.assert_array_equal(result(), filled(ONE_VALUE))
    # between 1 and 2, two edges each: the smaller
    np.testing.assert_array_equal(
        result(filling="longest border"), filled({**ONE_VALUE, (1, 4): 1})
    )
    given = dict.fromkeys([*ONE_VALUE, (1, 4)], -3)
    np.testing.assert_array_equal(result(filling="given value", value=-3), filled(given))
    small = {place: ONE_VALUE[place] for place in ((1, 1), (4, 3), (4, 4), (5, 7))}
    np.testing.assert_array_equal(result(maximum=2), filled(small))
    np.testing.assert_array_equal(result(maximum=8, unit="map units squared"), filled(small))
    np.testing.assert_array_equal(result(background=7), HOLES)
    nodata, _, _ = run(FillHoles("invalid pixels"), np.where(HOLES == 0, 9, HOLES), (9,))
    np.testing.assert_array_equal(nodata, np.where(filled(ONE_VALUE) == 0, 9, filled(ONE_VALUE)))


@pytest.mark.usefixtures("small_cells")
def test_holes_are_the_same_for_any_cells_and_tiles() -> None:
    big = np.tile(np.pad(HOLES, 1, constant_values=1), (4, 6))
    once = run(FillHoles(), np.pad(HOLES, 1, constant_values=1), (9,))[0]
    got, _, _ = run(FillHoles(), big, (9,))
    np.testing.assert_array_equal(got, np.tile(once, (4, 6)))
