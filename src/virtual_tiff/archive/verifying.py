"""Whether all that a repository refers to is still there, unchanged, and read right.

Every source gets one HEAD request; a sample of chunks is read through Icechunk, as readers do,
and compared with what tifffile decodes from the same TIFF. Repositories without a table of sources
can be verified too: then it is Icechunk that tells whether a file has changed.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import icechunk
import pyarrow as pa
from zarr.abc.store import RangeByteRequest
from zarr.buffer.cpu import buffer_prototype

from virtual_tiff.archive.committing import icechunk_errors
from virtual_tiff.archive.decoding import compare
from virtual_tiff.archive.provenance import NO_TIME, Sources, read_sources_table
from virtual_tiff.archive.samples import Reference, array_paths, samples_of, unlisted
from virtual_tiff.errors import ErrorKind, InvalidOptionError, RepositoryError, VirtualTIFFError
from virtual_tiff.parser import _run as run
from virtual_tiff.publishing.repository import Location, open_repository
from virtual_tiff.publishing.stores import AddressRegistry, default_registry
from virtual_tiff.reader import resolve_store, storage_error

type Progress = Callable[[int, int], None]

DEFAULT_CONCURRENCY = 128
DEFAULT_SAMPLE = 20
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Status(StrEnum):
    """What is the matter with a source."""

    OK = "ok"
    #: There is no such file any more.
    MISSING = "missing"
    #: Its ETag, size or time of last change is another one.
    CHANGED = "changed"
    #: A chunk reads as other pixels than the TIFF holds, or cannot be read.
    DAMAGED = "damaged"
    #: The store did not answer, or refused.
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One source.

    Parameters
    ----------
    url
        The file.
    status
        What is the matter.
    detail
        In one line; empty if nothing is.
    decoded
        Chunks that were decoded and compared.
    """

    url: str
    status: Status
    detail: str = ""
    decoded: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """All sources of a repository.

    Parameters
    ----------
    findings
        One for each file, in the order they were published.
    undecided
        Chunks that could not be compared, since tifffile does not decode them: why.
    """

    findings: tuple[Finding, ...]
    undecided: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Those that are not `ok`."""
        return tuple(f for f in self.findings if f.status != Status.OK)

    @property
    def decoded(self) -> int:
        """Chunks that were compared."""
        return sum(finding.decoded for finding in self.findings)

    @property
    def counts(self) -> Mapping[Status, int]:
        """Number of files, by status."""
        return Counter(finding.status for finding in self.findings)

    @property
    def exit_status(self) -> int:
        """0 if all is well, 1 if a source is not what was published, 2 if that is not known."""
        statuses = {finding.status for finding in self.faults}
        return 0 if not statuses else 2 if statuses == {Status.UNREACHABLE} else 1

    def table(self) -> Any:
        """`pyarrow.Table` with a row for each file."""
        return pa.table(
            {
                "url": [f.url for f in self.findings],
                "status": [str(f.status) for f in self.findings],
                "detail": [f.detail for f in self.findings],
                "decoded": pa.array([f.decoded for f in self.findings], pa.int32()),
            }
        )


def verify(
    repo: Location | icechunk.Repository,
    *,
    branch: str = "main",
    sample: int | None = DEFAULT_SAMPLE,
    chunks: int = 1,
    seed: int = 0,
    registry: Any | None = None,
    anonymous: bool = False,
    concurrency: int = DEFAULT_CONCURRENCY,
    progress: Progress | None = None,
) -> VerifyReport:
    """Check the sources of a repository.

    Parameters
    ----------
    repo
        The repository, or where it is.
    branch
        To check.
    sample
        Images of which chunks are decoded; `None` for all, 0 for none.
    chunks
        Chunks of each of them.
    seed
        Another one takes another sample.
    registry, anonymous
        Stores for the files, as for `virtual_tiff.publish`.
    concurrency
        HEAD requests in flight at once.
    progress
        Called with the files done and the files in all.

    Returns
    -------
    VerifyReport
        A finding for each file, and an exit status.

    Raises
    ------
    InvalidOptionError
        An argument is wrong.
    RepositoryError
        The repository cannot be read, or refers to no files.
    """
    if (sample is not None and sample < 0) or chunks < 1 or concurrency < 1:
        raise InvalidOptionError("sample must be at least 0, chunks and concurrency at least 1.")
    repository = repo if isinstance(repo, icechunk.Repository) else open_repository(repo)
    with icechunk_errors(repo):
        store = repository.readonly_session(branch=branch).store
        sources = read_sources_table(store)
        listed = set(sources["array"].tolist())
        others = run(unlisted(store, [a for a in array_paths(store) if a not in listed]))
    recorded = _recorded(sources)
    urls = list(dict.fromkeys([*recorded, *(other.url for other in others)]))
    if not urls:
        raise RepositoryError(
            "the repository refers to no files.",
            kind=ErrorKind.NOT_FOUND,
            remedy="Name the branch that something was published to.",
        )
    stores = (
        default_registry(urls, anonymous=anonymous)
        if registry is None
        else AddressRegistry(registry)
    )
    states = run(_states({url: recorded.get(url) for url in urls}, stores, concurrency, progress))
    states |= run(_refused(store, [o for o in others if o.url not in states]))
    rows = [row for row, url in enumerate(sources["url"].tolist()) if url not in states]
    more = [o.sample for o in others if o.sample is not None and o.url not in states]
    chosen = _chosen(len(rows) + len(more), sample, random.Random(seed))
    samples = [
        *samples_of(store, sources, [rows[i] for i in chosen if i < len(rows)]),
        *(more[i - len(rows)] for i in chosen if i >= len(rows)),
    ]
    decoded: dict[str, int] = defaultdict(int)
    undecided: list[str] = []
    for one in samples:
        for outcome in compare(store, one, stores, chunks, seed):
            decoded[one.url] += outcome.decided
            if outcome.fault is not None:
                states[one.url] = (_status_of(outcome.changed), outcome.fault)
            elif not outcome.decided:
                undecided.append(f"{one.url}: {outcome.reason}")
    return VerifyReport(
        findings=tuple(_finding(url, states.get(url), decoded[url]) for url in urls),
        undecided=tuple(undecided),
    )


def _chosen(count: int, sample: int | None, chooser: random.Random) -> list[int]:
    if sample is None or sample >= count:
        return list(range(count))
    return sorted(chooser.sample(range(count), sample))


async def _refused(store: Any, references: Sequence[Reference]) -> dict[str, tuple[Status, str]]:
    """Read a byte through Icechunk of files of which it alone knows what they were."""
    wrong: dict[str, tuple[Status, str]] = {}
    for reference in references:
        try:
            await store.get(reference.key, buffer_prototype, RangeByteRequest(0, 1))
        except icechunk.IcechunkError as error:
            changed = str(getattr(error, "kind", "")) == "virtual-chunk-modified"
            status = Status.CHANGED if changed else Status.UNREACHABLE
            wrong[reference.url] = (status, str(error).split("\n", 1)[0])
    return wrong


def _status_of(changed: bool) -> Status:
    return Status.CHANGED if changed else Status.DAMAGED


def _finding(url: str, state: tuple[Status, str] | None, decoded: int) -> Finding:
    status, detail = state or (Status.OK, "")
    return Finding(url=url, status=status, detail=detail, decoded=decoded)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """What a file was when it was published."""

    size: int
    etag: str
    last_modified: datetime | None

    def difference(self, now: Mapping[str, Any]) -> str | None:
        """Say in what the file differs from that; see `difference`."""
        return difference(self.size, self.etag, self.last_modified, now)


def _recorded(sources: Sources) -> dict[str, _Recorded]:
    found: dict[str, _Recorded] = {}
    columns = (sources[name].tolist() for name in ("url", "size", "etag", "last_modified"))
    for url, size, etag, modified in zip(*columns, strict=True):
        time = None if modified == NO_TIME else _EPOCH + timedelta(microseconds=modified)
        found[url] = _Recorded(size, etag, time)
    return found


async def _states(
    recorded: Mapping[str, _Recorded | None],
    registry: Any,
    concurrency: int,
    progress: Progress | None,
) -> dict[str, tuple[Status, str]]:
    """Ask for every file, and return what is wrong with those that are not as recorded."""
    wrong: dict[str, tuple[Status, str]] = {}
    pending: Iterator[tuple[str, _Recorded | None]] = iter(recorded.items())
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
