"""A branch of a repository that groups are published to, in one commit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, Self

import icechunk

from virtual_tiff._version import __version__
from virtual_tiff.errors import ErrorKind, InvalidOptionError, RepositoryError
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.publishing.containers import Container, prefixes_for
from virtual_tiff.publishing.nesting import check_outside
from virtual_tiff.publishing.repository import (
    COMMIT_KEY,
    Location,
    add_containers,
    create_in,
    exists,
    is_published_here,
    repository_error,
    storage_at,
    text_of,
)
from virtual_tiff.publishing.writer import write_group, write_parents
from virtual_tiff.storage.addresses import WEB_SCHEMES

_MAIN = "main"
#: Groups that an error names.
_NAMED = 3
#: Manifests written at once by a commit. Every array has one, and Icechunk would write them one
#: after the other: 100 COGs took 29 s in a store that takes 30 ms for each, so 1.2 s.
_MANIFESTS_AT_ONCE = 64
#: Largest chunk that may lie in a manifest (the most that Icechunk allows), in bytes. Coordinates
#: and last strips would cost a PUT and a GET each as objects of their own.
_LARGEST_INLINE = 65_535
#: Bytes of chunks in one manifest, which readers fetch as a whole, up to which that is done.
_INLINE_IN_ALL = 1024 * 1024


type Stage = Literal["read", "write", "commit"]


class Progress(Protocol):
    """What publishing calls as it goes on."""

    def __call__(self, stage: Stage, done: int, total: int, /) -> None:
        """Say how many of the files are done: headers read, then groups written."""


@dataclass(frozen=True, slots=True)
class Written:
    """A commit, and the prefixes of the containers that its references need."""

    snapshot_id: str
    containers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """Where groups go; see `find`.

    Parameters
    ----------
    location
        As the caller gave it.
    storage
        Of the repository.
    repository
        `None` where none is there yet.
    branch
        To commit to.
    start
        Branch that a new one starts from: the same one if it is there.
    """

    location: Location
    storage: icechunk.Storage
    repository: icechunk.Repository | None
    branch: str
    start: str

    @classmethod
    def find(cls, repo: Location | icechunk.Repository, branch: str) -> Self:
        """Look what is there; nothing is written.

        Raises
        ------
        InvalidOptionError
            Nothing can be written to such a place.
        RepositoryError
            Something else is there, or the storage failed.
        """
        if isinstance(repo, icechunk.Repository):
            return cls._of(repo.storage, repo.storage, repo, branch)
        if text_of(repo).startswith(tuple(f"{scheme}://" for scheme in WEB_SCHEMES)):
            raise InvalidOptionError(
                "a repository cannot be written over HTTP.",
                url=text_of(repo),
                remedy="Write it to a local path or bucket, and serve that.",
            )
        storage = storage_at(repo)
        if not exists(storage, repo):
            return cls(repo, storage, None, branch, _MAIN)
        try:
            return cls._of(repo, storage, icechunk.Repository.open(storage), branch)
        except icechunk.IcechunkError as error:
            raise repository_error(error, repo) from error

    @classmethod
    def _of(
        cls,
        location: Location,
        storage: icechunk.Storage,
        repository: icechunk.Repository,
        branch: str,
    ) -> Self:
        start = branch if branch in repository.list_branches() else _MAIN
        return cls(location, storage, repository, branch, start)

    async def check(self, paths: Sequence[str], *, into_existing: bool) -> None:
        """Check that groups can be added, before their files are read.

        Parameters
        ----------
        paths
            Of the groups.
        into_existing
            Whether to add them to what somebody else wrote.

        Raises
        ------
        RepositoryError
            With kind `repository-exists`: it holds somebody else's data. With kind `conflict`:
            there are such groups.
        """
        if self.repository is None:
            return
        try:
            if not into_existing and not is_published_here(self.repository, self.start):
                raise RepositoryError(
                    "the repository holds data that virtual-tiff did not publish.",
                    kind=ErrorKind.REPOSITORY_EXISTS,
                    url=text_of(self.location),
                    remedy="Name another place, or pass into_existing=True to add to it.",
                )
            store = self.repository.readonly_session(branch=self.start).store
            await check_outside(store, paths)
            taken = [path for path in paths if await store.exists(f"{path}/zarr.json")]
        except icechunk.IcechunkError as error:
            raise repository_error(error, self.location) from error
        if taken:
            raise self._taken(taken)

    def _taken(self, paths: Sequence[str]) -> RepositoryError:
        named = ", ".join(map(repr, paths[:_NAMED]))
        more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
        one = len(paths) == 1
        return RepositoryError(
            f"there {'is' if one else 'are'} already {'a group' if one else 'groups'} "
            f"{named}{more} on branch {self.start!r}.",
            kind=ErrorKind.CONFLICT,
            url=text_of(self.location),
            remedy="Put the new ones into another one (group=…). Or name each of them (names=…).",
        )

    async def write(
        self,
        groups: Mapping[str, GroupPlan],
        containers: tuple[Container, ...],
        message: str,
        report: Progress,
    ) -> Written:
        """Write groups and commit them.

        Parameters
        ----------
        groups
            Plans by path.
        containers
            That the repository needs for them.
        message
            Of the commit.
        report
            Called after each group, and around the commit.
        """
        try:
            repository = self._ready(containers)
            session = _for_writing(repository, groups).writable_session(self.branch)
            for done, (path, plan) in enumerate(groups.items(), 1):
                await write_parents(session.store, path)
                await write_group(session.store, path, plan)
                report("write", done, len(groups))
            report("commit", 0, len(groups))
            # Others may have added other groups meanwhile: that is no conflict.
            snapshot_id = await session.commit_async(
                message,
                metadata={COMMIT_KEY: __version__, "action": "publish", "groups": len(groups)},
                rebase_with=icechunk.ConflictDetector(),
            )
        except icechunk.IcechunkError as error:
            raise repository_error(error, self.location) from error
        report("commit", len(groups), len(groups))
        return Written(snapshot_id, prefixes_for(repository.config, containers))

    def _ready(self, containers: tuple[Container, ...]) -> icechunk.Repository:
        """Make the repository and the branch where they are not there."""
        if self.repository is None:
            repository = create_in(self.storage, containers)
        else:
            repository = add_containers(self.repository, containers)
        if self.branch not in repository.list_branches():
            repository.create_branch(self.branch, repository.lookup_branch(self.start))
        return repository


def _for_writing(
    repository: icechunk.Repository, groups: Mapping[str, GroupPlan]
) -> icechunk.Repository:
    """Open a repository with settings for this one commit, which are not saved."""
    config = repository.config
    manifest = config.manifest or icechunk.ManifestConfig()
    manifest.max_concurrent_manifest_fetches_during_commit = _MANIFESTS_AT_ONCE
    config.manifest = manifest
    if _most_inline(groups) <= _INLINE_IN_ALL:
        config.inline_chunk_threshold_bytes = _LARGEST_INLINE
    return repository.reopen(config=config)


def _most_inline(groups: Mapping[str, GroupPlan]) -> int:
    """Bytes of the chunks that are kept of one array, where they are most."""
    return max(
        (
            sum(map(len, array.inline.values()))
            for plan in groups.values()
            for _, group in plan.walk()
            for array in group.arrays.values()
        ),
        default=0,
    )
