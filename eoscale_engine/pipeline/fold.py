"""Fold a reduction over sources, cell by cell."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any, Optional

from eoscale_engine.declaration import Found, Reduction
from eoscale_engine.images.source import Inputs, Source, sources_of
from eoscale_engine.pipeline.planning import area_of
from eoscale_engine.pipeline.runs import Runs
from eoscale_engine.polygons import Polygons
from eoscale_engine.tile_work.jobs import PIECE_COLS, FinishJob, ReduceJob
from eoscale_engine.tiling import CELL, Window, check_number_of_pieces, split, window_around

TASK_BYTES = 64 * 1024 * 1024
"""Most bytes of images that a task of a reduction looks at where one piece has fewer."""

LAST_ROWS = 2
"""Rows of cells for each worker that are cut into pieces."""


def reduce_images(
    runs: Runs,
    declaration: Reduction[Any, Found],
    inputs: Inputs,
    *,
    extent: Optional[Window] = None,
    inline: bool = False,
    mask: Optional[Source] = None,
    polygons: Optional[Polygons] = None,
    windows: Optional[Sequence[Window]] = None,
) -> Found:
    """Run a reduction over images; what its ``finish`` returns."""
    profiles = [source.profile for source in sources_of(inputs)]
    area = area_of(profiles[0], extent)
    with runs.stage(declaration.called, 0.8):
        # rows of cells: partials merge left to right and top to bottom, whatever the tiling
        groups = None if windows is None else _by_place(windows)
        workers = 1 if inline else runs.executor.workers
        margin = declaration.margin
        tasks = _tasks_of(area, inputs, workers, margin) if groups is None else list(groups)
        job = ReduceJob(declaration, inputs, mask, polygons, groups)
        if declaration.merge_in_worker:
            partials = [part for made in runs.run(job, tasks, inline=inline) for part in made]
            last = FinishJob(declaration, tuple(partials), tuple(profiles))
            return runs.run(last, [area], inline=inline)[0]
        merged: list[Any] = []

        def take(made: list[Any]) -> None:
            # at once: the partials of all pieces together may be large
            merged[:] = [reduce(declaration.merge, [*merged, *made])]

        runs.run_in_order(job, tasks, take, inline=inline)
        return declaration.finish(merged[0], profiles)


def _tasks_of(area: Window, inputs: Inputs, workers: int, margin: int) -> list[Window]:
    """Rows of cells, the last few cut into pieces, so that all workers end together.

    Not where a piece needs blocks of a file that its neighbours need too: strips would be decoded
    several times.
    """
    sources = sources_of(inputs)
    wide = any(not s.by_block or s.block_shape[1] > PIECE_COLS for s in sources)
    bytes_of_piece = CELL * PIECE_COLS * sum(source.profile.pixel_bytes for source in sources)
    most = max(1, TASK_BYTES // bytes_of_piece) * PIECE_COLS
    check_number_of_pieces(area, CELL, most)
    side = max(source.tile_side(margin) for source in sources)
    if side > 2 * CELL:  # margins above and below alone, in whole rows of cells
        return split(area, -(-side // (2 * CELL)) * CELL, area.end_col)
    rows = split(area, CELL, area.end_col)
    long = max(0, len(rows) - LAST_ROWS * workers)
    tasks = [task for row in rows[:long] for task in split(row, CELL, most)]
    last = most if wide else PIECE_COLS
    return tasks + [task for row in rows[long:] for task in split(row, CELL, last)]


def _by_place(windows: Sequence[Window]) -> dict[Window, list[Window]]:
    """Windows that begin in the same cell as one task, by the window that holds them all."""
    cells: dict[tuple[int, int], list[Window]] = {}
    for window in windows:
        cells.setdefault((window.row // CELL, window.col // CELL), []).append(window)
    groups: dict[Window, list[Window]] = {}
    for _, several in sorted(cells.items()):
        groups.setdefault(window_around(several), []).extend(several)
    return groups
