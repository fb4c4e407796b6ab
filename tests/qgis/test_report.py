"""The HTML and JSON reports of reductions; they need no QGIS."""

from __future__ import annotations

import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Optional

import pytest

from eoscale_engine.errors import OutputError
from eoscale_qgis import report
from eoscale_qgis.plots import figure, in_few_digits

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


def test_reports_share_one_script_that_needs_no_network(tmp_path: Path) -> None:
    folder, above = tmp_path / "my reports", tmp_path / "all"
    for made in (folder, above, above / "a", above / "b"):
        made.mkdir()
    for name in ("r.html", "s.html"):
        report.write_report(summary(), folder / name, CONTEXT)
        assert (folder / name).stat().st_size < 300_000
    (script,) = folder.glob("*.js")
    assert sorted(folder.iterdir()) == sorted([folder / "r.html", folder / "s.html", script])
    assert "Plotly" in script.read_text(encoding="utf-8")
    assert script.name in Page(folder / "r.html").addresses
    script.write_bytes(b"cut off")
    report.write_report(summary(), folder / "r.html", CONTEXT)
    assert script.stat().st_size > 1_000_000
    for name in ("a", "b"):
        report.write_report(summary(), above / name / "r.html", CONTEXT, above)
        assert f"../{script.name}" in Page(above / name / "r.html").addresses
    assert [item.name for item in above.glob("**/*.js")] == [script.name]


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


def plot_of(places: list[float], count: int = 1) -> dict[str, Any]:
    series = [["Mean", places, places]] * count
    labels = {"title": "Mean", "x_label": "Band", "y_label": "Value"}
    return figure({**labels, "series": series, "kind": "lines"})


def test_a_few_bands_are_marked_and_nothing_lies_between_them() -> None:
    few, many = plot_of([1.0, 3.0]), plot_of(list(map(float, range(100))))
    assert few["data"][0]["mode"] == "lines+markers"
    assert few["layout"]["xaxis"]["tickvals"] == [1.0, 3.0]
    assert many["data"][0]["mode"] == "lines"
    assert "tickvals" not in many["layout"]["xaxis"]
    assert "tickvals" not in plot_of([0.5, 1.5])["layout"]["xaxis"]


def test_many_series_are_told_apart_and_their_legend_scrolls() -> None:
    few, many = plot_of([1.0, 2.0], 8), plot_of([1.0, 2.0], 20)
    assert few["layout"]["legend"]["orientation"] == "h"
    assert "orientation" not in many["layout"]["legend"]
    assert [many["data"][place]["line"]["dash"] for place in (5, 6, 12)] == ["solid", "dash", "dot"]


def heat_map(values: Any, x: Any = ("a", "b"), y: Any = ("a", "b"), **changes: Any) -> Any:
    """A heat map as the engine sends it."""
    options = {"title": "Map", "x_label": "X", "y_label": NASTY, "limits": None}
    options |= {"logarithmic": False, "shows_values": False, "kind": "heatmap"}
    return {**options, "x": list(x), "y": list(y), "values": values, **changes}


def drawn(values: Any, *axes: Any, **changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    made = figure(heat_map(values, *axes, **changes))
    (trace,) = made["data"]
    return trace, made["layout"]


def test_a_heat_map_of_classes_is_read_like_a_table() -> None:
    trace, layout = drawn([[1, None], [0.5, "Infinity"]])
    assert (trace["type"], trace["x"], trace["y"]) == ("heatmap", [0, 1], [0, 1])
    assert trace["z"] == [[1, None], [0.5, None]]
    assert (trace["zmin"], trace["zmax"]) == (0.5, 1)
    assert layout["xaxis"]["ticktext"] == layout["yaxis"]["ticktext"] == ["a", "b"]
    assert layout["xaxis"]["range"] == [-0.5, 1.5]
    assert layout["yaxis"]["range"] == [1.5, -0.5]
    margin = layout["margin"]
    inner = (
        layout["width"] - margin["l"] - margin["r"],
        layout["height"] - margin["t"] - margin["b"],
    )
    assert inner[0] == inner[1]
    assert "&lt;script&gt;" in layout["yaxis"]["title"]["text"]
    other = drawn([[1, 2, 3], [4, 5, 6]], "abc", "ab")[1]
    assert other["width"] != other["height"]


def test_a_heat_map_of_numbers_grows_upwards() -> None:
    trace, layout = drawn([[1, 2], [3, 4]], [0.5, 1.5], [10.0, 20.0])
    assert (trace["x"], trace["y"]) == ([0.5, 1.5], [10.0, 20.0])
    assert layout["yaxis"]["type"] == "linear"
    assert "range" not in layout["yaxis"]
    assert "ticktext" not in layout["yaxis"]
    assert "width" not in layout


def test_names_of_classes_are_escaped_and_short() -> None:
    trace, layout = drawn([[1, 2, 3]], ["<b>x", "2", "y" * 99], ["2"])
    names = layout["xaxis"]["ticktext"]
    assert names[:2] == ["&lt;b&gt;x", "2"]
    assert len(names[2]) == 28
    assert layout["xaxis"]["tickangle"] == -45
    assert (trace["x"], trace["y"]) == ([0, 1, 2], [0])
    many = drawn([[1] * 1000], [str(place) for place in range(1000)], ["a"])[1]["xaxis"]
    assert (many["tickvals"][1], many["ticktext"][1]) == (6, "6")


def test_colors_diverge_where_limits_are_alike_on_both_sides() -> None:
    values = [[1, -0.3], [0.2, 1]]
    both, one = (drawn(values, limits=limits)[0] for limits in ([-1, 1], [0, 1]))
    assert (both["zmin"], both["zmax"], both["colorscale"][2]) == (-1, 1, [0.5, "#f7f7f7"])
    assert one["colorscale"][0] != both["colorscale"][0]
    assert drawn([[5, 5], [5, 5]])[0]["zmax"] == 6


def test_logarithmic_colors() -> None:
    trace, _ = drawn([[1, 0], [None, 1000]], logarithmic=True)
    assert trace["z"] == [[0, None], [None, 3]]
    assert (trace["zmin"], trace["zmax"]) == (0, 3)
    ticks = dict(zip(trace["colorbar"]["ticktext"], trace["colorbar"]["tickvals"]))
    assert ticks["1"] == 0
    assert ticks["100"] == 2
    assert ticks["50"] == pytest.approx(1.69897)
    empty, _ = drawn([[None]], "a", "a", logarithmic=True)
    assert empty["zmin"] < empty["zmax"]


def test_values_are_written_in_ink_that_is_read_on_their_color() -> None:
    values = [[1, 0.004], [-0.984, None]]
    _, layout = drawn(values, limits=[-1, 1], shows_values=True)
    found = {
        (one["x"], one["y"]): (one["text"], one["font"]["color"]) for one in layout["annotations"]
    }
    assert found == {
        (0, 0): ("1.00", "#ffffff"), (1, 0): ("0.00", "#000000"),
        (0, 1): ("-0.98", "#ffffff"),
    }  # fmt: skip
    assert drawn(values)[1]["annotations"] == []
    many = [[1] * 40] * 40
    names = [str(place) for place in range(40)]
    assert drawn(many, names, names, shows_values=True)[1]["annotations"] == []
    _, counts = drawn([[0, 12345], [1, 1]], logarithmic=True, shows_values=True)
    assert [one["text"] for one in counts["annotations"]] == ["0", "12\u202f345", "1", "1"]


def test_numbers_in_few_digits() -> None:
    values = (0.123456, 1234.5, 2e20, 1e-20, -3)
    wanted = ["0.1235", "1\u202f234", "2e+20", "1e-20", "-3"]
    assert [in_few_digits(value) for value in values] == wanted
    assert [in_few_digits(value, 2) for value in (0.126, -0.001, 1)] == ["0.13", "0.00", "1.00"]


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ([1.0, 0.25], ["1.00", "0.25"]), ([33.33, 5], ["33.3", "5.0"]),
        ([1234.5, 0.5], ["1\u202f234", "0"]), ([0.02, 0.0041], ["0.0200", "0.0041"]),
        ([7, 1234], ["7", "1\u202f234"]), ([None, 0.0], ["0"]),
    ],
)  # fmt: skip
def test_cells_have_the_digits_that_the_largest_needs(values: Any, wanted: list[str]) -> None:
    _, layout = drawn([values], shows_values=True)
    assert [one["text"] for one in layout["annotations"]] == wanted


def test_a_heat_map_on_the_page(tmp_path: Path) -> None:
    report.write_report(summary(charts=[heat_map([[1, 2], [3, 4]])]), tmp_path / "r.html", CONTEXT)
    page = Page(tmp_path / "r.html")
    assert "Map" in page.texts
    assert page.tags.count("script") == 2


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        (None, "not set"), ("", "not set"), ([], "not set"), ((2.0, 50.0, 98.5), "2, 50, 98.5"),
        (((1.0, 2.0), (3.0, None)), "1, 2; 3, none"), (True, "yes"), (0, "0"), ("all", "all"),
    ],
)  # fmt: skip
def test_parameters_read_well(tmp_path: Path, value: Any, wanted: str) -> None:
    context = {"parameters": {"Parameter": value}}
    report.write_report(summary(charts=[]), tmp_path / "r.html", context)
    texts = Page(tmp_path / "r.html").texts
    assert texts[texts.index("Parameter") + 1] == wanted


def test_all_bands_and_the_extent_are_stated(tmp_path: Path) -> None:
    images = [{"role": "Input", "name": "scene", "bands": "all", "details": ""}]
    context = {"images": images, "extent": "1, 2, 3, 4"}
    report.write_report(summary(charts=[]), tmp_path / "r.html", context)
    texts = Page(tmp_path / "r.html").texts
    assert "scene, all bands" in texts
    assert texts[texts.index("Extent") + 1] == "1, 2, 3, 4"


@pytest.mark.parametrize(
    ("tables", "numbers", "wanted"),
    [
        ([], {"VALID": 3, "INVALID": 1}, "75 % (3 of 4)"),
        ([[9, 1], [0, None]], {"VALID": 3, "INVALID": 1}, "90 % (9 of 10)"),
        ([], {"VALID": 3}, None),
        ([[0, 0]], {"VALID": None, "INVALID": None}, None),
        ([[0, 10]], {}, "0 % (0 of 10)"),
    ],
)
def test_the_share_of_valid_pixels(
    tmp_path: Path, tables: Any, numbers: Any, wanted: Optional[str]
) -> None:
    counted = [{"name": "Pixels", "columns": ["valid", "invalid"], "rows": tables}]
    content = summary(charts=[], tables=counted, numbers=numbers)
    report.write_report(content, tmp_path / "r.html", {})
    texts = Page(tmp_path / "r.html").texts
    found = texts[texts.index("Valid pixels") + 1] if "Valid pixels" in texts else None
    assert found == wanted


def test_page_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    report.write_report(summary(), tmp_path / "r.html", CONTEXT)
    page = Page(tmp_path / "r.html")
    (script,) = page.addresses
    assert (tmp_path / script).is_file()
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
