"""The command line: arguments, progress and exit statuses.

0 is success, 1 a file or a repository that stands in the way, 2 a wrong argument. Errors are one
line on stderr that names the cause and the remedy; standard output has results alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from virtual_tiff._version import __version__
from virtual_tiff.cli._common import ifd_path, quieten_icechunk
from virtual_tiff.cli.archive import register

# What commands need is imported in them: `--help` must not wait for zarr and Icechunk.

_DATA, _USAGE, _INTERRUPTED = 1, 2, 130
#: What typer raises for wrong arguments; releases differ in where it is.
_CLICK_EXCEPTION: type[Exception] = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
)

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""
    Publish TIFFs and COGs as versioned Zarr v3 data, without copying the pixels.

    [bold]Look into a file[/bold], here or anywhere:

        virtual-tiff info image.tif https://example.com/cog.tif

    [bold]Publish files[/bold] to an Icechunk repository, that any Zarr v3 client then reads:

        virtual-tiff publish images/*.tif --to repository
    """,
)

_Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE",
        help="Local paths, or file, http, https, s3, gs, az or abfs URLs.",
        show_default=False,
    ),
]
_Anonymous = Annotated[
    bool, typer.Option("--anonymous", help="Read the files without credentials (public buckets).")
]


def _print_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())


@app.command(
    epilog="""
    [bold]Examples[/bold]

    virtual-tiff publish scenes/*.tif --to repository

    virtual-tiff publish s3://public/a.tif s3://public/b.tif --to s3://mine/repo --anonymous

    virtual-tiff publish slide.tif --to repository --layout nested --under slides/june

    Credentials come from the environment: AWS_ACCESS_KEY_ID, GOOGLE_SERVICE_ACCOUNT and the like.
    """
)
def publish(
    sources: _Sources,
    to: Annotated[
        str,
        typer.Option(
            metavar="REPOSITORY",
            help="Local path, or file, s3, gs, az or abfs URL. Made if it is not there.",
            show_default=False,
        ),
    ],
    ifd: Annotated[
        str | None,
        typer.Option(
            help="Only this image: 0, or 0.1 for the second sub-IFD of the first. With the layout "
            "pages, the image that it is a page of."
        ),
    ] = None,
    layout: Annotated[
        str,
        typer.Option(
            help="flat: arrays 0, 1, … in one group. nested: a group each. "
            "multiscale: a group for each level of one image. pages: the pages of each image as "
            "one array, as OME-Zarr."
        ),
    ] = "flat",
    band_axis: Annotated[
        str, typer.Option(help="first: (band, y, x). last: (y, x, band), faster to decode.")
    ] = "first",
    on_unsupported: Annotated[
        str,
        typer.Option(help="raise, or copy the pixels of images that no Zarr codec can decode."),
    ] = "raise",
    under: Annotated[
        str, typer.Option(metavar="GROUP", help="Put the groups of the files below this one.")
    ] = "",
    message: Annotated[
        str | None, typer.Option("--message", "-m", help="Of the commit.", show_default=False)
    ] = None,
    branch: Annotated[str, typer.Option(help="To commit to; made if it is not there.")] = "main",
    anonymous: _Anonymous = False,
    into_existing: Annotated[
        bool,
        typer.Option("--into-existing", help="Add to a repository with other people's data."),
    ] = False,
    concurrency: Annotated[int, typer.Option(min=1, help="Files read at once.")] = 64,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="No progress bar, and no example.")
    ] = False,
) -> None:
    """Publish TIFFs to an Icechunk repository: a group for each file, in one commit.

    The pixels stay where they are. If any file cannot be published, none is.
    """
    from virtual_tiff.cli._output import progress_bar
    from virtual_tiff.parser import VirtualTIFF
    from virtual_tiff.publishing.locations import group_names, source_url
    from virtual_tiff.publishing.publish import publish as publish_sources
    from virtual_tiff.publishing.reading_code import reading_code

    quieten_icechunk()
    options: dict[str, Any] = {"ifd_layout": layout, "band_axis": band_axis}
    parser = VirtualTIFF(ifd_path(ifd), on_unsupported=on_unsupported, **options)  # type: ignore[arg-type]
    urls = [source_url(source) for source in sources]
    below = under.strip("/")
    names = [f"{below}/{name}" for name in group_names(urls)] if below else None
    with progress_bar(quiet=quiet or as_json) as progress:
        result = publish_sources(
            sources,
            to,
            parser=parser,
            names=names,
            message=message,
            branch=branch,
            anonymous=anonymous,
            into_existing=into_existing,
            concurrency=concurrency,
            progress=progress,
        )
    if as_json:
        print(json.dumps(asdict(result), ensure_ascii=False, indent=2))
        return
    print(f"Published {_count(len(urls), 'TIFF')} to {to}, branch {branch}:")
    stored = f", {_count(result.stored, 'chunk')} stored" if result.stored else ""
    print(
        f"  {_count(result.arrays, 'array')}, {_count(result.references, 'reference')}{stored}, "
        f"snapshot {result.snapshot_id}"
    )
    for url, reasons in result.copied.items():
        print(f"  copied, not referenced: {url}")
        for reason in reasons:
            print(f"    image {reason}")
    if result.unchecked:
        print(
            f"  {_count(len(result.unchecked), 'file')} without a time of change: readers will "
            "not notice changes"
        )
    if not quiet:
        first = next(iter(result.groups.values()))
        code = reading_code(
            to,
            result.containers,
            branch=branch,
            group=first,
            tree=first in result.trees,
            anonymous=anonymous,
        )
        print("\nRead it where xarray, icechunk and imagecodecs-zarr are installed:\n")
        print("".join(f"    {line}\n" if line else "\n" for line in code.splitlines()), end="")


@app.command(
    epilog="""
    [bold]Examples[/bold]

    virtual-tiff info image.tif

    virtual-tiff info https://example.com/cog.tif --json | jq '.[0].images[0].codecs'
    """
)
def info(
    sources: _Sources,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    anonymous: _Anonymous = False,
) -> None:
    """Show what is in TIFFs: images, overviews, masks, chunks, codecs, and who can read them.

    Reads the headers alone, usually in one request of 32 KiB for each file.
    """
    from virtual_tiff.cli._output import print_files
    from virtual_tiff.info import info as read

    files = read(sources, anonymous=anonymous)
    if as_json:
        print(json.dumps([file.to_json() for file in files], ensure_ascii=False, indent=2))
    else:
        print_files(files)


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


register(app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    from virtual_tiff.errors import InvalidOptionError, VirtualTIFFError

    command = typer.main.get_command(app)
    try:
        status = command.main(
            args=None if arguments is None else list(arguments),
            prog_name="virtual-tiff",
            standalone_mode=False,
        )
    except VirtualTIFFError as error:
        _print_error(str(error))
        return _USAGE if isinstance(error, InvalidOptionError) else _DATA
    except _CLICK_EXCEPTION as error:
        _print_error(f"{error.format_message()} See virtual-tiff --help.")  # type: ignore[attr-defined]
        return _USAGE
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    if status == _INTERRUPTED:
        _print_error("interrupted; nothing was committed.")
    return status if isinstance(status, int) else 0


def _print_error(message: str) -> None:
    print(f"virtual-tiff: {' '.join(message.split())}", file=sys.stderr)
