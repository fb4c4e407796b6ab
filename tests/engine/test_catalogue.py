"""The catalogue finds every declaration, on every Python."""

from __future__ import annotations

from types import GenericAlias
from typing import Any

import pytest

from eoscale_engine import catalogue
from eoscale_engine.filters.pixel.stack import Stack


def test_aliases_of_types_are_no_declarations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.9 and 3.10 take ``tuple[int, ...]``, which modules hold, for a class."""

    def isclass(item: Any) -> bool:
        return isinstance(item, (type, GenericAlias))

    monkeypatch.setattr(catalogue.inspect, "isclass", isclass)
    assert catalogue.declarations()["stack"] is Stack
    assert catalogue.declaration_named("stack") is Stack
