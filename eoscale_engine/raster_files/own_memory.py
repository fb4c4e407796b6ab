"""Names of images in the memory of one program, which no other sees: the engine, or a worker."""

from __future__ import annotations

import re

from eoscale_engine.errors import InputError

_OWN = re.compile(r"(?<![\w.-])(?:/vsimem/|/vsistdin)|MEM:::")
"""Also within other names, such as /vsizip//vsimem/a.zip; not a folder of that name on a disk."""


def in_own_memory(name: str) -> bool:
    """Whether an image, or a file behind it, is in the memory of the program that named it."""
    return bool(_OWN.search(name))


def unseen(name: str) -> InputError:
    """What to say where another program's image is asked for."""
    return InputError(
        f"{name} is in the memory of the program that made it. The engine is another program and "
        "cannot see it: save it as a file (in QGIS by Export > Save As), and use that."
    )


def check_path(path: object) -> str:
    """An image's path as text; an InputError for an array, or a dataset that is open."""
    if isinstance(path, (str, bytes)) or hasattr(path, "__fspath__"):
        text = path.decode() if isinstance(path, bytes) else str(path)
        # an address: in any other program, and at any other time, something else lies there
        if text.startswith("MEM:::"):
            raise unseen(f"'{text}'")
        return text
    raise InputError(
        f"An image is opened by its path, not by an object of type {type(path).__name__}. Save it "
        "as a file; or make an image with create_image, and put the pixels into get_array."
    )
