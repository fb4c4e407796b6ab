"""The images of one pipeline, known by keys (texts): opened, made, viewed, described, released."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Optional, Union

import numpy as np

from eoscale_engine.errors import InputError, MemoryBudgetError
from eoscale_engine.grids import grid_difference, grid_reaching
from eoscale_engine.images.source import Source
from eoscale_engine.memory.images import Image
from eoscale_engine.memory.store import Hold
from eoscale_engine.pipeline.entries import CREATED, Entries, Entry, made_entry
from eoscale_engine.pipeline.naming import first_image
from eoscale_engine.pipeline.planning import area_of
from eoscale_engine.pipeline.runs import Runs
from eoscale_engine.pipeline.transfer import Made, copy_image, load_file, statistics_of
from eoscale_engine.pipeline.views import view_of, with_georeference
from eoscale_engine.profile import CRS, Number, Profile, profile_from
from eoscale_engine.raster_files.alignment import aligned
from eoscale_engine.raster_files.opening import open_raster_file
from eoscale_engine.raster_files.options import WriteOptions
from eoscale_engine.raster_files.own_memory import check_path, in_own_memory
from eoscale_engine.raster_files.signature import file_signature
from eoscale_engine.raster_files.transparency import doubt_of_alpha
from eoscale_engine.raster_files.verification import check_storable
from eoscale_engine.raster_files.writing import check_target, write_raster
from eoscale_engine.tiling import Window

_ALIGNING = threading.Lock()


class PipelineImages:
    """Owns the images of one pipeline; everything that is done with them goes through ``runs``."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs
        self.entries = Entries()

    def __iter__(self) -> Iterator[str]:
        """The keys of the images that were not released."""
        return iter(self.entries)

    # ---- files

    def open_raster(
        self, raster_path: str, bands: Optional[Sequence[int]] = None, *, label: str = ""
    ) -> str:
        """Load a raster file into shared memory, decoded by all workers; returns its key."""
        key = self.describe(raster_path, bands, label=label)
        self.load(key)
        return key

    def describe(
        self,
        raster_path: str,
        bands: Optional[Sequence[int]] = None,
        *,
        label: str = "",
        keep_alpha: bool = False,
        named: Collection[int] = (),
    ) -> str:
        """Open a raster file without reading its pixels; work on it then reads what it needs."""
        path = check_path(raster_path)
        chosen = tuple(bands) if bands else None
        file = open_raster_file(path, chosen, label=label, keep_alpha=keep_alpha, named=named)
        self._runs.names[path] = label or path
        for remark in file.remarks:
            self._runs.warn(f"GDAL says of '{label or path}': {remark.strip()}")
        if file.mask == "alpha":
            self._log(
                f"'{label or path}': band {file.alpha} (alpha) says which pixels are valid: all "
                "but 0. Degrees of transparency are left out."
            )
        doubt = doubt_of_alpha(file, label or path)
        if doubt:
            self._runs.warn(doubt)
        key = self.entries.add(Entry(file, label or path, file=file))
        if in_own_memory(path):  # workers do not see it
            self._in_memory(key)
        return key

    def load(self, key: str, *, decode: bool = True) -> bool:
        """Bring a described file into memory where it fits."""
        entry, store = self.entries[key], self._runs.store
        source, file = entry.source, entry.file
        if source.in_memory:
            return True
        signature = file and file_signature(file.path)
        if file is not None and signature is not None:
            state = signature, entry.nodata, file.mask
            found = store.loaded(file.path, state, file.bands)
            if found is not None and signature == (file.signature or signature):
                crs = source.profile.crs
                found.image = found.image.described(replace(found.image.profile, crs=crs))
                self.entries.settle(key, found)
                self._log(f"'{entry.label}' is in memory already.")
                return True
        if not decode:
            return False
        try:
            hold = store.allocate(source.profile, planes=source.planes, disk=False)
        except MemoryBudgetError:
            self._log(f"'{entry.label}' does not fit into memory: it is read piece by piece.")
            return False
        load_file(self._runs, source, hold)
        if file is not None and signature is not None and signature == file_signature(file.path):
            store.keep_loaded(file.path, state, file.bands, hold.image)
        self.entries.settle(key, hold)
        return True

    def assign_crs(self, key: str, crs: CRS) -> None:
        """Say which CRS an image has, as a user does whose file has none or a wrong one."""
        entry = self.entries[key]
        known = entry.source.profile.crs
        if known is not None and known.same_as(crs):  # what is there says more: an epoch
            return
        entry.source = entry.source.described(replace(entry.source.profile, crs=crs))

    def assign_nodata(self, key: str, values: Mapping[int, Optional[Number]]) -> None:
        """Say which nodata value bands of a described file have, by their numbers; None: none."""
        entry = self.entries[key]
        source = entry.source
        if source.in_memory:
            raise InputError(
                f"'{entry.label}' is in memory already. Assign nodata before it is loaded."
            )
        bands = [replace(b, nodata=values.get(b.number, b.nodata)) for b in source.profile.bands]
        entry.source = source.described(replace(source.profile, bands=tuple(bands)))
        entry.nodata = tuple(sorted(values.items()))

    def align(
        self,
        key: str,
        first: str,
        resampling: str,
        *,
        extent: Optional[tuple[float, float, float, float]] = None,
    ) -> str:
        """Put a described image on the grid of the first, on the fly; returns the key to use."""
        entry, like = self.entries[key], self.profile(first)
        if extent is not None:
            with first_image(self.label(first)).in_errors():
                like = grid_reaching(like, extent)
        file, own = entry.file, entry.source.profile
        if file is None or not grid_difference(like, own):
            return key
        if like.control:
            raise InputError(like.without_grid(self.label(first)))
        # the same alignment has the same name, so that it is found in memory the next time
        state = file.signature or file.opened_at
        grid = like.crs, like.transform, like.shape
        described = repr((file.path, state, file.bands, own.crs, entry.nodata, *grid))
        digest = hashlib.sha256((described + resampling).encode()).hexdigest()[:16]
        name = f"aligned-{digest}.vrt"
        vrt = str(self._runs.store.memory.folder.path / name)
        with _ALIGNING:  # another run may be reading it: what is there stays as it is
            if not os.path.exists(vrt):
                aligned(
                    file.path, file.bands, like, resampling, vrt, profile=own, label=entry.label
                )
        self._log(
            f"'{entry.label}' is aligned to the first image ({resampling})."
            if key != first
            else f"'{entry.label}' is wider for the extent: invalid where it has no pixels."
        )
        placed = open_raster_file(vrt, label=entry.label)
        self._runs.names[vrt] = entry.label
        numbered = [replace(b, number=n) for b, n in zip(placed.profile.bands, file.bands)]
        placed = placed.described(replace(placed.profile, bands=tuple(numbered)))
        entry.source = entry.file = placed
        classes = any(b.color_table or b.categories or b.attributes for b in own.bands)
        if classes and resampling != "nearest":
            self._runs.warn(
                f"'{entry.label}' has classes (a colour table, names or attributes), and they are "
                f"mixed by {resampling}. Align with nearest to keep them."
            )
        return key

    # ---- images in memory

    def create_image(self, profile: Union[Profile, Mapping[str, Any]]) -> str:
        """Allocate an image of zeros; returns its key. Fill it through :meth:`get_array`."""
        hold = self._runs.store.allocate(profile_from(profile))
        key = self.entries.add(Entry(hold.image, CREATED, (hold,), writable=True))
        # its memory may have been another image's
        self.entries.mappings.array(hold.image, writable=True)[:] = 0
        return key

    def crop(self, key: str, extent: Window) -> str:
        """An image of a part of another: a view in memory, or what is read of it from its file."""
        source, label = self.entries[key].source, self.entries[key].label
        area = area_of(source.profile, extent)
        if source.in_memory:
            return self.add(source.cropped(area), label)
        return self.entries.add(made_entry(copy_image(self._runs, source, extent=area), label))

    def add(self, source: Source, label: str) -> str:
        """A source on images that live already, as an image of its own; returns its key."""
        holds = tuple(map(self._runs.store.hold, source.images))
        return self.entries.add(Entry(source, label, holds))

    def create_memview(
        self, key: str, arr_subset: np.ndarray, arr_subset_profile: Mapping[str, Any]
    ) -> str:
        """A part of an image as an input of its own; returns its key."""
        if key in self.entries:
            image = self._in_memory(key)
            whole = self.entries.mappings.array(image, writable=self.entries[key].writable)
            view = view_of(image, whole, arr_subset)
            if view is not None:
                view = with_georeference(view, {**arr_subset_profile, **_size(view.profile)})
                made = self.add(view, "view")
                self.entries[made].shared = self.entries[key].shared
                return made
        cube = arr_subset[np.newaxis] if arr_subset.ndim == 2 else arr_subset
        count, height, width = cube.shape
        size = {"count": count, "height": height, "width": width, "dtype": cube.dtype}
        made = self.create_image({**arr_subset_profile, **size})
        self.get_array(made)[:] = cube
        return made

    def get_array(self, key: str, tile: Any = None) -> np.ndarray:
        """The image's pixels ``(bands, rows, cols)`` in shared memory, without a copy."""
        image, entry = self._in_memory(key), self.entries[key]
        # an array may outlive its image: its memory never becomes another image's
        self._runs.store.publish(image)
        if entry.writable:
            entry.shared = True
            entry.source = image = replace(image, all_valid=False)
        array = self.entries.mappings.array(image, writable=entry.writable)
        if tile is None:
            return array
        rows = slice(tile.start_y - tile.top_margin, tile.end_y + tile.bottom_margin + 1)
        cols = slice(tile.start_x - tile.left_margin, tile.end_x + tile.right_margin + 1)
        return array[:, rows, cols]

    def profile(self, key: Any) -> Profile:
        """An image's profile."""
        return self.entries[key].source.profile

    def label(self, key: Any) -> str:
        """What messages call an image."""
        return self.entries[key].label

    def get_profile(self, key: str) -> dict[str, Any]:
        """An image's profile as a dictionary of one's own, with rasterio's keys."""
        return self.profile(key).to_dict()

    def update_profile(self, key: str, profile: Mapping[str, Any]) -> str:
        """Change nodata, CRS or geotransform of an image; returns its key."""
        entry = self.entries[key]
        entry.source = with_georeference(self._in_memory(key), profile)
        entry.statistics, entry.vrt = None, ""
        return key

    def release(self, key: Any) -> None:
        """Give an image back; its memory goes with its last user. Twice does no harm."""
        entry = self.entries.pop(key)
        if entry is not None:
            self.entries.let_go(entry)

    def publish(self, key: str) -> str:
        """Write the image's GDAL face beside its pixels; returns the path of the VRT."""
        image, entry = self._whole(key), self.entries[key]
        if entry.shared or not entry.vrt:
            if entry.shared or entry.statistics is None:
                entry.statistics = statistics_of(self._runs, image)
            self._runs.store.publish(image)
            entry.vrt = self._runs.store.memory.face(image, entry.statistics)
        return entry.vrt

    def write(
        self, key: str, img_path: str, *, format: str = "GTiff",  # noqa: A002 - GDAL's word
        options: Optional[WriteOptions] = None,
    ) -> None:  # fmt: skip
        """Write an image as a tiled, compressed GeoTIFF (or COG), with every core."""
        options = options or WriteOptions()
        check_target(img_path, self._file_paths())
        check_storable(format, options, self.profile(key))
        with self._runs.stage("Writing", 0.95) as report:

            def progress(fraction: float) -> bool:
                report(fraction)
                return not self._runs.observer.cancelled()

            lost = write_raster(
                self.publish(key), img_path, format=format, options=options,
                statistics=self.entries[key].statistics, threads=self._runs.executor.workers,
                progress=progress,
            )  # fmt: skip
        if lost:
            self._runs.warn(
                f"'{img_path}' was written without what no TIFF holds: {', '.join(lost)}."
            )

    def leave_in(self, key: str, path: str) -> None:
        """Put the image into a folder of the caller's: a VRT at ``path``, raw pixels beside it.

        It is no longer the pipeline's.
        """
        raw = path + ".raw"
        if self._whole(key).raw != raw:
            self.entries.replace(key, self._copied(key, raw))
        image, entry = self._whole(key), self.entries[key]
        statistics = entry.statistics or statistics_of(self._runs, image)
        self._runs.store.memory.face(image, statistics, path)
        self.entries.mappings.forget(image.raw)
        self._runs.store.disown(image)
        self.entries.pop(key)

    def hand_over(self, key: str) -> Hold:
        """Take an image out of the pipeline: whoever gets it must release it."""
        self.entries.mappings.forget(self._whole(key).raw)
        (hold,) = self.entries[key].holds
        self.entries.pop(key)
        return hold

    # ---- inside

    def _log(self, text: str) -> None:
        self._runs.observer.log("info", text)

    def _in_memory(self, key: str) -> Image:
        """The image; a file that is too large for memory becomes a mapped file on disk."""
        if not self.load(key):
            self.entries.replace(key, self._copied(key))
        return self.entries[key].source.images[0]

    def _whole(self, key: str) -> Image:
        """The image, all of its pixels' file; what is only a part of one is copied."""
        image = self._in_memory(key)
        if image.bands is None and image.window is None:
            return image
        self.entries.replace(key, self._copied(key))
        return self._in_memory(key)

    def _copied(self, key: str, raw: str = "") -> Made:
        return copy_image(self._runs, self.entries[key].source, raw=raw)

    def _file_paths(self) -> list[str]:
        """Files that are still to be read."""
        return [file for key in self for file in self.entries[key].source.files]


def _size(profile: Profile) -> dict[str, Any]:
    return {key: profile[key] for key in ("width", "height", "count", "dtype")}
