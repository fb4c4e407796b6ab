"""The plugin's package: complete, valid, without what only developers need, and reproducible."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import package
import pytest

from tests.faults.jobs import pixels, python_job, same, write_image

REQUIRED = (
    "name", "qgisMinimumVersion", "description", "about", "version", "author", "email",
    "repository", "tracker", "license", "icon", "tags", "hasProcessingProvider",
)  # fmt: skip
"""What QGIS and its plugin repository ask for."""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A copy of what is packed, in its own places."""
    root = tmp_path / "repository"
    root.mkdir()
    for path, place in package.files():
        own = place.removeprefix("engine/")
        inside = own.startswith(("eoscale_engine/", "metadata.txt", "LICENSE"))
        target = root / own if inside else root / package.NAME / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    return root


def names(archive: Path) -> list[str]:
    with zipfile.ZipFile(archive) as opened:
        assert opened.testzip() is None
        return opened.namelist()


def test_the_zip_holds_plugin_engine_metadata_licence_and_icons(tmp_path: Path) -> None:
    archive = package.write_zip(tmp_path)
    assert archive.name == f"eoscale_qgis-{package.metadata()['version']}.zip"
    inside = names(archive)
    assert {name.split("/")[0] for name in inside} == {"eoscale_qgis"}
    for name in (
        "__init__.py", "metadata.txt", "LICENSE", "icons/provider.svg", "help/algorithms.html",
        "engine/eoscale_engine/declaration/__init__.py",
        "engine/eoscale_engine/service/interpreter.py",
    ):  # fmt: skip
        assert f"eoscale_qgis/{name}" in inside


def test_every_file_of_both_packages_is_in_the_zip(tmp_path: Path) -> None:
    inside = set(names(package.write_zip(tmp_path)))
    for top, prefix in ((package.NAME, ""), ("eoscale_engine", "eoscale_qgis/engine/")):
        for path in (package.ROOT / top).rglob("*.py"):
            assert prefix + path.relative_to(package.ROOT).as_posix() in inside


def test_what_only_developers_need_stays_out(repository: Path, tmp_path: Path) -> None:
    for litter in (
        "eoscale_qgis/__pycache__/plugin.cpython-311.pyc", "eoscale_qgis/.hidden",
        "eoscale_engine/service/__pycache__/notes.txt", "eoscale_qgis/gui/panel.py.orig",
        "tests/test_a.py", "Makefile",
    ):  # fmt: skip
        (repository / litter).parent.mkdir(parents=True, exist_ok=True)
        (repository / litter).write_text("litter")
    inside = names(package.write_zip(tmp_path, repository))
    assert inside == names(package.write_zip(tmp_path / "clean"))
    assert not [name for name in inside if re.search(r"pycache|\.pyc|/\.|\.orig|tests?/", name)]


def test_the_same_files_give_the_same_bytes(repository: Path, tmp_path: Path) -> None:
    first = package.write_zip(tmp_path / "first")
    for path in repository.rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
        path.chmod(0o777)
    second = package.write_zip(tmp_path / "second", repository)
    assert first.read_bytes() == second.read_bytes()


def test_metadata_is_what_qgis_asks_for() -> None:
    data = package.metadata()
    assert not [name for name in REQUIRED if not data.get(name)]
    assert data["name"] == "EOScale"
    assert data["qgisMinimumVersion"] == "3.22"
    assert data["qgisMaximumVersion"] == "4.99"
    assert data["hasProcessingProvider"] == "yes"
    assert data["license"] == "GPL-2.0-or-later"
    assert re.fullmatch(r"\d+\.\d+\.\d+", data["version"])
    # the plugin repository and QGIS's plugin manager show no SVG
    icon = package.ROOT / package.NAME / data["icon"]
    assert icon.read_bytes().startswith(b"\x89PNG")
    assert "supportsQt6" not in data


def test_all_say_the_same_version() -> None:
    version = package.metadata()["version"]
    project = (package.ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{version}"\n' in project
    changelog = (package.ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## [{version}]" in changelog


def test_icons_are_small_square_pictures_without_scripts() -> None:
    icons = sorted((package.ROOT / package.NAME / "icons").glob("*.svg"))
    assert {"provider", "pixel", "neighbourhood", "statistics", "python", "images"} <= {
        icon.stem for icon in icons
    }
    for icon in icons:
        svg = ET.parse(icon).getroot()
        assert svg.tag == "{http://www.w3.org/2000/svg}svg"
        assert svg.get("viewBox") == "0 0 16 16", icon
        assert icon.stat().st_size < 2000, icon
        assert not [part for part in svg.iter() if part.tag.endswith(("script", "image"))]


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    target = package.assemble(tmp_path)
    (target / "old.py").write_text("from an older version")
    assert package.assemble(tmp_path) == target == tmp_path / "eoscale_qgis"
    assert not (target / "old.py").exists()
    found = {at.relative_to(tmp_path).as_posix() for at in target.rglob("*") if at.is_file()}
    assert found == set(names(package.write_zip(tmp_path / "dist")))


def test_a_link_shows_the_repositorys_own_files_and_is_replaced_without_harm(
    repository: Path, tmp_path: Path
) -> None:
    target = package.assemble(tmp_path / "plugins", link=True, root=repository)
    (repository / "eoscale_engine" / "new.py").write_text("new = 1")
    assert (target / "engine" / "eoscale_engine" / "new.py").is_file()
    package.assemble(tmp_path / "plugins", root=repository)
    assert not (target / "engine" / "eoscale_engine").is_symlink()
    assert (repository / "eoscale_engine" / "new.py").is_file()


@pytest.mark.parametrize(
    ("platform", "variable", "base"),
    [
        ("linux", "XDG_DATA_HOME", "QGIS"),
        ("win32", "APPDATA", "QGIS"),
        ("darwin", "HOME", "Library/Application Support/QGIS"),
    ],
)
def test_the_users_profiles_of_qgis_3_and_4(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, platform: str, variable: str, base: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv(variable, str(tmp_path))
    inside = "profiles/mine/python/plugins"
    assert package.user_plugin_folders("mine") == [tmp_path / base / "QGIS3" / inside]
    (tmp_path / base / "QGIS4").mkdir(parents=True)
    assert package.user_plugin_folders("mine") == [tmp_path / base / "QGIS4" / inside]
    (tmp_path / base / "QGIS3").mkdir()
    assert len(package.user_plugin_folders("mine")) == 2


def test_the_packed_engine_runs_from_the_plugins_folder(tmp_path: Path) -> None:
    target = package.assemble(tmp_path)
    code = "import eoscale_engine.tiling as t; print(t.__file__)"
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=target,
        env={**os.environ, "PYTHONPATH": str(target / "engine")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout.strip() == str(target / "engine" / "eoscale_engine" / "tiling.py")


def test_a_users_file_never_gets_a_module_of_the_plugin(tmp_path: Path) -> None:
    package.assemble(tmp_path / "plugins")
    (tmp_path / "mine.py").write_text(
        "from importlib.util import find_spec\n"
        "def scale(buffers, profiles, params):\n"
        "    found = [name for name in ('settings', 'layers', 'gui') if find_spec(name)]\n"
        "    if found:\n"
        "        raise ValueError(f'found {found}')\n"
        "    return buffers[0]\n"
    )
    image = write_image(tmp_path / "image.tif")
    output = str(tmp_path / "OUTPUT.tif")
    job = python_job("scale", image, output, keep="file")
    job["parameters"]["file"] = str(tmp_path / "mine.py")
    code = (
        "import json, sys; sys.path.append(sys.argv[1]); import eoscale_qgis\n"
        "from eoscale_engine.service.client import EngineClient, EngineOptions\n"
        "client = EngineClient(EngineOptions(workers=1))\n"
        "client.run(json.loads(sys.argv[2])); client.close(); print('inline:', client.inline)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "plugins"), json.dumps(job)],
        cwd=tmp_path / "plugins", capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.stdout.strip() == "inline:", run.stderr
    assert same(pixels(output), pixels(image))
