"""As many files as one likes: what an engine keeps open stays the same."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError
from eoscale_engine.filters.neighbourhood.focal import FocalStatistics
from eoscale_engine.memory import images
from eoscale_engine.memory.allocation import Memory
from eoscale_engine.memory.folder import ImageFolder
from eoscale_engine.memory.images import Mappings
from eoscale_engine.memory.store import MOST_KEPT
from eoscale_engine.profile import Profile
from eoscale_engine.workers import preloaded
from tests.faults.jobs import descendants, write_image


def open_files(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/fd"))


def test_descriptors_stay_flat_over_many_files(tmp_path: Path) -> None:
    def run(first: int, last: int) -> int:
        for number in range(first, last):
            path = write_image(tmp_path / f"{number}.tif", 8 + number % 5)
            image = context.open_raster(path)
            [made] = context.filter(FocalStatistics(radius=1), image)
            context.release(made)
            context.release(image)
            os.unlink(path)
        folder = context._runs.store.memory.folder.path
        return max(map(open_files, descendants(os.getpid()))) + len(list(folder.iterdir()))

    with EOContextManager(2) as context:
        before = run(0, 2 * MOST_KEPT)
        assert run(2 * MOST_KEPT, 5 * MOST_KEPT) <= before + 6


@pytest.mark.parametrize("most", [resource.RLIM_INFINITY, 4096, 1 << 20])
def test_more_files_may_be_open(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """As macOS has it: no limit to what may be asked for, and an error for more than it has."""
    given = []

    def set_limits(_: int, limits: tuple[int, int]) -> None:
        if not 0 <= limits[0] <= preloaded.MOST_FILES:
            raise ValueError("current limit exceeds maximum limit")
        given.append(limits)

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, most))
    monkeypatch.setattr(resource, "setrlimit", set_limits)
    preloaded._open_more_files()
    assert given == [(min(most, 10240) if most > 0 else 10240, most)]


def test_mappings_are_as_many_as_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MOST_MAPPED", 3)
    folder = ImageFolder.create(str(tmp_path))
    memory, mappings = Memory(folder, folder), Mappings()
    made = [memory.allocate(Profile(4, 4, "uint8")) for _ in range(5)]
    before = open_files(os.getpid())
    arrays = []
    for value, image in enumerate(made):
        mappings.array(image, writable=True)[:] = value
        mappings.array(made[0])  # used again and again: it stays
    assert open_files(os.getpid()) <= before + 3
    assert made[0].raw in mappings._maps
    arrays = [mappings.array(image) for image in made]
    assert [int(array.max()) for array in arrays] == [0, 1, 2, 3, 4]
    folder.close()


MANY = """
import resource, sys
soft, hard, inline = map(int, sys.argv[1:])
resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import MemoryBudgetError
from eoscale_engine.filters.pixel.stack import Stack
from eoscale_engine.profile import Profile
with EOContextManager(2, inline=bool(inline)) as context:
    images = [context.create_image(Profile(5, 5, "uint8")) for _ in range(200)]
    try:
        [made] = context.filter(Stack(), images)
        print(context.profile(made).count)
    except MemoryBudgetError as error:
        print(error)
"""


@pytest.mark.parametrize("inline", [0, 1])
@pytest.mark.parametrize(("soft", "hard"), [(100, 4096), (100, 100)])
def test_more_images_than_open_files(soft: int, hard: int, inline: int) -> None:
    run = subprocess.run(
        [sys.executable, "-c", MANY, str(soft), str(hard), str(inline)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    works = hard == 4096 and not inline
    assert run.stdout.startswith("200" if works else "There are more images"), run.stderr


@pytest.mark.parametrize("number", [-1, -100])
def test_fewer_workers_than_none_are_refused(number: int) -> None:
    with pytest.raises(InputError, match="workers"), EOContextManager(number):
        pass


def test_pixels_of_many_files_are_right(tmp_path: Path) -> None:
    with EOContextManager(2) as context:
        paths = [write_image(tmp_path / f"{n}.tif", 9) for n in range(MOST_KEPT + 3)]
        keys = [context.open_raster(path) for path in paths]
        expected = context.get_array(keys[0])
        assert all(np.array_equal(context.get_array(key), expected) for key in keys)
