"""How a user's functions and classes travel to workers: as module or file and qualified name.

One that cannot travel (a lambda, a closure, one of a script without main guard) is found out before
anything starts, and runs inline.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Union

from eoscale_engine.errors import InputError
from eoscale_engine.user_modules import load_module


@dataclass(frozen=True)
class FunctionReference:
    """Where a function or class is found again: in a module to import, or else in a file."""

    module: str
    file: str
    name: str

    def resolve(self) -> Callable[..., Any]:
        """The function itself, in whatever process this is."""
        found: Any = self._module()
        for part in self.name.split("."):
            found = getattr(found, part, None)
        if not callable(found):
            raise InputError(
                f"There is no function '{self.name}' in '{self.file or self.module}'. Define it at "
                "the top of that module."
            )
        return found

    def _module(self) -> Any:
        if not self.module:
            return load_module(self.file)
        try:
            return importlib.import_module(self.module)
        except ImportError:
            # the worker started before the module's folder was put on the path
            if not self.file:
                raise
            return load_module(self.file)


def reference_to(function: Callable[..., Any]) -> Union[FunctionReference, str]:
    """A function's or class's reference, or in words why it cannot travel to another process."""
    name = getattr(function, "__qualname__", "")
    plain = inspect.isroutine(function) or inspect.isclass(function)
    if not name or not plain or inspect.ismethod(function):
        return "it is not a plain function of a module"
    if "<lambda>" in name:
        return "it is a lambda"
    if "<locals>" in name:
        return "it is defined inside another function"
    module = getattr(function, "__module__", None) or ""
    home = sys.modules.get(module)
    if home is None:
        return f"its module '{module}' is not imported"
    found: Any = home
    for part in name.split("."):
        found = getattr(found, part, None)
    if found is not function:
        return f"'{name}' in its module is something else: a decorator may have replaced it"
    file = getattr(home, "__file__", None) or ""
    if module == "__main__":
        return _reference_in_script(home, file, name)
    if home.__spec__ is None:
        return f"its module '{module}' cannot be imported"
    return FunctionReference(module, file if file.endswith(".py") else "", name)


def _reference_in_script(main: Any, file: str, name: str) -> Union[FunctionReference, str]:
    if not os.path.isfile(file):
        return "it was typed in a console or notebook"
    if not has_main_guard(file):
        return (
            f"the script {os.path.basename(file)} has no `if __name__ == '__main__':` guard, so "
            "that importing it would run it again"
        )
    # `python -m package.module` has relative imports that only its real name resolves
    module = main.__spec__.name if main.__spec__ is not None else ""
    return FunctionReference(module, os.path.abspath(file), name)


def in_this_process(name: str, reason: str) -> str:
    """The warning that something of the user's runs inline, and what to do about it."""
    return (
        f"'{name}' runs in this process only, on one core: {reason}. "
        "Define it at the top of a module, or of a script with a main guard."
    )


def rebuilt(kind: FunctionReference, state: dict[str, Any]) -> Any:
    """An object of a class that is found by its reference."""
    found: Any = kind.resolve()
    made = object.__new__(found)
    vars(made).update(state)
    return made


def has_main_guard(file: str) -> bool:
    """Whether a script does its work only under ``if __name__ == "__main__":``.

    One that is running, calls the engine and has no guard calls it from its top level.
    """
    tree = ast.parse(Path(file).read_bytes(), file)
    tests = [node.test for node in tree.body if isinstance(node, ast.If)]
    return any(
        isinstance(part, ast.Name) and part.id == "__name__"
        for test in tests
        for part in ast.walk(test)
    )


def check_function(file: str, function: str) -> None:
    """Refuse a file that does not import or has no such function; run where that may do no harm."""
    module = load_module(file)
    found: Any = module
    for part in function.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        offered = [
            name
            for name, value in vars(module).items()
            if callable(value) and getattr(value, "__module__", "") == module.__name__
        ]
        raise InputError(
            f"There is no function '{function}' in '{file}'. It has: "
            f"{', '.join(offered) or 'none'}."
        )


def parse_parameters(text: str, owner: str) -> dict[str, Any]:
    """The dictionary that a JSON text holds; an InputError where it holds something else."""
    try:
        values = json.loads(text or "{}")
    except ValueError as error:
        raise InputError(
            f"{owner}: the parameters are not JSON ({error}). Write an object such as "
            '{"size": 3}.'
        ) from None
    except RecursionError:
        raise InputError(f"{owner}: the parameters are nested too deeply.") from None
    if not isinstance(values, dict):
        raise InputError(f'{owner}: the parameters must be a JSON object such as {{"size": 3}}.')
    return values
