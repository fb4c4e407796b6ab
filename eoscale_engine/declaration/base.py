"""What the three kinds of declarations share."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Optional, SupportsIndex

import numpy as np

from eoscale_engine.callables import rebuilt, reference_to
from eoscale_engine.declaration.inputs import Input, Output, image
from eoscale_engine.errors import InputError
from eoscale_engine.parameter_kinds import Band
from eoscale_engine.parameters import Parameter, checked_values, parameters_of
from eoscale_engine.profile import Profile
from eoscale_engine.styles import Style
from eoscale_engine.words import counted


class Declaration(ABC):
    """What all three kinds share: identity, parameters, inputs, checks."""

    name: ClassVar[str] = ""
    """Identifier in lowercase ASCII; models and scripts store it, so it never changes."""
    label: ClassVar[str] = ""
    """What users call it."""
    stage: str = ""
    """What a step of procedures does, in words ("Finding objects"): it has no name or label."""
    group: ClassVar[str] = ""
    tags: ClassVar[tuple[str, ...]] = ()
    icon: ClassVar[str] = ""
    """Name of an icon file of the plugin, without ending; empty for the group's."""
    inputs: ClassVar[tuple[Input, ...]] = (image(),)
    outputs: ClassVar[tuple[Output, ...]] = ()
    """The images that it makes."""
    numbers: ClassVar[tuple[tuple[str, str], ...]] = ()
    """Names and labels of the output numbers in its :class:`Summary`."""
    reports: ClassVar[bool] = False
    """Whether it gives a :class:`Summary` beside images; what makes none gives one anyway."""
    one_pass: ClassVar[bool] = False
    """Whether it reads its images once, whatever its parameters (see :meth:`reads_once`)."""
    copies_part: ClassVar[bool] = False
    """Whether an extent's part of images that are not in memory is brought there first."""
    one_of: ClassVar[tuple[str, ...]] = ()
    """Optional roles of which exactly one must be given."""
    keeps_alpha: ClassVar[bool] = False
    """Whether the alpha band of a whole image is one like any other, and tells of no validity."""
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
    def label_of(cls, role: str) -> str:
        """What users call the input in a role."""
        return next((item.label for item in cls.inputs if item.role == role), role)

    @classmethod
    def summary(cls) -> str:
        """The first paragraph of the help, on one line."""
        return " ".join((cls.__doc__ or "").strip().split("\n\n")[0].split())

    @property
    def title(self) -> str:
        """What its results are called, where the label says too little of them."""
        return self.label

    @property
    def called(self) -> str:
        """What the log and messages call it; a user's own class by its name."""
        return self.stage or self.label or type(self).__name__

    @property
    def margin(self) -> int:
        """Pixels needed on every side of a block or cell."""
        return 0

    def styles(self) -> Sequence[Optional[Style]]:
        """How QGIS draws each output at first; nothing for its own default."""
        return ()

    def reads_once(self, inputs: Sequence[Profile]) -> bool:
        """Whether one pass over the images does: a file is then worked on as it is decoded."""
        return self.one_pass

    def __post_init__(self) -> None:
        for name, value in checked_values(self.parameters(), vars(self), self.called).items():
            object.__setattr__(self, name, value)
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
            which = " or ".join(f"'{cls.label_of(role)}' ({role})" for role in cls.one_of)
            raise InputError(
                f"{cls.label} needs either {which}"
                + (", but not both: leave one empty." if found else ": give one of them.")
            )

    def doubts(self, inputs: Mapping[str, Sequence[Profile]]) -> Sequence[str]:
        """What may make the result meaningless: each a sentence with its remedy, told once."""
        return ()

    def remarks(self, inputs: Mapping[str, Sequence[Profile]]) -> Sequence[str]:
        """How inputs are taken that can be taken otherwise: sentences for the log, told once."""
        return ()

    def named_bands(self, role: str) -> tuple[int, ...]:
        """The numbers of bands that parameters name in the image of a role."""
        return tuple(number for _, where, number in self.given_bands() if where == role)

    def given_bands(self) -> Iterator[tuple[Parameter, str, int]]:
        """The parameters that name a band and count, each with the image's role and the number."""
        for item in self.parameters():
            number = getattr(self, item.name)
            if isinstance(item.kind, Band) and number is not None and item.counts(vars(self)):
                yield item, item.kind.role, number

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
                    which = "" if len(profiles) == 1 else f"image {number} of "
                    raise InputError(
                        f"{self.called} does not take {profile.dtype} pixels, which "
                        f"{which}'{self.label_of(role)}' has. Convert the image first, a complex "
                        "one to amplitude or phase."
                    )
        for item, role, number in self.given_bands():
            found = inputs.get(role, ())
            if found and number > found[0].count:
                raise InputError(
                    f"{self.called}: '{item.label}' is band {number}, but "
                    f"'{self.label_of(role)}' has {counted(found[0].count, 'band')}. Choose a "
                    "band that it has."
                )
