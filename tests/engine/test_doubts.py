"""What makes a result meaningless is refused or told once, with the remedy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Optional

import numpy as np
import pytest
from osgeo import gdal, osr

from eoscale_engine.context import EOContextManager, Observer
from eoscale_engine.declaration import Declaration
from eoscale_engine.errors import GridError, InputError, InputWarning
from eoscale_engine.filters.neighbourhood.gaussian import Gaussian
from eoscale_engine.filters.pixel.band_math import BandMath
from eoscale_engine.filters.pixel.composite import TemporalComposite
from eoscale_engine.filters.pixel.mask import Mask
from eoscale_engine.filters.spectral.spectral_index import SpectralIndex
from eoscale_engine.filters.terrain.aspect import Aspect
from eoscale_engine.filters.terrain.curvature import Curvature
from eoscale_engine.filters.terrain.hillshade import Hillshade
from eoscale_engine.filters.terrain.roughness import Ruggedness
from eoscale_engine.filters.terrain.slope import Slope
from eoscale_engine.filters.terrain.vector_ruggedness import VectorRuggedness
from eoscale_engine.procedures.change_detection import ChangeDetection
from eoscale_engine.procedures.confusion_matrix import ConfusionMatrix
from eoscale_engine.procedures.cross_tabulation import CrossTabulation
from eoscale_engine.procedures.image_comparison import ImageComparison
from eoscale_engine.procedures.object_size import ObjectSize
from eoscale_engine.procedures.sampling import SamplePixels
from eoscale_engine.procedures.unique_values import UniqueValues
from eoscale_engine.procedures.zonal_statistics import ZonalStatistics
from eoscale_engine.profile import CRS, Affine, Band, Profile
from eoscale_engine.service.jobs import run_job

GROUND = [Slope, Aspect, Hillshade, Curvature, VectorRuggedness]
DEGREES = Affine(0.0002, 0, 3.1, 0, -0.0002, 45.2)
METRES = Affine(10, 0, 500000, 0, -10, 4600000)


@dataclass(frozen=True)
class Doubtful(Gaussian):
    """A filter with doubts about whatever it gets."""

    def doubts(self, inputs: Mapping[str, Sequence[Profile]]) -> Sequence[str]:
        return [f"The image has {inputs['INPUT'][0].width} columns. Take more."]


def _run(times: int, **options: Any) -> None:
    with EOContextManager(inline=True, **options) as context:
        image = context.create_image(Profile(8, 8, "float32"))
        for _ in range(times):
            context.filter(Doubtful(sigma=1.0), image)


def test_a_doubt_is_a_warning_of_python_where_nobody_watches() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        _run(2)
    assert [(item.category, str(item.message)) for item in caught] == [
        (InputWarning, "The image has 8 columns. Take more.")
    ]


def test_a_doubt_is_a_message_where_somebody_does() -> None:
    heard: list[tuple[str, str]] = []
    _run(2, observer=Observer(log=lambda level, text: heard.append((level, text))))
    assert [text for level, text in heard if level == "warning"] == [
        "The image has 8 columns. Take more."
    ]


def test_nothing_is_told_without_doubts(recwarn: pytest.WarningsRecorder) -> None:
    with EOContextManager(inline=True) as context:
        image = context.create_image(Profile(8, 8, "float32"))
        context.filter(Gaussian(sigma=1.0), image)
    assert not [item for item in recwarn if issubclass(item.category, InputWarning)]


# ---------------------------------------------------------------- what is told of a run


def crs_of(text: str) -> CRS:
    reference = osr.SpatialReference()
    reference.SetFromUserInput(text)
    return CRS(reference.ExportToWkt(["FORMAT=WKT2_2019"]))


def told(
    declaration: Declaration,
    *images: Profile,
    same: bool = False,
    level: str = "warning",
    values: Sequence[int] = (1, 2, 3),
    nothing: bool = False,
) -> list[str]:
    """The messages of a run on images of these profiles, or on the first one twice.

    ``nothing``: that no pixel is valid too.
    """
    heard: list[str] = []

    def log(kind: str, text: str) -> None:
        if kind == level and (nothing or "no pixel of" not in text):
            heard.append(text)

    with EOContextManager(inline=True, observer=Observer(log=log)) as context:
        keys = [context.create_image(profile) for profile in images]
        for number, key in enumerate(keys):
            array = context.get_array(key)
            array[:] = np.random.default_rng(number).choice(values, array.shape)
        context.run(declaration, keys * 2 if same else keys)
    return heard


def profile_of(
    transform: Optional[Affine], crs: str = "", dtype: str = "uint8", bands: int = 1
) -> Profile:
    reference = crs_of(crs) if crs else None
    return Profile(12, 12, dtype, (Band(),) * bands, crs=reference, transform=transform)


@pytest.mark.parametrize(
    "declaration",
    [*(kind() for kind in GROUND), UniqueValues(), ObjectSize(minimum=3, unit="map units squared")],
    ids=lambda declaration: declaration.name,
)
def test_coordinates_that_look_like_degrees(declaration: Declaration) -> None:
    (doubt,) = told(declaration, profile_of(DEGREES))
    assert "has no CRS" in doubt and "assign the CRS" in doubt
    assert not told(declaration, profile_of(METRES))
    assert not told(declaration, profile_of(METRES, "EPSG:32631"))
    (doubt,) = told(declaration, profile_of(DEGREES, "EPSG:32631"))
    assert "UTM zone 31N" in doubt and "look like degrees" in doubt


@pytest.mark.parametrize("kind", [*GROUND])
def test_degrees_are_no_doubt_with_a_crs_or_a_spacing(kind: Any) -> None:
    assert not told(kind(), profile_of(DEGREES, "EPSG:4326"))
    assert not told(kind(pixel_spacing=15), profile_of(DEGREES))
    (doubt,) = told(kind(), profile_of(None))
    assert "no geotransform" in doubt and "pixel spacing" in doubt
    assert not told(kind(pixel_spacing=15), profile_of(None))


def test_what_has_no_sizes_has_no_doubts_of_places() -> None:
    for transform in (DEGREES, None):
        assert not told(Ruggedness(), profile_of(transform))
        assert not told(Gaussian(sigma=1.0), profile_of(transform))
        assert not told(ObjectSize(minimum=3), profile_of(transform))


def test_zones_and_pairs_have_areas() -> None:
    for declaration in (ZonalStatistics(), CrossTabulation()):
        (doubt,) = told(declaration, profile_of(DEGREES), profile_of(DEGREES))
        assert "look like degrees" in doubt


@pytest.mark.parametrize("declaration", [Slope(), UniqueValues()], ids=["slope", "values"])
def test_web_mercator_stretches(declaration: Declaration) -> None:
    north = Affine(30, 0, 1e6, 0, -30, 8.4e6)  # 60 degrees, where it doubles distances
    (doubt,) = told(declaration, profile_of(north, "EPSG:3857"))
    assert "by 100%" in doubt or "by 101%" in doubt or "by 99%" in doubt
    assert not told(declaration, profile_of(Affine(30, 0, 1e6, 0, -30, 1e6), "EPSG:3857"))


def test_a_picture_is_no_elevation_model() -> None:
    image = replace(profile_of(METRES, "EPSG:32631"), bands=(Band(color="Red"),))
    (doubt,) = told(Hillshade(), image)
    assert "colours (Red)" in doubt and "elevation model" in doubt


def test_a_result_without_a_valid_pixel_is_told() -> None:
    image = profile_of(METRES, "EPSG:32631").with_nodata(0)
    (heard,) = told(Gaussian(sigma=1.0), image, values=(0,), nothing=True)
    assert heard.startswith("Gaussian blur: no pixel of 'Result' is valid.")
    assert not told(Gaussian(sigma=1.0), image, nothing=True)


def test_units_of_elevations_are_told_in_the_log() -> None:
    heard = told(Slope(), profile_of(METRES, "EPSG:2263+5703"), level="info")
    assert len([text for text in heard if "multiplied by 3.28083" in text]) == 1


# ---------------------------------------------------------------- one image twice


@pytest.mark.parametrize(
    ("declaration", "roles"),
    [
        (ConfusionMatrix(), "as '"),
        (CrossTabulation(), "as '"),
        (ZonalStatistics(), "as '"),
        (ImageComparison(), "as '"),
        (ChangeDetection(), "as '"),
        (Mask(), "as '"),
        (TemporalComposite("mean"), "twice"),
        (SpectralIndex(index="ndvi", red=1, nir=2), "as '"),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_same_image_twice(declaration: Declaration, roles: str) -> None:
    bands = 1 if isinstance(declaration, (Mask, ZonalStatistics)) else 2
    image = profile_of(METRES, "EPSG:32631", bands=bands)
    heard = [text for text in told(declaration, image, same=True) if "meaningless" in text]
    assert len(heard) == 1
    assert roles in heard[0] and "Choose two different" in heard[0]
    assert not [text for text in told(declaration, image, image) if "meaningless" in text]


def test_two_bands_of_one_image_are_two_images() -> None:
    image = profile_of(METRES, "EPSG:32631", bands=2)
    for declaration in (
        CrossTabulation(second_band=2), ConfusionMatrix(reference_band=2), Mask(band=2),
        Mask("values", values=(1,)), ZonalStatistics(zone_band=2),
    ):  # fmt: skip
        assert not told(declaration, image, same=True)
    assert not told(BandMath("im1b1 - im2b1"), image, same=True)


def test_the_same_band_twice() -> None:
    image = profile_of(METRES, "EPSG:32631", bands=2)
    (doubt,) = told(SpectralIndex(index="ndvi", red=2, nir=2), image)
    assert "both band 2" in doubt
    assert not told(SpectralIndex(index="ndvi", red=1, nir=2), image)


def test_one_file_twice_is_one_image(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    gdal.GetDriverByName("GTiff").Create(str(path), 9, 9, 2).FlushCache()
    (tmp_path / "link.tif").symlink_to(path)
    with EOContextManager(inline=True) as context:
        keys = [context.describe(str(tmp_path / name)) for name in ("a.tif", "link.tif")]
        with pytest.warns(InputWarning, match="meaningless"):
            context.check(CrossTabulation(), keys)
        other = context.describe(str(path), bands=[2])
        context.check(CrossTabulation(), [keys[0], other])


# ---------------------------------------------------------------- an alpha that is none


def write_rgba(path: Path, fourth: np.ndarray) -> str:
    """Four bands of bytes, of which GDAL takes the last for alpha."""
    dataset = gdal.GetDriverByName("GTiff").Create(
        str(path), *fourth.shape[::-1], 4, options=["TILED=YES", "COMPRESS=DEFLATE"]
    )
    for number in (1, 2, 3):
        dataset.GetRasterBand(number).WriteArray(np.full(fourth.shape, 40 * number, "uint8"))
    dataset.GetRasterBand(4).WriteArray(fourth)
    assert dataset.GetRasterBand(4).GetColorInterpretation() == gdal.GCI_AlphaBand
    del dataset
    return str(path)


NEAR_INFRARED = np.random.default_rng(7).normal(130, 30, (300, 400)).clip(0, 255).astype("uint8")


def transparencies() -> dict[str, np.ndarray]:
    """What real alpha bands are like."""
    row, col = np.mgrid[:300, :400]
    clear = np.full((300, 400), 255, "uint8")
    half = np.where(col > 150, 255, 0).astype("uint8")
    soft = np.clip(255 - 2 * np.hypot(row - 150, col - 200) + 200, 0, 255).astype("uint8")
    return {"opaque": clear, "half": half, "hidden": clear * 0, "pale": clear // 2, "soft": soft}


def test_an_alpha_band_of_data_is_told(tmp_path: Path) -> None:
    path = write_rgba(tmp_path / "rgbn.tif", NEAR_INFRARED)
    with EOContextManager(inline=True) as context:
        with pytest.warns(InputWarning, match=r"band 4 is marked as .*-colorinterp_4 undefined"):
            context.open_raster(path)
        # told once; and not where the band is chosen, as one of data then
        context.open_raster(path)
        key = context.open_raster(path, bands=[1, 2, 3, 4])
        assert context.profile(key).count == 4
        np.testing.assert_array_equal(context.get_array(key)[3], NEAR_INFRARED)


@pytest.mark.parametrize("kind", transparencies())
def test_real_alpha_bands_are_no_doubt(kind: str, tmp_path: Path) -> None:
    path = write_rgba(tmp_path / "rgba.tif", transparencies()[kind])
    with EOContextManager(inline=True) as context:
        assert context.profile(context.describe(path)).count == 3


@pytest.mark.parametrize(
    "parameters",
    [
        {"index": "ndvi", "red": 1, "nir": 4},
        {"index": "ndvi", "sensor": "blue green red nir"},
    ],
)
def test_a_parameter_that_names_the_alpha_band_gets_its_data(
    parameters: dict[str, Any], tmp_path: Path
) -> None:
    path, made = write_rgba(tmp_path / "rgbn.tif", NEAR_INFRARED), str(tmp_path / "ndvi.tif")
    job = {
        "declaration": "spectralindex", "parameters": parameters,
        "inputs": {"INPUT": [{"path": path}]},
        "outputs": {"OUTPUT": {"path": made, "keep": "file"}},
    }  # fmt: skip
    with EOContextManager(inline=True) as context:
        resources = context._runs.resources
        assert resources is not None
        run_job(resources, job, Observer())
    red, nir = (40.0 if "red" in parameters else 120.0), NEAR_INFRARED.astype(float)
    found = gdal.Open(made).ReadAsArray()
    np.testing.assert_allclose(found, (nir - red) / (nir + red), rtol=1e-6)


# ---------------------------------------------------------------- control points alone


@pytest.fixture(params=["GCPs", "RPCs"])
def unplaced(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """An image that ground control points, or rational polynomials, place."""
    path = tmp_path / "raw.tif"
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), 20, 10)
    dataset.WriteArray(np.arange(200, dtype="uint8").reshape(10, 20))
    if request.param == "GCPs":
        reference = osr.SpatialReference()
        reference.ImportFromEPSG(4326)
        places = [(0, 0), (20, 0), (0, 10), (20, 10)]
        points = [gdal.GCP(3 + x / 99, 45 - y / 99, 0, x, y) for x, y in places]
        dataset.SetGCPs(points, reference)
    else:
        zeros = " ".join(["0"] * 20)
        scales = {f"{key}_{part}": "1" for key in ("LINE", "SAMP", "LAT", "LONG", "HEIGHT")
                  for part in ("OFF", "SCALE")}  # fmt: skip
        coefficients = {
            f"{key}_{part}_COEFF": zeros for key in ("LINE", "SAMP") for part in ("NUM", "DEN")
        }
        dataset.SetMetadata({**scales, **coefficients}, "RPC")
    del dataset
    return path


def grid(path: Path) -> Path:
    """An image of the same size that has a grid."""
    dataset = gdal.GetDriverByName("GTiff").Create(str(path), 20, 10)
    dataset.SetGeoTransform((3, 0.01, 0, 45, 0, -0.01))
    dataset.SetProjection(crs_of("EPSG:4326").to_wkt())
    return path


def polygons(path: Path) -> Path:
    layer = '{"type": "Polygon", "coordinates": [[[3, 45], [3.1, 45], [3.1, 44.9], [3, 45]]]}'
    path.write_text(
        '{"type": "FeatureCollection", "features": [{"type": "Feature", "properties": {}, '
        f'"geometry": {layer}}}]}}'
    )
    return path


def test_control_points_are_refused_where_places_matter(unplaced: Path, tmp_path: Path) -> None:
    with EOContextManager(inline=True) as context:
        raw = context.open_raster(str(unplaced), label="raw scene")
        zones = context.open_polygons(str(polygons(tmp_path / "zones.geojson")))
        refused: list[tuple[Declaration, Any]] = [
            *((kind(), raw) for kind in GROUND),
            (SamplePixels(), raw),
            (BandMath("im1b1 + x"), raw),
            (ObjectSize(minimum=3, unit="map units squared"), raw),
            (ZonalStatistics(), {"INPUT": raw, "POLYGONS": zones}),
            (UniqueValues(), {"INPUT": raw, "POLYGONS": zones}),
        ]
        for declaration, keys in refused:
            with pytest.raises(InputError, match=r"'raw scene' has .* only.* Warp it first"):
                context.run(declaration, keys)


def test_pixels_alone_go_on_without_a_grid(
    unplaced: Path, recwarn: pytest.WarningsRecorder
) -> None:
    with EOContextManager(inline=True) as context:
        raw = context.open_raster(str(unplaced))
        [smooth] = context.filter(Gaussian(sigma=1.0), raw)
        assert context.profile(smooth).control == context.profile(raw).control
        context.filter(Slope(pixel_spacing=10), raw)
        assert not recwarn
        with pytest.warns(InputWarning, match="Warp it first"):
            context.run(UniqueValues(), raw)


def test_alignment_and_extents_need_a_grid(unplaced: Path, tmp_path: Path) -> None:
    placed = grid(tmp_path / "placed.tif")
    with EOContextManager(inline=True) as context:
        raw, other = context.describe(str(unplaced)), context.describe(str(placed))
        with pytest.raises(GridError, match="only and a geotransform"):
            context.check(CrossTabulation(), [other, raw])
        with pytest.raises(InputError, match="Warp it first"):
            context.align(other, raw, "nearest")
        by_gcps = bool(context.profile(raw).gcps)
        if by_gcps:  # as QGIS does
            aligned = context.align(raw, other, "nearest")
            assert context.profile(aligned).transform == context.profile(other).transform
        else:
            with pytest.raises(InputError, match="Warp it first"):
                context.align(raw, other, "nearest")
        job = {
            "declaration": "gaussian", "parameters": {"sigma": 1},
            "inputs": {"INPUT": [{"path": str(unplaced), "label": "raw scene"}]},
            "extent": [3, 44.9, 3.1, 45],
        }  # fmt: skip
        resources = context._runs.resources
        assert resources is not None
        with pytest.raises(InputError, match="'raw scene' has .* Warp it first"):
            run_job(resources, job, Observer())
