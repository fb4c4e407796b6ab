"""Packs the plugin: as the zip for QGIS's "Install from ZIP", or as a folder of a QGIS profile.

The plugin is the folder ``eoscale_qgis``, with the engine inside it, so that it runs wherever it
is put, without pip.
"""

from __future__ import annotations

import argparse
import configparser
import os
import shutil
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

NAME = "eoscale_qgis"
ROOT = Path(__file__).resolve().parents[1]
BESIDE = ("eoscale_engine", "metadata.txt", "LICENSE")
"""What lies beside the plugin in this repository and inside it in the package."""

ENGINE = "engine"
"""The engine's folder in the plugin, with nothing else in it: it is on the engine's ``sys.path``,
where the plugin's own ``settings`` or ``layers`` must not stand in for a user's."""


def metadata(root: Path = ROOT) -> dict[str, str]:
    """What ``metadata.txt`` says about the plugin."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string((root / "metadata.txt").read_text(encoding="utf-8"))
    return dict(parser["general"])


def files(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Each file of the plugin and its place in the plugin's folder, in a fixed order."""
    for entry in _entries(root):
        found = sorted(entry.rglob("*")) if entry.is_dir() else [entry]
        for path in found:
            place = _place(entry).parent / path.relative_to(entry.parent)
            if path.is_file() and _belongs(place):
                yield path, place.as_posix()


def write_zip(folder: Path, root: Path = ROOT) -> Path:
    """The zip, byte for byte the same for the same files: no times, owners or modes go in."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"{NAME}-{metadata(root)['version']}.zip"
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, place in files(root):
            entry = zipfile.ZipInfo(f"{NAME}/{place}", date_time=(1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            archive.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED)
    return target


def assemble(plugins: Path, *, link: bool = False, root: Path = ROOT) -> Path:
    """Put the plugin into a folder of plugins, in place of what was there.

    With ``link`` its parts are links to this repository, so that a change is there at once.
    """
    target = plugins / NAME
    if target.is_symlink():
        target.unlink()
    elif target.exists():
        shutil.rmtree(target)
    target.mkdir(parents=True)
    if link:
        for entry in _entries(root):
            (target / _place(entry)).parent.mkdir(exist_ok=True)
            (target / _place(entry)).symlink_to(entry, target_is_directory=entry.is_dir())
    else:
        for path, place in files(root):
            (target / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / place)
    return target


def user_plugin_folders(profile: str = "default") -> list[Path]:
    """The folders of plugins in the user's QGIS profiles, of QGIS 3 and QGIS 4 where both are.

    Where QGIS never ran it is QGIS 3's: QGIS 4 takes over its profiles when it first starts.
    """
    home = Path.home()
    if sys.platform == "win32":
        base = Path(os.environ["APPDATA"]) / "QGIS"
    elif sys.platform == "darwin":
        base = home / "Library" / "Application Support" / "QGIS"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME") or home / ".local" / "share") / "QGIS"
    homes = [base / name for name in ("QGIS3", "QGIS4") if (base / name).is_dir()]
    return [at / "profiles" / profile / "python" / "plugins" for at in homes or [base / "QGIS3"]]


def _entries(root: Path) -> list[Path]:
    parts = [*(root / NAME).iterdir(), *(root / name for name in BESIDE)]
    return sorted((path for path in parts if _belongs(Path(path.name))), key=lambda at: at.name)


def _place(entry: Path) -> Path:
    return Path(ENGINE if entry.name == "eoscale_engine" else "", entry.name)


def _belongs(place: Path) -> bool:
    hidden = any(part.startswith(".") or part == "__pycache__" for part in place.parts)
    return not hidden and place.suffix not in (".pyc", ".pyo", ".orig", ".rej")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, help="a folder of plugins to put the plugin into")
    parser.add_argument("--user", action="store_true", help="the user's QGIS profiles instead")
    parser.add_argument("--profile", default="default", help="name of the user's profile")
    parser.add_argument("--link", action="store_true", help="link to this repository, not copy")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where the zip goes")
    options = parser.parse_args()
    if not (options.folder or options.user):
        print(write_zip(options.dist))
        return
    folders = user_plugin_folders(options.profile) if options.user else [options.folder]
    for folder in folders:
        print(assemble(folder, link=options.link))
    if options.user:
        print("In QGIS, tick EOScale in Plugins > Manage and Install Plugins > Installed.")


if __name__ == "__main__":
    main()
