"""`--verbose` and `--log-file`: what a command does, with the time, as lines."""

from __future__ import annotations

import inspect
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from virtual_tiff.errors import VirtualTIFFError
from virtual_tiff.messages import printable, redacted
from virtual_tiff.storage.settings import REPOSITORY_ENDPOINT, SOURCE_ENDPOINT, check_server

LOGGER = logging.getLogger("virtual_tiff")

_FORMAT = "%(asctime)s %(levelname)s %(message)s"
_OPTIONS: dict[str, tuple[Any, Any]] = {
    "verbose": (
        Annotated[
            bool,
            typer.Option("--verbose", "-v", help="Say on standard error what is done, and when."),
        ],
        False,
    ),
    "log_file": (
        Annotated[
            Path | None,
            typer.Option(
                metavar="FILE",
                help="File to add the same lines to, and the cause of an error.",
                show_default=False,
            ),
        ],
        None,
    ),
}


_VARIABLES = {"source_endpoint": SOURCE_ENDPOINT, "repository_endpoint": REPOSITORY_ENDPOINT}
_SOURCE: dict[str, tuple[Any, Any]] = {
    "source_endpoint": (
        Annotated[
            str | None,
            typer.Option(
                metavar="URL",
                rich_help_panel="Servers",
                help="Address of the S3 server of the files, if it is another than that of "
                "AWS_ENDPOINT_URL; saved in the repository for readers.",
                show_default=False,
            ),
        ],
        None,
    )
}
_REPOSITORY: dict[str, tuple[Any, Any]] = {
    "repository_endpoint": (
        Annotated[
            str | None,
            typer.Option(
                metavar="URL",
                rich_help_panel="Servers",
                help="Address of the S3 server of the repository, if it is another than that of "
                "AWS_ENDPOINT_URL.",
                show_default=False,
            ),
        ],
        None,
    )
}


@contextmanager
def _at(servers: Mapping[str, str]) -> Iterator[None]:
    """Name servers in the environment, which the processes of an executor have too."""
    before = dict(os.environ)
    for name, address in servers.items():
        check_server(f"--{name.replace('_', '-')}", address)
        os.environ[_VARIABLES[name]] = address
    try:
        yield
    finally:
        for name in servers:
            os.environ.pop(_VARIABLES[name], None)
            if _VARIABLES[name] in before:
                os.environ[_VARIABLES[name]] = before[_VARIABLES[name]]


class _Formatter(logging.Formatter):
    """One line for each message, without control characters and secrets."""

    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).split("\n")
        return "\n".join(printable(redacted(line)) for line in lines)


class _Terminal(_Formatter):
    """Without the causes of errors, of which a terminal shows one line."""

    def format(self, record: logging.LogRecord) -> str:
        # Formatters of a record share the text of its exception.
        return super().format(logging.makeLogRecord({**vars(record), **_NO_CAUSE}))


_NO_CAUSE = dict.fromkeys(("exc_info", "exc_text", "stack_info"))


def logs_to_stderr() -> bool:
    """Return whether lines go to standard error, so that no bar should."""
    return any(type(handler) is logging.StreamHandler for handler in LOGGER.handlers)


def observed(
    function: Callable[..., None], *, sources: bool, repository: bool
) -> Callable[..., None]:
    """Add the options of all commands, and those for servers of files and repositories."""
    options = {
        **(_SOURCE if sources else {}),
        **(_REPOSITORY if repository else {}),
        **_OPTIONS,
    }
    signature = inspect.signature(function)
    kind = inspect.Parameter.KEYWORD_ONLY
    more = [
        inspect.Parameter(name, kind, annotation=annotation, default=default)
        for name, (annotation, default) in options.items()
    ]

    @wraps(function)
    def command(*positional: Any, **given: Any) -> None:
        servers = {name: given.pop(name) for name in _VARIABLES if given.get(name) is not None}
        given = {name: value for name, value in given.items() if name not in _VARIABLES}
        chosen = {name: given.pop(name, default) for name, (_, default) in _OPTIONS.items()}
        with _logged(function.__name__, **chosen), _at(servers):
            function(*positional, **given)

    hints = inspect.get_annotations(function, eval_str=True)
    known = [p.replace(annotation=hints[name]) for name, p in signature.parameters.items()]
    parameters = [*known, *more]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {
        **hints,
        **{name: annotation for name, (annotation, _) in options.items()},
    }
    return command


@contextmanager
def _logged(command: str, verbose: bool, log_file: Path | None) -> Iterator[None]:
    """Log what happens while the block runs, its beginning and its end."""
    handlers: list[logging.Handler] = []
    if verbose:
        handlers.append(logging.StreamHandler(sys.stderr))
        handlers[0].setFormatter(_Terminal(_FORMAT))
    if log_file is not None:
        try:
            handlers.append(logging.FileHandler(log_file, encoding="utf-8"))
            handlers[-1].setFormatter(_Formatter(_FORMAT))
        except OSError as error:
            raise typer.BadParameter(
                f"the file cannot be written: {error.strerror}", param_hint="--log-file"
            ) from None
    for handler in handlers:
        LOGGER.addHandler(handler)
    level = LOGGER.level
    if handlers:
        LOGGER.setLevel(min(level or logging.INFO, logging.INFO))
    else:
        # So that Python does not print errors itself.
        handlers.append(logging.NullHandler())
        LOGGER.addHandler(handlers[0])
    LOGGER.info("%s: begins", command)
    try:
        yield
        LOGGER.info("%s: done", command)
    except VirtualTIFFError as error:
        LOGGER.error("%s: %s (%s)", command, error, error.kind, exc_info=True)
        raise
    except (typer.Exit, typer.Abort) as ending:
        LOGGER.info("%s: exit status %s", command, getattr(ending, "exit_code", 130))
        raise
    except BaseException:
        LOGGER.exception("%s: failed", command)
        raise
    finally:
        LOGGER.setLevel(level)
        for handler in handlers:
            LOGGER.removeHandler(handler)
            if isinstance(handler, logging.FileHandler):
                handler.close()
