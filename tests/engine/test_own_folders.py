"""Folders of our own are swept when nobody holds them; whoever else's folder is left alone."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from eoscale_engine import own_folders
from eoscale_engine.memory.folder import ImageFolder, make_folders
from eoscale_engine.own_folders import CLIENT, ENGINE, MARK, lock, make_folder, remove_stale_folders


def stale(root: Path, name: str = "") -> Path:
    """A folder with pixels that its maker left behind."""
    path, held = make_folder(str(root), "eoscale-", ["pixels-*.raw"])
    assert held is not None
    held.close()
    (path / "pixels-1.raw").write_bytes(b"1")
    return path.rename(path.with_name(name)) if name else path


def sweep(root: Path) -> list[str]:
    return remove_stale_folders(str(root), "eoscale-")


def everything(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.mark.parametrize("where", ["EOSCALE_MEMORY", "TMPDIR"])
def test_a_users_folder_of_our_name_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    theirs = tmp_path / "eoscale-results"
    theirs.mkdir(mode=0o700)
    (theirs / "map.tif").write_text("work of a month")
    for name in ("EOSCALE_MEMORY", "TMPDIR"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv(where, str(tmp_path))
    for folder in make_folders():
        folder.close()
    assert (theirs / "map.tif").read_text() == "work of a month"


@pytest.mark.parametrize("name", [CLIENT, ENGINE])
def test_a_folder_is_stale_when_nobody_holds_either_lock(tmp_path: Path, name: str) -> None:
    path = stale(tmp_path)
    held = lock(path / name)
    assert held is not None
    before = everything(tmp_path)
    assert sweep(tmp_path) == [] and everything(tmp_path) == before
    held.close()
    assert sweep(tmp_path) == [path.name] and everything(tmp_path) == []


def test_sweeping_makes_no_file(tmp_path: Path) -> None:
    folder = tmp_path / "eoscale-results"
    folder.mkdir(mode=0o700)
    assert sweep(tmp_path) == [] and everything(folder) == []


@pytest.mark.parametrize(
    "mark", ["", "{}", "[]", "null", '{"format": "another"}', "\N{SNOWMAN}", "x" * 5000]
)
def test_a_mark_that_is_not_ours_is_none(tmp_path: Path, mark: str) -> None:
    path = stale(tmp_path)
    (path / MARK).write_text(mark, encoding="utf-8")
    before = everything(tmp_path)
    assert sweep(tmp_path) == [] and everything(tmp_path) == before


def test_what_else_lies_in_it_keeps_a_folder(tmp_path: Path) -> None:
    with_file, with_folder, with_link, shared = (stale(tmp_path) for _ in range(4))
    (with_file / "map.tif").write_text("a user's")
    (with_folder / "maps").mkdir()
    (with_link / "pixels-2.raw").symlink_to(tmp_path)
    os.link(shared / "pixels-1.raw", tmp_path / "kept.raw")
    before = everything(tmp_path)
    assert sweep(tmp_path) == [] and everything(tmp_path) == before


def test_folders_that_others_can_read_or_own_are_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = stale(tmp_path)
    path.chmod(0o755)
    assert sweep(tmp_path) == []
    path.chmod(0o700)
    with monkeypatch.context() as patch:
        patch.setattr(os, "getuid", lambda: path.stat().st_uid + 1)
        assert sweep(tmp_path) == []
    link = tmp_path / "eoscale-link"
    link.symlink_to(path)
    assert sweep(tmp_path) == [path.name] and everything(tmp_path) == ["eoscale-link"]


def test_another_users_mark_is_none(tmp_path: Path) -> None:
    path = stale(tmp_path)
    mark = json.loads((path / MARK).read_text())
    (path / MARK).write_text(json.dumps({**mark, "user": mark["user"] + 1}))
    assert sweep(tmp_path) == [] and path.exists()


def test_gdals_own_files_go_whatever_their_names(tmp_path: Path) -> None:
    path = stale(tmp_path)
    (path / own_folders.GDAL_FOLDER).mkdir()
    (path / own_folders.GDAL_FOLDER / "12345_1").write_text("temporary")
    assert sweep(tmp_path) == [path.name] and not path.exists()


def test_what_a_killed_sweeper_left_is_swept(tmp_path: Path) -> None:
    path = stale(tmp_path)
    (path / "pixels-1.raw").unlink()
    (path / CLIENT).unlink()
    assert sweep(tmp_path) == [path.name] and not path.exists()


def test_making_a_folder_sweeps_beside_it(tmp_path: Path) -> None:
    path = stale(tmp_path)
    folder = ImageFolder.create(str(tmp_path))
    assert not path.exists()
    folder.close()
    assert everything(tmp_path) == []


def test_nothing_stays_where_a_folder_cannot_be_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space"):
        make_folder(str(tmp_path), "eoscale-", [])
    assert everything(tmp_path) == []
    shutil.rmtree(tmp_path)
    with pytest.raises(OSError, match="No such file"):
        make_folder(str(tmp_path), "eoscale-", [])
