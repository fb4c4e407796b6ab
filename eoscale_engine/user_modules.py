"""A user's Python files as modules, each with the neighbours that lie in its own folder."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.machinery import SourceFileLoader
from typing import Any, Optional

from eoscale_engine.errors import InputError
from eoscale_engine.raster_files.signature import FileState, file_state


class _SourceLoader(SourceFileLoader):
    """Always reads the source: compiled files may be stale within a second, and clutter folders."""

    def path_stats(self, path: Any) -> Mapping[str, Any]:
        raise OSError


class _Folder:
    """A folder of a user's files; its modules are in ``sys.modules`` only while it is in use."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.loaded: dict[str, Any] = {}
        self.states: dict[str, Optional[FileState]] = {}
        # what is imported already is the program's own, even where it lies in this folder
        self._others = {name.partition(".")[0] for name in sys.modules}
        self._on_path = path in sys.path
        self._neighbours: dict[str, Any] = {}
        self._seen = 0
        self._asked = 0

    def enter(self) -> None:
        """Bring its modules back; what its functions import as they run is found here too."""
        sys.modules.update(self._neighbours)
        if not self._on_path:
            sys.path.append(self.path)

    def leave(self) -> None:
        """Put its modules aside: another folder may have some of the same names."""
        self._seen = 0
        self.look_around()
        self._drop(self._neighbours)
        if not self._on_path:
            with suppress(ValueError):  # a user's file may change the path too
                sys.path.remove(self.path)

    def forget_what_changed(self) -> None:
        """Forget all of its modules where one's file changed: others may have values of it."""
        self.look_around()
        if any(file_state(file) != state for file, state in self.states.items()):
            self._drop(self._neighbours)
            self._drop(module.__name__ for module in self.loaded.values())
            self._neighbours, self.loaded, self.states, self._seen = {}, {}, {}, 0
        self._asked = time.time_ns()

    @contextmanager
    def first_on_path(self) -> Iterator[None]:
        """While a file loads, its folder comes before all others, as for a script."""
        writes_none, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        sys.path.insert(0, self.path)
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.dont_write_bytecode = writes_none
            with suppress(ValueError):
                sys.path.remove(self.path)

    def look_around(self) -> None:
        """Take up what was imported from this folder; asked for each block, so rarely looks."""
        if len(sys.modules) == self._seen:
            return
        self._seen = len(sys.modules)
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None) or ""
            here = os.path.join(self.path, *name.split("."))
            if file:
                found = os.path.splitext(file)[0] in (here, os.path.join(here, "__init__"))
            else:  # a folder without __init__.py
                found = here in getattr(module, "__path__", ())
            if found and name.partition(".")[0] not in self._others:
                self._neighbours[name] = module
                if file and file not in self.states:
                    self.states[file] = self._imported(file)

    def _imported(self, file: str) -> Optional[FileState]:
        """The state in which a file was imported; None where that cannot be known any more."""
        state, now = file_state(file), time.time_ns()
        if state is None:
            return None
        _, _, modified, _, changed = state
        return None if any(self._asked < when <= now for when in (modified, changed)) else state

    @staticmethod
    def _drop(names: Any) -> None:
        for name in list(names):
            sys.modules.pop(name, None)


_LOCK = threading.RLock()
_folders: dict[str, _Folder] = {}
_in_use: list[_Folder] = []


def load_module(file: str) -> Any:
    """Import a Python file, anew when it or what it imported from its folder changed.

    Its folder is importable from it. Files of two folders may have neighbours of the same name.

    Raises
    ------
    InputError
        With the file, the line and the cause where it does not import.
    """
    path = os.path.abspath(file)
    with _LOCK:
        state = file_state(path)
        if state is None:
            raise InputError(f"The Python file '{file}' is not there. Choose another one.")
        folder = _entered(os.path.dirname(path))
        folder.forget_what_changed()
        if path not in folder.loaded:
            folder.loaded[path] = _loaded(file, path, state, folder)
            folder.states[path] = state
            folder.look_around()
        return folder.loaded[path]


def _entered(path: str) -> _Folder:
    if not _in_use or _in_use[0].path != path:
        if _in_use:
            _in_use.pop().leave()
        if path not in _folders:
            _folders[path] = _Folder(path)
        _folders[path].enter()
        _in_use.append(_folders[path])
    return _in_use[0]


def _loaded(file: str, path: str, state: FileState, folder: _Folder) -> Any:
    name = "eoscale_user_" + hashlib.sha256(f"{path}:{state}".encode()).hexdigest()[:16]
    loader = _SourceLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    if spec is None:
        raise InputError(f"'{file}' is not a Python file. Choose one that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        with folder.first_on_path():
            loader.exec_module(module)
    except (Exception, SystemExit) as error:  # whatever a user's file does
        del sys.modules[name]
        raise InputError(
            f"The Python file '{file}' does not import: "
            f"{type(error).__name__}{_line_in(path, error)}: {error}"
        ) from error
    return module


def _line_in(path: str, error: BaseException) -> str:
    line = error.lineno if isinstance(error, SyntaxError) and error.filename == path else None
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == path:
            line = trace.tb_lineno
        trace = trace.tb_next
    return f", line {line}" if line else ""
