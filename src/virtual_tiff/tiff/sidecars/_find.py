"""Request the sidecars of a TIFF concurrently, and read those that exist."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from functools import partial
from typing import Any, cast

from obspec_utils.registry import ObjectStoreRegistry

from virtual_tiff.choices import SidecarKind
from virtual_tiff.errors import ErrorKind, InvalidTIFFError, SourceError, VirtualTIFFError
from virtual_tiff.storage.budget import Limits
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.storage.opening import open_source
from virtual_tiff.tiff.auxiliary import (
    Auxiliary,
    GeoTransform,
    Polynomials,
    invalid_sidecar,
    parse_aux_xml,
    parse_world_file,
)
from virtual_tiff.tiff.gdal_metadata import Domains
from virtual_tiff.tiff.geokeys import geotransform
from virtual_tiff.tiff.ifd import Header
from virtual_tiff.tiff.imagery import parse_esri_xml, parse_imd, parse_rpb, parse_rpc_txt
from virtual_tiff.tiff.reader import read_header
from virtual_tiff.tiff.relations import masks, relate
from virtual_tiff.tiff.sidecars._merge import (
    Beside,
    as_masks,
    as_overviews,
    as_overviews_of_mask,
    merge,
)
from virtual_tiff.tiff.sidecars._names import names

#: Largest `.aux.xml` in bytes; it may contain histograms and attribute tables.
MAX_METADATA_BYTES = 4 * 1024 * 1024
#: Bytes of a world file that are read.
_WORLD_BYTES = 16 * 1024

type _Registry = ObjectStoreRegistry[Any]
type _Tiff = tuple[Header, ByteSource]

_LIMITS = Limits()


async def add_sidecars(
    header: Header,
    registry: _Registry,
    kinds: Collection[SidecarKind],
    *,
    prefetch: int,
    limits: Limits = _LIMITS,
    images: bool = True,
) -> tuple[Header, dict[str, ByteSource]]:
    """Find the sidecars of a TIFF, and add their metadata to its header.

    Sidecars that GDAL would not use are not requested: overviews and masks if the image has its
    own, a world file if its tags have an affine transform.

    Parameters
    ----------
    header
        Header of the TIFF.
    registry
        Finds the store of a URL.
    kinds
        Kinds of sidecars to request.
    prefetch
        Bytes of the first GET of a TIFF.
    limits
        Of what reading each file may cost.
    images
        Whether to read overviews and masks; otherwise only metadata.

    Returns
    -------
    Header
        With the `auxiliary` of its first directory, and its `sidecars`.
    dict
        The bytes of the sidecars that are TIFFs, by URL.

    Raises
    ------
    SourceError
        A store failed with an error other than a missing file.
    InvalidTIFFError
        A sidecar is not of the kind that its name says.
    """
    # Sidecars belong to the first image of a file, which was not read if another was requested.
    if not header.ifds or header.ifds[0].index != (0,):
        return header, {}
    image = header.ifds[0]
    related = relate(header.ifds)
    own = [one for one in related if one.full is image]
    has_overviews = any(o.directory.is_reduced and not o.directory.is_mask for o in own)
    has_mask = any(one.directory is image for one in masks(related))
    url = header.source.url
    wants_overviews = images and "ovr" in kinds and not has_overviews
    wants_mask = images and "msk" in kinds and not has_mask
    wants_world = "world" in kinds and geotransform(image) is None

    async def tiff(kind: SidecarKind, of: str = url) -> _Tiff | None:
        read = partial(read_header, registry=registry, prefetch=prefetch, limits=limits)
        found = await _first(names(of, kind), read)
        return None if found is None else found[1]

    overviews, mask, metadata, world, beside = await _together(
        tiff("ovr") if wants_overviews else _nothing(),
        tiff("msk") if wants_mask else _nothing(),
        _metadata(url, registry) if "aux.xml" in kinds else _nothing(),
        _world(url, registry) if wants_world else _nothing(),
        _beside(url, registry, kinds),
    )
    found = []
    sources = {}
    for one, make in ((overviews, as_overviews), (mask, as_masks)):
        sidecar = None if one is None else make(one[0], image)
        if one is not None and sidecar is not None:
            found.append(sidecar)
            sources[one[0].source.url] = one[1]
    is_alone = any(s.suffix == "msk" and len(s.header.ifds) == 1 for s in found)
    if mask is not None and is_alone and "ovr" in kinds and (overviews or has_overviews):
        of_mask = await tiff("ovr", mask[0].source.url)
        if of_mask is not None:
            found.append(as_overviews_of_mask(of_mask[0]))
            sources[of_mask[0].source.url] = of_mask[1]
    return merge(header, metadata, world, found, beside), sources


async def _nothing() -> None:
    return None


async def _together[A, B, C, D, E](
    a: Awaitable[A], b: Awaitable[B], c: Awaitable[C], d: Awaitable[D], e: Awaitable[E]
) -> tuple[A, B, C, D, E]:
    """Wait for all, then raise the first error."""
    results = await asyncio.gather(a, b, c, d, e, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return cast(tuple[A, B, C, D, E], results)


async def _first[T](
    urls: Sequence[str], read: Callable[[str], Awaitable[T | None]]
) -> tuple[str, T] | None:
    """Request several names concurrently, and return the first that exists."""
    results = await asyncio.gather(*map(read, urls), return_exceptions=True)
    for url, result in zip(urls, results, strict=True):
        if isinstance(result, SourceError) and result.kind == ErrorKind.NOT_FOUND:
            continue
        if isinstance(result, BaseException):
            raise _explained(result, url) from result.__cause__
        if result is not None:
            return url, result
    return None


def _explained(error: BaseException, url: str) -> BaseException:
    if not isinstance(error, VirtualTIFFError):
        return error
    if error.kind == ErrorKind.NOT_AUTHORIZED:
        error.remedy = (
            "S3 answers so for missing files, unless listing the bucket is allowed: leave "
            "missing kinds out of sidecars."
        )
    elif isinstance(error, InvalidTIFFError):
        error.remedy = "Only TIFFs are read as overviews and masks: leave this out of sidecars."
    return error.at(url=url)


async def _text[T](
    url: str, registry: _Registry, kind: SidecarKind, parse: Callable[[bytes, str], T]
) -> tuple[str, T] | None:
    """Read and parse a sidecar that is a text; `None` if there is none."""

    async def read(name: str) -> tuple[T]:
        source = await open_source(name, registry, prefetch=MAX_METADATA_BYTES)
        if source.size > MAX_METADATA_BYTES:
            raise invalid_sidecar(
                name, f"it has {source.size} bytes, more than {MAX_METADATA_BYTES}."
            )
        return (await asyncio.to_thread(parse, source.prefix, name),)

    found = await _first(names(url, kind), read)
    return None if found is None else (found[0], found[1][0])


async def _metadata(url: str, registry: _Registry) -> Auxiliary | None:
    found = await _text(url, registry, "aux.xml", parse_aux_xml)
    return None if found is None else found[1]


async def _beside(url: str, registry: _Registry, kinds: Collection[SidecarKind]) -> Beside:
    """Read what providers of satellite images put beside a file."""

    def parse_rpc(data: bytes, name: str) -> Polynomials:
        is_rpb = name.lower().endswith(".rpb")
        return parse_rpb(data, name) if is_rpb else parse_rpc_txt(data, name)

    terms, items, crs, *_ = await _together(
        _text(url, registry, "rpc", parse_rpc) if "rpc" in kinds else _nothing(),
        _text(url, registry, "imd", lambda data, _: parse_imd(data))
        if "imd" in kinds
        else _nothing(),
        _text(url, registry, "xml", lambda data, _: parse_esri_xml(data))
        if "xml" in kinds
        else _nothing(),
        _nothing(),
        _nothing(),
    )
    crs = None if crs is None or crs[1] is None else crs
    return Beside(
        polynomials=None if terms is None else terms[1],
        domains=items[1] if items is not None else {} if terms is None else _kind(terms[0]),
        crs=None if crs is None else crs[1],
        urls=tuple(found[0] for found in (terms, items, crs) if found is not None),
    )


def _kind(url: str) -> Domains:
    """Return GDAL's item about who wrote the polynomials: DigitalGlobe or GeoEye."""
    return {"": {"METADATATYPE": "DG" if url.lower().endswith(".rpb") else "GE"}}


async def _world(url: str, registry: _Registry) -> tuple[str, GeoTransform] | None:
    unusable: list[str] = []

    async def read(name: str) -> GeoTransform | None:
        source = await open_source(name, registry, prefetch=_WORLD_BYTES)
        found = parse_world_file(source.prefix)
        if found is None:
            unusable.append(name)
        return found

    found = await _first(names(url, "world"), read)
    if found is None and unusable:
        raise invalid_sidecar(
            unusable[0], "a world file has six numbers, one a line, and steps that are not 0."
        )
    return found
