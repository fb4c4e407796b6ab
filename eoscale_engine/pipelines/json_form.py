"""Pipelines as JSON: steps, parameters, inputs and outputs, with a version and without code.

    {"version": 1,
     "inputs": ["elevation"],
     "steps": [
       {"name": "filled", "algorithm": "fillnodata", "parameters": {"max_distance": 20},
        "inputs": {"INPUT": ["elevation"]}},
       {"name": "relief", "algorithm": "slope", "inputs": {"INPUT": ["filled"]}}],
     "outputs": ["relief"]}

Algorithms are those of the catalogue, by name, with its parameters. What :class:`Step` and
:class:`Pipeline` may leave out may be left out here: names, parameters, the inputs of a step that
takes the image of the one before, inputs and outputs of the whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Any, Optional, Union

from eoscale_engine.catalogue import declaration_named, declarations
from eoscale_engine.declaration import Declaration
from eoscale_engine.errors import InputError
from eoscale_engine.pipelines.pipeline import Pipeline
from eoscale_engine.pipelines.steps import Step, check_number, naming, quoted
from eoscale_engine.raster_files.completeness import check_kind

VERSION = 1

MOST_BYTES = 1_000_000
"""Of a pipeline's JSON."""

NO_STEPS = ("copy", "pipeline")
"""Algorithms that do nothing in a pipeline, or would hide steps in another one."""

_WHOLE = ("version", "inputs", "steps", "outputs")
_STEP = ("name", "algorithm", "parameters", "inputs")


def read_pipeline(path: str) -> Pipeline:
    """The pipeline in a JSON file.

    Raises
    ------
    InputError
        Where the file cannot be read, or does not hold one.
    """
    check_kind(f"'{path}'", path)
    try:
        with Path(path).open("rb") as file:
            content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(
            f"'{path}' cannot be read: {error.strerror or error}. Choose a file that you may read."
        ) from None
    except ValueError:
        raise InputError(f"'{path}' is no text, and so no pipeline. Choose a JSON file.") from None
    return from_json(text)


@lru_cache(maxsize=8)
def from_json(text: str) -> Pipeline:
    """The pipeline that a text in JSON describes.

    Raises
    ------
    InputError
        That names the step and what to change, where the text does not describe one.
    """
    if len(text) > MOST_BYTES:
        raise InputError(
            f"The pipeline's JSON is longer than {MOST_BYTES} bytes. Keep tables and kernels in "
            "files of their own, or split it."
        )
    whole = _parsed(text)
    if isinstance(whole, list):  # its steps alone
        whole = {"version": VERSION, "steps": whole}
    if not isinstance(whole, dict):
        raise InputError('A pipeline is a JSON object: {"version": 1, "steps": [...]}.')
    _check_keys("The pipeline", whole, _WHOLE)
    if whole.get("version") != VERSION or isinstance(whole["version"], bool):
        raise InputError(
            f"The pipeline's version is {_shown(whole.get('version'))}, and this EOScale reads "
            f'"version": {VERSION}.'
        )
    steps = whole.get("steps")
    if not isinstance(steps, list) or not steps:
        raise InputError('The pipeline has no steps. Write "steps": [{"algorithm": "..."}].')
    check_number(steps)
    return Pipeline(
        *(_step(number, step) for number, step in enumerate(steps, 1)),
        inputs=_names("The pipeline's inputs", whole.get("inputs")),
        outputs=_names("The pipeline's outputs", whole.get("outputs")),
    )


def to_json(pipeline: Pipeline) -> str:
    """A pipeline of the catalogue's algorithms as JSON, with all that could be left out.

    Raises
    ------
    InputError
        Where a step is not the catalogue's: JSON holds no code.
    """
    steps = []
    for step in pipeline.steps:
        declaration = step.declaration
        with naming(step.name):
            kind = declaration_named(declaration.name)
            if kind is not type(declaration) or not _may_be_step(kind):
                raise InputError(
                    f"{declaration.called} is no algorithm of the catalogue, and JSON holds none "
                    "of your own. Keep this pipeline in Python."
                )
        parameters = {
            item.name: item.kind.as_json(getattr(declaration, item.name))
            for item in declaration.parameters()
        }
        steps.append({
            "name": step.name,
            "algorithm": declaration.name,
            "parameters": parameters,
            "inputs": {role: list(names) for role, names in step.roles.items() if names},
        })  # fmt: skip
    inputs = [item.role for item in pipeline.inputs]
    whole = {"version": VERSION, "inputs": inputs, "steps": steps, "outputs": list(pipeline.kept)}
    return json.dumps(whole, indent=1, ensure_ascii=False)


def offered() -> dict[str, type[Declaration]]:
    """The algorithms that may be steps, by name."""
    return {name: kind for name, kind in declarations().items() if _may_be_step(kind)}


def _may_be_step(kind: Optional[type[Declaration]]) -> bool:
    return kind is not None and kind.name not in NO_STEPS and not kind.runs_user_code


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError:
        raise InputError("The pipeline's JSON is nested too deeply.") from None
    except InputError:
        raise
    except ValueError as error:
        raise InputError(
            f"The pipeline is not written in JSON ({error}). Look at brackets, quotes and commas "
            "there."
        ) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"'{twice}' stands twice in one object of the pipeline. Leave one out.")
    return found


def _step(number: int, given: Any) -> Union[Declaration, Step]:
    name = given.get("name") if isinstance(given, dict) else None
    with naming(name if isinstance(name, str) else f"{number}"):
        if not isinstance(given, dict):
            raise InputError('A step is an object: {"algorithm": "slope", "parameters": {...}}.')
        _check_keys("A step", given, _STEP)
        declaration = _declaration(given.get("algorithm"), given.get("parameters"))
        inputs = given.get("inputs")
        if isinstance(inputs, dict):
            inputs = {role: _names(f"Its input {role}", names) for role, names in inputs.items()}
        else:
            inputs = _names("Its inputs", inputs)
        if name is not None:
            return Step(name, declaration, inputs)
        return declaration if inputs is None else Step(declaration.name, declaration, inputs)


def _declaration(name: Any, parameters: Any) -> Declaration:
    kind = declaration_named(name) if isinstance(name, str) else None
    if kind is None or not _may_be_step(kind):
        if kind is not None and kind.runs_user_code:
            raise InputError(
                f"'{kind.label}' runs a Python file, and a pipeline's JSON holds no code. Run it "
                "by itself, or make the pipeline in Python."
            )
        if name is None:
            raise InputError('It has no algorithm. Write one, such as "algorithm": "slope".')
        raise InputError(
            f"There is no algorithm {_shown(name)} for a step.{_meant(name, offered())} Names "
            "stand in the reference of algorithms, without 'eoscale:'."
        )
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        raise InputError("Its parameters are an object of names and values.")
    known_names = [item.name for item in kind.parameters()]
    values = {}
    for given, value in parameters.items():
        if given.lower() not in known_names:
            raise InputError(
                f"'{kind.label}' has no parameter '{given}'.{_meant(given.lower(), known_names)}"
                f" It has: {quoted(known_names)}."
            )
        if given.lower() in values:
            raise InputError(f"Its parameter '{given}' is given twice. Leave one out.")
        values[given.lower()] = value
    needed = (item for item in kind.parameters() if item.default is None and not item.optional)
    # what is left out of them is refused by its label
    return kind(**{**{item.name: None for item in needed}, **values})


def _names(what: str, given: Any) -> Optional[list[str]]:
    """Names, of which a single one may stand without a list."""
    if given is None:
        return None
    several = [given] if isinstance(given, str) else given
    if not isinstance(several, list) or not all(isinstance(name, str) for name in several):
        raise InputError(f"{what} must be a list of names, and not {_shown(given)}.")
    return several


def _check_keys(what: str, given: Mapping[str, Any], known: Sequence[str]) -> None:
    for key in given:
        if key not in known:
            raise InputError(f"{what} has no '{key}'.{_meant(key, known)} It has: {quoted(known)}.")


def _shown(value: Any) -> str:
    """A value of the JSON in a message."""
    if value is None:
        return "missing"
    return f"'{value}'" if isinstance(value, str) else json.dumps(value)


def _meant(name: Any, known: Any) -> str:
    near = get_close_matches(str(name).lower(), list(known), n=1)
    return f" Did you mean '{near[0]}'?" if near else ""
