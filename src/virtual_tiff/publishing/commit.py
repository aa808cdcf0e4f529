"""One commit: the repository made ready, the session written, and all anew after a conflict."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Literal

import icechunk

from virtual_tiff._version import __version__
from virtual_tiff.cubes.plan import CubePlan
from virtual_tiff.errors import ErrorKind, RepositoryError
from virtual_tiff.publishing.containers import Container
from virtual_tiff.publishing.references import Task
from virtual_tiff.publishing.repository import (
    COMMIT_KEY,
    Location,
    add_containers,
    create_in,
    is_published_here,
    open_repository,
    repository_error,
    text_of,
)
from virtual_tiff.publishing.sources_table import add_sources, concatenated
from virtual_tiff.publishing.target import Target
from virtual_tiff.publishing.written import Added, Written

type Repository = icechunk.Repository
type Action = Literal["publish", "append"]

#: References in one manifest: a reader fetches a manifest whole, an append rewrites the last.
MANIFEST_REFERENCES = 50_000
#: Images whose references are written in one task.
_TASK_IMAGES = 20_000
#: How often a commit is planned anew because another writer was faster.
TRIES = 20


def ensure_repository(target: Target, containers: tuple[Container, ...]) -> Repository:
    """Make the repository and the branch where they are not there."""
    if target.repository is None:
        repository = create_in(target.storage, containers)
    else:
        repository = add_containers(target.repository, containers)
    if target.branch not in repository.list_branches():
        repository.create_branch(target.branch, repository.lookup_branch(target.start))
    return repository


def check_ours(target: Target, repository: Repository) -> None:
    """Refuse a repository that somebody else's software wrote.

    Raises
    ------
    RepositoryError
        With kind `repository-exists`.
    """
    if not is_published_here(repository, target.start):
        raise RepositoryError(
            "the repository holds data that was not published by this package.",
            kind=ErrorKind.REPOSITORY_EXISTS,
            url=text_of(target.location),
            remedy="Name another place, or pass into_existing=True to add to it.",
        )


def with_splitting(repository: Repository, cubes: Mapping[str, CubePlan]) -> Repository:
    """Save how manifests are cut, so that opening a cube does not grow with its history.

    A repository that has such a rule keeps it.
    """
    config = repository.config
    if config.manifest is not None and config.manifest.splitting is not None:
        return repository
    dimensions: dict[str, int] = {}
    for cube in cubes.values():
        chunks = max(v.image.offsets.size for v in cube.variables.values())
        dimensions[cube.dimension] = max(dimensions.get(cube.dimension, 1), chunks)
    rule = {
        icechunk.ManifestSplitDimCondition.DimensionName(f"^{re.escape(name)}$"): max(
            1, MANIFEST_REFERENCES // chunks
        )
        for name, chunks in dimensions.items()
    }
    splitting = icechunk.ManifestSplittingConfig.from_dict(
        {icechunk.ManifestSplitCondition.AnyArray(): rule}  # type: ignore[dict-item]
    )
    if config.manifest is None:
        config.manifest = icechunk.ManifestConfig(splitting=splitting)
    else:
        manifest = config.manifest
        manifest.splitting = splitting
        config.manifest = manifest
    repository = repository.reopen(config=config)
    repository.save_config()
    return repository


def reopen(repo: Location | Repository) -> Repository:
    """Open a repository with the configuration that is stored now.

    Configurations are saved whole, so that one that was read earlier would undo what another
    writer has added to it since.
    """
    if not isinstance(repo, icechunk.Repository):
        return open_repository(repo)
    config = icechunk.Repository.fetch_config(repo.storage)
    return repo if config is None else repo.reopen(config=config)


def commit(
    prepare: Callable[[], Repository],
    branch: str,
    write: Callable[[icechunk.Session], dict[str, Written]],
    action: Action,
    message: str | None,
    executor: Executor | None = None,
) -> tuple[str | None, dict[str, Added]]:
    """Write in a session and commit it; where another writer was faster, do both anew.

    Parameters
    ----------
    prepare
        Opens the repository, with all it needs for the references.
    branch
        To commit to.
    write
        Writes into the session, or into a fork of it, all but the references.
    action, message
        What the commit is; the message says it in words if `None`.
    executor
        To share the references among; this process writes them all if `None`.

    Returns
    -------
    str or None
        The snapshot; `None` if there was nothing to commit.
    dict
        What was added, by group.

    Raises
    ------
    RepositoryError
        With kind `conflict` if other writers were faster every time.
    """
    conflict: icechunk.ConflictError | None = None
    for _ in range(TRIES):
        session = prepare().writable_session(branch)
        # Workers get copies of a fork that has the arrays already.
        into = session if executor is None else session.fork()
        written = write(into)
        added = {path: each.added for path, each in written.items()}
        if not any(each.images for each in added.values()):
            return None, added
        if executor is None:
            for task in _tasks(written):
                task.write(session.store)
        else:
            session.merge(*_shared(into, _tasks(written), executor))
        add_sources(session.store, concatenated([each.sources() for each in written.values()]))
        try:
            snapshot = session.commit(
                message or _message(action, added),
                metadata={
                    COMMIT_KEY: __version__,
                    "action": action,
                    "added": {path: each.as_json() for path, each in added.items()},
                },
            )
        except icechunk.ConflictError as error:
            conflict = error
            continue
        # Should another writer have saved an older configuration over ours, this mends it.
        prepare()
        return snapshot, added
    raise RepositoryError(
        f"other writers were faster {TRIES} times.",
        kind=ErrorKind.CONFLICT,
        remedy="Nothing was committed; try again when they are done.",
    ) from conflict


def _tasks(written: Mapping[str, Written]) -> Iterator[Task]:
    return (task for each in written.values() for task in each.tasks(_TASK_IMAGES))


def _shared(
    fork: icechunk.Session, tasks: Iterator[Task], executor: Executor
) -> list[icechunk.ForkSession]:
    """Write references in the workers of an executor, each into a fork of its own.

    See Icechunk's "cooperative distributed writes".
    """
    if hasattr(executor, "get_executor"):  # a Dask client
        executor = executor.get_executor()
    content = pickle.dumps(fork)
    futures = [executor.submit(write_task, content, task) for task in tasks]
    forks = [pickle.loads(content)]
    try:
        forks += [pickle.loads(future.result()) for future in futures]
    finally:
        for future in futures:
            future.cancel()
    return forks


def write_task(fork: bytes, task: Task) -> bytes:
    """Write references into a fork, in a worker, and return the fork."""
    session: icechunk.ForkSession = pickle.loads(fork)
    task.write(session.store)
    return pickle.dumps(session)


def _message(action: Action, added: Mapping[str, Added]) -> str:
    """Say in one line what a commit holds."""
    verb = "Publish" if action == "publish" else "Append"
    images = sum(each.images for each in added.values())
    noun = "image" if images == 1 else "images"
    if len(added) == 1:
        path, each = next(iter(added.items()))
        first, last = brief(each.first), brief(each.last)
        span = first if first == last else f"{first} to {last}"
        where = f" in {path}" if path else ""
        return f"{verb} {images} {noun}, {span}: {', '.join(each.variables)}{where}"
    return f"{verb} {images} {noun} in {len(added)} groups"


def brief(text: str) -> str:
    """Leave out of a time what is zero."""
    return text.removesuffix(".000000").removesuffix("T00:00:00")


@contextmanager
def icechunk_errors(repo: Location | Repository) -> Iterator[None]:
    """Translate what Icechunk raises."""
    try:
        yield
    except icechunk.IcechunkError as error:
        location = repo.storage if isinstance(repo, icechunk.Repository) else repo
        raise repository_error(error, location) from error
