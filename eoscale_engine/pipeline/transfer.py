"""Bring pixels from sources to targets: load, copy, filter. Each is a transfer, tile by tile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Optional

from eoscale_engine.declaration import ImageFilter
from eoscale_engine.images.moments import Moments, merge_bands
from eoscale_engine.images.source import ON_DISK, Filling, Inputs, Seen, Source, sources_of
from eoscale_engine.memory.images import Image
from eoscale_engine.memory.store import Hold
from eoscale_engine.pipeline.plan import Plan
from eoscale_engine.pipeline.planning import Stored, area_of, tiles_of_copy, to_be_stored
from eoscale_engine.pipeline.runs import Runs
from eoscale_engine.raster_files.gdal_profile import BandStatistics
from eoscale_engine.raster_files.own_memory import in_own_memory
from eoscale_engine.raster_files.signature import unchanged
from eoscale_engine.tile_work.filtered import Filtered, Filtering
from eoscale_engine.tile_work.jobs import MomentsJob, TransferJob
from eoscale_engine.tiling import BLOCK_BYTES, CELL, Window, split


@dataclass(frozen=True)
class Made:
    """An image that was made, held by the caller, and its statistics if known."""

    hold: Hold
    statistics: Optional[list[BandStatistics]]


def transfer(
    runs: Runs,
    source: Filling,
    targets: Sequence[Image],
    area: Window,
    tiles: Sequence[Window],
    *,
    inline: bool = False,
) -> list[Seen]:
    """Bring a window of a source to targets, tile by tile; what was seen of each target."""
    seen = [Seen(True, tuple(Moments() for _ in t.profile.bands)) for t in targets]
    with unchanged(source.states):
        made = runs.run(TransferJob(source, tuple(targets), area), tiles, inline=inline)
    for parts in made:
        for number, (whole, part) in enumerate(zip(seen, parts)):
            merge_bands(whole.moments, part.moments)
            seen[number] = Seen(
                whole.all_valid and part.all_valid, whole.moments, whole.alike and part.alike
            )
    return seen


def load_file(runs: Runs, source: Source, hold: Hold) -> None:
    """Bring a source into an allocated image with all workers; it is released on failure."""
    with runs.stage("Loading", 0.5), runs.released_if_failed([hold]):
        _brought(runs, source, hold, area_of(source.profile, None))


def copy_image(
    runs: Runs, source: Source, *, extent: Optional[Window] = None, raw: str = ""
) -> Made:
    """A part of a source as an image of its own, with its planes and nodata."""
    area = area_of(source.profile, extent)
    made: list[Hold] = []
    with runs.stage("Copying", 0.8), runs.released_if_failed(made):
        profile = source.profile.cropped(*area)
        made.append(runs.store.allocate(profile, planes=source.planes, path=raw))
        return _brought(runs, source, made[0], area)


def _brought(runs: Runs, source: Source, hold: Hold, area: Window) -> Made:
    tiles = tiles_of_copy(area, source, runs.cuts.tile_pixels)
    inline = any(map(in_own_memory, source.files))
    seen = transfer(runs, source, [hold.image], area, tiles, inline=inline)[0]
    if any(band.finite or band.invalid for band in seen.moments):
        return _result(runs, hold, seen)
    hold.image = replace(hold.image, all_valid=seen.all_valid)
    return Made(hold, None)


def statistics_of(runs: Runs, image: Image) -> list[BandStatistics]:
    """Look through an image in memory."""
    pieces = split(area_of(image.profile, None), 2 * CELL, 2 * CELL)
    total = [Moments() for _ in image.profile.bands]
    for part in runs.run(MomentsJob(image), pieces):
        merge_bands(total, part)
    return [band.statistics() for band in total]


def filtered(
    declaration: ImageFilter, inputs: Inputs, block_bytes: int = BLOCK_BYTES
) -> list[Filtered]:
    """The outputs of a filter as sources, computed as they are read: any pixel may be invalid."""
    filtering = Filtering(declaration, inputs, block_bytes)
    stored = to_be_stored(declaration, sources_of(inputs), foreseen=True)
    return [Filtered(filtering, number, stored) for number in range(len(stored))]


def filter_images(
    runs: Runs,
    declaration: ImageFilter,
    inputs: Inputs,
    plan: Plan,
    *,
    paths: Sequence[str] = (),
    inline: bool = False,
) -> list[Made]:
    """Run a filter as planned (see :meth:`EOContextManager.filter`); a result for each output."""
    stored, area, tiles = [output.stored for output in plan.outputs], plan.area, plan.tiles
    filtering = Filtering(declaration, inputs, runs.cuts.block_bytes)
    made: list[Hold] = []
    with runs.stage(declaration.called, 0.8), runs.released_if_failed(made):
        made += _allocated(runs, stored, plan, paths)
        seen = transfer(runs, filtering, _images(made), area, tiles, inline=inline)
        if any(_untold(*one) for one in zip(stored, seen)):
            # invalid pixels that nobody foresaw (an overflow): they need planes that say so
            foreseen = to_be_stored(declaration, sources_of(inputs), foreseen=True)
            stored = [(profile.cropped(*area), planes) for profile, planes in foreseen]
            while made:
                made.pop().release()
            made += _allocated(runs, stored, plan, paths)
            seen = transfer(runs, filtering, _images(made), area, tiles, inline=inline)
    return [_result(runs, *one) for one in zip(made, seen)]


def _allocated(
    runs: Runs, stored: Sequence[Stored], plan: Plan, paths: Sequence[str]
) -> list[Hold]:
    made: list[Hold] = []
    with runs.released_if_failed(made):
        for number, (profile, planes) in enumerate(stored):
            path = paths[number] if number < len(paths) else ""
            # what was free when it was planned may not be any more: then on disk after all
            disk = True if plan.outputs[number].goes == ON_DISK else None
            made.append(runs.store.allocate(profile, planes=planes, disk=disk, path=path))
    return made


def _images(holds: Sequence[Hold]) -> list[Image]:
    return [hold.image for hold in holds]


def _untold(stored: Stored, seen: Seen) -> bool:
    """Whether there are invalid pixels that neither a nodata value nor a plane tells of."""
    profile, planes = stored
    return not planes and any(
        found.invalid and band.nodata is None for found, band in zip(seen.moments, profile.bands)
    )


def _result(runs: Runs, hold: Hold, seen: Seen) -> Made:
    most = hold.image.stored_planes
    needed = 0 if seen.all_valid else min(most, 1 if seen.alike else len(seen.moments))
    runs.store.trim(hold, needed)
    hold.image = replace(hold.image, all_valid=seen.all_valid)
    return Made(hold, [band.statistics() for band in seen.moments])
