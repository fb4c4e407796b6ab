"""Images for every role of an algorithm, made of a scene's own."""

from __future__ import annotations

import numpy as np
from osgeo import gdal, ogr, osr

from eoscale_engine.context import EOContextManager
from eoscale_engine.filters.sample.sample_scene import SampleScene
from eoscale_engine.parameter_kinds import Field
from scripts.samples import BY_ROLE, roles_of


def sample_scene(folder):
    """The paths of the sample scene, with companions."""
    paths = {name: str(folder / f"{name}.tif") for name in ("elevation", "optical", "sar")}
    with EOContextManager(inline=True) as context:
        keys = context.run(SampleScene(width=90, height=70, seed=15)).images
        for key, path in zip(keys, paths.values()):
            context.write(key, path)
    return with_companions(paths, folder)


def with_companions(paths, folder):
    """The paths of a scene's images, and those of an image after a change, classes and polygons.

    The scene has 90 x 70 pixels.
    """
    driver = gdal.GetDriverByName("GTiff")
    paths["after"], paths["classes"] = str(folder / "after.tif"), str(folder / "classes.tif")
    after = driver.CreateCopy(paths["after"], gdal.Open(paths["optical"]))
    pixels = after.ReadAsArray()
    pixels[:, 20:50, 30:60] = pixels[:, 20:50, 30:60] // 2 + 40
    after.WriteArray(pixels)
    last = gdal.Open(paths["optical"]).ReadAsArray()[-1]
    codes = np.digitize(last, np.percentile(last, (20, 40, 60, 80)))  # 0 to 4
    classes = driver.Create(paths["classes"], 90, 70, 1, gdal.GDT_Byte)
    classes.SetGeoTransform(after.GetGeoTransform())
    classes.SetProjection(after.GetProjection())
    classes.WriteArray(codes.astype("uint8"))
    classes = after = None  # closes the files
    paths["smooth classes"] = paths["classes"]
    transform = gdal.Open(paths["optical"]).GetGeoTransform()
    paths["polygons"] = str(folder / "polygons.gpkg")
    source = ogr.GetDriverByName("GPKG").CreateDataSource(paths["polygons"])
    reference = osr.SpatialReference(gdal.Open(paths["optical"]).GetProjection())
    layer = source.CreateLayer("polygons", reference, ogr.wkbPolygon)
    layer.CreateField(ogr.FieldDefn("class", ogr.OFTInteger))
    for number, (col, row) in enumerate([(5, 5), (30, 20), (60, 40)], 1):
        corners = [(col, row), (col + 25, row), (col + 25, row + 25), (col, row)]
        points = [gdal.ApplyGeoTransform(transform, x, y) for x, y in corners]
        feature = ogr.Feature(layer.GetLayerDefn())
        text = ",".join(f"{x} {y}" for x, y in points)
        feature.SetGeometry(ogr.CreateGeometryFromWkt(f"POLYGON(({text}))"))
        feature["class"] = number
        layer.CreateFeature(feature)
    feature = layer = source = None
    return paths


def inputs_of(kind, samples, without):
    """Values for all inputs, save for these, and for the fields of polygons."""
    values = {}
    roles = roles_of(kind)
    for item in kind.inputs:
        if item.role in without:
            continue
        # what its picture does without is given too
        names = roles.get(item.role) or [BY_ROLE.get(item.role, "after")]
        files = [samples[name] for name in names]
        values[item.role] = files if item.many else files[0]
    for item in kind.parameters():
        if isinstance(item.kind, Field) and item.kind.role in values:
            values[item.name.upper()] = "class"
    return values
