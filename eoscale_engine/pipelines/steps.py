"""The steps of a pipeline: what each computes, and from which inputs and earlier steps."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Optional, Union, cast

from eoscale_engine.declaration import Declaration, Output
from eoscale_engine.errors import Cancelled, EngineError, InputError
from eoscale_engine.pipeline.planning import Keys, keys_by_role
from eoscale_engine.words import counted

MOST_STEPS = 100

_NAME = re.compile(r"[^\W.][^.\x00-\x1f]{0,63}")
"""No dot: behind it stands the number of a step's image."""


@dataclass(frozen=True)
class Step:
    """A declaration in a pipeline.

    Attributes
    ----------
    name : str
        What other steps, messages and the plan call it: up to 64 characters without a dot.
    declaration : Declaration
    inputs : str, sequence of str or mapping, optional
        Where its images come from: names of inputs of the pipeline and of earlier steps; of a step
        that makes several images ``"name.2"`` is the second. One, several in the order of the
        declaration's inputs, or by role. By default the image of the step before, and the inputs of
        the pipeline for the first step.
    """

    name: str
    declaration: Declaration
    inputs: Optional[Keys] = field(default=None, hash=False)

    @property
    def roles(self) -> dict[str, tuple[str, ...]]:
        """The names by role, in the declaration's order, of a step in a pipeline."""
        return cast("dict[str, tuple[str, ...]]", self.inputs)

    @property
    def taken(self) -> list[str]:
        """All names, in that order."""
        return [name for names in self.roles.values() for name in names]

    def makes(self, output: Output) -> bool:
        """Whether an image is made: some are left out unless the parameter of their name is set."""
        return not output.optional or bool(getattr(self.declaration, output.name.lower(), True))


def check_number(steps: Sequence[Any]) -> None:
    """Refuse, with an :class:`InputError`, none or more steps than can be kept account of."""
    if not steps:
        raise InputError("The pipeline has no steps. Add one.")
    if len(steps) > MOST_STEPS:
        raise InputError(
            f"The pipeline has {len(steps)} steps, and may have {MOST_STEPS}. Split it."
        )


def place_of(name: str) -> tuple[str, int]:
    """The input or step that a name is of, and the number, from 0, of its image."""
    whose, dot, number = name.partition(".")
    if dot and not (number.isdecimal() and len(number) < 6 and int(number)):
        raise InputError(f"'{name}' has no number behind its dot. Write '{whose}.1' or '{whose}'.")
    return whose, int(number or 1) - 1


def short(name: str) -> str:
    """A name without the number of a first image."""
    whose, number = place_of(name)
    return name if number else whose


def named(steps: Sequence[Union[Declaration, Step]]) -> list[Step]:
    """Steps; declarations get their own name, and a number where that is taken."""
    taken = {step.name for step in steps if isinstance(step, Step)}
    found = []
    for step in steps:
        if isinstance(step, Step):
            found.append(step)
            continue
        first = step.name or type(step).__name__.lower()
        free = (f"{first} {number}" if number > 1 else first for number in range(1, len(steps) + 2))
        name = next(name for name in free if name not in taken)
        taken.add(name)
        found.append(Step(name, step))
    return found


def default_inputs(steps: Sequence[Step]) -> tuple[str, ...]:
    """The inputs of a pipeline that names none: the roles of its first step."""
    return _needed(steps[0].declaration) if steps and steps[0].inputs is None else ()


def linked(inputs: Sequence[str], steps: Sequence[Step]) -> tuple[Step, ...]:
    """The steps, each with its images by role.

    Raises
    ------
    InputError
        That names the step, where names or images do not fit together.
    """
    _check_names([*inputs, *(step.name for step in steps)])
    later = {step.name for step in steps}
    known: dict[str, Optional[Step]] = dict.fromkeys(inputs)
    for before, step in zip((None, *steps), steps):
        with naming(step.name):
            keys = _keys(step, inputs, before) if step.inputs is None else step.inputs
            roles = keys_by_role(step.declaration, keys)
            ordered = {
                item.role: tuple(map(short, roles[item.role])) for item in step.declaration.inputs
            }
            own = replace(step, inputs=ordered)
            for name in own.taken:
                _check_source(name, known, later)
        known[step.name] = own
    return tuple(step for step in known.values() if step is not None)


def check_made(name: str, step: Optional[Step]) -> None:
    """Refuse, with an :class:`InputError`, an image that an input or a step does not have."""
    whose, number = place_of(name)
    if step is None:
        if number:
            raise InputError(f"'{whose}' is an input, which is one image. Write '{whose}'.")
        return
    outputs = step.declaration.outputs
    if number >= len(outputs):
        count = counted(len(outputs), "image") if outputs else "no image, but values"
        raise InputError(
            f"There is no '{name}': the step '{whose}' makes {count}. Name one that there is."
        )
    if not step.makes(outputs[number]):
        raise InputError(
            f"The step '{whose}' makes '{outputs[number].label}' ('{name}') only with its "
            f"parameter {outputs[number].name.lower()} = true."
        )


@contextmanager
def naming(*steps: str) -> Iterator[None]:
    """Errors say in which step, or in one of which."""
    try:
        yield
    except Cancelled:
        raise
    except EngineError as error:
        names = ", ".join(f"'{name}'" for name in steps)
        raise type(error)(f"step{'s' * (len(steps) > 1)} {names}: {error}") from error


def quoted(names: Sequence[Any]) -> str:
    """Names for a message."""
    return ", ".join(f"'{name}'" for name in names) or "none"


def _needed(declaration: Declaration) -> tuple[str, ...]:
    return tuple(item.role for item in declaration.inputs if not item.optional)


def _keys(step: Step, inputs: Sequence[str], before: Optional[Step]) -> Keys:
    """The images of a step that does not say where they come from."""
    needed = _needed(step.declaration)
    if before is None:
        return list(inputs)
    if len(needed) > 1:
        raise InputError(
            f"{step.declaration.called} takes several images ({', '.join(needed)}). "
            "Say under its inputs where each comes from."
        )
    return {role: [before.name] for role in needed}


def _check_source(name: str, known: Mapping[str, Optional[Step]], later: set[str]) -> None:
    whose, _ = place_of(name)
    if whose in known:
        check_made(name, known[whose])
    elif whose in later:
        raise InputError(
            f"It takes '{whose}', which does not come before it. A step takes inputs and earlier "
            "steps alone: change the order or, where they go in a circle, the inputs of one."
        )
    else:
        raise InputError(
            f"It takes '{whose}', which is no input or earlier step. There: {quoted([*known])}."
        )


def _check_names(names: Sequence[Any]) -> None:
    seen = set()
    for name in names:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise InputError(
                f"{name!r} cannot be the name of an input or step: write up to 64 letters, digits, "
                "spaces or signs, a letter or digit first, and no dot."
            )
        if name in seen:
            raise InputError(f"'{name}' is the name of two inputs or steps. Rename one.")
        seen.add(name)
