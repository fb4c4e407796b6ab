"""Writes the reference of all algorithms from their declarations.

    python scripts/reference.py [--check]

It is ``docs/algorithms.md``, and the same as the plugin's own help, ``algorithms.html``, which
needs no network; and ``docs/spectral-indices.md``, the formulas of all indices.
``--check`` writes nothing and fails where one of them is out of date.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from eoscale_engine.catalogue import declarations
from eoscale_engine.declaration import Declaration, Input, Parameter
from eoscale_engine.filters.spectral.sensors import sensor_table
from eoscale_engine.filters.spectral.spectral_formulas import reference_table
from eoscale_engine.parameter_kinds import Choice

PAGE = ROOT / "docs" / "algorithms.md"
INDICES = ROOT / "docs" / "spectral-indices.md"
HELP = ROOT / "eoscale_qgis" / "help" / "algorithms.html"
HIDDEN = ("copy",)
"""What `loadintomemory` and `saveimage` run; they are described by hand below."""

HEAD = """# Algorithms

<!-- Made from the declarations by `python scripts/reference.py`; do not edit. -->

Every algorithm that takes images also takes `EXTENT` (only that part is computed, with the same
pixels as the crop of the whole result) and `CELL_SIZE` (for layers without pixels of their own);
those of one image take `BANDS`, those of several `ALIGN` (how others are brought onto the first
image's grid, if at all; an extent then counts as a whole, also where it reaches beyond the first
image, with invalid pixels where an image has none). The Python algorithms take `BANDS` as a text
such as `3,2,1`: these bands of every image, and all of them if it is empty. Images that go to a
file take `FORMAT` (GeoTIFF or COG) and `COMPRESS`. Values go to a table (`OUTPUT`, or
`OUTPUT_TABLE` where images come out too), JSON (`OUTPUT_JSON`), a report (`OUTPUT_HTML`) and
output numbers.
"""

TAIL = """
## Load into memory
<a id="loadintomemory"></a>

`eoscale:loadintomemory`: an image (`INPUT`, `BANDS`, `EXTENT`) in shared memory, decoded by all
workers, as a temporary layer (`OUTPUT`). Filters that follow start without reading the file again.
All that the file says of its pixels comes along, overviews apart.

## Save image
<a id="saveimage"></a>

`eoscale:saveimage`: an image (`INPUT`, `BANDS`, `EXTENT`) as a tiled, compressed GeoTIFF or COG
(`OUTPUT`, `FORMAT`, `COMPRESS`), written with every core. What a TIFF does not hold of all that the
image says of its pixels (class names, attribute tables, some colour tables) lies beside it in
`.aux.xml`; a warning names what is left out.

## Free memory
<a id="freememory"></a>

`eoscale:freememory`: gives back images kept for the next run, and (`RESULTS`) results in memory
that no layer of the project shows and no run reads: a path to one that a script has, or a project
file that shows one, finds nothing then. Output numbers: `FREED`, `LEFT` (megabytes).
"""


INDICES_HEAD = """# Spectral indices

<!-- Made from the formulas by `python scripts/reference.py`; do not edit. -->

What [Spectral index](algorithms.md#spectralindex) computes. Names in formulas are the roles of
bands; `after_` is the image of the second date. Reflectance is *needed* where a formula has
constants; *its unit* says that the result has a unit which follows the bands', as in a difference.
All others are ratios, the same in any unit, but not with another offset.

"""

SENSORS_HEAD = """
## Bands of sensors

The numbers that the presets give to the roles.

"""


def indices_page() -> str:
    """The formulas of all indices and the presets of sensors."""
    return (
        INDICES_HEAD
        + reference_table().strip()
        + "\n"
        + SENSORS_HEAD
        + sensor_table().strip()
        + "\n"
    )


def page() -> str:
    """The whole page."""
    shown = [kind for name, kind in declarations().items() if name not in HIDDEN]
    return HEAD + "".join(map(_section, shown)) + TAIL


def _section(kind: type[Declaration]) -> str:
    # a field of an output's name is a switch: set by whether the output is asked for
    switches = {output.name for output in kind.outputs}
    fields = [item for item in kind.parameters() if item.name.upper() not in switches]
    rows = [*map(_input, kind.inputs), *map(_parameter, fields)]
    rows += [f"| `{output.name}` |  | {output.label}: an image. |" for output in kind.outputs]
    lines = [
        "",
        f"## {kind.label}",
        f'<a id="{kind.name}"></a>',
        "",
        f"`eoscale:{kind.name}`, group {kind.group}.",
        "",
        *_picture(kind),
        inspect.cleandoc(kind.__doc__ or ""),
        "",
        "| parameter | default | what it is |",
        "|---|---|---|",
        *rows,
    ]
    if kind.numbers:
        numbers = ", ".join(f"`{name}` ({label})" for name, label in kind.numbers)
        lines += ["", f"Output numbers: {numbers}."]
    return "\n".join(lines) + "\n"


def _picture(kind: type[Declaration]) -> list[str]:
    """What it makes, as `scripts/pictures.py` drew it."""
    picture = PAGE.parent / "images" / "algorithms" / f"{kind.name}.jpg"
    shown = picture.relative_to(PAGE.parent).as_posix()
    return [f"![{kind.label}]({shown})", ""] if picture.exists() else []


def _input(item: Input) -> str:
    default = "none" if item.optional else ""
    return f"| `{item.role}` | {default} | {item.label}. {item.help} |"


def _parameter(item: Parameter) -> str:
    default = item.kind.as_text(item.default)
    default = f"`{default}`" if default else ""
    label = item.label + (f" [{item.unit}]" if item.unit else "")
    one_of = item.kind.choices if isinstance(item.kind, Choice) else ()
    choices = f" One of: {', '.join(one_of)}." if one_of else ""
    help_ = item.full_help.rstrip(".") + "."
    return f"| `{item.name.upper()}` | {default} | {label}: {help_}{choices} |".replace("\n", " ")


STYLE = """
body { margin: 0 auto; padding: 24px; max-width: 900px; color: #1d2228; background: #ffffff;
  font: 15px/1.55 "Segoe UI", "Noto Sans", "DejaVu Sans", Helvetica, Arial, sans-serif; }
h1 { margin: 0 0 12px; font-size: 26px; }
h2 { margin: 40px 0 8px; padding-top: 16px; border-top: 1px solid #dfe3e8; font-size: 19px; }
nav a { margin-right: 14px; white-space: nowrap; }
a { color: #0067a5; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: 5px 12px 5px 0; border-bottom: 1px solid #dfe3e8; text-align: left;
  vertical-align: top; }
code { padding: 1px 4px; background: #f1f3f5; font-family: "DejaVu Sans Mono", Consolas, monospace;
  font-size: 13px; }
"""


def help_page(text: str) -> str:
    """The page as HTML that loads nothing else, from its headings, lists, tables and paragraphs."""
    blocks = re.split(r"\n{2,}", re.sub(r"\n(<a id=)", r"\n\n\1", text.strip()))
    names = iter(re.findall(r'<a id="(\w+)">', text))
    parts, links = [], []
    for block in blocks:
        lines = block.split("\n")
        if block.startswith("## "):
            name, title = next(names), _inline(block[3:])
            links.append(f'<a href="#{name}">{title}</a>')
            parts.append(f'<h2 id="{name}">{title}</h2>')
        elif block.startswith("# "):
            parts.append(f"<h1>EOScale: {_inline(block[2:]).lower()}</h1>\n<nav>LINKS</nav>")
        elif block.startswith("|"):
            parts.append(_html_table(lines))
        elif block.startswith("<!--"):
            parts.append(block)
        elif block.startswith("- "):
            items = re.split(r"\n(?=- )", block)
            listed = "".join(f"<li>{_inline(item[2:])}</li>\n" for item in items)
            parts.append(f"<ul>\n{listed}</ul>")
        elif not block.startswith(("<a id=", "![")):
            parts.append(f"<p>{_inline(block)}</p>")
    body = "\n".join(parts).replace("LINKS", "\n".join(links), 1)
    head = f'<meta charset="utf-8">\n<title>EOScale: algorithms</title>\n<style>{STYLE}</style>'
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n'
        f"<body>\n{body}\n</body>\n</html>\n"
    )


def _inline(text: str) -> str:
    code = re.sub(r":\w+:`~?(?:[\w.]*\.)?(\w+)`", r"`\1`", text)
    return re.sub(r"(``|`)(.+?)\1", r"<code>\2</code>", escape(code, quote=False), flags=re.DOTALL)


def _html_table(lines: list[str]) -> str:
    rows = []
    for number, line in enumerate(lines):
        if number == 1:  # the line of dashes
            continue
        tag = "td" if number else "th"
        cells = (f"<{tag}>{_inline(cell.strip())}</{tag}>" for cell in line.split("|")[1:-1])
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return "<table>\n" + "\n".join(rows) + "\n</table>"


def main() -> int:
    """Write or check the pages."""
    parser = argparse.ArgumentParser(description="The reference of all algorithms.")
    parser.add_argument("--check", action="store_true")
    check, text = parser.parse_args().check, page()
    pages = ((PAGE, text), (HELP, help_page(text)), (INDICES, indices_page()))
    for path, content in pages:
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(content, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != content:
            print(f"{path.relative_to(ROOT)} is out of date: run `python scripts/reference.py`.")
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
