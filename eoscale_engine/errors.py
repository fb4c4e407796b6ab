"""Errors that a user can act on: each message names what is wrong, where, and what to do."""

from __future__ import annotations


class EngineError(Exception):
    """Base of all errors that the engine raises on purpose; the message is meant for the user.

    What it repeats of the input may be very long: the middle is left out then.
    """

    def __str__(self) -> str:
        text = super().__str__()
        return text if len(text) <= 4000 else f"{text[:3000]} ... {text[-900:]}"


class InputError(EngineError, ValueError):
    """An input image, a parameter or an expression cannot be used."""


class GridError(InputError):
    """Two input images do not share size, geotransform and CRS."""


class OutputError(EngineError):
    """A result cannot be written where it was asked for."""


class MemoryBudgetError(EngineError):
    """There is no room for an image, in memory or on disk."""


class TileError(EngineError):
    """A function failed, or killed its process, on one tile."""


class ServiceError(EngineError):
    """The engine process could not be started, or ended unexpectedly."""


class Cancelled(EngineError):
    """The job was cancelled by the user."""


class InputWarning(UserWarning):
    """An input may make the result meaningless; the message says why, and what to do."""


def described(error: BaseException) -> str:
    """An error in words: what it says, and its kind where nobody foresaw it."""
    while isinstance(error, SystemError) and error.__cause__ is not None:
        error = error.__cause__  # it only says that there is one
    if isinstance(error, EngineError):
        return str(error)
    if isinstance(error, RecursionError):
        return "functions call each other without end (RecursionError)"
    if isinstance(error, MemoryError):
        return "memory ran out (MemoryError)"
    kind, text = type(error).__name__, str(error)
    return f"{kind}: {text}" if text else kind
