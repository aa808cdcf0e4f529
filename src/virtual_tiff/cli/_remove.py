"""The command `remove`."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from virtual_tiff.cli._common import count, quieten_icechunk, say
from virtual_tiff.cli._options import Branch, DryRun, Json

# What commands need is imported in them: `--help` must not wait for zarr and Icechunk.

REMOVE_EXAMPLES = """
    [bold]Examples[/bold]

    virtual-tiff remove s3://bucket/scenes/cloudy.tif --from repository

    virtual-tiff remove --from repository --before 2020-01-01 --dry-run

    virtual-tiff remove '*_B10.tif' --from repository --where 'time>=2024-06-01'
    """


def remove(
    urls: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="URL",
            help="Addresses of files, as they were published, or patterns with * in quotes.",
            show_default=False,
        ),
    ] = None,
    *,
    repository: Annotated[
        str,
        typer.Option("--from", metavar="REPOSITORY", help="Local path or URL.", show_default=False),
    ],
    before: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Images before this time, such as 2020-01-01.", show_default=False
        ),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="CONDITION",
            help="Such as 'tile=33UVP' or 'time>=2024-06-01'; may be repeated. Axes of a cube, "
            "variable, url, array, ifd, band, size or etag.",
            show_default=False,
        ),
    ] = None,
    group: Annotated[str, typer.Option(help="Only images in this group, or below it.")] = "",
    message: Annotated[
        str | None,
        typer.Option("--message", "-m", help="Message of the commit.", show_default=False),
    ] = None,
    branch: Branch = "main",
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Remove images from cubes, and groups of files, in one commit. Files are not touched.

    All conditions have to hold. A step of a cube without any image left is removed from its axis;
    other places become gaps, if the variable has a nodata value. Earlier snapshots keep the images:
    see rollback and expire.
    """
    from virtual_tiff.operations.remove import remove as remove_images

    quieten_icechunk()
    result = remove_images(
        urls or [],
        repository,
        before=before,
        where=where or [],
        group=group,
        branch=branch,
        message=message,
        dry_run=dry_run,
    )
    if as_json:
        say(json.dumps(result.as_json(), ensure_ascii=False, indent=2), lines=True)
        return
    if not result.removed:
        say(f"{repository}: nothing to remove")
        return
    done = "would be removed" if dry_run else f"removed, snapshot {result.snapshot_id}"
    say(f"{repository}: {count(result.removed, 'image')} {done}")
    for path, added in list(result.added.items())[:10]:
        what = added.source or ", ".join(added.variables)
        say(f"  /{path}: {count(added.removed, 'image')}, {what}")
    if len(result.added) > 10:
        say(f"  and {len(result.added) - 10:,} more groups")
