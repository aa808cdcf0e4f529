"""Archives: publish an inventory as one cube or as a tree of them, and append to a cube later.

The repository is changed by single commits. Whoever is killed before the commit has changed
nothing, and the same call does the whole work again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any, Unpack

import icechunk
import pyarrow as pa
import pyarrow.compute as pc

from virtual_tiff.choices import OnFailed, OnPresent, OutOfOrder, check_choice
from virtual_tiff.cubes.grouping import checked_group, group_paths, is_template
from virtual_tiff.cubes.placing import stackable
from virtual_tiff.cubes.plan import CubePlan
from virtual_tiff.cubes.stack import CubeOptions, plan_cube
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.operations.inputs import as_inventory, checked
from virtual_tiff.operations.options import CubeArguments
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.names import check_apart
from virtual_tiff.publishing.commit import (
    Action,
    check_ours,
    commit,
    ensure_repository,
    icechunk_errors,
    reopen,
    with_splitting,
)
from virtual_tiff.publishing.containers import Container, containers_for, prefixes_for
from virtual_tiff.publishing.levels import extend_levels, write_levels
from virtual_tiff.publishing.locking import locked
from virtual_tiff.publishing.nesting import check_outside
from virtual_tiff.publishing.repository import Location, add_containers
from virtual_tiff.publishing.target import Target
from virtual_tiff.publishing.written import Added, Written
from virtual_tiff.storage.addresses import checksum_of
from virtual_tiff.storage.run import run

type Repository = icechunk.Repository


@dataclass(frozen=True, slots=True, kw_only=True)
class CubeResult:
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
    containers
        Prefixes of the containers that references need; readers have to authorise them.
    """

    snapshot_id: str | None
    branch: str
    added: Mapping[str, Added]
    failed: int = 0
    unchecked: int = 0
    containers: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """Images that were added, in all groups."""
        return sum(added.images for added in self.added.values())


def publish_cubes(
    sources: object,
    repo: Location | Repository,
    *,
    into_existing: bool = False,
    **options: Unpack[CubeArguments],
) -> CubeResult:
    """Publish images as a cube, or as a tree of cubes, in one commit.

    This is `virtual_tiff.publish` with `layout="stack"`, and documented there.
    """
    job = _job(sources, **options)
    with icechunk_errors(repo), locked(repo):
        target = Target.find(repo, job.branch)
        if target.repository is not None and not into_existing:
            check_ours(target, target.repository)
        if target.repository is not None:
            there = target.repository.readonly_session(branch=target.start)
            run(check_outside(there.store, job.cubes))

        def prepare() -> Repository:
            now = reopen(repo) if isinstance(repo, icechunk.Repository) else repo
            repository = ensure_repository(Target.find(now, job.branch), job.containers)
            return with_splitting(repository, job.cubes)

        def write(session: icechunk.Session) -> dict[str, Written]:
            return {
                path: write_levels(session.store, path, cube, coordinates=job.coordinates)
                for path, cube in job.cubes.items()
            }

        return job.commit(prepare, write, "publish")


def append(
    sources: object,
    repo: Location | Repository,
    *,
    on_present: OnPresent = "raise",
    out_of_order: OutOfOrder = "raise",
    **options: Unpack[CubeArguments],
) -> CubeResult:
    """Add later images to a cube, in one commit.

    Where another writer commits first, the work is planned anew on top of that: both end up in
    the cube, or this one is refused for what the other has added. Nothing is half-done.

    Parameters
    ----------
    sources
        As for `publish`.
    repo
        Of the cube.
    on_present
        Whether to `raise` for an image whose place is taken, or to `skip` it.
    out_of_order
        Whether to `raise` for images before the last of the cube, or to `insert` them where
        they belong, for which references are rewritten.
    **options
        As for `publish` with `layout="stack"`, but for `into_existing`.

    Returns
    -------
    CubeResult
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
    check_choice("on_present", on_present, OnPresent)
    check_choice("out_of_order", out_of_order, OutOfOrder)
    job = _job(sources, **options)
    with icechunk_errors(repo), locked(repo):

        def prepare() -> Repository:
            return add_containers(reopen(repo), job.containers)

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
                for path, cube in job.cubes.items()
            }

        return job.commit(prepare, write, "append")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Job:
    """Cubes to write, and how they are committed."""

    cubes: Mapping[str, CubePlan]
    containers: tuple[Container, ...]
    coordinates: bool
    message: str | None
    branch: str
    executor: Executor | None
    failed: int
    unchecked: int

    def commit(
        self,
        prepare: Callable[[], Repository],
        write: Callable[[icechunk.Session], dict[str, Written]],
        action: Action,
    ) -> CubeResult:
        repositories: list[Repository] = []

        def prepared() -> Repository:
            repositories.append(prepare())
            return repositories[-1]

        snapshot, added = commit(prepared, self.branch, write, action, self.message, self.executor)
        return CubeResult(
            snapshot_id=snapshot,
            branch=self.branch,
            added=added,
            containers=prefixes_for(repositories[-1].config, self.containers),
            failed=self.failed,
            unchecked=self.unchecked,
        )


def _job(
    sources: object,
    *,
    group: str = "",
    options: CubeOptions | None = None,
    on_failed: OnFailed = "raise",
    message: str | None = None,
    branch: str = "main",
    anonymous: bool = False,
    registry: Any | None = None,
    executor: Executor | None = None,
    parser: VirtualTIFF | None = None,
    **scan_options: Any,
) -> _Job:
    """Read and plan all that is to be written; the repository is not touched."""
    group, options = checked_group(group), options or CubeOptions()
    if parser is None and options.overviews:
        parser = VirtualTIFF()
    inventory = as_inventory(
        sources,
        registry=registry,
        anonymous=anonymous,
        executor=executor,
        parser=parser,
        **scan_options,
    )
    failed = checked(inventory, on_failed)
    urls = inventory.images.table["url"].to_pylist()
    return _Job(
        cubes=_planned(inventory, group, options),
        containers=containers_for(urls, registry=registry, anonymous=anonymous),
        coordinates=options.coordinates,
        message=message,
        branch=branch,
        executor=executor,
        failed=failed,
        unchecked=_unchecked(inventory),
    )


def _planned(inventory: Inventory, group: str, options: CubeOptions) -> dict[str, CubePlan]:
    """Plan a cube for each group that a template names.

    Raises
    ------
    InvalidOptionError
        The template names a column that is not there, or a group lies within another.
    """
    if not is_template(group):
        return {group: plan_cube(inventory, options)}
    # All rows, since overviews are found beside their images.
    images = inventory.images
    stackable(images)
    members: dict[str, list[int]] = {}
    for row, path in enumerate(group_paths(images.table, group)):
        members.setdefault(path, []).append(row)
    check_apart({path: images.table["url"][rows[0]].as_py() for path, rows in members.items()})
    return {
        path: plan_cube(Inventory(images.table.take(pa.array(rows))), options)
        for path, rows in members.items()
    }


def _unchecked(inventory: Inventory) -> int:
    table = inventory.images.table.select(["url", "etag", "last_modified"])
    known = pc.is_valid(table["last_modified"]).to_pylist()
    # Only where the time is not known may there be nothing to compare.
    doubtful = table.filter(pc.invert(pc.is_valid(table["last_modified"])))
    if all(known):
        return 0
    return sum(checksum_of(row["url"], row["etag"], None) is None for row in doubtful.to_pylist())
