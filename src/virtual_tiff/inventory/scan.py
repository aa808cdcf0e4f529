"""`scan`: sources → `Inventory`, with thousands of headers in flight."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, as_completed
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.checkpoint import Checkpoint
from virtual_tiff.inventory.headers import (
    DEFAULT_CONCURRENCY,
    Images,
    ScanOptions,
    read_all,
    scan_batch,
)
from virtual_tiff.inventory.rows import POSITION, Rows
from virtual_tiff.inventory.sources import SourceOptions, read_sources
from virtual_tiff.inventory.table import SCHEMA, Inventory
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.storage.run import run

type Table = Any
type Registry = Any
type Progress = Callable[[int, int, int], None]

#: Rows, and references of chunks, after which a part of the table is put away.
_PART_ROWS = 2_000
_PART_REFERENCES = 2_000_000
#: URLs of one task of an executor: few enough to share work, enough to be worth a task.
_TASK_URLS = 500


def scan(
    sources: object,
    *,
    registry: Registry | None = None,
    parser: VirtualTIFF | None = None,
    url_column: str = "url",
    datetime_column: str | None = None,
    datetime_pattern: str | None = None,
    datetime_tag: bool = False,
    assets: Sequence[str] | None = None,
    anonymous: bool = False,
    concurrency: int = DEFAULT_CONCURRENCY,
    executor: Executor | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Inventory:
    r"""Read the headers of many TIFFs into a table: one GET a file.

    Parameters
    ----------
    sources
        URLs, paths, folders and prefixes (ending in `/`), globs, text files, STAC Items and
        ItemCollections, STAC GeoParquet, or any Arrow, Polars, pandas or DuckDB table with a
        column of URLs; one or several. The columns of a table come back untouched.
    registry
        Finds the store of a URL; made from the URLs if `None`.
    parser
        Which images of a file; the first if `None`.
    url_column, datetime_column, assets
        Columns of a table, property and assets of STAC Items; see
        `virtual_tiff.inventory.sources.SourceOptions`.
    datetime_pattern
        Regular expression such as `(\d{8})` that finds the time in a URL.
    datetime_tag
        Whether the TIFF's DateTime is the time. A table comes before the pattern, the pattern
        before the tag; where none of them gives a time, there is none.
    anonymous
        Read the files without credentials, as for public buckets.
    concurrency
        Headers in flight at once, in each process.
    executor
        Any `concurrent.futures` executor, or a Dask client, to share the work; this process
        does it all if `None`.
    checkpoint
        Folder to keep what has been read in. A scan that was interrupted goes on from there,
        and tries again what failed for want of the store.
    progress
        Called with files done, files failed and files in all.

    Returns
    -------
    Inventory
        In the order of the sources. A file that could not be read is a row with its error.

    Raises
    ------
    InvalidOptionError
        An argument is wrong, or there is nothing to scan; nothing was read.
    SourceError
        The sources cannot be listed.
    """
    if parser is not None and parser.sidecars:
        raise InvalidOptionError(
            "an inventory does not keep what stands in sidecars.",
            remedy="Scan without sidecars, or publish the files with virtual_tiff.publish.",
        )
    options = ScanOptions(
        parser=parser or VirtualTIFF(ifd=0),
        datetime_pattern=datetime_pattern,
        datetime_tag=datetime_tag,
        concurrency=concurrency,
    )
    listed = read_sources(
        sources,
        registries(registry, anonymous=anonymous),
        SourceOptions(
            url_column=url_column,
            datetime_column=datetime_column,
            assets=None if assets is None else tuple(assets),
        ),
    )
    urls = listed["url"].unique().to_pylist()
    if registry is None:
        from virtual_tiff.storage.stores import default_registry

        registry = default_registry(urls, anonymous=anonymous)
    # How many are in flight changes nothing in the rows.
    same = replace(options, concurrency=DEFAULT_CONCURRENCY)
    work = _Work(urls, registry, options, Checkpoint.open(checkpoint, same), progress)
    if executor is None:
        run(work.run())
    else:
        work.run_with(executor)
    return joined(listed, urls, work.parts)


def registries(registry: Registry | None, *, anonymous: bool = False) -> Callable[[str], Registry]:
    """Find the stores of what has to be listed, URL by URL."""

    def find(url: str) -> Registry:
        if registry is not None:
            return registry
        from virtual_tiff.storage.stores import default_registry

        return default_registry([url], anonymous=anonymous)

    return find


class _Work:
    """One scan under way: what is left to read, and the parts that have been."""

    def __init__(
        self,
        urls: Sequence[str],
        registry: Registry,
        options: ScanOptions,
        checkpoint: Checkpoint | None,
        progress: Progress | None,
    ) -> None:
        self.registry = registry
        self.options = options
        self.checkpoint = checkpoint
        self.total = len(urls)
        self.parts: list[Table] = []
        self.done = 0
        self.failed = 0
        self._progress = progress
        known = {} if checkpoint is None else {url: i for i, url in enumerate(urls)}
        seen: set[int] = set()
        if checkpoint is not None:
            for part in checkpoint.parts(known):
                seen.update(part[POSITION].to_pylist())
                self.parts.append(part)
                self._count(part)
        self.left = [(i, url) for i, url in enumerate(urls) if i not in seen]

    def _count(self, part: Table) -> None:
        self.done += len(part[POSITION].unique())
        self.failed += part.num_rows - part["error_kind"].null_count
        self.report()

    def report(self) -> None:
        if self._progress is not None:
            self._progress(self.done, self.failed, self.total)

    def keep(self, part: Table) -> None:
        if part.num_rows:
            self.parts.append(part)
            if self.checkpoint is not None:
                self.checkpoint.write(part)

    async def run(self) -> None:
        """Read everything in this process."""
        rows = Rows()

        def add(position: int, url: str, images: Images) -> None:
            self.failed += images.add_to(rows, position, url)
            self.done += 1
            self.report()
            if len(rows) >= _PART_ROWS or rows.references >= _PART_REFERENCES:
                self.keep(rows.take())

        try:
            await read_all(self.left, self.registry, self.options, add)
        finally:
            # Also when it is interrupted: what was read need not be read again.
            self.keep(rows.take())

    def run_with(self, executor: Executor) -> None:
        """Share what is left among the workers of an executor."""
        if hasattr(executor, "get_executor"):  # a Dask client
            executor = executor.get_executor()
        futures = [
            executor.submit(scan_batch, self.left[i : i + _TASK_URLS], self.registry, self.options)
            for i in range(0, len(self.left), _TASK_URLS)
        ]
        try:
            for future in as_completed(futures):
                part = future.result()
                self.keep(part)
                self._count(part)
        finally:
            for future in futures:
                future.cancel()


def joined(listed: Table, urls: Sequence[str], parts: Sequence[Table]) -> Inventory:
    """Put the rows that were read beside the columns of the caller.

    Parameters
    ----------
    listed
        From `read_sources`: a row for each thing that the caller named.
    urls
        The different URLs among them, in order.
    parts
        Rows with the position of their URL in `urls`, in any order.
    """
    read = pa.concat_tables(parts) if parts else Rows().take()
    position = read[POSITION].to_numpy()
    order = np.argsort(position, kind="stable")
    counts = np.bincount(position, minlength=len(urls))
    starts = np.concatenate([[0], np.cumsum(counts)[:-1]])
    named = pc.index_in(listed["url"], value_set=pa.array(urls, pa.string())).to_numpy()
    # A URL that was named twice gets its rows twice; one with three images takes three rows.
    repeats = counts[named]
    callers = np.repeat(np.arange(len(named)), repeats)
    within = np.arange(callers.size) - np.repeat(np.cumsum(repeats) - repeats, repeats)
    chosen: NDArray[np.intp] = order[np.repeat(starts[named], repeats) + within]
    table = read.drop_columns([POSITION]).take(pa.array(chosen)).unify_dictionaries()
    given = listed.take(pa.array(callers))
    times = pc.coalesce(given["datetime"], table["datetime"])
    table = table.set_column(SCHEMA.get_field_index("datetime"), SCHEMA.field("datetime"), times)
    for name in given.column_names:
        if name not in ("url", "datetime"):
            table = table.append_column(given.schema.field(name), given[name])
    return Inventory(table)
