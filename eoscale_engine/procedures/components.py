"""Objects of a class image labelled: connected components, whatever the size of the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import (
    Chart,
    Engine,
    Output,
    Procedure,
    Result,
    Roles,
    Summary,
    Table,
    parameter,
)
from eoscale_engine.filters.labels.labelling import CONNECTIVITIES, CONNECTIVITY_HELP
from eoscale_engine.filters.labels.piece_labels import SELECTIONS, ObjectLabels, PieceLabels
from eoscale_engine.procedures.chart_labels import band_titles
from eoscale_engine.procedures.objects import check_selection, find_objects
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.objects import Objects
from eoscale_engine.styles import Classes, Style


@dataclass(frozen=True)
class ConnectedComponents(Procedure):
    """Give each connected set of pixels of one value a label of its own.

    The result is that of labelling the whole image at once, whatever its size: blocks are labelled
    by themselves, the pieces that touch across their seams are joined (union-find), and all pixels
    get their object's label in a last pass. Labels are 1 to N in raster order of the objects' first
    pixels: row by row, from the left.

    Pixels of the selected values are objects, each value its own; two pixels are connected if they
    share an edge (4) or also a corner (8). Values are compared as stored, without scale and offset;
    floats by equality. For objects of several values together make a mask first. Each band is
    labelled by itself, from 1. With an extent the objects are those of its pixels alone.

    Labels are uint32, 0 where there is no object: values that are not selected, nodata, NaN and
    masked pixels. 0 is the nodata value of the result.

    The table has the number of objects of each band, and their smallest, mean, median and largest
    size in pixels. While it runs, it needs 4 bytes for each pixel and band beside the result (8 for
    images of 2^32 pixels and more), and some 80 bytes for each object.

    Source: A. Rosenfeld, J. L. Pfaltz, "Sequential Operations in Digital Picture Processing",
    Journal of the ACM 13(4), 1966.
    """

    name: ClassVar[str] = "connectedcomponents"
    label: ClassVar[str] = "Connected components"
    group: ClassVar[str] = "Labels"
    tags: ClassVar[tuple[str, ...]] = (
        "connected components", "label", "labelling", "labeling", "clump", "r.clump", "objects",
        "regions", "segments", "patches", "region group", "blob", "count", "union-find",
    )  # fmt: skip
    outputs: ClassVar[tuple[Output, ...]] = (Output(label="Labels"),)
    reports: ClassVar[bool] = True
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("COUNT", "Number of objects of the first band"),
        ("SMALLEST", "Pixels of the smallest object of the first band"),
        ("MEAN", "Mean size in pixels of the first band's objects"),
        ("MEDIAN", "Median size in pixels of the first band's objects"),
        ("LARGEST", "Pixels of the largest object of the first band"),
    )
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {},
        {"selection": "all values", "connectivity": "8"},
        {"selection": "given values", "values": (3, 0, 20), "connectivity": "8"},
    )

    connectivity: str = parameter("4", choices=CONNECTIVITIES, help=CONNECTIVITY_HELP)
    selection: str = parameter(
        "all but 0",
        choices=SELECTIONS,
        label="Values of objects",
        help="Pixels of which values are objects; the others are the background.",
    )
    values: tuple[float, ...] = parameter(
        (),
        kind="numbers",
        label="Given values",
        help="Stored values, separated by commas.",
        counts_when={"selection": ("given values",)},
    )

    def validate(self) -> None:
        """Refuse a selection of nothing."""
        check_selection(self.label, self.selection, self.values)

    def styles(self) -> Sequence[Optional[Style]]:
        """From the first object to the last."""
        return (Classes(),)

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Labels of pieces and of objects."""
        return [*PieceLabels(self.connectivity, "all values").output_profiles(inputs)] * 2

    def run(self, images: Roles, engine: Engine) -> Result:
        """Label pieces, join them, label objects."""
        profile = engine.profile(images["INPUT"][0])
        labels_of = PieceLabels(self.connectivity, self.selection, self.values)
        labels, objects = find_objects(images, engine, labels_of)
        names = tuple(f"objects of {band.name}".removesuffix(" of ") for band in profile.bands)
        relabelling = ObjectLabels([o.ids for o in objects], [o.numbers for o in objects], names)
        made = engine.filter(relabelling, {"LABELS": [labels]})
        engine.release(labels)
        return Result(tuple(made), self._summary(objects, profile))

    def _summary(self, objects: Sequence[Objects], profile: Profile) -> Summary:
        rows = tuple(
            (number, band.name, *_sizes(found.sizes[1:]))
            for number, band, found in zip(profile.band_numbers, profile.bands, objects)
        )
        columns = ("band", "name", "objects", "smallest", "mean", "median", "largest")
        return Summary(
            self.label,
            (Table("Objects", columns, rows),),
            dict(zip((name for name, _ in self.numbers), rows[0][2:])),
            (_size_chart(objects, profile),),
            ("Sizes are in pixels.",),
        )


def _sizes(sizes: np.ndarray) -> tuple[Any, ...]:
    """Number of objects, and their smallest, mean, median and largest size; None without any."""
    if not sizes.size:
        return 0, None, None, None, None
    mean = int(sizes.sum()) / len(sizes)
    return len(sizes), int(sizes.min()), mean, float(np.median(sizes)), int(sizes.max())


def _size_chart(objects: Sequence[Objects], profile: Profile) -> Chart:
    """Objects of 1, 2 to 3, 4 to 7... pixels."""
    largest = max(int(found.sizes.max()) for found in objects)
    edges = 2 ** np.arange(largest.bit_length() + 1, dtype=np.int64)
    places = tuple(edges[:-1].astype(float).tolist())
    series = []
    for name, found in zip(band_titles(profile), objects):
        counts = np.histogram(found.sizes[1:], edges)[0].astype(float)
        series.append((name, places, tuple(counts.tolist())))
    return Chart(
        "Sizes of objects", "Pixels, from this to twice as many", "Objects", tuple(series),
        "bars" if profile.count == 1 else "lines",
    )  # fmt: skip
