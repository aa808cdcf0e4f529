"""The one commit: the lock, the repository made ready, all parts written, the table of sources."""

from __future__ import annotations

import pickle
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, as_completed
from contextlib import suppress
from dataclasses import replace
from typing import Literal

import icechunk

from virtual_tiff._version import __version__
from virtual_tiff.errors import ErrorKind, RepositoryError
from virtual_tiff.messages import redacted
from virtual_tiff.progress import Progress, no_progress
from virtual_tiff.publishing.containers import Container, prefixes_for
from virtual_tiff.publishing.locking import locked
from virtual_tiff.publishing.manifests import for_writing, with_splitting
from virtual_tiff.publishing.nodes import describe_root
from virtual_tiff.publishing.parts import Part
from virtual_tiff.publishing.references import Counts, Task
from virtual_tiff.publishing.rehearsal import rehearse
from virtual_tiff.publishing.repository import COMMIT_KEY, icechunk_errors, text_of
from virtual_tiff.publishing.results import Added, PublishResult
from virtual_tiff.publishing.sources_table import Sources, change_sources, concatenated, time_of
from virtual_tiff.publishing.target import Target
from virtual_tiff.storage.addresses import checksum_of
from virtual_tiff.storage.run import run

type Repository = icechunk.Repository
type Action = Literal["publish", "append", "remove"]

#: Number of attempts after conflicts with other writers.
TRIES = 20
#: Key of the metadata that tells the commits of different calls apart.
_CALL = "call"
#: Groups that a message names.
_NAMED = 3


def commit(
    target: Target,
    parts: Sequence[Part],
    message: str | None = None,
    *,
    action: Action = "publish",
    containers: tuple[Container, ...] = (),
    executor: Executor | None = None,
    progress: Progress | None = None,
    dry_run: bool = False,
) -> PublishResult:
    """Write parts into a session and commit it; where another writer was faster, do it anew.

    A repository in a local folder is locked for the whole of it, and a process killed before the
    end changes nothing.

    Parameters
    ----------
    target
        Where to.
    parts
        What to write.
    message
        Of the commit; says what was added if `None`.
    action
        What the log calls it.
    containers
        That the repository needs for the references.
    executor
        Executor whose workers write references; by default this process writes them.
    progress
        Called as references are written, image by image, and around the commit.

    dry_run
        Whether to check and count everything, but to write nothing.

    Returns
    -------
    PublishResult
        With `snapshot_id` `None` if there was nothing to commit.

    Raises
    ------
    RepositoryError
        With kind `conflict` after repeated conflicts with other writers.
    """
    if dry_run:
        return rehearse(target, parts)
    call = uuid.uuid4().hex
    report = progress or no_progress
    conflict: icechunk.ConflictError | None = None
    with icechunk_errors(target.location), locked(target.folder):
        for _ in range(TRIES):
            try:
                repository = with_splitting(target.ready(containers), parts)
                session = for_writing(repository, parts).writable_session(target.branch)
                added, sources = _write(session, parts, executor, report)
                images = sum(each.images + each.removed for each in added.values())
                snapshot: str | None = None
                if images:
                    report("commit", 0, images, 0)
                    snapshot = _commit(
                        repository, session, target.branch, message, action, added, call
                    )
            except icechunk.ConflictError as error:
                conflict = error
                continue
            if images:
                # Should another writer have saved an older configuration, this mends it; a
                # conflict here is one over that, not over the commit.
                with suppress(icechunk.ConflictError):
                    repository = with_splitting(target.ready(containers), parts)
                report("commit", images, images, 0)
            return PublishResult(
                snapshot_id=snapshot,
                branch=target.branch,
                added=added,
                unchecked=_unchecked(sources),
                containers=prefixes_for(repository.config, containers),
            )
    raise RepositoryError(
        f"gave up after {TRIES} attempts: concurrent writers.",
        kind=ErrorKind.CONFLICT,
        url=text_of(target.location),
        remedy="Nothing was committed; try again later.",
    ) from conflict


def _write(
    session: icechunk.Session,
    parts: Sequence[Part],
    executor: Executor | None,
    report: Progress,
) -> tuple[dict[str, Added], Sources]:
    """Write all parts with their references, and the table of sources."""
    # Workers get copies of a fork that has the arrays already.
    fork = None if executor is None else session.fork()
    into = fork or session
    written = [each for part in parts for each in part.write(into)]
    added = {each.path: each.added for each in written}
    total = sum(each.images for each in added.values())
    sources = concatenated([each.sources for each in written])
    dropped = [row for each in written for row in each.dropped]
    if not (total or dropped):
        return added, sources
    references, stored = Counter[str](), Counter[str]()
    done = 0

    def count(task: Task, counts: Counts) -> None:
        nonlocal done
        referenced, kept = counts
        references[task.group] += referenced
        stored[task.group] += kept
        if task.images:
            done += task.images
            report("write", done, total, 0)

    tasks = (task for each in written for task in each.tasks)
    if executor is None or fork is None:

        async def write_all() -> None:
            for task in tasks:
                count(task, await task.write(session.store))

        run(write_all())
    else:
        forks = [fork]
        for task, each, counts in _shared(fork, tasks, executor):
            forks.append(each)
            count(task, counts)
        session.merge(*forks)
    run(describe_root(session.store, [path for path, each in added.items() if each.arrays]))
    if len(sources) or dropped:
        change_sources(session.store, sources, dropped)
    added = {
        path: replace(one, references=references[path], stored=stored[path])
        for path, one in added.items()
    }
    return added, sources


def _shared(
    fork: icechunk.ForkSession, tasks: Iterator[Task], executor: Executor
) -> Iterator[tuple[Task, icechunk.ForkSession, Counts]]:
    """Write references in the workers of an executor, each into a fork of its own.

    See Icechunk's "cooperative distributed writes".
    """
    if hasattr(executor, "get_executor"):  # a Dask client
        executor = executor.get_executor()
    content = pickle.dumps(fork)
    futures: dict[Future[tuple[bytes, Counts]], Task] = {}
    try:
        for task in tasks:
            futures[executor.submit(write_task, content, task)] = task
        for future in as_completed(futures):
            found, counts = future.result()
            yield futures[future], pickle.loads(found), counts
    finally:
        for future in futures:
            future.cancel()


def write_task(fork: bytes, task: Task) -> tuple[bytes, Counts]:
    """Write references into a fork, in a worker, and return the fork."""
    session: icechunk.ForkSession = pickle.loads(fork)
    counts = run(task.write(session.store))
    return pickle.dumps(session), counts


def _commit(
    repository: Repository,
    session: icechunk.Session,
    branch: str,
    message: str | None,
    action: Action,
    added: Mapping[str, Added],
    call: str,
) -> str:
    """Commit a session; raise `ConflictError` where another writer was faster.

    Where that was this very call, whose answer a failing connection lost, return its snapshot.
    """
    cubes = {path: each.as_json() for path, each in added.items() if each.source is None}
    metadata = {
        COMMIT_KEY: __version__,
        _CALL: call,
        "action": action,
        "groups": len(added),
        "added": cubes,
    }
    base = session.snapshot_id
    try:
        text = redacted(message or _message(action, added))
        return session.commit(text, metadata=metadata)
    except icechunk.ConflictError:
        for snapshot in repository.ancestry(branch=branch):
            if snapshot.metadata.get(_CALL) == call:
                return snapshot.id
            if snapshot.id == base:
                break
        raise


def _message(action: Action, added: Mapping[str, Added]) -> str:
    """Say in one line what a commit holds."""
    verb = action.capitalize()
    files = [path for path, each in added.items() if each.source is not None]
    if files:
        more = f" and {len(files) - _NAMED} more" if len(files) > _NAMED else ""
        return f"{verb} {', '.join(files[:_NAMED])}{more}"
    images = sum(each.images + each.removed for each in added.values())
    noun = "image" if images == 1 else "images"
    if len(added) == 1:
        path, each = next(iter(added.items()))
        first, last = brief(each.first), brief(each.last)
        span = first if first == last else f"{first} to {last}"
        where = f" in {path}" if path else ""
        what = f"{images} {noun}, {span}" if span else f"{images} {noun}"
        return f"{verb} {what}: {', '.join(each.variables)}{where}"
    return f"{verb} {images} {noun} in {len(added)} groups"


def brief(text: str) -> str:
    """Omit zero parts of a time."""
    return text.removesuffix(".000000").removesuffix("T00:00:00")


def _unchecked(sources: Sources) -> tuple[str, ...]:
    """URLs of files of which nothing is known that shows a change."""
    # Only without a time there may be nothing to compare.
    doubtful = sources["last_modified"] <= 0
    columns = (sources[name][doubtful].tolist() for name in ("url", "etag", "last_modified"))
    found = {
        url: None
        for url, etag, modified in zip(*columns, strict=True)
        if checksum_of(url, etag or None, time_of(modified)) is None
    }
    return tuple(found)
