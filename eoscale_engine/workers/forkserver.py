"""The workers' environment, and the server that forks them: imports nothing that takes time."""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
import time
import types
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any, Optional

from eoscale_engine.workers import ENVIRONMENT, LISTENERS, safe_path

PRELOADED = ["eoscale_engine.workers.preloaded"]

HAS_SAFE_PATH = hasattr(sys.flags, "safe_path")

_STARTING = threading.RLock()


def context() -> Any:
    """The multiprocessing context: forkserver, or spawn where there is none (Windows).

    Never plain fork: GDAL's and Qt's threads do not survive it.
    """
    methods = multiprocessing.get_all_start_methods()
    return multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")


def start_forkserver() -> None:
    """Start the server, with NumPy and GDAL loaded, so that workers start in milliseconds.

    Returns before it is ready: it loads on one core while the engine loads on another.
    """
    chosen = context()
    if chosen.get_start_method() != "forkserver":
        return
    from multiprocessing import forkserver, util

    with _started_apart({LISTENERS: util.get_temp_dir()}):
        chosen.set_forkserver_preload(PRELOADED)
        forkserver.ensure_running()


def start_process(process: Any) -> None:
    """Start a worker; raises OSError or EOFError where none can be had."""
    for pause in (0.02, 0.1, 0.5, None):
        try:
            start_forkserver()
            with _started_apart():
                process.start()
            return
        except (OSError, EOFError):  # the server may just be dying
            if pause is None:
                raise
            time.sleep(pause)


def packed(value: Any) -> bytes:
    """A value as it is sent to workers."""
    with _STARTING:  # what the user's script defines is looked up in the module that gets hidden
        return bytes(ForkingPickler.dumps(value))


@contextmanager
def _started_apart(settings: Optional[Mapping[str, str]] = None) -> Iterator[None]:
    """Start a process with the workers' environment, and hide the user's script from it.

    A process takes its environment when it starts; the user's own settings are kept. It would
    import the script, which may have no main guard.
    """
    root = str(Path(__file__).parents[2])
    with _STARTING, _away_from_current_folder(root):
        before = dict(os.environ)
        path = safe_path(root, before.get("PYTHONPATH", ""))
        ours = {**ENVIRONMENT, **before, **path, **(settings or {})}
        os.environ.update(ours)
        main = sys.modules["__main__"]
        sys.modules["__main__"] = types.ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main
            for key in ours:
                if key in before:
                    os.environ[key] = before[key]
                else:
                    os.environ.pop(key, None)


@contextmanager
def _away_from_current_folder(root: str) -> Iterator[None]:
    """Before Python 3.11 a new process looks there first, and nothing but its folder changes it."""
    if HAS_SAFE_PATH:
        yield
        return
    before = current_folder()
    os.chdir(root)
    try:
        yield
    finally:
        with suppress(OSError):  # it is gone, or was not to be entered again
            os.chdir(before)


def current_folder() -> str:
    """The current folder; empty where it was removed."""
    with suppress(OSError):
        return os.getcwd()
    return ""
