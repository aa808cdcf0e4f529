"""The command line: arguments, progress and exit statuses.

Exit status: 0 for success, 1 for an error of a file or repository, 2 for a wrong argument, 3 for
success without the files that `--skip-failed` and `--skip-mismatched` left out. Errors are one line
on stderr with cause and remedy; standard output has only results.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from virtual_tiff._version import __version__
from virtual_tiff.cli._catalog import catalog
from virtual_tiff.cli._common import say
from virtual_tiff.cli._describe import DESCRIBE_EXAMPLES, describe
from virtual_tiff.cli._info import INFO_EXAMPLES, info
from virtual_tiff.cli._log import observed
from virtual_tiff.cli._preview import PREVIEW_EXAMPLES, preview
from virtual_tiff.cli._publish import PUBLISH_EXAMPLES, publish
from virtual_tiff.cli._remedies import COMMANDS, in_options, remedy_in_options
from virtual_tiff.cli._remove import REMOVE_EXAMPLES, remove
from virtual_tiff.cli._scan import SCAN_EXAMPLES, scan
from virtual_tiff.cli._stack import APPEND_EXAMPLES, STACK_EXAMPLES, append, stack
from virtual_tiff.cli._verify import LOG_EXAMPLES, VERIFY_EXAMPLES, log, verify
from virtual_tiff.cli._versions import (
    EXPIRE_EXAMPLES,
    ROLLBACK_EXAMPLES,
    TAG_EXAMPLES,
    expire,
    rollback,
    tag,
)
from virtual_tiff.errors import ErrorKind, InvalidOptionError, SourcesError, VirtualTIFFError
from virtual_tiff.storage.settings import start_log

# Commands import what they need, so that `--help` does not wait for zarr and Icechunk.

_DATA, _USAGE, _INTERRUPTED = 1, 2, 130
#: Commands that read files; `verify` asks the servers that the repository names.
_OF_SOURCES = ("publish", "stack", "append", "scan", "info", "preview")
#: Options of the other command that users may try.
_OF_STACK = ("--layout", "--stack")
#: Exception of typer for wrong arguments, whose module depends on the release.
_CLICK_EXCEPTION: type[Exception] = next(
    c for c in typer.BadParameter.__mro__ if c.__name__ == "ClickException"
)

app = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    help="""
    Publish TIFFs and COGs as versioned Zarr v3 data, without copying the pixels.

    [bold]Inspect a file[/bold], local or remote:

        virtual-tiff info image.tif https://example.com/cog.tif

    [bold]Publish files[/bold] to an Icechunk repository, for any Zarr v3 client:

        virtual-tiff publish images/*.tif --to repository

    [bold]Stack images[/bold] on one grid into a cube along time:

        virtual-tiff stack images/ --to cube --datetime-tag

    [bold]Every night[/bold], add what is new and renew what has changed:

        virtual-tiff append images/ --to cube --datetime-tag --on-present replace

    [bold]Look after it[/bold]: describe, verify, remove, log, tag, rollback, expire.
    """,
)


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


def _help(docstring: str) -> str:
    """Join the lines of each paragraph, since rich would keep the line breaks."""
    paragraphs = inspect.cleandoc(docstring).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


for _function, _examples in (
    (publish, PUBLISH_EXAMPLES),
    (info, INFO_EXAMPLES),
    (preview, PREVIEW_EXAMPLES),
    (scan, SCAN_EXAMPLES),
    (stack, STACK_EXAMPLES),
    (append, APPEND_EXAMPLES),
    (remove, REMOVE_EXAMPLES),
    (verify, VERIFY_EXAMPLES),
    (describe, DESCRIBE_EXAMPLES),
    (log, LOG_EXAMPLES),
    (tag, TAG_EXAMPLES),
    (rollback, ROLLBACK_EXAMPLES),
    (expire, EXPIRE_EXAMPLES),
):
    _name = _function.__name__
    _command = observed(
        _function, sources=_name in _OF_SOURCES, repository=_name not in ("info", "preview", "scan")
    )
    app.command(epilog=_examples, help=_help(_function.__doc__ or ""))(_command)
    COMMANDS[_function.__name__] = _command

app.add_typer(catalog, name="catalog", help="Known archives of TIFFs, for scan catalog:NAME.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    command = typer.main.get_command(app)
    try:
        start_log()
        status = command.main(
            args=arguments,
            prog_name="virtual-tiff",
            standalone_mode=False,
        )
    except VirtualTIFFError as error:
        command_name = next((name for name in arguments if name in COMMANDS), None)
        if command_name is not None:
            _speak_of_options(error, command_name)
        _print_error(str(error))
        # Images at one place of a cube are no wrong argument; a source that is named twice is.
        images = error.kind == ErrorKind.DUPLICATE and command_name in ("stack", "append")
        usage = isinstance(error, InvalidOptionError) and not images
        return _USAGE if usage else _DATA
    except _CLICK_EXCEPTION as error:
        _print_error(_about_arguments(error))
        return _USAGE
    except (KeyboardInterrupt, typer.Abort):
        status = _INTERRUPTED
    if status == _INTERRUPTED:
        _print_error("interrupted; nothing was committed.")
    return status if isinstance(status, int) else 0


def _about_arguments(error: Exception) -> str:
    """Return the message for wrong arguments, with the command for help."""
    context = getattr(error, "ctx", None)
    about = "virtual-tiff" if context is None else context.command_path
    message = error.format_message().replace("Value error, ", "")  # type: ignore[attr-defined]
    if about == "virtual-tiff publish" and getattr(error, "option_name", "") in _OF_STACK:
        message = (
            "Images on one grid become a cube with virtual-tiff stack. How the images of one file "
            "become groups is --ifd-layout."
        )
        about = "virtual-tiff stack"
    return f"{message.rstrip('.')}. See {about} --help."


def _speak_of_options(error: VirtualTIFFError, command: str) -> None:
    """Replace arguments of Python by options in an error and the errors it contains."""
    message = error.message
    for each in error.errors if isinstance(error, SourcesError) else ():
        if each.remedy is not None:
            message = message.replace(each.remedy, remedy_in_options(each.remedy, command) or "")
    error.message = in_options(message, command)
    error.remedy = None if error.remedy is None else remedy_in_options(error.remedy, command)


def _print_error(message: str) -> None:
    say(f"virtual-tiff: {' '.join(message.split())}", file=sys.stderr)
