"""What ``metadata.txt`` says of the plugin, read once for all places that need it."""

from __future__ import annotations

from configparser import ConfigParser
from functools import cache
from pathlib import Path

from qgis.core import QgsApplication

ICONS = Path(__file__).parent / "icons"
HELP = Path(__file__).resolve().parent / "help" / "algorithms.html"
"""The reference of all algorithms, which ``scripts/reference.py`` makes."""


@cache
def metadata(key: str) -> str:
    """A value of ``metadata.txt``: inside the installed plugin, one level up in the repository."""
    here = Path(__file__).resolve().parent
    parser = ConfigParser(interpolation=None)
    parser.read([here.parent / "metadata.txt", here / "metadata.txt"], encoding="utf-8")
    return parser.get("general", key, fallback="")


def in_terminal() -> bool:
    """Whether this is ``qgis_process``, which prints, and ends after one run."""
    return str(QgsApplication.platform()) == "qgis_process"


def icon_path(*names: str) -> str:
    """The first of the plugin's icons that is there; the provider's where none is."""
    for name in names:
        path = ICONS / f"{name}.svg"
        if name and path.is_file():
            return str(path)
    return str(ICONS / "provider.svg")
