"""Records that describe a TIFF."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from virtual_tiff.planning.plan import Codec

type Kind = Literal["image", "overview", "mask", "page", "sub-image"]


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
        """Return this record as dictionaries, lists and scalars."""
        return asdict(self)
