"""All declarations, found by name: what stands in ``filters``, ``reductions``, ``procedures``."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

from eoscale_engine import filters, procedures, reductions
from eoscale_engine.declaration import Declaration


def declarations() -> dict[str, type[Declaration]]:
    """Every declaration that has a name, by name, in the order of their labels.

    A new one is found by itself: it needs a module somewhere in one of the three packages and a
    ``name``.
    """
    found: dict[str, type[Declaration]] = {}
    for package in (filters, reductions, procedures):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            for item in vars(importlib.import_module(module.name)).values():
                if (
                    inspect.isclass(item) and issubclass(item, Declaration)
                    and item.__module__ == module.name and item.name
                    and not inspect.isabstract(item)
                ):  # fmt: skip
                    found[item.name] = item
    return dict(sorted(found.items(), key=lambda pair: pair[1].label))
