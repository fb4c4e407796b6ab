"""The context of one pipeline: opens images, filters and reduces them in memory, writes results.

    with EOContextManager(nb_workers=4) as context:
        elevation = context.open_raster("dsm.tif")
        [smooth] = context.filter(Gaussian(sigma=2), elevation)
        context.write(smooth, "smooth.tif")

Images are known by keys (texts). Everything is released at the end, whatever happened in between.
"""

from __future__ import annotations

import weakref
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Optional, Union

import numpy as np

from eoscale_engine.declaration import (
    Declaration,
    Engine,
    Found,
    ImageFilter,
    Reduction,
    Result,
    Within,
)
from eoscale_engine.errors import InputError
from eoscale_engine.memory.folder import make_folders
from eoscale_engine.pipeline.images import PipelineImages
from eoscale_engine.pipeline.plan import Plan
from eoscale_engine.pipeline.planning import Keys
from eoscale_engine.pipeline.resources import Resources, put_together
from eoscale_engine.pipeline.runs import Cuts, Observer, Runs
from eoscale_engine.pipeline.work import Work
from eoscale_engine.polygons import Polygons
from eoscale_engine.profile import CRS, Number, Profile
from eoscale_engine.raster_files.options import WriteOptions
from eoscale_engine.tiling import BLOCK_BYTES, TILE_PIXELS, Window
from eoscale_engine.workers import Executor
from eoscale_engine.workers.inline import InlineWorkers

__all__ = ["EOContextManager", "Observer", "Resources"]


class EOContextManager(Engine):
    """Owns the images and workers of one pipeline.

    Parameters
    ----------
    nb_workers : int
        Worker processes; 0 for one for each processor.
    tile_mode : bool, optional
        Square tiles; False for strips as wide as the image; None for what is fastest. The result
        is the same.
    inline : bool
        Work in this process, without any other. The result is the same.
    memory_limit : int
        Most bytes that images may take in memory; 0 for what the machine has. What does not fit is
        read from files piece by piece, and written to mapped files on disk.
    tile_pixels, block_bytes : int
        Size of a worker's tile (0: about a million pixels) and of the blocks that a function sees.
        The result is the same.
    observer : Observer
        Told of progress and messages; asked whether to stop.
    executor : Executor
        Who does the work in place of workers of the context's own: any object with the methods of
        :class:`eoscale_engine.workers.Executor`. It stays yours: ``end`` does not close it. The
        result is the same.
    resources : Resources
        Store and workers of an engine that runs several pipelines; by default the context's own.

    Attributes
    ----------
    images : PipelineImages
        What it has; iterating gives the keys of those that were not released.
    timings : dict
        Seconds that each stage took so far.
    """

    def __init__(
        self,
        nb_workers: int = 0,
        tile_mode: Optional[bool] = None,
        *,
        inline: bool = False,
        memory_limit: int = 0,
        tile_pixels: int = 0,
        block_bytes: int = BLOCK_BYTES,
        observer: Optional[Observer] = None,
        executor: Optional[Executor] = None,
        resources: Optional[Resources] = None,
    ) -> None:
        cuts = Cuts(tile_mode, tile_pixels or TILE_PIXELS, block_bytes)
        self._runs = Runs(resources, cuts, observer or Observer())
        self.images = PipelineImages(self._runs)
        self._work = Work(self._runs, self.images)
        self.tile_mode = tile_mode
        if executor is not None and (nb_workers or inline or resources):
            raise InputError(
                "An executor has its own workers: give it alone, without nb_workers, inline or "
                "resources."
            )
        self._executor, self._nb_workers, self._inline = executor, nb_workers, inline
        self._memory_limit = memory_limit
        self._shared = resources is not None
        self._clean_up: Optional[weakref.finalize[Any, Any]] = None

    # ---- life

    def __enter__(self) -> EOContextManager:  # noqa: PYI034 - typing.Self is Python 3.11
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def start(self) -> None:
        """Make the private folder and the workers, unless they are shared."""
        if self._shared:
            return
        self.end()
        with ExitStack() as undo:
            folders = make_folders()
            for folder in folders:
                undo.callback(folder.close)
            executor = self._executor
            if executor is None:
                executor = self._workers()
                undo.callback(executor.close)
            self._runs.resources = put_together(folders, executor, self._memory_limit)
            # an executor that lives on must not keep mapped what goes with the folders
            undo.callback(self._runs.resources.store.drop_idle)
            # a script that never gets to end() leaves nothing either
            self._clean_up = weakref.finalize(self, undo.pop_all().close)

    def _workers(self) -> Executor:
        if self._inline:
            return InlineWorkers()
        # not at the top: inside QGIS, multiprocessing is never imported
        from eoscale_engine.workers.processes import ProcessWorkers

        return ProcessWorkers(self._nb_workers)

    def end(self) -> None:
        """Release every image; end workers and remove the folder where they are one's own."""
        try:
            for key in self.images:
                self.images.release(key)
        finally:
            if self._clean_up is not None:
                self._clean_up()
                self._clean_up = self._runs.resources = None

    @property
    def nb_workers(self) -> int:
        """Number of workers."""
        return self._runs.executor.workers

    @property
    def timings(self) -> dict[str, float]:
        """Seconds that each stage took so far."""
        return self._runs.timings

    # ---- files

    def open_raster(
        self, raster_path: str, bands: Optional[Sequence[int]] = None, *, label: str = ""
    ) -> str:
        """Load a raster file into shared memory, decoded by all workers; returns its key.

        A file that is in memory already is used again while it is unchanged. One that does not fit
        is read piece by piece when it is worked on.

        Parameters
        ----------
        raster_path : str
            A file, or any name that GDAL opens.
        bands : sequence of int, optional
            Numbers from 1, in any order; all but alpha by default.
        label : str
            What messages call it; the path by default.
        """
        return self.images.open_raster(raster_path, bands, label=label)

    def describe(
        self,
        raster_path: str,
        bands: Optional[Sequence[int]] = None,
        *,
        label: str = "",
        keep_alpha: bool = False,
        named: Collection[int] = (),
    ) -> str:
        """Open a raster file without reading its pixels; work on it then reads what it needs.

        An alpha band is one like any other with ``keep_alpha``, as for a copy of the image, and
        where it is among the ``bands`` or those that parameters have ``named``.
        """
        return self.images.describe(
            raster_path, bands, label=label, keep_alpha=keep_alpha, named=named
        )

    def load(self, key: str, *, decode: bool = True) -> bool:
        """Bring a described file into memory where it fits.

        Without ``decode`` it is used where it is in memory already, and stays a file else. Returns
        whether it is in memory.
        """
        return self.images.load(key, decode=decode)

    def assign_crs(self, key: str, crs: CRS) -> None:
        """Say which CRS an image has, as a user does whose file has none or a wrong one."""
        self.images.assign_crs(key, crs)

    def assign_nodata(self, key: str, values: Mapping[int, Optional[Number]]) -> None:
        """Say which nodata value bands of a described file have, by their numbers; None: none."""
        self.images.assign_nodata(key, values)

    def align(
        self,
        key: str,
        first: str,
        resampling: str,
        *,
        extent: Optional[tuple[float, float, float, float]] = None,
    ) -> str:
        """Put a described image on the grid of the first, on the fly; returns the key to use.

        ``resampling`` is nearest, bilinear, cubic or average. An image that lies pixel on pixel
        already stays as it is. With an ``extent`` (x minimum, y minimum, x maximum, y maximum, in
        the first one's CRS) the grid goes on as far as that reaches: align the first image to
        itself with it, then the others to the first. Pixels are invalid where an image has none.
        """
        return self.images.align(key, first, resampling, extent=extent)

    def open_polygons(
        self, path: str, *, label: str = "", id_field: str = "", layer: str = ""
    ) -> str:
        """Open the polygons or points of a vector file for procedures; returns their key.

        Parameters
        ----------
        path : str
            A file that OGR opens.
        label : str
            What messages call it; the path by default.
        id_field : str
            An integer field with the features' identifiers; OGR's own by default.
        layer : str
            The layer's name in the file; by default its first one is read.

        Raises
        ------
        InputError
            Where there is no such layer, or none with polygons or points.
        """
        return self._work.open_polygons(path, label=label, id_field=id_field, layer=layer)

    def write(
        self, key: str, img_path: str, *, format: str = "GTiff",  # noqa: A002 - GDAL's word
        options: Optional[WriteOptions] = None,
    ) -> None:  # fmt: skip
        """Write an image as a tiled, compressed GeoTIFF (or COG), with every core.

        Written beside the target and renamed when whole: a failure leaves nothing behind and an
        older file untouched. What the image carries and a TIFF does not hold (attribute tables,
        class names, colour tables of other types than 8 and 16 bits, metadata of further domains)
        lies beside it in ``.aux.xml``; a warning names what is lost.

        Raises
        ------
        OutputError
            Before any work, where the target cannot be written, is a file that is still to be read,
            or cannot hold the image. Another file that is there is overwritten.
        """
        self.images.write(key, img_path, format=format, options=options)

    # ---- images in memory

    def create_image(self, profile: Union[Profile, Mapping[str, Any]]) -> str:
        """Allocate an image of zeros; returns its key. Fill it through :meth:`get_array`.

        ``profile`` is a :class:`Profile`, or a mapping with at least ``width``, ``height``,
        ``count`` and ``dtype``.
        """
        return self.images.create_image(profile)

    def create_memview(
        self, key: str, arr_subset: np.ndarray, arr_subset_profile: Mapping[str, Any]
    ) -> str:
        """A part of an image as an input of its own; returns its key.

        Parameters
        ----------
        key : str
            The image.
        arr_subset : array of (bands, rows, cols)
            A slice of ``get_array(key)``: shown without a copy, and kept in memory as long as it is
            used. Any other array is copied into a new image.
        arr_subset_profile : mapping
            The view's profile; nodata, CRS and geotransform may differ from the image's.
        """
        return self.images.create_memview(key, arr_subset, arr_subset_profile)

    def crop(self, key: str, extent: Window) -> str:
        """An image of a part of another: a view in memory, or what is read of it from its file."""
        return self.images.crop(key, extent)

    def get_array(self, key: str, tile: Any = None) -> np.ndarray:
        """The image's pixels ``(bands, rows, cols)`` in shared memory, without a copy.

        Results and created images are writable; loaded files are not, since they are used again
        when the file is opened again. ``tile`` (with EOScale's fields) chooses a part with its
        margins.
        """
        return self.images.get_array(key, tile)

    def profile(self, key: Any) -> Profile:
        """An image's profile."""
        return self.images.profile(key)

    def get_profile(self, key: str) -> dict[str, Any]:
        """An image's profile as a dictionary of one's own, with rasterio's keys."""
        return self.images.get_profile(key)

    def update_profile(self, key: str, profile: Mapping[str, Any]) -> str:
        """Change nodata, CRS or geotransform of an image; returns its key.

        Raises :class:`InputError` where the mapping names another size, band count or data type.
        """
        return self.images.update_profile(key, profile)

    def label(self, key: Any) -> str:
        """What messages call an image."""
        return self.images.label(key)

    def publish(self, key: str) -> str:
        """Write the image's GDAL face beside its pixels; returns the path of the VRT."""
        return self.images.publish(key)

    def release(self, key: Any) -> None:
        """Give an image back; its memory goes with its last user. Twice does no harm."""
        self.images.release(key)

    # ---- work

    def check(self, declaration: Declaration, images: Keys) -> None:
        """Refuse, with an :class:`InputError`, images that a declaration cannot work on."""
        self._work.check(declaration, images)

    def plan(
        self,
        declaration: Declaration,
        images: Keys = (),
        *,
        extent: Optional[Window] = None,
        paths: Sequence[str] = (),
        load: bool = False,
    ) -> Plan:
        """What :meth:`run` would do, and how much memory it would take: ``print`` shows it.

        Parameters and errors are those of :meth:`run`. What does not fit is said in ``refusal``.
        """
        return self._work.plan(declaration, images, extent=extent, paths=paths, load=load)

    def expected(self, declaration: Declaration, images: Keys) -> list[Profile]:
        """The profiles of a run's results, before it: of those that it may leave out, too."""
        return self._work.expected(declaration, images)

    def filter(
        self,
        declaration: ImageFilter,
        images: Keys = (),
        *,
        extent: Optional[Window] = None,
        paths: Sequence[str] = (),
        inline: bool = False,
    ) -> list[str]:
        """Run a filter on images; returns the keys of its outputs.

        Parameters
        ----------
        declaration : ImageFilter
        images : str, sequence of str or mapping
            One image, images in the order of the declaration's inputs, or images by role.
        extent : Window, optional
            Restricts the run to a window of the inputs: the result is that part of the whole
            result, computed with the real pixels around it.
        paths : sequence of str
            Where the raw pixels of the outputs must lie; by default in memory, or on disk where
            they do not fit.
        inline : bool
            Run in this process, for functions that cannot travel.

        Raises
        ------
        InputError, GridError
            Before any work, where parameters or images do not fit.
        TileError
            Where the filter failed, with the tile and the cause. No output is left.
        """
        return self._work.filter(declaration, images, extent=extent, paths=paths, inline=inline)

    def filtered(self, declaration: ImageFilter, images: Keys = ()) -> list[str]:
        """The outputs of a filter as images that are computed when they are read.

        No pixel of them is kept: a filter, a reduction or another such image that stands on them
        reads, tile by tile, what it needs. The result is that of :meth:`filter`, to the bit. Asking
        for an array or a file computes the whole image once.

        Parameters and errors are those of :meth:`filter`.
        """
        return self._work.filtered(declaration, images)

    def reduce(
        self,
        declaration: Reduction[Any, Found],
        images: Keys,
        *,
        extent: Optional[Window] = None,
        inline: bool = False,
        within: Optional[Within] = None,
        windows: Optional[Sequence[Window]] = None,
    ) -> Found:
        """Run a reduction on images; returns what its ``finish`` returns.

        Parameters and errors are those of :meth:`filter`; with an ``extent`` only its pixels count.
        ``within`` and ``windows`` say where else it looks (see :class:`Engine`).
        """
        return self._work.reduce(
            declaration, images, extent=extent, inline=inline, within=within, windows=windows
        )

    def run(
        self,
        declaration: Declaration,
        images: Keys = (),
        *,
        extent: Optional[Window] = None,
        paths: Sequence[str] = (),
        load: bool = False,
    ) -> Result:
        """Run a declaration of any kind on images; returns its images' keys and its summary.

        With an ``extent`` a procedure sees that part of the images only, save in the margins of
        filters (see :class:`Engine`). ``paths`` are of a filter (see :meth:`filter`). With ``load``
        files come into memory first, as far as :meth:`plan` says.
        """
        return self._work.run(declaration, images, extent=extent, paths=paths, load=load)

    def polygons(
        self,
        key: str,
        like: str,
        *,
        field: str = "",
        all_touched: bool = False,
        extent: Optional[Window] = None,
    ) -> Polygons:
        """The polygons of a layer on the grid of an image, or of its part in an extent.

        ``field`` names a field whose values are wanted too; see :class:`Polygons` for the rest.
        """
        return self._work.polygons(key, like, field=field, all_touched=all_touched, extent=extent)
