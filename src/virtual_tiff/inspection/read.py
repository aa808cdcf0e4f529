"""Read the headers of files, and describe what is in them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from obspec_utils.registry import ObjectStoreRegistry

from virtual_tiff.choices import SidecarKind
from virtual_tiff.errors import VirtualTIFFError, joined, one_file
from virtual_tiff.inspection.describe import describe
from virtual_tiff.inspection.records import FileInfo
from virtual_tiff.inventory.files import file_urls
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.storage.concurrency import in_flight
from virtual_tiff.storage.run import run
from virtual_tiff.storage.stores import registry_for
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import Header, is_dependent
from virtual_tiff.tiff.reader import DEFAULT_PREFETCH, read_header
from virtual_tiff.tiff.series import Series
from virtual_tiff.tiff.sidecars import add_sidecars, sidecar_kinds

#: Headers in flight at once unless told otherwise.
DEFAULT_CONCURRENCY = 64


def info(
    sources: object,
    *,
    registry: ObjectStoreRegistry[Any] | None = None,
    anonymous: bool = False,
    prefetch: int = DEFAULT_PREFETCH,
    sidecars: bool | Collection[SidecarKind] = False,
    url_column: str = "url",
    assets: Sequence[str] | None = None,
    concurrency: int = DEFAULT_CONCURRENCY,
) -> list[FileInfo]:
    """Read the headers of TIFFs.

    Parameters
    ----------
    sources
        Local paths or URLs, one or several, or anything else that `virtual_tiff.scan` takes.
    registry
        Stores for the files; by default obstore's.
    anonymous
        Read without credentials, as for public buckets.
    prefetch
        Bytes of the first GET.
    sidecars
        Files beside the TIFFs to read, as for `virtual_tiff.VirtualTIFF`.
    url_column, assets
        Column of a table that holds URLs, and assets of STAC Items, as for `virtual_tiff.scan`.
    concurrency
        Files read at once.

    Raises
    ------
    InvalidOptionError
        There are no such sidecars, or no files are named; nothing was read.
    VirtualTIFFError
        The error of a single file, or a `SourcesError` of several.
    """
    found, error = examine(
        sources,
        registry=registry,
        anonymous=anonymous,
        prefetch=prefetch,
        sidecars=sidecars,
        url_column=url_column,
        assets=assets,
        concurrency=concurrency,
    )
    if error is not None:
        raise error
    return found


def examine(
    sources: object,
    *,
    registry: ObjectStoreRegistry[Any] | None = None,
    anonymous: bool = False,
    prefetch: int = DEFAULT_PREFETCH,
    sidecars: bool | Collection[SidecarKind] = False,
    url_column: str = "url",
    assets: Sequence[str] | None = None,
    concurrency: int = DEFAULT_CONCURRENCY,
) -> tuple[list[FileInfo], VirtualTIFFError | None]:
    """Describe the readable files, and return the errors of the others."""
    kinds = sidecar_kinds(sidecars)
    urls = file_urls(
        sources, registry=registry, anonymous=anonymous, url_column=url_column, assets=assets
    )
    stores = registry_for(urls, registry, anonymous=anonymous)
    found: dict[int, FileInfo] = {}
    errors: dict[int, VirtualTIFFError] = {}

    async def read(item: tuple[int, str]) -> None:
        position, url = item
        try:
            with one_file(url):
                header, source = await read_header(url, stores, prefetch=prefetch)
                if kinds:
                    header, _ = await add_sidecars(header, stores, kinds, prefetch=prefetch)
                found[position] = describe(header, await _series(header, source))
        except VirtualTIFFError as error:
            errors[position] = error

    run(in_flight(enumerate(urls), concurrency, read))
    failures = [errors[position] for position in sorted(errors)]
    error = joined(failures, len(urls)) if failures else None
    return [found[position] for position in sorted(found)], error


async def _series(header: Header, source: ByteSource) -> tuple[Series, ...]:
    """Return the series of a file with several pages, as far as they are known."""
    pages = [directory for directory in header.ifds if not is_dependent(directory)]
    described = str(header.ifds[0].other_tags.get(Tag.IMAGE_DESCRIPTION, ""))
    # In large ImageJ files one directory describes all pages.
    if header.damage is not None or (len(pages) < 2 and not described.startswith("ImageJ=")):
        return ()
    # Imported here: it imports tifffile.
    from virtual_tiff.tiff.reader._series import read_series

    try:
        return await read_series(source, header)
    except VirtualTIFFError:
        return ()
