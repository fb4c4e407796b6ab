"""A pipeline: declarations of all kinds, one after the other, in as few passes as they allow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Optional, Union, cast

from eoscale_engine.declaration import (
    Declaration,
    Engine,
    ImageFilter,
    Input,
    Output,
    Procedure,
    Result,
    Roles,
    Summary,
)
from eoscale_engine.errors import InputError
from eoscale_engine.images.source import Inputs, sources_of
from eoscale_engine.pipelines.passes import (
    Profiles,
    local_steps,
    passes_of,
    reach_of,
    reads_once,
    runs_of,
    stored,
    traced,
)
from eoscale_engine.pipelines.steps import (
    Step,
    check_made,
    check_number,
    default_inputs,
    linked,
    named,
    naming,
    place_of,
    quoted,
    short,
)
from eoscale_engine.profile import Profile
from eoscale_engine.styles import Style

Keys = dict[str, Sequence[Optional[str]]]
"""Of the images of each input and step."""


class Pipeline(Procedure):
    """Steps that run as one.

    Filters that follow each other are computed in one pass, tile by tile, and no image in between
    exists. An image is stored where several steps take it, where a step has to look at the whole
    image first (a stretch by percentiles, k-means, labels), and where windows add up to more than
    32 pixels. The result is that of the steps one by one, to the bit.

    With an extent, filters look at the real pixels around it, also through several steps; a step
    that looks at the whole image sees the extent alone.

    Parameters
    ----------
    *steps : Declaration or Step
        In an order in which each takes inputs and earlier steps alone. A declaration is a step of
        its own name that takes what the one before makes.
    inputs : sequence of str, optional
        Names of the images that come in, which are the pipeline's roles; by default the roles of
        the first step.
    outputs : sequence of str, optional
        Names of the steps whose images are kept (``"name.2"`` for a second one); by default all
        images of the last step. The values of all steps that find some are in the summary.

    Raises
    ------
    InputError
        That names the step, where something does not fit together.

    Examples
    --------
    >>> from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
    >>> from eoscale_engine.filters.terrain.slope import Slope
    >>> relief = Pipeline(FocalStatistics(radius=1), Slope())
    >>> [step.name for step in relief.steps], relief.kept
    (['focalstatistics', 'slope'], ('slope',))
    """

    label = "Pipeline"
    reports = True
    dtype_kinds = "iufc"

    def __init__(
        self,
        *steps: Union[Declaration, Step],
        inputs: Optional[Sequence[str]] = None,
        outputs: Optional[Sequence[str]] = None,
    ) -> None:
        check_number(steps)
        several = named(steps)
        names = default_inputs(several) if inputs is None else tuple(inputs)
        self.steps = linked(names, several)
        self.kept = _last_images(self.steps) if outputs is None else tuple(map(short, outputs))
        self._named = {step.name: step for step in self.steps}
        self._inputs = tuple(map(self._input, names))
        self._check_kept()
        self._check_use(names)

    @property
    def inputs(self) -> tuple[Input, ...]:  # type: ignore[override]
        """What comes in: images, and layers of polygons where steps take those."""
        return self._inputs

    @property
    def outputs(self) -> tuple[Output, ...]:  # type: ignore[override]
        """The images that are kept, called as their steps."""
        return tuple(Output(name, name) for name in self.kept)

    def styles(self) -> Sequence[Optional[Style]]:
        """Those of the steps."""
        found: list[Optional[Style]] = []
        for whose, number in map(place_of, self.kept):
            styles = self._named[whose].declaration.styles()
            found.append(styles[number] if number < len(styles) else None)
        return found

    def named_bands(self, role: str) -> tuple[int, ...]:
        """Of all steps that take that input."""
        uses = (
            step.declaration.named_bands(where)
            for step in self.steps
            for where, names in step.roles.items()
            if role in names
        )
        return tuple(sorted({number for numbers in uses for number in numbers}))

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse, with an :class:`InputError` that names the step, what one of them cannot take."""
        traced(self.steps, {name: several[0] for name, several in inputs.items()})

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """What is stored between passes, and the results."""
        found = self._traced(inputs)
        kept, between = [place_of(name) for name in self.kept], []
        for end in self._passes(found):
            between += stored(self._named[end], found)
            between += [one for number, one in found[end].items() if (end, number) not in kept]
        return [*between, *(found[whose][number] for whose, number in kept)]

    def passes(self, inputs: Sequence[Profile]) -> Sequence[str]:
        """Which steps run in each."""
        found = self._traced(inputs)
        return [
            quoted([step.name for step in steps])
            + ("" if reads_once(self._named[end], found) else ", which looks at the whole image")
            for end, steps in self._passes(found).items()
        ]

    def runs(self, inputs: Inputs) -> Iterable[tuple[Declaration, Inputs]]:
        """The last step of each pass, on sources that compute the others."""
        found = self._traced([source.profile for source in sources_of(inputs)])
        return runs_of(self.steps, self._passes(found), dict(inputs), found)

    def run(self, images: Roles, engine: Engine) -> Result:
        """Step by step; those that others compute as they read cost nothing yet."""
        keys: Keys = dict(images)
        rasters = [item.role for item in self.inputs if not item.polygons]
        found = self._traced([engine.profile(_key(keys, name)) for name in rasters])
        passes, summaries = self._passes(found), {}
        # what looks around an extent, through several steps, sees the real pixels there
        local = local_steps(self.steps)
        around = engine.around(
            reach_of([step for step in self.steps if step.name in local], passes)
        )
        for number, step in enumerate(self.steps, 1):
            roles = {
                role: [_key(keys, name) for name in names] for role, names in step.roles.items()
            }
            there = around if step.name in local else engine
            with naming(*(one.name for one in passes.get(step.name, [step]))):
                if step.name in passes:
                    made = there.run(step.declaration, roles)
                else:  # only filters are computed as others read them
                    declaration = cast(ImageFilter, step.declaration)
                    made = Result(tuple(there.filtered(declaration, roles)))
            keys[step.name] = made.images
            if made.summary is not None:
                summaries[step.name] = made.summary
            self._release(number, keys, engine)
        kept = tuple(engine.part(_key(keys, name)) for name in self.kept)
        return Result(kept, _together(summaries))

    # ---- inside

    def _input(self, name: str) -> Input:
        """A layer of polygons where a step takes it as one."""
        polygons = any(
            item.polygons and name in step.roles[item.role]
            for step in self.steps
            for item in step.declaration.inputs
        )
        return Input(name, name, polygons=polygons)

    def _check_kept(self) -> None:
        for name in self.kept:
            whose, _ = place_of(name)
            if whose not in self._named:
                raise InputError(
                    f"The pipeline's output '{name}' is none of its steps. "
                    f"There: {quoted([*self._named])}."
                )
            check_made(name, self._named[whose])
        if len(set(map(place_of, self.kept))) < len(self.kept):
            raise InputError("Two outputs of the pipeline are the same image. Leave one out.")

    def _check_use(self, names: Sequence[str]) -> None:
        """Refuse what has no part in the result: it was forgotten, or stands there by mistake."""
        used = {place_of(name)[0] for step in self.steps for name in (*step.taken, *self.kept)}
        for name in names:
            if name not in used:
                raise InputError(
                    f"No step of the pipeline takes the input '{name}'. Leave it out, or name it "
                    "under the inputs of a step."
                )
        for step in self.steps:
            has_values = step.declaration.reports or not step.declaration.outputs
            if step.name not in used and not has_values:
                raise InputError(
                    f"step '{step.name}': nothing takes its image. Name it under the inputs of a "
                    "step or the outputs, or remove the step."
                )

    def _traced(self, profiles: Sequence[Profile]) -> Profiles:
        rasters = (item.role for item in self.inputs if not item.polygons)
        return traced(self.steps, dict(zip(rasters, profiles)))

    def _passes(self, found: Profiles) -> dict[str, list[Step]]:
        return passes_of(self.steps, {place_of(name)[0] for name in self.kept}, found)

    def _release(self, done: int, keys: Keys, engine: Engine) -> None:
        """Give back the images of steps that neither a later step nor the result needs."""
        later = [name for step in self.steps[done:] for name in step.taken]
        needed = {place_of(name)[0] for name in (*later, *self.kept)}
        for step in self.steps[:done]:
            if step.name not in needed:
                given_back = set(keys.pop(step.name, ()))
                # a step may pass on what it took
                for key in given_back.difference(*keys.values(), [None]):
                    engine.release(cast(str, key))


def _last_images(steps: Sequence[Step]) -> tuple[str, ...]:
    last = steps[-1]
    made = [number for number, one in enumerate(last.declaration.outputs, 1) if last.makes(one)]
    return tuple(last.name if number == 1 else f"{last.name}.{number}" for number in made)


def _key(keys: Keys, name: str) -> str:
    whose, number = place_of(name)
    key = keys[whose][number]
    if key is None:
        raise InputError(f"The step '{whose}' made no image '{name}'.")
    return key


def _together(summaries: Mapping[str, Summary]) -> Optional[Summary]:
    """A step's summary; of several one with the steps' names."""
    if len(summaries) < 2:
        return next(iter(summaries.values()), None)
    every = summaries.items()
    return Summary(
        Pipeline.label,
        tuple(replace(t, name=f"{step}: {t.name}") for step, one in every for t in one.tables),
        {f"{step}.{name}": number for step, one in every for name, number in one.numbers.items()},
        tuple(replace(c, title=f"{step}: {c.title}") for step, one in every for c in one.charts),
        tuple(f"{step}: {note}" for step, one in every for note in one.notes),
    )
