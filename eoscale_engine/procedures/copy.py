"""An image as it is: what loading and saving run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from eoscale_engine.declaration import Engine, Output, Procedure, Result, image
from eoscale_engine.profile import Profile


@dataclass(frozen=True)
class Copy(Procedure):
    """The chosen bands and extent of an image, unchanged."""

    name = "copy"
    label = "Copy"
    group = "Images"
    inputs = (image(),)
    outputs = (Output(),)
    dtype_kinds = "iufc"
    keeps_alpha = True

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """None but the input itself, or its part in the extent."""
        return ()

    def run(self, images: Mapping[str, Sequence[Any]], engine: Engine) -> Result:
        """The image, or its part in the extent."""
        return Result((engine.part(images["INPUT"][0]),))
