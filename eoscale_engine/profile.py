"""What an image is: size, bands, data type, nodata, CRS, geotransform, names and metadata.

A :class:`Profile` is an immutable value. It also reads as a mapping with the keys that EOScale and
rasterio filters use (``driver``, ``dtype``, ``nodata``, ``width``, ``height``, ``count``, ``crs``,
``transform``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Optional, Union

import numpy as np
from osgeo import osr

from eoscale_engine.attribute_tables import AttributeTable
from eoscale_engine.errors import InputError
from eoscale_engine.raster_files.gdal_calls import call_gdal
from eoscale_engine.words import counted

Number = Union[int, float, complex]

DTYPES = (
    "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64",
    "float32", "float64", "complex64", "complex128",
)  # fmt: skip
"""The data types that an image can have, as NumPy names them."""

MAPPING_KEYS = ("driver", "dtype", "nodata", "width", "height", "count", "crs", "transform")


class Affine(NamedTuple):
    """The geotransform: ``x = a * col + b * row + c`` and ``y = d * col + e * row + f``.

    Reads like rasterio's: attributes ``a`` to ``f``, nine items, and ``transform * (col, row)``.
    """

    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 1.0
    f: float = 0.0
    g: float = 0.0
    h: float = 0.0
    i: float = 1.0

    @classmethod
    def from_gdal(cls, c: float, a: float, b: float, f: float, d: float, e: float) -> Affine:
        """From the six numbers in GDAL's order."""
        return cls(a, b, c, d, e, f)

    def to_gdal(self) -> tuple[float, float, float, float, float, float]:
        """The six numbers in GDAL's order."""
        return self.c, self.a, self.b, self.f, self.d, self.e

    def __mul__(self, place: Any) -> Any:
        """Map coordinates of the place ``(col, row)``."""
        col, row = place
        return self.a * col + self.b * row + self.c, self.d * col + self.e * row + self.f

    def __invert__(self) -> Affine:
        """The transform from map coordinates to ``(col, row)``."""
        determinant = self.a * self.e - self.b * self.d
        if determinant == 0:
            raise InputError(
                "The geotransform makes cells without an area. Assign a right one (gdal_edit.py "
                "-a_ullr)."
            )
        a, b = self.e / determinant, -self.b / determinant
        d, e = -self.d / determinant, self.a / determinant
        return Affine(a, b, -a * self.c - b * self.f, d, e, -d * self.c - e * self.f)

    def shifted(self, row: int, col: int) -> Affine:
        """The geotransform of the image that begins at this row and column."""
        if row == 0 and col == 0:
            return self
        c, f = self * (col, row)
        return self._replace(c=c, f=f)


@dataclass(frozen=True)
class CRS:
    """A coordinate reference system, kept as its WKT 2 text so that custom ones survive.

    ``epoch`` is the year for which the coordinates hold, of a CRS that moves with the plates; 0
    where none is said.
    """

    wkt: str
    epoch: float = 0.0

    def to_wkt(self) -> str:
        """The WKT text."""
        return self.wkt

    def to_epsg(self) -> Optional[int]:
        """The EPSG code, or None where the CRS has none."""
        code = self._reference().GetAuthorityCode(None)
        return int(code) if code and code.isdigit() else None

    @property
    def is_geographic(self) -> bool:
        """Whether coordinates are longitudes and latitudes in degrees."""
        return bool(self._reference().IsGeographic())

    @property
    def is_projected(self) -> bool:
        """Whether coordinates are in a projected plane."""
        return bool(self._reference().IsProjected())

    @property
    def name(self) -> str:
        """The name, with its EPSG code where there is one."""
        epsg = self.to_epsg()
        name = self._reference().GetName() or "unnamed"
        return f"{name} (EPSG:{epsg})" if epsg else name

    def same_as(self, other: CRS) -> bool:
        """Whether both mean the same, however their texts are written."""
        return self.wkt == other.wkt or bool(self._reference().IsSame(other._reference()))

    def __str__(self) -> str:
        epsg = self.to_epsg()
        return f"EPSG:{epsg}" if epsg else self.wkt

    def _reference(self) -> osr.SpatialReference:
        reference = osr.SpatialReference()
        reference.ImportFromWkt(self.wkt)
        return reference


class GroundControlPoint(NamedTuple):
    """A pixel whose map coordinates are known."""

    col: float
    row: float
    x: float
    y: float
    z: float = 0.0
    id: str = ""
    info: str = ""


Metadata = tuple[str, str, str]
"""Domain, key and value; the key is empty where the whole domain is one text (XML, JSON)."""

PLACES = ("RPC", "GEOLOCATION")
"""Domains that say where pixels lie."""

_COUNTED_FROM_THE_CORNER = {
    ("RPC", "LINE_OFF"): 0, ("RPC", "SAMP_OFF"): 1,
    ("GEOLOCATION", "LINE_OFFSET"): 0, ("GEOLOCATION", "PIXEL_OFFSET"): 1,
}  # fmt: skip
"""Metadata that are rows (0) or columns (1) of the image."""


@dataclass(frozen=True)
class Band:
    """What one band carries beside its pixels.

    ``scale`` and ``offset`` turn pixels into physical values: ``value = pixel * scale + offset``.
    ``color`` is GDAL's name of the colour interpretation; ``color_table`` has one RGBA tuple for
    each pixel value; ``categories`` one name for each; ``attributes`` is the attribute table.
    ``metadata`` are (domain, key, value), as of a :class:`Profile`. ``number`` is the band's in the
    file that it was read from, 0 for a band that was made: it plays no part in comparisons.
    """

    nodata: Optional[Number] = None
    scale: float = 1.0
    offset: float = 0.0
    name: str = ""
    unit: str = ""
    color: str = "Undefined"
    color_table: tuple[tuple[int, int, int, int], ...] = ()
    categories: tuple[str, ...] = ()
    attributes: Optional[AttributeTable] = field(default=None, hash=False)
    metadata: tuple[Metadata, ...] = ()
    number: int = field(default=0, compare=False)

    def without_classes(self) -> Band:
        """The same band without what its values stood for: colours, names, attributes."""
        color = "Undefined" if self.color == "Palette" else self.color
        return replace(self, color_table=(), categories=(), attributes=None, color=color)

    def without_counts(self) -> Band:
        """The same band of other pixels: how many there were of each value is no longer known."""
        attributes = self.attributes and self.attributes.without_counts()
        return self if attributes == self.attributes else replace(self, attributes=attributes)


@dataclass(frozen=True)
class Profile(Mapping[str, Any]):
    """Everything that an image carries beside its pixels.

    Attributes
    ----------
    width, height : int
        Columns and rows.
    dtype : str
        NumPy's name of the data type, one of :data:`DTYPES`.
    bands : tuple of Band
        One for each band, in order.
    crs : CRS or None
    transform : Affine or None
        None where the image has no geotransform (it may have ground control points).
    gcps : tuple of GroundControlPoint
    gcp_crs : CRS or None
    metadata : tuple of (domain, key, value)
        Dataset metadata that is worth carrying on; the default domain is the empty text.
    """

    width: int
    height: int
    dtype: str
    bands: tuple[Band, ...] = (Band(),)
    crs: Optional[CRS] = None
    transform: Optional[Affine] = None
    gcps: tuple[GroundControlPoint, ...] = ()
    gcp_crs: Optional[CRS] = None
    metadata: tuple[Metadata, ...] = ()

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise InputError(f"An image of {self.width} x {self.height} pixels is empty.")
        if self.dtype not in DTYPES:
            raise InputError(f"Unknown data type '{self.dtype}'. Use one of: {', '.join(DTYPES)}.")
        if not self.bands:
            raise InputError("An image needs at least one band.")

    # ---- size

    @property
    def count(self) -> int:
        """Number of bands."""
        return len(self.bands)

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(bands, rows, cols)``."""
        return self.count, self.height, self.width

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one pixel in all bands."""
        return self.count * np.dtype(self.dtype).itemsize

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels."""
        return self.height * self.width * self.pixel_bytes

    @property
    def nodata(self) -> Optional[Number]:
        """The nodata value of the first band."""
        return self.bands[0].nodata

    @property
    def band_numbers(self) -> tuple[int, ...]:
        """What a user calls the bands: their numbers in the file that they come from, or places."""
        return tuple(band.number or place for place, band in enumerate(self.bands, 1))

    # ---- where it lies

    @property
    def control(self) -> str:
        """What places the image where it has no geotransform, in words; empty for nothing."""
        if self.transform is not None:
            return ""
        if self.gcps:
            return "ground control points (GCPs)"
        domains = {domain for domain, _, _ in self.metadata}
        if "RPC" in domains:
            return "rational polynomial coefficients (RPCs)"
        return "geolocation arrays" if "GEOLOCATION" in domains else ""

    def without_grid(self, label: str) -> str:
        """What to say, and what to do, of an image that has ``control`` alone."""
        return (
            f"'{label}' has {self.control} only, no geotransform: its pixels have no size and no "
            "place on a grid, though QGIS draws it warped. Warp it first (Raster > Projections > "
            "Warp, or gdalwarp), and use the result."
        )

    @property
    def seems_in_degrees(self) -> bool:
        """Whether its coordinates could be longitudes and latitudes, though no CRS says so."""
        if self.transform is None or (self.crs is not None and not self.crs.is_projected):
            return False
        places = [(col, row) for col in (0, self.width) for row in (0, self.height)]
        x, y = zip(*(self.transform * place for place in places))
        return bool(min(x) >= -180 and max(x) <= 360 and max(map(abs, y)) <= 90)

    @property
    def stretched(self) -> float:
        """How many metres of the map one on the ground is in its middle: of Web Mercator alone."""
        if self.transform is None or self.crs is None or self.crs.to_epsg() != 3857:
            return 1.0
        _, northing = self.transform * (self.width / 2, self.height / 2)
        return math.cosh(northing / 6378137)

    # ---- derived profiles

    def widened(self, dtype: str) -> Profile:
        """The same values in another type; a nodata value that it cannot hold is dropped."""
        bands = tuple(
            band if can_hold(dtype, band.nodata) else replace(band, nodata=None)
            for band in self.bands
        )
        return replace(self, dtype=dtype, bands=bands)

    def with_dtype(self, dtype: str) -> Profile:
        """The same image with pixels of another type, and without classes where the type changes.

        See :meth:`widened`, :meth:`without_classes`.
        """
        return self if dtype == self.dtype else self.widened(dtype).without_classes()

    def with_bands(self, names: tuple[str, ...], nodata: Optional[Number] = None) -> Profile:
        """The same grid and type with new bands of these names."""
        return replace(self, bands=tuple(Band(nodata=nodata, name=name) for name in names))

    def with_nodata(self, nodata: Optional[Number]) -> Profile:
        """The same image with this nodata value in every band."""
        return replace(self, bands=tuple(replace(band, nodata=nodata) for band in self.bands))

    def without_classes(self) -> Profile:
        """The same image without what its values stood for: colours, names, attributes."""
        return replace(self, bands=tuple(band.without_classes() for band in self.bands))

    def moved(self, crs: CRS, transform: Affine) -> Profile:
        """The same image on another grid: what else said where its pixels lie is left out."""
        metadata = tuple(item for item in self.metadata if item[0] not in PLACES)
        return replace(self, crs=crs, transform=transform, gcps=(), metadata=metadata)

    def physical(self, *, unit: Optional[str] = None) -> Profile:
        """The same image without scale, offset and statistics: pixels are the values themselves."""
        bands = tuple(
            replace(band, scale=1.0, offset=0.0, unit=band.unit if unit is None else unit)
            for band in self.bands
        )
        return replace(self, bands=bands)

    def selected(self, bands: tuple[int, ...]) -> Profile:
        """Only these bands, counted from 1."""
        for number in bands:
            if not 1 <= number <= self.count:
                raise InputError(
                    f"Band {number} is not there: the image has {counted(self.count, 'band')}. "
                    "Choose one of them."
                )
        return replace(self, bands=tuple(self.bands[number - 1] for number in bands))

    def cropped(self, row: int, col: int, rows: int, cols: int) -> Profile:
        """The part of the image in a window, with its own geotransform and control points."""
        whole = (rows, cols) == (self.height, self.width)
        return replace(
            self,
            width=cols,
            height=rows,
            transform=None if self.transform is None else self.transform.shifted(row, col),
            gcps=tuple(p._replace(col=p.col - col, row=p.row - row) for p in self.gcps),
            metadata=tuple(_cropped_item(item, (row, col)) for item in self.metadata),
            bands=self.bands if whole else tuple(map(Band.without_counts, self.bands)),
        )

    # ---- the mapping that EOScale and rasterio filters read

    def __getitem__(self, key: str) -> Any:
        if key == "driver":
            return "GTiff"
        if key == "transform":
            return self.transform or Affine()
        if key in MAPPING_KEYS:
            return getattr(self, key)
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(MAPPING_KEYS)

    def __len__(self) -> int:
        return len(MAPPING_KEYS)

    def __hash__(self) -> int:
        return hash((self.width, self.height, self.dtype, self.bands, self.transform))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Profile) and vars(self) == vars(other)

    def updated(self, values: Mapping[str, Any]) -> Profile:
        """This profile with what a filter wrote into a mapping of it (see :meth:`to_dict`).

        A nodata value that the mapping does not change is dropped where a new type cannot hold it.

        Raises
        ------
        InputError
            Where a data type, CRS or nodata value cannot be used.
        """
        profile = self.with_dtype(_dtype_name(values.get("dtype", self.dtype)))
        count = int(values.get("count", self.count))
        if count != self.count:
            profile = profile.with_bands(("",) * count, profile.nodata)
        nodata = values.get("nodata", self.nodata)
        if not _same_nodata(nodata, self.nodata):
            if not can_hold(profile.dtype, nodata):
                raise InputError(
                    f"{profile.dtype} pixels cannot hold nodata {nodata}. Give another value, or "
                    "another data type."
                )
            profile = profile.with_nodata(nodata)
        transform = values.get("transform")
        if transform is not None and transform != self["transform"]:
            profile = replace(profile, transform=Affine(*tuple(transform)[:6]))
        return replace(
            profile,
            width=int(values.get("width", self.width)),
            height=int(values.get("height", self.height)),
            crs=_crs_from(values.get("crs", self.crs)),
        )

    def to_dict(self) -> dict[str, Any]:
        """A dictionary that a filter may change, with the keys of rasterio's profiles."""
        return dict(self)


def _cropped_item(item: Metadata, corner: tuple[int, int]) -> Metadata:
    """Metadata of the crop: what is counted in pixels counts from its own corner."""
    domain, key, value = item
    side = _COUNTED_FROM_THE_CORNER.get((domain, key))
    if side is None or not corner[side]:
        return item
    return domain, key, repr(float(value.split()[0]) - corner[side])


def is_of_the_grid(item: Metadata) -> bool:
    """Whether metadata say where pixels lie."""
    return item[0] in PLACES or item[:2] == ("", "AREA_OR_POINT")


def shared_metadata(profiles: Sequence[Profile]) -> tuple[Metadata, ...]:
    """What several images say alike, and where the pixels of the first one lie."""
    shared = set(profiles[0].metadata).intersection(*(other.metadata for other in profiles[1:]))
    return tuple(item for item in profiles[0].metadata if item in shared or is_of_the_grid(item))


def common_profile(profiles: Sequence[Profile]) -> Profile:
    """The first image's, with the metadata that all share: a date of one is not the result's."""
    return replace(profiles[0], metadata=shared_metadata(profiles))


def profile_from(values: Mapping[str, Any], like: Optional[Profile] = None) -> Profile:
    """A mapping as a profile: one as it is, others with what they do not name as in ``like``.

    Without ``like`` the mapping needs ``width``, ``height`` and ``dtype``; else an InputError.
    """
    if isinstance(values, Profile):
        return values
    if like is None:
        missing = [key for key in ("width", "height", "dtype") if key not in values]
        if missing:
            raise InputError(f"The profile of an image needs {', '.join(missing)}.")
        width, height = int(values["width"]), int(values["height"])
        like = Profile(width, height, _dtype_name(values["dtype"]))
    return like.updated(values)


def _dtype_name(dtype: Any) -> str:
    try:
        return np.dtype(dtype).name
    except TypeError:
        known = ", ".join(DTYPES)
        raise InputError(f"'{dtype}' is no data type. Use one of: {known}.") from None


def _same_nodata(one: Any, two: Any) -> bool:
    return one == two or (one != one and two != two)


def _crs_from(crs: Any) -> Optional[CRS]:
    if crs is None or isinstance(crs, CRS):
        return crs
    text = crs.to_wkt() if hasattr(crs, "to_wkt") else str(crs)
    reference = osr.SpatialReference()
    known, _ = call_gdal(reference.SetFromUserInput, text)
    if known != 0:
        raise InputError(f"'{text}' is no CRS. Use a code such as EPSG:32631, or WKT.")
    return CRS(reference.ExportToWkt(["FORMAT=WKT2_2019"]))


def can_hold(dtype: str, value: Optional[Number]) -> bool:
    """Whether a data type can hold a value exactly as a nodata value (floats round to theirs)."""
    if value is None:
        return True
    kind = np.dtype(dtype)
    if kind.kind in "iu":
        if isinstance(value, complex) or value != value or abs(value) == float("inf"):
            return False
        info = np.iinfo(kind)
        return value == int(value) and info.min <= int(value) <= info.max
    return True


def default_nodata(dtype: str) -> Number:
    """The nodata value of a type that is tried first where one must be found that no pixel has.

    NaN for floats and complex numbers, the smallest value of signed and the largest of unsigned
    integers.
    """
    kind = np.dtype(dtype)
    if kind.kind in "fc":
        return float("nan")
    return int(np.iinfo(kind).max if kind.kind == "u" else np.iinfo(kind).min)
