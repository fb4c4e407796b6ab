"""What a user's Python file may do: each function takes its image and does one harmful thing."""

from __future__ import annotations

import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from osgeo import gdal


def _mark(params):
    if "folder" in params:
        Path(params["folder"], f"{os.getpid()}-{time.monotonic_ns()}").touch()


def same(buffers, profiles, params):
    _mark(params)
    time.sleep(params.get("seconds", 0))
    return buffers[0]


def changes_its_input(buffers, profiles, params):
    buffers[0] += 1
    return buffers[0]


def raises(buffers, profiles, params):
    raise ZeroDivisionError("as asked")


def prints(buffers, profiles, params):
    print('{"id": 1, "result": "printed"}', flush=True)
    os.write(1, b"\x00 raw \n")
    sys.__stdout__.write("x" * 100_000 + "\n")
    subprocess.run(["echo", "from a child"], check=True)
    return buffers[0]


def fills(buffers, profiles, params):
    """GDAL's FillNodata makes temporary files, which it leaves behind where it is killed."""
    Path(params["folder"], gdal.GetConfigOption("CPL_TMPDIR").replace("/", "|")).touch()
    return buffers[0]


def reads_standard_input(buffers, profiles, params):
    assert sys.stdin.read() == ""
    return buffers[0]


def os_exits(buffers, profiles, params):
    os._exit(3)


def sys_exits(buffers, profiles, params):
    sys.exit("enough")


def faults(buffers, profiles, params):
    ctypes.string_at(0)


def kills_itself_once(buffers, profiles, params):
    marker = Path(params["marker"])
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return buffers[0]


def wrong_shape(buffers, profiles, params):
    return buffers[0][:, 1:]


def wrong_bands(buffers, profiles, params):
    return np.concatenate([buffers[0], buffers[0]])


def wrong_type(buffers, profiles, params):
    return "no pixels"


def wrong_dtype(buffers, profiles, params):
    return buffers[0].astype(object)


def nothing(buffers, profiles, params):
    return None


def allocates(buffers, profiles, params):
    return np.ones(1 << 50)


def calls_itself(buffers, profiles, params):
    return calls_itself(buffers, profiles, params)


def spins(buffers, profiles, params):
    _mark(params)
    while True:
        pass


def holds(buffers, profiles, params):
    _mark(params)
    return re.match(r"(a+)+$", "a" * 64 + "b")


def environment(buffers, profiles, params):
    raise RuntimeError(json.dumps({key: os.environ.get(key) for key in params["names"]}))


class Own:
    pass


def own_values(buffers, profiles, params):
    return [Own()]


def total(buffers, profiles, params):
    return [float(buffers[0].sum())]


def add(values, more, tile):
    values[0] += more[0]


def crashes(values, more, tile):
    os._exit(5)
