"""Check that all sources of a repository exist, are unchanged and are decoded correctly.

Every source gets one request, from the server that readers ask, unless a listing tells enough of
it. A sample of chunks is read through Icechunk, as readers do, and compared with what tifffile
decodes from the same TIFF. Arrays of other writers are not in the table of sources: of their files,
Icechunk tells whether they have changed.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from itertools import chain
from typing import Any

import icechunk
import numpy as np
from obspec_utils.registry import ObjectStoreRegistry

from virtual_tiff.audit.decoding import compare
from virtual_tiff.audit.offsets import Offsets
from virtual_tiff.audit.report import Finding, Status, VerifyReport
from virtual_tiff.audit.samples import Reference, current, samples_of, unlisted, unlisted_arrays
from virtual_tiff.audit.states import RecordedStates, find_changed, find_refused
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
from virtual_tiff.publishing.sources_table import GROUP, read_sources_table
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
        sources = run(current(store, read_sources_table(store)))
        others: list[Reference] = []
        if not len(sources) or not is_published_here(repository, branch, alone=True):
            others = run(unlisted(store, run(unlisted_arrays(store, sources["array"].tolist()))))
    recorded = RecordedStates.of(sources)
    known = set(recorded.urls) if others else set()
    further = [url for url in dict.fromkeys(other.url for other in others) if url not in known]
    urls = [*recorded.urls, *further]
    if not urls and get_json(store, GROUP) is not None:
        return VerifyReport(findings=())  # all images were removed
    if not urls:
        raise RepositoryError(
            "the repository refers to no files.",
            kind=ErrorKind.NOT_FOUND,
            remedy="Name a branch with published data.",
        )
    containers = stored_containers(repository.config)
    settings = {c.prefix: store_settings(c) for c in containers}
    stores = registry_for(urls, registry, anonymous=anonymous, settings=settings)
    listings = [source_url(text) for text in ([listing] if isinstance(listing, str) else listing)]
    same = recorded.unchanged(listings, stores) if listings else np.zeros(len(recorded.urls), bool)
    asked = chain(recorded.items(same), ((url, ()) for url in further))
    count = len(urls) - int(np.count_nonzero(same))
    states = run(find_changed(asked, count, stores, concurrency, progress))
    states |= run(find_refused(store, [o for o in others if o.url not in states]))
    numbers = {url: number for number, url in enumerate(recorded.urls)} if states else {}
    wrong = np.zeros(len(recorded.urls), bool)
    wrong[[numbers[url] for url in states if url in numbers]] = True
    rows = np.flatnonzero(~wrong[recorded.of_url])
    more = [o.sample for o in others if o.sample is not None and o.url not in states]
    chosen = _chosen(len(rows) + len(more), sample, random.Random(seed))
    samples = [
        *samples_of(store, sources, [int(rows[i]) for i in chosen if i < len(rows)]),
        *(more[i - len(rows)] for i in chosen if i >= len(rows)),
    ]
    decoded: dict[str, int] = defaultdict(int)
    undecided: list[str] = []
    offsets = Offsets(store)
    for one in samples:
        for outcome in compare(store, one, stores, chunks, seed, offsets):
            decoded[one.url] += outcome.decided
            if outcome.fault is not None:
                status = Status.CHANGED if outcome.changed else Status.DAMAGED
                states[one.url] = (status, outcome.fault)
            elif not outcome.decided:
                undecided.append(f"{one.url}: {outcome.reason}")
    findings = []
    for url in urls:
        status, detail = states.get(url, (Status.OK, ""))
        findings.append(Finding(url=url, status=status, detail=detail, decoded=decoded[url]))
    return VerifyReport(findings=tuple(findings), undecided=tuple(undecided))


def _chosen(count: int, sample: int | None, chooser: random.Random) -> list[int]:
    if sample is None or sample >= count:
        return list(range(count))
    return sorted(chooser.sample(range(count), sample))
