"""Archives: publish an inventory as one cube or as a tree of them, and append to a cube later.

The repository is changed by single commits. Whoever is killed before the commit has changed
nothing, and the same call does the whole work again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import icechunk
import pyarrow.compute as pc

from virtual_tiff.archive.committing import (
    check_ours,
    commit,
    fresh,
    icechunk_errors,
    locked,
    ready,
    with_splitting,
)
from virtual_tiff.archive.cube_plan import CubePlan
from virtual_tiff.archive.fitting import OnPresent, OutOfOrder
from virtual_tiff.archive.inventory import COLUMNS, Inventory
from virtual_tiff.archive.levels import extend_levels, write_levels
from virtual_tiff.archive.placing import stackable
from virtual_tiff.archive.scanning import scan
from virtual_tiff.archive.stack import CubeOptions, plan_cube
from virtual_tiff.archive.written import Added, Written
from virtual_tiff.errors import ErrorKind, InvalidOptionError, VirtualTIFFError
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.publishing.containers import containers_for
from virtual_tiff.publishing.locations import checksum_of
from virtual_tiff.publishing.repository import Location, add_containers
from virtual_tiff.publishing.target import Target

type Repository = icechunk.Repository
type OnFailed = Literal["raise", "skip"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveResult:
    """What was committed.

    Parameters
    ----------
    snapshot_id
        The commit; `None` if there was nothing to commit.
    branch
        Where it was made.
    added
        By path of the group.
    failed
        Rows of the inventory that were left out, since they could not be read.
    unchecked
        Files whose server says nothing that shows when they change.
    """

    snapshot_id: str | None
    branch: str
    added: Mapping[str, Added]
    failed: int = 0
    unchecked: int = 0

    @property
    def images(self) -> int:
        """Images that were added, in all groups."""
        return sum(added.images for added in self.added.values())


def publish_cubes(
    sources: object,
    repo: Location | Repository,
    *,
    group: str = "",
    options: CubeOptions | None = None,
    on_failed: OnFailed = "raise",
    message: str | None = None,
    branch: str = "main",
    anonymous: bool = False,
    into_existing: bool = False,
    registry: Any | None = None,
    executor: Executor | None = None,
    **scan_options: Any,
) -> ArchiveResult:
    """Publish images as a cube, or as a tree of cubes, in one commit.

    Parameters
    ----------
    sources
        An `Inventory`, a file of one, or anything that `scan` takes.
    repo
        Where the repository is or shall be; see `virtual_tiff.publish`.
    group
        Path of the group of the cube; empty for the root. With names of columns in braces, such
        as `sentinel2/{tile}`, images go into a cube for each value; `{stem}` is the name of the
        file without its suffix.
    options
        How images are stacked.
    on_failed
        Whether to `raise` for a row with an error, or to `skip` it.
    message
        Of the commit.
    branch
        To commit to. One that is not there starts where `main` is.
    anonymous
        Read the files without credentials, as for public buckets.
    into_existing
        Add to a repository although this package did not publish what is in it.
    registry, **scan_options
        For `scan`, if `sources` is not an inventory.
    executor
        Any `concurrent.futures` executor, or a Dask client, to share the scan and the writing of
        references; the repository must not be in memory then.

    Returns
    -------
    ArchiveResult
        The commit, and what is in it.

    Raises
    ------
    MismatchError
        Images that cannot share an array; names the first, and what to do.
    InvalidOptionError
        An argument is wrong.
    RepositoryError
        An array is there already (kind `repository-exists`), or the repository cannot be written.
    SourceError, InvalidTIFFError, UnsupportedTIFFError
        A file that could not be read.
    """
    options = options or CubeOptions()
    if options.overviews:
        scan_options.setdefault("parser", VirtualTIFF())
    inventory = as_inventory(sources, registry=registry, executor=executor, **scan_options)
    failed = checked(inventory, on_failed)
    cubes = planned(inventory, group, options)
    urls = inventory.images.table["url"].to_pylist()
    containers = containers_for(urls, registry=registry, anonymous=anonymous)
    with icechunk_errors(repo), locked(repo):
        target = Target.find(repo, branch)
        if target.repository is not None and not into_existing:
            check_ours(target, target.repository)

        def prepare() -> Repository:
            now = fresh(repo) if isinstance(repo, icechunk.Repository) else repo
            return with_splitting(ready(Target.find(now, branch), containers), cubes)

        def write(session: icechunk.Session) -> dict[str, Written]:
            return {
                path: write_levels(session.store, path, cube, coordinates=options.coordinates)
                for path, cube in cubes.items()
            }

        snapshot, added = commit(prepare, branch, write, "publish", message, executor)
    return ArchiveResult(
        snapshot_id=snapshot,
        branch=branch,
        added=added,
        failed=failed,
        unchecked=_unchecked(inventory),
    )


def append(
    sources: object,
    repo: Location | Repository,
    *,
    group: str = "",
    options: CubeOptions | None = None,
    on_present: OnPresent = "raise",
    out_of_order: OutOfOrder = "raise",
    on_failed: OnFailed = "raise",
    message: str | None = None,
    branch: str = "main",
    anonymous: bool = False,
    registry: Any | None = None,
    executor: Executor | None = None,
    **scan_options: Any,
) -> ArchiveResult:
    """Add later images to a cube, in one commit.

    Where another writer commits first, the work is planned anew on top of that: both end up in
    the cube, or this one is refused for what the other has added. Nothing is half-done.

    Parameters
    ----------
    sources, group, options, on_failed, message, branch, anonymous, registry, executor
        As for `publish_cubes`, and so are the options of the scan.
    repo
        Of the cube.
    on_present
        Whether to `raise` for an image whose place is taken, or to `skip` it.
    out_of_order
        Whether to `raise` for images before the last of the cube, or to `insert` them where
        they belong, for which references are rewritten.

    Returns
    -------
    ArchiveResult
        With `snapshot_id` `None` if all images were there and are skipped.

    Raises
    ------
    MismatchError
        Images that do not fit the cube.
    InvalidOptionError
        With kind `duplicate` if images are there already.
    RepositoryError
        There is no such cube; or with kind `conflict`, other writers were faster every time.
    """
    options = options or CubeOptions()
    if options.overviews:
        scan_options.setdefault("parser", VirtualTIFF())
    inventory = as_inventory(sources, registry=registry, executor=executor, **scan_options)
    failed = checked(inventory, on_failed)
    cubes = planned(inventory, group, options)
    urls = inventory.images.table["url"].to_pylist()
    containers = containers_for(urls, registry=registry, anonymous=anonymous)
    with icechunk_errors(repo), locked(repo):

        def prepare() -> Repository:
            return add_containers(fresh(repo), containers)

        def write(session: icechunk.Session) -> dict[str, Written]:
            return {
                path: extend_levels(
                    session.store,
                    path,
                    cube,
                    session=session,
                    on_present=on_present,
                    out_of_order=out_of_order,
                )
                for path, cube in cubes.items()
            }

        snapshot, added = commit(prepare, branch, write, "append", message, executor)
    return ArchiveResult(
        snapshot_id=snapshot,
        branch=branch,
        added=added,
        failed=failed,
        unchecked=_unchecked(inventory),
    )


def as_inventory(sources: object, **scan_options: Any) -> Inventory:
    """Take an inventory as it is, read it from a file, or make it by a scan."""
    if isinstance(sources, Inventory):
        return sources
    if isinstance(sources, str | os.PathLike):
        path = Path(sources)
        if path.suffix in (".parquet", ".geoparquet") and path.is_file():
            import pyarrow.parquet as pq

            if set(pq.read_schema(path).names) >= COLUMNS:
                return Inventory.read(path)
    return scan(sources, **scan_options)


def checked(inventory: Inventory, on_failed: OnFailed) -> int:
    """Count the rows with an error, and raise for them unless they are to be skipped.

    Raises
    ------
    VirtualTIFFError
        With the kind of the first of them.
    """
    if on_failed not in get_args(OnFailed.__value__):
        raise InvalidOptionError(f"on_failed is {on_failed!r}, but must be 'raise' or 'skip'.")
    failed = inventory.failed
    if failed.num_rows and on_failed == "raise":
        first = failed.slice(0, 1).to_pylist()[0]
        raise VirtualTIFFError(
            f"{failed.num_rows} of {len(inventory)} images could not be read, first this: "
            f"{first['error']}",
            kind=ErrorKind(first["error_kind"]),
            url=first["url"],
            remedy='Scan again, or pass on_failed="skip" to leave them out.',
        )
    return int(failed.num_rows)


def planned(inventory: Inventory, group: str, options: CubeOptions) -> dict[str, CubePlan]:
    """Plan a cube for each group that a template names.

    Raises
    ------
    InvalidOptionError
        The template names a column that is not there, or a group lies within another.
    """
    names = re.findall(r"\{([^{}]*)\}", group)
    if not names:
        return {group.strip("/"): plan_cube(inventory, options)}
    images = stackable(inventory)
    paths = _paths(images, group, names)
    members: dict[str, list[bool]] = {}
    for path in dict.fromkeys(paths):
        members[path] = [other == path for other in paths]
    for path in members:
        for other in members:
            if other.startswith(f"{path}/"):
                raise InvalidOptionError(
                    f"group {other!r} would lie within the cube {path!r}.",
                    remedy="Name groups with a template of constant depth.",
                )
    return {path: plan_cube(images.filter(mask), options) for path, mask in members.items()}


def _paths(images: Inventory, group: str, names: Sequence[str]) -> list[str]:
    table = images.table
    columns: dict[str, list[str]] = {}
    for name in names:
        if name == "stem":
            urls = table["url"].to_pylist()
            columns[name] = [url.rsplit("/", 1)[-1].rsplit(".", 1)[0] for url in urls]
        elif name in table.column_names:
            columns[name] = [str(value) for value in table[name].to_pylist()]
        else:
            raise InvalidOptionError(
                f"there is no column {name!r} for the group.",
                remedy=f"Use stem, or one of: {', '.join(images.own_columns) or 'none'}.",
            )
    rows = zip(*columns.values(), strict=True)
    keys = list(columns)
    return [_filled(group, dict(zip(keys, row, strict=True))) for row in rows]


def _filled(group: str, values: Mapping[str, str]) -> str:
    text = group
    for name, value in values.items():
        text = text.replace(f"{{{name}}}", value.replace("/", "_"))
    return text.strip("/")


def _unchecked(inventory: Inventory) -> int:
    table = inventory.images.table.select(["url", "etag", "last_modified"])
    known = pc.is_valid(table["last_modified"]).to_pylist()
    # Only where the time is not known may there be nothing to compare.
    doubtful = table.filter(pc.invert(pc.is_valid(table["last_modified"])))
    if all(known):
        return 0
    return sum(checksum_of(row["url"], row["etag"], None) is None for row in doubtful.to_pylist())
