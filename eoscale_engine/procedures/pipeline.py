"""A pipeline of the catalogue's algorithms, given as JSON, as one algorithm."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Optional

from eoscale_engine.declaration import (
    Declaration,
    Engine,
    Input,
    Output,
    Procedure,
    Result,
    Roles,
    Summary,
    Table,
    images,
    parameter,
)
from eoscale_engine.errors import InputError
from eoscale_engine.images.source import Inputs, sources_of
from eoscale_engine.pipelines import Pipeline, from_json, read_pipeline
from eoscale_engine.profile import Profile
from eoscale_engine.styles import Style
from eoscale_engine.words import counted

SWITCH = "Whether there is one: QGIS says it by a place for it"


@dataclass(frozen=True)
class RunPipeline(Procedure):
    """Run several algorithms one after the other as one, without images in between.

    Filters that follow each other are computed in one pass, tile by tile. An image is stored only
    where several steps take it, where a step has to look at the whole image first (a stretch by
    percentiles, k-means, labels), and where windows add up to more than 32 pixels; the plan in the
    log lists the passes. The result is that of the algorithms one by one, to the bit.

    The steps are JSON, as a text or in a file:

        {"version": 1, "inputs": ["dem"], "outputs": ["relief"], "steps": [
          {"name": "filled", "algorithm": "fillnodata", "inputs": "dem",
           "parameters": {"max_distance": 20}},
          {"name": "relief", "algorithm": "slope", "inputs": "filled"}]}

    The inputs are names for the images that are given, in their order. A step has the name of an
    algorithm of EOScale, its parameters as in the reference (those left out have their defaults),
    and the inputs or earlier steps that it takes: a name, a list of names, or an object of them by
    role such as `{"INPUT": "dem", "MASK": "clouds"}`. `"bands.2"` is the second image of the step
    `bands`. What is left out follows: a step takes the image of the one before, the first one the
    inputs, and the images of the last step are the result. The shortest form is a list of steps:
    `[{"algorithm": "gaussian"}, {"algorithm": "slope"}]`.

    Values that steps find (statistics, bounds of a stretch) are in the table and the report.

    With an extent, filters look at the real pixels around it, also through several steps; a step
    that looks at the whole image sees the extent alone. Steps cannot run your own Python files.
    """

    name: ClassVar[str] = "pipeline"
    label: ClassVar[str] = "Pipeline"
    group: ClassVar[str] = "Images"
    tags: ClassVar[tuple[str, ...]] = (
        "chain", "workflow", "graph", "sequence", "steps", "one pass", "batch", "json", "model",
        "recipe",
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = (
        images("INPUTS", label="Images", help="In the order of the pipeline's inputs"),
    )
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("OUTPUT", "Result"),
        Output("OUTPUT_2", "Second result", optional=True, at_first=False),
        Output("OUTPUT_3", "Third result", optional=True, at_first=False),
        Output("OUTPUT_4", "Fourth result", optional=True, at_first=False),
    )
    reports: ClassVar[bool] = True
    dtype_kinds: ClassVar[str] = "iufc"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {
            "steps": '{"version": 1, "inputs": ["a", "b"], "outputs": ["counted", "stretched"],'
            ' "steps": [{"name": "both", "algorithm": "stack", "inputs": ["a", "b"]},'
            ' {"name": "counted", "algorithm": "validitymask"},'
            ' {"name": "smooth", "algorithm": "gaussian", "inputs": "counted"},'
            ' {"name": "stretched", "algorithm": "stretch"}]}'
        },
    )

    steps: str = parameter(
        "", kind="steps", help="JSON of the steps; leave empty where a file holds it"
    )
    file: Optional[str] = parameter(
        None, kind="file", suffix="json", label="File of steps", help="The same JSON in a file"
    )
    output_2: bool = parameter(False, label="Second result", help=SWITCH)
    output_3: bool = parameter(False, label="Third result", help=SWITCH)
    output_4: bool = parameter(False, label="Fourth result", help=SWITCH)

    def validate(self) -> None:
        """Refuse what is no pipeline, or makes fewer or more images than are asked for."""
        if bool(self.steps.strip()) == bool(self.file):
            raise InputError(
                f"{self.label}: give the steps as JSON (STEPS), or a file that holds them (FILE)"
                + (", but not both." if self.file else ".")
            )
        kept = self.pipeline.kept
        if not kept:
            raise InputError(
                f"{self.label}: it makes no image. Name a step that makes one under 'outputs'."
            )
        if len(kept) > len(self.outputs):
            raise InputError(
                f"{self.label}: it makes {len(kept)} images, and there is room for "
                f"{len(self.outputs)}. Leave some out under 'outputs'."
            )
        for number, asked in enumerate((self.output_2, self.output_3, self.output_4), 2):
            if asked and len(kept) < number:
                raise InputError(
                    f"{self.label}: OUTPUT_{number} is asked for, and it makes "
                    f"{counted(len(kept), 'image')}. Name more under 'outputs'."
                )

    @cached_property
    def pipeline(self) -> Pipeline:
        """What the JSON describes; a file is read once, so that what was checked is what runs."""
        return read_pipeline(self.file) if self.file else from_json(self.steps)

    def styles(self) -> Sequence[Optional[Style]]:
        """Those of the steps."""
        return self.pipeline.styles()

    def named_bands(self, role: str) -> tuple[int, ...]:
        """Those of all inputs: which image is which is not known yet."""
        pipeline = self.pipeline
        uses = (pipeline.named_bands(item.role) for item in pipeline.inputs)
        return tuple(sorted({number for numbers in uses for number in numbers}))

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse another number of images than it takes, and what its steps do not take."""
        given, pipeline = inputs["INPUTS"], self.pipeline
        polygons = [item.role for item in pipeline.inputs if item.polygons]
        if polygons:
            raise InputError(
                f"{self.label}: '{polygons[0]}' is a layer of polygons, and only images are taken "
                "here. Run that step on the result, or the pipeline in Python."
            )
        names = [item.role for item in pipeline.inputs]
        if len(names) != len(given):
            raise InputError(
                f"{self.label}: it takes {counted(len(names), 'image')} ({', '.join(names)}), and "
                f"gets {len(given)}. Give as many, in this order."
            )
        pipeline.check({name: [profile] for name, profile in zip(names, given)})

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Those of the pipeline."""
        return self.pipeline.images_made(inputs)

    def runs(self, inputs: Inputs) -> Iterable[tuple[Declaration, Inputs]]:
        """Those of the pipeline."""
        pipeline = self.pipeline
        names = (item.role for item in pipeline.inputs)
        return pipeline.runs(tuple((n, (source,)) for n, source in zip(names, sources_of(inputs))))

    def passes(self, inputs: Sequence[Profile]) -> Sequence[str]:
        """Those of the pipeline."""
        return self.pipeline.passes(inputs)

    def run(self, images: Roles, engine: Engine) -> Result:
        """The images, the values that steps found, and which steps there were."""
        pipeline = self.pipeline
        roles = {item.role: [key] for item, key in zip(pipeline.inputs, images["INPUTS"])}
        made = pipeline.run(roles, engine)
        rows = tuple(
            (step.name, step.declaration.label, ", ".join(step.taken)) for step in pipeline.steps
        )
        found = made.summary or Summary(self.label, ())
        steps = Table("Steps", ("step", "algorithm", "inputs"), rows)
        left_out = (None,) * (len(self.outputs) - len(made.images))
        return Result((*made.images, *left_out), replace(found, tables=(*found.tables, steps)))
