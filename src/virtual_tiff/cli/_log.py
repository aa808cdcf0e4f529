"""`--verbose` and `--log-file`: what a command does, with the time, as lines."""

from __future__ import annotations

import inspect
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from virtual_tiff.errors import VirtualTIFFError
from virtual_tiff.messages import printable, redacted

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


class _Formatter(logging.Formatter):
    """One line for each message, without control characters and secrets."""

    def format(self, record: logging.LogRecord) -> str:
        lines = super().format(record).split("\n")
        return "\n".join(printable(redacted(line)) for line in lines)


def logs_to_stderr() -> bool:
    """Return whether lines go to standard error, so that no bar should."""
    return any(type(handler) is logging.StreamHandler for handler in LOGGER.handlers)


def observed(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options `--verbose` and `--log-file` to a command."""
    signature = inspect.signature(function)
    kind = inspect.Parameter.KEYWORD_ONLY
    more = [
        inspect.Parameter(name, kind, annotation=annotation, default=default)
        for name, (annotation, default) in _OPTIONS.items()
    ]

    @wraps(function)
    def command(*positional: Any, **given: Any) -> None:
        chosen = {name: given.pop(name, default) for name, (_, default) in _OPTIONS.items()}
        with _logged(function.__name__, **chosen):
            function(*positional, **given)

    hints = inspect.get_annotations(function, eval_str=True)
    known = [p.replace(annotation=hints[name]) for name, p in signature.parameters.items()]
    parameters = [*known, *more]
    command.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {
        **hints,
        **{name: annotation for name, (annotation, _) in _OPTIONS.items()},
    }
    return command


@contextmanager
def _logged(command: str, verbose: bool, log_file: Path | None) -> Iterator[None]:
    """Log what happens while the block runs, its beginning and its end."""
    handlers: list[logging.Handler] = []
    if verbose:
        handlers.append(logging.StreamHandler(sys.stderr))
    if log_file is not None:
        try:
            handlers.append(logging.FileHandler(log_file, encoding="utf-8"))
        except OSError as error:
            raise typer.BadParameter(
                f"the file cannot be written: {error.strerror}", param_hint="--log-file"
            ) from None
    for handler in handlers:
        handler.setFormatter(_Formatter(_FORMAT))
        LOGGER.addHandler(handler)
    level = LOGGER.level
    LOGGER.setLevel(logging.INFO if handlers else logging.CRITICAL)
    LOGGER.propagate = False
    LOGGER.info("%s: begins", command)
    try:
        yield
        LOGGER.info("%s: done", command)
    except VirtualTIFFError as error:
        LOGGER.error("%s: %s (%s)", command, error, error.kind, exc_info=log_file is not None)
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
