"""The command `describe`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from virtual_tiff.cli._common import count, quieten_icechunk, say, size_text
from virtual_tiff.cli._options import Branch, Json, Repository

if TYPE_CHECKING:
    from virtual_tiff.audit.describe import GroupInfo, RepositoryInfo

# What commands need is imported in them: `--help` must not wait for zarr and Icechunk.

DESCRIBE_EXAMPLES = """
    [bold]Examples[/bold]

    virtual-tiff describe repository

    virtual-tiff describe s3://mine/archive --group sentinel2 --json | jq '.groups | keys'

    virtual-tiff describe repository --stac > items.json
    """


def describe(
    repository: Repository,
    group: Annotated[str, typer.Option(help="Only this group, and those below it.")] = "",
    branch: Branch = "main",
    version: Annotated[
        str | None,
        typer.Option(help="A tag, or the id of a snapshot, instead of a branch."),
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="Groups to show in detail.")] = 20,
    as_json: Json = False,
    stac: Annotated[
        bool, typer.Option("--stac", help="Print STAC Items of all cubes (JSON).")
    ] = False,
) -> None:
    """Show what a repository holds: groups, arrays, axes, gaps, files, versions, code to open it.

    Nothing but the repository is read.
    """
    from virtual_tiff.audit.describe import describe as described
    from virtual_tiff.audit.describe import stac_items

    quieten_icechunk()
    if stac:
        found = stac_items(repository, group=group, branch=branch, version=version)
        say(json.dumps(found, ensure_ascii=False, indent=2), lines=True)
        return
    info = described(repository, group=group, branch=branch, version=version, limit=limit)
    if as_json:
        say(json.dumps(info.as_json(), ensure_ascii=False, indent=2), lines=True)
        return
    for line in _lines(info, limit):
        say(line)
    if info.code:
        print("\nRead it where xarray, icechunk and imagecodecs-zarr are installed:\n")
        print("".join(f"    {line}\n" if line else "\n" for line in info.code.splitlines()), end="")


def _lines(info: RepositoryInfo, limit: int) -> Iterator[str]:
    named = "".join(f", {kind} {name}" for kind, name in info.version.items())
    yield f"{info.location}{named.replace('snapshot_id', 'snapshot')}"
    yield f"  snapshot {info.snapshot_id}, {info.written_at:%Y-%m-%d %H:%M:%S}: {info.message}"
    yield (
        f"  {count(info.files, 'file')} of {size_text(info.file_bytes)}; "
        f"{count(info.references, 'chunk')} in {size_text(info.metadata_bytes)} of manifests"
    )
    yield f"  read from {', '.join(info.containers) or 'nowhere'}"
    if len(info.branches) > 1:
        yield f"  branches: {', '.join(info.branches)}"
    if info.tags:
        yield f"  tags: {', '.join(info.tags)}"
    groups = list(info.groups.values())
    if not groups:
        yield "  no groups yet"
    for each in groups[:limit]:
        yield from _group(each)
    if len(groups) > limit:
        yield f"  and {len(groups) - limit:,} more groups"


def _group(info: GroupInfo) -> Iterator[str]:
    what = {"cube": f"cube of {count(info.files, 'file')}", "other": "of other software"}
    levels = f", {info.levels} levels" if info.levels > 1 else ""
    yield f"  /{info.path}: {what.get(info.kind, info.source or 'files')}{levels}"
    for name, axis in info.axes.items():
        if info.kind == "cube" and name not in ("x", "y", "band"):
            span = axis.first if axis.size < 2 else f"{axis.first} to {axis.last}"
            yield f"    {name}: {axis.size:,}, {_brief(span)}"
    for name, array in info.arrays.items():
        shape = ", ".join(
            f"{d} {n}" for d, n in zip(array.dimensions, array.shape, strict=True)
        ) or " × ".join(map(str, array.shape))
        chunks = " × ".join(map(str, array.chunks))
        yield f"    {name}: {array.data_type} ({shape}), chunks {chunks}"
        if array.missing:
            named = "; ".join(array.gaps)
            more = ", …" if array.missing > len(array.gaps) else ""
            yield f"      {count(array.missing, 'gap')}: {named}{more}"


def _brief(text: str) -> str:
    return text.replace(".000000", "").replace("T00:00:00", "")
