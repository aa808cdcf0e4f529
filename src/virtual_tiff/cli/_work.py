"""The executors that share the work of a scan."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer


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
