"""The command line: arguments, progress and exit statuses.

0 is success, 1 a file or a repository that stands in the way, 2 a wrong argument. Errors are one
line on stderr that names the cause and the remedy; standard output has results alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from virtual_tiff._version import __version__
from virtual_tiff.cli._common import sidecar_names
from virtual_tiff.cli._options import Anonymous, Sidecars
from virtual_tiff.cli._publish import PUBLISH_EXAMPLES, publish
from virtual_tiff.cli._scan import SCAN_EXAMPLES, scan
from virtual_tiff.cli._stack import APPEND_EXAMPLES, STACK_EXAMPLES, append, stack
from virtual_tiff.cli._verify import LOG_EXAMPLES, VERIFY_EXAMPLES, log, verify

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

    [bold]Stack images[/bold] on one grid into a cube along time:

        virtual-tiff stack images/ --to cube --datetime-tag
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


app.command(epilog=PUBLISH_EXAMPLES)(publish)


@app.command(
    epilog="""
    [bold]Examples[/bold]

    virtual-tiff info image.tif

    virtual-tiff info https://example.com/cog.tif --json | jq '.[0].images[0].codecs'

    virtual-tiff info https://example.com/cog.tif --tms > tms.json
    """
)
def info(
    sources: _Sources,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")] = False,
    tms: Annotated[
        bool,
        typer.Option(
            "--tms", help="Print the tile grid of one file as an OGC TileMatrixSet (JSON)."
        ),
    ] = False,
    sidecars: Sidecars = None,
    anonymous: Anonymous = False,
) -> None:
    """Show what is in TIFFs: images, overviews, masks, chunks, codecs, and who can read them.

    Reads the headers alone, usually in one request of 32 KiB for each file.
    """
    if tms:
        _print_tile_matrix_set(sources, anonymous=anonymous, sidecars=sidecar_names(sidecars))
        return
    from virtual_tiff.cli._output import print_files
    from virtual_tiff.info import info as read

    files = read(sources, anonymous=anonymous, sidecars=sidecar_names(sidecars))
    if as_json:
        print(json.dumps([file.to_json() for file in files], ensure_ascii=False, indent=2))
    else:
        print_files(files)


def _print_tile_matrix_set(sources: Sequence[str], **options: Any) -> None:
    from virtual_tiff.tile_grid import tile_matrix_set

    if len(sources) != 1:
        raise typer.BadParameter(
            f"{len(sources)} files have as many tile grids: name one", param_hint="--tms"
        )
    print(tile_matrix_set(sources[0], **options).model_dump_json(exclude_none=True, indent=2))


app.command(epilog=SCAN_EXAMPLES)(scan)
app.command(epilog=STACK_EXAMPLES)(stack)
app.command(epilog=APPEND_EXAMPLES)(append)
app.command(epilog=VERIFY_EXAMPLES)(verify)
app.command(epilog=LOG_EXAMPLES)(log)


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
