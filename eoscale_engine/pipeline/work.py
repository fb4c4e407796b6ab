"""Work on the images of one pipeline: declarations are checked, planned and run."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Mapping, Sequence
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
from eoscale_engine.images.source import COMPUTED, Inputs, sources_of
from eoscale_engine.pipeline.doubts import check_places, doubts_of, remarks_of
from eoscale_engine.pipeline.entries import CREATED, RESULT, made_entry
from eoscale_engine.pipeline.extent import InExtent
from eoscale_engine.pipeline.fold import reduce_images
from eoscale_engine.pipeline.images import PipelineImages
from eoscale_engine.pipeline.naming import Named, Names
from eoscale_engine.pipeline.plan import LOADED, Plan, made_by, plan_of
from eoscale_engine.pipeline.planning import (
    Keys,
    area_of,
    check_grids,
    classes_left_out,
    keys_by_role,
)
from eoscale_engine.pipeline.runs import Runs
from eoscale_engine.pipeline.transfer import filter_images, filtered
from eoscale_engine.polygons import Polygons
from eoscale_engine.profile import Profile
from eoscale_engine.tiling import Window
from eoscale_engine.vector_files import PolygonLayer, open_polygon_layer
from eoscale_engine.words import counted


class Work(Engine):
    """Runs declarations on images, and keeps the polygons that they are given.

    Its methods are those of :class:`eoscale_engine.context.EOContextManager`, which tells of them.
    """

    def __init__(self, runs: Runs, images: PipelineImages) -> None:
        self._runs = runs
        self.images = images
        self._layers: dict[str, PolygonLayer] = {}
        self._numbers = itertools.count(1)

    def profile(self, key: str) -> Profile:
        """An image's profile."""
        return self.images.profile(key)

    def release(self, key: str) -> None:
        """Give an image back."""
        self.images.release(key)

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
        """What :meth:`run` would do, and how much memory it would take: ``print`` shows it."""
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
        """Run a filter on images; returns the keys of its outputs."""
        inline = inline or self._stays_here(declaration)
        with self._names(declaration, images).in_errors():
            inputs, plan = self._planned(declaration, images, extent, paths, inline=inline)
            self._tell(declaration, plan)
            return self._filter(declaration, inputs, plan, paths, inline=inline)

    def filtered(self, declaration: ImageFilter, images: Keys = ()) -> list[str]:
        """The outputs of a filter as images that are computed when they are read."""
        inputs = self._inputs(declaration, images)
        reason = self._why_here(declaration)
        if reason:
            raise InputError(
                f"{declaration.called} cannot be sent to workers, who compute it as they read: "
                f"{reason}. Put it into a module, or use filter()."
            )
        made = filtered(declaration, inputs, self._runs.cuts.block_bytes)
        return [self.images.add(source, source.label) for source in made]

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
        """Run a reduction on images; returns what its ``finish`` returns."""
        inline = inline or self._stays_here(declaration)
        with self._names(declaration, images).in_errors():
            inputs, plan = self._planned(declaration, images, extent, inline=inline)
            self._tell(declaration, plan)
            mask = None
            if within is not None and within.mask is not None:
                entry, first = self.images.entries[within.mask], plan.inputs[0].label
                mask = entry.source
                check_grids([(first, inputs[0][1][0].profile), (entry.label, mask.profile)])
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
        """Run a declaration of any kind on images; returns its images' keys and its summary."""
        inline = self._stays_here(declaration)
        with self._names(declaration, images).in_errors():
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
        made = [self.images.entries.add(made_entry(result, RESULT)) for result in results]
        if declaration.name:  # not a step of a procedure, which has results of its own
            self._warn_of_classes(declaration, inputs, made)
            self._warn_of_nothing(declaration, made)
        return made

    def _run_procedure(
        self, procedure: Procedure, images: Keys, inputs: Inputs, extent: Optional[Window]
    ) -> Result:
        before = set(self.images)
        kept = before
        try:
            roles: Mapping[str, Sequence[str]] = keys_by_role(procedure, images)
            engine = self if extent is None else InExtent(self, extent)
            made = procedure.run(roles, engine)
            _check_result(procedure, made)
            kept = before.union(filter(None, made.images))
            self._warn_of_classes(procedure, inputs, made.images)
            self._warn_of_nothing(procedure, made.images)
        finally:
            for key in set(self.images) - kept:
                self.release(key)
        return made

    # ---- vectors

    def open_polygons(
        self, path: str, *, label: str = "", id_field: str = "", layer: str = ""
    ) -> str:
        """Open the polygons or points of a vector file for procedures; returns their key."""
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
        """The polygons of a layer on the grid of an image, or of its part in an extent."""
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
        labels = [self.images.label(key) for key in self._images_of(declaration, images)]
        return inputs, plan_of(
            declaration, inputs, labels, self._runs.store.budget(), extent=extent, paths=paths,
            workers=1 if inline else self._runs.executor.workers, cuts=self._runs.cuts, load=load,
        )  # fmt: skip

    def _tell(self, declaration: Declaration, plan: Plan) -> None:
        """The plan of a run, for the log; steps of procedures have none of their own there."""
        if not declaration.stage:
            self._runs.observer.log("info", str(plan))
        if plan.refusal:
            raise MemoryBudgetError(plan.refusal)

    def _load_as_planned(
        self, declaration: Declaration, images: Keys, extent: Optional[Window],
        paths: Sequence[str], *, inline: bool,
    ) -> None:  # fmt: skip
        keys = self._images_of(declaration, images)
        for key in keys:
            self.images.load(key, decode=False)
        plan = self._planned(declaration, images, extent, paths, inline=inline, load=True)[1]
        self._tell(declaration, plan)
        for key, planned in zip(keys, plan.inputs):
            if planned.comes == LOADED:
                self.images.load(key)

    def _images_of(self, declaration: Declaration, images: Keys) -> list[str]:
        """The keys of all images, in the order of their sources."""
        roles = keys_by_role(declaration, images)
        rasters = (item.role for item in declaration.inputs if not item.polygons)
        return [key for role in rasters for key in roles[role]]

    def _warn_of_nothing(self, declaration: Declaration, made: Sequence[Optional[str]]) -> None:
        """Tell of results without a valid pixel."""
        for output, key in zip(declaration.outputs, made):
            bands = self.images.entries[key].statistics if key else None
            if bands and not any(band.valid for band in bands):
                self._runs.warn(
                    f"{declaration.called}: no pixel of '{output.label}' is valid. Look at the "
                    "nodata values and masks of the images, the extent, and the parameters that "
                    "choose pixels."
                )

    def _stays_here(self, declaration: Declaration) -> bool:
        """Whether a user's own class cannot travel to workers; then a warning says why."""
        reason = self._why_here(declaration)
        if reason:
            warnings.warn(in_this_process(type(declaration).__name__, reason), stacklevel=4)
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
        entries = {role: [self.images.entries[key] for key in keys] for role, keys in roles.items()}
        listed = [entry for several in entries.values() for entry in several]
        check_grids([(entry.label, entry.source.profile) for entry in listed])
        profiles = {role: [e.source.profile for e in several] for role, several in entries.items()}
        if listed:
            first = listed[0]
            check_places(declaration, first.label, first.source.profile, vectors=bool(layers))
        names = self._names(declaration, images)
        with names.in_errors():
            declaration.check(profiles)
        named = {role: [(e.label, e.source) for e in several] for role, several in entries.items()}
        own = map(names.added_to, declaration.doubts(profiles))
        for doubt in (*own, *doubts_of(declaration, named)):
            self._runs.warn(doubt)
        own = map(names.added_to, declaration.remarks(profiles))
        for remark in (*own, *remarks_of(declaration)):
            self._runs.remark(remark)
        return tuple(
            (item.role, tuple(entry.source for entry in entries[item.role]))
            for item in declaration.inputs
            if not item.polygons
        )

    def _names(self, declaration: Declaration, images: Keys) -> Names:
        """What users call the images and layers of a run, which may be to blame.

        Not for a step, whose procedure tells it, nor where a user's function mostly is.
        """
        aside = declaration.stage or declaration.runs_user_code
        roles = {} if aside else keys_by_role(declaration, images)
        known = []
        for item in declaration.inputs:
            for key in roles.get(item.role, ()):
                if item.polygons:
                    layer = self._layer(key)
                    known.append(Named(item.label, layer.label, layer.path))
                    continue
                entry = self.images.entries[key]
                computed = entry.source.comes == COMPUTED  # its label is what it is computed by
                if not computed and entry.label not in (CREATED, RESULT):
                    path = entry.file.path if entry.file else ""
                    known.append(Named(item.label, entry.label, path))
        return Names(tuple(known))

    def _layer(self, key: str) -> PolygonLayer:
        if key not in self._layers:
            raise InputError(f"'{key}' is no layer of polygons.")
        return self._layers[key]


def _check_result(procedure: Procedure, made: Any) -> None:
    """Refuse, with an :class:`EngineError`, what a user's own procedure must not return."""
    if not isinstance(made, Result):
        raise EngineError(
            f"{procedure.called} returned {type(made).__name__}; "
            "run must return Result(images, summary)."
        )
    if len(made.images) != len(procedure.outputs):
        raise EngineError(
            f"{procedure.called} returned {counted(len(made.images), 'image')}; it declares "
            f"{len(procedure.outputs)}."
        )
