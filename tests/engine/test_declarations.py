"""What is refused of a declaration when its class is made, and what it is called."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pytest

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Blocks, Declaration, Reduction, Summary
from eoscale_engine.errors import InputError
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.statistics import BandMoments
from tests.engine.test_exactness import kinds


class Sizes(Reduction[list[int], list[int]]):
    """How many pixels each cell has."""

    def map(self, blocks: Blocks) -> list[int]:
        return [blocks.size]

    def merge(self, first: list[int], second: list[int]) -> list[int]:
        return first + second


def test_by_default_a_reduction_finishes_with_what_is_merged() -> None:
    with EOContextManager(inline=True) as context:
        key = context.create_image(Profile(600, 2, "uint8"))
        assert context.reduce(Sizes(), key) == [1024, 176]


def test_a_reduction_for_users_must_finish_with_a_summary() -> None:
    with pytest.raises(TypeError, match=r"^NamedSizes has a name.*Reduction\[..., Summary\]"):

        class NamedSizes(Sizes):
            name = "sizes"

    with pytest.raises(TypeError, match=r"^Untold has a name"):

        class Untold(Reduction):
            name = "untold"

            def finish(self, merged, inputs):  # type: ignore[no-untyped-def]
                return Summary("Sizes", ())


def test_a_summary_is_told_by_the_class_or_by_finish() -> None:
    class ByClass(Reduction[int, Summary]):
        name = "byclass"

    class ByFinish(Reduction):
        name = "byfinish"

        def finish(self, merged: Any, inputs: Sequence[Profile]) -> Summary:
            return Summary("Sizes", ())

    kinds: tuple[type[Declaration], ...] = (ByClass, ByFinish)
    assert [kind.name for kind in kinds] == ["byclass", "byfinish"]


def test_the_log_says_in_words_what_is_done() -> None:
    """What users choose has a label, a step of procedures a stage; neither is a class's name."""
    for kind in kinds(Declaration):
        assert kind.label if kind.name else kind.stage, kind
        assert not (kind.label and kind.stage), kind
        assert re.fullmatch("[A-Z].*", kind.label + kind.stage), kind
        assert not re.search("[a-z][A-Z]", kind.label + kind.stage), kind


def test_messages_call_a_users_own_class_by_its_name() -> None:
    with EOContextManager(inline=True) as context:
        key = context.create_image(Profile(6, 2, "uint8"))
        with pytest.raises(InputError, match="^Sizes takes no image"):
            context.reduce(Sizes(), [key, key])
        context.reduce(Sizes(), key)
        assert set(context.timings) == {"Sizes"}
        context.reduce(BandMoments(), key)
        assert set(context.timings) == {"Sizes", "Finding statistics"}
