"""Records that describe a TIFF."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite
from typing import Any, Literal

from virtual_tiff.messages import redacted_links
from virtual_tiff.planning.plan import Codec

type Kind = Literal["image", "overview", "mask", "page", "sub-image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BandInfo:
    """What a file tells of one band.

    Parameters
    ----------
    name
        Its description.
    color
        Colour interpretation, such as `red` or `alpha`.
    scale, offset
        `value * scale + offset` is in `unit`; 1 and 0 if absent.
    unit
        Unit of the values.
    nodata
        Its nodata value, in the data type of the image.
    statistics
        What GDAL wrote of its values, such as `minimum`, `maximum`, `mean` and `stddev`. They are
        not checked.
    metadata
        Its other items, by domain.
    """

    name: str | None
    color: str
    scale: float
    offset: float
    unit: str | None
    nodata: bool | int | float | complex | None
    statistics: Mapping[str, float]
    metadata: Mapping[str, Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageInfo:
    """One image of a TIFF.

    Parameters
    ----------
    ifd
        `0`, or `0.1` for the second sub-IFD of the first; `ovr.0` for an image of a sidecar. Also
        the name of its array.
    kind
        Kind of the image, from NewSubfileType, never from the position alone.
    width, height
        In pixels.
    bands
        Number of bands (SamplesPerPixel).
    data_type
        Zarr data type; `None` if there is none.
    bits_per_sample
        Stored bits per sample.
    photometric
        Colour space, by its name in TIFF 6.0.
    layout
        `tiles` or `strips`.
    segment_shape
        Rows and columns of one tile or strip.
    segments, missing_segments
        Number of segments of all bands, and number of those without data.
    interleaved
        Whether a segment contains all bands (PlanarConfiguration 1).
    compression, predictor
        Compression and predictor in the file; `None` if no predictor is in effect.
    nodata
        Text of GDAL's tag, or values from a sidecar, with spaces between bands.
    crs
        Name of the coordinate reference system.
    transform
        Affine transform of this image in the order of rasterio, from pixel corners to CRS units:
        `(a, b, c, d, e, f)` with `x = a * column + b * row + c`; `None` if there is none.
    bounds, resolution
        Least x and y, greatest x and y; width and height of a pixel. In CRS units.
    band_info
        What the file tells of each band: a `BandInfo` each, if it tells anything.
    area_or_point
        `Area` or `Point` (GTRasterTypeGeoKey).
    control_points
        Number of ground control points.
    rpcs
        Whether there are rational polynomial coefficients.
    metadata
        GDAL's metadata items by domain; the default domain is the empty string.
    geo_keys
        GeoKeys by name, as they are in the file.
    chunk_shape, codecs
        Chunk shape and codecs of the Zarr array; `None` if the image can only be copied.
    readers
        Zarr clients that decode it.
    problem
        Why the image cannot be referenced.
    notes
        What readers have to know of its values, and metadata that could not be read.
    """

    ifd: str
    kind: Kind
    width: int
    height: int
    bands: int
    data_type: str | None
    bits_per_sample: int
    photometric: str | None
    layout: Literal["tiles", "strips"]
    segment_shape: tuple[int, int]
    segments: int
    missing_segments: int
    interleaved: bool
    compression: str
    predictor: str | None
    nodata: str | None
    crs: str | None
    transform: tuple[float, ...] | None = None
    bounds: tuple[float, float, float, float] | None = None
    resolution: tuple[float, float] | None = None
    band_info: tuple[BandInfo, ...] = ()
    area_or_point: str | None = None
    control_points: int = 0
    rpcs: bool = False
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    geo_keys: Mapping[str, int | float | str | tuple[float, ...]] = field(default_factory=dict)
    chunk_shape: tuple[int, ...] | None
    codecs: tuple[Codec, ...] | None
    readers: tuple[str, ...]
    problem: str | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesInfo:
    """Pages that make up one image, and one array with `ifd_layout="pages"`.

    Parameters
    ----------
    name
        Name in the metadata of the file; may be empty.
    kind
        Format that defines the series: `ome`, `imagej`, `svs`, `generic`, ….
    sizes
        Sizes of the dimensions of pages, without those within a page.
    levels
        Rows and columns of each level, from full resolution on.
    first_ifd
        Directory of the first existing page.
    """

    name: str
    kind: str
    sizes: dict[str, int]
    levels: tuple[tuple[int, int], ...]
    first_ifd: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileInfo:
    """A TIFF.

    Parameters
    ----------
    url
        Its address.
    size
        In bytes.
    byte_order, big_tiff
        Byte order of the file, and whether it is a BigTIFF.
    images
        Images in the order of the file, each followed by its sub-IFDs.
    damage
        Why later images cannot be read, if there are any.
    sidecars
        Addresses of the requested sidecars that exist.
    series
        Images that consist of pages, if there are several pages and their order is known.
    """

    url: str
    size: int
    byte_order: Literal["little", "big"]
    big_tiff: bool
    images: tuple[ImageInfo, ...]
    damage: str | None
    sidecars: tuple[str, ...] = ()
    series: tuple[SeriesInfo, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return this record as JSON: complex numbers as two, NaN and infinity as text.

        Passwords, signatures and tokens of addresses are replaced.
        """
        found: dict[str, Any] = redacted_links(_plain(asdict(self)))
        return found


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, complex):
        return [_plain(value.real), _plain(value.imag)]
    return str(value) if isinstance(value, float) and not isfinite(value) else value
