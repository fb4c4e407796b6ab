"""What is computed: image filters, reductions and procedures, each declared once.

A declaration is a frozen dataclass. Its fields are its parameters (see :func:`parameter`), its
``inputs`` say which images it takes, and its docstring is its help. Everything else (tiling,
shared memory, workers, nodata, progress, the Processing algorithm, the reference page, the tests
of exactness) is derived from it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Optional, SupportsIndex, Union

import numpy as np

from eoscale_engine.callables import rebuilt, reference_to
from eoscale_engine.errors import InputError
from eoscale_engine.parameters import Parameter, parameter, parameters_of
from eoscale_engine.polygons import Polygons
from eoscale_engine.profile import Profile
from eoscale_engine.styles import Style
from eoscale_engine.tiling import Window

__all__ = [
    "Block",
    "Blocks",
    "Chart",
    "Declaration",
    "Engine",
    "HeatMap",
    "ImageFilter",
    "Input",
    "Output",
    "Parameter",
    "Partial",
    "Pixels",
    "Procedure",
    "Reduction",
    "Summary",
    "Table",
    "Within",
    "image",
    "images",
    "parameter",
    "polygons",
]

# ---------------------------------------------------------------- inputs and outputs


@dataclass(frozen=True)
class Input:
    """An image (or, with ``many``, a list of images) in the role that it plays, or polygons.

    ``band_choice`` says whether users choose its bands; not where a parameter names them.
    ``polygons`` is a vector layer, of which procedures get the polygons by
    :meth:`Engine.polygons`.
    """

    role: str
    label: str = ""
    help: str = ""
    many: bool = False
    optional: bool = False
    band_choice: bool = True
    polygons: bool = False


def image(
    role: str = "INPUT",
    *,
    label: str = "",
    help: str = "",  # noqa: A002 - the field's own word
    optional: bool = False,
    band_choice: bool = True,
) -> Input:
    """One image in a role."""
    label = label or role.capitalize() + " image"
    return Input(role, label, help, many=False, optional=optional, band_choice=band_choice)


def images(
    role: str = "INPUTS",
    *,
    label: str = "",
    help: str = "",  # noqa: A002 - the field's own word
    optional: bool = False,
    band_choice: bool = True,
) -> Input:
    """One or more images in a role."""
    label = label or role.rstrip("S").capitalize() + " images"
    return Input(role, label, help, many=True, optional=optional, band_choice=band_choice)


def polygons(
    role: str = "POLYGONS",
    *,
    label: str = "",
    help: str = "",  # noqa: A002 - the field's own word
    optional: bool = False,
) -> Input:
    """A vector layer of polygons in a role, of procedures only."""
    label = label or role.capitalize()
    return Input(role, label, help, optional=optional, band_choice=False, polygons=True)


@dataclass(frozen=True)
class Output:
    """An image that a filter or procedure makes."""

    name: str = "OUTPUT"
    label: str = "Result"
    optional: bool = False


# ---------------------------------------------------------------- what a function sees


@dataclass(frozen=True)
class Block:
    """What ``apply`` and ``map`` see of one input.

    Attributes
    ----------
    pixels : array of (bands, rows + margins, cols + margins), in the image's dtype
        Read-only; often a view into shared memory.
    valid : boolean array of the same shape, or None where every pixel is valid
        Pixels that are not valid may hold anything (nodata, NaN, 0 beyond the border).
    profile : Profile
        Of the whole input image, with the chosen bands.
    core : Window
        The block's place in the whole image, without the margins.
    margins : (top, left, bottom, right)
        Pixels around the core. All equal the declaration's margin, save with the border "cut".
    """

    pixels: np.ndarray
    valid: Optional[np.ndarray]
    profile: Profile
    core: Window
    margins: tuple[int, int, int, int] = (0, 0, 0, 0)

    def filled(self, value: float = 0) -> np.ndarray:
        """The pixels, with ``value`` where they are invalid; a copy only where some are."""
        if self.valid is None:
            return self.pixels
        return np.where(self.valid, self.pixels, np.asarray(value, self.pixels.dtype))


class Blocks(Sequence[Block]):
    """The blocks of all inputs, by number and by role.

    ``blocks[0]`` is the first image's; ``blocks.role("MASK")`` a role's block, or None where an
    optional image was not given; ``blocks.all("DATES")`` the list of a role's blocks.

    ``inside`` is None, or where a reduction is told to look: boolean ``(rows, cols)`` of the core.
    All other pixels are invalid in every block, but belong to no count of invalid pixels:
    ``size`` is the number of pixels that count.
    """

    def __init__(
        self,
        core: Window,
        roles: Mapping[str, Sequence[Block]],
        inside: Optional[np.ndarray] = None,
    ) -> None:
        self.core = core
        self.inside = inside
        self._roles = roles
        self._blocks = [block for blocks in roles.values() for block in blocks]

    def __getitem__(self, index: Any) -> Any:
        return self._blocks[index]

    def __len__(self) -> int:
        return len(self._blocks)

    def __iter__(self) -> Iterator[Block]:
        return iter(self._blocks)

    @property
    def size(self) -> int:
        """Number of pixels of the core that count, valid or not."""
        if self.inside is None:
            return self.core.rows * self.core.cols
        return int(np.count_nonzero(self.inside))

    def restricted(self, inside: np.ndarray) -> Blocks:
        """The same blocks, which have no margins, with pixels valid only where ``inside`` is."""
        roles = {
            role: [
                replace(b, valid=np.broadcast_to(inside, b.pixels.shape) & _all_or(b.valid))
                for b in blocks
            ]
            for role, blocks in self._roles.items()
        }
        return Blocks(self.core, roles, inside)

    def role(self, role: str) -> Optional[Block]:
        """The block of the one image in this role."""
        blocks = self._roles.get(role, ())
        return blocks[0] if blocks else None

    def all(self, role: str) -> Sequence[Block]:
        """The blocks of all images in this role, in order."""
        return self._roles.get(role, ())


def _all_or(valid: Optional[np.ndarray]) -> Any:
    return True if valid is None else valid


Pixels = tuple[np.ndarray, Optional[np.ndarray]]
"""A block's result: pixels ``(bands, rows, cols)`` and where they are valid (None: everywhere)."""

Partial = Any
"""What ``map`` finds in one cell: any picklable value."""


# ---------------------------------------------------------------- results that are not images


@dataclass(frozen=True)
class Table:
    """Rows of plain values (numbers, text or None) under named columns.

    ``shown`` names the column by which rows that have a place on a map are coloured there.
    """

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    shown: str = ""


@dataclass(frozen=True)
class Chart:
    """A plot as data: one or more series over a common axis. ``kind`` is ``bars`` or ``lines``."""

    title: str
    x_label: str
    y_label: str
    series: tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...]
    kind: str = "bars"


@dataclass(frozen=True)
class HeatMap:
    """A plot as data: a matrix drawn in colours, ``values[row][column]``; None for no value.

    ``x`` and ``y`` name the columns and rows: texts, or numbers (the middles of equal bins).
    ``limits`` are the values of the first and last colour, by default the smallest and largest;
    where they lie on either side of 0 alike, the colours diverge from it. ``logarithmic`` colours
    suit counts. ``shows_values`` writes each value into its cell.
    """

    title: str
    x_label: str
    y_label: str
    x: tuple[Any, ...]
    y: tuple[Any, ...]
    values: tuple[tuple[Optional[float], ...], ...]
    limits: Optional[tuple[float, float]] = None
    logarithmic: bool = False
    shows_values: bool = False
    kind: str = "heatmap"


@dataclass(frozen=True)
class Summary:
    """The values that a reduction finds.

    ``tables[0]`` becomes the table layer, ``numbers`` the output numbers that a model can use,
    all of it the JSON file and the report.
    """

    title: str
    tables: tuple[Table, ...]
    numbers: Mapping[str, Optional[float]] = field(default_factory=dict)
    charts: tuple[Union[Chart, HeatMap], ...] = ()
    notes: tuple[str, ...] = ()


# ---------------------------------------------------------------- the three kinds


class Declaration(ABC):
    """What all three kinds share: identity, parameters, inputs, checks."""

    name: ClassVar[str] = ""
    """Identifier in lowercase ASCII; models and scripts store it, so it never changes."""
    label: ClassVar[str] = ""
    group: ClassVar[str] = ""
    tags: ClassVar[tuple[str, ...]] = ()
    icon: ClassVar[str] = ""
    """Name of an icon file of the plugin, without ending; empty for the group's."""
    inputs: ClassVar[tuple[Input, ...]] = (image(),)
    one_of: ClassVar[tuple[str, ...]] = ()
    """Optional roles of which exactly one must be given."""
    runs_user_code: ClassVar[bool] = False
    """Whether a user's Python runs in it: never inside QGIS's own process."""
    dtype_kinds: ClassVar[str] = "iuf"
    """NumPy's kinds of data types that the inputs may have: integers, floats, ``c`` complex."""
    examples: ClassVar[tuple[Mapping[str, Any], ...]] = ({},)
    """Parameters that the tests of exactness run it with, on small images of two bands."""
    picture: ClassVar[Mapping[str, Any]] = {}
    """Parameters that its picture in the reference is made with, where the defaults show little."""
    sample: ClassVar[str] = ""
    """The sample image that suits it: optical, elevation, sar or classes; empty: by its group."""
    table_geometry: ClassVar[str] = ""
    """What the rows of the first table are on a map: ``points``, whose columns ``x`` and ``y`` are
    in the CRS of the first image, or ``polygons``: where polygons were given, the column ``zone``
    holds their features' identifiers, and their geometry and attributes come before the values."""

    @classmethod
    def parameters(cls) -> tuple[Parameter, ...]:
        """The declaration's parameters, in order; none of a class without fields."""
        return parameters_of(cls)

    @classmethod
    def summary(cls) -> str:
        """The first paragraph of the help, on one line."""
        return " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())

    @property
    def title(self) -> str:
        """What its results are called, where the label says too little of them."""
        return self.label

    def __post_init__(self) -> None:
        for item in self.parameters():
            value = item.checked(getattr(self, item.name), self.label or type(self).__name__)
            object.__setattr__(self, item.name, value)
        self.validate()

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        # workers have another `__main__`: a class of the user's script is found in its file
        if type(self).__module__ != "__main__":
            return super().__reduce_ex__(protocol)
        reference = reference_to(type(self))
        if isinstance(reference, str):
            name = type(self).__name__
            raise TypeError(f"{name} cannot be sent to another process: {reference}.")
        return rebuilt, (reference, vars(self))

    def validate(self) -> None:
        """Refuse, with an :class:`InputError`, parameters that do not go together."""

    @classmethod
    def check_roles(cls, given: Sequence[str]) -> None:
        """Refuse, with an :class:`InputError`, none or several of the roles of ``one_of``."""
        found = [role for role in cls.one_of if role in given]
        if cls.one_of and len(found) != 1:
            labels = {item.role: f"{item.label} ({item.role})" for item in cls.inputs}
            which = " or ".join(labels[role] for role in cls.one_of)
            raise InputError(
                f"{cls.label} needs either {which}"
                + (", but not both." if found else ": give one of them.")
            )

    def doubts(self, inputs: Mapping[str, Sequence[Profile]]) -> Sequence[str]:
        """What may make the result meaningless: each a sentence with its remedy, told once."""
        return ()

    def remarks(self, inputs: Mapping[str, Sequence[Profile]]) -> Sequence[str]:
        """How inputs are taken that can be taken otherwise: sentences for the log, told once."""
        return ()

    def named_bands(self, role: str) -> tuple[int, ...]:
        """The numbers of bands that parameters name in the image of a role."""
        bands = [i for i in self.parameters() if i.kind == "band" and i.role == role]
        numbers = (getattr(self, item.name) for item in bands)
        return tuple(number for number in numbers if number is not None)

    @property
    def differing(self) -> tuple[str, ...]:
        """Roles whose images (their chosen bands) must be different ones to say anything."""
        return ()

    @property
    def places(self) -> str:
        """What the map under the pixels is to it.

        ``cells``, whose size its values depend on; ``coordinates`` of pixels or polygons, without
        which it has no result; ``areas``, which stay empty where they are unknown; or nothing.
        """
        return ""

    def check(self, inputs: Mapping[str, Sequence[Profile]]) -> None:
        """Refuse, with an :class:`InputError`, unusable inputs; called before any work."""
        for role, profiles in inputs.items():
            for number, profile in enumerate(profiles, 1):
                if np.dtype(profile.dtype).kind not in self.dtype_kinds:
                    which = role if len(profiles) == 1 else f"{role} {number}"
                    raise InputError(
                        f"{self.label or type(self).__name__} does not take {profile.dtype} pixels "
                        f"({which}). Convert the image first, a complex one to amplitude or phase."
                    )
        bands = [item for item in self.parameters() if item.kind == "band"]
        for item in bands:
            number, found = getattr(self, item.name), inputs.get(item.role, ())
            if number is not None and found and number > found[0].count:
                raise InputError(
                    f"{self.label}: '{item.label}' is band {number}, but the image has "
                    f"{found[0].count} band(s) ({item.role})."
                )


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
    ``valid``: it gets none, and its results that equal the output's nodata value are invalid. Else
    such results are valid, and moved aside by the least step."""

    @property
    def margin(self) -> int:
        """Pixels needed on every side of a block."""
        return 0

    @property
    def makes_invalid(self) -> bool:
        """Whether results can be invalid where all pixels of the inputs are valid."""
        return False

    def output_profiles(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """The profile of each output image. Where ``nodata`` is None the engine picks one."""
        return [inputs[0]]

    def styles(self) -> Sequence[Optional[Style]]:
        """How QGIS draws each output at first; nothing for its own default."""
        return ()

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
        writes nodata where they are not valid, and never changes what ``apply`` got.
        """


class Reduction(Declaration):
    """N images -> M values.

    ``map`` looks at one fixed cell of at most 512 x 512 pixels, anchored at the image's origin;
    partials are merged in the order of the cells, whatever the tiling and the number of workers.
    With a ``margin`` a cell's blocks have so many pixels more on every side, extended beyond the
    image as ``border`` says: a filter and its reduction in one pass. With an extent these are real
    pixels, but in a procedure, which sees the extent's alone.
    """

    border: ClassVar[str] = "invalid"

    numbers: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Names and labels of the output numbers in the :class:`Summary` that ``finish`` returns."""
    merge_in_worker: ClassVar[bool] = False
    """Whether ``merge`` and ``finish`` may harm their process (a user's code): run in a worker."""

    @property
    def margin(self) -> int:
        """Pixels needed on every side of a cell."""
        return 0

    def reads_once(self, inputs: Sequence[Profile]) -> bool:
        """Whether one pass over the images does: a file is then worked on as it is decoded."""
        return True

    @abstractmethod
    def map(self, blocks: Blocks) -> Partial:
        """What one cell contributes."""

    @abstractmethod
    def merge(self, first: Partial, second: Partial) -> Partial:
        """Both together; may change and return ``first``."""

    @abstractmethod
    def finish(self, merged: Partial, inputs: Sequence[Profile]) -> Any:
        """The values, usually a :class:`Summary`."""


@dataclass(frozen=True)
class Within:
    """The part of the images that a reduction without a margin looks at: what all of these allow.

    Attributes
    ----------
    mask : image, optional
        Pixels where its first band is valid and not 0.
    polygons : Polygons, optional
        Pixels that lie in any of them.
    """

    mask: Any = None
    polygons: Optional[Polygons] = None


class Engine(ABC):
    """What a procedure may ask of the engine. Images are the engine's handles.

    With an extent, reductions see its pixels only, and so does all that looks at an image that the
    procedure made; a filter of input images has their real pixels beyond it in its margin.
    """

    @abstractmethod
    def filter(self, declaration: ImageFilter, images: Mapping[str, Sequence[Any]]) -> list[Any]:
        """Run a filter; returns its output images."""

    @abstractmethod
    def reduce(
        self,
        declaration: Reduction,
        images: Mapping[str, Sequence[Any]],
        *,
        within: Optional[Within] = None,
        windows: Optional[Sequence[Window]] = None,
    ) -> Any:
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
    def profile(self, key: Any) -> Profile:
        """An image's profile."""

    @abstractmethod
    def polygons(
        self, key: Any, like: Any, *, field: str = "", all_touched: bool = False
    ) -> Polygons:
        """The polygons of a vector layer on the grid of an image, with a field's values."""

    @abstractmethod
    def release(self, key: Any) -> None:
        """Give back an intermediate image."""


class Procedure(Declaration):
    """Filters and reductions composed over several passes."""

    outputs: ClassVar[tuple[Output, ...]] = ()
    numbers: ClassVar[tuple[tuple[str, str], ...]] = ()
    reports: ClassVar[bool] = False
    """Whether a procedure with output images gives a :class:`Summary` too."""
    one_pass: ClassVar[bool] = False
    """Whether it reads its images once, whatever its parameters."""

    def styles(self) -> Sequence[Optional[Style]]:
        """How QGIS draws each output at first; nothing for its own default."""
        return ()

    def reads_once(self, inputs: Sequence[Profile]) -> bool:
        """Whether one pass over the images does: a file is then worked on as it is decoded."""
        return self.one_pass

    def images_made(self, inputs: Sequence[Profile]) -> Sequence[Profile]:
        """The images that it has at a time at most: results, and what it makes in between.

        By it the memory of a run is reckoned before it starts.
        """
        return list(inputs[:1]) * len(self.outputs)

    @abstractmethod
    def run(self, images: Mapping[str, Sequence[Any]], engine: Engine) -> Any:
        """The output images, in a list as ``outputs`` says (None: not made), or a
        :class:`Summary`, or both, as a pair, if it ``reports``.

        What else is left of what it made is released.
        """
