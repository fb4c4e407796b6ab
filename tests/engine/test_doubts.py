"""What may make a result meaningless is told once, to who watches or as a warning of Python's."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from eoscale_engine.context import EOContextManager, Observer
from eoscale_engine.errors import InputWarning
from eoscale_engine.filters.neighbourhood.gaussian import Gaussian
from eoscale_engine.profile import Profile


@dataclass(frozen=True)
class Doubtful(Gaussian):
    """A filter with doubts about whatever it gets."""

    def doubts(self, inputs: Mapping[str, Sequence[Profile]]) -> Sequence[str]:
        return [f"The image has {inputs['INPUT'][0].width} columns. Take more."]


def _run(times: int, **options: Any) -> None:
    with EOContextManager(inline=True, **options) as context:
        image = context.create_image(Profile(8, 8, "float32"))
        for _ in range(times):
            context.filter(Doubtful(sigma=1.0), image)


def test_a_doubt_is_a_warning_of_python_where_nobody_watches() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _run(2)
    assert [(item.category, str(item.message)) for item in caught] == [
        (InputWarning, "The image has 8 columns. Take more.")
    ]


def test_a_doubt_is_a_message_where_somebody_does() -> None:
    heard: list[tuple[str, str]] = []
    _run(2, observer=Observer(log=lambda level, text: heard.append((level, text))))
    assert [text for level, text in heard if level == "warning"] == [
        "The image has 8 columns. Take more."
    ]


def test_nothing_is_told_without_doubts(recwarn: pytest.WarningsRecorder) -> None:
    with EOContextManager(inline=True) as context:
        image = context.create_image(Profile(8, 8, "float32"))
        context.filter(Gaussian(sigma=1.0), image)
    assert not [item for item in recwarn if issubclass(item.category, InputWarning)]
