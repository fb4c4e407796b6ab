"""Parameters that count only for some values of others: elsewhere they have no part in anything."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest

from eoscale_engine.catalogue import declarations
from eoscale_engine.context import EOContextManager, Observer
from eoscale_engine.declaration import Declaration, ImageFilter, Parameter, parameter
from eoscale_engine.errors import InputError
from eoscale_engine.filters.neighbourhood.convolution import Convolution
from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
from eoscale_engine.filters.terrain.hillshade import Hillshade
from eoscale_engine.parameter_kinds import (
    Boolean,
    Choice,
    File,
    Integer,
    Kind,
    Matrix,
    Number,
    Numbers,
    Text,
)
from eoscale_engine.procedures.image_comparison import ImageComparison
from eoscale_engine.procedures.inverse_components import InversePrincipalComponents
from eoscale_engine.procedures.principal_components import PrincipalComponents
from eoscale_engine.profile import Affine, Profile
from eoscale_engine.reductions.summary import jsonable
from tests.engine.every_kind import EveryKind

POLYGONS = Path(__file__).parents[1] / "data" / "polygons.geojson"
OTHERS: dict[type[Kind], Any] = {
    Text: "snow",
    File: str(POLYGONS),
    Numbers: (3.0, 1.0),
    Matrix: ((0, 1, 2), (1, 1, 0), (2, 1, 1)),
}


def conditional() -> Iterator[tuple[type[Declaration], Parameter]]:
    for kind in declarations().values():
        for item in kind.parameters():
            if item.counts_when:
                yield kind, item


def other(item: Parameter) -> Any:
    """A value that is not the default."""
    kind = item.kind
    if isinstance(kind, (Integer, Number)):
        low, high = kind.minimum or 0, kind.maximum
        return low + 3 if high is None or low + 3 <= high else high
    if isinstance(kind, Choice):
        return next(value for value in kind.choices if value != item.default)
    return not item.default if isinstance(kind, Boolean) else OTHERS[type(kind)]


MORE: dict[str, tuple[dict[str, Any], ...]] = {
    "inverseprincipalcomponents": ({"file": "components.json"},),
    "zonalstatistics": ({"weighted": True},),
}
"""Examples besides the declarations' own."""


def examples_of(kind: type[Declaration]) -> tuple[Mapping[str, Any], ...]:
    return (*kind.examples, *MORE.get(kind.name, ()))


def in_vain() -> Iterator[Any]:
    """Each conditional parameter in each example where it does not count."""
    for kind, item in conditional():
        for number, example in enumerate(examples_of(kind)):
            if item.name not in example and not item.counts(vars(kind(**example))):
                yield pytest.param(kind, item, number, id=f"{kind.name}-{item.name}-{number}")


IN_VAIN = list(in_vain())


def test_conditions_are_values_of_other_parameters() -> None:
    """Of such as a dialog shows: an output is asked for by its destination."""
    for kind, item in conditional():
        shown = {one.name: one for one in kind.parameters()}
        for output in kind.outputs:
            shown.pop(output.name.lower(), None)
        for name, wanted in item.counts_when.items():
            where = f"{kind.name}: {item.name} by {name}"
            condition = shown[name]
            assert wanted, where
            assert name != item.name, where
            assert [condition.checked(value, where) for value in wanted] == list(wanted), where
            assert isinstance(condition.kind, (Choice, Boolean)) or wanted == (None,), where


def test_each_is_tried_in_vain() -> None:
    tried = {(case.values[0], case.values[1].name) for case in IN_VAIN}
    assert tried == {(kind, item.name) for kind, item in conditional()}


def results(declaration: Declaration) -> str:
    """All that a run gives, in words that compare."""
    random = np.random.default_rng(7)
    profile = Profile(24, 19, "uint8", transform=Affine(2, 0, 100, 0, -2, 900)).with_bands(
        ("red", "nir")
    )
    with EOContextManager(inline=True, observer=Observer()) as context:
        roles: dict[str, list[Any]] = {}
        for item in declaration.inputs:
            if item.polygons:
                roles[item.role] = [context.open_polygons(str(POLYGONS))]
                continue
            if item.role in declaration.one_of:
                continue
            for _ in range(2 if item.many else 1):
                key = context.create_image(profile)
                context.get_array(key)[:] = random.integers(0, 9, (2, 19, 24)) * 13
                roles.setdefault(item.role, []).append(key)
        made = context.run(declaration, roles)
        images = [
            (context.profile(key), context.get_array(key).tobytes())
            for key in made.images
            if key is not None
        ]
        return repr((images, made.summary))


@cache
def plain(kind: type[Declaration], example: int) -> str:
    return results(kind(**examples_of(kind)[example]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the file of components is."""
    found: Path = tmp_path_factory.mktemp("components")
    pixels = np.random.default_rng(7).integers(0, 99, (2, 19, 24), np.uint8)
    with EOContextManager(inline=True) as context:
        key = context.create_image(Profile(24, 19, "uint8").with_bands(("red", "nir")))
        context.get_array(key)[:] = pixels
        summary = jsonable(context.run(PrincipalComponents(), [key]).summary)
    (found / "components.json").write_text(json.dumps(summary), encoding="utf-8")
    return found


@pytest.mark.filterwarnings("ignore::eoscale_engine.errors.InputWarning")
@pytest.mark.parametrize(("kind", "item", "number"), IN_VAIN)
def test_what_does_not_count_has_no_part(
    kind: Any, item: Parameter, number: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    changed = kind(**{**examples_of(kind)[number], item.name: other(item)})
    assert getattr(changed, item.name) != item.default
    assert results(changed) == plain(kind, number)


# ---------------------------------------------------------------- how it is told, and checked


def test_help_says_when_it_counts() -> None:
    def ends(kind: type[Declaration], name: str) -> str:
        [item] = [item for item in kind.parameters() if item.name == name]
        return item.full_help.rpartition(". ")[2]

    assert ends(FocalStatistics, "inner_radius") == "Only with SHAPE = ring."
    assert ends(Hillshade, "azimuth") == "Only with MODE = regular, combined or Igor."
    assert ends(ImageComparison, "ssim_window") == "Only with SSIM = true."
    assert ends(InversePrincipalComponents, "means") == "Only without FILE."
    assert ends(Convolution, "weights") == "Only with KERNEL = given and without FILE."
    assert "Only" not in ends(FocalStatistics, "statistic")


def test_a_field_that_is_none_is_refused() -> None:
    @dataclass(frozen=True)
    class Odd(EveryKind):
        more: int = parameter(1, help="Any", counts_when={"shape": ("ring",)})

    with pytest.raises(TypeError, match=r"Odd: counts_when names no field: \['shape'\]"):
        Odd()


@dataclass(frozen=True)
class Thresholds(EveryKind):
    """One parameter must be given, where it counts."""

    limit: float = parameter(  # type: ignore[assignment]
        None, minimum=0, help="Any", counts_when={"choice": ("sum",)}
    )
    red: Optional[int] = parameter(None, kind="band", help="Any", counts_when={"choice": ("sum",)})


def test_what_does_not_count_is_not_refused() -> None:
    for given in ({}, {"limit": -1}, {"limit": "many"}, {"red": 0}):
        made = Thresholds(**given)  # type: ignore[arg-type]
        assert (made.limit, made.red) == (None, None)
    with pytest.raises(InputError, match="'Limit' needs a value"):
        Thresholds(choice="sum")
    with pytest.raises(InputError, match="'Limit' is -1; it must be at least 0"):
        Thresholds(choice="sum", limit=-1)
    with pytest.raises(InputError, match="'Choice' cannot be 'mode'"):
        Thresholds(choice="mode", limit=-1)


def test_a_band_that_does_not_count_need_not_be_there() -> None:
    profile = Profile(4, 3, "uint8")
    Thresholds(red=2).check({"INPUT": [profile]})
    assert Thresholds(red=2).named_bands("INPUT") == ()
    with pytest.raises(InputError, match="is band 2, but 'Input image' has 1 band"):
        Thresholds(choice="sum", limit=1, red=2).check({"INPUT": [profile]})


def told(declaration: ImageFilter) -> list[str]:
    heard: list[str] = []
    observer = Observer(log=lambda level, text: heard.append(f"{level}: {text}"))
    with EOContextManager(inline=True, observer=observer) as context:
        image = context.create_image(Profile(8, 8, "float32"))
        for _ in range(2):
            context.filter(declaration, image)
    return [text for text in heard if "has a part" in text]


def test_what_is_given_in_vain_is_told_once() -> None:
    [text] = told(FocalStatistics(percentile=90, shape="disk", radius=2))
    assert text == (
        "info: Focal statistics: 'Percentile' is given, but has a part in the result only with "
        "'Statistic' = percentile."
    )
    assert not told(FocalStatistics(statistic="percentile", percentile=90))
    assert not told(FocalStatistics())
