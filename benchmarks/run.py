"""Measures speed and memory against the targets; ``make bench``.

    python benchmarks/run.py [--size 10000] [--repeats 5] [--only filters] [--report FILE]

All figures of one section come from one run in which the cases take turns. Exits with 1 where a
target is missed.
"""

from __future__ import annotations

import argparse
import mmap
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import numpy as np
from catalogue import catalogue
from memory_use import Peak, descendants, proportional_set_size
from osgeo import gdal
from paired import Row, at_most, faster, paired
from reductions import reductions
from scene import elevation
from scipy import ndimage
from slope import slope

from eoscale_engine.context import EOContextManager
from eoscale_engine.executors import n_images_to_m_images_filter
from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
from eoscale_engine.filters.neighbourhood.gaussian import Gaussian
from eoscale_engine.procedures.statistics import RasterStatistics

MB = 1024 * 1024
WORKERS = 2


def loading(path: str, repeats: int) -> list[Row]:
    """Decoding a file into memory."""
    size = gdal.Open(path).RasterXSize

    def one_process() -> None:
        gdal.Open(path).ReadAsArray()

    def gdal_threads() -> None:
        file = tempfile.NamedTemporaryFile(dir="/dev/shm")  # noqa: SIM115 - closed below
        os.posix_fallocate(file.fileno(), 0, size * size * 4)
        mapped = mmap.mmap(file.fileno(), size * size * 4)
        pixels = np.frombuffer(mapped, np.float32).reshape(size, size)
        gdal.OpenEx(path, open_options=[f"NUM_THREADS={WORKERS}"]).ReadAsArray(buf_obj=pixels)
        file.close()

    with EOContextManager(WORKERS) as context:

        def ours() -> None:
            context.release(context.open_raster(path))
            context._runs.store.drop_idle()

        times = paired({"ours": ours, "one": one_process, "threads": gdal_threads}, repeats)
    return [
        faster("load", times["ours"], times["one"], "one process, GDAL", 1.5),
        faster("load", times["ours"], times["threads"], "GDAL NUM_THREADS=2, shared memory", 1.0),
    ]


def filters(path: str, repeats: int) -> list[Row]:
    """Filters on an image in memory, results in memory."""
    pixels = gdal.Open(path).ReadAsArray()
    rows = []
    with EOContextManager(WORKERS) as two, EOContextManager(1) as one:
        images = {context: context.open_raster(path) for context in (two, one)}

        def run(context: EOContextManager, declaration: Any) -> None:
            context.release(context.filter(declaration, images[context])[0])

        for name, declaration, scipy, least in (
            ("focal mean 5x5", FocalStatistics(radius=2),
             lambda: ndimage.uniform_filter(pixels, 5), 3.0),
            ("Gaussian sigma 2", Gaussian(sigma=2.0),
             lambda: ndimage.gaussian_filter(pixels, 2.0), 2.5),
        ):  # fmt: skip
            times = paired(
                {
                    "two": lambda d=declaration: run(two, d),
                    "one": lambda d=declaration: run(one, d),
                    "scipy": scipy,
                },
                repeats,
            )
            rows.append(faster(name, times["two"], times["one"], "one worker", 1.7))
            rows.append(faster(name, times["two"], times["scipy"], "SciPy, whole array", least))

        def python_filter() -> None:
            [made] = n_images_to_m_images_filter(
                [images[two]], slope, stable_margin=1, context_manager=two
            )
            two.release(made)

        profiles = [two.get_profile(images[two])]
        times = paired(
            {"ours": python_filter, "again": lambda: slope([pixels[None]], profiles, {})}, repeats
        )
        whole = "whole array, again and again in one process"
        rows.append(faster("Python slope", times["ours"], times["again"], whole, 8.0))
        ours = times["ours"]
        times = paired(
            {"ours": lambda: two.run(RasterStatistics(percentiles=()), images[two])}, repeats
        )
        rows.append(Row("raster statistics", f"{times['ours']:.3f} s"))
    once, first = _at_rest(WHOLE, path), _at_rest(FIRST, path)
    rows.append(faster("Python slope", ours, once, "whole array, once, as a script does", 8.0))
    rows.append(
        Row(
            "Python slope, first run of an engine", f"{first:.3f} s",
            f"whole array, once, as a script does: {once:.3f} s", f"{once / first:.2f}",
        )
    )  # fmt: skip
    return rows


WHOLE = """
import sys, time
sys.path[:0] = sys.argv[2:]
from osgeo import gdal
from slope import slope
from eoscale_engine.raster_files.opening import open_raster_file
pixels = gdal.Open(sys.argv[1]).ReadAsArray()[None]
profiles = [open_raster_file(sys.argv[1]).profile.to_dict()]
began = time.perf_counter()
slope([pixels], profiles, {})
print(time.perf_counter() - began)
"""

FIRST = """
import sys, time
sys.path[:0] = sys.argv[2:]
from slope import slope
from eoscale_engine.context import EOContextManager
from eoscale_engine.executors import n_images_to_m_images_filter
with EOContextManager(2) as context:
    image = context.open_raster(sys.argv[1])
    began = time.perf_counter()
    n_images_to_m_images_filter([image], slope, stable_margin=1, context_manager=context)
    print(time.perf_counter() - began)
"""

REST = 45.0
"""Seconds in which the system takes back memory that was just used: a script that is run once finds
it so, and pays for each page that it touches first."""


def _at_rest(code: str, path: str) -> float:
    """Seconds that a new process says it took, on memory that was at rest; median of three."""
    here = Path(__file__).parent
    command = [sys.executable, "-c", code, path, str(here), str(here.parent)]
    seconds = []
    for _ in range(3):
        time.sleep(REST)
        run = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds.append(float(run.stdout))
    return float(np.median(seconds))


def memory(path: str, repeats: int) -> list[Row]:
    """Peak memory of all processes, in a process of its own; ``repeats`` plays no part."""
    found = subprocess.run(
        [sys.executable, __file__, "--measure-memory", path],
        check=True, capture_output=True, text=True,
    ).stdout.split()  # fmt: skip
    idle, peak, images = (int(value) for value in found)
    return [
        at_most("idle processes", idle / MB, 150, "MB"),
        at_most("peak beyond input and output", (peak - images) / MB, 350, "MB"),
    ]


def _measure_memory(path: str) -> None:
    with EOContextManager(WORKERS) as context:
        tiny = context.create_image({"width": 8, "height": 8, "dtype": "float32"})
        context.filter(FocalStatistics(radius=2), tiny)
        idle = proportional_set_size(descendants(os.getpid()))
        with Peak() as peak:
            image = context.open_raster(path)
            result = context.filter(FocalStatistics(radius=2), image)[0]
            context.filter(Gaussian(sigma=2.0), image)
        images = 3 * context.get_array(result).nbytes
        print(idle, peak.bytes, images)


START = """
import sys, time
from eoscale_engine.service.client import EngineClient, EngineOptions
job = {"declaration": "rasterstatistics", "inputs": {"INPUT": [{"path": sys.argv[1]}]}}
began = time.perf_counter()
client = EngineClient(EngineOptions(workers=2, interpreter=sys.executable))
client.run(job)
first = time.perf_counter()
client.run(job)
print(first - began, time.perf_counter() - first)
client.close()
"""


def start(path: str, repeats: int) -> list[Row]:
    """From nothing to the first tile, and a second job on the same input."""
    with tempfile.TemporaryDirectory() as folder:
        tiny = str(Path(folder) / "tiny.tif")
        gdal.Translate(tiny, path, srcWin=[0, 0, 256, 256])
        runs = [
            subprocess.run(
                [sys.executable, "-c", START, tiny], check=True, capture_output=True, text=True,
                cwd=Path(__file__).parents[1],
            ).stdout.split()
            for _ in range(repeats)
        ]  # fmt: skip
    first, second = (float(np.median([float(run[n]) for run in runs])) for n in (0, 1))
    return [
        at_most("cold start to the end of the first job", first, 0.6, "s"),
        at_most("a second job on the same input", second, 0.05, "s"),
    ]


SECTIONS = {
    "loading": loading,
    "filters": filters,
    "catalogue": catalogue,
    "reductions": reductions,
    "memory": memory,
    "start": start,
}


def report(rows: list[Row], size: int) -> str:
    """The figures as a Markdown page."""
    setting = (
        "Elevation of the sample scene, "
        f"{size} x {size} float32 with holes, DEFLATE, {WORKERS} workers; medians of "
        f"paired runs by `make bench`. Machine: {os.cpu_count()} processors, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}, NumPy {np.__version__}, GDAL "
        f"{gdal.VersionInfo('RELEASE_NAME')}."
    )
    lines = [
        "# Benchmarks",
        "",
        setting,
        "",
        (
            "Where a row says *once, as a script does*, a new process calls the function one time, "
            "on memory that the system had at rest: first use of a page is most of its cost. The "
            "engine works in blocks, on pages that its workers keep."
        ),
        "",
        "| what | ours | compared with | times as fast | target | |",
        "|---|---|---|---|---|---|",
        *(
            f"| {r.what} | {r.value} | {r.against} | {r.ratio} | {r.target} | "
            f"{'' if not r.target else 'met' if r.met else '**missed**'} |"
            for r in rows
        ),
        "",
    ]
    return "\n".join(lines)


def main() -> int:
    """Run the chosen sections."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--size", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", choices=SECTIONS, action="append")
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    parser.add_argument("--report", type=Path)
    parser.add_argument("--measure-memory", metavar="IMAGE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure_memory:
        _measure_memory(options.measure_memory)
        return 0
    path = elevation(options.size, options.folder)
    rows = []
    for name in options.only or SECTIONS:
        rows += SECTIONS[name](path, options.repeats)
    text = report(rows, options.size)
    print(text)
    if options.report:
        options.report.write_text(text, encoding="utf-8")
    return 0 if all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
