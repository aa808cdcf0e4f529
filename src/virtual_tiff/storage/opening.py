"""Open a TIFF: one GET for its first bytes and for what the store says of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from obspec_utils.registry import ObjectStoreRegistry

from virtual_tiff.storage.budget import Limits
from virtual_tiff.storage.byte_source import ByteSource
from virtual_tiff.storage.errors import storage_error
from virtual_tiff.storage.local import check_regular
from virtual_tiff.storage.resolve import resolve_store
from virtual_tiff.storage.source import Source
from virtual_tiff.storage.version import log_request

_LIMITS = Limits()


async def open_source(
    url: str, registry: ObjectStoreRegistry[Any], *, prefetch: int, limits: Limits = _LIMITS
) -> ByteSource:
    """Fetch the first `prefetch` bytes of a file and its metadata in one GET.

    Raises
    ------
    SourceError
        Missing, forbidden, unreachable, a directory, a pipe or a device, or a URL with no store.
    InvalidTIFFError
        With kind `empty-file`.
    """
    log_request(url, 0, prefetch)
    check_regular(url)
    store, path = resolve_store(url, registry)
    try:
        response = await store.get_async(path, options={"range": (0, prefetch)})
        meta = response.meta
        prefix = bytes(await response.buffer_async())
    except Exception as error:
        raise storage_error(error, url) from error
    last_modified = meta.get("last_modified")
    source = Source(
        url=url,
        size=int(meta["size"]),
        etag=meta.get("e_tag"),
        last_modified=last_modified if isinstance(last_modified, datetime) else None,
    )
    return ByteSource(store, path, source, prefix, limits)
