"""Which steps of a pipeline run in one pass, and what images they make. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

from eoscale_engine.declaration import Declaration, ImageFilter, Procedure
from eoscale_engine.errors import EngineError, InputError, described
from eoscale_engine.images.source import Inputs, Source
from eoscale_engine.memory.images import Image
from eoscale_engine.pipeline.doubts import check_places
from eoscale_engine.pipeline.planning import check_grids
from eoscale_engine.pipeline.transfer import filtered
from eoscale_engine.pipelines.steps import Step, naming, place_of
from eoscale_engine.profile import Profile

FARTHEST = 32
"""Pixels: a step is stored where those that follow it look farther, or every tile would be large
to have little of it computed twice."""

LONGEST = 16
"""Steps that stand on each other in a pass, all of which have a tile in memory at a time."""

Profiles = dict[str, dict[int, Profile]]
"""Of the images of each input and step, by their numbers from 0."""


def traced(steps: Sequence[Step], inputs: Mapping[str, Profile]) -> Profiles:
    """The profiles of all images.

    Raises
    ------
    InputError, GridError
        That names the step, where it does not take its images.
    """
    found: Profiles = {name: {0: profile} for name, profile in inputs.items()}
    for step in steps:
        with naming(step.name):
            taken = _taken(step, found)
            named = [(name, profile) for names in taken.values() for name, profile in names]
            check_grids(named)
            if named:
                vectors = len(named) < len(step.taken)
                check_places(step.declaration, *named[0], vectors=vectors)
            step.declaration.check(
                {role: [profile for _, profile in several] for role, several in taken.items()}
            )
            found[step.name] = _made(step, [profile for _, profile in named])
    return found


def passes_of(
    steps: Sequence[Step], kept: Collection[str], found: Profiles
) -> dict[str, list[Step]]:
    """The steps of each pass, by the name of its last one, which computes the others as it reads.

    ``kept`` are the steps with an image in the result.
    """
    end: dict[str, str] = {}
    reach: dict[str, int] = {}
    length: dict[str, int] = {}
    users_of = _users(steps)
    for step in reversed(steps):
        name = step.name
        end[name], reach[name], length[name] = name, step.declaration.margin, 1
        users = users_of[name]
        if name in kept or len(users) != 1 or not isinstance(step.declaration, ImageFilter):
            continue
        [user] = users
        near = reach[user.name] <= FARTHEST and length[user.name] < LONGEST
        if near and reads_once(user, found):
            end[name] = end[user.name]
            reach[name] += reach[user.name]
            length[name] += length[user.name]
    passes: dict[str, list[Step]] = {step.name: [] for step in steps if end[step.name] == step.name}
    for step in steps:
        passes[end[step.name]].append(step)
    return passes


def local_steps(steps: Sequence[Step]) -> set[str]:
    """Those whose pixels depend on those around them alone, through all steps before them."""
    names = {step.name for step in steps}
    local: set[str] = set()
    for step in steps:
        before = {place_of(name)[0] for name in step.taken} & names
        if isinstance(step.declaration, ImageFilter) and before <= local:
            local.add(step.name)
    return local


def reach_of(steps: Sequence[Step], stored_ones: Collection[str]) -> int:
    """How far around an image that is stored the steps after it look."""
    reach: dict[str, int] = {}
    users_of = _users(steps)
    for step in reversed(steps):
        users = users_of[step.name]
        looks = (user.declaration.margin + reach[user.name] for user in users)
        reach[step.name] = max(looks, default=0)
    return max((reach[name] for name in reach if name in stored_ones), default=0)


def runs_of(
    steps: Sequence[Step], ends: Collection[str], sources: Mapping[str, Sequence[Source]],
    found: Profiles,
) -> Iterator[tuple[Declaration, Inputs]]:  # fmt: skip
    """What is run in each pass, on which sources; ``sources`` are those of the inputs.

    Images that are stored by then are taken to lie in memory.
    """
    known = {name: dict(enumerate(several)) for name, several in sources.items()}
    for step in steps:
        declaration = step.declaration
        inputs = tuple(
            (item.role, tuple(known[whose][n] for whose, n in map(place_of, step.roles[item.role])))
            for item in declaration.inputs
            if not item.polygons
        )
        if step.name in ends:
            yield declaration, inputs
            known[step.name] = {
                number: Image(step.name, "", profile, stored_planes=profile.count)
                for number, profile in found[step.name].items()
            }
        elif isinstance(declaration, ImageFilter):
            known[step.name] = dict(enumerate(filtered(declaration, inputs)))


def stored(step: Step, found: Profiles) -> list[Profile]:
    """What a step that ends a pass makes beside its images."""
    made = found[step.name]
    if not isinstance(step.declaration, Procedure):
        return []
    every = step.declaration.images_made(_profiles(step, found))
    return list(every[: len(every) - len(made)])


def reads_once(step: Step, found: Profiles) -> bool:
    """Whether one pass over its images does."""
    declaration = step.declaration
    return isinstance(declaration, ImageFilter) or declaration.reads_once(_profiles(step, found))


def _users(steps: Sequence[Step]) -> dict[str, list[Step]]:
    """The steps that take each input or step, as often as they do."""
    users: dict[str, list[Step]] = defaultdict(list)
    for step in steps:
        for name in step.taken:
            users[place_of(name)[0]].append(step)
    return users


def _taken(step: Step, found: Profiles) -> dict[str, list[tuple[str, Profile]]]:
    """A step's images by role, with their names; polygons have no profile."""
    rasters = [item.role for item in step.declaration.inputs if not item.polygons]
    return {
        role: [(name, found[whose][number]) for name, (whose, number) in _places(step.roles[role])]
        for role in rasters
    }


def _places(names: Sequence[str]) -> Iterator[tuple[str, tuple[str, int]]]:
    return ((name, place_of(name)) for name in names)


def _profiles(step: Step, found: Profiles) -> list[Profile]:
    taken = _taken(step, found)
    return [profile for several in taken.values() for _, profile in several]


def _made(step: Step, inputs: Sequence[Profile]) -> dict[int, Profile]:
    """The profiles of a step's images, by number; some may be left out."""
    declaration = step.declaration
    made = [number for number, output in enumerate(declaration.outputs) if step.makes(output)]
    profiles: Sequence[Profile] = ()
    try:
        if isinstance(declaration, ImageFilter):
            profiles = declaration.output_profiles(inputs)
        elif isinstance(declaration, Procedure):  # what it makes in between comes first
            profiles = list(declaration.images_made(inputs))[-len(made) :] if made else ()
        return dict(zip(made, profiles))
    except EngineError:
        raise
    except Exception as problem:  # of a user's own class
        raise InputError(
            f"{declaration.called} does not take these images: {described(problem)}."
        ) from problem
