"""The quick start: an elevation model from holes to a smooth surface, on every core, in memory.

    python examples/pipeline.py [INPUT.tif] [--output FOLDER] [--workers N]

Four steps, chained without touching the disk in between:

1. nodata mask: 1 where the elevation has no value (a plain function);
2. filling: the holes get values from around them, by GDAL's FillNodata (a plain function, too);
3. smoothing: the mean of 3 x 3 pixels (a declaration of the catalogue);
4. the smallest and the largest elevation (map and reduce with plain functions).

Without an input file it makes its own scene. Copy what you need.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
from osgeo import gdal

from eoscale_engine.context import EOContextManager
from eoscale_engine.executors import n_images_to_m_images_filter, n_images_to_m_scalars
from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
from eoscale_engine.filters.sample.sample_scene import SampleScene

# A plain function gets the pixels of each input with a margin around them, `(bands, rows,
# columns)`, the inputs' profiles as dictionaries, and its parameters, whether it needs them or not.
# It returns an array with the rows and columns of what it got. Functions stand at the top of a
# module or script, so that workers find them.
# ruff: noqa: ARG001


def nodata_mask(buffers: list[np.ndarray], profiles: list[dict], params: dict) -> np.ndarray:
    """1 where the elevation has no value, else 0."""
    elevation, nodata = buffers[0][0], profiles[0]["nodata"]
    hollow = np.isnan(elevation)
    return (hollow if nodata is None else hollow | (elevation == nodata)).astype(np.uint8)


def mask_profile(profiles: list[dict], params: dict) -> dict:
    """The result differs from the input: bytes, of which every one is valid."""
    return {**profiles[0], "dtype": "uint8", "nodata": None}


def fill_holes(buffers: list[np.ndarray], profiles: list[dict], params: dict) -> np.ndarray:
    """Fill holes from the pixels around them, weighted by distance: GDAL's FillNodata."""
    elevation, hollow = buffers[0][0], buffers[1][0]
    # GDAL's bands do not keep their datasets alive: both need a name
    filled, known = _dataset(elevation), _dataset((hollow == 0).astype(np.uint8))
    gdal.FillNodata(
        filled.GetRasterBand(1),
        known.GetRasterBand(1),
        params["max_search_distance"],
        params["smoothing_iterations"],
    )
    return filled.ReadAsArray()


def filled_profile(profiles: list[dict], params: dict) -> dict:
    """One result from two inputs: like the first."""
    return profiles[0]


def _dataset(pixels: np.ndarray) -> gdal.Dataset:
    rows, cols = pixels.shape
    kind = {"float32": gdal.GDT_Float32, "uint8": gdal.GDT_Byte}.get(
        pixels.dtype.name, gdal.GDT_Float64
    )
    dataset = gdal.GetDriverByName("MEM").Create("", cols, rows, 1, kind)
    dataset.GetRasterBand(1).WriteArray(pixels)
    return dataset


def extremes(buffers: list[np.ndarray], profiles: list[dict], params: dict) -> list[float]:
    """Map: the smallest and largest valid value of one piece; the neutral ones where none is."""
    pixels, nodata = buffers[0], profiles[0]["nodata"]
    valid = pixels[np.isfinite(pixels) & (True if nodata is None else pixels != nodata)]
    return [float(valid.min()), float(valid.max())] if valid.size else [math.inf, -math.inf]


def merge_extremes(total: list[float], piece: list[float], tile: Any) -> None:
    """Reduce: change the total so that it covers one more piece."""
    total[0] = min(total[0], piece[0])
    total[1] = max(total[1], piece[1])


def run(
    source: str,
    output: Path,
    *,
    workers: int = 0,
    max_search_distance: int = 100,
    smoothing_iterations: int = 0,
) -> dict[str, float]:
    """Run the pipeline; writes nodata_mask.tif, filled.tif and smooth.tif into the folder.

    Returns the smallest and largest elevation of the smooth surface and the share of pixels that
    had none before, in percent.
    """
    gdal.UseExceptions()
    output.mkdir(parents=True, exist_ok=True)
    # Whatever happens inside, at the end of the `with` all memory is given back.
    with EOContextManager(nb_workers=workers) as context:
        if source:
            elevation = context.open_raster(source, bands=[1])
        else:
            scene = SampleScene(width=1500, height=1200, optical=False, sar=False)
            elevation = context.run(scene).images[0]
        profile = context.profile(elevation)
        print(f"{source or 'A made-up scene'}: {profile.width} x {profile.height} {profile.dtype}")

        [mask] = n_images_to_m_images_filter(
            inputs=[elevation],
            image_filter=nodata_mask,
            generate_output_profiles=mask_profile,
            context_manager=context,
        )
        context.write(mask, str(output / "nodata_mask.tif"))
        share = 100 * float(context.get_array(mask).mean())

        # How far a filled pixel depends on others: FillNodata looks this far, and each of its
        # smoothing passes one pixel further. With this margin tiles give what the whole image
        # gives. FillNodata costs something for each call, so it gets whole tiles, not small blocks.
        [filled] = n_images_to_m_images_filter(
            inputs=[elevation, mask],
            image_filter=fill_holes,
            filter_parameters={
                "max_search_distance": max_search_distance,
                "smoothing_iterations": smoothing_iterations,
            },
            generate_output_profiles=filled_profile,
            stable_margin=max_search_distance + smoothing_iterations,
            context_manager=context,
            whole_tiles=True,
        )
        # Nothing needs these two any more: their memory is there for the next results.
        context.release(elevation)
        context.release(mask)
        context.write(filled, str(output / "filled.tif"))

        # The ready-made filters know validity and their margin themselves.
        [smooth] = context.filter(FocalStatistics(statistic="mean", radius=1), filled)
        context.release(filled)
        context.write(smooth, str(output / "smooth.tif"))

        smallest, largest = n_images_to_m_scalars(
            inputs=[smooth],
            image_filter=extremes,
            concatenate_filter=merge_extremes,
            output_scalars=[math.inf, -math.inf],
            context_manager=context,
        )
        for stage, seconds in context.timings.items():
            print(f"  {stage:<20} {seconds:6.2f} s")
    print(f"{share:.2f} % of the pixels had no value")
    print(f"elevation from {smallest:.3f} to {largest:.3f}; results are in {output}")
    return {"minimum": smallest, "maximum": largest, "hollow": share}


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Fill the holes of an elevation model, smooth it, and find its extremes."
    )
    parser.add_argument("input", nargs="?", default="", help="raster; by default a made-up scene")
    parser.add_argument("--output", type=Path, default=Path("pipeline-results"), help="folder")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one per processor")
    options = parser.parse_args()
    began = time.perf_counter()
    run(options.input, options.output, workers=options.workers)
    print(f"all of it took {time.perf_counter() - began:.2f} s")


# Workers import this file: without this line each of them would run the pipeline again.
if __name__ == "__main__":
    main()
