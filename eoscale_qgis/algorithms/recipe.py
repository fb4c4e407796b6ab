"""What an algorithm is made of: taken from a declaration, or written here for the plain copies."""

from __future__ import annotations

import inspect
import re
from dataclasses import dataclass
from typing import Any, Optional

from eoscale_engine.declaration import (
    Declaration,
    Input,
    Output,
    Parameter,
    Procedure,
    image,
)
from eoscale_engine.errors import InputError
from eoscale_engine.styles import Style


@dataclass(frozen=True)
class Recipe:
    """All that an algorithm shows and passes to the engine.

    Attributes
    ----------
    name : str
        The algorithm's name, which models and scripts store.
    job : str
        What the engine runs: a declaration's name, or ``copy``.
    target : {"any", "memory", "file"}
        Where results may go: ``memory`` refuses a file, ``file`` writes one even if temporary.
    summary : bool
        Whether there are values: a table, JSON, a report and numbers, in place of images or too.
    switches : tuple of str
        Fields of the declaration named as its optional outputs, which say whether those are made.
        No parameters here: the destination says it.
    """

    name: str
    job: str
    label: str
    group: str
    help: str
    tags: tuple[str, ...] = ()
    icon: str = ""
    inputs: tuple[Input, ...] = ()
    outputs: tuple[Output, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    numbers: tuple[tuple[str, str], ...] = ()
    target: str = "any"
    summary: bool = False
    switches: tuple[str, ...] = ()
    declaration: Optional[type[Declaration]] = None

    @property
    def group_id(self) -> str:
        """The group's name in lowercase ASCII; also the name of its icon."""
        return re.sub(r"[^a-z0-9]", "", self.group.lower())

    @property
    def table(self) -> str:
        """The name of the output table."""
        return "OUTPUT_TABLE" if self.outputs else "OUTPUT"

    @property
    def images(self) -> tuple[Input, ...]:
        """The inputs that are images."""
        return tuple(item for item in self.inputs if not item.polygons)

    @property
    def vectors(self) -> tuple[Input, ...]:
        """The inputs that are layers of polygons."""
        return tuple(item for item in self.inputs if item.polygons)

    @property
    def table_geometry(self) -> str:
        """What the rows of the table are on a map (see :class:`Declaration`)."""
        return "" if self.declaration is None else self.declaration.table_geometry

    @property
    def values_first(self) -> bool:
        """Whether it is run for its values, and makes images only where they are asked for."""
        return self.summary and all(output.optional for output in self.outputs)

    @property
    def takes_several(self) -> bool:
        """Whether more than one image may come in, which then must share a grid."""
        return len(self.images) > 1 or any(item.many for item in self.images)

    @property
    def runs_user_code(self) -> bool:
        """Whether the user's own Python runs in it, which is refused inside QGIS's process."""
        return self.declaration is not None and self.declaration.runs_user_code


def recipe_of(declaration: type[Declaration]) -> Recipe:
    """The recipe of a declaration of the engine."""
    places = {output.name for output in declaration.outputs}
    parameters = declaration.parameters()
    return Recipe(
        name=declaration.name,
        job=declaration.name,
        label=declaration.label,
        group=declaration.group,
        help=declaration.__doc__ or "",
        tags=declaration.tags,
        icon=declaration.icon,
        inputs=declaration.inputs,
        outputs=declaration.outputs,
        parameters=tuple(item for item in parameters if item.name.upper() not in places),
        switches=tuple(item.name for item in parameters if item.name.upper() in places),
        numbers=declaration.numbers,
        summary=declaration.reports or not declaration.outputs,
        declaration=declaration,
    )


LOAD_INTO_MEMORY = Recipe(
    name="loadintomemory",
    job="copy",
    label="Load into memory",
    group="Images",
    help="""Load an image into shared memory, on every core.

    The result is a temporary layer on the image in memory: filters and statistics that follow
    start without reading the file again. Bands and an extent choose a part of it. The memory is
    given back when the layer is removed.

    What the file says of its pixels comes along: nodata or mask, band names, scale and unit, colour
    tables, class names and attribute tables, CRS with its epoch, control points and rational
    polynomial coefficients, and metadata of all domains. Overviews do not.
    """,
    tags=("load", "memory", "cache", "read", "shared", "copy", "crop", "clip", "subset", "bands"),
    inputs=(image(),),
    outputs=(Output("OUTPUT", "Image in memory"),),
    target="memory",
)

SAVE_IMAGE = Recipe(
    name="saveimage",
    job="copy",
    label="Save image",
    group="Images",
    help="""Write an image as a tiled, compressed GeoTIFF or Cloud Optimized GeoTIFF, on every core.

    Use it to keep a layer that is in memory. Bands and an extent choose a part of it.

    What the image says of its pixels is written too: data type, nodata or mask, band names, scale
    and unit, colour tables, class names and attribute tables, CRS with its epoch, control points
    and rational polynomial coefficients, and metadata of all domains. What a TIFF does not hold
    itself (class names, attribute tables, colour tables of several bands or of other types than 8
    and 16 bits without sign) lies beside it in a file that ends in .aux.xml: copy both. A warning
    names what is left out, as colour tables of all bands but the first are. Counts of pixels in an
    attribute table are kept with the whole image only. A Cloud Optimized GeoTIFF gets overviews of
    its own.
    """,
    tags=(
        "save",
        "write",
        "export",
        "geotiff",
        "cog",
        "copy",
        "crop",
        "clip",
        "subset",
        "bands",
        "compress",
    ),
    inputs=(image(),),
    outputs=(Output("OUTPUT", "Saved image"),),
    target="file",
)


def plain_text(docstring: str) -> list[str]:
    """A docstring's paragraphs as plain text, one line each; a list has one for each item."""
    paragraphs = []
    for block in inspect.cleandoc(docstring).split("\n\n"):
        text = re.sub(r":\w+:`~?([^`]*)`", lambda match: str(match[1]).rpartition(".")[2], block)
        text = text.replace("`", "").replace("::", ":")
        if text.startswith("- "):  # what is indented goes on with its item
            text = re.sub(r"\n +(?!- )", " ", text)
        lines = [line for line in text.split("\n") if not re.fullmatch(r"\s*[-=]{3,}\s*", line)]
        is_list = any(re.match(r"\s*([-*]\s|\s{2})", line) for line in lines)
        paragraphs.append(("\n" if is_list else " ").join(line.strip() for line in lines))
    return [paragraph for paragraph in paragraphs if paragraph]


def check_parameters(recipe: Recipe, values: dict[str, object]) -> None:
    """Refuse values that do not fit, or do not fit together, as the declaration does."""
    if recipe.declaration is None:
        return
    try:
        recipe.declaration(**values)
    except TypeError as error:
        raise InputError(f"{recipe.label}: {error}") from None


def styles_of(recipe: Recipe, values: dict[str, Any]) -> dict[str, Style]:
    """How each output is drawn at first, where the declaration says so."""
    if recipe.declaration is None or not recipe.outputs:
        return {}
    styles = recipe.declaration(**values).styles()
    return {output.name: style for output, style in zip(recipe.outputs, styles) if style}


def title_of(recipe: Recipe, values: dict[str, Any]) -> str:
    """What results are called, before the image's name."""
    return recipe.label if recipe.declaration is None else recipe.declaration(**values).title


def reach_of(recipe: Recipe, values: dict[str, Any]) -> Optional[int]:
    """Pixels beyond an extent that a run looks at: the margin; None where that cannot be told."""
    if recipe.declaration is None:
        return 0
    if issubclass(recipe.declaration, Procedure):
        return None
    return recipe.declaration(**values).margin
