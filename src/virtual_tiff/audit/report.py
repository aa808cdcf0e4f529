"""Results of `verify`: a status for each source, and an exit status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import batched
from typing import Any, overload

import pyarrow as pa

#: Columns of the table of a report.
SCHEMA = pa.schema(
    [
        ("url", pa.string()),
        ("status", pa.string()),
        ("detail", pa.string()),
        ("decoded", pa.int32()),
    ]
)
#: Rows of a part of it.
_BATCH = 65_536


class Status(StrEnum):
    """Status of a source."""

    OK = "ok"
    #: The file does not exist any more.
    MISSING = "missing"
    #: Its ETag, size or time of the last change differs.
    CHANGED = "changed"
    #: A chunk has other pixels than the TIFF, or cannot be read.
    DAMAGED = "damaged"
    #: The store did not answer, or refused access.
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One source.

    Parameters
    ----------
    url
        The file.
    status
        Status of the file.
    detail
        Description in one line; empty if the status is `ok`.
    decoded
        Chunks that were decoded and compared.
    """

    url: str
    status: Status
    detail: str = ""
    decoded: int = 0


class Findings(Sequence[Finding]):
    """A finding for each file, in the order of publication.

    Those of files that are `ok` are made when they are asked for, from addresses that are read
    from the repository then: of a million files only the others take memory.

    Parameters
    ----------
    count
        Number of files.
    urls
        Yields the addresses of the files from one number to another.
    known
        Findings that say more than `ok`, by number.
    """

    def __init__(
        self,
        count: int,
        urls: Callable[[int, int], Iterable[str]],
        known: Mapping[int, Finding],
    ) -> None:
        self._count, self._urls, self._known = count, urls, known

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Finding]:
        return self._from(0, self._count)

    @overload
    def __getitem__(self, number: int) -> Finding: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[Finding]: ...
    def __getitem__(self, number: int | slice) -> Finding | Sequence[Finding]:
        if isinstance(number, slice):
            return [self[each] for each in range(self._count)[number]]
        at = range(self._count)[number]
        return next(self._from(at, at + 1))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)

    def __hash__(self) -> int:
        return self._count

    def _from(self, start: int, stop: int) -> Iterator[Finding]:
        for number, url in enumerate(self._urls(start, stop), start):
            yield self._known.get(number) or Finding(url=url, status=Status.OK)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """All sources of a repository.

    Parameters
    ----------
    findings
        A finding for each file, in the order of publication.
    faults
        Those that are not `ok`.
    decoded
        Number of chunks that were compared.
    undecided
        Reasons for chunks that were not compared, since tifffile does not decode them.
    """

    findings: Sequence[Finding]
    faults: tuple[Finding, ...] = ()
    decoded: int = 0
    undecided: tuple[str, ...] = ()

    @property
    def counts(self) -> Mapping[Status, int]:
        """Number of files, by status."""
        found = Counter(finding.status for finding in self.faults)
        sound = len(self.findings) - len(self.faults)
        return Counter({Status.OK: sound} if sound else {}) + found

    @property
    def exit_status(self) -> int:
        """0 without differences, 1 if a source is missing, changed or damaged, 3 if unknown."""
        statuses = {finding.status for finding in self.faults}
        return 0 if not statuses else 3 if statuses == {Status.UNREACHABLE} else 1

    def table(self) -> Any:
        """`pyarrow.Table` with a row for each file."""
        return pa.Table.from_batches(self.batches(), SCHEMA)

    def batches(self) -> Iterator[Any]:
        """Yield the rows of `table` as `pyarrow.RecordBatch`, in parts."""
        for some in batched(self.findings, _BATCH):
            columns = ([getattr(f, name) for f in some] for name in SCHEMA.names)
            yield pa.record_batch(list(columns), SCHEMA)
