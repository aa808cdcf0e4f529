"""`publish`: each file as a group of a repository, all in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack, cast

import icechunk
import pyarrow as pa

from virtual_tiff.choices import IFDLayout, OnFailed, OnPresent, check_choice
from virtual_tiff.cubes.grouping import groups_of, is_template
from virtual_tiff.errors import ErrorKind, InvalidOptionError, RepositoryError, joined
from virtual_tiff.inventory.listing import Listing
from virtual_tiff.inventory.source_options import AssetArguments, SourceOptions
from virtual_tiff.inventory.sources import read_sources
from virtual_tiff.inventory.stac.declared import declared_in
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.inventory.url_columns import with_url_columns
from virtual_tiff.operations.batches import batches_of, check_groups, scan_column, to_divide
from virtual_tiff.operations.files import (
    DEFAULT_CONCURRENCY,
    check_unique,
    copied_in,
    failed_in,
    inventory_in,
    no_rows,
    paths_of,
    read_plans,
    sources_in,
)
from virtual_tiff.operations.incremental import Present
from virtual_tiff.operations.options import Names, TreeOptions, check_options, documented
from virtual_tiff.operations.tree import plan_files
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.arrangement import PlanOptions
from virtual_tiff.planning.attributes import plan_notes
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.progress import Progress, no_progress
from virtual_tiff.publishing.commit import commit
from virtual_tiff.publishing.containers import Container, containers_for
from virtual_tiff.publishing.repository import Location
from virtual_tiff.publishing.results import PublishResult, combined
from virtual_tiff.publishing.target import Target
from virtual_tiff.publishing.tree import Tree
from virtual_tiff.storage.run import run
from virtual_tiff.storage.stores import registry_for

if TYPE_CHECKING:
    from obspec_utils.registry import ObjectStoreRegistry

type Repository = icechunk.Repository


@documented(TreeOptions)
def publish(
    sources: object, repo: Location | Repository, **options: Unpack[TreeOptions]
) -> PublishResult:
    """Publish a group for each TIFF to an Icechunk repository, without copying their pixels.

    By default the group of a file holds a dataset for each level of its image: `0` is the full
    resolution with its mask, `1`, `2`, … are overviews. A file of several images has such a group
    for each, named by its directory.

    All headers are read before anything is written, and nothing is visible before the one commit
    at the end. If a file cannot be published, none is, and no repository is created. If the
    storage of a new repository fails later, an empty repository may remain, which the next call
    uses. Images on one grid become a cube with `stack`.

    Parameters
    ----------
    sources
        Local paths, or URLs (`file`, `http`, `https`, `s3`, `gs`, `az`, `abfs`); an `Inventory`,
        or a file of one; or anything else that `scan` accepts. Files of an inventory are not read
        again.
    repo
        Location of the repository, which is created if it does not exist: a local path, a URL
        (`file`, `s3`, `gs`, `az`, `abfs`), an Icechunk storage, or an open repository.
    **options
        See below.

    Returns
    -------
    PublishResult
        The snapshot, and what was added.

    Raises
    ------
    InvalidOptionError
        An argument is invalid; nothing was written.
    RepositoryError
        With kind `repository-exists` (it holds somebody else's data), `not-a-repository`,
        `conflict` (a group is there already, or other writers were faster every time), or the
        storage failed.
    SourceError, InvalidTIFFError, UnsupportedTIFFError
        The one file that cannot be published.
    SourcesError
        The several files that cannot be published.

    Examples
    --------
    >>> from virtual_tiff import publish
    >>> result = publish(["examples/elevation.tif"], "memory")
    >>> list(result.groups.values())
    ['elevation']
    """
    check_options("publish", options, TreeOptions)
    return _publish(sources, repo, **options)


async def publish_async(
    sources: object, repo: Location | Repository, **options: Unpack[TreeOptions]
) -> PublishResult:
    """As `publish`, for code that has an event loop; the commit is made in a thread."""
    check_options("publish_async", options, TreeOptions)
    given: dict[str, Any] = dict(options)
    if given.get("images_per_commit") is not None:
        return await asyncio.to_thread(_publish, sources, repo, **given)
    given.pop("images_per_commit", None)
    return await asyncio.to_thread(await _plan(sources, repo, **given))


def _publish(
    sources: object,
    repo: Location | Repository,
    *,
    images_per_commit: int | None = None,
    **options: Any,
) -> PublishResult:
    """Make one commit; or several, one for each batch of an inventory, and sum them up."""
    if images_per_commit is None:
        return run(_plan(sources, repo, **options))()
    found = to_divide(sources, images_per_commit)
    if options.get("dry_run"):
        return run(_plan(sources, repo, **options))()
    batches = partial(batches_of, found, images_per_commit, options.pop("columns", None))
    if is_template(group := options.get("group", "")):
        check_groups(batches, group)
    else:
        # Names tell files of all batches apart.
        options["names"] = _names_of_all(found, options.get("names"))
    results = [run(_plan(batch, repo, resumes=True, **options))() for batch in batches()]
    if not results:
        raise no_rows()
    return combined(results)


def _names_of_all(sources: Inventory | Sequence[Path], names: Names | None) -> Names:
    """Name the groups of all files of an inventory whose rows of one file follow each other."""
    urls = scan_column(sources, "url").to_pylist()
    files = [url for number, url in enumerate(urls) if not number or url != urls[number - 1]]
    return dict(zip(files, paths_of(files, names, ""), strict=True)).__getitem__


def _commit(
    target: Target,
    tree: Tree,
    containers: tuple[Container, ...],
    failed: Mapping[str, str],
    known: int,
    message: str | None,
    progress: Progress | None,
    dry_run: bool,
) -> PublishResult:
    groups = tree.groups
    result = commit(
        target, [tree], message, containers=containers, progress=progress, dry_run=dry_run
    )
    copied = {url: reasons for url, plan in groups.values() if (reasons := copied_in(plan))}
    notes: dict[str, tuple[str, ...]] = {}
    for path, (_, plan) in groups.items():
        notes |= plan_notes(plan, path)
    return replace(result, failed=failed, copied=copied, notes=notes, known=known)


async def _plan(
    sources: object,
    repo: Location | Repository,
    *,
    group: str = "",
    names: Names | None = None,
    on_failed: OnFailed = "raise",
    columns: Mapping[str, str] | None = None,
    parser: VirtualTIFF | None = None,
    ifd_layout: IFDLayout | None = None,
    registry: ObjectStoreRegistry[Any] | None = None,
    concurrency: int = DEFAULT_CONCURRENCY,
    message: str | None = None,
    branch: str = "main",
    dry_run: bool = False,
    anonymous: bool = False,
    into_existing: bool = False,
    on_present: OnPresent = "raise",
    progress: Progress | None = None,
    resumes: bool = False,
    **named: Unpack[AssetArguments],
) -> Callable[[], PublishResult]:
    """Plan a group for each file, from their rows if they have any; return how to commit them.

    A commit that `resumes` others skips the groups that they have made.
    """
    check_choice("on_failed", on_failed, OnFailed)
    check_choice("on_present", on_present, OnPresent)
    if names is not None and is_template(group):
        raise InvalidOptionError("groups are named by a template or by names, not by both.")
    if concurrency < 1:
        raise InvalidOptionError(f"concurrency is {concurrency}, but must be at least 1.")
    if parser is None:
        parser = VirtualTIFF(ifd_layout=ifd_layout or "multiscale")
    elif ifd_layout is not None:
        parser = replace(parser, ifd_layout=ifd_layout)
    target = Target(repo, branch, into_existing=into_existing)
    inventory = inventory_in(sources)
    if inventory is not None:
        failed = failed_in(inventory, on_failed)
        plans = _from_rows(inventory, parser)
        table = with_url_columns(inventory.images.table, columns)
        names, group = _named(table, group, names)
        paths = dict(zip(plans, paths_of(list(plans), names, group), strict=True))
        own = group if names is None else None
        looked = "replace" if resumes and on_present == "raise" else on_present
        present = await asyncio.to_thread(Present.find, target, paths, own, looked)
        await asyncio.to_thread(target.check, present.free)
        stores, known = registry, set[str]()
    else:
        known_now: Listing = {}
        found = read_sources(
            sources,
            SourceOptions.of(named),
            registry=registry,
            anonymous=anonymous,
            listing=known_now,
        )
        urls = found["url"].to_pylist()
        names, group = _named(with_url_columns(found, columns), group, names)
        check_unique(urls)
        paths = dict(zip(urls, paths_of(urls, names, group), strict=True))
        stores = registry_for(urls, registry, anonymous=anonymous)
        own = group if names is None else None
        present = await asyncio.to_thread(
            Present.find, target, paths, own, on_present, not parser.sidecars
        )
        await asyncio.to_thread(target.check, present.free)
        known = present.known(known_now)
        plans, errors = await read_plans(
            [url for url in urls if url not in known],
            parser,
            stores,
            concurrency,
            progress or no_progress,
            declared_in(found),
        )
        if errors and not (on_failed == "skip" and (plans or known)):
            raise joined(list(errors.values()), len(urls))
        failed = {url: error.text for url, error in errors.items()}
    needed = dict.fromkeys([*plans, *sources_in(plans.values())])
    groups, replaced = present.groups(plans)
    if replaced and on_present == "raise":
        raise RepositoryError(
            f"the group {min(replaced)!r} is there, of an earlier version of this file.",
            kind=ErrorKind.CONFLICT,
            url=groups[min(replaced)][0],
            remedy='Pass on_present="replace" to renew it.',
        )
    containers = containers_for(needed, registry=stores, anonymous=anonymous)
    known |= plans.keys() - {url for url, _ in groups.values()}
    tree = Tree(groups, replaced)
    return partial(
        _commit, target, tree, containers, failed, len(known), message, progress, dry_run
    )


def _named(table: pa.Table, group: str, names: Names | None) -> tuple[Names | None, str]:
    """Names of the groups that a template gives, and the group that holds them."""
    if not is_template(group):
        return names, group
    return cast(Names, groups_of(table, group).__getitem__), ""


def _from_rows(inventory: Inventory, parser: VirtualTIFF) -> dict[str, GroupPlan]:
    if (parser.ifd, parser.bands, parser.band_axis) != (None, None, "first"):
        raise InvalidOptionError(
            "an inventory holds the images, bands and axes that its scan was told to take.",
            remedy="Scan again with these options, or filter the rows.",
        )
    return plan_files(inventory, PlanOptions(parser.ifd_layout, coords=parser.coords))
