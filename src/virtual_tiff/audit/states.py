"""Compare the sources with what was recorded of them at publish time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import icechunk
from obspec import HeadAsync, ObjectMeta
from zarr.abc.store import RangeByteRequest
from zarr.buffer.cpu import buffer_prototype

from virtual_tiff.audit.recorded import Recorded
from virtual_tiff.audit.report import Status
from virtual_tiff.audit.samples import Reference
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.progress import Progress, no_progress
from virtual_tiff.storage.concurrency import in_flight
from virtual_tiff.storage.errors import storage_error
from virtual_tiff.storage.header_checksum import header_checksum, ranges_of
from virtual_tiff.storage.resolve import AddressRegistry, resolve_store
from virtual_tiff.storage.source import Source

#: Status and description by URL.
type States = dict[str, tuple[Status, str]]

#: Status of a file that cannot be read, by kind of the error.
_STATUSES = {
    ErrorKind.NOT_FOUND: Status.MISSING,
    ErrorKind.IS_DIRECTORY: Status.MISSING,
    ErrorKind.EMPTY_FILE: Status.CHANGED,
    ErrorKind.SOURCE_CHANGED: Status.CHANGED,
}


async def find_changed(
    recorded: Iterable[Recorded],
    count: int,
    registry: AddressRegistry,
    concurrency: int,
    progress: Progress | None,
) -> States:
    """Compare `count` files with what was recorded, and return the status of those that differ."""
    wrong: States = {}
    report = progress or no_progress
    done = 0

    async def check(item: Recorded) -> None:
        nonlocal done
        url, states = item
        try:
            fault = await _fault(url, states, registry)
            if fault is not None:
                wrong[url] = (Status.CHANGED, fault)
        except VirtualTIFFError as error:
            wrong[url] = (_STATUSES.get(error.kind, Status.UNREACHABLE), error.message)
        done += 1
        report("check", done, count, len(wrong))

    await in_flight(recorded, concurrency, check)
    return wrong


async def _fault(url: str, states: Sequence[Source], registry: AddressRegistry) -> str | None:
    """Describe how a file differs from what was recorded, usually with one request.

    Where the ETag does not tell every change, the bytes of the header are requested instead of the
    metadata alone, which come with them.
    """
    headers = dict.fromkeys(s.header for s in states if s.header and not s.has_strong_tag)
    ranges = ranges_of(next(iter(headers), ""))
    first, failed = b"", None
    try:
        if ranges:
            now, first = await _get(url, registry, ranges[0])
        else:
            now = await _head(url, registry)
    except VirtualTIFFError as error:
        if not ranges or error.kind != ErrorKind.STORAGE:
            raise
        # Such as a web server that answers for an empty file as if it did not serve ranges.
        now, failed = await _head(url, registry), error
    for state in states:
        fault = state.difference(cast(Mapping[str, object], now))
        if fault is not None:
            return fault
    if failed is not None:
        raise failed
    for header in headers:
        pieces = []
        for wanted in ranges_of(header):
            known = wanted == ranges[0]
            pieces.append((wanted[0], first if known else (await _get(url, registry, wanted))[1]))
        if header_checksum(pieces) != header:
            return "its header has other bytes"
    return None


async def _head(url: str, registry: AddressRegistry) -> ObjectMeta:
    store, path = resolve_store(url, registry)
    try:
        return await cast(HeadAsync, store).head_async(path)
    except Exception as error:
        translated = storage_error(error, url)
        if translated.kind != ErrorKind.STORAGE:
            raise translated from error
    # Some servers answer only GET.
    return (await _get(url, registry, (0, 1)))[0]


async def _get(
    url: str, registry: AddressRegistry, wanted: tuple[int, int]
) -> tuple[ObjectMeta, bytes]:
    store, path = resolve_store(url, registry)
    try:
        response = await store.get_async(path, options={"range": wanted})
        return response.meta, bytes(await response.buffer_async())
    except Exception as error:
        raise storage_error(error, url) from error


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
