"""Show how far long work is, and share it among processes."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

from virtual_tiff.cli._common import say
from virtual_tiff.cli._log import LOGGER, logs_to_stderr

if TYPE_CHECKING:
    from virtual_tiff.progress import Progress as Report
    from virtual_tiff.progress import Stage

_STAGES: dict[Stage, str] = {
    "list": "Listing sources",
    "read": "Reading headers",
    "write": "Writing references",
    "commit": "Committing",
    "check": "Checking files",
}


#: Seconds between two lines about progress.
INTERVAL = 5.0


class _Lines:
    """Says every few seconds how far a stage is, and how long each stage took."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet or logs_to_stderr()
        self._stage: Stage | None = None
        self._started = self._said = time.monotonic()
        self._last = ""

    def __call__(self, stage: Stage, done: int, total: int, failed: int, /) -> None:
        """Report progress; see `virtual_tiff.progress.Progress`."""
        now = time.monotonic()
        if stage != self._stage:
            self.finish()
            self._stage, self._started = stage, now
        self._last = f"{_STAGES[stage]}: {done:,} of {total:,}, {_rate(done, now - self._started)}"
        self._last += f", {failed:,} failed" if failed else ""
        if now - self._said >= INTERVAL:
            self._said = now
            LOGGER.info(self._last)
            if not self._quiet:
                say(f"virtual-tiff: {self._last}", file=sys.stderr)

    def finish(self) -> None:
        """Log how long the last stage took."""
        if self._last:
            LOGGER.info("%s, %.1f s", self._last, time.monotonic() - self._started)
        self._last = ""


def _rate(done: int, seconds: float) -> str:
    return f"{done / max(seconds, 1e-3):,.0f}/s"


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Report]:
    """Show a bar on stderr while the block runs, if that is a terminal; else a line now and then.

    It names the stage, and shows items done, their rate, failures and the time left.
    """
    # Imported here: `--help` must not wait for it.
    from rich import progress as widgets
    from rich.console import Console

    console = Console(stderr=True)
    lines = _Lines(quiet=quiet or console.is_terminal)
    if quiet or logs_to_stderr() or not console.is_terminal:
        yield lines
        lines.finish()
        return
    columns = (
        widgets.TextColumn("{task.description:<18}"),
        widgets.BarColumn(),
        widgets.MofNCompleteColumn(),
        widgets.TextColumn("{task.fields[rate]}"),
        widgets.TimeRemainingColumn(),
    )
    with widgets.Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task(_STAGES["list"], total=None, rate="")
        shown: Stage | None = None
        started = time.monotonic()

        def report(stage: Stage, done: int, total: int, failed: int, /) -> None:
            nonlocal shown, started
            lines(stage, done, total, failed)
            if stage != shown:
                # Each stage has a rate of its own.
                shown, started = stage, time.monotonic()
                bars.reset(task, description=_STAGES[stage])
            text = _rate(done, time.monotonic() - started)
            text += f", {failed:,} failed" if failed else ""
            bars.update(task, completed=done, total=total, rate=text)

        yield report
    lines.finish()


@contextmanager
def executor_named(name: str | None) -> Iterator[Any]:
    """Make the executor with this name."""
    if name is None:
        yield None
    elif name == "dask":
        try:
            from distributed import Client
        except ImportError:
            raise typer.BadParameter(
                "Dask is not installed: install virtual-tiff[dask]", param_hint="--executor"
            ) from None
        with Client() as client:  # type: ignore[no-untyped-call]
            yield client
    elif name.isdecimal() and int(name) > 0:
        from concurrent.futures import ProcessPoolExecutor
        from multiprocessing import get_context

        with ProcessPoolExecutor(int(name), mp_context=get_context("spawn")) as executor:
            yield executor
    else:
        raise typer.BadParameter(
            f"{name!r} is neither dask nor a number of processes", param_hint="--executor"
        )
