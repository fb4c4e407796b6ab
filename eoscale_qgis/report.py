"""Reports of a reduction's values: an HTML page, and JSON.

Needs neither QGIS nor a network. Jinja2 writes the page and Plotly draws its plots; both are
optional, and what is missing is said with the way to install it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import Any, Optional
from urllib.parse import quote

from eoscale_engine.errors import OutputError
from eoscale_engine.reductions.summary import jsonable
from eoscale_qgis.files import PathLike, written_beside
from eoscale_qgis.plots import figure

SHOWN_ROWS = 1000
"""Rows of a table on the page; the table layer and the JSON file hold all."""

JINJA2_MISSING = (
    "The HTML report needs the Python library Jinja2, which is not installed. On Debian and "
    "Ubuntu: sudo apt install python3-jinja2. Elsewhere, in QGIS's own Python: python3 -m pip "
    "install Jinja2. All values are in the table layer and in the JSON file too."
)
PLOTLY_MISSING = (
    "The plots need the Python library Plotly, which is not installed. On Debian and Ubuntu: "
    "sudo apt install python3-plotly. Elsewhere, in QGIS's own Python: python3 -m pip install "
    "plotly."
)


def html_available() -> bool:
    """Whether a page can be written; if not, :data:`JINJA2_MISSING` says what to do."""
    return find_spec("jinja2") is not None


def write_json(summary: Mapping[str, Any], path: PathLike) -> None:
    """Write a summary as strict JSON: NaN as null, infinities as "Infinity" and "-Infinity".

    Parameters
    ----------
    summary : mapping
        A ``Summary`` as a dictionary.
    path : path
        The file, which is replaced if it is there.

    Raises
    ------
    OutputError
        Where the file cannot be written.
    """
    encoder = json.JSONEncoder(indent=2, ensure_ascii=False, allow_nan=False)
    pieces = chain(encoder.iterencode(jsonable(summary)), "\n")
    with written_beside(path) as made, made.open("w", encoding="utf-8") as file:
        # all of a long table in one piece would halt the other threads, and so QGIS's window
        for several in iter(lambda: list(islice(pieces, 10_000)), []):
            file.write("".join(several))


def write_report(
    summary: Mapping[str, Any],
    path: PathLike,
    context: Mapping[str, Any],
    scripts: Optional[PathLike] = None,
) -> None:
    """Write a summary as an HTML page that loads nothing from a network.

    Parameters
    ----------
    summary : mapping
        A ``Summary`` as a dictionary.
    path : path
        The file, which is replaced if it is there.
    context : mapping
        What the values were computed from. Every key is optional: ``images``, a list of mappings
        with the texts ``role``, ``name``, ``bands`` (numbers, or ``all``) and ``details`` (size,
        dtype, CRS); ``extent``, as text; ``parameters``, label to value; ``help``, the
        declaration's docstring with its formulas;
        ``seconds``, the time it took; ``finished``, when (now, if not given); ``version``.
    scripts : path, optional
        The folder of Plotly's script, which all reports there share; the page's own by default.

    Raises
    ------
    OutputError
        Where Jinja2 is missing, or the file cannot be written.

    Notes
    -----
    Plotly's script, several megabytes, is a file beside the page, since QGIS shows it from a local
    file and perhaps without a network; whoever passes the page on passes on both. Without Plotly,
    or without scripts, the tables stand alone.
    """
    if not html_available():
        raise OutputError(JINJA2_MISSING)
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(str(Path(__file__).with_name("templates"))),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    content, parameters = jsonable(summary), jsonable(context.get("parameters", {}))
    folder = Path(path).absolute().parent
    script = _plotly_script(Path(scripts or folder).absolute()) if content["charts"] else None
    page = environment.get_template("report.html.j2").render(
        title=content["title"],
        facts=_facts(content, context),
        images=[dict(image) for image in context.get("images", ())],
        parameters=[(label, _chosen(value)) for label, value in parameters.items()],
        tables=[_table(table) for table in sorted(content["tables"], key=_length)],
        charts=[chart["title"] for chart in content["charts"]],
        plots=[figure(chart) for chart in content["charts"]],
        script="" if script is None else quote(Path(os.path.relpath(script, folder)).as_posix()),
        script_name="" if script is None else script.name,
        plotly_missing=PLOTLY_MISSING,
        notes=content["notes"],
        help=_paragraphs(str(context.get("help") or "")),
        version=context.get("version", ""),
    )
    with written_beside(path) as made:
        made.write_text(page, encoding="utf-8")


def _plotly_script(folder: Path) -> Optional[Path]:
    """Plotly's script in a folder, written there once; None without Plotly."""
    try:
        from plotly.offline import get_plotlyjs, get_plotlyjs_version

        text = str(get_plotlyjs()).encode()
        path = folder / f"plotly-{get_plotlyjs_version()}.min.js"
    except (ImportError, OSError):
        return None
    if not path.is_file() or path.stat().st_size != len(text):
        with written_beside(path) as made:
            made.write_bytes(text)
    return path


def _facts(content: Mapping[str, Any], context: Mapping[str, Any]) -> list[tuple[str, str]]:
    facts = []
    if context.get("extent"):
        facts.append(("Extent", str(context["extent"])))
    share = _valid_share(content)
    if share is not None:
        facts.append(("Valid pixels", share))
    if context.get("seconds") is not None:
        facts.append(("Time", f"{float(context['seconds']):.2f} s"))
    finished = context.get("finished") or f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S %z}"
    facts.append(("Finished", str(finished)))
    return facts


def _valid_share(content: Mapping[str, Any]) -> Optional[str]:
    """Share of valid pixels over all bands, where a table or the output numbers count them."""
    numbers = {name.lower(): [value] for name, value in content["numbers"].items()}
    counted = [
        dict(zip(table["columns"], zip(*table["rows"])))
        for table in content["tables"]
        if "valid" in table["columns"]
    ]
    for columns in (*counted, numbers):
        if "valid" in columns and "invalid" in columns:
            valid, invalid = (
                sum(count or 0 for count in columns[name]) for name in ("valid", "invalid")
            )
            if valid + invalid:
                # Rounded down, so that 100 % means every single pixel.
                percent = 10000 * valid // (valid + invalid) / 100
                return f"{percent:g} % ({_shown(valid)} of {_shown(valid + invalid)})"
    return None


def _length(table: Mapping[str, Any]) -> int:
    """Rows of a table: short ones come first, so that they are not missed below long ones."""
    return len(table["rows"])


def _table(table: Mapping[str, Any]) -> dict[str, Any]:
    rows = table["rows"][:SHOWN_ROWS]
    # An empty column of text (no band has a name or a unit) only takes room.
    kept = [
        place
        for place in range(len(table["columns"]))
        if not rows or any(row[place] != "" for row in rows)
    ]
    columns = [
        {
            "title": table["columns"][place].replace("_", " "),
            "numeric": all(_is_number(row[place]) for row in rows),
        }
        for place in kept
    ]
    return {
        "name": table["name"],
        "columns": columns,
        "rows": [[_shown(row[place]) for place in kept] for row in rows],
        "total": len(table["rows"]),
    }


def _is_number(value: Any) -> bool:
    return not isinstance(value, str) or value in ("Infinity", "-Infinity")


def _chosen(value: Any) -> str:
    """A parameter's value as text: lists without brackets, rows of numbers apart."""
    if value is None or value in ("", []):
        return "not set"
    if not isinstance(value, list):
        return _shown(value)
    rows = value if isinstance(value[0], list) else [value]
    return "; ".join(", ".join(map(_shown, row)) for row in rows)


def _shown(value: Any) -> str:
    """A value as text: ten digits, thousands of integers apart, "none" for no value."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}".replace(",", "\u202f") if abs(value) >= 10000 else str(value)
    if isinstance(value, float):
        return f"{value:.10g}"
    return {"Infinity": "∞", "-Infinity": "-∞"}.get(str(value), str(value))


def _paragraphs(text: str) -> list[list[tuple[str, bool]]]:
    """Paragraphs of a docstring, each cut into pieces ``(text, whether it is a formula)``."""
    return [
        [(piece, bool(number % 2)) for number, piece in enumerate(paragraph.split("``"))]
        for paragraph in (" ".join(lines.split()) for lines in text.split("\n\n"))
        if paragraph
    ]
