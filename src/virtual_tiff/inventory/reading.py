"""Read many headers: in this process or in those of an executor, with a checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed

import pyarrow as pa

from virtual_tiff.inventory.checkpoint import Checkpoint
from virtual_tiff.inventory.headers import FileReader, ScanOptions
from virtual_tiff.inventory.rows import POSITION, Row, Rows
from virtual_tiff.progress import Progress, no_progress
from virtual_tiff.storage.concurrency import in_flight
from virtual_tiff.storage.resolve import AddressRegistry
from virtual_tiff.storage.run import run

#: Number of rows, and of chunk references, after which a part of the table is saved.
_PART_ROWS = 2_000
_PART_REFERENCES = 2_000_000
#: Seconds after which a part is saved in a checkpoint, so that a killed scan loses little.
_PART_SECONDS = 5.0
#: URLs of one task of an executor: few enough to balance load, enough to amortise a task.
_TASK_URLS = 500


def read_batch(
    batch: Sequence[tuple[int, str]], registry: AddressRegistry, options: ScanOptions
) -> pa.Table:
    """Read headers in a worker of an executor."""
    rows = Rows()
    run(read_all(batch, registry, options, rows.add))
    return rows.take()


async def read_all(
    batch: Sequence[tuple[int, str]],
    registry: AddressRegistry,
    options: ScanOptions,
    add: Callable[[int, list[Row]], object],
) -> None:
    """Read headers concurrently, and pass on each result as it completes."""
    reader = FileReader(registry, options)

    async def read(item: tuple[int, str]) -> None:
        position, url = item
        add(position, await reader.read(url))

    await in_flight(batch, options.concurrency, read)


class Reading:
    """One scan under way: what is left to read, and the parts that have been.

    A checkpoint has the parts of a scan that was interrupted, and keeps those of this one;
    `earlier` has rows of another one.
    """

    def __init__(
        self,
        urls: Sequence[str],
        registry: AddressRegistry,
        options: ScanOptions,
        checkpoint: Checkpoint | None = None,
        progress: Progress | None = None,
        earlier: pa.Table | None = None,
    ) -> None:
        self.registry = registry
        self.options = options
        self.checkpoint = checkpoint
        self.total = len(urls)
        self.parts: list[pa.Table] = []
        self.done = 0
        self.failed = 0
        self._progress = progress or no_progress
        self._next = time.monotonic() + _PART_SECONDS
        known = {} if checkpoint is None else {url: i for i, url in enumerate(urls)}
        seen: set[int] = set()
        if checkpoint is not None:
            for part in checkpoint.parts(known):
                seen.update(part[POSITION].to_pylist())
                self.parts.append(part)
                self._count(part)
        if earlier is not None:
            new = [position not in seen for position in earlier[POSITION].to_pylist()]
            part = earlier.filter(pa.array(new, pa.bool_()))
            seen.update(part[POSITION].to_pylist())
            self.parts.append(part)
            self._count(part)
        self.left = [(i, url) for i, url in enumerate(urls) if i not in seen]

    def _count(self, part: pa.Table) -> None:
        self.done += len(part[POSITION].unique())
        self.failed += part.num_rows - part["error_kind"].null_count
        self._report()

    def _report(self) -> None:
        self._progress("read", self.done, self.total, self.failed)

    def _keep(self, part: pa.Table) -> None:
        if part.num_rows:
            self.parts.append(part)
            if self.checkpoint is not None:
                self.checkpoint.write(part)
        self._next = time.monotonic() + _PART_SECONDS

    async def run(self) -> None:
        """Read everything in this process."""
        rows = Rows()

        def add(position: int, found: list[Row]) -> None:
            self.failed += rows.add(position, found)
            self.done += 1
            self._report()
            full = len(rows) >= _PART_ROWS or rows.references >= _PART_REFERENCES
            if full or (self.checkpoint is not None and time.monotonic() > self._next):
                self._keep(rows.take())

        try:
            await read_all(self.left, self.registry, self.options, add)
        finally:
            # Also when interrupted, so that files need not be read again.
            self._keep(rows.take())

    def run_with(self, executor: Executor) -> None:
        """Distribute the remaining files to the workers of an executor."""
        if hasattr(executor, "get_executor"):  # a Dask client
            executor = executor.get_executor()
        futures = [
            executor.submit(read_batch, self.left[i : i + _TASK_URLS], self.registry, self.options)
            for i in range(0, len(self.left), _TASK_URLS)
        ]
        try:
            for future in as_completed(futures):
                part = future.result()
                self._keep(part)
                self._count(part)
        finally:
            for future in futures:
                future.cancel()
