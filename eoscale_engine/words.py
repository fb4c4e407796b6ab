"""Words that messages are put together from."""

from __future__ import annotations

from collections.abc import Iterable


def counted(number: int, what: str) -> str:
    """A number with the name of what it counts.

    >>> counted(1, "band"), counted(3, "band")
    ('1 band', '3 bands')
    """
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def listed(words: Iterable[str], joint: str = "and") -> str:
    """Words as a list in a sentence.

    >>> listed(["red", "green", "blue"])
    'red, green and blue'
    """
    *first, last = words
    return f"{', '.join(first)} {joint} {last}" if first else last
