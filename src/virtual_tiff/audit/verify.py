"""Check that all sources of a repository exist, are unchanged and are decoded correctly.

Every source gets one request, from the server that readers ask, unless a listing tells enough of
it. A sample of chunks is read through Icechunk, as readers do, and compared with what tifffile
decodes from the same TIFF. Arrays of other writers are not in the table of sources: of their files,
Icechunk tells whether they have changed.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Self

import icechunk
import numpy as np
from numpy.typing import NDArray
from obspec_utils.registry import ObjectStoreRegistry

from virtual_tiff.audit.decoding import Sample, compare
from virtual_tiff.audit.offsets import Offsets
from virtual_tiff.audit.recorded import Recorded, RecordedStates
from virtual_tiff.audit.report import Finding, Findings, Status, VerifyReport
from virtual_tiff.audit.samples import Reference, samples_of, unlisted, unlisted_arrays
from virtual_tiff.audit.states import find_changed, find_refused
from virtual_tiff.errors import ErrorKind, InvalidOptionError, RepositoryError
from virtual_tiff.progress import Progress
from virtual_tiff.publishing.containers import store_settings, stored_containers
from virtual_tiff.publishing.nodes import get_json
from virtual_tiff.publishing.repository import (
    Location,
    icechunk_errors,
    is_published_here,
    open_repository,
)
from virtual_tiff.publishing.sources_table import GROUP
from virtual_tiff.storage.addresses import source_url
from virtual_tiff.storage.run import run
from virtual_tiff.storage.stores import registry_for

DEFAULT_CONCURRENCY = 128
DEFAULT_SAMPLE = 20


def verify(
    repo: Location | icechunk.Repository,
    *,
    branch: str = "main",
    sample: int | None = DEFAULT_SAMPLE,
    chunks: int = 1,
    seed: int = 0,
    listing: str | Sequence[str] = (),
    registry: ObjectStoreRegistry[Any] | None = None,
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
        Branch to check.
    sample
        Number of images of which chunks are decoded; `None` for all, 0 for none.
    chunks
        Number of chunks of each of them.
    seed
        Seed of the random sample.
    listing
        Folders, prefixes (ending in `/`) or patterns to list. Files that a listing shows with the
        size and the ETag of publication, on local disks also the time, are not asked for one by
        one, and their headers are not compared.
    registry, anonymous
        Stores for the files, as for `virtual_tiff.publish`. By default the endpoints and regions
        that the repository names, as readers use them.
    concurrency
        Requests in flight at once.
    progress
        Called with the stage `check` as files are done; see `virtual_tiff.Progress`.

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
        files = _Files.of(repository, branch, store)
        if not len(files) and get_json(store, GROUP) is not None:
            return VerifyReport(findings=())  # all images were removed
        if not len(files):
            raise RepositoryError(
                "the repository refers to no files.",
                kind=ErrorKind.NOT_FOUND,
                remedy="Name a branch with published data.",
            )
        settings = {c.prefix: store_settings(c) for c in stored_containers(repository.config)}
        stores = registry_for(files.urls(), registry, anonymous=anonymous, settings=settings)
        same = files.recorded.unchanged(
            [source_url(each) for each in ([listing] if isinstance(listing, str) else listing)],
            stores,
        )
        asked = len(files) - int(np.count_nonzero(same))
        states = run(find_changed(files.items(same), asked, stores, concurrency, progress))
        states |= run(find_refused(store, [o for o in files.others if o.url not in states]))
        decoded: Counter[str] = Counter()
        undecided: list[str] = []
        offsets = Offsets(store)
        for one in files.samples(store, {*states}, sample, random.Random(seed)):
            for outcome in compare(store, one, stores, chunks, seed, offsets):
                decoded[one.url] += outcome.decided
                if outcome.fault is not None:
                    status = Status.CHANGED if outcome.changed else Status.DAMAGED
                    states[one.url] = (status, outcome.fault)
                elif not outcome.decided:
                    undecided.append(f"{one.url}: {outcome.reason}")
        odd = {}
        for number, url in enumerate(files.urls()):
            if url in states or url in decoded:
                status, detail = states.get(url, (Status.OK, ""))
                odd[number] = Finding(url=url, status=status, detail=detail, decoded=decoded[url])
    return VerifyReport(
        findings=Findings(len(files), files.urls, odd),
        faults=tuple(finding for finding in odd.values() if finding.status != Status.OK),
        decoded=decoded.total(),
        undecided=tuple(undecided),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Files:
    """Files of a repository: those of the table of sources, then those of other writers.

    `others` has an entry for each array of a file, `further` each file that is not in the table.
    """

    recorded: RecordedStates
    others: Sequence[Reference]
    further: Sequence[str]

    @classmethod
    def of(
        cls, repository: icechunk.Repository, branch: str, store: icechunk.IcechunkStore
    ) -> Self:
        recorded = RecordedStates.current(store)
        others: list[Reference] = []
        if not len(recorded) or not is_published_here(repository, branch, alone=True):
            others = run(unlisted(store, run(unlisted_arrays(store, recorded.arrays()))))
        further = dict.fromkeys(other.url for other in others)
        if further:
            for url in recorded.urls():
                further.pop(url, None)
        return cls(recorded=recorded, others=others, further=list(further))

    def __len__(self) -> int:
        return len(self.recorded) + len(self.further)

    def urls(self, start: int = 0, stop: int | None = None) -> Iterator[str]:
        """Yield addresses, in the order of publication."""
        yield from self.recorded.urls(start, stop)
        before = len(self.recorded)
        yield from self.further[max(0, start - before) : stop and max(0, stop - before)]

    def items(self, same: NDArray[np.bool_]) -> Iterator[Recorded]:
        """Yield the files to ask for: not those of the table in a mask."""
        yield from self.recorded.items(same)
        yield from ((url, ()) for url in self.further)

    def samples(
        self,
        store: icechunk.IcechunkStore,
        states: Collection[str],
        count: int | None,
        chooser: random.Random,
    ) -> Iterator[Sample]:
        """Choose images to decode, of files without a state."""
        rows = self.recorded.rows_without(states)
        more = [o.sample for o in self.others if o.sample is not None and o.url not in states]
        chosen = _chosen(rows.size + len(more), count, chooser)
        listed = [int(rows[i]) for i in chosen if i < rows.size]
        yield from samples_of(store, self.recorded, listed)
        yield from (more[i - rows.size] for i in chosen if i >= rows.size)


def _chosen(count: int, sample: int | None, chooser: random.Random) -> Sequence[int]:
    if sample is None or sample >= count:
        return range(count)
    return sorted(chooser.sample(range(count), sample))
