"""Compare the sources with what was recorded of them at publish time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Self, cast

import icechunk
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from obspec import HeadAsync, ObjectMeta
from zarr.abc.store import RangeByteRequest
from zarr.buffer.cpu import buffer_prototype

from virtual_tiff.audit.files import numbered
from virtual_tiff.audit.report import Status
from virtual_tiff.audit.samples import Reference
from virtual_tiff.errors import ErrorKind, InvalidOptionError, VirtualTIFFError
from virtual_tiff.inventory.listing import before_glob, is_folder, is_glob, listed_parts
from virtual_tiff.inventory.unchanged import compared, table_of
from virtual_tiff.progress import Progress, no_progress
from virtual_tiff.publishing.sources_table import Sources
from virtual_tiff.storage.concurrency import in_flight
from virtual_tiff.storage.errors import storage_error
from virtual_tiff.storage.header_checksum import header_checksum, ranges_of
from virtual_tiff.storage.resolve import AddressRegistry, resolve_store
from virtual_tiff.storage.source import Source

#: A file, and what was recorded of it.
type Recorded = tuple[str, Sequence[Source]]
#: Status and description by URL.
type States = dict[str, tuple[Status, str]]

#: Status of a file that cannot be read, by kind of the error.
_STATUSES = {
    ErrorKind.NOT_FOUND: Status.MISSING,
    ErrorKind.IS_DIRECTORY: Status.MISSING,
    ErrorKind.EMPTY_FILE: Status.CHANGED,
    ErrorKind.SOURCE_CHANGED: Status.CHANGED,
}


@dataclass(frozen=True, slots=True, eq=False)
class RecordedStates:
    """What was recorded of each file: more than one state if it was published twice.

    Parameters
    ----------
    sources
        Rows of the table of sources.
    urls
        Files in the order of their first rows.
    of_url
        Shape `(rows,)`: number of the file of each row.
    """

    sources: Sources
    urls: list[str]
    of_url: NDArray[np.int64]

    @classmethod
    def of(cls, sources: Sources) -> Self:
        """Find the files of rows."""
        urls, of_url = numbered(sources["url"])
        return cls(sources, urls.to_pylist(), of_url)

    def items(self, without: NDArray[np.bool_] | None = None) -> Iterator[Recorded]:
        """Yield each file with its states, but those of a mask."""
        order = np.argsort(self.of_url, kind="stable")
        ends = np.cumsum(np.bincount(self.of_url, minlength=len(self.urls))).tolist()
        start = 0
        for number, end in enumerate(ends):
            if without is None or not without[number]:
                rows = order[start:end].tolist()
                states = dict.fromkeys(self.sources.source(row) for row in rows)
                yield self.urls[number], tuple(states)
            start = end

    def unchanged(self, listings: Sequence[str], registry: AddressRegistry) -> NDArray[np.bool_]:
        """Return which files listings show as they were recorded; shape `(files,)`.

        Raises
        ------
        InvalidOptionError
            An address is no folder and no pattern, or no file is below it.
        """
        parts = [table_of([], {})]
        for listing in listings:
            self._check_listing(listing)
            parts += [table_of(list(part), part) for part in listed_parts(listing, registry)]
        _, same = compared(self.sources.files(), pa.concat_tables(parts))
        changed = np.bincount(self.of_url[~same], minlength=len(self.urls)) > 0
        return ~changed

    def _check_listing(self, url: str) -> None:
        if not (is_folder(url) or is_glob(url)):
            raise InvalidOptionError(
                "this is no folder, prefix or pattern to list.",
                url=url,
                remedy="Prefixes end in a slash.",
            )
        start = before_glob(url)
        if not any(each.startswith(start) for each in self.urls):
            raise InvalidOptionError("the repository refers to no file there.", url=url)


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
