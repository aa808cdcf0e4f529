"""Compare object metadata with the values that were recorded at publish time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

import icechunk
from obspec import HeadAsync, ObjectMeta
from zarr.abc.store import RangeByteRequest
from zarr.buffer.cpu import buffer_prototype

from virtual_tiff.audit.report import Status
from virtual_tiff.audit.samples import Reference
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.progress import Progress, no_progress
from virtual_tiff.publishing.sources_table import Sources, time_of
from virtual_tiff.storage.concurrency import in_flight
from virtual_tiff.storage.errors import storage_error
from virtual_tiff.storage.resolve import AddressRegistry, resolve_store

#: Status and description by URL.
type States = dict[str, tuple[Status, str]]
#: Size, ETag and time of the last change of a file at publish time.
type Recorded = tuple[int, str, datetime | None]


def recorded_states(sources: Sources) -> dict[str, Recorded]:
    """Return the recorded metadata of each file, by URL."""
    columns = (sources[name].tolist() for name in ("url", "size", "etag", "last_modified"))
    return {
        url: (size, etag, time_of(modified))
        for url, size, etag, modified in zip(*columns, strict=True)
    }


async def find_changed(
    recorded: Mapping[str, Recorded | None],
    registry: AddressRegistry,
    concurrency: int,
    progress: Progress | None,
) -> States:
    """Request the metadata of every file, and return the status of those that differ."""
    wrong: States = {}
    report = progress or no_progress
    done = 0

    async def check(item: tuple[str, Recorded | None]) -> None:
        nonlocal done
        url, before = item
        try:
            now = await _head(url, registry)
            fault = None if before is None else difference(*before, now)
            if fault is not None:
                wrong[url] = (Status.CHANGED, fault)
        except VirtualTIFFError as error:
            missing = error.kind in (ErrorKind.NOT_FOUND, ErrorKind.IS_DIRECTORY)
            status = Status.MISSING if missing else Status.UNREACHABLE
            wrong[url] = (status, error.message)
        done += 1
        report("check", done, len(recorded), len(wrong))

    await in_flight(recorded.items(), concurrency, check)
    return wrong


async def _head(url: str, registry: AddressRegistry) -> ObjectMeta:
    store, path = resolve_store(url, registry)
    try:
        return await cast(HeadAsync, store).head_async(path)
    except Exception as error:
        translated = storage_error(error, url)
        if translated.kind != ErrorKind.STORAGE:
            raise translated from error
    # Some servers answer only GET.
    try:
        response = await store.get_async(path, options={"range": (0, 1)})
        return response.meta
    except Exception as error:
        raise storage_error(error, url) from error


def difference(
    size: int, etag: str, last_modified: datetime | None, now: Mapping[str, object]
) -> str | None:
    """Describe how the metadata of a file differs from the recorded values; `None` if it does not.

    An empty ETag and a time of `None` were not given by the store; `now` has `size`, `e_tag` and
    `last_modified`.
    """
    if now["size"] != size:
        return f"it has {now['size']} bytes, but had {size}"
    tag, modified = now.get("e_tag"), now.get("last_modified")
    if etag and tag:
        return None if etag == tag else f"its ETag is {tag}, but was {etag}"
    if last_modified is not None and isinstance(modified, datetime) and modified != last_modified:
        return f"it was changed at {modified:%Y-%m-%d %H:%M:%S}"
    return None


async def find_refused(store: icechunk.IcechunkStore, references: Sequence[Reference]) -> States:
    """Read a byte of files through Icechunk, which has their only recorded metadata."""
    wrong: States = {}
    for reference in references:
        try:
            await store.get(reference.key, buffer_prototype, RangeByteRequest(0, 1))
        except icechunk.IcechunkError as error:
            changed = str(getattr(error, "kind", "")) == "virtual-chunk-modified"
            status = Status.CHANGED if changed else Status.UNREACHABLE
            wrong[reference.url] = (status, str(error).split("\n", 1)[0])
    return wrong
