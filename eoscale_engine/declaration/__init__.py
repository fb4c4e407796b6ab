"""What is computed: image filters, reductions and procedures, each declared once.

A declaration is a frozen dataclass. Its fields are its parameters (see :func:`parameter`), its
``inputs`` say which images it takes, and its docstring is its help. Everything else (tiling,
shared memory, workers, nodata, progress, the Processing algorithm, the reference page, the tests
of exactness) is derived from it.
"""

from __future__ import annotations

from eoscale_engine.declaration.base import Declaration
from eoscale_engine.declaration.blocks import Block, Blocks, Pixels
from eoscale_engine.declaration.inputs import Input, Output, Roles, image, images, polygons
from eoscale_engine.declaration.kinds import (
    Engine,
    Found,
    ImageFilter,
    Procedure,
    Reduction,
    Within,
)
from eoscale_engine.declaration.results import Chart, HeatMap, Result, Summary, Table
from eoscale_engine.parameters import Parameter, parameter

__all__ = [
    "Block",
    "Blocks",
    "Chart",
    "Declaration",
    "Engine",
    "Found",
    "HeatMap",
    "ImageFilter",
    "Input",
    "Output",
    "Parameter",
    "Pixels",
    "Procedure",
    "Reduction",
    "Result",
    "Roles",
    "Summary",
    "Table",
    "Within",
    "image",
    "images",
    "parameter",
    "polygons",
]
