"""Whole images: load a file, look through an image, filter and reduce images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, Optional

from eoscale_engine.declaration import Found, ImageFilter, Reduction
from eoscale_engine.filters.pixel.copy import Copy
from eoscale_engine.memory.images import Image
from eoscale_engine.pipeline.planning import area_of, output_profiles, tiles_of
from eoscale_engine.pipeline.runs import Runs
from eoscale_engine.polygons import Polygons
from eoscale_engine.raster_files.gdal_profile import BandStatistics
from eoscale_engine.raster_files.own_memory import in_own_memory
from eoscale_engine.raster_files.reading import RasterFile
from eoscale_engine.tile_work.block_reading import Inputs, Source
from eoscale_engine.tile_work.block_writing import Moments
from eoscale_engine.tile_work.jobs import (
    PIECE_COLS,
    CopyJob,
    FilterJob,
    FinishJob,
    MomentsJob,
    ReduceJob,
)
from eoscale_engine.tiling import (
    CELL,
    Window,
    check_number_of_pieces,
    split,
    strip_shape,
    window_around,
)

TASK_BYTES = 64 * 1024 * 1024
"""Most bytes of images that a task of a reduction looks at where one piece has fewer."""

LAST_ROWS = 2
"""Rows of cells for each worker that are cut into pieces."""


@dataclass(frozen=True)
class Result:
    """An image that was made, which its owner must release, and its statistics if known."""

    image: Image
    statistics: Optional[list[BandStatistics]]


def load_file(runs: Runs, file: RasterFile, image: Image) -> Image:
    """Decode a file into an allocated image with all workers; the image is released on failure."""
    with runs.stage("Loading", 0.5), runs.released_if_failed([image]):
        return _brought(runs, file, image, area_of(file.profile, None))


def copy_image(
    runs: Runs, source: Source, *, extent: Optional[Window] = None, raw: str = ""
) -> Result:
    """A part of an image, or of a file, as an image of its own, with its mask and nodata."""
    area = area_of(source.profile, extent)
    masked = source.masked if isinstance(source, Image) else source.mask != "none"
    made: list[Image] = []
    with runs.stage(Copy().called, 0.8), runs.released_if_failed(made):
        made.append(
            runs.store.allocate(source.profile.cropped(*area), masked=masked, path=raw)
        )  # fmt: skip
        return Result(_brought(runs, source, made[0], area), None)


def _brought(runs: Runs, source: Source, image: Image, area: Window) -> Image:
    # rows of the file's blocks: their pages follow each other in memory
    block = source.block_shape if isinstance(source, RasterFile) else (1, 1)
    tiles = split(area, *strip_shape(area, block, runs.cuts.tile_pixels))
    inline = isinstance(source, RasterFile) and in_own_memory(source.path)
    all_valid = all(runs.run(CopyJob(source, image, area), tiles, inline=inline))
    return replace(image, all_valid=all_valid)


def statistics_of(runs: Runs, image: Image) -> list[BandStatistics]:
    """Look through an image in memory."""
    pieces = split(area_of(image.profile, None), 2 * CELL, 2 * CELL)
    total = [Moments() for _ in image.profile.bands]
    for part in runs.run(MomentsJob(image), pieces):
        _merge(total, part)
    return [band.statistics() for band in total]


def filter_images(
    runs: Runs,
    declaration: ImageFilter,
    inputs: Inputs,
    *,
    extent: Optional[Window] = None,
    paths: Sequence[str] = (),
    inline: bool = False,
) -> list[Result]:
    """Run a filter (see :meth:`EOContextManager.filter`); one result for each output."""
    sources = [source for _, several in inputs for source in several]
    if type(declaration) is Copy:
        return [copy_image(runs, sources[0], extent=extent, raw="".join(paths[:1]))]
    outputs = output_profiles(declaration, sources)
    area = area_of(outputs[0][0], extent)
    stored = [(profile.cropped(*area), chosen) for profile, chosen in outputs]
    tiles = tiles_of(
        area, inputs, declaration, squares=runs.cuts.squares, pixels=runs.cuts.tile_pixels
    )
    made: list[Image] = []
    with runs.stage(declaration.called, 0.8), runs.released_if_failed(made):
        for number, (profile, _) in enumerate(stored):
            path = paths[number] if number < len(paths) else ""
            made.append(runs.store.allocate(profile, path=path))
        job = FilterJob(
            declaration, inputs, tuple(made), area, runs.cuts.block_bytes,
            tuple(not chosen for _, chosen in stored),
        )  # fmt: skip
        _log_plan(runs, job, len(tiles), inline)
        moments = _run_filter(runs, job, tiles, inline)
        if any(
            chosen and any(band.collisions for band in bands) and any(b.invalid for b in bands)
            for bands, (_, chosen) in zip(moments, stored)
        ):
            # invalid pixels that nobody foresaw (an overflow), and valid ones that equal the
            # nodata value which they then need: move those aside
            job = replace(job, nudge=(True,) * len(made))
            moments = _run_filter(runs, job, tiles, inline)
    return [
        _result(image, bands, chosen) for image, bands, (_, chosen) in zip(made, moments, stored)
    ]


def _run_filter(
    runs: Runs, job: FilterJob, tiles: Sequence[Window], inline: bool
) -> list[list[Moments]]:
    total = [[Moments() for _ in image.stored.bands] for image in job.outputs]
    for part in runs.run(job, tiles, inline=inline):
        for bands, others in zip(total, part):
            _merge(bands, others)
    return total


def _merge(bands: Sequence[Moments], others: Sequence[Moments]) -> None:
    for band, other in zip(bands, others):
        band.merge(other)


def _result(image: Image, moments: Sequence[Moments], chosen: bool) -> Result:
    invalid = sum(band.invalid for band in moments)
    stored = image.stored
    if chosen and not invalid and stored.dtype.startswith(("int", "uint")):
        # no pixel can need the nodata value, and a valid one may equal it
        stored = stored.with_nodata(None)
    image = replace(image, stored=stored, all_valid=invalid == 0)
    return Result(image, [band.statistics() for band in moments])


def _log_plan(runs: Runs, job: FilterJob, tiles: int, inline: bool) -> None:
    memory = runs.store.memory
    size = sum(image.stored.nbytes for image in job.outputs)
    in_memory = job.outputs[0].raw.startswith(str(memory.folder.path))
    runs.observer.log(
        "info",
        f"{job.declaration.called}: {job.extent.cols} x {job.extent.rows} pixels in "
        f"{tiles} tile(s), margin {job.declaration.margin}, "
        f"{1 if inline else runs.executor.workers} worker(s), results of {size / 1e6:.1f} MB in "
        f"{'memory' if in_memory else 'files on disk'}; "
        f"{memory.available() / 1e6:.0f} MB of memory left.",
    )


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
    profiles = [source.profile for _, sources in inputs for source in sources]
    area = area_of(profiles[0], extent)
    with runs.stage(declaration.called, 0.8):
        # rows of cells: partials merge left to right and top to bottom, whatever the tiling
        groups = None if windows is None else _by_place(windows)
        workers = 1 if inline else runs.executor.workers
        tasks = _tasks_of(area, inputs, workers) if groups is None else list(groups)
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


def _tasks_of(area: Window, inputs: Inputs, workers: int) -> list[Window]:
    """Rows of cells, the last few cut into pieces, so that all workers end together.

    Not where a piece needs blocks of a file that its neighbours need too: strips would be decoded
    several times.
    """
    sources = [source for _, sources in inputs for source in sources]
    files = [source for source in sources if isinstance(source, RasterFile)]
    wide = any(file.derived or file.block_shape[1] > PIECE_COLS for file in files)
    bytes_of_piece = CELL * PIECE_COLS * sum(source.profile.pixel_bytes for source in sources)
    most = max(1, TASK_BYTES // bytes_of_piece) * PIECE_COLS
    check_number_of_pieces(area, CELL, most)
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
