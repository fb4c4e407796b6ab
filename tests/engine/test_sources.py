"""The protocols Source and Target are the only place that knows kinds of images."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import eoscale_engine
from eoscale_engine.images.part import Part
from eoscale_engine.memory.images import Image
from eoscale_engine.raster_files.reading import RasterFile
from eoscale_engine.tile_work.filtered import Filtered

KINDS = {kind.__name__ for kind in (Image, RasterFile, Filtered, Part)}


def asked(tree: ast.AST) -> Iterator[str]:
    """Where a program asks which kind an image is of."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("isinstance", "issubclass"):
                yield ast.unparse(node.args[1])
        elif isinstance(node, ast.Compare):
            parts = [ast.unparse(part) for part in (node.left, *node.comparators)]
            if any(part.startswith("type(") for part in parts):
                yield " ".join(parts)
        elif type(node).__name__ == "MatchClass":  # Python 3.10
            yield ast.unparse(node.cls)  # type: ignore[attr-defined]


def test_no_module_asks_which_kind_a_source_is_of() -> None:
    found = [
        (path.name, text)
        for path in Path(eoscale_engine.__file__).parent.rglob("*.py")
        for text in asked(ast.parse(path.read_text(encoding="utf-8")))
        if KINDS & {name.strip("() ") for name in text.replace(",", " ").split()}
    ]
    assert not found
