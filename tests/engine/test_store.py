"""The store of images: who holds them, files in memory used again, room made for what is needed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from eoscale_engine.errors import EngineError, MemoryBudgetError
from eoscale_engine.memory.allocation import Memory
from eoscale_engine.memory.folder import ImageFolder
from eoscale_engine.memory.images import Image
from eoscale_engine.memory.store import MOST_KEPT, ImageStore
from eoscale_engine.profile import Profile

SIZE = 10_000
"""Bytes of an image."""


class Told(list[str]):
    def forget(self, files: Sequence[str]) -> None:
        self.extend(files)


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def store(tmp_path: Path, told: Told) -> Iterator[ImageStore]:
    folders = [ImageFolder.create(str(tmp_path)) for _ in range(2)]
    yield ImageStore(Memory(folders[0], folders[1], limit=3 * SIZE), told.forget)
    for folder in folders:
        folder.close()


def profile(bands: int = 1, side: int = 100) -> Profile:
    return Profile(side, side, "uint8").with_bands(tuple("abc"[:bands]), None)


def load(store: ImageStore, path: str, bands: tuple[int, ...] = (1,), planes: int = 0) -> Image:
    hold = store.allocate(profile(len(bands), 100 if len(bands) == 1 else 50), planes=planes)
    store.keep_loaded(path, "state", bands, hold.image)
    hold.release()
    return hold.image


def test_the_last_release_gives_the_memory_back(store: ImageStore, told: Told) -> None:
    first = store.allocate(profile())
    image = first.image
    second = store.hold(image)
    store.publish(image)
    first.release()
    first.release()  # not the other one's
    assert os.path.exists(image.raw)
    second.release()
    assert not os.path.exists(image.raw) and told == [image.raw]
    second.release()
    assert told == [image.raw]
    with pytest.raises(EngineError, match="released"):
        store.hold(image)


def test_published_files_are_never_recycled(store: ImageStore, told: Told) -> None:
    seen, unseen = store.allocate(profile()), store.allocate(profile())
    store.publish(seen.image)
    seen.release()
    unseen.release()
    assert told == [seen.image.raw]
    assert store.allocate(profile()).image.raw == unseen.image.raw


def test_recycled_files_make_way_for_another_size(store: ImageStore, told: Told) -> None:
    hold = store.allocate(profile())
    hold.release()
    store.allocate(profile(3))
    assert not os.path.exists(hold.image.raw) and told == [hold.image.raw]


def test_a_file_in_memory_is_used_again_while_unchanged(store: ImageStore) -> None:
    image = load(store, "a.tif")
    found = store.loaded("a.tif", "state", (1,))
    assert found is not None and found.image.raw == image.raw
    found.release()
    assert store.loaded("b.tif", "state", (1,)) is None
    assert store.loaded("a.tif", "changed", (1,)) is None
    assert store.loaded("a.tif", "state", (1,)) is None
    assert store.memory.used() == SIZE  # kept for the next image of its size
    store.drop_idle()
    assert store.memory.used() == 0


def test_a_changed_file_stays_for_those_who_use_it(store: ImageStore) -> None:
    image = load(store, "a.tif")
    used = store.loaded("a.tif", "state", (1,))
    assert used is not None
    assert store.loaded("a.tif", "changed", (1,)) is None
    assert os.path.exists(image.raw)
    used.release()


def test_some_bands_of_a_file_in_memory(store: ImageStore) -> None:
    load(store, "a.tif", (1, 2, 3))
    part = store.loaded("a.tif", "state", (3, 1))
    assert part is not None and part.image.bands == (3, 1)
    assert [band.name for band in part.image.profile.bands] == ["c", "a"]
    assert store.loaded("a.tif", "state", (4,)) is None


@pytest.mark.parametrize("planes", [1, 2])
def test_some_bands_keep_their_masks(store: ImageStore, planes: int) -> None:
    load(store, "a.tif", (1, 2), planes=planes)
    part = store.loaded("a.tif", "state", (2,))
    assert part is not None
    assert (part.image.stored_planes, part.image.planes) == (planes, 1)


def test_loading_again_replaces_what_was_kept(store: ImageStore) -> None:
    load(store, "a.tif")
    second = load(store, "a.tif")
    found = store.loaded("a.tif", "state", (1,))
    assert found is not None and found.image.raw == second.raw


def test_what_is_only_kept_makes_room_the_oldest_first(store: ImageStore) -> None:
    for name in "abc":
        load(store, name)
    held = store.loaded("a", "state", (1,))
    assert held is not None
    store.allocate(profile(side=90), disk=False)
    assert store.loaded("b", "state", (1,)) is None
    found = store.loaded("c", "state", (1,))
    assert found is not None


def test_nothing_is_dropped_for_what_would_not_fit_anyway(store: ImageStore) -> None:
    load(store, "a")
    assert not store.memory.in_memory(store.allocate(profile(side=1000)).image)
    assert store.loaded("a", "state", (1,)) is not None


def test_what_does_not_fit_goes_to_disk_or_is_an_error(store: ImageStore) -> None:
    for _ in range(3):
        assert store.memory.in_memory(store.allocate(profile()).image)
    on_disk = store.allocate(profile())
    assert Path(on_disk.image.raw).parent == store.memory.disk_folder.path
    with pytest.raises(MemoryBudgetError):
        store.allocate(profile(), disk=False)
    on_disk.release()
    assert not os.path.exists(on_disk.image.raw)


def test_memory_that_others_took_meanwhile_sends_an_image_to_disk(
    store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = iter([SIZE])
    monkeypatch.setattr(Memory, "available", lambda self: next(reads, 0))
    monkeypatch.setattr(ImageStore, "make_room", lambda self, size: None)
    assert not store.memory.in_memory(store.allocate(profile()).image)


def test_disowned_files_stay(store: ImageStore, told: Told, tmp_path: Path) -> None:
    path = str(tmp_path / "OUTPUT.tif.raw")
    hold = store.allocate(profile(), path=path)
    store.disown(hold.image)
    hold.release()
    assert os.path.exists(path) and told == [path]
    os.unlink(path)
    again = store.allocate(profile(), path=path)
    hold.release()  # it was of another image in the same place
    assert os.path.exists(path)
    again.release()
    assert not os.path.exists(path)


def test_room_counts_what_can_be_dropped(store: ImageStore) -> None:
    load(store, "a")
    assert store.room() == 3 * SIZE
    held = store.loaded("a", "state", (1,))
    assert held is not None
    assert store.room() == 2 * SIZE


def test_few_files_are_kept_whatever_their_number(store: ImageStore, told: Told) -> None:
    used = load(store, "used")
    store.hold(used)
    for number in range(MOST_KEPT + 10):
        hold = store.allocate(profile(side=1 + number % 7))
        store.keep_loaded(f"{number}.tif", "state", (1,), hold.image)
        hold.release()
    assert len(store._loaded) == MOST_KEPT
    assert store.loaded("used", "state", (1,)) is not None
    assert store.loaded("0.tif", "state", (1,)) is None
    assert store.loaded(f"{MOST_KEPT + 9}.tif", "state", (1,)) is not None
