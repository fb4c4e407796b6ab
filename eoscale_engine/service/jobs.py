"""One job of the service: from the client's description to results where the client wants them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

from eoscale_engine.catalogue import declaration_named
from eoscale_engine.context import EOContextManager, Observer, Resources
from eoscale_engine.declaration import Declaration
from eoscale_engine.errors import InputError, OutputError
from eoscale_engine.grids import window_of_extent
from eoscale_engine.memory.store import Hold
from eoscale_engine.pipeline.naming import first_image
from eoscale_engine.profile import CRS, Profile
from eoscale_engine.raster_files.options import WriteOptions
from eoscale_engine.raster_files.verification import check_storable
from eoscale_engine.raster_files.writing import check_no_input, check_target
from eoscale_engine.reductions.summary import jsonable
from eoscale_engine.tiling import Window

MEMORY, FOLDER, FILE = "memory", "folder", "file"


@dataclass
class Outcome:
    """What a job left: the message for the client, and the images that live on in memory."""

    message: dict[str, Any]
    published: list[Hold] = field(default_factory=list)


def run_job(
    resources: Resources,
    job: Mapping[str, Any],
    observer: Observer,
    *,
    tile_pixels: int = 0,
    user_code: bool = True,
) -> Outcome:
    """Run a job (its form stands in ``docs/engine-process.md``).

    ``user_code`` False refuses declarations that run a user's Python: inside QGIS it could take
    QGIS down.
    """
    if not isinstance(job, Mapping):
        raise InputError("A job is a JSON object (see docs/engine-process.md).")
    declaration = _declared(job)
    if declaration.runs_user_code and not user_code:
        raise InputError(
            f"{declaration.label} runs only in an engine process, and none could be started: a "
            "fault in your function would end QGIS. Set the Python interpreter in the EOScale "
            "options."
        )
    wanted: Mapping[str, Mapping[str, Any]] = job.get("outputs") or {}
    with EOContextManager(
        resources=resources, observer=observer, tile_pixels=tile_pixels
    ) as context:
        roles = _describe(context, job, declaration)
        _check_targets(job, wanted)
        if any(output["keep"] == FILE for output in wanted.values()):
            _check_storable(wanted, context.expected(declaration, roles))
        vectors = {item.role for item in declaration.inputs if item.polygons}
        keys = [key for role, listed in roles.items() if role not in vectors for key in listed]
        extent = _extent(context, keys, job.get("extent"))
        paths = [_raw_path(wanted.get(output.name, {})) for output in declaration.outputs]
        made = context.run(declaration, roles, extent=extent, paths=paths, load=True)
        outcome = Outcome({"images": {}, "summary": jsonable(made.summary)})
        try:
            for output, key in zip(declaration.outputs, made.images):
                if key is not None and output.name in wanted:
                    description = _deliver(context, key, wanted[output.name], outcome)
                    outcome.message["images"][output.name] = description
        except BaseException:
            for hold in outcome.published:
                hold.release()
            raise
        outcome.message["timings"] = dict(context.timings)
    return outcome


def _declared(job: Mapping[str, Any]) -> Declaration:
    name = job.get("declaration")
    kind = declaration_named(str(name))
    if kind is None:
        raise InputError(f"There is no algorithm '{name}'.")
    return kind(**job.get("parameters", {}))


def _describe(
    context: EOContextManager, job: Mapping[str, Any], declaration: Declaration
) -> dict[str, list[str]]:
    """Open all inputs, images aligned to the first where asked for; keys by role.

    With an extent the first one's grid goes on as far as that reaches, and so do all images.
    """
    roles: dict[str, list[str]] = {}
    first, align = "", job.get("align")
    extent = tuple(job.get("extent") or ()) or None
    for role, sources in (job.get("inputs") or {}).items():
        roles[role] = []
        for source in sources:
            if "id_field" in source:
                roles[role].append(context.open_polygons(**source))
                continue
            path, bands = source["path"], source.get("bands") or None
            # a rendered image's transparency says what is there
            whole = declaration.keeps_alpha and bands is None
            label = source.get("label") or path
            key = context.describe(
                path, bands, label=label, keep_alpha=whole and not source.get("rendered"),
                named=() if source.get("rendered") else declaration.named_bands(role),
            )  # fmt: skip
            if source.get("crs"):
                context.assign_crs(key, CRS(source["crs"]))
            if source.get("nodata"):
                context.assign_nodata(key, dict(source["nodata"]))
            if align and (first or extent):
                key = context.align(key, first or key, align, extent=extent)
            first = first or key
            roles[role].append(key)
    return roles


def _check_targets(job: Mapping[str, Any], wanted: Mapping[str, Mapping[str, Any]]) -> None:
    """Refuse outputs that cannot be written, or would take the place of an input or another."""
    inputs = [
        source["path"] for sources in (job.get("inputs") or {}).values() for source in sources
    ]
    targets = set()
    for name, output in wanted.items():
        path = os.path.realpath(output["path"])
        if path in targets:
            raise OutputError(
                f"Two outputs have the same path '{output['path']}'. Give {name} another one."
            )
        targets.add(path)
        if output["keep"] == FILE:
            check_target(output["path"], inputs)
        else:
            check_no_input(output["path"], inputs)


def _check_storable(wanted: Mapping[str, Mapping[str, Any]], results: Sequence[Profile]) -> None:
    """Refuse formats and compressions that cannot hold the results."""
    for output in wanted.values():
        if output["keep"] == FILE:
            for profile in results:
                check_storable(*_storage(output), profile)


def _extent(context: EOContextManager, keys: list[str], extent: Any) -> Optional[Window]:
    if not extent or not keys:
        return None
    profile = context.profile(keys[0])
    if profile.control:
        raise InputError(profile.without_grid(context.label(keys[0])))
    with first_image(context.label(keys[0])).in_errors():
        return Window(*window_of_extent(profile, tuple(extent)))


def _raw_path(output: Mapping[str, Any]) -> str:
    return output["path"] + ".raw" if output.get("keep") == FOLDER else ""


def _storage(output: Mapping[str, Any]) -> tuple[str, WriteOptions]:
    """Format and options of a file."""
    format_ = output.get("format") or "GTiff"
    return format_, WriteOptions(output.get("compress") or "DEFLATE", overviews=format_ == "COG")


def _deliver(
    context: EOContextManager, key: str, output: Mapping[str, Any], outcome: Outcome
) -> dict[str, Any]:
    """Put a result where the client wants it."""
    path, keep = output["path"], output["keep"]
    if keep == FILE:
        format_, options = _storage(output)
        context.write(key, path, format=format_, options=options)
        return {"name": "", "vrt": None, "path": path}
    if keep == FOLDER:
        context.images.leave_in(key, path)
        return {"name": "", "vrt": None, "path": path}
    vrt = context.publish(key)
    hold = context.images.hand_over(key)
    outcome.published.append(hold)
    return {"name": hold.image.name, "vrt": vrt, "path": path, "raw": hold.image.raw}
