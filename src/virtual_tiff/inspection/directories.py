"""Read the directories of one TIFF, and the options for reading single files."""

from __future__ import annotations

import os
from collections.abc import Collection
from typing import TypedDict, Unpack

from virtual_tiff.choices import SidecarKind, check_names
from virtual_tiff.errors import one_file
from virtual_tiff.inventory.source_options import StoreArguments
from virtual_tiff.storage.addresses import has_query, source_url
from virtual_tiff.storage.budget import DEFAULT_HEADER_LIMIT, DEFAULT_TIME_LIMIT, Limits
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.storage.resolve import AddressRegistry
from virtual_tiff.storage.run import run
from virtual_tiff.storage.settings import default_prefetch
from virtual_tiff.storage.stores import registry_for
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory, walk_ifds
from virtual_tiff.tiff.reader import read_header, with_tags
from virtual_tiff.tiff.sidecars import add_sidecars, sidecar_kinds


class HeaderOptions(TypedDict, total=False):
    """Options for reading a header.

    Parameters
    ----------
    prefetch
        Bytes of the first GET.
    sidecars
        Files beside the TIFF to read, as for `virtual_tiff.VirtualTIFF`. A URL with a query has
        none.
    header_limit, time_limit
        Bytes of memory, and seconds of the processor, as for `virtual_tiff.VirtualTIFF`.
    """

    prefetch: int
    sidecars: bool | Collection[SidecarKind]
    header_limit: int
    time_limit: float


class FileOptions(HeaderOptions, StoreArguments, total=False):
    """Options for reading one file: those of `HeaderOptions`, `registry` and `anonymous`."""


def read_directories(
    source: str | os.PathLike[str], **options: Unpack[FileOptions]
) -> tuple[ImageFileDirectory, ...]:
    """Read the directories of a TIFF, each with all its tags.

    Parameters
    ----------
    source
        Local path or URL, also one with a query.
    **options
        See `virtual_tiff.inspection.directories.FileOptions`.

    Returns
    -------
    tuple of ImageFileDirectory
        Directories in the order of the file, each followed by those of its SubIFDs: fields named
        as in TIFF 6.0, with its defaults, and `tags` with every entry as it is in the file.

    Raises
    ------
    VirtualTIFFError
        The file cannot be read; or a directory, as `info` tells as `damage`.

    Examples
    --------
    >>> from virtual_tiff import read_directories
    >>> for directory in read_directories("examples/elevation.tif"):
    ...     print(directory.index, directory.image_width, directory.tags[0].name)
    (0,) 300 ImageWidth
    """
    check_names("read_directories", options, FileOptions)
    url, stores = stores_for(source, options)

    async def read() -> tuple[ImageFileDirectory, ...]:
        header, found = await read_with_sidecars(url, stores, options)
        if header.damage is not None:
            raise header.damage
        with one_file(url):
            return await with_tags(tuple(walk_ifds(header.ifds)), found)

    return run(read())


def read_one(source: str | os.PathLike[str], **options: Unpack[FileOptions]) -> Header:
    """Read the header of one file."""
    url, stores = stores_for(source, options)

    async def read() -> Header:
        header, _ = await read_with_sidecars(url, stores, options)
        return header

    return run(read())


def stores_for(source: str | os.PathLike[str], options: FileOptions) -> tuple[str, AddressRegistry]:
    """Return the address of one file, and the stores to read it with."""
    url = source_url(source, query=True)
    anonymous = options.get("anonymous", False)
    return url, registry_for([url], options.get("registry"), anonymous=anonymous)


async def read_with_sidecars(
    url: str, stores: AddressRegistry, options: HeaderOptions
) -> tuple[Header, ByteSource]:
    """Read the header of a file, and the sidecars that the options name."""
    kinds = sidecar_kinds(options.get("sidecars", False))
    prefetch = options.get("prefetch", default_prefetch())
    limits = Limits(
        options.get("header_limit", DEFAULT_HEADER_LIMIT),
        options.get("time_limit", DEFAULT_TIME_LIMIT),
    )
    with one_file(url):
        header, source = await read_header(url, stores, prefetch=prefetch, limits=limits)
        if kinds and not has_query(url):
            header, _ = await add_sidecars(header, stores, kinds, prefetch=prefetch, limits=limits)
        return header, source
