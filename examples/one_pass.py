"""A pipeline in one pass: holes filled, smoothed, the slope and its statistics, at once.

    python examples/one_pass.py [INPUT.tif] [--output FOLDER] [--workers N]

No image in between exists: each worker reads a piece of the elevation, computes all steps on it and
writes the slope. The pipeline is written as JSON too, which the algorithm *Pipeline* of QGIS runs:

    qgis_process run eoscale:pipeline -- INPUTS=dem.tif FILE=pipeline.json OUTPUT=slope.tif

Without an input file it makes its own scene. Copy what you need.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from eoscale_engine.context import EOContextManager
from eoscale_engine.filters.neighbourhood.fill_nodata import FillNodata
from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
from eoscale_engine.filters.sample.sample_scene import SampleElevation
from eoscale_engine.filters.terrain.slope import Slope
from eoscale_engine.pipelines import Pipeline, Step, to_json
from eoscale_engine.procedures.statistics import RasterStatistics

# What follows takes the image of the step before. A step with a name can be taken by others:
# these two give the filled elevation and its slope, and find how steep it is.
RELIEF = Pipeline(
    Step("filled", FillNodata(max_distance=20)),
    Step("smooth", FocalStatistics(statistic="mean", radius=1)),
    Step("slope", Slope()),
    Step("steepness", RasterStatistics(percentiles=())),
    outputs=["slope"],
)


def run(source: str, output: Path, workers: int = 0) -> float:
    """Write slope.tif and pipeline.json into the folder; returns the mean slope in degrees."""
    output.mkdir(parents=True, exist_ok=True)
    (output / "pipeline.json").write_text(to_json(RELIEF), encoding="utf-8")
    with EOContextManager(nb_workers=workers) as context:
        if source:
            elevation = context.describe(source, bands=[1])
        else:
            [elevation] = context.filter(SampleElevation(width=1500, height=1200))
        print(context.plan(RELIEF, elevation, load=True))
        made = context.run(RELIEF, elevation, load=True)
        [slope] = made.images
        context.write(str(slope), str(output / "slope.tif"))
    mean = made.summary.numbers["MEAN"] if made.summary else None
    return float(mean or 0)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description="The slope of a filled and smoothed elevation.")
    parser.add_argument("input", nargs="?", default="", help="raster; by default a made-up scene")
    parser.add_argument("--output", type=Path, default=Path("one-pass-results"), help="folder")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one per processor")
    options = parser.parse_args()
    mean = run(options.input, options.output, options.workers)
    print(f"mean slope {mean:.2f} degrees; results are in {options.output}")


# Workers import this file: without this line each of them would run it again.
if __name__ == "__main__":
    main()
