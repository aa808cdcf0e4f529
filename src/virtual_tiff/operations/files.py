"""Publish TIFFs: each file a group of an Icechunk repository, all in one commit."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import icechunk
import numpy as np

from virtual_tiff.errors import InvalidOptionError, VirtualTIFFError, joined
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.planning.names import check_group_names, group_names, group_path
from virtual_tiff.planning.plan import GroupPlan
from virtual_tiff.publishing.containers import Container, containers_for
from virtual_tiff.publishing.repository import Location
from virtual_tiff.publishing.target import Progress, Stage, Target
from virtual_tiff.storage.addresses import chunk_checksum
from virtual_tiff.storage.resolve import AddressRegistry
from virtual_tiff.storage.source import Source
from virtual_tiff.storage.stores import registry_for

if TYPE_CHECKING:
    from obspec_utils.registry import ObjectStoreRegistry

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
    failed
        Files that were left out with `on_failed="skip"`, and why.
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
    failed: Mapping[str, str] = field(default_factory=dict)


async def publish_files(
    urls: Sequence[str],
    repo: Location | icechunk.Repository,
    *,
    parser: VirtualTIFF | None = None,
    registry: ObjectStoreRegistry[Any] | None = None,
    names: Names | None = None,
    group: str = "",
    message: str | None = None,
    branch: str = "main",
    anonymous: bool = False,
    into_existing: bool = False,
    skip_failed: bool = False,
    concurrency: int = DEFAULT_CONCURRENCY,
    progress: Progress | None = None,
) -> PublishResult:
    """Publish a group for each file, without copying pixels.

    `urls` are addresses of files, as `virtual_tiff.inventory.files.file_urls` gives them. The
    other parameters, and what is raised, are those of `virtual_tiff.publish`.
    """
    if concurrency < 1:
        raise InvalidOptionError(f"concurrency is {concurrency}, but must be at least 1.")
    paths = _paths(urls, names, group)
    stores = registry_for(urls, registry, anonymous=anonymous)
    target = Target.find(repo, branch)
    await target.check(paths, into_existing=into_existing)
    report = progress or _ignore
    read, errors = await _read(urls, parser or VirtualTIFF(), stores, concurrency, report)
    if errors and not (skip_failed and read):
        raise joined(list(errors.values()), len(urls))
    failed = {urls[i]: error.text for i, error in errors.items()}
    urls, paths = [urls[i] for i in read], [paths[i] for i in read]
    plans = list(read.values())
    needed = dict.fromkeys([*urls, *(file.url for file in _sources(plans))])
    containers = containers_for(needed, registry=stores, anonymous=anonymous)
    result = await _write(target, urls, paths, plans, containers, message, report)
    return replace(result, failed=failed)


async def publish_plans(
    plans: Mapping[str, GroupPlan],
    repo: Location | icechunk.Repository,
    *,
    registry: ObjectStoreRegistry[Any] | None = None,
    names: Names | None = None,
    group: str = "",
    message: str | None = None,
    branch: str = "main",
    anonymous: bool = False,
    into_existing: bool = False,
    progress: Progress | None = None,
) -> PublishResult:
    """Publish groups that have been planned, by the URLs of their files; see `publish_files`."""
    urls = list(plans)
    paths = _paths(urls, names, group)
    target = Target.find(repo, branch)
    await target.check(paths, into_existing=into_existing)
    containers = containers_for(urls, registry=registry, anonymous=anonymous)
    return await _write(
        target, urls, paths, list(plans.values()), containers, message, progress or _ignore
    )


async def _write(
    target: Target,
    urls: Sequence[str],
    paths: Sequence[str],
    plans: Sequence[GroupPlan],
    containers: tuple[Container, ...],
    message: str | None,
    report: Progress,
) -> PublishResult:
    groups = dict(zip(paths, plans, strict=True))
    written = await target.write(groups, containers, message or _message(paths), report)
    arrays = [
        array for plan in plans for _, group in plan.walk() for array in group.arrays.values()
    ]
    return PublishResult(
        snapshot_id=written.snapshot_id,
        branch=target.branch,
        groups=dict(zip(urls, paths, strict=True)),
        arrays=len(arrays),
        references=sum(int(np.count_nonzero(array.lengths)) for array in arrays),
        stored=sum(len(array.inline) for array in arrays),
        containers=written.containers,
        unchecked=tuple(file.url for file in _sources(plans) if chunk_checksum(file) is None),
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


def _sources(plans: Iterable[GroupPlan]) -> tuple[Source, ...]:
    """The files that references point into: TIFFs, each with its sidecars."""
    arrays = (a for plan in plans for _, group in plan.walk() for a in group.arrays.values())
    return tuple(dict.fromkeys(a.source for a in arrays if a.source is not None))


def _message(paths: Sequence[str]) -> str:
    named = ", ".join(paths[:_NAMED])
    more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
    return f"Publish {named}{more}"


def _ignore(stage: Stage, done: int, total: int) -> None:
    """Stand in for a progress that nobody asked for."""


def _paths(urls: Sequence[str], names: Names | None, group: str) -> Sequence[str]:
    paths: Sequence[str]
    if names is None:
        paths = group_names(urls)
    else:
        paths = [names(url) for url in urls] if callable(names) else list(names)
    if above := group_path(group):
        paths = [f"{above}/{path}" for path in paths]
    check_group_names(paths, urls)
    return paths


async def _read(
    urls: Sequence[str],
    parser: VirtualTIFF,
    registry: AddressRegistry,
    concurrency: int,
    progress: Progress,
) -> tuple[dict[int, GroupPlan], dict[int, VirtualTIFFError]]:
    """Plan all files, so many at once: plans, and what went wrong, by position."""
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
    return dict(sorted(plans.items())), dict(sorted(errors.items()))
