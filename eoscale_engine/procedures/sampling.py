"""Random pixels as points, with the values of several images: training data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import (
    Engine,
    Input,
    Procedure,
    Result,
    Roles,
    Summary,
    Table,
    image,
    images,
    parameter,
)
from eoscale_engine.errors import InputError
from eoscale_engine.parameters import RAW
from eoscale_engine.procedures.sample_tables import (
    MOST_SERIES,
    Sample,
    columns_of,
    points_table,
    sample_charts,
    strata_table,
)
from eoscale_engine.procedures.selection import (
    ALL_TOUCHED,
    MASK,
    POLYGONS,
    selection,
    selection_notes,
)
from eoscale_engine.profile import Profile
from eoscale_engine.reductions.sampling import LARGEST, Drawn, Limits, PixelDraw, Stratum
from eoscale_engine.reductions.statistics import scale_notes

MOST_POINTS = 500_000
"""Points of one table: with the values of four bands some 200 MB in memory."""


@dataclass(frozen=True)
class SamplePixels(Procedure):
    """Draw random pixels, from all of the image or from each class, with the values of its bands.

    Each pixel gets a 64-bit number that its row, its column and the seed alone decide, by the
    generator SplitMix64; the pixels with the n lowest numbers are drawn. All pixels are equally
    likely, none is drawn twice, and the same ones are drawn on any computer, for any tiling and any
    number of workers. A larger count keeps the points of a smaller one and adds others. Another
    seed gives other points. With an extent, rows and columns count from its corner: other pixels
    are drawn than from the same part of the whole image.

    Only pixels count that are valid in all chosen bands of all images, in the strata if there are
    any, and in the mask and polygons. Infinite values are valid.

    With an image of strata, whose stored values are classes, each class has a draw of its own:

    ``equal``: the count is that of the points of each class;

    ``proportional``: the count is that of all points, and the class h with N_h of all N pixels gets
    ``count N_h / N`` of them, rounded down; what is then left goes to the largest remainders.

    A class with fewer pixels than it should have points gives all of them, and a note says so.

    The table has one point for each pixel: ``x`` and ``y`` of its centre, in the CRS of the first
    image, its ``row`` and ``column``, counted from 0, its ``stratum``, and the value of each band:
    ``im1b2_red`` is band 2, called red, of the first image. Values are physical,
    ``pixel * scale + offset``, unless ``raw`` asks for the pixels as stored; integers without scale
    stay integers. Takes integers and floats ``(bands, rows, cols)``; strata of at most 65536
    classes.

    Source: G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators",
    OOPSLA 2014; of sampling in strata: W. G. Cochran, "Sampling techniques", Wiley, 1977.
    """

    name: ClassVar[str] = "samplepixels"
    label: ClassVar[str] = "Sample pixels"
    group: ClassVar[str] = "Statistics"
    tags: ClassVar[tuple[str, ...]] = (
        "sample", "sampling", "random points", "stratified", "training data", "extract values",
        "point sampling", "r.random", "r.sample.category", "sampleselection", "sampleextraction",
        "polygonclassstatistics", "roi", "random points in raster", "sample raster values",
    )  # fmt: skip
    inputs: ClassVar[tuple[Input, ...]] = (
        images("INPUTS", help="Images whose values the points get, of the same size and grid"),
        image(
            "STRATA",
            label="Strata",
            help="Image of classes, each of which gets points",
            optional=True,
            band_choice=False,
        ),
        MASK,
        POLYGONS,
    )
    table_geometry: ClassVar[str] = "points"
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = (
        {"count": 3, "seed": 5},
        {"count": 60, "allocation": "proportional", "raw": True, "strata_band": 2},
    )
    numbers: ClassVar[tuple[tuple[str, str], ...]] = (
        ("POINTS", "Number of points"),
        ("CLASSES", "Number of classes with points; 0 without strata"),
    )

    count: int = parameter(
        1000,
        minimum=1,
        maximum=MOST_POINTS,
        label="Number of points",
        help="Of each class where there are strata with equal allocation, else of all",
    )
    strata_band: int = parameter(
        1,
        kind="band",
        role="STRATA",
        label="Band of the strata",
        help="The band of the strata that holds the classes",
    )
    allocation: str = parameter(
        "equal",
        choices=("equal", "proportional"),
        help="Equal: so many points for each class. Proportional: so many in all, shared out by "
        "the pixels of the classes.",
    )
    seed: int = parameter(0, help="Any whole number; another one gives other points")
    all_touched: bool = parameter(**ALL_TOUCHED)
    raw: bool = parameter(**RAW)

    @property
    def places(self) -> str:
        """Points have coordinates."""
        return "coordinates"

    def run(self, images: Roles, engine: Engine) -> Result:
        """Draw, then tabulate."""
        images = {item.role: images.get(item.role, ()) for item in self.inputs}
        within = selection(images, engine, self.all_touched)
        profiles = [engine.profile(key) for key in images["INPUTS"]]
        classes = engine.profile(images["STRATA"][0]) if images["STRATA"] else None
        sample = self._sample(images, engine, within, profiles[0])
        columns = columns_of(sample, profiles, raw=self.raw)
        stratified = classes is not None
        tables = [points_table(sample, columns, profiles[0], stratified=stratified)]
        if classes is not None:
            tables.append(strata_table(sample, classes.bands[self.strata_band - 1]))
        what = ("column", "image", "band", "name", "unit")
        listed = tuple((c.name, c.image, c.band, c.label, c.unit) for c in columns)
        tables.append(Table("Columns", what, listed))
        found = sample.found
        summary = Summary(
            self.label,
            tuple(tables),
            {"POINTS": sum(found), "CLASSES": sum(map(bool, found)) if stratified else 0},
            sample_charts(sample, columns, stratified=stratified),
            (*self._notes(sample, profiles), *selection_notes(within)),
        )
        return Result(summary=summary)

    # ---- the draw

    def _sample(
        self,
        images: Roles,
        engine: Engine,
        within: Any,
        profile: Profile,
    ) -> Sample:
        """Count and draw; without classes one pass is enough where half of the pixels count."""
        sources = {role: images[role] for role in ("INPUTS", "STRATA")}
        kept = None
        if not sources["STRATA"]:
            kept = Limits(None, _limits([self.count], [profile.width * profile.height // 2]))

        def drawn(kept: Optional[Limits], *, counting: bool) -> Drawn:
            draw = PixelDraw(self.seed, self.strata_band, kept, counting)
            return engine.reduce(draw, sources, within=within)

        found = drawn(kept, counting=True)
        counts, slack = found.counts, 1
        classes = None if found.strata is None else np.array(list(counts), found.strata.dtype)
        wanted = self._wanted(list(counts.values()))
        # the slack makes a third pass next to impossible, and an endless loop so altogether
        while (_sizes(found, classes) < wanted).any():
            kept = Limits(classes, _limits(wanted.tolist(), list(counts.values()), slack))
            found = drawn(kept, counting=False)
            slack *= 2
        return _lowest(found, classes, counts, wanted)

    def _wanted(self, counts: Sequence[int]) -> np.ndarray:
        """How many points each class gets."""
        if self.allocation == "equal":
            wanted = [min(self.count, count) for count in counts]
        else:
            wanted = shares(self.count, counts)
        if sum(wanted) > MOST_POINTS:
            raise InputError(
                f"{self.label}: {self.count} points for each of {len(counts)} classes are "
                f"{sum(wanted)}; the most is {MOST_POINTS}. Ask for fewer points."
            )
        return np.array(wanted, np.int64)

    # ---- what is told of it

    def _notes(self, sample: Sample, profiles: Sequence[Profile]) -> list[str]:
        notes = []
        if not sum(sample.counts.values()):
            notes.append("There is no pixel to draw from: none is valid in all images.")
        elif self.allocation == "proportional" and sum(sample.counts.values()) < self.count:
            notes.append("There are fewer pixels than points asked for: all of them are drawn.")
        elif self.allocation == "equal":
            notes += [
                f"{'There are' if stratum is None else f'Class {stratum:.12g} has'} {count} "
                f"pixels, fewer than the {self.count} points asked for: all of them are drawn."
                for stratum, count in sample.counts.items()
                if count < self.count
            ][:MOST_SERIES]
        without = [
            f"{s:.12g}" for s, n in zip(sample.strata, sample.found) if s is not None and not n
        ]
        if without:
            few = ", ".join(without[:MOST_SERIES]) + (" ..." if without[MOST_SERIES:] else "")
            notes.append(f"Classes too small to get any of {self.count} points: {few}.")
        for number, profile in enumerate(profiles, 1):
            which = f"Image {number}: " if len(profiles) > 1 else ""
            notes += [which + note for note in scale_notes(profile, self.raw)]
        return notes


def shares(total: int, counts: Sequence[int]) -> list[int]:
    """A total shared out in proportion to counts, by largest remainders; the counts if less.

    Of equal remainders the first ones are rounded up.
    """
    whole = sum(counts)
    if whole <= total:
        return list(counts)
    parts = [divmod(total * count, whole) for count in counts]
    given = [part for part, _ in parts]
    order = sorted(range(len(parts)), key=lambda place: -parts[place][1])
    for place in order[: total - sum(given)]:
        given[place] += 1
    return given


def _limits(wanted: Sequence[int], counts: Sequence[int], slack: int = 1) -> np.ndarray:
    """Numbers below which about the wanted share of so many pixels lies, and rather too many.

    Eight standard deviations more than wanted: one draw in 10^15 has too few.
    """
    return np.array(
        [
            min(LARGEST, int(slack * (n + 8 * n**0.5 + 8)) * 2**64 // max(1, count))
            for n, count in zip(wanted, counts)
        ],
        np.uint64,
    )


def _sizes(found: Drawn, classes: Optional[np.ndarray]) -> Any:
    """How many pixels were drawn of each class."""
    if classes is None or found.strata is None:
        return np.array([found.numbers.size])
    return np.bincount(np.searchsorted(classes, found.strata), minlength=classes.size)


def _lowest(
    found: Drawn, classes: Optional[np.ndarray], counts: dict[Stratum, int], wanted: np.ndarray
) -> Sample:
    """The pixels with the lowest numbers of each class; of equal numbers, the upper left one."""
    places = np.zeros(found.numbers.size, np.int64)
    if classes is not None and found.strata is not None:
        places = np.searchsorted(classes, found.strata)
    order = np.lexsort((found.cols, found.rows, found.numbers, places))
    sorted_places = places[order]
    rank = np.arange(order.size) - np.searchsorted(sorted_places, sorted_places)
    chosen = order[rank < wanted[sorted_places]]
    chosen = chosen[np.lexsort((found.cols[chosen], found.rows[chosen], places[chosen]))]
    return Sample(
        counts, wanted, places[chosen], found.rows[chosen], found.cols[chosen],
        tuple(pixels[:, chosen] for pixels in found.values),
    )  # fmt: skip
