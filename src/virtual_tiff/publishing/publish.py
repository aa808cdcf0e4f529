"""Publish TIFFs: each file a group of an Icechunk repository, all in one commit."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import icechunk
import numpy as np

from virtual_tiff.errors import ErrorKind, InvalidOptionError, SourcesError, VirtualTIFFError
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.parser import _run as run
from virtual_tiff.plan import ArrayPlan, GroupPlan
from virtual_tiff.publishing.containers import containers_for
from virtual_tiff.publishing.locations import (
    check_group_names,
    chunk_checksum,
    group_names,
    source_url,
)
from virtual_tiff.publishing.repository import Location
from virtual_tiff.publishing.stores import AddressRegistry, check_access, default_registry
from virtual_tiff.publishing.target import Progress, Stage, Target

if TYPE_CHECKING:
    from obspec_utils.registry import ObjectStoreRegistry

type Sources = str | os.PathLike[str] | Iterable[str | os.PathLike[str]]
type Names = Sequence[str] | Callable[[str], str]

#: Headers in flight at once unless more are asked for.
DEFAULT_CONCURRENCY = 64
#: Groups that a commit message names.
_NAMED = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishResult:
    """What was published.

    Parameters
    ----------
    snapshot_id, branch
        The commit, and where it was made.
    groups
        Address of each file to the path of its group.
    arrays, references
        Arrays, and chunks that point into the files.
    stored
        Chunks whose bytes are in the repository, such as a short last strip.
    containers
        Prefixes that a reader has to authorise.
    copied
        Address of each file that has images no Zarr codec expresses, to the reasons why their
        pixels were copied (`on_unsupported="copy"`).
    unchecked
        Files whose server says neither when they changed nor gives an ETag that can be compared:
        readers will not notice when they do.
    trees
        Those of `groups` that hold groups, which xarray opens as a DataTree.
    """

    snapshot_id: str
    branch: str
    groups: Mapping[str, str]
    arrays: int
    references: int
    stored: int
    containers: tuple[str, ...]
    unchecked: tuple[str, ...]
    copied: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    trees: tuple[str, ...] = ()


def publish(
    sources: Sources,
    repo: Location | icechunk.Repository,
    *,
    parser: VirtualTIFF | None = None,
    registry: ObjectStoreRegistry[Any] | None = None,
    names: Names | None = None,
    message: str | None = None,
    branch: str = "main",
    anonymous: bool = False,
    into_existing: bool = False,
    concurrency: int = DEFAULT_CONCURRENCY,
    progress: Progress | None = None,
) -> PublishResult:
    """Publish TIFFs to an Icechunk repository, without copying their pixels.

    All headers are read before anything is written, and nothing is visible before the one commit
    at the end. Where a file cannot be published, none is, and a repository that was not there is
    not made. Should the storage of a new repository fail after that, an empty one may be left,
    which the next call fills.

    Parameters
    ----------
    sources
        Local paths, or URLs (`file`, `http`, `https`, `s3`, `gs`, `az`, `abfs`).
    repo
        Where the repository is or shall be: a local path, a URL (`file`, `s3`, `gs`, `az`,
        `abfs`), an Icechunk storage, or an open repository.
    parser
        How the files are parsed; `VirtualTIFF()` by default.
    registry
        Stores for the files. By default obstore's, with credentials from the environment.
    names
        Paths of the groups: one for each source, or a function of its URL. By default the name
        of each file without its suffix, with as many folders in front as tell files apart.
    message
        Of the commit.
    branch
        To commit to. One that is not there starts where `main` is.
    anonymous
        Read the files without credentials, as for public buckets.
    into_existing
        Add to a repository although this package did not publish what is in it.
    concurrency
        Headers in flight at once.
    progress
        Called as files are done.

    Returns
    -------
    PublishResult
        The snapshot, the groups and what is in them.

    Raises
    ------
    InvalidOptionError
        An argument is wrong; nothing was read.
    RepositoryError
        With kind `repository-exists` (it holds somebody else's data), `not-a-repository`,
        `conflict` (a group is there already, or another writer was faster), or the storage failed.
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
    return run(
        publish_async(
            sources,
            repo,
            parser=parser,
            registry=registry,
            names=names,
            message=message,
            branch=branch,
            anonymous=anonymous,
            into_existing=into_existing,
            concurrency=concurrency,
            progress=progress,
        )
    )


async def publish_async(
    sources: Sources,
    repo: Location | icechunk.Repository,
    *,
    parser: VirtualTIFF | None = None,
    registry: ObjectStoreRegistry[Any] | None = None,
    names: Names | None = None,
    message: str | None = None,
    branch: str = "main",
    anonymous: bool = False,
    into_existing: bool = False,
    concurrency: int = DEFAULT_CONCURRENCY,
    progress: Progress | None = None,
) -> PublishResult:
    """As `publish`, for code that has an event loop."""
    if concurrency < 1:
        raise InvalidOptionError(f"concurrency is {concurrency}, but must be at least 1.")
    urls = _urls(sources)
    paths = _paths(urls, names)
    stores = _registry(urls, registry, anonymous=anonymous)
    target = Target.find(repo, branch)
    await target.check(paths, into_existing=into_existing)
    report = progress or _ignore
    plans = await _read(urls, parser or VirtualTIFF(), stores, concurrency, report)
    containers = containers_for(urls, registry=stores, anonymous=anonymous)
    groups = dict(zip(paths, plans, strict=True))
    written = await target.write(groups, containers, message or _message(paths), report)
    arrays = [
        array for plan in plans for _, group in plan.walk() for array in group.arrays.values()
    ]
    checked = {url for url, plan in zip(urls, plans, strict=True) if _is_checked(plan)}
    return PublishResult(
        snapshot_id=written.snapshot_id,
        branch=branch,
        groups=dict(zip(urls, paths, strict=True)),
        arrays=len(arrays),
        references=sum(int(np.count_nonzero(array.lengths)) for array in arrays),
        stored=sum(len(array.inline) for array in arrays),
        containers=written.containers,
        unchecked=tuple(url for url in urls if url not in checked),
        copied={
            url: reasons
            for url, plan in zip(urls, plans, strict=True)
            if (reasons := _copied(plan))
        },
        trees=tuple(path for path, plan in groups.items() if plan.groups),
    )


def _copied(plan: GroupPlan) -> tuple[str, ...]:
    """Why images of a file were copied."""
    return tuple(
        f"{name}: {array.attributes['copied_because']}"
        for _, group in plan.walk()
        for name, array in group.arrays.items()
        if "copied_because" in array.attributes
    )


def _is_checked(plan: GroupPlan) -> bool:
    """Whether Icechunk can notice a change of the file behind every array."""
    sources = {array.source for array in _arrays(plan) if array.source is not None}
    return all(chunk_checksum(source) is not None for source in sources)


def _arrays(plan: GroupPlan) -> list[ArrayPlan]:
    return [array for _, group in plan.walk() for array in group.arrays.values()]


def _message(paths: Sequence[str]) -> str:
    named = ", ".join(paths[:_NAMED])
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return f"Publish {named}{more}"


def _ignore(stage: Stage, done: int, total: int) -> None:
    """Stand in for a progress that nobody asked for."""


def _urls(sources: Sources) -> list[str]:
    several = [sources] if isinstance(sources, str | os.PathLike) else list(sources)
    if not several:
        raise InvalidOptionError(
            "there is nothing to publish.",
            kind=ErrorKind.NO_SOURCES,
            remedy="Name at least one TIFF.",
        )
    return [source_url(source) for source in several]


def _paths(urls: Sequence[str], names: Names | None) -> Sequence[str]:
    if names is None:
        return group_names(urls)
    paths = [names(url) for url in urls] if callable(names) else list(names)
    check_group_names(paths, urls)
    return paths


def _registry(
    urls: Sequence[str], registry: ObjectStoreRegistry[Any] | None, *, anonymous: bool
) -> AddressRegistry:
    if registry is not None:
        return AddressRegistry(registry)
    stores = default_registry(urls, anonymous=anonymous)
    if not anonymous:
        check_access(urls)
    return stores


async def _read(
    urls: Sequence[str],
    parser: VirtualTIFF,
    registry: AddressRegistry,
    concurrency: int,
    progress: Progress,
) -> list[GroupPlan]:
    """Plan all files, so many at once.

    Raises
    ------
    VirtualTIFFError
        What went wrong with the one file, or with all of several.
    """
    plans: dict[int, GroupPlan] = {}
    errors: dict[int, VirtualTIFFError] = {}
    pending = iter(enumerate(urls))

    async def work() -> None:
        for position, url in pending:
            try:
                plans[position] = await parser.plan_async(url, registry)
            except VirtualTIFFError as error:
                errors[position] = error
            progress("read", len(plans) + len(errors), len(urls))

    async with asyncio.TaskGroup() as group:
        for _ in range(min(concurrency, len(urls))):
            group.create_task(work())
    if len(errors) > 1:
        raise SourcesError.of([errors[i] for i in sorted(errors)], len(urls))
    for error in errors.values():
        raise error
    return [plans[i] for i in range(len(urls))]
