"""Shows what the plugin does, with the real ``qgis_process`` in a profile of its own.

Makes a sample scene, runs an index by band math, a focal mean and statistics on it, and the same on
an image that you name. Results and PNG previews go to ``build/demo``.
"""

from __future__ import annotations

import os
import shutil
import subprocess  # nosec B404
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Union

import package
import preview
from osgeo import gdal

BUILD = package.ROOT / "build"
RESULTS = BUILD / "demo"
SIZE = 2000

Argument = Union[str, int, Path]


@dataclass
class Demo:
    """Runs algorithms and keeps what was done and how long it took."""

    program: str
    profile: Path
    rows: list[tuple[str, str, float]] = field(default_factory=list)
    pictures: list[Path] = field(default_factory=list)

    def set_up(self) -> None:
        """Install the plugin into the profile; enable it there once."""
        package.assemble(self.profile / "profiles" / "default" / "python" / "plugins")
        enabled = self.profile / "eoscale-enabled"
        if not enabled.exists():
            self.qgis_process("plugins", "enable", package.NAME)
            enabled.touch()

    def run(self, what: str, algorithm: str, size: str, **arguments: Argument) -> None:
        """Run one algorithm and note its time."""
        print(f"  {what} ...", flush=True)
        start = time.monotonic()
        pairs = [f"{name}={value}" for name, value in arguments.items()]
        self.qgis_process("run", f"eoscale:{algorithm}", "--", *pairs)
        self.rows.append((what, size, time.monotonic() - start))

    def image(self, name: str, image: Path, index: tuple[str, str]) -> None:
        """An index, a focal mean and statistics of one image, with pictures."""
        label, expression = index
        size = size_of(image)
        out = RESULTS / name
        index_file, mean_file = Path(f"{out}_index.tif"), Path(f"{out}_focal_mean.tif")
        self.run(
            f"{name}: {label} by band math", "bandmath", size,
            INPUTS=image, EXPRESSIONS=expression, OUTPUT=index_file,
        )  # fmt: skip
        self.run(
            f"{name}: mean of 5 x 5 pixels", "focalstatistics", size,
            INPUT=image, STATISTIC="mean", RADIUS=2, OUTPUT=mean_file,
        )  # fmt: skip
        self.run(
            f"{name}: statistics", "rasterstatistics", size,
            INPUT=image, OUTPUT=Path(f"{out}_statistics.csv"),
            OUTPUT_JSON=Path(f"{out}_statistics.json"), OUTPUT_HTML=Path(f"{out}_statistics.html"),
        )  # fmt: skip
        for source, draw in (
            (image, preview.colour),
            (index_file, preview.ramp),
            (mean_file, preview.colour),
        ):
            self.pictures.append(draw(source, RESULTS))

    def report(self) -> None:
        """The table, and where the results lie."""
        width = max(len(what) for what, _, _ in self.rows)
        print(f"\n{'What':{width}}  {'Pixels x bands':>20}  {'Seconds':>7}")
        for what, size, seconds in self.rows:
            print(f"{what:{width}}  {size:>20}  {seconds:7.1f}")
        print("(each with the start of qgis_process, 2 to 3 seconds)\n\nPictures:")
        for picture in self.pictures:
            print(f"  {os.path.relpath(picture, package.ROOT)}")
        print(f"Results and reports: {os.path.relpath(RESULTS, package.ROOT)}")

    def qgis_process(self, *arguments: str) -> None:
        """Run ``qgis_process``; ends with what it says where it fails."""
        environment = {
            **os.environ,
            "QGIS_CUSTOM_CONFIG_PATH": str(self.profile),
            "QT_QPA_PLATFORM": "offscreen",
        }
        # A list without a shell; the program is QGIS's own.
        run = subprocess.run(  # nosec B603
            [self.program, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
        log = self.profile / "qgis_process.log"
        with log.open("a", encoding="utf-8") as file:
            file.write(f"$ qgis_process {' '.join(arguments)}\n{run.stdout}\n")
        if run.returncode:
            sys.exit(
                f"{run.stdout}\nqgis_process {' '.join(arguments)}\nended with {run.returncode}."
            )


def find_qgis_process() -> str:
    """``qgis_process``: the one named by QGIS_PROCESS, else the installed one.

    Debian 12's ``qgis_process`` is a script that passes on an option that the program refuses; the
    program lies beside it.
    """
    named = os.environ.get("QGIS_PROCESS", "")
    found = named or shutil.which("qgis_process.bin") or shutil.which("qgis_process")
    if not found:
        sys.exit("qgis_process was not found. Install QGIS, or name it: QGIS_PROCESS=... make demo")
    return found


def size_of(image: Path) -> str:
    """Columns, rows and bands, to print."""
    dataset = gdal.Open(str(image))
    return f"{dataset.RasterXSize} x {dataset.RasterYSize} x {dataset.RasterCount}"


def index_of(image: Path) -> tuple[str, str]:
    """An index that suits an image whose bands are not known, by their number."""
    bands = gdal.Open(str(image)).RasterCount
    if bands >= 4:  # blue, green, red and near infrared is the usual order
        return "(b4 - b3) / (b4 + b3)", "(im1b4 - im1b3) / (im1b4 + im1b3)"
    if bands >= 2:
        return "(b2 - b1) / (b2 + b1)", "(im1b2 - im1b1) / (im1b2 + im1b1)"
    return "square root of |b1|", "sqrt(abs(im1b1))"


def main() -> None:
    """The demo, on the sample scene and on the image that the command names."""
    gdal.UseExceptions()
    given = [Path(argument).resolve() for argument in sys.argv[1:]]
    for image in given:
        try:
            gdal.Open(str(image))
        except RuntimeError as error:
            sys.exit(f"{image} cannot be opened as an image: {error}")
    RESULTS.mkdir(parents=True, exist_ok=True)
    demo = Demo(find_qgis_process(), BUILD / "profile")
    demo.set_up()

    names = ("sample_elevation", "sample_optical", "sample_sar")
    elevation, optical, sar = (RESULTS / f"{name}.tif" for name in names)
    demo.run(
        "sample scene", "samplescene", f"{SIZE} x {SIZE}", WIDTH=SIZE, HEIGHT=SIZE,
        ELEVATION=elevation, OPTICAL=optical, SAR=sar,
    )  # fmt: skip
    demo.pictures += [preview.hillshade(elevation, RESULTS), preview.colour(sar, RESULTS)]
    demo.image(optical.stem, optical, ("NDVI", index_of(optical)[1]))
    for image in given:
        demo.image(image.stem, image, index_of(image))
    demo.report()


if __name__ == "__main__":
    main()
