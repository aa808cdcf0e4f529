"""`remove`: images out of cubes and trees, in one commit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import icechunk

from virtual_tiff.audit.history import snapshot_of
from virtual_tiff.operations.selecting import selection
from virtual_tiff.planning.names import group_path
from virtual_tiff.publishing.commit import commit
from virtual_tiff.publishing.removal.part import Removal
from virtual_tiff.publishing.repository import Location, icechunk_errors, open_repository
from virtual_tiff.publishing.results import PublishResult
from virtual_tiff.publishing.target import Target


def remove(
    urls: str | Sequence[str],
    repo: Location | icechunk.Repository,
    *,
    before: datetime | str | None = None,
    where: str | Sequence[str] = (),
    group: str = "",
    branch: str = "main",
    message: str | None = None,
    dry_run: bool = False,
) -> PublishResult:
    r"""Remove images from cubes, and groups of files, in one commit.

    A step of a cube that has no image any more is removed from its axis, and a variable or a cube
    without any image from its group. Other places become gaps, of variables that have a nodata
    value. Files are not touched, and earlier snapshots keep the images.

    Parameters
    ----------
    urls
        Addresses of the files, as they were published, or patterns with `*`; may be empty if
        `before` or `where` say which.
    repo
        The repository, or its location.
    before
        Only images with a time before this one, in UTC if it has no offset.
    where
        Conditions such as `tile=33UVP` or `time>=2024-06-01`, all of which have to hold: axes of a
        cube, `variable`, and the columns `url`, `array`, `ifd`, `band`, `size` and `etag` of the
        table of sources. With `=` and `!=`, `*` stands for any text. A date stands for its whole
        day; times are in UTC if they have no offset.
    group
        Only images in this group, or below it.
    branch
        Branch to commit to.
    message
        Of the commit.
    dry_run
        Say what would be removed, and commit nothing.

    Returns
    -------
    PublishResult
        What was removed from each group; with `snapshot_id` `None` if nothing was.

    Raises
    ------
    InvalidOptionError
        The repository has no image of a file that is named, or an argument is wrong.
    MismatchError
        There would be gaps in a variable without a nodata value.
    RepositoryError
        There is no repository, or as for `publish`.

    Examples
    --------
    >>> from virtual_tiff import remove, stack
    >>> names = "examples/reflectance_*_red.tif"
    >>> _ = stack(names, "cube", datetime_pattern=r"_(\d{8})_")
    >>> remove("*0412*", "cube").removed
    1
    """
    named = [urls] if isinstance(urls, str) else list(urls)
    conditions = [where] if isinstance(where, str) else list(where)
    part = Removal(selection(named, before, conditions, group_path(group)))
    target = Target(repo, branch, create=False, into_existing=True)
    repository = open_repository(target.location)
    with icechunk_errors(repo):
        snapshot_of(repository, branch, only="branch")
    if not dry_run:
        return commit(target, [part], message, action="remove")
    with icechunk_errors(repo):
        written = part.write(repository.writable_session(branch))
    added = {each.path: each.added for each in written}
    return PublishResult(snapshot_id=None, branch=branch, added=added)
