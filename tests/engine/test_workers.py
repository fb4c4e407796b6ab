"""The workers: results in order, errors, deaths, cancels, fairness, and what is left of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eoscale_engine import workers as settings
from eoscale_engine.errors import Cancelled, EngineError, InputError, TileError
from eoscale_engine.memory.allocation import Memory
from eoscale_engine.memory.folder import ImageFolder
from eoscale_engine.memory.images import Mappings
from eoscale_engine.profile import Profile
from eoscale_engine.tiling import Window
from eoscale_engine.workers import forkserver, processes
from eoscale_engine.workers.inline import InlineWorkers
from eoscale_engine.workers.processes import ProcessWorkers
from tests.engine.worker_jobs import Doing, Look, MappedFiles

GENEROUS = 3.0
"""Seconds for what takes a fraction of one on an idle machine."""

CANCEL = 1.5
"""Seconds from a cancel to its return, which takes less than one on an idle machine."""


def windows(count: int) -> list[Window]:
    return [Window(row, 0, 1, 10) for row in range(count)]


def run(executor: Any, job: Any, count: int = 8, cancelled: Any = lambda: False) -> list[Any]:
    results: list[Any] = [None] * count
    executor.run(job, windows(count), results.__setitem__, cancelled)
    return results


@pytest.fixture(scope="module")
def workers() -> Iterator[ProcessWorkers]:
    made = ProcessWorkers(2)
    yield made
    made.close()


def pids(executor: ProcessWorkers) -> set[int]:
    return {worker.process.pid for worker in executor._pool}


def wait_until(condition: Any, seconds: float = 5.0) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return bool(condition())


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize("kind", [lambda: ProcessWorkers(2), InlineWorkers])
def test_all_results_arrive(kind: Any) -> None:
    executor = kind()
    try:
        assert run(executor, Doing("plain"), 40) == list(range(40))
        assert run(executor, Doing("plain"), 0) == []
    finally:
        executor.close()


def test_large_results_arrive(workers: ProcessWorkers) -> None:
    assert [len(part) for part in run(workers, Doing("large"), 4)] == [5_000_000] * 4


def test_workers_stay_warm(workers: ProcessWorkers) -> None:
    run(workers, Doing("plain"))
    before = pids(workers)
    start = time.perf_counter()
    run(workers, Doing("plain"))
    assert time.perf_counter() - start < 0.5
    assert pids(workers) == before and len(before) == 2


def test_workers_get_their_environment(workers: ProcessWorkers) -> None:
    environment = run(workers, Doing("environment"), 1)[0]
    assert {key: environment[key] for key in settings.ENVIRONMENT} == {
        key: os.environ.get(key, value) for key, value in settings.ENVIRONMENT.items()
    }
    assert "MALLOC_MMAP_THRESHOLD_" in settings.ENVIRONMENT
    assert "MALLOC_MMAP_THRESHOLD_" not in os.environ


def test_workers_do_not_import_the_script(workers: ProcessWorkers) -> None:
    files = run(workers, Doing("main"), 1)[0]
    assert not any("pytest" in file for file in files)
    assert sys.modules["__main__"].__name__ == "__main__"


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        (
            "raises",
            TileError,
            ["Work failed", "rows 3 to 3", "ValueError: as asked", "worker_jobs"],
        ),
        ("raises_own", InputError, ["of a kind"]),
        ("leaves", TileError, ["SystemExit: enough", "rows 3 to 3"]),
        ("unsendable", TileError, ["rows 3 to 3", "local object"]),
        ("only_here", TileError, ["rows 3 to 3", "not in this process"]),
        ("dies", TileError, ["rows 3 to 3", "twice (exit code 7)"]),
        ("dies_as_its_server", TileError, ["exit code 255"]),
        ("faults", TileError, ["rows 3 to 3", "SIGSEGV"]),
        ("killed", TileError, ["rows 3 to 3", "SIGKILL", "memory"]),
        ("closes", TileError, ["rows 3 to 3"]),
    ],
)
def test_one_bad_tile_fails_its_job_and_no_other(
    workers: ProcessWorkers, what: str, kind: type[Exception], said: list[str]
) -> None:
    with pytest.raises(kind) as caught:
        run(workers, Doing(what, row=3))
    assert all(part in str(caught.value) for part in said), str(caught.value)
    assert run(workers, Doing("plain")) == list(range(8))


@pytest.mark.parametrize("what", ["raises", "leaves"])
def test_inline_errors_name_the_tile(what: str) -> None:
    with pytest.raises(TileError, match="rows 3 to 3"):
        run(InlineWorkers(), Doing(what, row=3))


def test_a_killed_worker_is_replaced_and_its_tile_run_again(
    workers: ProcessWorkers, tmp_path: Path
) -> None:
    assert run(workers, Doing("killed_once", row=3, folder=str(tmp_path))) == list(range(8))
    assert len(list(tmp_path.glob("killed_once-3-*"))) == 2
    assert all(len(list(tmp_path.glob(f"killed_once-{row}-*"))) == 1 for row in (0, 1, 6, 7))


def test_busy_workers_have_their_next_task_but_not_the_last_ones(workers: ProcessWorkers) -> None:
    seen: list[list[bool]] = []

    def note(number: int, result: Any) -> None:
        seen.append([worker.ahead is not None for worker in workers._pool])

    workers.run(Doing("plain", seconds=0.05), windows(12), note, lambda: False)
    assert any(map(any, seen[:6]))
    assert not any(map(any, seen[-4:]))


def test_what_was_sent_ahead_to_a_worker_that_dies_is_run_once(
    workers: ProcessWorkers, tmp_path: Path
) -> None:
    job = Doing("killed_once", row=3, folder=str(tmp_path), seconds=0.02)
    assert run(workers, job, 24) == list(range(24))
    times = [len(list(tmp_path.glob(f"killed_once-{row}-*"))) for row in range(24)]
    assert times == [1, 1, 1, 2, *[1] * 20]


def test_a_function_that_always_crashes_fails_soon(workers: ProcessWorkers, tmp_path: Path) -> None:
    with pytest.raises(TileError, match="twice"):
        run(workers, Doing("killed", folder=str(tmp_path)), 500)
    assert len(list(tmp_path.iterdir())) <= 4


def test_another_job_goes_on_while_one_crashes(workers: ProcessWorkers) -> None:
    results: list[Any] = []
    other = threading.Thread(
        target=lambda: results.extend(run(workers, Doing("plain", seconds=0.02), 40))
    )
    other.start()
    with pytest.raises(TileError):
        run(workers, Doing("killed", row=2))
    other.join()
    assert results == list(range(40))


@pytest.mark.parametrize("what", ["spins", "holds"])
def test_a_function_that_never_returns_is_cancelled_and_starves_no_job(
    workers: ProcessWorkers, what: str
) -> None:
    cancel = threading.Event()
    seconds: list[float] = []

    def endless() -> None:
        with pytest.raises(Cancelled):
            run(workers, Doing(what), cancelled=cancel.is_set)
        seconds.append(time.monotonic())

    thread = threading.Thread(target=endless)
    thread.start()
    time.sleep(0.3)
    busy = pids(workers)
    start = time.monotonic()
    sizes: list[int] = []
    workers.run(
        Doing("plain"), windows(8), lambda *_: sizes.append(len(pids(workers))), lambda: False
    )
    assert time.monotonic() - start < GENEROUS
    assert len(sizes) == 8 and max(sizes) == 3
    assert wait_until(lambda: pids(workers) == busy)  # the one that was added is gone
    start = time.monotonic()
    cancel.set()
    thread.join(20)
    assert seconds[0] - start < CANCEL
    assert not any(alive(pid) for pid in busy)
    assert run(workers, Doing("plain")) == list(range(8))
    assert wait_until(lambda: len(pids(workers)) <= 2)


def test_cancelling_leaves_workers_that_come_back(workers: ProcessWorkers) -> None:
    run(workers, Doing("plain"))
    before = pids(workers)
    calls = iter([False] * 2 + [True] * 1000)
    with pytest.raises(Cancelled):
        run(workers, Doing("plain", seconds=0.1), 100, lambda: next(calls))
    assert pids(workers) == before


def test_jobs_share_workers_fairly(workers: ProcessWorkers) -> None:
    ended: dict[str, float] = {}

    def long() -> None:
        run(workers, Doing("plain", seconds=0.03), 60)
        ended["long"] = time.monotonic()

    thread = threading.Thread(target=long)
    thread.start()
    time.sleep(0.1)
    run(workers, Doing("plain"), 4)
    ended["short"] = time.monotonic()
    thread.join()
    assert ended["short"] < ended["long"] - 0.2


def test_a_callback_that_fails_ends_the_job(workers: ProcessWorkers) -> None:
    def done(number: int, result: Any) -> None:
        raise KeyError("callback")

    with pytest.raises(KeyError):
        workers.run(Doing("plain"), windows(50), done, lambda: False)
    assert run(workers, Doing("plain")) == list(range(8))


def test_idle_workers_go_away_and_come_back() -> None:
    executor = ProcessWorkers(2, idle_seconds=0.2)
    try:
        run(executor, Doing("plain"))
        before = pids(executor)
        assert wait_until(lambda: not pids(executor))
        assert not any(alive(pid) for pid in before)
        assert run(executor, Doing("plain")) == list(range(8))
    finally:
        executor.close()


def test_a_closed_executor_says_so() -> None:
    executor = ProcessWorkers(1)
    executor.close()
    executor.forget(["nothing"])
    with pytest.raises(EngineError, match="closed"):
        run(executor, Doing("plain"))


def test_closing_ends_jobs_that_run() -> None:
    executor = ProcessWorkers(2)
    caught: list[BaseException] = []

    def endless() -> None:
        try:
            run(executor, Doing("spins"))
        except EngineError as error:
            caught.append(error)

    thread = threading.Thread(target=endless)
    thread.start()
    assert wait_until(lambda: len(pids(executor)) == 2)
    before = pids(executor)
    executor.close()
    thread.join(5)
    assert caught and not any(alive(pid) for pid in before)


def test_no_process_to_be_had_is_an_error_and_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    executor = ProcessWorkers(1)

    def none(process: Any) -> None:
        raise OSError("no more processes")

    try:
        with monkeypatch.context() as patch:
            patch.setattr(processes, "start_process", none)
            with pytest.raises(EngineError, match="no more processes"):
                run(executor, Doing("plain"))
        assert run(executor, Doing("plain")) == list(range(8))
    finally:
        executor.close()


def test_a_killed_forkserver_is_replaced(workers: ProcessWorkers) -> None:
    from multiprocessing import forkserver as server

    run(workers, Doing("plain"))
    before = pids(workers)
    os.kill(server._forkserver._forkserver_pid, signal.SIGKILL)  # type: ignore[attr-defined]
    assert run(workers, Doing("plain", seconds=0.02), 20) == list(range(20))
    assert wait_until(lambda: not any(alive(pid) for pid in before))


def test_workers_of_a_killed_forkserver_do_not_go_on(
    workers: ProcessWorkers, tmp_path: Path
) -> None:
    from multiprocessing import forkserver as server

    cancel = threading.Event()

    def endless() -> None:
        with pytest.raises(Cancelled):
            run(workers, Doing("spins", folder=str(tmp_path)), cancelled=cancel.is_set)

    thread = threading.Thread(target=endless)
    thread.start()
    assert wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    before = pids(workers)
    os.kill(server._forkserver._forkserver_pid, signal.SIGKILL)  # type: ignore[attr-defined]
    gone = wait_until(lambda: not any(alive(pid) for pid in before))
    cancel.set()
    thread.join(10)
    assert gone and not thread.is_alive()


def test_spawned_workers_do_the_same(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import multiprocessing

    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["spawn"])
    assert forkserver.context().get_start_method() == "spawn"
    executor = ProcessWorkers(1)
    try:
        environment, *_ = run(executor, Doing("environment"), 1)
        assert environment["MALLOC_TRIM_THRESHOLD_"]
        assert run(executor, Doing("killed_once", row=1, folder=str(tmp_path)), 2) == [0, 1]
        assert not any("pytest" in file for file in run(executor, Doing("main"), 1)[0])
    finally:
        executor.close()


# ---------------------------------------------------------------- images that workers have mapped


def test_workers_forget_released_images(workers: ProcessWorkers, tmp_path: Path) -> None:
    folders = [ImageFolder.create(str(tmp_path)) for _ in range(2)]
    memory = Memory(folders[0], folders[1])
    image = memory.allocate(Profile(100, 100, "float32"))
    Mappings().array(image, writable=True)[:] = 5
    assert run(workers, Look(image), 8) == [5.0] * 8
    assert any(run(workers, MappedFiles(), 8))
    memory.release(image)
    workers.forget([image.raw])
    assert not any(run(workers, MappedFiles(), 8))
    for folder in folders:
        folder.close()


def test_forgetting_never_waits_for_a_busy_worker(workers: ProcessWorkers) -> None:
    cancel = threading.Event()

    def endless() -> None:
        with pytest.raises(Cancelled):
            run(workers, Doing("spins"), cancelled=cancel.is_set)

    thread = threading.Thread(target=endless)
    thread.start()
    time.sleep(0.3)
    for number in range(3000):
        workers.forget([f"/nowhere/{number:060d}.raw"] * 20)
    assert run(workers, Doing("plain")) == list(range(8))
    cancel.set()
    thread.join(10)
    assert not thread.is_alive()


# ---------------------------------------------------------------- orphans and scripts

SCRIPT = """
import sys, time
print("imported", flush=True)
from eoscale_engine.workers.processes import ProcessWorkers
from tests.engine.worker_jobs import Doing
from eoscale_engine.tiling import Window
executor = ProcessWorkers(2)
executor.run(Doing("plain"), [Window(row, 0, 1, 1) for row in range(4)], print, lambda: False)
if len(sys.argv) > 1:
    job = Doing(sys.argv[1], folder=sys.argv[2])
    executor.run(job, [Window(0, 0, 1, 1)] * 2, print, lambda: False)
executor.close()
"""


def script(tmp_path: Path, *arguments: str) -> subprocess.Popen[str]:
    file = tmp_path / "script.py"
    file.write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.Popen(
        [sys.executable, str(file), *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    output, errors = script(tmp_path).communicate(timeout=30)
    assert output.count("imported") == 1, errors
    assert len(output.splitlines()) == 5, errors


@pytest.mark.parametrize("what", ["spins", "holds"])
def test_no_orphan_survives_a_killed_parent(tmp_path: Path, what: str) -> None:
    parent = script(tmp_path, what, str(tmp_path))
    assert wait_until(lambda: len(list(tmp_path.glob(f"{what}-*"))) == 2, 20)
    family = descendants(parent.pid)
    assert len(family) >= 3  # forkserver, workers, resource tracker
    parent.kill()
    parent.communicate()
    assert wait_until(lambda: not any(alive(pid) for pid in family))


def descendants(pid: int) -> set[int]:
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found = {pid}
    while True:
        more = {child for child, parent in parents.items() if parent in found} - found
        if not more:
            return found - {pid}
        found |= more


def test_workers_are_the_first_to_go_when_memory_runs_out(workers: ProcessWorkers) -> None:
    run(workers, Doing("plain"))
    for pid in pids(workers):
        assert int(Path(f"/proc/{pid}/oom_score_adj").read_text()) >= 500


def test_arrays_are_views_of_shared_memory(tmp_path: Path) -> None:
    folder = ImageFolder.create(str(tmp_path))
    memory = Memory(folder, folder)
    image = memory.allocate(Profile(7, 5, "int16"))
    first, second = Mappings(), Mappings()
    first.array(image, writable=True)[:] = np.arange(35).reshape(1, 5, 7)
    assert second.array(image)[0, 4, 6] == 34
    folder.close()


def test_there_are_never_more_workers_than_the_system_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(processes, "MOST_WORKERS", 1)
    executor = ProcessWorkers(5)
    try:
        assert executor.workers == 1
        cancel = threading.Event()

        def endless() -> None:
            with pytest.raises(Cancelled):
                run(executor, Doing("spins"), count=1, cancelled=cancel.is_set)

        threads = [threading.Thread(target=endless) for _ in range(3)]
        for thread in threads:
            thread.start()
        most = 0
        until = time.monotonic() + 4 * processes.PATIENCE
        while time.monotonic() < until:
            most = max(most, len(pids(executor)))
            time.sleep(0.02)
        cancel.set()
        for thread in threads:
            thread.join(20)
        assert most == 2
    finally:
        executor.close()
