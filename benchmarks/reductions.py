"""Reductions: against decoding alone, against QGIS's own zonal statistics, and their memory."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from decoding import Decoders
from memory_use import Peak
from osgeo import gdal, ogr, osr
from paired import Row, at_most, faster, paired
from scene import optical

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Procedure
from eoscale_engine.procedures.percentiles import Percentiles
from eoscale_engine.procedures.statistics import RasterStatistics
from eoscale_engine.procedures.zonal_statistics import ZonalStatistics

MB = 1024 * 1024
WORKERS = 2
SIDE, LONG_SIDE = 100, 300
"""Zones on a side: 10 000 in all, or 90 000."""


def reductions(path: str, repeats: int) -> list[Row]:
    """Everything that has a target; ``path`` is the elevation, float32."""
    size = gdal.Open(path).RasterXSize
    colours = optical(size, Path(path).parent)
    zones, more = (_zones(colours, Path(path).parent, side) for side in (SIDE, LONG_SIDE))
    rows = [*_decoded(colours, "4 bands of uint16", repeats), *_decoded(path, "float32", repeats)]
    rows += _percentiles(path, repeats) + _zonal(colours, zones, "10 000", repeats)
    rows += _zonal(colours, more, "90 000", repeats)
    return rows + _memory(colours, path, zones)


def _as_slow(what: str, ours: float, theirs: float, against: str, most: float) -> Row:
    """A row that says how many times as long we take as something that does less."""
    ratio = ours / theirs
    value, other = f"{ours:.3f} s", f"{against}: {theirs:.3f} s"
    target = f"<= {most:g} times its time"
    return Row(what, value, other, f"1/{ratio:.2f}", target, ratio <= most)


def _decoded(path: str, kind: str, repeats: int) -> list[Row]:
    """Statistics of a file, computed in the tasks that decode it."""
    decoders, statistics = Decoders(WORKERS), RasterStatistics(percentiles=())
    with EOContextManager(WORKERS) as context:

        def ours() -> None:
            key = context.describe(path)
            context.run(statistics, key)
            context.release(key)

        times = paired({"ours": ours, "decode": lambda: decoders.decode(path)}, repeats)
    decoders.close()
    against = "two processes that only decode the file"
    return [_as_slow(f"statistics of a file, {kind}", times["ours"], times["decode"], against, 1.2)]


def _percentiles(path: str, repeats: int) -> list[Row]:
    decoders, percentiles = Decoders(WORKERS), Percentiles(percentiles=(2.0, 50.0, 98.0))
    with EOContextManager(WORKERS) as context:
        key = context.open_raster(path)
        cases = {
            "ours": lambda: context.run(percentiles, key),
            "decode": lambda: decoders.decode(path),
        }
        times = paired(cases, repeats)
    decoders.close()
    what, against = "exact percentiles, float32", "two processes that only decode its file"
    return [_as_slow(what, times["ours"], times["decode"], against, 1.5)]


NATIVE = """
import sys, time
from qgis.core import QgsApplication, QgsProcessingContext, QgsProcessingFeedback
from qgis.core import QgsRasterLayer, QgsVectorLayer
from qgis.analysis import QgsNativeAlgorithms
app = QgsApplication([], False)
app.initQgis()
app.processingRegistry().addProvider(QgsNativeAlgorithms())
algorithm = app.processingRegistry().createAlgorithmById("native:zonalstatisticsfb")
raster, zones = QgsRasterLayer(sys.argv[1]), QgsVectorLayer(sys.argv[2])
context = QgsProcessingContext()
parameters = {"INPUT": zones, "INPUT_RASTER": raster, "RASTER_BAND": 1, "COLUMN_PREFIX": "_",
              "STATISTICS": [0, 1, 2, 4, 5, 6, 7, 11], "OUTPUT": "memory:"}
began = time.perf_counter()
result, ok = algorithm.run(parameters, context, QgsProcessingFeedback())
assert ok
print(time.perf_counter() - began)
"""
"""Count, sum, mean, standard deviation, minimum, maximum, range and variance."""


def _native(raster: str, zones: str) -> float:
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    run = subprocess.run(
        [sys.executable, "-c", NATIVE, raster, zones],
        check=True, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    return float(run.stdout.split()[-1])


def _zonal(path: str, zones: str, count: str, repeats: int) -> list[Row]:
    """The first band; the polygons' file is read in each run, by both."""
    plain, median = ZonalStatistics(percentiles=()), ZonalStatistics(percentiles=(50.0,))
    with EOContextManager(WORKERS) as context:
        key = context.open_raster(path, bands=[1])

        def run(procedure: Procedure) -> None:
            layer = context.open_polygons(zones)
            context.run(procedure, {"INPUT": key, "POLYGONS": layer})

        times = paired({"plain": lambda: run(plain), "median": lambda: run(median)}, repeats)
        # raw pixels in shared memory for QGIS too
        theirs = float(np.median([_native(context.publish(key), zones) for _ in range(2)]))
    what = f"zonal statistics, {count} polygons"
    return [
        faster(what, times["plain"], theirs, "native:zonalstatisticsfb, raw file in memory", 4),
        _as_slow(f"{what}, with the median", times["median"], times["plain"], "without", 2),
    ]


def _zones(path: str, folder: Path, side: int) -> str:
    """Polygons of 4 to 12 sides over all of the image, some of which overlap."""
    raster = gdal.Open(path)
    target = folder / f"zones-{raster.RasterXSize}-{side}.gpkg"
    if target.exists():
        return str(target)
    left, cell, _, top, _, _ = raster.GetGeoTransform()
    step = raster.RasterXSize * cell / side
    reference = osr.SpatialReference(raster.GetProjection())
    file = ogr.GetDriverByName("GPKG").CreateDataSource(str(target))
    layer = file.CreateLayer("zones", reference, ogr.wkbPolygon)
    random = np.random.default_rng(7)
    file.StartTransaction()
    for number in range(side * side):
        sides = int(random.integers(4, 13))
        angles = np.sort(random.uniform(0, 2 * np.pi, sides))
        reach = step * random.uniform(0.35, 0.65, sides)
        middle = (number % side + 0.5) * step, (number // side + 0.5) * step
        x = left + middle[0] + reach * np.cos(angles)
        y = top - middle[1] + reach * np.sin(angles)
        points = ", ".join(f"{a:.2f} {b:.2f}" for a, b in zip([*x, x[0]], [*y, y[0]]))
        feature = ogr.Feature(layer.GetLayerDefn())
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON (({points}))"))
        layer.CreateFeature(feature)
    file.CommitTransaction()
    return str(target)


def _memory(colours: str, path: str, zones: str) -> list[Row]:
    """Peaks of all processes beyond the image, each in a process of its own."""
    rows = []
    for what, code in MEASURED.items():
        here = Path(__file__).parent
        run = subprocess.run(
            [sys.executable, __file__, code, colours, path, zones],
            check=True, capture_output=True, text=True, cwd=here.parent,
            env={**os.environ, "PYTHONPATH": f"{here.parent}:{here}"},
        )  # fmt: skip
        rows.append(at_most(f"peak beyond the image, {what}", float(run.stdout) / MB, 200, "MB"))
    return rows


MEASURED = {
    "statistics of a file": "statistics",
    "percentiles of float32": "percentiles",
    "distinct values of float32": "distinct",
    "zonal statistics with the median": "zonal",
}


def _measured(what: str, colours: str, path: str, zones: str) -> int:
    """Bytes beyond the image at the peak of one run."""
    with EOContextManager(WORKERS) as context:
        inputs: dict[str, Any] = {}
        if what == "statistics":
            key, work = context.describe(colours), RasterStatistics(percentiles=())
        elif what == "zonal":
            key, work = context.open_raster(colours, bands=[1]), ZonalStatistics()
            inputs["POLYGONS"] = context.open_polygons(zones)
        else:
            key = context.open_raster(path)
            work = Percentiles() if what == "percentiles" else RasterStatistics(distinct=True)
        size = 0 if what == "statistics" else context.profile(key).nbytes
        with Peak() as peak:
            context.run(work, {"INPUT": key, **inputs})
        return peak.bytes - size


if __name__ == "__main__":
    print(_measured(*sys.argv[1:]))
