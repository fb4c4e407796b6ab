"""The context of one pipeline: opens images, filters and reduces them in memory, writes results.

    with EOContextManager(nb_workers=4) as context:
        elevation = context.open_raster("dsm.tif")
        [smooth] = context.filter(Gaussian(sigma=2), elevation)
        context.write(smooth, "smooth.tif")

Images are known by keys (texts). Everything is released at the end, whatever happened in between.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Optional

from eoscale_engine.callables import in_this_process, reference_to
from eoscale_engine.declaration import (
    Declaration,
    Engine,
    Found,
    ImageFilter,
    Procedure,
    Reduction,
    Result,
    Summary,
    Within,
)
from eoscale_engine.errors import EngineError, InputError, MemoryBudgetError
from eoscale_engine.images.source import Inputs, sources_of
from eoscale_engine.memory.folder import make_folders
from eoscale_engine.pipeline.doubts import check_places, doubts_of, remarks_of
from eoscale_engine.pipeline.extent import InExtent
from eoscale_engine.pipeline.fold import reduce_images
from eoscale_engine.pipeline.images import Entry, PipelineImages
from eoscale_engine.pipeline.plan import LOADED, Plan, made_by, plan_of
from eoscale_engine.pipeline.planning import (
    Keys,
    area_of,
    check_grids,
    classes_left_out,
    keys_by_role,
)
from eoscale_engine.pipeline.resources import Resources, put_together
from eoscale_engine.pipeline.runs import Cuts, Observer, Runs
from eoscale_engine.pipeline.transfer import copy_image, filter_images, filtered
from eoscale_engine.polygons import Polygons
from eoscale_engine.profile import Profile
from eoscale_engine.raster_files.options import WriteOptions
from eoscale_engine.raster_files.verification import check_storable
from eoscale_engine.raster_files.writing import check_target, write_raster
from eoscale_engine.tiling import BLOCK_BYTES, TILE_PIXELS, Window
from eoscale_engine.vector_files import PolygonLayer, open_polygon_layer
from eoscale_engine.workers import Executor
from eoscale_engine.workers.inline import InlineWorkers

__all__ = ["EOContextManager", "Observer", "Resources"]


class EOContextManager(PipelineImages, Engine):
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
        super().__init__(Runs(resources, cuts, observer or Observer()))
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
        self._layers: dict[str, PolygonLayer] = {}

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
            for key in list(self._entries):
                self.release(key)
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

    # ---- work

    def check(self, declaration: Declaration, images: Keys) -> None:
        """Refuse, with an :class:`InputError`, images that a declaration cannot work on."""
        self._inputs(declaration, images)

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
        inline = bool(self._why_here(declaration))
        return self._planned(declaration, images, extent, paths, inline=inline, load=load)[1]

    def expected(self, declaration: Declaration, images: Keys) -> list[Profile]:
        """The profiles of a run's results, before it: of those that it may leave out, too."""
        sources = sources_of(self._inputs(declaration, images))
        made = [profile for profile, _ in made_by(declaration, sources)]
        # a procedure's results come last; one that makes no image gives its input
        return made[-len(declaration.outputs) :] or [source.profile for source in sources[:1]]

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
        inline = inline or self._stays_here(declaration)
        inputs, plan = self._planned(declaration, images, extent, paths, inline=inline)
        self._tell(declaration, plan)
        return self._filter(declaration, inputs, plan, paths, inline=inline)

    def filtered(self, declaration: ImageFilter, images: Keys = ()) -> list[str]:
        """The outputs of a filter as images that are computed when they are read.

        No pixel of them is kept: a filter, a reduction or another such image that stands on them
        reads, tile by tile, what it needs. The result is that of :meth:`filter`, to the bit. Asking
        for an array or a file computes the whole image once.

        Parameters and errors are those of :meth:`filter`.
        """
        inputs = self._inputs(declaration, images)
        reason = self._why_here(declaration)
        if reason:
            raise InputError(
                f"{declaration.called} cannot be sent to workers, who compute it as they read: "
                f"{reason}. Put it into a module, or use filter()."
            )
        made = filtered(self._runs, declaration, inputs)
        for image in (image for source in made for image in source.images):
            self._runs.store.retain(image)
        return [self._add(Entry(source, source.label)) for source in made]

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
        inline = inline or self._stays_here(declaration)
        inputs, plan = self._planned(declaration, images, extent, inline=inline)
        self._tell(declaration, plan)
        mask = None
        if within is not None and within.mask is not None:
            entry = self._entry(within.mask)
            mask = entry.source
            first = inputs[0][1][0].profile
            check_grids([("the image", first), (entry.label, mask.profile)])
        return reduce_images(
            self._runs, declaration, inputs, plan, inline=inline, mask=mask,
            polygons=None if within is None else within.polygons, windows=windows,
        )  # fmt: skip

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
        inline = self._stays_here(declaration)
        if load:
            self._load_as_planned(declaration, images, extent, paths, inline=inline)
        inputs, plan = self._planned(declaration, images, extent, paths, inline=inline)
        if not load:
            self._tell(declaration, plan)
        if isinstance(declaration, ImageFilter):
            made = self._filter(declaration, inputs, plan, paths, inline=inline)
            return Result(tuple(made))
        if isinstance(declaration, Procedure):
            return self._run_procedure(declaration, images, inputs, extent)
        if isinstance(declaration, Reduction):
            found = reduce_images(self._runs, declaration, inputs, plan, inline=inline)
            if isinstance(found, Summary):
                return Result(summary=found)
        raise InputError(f"{declaration.called} finds no Summary: call reduce for what it finds.")

    def _filter(
        self, declaration: ImageFilter, inputs: Inputs, plan: Plan, paths: Sequence[str], *,
        inline: bool,
    ) -> list[str]:  # fmt: skip
        results = filter_images(self._runs, declaration, inputs, plan, paths=paths, inline=inline)
        made = [
            self._add(Entry(result.image, "result", writable=True, statistics=result.statistics))
            for result in results
        ]
        if declaration.name:  # not a step of a procedure, which has results of its own
            self._warn_of_classes(declaration, inputs, made)
            self._warn_of_nothing(made)
        return made

    def _run_procedure(
        self, procedure: Procedure, images: Keys, inputs: Inputs, extent: Optional[Window]
    ) -> Result:
        before = set(self._entries)
        kept = before
        try:
            roles: Mapping[str, Sequence[str]] = keys_by_role(procedure, images)
            engine = self if extent is None else InExtent(self, extent)
            made = procedure.run(roles, engine)
            _check_result(procedure, made)
            kept = before.union(filter(None, made.images))
            self._warn_of_classes(procedure, inputs, made.images)
            self._warn_of_nothing(made.images)
        finally:
            for key in set(self._entries) - kept:
                self.release(key)
        return made

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
        options = options or WriteOptions()
        check_target(img_path, self._file_paths())
        check_storable(format, options, self.profile(key))
        with self._runs.stage("Writing", 0.95) as report:

            def progress(fraction: float) -> bool:
                report(fraction)
                return not self._runs.observer.cancelled()

            lost = write_raster(
                self.publish(key), img_path, format=format, options=options,
                statistics=self._entry(key).statistics, threads=self.nb_workers, progress=progress,
            )  # fmt: skip
        if lost:
            self._runs.warn(
                f"{img_path} was written without what no TIFF holds: {', '.join(lost)}."
            )

    def crop(self, key: str, extent: Window) -> str:
        """An image of a part of another: a view in memory, or what is read of it from its file."""
        source, label = self._entry(key).source, self._entry(key).label
        area = area_of(source.profile, extent)
        if source.in_memory:
            for image in source.images:
                self._runs.store.retain(image)
            return self._add(Entry(source.cropped(area), label))
        result = copy_image(self._runs, source, extent=area)
        return self._add(Entry(result.image, label, writable=True, statistics=result.statistics))

    # ---- vectors

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
        key = f"polygons {next(self._numbers)}"
        self._layers[key] = open_polygon_layer(path, label or path, id_field, layer)
        return key

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
        profile = self.profile(like)
        area = None if extent is None else area_of(profile, extent)
        return self._layer(key).on_grid(
            profile, field=field, all_touched=all_touched, area=area,
            cancelled=self._runs.observer.cancelled, warn=self._runs.warn,
        )  # fmt: skip

    # ---- inside

    def _planned(
        self, declaration: Declaration, images: Keys, extent: Optional[Window] = None,
        paths: Sequence[str] = (), *, inline: bool, load: bool = False,
    ) -> tuple[Inputs, Plan]:  # fmt: skip
        """The sources of each role, checked, and what will be done with them."""
        inputs = self._inputs(declaration, images)
        labels = [self.label(key) for key in self._images_of(declaration, images)]
        return inputs, plan_of(
            declaration, inputs, labels, self._runs.store.budget(), extent=extent, paths=paths,
            workers=1 if inline else self.nb_workers, cuts=self._runs.cuts, load=load,
        )  # fmt: skip

    def _tell(self, declaration: Declaration, plan: Plan) -> None:
        """The plan of a run, for the log; steps of procedures have none of their own there."""
        if not declaration.stage:
            self._log(str(plan))
        if plan.refusal:
            raise MemoryBudgetError(plan.refusal)

    def _load_as_planned(
        self, declaration: Declaration, images: Keys, extent: Optional[Window],
        paths: Sequence[str], *, inline: bool,
    ) -> None:  # fmt: skip
        keys = self._images_of(declaration, images)
        for key in keys:
            self.load(key, decode=False)
        plan = self._planned(declaration, images, extent, paths, inline=inline, load=True)[1]
        self._tell(declaration, plan)
        for key, planned in zip(keys, plan.inputs):
            if planned.comes == LOADED:
                self.load(key)

    def _images_of(self, declaration: Declaration, images: Keys) -> list[str]:
        """The keys of all images, in the order of their sources."""
        roles = keys_by_role(declaration, images)
        rasters = (item.role for item in declaration.inputs if not item.polygons)
        return [key for role in rasters for key in roles[role]]

    def _layer(self, key: str) -> PolygonLayer:
        if key not in self._layers:
            raise InputError(f"'{key}' is no layer of polygons.")
        return self._layers[key]

    def _warn_of_nothing(self, made: Sequence[Optional[str]]) -> None:
        """Tell of results without a valid pixel."""
        for key in made:
            bands = self._entry(key).statistics if key else None
            if bands and not any(band.valid for band in bands):
                self._runs.warn(
                    "No pixel of the result is valid. Look at the nodata values and masks of the "
                    "images, the extent, and the parameters that choose pixels."
                )

    def _stays_here(self, declaration: Declaration) -> bool:
        """Whether a user's own class cannot travel to workers; then a warning says why."""
        reason = self._why_here(declaration)
        if reason:
            warnings.warn(in_this_process(type(declaration).__name__, reason), stacklevel=3)
        return bool(reason)

    def _why_here(self, declaration: Declaration) -> str:
        kind = type(declaration)
        if isinstance(declaration, Procedure):  # it is its steps that travel
            return ""
        own = kind.__module__ == "__main__" or "<locals>" in kind.__qualname__
        found = reference_to(kind) if own and self._runs.executor.apart else ""
        return found if isinstance(found, str) else ""

    def _warn_of_classes(
        self, declaration: Declaration, inputs: Inputs, made: Sequence[Optional[str]]
    ) -> None:
        profiles = [source.profile for source in sources_of(inputs)]
        results = [self.profile(key) for key in made if key is not None]
        text = classes_left_out(declaration, profiles, results)
        if text:
            self._runs.warn(text)

    def _inputs(self, declaration: Declaration, images: Keys) -> Inputs:
        """The sources of each role, checked."""
        roles = keys_by_role(declaration, images)
        vectors = [item.role for item in declaration.inputs if item.polygons]
        layers = [self._layer(key) for role in vectors for key in roles.pop(role)]
        entries = {role: [self._entry(key) for key in keys] for role, keys in roles.items()}
        listed = [entry for several in entries.values() for entry in several]
        check_grids([(entry.label, entry.source.profile) for entry in listed])
        profiles = {role: [e.source.profile for e in several] for role, several in entries.items()}
        if listed:
            first = listed[0]
            check_places(declaration, first.label, first.source.profile, vectors=bool(layers))
        declaration.check(profiles)
        named = {role: [(e.label, e.source) for e in several] for role, several in entries.items()}
        for doubt in (*declaration.doubts(profiles), *doubts_of(declaration, named)):
            self._runs.warn(doubt)
        for remark in (*declaration.remarks(profiles), *remarks_of(declaration)):
            self._runs.remark(remark)
        return tuple(
            (item.role, tuple(entry.source for entry in entries[item.role]))
            for item in declaration.inputs
            if not item.polygons
        )


def _check_result(procedure: Procedure, made: Any) -> None:
    """Refuse, with an :class:`EngineError`, what a user's own procedure must not return."""
    if not isinstance(made, Result):
        raise EngineError(
            f"{procedure.called} returned {type(made).__name__}; "
            "run must return Result(images, summary)."
        )
    if len(made.images) != len(procedure.outputs):
        raise EngineError(
            f"{procedure.called} returned {len(made.images)} image(s) where "
            f"{len(procedure.outputs)} were declared."
        )
