"""What `verify` finds: a status for each source, and an exit status for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa


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
