"""Addresses → headers → what is in the files."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

from virtual_tiff.choices import SidecarKind
from virtual_tiff.errors import VirtualTIFFError, joined
from virtual_tiff.inspection.describe import describe
from virtual_tiff.inspection.records import FileInfo
from virtual_tiff.storage.addresses import source_url
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.storage.run import run
from virtual_tiff.storage.stores import registry_for
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import Header, is_dependent
from virtual_tiff.tiff.reader import DEFAULT_PREFETCH, read_header
from virtual_tiff.tiff.series import Series
from virtual_tiff.tiff.sidecars import add_sidecars, sidecar_kinds

if TYPE_CHECKING:
    from obspec_utils.registry import ObjectStoreRegistry


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
    stores = registry_for(urls, registry, anonymous=anonymous)

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
    return found, joined(errors, len(urls)) if errors else None


async def _series(header: Header, source: ByteSource) -> tuple[Series, ...]:
    """Series of a file with more than one page, as far as they are known."""
    pages = [directory for directory in header.ifds if not is_dependent(directory)]
    described = str(header.ifds[0].other_tags.get(Tag.IMAGE_DESCRIPTION, ""))
    # ImageJ has one directory for all pages of a large file.
    if header.damage is not None or (len(pages) < 2 and not described.startswith("ImageJ=")):
        return ()
    # Imported here, since it needs tifffile.
    from virtual_tiff.tiff.reader._series import read_series

    try:
        return await read_series(source, header)
    except VirtualTIFFError:
        return ()
