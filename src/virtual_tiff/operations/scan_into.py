"""`scan_into`: read the headers of many TIFFs into an inventory of several files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any, Self, Unpack

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from virtual_tiff.choices import Pages
from virtual_tiff.errors import InvalidOptionError
from virtual_tiff.inventory.arrow import common_schema
from virtual_tiff.inventory.scan import Listed
from virtual_tiff.inventory.source_options import SourceArguments
from virtual_tiff.inventory.table import SCAN_OPTIONS, Inventory
from virtual_tiff.operations.batches import (
    COMMON_METADATA,
    inventory_files,
    joined_inventory,
    scan_column,
)
from virtual_tiff.operations.incremental import list_sources
from virtual_tiff.operations.options import check_options
from virtual_tiff.parser import VirtualTIFF
from virtual_tiff.progress import Progress, Stage, no_progress
from virtual_tiff.storage.errors import writing

#: Rows of the sources for each file of the inventory: their headers are in memory together.
_FILE_ROWS = 25_000


class ScanArguments(SourceArguments, total=False):
    """Options of `scan_into`, which are those of `scan`."""

    parser: VirtualTIFF | None
    pages: Pages
    datetime_column: str | None
    datetime_pattern: str | None
    datetime_tag: bool
    columns: Mapping[str, str] | None
    concurrency: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanSummary:
    """Rows of an inventory, counted.

    Parameters
    ----------
    images
        Rows without an error.
    known
        Rows that an earlier scan read.
    timeless
        Images without a time.
    failed
        `pyarrow.Table` of the rows with an error, as `Inventory.failed`.
    """

    images: int
    known: int
    timeless: int
    failed: pa.Table

    @classmethod
    def of(cls, inventory: Inventory, started: datetime | None) -> Self:
        """Count the rows of an inventory; those read before a scan `started` are known."""
        table = inventory.table
        timeless = pc.and_(pc.is_null(table["error_kind"]), pc.is_null(table["datetime"]))
        before = None if started is None else pc.less(table["read_at"], pa.scalar(started))
        return cls(
            images=table["error_kind"].null_count,
            known=0 if before is None else pc.sum(before).as_py() or 0,
            timeless=pc.sum(timeless).as_py() or 0,
            failed=inventory.failed,
        )

    def __add__(self, other: Self) -> Self:
        """Count the rows of two."""
        return replace(
            self,
            images=self.images + other.images,
            known=self.known + other.known,
            timeless=self.timeless + other.timeless,
            failed=pa.concat_tables([self.failed, other.failed]),
        )


def scan_into(
    folder: str | os.PathLike[str],
    sources: object,
    *,
    restart: bool = False,
    executor: Executor | None = None,
    progress: Progress | None = None,
    **options: Unpack[ScanArguments],
) -> ScanSummary:
    """Read the headers of many TIFFs into a folder, whose files are one inventory.

    Memory is that of the list of files, and of the headers of 25,000 of them. The folder appears,
    or is replaced, when it is complete; an interrupted call goes on where it stopped. If it has an
    inventory, files that a listing shows unchanged keep their rows, and only the others are read.

    Parameters
    ----------
    folder
        Local folder that is absent, empty or has an inventory: `part-00000.parquet`, …, in the
        order of the sources, each GeoParquet; and `_common_metadata`, their schema with the bounds
        of all of them. `publish`, `stack` and `append` accept the folder as a source.
    sources
        As for `scan`.
    restart
        Read all files anew.
    executor, progress
        As for `scan`.
    **options
        Those of `scan`.

    Returns
    -------
    ScanSummary
        What was found.

    Raises
    ------
    InvalidOptionError
        An argument is wrong, or there is nothing to scan, or the folder has other files; nothing
        was read.
    SourceError
        As for `scan`.
    """
    check_options("scan_into", options, ScanArguments)
    target = Path(folder).resolve()
    files = _files_in(target)
    work = target.with_name(f".{target.name}.scan")
    if restart:
        shutil.rmtree(work, ignore_errors=True)
    started = datetime.now(UTC) if files and not restart else None
    listed = list_sources(sources, options)
    earlier = _Earlier([] if restart else files, listed.table["url"])
    overall = _Overall(progress or no_progress, len(listed.urls))
    parts = work / "parts"
    with writing(work):
        shutil.rmtree(parts, ignore_errors=True)
        parts.mkdir(parents=True)
    found = []
    for number, (piece, known) in enumerate(_pieces(listed, earlier)):
        inventory = piece.read(
            executor=executor,
            checkpoint=work / f"{number:05}",
            known=known,
            progress=overall,
        )
        inventory.write(parts / f"part-{number:05}.parquet")
        found.append(ScanSummary.of(inventory, started))
        overall.next()
    _replace(target, parts, work / "before")
    shutil.rmtree(work, ignore_errors=True)
    return reduce(add, found)


def rehearse_scan(
    output: Path, sources: object, options: Mapping[str, Any], *, restart: bool
) -> tuple[int, int]:
    """Return how many files a scan into a file or a folder lists, and how many it does not read."""
    files = [] if restart else inventory_files(output)
    listed = list_sources(sources, options)
    pieces = _pieces(listed, _Earlier(files, listed.table["url"]))
    return len(listed.urls), sum(piece.known(known) for piece, known in pieces)


def _pieces(listed: Listed, earlier: _Earlier) -> Iterator[tuple[Listed, Inventory | None]]:
    """Divide files that are listed, each part with what is known of it."""
    for start in range(0, len(listed.table), _FILE_ROWS):
        part = slice(start, start + _FILE_ROWS)
        yield replace(listed, table=listed.table.slice(start, _FILE_ROWS)), earlier.of(part)


def _files_in(folder: Path) -> list[Path]:
    """Return the files of the inventory of a folder; refuse one that has other files."""
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise InvalidOptionError(
            f"{folder} is a file.", remedy="Name a folder, or scan into one table."
        )
    files = inventory_files(folder)
    if others := {*folder.iterdir()} - {*files, folder / COMMON_METADATA}:
        raise InvalidOptionError(
            f"{folder} is no inventory: it has {min(others).name}.",
            remedy="Name a folder that does not exist, or has nothing but an inventory.",
        )
    return files


def _replace(folder: Path, parts: Path, before: Path) -> None:
    """Put complete files in the place of a folder."""
    schemas = [pq.read_schema(file) for file in sorted(parts.iterdir())]
    with writing(folder):
        pq.write_metadata(common_schema(schemas), parts / COMMON_METADATA)
        shutil.rmtree(before, ignore_errors=True)
        if folder.exists():
            folder.rename(before)
        parts.rename(folder)


class _Earlier:
    """Rows of an earlier scan, in several files, by the rows of a list of addresses."""

    def __init__(self, files: Sequence[Path], urls: pa.ChunkedArray) -> None:
        said = [(pq.read_schema(file).metadata or {}).get(SCAN_OPTIONS) for file in files]
        # Rows without options say more than their files. Files of several scans have no order.
        self._files = [file for file, options in zip(files, said, strict=True) if options]
        if len(set(said) - {None}) > 1:
            self._files = []
        place = pc.fill_null(
            pc.index_in(urls, value_set=scan_column(self._files, "url")), -1
        ).to_numpy()
        starts = np.cumsum([0, *(pq.read_metadata(file).num_rows for file in self._files)])
        # Of each address, the number of its file; -1 of those that no file has.
        self._file_of = np.searchsorted(starts, place, side="right") - 1

    def of(self, urls: slice) -> Inventory | None:
        """Return the files that have some of these addresses, with all of their rows."""
        numbers = np.unique(self._file_of[urls])
        found = [Inventory.read(self._files[number]) for number in numbers if number >= 0]
        return joined_inventory(found) if found else None


class _Overall:
    """Progress of several readings as that of one."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._before = self._now = (0, 0)
        progress("list", total, total, 0)

    def __call__(self, stage: Stage, done: int, total: int, failed: int, /) -> None:
        if stage != "list":
            self._now = (self._before[0] + done, self._before[1] + failed)
            self._progress(stage, self._now[0], self._total, self._now[1])

    def next(self) -> None:
        """Begin the next reading."""
        self._before = self._now
