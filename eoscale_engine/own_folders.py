"""Private folders of our own: marked when they are made, locked while in use, swept when stale.

A name proves nothing, so a folder is removed only if it carries our mark, is a private folder of
this user, nobody holds its locks, and nothing lies in it but what its mark names. It is removed
file by file.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import IO, Any, Optional

MARK, FORMAT = "eoscale.json", "EOScale private folder, version 1"
CLIENT, ENGINE = "client.lock", "engine.lock"
"""A folder is in use while any process holds one of them."""

GDAL_FOLDER = "gdal"
"""The folder for GDAL's own temporary files, of any name."""

LARGEST_MARK = 4096


def lock(path: Path, *, make: bool = True) -> Optional[IO[bytes]]:
    """Lock a file for as long as the returned file is open; None where another process holds it.

    Without ``make`` an OSError where there is no such file.
    """
    file = path.open("ab" if make else "r+b")
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def make_folder(root: str, prefix: str, names: Sequence[str]) -> tuple[Path, Optional[IO[bytes]]]:
    """Make a private folder for files of these names (patterns); and the lock that it is held by.

    The lock is None where the file system has none: then nobody sweeps the folder either. Raises an
    OSError where it cannot be made.
    """
    path = Path(tempfile.mkdtemp(prefix=prefix, dir=root))
    held = None
    try:
        held = lock(path / CLIENT)
        # marked last: what carries a mark has been locked, and is stale when it no longer is
        mark = {"format": FORMAT, "user": _user(), "started": time.time(), "names": list(names)}
        (path / MARK).write_text(json.dumps(mark), encoding="utf-8")
    except OSError:
        if held is not None:
            held.close()
        shutil.rmtree(path, ignore_errors=True)
        raise
    return path, held


def remove_stale_folders(root: str, prefix: str) -> list[str]:
    """Remove the folders in ``root`` that we made and that no process holds; their names."""
    return [path.name for path in Path(root).glob(prefix + "*") if _removed_if_stale(path)]


def _removed_if_stale(path: Path) -> bool:
    held: list[IO[bytes]] = []
    try:
        files = _files(path)
        if files is None:
            return False
        for name in (CLIENT, ENGINE):
            if (path / name).exists():
                found = lock(path / name, make=False)
                if found is None:
                    return False
                held.append(found)
        # the mark last: what a killed sweeper leaves is swept by the next one
        last = (path / CLIENT, path / ENGINE, path / MARK)
        for file in files:
            if file not in last:
                file.unlink()
        with suppress(FileNotFoundError):
            (path / GDAL_FOLDER).rmdir()
        while held:  # some systems do not remove a file that is open
            held.pop().close()
        for file in last:
            file.unlink(missing_ok=True)
        path.rmdir()
    except OSError:  # swept by another process meanwhile, or not ours to remove
        return False
    finally:
        for still in held:
            still.close()
    return True


def _files(path: Path) -> Optional[list[Path]]:
    """All files of a folder that we made; None of any other, and where others lie in it."""
    names = _named_in_mark(path)
    if names is None:
        return None
    files = []
    for entry in list(os.scandir(path)):
        if entry.name == GDAL_FOLDER and entry.is_dir(follow_symlinks=False):
            inside = list(os.scandir(entry))
            if not all(_is_plain(file) for file in inside):
                return None
            files += [Path(file) for file in inside]
        elif _is_plain(entry) and any(fnmatchcase(entry.name, name) for name in names):
            files.append(Path(entry))
        else:
            return None
    return files


def _named_in_mark(path: Path) -> Optional[list[str]]:
    """The names of the files that a folder was made for; None of a folder that is not ours."""
    state = path.lstat()
    private = stat.S_ISDIR(state.st_mode) and (os.name == "nt" or not state.st_mode & 0o077)
    if not private or (hasattr(os, "getuid") and state.st_uid != os.getuid()):
        return None
    mark = (path / MARK).lstat()
    if not stat.S_ISREG(mark.st_mode) or mark.st_size > LARGEST_MARK:
        return None
    try:
        found: Any = json.loads((path / MARK).read_text(encoding="utf-8"))
        if (found["format"], found["user"]) == (FORMAT, _user()):
            return [MARK, CLIENT, ENGINE, *map(str, found["names"])]
    except (ValueError, KeyError, TypeError):  # something else of this name
        return None
    return None


def _is_plain(entry: os.DirEntry[str]) -> bool:
    """Whether it is a file like those that we make: no folder, no link, none that has two names."""
    state = entry.stat(follow_symlinks=False)
    return stat.S_ISREG(state.st_mode) and (os.name == "nt" or state.st_nlink == 1)


def _user() -> int:
    return os.getuid() if hasattr(os, "getuid") else 0
