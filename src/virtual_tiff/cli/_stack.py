"""The commands `stack` and `append`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from virtual_tiff.cli._common import quieten_icechunk
from virtual_tiff.cli._options import (
    CubeChoices,
    IntoExisting,
    ScanChoices,
    Sources,
    To,
    WorkChoices,
    flattened,
)
from virtual_tiff.cli._work import bar, executor_named

if TYPE_CHECKING:
    from virtual_tiff.publishing.results import PublishResult

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
    """


@flattened
def stack(
    sources: Sources,
    to: To,
    cube: CubeChoices,
    scan: ScanChoices,
    work: WorkChoices,
    no_coordinates: Annotated[
        bool, typer.Option("--no-coordinates", help="Do not write x, y and band.")
    ] = False,
    into_existing: IntoExisting = False,
) -> None:
    """Publish images as a cube: one array for each variable, along time, in one commit.

    Images must share CRS, grid, data type and encoding; what differs is named, and nothing is
    resampled. For a group of its own for each file, see publish.
    """
    from virtual_tiff.operations.stack import stack as stack_images

    with _arguments(cube, scan, work) as arguments:
        result = stack_images(
            sources,
            to,
            options=cube.options(coordinates=not no_coordinates),
            into_existing=into_existing,
            **arguments,
        )
    _print_result(result, to, as_json=work.as_json)
    if not (work.quiet or work.as_json):
        from virtual_tiff.cli._output import print_reading_code

        path, added = next(iter(result.added.items()))
        print_reading_code(
            to,
            result.containers,
            branch=work.branch,
            group=path,
            tree=added.levels > 1,
            anonymous=work.anonymous,
        )


@flattened
def append(
    sources: Sources,
    to: To,
    cube: CubeChoices,
    scan: ScanChoices,
    work: WorkChoices,
    on_present: Annotated[
        str, typer.Option(help="Images that are there already: raise, or skip them.")
    ] = "raise",
    out_of_order: Annotated[
        str, typer.Option(help="Images before the last of the cube: raise, or insert them.")
    ] = "raise",
) -> None:
    """Add later images to a cube, in one commit; the cube stays as it was if anything fails."""
    from virtual_tiff.operations.stack import append as append_images

    rules: dict[str, Any] = {"on_present": on_present, "out_of_order": out_of_order}
    with _arguments(cube, scan, work) as arguments:
        result = append_images(sources, to, options=cube.options(), **rules, **arguments)
    _print_result(result, to, as_json=work.as_json)


@contextmanager
def _arguments(cube: CubeChoices, scan: ScanChoices, work: WorkChoices) -> Iterator[dict[str, Any]]:
    """Arguments that both commands hand on, while a bar shows progress."""
    quieten_icechunk()
    with bar(work.quiet or work.as_json) as progress, executor_named(work.executor) as workers:
        yield {
            "group": cube.group,
            "on_failed": "skip" if cube.skip_failed else "raise",
            "message": work.message,
            "branch": work.branch,
            "anonymous": work.anonymous,
            "executor": workers,
            "parser": scan.parser(overviews=cube.overviews),
            "checkpoint": work.checkpoint,
            "progress": progress,
            **scan.arguments(),
        }


def _print_result(result: PublishResult, to: str, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(result.as_json(), ensure_ascii=False, indent=2))
        return
    if result.snapshot_id is None:
        print(f"{to}: nothing to add; all images are there")
        return
    from virtual_tiff.publishing.commit import brief

    print(f"{to}: {result.images:,} images, snapshot {result.snapshot_id}")
    for path, added in result.added.items():
        if added.images:
            levels = f"{added.levels} levels, " if added.levels > 1 else ""
            print(
                f"  /{path}: {', '.join(added.variables)}, {levels}{added.steps:,} new steps, "
                f"{brief(added.first)} to {brief(added.last)}"
            )
    skipped = sum(added.skipped for added in result.added.values())
    if skipped:
        print(f"  {skipped:,} images were there already")
    if result.failed:
        print(f"  {len(result.failed):,} images were left out, since they could not be read")
    if result.unchecked:
        print(
            f"  {len(result.unchecked):,} files without a time of change: readers will not "
            "notice it"
        )
