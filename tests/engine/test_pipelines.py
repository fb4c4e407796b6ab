"""Pipelines: the bits of their steps one by one, in few passes, and clear words where not."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import Declaration, Result
from eoscale_engine.errors import EngineError, InputError, MemoryBudgetError
from eoscale_engine.filters.neighbourhood.fill_nodata import FillNodata
from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
from eoscale_engine.filters.neighbourhood.gaussian import Gaussian
from eoscale_engine.filters.pixel.band_math import BandMath
from eoscale_engine.filters.pixel.stack import Stack
from eoscale_engine.filters.terrain.slope import Slope
from eoscale_engine.memory.store import Budget
from eoscale_engine.pipelines import Pipeline, Step, from_json, read_pipeline, to_json
from eoscale_engine.pipelines.json_form import MOST_BYTES, offered
from eoscale_engine.procedures.pipeline import RunPipeline
from eoscale_engine.procedures.principal_components import PrincipalComponents
from eoscale_engine.procedures.statistics import RasterStatistics
from eoscale_engine.procedures.stretch import Stretch
from eoscale_engine.procedures.zonal_statistics import ZonalStatistics
from eoscale_engine.profile import Profile
from eoscale_engine.tiling import Window
from tests.engine.test_exactness import (
    FILTERS,
    PROCEDURES,
    REDUCTIONS,
    Picture,
    counts,
    keys_of,
    picture,
    picture_of,
    values_in,
)
from tests.engine.test_filtered import Counting, drawn_image

pytestmark = pytest.mark.filterwarnings("ignore::eoscale_engine.errors.InputWarning")

OFFERED = offered()
STEPS = [
    case.values[0]
    for case in FILTERS
    if 1 <= sum(counts(case.values[0]).values()) <= 2 and case.values[0].name in OFFERED
]
WHOLE = [case.values[0] for case in PROCEDURES if case.values[0].name in ("stretch", "sieve")]


@pytest.fixture(scope="module")
def context() -> Iterator[EOContextManager]:
    with EOContextManager(inline=True, tile_pixels=300, block_bytes=4000) as made:
        yield made


def drawn_steps(data: Any) -> list[Step]:
    """Steps of random filters, some of which several take, now and then with a whole-image one."""
    steps: list[Step] = []
    for number in range(data.draw(st.integers(2, 5))):
        kinds = WHOLE if data.draw(st.integers(0, 4)) == 0 else STEPS
        declaration = data.draw(st.sampled_from(kinds))
        names = ["image", *(step.name for step in steps)][-3:]
        roles = {
            role: [data.draw(st.sampled_from(names)) for _ in range(count)]
            for role, count in counts(declaration).items()
        }
        steps.append(Step(f"s{number}", declaration, roles))
    return steps


def ends_of(steps: Sequence[Step]) -> list[str]:
    """The steps that no other takes."""
    taken = {name for step in steps for names in dict(step.inputs or {}).values() for name in names}
    return [step.name for step in steps if step.name not in taken]


def one_by_one(
    context: EOContextManager, steps: Sequence[Step], keys: dict[str, str], extent: Any = None
) -> dict[str, str]:
    for step in steps:
        roles: Any = step.inputs
        taken = {role: [keys[name] for name in names] for role, names in roles.items()}
        made = context.run(step.declaration, taken, extent=extent).images[0]
        assert made is not None
        keys[step.name] = made
    return keys


def same(one: Picture, two: Picture) -> None:
    assert one.pixels.tobytes() == two.pixels.tobytes()
    np.testing.assert_array_equal(one.valid, two.valid)


@settings(
    max_examples=120, deadline=None, derandomize=True, database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(data=st.data())
def test_random_pipelines_give_what_their_steps_give(
    context: EOContextManager, data: Any, tmp_path: Path
) -> None:
    steps = drawn_steps(data)
    image, kept = drawn_image(context, data, tmp_path), ends_of(steps)
    inputs = ["image"] if any("image" in str(step.inputs) for step in steps) else []
    pipeline = Pipeline(*steps, inputs=inputs, outputs=kept)
    roles = dict.fromkeys(inputs, image)
    try:
        keys = one_by_one(context, steps, {"image": image})
        wanted = [picture_of(context, keys[name]) for name in kept]
    except EngineError:
        with pytest.raises(EngineError, match="^steps? 's"):
            context.run(pipeline, roles)
    else:
        before = set(context.images)
        made = context.run(pipeline, roles)
        assert set(context.images) - before == set(made.images)
        for key, one in zip(made.images, wanted):
            same(picture_of(context, str(key)), one)
        only_filters = not any(step.declaration in WHOLE for step in steps)
        if only_filters and inputs:
            profile = context.profile(image)
            row, col = (data.draw(st.integers(0, n - 1)) for n in (profile.height, profile.width))
            part = Window(row, col, profile.height - row, data.draw(st.integers(1, 30)))
            part = part.intersection(Window(0, 0, profile.height, profile.width))
            cropped = context.run(pipeline, roles, extent=part)
            for key, one in zip(cropped.images, wanted):
                found, place = picture_of(context, str(key)), (slice(None), *part.slices)
                assert found.pixels.tobytes() == one.pixels[place].tobytes()
                np.testing.assert_array_equal(found.valid, one.valid[place])
    finally:
        context.end()
        context.start()


def relief(**parameters: Any) -> Pipeline:
    return Pipeline(
        FillNodata(max_distance=5), FocalStatistics(radius=2), Slope(), **parameters
    )  # fmt: skip


def test_a_chain_of_filters_is_one_pass_without_an_image_in_between() -> None:
    one, two, three = Counting(2), Counting(1), Counting(0)
    with EOContextManager(inline=True) as context:
        [key] = keys_of(context, [picture("float32", 400, 500)])
        pipeline = Pipeline(one, two, three)
        plan = context.plan(pipeline, key)
        assert len(plan.outputs) == 1
        assert "pass 1: 'counting', 'counting 2', 'counting 3'" in str(plan)
        assert "pass 2" not in str(plan)
        context.run(pipeline, key)
        for counted in (one, two, three):
            assert 400 * 500 <= counted.times["pixels"] < 1.1 * 400 * 500


def test_what_the_plan_says_is_stored(context: EOContextManager) -> None:
    """For several steps, before what looks at the whole image, and before far windows."""
    [key] = keys_of(context, [picture("float32", 90, 100)])
    pipeline = Pipeline(
        Gaussian(),
        Step("mean", FocalStatistics(radius=1)),
        Step("both", Stack(), {"INPUTS": ["mean", "gaussian"]}),
        Step("bytes", Stretch(method="percentiles")),
        Step("far", FocalStatistics(radius=40), "bytes"),
    )
    assert list(pipeline.passes([context.profile(key)])) == [
        "'gaussian'", "'mean', 'both'", "'bytes', which looks at the whole image", "'far'",
    ]  # fmt: skip
    far = Pipeline(Gaussian(), FocalStatistics(radius=40), Gaussian())
    assert list(far.passes([context.profile(key)])) == [
        "'gaussian'", "'focalstatistics', 'gaussian 2'"
    ]  # fmt: skip
    plan = context.plan(pipeline, key)
    assert len(plan.outputs) == 4
    assert "pass 3: 'bytes', which looks at the whole image" in str(plan)


def test_statistics_of_a_slope_need_no_slope(context: EOContextManager) -> None:
    [key] = keys_of(context, [picture("float32", 90, 100, holes=0.02)])
    statistics = RasterStatistics(percentiles=())
    [slope] = context.filter(Slope(), key)
    wanted = context.run(statistics, slope).summary
    pipeline = Pipeline(Slope(), statistics)
    assert list(pipeline.passes([context.profile(key)])) == ["'slope', 'rasterstatistics'"]
    got = context.run(pipeline, key)
    assert got.images == ()
    assert list(map(repr, values_in(got.summary))) == list(map(repr, values_in(wanted)))


def test_values_of_several_steps_have_their_names(context: EOContextManager) -> None:
    [key] = keys_of(context, [picture("float32", 40, 50)])
    made = context.run(
        Pipeline(Step("bytes", Stretch()), Step("found", RasterStatistics()), outputs=["bytes"]),
        key,
    )
    assert made.summary is not None
    assert made.summary.tables[0].name.startswith("bytes: ")
    assert {"bytes.LOWER", "found.MEAN"} <= set(made.summary.numbers)
    assert len(made.images) == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_any_workers_and_a_file(workers: int, tmp_path: Path) -> None:
    image = picture("float32", 300, 410, holes=0.05)
    with EOContextManager(inline=True) as context:
        [key] = keys_of(context, [image])
        keys = one_by_one(context, _by_role(relief().steps), {"INPUT": key})
        wanted = picture_of(context, keys["slope"])
        context.write(key, str(tmp_path / "a.tif"))
    with EOContextManager(nb_workers=workers) as context:
        for given in (keys_of(context, [image])[0], context.describe(str(tmp_path / "a.tif"))):
            [made] = context.run(relief(), given).images
            same(picture_of(context, str(made)), wanted)


def _by_role(steps: Sequence[Step]) -> list[Step]:
    return [Step(step.name, step.declaration, step.roles) for step in steps]


def test_polygons_reach_the_step_that_takes_them(context: EOContextManager) -> None:
    zones = Path(__file__).parents[1] / "data" / "polygons.geojson"
    pipeline = Pipeline(
        Step("slope", Slope(), "dem"),
        Step("zones", ZonalStatistics(), {"INPUT": "slope", "POLYGONS": "fields"}),
        inputs=["dem", "fields"],
    )
    assert [item.polygons for item in pipeline.inputs] == [False, True]
    [key] = keys_of(context, [picture("float32", 40, 50)])
    layer = context.open_polygons(str(zones))
    made = context.run(pipeline, {"dem": key, "fields": layer})
    [slope] = context.filter(Slope(), key)
    wanted = context.run(ZonalStatistics(), {"INPUT": slope, "POLYGONS": layer})
    assert list(map(repr, values_in(made.summary))) == list(map(repr, values_in(wanted.summary)))


# ---------------------------------------------------------------- JSON


def test_every_algorithm_goes_through_json() -> None:
    for case in FILTERS + REDUCTIONS + PROCEDURES:
        declaration: Declaration = case.values[0]
        if declaration.name not in OFFERED:
            continue
        names = [item.role for item in declaration.inputs if not item.optional]
        names += list(declaration.one_of[:1])
        pipeline = Pipeline(Step("it", declaration, {name: name for name in names}), inputs=names)
        back = from_json(to_json(pipeline))
        assert repr(back.steps[0].declaration) == repr(declaration)
        assert (back.kept, back.steps[0].roles) == (pipeline.kept, pipeline.steps[0].roles)


def test_the_short_forms_say_the_same() -> None:
    whole = from_json(to_json(relief(inputs=["INPUT"])))
    short = from_json(
        '[{"algorithm": "fillnodata", "parameters": {"MAX_DISTANCE": "5"}},'
        ' {"algorithm": "focalstatistics", "parameters": {"radius": 2}}, {"algorithm": "slope"}]'
    )
    assert whole.steps == short.steps
    assert whole.kept == short.kept == ("slope",)
    numbered = from_json(steps({**SLOPE, "inputs": "dem.1"}, outputs=["a.1"]))
    assert numbered.steps == from_json(written()).steps
    assert numbered.kept == ("a",)


def written(**parts: Any) -> str:
    whole = {"version": 1, "inputs": ["dem"], "steps": [{"name": "a", "algorithm": "slope"}]}
    return json.dumps({**whole, **parts})


def steps(*given: Any, **parts: Any) -> str:
    return written(steps=list(given), **parts)


SLOPE = {"name": "a", "algorithm": "slope"}


NO_PIPELINE = [
    ("{", "is not written in JSON"),
    ("[" * 100_000, "nested too deeply"),
    ("3", "is a JSON object"),
    (" " * (MOST_BYTES + 1), "longer than"),
    ('{"version": 1, "version": 1}', "'version' stands twice"),
    (written(version=2), "version is 2, and this EOScale reads"),
    (written(version=True), "version is true"),
    ('{"steps": []}', "version is missing"),
    (written(step=[]), "has no 'step'. Did you mean 'steps'?"),
    (steps(), "has no steps"),
    (steps("slope"), "^step '1': A step is an object"),
    (steps({"name": "a", "algorithm": "slop"}), "^step 'a': .*Did you mean 'slope'?"),
    (steps({"name": "a"}), "^step 'a': It has no algorithm"),
    (steps({**SLOPE, "code": "x"}), "^step 'a': A step has no 'code'"),
    (steps({**SLOPE, "parameters": [1]}), "^step 'a': Its parameters are an object"),
    (
        steps({**SLOPE, "parameters": {"unitt": 1}}),
        "^step 'a': .*'unitt'. Did you mean 'unit'?",
    ),
    (steps({**SLOPE, "parameters": {"unit": 7}}), "^step 'a': Slope: 'Unit' cannot be"),
    (steps({"algorithm": "bandmath"}), "^step '1': Band math: 'Expressions' needs a value"),
    (steps({"algorithm": "pythonfilter"}), "^step '1': .*holds no code"),
    (steps({"algorithm": "pipeline"}), "^step '1': There is no algorithm 'pipeline'"),
    (steps({**SLOPE, "inputs": 3}), "^step 'a': Its inputs must be a list of names"),
    (steps({**SLOPE, "inputs": {"INPUT": [3]}}), "^step 'a': Its input INPUT must be"),
    (steps({**SLOPE, "inputs": {"IMAGE": "dem"}}), "^step 'a': Slope takes no image"),
    (steps({**SLOPE, "inputs": "dsm"}), "^step 'a': .*'dsm', which is no input.*'dem'"),
    (steps({**SLOPE, "inputs": "a"}), "^step 'a': .*'a', which does not come before it"),
    (
        steps({**SLOPE, "inputs": "b"}, {"name": "b", "algorithm": "slope", "inputs": "a"}),
        "^step 'a': .*'b', which does not come before it.*circle",
    ),
    (steps(SLOPE, SLOPE), "'a' is the name of two"),
    (steps({"name": "a.b", "algorithm": "slope"}), "'a.b' cannot be the name"),
    (steps({"name": 4, "algorithm": "slope"}), "4 cannot be the name"),
    (steps(SLOPE, {"name": "b", "algorithm": "slope", "inputs": "a.2"}), "^step 'b': .*'a.2'"),
    (steps(SLOPE, {"name": "b", "algorithm": "slope", "inputs": "a.x"}), "^step 'b': 'a.x'"),
    (steps({**SLOPE, "inputs": "dem.2"}), "^step 'a': 'dem' is an input, which is one image"),
    (steps(SLOPE, {"name": "b", "algorithm": "maskimage"}), "^step 'b': .*several images"),
    (
        steps(SLOPE, {"name": "b", "algorithm": "slope", "inputs": "dem"}),
        "^step 'a': nothing takes its image",
    ),
    (written(inputs=["dem", "b"], steps=[{**SLOPE, "inputs": "dem"}]), "takes the input 'b'"),
    (written(inputs=3), "inputs must be a list"),
    (written(outputs=["b"]), "output 'b' is none of its steps. There: 'a'"),
    (written(outputs=["a", "a.1"]), "the same image"),
    (steps(*({**SLOPE, "name": f"s{n}"} for n in range(101))), "has 101 steps, and may have"),
    (
        steps(
            {"name": "a", "algorithm": "principalcomponents"},
            {"name": "b", "algorithm": "slope", "inputs": "a.2"},
        ),
        "^step 'b': The step 'a' makes .* only with its parameter reconstruction = true",
    ),
]


@pytest.mark.parametrize(("text", "words"), NO_PIPELINE, ids=range(len(NO_PIPELINE)))
def test_what_is_no_pipeline_is_refused_with_a_remedy(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        from_json(text)


def test_much_is_refused_at_once() -> None:
    began = time.monotonic()
    for text, words in (
        (steps(*({} for _ in range(200_000))), "has 200000 steps, and may have 100"),
        (
            steps({**SLOPE, "inputs": "i0"}, inputs=[f"i{n}" for n in range(60_000)]),
            "takes the input 'i1'",
        ),
        (steps({**SLOPE, "inputs": ["dem"] * 100_000}), "^step 'a': Slope takes"),
    ):
        with pytest.raises(InputError, match=words):
            from_json(text)
    many = {"name": "a", "algorithm": "stack", "inputs": ["dem"] * 80_000}
    assert from_json(steps(many)).kept == ("a",)
    assert time.monotonic() - began < 5


def test_what_was_checked_is_what_runs(tmp_path: Path) -> None:
    """Another program may write the file between the check and the run."""
    path = tmp_path / "steps.json"
    path.write_text('[{"name": "before", "algorithm": "gaussian"}]')
    declaration = RunPipeline(file=str(path))
    path.write_text('[{"name": "after", "algorithm": "slope"}]')
    assert declaration.pipeline.kept == ("before",)


def test_a_file_of_steps(tmp_path: Path) -> None:
    path = tmp_path / "steps.json"
    path.write_text("\ufeff" + written(), encoding="utf-8")
    assert read_pipeline(str(path)).kept == ("a",)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="is no text"):
        read_pipeline(str(path))
    with pytest.raises(InputError, match="cannot be read"):
        read_pipeline(str(tmp_path / "none.json"))
    with path.open("w") as file:
        file.truncate(10**8)
    with pytest.raises(InputError, match="longer than"):
        read_pipeline(str(path))


def test_a_pipeline_with_code_of_ones_own_stays_in_python() -> None:
    with pytest.raises(InputError, match="^step 'counting': Counting is no algorithm"):
        to_json(Pipeline(Counting()))


# ---------------------------------------------------------------- what does not fit


def refusal(pipeline: Declaration, *images: Picture) -> str:
    with EOContextManager(inline=True) as context:
        keys = keys_of(context, list(images))
        with pytest.raises(InputError) as caught:
            context.run(pipeline, keys)
        assert not context.timings
        assert set(context.images) == set(keys)
    return str(caught.value)


def test_steps_that_do_not_fit_are_refused_before_the_start() -> None:
    one = picture("float32", 20, 30)
    text = refusal(Pipeline(Stretch(), BandMath("im1b1 + im1b3")), one)
    assert text.startswith("step 'bandmath': ") and "3" in text
    text = refusal(Pipeline(Stretch(), Slope()), picture("complex64", 20, 30))
    assert text.startswith("step 'stretch': ") and "complex64" in text
    both = Pipeline(Step("a", Gaussian(), "x"), Step("b", Stack(), ["a", "y"]), inputs=["x", "y"])
    assert "do not share a grid" in refusal(both, one, picture("float32", 20, 31))


def test_a_step_that_fails_is_named() -> None:
    class Failing(Counting):
        label = "Failing"

        def apply(self, blocks: Any) -> Any:
            raise ValueError("because")

    with EOContextManager(inline=True) as context:
        keys = keys_of(context, [picture("float32", 20, 30)])
        with pytest.raises(EngineError, match="^steps 'failing', 'slope': .*because"):
            context.run(Pipeline(Failing(), Slope()), keys)
        assert set(context.images) == set(keys)


# ---------------------------------------------------------------- as an algorithm


def algorithm(text: Optional[str] = None, **more: Any) -> RunPipeline:
    return RunPipeline(**{"steps": text or written(), **more})


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"steps": ""}, r"give the steps as JSON \(STEPS\), or a file"),
        ({"file": "/a.json"}, "but not both"),
        ({"text": steps({"algorithm": "rasterstatistics"})}, "makes no image"),
        ({"output_2": True}, r"OUTPUT_2 is asked for, and it makes 1 image"),
        (
            {"text": steps(*({**SLOPE, "name": f"s{n}"} for n in range(5)),
                           outputs=[f"s{n}" for n in range(5)])},
            "makes 5 images, and there is room for 4",
        ),
    ],
)  # fmt: skip
def test_the_algorithm_refuses_what_it_cannot_give(parameters: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        algorithm(**parameters)


def test_the_algorithm_takes_as_many_images_as_its_pipeline() -> None:
    one = picture("float32", 20, 30)
    text = refusal(algorithm(), one, one)
    assert text == ("Pipeline: it takes 1 image (dem), and gets 2. Give as many, in this order.")
    zones = {"INPUT": "dem", "POLYGONS": "zones"}
    several = steps(
        {"name": "a", "algorithm": "slope", "inputs": "dem"},
        {"algorithm": "zonalstatistics", "name": "z", "inputs": zones},
        inputs=["dem", "zones"], outputs=["a"],
    )  # fmt: skip
    assert "'zones' is a layer of polygons" in refusal(algorithm(several), one, one)


def test_the_algorithm_tells_its_steps(context: EOContextManager) -> None:
    [key] = keys_of(context, [picture("float32", 40, 50)])
    made: Result = context.run(algorithm(), key)
    assert made.summary is not None
    assert made.summary.tables[-1].rows == (("a", "Slope", "dem"),)
    assert made.images[1:] == (None, None, None)
    profile: Profile = context.profile(str(made.images[0]))
    assert (profile.count, profile.dtype) == (2, "float32")


def test_a_step_that_makes_more_with_a_parameter(context: EOContextManager) -> None:
    [key] = keys_of(context, [picture("float32", 40, 50)])
    pipeline = Pipeline(
        PrincipalComponents(reconstruction=True),
        Step("smooth", Gaussian(), "principalcomponents.2"),
        outputs=["principalcomponents", "smooth"],
    )
    made = context.run(pipeline, key)
    whole = context.run(PrincipalComponents(reconstruction=True), key)
    [smooth] = context.filter(Gaussian(), str(whole.images[1]))
    for one, two in zip(made.images, (whole.images[0], smooth)):
        same(picture_of(context, str(one)), picture_of(context, str(two)))


# ---------------------------------------------------------------- memory, extents, bands


def test_the_plan_has_the_memory_of_each_pass(tmp_path: Path) -> None:
    """Also of a later one, of images that are not there yet."""
    with EOContextManager(inline=True) as context:
        [key] = keys_of(context, [picture("float32", 700, 800)])
        context.write(key, str(tmp_path / "a.tif"))
        file = context.describe(str(tmp_path / "a.tif"))
        one, two, three = (step.declaration for step in relief().steps)
        filled = context.filtered(one, file)  # type: ignore[arg-type]
        mean = context.filtered(two, filled)  # type: ignore[arg-type]
        wanted = context.plan(three, mean).task_bytes
        pipeline = relief()
        assert context.plan(pipeline, file).task_bytes == wanted > 0
        [stretched] = context.run(Stretch(), file).images
        later = context.plan(pipeline, str(stretched)).task_bytes
        both = Pipeline(Stretch(), one, two, three)
        assert context.plan(both, file).task_bytes >= later
        json_form = RunPipeline(to_json(pipeline))
        assert context.plan(json_form, file).task_bytes == wanted


def test_a_pass_that_does_not_fit_is_refused_before_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with EOContextManager(inline=True) as context:
        [key] = keys_of(context, [picture("float32", 300, 300)])
        pipeline = Pipeline(Stretch(), FocalStatistics(radius=30), Gaussian())
        small = Budget(images=10**9, machine=300_000, disk=10**9)
        monkeypatch.setattr(context._runs.store, "budget", lambda: small)
        with pytest.raises(MemoryBudgetError, match="a tile takes"):
            context.run(pipeline, key)
        assert not context.timings
        assert list(context.images) == [key]


def test_with_little_memory_the_bits_are_the_same() -> None:
    found = []
    for limit in (0, 100_000):
        with EOContextManager(nb_workers=2, memory_limit=limit) as context:
            [key] = keys_of(context, [picture("float32", 300, 410, holes=0.05)])
            [made] = context.run(relief(), key).images
            found.append(picture_of(context, str(made)))
    same(*found)


def test_an_extent_behind_a_step_that_looks_at_the_whole_image(context: EOContextManager) -> None:
    """Filters before it see real pixels around the extent; it and what follows the extent alone."""
    [key] = keys_of(context, [picture("float32", 60, 70, holes=0.02)])
    part = Window(11, 13, 30, 40)
    [smooth] = context.filter(Gaussian(), key)
    inside = context.crop(smooth, part)
    [stretched] = context.run(Stretch(), inside).images
    [wanted] = context.filter(FocalStatistics(radius=2), str(stretched))
    steps = [Gaussian(), Stretch(), FocalStatistics(radius=2)]
    for kept in (["focalstatistics"], ["focalstatistics", "gaussian"]):
        made = context.run(Pipeline(*steps, outputs=kept), key, extent=part).images
        same(picture_of(context, str(made[0])), picture_of(context, wanted))
    same(picture_of(context, str(made[1])), picture_of(context, inside))


def test_an_alpha_band_that_a_step_names_is_a_band_of_that_input() -> None:
    ndvi = {"algorithm": "spectralindex", "parameters": {"red": 3, "nir": 4}, "inputs": "b"}
    mask = {"name": "m", "algorithm": "stack", "inputs": ["a", "spectralindex"]}
    pipeline = from_json(steps(ndvi, mask, inputs=["a", "b"]))
    assert 4 in pipeline.named_bands("b")
    assert pipeline.named_bands("a") == ()
    assert 4 in RunPipeline(to_json(pipeline)).named_bands("INPUTS")
