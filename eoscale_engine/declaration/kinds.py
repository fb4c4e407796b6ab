"""The three kinds of declarations, and what a procedure may ask of the engine."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import (
    TYPE_CHECKING,
    Any,
    ClassVar,
    Generic,
    Optional,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
)

import numpy as np

from eoscale_engine.declaration.base import Declaration
from eoscale_engine.declaration.blocks import Blocks, Pixels
from eoscale_engine.declaration.inputs import Output, Roles
from eoscale_engine.declaration.results import Result, Summary
from eoscale_engine.polygons import Polygons
from eoscale_engine.profile import Profile
from eoscale_engine.tiling import Window

if TYPE_CHECKING:
    from eoscale_engine.images.source import Inputs

Partial = TypeVar("Partial")
"""What ``map`` finds in one cell: any picklable value."""

Found = TypeVar("Found")
"""What ``finish`` makes of all partials together."""

Found_co = TypeVar("Found_co", covariant=True)
"""The same, of a class: what finds a list finds a sequence."""


class ImageFilter(Declaration):
    """N images -> M images, block by block.

    ``margin`` is the number of pixels around a block on which its result depends; ``border`` what
    lies beyond the image (see :data:`eoscale_engine.tiling.Borders`). ``whole_tiles`` asks for
    whole tiles in place of cache-sized blocks, for functions with a cost for each call.
    """

    outputs: ClassVar[tuple[Output, ...]] = (Output(),)
    border: ClassVar[str] = "invalid"
    whole_tiles: ClassVar[bool] = False
    marks_nodata: ClassVar[bool] = False
    """Whether nodata is the function's own business, as in plain functions that know nothing of
    ``valid``: it gets none, and its results that equal the output's nodata value are invalid."""
    spares_nodata: ClassVar[bool] = False
    """Whether no valid result equals the nodata value that ``output_profiles`` names. Else that
    value is not used: invalid floats are NaN, and masks tell of invalid integers."""

    @property
    def makes_invalid(self) -> bool:
        """Whether results can be invalid where all pixels of the inputs are valid."""
        return False

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """The profile of each output image; see ``spares_nodata`` for its nodata values."""
        return [inputs[0]]

    def taken_from(
        self, inputs: Sequence[Profile]
    ) -> Optional[Sequence[Sequence[tuple[int, int]]]]:
        """Of filters whose valid results are values of valid pixels of the inputs: of which bands.

        For each band of the output, the (input, band), from 0, that its values are taken from. It
        is invalid only where one of these may be, but for what ``makes_invalid`` says, and keeps
        their nodata value where they have the same. None: its values are new ones.
        """
        return None

    def farthest(self, side: int) -> Optional[np.ndarray]:
        """Pixels ``(2, side, side)``, for tests, that show that no smaller margin will do.

        For a margin that is a bound which few images reach: where the outermost ring of these
        pixels is invalid too (NaN is anyway), the core of 3 x 3 in the middle has another result.
        None: any image's.
        """
        return None

    @abstractmethod
    def apply(self, blocks: Blocks) -> Union[Pixels, list[Pixels]]:
        """The result on the core of one block: ``(pixels, valid)``, or a list of them, by output.

        ``pixels`` is ``(bands, rows, cols)`` of the core; ``valid`` is boolean of the same shape
        (or one that broadcasts to it), or None where every pixel is valid. The engine casts pixels
        to the output's dtype (integers are rounded half to even and clipped to the type's range),
        writes where they are not valid, and never changes what ``apply`` got.
        """


class Reduction(Declaration, Generic[Partial, Found_co]):
    """N images -> M values.

    ``map`` looks at one fixed cell of at most 512 x 512 pixels, anchored at the image's origin;
    partials are merged in the order of the cells, whatever the tiling and the number of workers.
    With a ``margin`` a cell's blocks have so many pixels more on every side, extended beyond the
    image as ``border`` says: a filter and its reduction in one pass. With an extent these are real
    pixels, but in a procedure, which sees the extent's alone.
    """

    one_pass = True
    border: ClassVar[str] = "invalid"
    merge_in_worker: ClassVar[bool] = False
    """Whether ``merge`` and ``finish`` may harm their process (a user's code): run in a worker."""

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        if cls.name and _found_by(cls) not in (Summary, "Summary"):
            raise TypeError(
                f"{cls.__name__} has a name, and so users who want to see what it finds: it must "
                "finish with a Summary. Declare it as Reduction[..., Summary]."
            )

    @abstractmethod
    def map(self, blocks: Blocks) -> Partial:
        """What one cell contributes."""

    @abstractmethod
    def merge(self, first: Partial, second: Partial) -> Partial:
        """Both together; may change and return ``first``."""

    def finish(self, merged: Partial, inputs: Sequence[Profile]) -> Found_co:
        """The values, a :class:`Summary` where it has a ``name``; by default what is merged."""
        return cast(Found_co, merged)


def _found_by(kind: type[Reduction[Any, Any]]) -> Any:
    """What its ``finish`` returns, as the class says, or the method."""
    bases = (base for one in kind.__mro__ for base in vars(one).get("__orig_bases__", ()))
    declared = (get_args(base)[1] for base in bases if get_origin(base) is Reduction)
    return next(declared, kind.finish.__annotations__.get("return"))


@dataclass(frozen=True)
class Within:
    """The part of the images that a reduction without a margin looks at: what all of these allow.

    Attributes
    ----------
    mask : str, optional
        An image's key: pixels where its first band is valid and not 0.
    polygons : Polygons, optional
        Pixels that lie in any of them.
    """

    mask: Optional[str] = None
    polygons: Optional[Polygons] = None


class Engine(ABC):
    """What a procedure may ask of the engine. Images are known by their keys.

    With an extent, reductions see its pixels only, and so does all that looks at an image that the
    procedure made; a filter of input images has their real pixels beyond it in its margin.
    """

    @abstractmethod
    def filter(self, declaration: ImageFilter, images: Roles) -> list[str]:
        """Run a filter; returns its output images."""

    def filtered(self, declaration: ImageFilter, images: Roles) -> list[str]:
        """The same images, computed when they are read where the engine can do that."""
        return self.filter(declaration, images)

    @abstractmethod
    def reduce(
        self,
        declaration: Reduction[Any, Found],
        images: Roles,
        *,
        within: Optional[Within] = None,
        windows: Optional[Sequence[Window]] = None,
    ) -> Found:
        """Run a reduction; returns what its ``finish`` returns.

        Parameters
        ----------
        within : Within, optional
            Where it looks: everywhere by default.
        windows : sequence of Window, optional
            What ``map`` gets in place of the fixed cells: any windows of the image, each once,
            merged in the order of their upper left corners by cells. None of them empty.
        """

    @abstractmethod
    def run(self, declaration: Declaration, images: Roles) -> Result:
        """Run a declaration of any kind, another procedure too, as a run of its own."""

    def part(self, key: Any) -> Any:
        """The part of an image in the extent; without one the image itself."""
        return key

    def around(self, pixels: int) -> Engine:
        """An engine whose extent reaches farther; without an extent itself.

        Each of both takes what the other made: this one its part in the smaller extent.
        """
        return self

    @abstractmethod
    def profile(self, key: str) -> Profile:
        """An image's profile."""

    @abstractmethod
    def polygons(
        self, key: str, like: str, *, field: str = "", all_touched: bool = False
    ) -> Polygons:
        """The polygons of a vector layer on the grid of an image, with a field's values."""

    @abstractmethod
    def release(self, key: str) -> None:
        """Give back an intermediate image."""


class Procedure(Declaration):
    """Filters and reductions composed over several passes."""

    copies_part = True

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """The images that it has at a time at most: results, and what it makes in between.

        By it the memory of a run is reckoned before it starts.
        """
        return list(inputs[:1]) * len(self.outputs)

    def runs(self, inputs: Inputs) -> Iterable[tuple[Declaration, Inputs]]:
        """What it runs on which sources, as far as that is known before: for the plan's memory."""
        return ()

    def passes(self, inputs: Sequence[Profile]) -> Sequence[str]:
        """What is done in each pass, for the plan; nothing where there is nothing to tell."""
        return ()

    @abstractmethod
    def run(self, images: Roles, engine: Engine) -> Result:
        """Images as ``outputs`` says, a summary where there are none or it ``reports``.

        What else is left of what it made is released.
        """
