"""Read a `Header` from a URL."""

from __future__ import annotations

import asyncio
import math
import re
from dataclasses import replace
from typing import Any

from obspec_utils.registry import ObjectStoreRegistry

from virtual_tiff.errors import (
    ErrorKind,
    InvalidOptionError,
    VirtualTIFFError,
)
from virtual_tiff.storage.budget import Limits
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.storage.opening import open_source
from virtual_tiff.storage.settings import DEFAULT_PREFETCH
from virtual_tiff.tags import Tag
from virtual_tiff.tiff.ifd import Header, ImageFileDirectory, is_dependent
from virtual_tiff.tiff.reader._build import with_hidden_planes
from virtual_tiff.tiff.reader._chain import Chain, read_chain
from virtual_tiff.tiff.reader._values import Unusual, Values

_LIMITS = Limits()


async def read_header(
    url: str,
    registry: ObjectStoreRegistry[Any],
    *,
    prefetch: int = DEFAULT_PREFETCH,
    only: int | None = None,
    limits: Limits = _LIMITS,
) -> tuple[Header, ByteSource]:
    """Read the directories of a TIFF.

    Parameters
    ----------
    url
        Absolute URL.
    registry
        Finds the store of the URL.
    prefetch
        Bytes of the first GET; the only one if the header fits.
    only
        Index of the one directory of the main chain to read; for an overview or a mask also those
        before it, down to its image. Of the others only the entries are read.
    limits
        Of what reading the file may cost.

    Returns
    -------
    Header
        With all directories, or those requested.
    ByteSource
        The bytes read so far, for further reads.

    Raises
    ------
    SourceError, InvalidTIFFError
        See `virtual_tiff.errors`.
    InvalidOptionError
        With kind `ifd-out-of-range`.
    """
    source = await open_source(url, registry, prefetch=prefetch, limits=limits)
    return await header_of(source, only=only), source


async def header_of(source: ByteSource, *, only: int | None = None) -> Header:
    """Read the directories of an open file; see `read_header`."""
    try:
        with source.budget.working():
            chain = await read_chain(source, only)
            if only is not None and only >= len(chain.directories):
                raise chain.damage or _out_of_range(only, chain)
            ifds = await _read_directories(source, chain, only)
    except VirtualTIFFError as error:
        raise error.at(url=source.source.url) from error.__cause__
    if not chain.following and len(chain.directories) == 1:
        ifds = (with_hidden_planes(ifds[0], _planes(ifds[0])), *ifds[1:])
    if chain.note is not None:
        ifds = (*ifds[:-1], replace(ifds[-1], notes=(*ifds[-1].notes, chain.note)))
    return Header(
        source=replace(source.source, header=source.checksum()),
        byte_order=chain.layout.byte_order,
        big_tiff=chain.layout.big_tiff,
        ifds=ifds,
        damage=chain.damage,
        following=chain.following,
    )


async def _read_directories(
    source: ByteSource, chain: Chain, only: int | None
) -> tuple[ImageFileDirectory, ...]:
    seen = {directory.position for directory in chain.directories}

    values = Values(source, chain.layout, directories=len(chain.directories))

    async def read(i: int) -> ImageFileDirectory:
        try:
            return await values.read(chain.directories[i], (i,), seen)
        except VirtualTIFFError as error:
            raise error.at(ifd=(i,)) from error.__cause__

    try:
        if only is None:
            return tuple([await read(i) for i in range(len(chain.directories))])
        ifds = [await read(only)]
        # Overviews and masks have the georeferencing of the image they belong to.
        while is_dependent(ifds[0]) and ifds[0].index[0] > 0:
            ifds.insert(0, await read(ifds[0].index[0] - 1))
        return tuple(ifds)
    except Unusual:
        # Imported here: the import takes longer than reading most files.
        from virtual_tiff.tiff.reader._tifffile import read_with_tifffile

        with source.budget.waiting():
            return await asyncio.to_thread(read_with_tifffile, source, chain, only=only)


#: What tifffile writes about several pages of which it writes one directory.
_TRUNCATED = re.compile(r'\{"shape": \[([\d, ]{1,200})\].*"truncated": true', re.DOTALL)


def _planes(directory: ImageFileDirectory) -> int:
    """Return the planes of the one directory of stacks of ImageJ beyond 4 GB, or of tifffile."""
    text = directory.other_tags.get(Tag.IMAGE_DESCRIPTION)
    if not isinstance(text, str):
        return 1
    if text.startswith("ImageJ="):
        found = re.search(r"^images=(\d{1,9})\s*$", text, re.MULTILINE)
        return 1 if found is None else int(found[1])
    found = _TRUNCATED.match(text)
    if found is None:
        return 1
    sizes = [int(size) for size in found[1].split(",") if size.strip()]
    pixels = directory.image_width * directory.image_length * directory.image_depth
    return math.prod(sizes) // (pixels * directory.samples_per_pixel)


def _out_of_range(only: int, chain: Chain) -> VirtualTIFFError:
    count = len(chain.directories)
    return InvalidOptionError(
        f"there is no IFD {only}: the file has {count}.",
        kind=ErrorKind.IFD_OUT_OF_RANGE,
        remedy=f"Choose one of 0 to {count - 1}." if count > 1 else "Choose 0.",
    )
