"""Plain functions: which travel to workers and which run inline, told why."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
import threading
import time
import types
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eoscale_engine.callables import (
    FunctionReference,
    check_function,
    has_main_guard,
    parse_parameters,
    reference_to,
)
from eoscale_engine.context import EOContextManager
from eoscale_engine.errors import InputError, TileError
from eoscale_engine.executors import n_images_to_m_images_filter, n_images_to_m_scalars
from eoscale_engine.filters.pixel.python_filter import PythonFilter
from eoscale_engine.user_modules import load_module

ROOT = Path(__file__).parents[2]


def process(buffers: Any, profiles: Any, params: Any) -> Any:
    """The number of the process that runs it, in every pixel."""
    return np.full(buffers[0].shape, os.getpid(), np.int32)


def spoils(buffers: Any, profiles: Any, params: Any) -> Any:
    """Changes all that it gets."""
    copy = buffers[0].copy()
    buffers[0][:] = -1
    profiles[0].clear()
    params.clear()
    buffers.clear()
    profiles.clear()
    return copy


def renamed(function: Any) -> Any:
    @functools.wraps(function)
    def wrapped(*arguments: Any) -> Any:
        return function(*arguments) * 0

    return wrapped


decorated = renamed(process)
decorated_here = renamed(process)
decorated_here.__qualname__ = decorated_here.__name__ = "decorated_here"


class Holder:
    """Functions that belong to something."""

    def method(self, buffers: Any, profiles: Any, params: Any) -> Any:
        return process(buffers, profiles, params)

    @staticmethod
    def static(buffers: Any, profiles: Any, params: Any) -> Any:
        return process(buffers, profiles, params)

    def __call__(self, buffers: Any, profiles: Any, params: Any) -> Any:
        return process(buffers, profiles, params)


def closure() -> Any:
    def inner(buffers: Any, profiles: Any, params: Any) -> Any:
        return process(buffers, profiles, params)

    return inner


INLINE = [
    (lambda *arguments: process(*arguments), "it is a lambda"),  # noqa: PLW0108
    (closure(), "inside another function"),
    (Holder().method, "not a plain function"),
    (Holder(), "not a plain function"),
    (functools.partial(process), "not a plain function"),
    (decorated, "a decorator may have replaced it"),
]


@pytest.fixture(scope="module")
def context() -> Iterator[EOContextManager]:
    with EOContextManager(2, tile_pixels=20) as made:
        yield made


@pytest.fixture(scope="module")
def image(context: EOContextManager) -> str:
    key = context.create_image({"width": 8, "height": 9, "count": 1, "dtype": "int32"})
    context.get_array(key)[:] = np.arange(72).reshape(1, 9, 8)
    return key


def processes(context: EOContextManager, image: str, function: Any, **params: Any) -> set[int]:
    [made] = n_images_to_m_images_filter(
        inputs=[image], image_filter=function, filter_parameters=params, context_manager=context
    )
    return set(context.get_array(made).ravel().tolist())


@pytest.mark.parametrize("function", [process, Holder.static, decorated_here])
def test_functions_of_modules_travel(context: EOContextManager, image: str, function: Any) -> None:
    assert isinstance(reference_to(function), FunctionReference)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert os.getpid() not in processes(context, image, function)


@pytest.mark.parametrize(("function", "why"), INLINE)
def test_others_run_inline_and_say_why(
    context: EOContextManager, image: str, function: Any, why: str
) -> None:
    with pytest.warns(UserWarning, match=f"on one core: .*{why}.*main guard"):
        found = processes(context, image, function)
    assert found in ({os.getpid()}, {0})
    with pytest.warns(UserWarning, match=why):
        values = n_images_to_m_scalars([image], function, lambda a, b, t: a.append(1), context)
    assert values[-1] == 1


def test_parameters_that_cannot_travel(context: EOContextManager, image: str) -> None:
    with pytest.warns(UserWarning, match="parameters cannot be sent"):
        assert processes(context, image, process, lock=threading.Lock()) == {os.getpid()}


def test_a_module_that_is_not_imported() -> None:
    made = types.FunctionType(process.__code__, {}, "process")
    made.__module__ = "nowhere"
    assert "'nowhere' is not imported" in str(reference_to(made))


@pytest.mark.parametrize("inline", [True, False])
def test_what_a_function_changes_nobody_else_sees(
    context: EOContextManager, image: str, inline: bool
) -> None:
    before, params = context.get_array(image).copy(), {"size": 3}
    function = functools.partial(spoils) if inline else spoils
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        [made] = n_images_to_m_images_filter([image], function, params, None, None, 2, context)
    np.testing.assert_array_equal(context.get_array(made), before)
    np.testing.assert_array_equal(context.get_array(image), before)
    assert params == {"size": 3}
    assert context.get_profile(image)["width"] == 8


# ---------------------------------------------------------------- scripts, as users run them

SCRIPT = """
import os
import numpy as np
from eoscale_engine.context import EOContextManager
from eoscale_engine.executors import n_images_to_m_images_filter

print("started")

def process(buffers, profiles, params):
    return np.full(buffers[0].shape, os.getpid(), np.int32)

def main():
    with EOContextManager(2, tile_pixels=20) as context:
        key = context.create_image({"width": 8, "height": 9, "count": 1, "dtype": "int32"})
        [made] = n_images_to_m_images_filter([key], process, context_manager=context)
        print("inline" if (context.get_array(made) == os.getpid()).all() else "workers")

"""
GUARD = 'if __name__ == "__main__":\n    main()\n'


def ran(*command: str, text: str = "", cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, *command], input=text, cwd=cwd, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def test_a_script_with_a_main_guard(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT + GUARD)
    done = ran("script.py", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "workers"
    assert "UserWarning" not in done.stderr


def test_a_script_run_as_a_module_with_relative_imports(tmp_path: Path) -> None:
    package = tmp_path / "mine"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "other.py").write_text("import numpy as np\n")
    text = SCRIPT.replace("import numpy as np", "from .other import np") + GUARD
    (package / "script.py").write_text(text)
    done = ran("-m", "mine.script", cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "workers"


def test_a_script_without_a_main_guard_runs_inline_once(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT + "main()\n")
    done = ran("script.py", cwd=tmp_path)
    assert done.stdout.splitlines() == ["started", "inline"]
    assert "has no `if __name__ == '__main__':` guard" in done.stderr


@pytest.mark.parametrize("way", ["-c", "-"])
def test_a_console(way: str) -> None:
    text = SCRIPT + "main()\n"
    done = ran("-c", text) if way == "-c" else ran("-", text=text)
    assert done.stdout.splitlines() == ["started", "inline"]
    assert "typed in a console" in done.stderr


def test_a_console_after_a_script(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT + GUARD)
    typed = SCRIPT[SCRIPT.index("def process") :].replace("process", "typed")
    done = ran("-i", "script.py", text=typed.replace("\n\n", "\n\n\n") + "main()\n", cwd=tmp_path)
    assert "workers" in done.stdout
    assert done.stdout.splitlines()[-1] == "inline"
    assert "'typed' runs in this process only, on one core: it was typed" in done.stderr


def test_a_main_guard_is_found(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    for text, expected in (
        (GUARD, True), ("if '__main__' == __name__ and 1:\n    pass\n", True),
        ("x = 1\n", False), ("if x == '__name__':\n    pass\n", False),
    ):  # fmt: skip
        script.write_text(text)
        assert has_main_guard(str(script)) is expected


DECLARATION = """
import os
import sys
from dataclasses import dataclass
import numpy as np
from eoscale_engine.context import EOContextManager
from eoscale_engine.declaration import ImageFilter, Reduction, parameter

@dataclass(frozen=True)
class Mine(ImageFilter):
    more: int = parameter(1, help="More")
    def output_profiles(self, inputs):
        return [inputs[0].with_nodata(None)]
    def apply(self, blocks):
        return np.full(blocks[0].pixels.shape, os.getpid() + self.more, np.int32), None

@dataclass(frozen=True)
class Here(Reduction):
    def map(self, blocks):
        return {os.getpid()}
    def merge(self, first, second):
        return first | second

def main():
    with EOContextManager(2, tile_pixels=20) as context:
        key = context.create_image({"width": 8, "height": 9, "count": 1, "dtype": "int32"})
        [made] = context.filter(Mine(more=5), key)
        inline = (context.get_array(made) == os.getpid() + 5).all()
        assert inline == (context.reduce(Here(), key) == {os.getpid()})
        print("inline" if inline else "workers")

"""


def test_declarations_of_scripts_travel_too(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(DECLARATION + GUARD)
    done = ran("script.py", cwd=tmp_path)
    assert done.stdout.splitlines() == ["workers"]
    assert "UserWarning" not in done.stderr
    (tmp_path / "script.py").write_text(DECLARATION + "main()\n")
    done = ran("script.py", cwd=tmp_path)
    assert done.stdout.splitlines() == ["inline"]
    assert "'Mine' runs in this process only, on one core: the script" in done.stderr
    assert ran("-c", DECLARATION + "main()\n").stdout == "inline\n"


# ---------------------------------------------------------------- user files


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_a_changed_file_is_imported_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    file = write(tmp_path / "mine.py", "def f():\n    return 1\n")
    first = load_module(file)
    assert load_module(file) is first
    # the same size and the same second: a compiled file would be taken for this one
    state = os.stat(file)
    write(tmp_path / "mine.py", "def f():\n    return 2\n")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns + 1000))
    assert load_module(file).f() == 2
    # nor does it help to set the time back
    state = os.stat(file)
    write(tmp_path / "mine.py", "def f():\n    return 3\n")
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    assert load_module(file).f() == 3 or sys.platform == "win32"
    assert [item.name for item in tmp_path.iterdir()] == ["mine.py"]


def test_files_import_their_neighbours(tmp_path: Path) -> None:
    write(tmp_path / "neighbour_of_mine.py", "value = 5\n")
    file = write(tmp_path / "mine.py", "from neighbour_of_mine import value\n")
    assert load_module(file).value == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import nothing_like_it\n", r"ModuleNotFoundError, line 1: .*nothing_like_it"),
        ("x = 1\ndef f(:\n", "SyntaxError, line 2"),
        ("\n\n1 / 0\n", "ZeroDivisionError, line 3: division by zero"),
        ("import sys\nsys.exit('bye')\n", "SystemExit, line 2: bye"),
    ],
)
def test_files_that_do_not_import(tmp_path: Path, text: str, message: str) -> None:
    file = write(tmp_path / "mine.py", text)
    for _ in range(2):
        with pytest.raises(InputError, match=rf"mine.py' does not import: {message}"):
            load_module(file)


def test_functions_that_are_not_there(tmp_path: Path) -> None:
    file = write(tmp_path / "mine.py", "from os import getcwd\nx = 1\ndef mean(): pass\n")
    check_function(file, "mean")
    for name in ("median", "x"):
        with pytest.raises(InputError, match=rf"no function '{name}' in .* It has: mean\."):
            check_function(file, name)
    with pytest.raises(InputError, match="is not there"):
        check_function(str(tmp_path / "gone.py"), "mean")
    with pytest.raises(InputError, match="no function 'gone'"):
        FunctionReference("", file, "gone").resolve()


def test_a_module_that_workers_cannot_import_is_loaded_from_its_file(tmp_path: Path) -> None:
    file = write(tmp_path / "late.py", "def f(): return 4\n")
    assert FunctionReference("late_module_of_nobody", file, "f").resolve()() == 4
    with pytest.raises(ImportError):
        FunctionReference("late_module_of_nobody", "", "f").resolve()


def test_parameters_are_a_json_object() -> None:
    assert parse_parameters("", "X") == {}
    assert parse_parameters('{"a": [1, null]}', "X") == {"a": [1, None]}
    for text in ("{a: 1}", "[1]", "3"):
        with pytest.raises(InputError, match=r"X: the parameters .*JSON"):
            parse_parameters(text, "X")
    with pytest.raises(InputError, match="X: the parameters are nested too deeply"):
        parse_parameters("[" * 100_000, "X")
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(InputError, match="'Parameters' is nested too deeply"):
        PythonFilter("f.py", "f", deep)  # type: ignore[arg-type]


# ---------------------------------------------------------------- wrong returns


def returns(buffers: Any, profiles: Any, params: Any) -> Any:
    """Whatever the parameters say."""
    found = params["value"]
    if found == "raise":
        raise ValueError("no good")
    return np.zeros(found) if isinstance(found, tuple) else found


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        (None, InputError, "returned nothing; it must return a NumPy array"),
        ([3], InputError, "returned int"),
        ((2, 2), InputError, r"shape \(2, 2\); it must be"),
        ((5,), InputError, r"shape \(5,\)"),
        (
            "raise",
            TileError,
            r"returns failed on the tile of .*ValueError: no good .*test_callables",
        ),
    ],
)
def test_wrong_returns(
    context: EOContextManager, image: str, value: Any, error: Any, message: str
) -> None:
    with pytest.raises(error, match=message):
        processes(context, image, returns, value=value)
    assert context.get_array(image).shape == (1, 9, 8)


def test_files_of_two_folders_keep_to_their_own_neighbours(tmp_path: Path) -> None:
    files = []
    for number in (1, 2):
        folder = tmp_path / f"d{number}"
        folder.mkdir()
        write(folder / "rvhelper.py", f"value = {number}\n")
        write(folder / "rvlazy.py", f"value = {number}\n")
        files.append(
            write(
                folder / "f.py",
                "import rvhelper\ndef f():\n    import rvlazy\n"
                "    return rvhelper.value, rvlazy.value\n",
            )
        )
    for _ in range(2):
        assert [load_module(file).f() for file in files] == [(1, 1), (2, 2)]
    load_module(files[0])
    assert load_module(files[0]) is load_module(files[0])


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("package", [False, True])
def test_a_changed_neighbour_is_imported_anew(tmp_path: Path, package: bool, lazy: bool) -> None:
    folder = tmp_path / "rvparts" if package else tmp_path
    folder.mkdir(exist_ok=True)
    neighbour = folder / "rvnear.py"
    write(neighbour, "value = 1\n")
    name = "rvparts.rvnear" if package else "rvnear"
    text = f"from {name} import value\n"
    lazily = f"def f():\n    {text}    return value\n"
    file = write(tmp_path / "mine.py", lazily if lazy else f"{text}def f():\n    return value\n")
    assert load_module(file).f() == 1
    state = os.stat(neighbour)
    time.sleep(0.02)  # a file system's clock may tick that slowly
    write(neighbour, "value = 1 + 1\n" if lazy else "value = 2\n")
    if not lazy:  # within the same second, of the same size
        os.utime(neighbour, ns=(state.st_atime_ns, state.st_mtime_ns + 1000))
    assert load_module(file).f() == 2


def test_a_users_folder_comes_first_while_its_file_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    write(tmp_path / "other" / "rvsettings.py", "value = 1\n")
    write(tmp_path / "rvsettings.py", "value = 2\n")
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    file = write(tmp_path / "mine.py", "from rvsettings import value\n")
    assert load_module(file).value == 2
