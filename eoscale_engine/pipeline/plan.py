"""What a run will do, before it starts: a pure function of what it works on, and with.

What the plan says is what happens: runs take their tiles and the place of their results from it,
and the service what to load.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from eoscale_engine.declaration import Declaration, ImageFilter, Procedure, Reduction
from eoscale_engine.images.source import (
    COMPUTED,
    IN_MEMORY,
    ON_DISK,
    READ,
    Inputs,
    Source,
    sources_of,
)
from eoscale_engine.memory.images import Image
from eoscale_engine.memory.store import Budget
from eoscale_engine.pipeline.planning import (
    Stored,
    area_of,
    stored_bytes,
    tasks_of,
    tiles_of,
    to_be_stored,
)
from eoscale_engine.pipeline.runs import Cuts
from eoscale_engine.profile import Profile
from eoscale_engine.tile_work.blocks import TEMPORARIES, held_bytes, read_bytes
from eoscale_engine.tile_work.filtered import Filtering
from eoscale_engine.tile_work.jobs import ReduceJob
from eoscale_engine.tiling import CELL, Window
from eoscale_engine.words import counted

WORKER_BYTES = 60 * 1024 * 1024
"""A worker's own memory: libraries, GDAL's cache of blocks."""

LEAST_PART = 0.25
"""Of smaller parts of an image only what is needed is read; the whole is not loaded."""

LOADED, COPIED, IN_FOLDER = "loaded", "its part loaded", "in a folder of the caller's"
"""How inputs come and where results go, beside what sources say."""


@dataclass(frozen=True)
class PlannedInput:
    """An input: what the user calls it, its bytes in memory, and how its pixels come."""

    label: str
    nbytes: int
    comes: str


@dataclass(frozen=True)
class PlannedOutput:
    """An image that is made: how it is stored, its bytes, and where it goes."""

    stored: Stored
    nbytes: int
    goes: str


@dataclass(frozen=True)
class Plan:
    """What a run will do; ``print`` shows it in some lines.

    Attributes
    ----------
    what : str
        The declaration, as the log calls it.
    area : Window
        What it works on.
    tiles : tuple of Window
        The tasks of its workers; none of a procedure, whose steps are cut one by one.
    margin, workers : int
    inputs : tuple of PlannedInput
    outputs : tuple of PlannedOutput
        Of a procedure all images that it has at a time, results and others.
    task_bytes : int
        Of a worker's memory that a task takes, at most.
    budget : Budget
    passes : tuple of str
        Of a procedure that tells them.
    """

    what: str
    area: Window
    tiles: tuple[Window, ...]
    margin: int
    workers: int
    inputs: tuple[PlannedInput, ...]
    outputs: tuple[PlannedOutput, ...]
    task_bytes: int
    budget: Budget
    passes: tuple[str, ...] = ()

    @property
    def image_bytes(self) -> int:
        """Bytes of the images that the run brings into memory, or makes there."""
        loaded = sum(i.nbytes for i in self.inputs if i.comes in (LOADED, COPIED))
        return loaded + sum(o.nbytes for o in self.outputs if o.goes == IN_MEMORY)

    @property
    def at_work(self) -> int:
        """Bytes that all workers take at most."""
        return self.workers * (WORKER_BYTES + self.task_bytes)

    @property
    def run_bytes(self) -> int:
        """Bytes of memory that the run takes at most: its images and all workers."""
        return self.image_bytes + self.at_work

    @property
    def refusal(self) -> str:
        """Why it cannot be run, and what could; empty where it can."""
        least = self.task_bytes // TEMPORARIES  # few functions hold all that is reckoned with
        if least > self.budget.machine:
            return (
                f"{self.what}: a tile takes at least {_mb(least)} of memory, but "
                f"{_mb(self.budget.machine)} would fit. Choose a smaller window or radius, or "
                "fewer bands, or end other programs."
            )
        wanted, disk = sum(o.nbytes for o in self.outputs if o.goes == ON_DISK), self.budget.disk
        if wanted > disk and self.tiles:  # of a procedure they are the most that it may make
            return (
                f"{self.what}: results of {_mb(wanted)} do not fit into memory, and only "
                f"{_mb(disk)} would fit on disk. Free some space, or choose an extent of at most "
                f"{100 * disk // wanted} % of this one."
            )
        return ""

    def __str__(self) -> str:
        largest = max(self.tiles, key=_pixels, default=self.area)
        tiles = counted(len(self.tiles), "tile")
        cut = f" in {tiles} of up to {_size(largest)}" if self.tiles else ""
        worker = _mb(WORKER_BYTES + self.task_bytes)
        lines = [f"{self.what}: {_size(self.area)} pixels{cut}, margin {self.margin}"]
        lines += [f"pass {number}: {steps}" for number, steps in enumerate(self.passes, 1)]
        lines += _by_way("input", [(i.comes, i.nbytes, f" '{i.label}'") for i in self.inputs])
        lines += _by_way("results", [(o.goes, o.nbytes, "") for o in self.outputs])
        images, free = _mb(self.image_bytes), _mb(self.budget.images)
        workers = counted(self.workers, "worker")
        lines.append(f"memory: {images}, and {workers} x {worker}; {free} are free")
        if self.refusal:
            lines.append(f"not possible: {self.refusal}")
        elif self.at_work > self.budget.machine:
            most = self.budget.machine // (WORKER_BYTES + self.task_bytes)
            lines.append(f"memory may run out: {counted(most, 'worker')} would fit")
        return "\n  ".join(lines)


def plan_of(
    declaration: Declaration,
    inputs: Inputs,
    labels: Sequence[str],
    budget: Budget,
    *,
    extent: Optional[Window] = None,
    paths: Sequence[str] = (),
    workers: int = 1,
    cuts: Optional[Cuts] = None,
    load: bool = False,
) -> Plan:
    """The plan of a run.

    Parameters
    ----------
    declaration : Declaration
    inputs : Inputs
        Sources by role, and with ``labels`` what the user calls each.
    budget : Budget
        What is free.
    extent : Window, optional
        The part of the images that is asked for.
    paths : sequence of str
        Where the raw pixels of results must lie; empty where the plan decides.
    workers : int
    cuts : Cuts, optional
    load : bool
        Whether files are brought into memory where they fit beside the results, unless one pass
        over them does, or only a small part of them is needed.
    """
    sources, cuts = sources_of(inputs), cuts or Cuts()
    stored = made_by(declaration, sources)
    profiles = [*(source.profile for source in sources), *(profile for profile, _ in stored)]
    area = area_of(profiles[0], extent) if profiles else Window(0, 0, 0, 0)
    stored = [(profile.cropped(*area), planes) for profile, planes in stored]
    made = [profile for profile, _ in stored]
    tiles, task = _tasks(declaration, inputs, area, made, workers, cuts)
    # what is at work has its memory first, then results, then what need not be there
    room = min(budget.images, budget.machine - workers * (WORKER_BYTES + task))
    outputs, room = _outputs(stored, paths, room)
    comes = _ways(declaration, sources, area, room, part=extent is not None, load=load)
    if LOADED in comes:
        inputs = _as_loaded(inputs, comes)
        tiles, task = _tasks(declaration, inputs, area, made, workers, cuts)
    planned = [
        PlannedInput(label, (source.cropped(area) if way == COPIED else source).nbytes, way)
        for label, source, way in zip(labels, sources, comes)
    ]
    told = declaration.passes if isinstance(declaration, Procedure) else lambda _: ()
    return Plan(
        declaration.called, area, tuple(tiles), declaration.margin, workers, tuple(planned),
        tuple(outputs), task, budget, tuple(told([source.profile for source in sources])),
    )  # fmt: skip


def made_by(declaration: Declaration, sources: Sequence[Source]) -> list[Stored]:
    """The images that are made, results or not, and how they are stored."""
    if isinstance(declaration, ImageFilter):
        return list(to_be_stored(declaration, sources))
    if isinstance(declaration, Procedure):
        masked = any(source.planes for source in sources)
        made = declaration.images_made([source.profile for source in sources])
        return [(profile, profile.count if masked else 0) for profile in made]
    return []


def _tasks(
    declaration: Declaration, inputs: Inputs, area: Window, made: Sequence[Profile], workers: int,
    cuts: Cuts,
) -> tuple[list[Window], int]:  # fmt: skip
    """The tasks of a run, and the bytes that one takes at most."""
    margin, sources = declaration.margin, sources_of(inputs)
    if isinstance(declaration, ImageFilter):
        tiles = tiles_of(area, inputs, declaration, squares=cuts.squares, pixels=cuts.tile_pixels)
        filtering = Filtering(declaration, inputs, cuts.block_bytes)
        return tiles, filtering.working_bytes(max(tiles, key=_pixels), made)
    if isinstance(declaration, Reduction):
        tasks = tasks_of(area, inputs, workers, margin)
        return tasks, ReduceJob(declaration, inputs).working_bytes(max(tasks, key=_pixels))
    if isinstance(declaration, Procedure):
        known = [
            _tasks(run, own, area, [one for one, _ in made_by(run, sources_of(own))], workers, cuts)
            for run, own in declaration.runs(inputs)
        ]
        if known:
            return [], max(most for _, most in known)
    side = max([int(cuts.tile_pixels**0.5), *(source.tile_side(margin) for source in sources)])
    tile = Window(0, 0, min(side, area.rows), min(side, area.cols))
    cell = min(CELL, tile.rows), min(CELL, tile.cols)
    held = held_bytes(*cell, margin, [*(source.profile for source in sources), *made])
    return [], read_bytes(inputs, tile, margin) + held


def _outputs(
    stored: Sequence[Stored], paths: Sequence[str], room: int
) -> tuple[list[PlannedOutput], int]:
    """Where each result goes, and the room in memory that is left."""
    outputs = []
    for number, one in enumerate(stored):
        size, goes = stored_bytes(one), ON_DISK
        if any(paths[number : number + 1]):
            goes = IN_FOLDER
        elif size <= room:
            goes, room = IN_MEMORY, room - size
        outputs.append(PlannedOutput(one, size, goes))
    return outputs, room


def _ways(
    declaration: Declaration, sources: Sequence[Source], area: Window, room: int, *, part: bool,
    load: bool,
) -> list[str]:  # fmt: skip
    """How each input comes."""
    copied = part and declaration.copies_part
    profiles = [source.profile for source in sources]
    load = load and (copied or not declaration.reads_once(profiles))
    ways = []
    for source in sources:
        way, size = source.comes, source.nbytes
        whole = source.profile.width * source.profile.height
        if way == READ and load and _pixels(area) >= LEAST_PART * whole and size <= room:
            way, room = LOADED, room - size
        elif way in (READ, COMPUTED) and copied:
            way = COPIED
        ways.append(way)
    return ways


def _as_loaded(inputs: Inputs, comes: Sequence[str]) -> Inputs:
    """The inputs once what is to be loaded is in memory."""
    ways = iter(comes)

    def then(source: Source) -> Source:
        if next(ways) != LOADED:
            return source
        return Image(source.label, "", source.profile, stored_planes=source.planes)

    return tuple((role, tuple(map(then, several))) for role, several in inputs)


def _pixels(window: Window) -> int:
    return window.rows * window.cols


def _by_way(what: str, items: Sequence[tuple[str, int, str]]) -> list[str]:
    """A line for each way, of (way, bytes, name)."""
    lines = []
    for way in dict.fromkeys(way for way, _, _ in items):
        alike = [(size, name) for other, size, name in items if other == way]
        names = ",".join(name for _, name in alike)
        lines.append(f"{what} {way}:{names} {_mb(sum(size for size, _ in alike))}")
    return lines


def _size(window: Window) -> str:
    return f"{window.cols} x {window.rows}"


def _mb(size: int) -> str:
    return f"{size / 1e6:.1f} MB" if size < 1e8 else f"{size / 1e6:.0f} MB"
