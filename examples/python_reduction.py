"""Values of your own from an image of any size: map, merge and finish.

    python examples/python_reduction.py INPUT.tif [--workers N]

The same three functions serve QGIS: choose this file in *Python reduction*, with `pixels` as map,
`add` as merge and `averages` as finish function. They also serve scripts for CNES EOScale, whose
`n_images_to_m_scalars` takes the first two as `image_filter` and `concatenate_filter`.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from eoscale_engine.context import EOContextManager
from eoscale_engine.executors import n_images_to_m_scalars
from eoscale_engine.reductions.python_reduction import PythonReduction

# Functions get their parameters whether they need them or not.
# ruff: noqa: ARG001


def pixels(buffers: list[np.ndarray], profiles: list[dict], params: dict) -> list[Any]:
    """Map: count, sum, sum of squares and histogram of the valid pixels of one piece."""
    image, nodata = buffers[0][0], profiles[0]["nodata"]
    valid = image[np.isfinite(image) & (True if nodata is None else image != nodata)]
    values = valid.astype(np.float64)
    counts, _ = np.histogram(values, params.get("bins", 10), params.get("range", (0, 255)))
    return [values.size, float(values.sum()), float((values**2).sum()), counts]


def add(total: list[Any], piece: list[Any], tile: Any) -> None:
    """Merge: change the total so that it covers one more piece. All four are sums."""
    for place, value in enumerate(piece):
        total[place] = total[place] + value


def averages(total: list[Any], profiles: list[dict], params: dict) -> dict[str, Any]:
    """Finish: the values that you want to see, by name."""
    count, whole, squares, counts = total
    if not count:
        return {"count": 0, "mean": None, "deviation": None, "histogram": counts}
    mean = whole / count
    return {
        "count": count,
        "mean": mean,
        "deviation": max(0.0, squares / count - mean**2) ** 0.5,
        "histogram": counts,
    }


def main() -> None:
    """Reduce one image in both ways."""
    parser = argparse.ArgumentParser(description="Count, mean, deviation and histogram.")
    parser.add_argument("input", help="raster")
    parser.add_argument("--workers", type=int, default=0, help="processes; 0: one per processor")
    options = parser.parse_args()
    with EOContextManager(nb_workers=options.workers) as context:
        image = context.open_raster(options.input, bands=[1])

        # As QGIS runs it: the functions are found in their file.
        reduction = PythonReduction(
            file=__file__, function="pixels", merge_function="add", finish_function="averages"
        )
        for name, value in context.reduce(reduction, [image]).tables[0].rows:
            print(f"{name}: {value}")

        # As EOScale runs it: merging starts from zeros, and finishing is yours.
        total = n_images_to_m_scalars(
            inputs=[image],
            image_filter=pixels,
            concatenate_filter=add,
            nb_output_scalars=4,
            context_manager=context,
        )
        print(f"mean, once more: {averages(total, [], {})['mean']}")


# Workers import this file: without this line each of them would run it again.
if __name__ == "__main__":
    main()
