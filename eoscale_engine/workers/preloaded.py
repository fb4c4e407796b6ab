"""What the process that forks the workers loads first; the last to go, it leaves nothing behind.

It ends when the program that started it and all its workers are gone, however that came about. What
a killed program left in memory is then removed at once, not at a next start.
"""

from __future__ import annotations

import atexit
import os
import time
from contextlib import suppress
from pathlib import Path

from eoscale_engine.memory.folder import PREFIX, disk_root, shared_memory_root
from eoscale_engine.own_folders import remove_stale_folders
from eoscale_engine.workers import LISTENERS, worker

__all__ = ["worker"]

PATIENCE = 0.5
"""Seconds that a program may take to end after its workers have."""

MOST_FILES = 10240
"""What macOS gives a process at most (its OPEN_MAX): far more than workers keep open."""

_STARTED_BY = os.getppid()


def _leave_nothing() -> None:
    deadline = time.monotonic() + PATIENCE
    while os.getppid() == _STARTED_BY:
        if time.monotonic() > deadline:  # it lives, and looks after its own
            return
        time.sleep(0.01)
    for root in {shared_memory_root(), disk_root()}:
        remove_stale_folders(root, PREFIX)
    listeners = Path(os.environ[LISTENERS])
    with suppress(OSError):  # gone already, or in use by others
        for socket in listeners.glob("listener-*"):
            if socket.is_socket():
                socket.unlink()
        listeners.rmdir()


def _open_more_files() -> None:
    """Let workers have as many images as they may: each takes a file descriptor.

    Many systems give 1024 for the sake of programs that ask for no more. macOS takes no unlimited
    number, nor more than it has.
    """
    import resource

    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if most == resource.RLIM_INFINITY else min(most, MOST_FILES)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


if LISTENERS in os.environ:  # in the server itself, wherever else this is imported
    atexit.register(_leave_nothing)
    _open_more_files()
