"""The filters between which objects are found: labels of pieces, of objects, values of objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Optional

import numpy as np

from eoscale_engine.declaration import Blocks, ImageFilter, Input, Pixels, image, parameter
from eoscale_engine.filters.labels.labelling import (
    CONNECTIVITIES,
    CONNECTIVITY_HELP,
    pieces_of,
    places_in,
    runs_of,
)
from eoscale_engine.filters.origins import Origins, own_band
from eoscale_engine.profile import Profile, can_hold

SELECTIONS = ("all but 0", "all values", "given values")


def is_selected(values: np.ndarray, selection: str, given: Sequence[float]) -> np.ndarray:
    """Where values, of any shape, are among the selected ones."""
    if selection == "all values":
        return np.ones(values.shape, bool)
    if selection == "all but 0":
        return values != 0
    kind = values.dtype
    return np.isin(values, [kind.type(value) for value in given if can_hold(kind.name, value)])


@dataclass(frozen=True)
class PieceLabels(ImageFilter):
    """Label the pieces of objects that lie in each block, each by its first pixel's place.

    A label is ``row * image width + col + 1`` of the piece's first pixel in raster order; 0 is what
    belongs to none. It depends on the blocks, unlike the objects that
    :class:`eoscale_engine.reductions.objects.ObjectsFound` makes of the pieces: the smallest label
    of an object is its first pixel's place, however it was cut. uint32, or uint64 for images of
    2^32 - 1 pixels and more.
    """

    stage = "Labelling pieces of objects"
    spares_nodata: ClassVar[bool] = True
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    connectivity: str = parameter(choices=CONNECTIVITIES, help=CONNECTIVITY_HELP)
    selection: str = parameter(choices=SELECTIONS, help="Values whose pixels are objects")
    given: tuple[float, ...] = parameter((), kind="numbers", help="The given values")
    gaps: bool = parameter(False, help="Whether invalid pixels are objects too")

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Large enough for every place in the image."""
        profile = inputs[0]
        dtype = "uint32" if profile.width * profile.height < 2**32 - 1 else "uint64"
        return [replace(profile, dtype=dtype).with_bands(("",) * profile.count, 0)]

    def apply(self, blocks: Blocks) -> Pixels:
        """Label one block, band by band."""
        block, core, width = blocks[0], blocks.core, blocks[0].profile.width
        dtype = self.output_profiles([block.profile])[0].dtype
        labels = np.empty(block.pixels.shape, dtype)
        kept = self._kept(block.pixels, block.valid)
        for band, values in enumerate(block.filled()):
            mask = None if kept is None else kept[band]
            gaps = block.valid[band] if self.gaps and block.valid is not None else None
            pieces = pieces_of(values, self.connectivity, kept=mask, valid=gaps)
            rows, cols = np.divmod(pieces.first, core.cols)
            places = (rows + core.row) * width + cols + core.col + 1
            # what is not kept becomes nodata, 0; "clip" spares a check of every pixel
            np.take(places[pieces.root].astype(dtype), pieces.run, out=labels[band], mode="clip")
        return labels, kept

    def _kept(self, pixels: np.ndarray, valid: Optional[np.ndarray]) -> Optional[np.ndarray]:
        """Where pixels are of objects; None for everywhere."""
        if self.selection == "all values":
            return None if self.gaps else valid
        kept = is_selected(pixels, self.selection, self.given)
        return kept if valid is None else kept & valid


@dataclass(frozen=True)
class ObjectLabels(ImageFilter):
    """Give the pieces of each object its number, the same for any blocks."""

    stage = "Numbering objects"
    spares_nodata: ClassVar[bool] = True
    inputs: ClassVar[tuple[Input, ...]] = (image("LABELS"),)
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    ids: Any = parameter(kind="data", help="Labels of all pieces, by band")
    objects: Any = parameter(kind="data", help="The object of each piece, by band")
    names: Any = parameter(kind="data", help="Names of the bands")

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """Numbers up to 2^32 - 1, 0 for none."""
        return [replace(inputs[0], dtype="uint32").with_bands(tuple(self.names), 0)]

    def apply(self, blocks: Blocks) -> Pixels:
        """Look the labels of one block up in the table."""
        block = blocks[0]
        labels = np.empty(block.pixels.shape, np.uint32)
        for band, (ids, numbers) in enumerate(zip(self.ids, self.objects)):
            runs = runs_of(block.pixels[band])
            labels[band] = runs.spread(numbers[places_in(ids, runs.labels)])
        return labels, block.valid


@dataclass(frozen=True)
class ObjectValues(ImageFilter):
    """Give the pixels of some objects another value, or none; all else stays as it is."""

    stage = "Replacing objects"
    spares_nodata: ClassVar[bool] = True
    inputs: ClassVar[tuple[Input, ...]] = (image("INPUT"), image("LABELS"))
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ()

    ids: Any = parameter(kind="data", help="Labels of all pieces, by band")
    changed: Any = parameter(kind="data", help="Whether pieces get another value, by band")
    values: Any = parameter(kind="data", help="That value, by band; None for none at all")
    nodata: Any = parameter(None, kind="data", help="Of bands that have none")

    @property
    def makes_invalid(self) -> bool:
        """Where objects get no value."""
        return any(values is None for values in self.values)

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """As the input, with nodata where it is needed."""
        profile = inputs[0]
        if self.nodata is None:
            return [profile]
        bands = tuple(
            band
            if band.nodata is not None and can_hold(profile.dtype, band.nodata)
            else replace(band, nodata=self.nodata)
            for band in profile.bands
        )
        return [replace(profile, bands=bands)]

    def taken_from(self, inputs: Sequence[Profile]) -> Origins:
        """Values of objects of the same band."""
        return own_band(inputs)

    def apply(self, blocks: Blocks) -> Pixels:
        """Look the labels of one block up in the tables."""
        block, labels = blocks[0], blocks[1].pixels
        pixels, valid = block.pixels.copy(), block.valid
        for band, tables in enumerate(zip(self.ids, self.changed, self.values)):
            ids, changed, values = tables
            runs = runs_of(labels[band])
            places = places_in(ids, runs.labels)
            if not changed[places].any():
                continue
            here = runs.spread(changed[places])
            if valid is block.valid:
                valid = np.ones(pixels.shape, bool) if valid is None else valid.copy()
            valid[band][here] = values is not None
            if values is not None:
                np.copyto(pixels[band], runs.spread(values[places]), where=here)
        return pixels, valid
