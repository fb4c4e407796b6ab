"""Fold a reduction over sources, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, Optional

from eoscale_engine.declaration import Found, Reduction
from eoscale_engine.images.source import Inputs, Source, sources_of
from eoscale_engine.pipeline.plan import Plan
from eoscale_engine.pipeline.runs import Runs
from eoscale_engine.polygons import Polygons
from eoscale_engine.raster_files.signature import unchanged
from eoscale_engine.tile_work.jobs import FinishJob, ReduceJob
from eoscale_engine.tiling import CELL, Window, window_around


def reduce_images(
    runs: Runs,
    declaration: Reduction[Any, Found],
    inputs: Inputs,
    plan: Plan,
    *,
    inline: bool = False,
    mask: Optional[Source] = None,
    polygons: Optional[Polygons] = None,
    windows: Optional[Sequence[Window]] = None,
) -> Found:
    """Run a reduction over images as planned; what its ``finish`` returns."""
    profiles = [source.profile for source in sources_of(inputs)]
    looked_at = [*sources_of(inputs), *([] if mask is None else [mask])]
    states = [state for source in looked_at for state in source.states]
    with runs.stage(declaration.called, 0.8), unchanged(states):
        # rows of cells: partials merge left to right and top to bottom, whatever the tiling
        groups = None if windows is None else _by_place(windows)
        tasks = plan.tiles if groups is None else list(groups)
        job = ReduceJob(declaration, inputs, mask, polygons, groups)
        if declaration.merge_in_worker:
            partials = [part for made in runs.run(job, tasks, inline=inline) for part in made]
            last = FinishJob(declaration, tuple(partials), tuple(profiles))
            return runs.run(last, [plan.area], inline=inline)[0]
        merged: list[Any] = []

        def take(made: list[Any]) -> None:
            # at once: the partials of all pieces together may be large
            merged[:] = [reduce(declaration.merge, [*merged, *made])]

        runs.run_in_order(job, tasks, take, inline=inline)
        return declaration.finish(merged[0], profiles)


def _by_place(windows: Sequence[Window]) -> dict[Window, list[Window]]:
    """Windows that begin in the same cell as one task, by the window that holds them all."""
    cells: dict[tuple[int, int], list[Window]] = {}
    for window in windows:
        cells.setdefault((window.row // CELL, window.col // CELL), []).append(window)
    groups: dict[Window, list[Window]] = {}
    for _, several in sorted(cells.items()):
        groups.setdefault(window_around(several), []).extend(several)
    return groups
