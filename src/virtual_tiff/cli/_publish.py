"""The command `publish`."""

from __future__ import annotations

from typing import Annotated

import typer

from virtual_tiff.choices import IFDLayout, OnPresent
from virtual_tiff.cli._common import ifd_path, quieten_icechunk, sidecar_names
from virtual_tiff.cli._options import (
    CommitChoices,
    ImagesPerCommit,
    IntoExisting,
    ReadChoices,
    Sidecars,
    Sources,
    To,
    flattened,
)
from virtual_tiff.cli._result import print_result

# What commands need is imported in them: `--help` must not wait for zarr and Icechunk.

PUBLISH_EXAMPLES = """
    [bold]Examples[/bold]

    virtual-tiff publish scenes/*.tif --to repository

    virtual-tiff publish s3://public/a.tif s3://public/b.tif --to s3://mine/repo --anonymous

    virtual-tiff publish slide.tif --to repository --ifd-layout nested --group slides/june

    virtual-tiff publish scenes.parquet --to repository --group '{tile}/{stem}'

    Credentials come from the environment: AWS_ACCESS_KEY_ID, GOOGLE_SERVICE_ACCOUNT and the like.
    """


@flattened
def publish(
    sources: Sources,
    to: To,
    *,
    ifd: Annotated[
        str | None,
        typer.Option(
            help="Only this image: 0, or 0.1 for the second sub-IFD of the first. With the layout "
            "pages, the image that it is a page of."
        ),
    ] = None,
    ifd_layout: Annotated[
        IFDLayout,
        typer.Option(
            metavar="LAYOUT",
            help="Layout of one file's images. multiscale: a group for each level of each image. "
            "flat: arrays 0, 1, … in one group. nested: a group each. pages: the pages of each "
            "image as one array, as OME-Zarr.",
        ),
    ] = "multiscale",
    sidecars: Sidecars = None,
    read: ReadChoices,
    commit: CommitChoices,
    into_existing: IntoExisting = False,
    on_present: Annotated[
        OnPresent,
        typer.Option(help="Groups of files that are there: raise, skip, or replace the changed."),
    ] = "raise",
    concurrency: Annotated[int, typer.Option(min=1, help="Files to read concurrently.")] = 64,
    images_per_commit: ImagesPerCommit = None,
) -> None:
    """Publish TIFFs to an Icechunk repository: a group for each file, in one commit.

    Pixels are not copied. If any file cannot be published, none is, unless --skip-failed leaves it
    out. With --on-present skip or replace, the same command publishes every night what is new: it
    reads only the headers of new and changed files. To make a cube of images on one grid, use
    stack.
    """
    from virtual_tiff.cli._progress import progress_bar
    from virtual_tiff.operations.publish import publish as publish_sources

    quieten_icechunk()
    parser = read.parser(ifd=ifd_path(ifd), ifd_layout=ifd_layout, sidecars=sidecar_names(sidecars))
    with progress_bar(quiet=commit.quiet) as progress:
        result = publish_sources(
            sources,
            to,
            parser=parser,
            into_existing=into_existing,
            on_present=on_present,
            concurrency=concurrency,
            images_per_commit=images_per_commit,
            progress=progress,
            **read.arguments(),
            **commit.arguments(),
        )
    print_result(result, to, "publish", commit)
