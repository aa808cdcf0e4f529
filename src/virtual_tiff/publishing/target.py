"""A branch of a repository that is written to: what is there, and how it is made ready."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import icechunk
from icechunk import IcechunkStore

from virtual_tiff.errors import ErrorKind, InvalidOptionError, RepositoryError
from virtual_tiff.publishing.containers import Container
from virtual_tiff.publishing.locking import locked
from virtual_tiff.publishing.nodes import check_free, check_outside
from virtual_tiff.publishing.repository import (
    Location,
    add_containers,
    create_in,
    exists,
    icechunk_errors,
    is_begun,
    is_published_here,
    local_folder,
    not_found,
    storage_at,
    text_of,
)
from virtual_tiff.publishing.tree import TAKEN
from virtual_tiff.storage.addresses import WEB_SCHEMES
from virtual_tiff.storage.run import run

_MAIN = "main"
#: Seconds to wait for another writer that is making the same repository, in all and at first.
_PATIENCE = 10.0
_FIRST_WAIT = 0.05
#: Age of branches that killed writers left; one in use is written to every minute.
_ABANDONED = timedelta(days=1)


class Target:
    """Where a commit goes; nothing is read or written before `check` or `ready`.

    Parameters
    ----------
    repo
        The repository, or its location.
    branch
        To commit to; one that is not there starts where `main` is.
    create
        Whether the repository is made where there is none.
    into_existing
        Whether to add to what somebody else wrote.

    Raises
    ------
    InvalidOptionError
        The location cannot be written to.
    """

    def __init__(
        self,
        repo: Location | icechunk.Repository,
        branch: str = _MAIN,
        *,
        create: bool = True,
        into_existing: bool = False,
    ) -> None:
        self.location = repo.storage if isinstance(repo, icechunk.Repository) else repo
        if text_of(self.location).startswith(tuple(f"{scheme}://" for scheme in WEB_SCHEMES)):
            raise InvalidOptionError(
                "a repository cannot be written over HTTP.",
                url=text_of(self.location),
                remedy="Write it to a local path or bucket, and serve that.",
            )
        self.storage = storage_at(self.location)
        self.branch, self.create, self.into_existing = branch, create, into_existing

    @property
    def folder(self) -> Path | None:
        """The local folder to lock; `None` for a repository somewhere else."""
        return local_folder(self.location)

    def check(self, paths: Sequence[str] = ()) -> None:
        """Check that groups can be added, before their files are read; nothing is written.

        Parameters
        ----------
        paths
            Paths of the groups.

        Raises
        ------
        RepositoryError
            With kind `repository-exists`: it has data of other software. With kind `conflict`: a
            group exists already. With kind `repository-not-found`, where it is not to be made.
        """
        with icechunk_errors(self.location):
            try:
                repository = self._open()
            except RepositoryError as error:
                if error.kind != ErrorKind.NOT_A_REPOSITORY or not (self.folder or Path()).is_dir():
                    raise
                # Another writer may be making it.
                with locked(self.folder):
                    repository = self._open()
            if repository is None:
                return
            self._check_ours(repository)
            store = repository.readonly_session(branch=self._start(repository)).store
            run(check_free(store, paths, remedy=TAKEN))
            run(check_outside(store, paths))

    def store(self) -> IcechunkStore | None:
        """What the branch holds now; `None` if there is no repository yet."""
        with icechunk_errors(self.location):
            repository = self._open()
            if repository is None:
                return None
            return repository.readonly_session(branch=self._start(repository)).store

    def ready(self, containers: tuple[Container, ...]) -> icechunk.Repository:
        """Open the repository as it is now; make it, its branch and containers where needed.

        It refuses what `check` refuses, and finishes what a writer that was killed began to make.
        """
        repository = self._open()
        if repository is None:
            repository = self._made(containers)
        self._check_ours(repository)
        repository = add_containers(repository, containers)
        if self.branch not in repository.list_branches():
            with suppress(icechunk.AlreadyExistsError):
                repository.create_branch(self.branch, repository.lookup_branch(_MAIN))
        return repository

    @contextmanager
    def aside(self) -> Iterator[Target]:
        """Yield a branch beside this one, whose commits all appear here at the end, at once.

        After an error, or a kill, nothing appears. Each call has a branch of its own; those that
        killed ones left are removed after a day.

        Raises
        ------
        RepositoryError
            With kind `conflict`: another writer has committed to this branch since.
        """
        other = copy(self)
        names = f"{self.branch}.aside-"
        other.branch = f"{names}{uuid4().hex[:8]}"
        with icechunk_errors(self.location), locked(self.folder):
            repository = self._open()
            start = None
            if repository is not None:
                _remove_abandoned(repository, names)
                start = repository.lookup_branch(self._start(repository))
                repository.create_branch(other.branch, start)
        try:
            yield other
            with icechunk_errors(self.location), locked(self.folder):
                repository = icechunk.Repository.open(self.storage)
                last = repository.lookup_branch(other.branch)
                if self.branch in repository.list_branches():
                    # The first snapshot of a repository that was made in between.
                    start = start or list(repository.ancestry(branch=other.branch))[-1].id
                    repository.reset_branch(self.branch, last, from_snapshot_id=start)
                else:
                    repository.create_branch(self.branch, last)
        finally:
            with suppress(icechunk.IcechunkError), locked(self.folder):
                icechunk.Repository.open(self.storage).delete_branch(other.branch)

    def _open(self) -> icechunk.Repository | None:
        if exists(self.storage, self.location):
            return icechunk.Repository.open(self.storage)
        if not self.create:
            raise not_found(self.location)
        return None

    def _made(self, containers: tuple[Container, ...]) -> icechunk.Repository:
        """Make the repository, or wait until another writer has; finish what one began."""
        # Nobody else of this package is at work in a folder that is locked.
        wait = _FIRST_WAIT
        end = time.monotonic() + (_PATIENCE if self.folder is None else 0)
        while True:
            late = time.monotonic() > end
            try:
                return create_in(self.storage, containers, finish=late and is_begun(self.storage))
            except icechunk.IcechunkError:
                if icechunk.Repository.exists(self.storage):
                    return icechunk.Repository.open(self.storage)
                # The first snapshot is written before the repository is there for all to see.
                if late or not is_begun(self.storage):
                    raise
            time.sleep(wait)
            wait *= 2

    def _start(self, repository: icechunk.Repository) -> str:
        return self.branch if self.branch in repository.list_branches() else _MAIN

    def _check_ours(self, repository: icechunk.Repository) -> None:
        if self.into_existing or is_published_here(repository, self._start(repository)):
            return
        raise RepositoryError(
            "the repository holds data that virtual-tiff did not publish.",
            kind=ErrorKind.REPOSITORY_EXISTS,
            url=text_of(self.location),
            remedy="Name another location, or pass into_existing=True to add to it.",
        )


def _remove_abandoned(repository: icechunk.Repository, names: str) -> None:
    """Remove branches that begin with `names` and were last written to more than a day ago."""
    for branch in repository.list_branches():
        if branch.startswith(names):
            last = next(iter(repository.ancestry(branch=branch)))
            if datetime.now(UTC) - last.written_at > _ABANDONED:
                with suppress(icechunk.IcechunkError):
                    repository.delete_branch(branch)
