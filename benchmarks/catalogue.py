"""The catalogue's filters against the whole-array form in one process, side by side.

The slow whole-array forms run twice, once to warm up and once to be timed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
from osgeo import gdal
from paired import Row, faster, paired
from scipy import ndimage

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Declaration
from eoscale_engine.filters.neighbourhood.convolution import Convolution
from eoscale_engine.filters.neighbourhood.fill_nodata import FillNodata
from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
from eoscale_engine.filters.neighbourhood.morphology import Morphology
from eoscale_engine.filters.pixel.composite import TemporalComposite
from eoscale_engine.filters.spectral.spectral_index import SpectralIndex
from eoscale_engine.filters.terrain.hillshade import Hillshade
from eoscale_engine.filters.terrain.slope import Slope
from eoscale_engine.procedures.components import ConnectedComponents
from eoscale_engine.procedures.speckle import SpeckleFilter
from eoscale_engine.procedures.texture import Texture

WORKERS = 2
RAMP = ((1.0, 2, 3, 2, 1), (2, 7, 11, 7, 2), (3, 11, 17, 11, 3), (2, 7, 11, 7, 2), (1, 2, 3, 2, 1))
"""A kernel that is no product of a row and a column."""

BINOMIAL = tuple(tuple(float(a * b) for b in (1, 4, 6, 4, 1)) for a in (1, 4, 6, 4, 1))
DISK = np.hypot(*np.mgrid[-3:4, -3:4]) <= 3
HOLES = 0.02


class Bench:
    """Images in memory by name, and the rows that were measured on them."""

    def __init__(self, context: EOContextManager, repeats: int) -> None:
        self.context = context
        self.repeats = repeats
        self.rows: list[Row] = []

    def add(self, pixels: np.ndarray, nodata: Optional[float] = None, **more: Any) -> str:
        """An image of these pixels."""
        bands, rows, cols = pixels.shape
        profile = {"count": bands, "height": rows, "width": cols, "nodata": nodata, **more}
        key = self.context.create_image({**profile, "dtype": pixels.dtype.name})
        self.context.get_array(key)[:] = pixels
        return key

    def run(self, declaration: Declaration, keys: Sequence[str]) -> None:
        """Run it and release what it makes."""
        for key in self.context.run(declaration, keys).images:
            self.context.release(key)

    def compare(
        self, what: str, declaration: Declaration, keys: Sequence[str], against: str,
        theirs: Callable[[], object], least: float,
    ) -> None:  # fmt: skip
        """One row: ours against theirs, which take turns."""
        cases = {"ours": lambda: self.run(declaration, keys), "theirs": theirs}
        times = paired(cases, self.repeats)
        self.rows.append(faster(what, times["ours"], times["theirs"], against, least))
        print(self.rows[-1], flush=True)

    def speed(
        self, what: str, declaration: Declaration, key: str, least: Optional[float] = None
    ) -> None:
        """One row: megapixels in a second, of each worker."""
        seconds = paired({"ours": lambda: self.run(declaration, [key])}, self.repeats)["ours"]
        pixels = self.context.get_array(key)[0].size
        speed = pixels / 1e6 / seconds / WORKERS
        target = "" if least is None else f">= {least:g} Mpx/s"
        met = least is None or speed >= least
        value = f"{seconds:.2f} s, {speed:.2f} Mpx/s for each worker"
        self.rows.append(Row(what, value, "", "", target, met))
        print(self.rows[-1], flush=True)


def catalogue(path: str, repeats: int) -> list[Row]:
    """Every filter that has a target; all in memory, two workers."""
    elevation = gdal.Open(path).ReadAsArray()
    random = np.random.default_rng(1)
    with EOContextManager(WORKERS) as context:
        bench = Bench(context, max(1, repeats // 3))
        _terrain(bench, elevation)
        height = np.where(elevation < 0, elevation.max(), elevation)
        numbers = (height * 20).astype(np.uint16)
        numbers += random.integers(1, 500, numbers.shape, dtype=np.uint16)
        del elevation
        _rank(bench, numbers, random)
        _morphology(bench, numbers)
        _linear(bench, height)
        _texture(bench, numbers)
        _labels(bench, numbers)
        floats = _dates(bench, numbers, random).astype(np.float32)
        del numbers, height
        _dates_with_holes(bench, floats, random)
    return bench.rows


def _terrain(bench: Bench, elevation: np.ndarray) -> None:
    """Against gdaldem on a raw file in shared memory."""
    grid = {"transform": (10.0, 0.0, 0.0, 0.0, -10.0, 0.0)}
    key = bench.add(elevation[None], -9999, **grid)
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        raw, made = str(Path(folder) / "raw"), str(Path(folder) / "made")
        memory = gdal.GetDriverByName("MEM").Create("", *elevation.shape[::-1], 1, gdal.GDT_Float32)
        memory.SetGeoTransform((0, 10, 0, 0, 0, -10))
        memory.GetRasterBand(1).WriteArray(elevation)
        memory.GetRasterBand(1).SetNoDataValue(-9999)
        gdal.GetDriverByName("ENVI").CreateCopy(raw, memory)
        memory = None
        for mode, declaration in (("slope", Slope()), ("hillshade", Hillshade())):
            bench.compare(
                mode, declaration, [key], "gdaldem, raw file in memory",
                lambda m=mode: gdal.DEMProcessing(made, raw, m, format="ENVI"), 3,
            )  # fmt: skip
    bench.speed("fill nodata, 20 pixels", FillNodata(max_distance=20), key)
    bench.context.release(key)


def _rank(bench: Bench, numbers: np.ndarray, random: np.random.Generator) -> None:
    whole = bench.add(numbers[None])
    holed = numbers.copy()
    holed[random.random(numbers.shape, dtype=np.float32) < HOLES] = 0
    holes = bench.add(holed[None], 0)
    median = FocalStatistics(statistic="median", radius=2)
    scipy = "SciPy, whole array"
    cases = {
        "valid": lambda: bench.run(median, [whole]),
        "holes": lambda: bench.run(median, [holes]),
        "scipy": lambda: ndimage.median_filter(numbers, 5),
    }
    times = paired(cases, bench.repeats)
    what = "median 5x5, uint16"
    bench.rows.append(faster(what, times["valid"], times["scipy"], scipy, 30))
    what += f", {HOLES:.0%} invalid pixels"
    bench.rows.append(faster(what, times["holes"], times["scipy"], scipy, 10))
    print(*bench.rows[-2:], sep="\n", flush=True)
    for what, declaration, theirs in (
        ("percentile 90, 5x5", FocalStatistics(statistic="percentile", percentile=90, radius=2),
         lambda: ndimage.percentile_filter(numbers, 90, 5)),
        ("median, disk of radius 3", FocalStatistics(statistic="median", shape="disk", radius=3),
         lambda: ndimage.median_filter(numbers, footprint=DISK)),
    ):  # fmt: skip
        bench.compare(f"{what}, uint16", declaration, [whole], scipy, theirs, 4)
    classes = (numbers // 4096).astype(np.uint8)
    key = bench.add(classes[None])
    bench.compare(
        "majority 5x5, uint8 classes", FocalStatistics(statistic="majority", radius=2), [key],
        "SciPy's median of them (it has no majority)",
        lambda: ndimage.median_filter(classes, 5), 4,
    )  # fmt: skip
    for one in (whole, holes, key):
        bench.context.release(one)


def _morphology(bench: Bench, numbers: np.ndarray) -> None:
    key = bench.add(numbers[None])
    for what, shape, how, least in (
        ("square", "square", {"size": 7}, 10),
        ("disk", "disk", {"footprint": DISK}, 4),
    ):
        bench.compare(
            f"opening, {what} of radius 3, uint16",
            Morphology(operation="opening", shape=shape, radius=3), [key], "SciPy, whole array",
            lambda how=how: ndimage.grey_opening(numbers, **how), least,
        )  # fmt: skip
    bench.context.release(key)


def _linear(bench: Bench, height: np.ndarray) -> None:
    height = height.astype(np.float32)
    key = bench.add(height[None])
    scipy = "SciPy, whole array"
    kernel = np.array(RAMP, np.float32)
    bench.compare(
        "convolution 5x5", Convolution(weights=RAMP), [key], scipy,
        lambda: ndimage.correlate(height, kernel / kernel.sum()), 2.5,
    )  # fmt: skip
    weights = np.array([1, 4, 6, 4, 1], np.float32)
    full = np.outer(weights, weights) / 256
    bench.compare(
        "convolution 5x5, separable kernel", Convolution(weights=BINOMIAL), [key], scipy,
        lambda: ndimage.correlate(height, full), 4,
    )  # fmt: skip
    bench.compare(
        "Lee 7x7", SpeckleFilter(method="Lee", radius=3, looks=4), [key], scipy,
        lambda: _lee(height, 7, 4), 4,
    )  # fmt: skip
    bench.context.release(key)


def _lee(pixels: np.ndarray, size: int, looks: float) -> np.ndarray:
    """Lee's filter as one writes it with SciPy."""
    mean = ndimage.uniform_filter(pixels, size)
    variance = ndimage.uniform_filter(pixels * pixels, size) - mean * mean
    noise = mean * mean / looks
    signal = np.maximum((variance - noise) / (1 + 1 / looks), 0)
    weight = signal / np.maximum(signal + noise, 1e-12)
    result: np.ndarray = mean + weight * (pixels - mean)
    return result


SUMS = ("contrast", "dissimilarity", "homogeneity", "mean", "variance", "correlation")


def _texture(bench: Bench, numbers: np.ndarray) -> None:
    none = dict.fromkeys((*SUMS, "asm", "entropy"), False)
    bounds = {"lower": 0.0, "upper": 65536.0}
    part = numbers[: min(4000, len(numbers)), : min(4000, len(numbers))]
    key = bench.add(part[None])
    sums = Texture(radius=3, levels=32, **bounds, **{**none, **dict.fromkeys(SUMS, True)})
    bench.speed("GLCM 7x7, 32 levels, mean of 4 directions: the 6 pair sums", sums, key, 8)
    counts = Texture(radius=3, levels=32, **bounds, **{**none, "asm": True, "entropy": True})
    small = bench.add(part[:2000, :2000][None])
    bench.speed("GLCM 7x7, 32 levels, mean of 4 directions: ASM and entropy", counts, small, 0.5)
    bench.context.release(key)
    bench.context.release(small)


def _labels(bench: Bench, numbers: np.ndarray) -> None:
    key = bench.add((numbers // 8192).astype(np.uint8)[None])
    bench.speed("connected components, 8 classes with noise", ConnectedComponents(), key)
    bench.context.release(key)


def _dates(bench: Bench, numbers: np.ndarray, random: np.random.Generator) -> np.ndarray:
    side = len(numbers)
    stack = np.empty((5, side, side), np.uint16)
    for date in range(5):
        np.add(numbers, random.integers(0, 99, numbers.shape, dtype=np.uint16), out=stack[date])
    keys = [bench.add(date[None]) for date in stack]
    median = TemporalComposite(statistic="median")
    bench.compare(
        "median of 5 dates, uint16", median, keys, "numpy.median",
        lambda: np.median(stack, axis=0), 20,
    )  # fmt: skip
    for key in keys:
        bench.context.release(key)
    bands = bench.add(stack[:4])
    bench.speed("NDVI, 4 bands of uint16", SpectralIndex(red=3, nir=4), bands)
    bench.context.release(bands)
    return stack


def _dates_with_holes(bench: Bench, floats: np.ndarray, random: np.random.Generator) -> None:
    floats[random.random(floats.shape, dtype=np.float32) < HOLES] = np.nan
    keys = [bench.add(date[None], np.nan) for date in floats]
    bench.compare(
        f"median of 5 dates, float32, {HOLES:.0%} invalid pixels", TemporalComposite(), keys,
        "numpy.nanmedian", lambda: np.nanmedian(floats, axis=0), 20,
    )  # fmt: skip
    for key in keys:
        bench.context.release(key)
