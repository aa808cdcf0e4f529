"""What is in a TIFF, as data: each image, how it is stored, and who can read it."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Iterable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from virtual_tiff.errors import SourcesError, VirtualTIFFError
from virtual_tiff.hierarchy import array_name, walk_ifds
from virtual_tiff.ifd import Header, ImageFileDirectory, Source, is_dependent
from virtual_tiff.image_plan import ImageOptions, plan_image
from virtual_tiff.parser import _run as run
from virtual_tiff.plan import ArrayPlan, Codec
from virtual_tiff.publishing.locations import source_url
from virtual_tiff.publishing.stores import AddressRegistry, check_access, default_registry
from virtual_tiff.reader import DEFAULT_PREFETCH, ByteSource, read_header
from virtual_tiff.readers import readers
from virtual_tiff.relations import relate_sidecars
from virtual_tiff.series import Series
from virtual_tiff.sidecars import SidecarKind, add_sidecars, sidecar_kinds
from virtual_tiff.tags import Compression, NewSubfileType, PhotometricInterpretation, Tag

if TYPE_CHECKING:
    from obspec_utils.registry import ObjectStoreRegistry

type Kind = Literal["image", "overview", "mask", "page", "sub-image"]

_COMPRESSIONS = {
    Compression.NONE: "none",
    Compression.CCITT_RLE: "CCITT RLE",
    Compression.CCITT_T4: "CCITT G3",
    Compression.CCITT_T6: "CCITT G4",
    Compression.CCITT_RLEW: "CCITT RLE-W",
    Compression.LZW: "LZW",
    Compression.OLD_JPEG: "old JPEG",
    Compression.JPEG: "JPEG",
    Compression.ADOBE_DEFLATE: "Deflate",
    Compression.DEFLATE: "Deflate",
    Compression.PACKBITS: "PackBits",
    Compression.JPEG_2000: "JPEG 2000",
    Compression.JPEG_2000_ALT: "JPEG 2000",
    Compression.JPEG_2000_APERIO_RGB: "JPEG 2000",
    Compression.JPEG_2000_APERIO_YCBCR: "JPEG 2000",
    Compression.JPEG_XR: "JPEG XR",
    Compression.JPEG_XR_NDPI: "JPEG XR",
    Compression.JPEG_XL: "JPEG XL",
    Compression.JPEG_XL_OLD: "JPEG XL",
    Compression.WEBP: "WebP",
}
_PREDICTORS = {2: "horizontal", 3: "floating point"}


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


def info(
    sources: Iterable[str | os.PathLike[str]],
    *,
    registry: ObjectStoreRegistry[Any] | None = None,
    anonymous: bool = False,
    prefetch: int = DEFAULT_PREFETCH,
    sidecars: bool | Collection[SidecarKind] = False,
) -> list[FileInfo]:
    """Read the headers of TIFFs.

    Parameters
    ----------
    sources
        Local paths or URLs.
    registry
        Stores for the files; by default obstore's.
    anonymous
        Read without credentials, as for public buckets.
    prefetch
        Bytes of the first GET.
    sidecars
        Files beside the TIFFs to read too, as for `virtual_tiff.VirtualTIFF`.

    Raises
    ------
    InvalidOptionError
        There are no such sidecars; nothing was read.
    VirtualTIFFError
        What is wrong with the one file, or a `SourcesError` of several.
    """
    found, error = examine(
        sources, registry=registry, anonymous=anonymous, prefetch=prefetch, sidecars=sidecars
    )
    if error is not None:
        raise error
    return found


def examine(
    sources: Iterable[str | os.PathLike[str]],
    *,
    registry: ObjectStoreRegistry[Any] | None = None,
    anonymous: bool = False,
    prefetch: int = DEFAULT_PREFETCH,
    sidecars: bool | Collection[SidecarKind] = False,
) -> tuple[list[FileInfo], VirtualTIFFError | None]:
    """Read the headers that can be read, and return what `info` raises for the others."""
    kinds = sidecar_kinds(sidecars)
    urls = [source_url(source) for source in sources]
    if registry is None:
        stores = default_registry(urls, anonymous=anonymous)
        if not anonymous:
            check_access(urls)
    else:
        stores = AddressRegistry(registry)

    async def read(url: str) -> tuple[Header, ByteSource]:
        header, source = await read_header(url, stores, prefetch=prefetch)
        if kinds:
            header, _ = await add_sidecars(header, stores, kinds, prefetch=prefetch)
        return header, source

    return run(_info(urls, read))


async def _info(
    urls: list[str], read: Callable[[str], Awaitable[tuple[Header, ByteSource]]]
) -> tuple[list[FileInfo], VirtualTIFFError | None]:
    results = await asyncio.gather(*map(read, urls), return_exceptions=True)
    errors = [result for result in results if isinstance(result, VirtualTIFFError)]
    found = []
    for result in results:
        if isinstance(result, VirtualTIFFError):
            continue
        if isinstance(result, BaseException):
            raise result
        header, source = result
        found.append(describe(header, await _series(header, source)))
    error = SourcesError.of(errors, len(urls)) if len(errors) > 1 else next(iter(errors), None)
    return found, error


async def _series(header: Header, source: ByteSource) -> tuple[Series, ...]:
    """Series of a file with more than one page, as far as they are known."""
    pages = [directory for directory in header.ifds if not is_dependent(directory)]
    described = str(header.ifds[0].other_tags.get(Tag.IMAGE_DESCRIPTION, ""))
    # ImageJ has one directory for all pages of a large file.
    if header.damage is not None or (len(pages) < 2 and not described.startswith("ImageJ=")):
        return ()
    # Imported here, since it needs tifffile.
    from virtual_tiff.reader._series import read_series

    try:
        return await read_series(source, header)
    except VirtualTIFFError:
        return ()


def describe(header: Header, series: Iterable[Series] = ()) -> FileInfo:
    """Describe what was read of a TIFF."""
    images = [describe_image(ifd, header.source) for ifd in walk_ifds(header.ifds)]
    images += [
        describe_image(one.directory, one.source or header.source, one.prefix)
        for one in relate_sidecars(header)
    ]
    metadata = header.ifds[0].auxiliary if header.ifds else None
    return FileInfo(
        url=header.source.url,
        size=header.source.size,
        byte_order=header.byte_order,
        big_tiff=header.big_tiff,
        images=tuple(images),
        damage=None if header.damage is None else header.damage.message,
        sidecars=(
            *(sidecar.header.source.url for sidecar in header.sidecars),
            *(() if metadata is None else metadata.urls),
        ),
        series=tuple(_describe_series(one) for one in series),
    )


def _describe_series(series: Series) -> SeriesInfo:
    return SeriesInfo(
        name=series.name,
        kind=series.kind,
        sizes=dict(series.sizes),
        levels=tuple(level.size for level in series.levels),
        first_ifd=array_name(next(p for p in series.levels[0].pages if p is not None)),
    )


def describe_image(ifd: ImageFileDirectory, source: Source, prefix: str = "") -> ImageInfo:
    """Describe one image; `prefix` is that of the names of a sidecar's images."""
    plan: ArrayPlan | None = None
    problem: str | None = None
    try:
        plan = plan_image(ifd, source, ImageOptions())
    except VirtualTIFFError as error:
        problem = error.message
    data_type = None if plan is None else plan.data_type.name
    known = () if plan is None or data_type is None else readers(plan.codecs, data_type)
    predicted = plan is not None and any(
        codec["name"] in ("imagecodecs_delta", "imagecodecs_floatpred") for codec in plan.codecs
    )
    empty = (
        (ifd.offsets == 0)
        if ifd.byte_counts.size != ifd.offsets.size
        else ((ifd.offsets == 0) | (ifd.byte_counts == 0))
    )
    return ImageInfo(
        ifd=prefix + array_name(ifd.index),
        kind=_kind(ifd),
        width=ifd.image_width,
        height=ifd.image_length,
        bands=ifd.samples_per_pixel,
        data_type=data_type,
        bits_per_sample=max(ifd.bits_per_sample),
        photometric=_photometric(ifd.photometric_interpretation),
        layout="tiles" if ifd.is_tiled else "strips",
        segment_shape=ifd.segment_shape,
        segments=int(ifd.offsets.size),
        missing_segments=int(np.count_nonzero(empty)),
        interleaved=not ifd.is_planar,
        compression=_compression(ifd.compression),
        predictor=_PREDICTORS.get(ifd.predictor) if predicted else None,
        nodata=_nodata(ifd),
        crs=_crs_name(ifd),
        chunk_shape=None if plan is None else plan.chunk_shape,
        codecs=None if plan is None else plan.codecs,
        readers=tuple(str(reader) for reader in known),
        problem=problem,
    )


def _kind(ifd: ImageFileDirectory) -> Kind:
    if ifd.is_mask:
        return "mask"
    if ifd.is_reduced:
        return "overview"
    if len(ifd.index) > 1:
        return "sub-image"
    if ifd.new_subfile_type & NewSubfileType.PAGE or ifd.index != (0,):
        return "page"
    return "image"


def _compression(value: int) -> str:
    try:
        known = Compression(value)
    except ValueError:
        return str(value)
    return _COMPRESSIONS.get(known, known.name.replace("_", " "))


def _photometric(value: int | None) -> str | None:
    if value is None:
        return None
    try:
        return PhotometricInterpretation(value).name.replace("_", " ").lower()
    except ValueError:
        return str(value)


def _nodata(ifd: ImageFileDirectory) -> str | None:
    if ifd.auxiliary is None or not ifd.auxiliary.nodata:
        return ifd.gdal_nodata
    beside = ifd.auxiliary.nodata
    texts = [beside.get(band, ifd.gdal_nodata or "none") for band in range(ifd.samples_per_pixel)]
    return texts[0] if len(set(texts)) == 1 else " ".join(texts)


def _crs_name(ifd: ImageFileDirectory) -> str | None:
    if not ifd.geo_keys and ifd.auxiliary is None:
        return None
    # Imported here, since PROJ takes its time and not every TIFF has a CRS.
    from virtual_tiff.geokeys import crs

    found = crs(ifd)
    if found.name is None:
        return None
    return f"{found.authority} ({found.name})" if found.authority else found.name
