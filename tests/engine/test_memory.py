"""Images in memory: reserved, shared, recycled, released; their folders, locks and the budget."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from osgeo import gdal

from eoscale_engine.errors import MemoryBudgetError
from eoscale_engine.memory import allocation as memory_module
from eoscale_engine.memory import folder as image_folder
from eoscale_engine.memory import free_memory
from eoscale_engine.memory.allocation import Memory
from eoscale_engine.memory.folder import ImageFolder, make_folders
from eoscale_engine.memory.images import Mappings
from eoscale_engine.memory.store import ImageStore
from eoscale_engine.own_folders import CLIENT, ENGINE, MARK, remove_stale_folders
from eoscale_engine.profile import Profile
from eoscale_engine.tiling import Window

MB = 1024 * 1024


@pytest.fixture
def folders(tmp_path: Path) -> Iterator[tuple[ImageFolder, ImageFolder]]:
    for name in ("memory", "disk"):
        (tmp_path / name).mkdir()
    made = ImageFolder.create(str(tmp_path / "memory")), ImageFolder.create(str(tmp_path / "disk"))
    yield made
    for folder in made:
        folder.close()


@pytest.fixture
def memory(folders: tuple[ImageFolder, ImageFolder]) -> Memory:
    return Memory(*folders)


def square(side: int, dtype: str = "uint8", bands: int = 1) -> Profile:
    return Profile(side, side, dtype).with_bands(("",) * bands, None)


# ---------------------------------------------------------------- images


def test_memory_is_reserved_when_allocated(memory: Memory) -> None:
    image = memory.allocate(square(1000, "float32", 2))
    state = os.stat(image.raw)
    assert state.st_size == 8_000_000
    assert state.st_blocks * 512 >= 8_000_000
    assert state.st_mode & 0o777 == 0o600


def test_an_image_is_an_array_and_a_raster(memory: Memory) -> None:
    image = memory.allocate(square(10, "int16", 3))
    pixels = Mappings().array(image, writable=True)
    pixels[:] = np.arange(300).reshape(3, 10, 10)
    vrt = memory.face(image)
    assert (gdal.Open(vrt).ReadAsArray() == pixels).all()
    assert memory.release(image)
    assert not list(memory.folder.path.glob("image*")) and not os.path.exists(image.raw)


def test_parts_are_views(memory: Memory) -> None:
    image = memory.allocate(square(6, "uint8", 3))
    mappings = Mappings()
    whole = mappings.array(image, writable=True)
    whole[:] = np.arange(108).reshape(3, 6, 6)
    part = memory_module.replace(image, bands=(2, 3), window=Window(1, 2, 3, 4))
    assert (mappings.array(part) == whole[1:, 1:4, 2:6]).all()
    assert np.shares_memory(mappings.array(part), whole)
    mixed = memory_module.replace(image, bands=(3, 1))
    assert (mappings.array(mixed) == whole[[2, 0]]).all()
    assert not mappings.array(part).flags.writeable


def test_a_mask_lies_behind_the_pixels(memory: Memory) -> None:
    image = memory.allocate(square(5, "float32"), planes=1)
    assert os.stat(image.raw).st_size == 125
    mappings = Mappings()
    mask = mappings.planes(image, writable=True)
    assert mask is not None
    mask[:] = 1
    assert not mappings.array(image).view("uint32").any()
    assert mappings.planes(memory.allocate(square(5))) is None


def test_populating_changes_nothing(memory: Memory) -> None:
    image = memory.allocate(square(300, "uint8", 2))
    mappings = Mappings()
    mappings.array(image, writable=True)[:] = 7
    mappings.populate(image, Window(17, 0, 200, 300))
    mappings.populate(image, Window(0, 0, 300, 300))
    assert (mappings.array(image) == 7).all()


def test_files_are_recycled_only_when_nobody_saw_them(memory: Memory) -> None:
    first = memory.allocate(square(100))
    assert not memory.release(first, recycle=True)
    second = memory.allocate(square(100))
    assert second.raw == first.raw and second.name != first.name
    assert memory.release(second)
    assert memory.allocate(square(100)).raw != first.raw


def test_only_one_file_of_a_size_is_kept(memory: Memory) -> None:
    images = [memory.allocate(square(100)) for _ in range(3)]
    assert [memory.release(image, recycle=True) for image in images] == [False, True, True]
    assert memory.drop_recycled() == [images[0].raw]
    assert not list(memory.folder.path.glob("*.raw"))


def test_images_on_disk_are_not_recycled(memory: Memory) -> None:
    image = memory.allocate(square(100), on_disk=True)
    assert Path(image.raw).parent == memory.disk_folder.path
    assert memory.release(image, recycle=True)


def test_releasing_frees_the_memory() -> None:
    folder, disk = make_folders()
    memory = Memory(folder, disk)
    try:
        mappings = Mappings()
        image = memory.allocate(square(8000))
        mappings.array(image, writable=True)[:] = 1

        def used() -> int:
            state = os.statvfs(folder.path)
            return state.f_frsize * (state.f_blocks - state.f_bfree)

        before = used()
        memory.release(image)
        mappings.forget(image.raw)
        assert before - used() > 40 * MB
    finally:
        folder.close()
        disk.close()


def test_what_gdal_left_beside_a_face_goes_too(memory: Memory) -> None:
    image = memory.allocate(square(10))
    vrt = memory.face(image)
    Path(vrt + ".aux.xml").write_text("statistics")
    Path(vrt + ".ovr").write_text("overviews")
    memory.release(image)
    assert sorted(path.name for path in memory.folder.path.iterdir()) == [CLIENT, MARK]


def test_names_are_never_used_again(folders: tuple[ImageFolder, ImageFolder]) -> None:
    names = set()
    for _ in range(3):  # engines that adopt one folder one after the other
        memory = Memory(*folders)
        for _ in range(3):
            image = memory.allocate(square(10))
            names.add(image.name)
            memory.release(image)
    assert len(names) == 9


def test_a_given_path_is_on_disk_whatever_memory_there_is(
    folders: tuple[ImageFolder, ImageFolder], tmp_path: Path
) -> None:
    memory = Memory(*folders, limit=1000)
    raw = str(tmp_path / "OUTPUT.tif.raw")
    image = memory.allocate(square(100), path=raw)
    assert image.raw == raw and memory.used() == 0
    with pytest.raises(MemoryBudgetError, match="exists"):
        memory.allocate(square(10), path=raw)
    assert os.stat(raw).st_size == 10_000


# ---------------------------------------------------------------- budget


def test_the_limit_counts_what_is_kept_for_later(folders: tuple[ImageFolder, ImageFolder]) -> None:
    memory = Memory(*folders, limit=100_000)
    first, second = memory.allocate(square(200)), memory.allocate(square(200))
    assert memory.available() == 20_000
    memory.release(first, recycle=True)
    assert (memory.used(), memory.available()) == (80_000, 60_000)
    with pytest.raises(MemoryBudgetError, match="allow images more memory"):
        memory.allocate(square(300))
    assert memory.allocate(square(200)).raw == first.raw
    assert memory.available() == 20_000
    memory.release(second)
    assert memory.available() == 60_000


def test_the_limit_counts_images_of_an_earlier_engine(
    folders: tuple[ImageFolder, ImageFolder],
) -> None:
    Memory(*folders).allocate(square(200))
    assert Memory(*folders, limit=100_000).available() == 60_000


def test_no_space_is_an_error_and_leaves_nothing(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: int, start: int, size: int) -> None:
        os.write(file, b"part")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    for on_disk in (False, True):
        with pytest.raises(MemoryBudgetError, match="No space left on device"):
            memory.allocate(square(100), on_disk=on_disk)
    assert not list(memory.folder.path.glob("*.raw"))
    assert not list(memory.disk_folder.path.glob("*.raw"))


def test_without_fallocate_free_space_is_checked(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "posix_fallocate")
    image = memory.allocate(square(100))
    assert os.stat(image.raw).st_size == 10_000
    assert not Mappings().array(image).any()
    full = types.SimpleNamespace(free=100)
    monkeypatch.setattr(memory_module.shutil, "disk_usage", lambda path: full)
    with pytest.raises(MemoryBudgetError, match="No space left"):
        memory.allocate(square(100), on_disk=True)


def test_a_face_that_cannot_be_written_is_an_error(memory: Memory, tmp_path: Path) -> None:
    image = memory.allocate(square(10))
    with pytest.raises(MemoryBudgetError, match="cannot be written"):
        memory.face(image, path=str(tmp_path / "missing" / "face.vrt"))


def test_a_file_that_the_system_keeps_is_removed_later(
    memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = memory.allocate(square(10)), memory.allocate(square(10))
    with monkeypatch.context() as patch:  # as on Windows while a process has it mapped

        def kept(self: Path, missing_ok: bool = False) -> None:
            raise PermissionError

        patch.setattr(Path, "unlink", kept)
        memory.release(first)
    assert os.path.exists(first.raw)
    memory.release(second)
    assert not os.path.exists(first.raw) and not os.path.exists(second.raw)


def system(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


PLENTY = {"proc/meminfo": f"MemTotal: 1 kB\nMemAvailable: {900 * 1024} kB\n"}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 900),
        (
            {
                "proc/self/cgroup": "0::/user.slice/app\n",
                "sys/fs/cgroup/cgroup.controllers": "memory",
                "sys/fs/cgroup/user.slice/app/memory.max": "max\n",
                "sys/fs/cgroup/user.slice/app/memory.current": "5\n",
                "sys/fs/cgroup/user.slice/memory.max": f"{400 * MB}\n",
                "sys/fs/cgroup/user.slice/memory.current": f"{250 * MB}\n",
                "sys/fs/cgroup/user.slice/memory.stat": f"anon 1\ninactive_file {50 * MB}\n",
            },
            200,
        ),
        (
            {  # a container sees its own cgroup as the root
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/cgroup.controllers": "memory",
                "sys/fs/cgroup/memory.max": f"{300 * MB}",
                "sys/fs/cgroup/memory.current": f"{100 * MB}",
            },
            200,
        ),
        (
            {  # version 1; the host's path is not there in a container
                "proc/self/cgroup": "9:name=systemd:/\n4:cpu,memory:/docker/abc\n0::/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{500 * MB}",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": f"{400 * MB}",
                "sys/fs/cgroup/memory/memory.stat": f"total_inactive_file {20 * MB}\n",
            },
            120,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "1",
            },
            900,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/a\n",
                "sys/fs/cgroup/memory/a/memory.limit_in_bytes": f"{10 * MB}",
                "sys/fs/cgroup/memory/a/memory.usage_in_bytes": f"{30 * MB}",
            },
            0,
        ),
    ],
)
def test_free_memory_heeds_every_cgroup(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: int
) -> None:
    full = types.SimpleNamespace(free=1 << 50)
    monkeypatch.setattr(free_memory.shutil, "disk_usage", lambda path: full)
    root = system(tmp_path, {**PLENTY, **files})
    assert free_memory.free_bytes(tmp_path, root) == expected * MB * 9 // 10


def test_free_memory_without_proc_is_the_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    folder = types.SimpleNamespace(free=1000)
    monkeypatch.setattr(free_memory.shutil, "disk_usage", lambda path: folder)
    assert free_memory.free_bytes(tmp_path) == 900


# ---------------------------------------------------------------- folders and locks


def held_elsewhere(path: Path, name: str) -> subprocess.Popen[bytes]:
    code = (
        "import sys; from pathlib import Path; from eoscale_engine.own_folders import lock\n"
        f"held = lock(Path({str(path)!r}) / {name!r}); print('held', flush=True)\n"
        "sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == b"held\n"
    return process


def test_a_folder_is_private_and_removed_with_its_images(tmp_path: Path) -> None:
    folder = ImageFolder.create(str(tmp_path))
    assert folder.path.stat().st_mode & 0o777 == 0o700
    (folder.path / "pixels-1.raw").write_bytes(b"1")
    folder.close()
    folder.close()
    assert not folder.path.exists()


def test_an_engine_adopts_a_folder_once(tmp_path: Path) -> None:
    client = ImageFolder.create(str(tmp_path))
    engine = ImageFolder.adopt(str(client.path))
    with pytest.raises(MemoryBudgetError, match="Another engine"):
        ImageFolder.adopt(str(client.path), patience=0.1)
    assert not engine.client_is_gone()
    engine.close()
    assert client.path.exists()
    holder = held_elsewhere(client.path, ENGINE)
    start = time.monotonic()
    holder.kill()
    engine = ImageFolder.adopt(str(client.path))
    holder.communicate()
    assert time.monotonic() - start < 3
    client._lock.close()  # type: ignore[union-attr] - as when the client is killed
    assert engine.client_is_gone()
    engine.close(remove=True)
    assert not client.path.exists()


def test_sweeping_keeps_what_the_client_knows(tmp_path: Path) -> None:
    folder = ImageFolder.create(str(tmp_path))
    memory = Memory(folder, folder)
    kept, lost = memory.allocate(square(10)), memory.allocate(square(10))
    vrt = memory.face(kept)
    memory.face(lost)
    Path(vrt + ".aux.xml").write_text("statistics")
    (folder.path / "made by a function").mkdir()
    folder.sweep([kept.raw, vrt])
    names = {path.name for path in folder.path.iterdir()}
    assert names == {
        CLIENT, MARK, "made by a function", Path(kept.raw).name, Path(vrt).name,
        Path(vrt).name + ".aux.xml",
    }  # fmt: skip
    folder.close()


def test_a_folder_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("no folder")
    for root in (file, tmp_path / "missing"):
        with pytest.raises(MemoryBudgetError, match="EOSCALE_MEMORY"):
            ImageFolder.create(str(root))


def test_where_images_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EOSCALE_MEMORY", str(tmp_path))
    assert image_folder.shared_memory_root() == str(tmp_path)
    monkeypatch.delenv("EOSCALE_MEMORY")
    monkeypatch.setattr(sys, "platform", "linux")
    room = types.SimpleNamespace(f_frsize=4096, f_blocks=1 << 20)
    monkeypatch.setattr(os, "statvfs", lambda path: room)
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    for name in ("TMPDIR", "TEMP", "TMP"):
        monkeypatch.delenv(name, raising=False)
    assert image_folder.shared_memory_root() == "/dev/shm"
    room.f_blocks = 64 * MB // 4096
    assert image_folder.shared_memory_root() == image_folder.disk_root() == "/var/tmp"
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(image_folder.tempfile, "tempdir", None)
    assert image_folder.disk_root() == str(tmp_path)
    monkeypatch.setattr(sys, "platform", "win32")
    assert image_folder.shared_memory_root() == str(tmp_path)


def test_locks_on_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held: set[int] = set()

    def locking(file: int, mode: int, count: int) -> None:
        inode = os.fstat(file).st_ino
        if inode in held:
            raise PermissionError(errno.EACCES, "locked")
        held.add(inode)

    module: Any = types.ModuleType("msvcrt")
    module.locking, module.LK_NBLCK = locking, 2
    monkeypatch.setitem(sys.modules, "msvcrt", module)
    monkeypatch.setattr(sys, "platform", "win32")
    folder = ImageFolder.create(str(tmp_path))
    assert len(held) == 1
    assert remove_stale_folders(str(tmp_path), image_folder.PREFIX) == []
    held.clear()
    engine = ImageFolder.adopt(str(folder.path))
    with pytest.raises(MemoryBudgetError):
        ImageFolder.adopt(str(folder.path), patience=0.05)
    engine.close()
    folder.close()
    assert not folder.path.exists()


FORKING = """
import os, sys
from eoscale_engine.context import EOContextManager
from eoscale_engine.service.client import EngineClient

client = EngineClient()
client._ready()
with EOContextManager(2) as context:
    key = context.create_image({"width": 10, "height": 10, "count": 1, "dtype": "uint8"})
    folders = [client.folder, str(context._runs.store.memory.folder.path)]
    child = os.fork()
    if child == 0:
        client.release(["none"])
        client.close()
        sys.exit(client._closed)
    print(os.waitpid(child, 0)[1])
    print([os.path.isdir(folder) for folder in folders], len(os.listdir(folders[1])))
    print(context.get_array(key).sum())
client.close()
print([os.path.isdir(folder) for folder in folders])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_a_forked_child_leaves_its_parents_images() -> None:
    run = subprocess.run(
        [sys.executable, "-c", FORKING], capture_output=True, text=True, timeout=60, check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )  # fmt: skip
    said = run.stdout.splitlines()
    assert said == ["0", "[True, True] 3", "0", "[False, False]"], run.stdout + run.stderr


def test_what_is_free_can_be_asked_while_others_allocate(
    memory: Memory,
) -> None:
    store = ImageStore(memory, lambda raws: None)
    asked = threading.Event()

    def ask() -> None:
        memory.available()
        asked.set()

    with store._lock:
        thread = threading.Thread(target=ask)
        thread.start()
        assert not asked.wait(0.2)
    thread.join(10)
    assert asked.is_set()
