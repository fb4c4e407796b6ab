"""Spectral indices: each with its formula over the roles of bands, and where it is from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Optional

import numpy as np

from eoscale_engine import styles
from eoscale_engine.filters.pixel.expression import compile_expressions
from eoscale_engine.filters.pixel.expression_steps import Step, evaluate
from eoscale_engine.filters.spectral import surface_formulas as surface
from eoscale_engine.filters.spectral import vegetation_formulas as vegetation
from eoscale_engine.filters.spectral.sensors import ROLES

AFTER = "_after"
"""What the name of a band of the later image ends in."""

CONSTANTS: Mapping[str, float] = MappingProxyType({"L": 0.5, "a": 1.0, "b": 0.0, "alpha": 0.1})
"""The constants that users may change, with their defaults: soil factor, slope and intercept of
the soil line, weight of the near infrared."""

_NAME = re.compile(r"[A-Za-z]\w*")


@dataclass(frozen=True)
class Index:
    """One index; ``colors`` span the values from ``minimum`` to ``maximum`` at first."""

    colors: Sequence[str]
    id: str
    label: str
    formula: str
    source: str
    minimum: Optional[float] = None
    maximum: Optional[float] = None
    unit: str = ""

    @property
    def names(self) -> set[str]:
        """The bands, constants and functions in its formula."""
        return {*_NAME.findall(self.formula)}

    def roles(self, ending: str = "") -> tuple[str, ...]:
        """What bands it needs, of the only or earlier image or, with ``AFTER``, of the later."""
        return tuple(role for role in ROLES if role + ending in self.names)

    @property
    def two_dates(self) -> bool:
        """Whether it compares two images."""
        return bool(self.roles(AFTER))

    def expression(self, values: Mapping[str, str]) -> str:
        """The formula with its bands and constants replaced by these texts."""
        return _NAME.sub(lambda name: values.get(name[0], name[0]), self.formula)

    def doubling(self, constants: Mapping[str, float] = CONSTANTS) -> Optional[float]:
        """What doubled bands multiply the result by: 1 for ratios; None: that depends on them."""
        values = {name: f"({value!r})" for name, value in constants.items()}
        for image, ending in enumerate(("", AFTER), 1):
            values |= {role + ending: f"im{image}b{band}" for band, role in enumerate(ROLES, 1)}
        program = compile_expressions(self.expression(values))
        # ascending with the wavelength, as for plants, so that every root has a value
        pixels = np.sort(np.random.default_rng(0).uniform(0.1, 0.5, (2, len(ROLES), 1, 9)), axis=1)

        def result(factors: np.ndarray) -> Any:
            def read(step: Step) -> Any:
                image, band = step.data
                return step.operation == "valid" or pixels[image - 1, band - 1] * factors[band - 1]

            found = evaluate(program, read, (1, 9), np.dtype(np.float64))
            return found[program.outputs[0].register]

        # a thermal band keeps its own unit
        doubled = np.array([1.0 if role == "thermal" else 2.0 for role in ROLES])
        ratios = result(doubled) / result(np.ones(len(ROLES)))
        if not np.allclose(ratios, ratios[0, 0]):
            return None
        return round(float(ratios[0, 0]), 6)


_FAMILIES = (
    ("Vegetation", styles.VEGETATION, vegetation.VEGETATION),
    ("Red edge and pigments", styles.VEGETATION, vegetation.RED_EDGE),
    ("Vegetation in visible light", styles.VEGETATION, vegetation.VISIBLE),
    ("Open water", styles.WATER, surface.WATER),
    ("Moisture", styles.WATER, surface.MOISTURE),
    ("Snow and ice", styles.SNOW, surface.SNOW),
    ("Fire", styles.BURN, surface.FIRE),
    ("Built-up areas", styles.BUILT, surface.BUILT_UP),
    ("Soil", styles.MINERAL, surface.SOIL),
    ("Rocks", styles.MINERAL, surface.ROCKS),
)
_OTHER_COLORS = {
    "sipi": styles.HEAT, "psri": styles.HEAT, "ari": styles.HEAT, "ari2": styles.HEAT,
    "cri": styles.HEAT, "cri700": styles.HEAT, "ndti": styles.HEAT,
    "ndci": styles.VEGETATION, "ndavi": styles.VEGETATION, "wavi": styles.VEGETATION,
    "ndponi": styles.WATER[::-1], "msi": styles.WATER[::-1], "ndgi": styles.DIVERGING,
    "nbr": styles.VEGETATION, "nbr2": styles.VEGETATION, "csi": styles.VEGETATION,
    "bi": styles.GREY, "bi2": styles.GREY, "salinity": styles.HEAT,
}  # fmt: skip

INDICES: Mapping[str, Index] = MappingProxyType(
    {
        row[0]: Index(_OTHER_COLORS.get(row[0], colors), *row)
        for _, colors, rows in _FAMILIES
        for row in rows
    }
)
"""All indices by id."""


def reference_table() -> str:
    """All indices as tables in Markdown, one for each family."""
    parts = []
    for title, _, rows in _FAMILIES:
        parts += [f"## {title}\n", "| index | name | formula | reflectance | source |"]
        parts.append("|---|---|---|---|---|")
        for index in (INDICES[row[0]] for row in rows):
            unit = f", in {index.unit}" if index.unit else ""
            doubling = index.doubling()
            needs = "needed" if doubling is None else "" if doubling == 1 else "its unit"
            parts.append(
                f"| `{index.id}` | {index.label}{unit} | `{index.formula}` | {needs} "
                f"| {index.source} |"
            )
        parts.append("")
    return "\n".join(parts)
