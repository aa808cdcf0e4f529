"""Progress of a scan, and the executors that share its work."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer


@contextmanager
def bar(quiet: bool, what: str = "Reading headers") -> Iterator[Any]:
    """Show a bar with rate and time left on stderr while the block runs, if that is a terminal."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    console = Console(stderr=True)
    if quiet or not console.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(what, total=None, rate="")

        def report(done: int, failed: int, total: int) -> None:
            rate = done / max(time.monotonic() - started, 1e-3)
            text = f"{rate:,.0f}/s" + (f", {failed:,} failed" if failed else "")
            progress.update(task, completed=done, total=total, rate=text)

        yield report


@contextmanager
def executor_named(name: str | None) -> Iterator[Any]:
    """Make the executor that was asked for."""
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
