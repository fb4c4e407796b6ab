"""Who holds which image: nothing goes that someone needs, nothing stays that nobody does."""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from osgeo import gdal

from eoscale_engine.context import EOContextManager
from eoscale_engine.filters.pixel.band_math import BandMath
from eoscale_engine.memory.store import Hold
from eoscale_engine.profile import Profile
from eoscale_engine.tiling import Window

SIZE = 24
NAMES = ("a.tif", "b.tif")


class Users(RuleBasedStateMachine):
    """Pipelines that share a store: what each key shows is compared with what it must show."""

    keys = Bundle("keys")
    holds = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.number = 0
        for name in NAMES:
            self._write(name)
        # some images fit into memory, others do not
        self.owner = EOContextManager(inline=True, memory_limit=12 * SIZE * SIZE)
        self.owner.start()
        resources = self.owner._runs.resources
        assert resources is not None
        self.store = resources.store
        self.contexts = [self.owner, EOContextManager(resources=resources)]
        self.shown: dict[tuple[int, str], np.ndarray] = {}
        self.held: dict[Hold, np.ndarray] = {}

    def _path(self, name: str) -> str:
        return str(Path(self.folder.name) / name)

    def _write(self, name: str) -> None:
        pixels = np.random.default_rng(self.number).integers(0, 200, (2, SIZE, SIZE), np.uint8)
        self.number += 1
        file = gdal.GetDriverByName("GTiff").Create(self._path(name), SIZE, SIZE, 2)
        file.WriteArray(pixels)

    def _added(self, which: int, key: str, pixels: np.ndarray) -> tuple[int, str]:
        self.shown[which, key] = pixels
        return which, key

    @rule(target=keys, which=st.sampled_from((0, 1)), value=st.integers(0, 200))
    def create(self, which: int, value: int) -> Any:
        key = self.contexts[which].create_image(Profile(SIZE, SIZE, "uint8"))
        self.contexts[which].get_array(key)[:] = value
        return self._added(which, key, np.full((1, SIZE, SIZE), value, np.uint8))

    @rule(
        target=keys, which=st.sampled_from((0, 1)), name=st.sampled_from(NAMES),
        bands=st.sampled_from([(1, 2), (2,), (2, 1)]), now=st.booleans(),
    )  # fmt: skip
    def open(self, which: int, name: str, bands: tuple[int, ...], now: bool) -> Any:
        context = self.contexts[which]
        key = (context.open_raster if now else context.describe)(self._path(name), bands)
        pixels = gdal.Open(self._path(name)).ReadAsArray()
        return self._added(which, key, pixels[[band - 1 for band in bands]])

    @rule(name=st.sampled_from(NAMES))
    def change(self, name: str) -> None:
        for which, key in self.shown:  # what is still to be read of it would be refused
            self.contexts[which].get_array(key)
        self._write(name)

    @rule(target=keys, of=keys, way=st.sampled_from(("crop", "view", "filter", "filtered")))
    def derive(self, of: tuple[int, str], way: str) -> Any:
        if of not in self.shown:
            return multiple()
        which, key = of
        context, pixels = self.contexts[which], self.shown[of]
        if way in ("filter", "filtered"):
            [made] = getattr(context, way)(BandMath(expressions="im1b1+1", dtype="uint8"), key)
            return self._added(which, made, pixels[:1] + 1)
        rows, cols = (max(1, side - 1) for side in pixels.shape[1:])
        if way == "crop":
            made = context.crop(key, Window(0, 0, rows, cols))
        else:
            part = context.get_array(key)[:, :rows, :cols]
            made = context.create_memview(key, part, context.get_profile(key))
        return self._added(which, made, pixels[:, :rows, :cols])

    @rule(of=keys)
    def publish(self, of: tuple[int, str]) -> None:
        if of in self.shown:
            face = gdal.Open(self.contexts[of[0]].publish(of[1])).ReadAsArray()
            assert np.array_equal(face.reshape(self.shown[of].shape), self.shown[of])

    @rule(target=holds, of=consumes(keys))
    def hand_over(self, of: tuple[int, str]) -> Any:
        if of not in self.shown:
            return multiple()
        hold = self.contexts[of[0]].images.hand_over(of[1])
        self.held[hold] = self.shown.pop(of)
        return hold

    @rule(hold=holds)
    def let_go(self, hold: Hold) -> None:
        hold.release()
        self.held.pop(hold, None)

    @rule(of=keys, drop=st.booleans())
    def release(self, of: tuple[int, str], drop: bool) -> None:
        self.contexts[of[0]].release(of[1])
        self.shown.pop(of, None)
        if drop:
            self.store.drop_idle()

    @rule(of=keys)
    def read(self, of: tuple[int, str]) -> None:
        if of in self.shown:
            assert np.array_equal(self.contexts[of[0]].get_array(of[1]), self.shown[of])

    @invariant()
    def nothing_lies_there_that_nobody_holds(self) -> None:
        memory = self.store.memory
        kept = [file for files in memory._recycled.values() for file in files]
        assert _raw_files(self.store) == {*self.store._holds, *kept}

    def teardown(self) -> None:
        try:
            for which, key in self.shown:
                assert np.array_equal(self.contexts[which].get_array(key), self.shown[which, key])
            for hold, pixels in self.held.items():
                found = np.fromfile(hold.image.raw, np.uint8)[: hold.image.stored.nbytes]
                assert np.array_equal(found, pixels.ravel())
                hold.release()
            self.contexts[1].end()
            for key in [key for which, key in self.shown if which == 0]:
                self.owner.release(key)
            self.store.drop_idle()
            assert not _raw_files(self.store) and not self.store._holds
        finally:
            self.owner.end()
            self.folder.cleanup()


def _raw_files(store: Any) -> set[str]:
    folders = store.memory.folder.path, store.memory.disk_folder.path
    return {str(file) for folder in folders for file in folder.glob("*.raw")}


def test_images_live_as_long_as_someone_holds_them() -> None:
    run_state_machine_as_test(
        Users,
        settings=settings(
            max_examples=25, stateful_step_count=30, deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )  # fmt: skip


def test_a_hold_that_two_threads_release_is_released_once() -> None:
    with EOContextManager(inline=True) as context:
        store = context._runs.store
        for _ in range(50):
            hold = store.allocate(Profile(8, 8, "uint8"))
            other = store.hold(hold.image)
            threads = [threading.Thread(target=hold.release) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert Path(hold.image.raw).exists()
            other.release()
