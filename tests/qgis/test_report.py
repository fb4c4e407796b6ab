"""The HTML and JSON reports of reductions; they need no QGIS."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from eoscale_engine.errors import OutputError
from eoscale_qgis import report

NASTY = '<script>alert("x")</script> & co'
INFINITY = float("inf")


class Page(HTMLParser):
    """What a browser would see: elements, the addresses they load, and the text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.texts: list[str] = []
        self._in_script = False
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[Any]) -> None:
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "data")]
        self._in_script = tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if not self._in_script and data.strip():
            self.texts.append(" ".join(data.split()))


def summary(**changes: Any) -> dict[str, Any]:
    """A summary as the engine sends it, with names that are out to break the page."""
    return {
        "title": f"Title {NASTY}",
        "tables": [
            {
                "name": "Long",
                "columns": ["bin", "count"],
                "rows": [[number, 1] for number in range(report.SHOWN_ROWS + 5)],
            },
            {
                "name": "Bands",
                "columns": ["band", "name", "unit", "valid", "invalid", "minimum", "std_dev"],
                "rows": [
                    [1, NASTY, "", 2**64, 1, -INFINITY, float("nan")],
                    [2, "b", "", 0, 0, 0.1 + 0.2, None],
                ],
            },
        ],
        "numbers": {"MEAN": float("nan")},
        "charts": [
            {
                "title": f"Chart {NASTY}",
                "x_label": NASTY,
                "y_label": "Pixels",
                "series": [[NASTY, [1.0, 2.0], [3.0, float("nan")]]],
                "kind": "bars",
            }
        ],
        "notes": [NASTY],
        **changes,
    }


CONTEXT = {
    "images": [
        {"role": "Input image", "name": NASTY, "bands": "1, 2", "details": "3 x 4 pixels, int16"}
    ],
    "parameters": {"Number of bins": 256, "Cumulative plot": False},
    "help": "First paragraph.\n\n    With ``mean = sum(x) / n``\n    and <b>.",
    "seconds": 1.234,
    "finished": "2024-05-06 07:08:09",
    "version": "9.9",
}


def test_page_states_what_was_computed_from_what(tmp_path: Path) -> None:
    report.write_report(summary(), tmp_path / "r.html", CONTEXT)
    texts = Page(tmp_path / "r.html").texts
    for text in (
        "Title " + NASTY, "Input image", NASTY + ", bands 1, 2", "3 x 4 pixels, int16", "1.23 s",
        "2024-05-06 07:08:09", "Number of bins", "256", "Cumulative plot", "no", "std dev", "-∞",
        "0.3", "none", "mean = sum(x) / n", "and <b>.", "EOScale for QGIS 9.9",
    ):  # fmt: skip
        assert text in texts
    (share,) = [text for text in texts if "%" in text]
    assert share.startswith("99.99 % (18 446 744")
    assert "unit" not in texts


def test_names_cannot_become_markup_or_script(tmp_path: Path) -> None:
    report.write_report(summary(), tmp_path / "r.html", CONTEXT)
    page = Page(tmp_path / "r.html")
    assert page.tags.count("script") == 2
    assert "b" not in page.tags
    assert '<script>alert("x")' not in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_the_plot_has_the_chart_s_points_and_escaped_names(tmp_path: Path) -> None:
    report.write_report(summary(), tmp_path / "r.html", CONTEXT)
    line = next(
        line
        for line in (tmp_path / "r.html").read_text(encoding="utf-8").splitlines()
        if line.strip().startswith("var plots = [{")
    )
    (plot,) = json.loads(line.strip()[len("var plots = ") : -1])
    (series,) = plot["data"]
    assert (series["type"], series["x"], series["y"]) == ("bar", [1, 2], [3, None])
    shown = (series["name"], plot["layout"]["xaxis"]["title"]["text"])
    assert shown == ("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt; &amp; co",) * 2


def plot_of(places: list[float]) -> dict[str, Any]:
    series = [["Mean", places, places]]
    labels = {"title": "Mean", "x_label": "Band", "y_label": "Value"}
    return report._plot({**labels, "series": series, "kind": "lines"})


def test_a_few_bands_are_marked_and_nothing_lies_between_them() -> None:
    few, many = plot_of([1.0, 3.0]), plot_of(list(map(float, range(100))))
    assert few["data"][0]["mode"] == "lines+markers"
    assert few["layout"]["xaxis"]["tickvals"] == [1.0, 3.0]
    assert many["data"][0]["mode"] == "lines"
    assert "tickvals" not in many["layout"]["xaxis"]
    assert "tickvals" not in plot_of([0.5, 1.5])["layout"]["xaxis"]


def test_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    report.write_report(summary(), tmp_path / "r.html", CONTEXT)
    page = Page(tmp_path / "r.html")
    assert page.addresses == []
    assert not {"link", "img", "iframe", "object"} & set(page.tags)


def test_short_tables_come_first_and_long_ones_are_cut(tmp_path: Path) -> None:
    report.write_report(summary(), tmp_path / "r.html", CONTEXT)
    page = Page(tmp_path / "r.html")
    assert page.texts.index("Bands") < page.texts.index("Long")
    assert page.tags.count("tbody") == 2
    assert any(
        f"first {report.SHOWN_ROWS} of {report.SHOWN_ROWS + 5} rows" in t for t in page.texts
    )


def test_without_plotly_the_tables_stand_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    report.write_report(summary(), tmp_path / "r.html", CONTEXT)
    page = Page(tmp_path / "r.html")
    assert "script" not in page.tags
    assert any("python3-plotly" in text and "pip install plotly" in text for text in page.texts)
    assert "Bands" in page.texts
    assert (tmp_path / "r.html").stat().st_size < 200_000


def test_plotly_is_not_loaded_without_charts(tmp_path: Path) -> None:
    report.write_report(summary(charts=[]), tmp_path / "r.html", {})
    page = Page(tmp_path / "r.html")
    assert "script" not in page.tags
    assert not any("python3-plotly" in text for text in page.texts)
    assert "Finished" in page.texts


def test_without_jinja2_a_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert report.html_available()
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    assert not report.html_available()
    with pytest.raises(OutputError, match="python3-jinja2"):
        report.write_report(summary(), tmp_path / "r.html", CONTEXT)
    assert not (tmp_path / "r.html").exists()


def test_json_is_strict(tmp_path: Path) -> None:
    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    report.write_json(summary(), tmp_path / "r.json")
    read = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"), parse_constant=refuse)
    assert read["numbers"] == {"MEAN": None}
    assert read["tables"][1]["rows"][0] == [1, NASTY, "", 2**64, 1, "-Infinity", None]
    assert len(read["tables"][0]["rows"]) == report.SHOWN_ROWS + 5


@pytest.mark.parametrize("name", ["missing/r", "."])
def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        report.write_json(summary(), tmp_path / name)
    with pytest.raises(OutputError, match="cannot be written"):
        report.write_report(summary(charts=[]), tmp_path / name, CONTEXT)
