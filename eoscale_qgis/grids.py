"""Where the pixels of layers lie: on their own grids, or on one that is chosen for them.

A WMS, WMTS or XYZ layer has no pixels of its own: its server draws it at any scale. It gets the
first image's grid, so that they lie pixel on pixel, or as the first image one of the user's extent
and cell size.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

from qgis.core import QgsCoordinateReferenceSystem, QgsRasterLayer, QgsRectangle, QgsUnitTypes

from eoscale_engine.errors import GridError, InputError

MOST_PIXELS = 400_000_000
"""Pixels that a server is asked to draw at most: a slip in the cell size asks for any number."""


@dataclass(frozen=True)
class Grid:
    """A north-up grid of ``cols`` x ``rows`` cells over an extent."""

    crs: QgsCoordinateReferenceSystem
    extent: QgsRectangle
    cols: int
    rows: int

    @property
    def cell(self) -> tuple[float, float]:
        """Width and height of a cell."""
        return self.extent.width() / self.cols, self.extent.height() / self.rows

    def part(self, extent: QgsRectangle, margin: int) -> Grid:
        """The cells that an extent touches, and so many more on every side, where there are."""
        width, height = self.cell
        whole = self.extent
        left = (extent.xMinimum() - whole.xMinimum()) / width
        right = (extent.xMaximum() - whole.xMinimum()) / width
        top = (whole.yMaximum() - extent.yMaximum()) / height
        bottom = (whole.yMaximum() - extent.yMinimum()) / height
        first_col, first_row = (max(0, math.floor(edge) - margin) for edge in (left, top))
        end_col = min(self.cols, math.ceil(right) + margin)
        end_row = min(self.rows, math.ceil(bottom) + margin)
        area = QgsRectangle(
            whole.xMinimum() + first_col * width,
            whole.yMaximum() - end_row * height,
            whole.xMinimum() + end_col * width,
            whole.yMaximum() - first_row * height,
        )
        return Grid(self.crs, area, end_col - first_col, end_row - first_row)


def name_of(layer: QgsRasterLayer) -> str:
    """What a layer is called in messages: one that is no layer of a project may have no name."""
    return str(layer.name() or layer.providerType())


def own_grid(layer: QgsRasterLayer) -> Optional[Grid]:
    """The grid of a layer's own pixels; None where it has none."""
    provider = layer.dataProvider()
    if provider.xSize() < 1 or provider.ySize() < 1:
        return None
    return Grid(layer.crs(), layer.extent(), provider.xSize(), provider.ySize())


def grids_of(
    layers: Sequence[QgsRasterLayer], extent: Optional[QgsRectangle], cell_size: Optional[float]
) -> list[Grid]:
    """The grid of each layer; ``extent`` is in the CRS of the first one."""
    for layer in layers:
        if not layer.isValid() or layer.dataProvider() is None:
            raise InputError(
                f"Layer '{name_of(layer)}' is not valid. Repair its data source, or remove it."
            )
    if not layers:
        return []
    first = own_grid(layers[0]) or _drawn_grid(layers[0], extent, cell_size)
    return [first] + [own_grid(layer) or first for layer in layers[1:]]


def _drawn_grid(
    layer: QgsRasterLayer, extent: Optional[QgsRectangle], cell_size: Optional[float]
) -> Grid:
    name = f"Layer '{name_of(layer)}' ({layer.providerType()})"
    area = layer.extent()
    if area.isEmpty() or not area.isFinite():
        area = extent
    elif extent is not None:
        area = extent.intersect(area)
    if area is None:
        raise InputError(
            f"{name} has no extent and no pixels of its own. Set an extent (EXTENT) and the "
            "advanced parameter 'Cell size' (CELL_SIZE)."
        )
    if not cell_size or not math.isfinite(cell_size):
        units = QgsUnitTypes.toString(layer.crs().mapUnits())
        raise InputError(
            f"{name} has no pixels of its own: its server draws them at any scale. Set the "
            f"advanced parameter 'Cell size' (CELL_SIZE), in {units}: "
            f"{area.width() / 1000:.3g} makes an image 1000 pixels wide here."
        )
    cols, rows = (max(1.0, side / cell_size) for side in (area.width(), area.height()))
    require_drawable(layer, cols, rows)
    # Cells that are whole to rounding make no further row or column.
    cols, rows = math.ceil(cols - 1e-6), math.ceil(rows - 1e-6)
    left, top = area.xMinimum(), area.yMaximum()
    drawn = QgsRectangle(left, top - rows * cell_size, left + cols * cell_size, top)
    return Grid(layer.crs(), drawn, cols, rows)


def require_drawable(layer: QgsRasterLayer, cols: float, rows: float) -> None:
    """Refuse to have more pixels drawn than anyone means to."""
    if cols * rows > MOST_PIXELS:
        raise InputError(
            f"Layer '{name_of(layer)}' ({layer.providerType()}) has no pixels of its own, and "
            f"{cols:.0f} x {rows:.0f} would have to be drawn; {MOST_PIXELS / 1e6:.0f} million are "
            "the most. Choose a smaller extent (EXTENT) or a larger cell size (CELL_SIZE)."
        )


def _corners(extent: QgsRectangle) -> tuple[float, float, float, float]:
    return extent.xMinimum(), extent.yMinimum(), extent.xMaximum(), extent.yMaximum()


def require_same_grid(layers: Sequence[QgsRasterLayer], grids: Sequence[Grid]) -> None:
    """Refuse layers whose pixels do not lie on each other, before anything starts.

    Compared as QGIS knows them, to a hundredth of a pixel; the engine compares the files again.
    """
    for layer, other in zip(layers[1:], grids[1:]):
        first = grids[0]
        sizes = [f"{grid.cols} x {grid.rows}" for grid in (first, other)]
        corners = zip(_corners(first.extent), _corners(other.extent))
        apart = max(abs(one - two) for one, two in corners)
        difference = ""
        if first.crs.isValid() and other.crs.isValid() and first.crs != other.crs:
            difference = f"CRS {first.crs.authid()} and {other.crs.authid()}"
        elif sizes[0] != sizes[1]:
            difference = f"sizes {sizes[0]} and {sizes[1]} pixels"
        elif apart > 0.01 * max(first.cell):
            extents = [grid.extent.toString(6) for grid in (first, other)]
            difference = f"extents {extents[0]} and {extents[1]}"
        if difference:
            raise GridError(
                f"'{name_of(layers[0])}' and '{name_of(layer)}' do not share a grid: {difference}. "
                "Set the advanced parameter 'Align to the first image' (ALIGN) to bring the others "
                "to the first one's grid on the fly."
            )
