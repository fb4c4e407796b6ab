"""What layers with results are called: by what was done last, and the image that was the first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

SEPARATOR = ": "


class LayerNames:
    """Names results, and knows the names that it gave: "Slope: Gaussian blur: dem" says too much.

    Parameters
    ----------
    labels : iterable of str
        What results of other sessions may be called.
    """

    def __init__(self, labels: Iterable[str]) -> None:
        self._titles = set(labels)

    def name(self, title: str, sources: Sequence[str]) -> str:
        """A result's name, by the title of the step and the names of its images."""
        self._titles.add(title)
        if not sources:
            return title
        steps = sources[0].split(SEPARATOR)
        while len(steps) > 1 and steps[0] in self._titles:
            del steps[0]
        return SEPARATOR.join([title, *steps])
