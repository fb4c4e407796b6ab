"""Timing side by side: the cases take turns, so that what else the machine does hits all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Callable

Case = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """One line of the report: what was measured, compared with what, and what it should be."""

    what: str
    value: str
    against: str = ""
    ratio: str = ""
    target: str = ""
    met: bool = True


def paired(cases: Mapping[str, Case], repeats: int) -> dict[str, float]:
    """Median seconds of each case; a first round warms up and is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in cases}
    for turn in range(repeats + 1):
        for name, case in cases.items():
            began = time.perf_counter()
            case()
            if turn:
                seconds[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}


def faster(what: str, ours: float, theirs: float, against: str, least: float) -> Row:
    """A row that says how many times faster we are."""
    ratio = theirs / ours
    return Row(
        what, f"{ours:.3f} s", f"{against}: {theirs:.3f} s", f"{ratio:.2f}", f">= {least:g}",
        ratio >= least,
    )  # fmt: skip


def at_most(what: str, value: float, limit: float, unit: str) -> Row:
    """A row that says that a value stays under its limit."""
    return Row(what, f"{value:.3g} {unit}", "", "", f"<= {limit:g} {unit}", value <= limit)
