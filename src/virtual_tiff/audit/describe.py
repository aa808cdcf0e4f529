"""Describe what a repository holds: groups, arrays, axes, gaps, files, versions, and code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

import icechunk
import numpy as np
import zarr
from icechunk import IcechunkStore

from virtual_tiff.audit.files import RecordedFiles
from virtual_tiff.audit.history import open_version
from virtual_tiff.audit.samples import unlisted_arrays
from virtual_tiff.audit.stac_item import stac_item
from virtual_tiff.cubes.coordinate import as_text
from virtual_tiff.cubes.gaps import PRESENT
from virtual_tiff.errors import ErrorKind, RepositoryError
from virtual_tiff.messages import redacted
from virtual_tiff.planning.names import group_path
from virtual_tiff.publishing.containers import stored_containers
from virtual_tiff.publishing.coordinate import read_coordinate
from virtual_tiff.publishing.cube import level_count
from virtual_tiff.publishing.levels import dimensions_of, is_variable
from virtual_tiff.publishing.nodes import key_prefix
from virtual_tiff.publishing.reading_code import reading_code
from virtual_tiff.publishing.repository import (
    Location,
    icechunk_errors,
    is_published_here,
    open_repository,
    text_of,
)
from virtual_tiff.storage.run import run

#: Groups that are described in detail.
DEFAULT_LIMIT = 100
#: Places without an image that are named.
_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class AxisInfo:
    """A dimension with a coordinate: its number of values, the first and the last, as text."""

    size: int
    first: str = ""
    last: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayInfo:
    """An array of images.

    Parameters
    ----------
    shape, chunks, dimensions
        Of the array.
    data_type
        Name of the NumPy data type.
    images, missing
        Images that it holds, and places without one.
    gaps
        Coordinates of some of these places.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dimensions: tuple[str, ...]
    data_type: str
    images: int = 0
    missing: int = 0
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupInfo:
    """A cube, the group of a file, or a group of other software.

    Parameters
    ----------
    path
        Path of the group.
    kind
        `cube`, `file` or `other`.
    dataset
        Path of the first group that xarray opens as a dataset.
    files
        Number of files; `source` is the only one.
    levels
        Levels of resolution.
    axes, arrays
        By name; of the full resolution. Empty for groups that are not described in detail.
    """

    path: str
    kind: str
    dataset: str
    files: int
    source: str | None = None
    levels: int = 1
    axes: Mapping[str, AxisInfo] = field(default_factory=dict)
    arrays: Mapping[str, ArrayInfo] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositoryInfo:
    """What a repository holds; see `describe`.

    Parameters
    ----------
    location, branch, snapshot_id, written_at, message
        Where it is, and the snapshot that is described.
    version
        How Icechunk's `readonly_session` opens it: `branch`, `tag` or `snapshot_id`.
    groups
        Cubes and files, by path.
    files, file_bytes
        Number of files that it refers to, and their size in bytes.
    references, metadata_bytes
        Chunks that the manifests list, and the size of these manifests in bytes.
    containers
        Prefixes that readers have to authorise.
    branches, tags
        Names; tags with the ids of their snapshots.
    code
        Python that opens the first group.
    """

    location: str
    branch: str
    version: Mapping[str, str]
    snapshot_id: str
    written_at: datetime
    message: str
    groups: Mapping[str, GroupInfo]
    files: int
    file_bytes: int
    references: int
    metadata_bytes: int
    containers: tuple[str, ...]
    branches: tuple[str, ...]
    tags: Mapping[str, str]
    code: str

    def as_json(self) -> dict[str, Any]:
        """For machines."""
        return {
            **asdict(self),
            "written_at": self.written_at.isoformat(),
            "groups": {path: asdict(group) for path, group in self.groups.items()},
        }


def describe(
    repo: Location | icechunk.Repository,
    *,
    group: str = "",
    branch: str = "main",
    version: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> RepositoryInfo:
    """Describe what a repository holds; no file is read.

    Parameters
    ----------
    repo
        The repository, or its location.
    group
        Only this group, and those below it.
    branch
        Branch to describe.
    version
        A tag, or the id of a snapshot, to describe instead.
    limit
        Number of groups that are described in detail.

    Raises
    ------
    RepositoryError
        There is no repository, or with kind `not-found`: no such group or version; names what
        there is.
    """
    repository = repo if isinstance(repo, icechunk.Repository) else open_repository(repo)
    location = text_of(repository.storage if isinstance(repo, icechunk.Repository) else repo)
    with icechunk_errors(repo):
        session, opened = open_version(repository, branch, version)
        said = repository.lookup_snapshot(session.snapshot_id)
        files = RecordedFiles.read(session.store)
        found = _groups(session.store, files)
        listed = set(found)
        if not listed or not is_published_here(repository, branch, alone=True):
            for array in run(unlisted_arrays(session.store, files.arrays)):
                path = array.rpartition("/")[0]
                found.setdefault(path, GroupInfo(path=path, kind="other", dataset=path, files=0))
        chosen = _within(found, group_path(group))
        images = files.images
        detailed = {
            path: _detailed(session.store, each, images) if number < limit else each
            for number, (path, each) in enumerate(chosen.items())
        }
        manifests = repository.list_manifest_files(session.snapshot_id)
        tags = {name: repository.lookup_tag(name) for name in sorted(repository.list_tags())}
        branches = tuple(sorted(repository.list_branches()))
    containers = tuple(c.prefix for c in stored_containers(repository.config))
    return RepositoryInfo(
        location=location,
        branch=branch,
        version=opened,
        snapshot_id=session.snapshot_id,
        written_at=said.written_at,
        message=redacted(said.message),
        groups=detailed,
        files=len(files.urls),
        file_bytes=files.size,
        references=sum(manifest.num_chunk_refs for manifest in manifests),
        metadata_bytes=sum(manifest.size_bytes for manifest in manifests),
        containers=containers,
        branches=branches,
        tags=tags,
        code=_code(location, containers, opened, detailed),
    )


def stac_items(
    repo: Location, *, group: str = "", branch: str = "main", version: str | None = None
) -> dict[str, Any]:
    """Describe all cubes of a repository as a STAC ItemCollection; see `stac_item`."""
    found = describe(repo, group=group, branch=branch, version=version, limit=0).groups.values()
    paths = [each.path for each in found if each.kind == "cube"]
    if not paths:
        raise RepositoryError(
            "there is no cube to make STAC Items of.",
            kind=ErrorKind.NOT_FOUND,
            url=text_of(repo),
            remedy="Images that were published one by one have the Items of their catalogue.",
        )
    return {
        "type": "FeatureCollection",
        "features": [stac_item(repo, group=path, branch=branch, version=version) for path in paths],
    }


def _groups(store: IcechunkStore, files: RecordedFiles) -> dict[str, GroupInfo]:
    """Return the cubes and the groups of files that the table of sources names."""
    found: dict[str, GroupInfo] = {}
    for path, (count, _) in files.by_group(alone=False).items():
        above, _, name = path.rpartition("/")
        levels = level_count(store, above) if name.isdecimal() else 0
        if levels and name != "0":
            continue
        cube = above if levels else path
        found[cube] = GroupInfo(
            path=cube, kind="cube", dataset=path, files=count, levels=max(levels, 1)
        )
    for path, (count, url) in files.by_group(alone=True).items():
        above, _, name = path.rpartition("/")
        of_level = name.isdecimal() and above and (above in found or level_count(store, above))
        own = above if of_level else path
        known = found.get(own)
        levels = level_count(store, own) if known is None and of_level else 1
        if known is None:
            found[own] = GroupInfo(
                path=own,
                kind="file",
                dataset=path,
                files=count,
                source=url if count == 1 else None,
                levels=max(levels, 1),
            )
    return found


def _within(found: Mapping[str, GroupInfo], group: str) -> dict[str, GroupInfo]:
    if not group:
        return dict(sorted(found.items()))
    start = key_prefix(group)
    chosen = {p: g for p, g in found.items() if f"{p}/".startswith(start) or g.dataset == group}
    if not chosen:
        raise no_group(group, list(found))
    return dict(sorted(chosen.items()))


def no_group(group: str, there: Sequence[str]) -> RepositoryError:
    """Return the error for a group that is missing, which names those that there are."""
    named = ", ".join(repr(path or "/") for path in there[:_NAMED])
    more = f" and {len(there) - _NAMED:,} more" if len(there) > _NAMED else ""
    return RepositoryError(
        f"there is no group {group!r}.",
        kind=ErrorKind.NOT_FOUND,
        remedy=f"There are {named}{more}." if there else "The repository holds no groups yet.",
    )


def _detailed(store: IcechunkStore, info: GroupInfo, images: Mapping[str, int]) -> GroupInfo:
    group = zarr.open_group(store, path=info.dataset or None, mode="r", zarr_format=3)
    nodes = dict(group.arrays())
    variables = {n: a for n, a in nodes.items() if info.kind == "file" or is_variable(n, a)}
    if info.kind == "file":
        variables = {n: a for n, a in nodes.items() if f"{key_prefix(info.dataset)}{n}" in images}
    if info.kind == "other":
        variables = nodes
    axes = {}
    for name, node in nodes.items():
        if node.ndim == 1 and dimensions_of(node) == (name,):
            axes[name] = _axis(group, name)
    arrays = {}
    for name, node in variables.items():
        missing, gaps = _gaps(group, nodes.get(f"{name}{PRESENT}"))
        arrays[name] = ArrayInfo(
            shape=node.shape,
            chunks=node.chunks,
            dimensions=dimensions_of(node),
            data_type=str(node.dtype),
            images=images[f"{key_prefix(info.dataset)}{name}"],
            missing=missing,
            gaps=gaps,
        )
    return GroupInfo(
        path=info.path,
        kind=info.kind,
        dataset=info.dataset,
        files=info.files,
        source=info.source,
        levels=info.levels,
        axes=axes,
        arrays=arrays,
    )


def _axis(group: zarr.Group, name: str) -> AxisInfo:
    try:
        values = read_coordinate(group, name)
        first, last = as_text(values[[0, -1]]) if values.size else ("", "")
    except RepositoryError:  # other software wrote it
        return AxisInfo(size=int(np.prod(group[name].shape)))  # type: ignore[union-attr]
    return AxisInfo(size=values.size, first=first, last=last)


def _gaps(group: zarr.Group, present: Any) -> tuple[int, tuple[str, ...]]:
    """Count places without an image, and name some of them by their coordinates."""
    if present is None:
        return 0, ()
    empty = np.argwhere(np.asarray(present[...]) == 0)
    axes = dimensions_of(present)
    values = {axis: as_text(read_coordinate(group, axis)) for axis in axes}
    named = [
        json.dumps({axis: values[axis][i] for axis, i in zip(axes, cell, strict=True)})
        for cell in empty[:_NAMED].tolist()
    ]
    return len(empty), tuple(named)


def _code(
    location: str,
    containers: Sequence[str],
    version: Mapping[str, str],
    groups: Mapping[str, GroupInfo],
) -> str:
    first = next(iter(groups.values()), None)
    if first is None or not location:
        return ""
    times = [axis for axis in first.axes.values() if axis.first[:4].isdecimal()]
    return reading_code(
        location,
        containers,
        version=version,
        group=first.dataset,
        first=times[0].first if times else "",
        last=times[0].last if times else "",
    )
