"""The real ``qgis_process``, with the packaged plugin, in a profile of its own."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from osgeo import gdal, osr

ROOT = Path(__file__).resolve().parents[2]


class QgisProcess:
    """Runs ``qgis_process``; never with the user's profile."""

    def __init__(self, program, environment):
        self.program, self.environment = program, environment

    def __call__(self, *arguments, check=True):
        done = subprocess.run(
            [self.program, *arguments],
            env=self.environment, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def run(self, name, *options, check=True, **parameters):
        """Run an algorithm; lists go as repeated parameters."""
        arguments = []
        for key, value in parameters.items():
            values = value if isinstance(value, list) else [value]
            arguments += [f"--{key}={item}" for item in values]
        return self(*options, "run", f"eoscale:{name}", *arguments, check=check)

    def results(self, name, **parameters):
        """Run an algorithm; its results."""
        done = self.run(name, "--json", **parameters)
        return json.loads(done.stdout[done.stdout.index("{") :])["results"]


@pytest.fixture(scope="session")
def qgis_process(tmp_path_factory):
    """``qgis_process`` with the plugin as it is packaged, and enabled."""
    # Debian's script around it passes an option that it does not know.
    program = shutil.which("qgis_process.bin") or shutil.which("qgis_process")
    assert program, "qgis_process is missing: install QGIS"
    folder = tmp_path_factory.mktemp("headless")
    subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "package.py"), "--folder", str(folder / "plugins")],
        check=True, capture_output=True, timeout=60,
    )  # fmt: skip
    environment = {
        **os.environ,
        "QT_QPA_PLATFORM": "offscreen",
        "QGIS_CUSTOM_CONFIG_PATH": str(folder / "profile"),
        "QGIS_PLUGINPATH": str(folder / "plugins"),
        "XDG_RUNTIME_DIR": str(folder),
    }
    environment.pop("PYTHONPATH", None)
    process = QgisProcess(program, environment)
    process("plugins", "enable", "eoscale_qgis")
    return process


@pytest.fixture
def image(tmp_path):
    """Two bands of 60 x 40 pixels, with nodata in a corner."""
    path = str(tmp_path / "image.tif")
    made = gdal.GetDriverByName("GTiff").Create(path, 60, 40, 2, gdal.GDT_Float32)
    made.SetGeoTransform((500000, 10, 0, 4600000, 0, -10))
    reference = osr.SpatialReference()
    reference.ImportFromEPSG(32631)
    made.SetProjection(reference.ExportToWkt())
    pixels = np.arange(2400, dtype="float32").reshape(40, 60)
    pixels[:3, :3] = -9999
    for band in (1, 2):
        made.GetRasterBand(band).WriteArray(pixels)
        made.GetRasterBand(band).SetNoDataValue(-9999)
    made = None
    return path
