"""Files that appear whole under their name, or not at all."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Union

from eoscale_engine.errors import OutputError
from eoscale_engine.own_folders import CLIENT, MARK, make_folder, remove_stale_folders
from eoscale_engine.raster_files.writing import PREFIX

PathLike = Union[str, Path]


@contextmanager
def written_beside(target: PathLike) -> Iterator[Path]:
    """Where to write a file first: it takes its place, with its side files, once it is whole.

    Until then what was there stays, and it stays for good where writing fails.

    Raises
    ------
    OutputError
        Where the file cannot be written; it names the target and the reason.
    """
    target = Path(target).absolute()
    beside, folder, held = str(target.parent), None, None
    try:
        remove_stale_folders(beside, PREFIX)  # of writers that were killed
        folder, held = make_folder(beside, PREFIX, [glob.escape(target.stem) + "*"])
        yield folder / target.name
        for path in sorted(folder.iterdir()):
            if path.name not in (MARK, CLIENT):
                os.replace(path, target.with_name(path.name))
    except OSError as error:
        raise OutputError(
            f"'{target}' cannot be written ({error.strerror or error}). Choose another place."
        ) from error
    finally:
        if held is not None:
            held.close()
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)
