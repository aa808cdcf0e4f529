"""What a store says of files now, against what was recorded of them when they were published."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import icechunk
from zarr.abc.store import RangeByteRequest
from zarr.buffer.cpu import buffer_prototype

from virtual_tiff.audit.report import Status
from virtual_tiff.audit.samples import Reference
from virtual_tiff.errors import ErrorKind, VirtualTIFFError
from virtual_tiff.publishing.sources_table import Sources, time_of
from virtual_tiff.storage.errors import storage_error
from virtual_tiff.storage.resolve import resolve_store

type Progress = Callable[[int, int], None]
#: By URL: what is the matter with it, and in what way.
type States = dict[str, tuple[Status, str]]


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a file was when it was published."""

    size: int
    etag: str
    last_modified: datetime | None

    def difference(self, now: Mapping[str, Any]) -> str | None:
        """Say in what the file differs from that; see `difference`."""
        return difference(self.size, self.etag, self.last_modified, now)


def recorded_states(sources: Sources) -> dict[str, Recorded]:
    """What is recorded of each file, by URL."""
    found: dict[str, Recorded] = {}
    columns = (sources[name].tolist() for name in ("url", "size", "etag", "last_modified"))
    for url, size, etag, modified in zip(*columns, strict=True):
        found[url] = Recorded(size, etag, time_of(modified))
    return found


async def find_changed(
    recorded: Mapping[str, Recorded | None],
    registry: Any,
    concurrency: int,
    progress: Progress | None,
) -> States:
    """Ask for every file, and return what is wrong with those that are not as recorded."""
    wrong: States = {}
    pending: Iterator[tuple[str, Recorded | None]] = iter(recorded.items())
    done = 0

    async def work() -> None:
        nonlocal done
        for url, before in pending:
            try:
                now = await _head(url, registry)
                fault = None if before is None else before.difference(now)
                if fault is not None:
                    wrong[url] = (Status.CHANGED, fault)
            except VirtualTIFFError as error:
                missing = error.kind in (ErrorKind.NOT_FOUND, ErrorKind.IS_DIRECTORY)
                status = Status.MISSING if missing else Status.UNREACHABLE
                wrong[url] = (status, error.message)
            done += 1
            if progress is not None:
                progress(done, len(recorded))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(recorded))):
            group.create_task(work())
    return wrong


async def _head(url: str, registry: Any) -> Mapping[str, Any]:
    store, path = resolve_store(url, registry)
    try:
        found: Mapping[str, Any] = await store.head_async(path)  # type: ignore[attr-defined]
        return found
    except Exception as error:
        translated = storage_error(error, url)
        if translated.kind != ErrorKind.STORAGE:
            raise translated from error
    # Some servers answer GET alone.
    try:
        response = await store.get_async(path, options={"range": (0, 1)})
        meta: Mapping[str, Any] = response.meta
        return meta
    except Exception as error:
        raise storage_error(error, url) from error


def difference(
    size: int, etag: str, last_modified: datetime | None, now: Mapping[str, Any]
) -> str | None:
    """Say in what a file differs from what was recorded.

    Parameters
    ----------
    size, etag, last_modified
        Recorded; an empty ETag and `None` where the store gave none.
    now
        What the store says: `size`, `e_tag`, `last_modified`.

    Returns
    -------
    str or None
        `None` if nothing tells it apart.
    """
    if now["size"] != size:
        return f"it has {now['size']} bytes, but had {size}"
    tag, modified = now.get("e_tag"), now.get("last_modified")
    if etag and tag:
        return None if etag == tag else f"its ETag is {tag}, but was {etag}"
    if last_modified is not None and modified is not None and modified != last_modified:
        return f"it was changed at {modified:%Y-%m-%d %H:%M:%S}"
    return None


async def find_refused(store: icechunk.IcechunkStore, references: Sequence[Reference]) -> States:
    """Read a byte through Icechunk of files of which it alone knows what they were."""
    wrong: States = {}
    for reference in references:
        try:
            await store.get(reference.key, buffer_prototype, RangeByteRequest(0, 1))
        except icechunk.IcechunkError as error:
            changed = str(getattr(error, "kind", "")) == "virtual-chunk-modified"
            status = Status.CHANGED if changed else Status.UNREACHABLE
            wrong[reference.url] = (status, str(error).split("\n", 1)[0])
    return wrong
