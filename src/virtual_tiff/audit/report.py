"""Results of `verify`: a status for each source, and an exit status."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa


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


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyReport:
    """All sources of a repository.

    Parameters
    ----------
    findings
        A finding for each file, in the order of publication.
    undecided
        Reasons for chunks that were not compared, since tifffile does not decode them.
    """

    findings: tuple[Finding, ...]
    undecided: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[Finding, ...]:
        """Findings that are not `ok`."""
        return tuple(f for f in self.findings if f.status != Status.OK)

    @property
    def decoded(self) -> int:
        """Number of chunks that were compared."""
        return sum(finding.decoded for finding in self.findings)

    @property
    def counts(self) -> Mapping[Status, int]:
        """Number of files, by status."""
        return Counter(finding.status for finding in self.findings)

    @property
    def exit_status(self) -> int:
        """0 without differences, 1 if a source is missing, changed or damaged, 3 if unknown."""
        statuses = {finding.status for finding in self.faults}
        return 0 if not statuses else 3 if statuses == {Status.UNREACHABLE} else 1

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
