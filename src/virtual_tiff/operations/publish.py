"""`publish`: images as cubes along time, or each file as a group; in one commit either way."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal, Unpack, cast, get_args, overload

import icechunk

from virtual_tiff.choices import OnFailed, check_choice
from virtual_tiff.cubes.grouping import group_paths, is_template
from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.files import file_urls
from virtual_tiff.inventory.sources import SourceOptions, read_sources
from virtual_tiff.inventory.table import Inventory
from virtual_tiff.operations.cubes import CubeResult, publish_cubes
from virtual_tiff.operations.files import Names, PublishResult, publish_files, publish_plans
from virtual_tiff.operations.inputs import checked, inventory_in
from virtual_tiff.operations.options import Layout, StackOptions, TreeOptions
from virtual_tiff.operations.tree import plan_files
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.arrangement import PlanOptions
from virtual_tiff.publishing.repository import Location
from virtual_tiff.storage.run import run

type Repository = icechunk.Repository


@overload
def publish(
    sources: object,
    repo: Location | Repository,
    *,
    layout: Literal["tree"] = "tree",
    **options: Unpack[TreeOptions],
) -> PublishResult: ...


@overload
def publish(
    sources: object,
    repo: Location | Repository,
    *,
    layout: Literal["stack"],
    **options: Unpack[StackOptions],
) -> CubeResult: ...


def publish(
    sources: object,
    repo: Location | Repository,
    *,
    layout: Layout = "tree",
    **options: Any,
) -> PublishResult | CubeResult:
    r"""Publish TIFFs to an Icechunk repository, without copying their pixels.

    All headers are read before anything is written, and nothing is visible before the one commit
    at the end. Where a file cannot be published, none is, and a repository that was not there is
    not made. Should the storage of a new repository fail after that, an empty one may be left,
    which the next call fills.

    Parameters
    ----------
    sources
        Local paths, or URLs (`file`, `http`, `https`, `s3`, `gs`, `az`, `abfs`); an `Inventory`,
        or a file of one; or anything else that `scan` takes. What an inventory says is not read
        again.
    repo
        Where the repository is or shall be: a local path, a URL (`file`, `s3`, `gs`, `az`,
        `abfs`), an Icechunk storage, or an open repository.
    layout
        `tree`: a group for each file, however unlike they are. `stack`: images on one grid become
        a cube, with an array for each variable, along time or another column.

    Other Parameters
    ----------------
    group : str
        Path of a group. Of a tree, the one that holds those of the files; of a stack, the one of
        the cube; empty for the root. With names of columns in braces, such as
        `sentinel2/{tile}`, the path of the group of each file, or a cube for each value; `{stem}`
        is the name of a file without its suffix, and `{datetime:%Y}` a year.
    message : str
        Of the commit.
    branch : str
        To commit to, `main` by default. One that is not there starts where `main` is.
    anonymous : bool
        Read the files without credentials, as for public buckets.
    into_existing : bool
        Add to a repository although this package did not publish what is in it.
    registry : ObjectStoreRegistry
        Stores for the files. By default obstore's, with credentials from the environment.
    on_failed : {"raise", "skip"}
        What to do about files that could not be read, in an inventory or now: publish nothing,
        or leave them out.
    parser : VirtualTIFF
        How the files are parsed. By default all images of a file for a tree, and the first for a
        stack. With an inventory, only its `ifd_layout` and `coords` matter.
    names : sequence of str, or callable
        Of a tree: paths of the groups, one for each file, or a function of its URL. By default
        the name of each file without its suffix, with as many folders in front as tell files
        apart.
    concurrency : int
        Headers in flight at once.
    progress : callable
        Called as files are done; of a tree with the stage, of a stack as by `scan`.
    options : CubeOptions
        Of a stack: coordinate, variables, overviews.
    executor : concurrent.futures.Executor
        Of a stack: any executor, or a Dask client, to share the scan and the writing of
        references; the repository must not be in memory then.
    url_column : str
        Column of a table that holds URLs, as for `scan`.
    assets : sequence of str
        Assets of STAC Items to take, as for `scan`.
    datetime_column : str
        Of a stack, as are the next three: column of a table, or property of STAC Items, that
        holds the time.
    datetime_pattern : str
        Finds the time in a URL, as for `scan`.
    datetime_tag : bool
        Whether the TIFF's DateTime is the time, as for `scan`.
    checkpoint : str or path
        Folder that lets an interrupted scan go on.

    Returns
    -------
    PublishResult or CubeResult
        Of a tree, or of a stack: the snapshot, and what is in it.

    Raises
    ------
    InvalidOptionError
        An argument is wrong; nothing was written.
    MismatchError
        Images that cannot share an array; names the first, and what to do.
    RepositoryError
        With kind `repository-exists` (it holds somebody else's data, or such a cube),
        `not-a-repository`, `conflict` (a group is there already, or another writer was faster),
        or the storage failed.
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
    >>> names = "examples/reflectance_*_red.tif"
    >>> cube = publish(names, "cube", layout="stack", datetime_pattern=r"_(\d{8})_")
    >>> cube.images
    3
    """
    _check(layout, options)
    if layout == "stack":
        return publish_cubes(sources, repo, **options)
    return run(_publish_tree(sources, repo, **options))


@overload
async def publish_async(
    sources: object,
    repo: Location | Repository,
    *,
    layout: Literal["tree"] = "tree",
    **options: Unpack[TreeOptions],
) -> PublishResult: ...


@overload
async def publish_async(
    sources: object,
    repo: Location | Repository,
    *,
    layout: Literal["stack"],
    **options: Unpack[StackOptions],
) -> CubeResult: ...


async def publish_async(
    sources: object,
    repo: Location | Repository,
    *,
    layout: Layout = "tree",
    **options: Any,
) -> PublishResult | CubeResult:
    """As `publish`, for code that has an event loop; a stack is made in a thread."""
    _check(layout, options)
    if layout == "stack":
        return await asyncio.to_thread(publish_cubes, sources, repo, **options)
    return await _publish_tree(sources, repo, **options)


def _check(layout: str, options: Mapping[str, object]) -> None:
    if layout not in get_args(Layout.__value__):
        raise InvalidOptionError(
            f"layout is {layout!r}, but must be 'tree' or 'stack'.",
            remedy="How the images of one file are laid out is ifd_layout, of VirtualTIFF.",
        )
    known = (TreeOptions if layout == "tree" else StackOptions).__optional_keys__
    for name in options:
        if name not in known:
            raise TypeError(f"publish() has no option {name!r} with layout={layout!r}")


async def _publish_tree(
    sources: object,
    repo: Location | Repository,
    *,
    group: str = "",
    names: Names | None = None,
    on_failed: OnFailed = "raise",
    url_column: str = "url",
    assets: Sequence[str] | None = None,
    parser: VirtualTIFF | None = None,
    registry: Any | None = None,
    concurrency: int | None = None,
    **options: Any,
) -> PublishResult:
    """Publish a group for each file: from their rows if they have any, else from the files."""
    if names is not None and is_template(group):
        raise InvalidOptionError("groups are named by a template or by names, not by both.")
    inventory = inventory_in(sources)
    if inventory is not None:
        return await _publish_rows(
            inventory, repo, group, names, on_failed, parser, registry=registry, **options
        )
    check_choice("on_failed", on_failed, OnFailed)
    if concurrency is not None:
        options["concurrency"] = concurrency
    anonymous = bool(options.get("anonymous"))
    if is_template(group):
        of = SourceOptions(url_column=url_column, assets=None if assets is None else tuple(assets))
        found = read_sources(sources, of, registry=registry, anonymous=anonymous)
        urls = found["url"].to_pylist()
        names, group = group_paths(found, group), ""
    else:
        urls = file_urls(
            sources,
            registry=registry,
            anonymous=anonymous,
            url_column=url_column,
            assets=assets,
        )
    return await publish_files(
        urls,
        repo,
        group=group,
        names=names,
        parser=parser,
        registry=registry,
        skip_failed=on_failed == "skip",
        **options,
    )


async def _publish_rows(
    inventory: Inventory,
    repo: Location | Repository,
    group: str,
    names: Names | None,
    on_failed: OnFailed,
    parser: VirtualTIFF | None,
    **options: Any,
) -> PublishResult:
    checked(inventory, on_failed)
    parser = parser or VirtualTIFF()
    if (parser.ifd, parser.bands, parser.band_axis) != (None, None, "first"):
        raise InvalidOptionError(
            "an inventory holds the images, bands and axes that its scan was told to take.",
            remedy="Scan again with these options, or filter the rows.",
        )
    plans = plan_files(inventory, PlanOptions(parser.ifd_layout, coords=parser.coords))
    if is_template(group):
        table = inventory.images.table
        of_url = dict(zip(table["url"].to_pylist(), group_paths(table, group), strict=True))
        names, group = cast(Names, of_url.__getitem__), ""
    result = await publish_plans(plans, repo, group=group, names=names, **options)
    failed = {row["url"]: row["error"] for row in inventory.failed.to_pylist()}
    return replace(result, failed=failed)
