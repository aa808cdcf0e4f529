"""The commands `tag`, `rollback` and `expire`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from virtual_tiff.cli._common import count, quieten_icechunk, say, size_text
from virtual_tiff.cli._options import Branch, DryRun, Json, Repository

# What commands need is imported in them: `--help` must not wait for zarr and Icechunk.

TAG_EXAMPLES = """
    [bold]Examples[/bold]

    virtual-tiff tag repository 2024-06

    virtual-tiff tag repository before-reprocessing --version 1CECHNKREP0F1RSTCMT0
    """
ROLLBACK_EXAMPLES = """
    [bold]Example[/bold]

    virtual-tiff rollback repository --to 2024-06 --dry-run
    """
EXPIRE_EXAMPLES = """
    [bold]Example[/bold]

    virtual-tiff expire repository --older-than 90d --dry-run
    """


def tag(
    repository: Repository,
    name: Annotated[str, typer.Argument(help="Name of the tag.", show_default=False)],
    version: Annotated[
        str, typer.Option(help="A branch, another tag, or the id of a snapshot.")
    ] = "main",
    delete: Annotated[
        bool, typer.Option("--delete", help="Remove the tag; its name cannot be used again.")
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Name the newest snapshot, or another one, so that readers find it and expire keeps it."""
    from virtual_tiff.operations.versions import tag as tag_version

    quieten_icechunk()
    result = tag_version(repository, name, version=version, delete=delete, dry_run=dry_run)
    if as_json:
        say(json.dumps(result.as_json(), indent=2), lines=True)
        return
    done = "removed from" if delete else "at"
    would = "would be " if dry_run else ""
    say(f"{repository}: tag {name} {would}{done} {result.snapshot_id}")


def rollback(
    repository: Repository,
    to: Annotated[
        str, typer.Option(metavar="VERSION", help="A tag or a snapshot.", show_default=False)
    ],
    branch: Branch = "main",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Set a branch to an earlier snapshot. Later ones remain until they are expired."""
    from virtual_tiff.operations.versions import rollback as roll_back

    quieten_icechunk()
    result = roll_back(repository, to, branch=branch, dry_run=dry_run)
    if as_json:
        say(json.dumps(result.as_json(), indent=2), lines=True)
        return
    if result.before == result.after:
        say(f"{repository}: branch {branch} is at {result.after} already")
        return
    would = "would be" if dry_run else "is"
    say(f"{repository}: branch {branch} {would} at {result.after}")
    for commit in result.undone:
        say(f"  undone: {commit.time:%Y-%m-%d %H:%M:%S}  {commit.snapshot_id}  {commit.message}")
    if not dry_run:
        say(f"To undo this: virtual-tiff rollback {repository} --to {result.before}")


def expire(
    repository: Repository,
    older_than: Annotated[
        str,
        typer.Option(
            metavar="AGE", help="An age such as 90d or 12h, or a date.", show_default=False
        ),
    ],
    keep_objects: Annotated[
        bool,
        typer.Option("--keep-objects", help="Forget snapshots, but do not collect garbage."),
    ] = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Forget old snapshots, and remove the objects that only they need.

    Snapshots at which a branch or a tag is are kept. Files are not touched.
    """
    from virtual_tiff.operations.versions import expire as expire_snapshots

    quieten_icechunk()
    result = expire_snapshots(repository, older_than, collect=not keep_objects, dry_run=dry_run)
    if as_json:
        say(json.dumps(result.as_json(), indent=2), lines=True)
        return
    would = "would be " if dry_run else ""
    say(
        f"{repository}: {count(len(result.expired), 'snapshot')} {would}expired, "
        f"{result.kept:,} kept"
    )
    if result.freed:
        kinds = [
            f"{number:,} {kind.replace('_', ' ')}"
            for kind, number in result.freed.items()
            if kind != "bytes" and number
        ]
        least = "at least " if dry_run else ""
        freed = size_text(result.freed["bytes"])
        say(f"  {would}freed: {least}{freed} ({', '.join(kinds) or 'nothing'})")
