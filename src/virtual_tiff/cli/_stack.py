"""The commands `stack` and `append`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer

from virtual_tiff.choices import OnPresent, OutOfOrder
from virtual_tiff.cli._common import quieten_icechunk
from virtual_tiff.cli._options import (
    CommitChoices,
    CubeChoices,
    IntoExisting,
    MaybeSources,
    ScanChoices,
    Sources,
    To,
    WorkChoices,
    flattened,
)
from virtual_tiff.cli._progress import executor_named, progress_bar
from virtual_tiff.cli._result import print_result

# What commands need is imported in them: `--help` must not wait for zarr and Icechunk.

STACK_EXAMPLES = """
    [bold]Examples[/bold]

    virtual-tiff stack scenes.parquet --to repository

    virtual-tiff stack items.parquet --to s3://mine/cube --variable asset --group '{grid}'

    virtual-tiff stack scenes/ --to pyramid --overviews --datetime-tag
    """
APPEND_EXAMPLES = r"""
    [bold]Example[/bold]

    virtual-tiff append s3://bucket/scenes/ --to repository --on-present skip
    --datetime-pattern '_(\d{8})'

    virtual-tiff append --changed --to repository
    """


@flattened
def stack(
    sources: Sources,
    to: To,
    cube: CubeChoices,
    scan: ScanChoices,
    commit: CommitChoices,
    work: WorkChoices,
    no_coordinates: Annotated[
        bool, typer.Option("--no-coordinates", help="Do not write x, y and band.")
    ] = False,
    into_existing: IntoExisting = False,
) -> None:
    """Publish images as a cube: one array for each variable, along time, in one commit.

    Images must share CRS, grid, data type and encoding; an error names differences, and nothing is
    resampled. To make a group for each file, use publish.
    """
    from virtual_tiff.operations.stack import stack as stack_images

    with _arguments(cube, scan, commit, work) as arguments:
        result = stack_images(
            sources,
            to,
            options=cube.options(coordinates=not no_coordinates),
            into_existing=into_existing,
            **arguments,
        )
    print_result(result, to, "stack", commit)


@flattened
def append(
    sources: MaybeSources = None,
    *,
    to: To,
    cube: CubeChoices,
    scan: ScanChoices,
    commit: CommitChoices,
    work: WorkChoices,
    on_present: Annotated[
        OnPresent,
        typer.Option(help="Images that the cube has: raise, skip, or replace the changed ones."),
    ] = "raise",
    changed: Annotated[
        bool,
        typer.Option(
            "--changed",
            help="Renew all images whose files have changed, which one request for each file "
            "tells. No SOURCE is named, and of the options only --group, --branch, --message, "
            "--dry-run, --skip-failed, --skip-mismatched, --anonymous and --concurrency matter.",
        ),
    ] = False,
    out_of_order: Annotated[
        OutOfOrder, typer.Option(help="Images before the last of the cube: raise, or insert them.")
    ] = "raise",
) -> None:
    """Add images to a cube, in one commit; if anything fails, the cube does not change.

    With --on-present skip or replace, the same command adds every night what is new. A folder,
    bucket or pattern is listed first, and only headers of new and changed files are read.
    """
    if changed or not sources:
        if bool(sources) == changed:
            raise typer.BadParameter("name sources, or pass --changed, but not both")
        _renew(to, cube, scan, commit)
        return
    from virtual_tiff.operations.stack import append as append_images

    with _arguments(cube, scan, commit, work) as arguments:
        result = append_images(
            sources,
            to,
            options=cube.options(),
            on_present=on_present,
            out_of_order=out_of_order,
            **arguments,
        )
    print_result(result, to, "append", commit)


def _renew(to: str, cube: CubeChoices, scan: ScanChoices, commit: CommitChoices) -> None:
    from virtual_tiff.operations.renew import renew

    quieten_icechunk()
    with progress_bar(quiet=commit.quiet) as progress:
        result = renew(
            to,
            on_mismatch="skip" if cube.skip_mismatched else "raise",
            concurrency=scan.concurrency,
            progress=progress,
            **commit.arguments(),
        )
    print_result(result, to, "append", commit)


@contextmanager
def _arguments(
    cube: CubeChoices, scan: ScanChoices, commit: CommitChoices, work: WorkChoices
) -> Iterator[dict[str, Any]]:
    """Return the arguments of both commands, while a bar shows progress."""
    quieten_icechunk()
    silent = commit.quiet
    with progress_bar(quiet=silent) as progress, executor_named(work.executor) as workers:
        yield {
            **scan.arguments(),
            **commit.arguments(),
            "parser": scan.scan_parser(whole=cube.overviews or cube.masks),
            "executor": workers,
            "checkpoint": work.checkpoint,
            "images_per_commit": work.images_per_commit,
            "progress": progress,
        }
