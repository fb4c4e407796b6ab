"""Small PNG pictures of images: stretched to 8 bits, invalid pixels transparent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from osgeo import gdal

LONGEST = 900
"""Pixels of a picture's longer side."""

RAMP = ((140, 81, 10), (216, 179, 101), (245, 245, 235), (127, 191, 123), (0, 90, 50))
"""Colours from low to high values: brown, sand, white, green, dark green."""


def colour(image: Path, folder: Path) -> Path:
    """Bands 3, 2, 1 as red, green, blue; with four bands or more that is true colour. Else grey."""
    pixels, valid = _read(image)
    chosen = pixels[2::-1] if len(pixels) > 3 else pixels[:3] if len(pixels) == 3 else pixels[:1]
    # Clouds fill the top of the range; stretched to them, the ground would be black.
    stretched = [_stretch(band, valid, top=90) for band in chosen]
    return _write(
        np.stack(stretched if len(stretched) == 3 else stretched * 3), valid, image, folder
    )


def ramp(image: Path, folder: Path) -> Path:
    """The first band on a colour ramp."""
    pixels, valid = _read(image)
    place = _stretch(pixels[0], valid) / 255 * (len(RAMP) - 1)
    steps = np.arange(len(RAMP))
    colours = [np.interp(place, steps, channel) for channel in zip(*RAMP)]
    return _write(np.stack(colours), valid, image, folder)


def hillshade(image: Path, folder: Path) -> Path:
    """Elevation in the light from the north-west."""
    source = _small(image)
    shaded = gdal.DEMProcessing("", source, "hillshade", format="MEM", computeEdges=True)
    light = shaded.ReadAsArray().astype(float)
    return _write(np.stack([light] * 3), _valid(source), image, folder)


def _small(image: Path) -> gdal.Dataset:
    source = gdal.Open(str(image))
    share = min(1.0, LONGEST / max(source.RasterXSize, source.RasterYSize))
    width, height = (max(1, round(share * n)) for n in (source.RasterXSize, source.RasterYSize))
    return gdal.Translate(
        "", source, format="MEM", width=width, height=height, resampleAlg="average"
    )


def _valid(dataset: gdal.Dataset) -> np.ndarray:
    masks = [dataset.GetRasterBand(n + 1).GetMaskBand() for n in range(dataset.RasterCount)]
    return np.all([mask.ReadAsArray() > 0 for mask in masks], axis=0)


def _read(image: Path) -> tuple[np.ndarray, np.ndarray]:
    dataset = _small(image)
    pixels = dataset.ReadAsArray().reshape(dataset.RasterCount, dataset.RasterYSize, -1)
    if np.iscomplexobj(pixels):
        pixels = np.abs(pixels)
    pixels = pixels.astype(float)
    return pixels, _valid(dataset) & np.isfinite(pixels).all(axis=0)


def _stretch(band: np.ndarray, valid: np.ndarray, top: float = 98) -> np.ndarray:
    """From 0 to 255 between the 2nd and ``top`` percentile of the valid pixels."""
    if not valid.any():
        return np.zeros(band.shape)
    low, high = np.percentile(band[valid], (2, top))
    return np.clip((np.where(valid, band, low) - low) / max(high - low, 1e-12), 0, 1) * 255


def _write(colours: np.ndarray, valid: np.ndarray, image: Path, folder: Path) -> Path:
    rows, cols = valid.shape
    picture = gdal.GetDriverByName("MEM").Create("", cols, rows, 4, gdal.GDT_Byte)
    for number, band in enumerate((*colours, np.where(valid, 255, 0)), 1):
        picture.GetRasterBand(number).WriteArray(band.astype("uint8"))
    target = folder / f"{image.stem}.png"
    gdal.GetDriverByName("PNG").CreateCopy(str(target), picture)
    return target
