"""The plots of a report: charts and heat maps as Plotly's figures, in plain dictionaries.

Greys and backgrounds are such that they can be read on a light and on a dark page.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Optional

from eoscale_engine.styles import DIVERGING

FEW_POINTS = 20
"""Up to so many points of a line are marked one by one."""

FEW_SERIES = 8
"""Up to so many series have their legend above the plot; more have one that scrolls, beside it."""

MOST_WRITTEN = 900
"""Up to so many cells of a heat map have their values written into them."""

MOST_NAMES = 180
"""Names on an axis, at most; of more classes only some have theirs."""

LONGEST_NAME = 28
"""Characters of a class's name on an axis."""

CHARACTER = 7
"""Pixels that a character on an axis takes, about."""

_COLORS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Told apart with any colour vision (Okabe and Ito, "Color Universal Design", 2008)."""

_DASHES = ("solid", "dash", "dot", "dashdot")
"""Of lines, once all colours are taken."""

_AMOUNTS = ("#5302a3", "#8b0aa5", "#b83289", "#db5c68", "#f48849", "#febc2a", "#f0f921")
"""Equal steps to the eye, for all colour vision: "plasma" of matplotlib (S. van der Walt and N.
Smith, 2015), without its darkest part, which is lost on a dark page."""

_GREY = "#7a828c"

_AXIS = {"gridcolor": "rgba(128,128,128,0.25)", "zerolinecolor": "rgba(128,128,128,0.5)"}

_LAYOUT = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"color": _GREY},
    "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": _GREY, "activecolor": "#0072b2"},
}


def figure(chart: Mapping[str, Any]) -> dict[str, Any]:
    """A chart or heat map, in the types of JSON, as Plotly's figure: ``data`` and ``layout``."""
    return heat_map(chart) if chart["kind"] == "heatmap" else lines_or_bars(chart)


# ---------------------------------------------------------------- charts


def lines_or_bars(chart: Mapping[str, Any]) -> dict[str, Any]:
    """A chart as Plotly's figure."""
    bars = chart["kind"] == "bars"
    points = sorted({place for _, places, _ in chart["series"] for place in places})
    few = len(points) <= FEW_POINTS
    mode = "lines+markers" if few else "lines"
    look = {"type": "bar"} if bars else {"type": "scatter", "mode": mode}
    data: list[dict[str, Any]] = []
    for number, (name, x, y) in enumerate(chart["series"]):
        # Plotly reads names and titles as HTML, so they are escaped here too.
        data.append({**look, "name": escape(name), "x": x, "y": y})
        if not bars:
            data[-1]["line"] = {"dash": _DASHES[number // len(_COLORS) % len(_DASHES)]}
    # A few whole numbers, such as bands: nothing lies between them.
    ticks = {"tickvals": points} if few and all(at == int(at) for at in points) else {}
    above = {"orientation": "h", "y": 1.12}
    return {
        "data": data,
        "layout": {
            **_LAYOUT,
            "xaxis": {**_AXIS, **ticks, "title": {"text": escape(chart["x_label"])}},
            "yaxis": {**_AXIS, "title": {"text": escape(chart["y_label"])}, "rangemode": "tozero"},
            "colorway": _COLORS,
            "bargap": 0,
            "showlegend": len(data) > 1,
            "legend": above if len(data) <= FEW_SERIES else {},
            "margin": {"l": 70, "r": 20, "t": 30, "b": 60},
            "height": 420,
        },
    }


# ---------------------------------------------------------------- heat maps


def heat_map(chart: Mapping[str, Any]) -> dict[str, Any]:
    """A heat map as Plotly's figure.

    Cells without a value show the page. On an axis of texts each is a class: the first row is on
    top, and cells are square where both axes have the same ones. On one of numbers y grows upwards.
    """
    values = [[_number(value) for value in row] for row in chart["values"]]
    low, high = _limits(values, chart)
    colors = DIVERGING if low == -high else _AMOUNTS
    shown = [[_colored(value, chart["logarithmic"]) for value in row] for row in values]
    x, y = _Axis(chart["x"]), _Axis(chart["y"])
    written = chart["shows_values"] and sum(map(len, values)) <= MOST_WRITTEN
    trace = {
        "type": "heatmap",
        "x": x.places,
        "y": y.places,
        "z": shown,
        "zmin": low,
        "zmax": high,
        "colorscale": _steps(colors),
        "hoverongaps": False,
        "hovertemplate": "x %{x}<br>y %{y}<br>%{text}<extra></extra>",
        "text": [
            [None if value is None else in_few_digits(value) for value in row] for row in values
        ],
        "colorbar": {"thickness": 14, "outlinewidth": 0, **_color_ticks(low, high, chart)},
    }
    width, height, margin = _size(x, y, square=chart["x"] == chart["y"], written=written)
    layout = {
        **_LAYOUT,
        "xaxis": {**x.layout(width), "title": {"text": escape(chart["x_label"])}},
        "yaxis": {**y.layout(), "title": {"text": escape(chart["y_label"]), "standoff": 8}},
        "margin": margin,
        "height": height + margin["t"] + margin["b"],
        "annotations": _annotations(values, shown, (low, high, colors), x, y) if written else [],
    }
    if width:
        layout["width"] = width + margin["l"] + margin["r"]
    return {"data": [trace], "layout": layout}


class _Axis:
    """An axis of a heat map: classes by their names, or numbers.

    Classes stand at whole numbers: where names look like numbers, Plotly takes them for those.
    """

    def __init__(self, items: Sequence[Any]) -> None:
        self.named = any(isinstance(item, str) for item in items)
        self.count = len(items)
        self.names = [escape(_short(str(item))) for item in items] if self.named else []
        self.places: list[Any] = list(range(self.count)) if self.named else list(items)

    @property
    def room(self) -> int:
        """Pixels that the longest label takes."""
        return CHARACTER * max(map(len, self.names), default=6)

    def layout(self, width: int = 0) -> dict[str, Any]:
        """Plotly's axis; with the plot's ``width`` that of x."""
        if not self.named:
            return {**_AXIS, "type": "linear"}
        step = -(-self.count // MOST_NAMES)
        ends = [-0.5, self.count - 0.5]
        level = self.room <= width // max(self.count, 1)
        return {
            "type": "linear",
            "tickvals": self.places[::step],
            "ticktext": self.names[::step],
            "tickangle": 0 if level or not width else -45,
            "range": ends if width else ends[::-1],
            # lines between classes would show where there is no value
            "showgrid": False,
            "zeroline": False,
            "ticks": "",
        }


def _short(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…"


def _size(x: _Axis, y: _Axis, *, square: bool, written: bool) -> tuple[int, int, dict[str, int]]:
    """Width (0: the page's) and height of the plot, and the margins, in pixels."""
    side = 54 if written else 22
    width = min(max(side * x.count, 240), 4000) if x.named else 0
    height = min(max(side * y.count, 120), 4000) if y.named else 420
    if x.named and y.named and square:
        height = width
    elif not y.named and not x.named:
        height = 520
    slanted = x.named and x.room > width // max(x.count, 1)
    below = round(x.room * 0.7) if slanted else 20
    left = 40 + max(y.room, 30)
    return width, height, {"l": left, "r": 100, "t": 30, "b": 50 + below}


def _number(value: Any) -> Optional[float]:
    """A finite value; JSON has infinities as texts."""
    return None if value is None or isinstance(value, str) else value


def _colored(value: Optional[float], logarithmic: bool) -> Optional[float]:
    """What a value's colour goes by."""
    if value is None or not logarithmic:
        return value
    return round(math.log10(value), 4) if value > 0 else None


def _limits(values: Sequence[Sequence[Any]], chart: Mapping[str, Any]) -> tuple[float, float]:
    """What the first and the last colour stand for."""
    limits = chart["limits"] or [value for row in values for value in row]
    ends = [_colored(_number(limit), chart["logarithmic"]) for limit in limits]
    found = [end for end in ends if end is not None] or [0.0]
    low, high = float(min(found)), float(max(found))
    return (low, high) if low < high else (low, low + 1)


def _steps(colors: Sequence[str]) -> list[list[Any]]:
    return [[place / (len(colors) - 1), color] for place, color in enumerate(colors)]


def _color_ticks(low: float, high: float, chart: Mapping[str, Any]) -> dict[str, Any]:
    """Powers of ten at the colours of logarithms, with 2 and 5 between where they are few."""
    if not chart["logarithmic"]:
        return {}
    factors = (1, 2, 5) if high - low <= 3 else (1,)
    powers = range(math.floor(low), math.ceil(high) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in factors]
    ticks = [tick for tick in ticks if low - 1e-9 <= math.log10(tick) <= high + 1e-9]
    return {"tickvals": list(map(math.log10, ticks)), "ticktext": list(map(in_few_digits, ticks))}


def in_few_digits(value: float, places: Optional[int] = None) -> str:
    """A number as short text: with so many decimal places, or what it needs."""
    if abs(value) >= 1e15 or 0 < abs(value) < 1e-9:
        return f"{value:.3g}"
    if places is None and abs(value) < 1000 and value != int(value):
        return f"{value:.4g}"
    places = places or 0
    # adding 0 takes the minus from what is nothing but zeros
    return f"{round(value, places) + 0.0:,.{places}f}".replace(",", "\u202f")


def _places(values: Sequence[Sequence[Optional[float]]]) -> int:
    """Decimal places by which the largest value has three digits; none for integers."""
    found = [abs(value) for row in values for value in row if value is not None]
    if all(value == int(value) for value in found):
        return 0
    return min(max(0, 2 - math.floor(math.log10(max(found)))), 9)


def _annotations(
    values: Sequence[Sequence[Optional[float]]],
    shown: Sequence[Sequence[Optional[float]]],
    scale: tuple[float, float, Sequence[str]],
    x: _Axis,
    y: _Axis,
) -> list[dict[str, Any]]:
    """The values, as they are read best. Older Plotly cannot write into cells by itself."""
    places = _places(values)
    return [
        {
            "x": x.places[column],
            "y": y.places[row],
            "text": in_few_digits(value, places),
            "showarrow": False,
            "font": {"size": 12, "color": _GREY if level is None else _ink(level, *scale)},
        }
        for row, (line, levels) in enumerate(zip(values, shown))
        for column, (value, level) in enumerate(zip(line, levels))
        if value is not None
    ]


def _ink(level: float, low: float, high: float, colors: Sequence[str]) -> str:
    """Black or white, whichever is read better on the colour of a level."""
    place = min(max((level - low) / (high - low), 0), 1) * (len(colors) - 1)
    first = min(int(place), len(colors) - 2)
    mixed = [
        (1 - (place - first)) * one + (place - first) * two
        for one, two in zip(_rgb(colors[first]), _rgb(colors[first + 1]))
    ]
    # relative luminance and contrast as in WCAG 2, with a power of 2.2 for its two pieces
    light = sum(w * (part / 255) ** 2.2 for w, part in zip((0.2126, 0.7152, 0.0722), mixed))
    return "#000000" if light > 0.18 else "#ffffff"


def _rgb(color: str) -> tuple[int, int, int]:
    return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
