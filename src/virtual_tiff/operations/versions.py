"""Tags, rollbacks and expiry: thin doors to Icechunk's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import icechunk

from virtual_tiff.audit.history import Commit, commit_of, snapshot_of
from virtual_tiff.errors import ErrorKind, InvalidOptionError, RepositoryError
from virtual_tiff.publishing.locking import locked
from virtual_tiff.publishing.repository import (
    Location,
    icechunk_errors,
    local_folder,
    open_repository,
    text_of,
)

type Repository = icechunk.Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class Tag:
    """A tag, and the snapshot that has it."""

    name: str
    snapshot_id: str

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """A branch that was set to another snapshot.

    Parameters
    ----------
    branch
        The branch.
    before, after
        Snapshots that it was at, and is at now.
    undone
        Commits that are not in its history any more, the newest first.
    """

    branch: str
    before: str
    after: str
    undone: tuple[Commit, ...]

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "branch": self.branch,
            "before": self.before,
            "after": self.after,
            "undone": [commit.as_json() for commit in self.undone],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Expiry:
    """What was expired, or would be.

    Parameters
    ----------
    older_than
        Snapshots written before it are expired, unless a branch or a tag is at them.
    expired
        Ids of these snapshots.
    kept
        Number of snapshots that remain.
    freed
        Objects that garbage collection removed, by kind, and their `bytes`. Of a dry run, the
        manifests that only expired snapshots need.
    """

    older_than: datetime
    expired: tuple[str, ...]
    kept: int
    freed: Mapping[str, int] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            "older_than": self.older_than.isoformat(),
            "expired": list(self.expired),
            "kept": self.kept,
            "freed": dict(self.freed),
        }


def tag(
    repo: Location | Repository,
    name: str,
    *,
    version: str = "main",
    delete: bool = False,
    dry_run: bool = False,
) -> Tag:
    """Name a snapshot, so that readers find it, and expiry keeps it.

    Parameters
    ----------
    repo
        The repository, or its location.
    name
        Name of the tag. A name that was deleted cannot be used again.
    version
        A branch, whose newest snapshot is tagged, another tag, or the id of a snapshot.
    delete
        Remove the tag instead; its snapshot remains until it is expired.
    dry_run
        Change nothing. Only a commit finds that a tag of this name was deleted.

    Raises
    ------
    RepositoryError
        With kind `conflict`: there is, or was, a tag of this name. With kind `not-found`: there is
        no such version, or no tag to delete.
    """
    repository = _open(repo)
    with icechunk_errors(repo), locked(local_folder(repository.storage)):
        if delete:
            found = Tag(name=name, snapshot_id=snapshot_of(repository, name, only="tag"))
            if not dry_run:
                repository.delete_tag(name)
            return found
        snapshot = snapshot_of(repository, version)
        if not name.strip() or "/" in name:
            raise InvalidOptionError(f"{name!r} cannot be the name of a tag.")
        if dry_run and name in repository.list_tags():
            raise _taken(repo, name)
        try:
            if not dry_run:
                repository.create_tag(name, snapshot)
        except icechunk.AlreadyExistsError as error:
            raise _taken(repo, name) from error
        except icechunk.IcechunkError as error:
            if "tag" in str(error).lower() and "exist" in str(error).lower():
                raise _taken(repo, name) from error
            raise
    return Tag(name=name, snapshot_id=snapshot)


def _taken(repo: Location | Repository, name: str) -> RepositoryError:
    return RepositoryError(
        f"there is, or was, a tag {name!r}.",
        kind=ErrorKind.CONFLICT,
        url=_text(repo),
        remedy="Use another name: what a tag names never changes.",
    )


def rollback(
    repo: Location | Repository, to: str, *, branch: str = "main", dry_run: bool = False
) -> Rollback:
    """Set a branch to an earlier snapshot.

    What was committed later remains in the repository until it is expired: setting the branch to
    `before` of the result undoes it.

    Parameters
    ----------
    repo
        The repository, or its location.
    to
        A tag, or the id of a snapshot.
    branch
        Branch to set.
    dry_run
        Say what would be undone, and change nothing.

    Raises
    ------
    RepositoryError
        With kind `not-found`: there is no such version or branch. With kind `conflict`: another
        writer committed meanwhile.
    """
    repository = _open(repo)
    with icechunk_errors(repo), locked(local_folder(repository.storage)):
        before = snapshot_of(repository, branch, only="branch")
        after = snapshot_of(repository, to)
        undone = []
        history = {snapshot.id for snapshot in repository.ancestry(snapshot_id=after)}
        for snapshot in repository.ancestry(branch=branch):
            if snapshot.id in history:
                break
            undone.append(commit_of(snapshot))
        if before != after and not dry_run:
            repository.reset_branch(branch, after, from_snapshot_id=before)
    return Rollback(branch=branch, before=before, after=after, undone=tuple(undone))


def expire(
    repo: Location | Repository,
    older_than: datetime | timedelta | str,
    *,
    collect: bool = True,
    dry_run: bool = False,
) -> Expiry:
    """Forget old snapshots, and remove the objects that only they need.

    Snapshots at which a branch or a tag is are kept, however old. Sources are not touched.

    Parameters
    ----------
    repo
        The repository, or its location.
    older_than
        A time (UTC if it has no zone), an age, or text such as `30d`, `12h` or `2024-06-01`.
    collect
        Whether to remove objects. They have to be older, too, so that those of commits under way
        remain.
    dry_run
        Say what would be expired and freed, and change nothing.

    Raises
    ------
    InvalidOptionError
        `older_than` is neither a time nor an age, or is in the future.
    """
    time = _as_time(older_than)
    repository = _open(repo)
    with icechunk_errors(repo), locked(local_folder(repository.storage)):
        reachable = {s.id: s for s in _reachable(repository)}
        tips = {repository.lookup_branch(name) for name in repository.list_branches()}
        tips |= {repository.lookup_tag(name) for name in repository.list_tags()}
        expired = [
            snapshot.id
            for snapshot in reachable.values()
            if snapshot.parent_id is not None
            and snapshot.id not in tips
            and snapshot.written_at < time
        ]
        kept = reachable.keys() - set(expired)
        if dry_run:
            freed = _only_in(repository, expired, kept)
        else:
            if expired:
                repository.expire_snapshots(time)
            freed = _collect(repository, time) if collect else {}
    return Expiry(older_than=time, expired=tuple(expired), kept=len(kept), freed=freed)


def _collect(repository: Repository, time: datetime) -> dict[str, int]:
    summary = repository.garbage_collect(time)
    return {
        "snapshots": summary.snapshots_deleted,
        "manifests": summary.manifests_deleted,
        "chunks": summary.chunks_deleted,
        "transaction_logs": summary.transaction_logs_deleted,
        "bytes": summary.bytes_deleted,
    }


def _only_in(repository: Repository, expired: Sequence[str], kept: set[str]) -> dict[str, int]:
    """Count the manifests that only expired snapshots need."""
    if not expired:
        return {"snapshots": 0, "manifests": 0, "bytes": 0}
    found: dict[str, int] = {}
    for snapshot in expired:
        found |= {m.id: m.size_bytes for m in repository.list_manifest_files(snapshot)}
    for snapshot in kept:
        for manifest in repository.list_manifest_files(snapshot):
            found.pop(manifest.id, None)
    return {"snapshots": len(expired), "manifests": len(found), "bytes": sum(found.values())}


def _reachable(repository: Repository) -> Iterator[Any]:
    """Yield the snapshots of all branches and tags, some of them more than once."""
    for branch in sorted(repository.list_branches()):
        yield from repository.ancestry(branch=branch)
    for name in sorted(repository.list_tags()):
        yield from repository.ancestry(tag=name)


def _as_time(older_than: datetime | timedelta | str) -> datetime:
    now = datetime.now(UTC)
    if isinstance(older_than, str):
        older_than = _parsed(older_than)
    if isinstance(older_than, timedelta):
        older_than = now - older_than
    if older_than.tzinfo is None:
        older_than = older_than.replace(tzinfo=UTC)
    if older_than > now:
        raise InvalidOptionError(
            f"{older_than:%Y-%m-%d %H:%M:%S} is in the future.",
            remedy="Name a time before now, or an age such as 30d.",
        )
    return older_than.astimezone(UTC)


def _parsed(text: str) -> datetime | timedelta:
    units = {"d": "days", "h": "hours", "w": "weeks", "m": "minutes"}
    if text[-1:] in units and text[:-1].isdecimal():
        return timedelta(**{units[text[-1]]: int(text[:-1])})
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidOptionError(
            f"{text!r} is neither a time nor an age.",
            remedy="Write an age such as 30d or 12h, or a date such as 2024-06-01.",
        ) from error


def _open(repo: Location | Repository) -> Repository:
    return repo if isinstance(repo, icechunk.Repository) else open_repository(repo)


def _text(repo: Location | Repository) -> str:
    return text_of(repo.storage if isinstance(repo, icechunk.Repository) else repo)
