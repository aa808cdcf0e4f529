"""Show how far long work is, and share it among processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

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


@contextmanager
def progress_bar(*, quiet: bool) -> Iterator[Report | None]:
    """Show a bar on stderr while the block runs, if that is a terminal.

    It names the stage, and shows items done, their rate, failures and the time left.
    """
    # Imported here: `--help` must not wait for it.
    from rich import progress as widgets
    from rich.console import Console

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
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
            if stage != shown:
                # Each stage has a rate of its own.
                shown, started = stage, time.monotonic()
                bars.reset(task, description=_STAGES[stage])
            rate = done / max(time.monotonic() - started, 1e-3)
            text = f"{rate:,.0f}/s" + (f", {failed:,} failed" if failed else "")
            bars.update(task, completed=done, total=total, rate=text)

        yield report


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
