"""Writes ``docs/algorithms.md``, the reference of all algorithms, from their declarations.

    python scripts/reference.py [--check]

``--check`` writes nothing and fails where the page is out of date.
"""

from __future__ import annotations

import argparse
import inspect
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from eoscale_engine.catalogue import declarations
from eoscale_engine.declaration import Declaration, Input, Parameter

PAGE = ROOT / "docs" / "algorithms.md"
HIDDEN = ("copy",)
"""What `loadintomemory` and `saveimage` run; they are described by hand below."""

HEAD = """# Algorithms

Made from the declarations by `python scripts/reference.py`; do not edit.

Every algorithm that takes images also takes `EXTENT` (only that part is computed, with the same
pixels as the crop of the whole result) and `CELL_SIZE` (for layers without pixels of their own);
those of one image take `BANDS`, those of several `ALIGN` (how others are brought onto the first
image's grid, if at all). Images that go to a file take `FORMAT` (GeoTIFF or COG) and `COMPRESS`.
Values go to a table (`OUTPUT`), JSON (`OUTPUT_JSON`), a report (`OUTPUT_HTML`) and output numbers.
"""

TAIL = """
## Load into memory
<a id="loadintomemory"></a>

`eoscale:loadintomemory`: an image (`INPUT`, `BANDS`, `EXTENT`) in shared memory, decoded by all
workers, as a temporary layer (`OUTPUT`). Filters that follow start without reading the file again.

## Save image
<a id="saveimage"></a>

`eoscale:saveimage`: an image (`INPUT`, `BANDS`, `EXTENT`) as a tiled, compressed GeoTIFF or COG
(`OUTPUT`, `FORMAT`, `COMPRESS`), written with every core.
"""


def page() -> str:
    """The whole page."""
    shown = [kind for name, kind in declarations().items() if name not in HIDDEN]
    return HEAD + "".join(map(_section, shown)) + TAIL


def _section(kind: type[Declaration]) -> str:
    outputs = getattr(kind, "outputs", ())
    # a field of an output's name is a switch: set by whether the output is asked for
    switches = {output.name for output in outputs}
    fields = [item for item in kind.parameters() if item.name.upper() not in switches]
    rows = [*map(_input, kind.inputs), *map(_parameter, fields)]
    rows += [f"| `{output.name}` |  | {output.label}: an image. |" for output in outputs]
    lines = [
        "",
        f"## {kind.label}",
        f'<a id="{kind.name}"></a>',
        "",
        f"`eoscale:{kind.name}`, group {kind.group}.",
        "",
        inspect.cleandoc(kind.__doc__ or ""),
        "",
        "| parameter | default | what it is |",
        "|---|---|---|",
        *rows,
    ]
    numbers = getattr(kind, "numbers", ())
    if numbers:
        lines += ["", "Output numbers: " + ", ".join(f"`{n}` ({t})" for n, t in numbers) + "."]
    return "\n".join(lines) + "\n"


def _input(item: Input) -> str:
    default = "none" if item.optional else ""
    return f"| `{item.role}` | {default} | {item.label}. {item.help} |"


def _parameter(item: Parameter) -> str:
    default = "" if item.default in (None, "") else f"`{item.default}`"
    label = item.label + (f" [{item.unit}]" if item.unit else "")
    choices = f" One of: {', '.join(item.choices)}." if item.choices else ""
    help_ = item.help.rstrip(".") + "."
    return f"| `{item.name.upper()}` | {default} | {label}: {help_}{choices} |".replace("\n", " ")


def main() -> int:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description="The reference page of all algorithms.")
    parser.add_argument("--check", action="store_true")
    if parser.parse_args().check:
        if PAGE.read_text(encoding="utf-8") != page():
            print("docs/algorithms.md is out of date: run `python scripts/reference.py`.")
            return 1
        return 0
    PAGE.write_text(page(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
