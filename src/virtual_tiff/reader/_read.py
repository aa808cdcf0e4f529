"""URL to `Header`: fetch, screen, read."""

from __future__ import annotations

import asyncio
from typing import Any

from obspec_utils.registry import ObjectStoreRegistry

from virtual_tiff.errors import ErrorKind, InvalidOptionError, VirtualTIFFError
from virtual_tiff.ifd import Header
from virtual_tiff.reader._screen import Screened, screen
from virtual_tiff.reader._source import ByteSource, open_source

#: Bytes of the first GET. The header of a COG with five overviews and 4,000 tiles fits.
DEFAULT_PREFETCH = 32 * 1024


async def read_header(
    url: str,
    registry: ObjectStoreRegistry[Any],
    *,
    prefetch: int = DEFAULT_PREFETCH,
    only: int | None = None,
) -> tuple[Header, ByteSource]:
    """Read the directories of a TIFF.

    Parameters
    ----------
    url
        Absolute URL.
    registry
        Finds the store of the URL.
    prefetch
        Bytes of the first GET; the only one where the header fits.
    only
        Index of the one directory of the main chain to read. The others are looked at only as
        far as the chain goes.

    Returns
    -------
    Header
        With every directory, or the one asked for.
    ByteSource
        The bytes read so far, to read on from.

    Raises
    ------
    SourceError, InvalidTIFFError
        See `virtual_tiff.errors`.
    InvalidOptionError
        With kind `ifd-out-of-range`.
    """
    source = await open_source(url, registry, prefetch=prefetch)
    try:
        screened = await screen(source)
        if only is not None and only >= len(screened.offsets):
            raise _out_of_range(only, screened)
        # Imported here, since each costs more to import than most files to read.
        if screened.plain:
            from virtual_tiff.reader._async_tiff import read_with_async_tiff

            ifds = await read_with_async_tiff(source, screened, only=only)
        else:
            from virtual_tiff.reader._tifffile import read_with_tifffile

            ifds = await asyncio.to_thread(read_with_tifffile, source, screened, only=only)
    except VirtualTIFFError as error:
        raise error.at(url=url) from error.__cause__
    header = Header(
        source=source.source,
        byte_order=screened.byte_order,
        big_tiff=screened.big_tiff,
        ifds=ifds,
        damage=screened.damage,
    )
    return header, source


def _out_of_range(only: int, screened: Screened) -> VirtualTIFFError:
    if screened.damage is not None:
        return screened.damage
    count = len(screened.offsets)
    return InvalidOptionError(
        f"there is no IFD {only}: the file has {count}.",
        kind=ErrorKind.IFD_OUT_OF_RANGE,
        remedy=f"Choose one of 0 to {count - 1}." if count > 1 else "Choose 0.",
    )
