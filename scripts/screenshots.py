"""Takes the pictures of the docs in the real QGIS window, on a screen that nobody sees.

    make demo && python3 scripts/screenshots.py

Starts QGIS under Xvfb with the demo's profile and runs itself in there (``qgis --code``): the
toolbox, a dialog, a run with its progress, a result in memory with QGIS's temporary sign, a
cancelled run, statistics of polygons, the dialog of a pipeline.
Needs the packages ``xvfb`` and ``xauth``.
"""

from __future__ import annotations

import os
import shutil
import subprocess  # nosec B404
import sys
import tempfile
from pathlib import Path

ROOT = Path(os.environ["EOSCALE_ROOT"] if "EOSCALE_ROOT" in os.environ else __file__)
ROOT = ROOT if ROOT.is_dir() else ROOT.resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
PROFILE = ROOT / "build" / "profile"
SCENE = ROOT / "build" / "demo"
STEPS = """{"version": 1, "outputs": ["bytes", "relief"], "steps": [
  {"name": "filled", "algorithm": "fillnodata", "parameters": {"max_distance": 20}},
  {"name": "mean", "algorithm": "focalstatistics"},
  {"name": "relief", "algorithm": "slope"},
  {"name": "bytes", "algorithm": "stretch"}]}"""


def start() -> int:
    """Run QGIS with this file as its start-up code."""
    environment = {
        **os.environ,
        "EOSCALE_ROOT": str(ROOT),
        "QGIS_CUSTOM_CONFIG_PATH": str(PROFILE),
        "QT_QPA_PLATFORM": "xcb",
        # QGIS takes the home of the python3 that comes first, which has to be its own
        "PATH": f"/usr/bin:{os.environ['PATH']}",
    }
    command = ["xvfb-run", "-a", "-s", "-screen 0 1600x1000x24", "qgis", "--nologo"]
    command += ["--noversioncheck", "--profiles-path", str(PROFILE), "--code", __file__]
    # a fixed command, no shell
    run = subprocess.run(command, env=environment, timeout=120, check=False)  # nosec B603
    return run.returncode


def inside() -> None:
    """What happens in QGIS, step by step."""
    import processing
    from processing.gui.AlgorithmDialog import AlgorithmDialog
    from qgis.core import (
        QgsApplication,
        QgsFeature,
        QgsGeometry,
        QgsPointXY,
        QgsProject,
        QgsRasterLayer,
        QgsVectorLayer,
    )
    from qgis.PyQt.QtCore import QEventLoop, QTimer
    from qgis.PyQt.QtWidgets import QDialog, QDockWidget, QTreeView, QWidget
    from qgis.utils import iface, loadPlugin, plugins, startPlugin

    # where any user may have it: the paths show in the pictures
    shown = Path(tempfile.mkdtemp(prefix="scene-"))
    for name in ("sample_optical.tif", "sample_elevation.tif"):
        shutil.copy(SCENE / name, shown)
    window = iface.mainWindow()

    def wait(seconds: float) -> None:
        loop = QEventLoop()
        QTimer.singleShot(int(seconds * 1000), loop.quit)
        loop.exec()

    def until(condition: object, seconds: float = 60) -> None:
        for _ in range(int(seconds * 20)):
            if condition():  # type: ignore[operator]
                return
            wait(0.05)
        raise TimeoutError("what the picture should show did not happen")

    def picture(name: str, widget: QWidget = window) -> None:
        wait(0.7)
        IMAGES.mkdir(parents=True, exist_ok=True)
        widget.grab().save(str(IMAGES / f"{name}.png"))

    def dialog_of(name: str, parameters: dict[str, object]) -> AlgorithmDialog:
        algorithm = QgsApplication.processingRegistry().createAlgorithmById(f"eoscale:{name}")
        dialog = AlgorithmDialog(algorithm, False, window)
        dialog.setParameters(parameters)
        dialog.resize(1000, 720)
        dialog.show()
        return dialog

    def fields_on(image: QgsRasterLayer) -> QgsVectorLayer:
        """Circles in rows, as irrigated fields are."""
        layer = QgsVectorLayer(f"Polygon?crs={image.crs().authid()}", "fields", "memory")
        whole = image.extent()
        step = whole.width() / 12
        features = []
        for number in range(100):
            x = whole.xMinimum() + (1.5 + number % 10) * step
            y = whole.yMinimum() + (1.5 + number // 10) * step
            feature = QgsFeature()
            feature.setGeometry(QgsGeometry.fromPointXY(QgsPointXY(x, y)).buffer(0.45 * step, 16))
            features.append(feature)
        layer.dataProvider().addFeatures(features)
        layer.updateExtents()
        return layer

    def pictures() -> None:
        if "eoscale_qgis" not in plugins:
            loadPlugin("eoscale_qgis")
            startPlugin("eoscale_qgis")
        for dialog in window.findChildren(QDialog):
            dialog.reject()
        window.resize(1600, 1000)
        optical = QgsRasterLayer(str(shown / "sample_optical.tif"), "scene")
        elevation = QgsRasterLayer(str(shown / "sample_elevation.tif"), "elevation")
        QgsProject.instance().addMapLayer(elevation)
        toolbox = window.findChild(QDockWidget, "ProcessingToolbox")
        toolbox.show()
        tree = toolbox.findChild(QTreeView)
        model = tree.model()
        for row in range(model.rowCount()):
            index = model.index(row, 0)
            if "EOScale" in str(index.data()):
                tree.expandRecursively(index)
                tree.scrollTo(index, QTreeView.ScrollHint.PositionAtTop)
        iface.setActiveLayer(elevation)
        iface.zoomToActiveLayer()
        wait(2)
        picture("toolbox")

        focal = dialog_of("focalstatistics", {"INPUT": elevation.id(), "RADIUS": 15, "FILL": True})
        picture("dialog", focal)
        before = len(QgsProject.instance().mapLayers())
        focal.runButton().click()
        until(lambda: len(QgsProject.instance().mapLayers()) > before)
        picture("log", focal)
        focal.close()
        iface.mapCanvas().refreshAllLayers()
        wait(0.5)
        until(lambda: not iface.mapCanvas().isDrawing())
        picture("memory-layer")

        endless = shown / "endless.py"
        endless.write_text("def f(b, p, q):\n    while True:\n        pass\n", encoding="utf-8")
        running = dialog_of(
            "pythonfilter", {"INPUTS": [elevation.id()], "FILE": str(endless), "FUNCTION": "f"}
        )
        running.runButton().click()
        wait(2.5)
        picture("running", running)
        running.cancelButton().click()
        until(lambda: not running.cancelButton().isEnabled())
        picture("cancelled", running)
        running.close()

        fields = fields_on(elevation)
        QgsProject.instance().addMapLayer(fields)
        zonal = dialog_of("zonalstatistics", {"INPUT": elevation.id(), "POLYGONS": fields.id()})
        before = len(QgsProject.instance().mapLayers())
        zonal.runButton().click()
        until(lambda: len(QgsProject.instance().mapLayers()) > before)
        zonal.close()
        wait(1)
        picture("zonal-statistics")

        chain = dialog_of("pipeline", {"INPUTS": [elevation.id()], "STEPS": STEPS})
        picture("pipeline", chain)
        chain.close()

        report = SCENE / "histogram.html"
        processing.run("eoscale:histogram", {"INPUT": optical, "OUTPUT_HTML": str(report)})

    def run() -> None:
        try:
            pictures()
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            QgsProject.instance().clear()
            shutil.rmtree(shown, ignore_errors=True)
            os.sync()
            QTimer.singleShot(0, QgsApplication.instance().quit)

    QTimer.singleShot(3000, run)


if "qgis.utils" in sys.modules:
    inside()
elif __name__ == "__main__":
    sys.exit(start())
