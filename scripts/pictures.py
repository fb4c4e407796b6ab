"""Makes the pictures of the reference: images in the style that QGIS gives them, and reports.

    /usr/bin/python3 scripts/pictures.py [--only NAME ...] [--real FOLDER] [--sheet FILE]

Runs every algorithm through the real ``qgis_process``, on the sample scene, and draws the image
that comes out with QGIS's own renderer into ``docs/images/algorithms``; of those that make none,
the report, with Chromium. With ``--real`` it runs on real images (see ``REAL``) and draws into
``build/pictures/real`` instead. ``--sheet`` puts all pictures on one page, to look at.
"""

from __future__ import annotations

import argparse
import os
import subprocess  # nosec B404
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import package
from demo import BUILD, Demo, find_qgis_process
from samples import roles_of

sys.path.insert(0, str(package.ROOT))

from qgis.core import (
    QgsApplication,
    QgsFeature,
    QgsGeometry,
    QgsMapRendererSequentialJob,
    QgsMapSettings,
    QgsProject,
    QgsRasterLayer,
    QgsRectangle,
    QgsVectorFileWriter,
    QgsVectorLayer,
)
from qgis.PyQt.QtCore import QRect, QSize, Qt
from qgis.PyQt.QtGui import QColor, QImage, QPainter

from eoscale_engine.catalogue import declarations
from eoscale_engine.declaration import Declaration
from eoscale_engine.styles import Composite
from eoscale_qgis.algorithms.recipe import Recipe, recipe_of, styles_of
from eoscale_qgis.styles import renderer_of

PICTURES = package.ROOT / "docs" / "images" / "algorithms"
SIDE, QUALITY, COLUMNS = 300, 86, 7
SIZE = 600
"""Pixels of the sample scene's side: what the pictures show of it is not reduced too much."""

SEED = 15
"""A scene with mountains, water, fields and few clouds."""

REPORT = (1000, 1500)
"""Width and height in pixels that a browser shows of a report."""

REPORT_SIDE = 640
"""Pixels of the picture's width."""

NOT_DRAWN = ("copy", "pipeline", "pythonfilter", "pythonreduction")
"""Not in the catalogue's reference, or without a result of its own."""

REAL = {
    "optical": "landsat8_greenland.tif",
    "elevation": "aster_dem_patagonia.tif",
    "sar": None,
    "classes": None,
}

BURNT = "(row - {0}) ** 2 + (col - {0}) ** 2 < {1}"
"""A round patch in which the second date differs."""


@dataclass
class Samples:
    """The images that algorithms run on, made when first asked for."""

    demo: Demo
    folder: Path
    real: Optional[Path]

    def path(self, name: str) -> Path:
        """The file of a sample (see :func:`samples.roles_of`)."""
        if name == "polygons":
            return self._polygons()
        if self.real is not None and REAL.get(name):
            return self.real / str(REAL[name])
        file = self.folder / f"{name}.tif"
        if not file.exists():
            self._make(name, file)
        return file

    def _make(self, name: str, file: Path) -> None:
        if name == "after":
            patch = BURNT.format(SIZE // 2, (SIZE // 4) ** 2)
            lines = ";".join(
                f"b{band} = where({patch}, im1b{band} * {factor}, im1b{band})"
                for band, factor in ((1, 1.1), (2, 0.9), (3, 1.3), (4, 0.5))
            )
            self._run("bandmath", INPUTS=self.path("optical"), EXPRESSIONS=lines, OUTPUT=file)
        elif name == "classes":
            self._run("kmeans", INPUT=self.path("optical"), CLASSES=6, OUTPUT=file)
        elif name == "smooth classes":
            self._run("majorityfilter", INPUT=self.path("classes"), RADIUS=2, OUTPUT=file)
        else:
            places = {
                part.upper(): self.folder / f"{part}.tif"
                for part in ("elevation", "optical", "sar")
            }
            self._run("samplescene", WIDTH=SIZE, HEIGHT=SIZE, SEED=SEED, **places)

    def _polygons(self) -> Path:
        """Parcels in the middle of the optical image, in rows."""
        file = self.folder / "polygons.gpkg"
        if file.exists():
            return file
        extent = QgsRasterLayer(str(self.path("optical")), "optical").extent()
        crs = QgsRasterLayer(str(self.path("optical")), "optical").crs()
        layer = QgsVectorLayer("Polygon?field=parcel:integer", "parcels", "memory")
        layer.setCrs(crs)
        width, height = extent.width() / 6, extent.height() / 6
        features = []
        for number in range(16):
            row, column = divmod(number, 4)
            left = extent.xMinimum() + (column + 1) * width
            bottom = extent.yMinimum() + (row + 1) * height
            parcel = QgsRectangle(left, bottom, left + 0.8 * width, bottom + 0.7 * height)
            geometry = QgsGeometry.fromRect(parcel)
            geometry.rotate(8 * column, parcel.center())
            feature = QgsFeature(layer.fields())
            feature.setGeometry(geometry)
            feature.setAttribute("parcel", number + 1)
            features.append(feature)
        layer.dataProvider().addFeatures(features)
        options = QgsVectorFileWriter.SaveVectorOptions()
        transforms = QgsProject.instance().transformContext()
        QgsVectorFileWriter.writeAsVectorFormatV3(layer, str(file), transforms, options)
        return file

    def _run(self, algorithm: str, **arguments: Any) -> None:
        self.demo.run(f"sample by {algorithm}", algorithm, "", **arguments)


def arguments_of(kind: type[Declaration], samples: Samples, output: Path) -> Iterator[str]:
    """What ``qgis_process`` is told, as ``NAME=value``; lists as several."""
    for role, names in roles_of(kind).items():
        yield from (f"{role}={samples.path(name)}" for name in names)
    switches = {output.name.lower() for output in recipe_of(kind).outputs}
    for name, value in kind.picture.items():
        if name in switches:
            continue
        several = value if isinstance(value, (list, tuple)) else [value]
        yield from (f"{name.upper()}={item}" for item in several)
    for recipe_output in recipe_of(kind).outputs:
        yield f"{recipe_output.name}={output.with_suffix('')}_{recipe_output.name}.tif"
    if not recipe_of(kind).outputs:
        yield f"OUTPUT_HTML={output.with_suffix('.html')}"


def draw(
    file: Path, recipe: Recipe, values: Mapping[str, Any], target: Path, *, whole: bool
) -> None:
    """Draw the first result as QGIS shows it: all of it, or its middle."""
    name = recipe.outputs[0].name
    layer = QgsRasterLayer(str(file), name)
    if not layer.isValid():
        sys.exit(f"{file} is no valid layer.")
    layer.setDefaultContrastEnhancement()
    style = styles_of(recipe, dict(values)).get(name)
    if style is None and layer.bandCount() >= 3:  # blue, green, red
        style = Composite(3, 2, 1)
    renderer = None if style is None else renderer_of(style, layer)
    if renderer is not None:
        layer.setRenderer(renderer)
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    extent = layer.extent()
    if not whole:
        extent.scale(SIDE / SIZE)  # pixel by pixel
    settings.setExtent(extent)
    settings.setOutputSize(QSize(SIDE, SIDE))
    settings.setBackgroundColor(QColor("white"))
    job = QgsMapRendererSequentialJob(settings)
    job.start()
    job.waitForFinished()
    target.parent.mkdir(parents=True, exist_ok=True)
    job.renderedImage().save(str(target), quality=QUALITY)


def draw_report(page: Path, target: Path) -> None:
    """A report as a browser shows it, without the help and what is empty below."""
    shot = page.with_suffix(".png")
    text = page.read_text(encoding="utf-8")
    before, _, after = text.partition("<h2>How it is computed</h2>")
    page.write_text(before + after[after.find("<footer") :], encoding="utf-8")
    with tempfile.TemporaryDirectory() as profile:
        # a fixed command, no shell
        subprocess.run(  # nosec B603, B607
            [
                "chromium", "--headless", "--no-sandbox", "--hide-scrollbars",
                f"--user-data-dir={profile}", "--virtual-time-budget=8000",
                f"--window-size={REPORT[0]},{REPORT[1]}", f"--screenshot={shot}", page.as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip
    image = QImage(str(shot)).convertToFormat(QImage.Format.Format_RGB32)
    empty = image.pixel(0, image.height() - 1)
    bottom = image.height() - 1
    while bottom > 100 and all(image.pixel(x, bottom) == empty for x in range(0, image.width(), 3)):
        bottom -= 1
    image = image.copy(0, 0, image.width(), min(image.height(), bottom + 30))
    way = Qt.TransformationMode.SmoothTransformation
    image.scaledToWidth(REPORT_SIDE, way).save(str(target), quality=QUALITY)


def sheet(pictures: list[Path], file: Path) -> None:
    """All pictures on one page, with their names."""
    line = SIDE + 22
    rows = -(-len(pictures) // COLUMNS)
    page = QImage(COLUMNS * (SIDE + 6), rows * line, QImage.Format.Format_RGB32)
    page.fill(QColor("white"))
    painter = QPainter(page)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, COLUMNS)
        left, top = column * (SIDE + 6), row * line
        keep = Qt.AspectRatioMode.KeepAspectRatio
        way = Qt.TransformationMode.SmoothTransformation
        painter.drawImage(left, top, QImage(str(picture)).scaled(SIDE, SIDE, keep, way))
        box = QRect(left, top + SIDE, SIDE, 20)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, picture.stem)
    painter.end()
    page.save(str(file), quality=80)


def main() -> None:
    """Make the pictures that the command names."""
    parser = argparse.ArgumentParser(description="The pictures of the reference.")
    parser.add_argument("--only", nargs="*", default=[], help="names of algorithms")
    parser.add_argument("--real", type=Path, help="folder of real images to run on instead")
    parser.add_argument("--sheet", type=Path, help="also one page of all pictures")
    options = parser.parse_args()
    # reports name the folder: one that any reader may have
    folder = BUILD / "pictures" if options.real else Path(tempfile.gettempdir()) / "scene"
    folder.mkdir(parents=True, exist_ok=True)
    demo = Demo(find_qgis_process(), BUILD / "profile")
    demo.set_up()
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    application = QgsApplication([], False)
    application.initQgis()
    samples = Samples(demo, folder, options.real and options.real.resolve())
    pictures = []
    for name, kind in declarations().items():
        recipe = recipe_of(kind)
        if name in NOT_DRAWN or (options.only and name not in options.only):
            continue
        output = folder / f"{name}.tif"
        print(f"  {name} ...", flush=True)
        demo.qgis_process("run", f"eoscale:{name}", "--", *arguments_of(kind, samples, output))
        target = (folder if options.real else PICTURES) / f"{name}.jpg"
        if recipe.outputs:
            file = output.with_name(f"{name}_{recipe.outputs[0].name}.tif")
            draw(file, recipe, kind.picture, target, whole=bool(options.real))
        else:
            draw_report(output.with_suffix(".html").resolve(), target)
        pictures.append(target)
    if options.sheet:
        sheet(pictures, options.sheet)


if __name__ == "__main__":
    main()
