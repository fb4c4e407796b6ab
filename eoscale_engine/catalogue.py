"""All declarations, found by name: what stands in ``filters``, ``reductions``, ``procedures``."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import GenericAlias
from typing import Optional

from eoscale_engine import filters, procedures, reductions
from eoscale_engine.declaration import Declaration

Kinds = dict[str, type[Declaration]]


def declarations() -> Kinds:
    """Every declaration that has a name, by name, in the order of their labels.

    A new one is found by itself: it needs a module somewhere in one of the three packages and a
    ``name``.
    """
    found: Kinds = {}
    for module in _modules():
        found.update(_declared_in(module))
    return dict(sorted(found.items(), key=lambda pair: pair[1].label))


def declaration_named(name: str) -> Optional[type[Declaration]]:
    """One of them, or None.

    Only modules in whose text the name stands are imported: an engine's first job waits for it.
    """
    quoted = f'"{name}"'.encode()
    for module in _modules():
        spec = find_spec(module)
        if spec is not None and spec.origin and quoted in Path(spec.origin).read_bytes():
            found = _declared_in(module).get(name)
            if found is not None:
                return found
    return None


def _modules() -> Iterator[str]:
    for package in (filters, reductions, procedures):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            yield module.name


def _declared_in(module: str) -> Kinds:
    return {
        item.name: item
        for item in vars(importlib.import_module(module)).values()
        # before Python 3.11 an alias such as tuple[int, ...] passes for a class
        if inspect.isclass(item) and not isinstance(item, GenericAlias)
        and issubclass(item, Declaration)
        and item.__module__ == module and item.name and not inspect.isabstract(item)
    }  # fmt: skip
