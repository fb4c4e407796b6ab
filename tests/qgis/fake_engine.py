"""An engine for tests of the plugin alone: it adds 1 to each pixel of its first image, at once."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path

from osgeo import gdal

from eoscale_engine.errors import Cancelled

SUMMARY = {
    "title": "Fake",
    "tables": [
        {
            "name": "Bands",
            "columns": ["band", "name", "mean", "maximum", "nothing"],
            "shown": "",
            "rows": [[1, "red", 1.5, "Infinity", None], [2, None, None, 7, None]],
        }
    ],
    "numbers": {"VALID": 12, "MEAN": 1.5, "MAXIMUM": "Infinity"},
    "charts": [],
    "notes": ["A note."],
}


class FakeClient:
    """Does what ``EngineClient`` does for the plugin, and keeps what it was asked for."""

    inline = ""
    answer = None
    """What makes a summary of a job, for declarations of a test's own."""

    def __init__(self, options, log=None):
        self.options = options
        self.folder = tempfile.mkdtemp(prefix="fake-engine-")
        self.jobs, self.released, self.closed = [], [], False
        self.error, self.seconds = None, 0.0
        self.dropped, self.resting = 0, False

    def run(self, job, progress, log, cancelled):
        self.jobs.append(job)
        log("info", "The plan: 1 tile.")
        log("warning", "A warning.")
        end = time.monotonic() + self.seconds
        while time.monotonic() < end:
            if cancelled():
                raise Cancelled("Cancelled.")
            time.sleep(0.01)
        if self.error:
            raise self.error
        progress(50.0)
        if self.answer is not None:
            return {"images": {}, "summary": self.answer(job), "timings": {}}
        if job["declaration"] in ("rasterstatistics", "histogram"):
            return {"images": {}, "summary": SUMMARY, "timings": {"computing": 0.5}}
        images = {
            name: self._image(f"image{len(self.jobs)}-{name}", job, output)
            for name, output in job["outputs"].items()
        }
        return {"images": images, "summary": None, "timings": {"computing": 0.5}}

    def _image(self, name, job, output):
        first = next(iter(job["inputs"].values()), [None])[0]
        image = gdal.Open(first["path"]) if first else gdal.GetDriverByName("MEM").Create("", 3, 3)
        pixels = image.ReadAsArray().astype("float32") + 1
        if output["keep"] == "file":
            made = gdal.GetDriverByName("GTiff").Create(
                output["path"], image.RasterXSize, image.RasterYSize, 1, gdal.GDT_Float32
            )
            made.SetGeoTransform(image.GetGeoTransform())
            made.SetProjection(image.GetProjection())
            made.WriteArray(pixels.reshape(-1, *pixels.shape[-2:])[0])
            return {"name": name, "vrt": None, "path": output["path"]}
        folder = self.folder if output["keep"] == "memory" else os.path.dirname(output["path"])
        raw = Path(folder, name + ".raw")
        vrt = Path(folder, name + ".vrt") if output["keep"] == "memory" else Path(output["path"])
        pixels.reshape(-1, *pixels.shape[-2:])[0].tofile(raw)
        transform = ", ".join(map(str, image.GetGeoTransform()))
        vrt.write_text(
            f'<VRTDataset rasterXSize="{image.RasterXSize}" rasterYSize="{image.RasterYSize}">'
            f"<SRS>{image.GetProjection().replace('<', '&lt;')}</SRS>"
            f"<GeoTransform>{transform}</GeoTransform>"
            '<VRTRasterBand dataType="Float32" band="1" subClass="VRTRawRasterBand">'
            f'<SourceFilename relativeToVRT="1">{raw.name}</SourceFilename>'
            f"<ImageOffset>0</ImageOffset><PixelOffset>4</PixelOffset>"
            f"<LineOffset>{4 * image.RasterXSize}</LineOffset><ByteOrder>LSB</ByteOrder>"
            "</VRTRasterBand></VRTDataset>"
        )
        return {"name": name, "vrt": str(vrt), "path": output["path"]}

    def release(self, names):
        self.released += names
        for name in names:
            image, on_disk, _ = name.partition("-on-disk")
            for path in Path(self.folder, "disk" if on_disk else "").glob(image + ".*"):
                path.unlink()

    def memory(self, names=None):
        raws = Path(self.folder).glob("*.raw")
        return sum(raw.stat().st_size for raw in raws if names is None or raw.stem in names)

    def copy_to_disk(self, name):
        raw = Path(self.folder, name + ".raw")
        if self.error:
            raise self.error
        disk = Path(self.folder, "disk")
        disk.mkdir(exist_ok=True)
        shutil.copy(raw, disk)
        return name + "-on-disk", shutil.copy(raw.with_suffix(".vrt"), disk)

    def drop_idle(self):
        self.dropped += 1

    def rest(self):
        self.resting = True

    def close(self):
        self.closed = True
        shutil.rmtree(self.folder, ignore_errors=True)
