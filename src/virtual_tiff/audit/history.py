"""List the commits of a repository."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

import icechunk

from virtual_tiff.errors import ErrorKind, RepositoryError
from virtual_tiff.json_type import JSON
from virtual_tiff.messages import redacted
from virtual_tiff.planning.names import RESERVED
from virtual_tiff.publishing.repository import Location, icechunk_errors, open_repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a commit changed, the table of sources aside: paths of groups and arrays.

    `chunks` are numbers of chunks that were written, moved or deleted, by path of the array.
    """

    new: tuple[str, ...]
    deleted: tuple[str, ...]
    updated: tuple[str, ...]
    chunks: Mapping[str, int]

    def as_json(self) -> dict[str, Any]:
        """Return this record as JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """One snapshot of a branch.

    Parameters
    ----------
    snapshot_id, time, message
        Id, time (UTC) and message of the snapshot.
    action
        `publish` or `append`; `None` for a commit of other software.
    groups
        Number of groups that were written.
    added
        What was added to cubes, by group; see `virtual_tiff.Added`.
    changes
        What Icechunk says has changed; `None` unless it was asked for.
    """

    snapshot_id: str
    time: datetime
    message: str
    action: str | None
    groups: int
    added: dict[str, dict[str, JSON]]
    changes: Changes | None = None

    @property
    def images(self) -> int | None:
        """Number of images added to cubes; `None` for other commits."""
        if not self.added:
            return None
        return sum(int(str(group["images"])) for group in self.added.values())

    def as_json(self) -> dict[str, Any]:
        """Return this record as JSON."""
        return {
            "snapshot_id": self.snapshot_id,
            "time": self.time.isoformat(),
            "message": self.message,
            "action": self.action,
            "groups": self.groups,
            "images": self.images,
            "added": self.added,
            **({} if self.changes is None else {"changes": self.changes.as_json()}),
        }


def log(
    repo: Location | icechunk.Repository, *, branch: str = "main", diff: bool = False
) -> list[Commit]:
    """List the commits of a branch, the newest first.

    Parameters
    ----------
    repo
        The repository, or its location.
    branch
        Branch to list.
    diff
        Whether to say what each commit changed, for which its transaction log is read.

    Raises
    ------
    RepositoryError
        There is no repository, or no such branch.
    """
    repository = repo if isinstance(repo, icechunk.Repository) else open_repository(repo)
    with icechunk_errors(repo):
        snapshots = list(repository.ancestry(branch=branch))
        # The first snapshot of every repository has no parent and holds nothing.
        commits = [snapshot for snapshot in snapshots if snapshot.parent_id is not None]
        found = [commit_of(snapshot) for snapshot in commits]
        if not diff:
            return found
        return [
            replace(commit, changes=_changes(repository, str(snapshot.parent_id), snapshot.id))
            for commit, snapshot in zip(found, commits, strict=True)
        ]


def _changes(repository: icechunk.Repository, before: str, after: str) -> Changes:
    diff = repository.diff(from_snapshot_id=before, to_snapshot_id=after)

    def ours(*paths: Iterable[str]) -> tuple[str, ...]:
        named = sorted(path for some in paths for path in some)
        return tuple(p for p in named if f"/{RESERVED}" != f"/{p.strip('/').split('/')[0]}")

    return Changes(
        new=ours(diff.new_groups, diff.new_arrays),
        deleted=ours(diff.deleted_groups, diff.deleted_arrays),
        updated=ours(diff.updated_groups, diff.updated_arrays),
        chunks={path: len(diff.updated_chunks[path]) for path in ours(diff.updated_chunks)},
    )


def snapshot_of(repository: icechunk.Repository, version: str, *, only: str | None = None) -> str:
    """Return the snapshot of a branch, a tag or an id, or of `only` a `branch` or a `tag`.

    Raises
    ------
    RepositoryError
        With kind `not-found`; names what there is.
    """
    branches, tags = repository.list_branches(), repository.list_tags()
    if version in tags and only != "branch":
        return repository.lookup_tag(version)
    if version in branches and only != "tag":
        return repository.lookup_branch(version)
    if only is None:
        with suppress(icechunk.IcechunkError, ValueError):
            return repository.lookup_snapshot(version).id
    there = sorted(branches) if only == "branch" else sorted(tags)
    raise RepositoryError(
        f"there is no {only or 'version'} {version!r}.",
        kind=ErrorKind.NOT_FOUND,
        remedy=f"Its {'branches' if only == 'branch' else 'tags'} are: "
        f"{', '.join(there) or 'none'}.",
    )


def open_version(
    repository: icechunk.Repository, branch: str, version: str | None
) -> tuple[icechunk.Session, dict[str, str]]:
    """Open a branch, or a version instead; return also how readers name it in `readonly_session`.

    Raises
    ------
    RepositoryError
        As `snapshot_of`.
    """
    named = branch if version is None else version
    snapshot = snapshot_of(repository, named)
    session = repository.readonly_session(snapshot_id=snapshot)
    if named in repository.list_tags():
        return session, {"tag": named}
    if named in repository.list_branches():
        return session, {"branch": named}
    return session, {"snapshot_id": snapshot}


def commit_of(snapshot: Any) -> Commit:
    """Return what a snapshot says of its commit."""
    metadata = snapshot.metadata
    added = metadata.get("added", {})
    return Commit(
        snapshot_id=snapshot.id,
        time=snapshot.written_at,
        message=redacted(snapshot.message),
        action=metadata.get("action"),
        groups=metadata.get("groups", len(added)),
        added=added,
    )
