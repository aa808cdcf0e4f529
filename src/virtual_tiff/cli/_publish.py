"""The command `publish`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from virtual_tiff.cli._common import count, ifd_path, quieten_icechunk, sidecar_names
from virtual_tiff.cli._options import (
    Anonymous,
    Assets,
    BandAxis,
    Branch,
    IntoExisting,
    Json,
    OnUnsupported,
    Quiet,
    Sidecars,
    SkipFailed,
    Sources,
    To,
    UrlColumn,
)

# What commands need is imported in them: `--help` must not wait for zarr and Icechunk.

#: Files that are named where several were left out.
_SHOWN = 10

PUBLISH_EXAMPLES = """
    [bold]Examples[/bold]

    virtual-tiff publish scenes/*.tif --to repository

    virtual-tiff publish s3://public/a.tif s3://public/b.tif --to s3://mine/repo --anonymous

    virtual-tiff publish slide.tif --to repository --ifd-layout nested --group slides/june

    virtual-tiff publish scenes.parquet --to repository --group '{tile}/{stem}'

    Credentials come from the environment: AWS_ACCESS_KEY_ID, GOOGLE_SERVICE_ACCOUNT and the like.
    """


def publish(
    sources: Sources,
    to: To,
    ifd: Annotated[
        str | None,
        typer.Option(
            help="Only this image: 0, or 0.1 for the second sub-IFD of the first. With the layout "
            "pages, the image that it is a page of."
        ),
    ] = None,
    ifd_layout: Annotated[
        str,
        typer.Option(
            help="The images of one file. flat: arrays 0, 1, … in one group. nested: a group "
            "each. multiscale: a group for each level of one image. pages: the pages of each "
            "image as one array, as OME-Zarr."
        ),
    ] = "flat",
    band_axis: BandAxis = "first",
    on_unsupported: OnUnsupported = "raise",
    sidecars: Sidecars = None,
    group: Annotated[
        str,
        typer.Option(
            help="Put the groups of the files below this one. With columns in braces, such as "
            "{tile}/{stem}, the group of each file; {stem} is its name."
        ),
    ] = "",
    url_column: UrlColumn = "url",
    asset: Assets = None,
    skip_failed: SkipFailed = False,
    message: Annotated[
        str | None, typer.Option("--message", "-m", help="Of the commit.", show_default=False)
    ] = None,
    branch: Branch = "main",
    anonymous: Anonymous = False,
    into_existing: IntoExisting = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Files read at once.")] = 64,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Publish TIFFs to an Icechunk repository: a group for each file, in one commit.

    The pixels stay where they are. If any file cannot be published, none is, unless --skip-failed
    leaves it out. Images on one grid become a cube with stack.
    """
    from virtual_tiff.cli._output import print_reading_code, progress_bar
    from virtual_tiff.operations.publish import publish as publish_sources
    from virtual_tiff.parser import VirtualTIFF

    quieten_icechunk()
    options: dict[str, Any] = {
        "ifd_layout": ifd_layout,
        "band_axis": band_axis,
        "sidecars": sidecar_names(sidecars),
    }
    parser = VirtualTIFF(ifd_path(ifd), on_unsupported=on_unsupported, **options)  # type: ignore[arg-type]
    with progress_bar(quiet=quiet or as_json) as progress:
        result = publish_sources(
            sources,
            to,
            parser=parser,
            group=group,
            url_column=url_column,
            assets=asset,
            on_failed="skip" if skip_failed else "raise",
            message=message,
            branch=branch,
            anonymous=anonymous,
            into_existing=into_existing,
            concurrency=concurrency,
            progress=progress,
        )
    if as_json:
        print(json.dumps(result.as_json(), ensure_ascii=False, indent=2))
        return
    print(f"Published {count(len(result.groups), 'TIFF')} to {to}, branch {branch}:")
    stored = f", {count(result.stored, 'chunk')} stored" if result.stored else ""
    print(
        f"  {count(result.arrays, 'array')}, {count(result.references, 'reference')}{stored}, "
        f"snapshot {result.snapshot_id}"
    )
    _print_failed(result.failed)
    for url, reasons in result.copied.items():
        print(f"  copied, not referenced: {url}")
        for reason in reasons:
            print(f"    image {reason}")
    if result.unchecked:
        print(
            f"  {count(len(result.unchecked), 'file')} without a time of change: readers will "
            "not notice changes"
        )
    if not quiet:
        first = next(iter(result.groups.values()))
        print_reading_code(
            to,
            result.containers,
            branch=branch,
            group=first,
            tree=first in result.trees,
            anonymous=anonymous,
        )


def _print_failed(failed: Mapping[str, str]) -> None:
    if failed:
        print(f"  {count(len(failed), 'file')} left out, which could not be read:")
    for url, reason in list(failed.items())[:_SHOWN]:
        print(f"    {url}: {reason}")
    if len(failed) > _SHOWN:
        print(f"    and {len(failed) - _SHOWN:,} more")
