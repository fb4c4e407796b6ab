"""Finds the Python that the engine process runs in.

Inside QGIS ``sys.executable`` is QGIS itself on Windows and macOS, and on Linux the first
``python3`` on PATH, which may be another Python. So candidates are derived from where the running
Python has its libraries, and none is believed before a *probe*: a short run of it that must report
the same minor version and import NumPy and GDAL.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess  # nosec B404
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional, Union

from eoscale_engine.workers import safe_path

PROBE_SECONDS = 30.0
"""A probe takes about 0.2 s; a cold disk or a virus scanner can make it some seconds."""

NO_WINDOW: int = getattr(subprocess, "CREATE_NO_WINDOW", 0)
"""``creationflags`` of every process started from QGIS: no console window opens on Windows."""

_MARK = "eoscale-probe"
_PROBE = (
    # Python before 3.11 looks into the current folder first, whoever's files lie there
    "import sys; sys.path[:] = filter(None, sys.path); import numpy, osgeo.gdal; "
    f"print('{_MARK} %d.%d' % sys.version_info[:2])"
)
_OTHER_VERSION = "it is Python"
_MISLEADING = ("PYTHONHOME", "PYTHONEXECUTABLE", "PYTHONPLATLIBDIR", "__PYVENV_LAUNCHER__")


@dataclass(frozen=True)
class Interpreter:
    """A Python that was seen to run with NumPy and GDAL.

    Attributes
    ----------
    path : str
        The executable.
    environment : mapping
        The whole environment to start it with, as it was probed.
    """

    path: str
    environment: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class NoInterpreter:
    """Why there is none: what was tried, and what the user can do."""

    reason: str


@dataclass(frozen=True)
class Host:
    """What the running Python says about itself: the only thing that candidates depend on."""

    platform: str
    version: str
    exec_prefix: str
    base_prefix: str
    executable: str
    libraries: tuple[str, ...]
    environ: Mapping[str, str]

    @classmethod
    def running(cls) -> Host:
        """The Python that this code runs in."""
        origins = (_origin(name) for name in ("numpy", "osgeo"))
        return cls(
            platform=sys.platform,
            version="{}.{}".format(*sys.version_info[:2]),
            exec_prefix=sys.exec_prefix,
            base_prefix=sys.base_prefix,
            executable=sys.executable or "",
            libraries=tuple(dict.fromkeys(str(at.parents[1]) for at in origins if at)),
            environ=dict(os.environ),
        )


def find_interpreter(
    setting: str = "", *, last: str = "", host: Optional[Host] = None
) -> Union[Interpreter, NoInterpreter]:
    """The Python to start the engine with.

    Parameters
    ----------
    setting : str
        A path that the user chose. Where it does not work nothing else is tried: the user is told.
    last : str
        The path that worked last time, tried first; it may be outdated.
    host : Host, optional
        The Python to find one for; by default the running one.

    Notes
    -----
    Each candidate is probed in QGIS's environment without what would mislead a Python
    (``PYTHONHOME`` above all). If none works they are probed once more with the home and the
    library folders of the running Python, which a Python inside a bundle needs. Nothing is
    remembered between calls: one good probe takes about 0.2 s.
    """
    host = host or Host.running()
    chosen = os.path.expanduser(setting.strip())
    paths = [chosen] if chosen else _existing([last, *candidates(host)])
    reasons: dict[str, str] = {}
    for environment in (_own_environment(host), _running_environment(host)):
        for path in paths:
            if _OTHER_VERSION in reasons.get(path, ""):
                continue
            reasons[path] = probe(path, environment, host.version)
            if not reasons[path]:
                return Interpreter(path, environment)
    remedy = "Set the Python interpreter in the EOScale options to QGIS's own Python"
    if chosen:
        remedy += ", or leave it empty to have it found"
    tried = "".join(f"\n- {path}: {reason}" for path, reason in reasons.items())
    return NoInterpreter(
        f"No Python {host.version} with NumPy and GDAL was found to run the engine in. {remedy}."
        + (f" Tried:{tried}" if tried else "")
    )


def candidates(host: Host) -> Iterator[str]:
    """Where QGIS's own Python may be, the likeliest first; the files need not exist."""
    prefixes = [Path(host.exec_prefix), Path(host.base_prefix)]
    beside = Path(host.executable).parent
    if host.platform == "win32":
        digits = host.version.replace(".", "")
        roots = [Path(host.environ.get("OSGEO4W_ROOT", "")), beside.parent]
        folders = [*prefixes, *(root / "apps" / f"Python{digits}" for root in roots), beside]
        names = ["python.exe", "python3.exe"]
    else:
        folders = [prefix / "bin" for prefix in prefixes]
        names = [f"python{host.version}", "python3"]
        if host.platform == "darwin":
            folders += _bundle_folders(host)
            names.append("python")
        folders.append(Path("/usr/bin"))
        folders += map(Path, filter(None, host.environ.get("PATH", "").split(os.pathsep)))
    # A relative folder would mean whatever lies in the current one: never run that.
    yield from (str(at / name) for at in folders if at.is_absolute() for name in names)


def probe(path: str, environment: Mapping[str, str], version: str) -> str:
    """Run an interpreter for a moment; why it cannot be used, or an empty string."""
    if not os.path.isfile(path):
        return "there is no such file"
    try:
        # The list form starts exactly this file, without a shell; the code is a constant.
        run = subprocess.run(  # nosec B603
            [path, "-c", _PROBE],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PROBE_SECONDS,
            creationflags=NO_WINDOW,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it did not answer within {PROBE_SECONDS:g} seconds"
    except OSError as error:
        return f"it does not start ({error.strerror or error})"
    # A sitecustomize may print, so the mark is looked for on every line.
    for line in run.stdout.splitlines():
        if line.startswith(_MARK):
            found = line.split()[-1]
            return "" if found == version else f"{_OTHER_VERSION} {found}"
    lines = run.stderr.strip().splitlines()
    return lines[-1] if lines else f"it ended with status {run.returncode}"


def _existing(paths: list[str]) -> list[str]:
    """Without those that are not there, and each file once, whatever links lead to it.

    A virtual environment's Python is a link to another file but a different interpreter, so the
    folder counts too.
    """
    seen: dict[tuple[str, str], str] = {}
    for path in filter(os.path.isfile, paths):
        seen.setdefault((os.path.realpath(os.path.dirname(path)), os.path.realpath(path)), path)
    return list(seen.values())


def _bundle_folders(host: Host) -> list[Path]:
    """Folders of a macOS bundle that hold a Python, in the layouts of QGIS 3 and 4."""
    places = [Path(host.exec_prefix), Path(host.executable)]
    contents = [folder for at in places for folder in at.parents if folder.name == "Contents"]
    framework = Path("Frameworks", "Python.framework", "Versions", host.version, "bin")
    inside = (Path("MacOS", "bin"), Path("MacOS"), Path("Frameworks", "bin"), framework)
    return [folder / part for folder in contents[:1] for part in inside]


def _own_environment(host: Host) -> dict[str, str]:
    environment = {key: text for key, text in host.environ.items() if key not in _MISLEADING}
    environment |= safe_path(environment.get("PYTHONPATH", ""))
    if host.platform == "win32":
        # GDAL's DLLs lie in OSGeo4W's bin folder; Python looks there only if told to.
        beside = os.path.dirname(host.executable)
        environment["PATH"] = os.pathsep.join(filter(None, (beside, environment.get("PATH", ""))))
        environment["USE_PATH_FOR_GDAL_PYTHON"] = "YES"
        environment.setdefault("OSGEO4W_ROOT", os.path.dirname(beside))
    return environment


def _running_environment(host: Host) -> dict[str, str]:
    environment = _own_environment(host)
    environment |= safe_path(*host.libraries, environment["PYTHONPATH"])
    if host.platform in ("win32", "darwin"):
        environment["PYTHONHOME"] = host.base_prefix
    return environment


def _origin(name: str) -> Optional[Path]:
    spec = importlib.util.find_spec(name)
    return Path(spec.origin) if spec and spec.origin else None
