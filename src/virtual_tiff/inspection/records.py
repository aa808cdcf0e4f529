"""What is known of a TIFF, as data."""

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
        `0`, or `0.1` for the second sub-IFD of the first; `ovr.0` where a sidecar holds it. Also
        the name of its array.
    kind
        From NewSubfileType, never from the position alone.
    width, height
        In pixels.
    bands
        SamplesPerPixel.
    data_type
        Zarr data type; `None` where there is none.
    bits_per_sample
        As stored.
    photometric
        Colour space, in the words of TIFF 6.0.
    layout
        `tiles` or `strips`.
    segment_shape
        Rows and columns of one.
    segments, missing_segments
        How many there are in all bands, and how many hold nothing.
    interleaved
        Whether a segment holds all bands (PlanarConfiguration 1).
    compression, predictor
        As in the file; `None` where no predictor is in effect.
    nodata
        GDAL's tag, untouched, or what a sidecar says instead, with spaces between bands.
    crs
        Name of the coordinate reference system.
    chunk_shape, codecs
        Of the Zarr array; `None` where it can only be copied.
    readers
        Zarr clients that decode it.
    problem
        Why it cannot be referenced.
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


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesInfo:
    """Pages that make up one image, which `ifd_layout="pages"` makes one array.

    Parameters
    ----------
    name
        From the metadata of the file; may be empty.
    kind
        The format that says so: `ome`, `imagej`, `svs`, `generic`, ….
    sizes
        Pages by their dimensions, without those within a page.
    levels
        Rows and columns of each, from full resolution on.
    first_ifd
        The first page there is.
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
        Of the file.
    images
        In the order of the file, each followed by its sub-IFDs.
    damage
        Why later images cannot be read, if there are any.
    sidecars
        Addresses of the files beside it that were asked for and are there.
    series
        Images that are made of the pages, where there are several pages and their order is known.
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
        """Return this as plain dictionaries, lists and scalars."""
        return asdict(self)
