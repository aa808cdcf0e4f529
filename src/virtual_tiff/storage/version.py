"""Read a file in the version whose header was read, and in no other."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from obspec import GetOptions, GetResult, GetResultAsync
from obspec_utils.registry import ObjectStoreRegistry

from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.messages import redacted
from virtual_tiff.storage.addresses import EPOCH
from virtual_tiff.storage.errors import changed, storage_error
from virtual_tiff.storage.resolve import AddressRegistry, Store
from virtual_tiff.storage.source import Source

_log = logging.getLogger(__name__)


def log_request(url: str, start: int, end: int) -> None:
    """Log a request of the bytes from `start` to `end`, without secrets of its address."""
    # Looking for secrets takes longer than asking whether anyone reads them.
    if _log.isEnabledFor(logging.DEBUG):
        _log.debug("GET %s, bytes %d to %d", redacted(url), start, end - 1)


@dataclass(frozen=True, slots=True)
class FileVersion:
    """A file of a store, as it was when its header was read.

    Parameters
    ----------
    store, path
        Where the bytes are.
    source
        URL, size, ETag and time of the last change, from the GET of the header.
    """

    store: Store
    path: str
    source: Source

    async def read(self, start: int, end: int) -> bytes:
        """Fetch the bytes from `start` to before `end`.

        Raises
        ------
        SourceError
            The file is gone, has changed, or cannot be read.
        """
        try:
            response = await self.store.get_async(self.path, options=self._options(start, end))
            self._check_same(response)
            return self._whole(bytes(await response.buffer_async()), start, end)
        except VirtualTIFFError:
            raise
        except Exception as error:
            raise self._failed(error) from error

    def read_sync(self, start: int, end: int) -> bytes:
        """Do the same as `read`, from a thread other than that of the event loop."""
        try:
            response = self.store.get(self.path, options=self._options(start, end))
            self._check_same(response)
            return self._whole(bytes(response.buffer()), start, end)
        except VirtualTIFFError:
            raise
        except Exception as error:
            raise self._failed(error) from error

    async def get_range_async(self, path: str, *, start: int, end: int) -> bytes:
        """Serve a `ManifestStore`; `path` is ignored, since this object is one file."""
        return await self.read(start, end)

    def _options(self, start: int, end: int) -> GetOptions:
        """Request a range of the file of the first GET, and of no other version."""
        log_request(self.source.url, start, end)
        options: GetOptions = {"range": (start, end)}
        etag, modified = self.source.etag, self.source.last_modified
        if etag is not None and not etag.startswith("W/"):
            # RFC 9110 section 13.1.1: If-Match compares strongly, so a weak tag never matches.
            options["if_match"] = etag
        elif modified is not None and modified > EPOCH:
            options["if_unmodified_since"] = modified
        return options

    def _failed(self, error: Exception) -> VirtualTIFFError:
        found = storage_error(error, self.source.url)
        if found.kind == ErrorKind.EMPTY_FILE:
            # A server answers so to any range beyond the end.
            return changed(self.source.url, "it ends before these bytes")
        return found

    def _check_same(self, response: GetResult | GetResultAsync) -> None:
        """Compare what a server says of the file with the first GET: not all heed conditions."""
        meta, source = response.meta, self.source
        etag, modified = meta.get("e_tag"), meta.get("last_modified")
        if meta["size"] != source.size:
            raise changed(source.url, f"it has {meta['size']} bytes, and had {source.size}")
        if etag is not None and source.etag is not None:
            if etag != source.etag:
                raise changed(source.url, "its ETag is different")
        elif source.etag is not None and (modified is None or modified <= EPOCH):
            # As a page that asks for a login answers.
            raise changed(source.url, "neither its ETag nor its time is told any more")
        elif source.last_modified is not None and modified != source.last_modified:
            raise changed(source.url, "its time of the last change is different")

    def _whole(self, data: bytes, start: int, end: int) -> bytes:
        if len(data) != end - start:
            raise changed(
                self.source.url, f"{len(data)} bytes were received instead of {end - start}"
            )
        return data


class VersionRegistry(AddressRegistry):
    """A registry from which chunks are read in the version of each file that was planned.

    Parameters
    ----------
    registry
        Its stores are used.
    sources
        Files by URL; others are read as `registry` reads them.
    """

    def __init__(
        self, registry: ObjectStoreRegistry[Any] | None, sources: Mapping[str, Source]
    ) -> None:
        super().__init__(registry)
        self.sources = sources

    def resolve(self, url: str) -> tuple[Any, str]:
        """Find the file of an address, and the key in its store.

        Raises
        ------
        ValueError
            No store is registered for it.
        """
        store, path = super().resolve(url)
        source = self.sources.get(url)
        return (store if source is None else FileVersion(store, path, source)), path
