"""The steps of a pipeline as a dialog edits them: the JSON itself, no longer than it need be."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eoscale_engine.declaration import Declaration, Input
from eoscale_engine.errors import InputError
from eoscale_engine.parameters import checked_values
from eoscale_engine.pipelines import from_json
from eoscale_engine.pipelines.json_form import VERSION, offered

Step = Mapping[str, Any]
"""A step as the JSON has it."""


@dataclass(frozen=True)
class StepList:
    """Steps, the names of images that come in, and of steps whose images are kept."""

    steps: tuple[Step, ...] = ()
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()

    @classmethod
    def of(cls, text: str) -> StepList:
        """The list in a JSON text, which may be wrong in other ways; an InputError without one."""
        try:
            whole = json.loads(text) if text.strip() else []
        except (ValueError, RecursionError) as error:
            raise InputError(f"The text is not written in JSON: {error}.") from None
        whole = {"steps": whole} if isinstance(whole, list) else whole
        steps = whole.get("steps") if isinstance(whole, dict) else None
        if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
            raise InputError("The text is no list of steps.")
        return cls(tuple(steps), _names(whole.get("inputs")), _names(whole.get("outputs")))

    def as_text(self) -> str:
        """As JSON; nothing without a step."""
        if not self.steps:
            return ""
        whole = {"version": VERSION, "inputs": self.inputs, "steps": self.steps,
                 "outputs": self.outputs}  # fmt: skip
        return json.dumps({key: value for key, value in whole.items() if value}, indent=1)

    def with_step(self, place: int, step: Step) -> StepList:
        """With a step in place of the one there, or at the end."""
        return replace(self, steps=(*self.steps[:place], step, *self.steps[place + 1 :]))

    def without(self, place: int) -> StepList:
        """Without that step."""
        return replace(self, steps=(*self.steps[:place], *self.steps[place + 1 :]))

    def moved(self, place: int, to: int) -> StepList:
        """With that step at another place."""
        steps = list(self.steps)
        steps.insert(to, steps.pop(place))
        return replace(self, steps=tuple(steps))


def problem_of(text: str) -> str:
    """What is wrong with a pipeline; nothing where it can run."""
    try:
        from_json(text)
    except InputError as error:
        return str(error)
    return ""


def shown(step: Step) -> str:
    """A step in a line."""
    algorithm = str(step.get("algorithm"))
    kind = offered().get(algorithm)
    label = algorithm if kind is None else kind.label
    name, inputs = step.get("name"), step.get("inputs")
    several = inputs.values() if isinstance(inputs, dict) else [inputs]
    taken = ", ".join(one for names in several for one in _names(names))
    return (f"{name}: " if name else "") + label + (f" of {taken}" if taken else "")


def sources_of(step: Step, images: Sequence[Input]) -> dict[str, str]:
    """The names of what a step takes, by the roles of its algorithm's images."""
    inputs = step.get("inputs")
    if isinstance(inputs, dict):
        return {role: ", ".join(_names(names)) for role, names in inputs.items()}
    left, found = _names(inputs), {}
    for item in images:
        taken = len(left) if item.many else 1
        found[item.role], left = ", ".join(left[:taken]), left[taken:]
    return found


def step_of(
    kind: type[Declaration], name: str, values: Mapping[str, Any], sources: Mapping[str, str]
) -> Step:
    """A step from what was typed: what is as it would be anyway is left out.

    Raises
    ------
    InputError
        Where values do not fit, or do not fit together.
    """
    parameters = kind.parameters()
    checked = checked_values(parameters, values, kind.label)
    try:
        kind(**checked)
    except TypeError as error:
        raise InputError(f"{kind.label}: {error}.") from None
    said = {
        item.name: item.kind.as_json(checked[item.name])
        for item in parameters
        if checked[item.name] != item.default
    }
    named = {role: _names(text) for role, text in sources.items()}
    inputs = {role: list(names) for role, names in named.items() if names}
    step = {"name": name.strip(), "algorithm": kind.name, "parameters": said, "inputs": inputs}
    return {key: value for key, value in step.items() if value}


def _names(given: Any) -> tuple[str, ...]:
    """Names in a list, or in a text between commas."""
    several = given.split(",") if isinstance(given, str) else given or ()
    return tuple(str(name).strip() for name in several if str(name).strip())
