"""List the commits of a repository."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import icechunk

from virtual_tiff.json_type import JSON
from virtual_tiff.messages import redacted
from virtual_tiff.publishing.repository import Location, icechunk_errors, open_repository


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
    """

    snapshot_id: str
    time: datetime
    message: str
    action: str | None
    groups: int
    added: dict[str, dict[str, JSON]]

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
        }


def log(repo: Location | icechunk.Repository, *, branch: str = "main") -> list[Commit]:
    """List the commits of a branch, the newest first.

    Parameters
    ----------
    repo
        The repository, or its location.
    branch
        Branch to list.

    Raises
    ------
    RepositoryError
        There is no repository, or no such branch.
    """
    repository = repo if isinstance(repo, icechunk.Repository) else open_repository(repo)
    with icechunk_errors(repo):
        snapshots = list(repository.ancestry(branch=branch))
    # The first snapshot of every repository has no parent and holds nothing.
    return [_commit(snapshot) for snapshot in snapshots if snapshot.parent_id is not None]


def _commit(snapshot: Any) -> Commit:
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
