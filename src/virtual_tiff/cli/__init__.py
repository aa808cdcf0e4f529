"""The command line: arguments, progress and exit statuses.

0 is success, 1 a file or a repository that stands in the way, 2 a wrong argument. Errors are one
line on stderr that names the cause and the remedy; standard output has results alone.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from virtual_tiff._version import __version__
from virtual_tiff.cli._common import in_options, sidecar_names
from virtual_tiff.cli._options import Anonymous, Sidecars, Sources
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

_INFO_EXAMPLES = """
    [bold]Examples[/bold]

    virtual-tiff info image.tif

    virtual-tiff info https://example.com/cog.tif --json | jq '.[0].images[0].codecs'

    virtual-tiff info https://example.com/cog.tif --tms > tms.json
    """


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


def info(
    sources: Sources,
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

    Reads the headers alone, usually in one request of 32 KiB for each file. The exit status is 1
    if one cannot be read; the others are shown all the same.
    """
    if tms:
        _print_tile_matrix_set(sources, anonymous=anonymous, sidecars=sidecar_names(sidecars))
        return
    from virtual_tiff.cli._output import print_files
    from virtual_tiff.inspection import examine

    files, error = examine(sources, anonymous=anonymous, sidecars=sidecar_names(sidecars))
    if as_json and files:
        print(json.dumps([file.to_json() for file in files], ensure_ascii=False, indent=2))
    elif files:
        print_files(files)
    if error is not None:
        raise error


def _print_tile_matrix_set(sources: Sequence[str], **options: Any) -> None:
    from virtual_tiff.inspection.tile_grid import tile_matrix_set

    if len(sources) != 1:
        raise typer.BadParameter(
            f"{len(sources)} files have as many tile grids: name one", param_hint="--tms"
        )
    print(tile_matrix_set(sources[0], **options).model_dump_json(exclude_none=True, indent=2))


def _help(docstring: str) -> str:
    """Join the lines of each paragraph, which rich would break where the source does."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


for _function, _examples in (
    (publish, PUBLISH_EXAMPLES),
    (info, _INFO_EXAMPLES),
    (scan, SCAN_EXAMPLES),
    (stack, STACK_EXAMPLES),
    (append, APPEND_EXAMPLES),
    (verify, VERIFY_EXAMPLES),
    (log, LOG_EXAMPLES),
):
    app.command(epilog=_examples, help=_help(_function.__doc__ or ""))(_function)


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
        if error.remedy:
            error.remedy = in_options(error.remedy)
        _print_error(str(error))
        return _USAGE if isinstance(error, InvalidOptionError) else _DATA
    except _CLICK_EXCEPTION as error:
        context = getattr(error, "ctx", None)
        about = "virtual-tiff" if context is None else context.command_path
        _print_error(f"{error.format_message()} See {about} --help.")  # type: ignore[attr-defined]
        return _USAGE
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    if status == _INTERRUPTED:
        _print_error("interrupted; nothing was committed.")
    return status if isinstance(status, int) else 0


def _print_error(message: str) -> None:
    print(f"virtual-tiff: {' '.join(message.split())}", file=sys.stderr)
